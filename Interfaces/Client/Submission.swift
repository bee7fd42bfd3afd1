import Commitments
public import Instruments
public import Primitives
public import Wire

/// One line of a `submit` file: what is asked for, by whom, under which name.
public struct Submission: Sendable {
  public enum Content: Sendable {
    /// An action to be signed; `expires` is the bundle's, nil for the client's default.
    case action(Action, account: AccountID, expires: Timestamp?)
    /// A bundle signed elsewhere.
    case signed(Bundle)
  }

  /// Counted from 1.
  public let line: Int
  /// The line's own name, given back with its outcome.
  public let id: String
  public let content: Content

  public init(line: Int, id: String, content: Content) {
    self.line = line
    self.id = id
    self.content = content
  }
}

/// A line that asks for nothing that could be sent. The run goes on behind it.
public struct SubmissionFailure: Error, Hashable, Sendable {
  public enum Reason: Hashable, Sendable {
    /// Not strict JSON, or a key that is missing, unknown, given twice or of another type.
    case json(JSONFailure)
    case csv(CSVFailure)
    /// The value at this key is none of those it may be.
    case value(String, expected: String, found: String)
    case instrumentName(InstrumentNameFailure)
    /// The protocol holds no such action.
    case domain(DecodingFailure)
    /// The line is longer than any bundle's.
    case tooLong(maximum: Int)
  }

  /// Counted from 1.
  public let line: Int
  /// The line's name, when that much could be read.
  public let id: String?
  /// The line as it stands, cut after 200 bytes.
  public let text: String
  public let reason: Reason
}

extension SubmissionFailure: CustomStringConvertible {
  public var description: String { "line \(line): \(reason)" }
}

extension SubmissionFailure.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .json(let failure): "\(failure)"
    case .csv(let failure): "\(failure)"
    case .value(let key, let expected, let found):
      "\"\(key)\": expected \(expected), found \"\(found)\""
    case .instrumentName(let failure): "\"instrument\": \(failure)"
    case .domain(let failure): "\(failure)"
    case .tooLong(let maximum): "expected a line of at most \(maximum) bytes, found more"
    }
  }
}

/// The lines of a `submit` file, one after the other: JSON Lines, or CSV whose header bears the same
/// names. A file whose first line begins with `{` is JSON. Empty lines are passed over.
public struct SubmissionReader: Sequence, IteratorProtocol, Sendable {
  /// Longer than the hexadecimal text of any bundle.
  public static let lineByteCountMax = 1 << 18

  private let bytes: [UInt8]
  private let actions: ActionReader
  private var offset = 0
  private var line = 0
  private var format: Format?

  private enum Format: Sendable {
    case json
    case csv([String])
    /// The header is at fault: nothing behind it has a meaning.
    case none
  }

  /// - Parameters:
  ///   - genesis: names assets and underlyings.
  ///   - directory: what is listed now; nil for what is listed from the start.
  public init(_ bytes: [UInt8], genesis: Genesis, directory: InstrumentDirectory? = nil) {
    self.bytes = bytes
    actions = ActionReader(
      assets: genesis.assets, directory: directory ?? InstrumentDirectory(genesis))
  }

  /// The next line's submission or failure; nil at the end.
  public mutating func next() -> Result<Submission, SubmissionFailure>? {
    while let text = nextLine() {
      let isBlank = text.allSatisfy { $0 == 0x20 || $0 == 0x09 }
      if isBlank { continue }
      switch format {
      case nil:
        if let failure = open(text) { return .failure(failure) }
        if case .json? = format { return read(text, columns: nil) }
      case .json?: return read(text, columns: nil)
      case .csv(let columns)?: return read(text, columns: columns)
      case Format.none?: return nil
      }
    }
    return nil
  }

