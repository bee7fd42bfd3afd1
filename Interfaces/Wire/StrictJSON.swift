/// A JSON value that keeps what was written: numbers as their text, members in their order.
///
/// Strings, keys and numbers compare by their bytes, never by Unicode equivalence.
public indirect enum JSONValue: Sendable {
  case null
  case bool(Bool)
  /// The number's own text, in the grammar of RFC 8259 §6; never a floating-point number.
  case number(String)
  case string(String)
  case array([JSONValue])
  /// Members in the given order; parsed objects have no key twice.
  case object([(key: String, value: JSONValue)])
}

/// Why bytes are not strict JSON, or why a value is not of the wanted shape.
public enum JSONFailure: Error, Hashable, Sendable {
  /// The text ended inside a value.
  case truncated(offset: Int)
  /// This byte cannot stand here.
  case unexpectedByte(UInt8, offset: Int)
  /// A value was complete and something followed.
  case trailing(offset: Int)
  /// A number breaks the grammar, as a leading zero does.
  case invalidNumber(offset: Int)
  /// Overlong, truncated, surrogate or out-of-range UTF-8.
  case invalidUTF8(offset: Int)
  /// A byte below 0x20 stands bare in a string.
  case controlCharacter(offset: Int)
  /// A backslash is followed by no known escape.
  case invalidEscape(offset: Int)
  /// Half of a surrogate pair is escaped alone.
  case loneSurrogate(offset: Int)
  /// An object has the key twice.
  case duplicateKey(String, offset: Int)
  /// Arrays and objects nest deeper than allowed.
  case tooDeep(offset: Int, maximum: Int)

  /// An object lacks this key.
  case missing(String)
  /// An object has a key nobody asked for.
  case unexpected(String)
  /// The value at this key (or of this name) is of another type.
  case mistyped(String, expected: String, found: String)
  /// The decimal text at this key is none.
  case invalid(String, DecimalFailure)
}

extension JSONFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated(let offset): "the text ends inside a value at byte \(offset)"
    case .unexpectedByte(let byte, let offset):
      "found unexpected byte \(byte) at byte \(offset)"
    case .trailing(let offset): "expected the end of the text, found more at byte \(offset)"
    case .invalidNumber(let offset): "found a malformed number at byte \(offset)"
    case .invalidUTF8(let offset): "found invalid UTF-8 at byte \(offset)"
    case .controlCharacter(let offset): "found a bare control character at byte \(offset)"
    case .invalidEscape(let offset): "found an unknown escape at byte \(offset)"
    case .loneSurrogate(let offset): "found half a surrogate pair at byte \(offset)"
    case .duplicateKey(let key, let offset): "found key \"\(key)\" twice, again at byte \(offset)"
    case .tooDeep(let offset, let maximum):
      "nesting deeper than \(maximum) at byte \(offset)"
    case .missing(let key): "expected key \"\(key)\", found none"
    case .unexpected(let key): "found unknown key \"\(key)\""
    case .mistyped(let key, let expected, let found):
      "\"\(key)\": expected \(expected), found \(found)"
    case .invalid(let key, let failure): "\"\(key)\": \(failure)"
    }
  }
}

extension JSONValue {
  /// The one value `bytes` hold, by RFC 8259 without any leniency: no key twice, no invalid UTF-8,
  /// no lone surrogate, no byte-order mark, nothing after the value but white space.
  ///
  /// Expected time is linear in the bytes.
  /// - Parameter depthMax: how deep arrays and objects may nest, at most 512; 0 allows scalars.
  /// - Throws: the first fault, with its byte offset.
  public static func parse(_ bytes: [UInt8], depthMax: Int = 32) throws(JSONFailure) -> JSONValue {
    precondition(depthMax >= 0 && depthMax <= 512, "nesting is parsed on the stack")
    var parser = JSONParser(bytes, depthMax: depthMax)
    parser.skipSpace()
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.offset == bytes.count else { throw .trailing(offset: parser.offset) }
    return value
  }

  /// As `parse(_:depthMax:)`, from a string.
  public static func parse(_ text: String, depthMax: Int = 32) throws(JSONFailure) -> JSONValue {
    try parse(Array(text.utf8), depthMax: depthMax)
  }
}

