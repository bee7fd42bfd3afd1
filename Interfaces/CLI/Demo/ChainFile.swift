import Glibc
import Instruments
import Primitives
import Wire

/// Why a file is no option chain.
enum ChainFileFailure: Error, Hashable, Sendable {
  /// The file cannot be read, with the system's error number.
  case unreadable(path: String, code: Int32)
  case tooLarge(maximum: Int)
  case compressed(GzipFailure)
  /// There is no header, or no row below it.
  case empty
  /// No row has a bid or an ask.
  case unquoted
  case missingColumn(String)
  case repeatedColumn(String)
  /// A line has another number of fields than the header; lines count from 1.
  case fieldCount(line: Int, expected: Int, found: Int)
  /// A field does not say what its column holds.
  case field(line: Int, column: String, found: String, expected: String)
  /// The row's time is before the one above it.
  case order(line: Int)
  /// The snapshot has the instrument already.
  case repeated(line: Int, name: String)
}

extension ChainFileFailure: CustomStringConvertible {
  var description: String {
    switch self {
    case .unreadable(let path, let code):
      "\(path): expected a file that can be read, found error \(code)"
    case .tooLarge(let maximum): "expected at most \(maximum) bytes, found more"
    case .compressed(let failure): "\(failure)"
    case .empty: "expected a header and rows, found none"
    case .unquoted: "expected a bid or an ask, found none in the whole file"
    case .missingColumn(let column): "line 1: expected a column \(column), found none"
    case .repeatedColumn(let column): "line 1: found column \(column) twice"
    case .fieldCount(let line, let expected, let found):
      "line \(line): expected \(expected) fields, found \(found)"
    case .field(let line, let column, let found, let expected):
      "line \(line), column \(column): expected \(expected), found \"\(found)\""
    case .order(let line): "line \(line): expected rows in order of time, found an earlier one"
    case .repeated(let line, let name): "line \(line): found \(name) twice in one snapshot"
    }
  }
}

/// Snapshots of an option chain from a CSV file, plain or gzip, in exact integers.
///
/// Columns are found by their name in the header, in any order, and unknown ones are skipped:
/// `timestamp_ms`, `instrument_name`, `currency`, `option_type`, `strike`, `expiry_ms`, `bid_price`,
/// `ask_price`, `mark_price`, `mark_iv`, `open_interest`, `volume_24h`, `futures_price`,
/// `index_price`. Rows are sorted by time; rows of one time are one snapshot. Fields hold no quotes.
struct ChainFile: Hashable, Sendable {
  struct Row: Hashable, Sendable {
    let name: InstrumentName
    let isCall: Bool
    let strike: Price
    let expiry: Timestamp
    /// In coin per coin of underlying, 1e-8; nil without a quote.
    let bid, ask: Price?
    /// In coin per coin of underlying, 1e-8.
    let mark: Price
    let markVolatility: Ratio
    /// In USD.
    let future, index: Price
    /// In coin.
    let openInterest, volume: Quantity
  }

  struct Snapshot: Hashable, Sendable {
    let time: Timestamp
    let rows: [Row]
  }

  /// In order of time, none empty.
  let snapshots: [Snapshot]

  /// The most a file may hold, before and after decompression.
  static let byteCountMax = 256 << 20

  /// Reads the file at `path`.
  /// - Throws: every `ChainFileFailure`.
  init(path: String) throws(ChainFileFailure) {
    try self.init(try ChainFile.read(path))
  }

  /// Reads the bytes of a file, gunzipped when they begin as gzip does.
  /// - Throws: every `ChainFileFailure` but `.unreadable`.
  init(_ bytes: [UInt8]) throws(ChainFileFailure) {
    var text = bytes
    if Gzip.isCompressed(bytes) {
      do throws(GzipFailure) {
        text = try Gzip.contents(of: bytes, byteCountMax: ChainFile.byteCountMax)
      } catch {
        throw .compressed(error)
      }
    }
    var reader = ChainReader(text)
    snapshots = try reader.snapshots()
  }

  private static func read(_ path: String) throws(ChainFileFailure) -> [UInt8] {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .unreadable(path: path, code: errno) }
    defer { _ = close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = unsafe Glibc.read(file, &chunk, chunk.count)
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw .unreadable(path: path, code: errno)
      }
      guard bytes.count + count <= byteCountMax else { throw .tooLarge(maximum: byteCountMax) }
      bytes.append(contentsOf: chunk[..<count])
    }
  }
}

/// Reads the text line by line.
private struct ChainReader {
  private let bytes: [UInt8]
  private var offset = 0
  private var line = 0
  private var fields: [Range<Int>] = []

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func snapshots() throws(ChainFileFailure) -> [ChainFile.Snapshot] {
    guard nextLine() else { throw .empty }
    let columns = try Columns(fields.map { String(decoding: bytes[$0], as: UTF8.self) })
    var snapshots: [ChainFile.Snapshot] = []
    var time: Timestamp?
    var rows: [ChainFile.Row] = []
    var names: Set<InstrumentName> = []
    while nextLine() {
      guard fields.count == columns.count else {
        throw .fieldCount(line: line, expected: columns.count, found: fields.count)
      }
      let next = Timestamp(raw: try decimal(columns.time, "timestamp_ms", digits: 0))
      let row = try row(columns)
      if let current = time, next != current {
        guard next > current else { throw .order(line: line) }
        snapshots.append(ChainFile.Snapshot(time: current, rows: rows))
        rows.removeAll()
        names.removeAll()
      }
      guard names.insert(row.name).inserted else {
        throw .repeated(line: line, name: row.name.description)
      }
      time = next
      rows.append(row)
    }
    guard let time else { throw .empty }
    snapshots.append(ChainFile.Snapshot(time: time, rows: rows))
    return snapshots
  }