  private mutating func nextLine() -> ArraySlice<UInt8>? {
    guard offset < bytes.count else { return nil }
    let end = bytes[offset...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
    defer { offset = end + 1 }
    line += 1
    let text = bytes[offset..<end]
    return text.last == UInt8(ascii: "\r") ? text.dropLast() : text
  }

  /// Learns the format from the first line.
  private mutating func open(_ text: ArraySlice<UInt8>) -> SubmissionFailure? {
    if text.first(where: { $0 != 0x20 && $0 != 0x09 }) == UInt8(ascii: "{") {
      format = .json
      return nil
    }
    do throws(CSVFailure) {
      let columns = try CSV.cells(text)
      for (index, column) in columns.enumerated() {
        guard ActionReader.keys.contains(column) else { throw .column(column) }
        guard !columns[..<index].contains(column) else { throw .columnTwice(column) }
      }
      format = .csv(columns)
      return nil
    } catch {
      format = Format.none
      return failure(text, nil, .csv(error))
    }
  }

  private func failure(
    _ text: ArraySlice<UInt8>, _ id: String?, _ reason: SubmissionFailure.Reason
  ) -> SubmissionFailure {
    SubmissionFailure(
      line: line, id: id, text: String(decoding: text.prefix(200), as: UTF8.self), reason: reason)
  }

  private func read(_ text: ArraySlice<UInt8>, columns: [String]?)
    -> Result<Submission, SubmissionFailure>
  {
    guard text.count <= SubmissionReader.lineByteCountMax else {
      return .failure(failure(text, nil, .tooLong(maximum: SubmissionReader.lineByteCountMax)))
    }
    var id: String?
    do throws(SubmissionFailure.Reason) {
      let fields = Fields(value: try value(text, columns))
      let name = try fields.string("id")
      id = name
      let content = try actions.content(fields)
      return .success(Submission(line: line, id: name, content: content))
    } catch {
      return .failure(failure(text, id, error))
    }
  }

  private func value(_ text: ArraySlice<UInt8>, _ columns: [String]?)
    throws(SubmissionFailure.Reason) -> JSONValue
  {
    guard let columns else {
      do throws(JSONFailure) {
        return try JSONValue.parse(Array(text), depthMax: 4)
      } catch {
        throw .json(error)
      }
    }
    do throws(CSVFailure) {
      return try CSV.object(text, columns: columns, booleans: ActionReader.booleanKeys)
    } catch {
      throw .csv(error)
    }
  }
}

extension SubmissionFailure.Reason: Error {}

/// Typed access to a line's fields, its failures all of one type.
struct Fields {
  typealias Reason = SubmissionFailure.Reason
  let value: JSONValue

  private func json<R>(_ body: () throws(JSONFailure) -> R) throws(Reason) -> R {
    do throws(JSONFailure) { return try body() } catch { throw .json(error) }
  }

  func allow(_ keys: [String]) throws(Reason) {
    _ = try json { () throws(JSONFailure) in try value.object(allowing: Set(keys)) }
  }

  func string(_ key: String) throws(Reason) -> String {
    try json { () throws(JSONFailure) in try value.string(at: key) }
  }

  func optionalString(_ key: String) throws(Reason) -> String? {
    try json { () throws(JSONFailure) in try value.optionalString(at: key) }
  }

  func flag(_ key: String, default value: Bool = false) throws(Reason) -> Bool {
    try json { () throws(JSONFailure) in try self.value.optionalBool(at: key) } ?? value
  }

  func integer<Value: FixedWidthInteger>(_ key: String) throws(Reason) -> Value {
    try json { () throws(JSONFailure) in try value.integer(at: key) }
  }

  func optionalInteger<Value: FixedWidthInteger>(_ key: String) throws(Reason) -> Value? {
    try json { () throws(JSONFailure) in try value.optionalInteger(at: key) }
  }

  /// A decimal string at 10^-`digits`, of which no digit may be lost.
  func decimal(_ key: String, digits: Int) throws(Reason) -> Int64 {
    let text = try string(key)
    do throws(DecimalFailure) {
      return try DecimalText.parse(exactly: text, digits: digits)
    } catch {
      throw .json(.invalid(key, error))
    }
  }

  func unit<Value: DecimalUnit>(_ key: String, as: Value.Type = Value.self) throws(Reason) -> Value
  where Value.Raw == Int64 {
    Value(raw: try decimal(key, digits: Value.fractionDigits))
  }

  func optionalUnit<Value: DecimalUnit>(_ key: String) throws(Reason) -> Value?
  where Value.Raw == Int64 {
    try optionalString(key) == nil ? nil : try unit(key)
  }

  func array(_ key: String) throws(Reason) -> [JSONValue] {
    try json { () throws(JSONFailure) in try value.array(at: key) }
  }

  func hex(_ key: String) throws(Reason) -> Bytes32 {
    let text = try string(key)
    guard let bytes = Bytes32(hex: text) else {
      throw .value(key, expected: "64 hexadecimal digits", found: text)
    }
    return bytes
  }

  func bytes(_ key: String, expected: String) throws(Reason) -> [UInt8] {
    let text = try string(key)
    guard let bytes = Hexadecimal.bytes(text) else {
      throw .value(key, expected: expected, found: String(text.prefix(80)))
    }
    return bytes
  }

  func side(at key: String = "side") throws(Reason) -> Side {
    switch try string(key) {
    case "buy": return .buy
    case "sell": return .sell
    case let found: throw .value(key, expected: "buy or sell", found: found)
    }
  }
}