extension JSONValue: Equatable {
  /// Same types, same bytes, same order of members.
  public static func == (a: JSONValue, b: JSONValue) -> Bool {
    switch (a, b) {
    case (.null, .null): return true
    case (.bool(let x), .bool(let y)): return x == y
    case (.number(let x), .number(let y)), (.string(let x), .string(let y)):
      return x.utf8.elementsEqual(y.utf8)
    case (.array(let x), .array(let y)): return x == y
    case (.object(let x), .object(let y)):
      return x.count == y.count
        && zip(x, y).allSatisfy { $0.key.utf8.elementsEqual($1.key.utf8) && $0.value == $1.value }
    case (.null, _), (.bool, _), (.number, _), (.string, _), (.array, _), (.object, _):
      return false
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// An object with its members in the order written.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { (key: $0.0, value: $0.1) })
  }

  /// A number that is an integer.
  public static func integer(_ value: some BinaryInteger) -> JSONValue { .number("\(value)") }
}

// MARK: - The parser

/// One pass over the bytes; each method leaves `offset` behind what it read.
struct JSONParser {
  private let bytes: [UInt8]
  private let depthMax: Int
  private(set) var offset = 0

  init(_ bytes: [UInt8], depthMax: Int) {
    self.bytes = bytes
    self.depthMax = depthMax
  }

  private func peek() throws(JSONFailure) -> UInt8 {
    guard offset < bytes.count else { throw .truncated(offset: offset) }
    return bytes[offset]
  }

  private mutating func expect(_ byte: UInt8) throws(JSONFailure) {
    let found = try peek()
    guard found == byte else { throw .unexpectedByte(found, offset: offset) }
    offset += 1
  }

  mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      default: return
      }
    }
  }

  mutating func value(depth: Int) throws(JSONFailure) -> JSONValue {
    let byte = try peek()
    switch byte {
    case UInt8(ascii: "{"):
      guard depth < depthMax else { throw .tooDeep(offset: offset, maximum: depthMax) }
      return try object(depth: depth + 1)
    case UInt8(ascii: "["):
      guard depth < depthMax else { throw .tooDeep(offset: offset, maximum: depthMax) }
      return try array(depth: depth + 1)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
    default: throw .unexpectedByte(byte, offset: offset)
    }
  }

  private mutating func word(_ text: String, _ value: JSONValue) throws(JSONFailure) -> JSONValue {
    for byte in text.utf8 { try expect(byte) }
    return value
  }

  private mutating func array(depth: Int) throws(JSONFailure) -> JSONValue {
    offset += 1
    var elements: [JSONValue] = []
    skipSpace()
    if try peek() == UInt8(ascii: "]") {
      offset += 1
      return .array([])
    }
    while true {
      skipSpace()
      elements.append(try value(depth: depth))
      skipSpace()
      if try peek() == UInt8(ascii: "]") { break }
      try expect(UInt8(ascii: ","))
    }
    offset += 1
    return .array(elements)
  }

  private mutating func object(depth: Int) throws(JSONFailure) -> JSONValue {
    offset += 1
    var members: [(key: String, value: JSONValue)] = []
    var keys = KeySet()
    skipSpace()
    if try peek() == UInt8(ascii: "}") {
      offset += 1
      return .object([])
    }
    while true {
      skipSpace()
      let start = offset
      let found = try peek()
      guard found == UInt8(ascii: "\"") else { throw .unexpectedByte(found, offset: offset) }
      let key = try string()
      guard keys.insert(key, besides: members) else { throw .duplicateKey(key, offset: start) }
      skipSpace()
      try expect(UInt8(ascii: ":"))
      skipSpace()
      members.append((key, try value(depth: depth)))
      skipSpace()
      if try peek() == UInt8(ascii: "}") { break }
      try expect(UInt8(ascii: ","))
    }
    offset += 1
    return .object(members)
  }
}

/// Keys by their bytes. Few are compared one by one; many go into a hashed set that nothing
/// iterates.
private struct KeySet {
  private static let comparedMax = 16
  private var hashed: Set<[UInt8]> = []

  /// Whether `key` is not among `members`; call once for each member, in order.
  mutating func insert(_ key: String, besides members: [(key: String, value: JSONValue)]) -> Bool {
    if members.count < KeySet.comparedMax {
      return !members.contains { $0.key.utf8.elementsEqual(key.utf8) }
    }
    if members.count == KeySet.comparedMax {
      for member in members { hashed.insert(Array(member.key.utf8)) }
    }
    return hashed.insert(Array(key.utf8)).inserted
  }
}

// MARK: - Numbers