  /// Splits the next line at its commas; false at the end of the text.
  private mutating func nextLine() -> Bool {
    guard offset < bytes.count else { return false }
    line += 1
    fields.removeAll(keepingCapacity: true)
    var start = offset
    while offset < bytes.count, bytes[offset] != UInt8(ascii: "\n") {
      if bytes[offset] == UInt8(ascii: ",") {
        fields.append(start..<offset)
        start = offset + 1
      }
      offset += 1
    }
    let hasReturn = offset > start && bytes[offset - 1] == UInt8(ascii: "\r")
    fields.append(start..<(hasReturn ? offset - 1 : offset))
    offset += 1
    return true
  }

  private func row(_ columns: Columns) throws(ChainFileFailure) -> ChainFile.Row {
    let nameText = text(columns.name)
    let name: InstrumentName
    do throws(InstrumentNameFailure) {
      name = try InstrumentName(nameText)
    } catch {
      throw fault(columns.name, "instrument_name", "an instrument's name")
    }
    guard case .option(let expiry, let strike, let isCall) = name.form else {
      throw fault(columns.name, "instrument_name", "an option's name")
    }
    // What the name says, the other columns must say too.
    guard text(columns.currency) == name.underlying else {
      throw fault(columns.currency, "currency", name.underlying)
    }
    guard text(columns.type) == (isCall ? "call" : "put") else {
      throw fault(columns.type, "option_type", isCall ? "call" : "put")
    }
    guard try decimal(columns.strike, "strike", digits: 8) == strike.raw else {
      throw fault(columns.strike, "strike", "the strike of \(nameText)")
    }
    guard try decimal(columns.expiry, "expiry_ms", digits: 0) == expiry.raw else {
      throw fault(columns.expiry, "expiry_ms", "the expiry of \(nameText)")
    }
    return ChainFile.Row(
      name: name, isCall: isCall, strike: strike, expiry: expiry,
      bid: try quote(columns.bid, "bid_price"), ask: try quote(columns.ask, "ask_price"),
      mark: Price(raw: try decimal(columns.mark, "mark_price", digits: 8)),
      markVolatility: Ratio(raw: try positive(columns.volatility, "mark_iv", digits: 9)),
      future: Price(raw: try positive(columns.future, "futures_price", digits: 8)),
      index: Price(raw: try positive(columns.index, "index_price", digits: 8)),
      openInterest: Quantity(raw: try decimal(columns.interest, "open_interest", digits: 8)),
      volume: Quantity(raw: try decimal(columns.volume, "volume_24h", digits: 8)))
  }

  private func text(_ field: Int) -> String {
    String(decoding: bytes[fields[field]], as: UTF8.self)
  }

  private func fault(_ field: Int, _ column: String, _ expected: String) -> ChainFileFailure {
    .field(line: line, column: column, found: text(field), expected: expected)
  }

  /// A number that is not negative.
  private func decimal(_ field: Int, _ column: String, digits: Int) throws(ChainFileFailure)
    -> Int64
  {
    let value: Int64
    do throws(DecimalFailure) {
      value = try DecimalText.parse(Array(bytes[fields[field]]), digits: digits)
    } catch {
      throw fault(field, column, "a number")
    }
    guard value >= 0 else { throw fault(field, column, "a number of at least 0") }
    return value
  }

  private func positive(_ field: Int, _ column: String, digits: Int) throws(ChainFileFailure)
    -> Int64
  {
    let value = try decimal(field, column, digits: digits)
    guard value > 0 else { throw fault(field, column, "a number above 0") }
    return value
  }

  private func quote(_ field: Int, _ column: String) throws(ChainFileFailure) -> Price? {
    if fields[field].isEmpty { return nil }
    return Price(raw: try decimal(field, column, digits: 8))
  }
}

/// Where the header puts each column.
private struct Columns {
  let count: Int
  let time, name, currency, type, strike, expiry, bid, ask, mark, volatility: Int
  let interest, volume, future, index: Int

  init(_ header: [String]) throws(ChainFileFailure) {
    func find(_ column: String) throws(ChainFileFailure) -> Int {
      guard let first = header.firstIndex(of: column) else { throw .missingColumn(column) }
      guard header.lastIndex(of: column) == first else { throw .repeatedColumn(column) }
      return first
    }
    count = header.count
    time = try find("timestamp_ms")
    name = try find("instrument_name")
    currency = try find("currency")
    type = try find("option_type")
    strike = try find("strike")
    expiry = try find("expiry_ms")
    bid = try find("bid_price")
    ask = try find("ask_price")
    mark = try find("mark_price")
    volatility = try find("mark_iv")
    interest = try find("open_interest")
    volume = try find("volume_24h")
    future = try find("futures_price")
    index = try find("index_price")
  }
}