extension JSONParser {
  /// `-`? (`0` | 1-9 digits) (`.` digits)? (`e` sign? digits)?, kept as text.
  private mutating func number() throws(JSONFailure) -> String {
    let start = offset
    if bytes[offset] == UInt8(ascii: "-") { offset += 1 }
    let first = offset
    try digits()
    if bytes[first] == UInt8(ascii: "0"), offset - first > 1 {
      throw .invalidNumber(offset: first)
    }
    if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
      offset += 1
      try digits()
    }
    if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
      offset += 1
      if offset < bytes.count,
        bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-")
      {
        offset += 1
      }
      try digits()
    }
    return String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  /// At least one digit.
  private mutating func digits() throws(JSONFailure) {
    let start = offset
    while offset < bytes.count, bytes[offset] >= UInt8(ascii: "0"),
      bytes[offset] <= UInt8(ascii: "9")
    {
      offset += 1
    }
    guard offset > start else {
      if offset == bytes.count { throw .truncated(offset: offset) }
      throw .invalidNumber(offset: offset)
    }
  }

  /// Whether `text` is one JSON number.
  static func isNumber(_ text: String) -> Bool {
    var parser = JSONParser(Array(text.utf8), depthMax: 0)
    do throws(JSONFailure) {
      guard case .number = try parser.value(depth: 0) else { return false }
    } catch {
      return false
    }
    return parser.offset == parser.bytes.count
  }
}

// MARK: - Strings

extension JSONParser {
  private mutating func string() throws(JSONFailure) -> String {
    offset += 1
    var start = offset
    var unescaped: [UInt8] = []
    while true {
      let byte = try peek()
      switch byte {
      case UInt8(ascii: "\""):
        defer { offset += 1 }
        if unescaped.isEmpty { return String(decoding: bytes[start..<offset], as: UTF8.self) }
        unescaped.append(contentsOf: bytes[start..<offset])
        return String(decoding: unescaped, as: UTF8.self)
      case UInt8(ascii: "\\"):
        unescaped.append(contentsOf: bytes[start..<offset])
        try escape(into: &unescaped)
        start = offset
      case 0..<0x20: throw .controlCharacter(offset: offset)
      case 0x20..<0x80: offset += 1
      default: try scalar()
      }
    }
  }

  /// Steps over one multi-byte scalar of well-formed UTF-8 (Unicode 15 table 3-7).
  private mutating func scalar() throws(JSONFailure) {
    let lead = bytes[offset]
    let count: Int
    var low: UInt8 = 0x80
    var high: UInt8 = 0xBF
    switch lead {
    case 0xC2...0xDF: count = 2
    case 0xE0...0xEF:
      count = 3
      if lead == 0xE0 { low = 0xA0 }
      if lead == 0xED { high = 0x9F }
    case 0xF0...0xF4:
      count = 4
      if lead == 0xF0 { low = 0x90 }
      if lead == 0xF4 { high = 0x8F }
    default: throw .invalidUTF8(offset: offset)
    }
    guard offset + count <= bytes.count else { throw .invalidUTF8(offset: offset) }
    for index in 1..<count {
      let byte = bytes[offset + index]
      guard byte >= low, byte <= high else { throw .invalidUTF8(offset: offset) }
      low = 0x80
      high = 0xBF
    }
    offset += count
  }

  /// Reads one escape, a surrogate pair as one, and appends its UTF-8.
  private mutating func escape(into out: inout [UInt8]) throws(JSONFailure) {
    let start = offset
    offset += 1
    let byte = try peek()
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0C)
    case UInt8(ascii: "n"): out.append(0x0A)
    case UInt8(ascii: "r"): out.append(0x0D)
    case UInt8(ascii: "t"): out.append(0x09)
    case UInt8(ascii: "u"):
      let unit = try hexadecimal(from: start)
      var code = UInt32(unit)
      if unit & 0xFC00 == 0xD800 {
        guard offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "\\"),
          bytes[offset + 1] == UInt8(ascii: "u")
        else { throw .loneSurrogate(offset: start) }
        let second = offset
        offset += 2
        let trail = try hexadecimal(from: second)
        guard trail & 0xFC00 == 0xDC00 else { throw .loneSurrogate(offset: start) }
        code = 0x10000 + (UInt32(unit) & 0x3FF) << 10 + UInt32(trail) & 0x3FF
      }
      guard let scalar = Unicode.Scalar(code) else { throw .loneSurrogate(offset: start) }
      out.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
    default: throw .invalidEscape(offset: start)
    }
  }

  /// Four hexadecimal digits of either case.
  private mutating func hexadecimal(from start: Int) throws(JSONFailure) -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      let byte = try peek()
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw .invalidEscape(offset: start)
      }
      value = value << 4 | UInt16(digit)
      offset += 1
    }
    return value
  }
}
