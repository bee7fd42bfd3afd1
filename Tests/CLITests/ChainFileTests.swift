import Instruments
import Primitives
import Testing

@testable import CLI

/// Rows here are made up.
@Suite("Chain files") struct ChainFileTests {
  static let header =
    "timestamp_ms,instrument_name,currency,option_type,strike,expiry_ms,bid_price,ask_price,"
    + "mark_price,mark_iv,delta,vega_usd,open_interest,volume_24h,futures_price,index_price"
  static let call =
    "1770000000000,BTC-13FEB26-60000-C,BTC,call,60000,1770969600000,0.01,0.012,0.011,0.5,0.4,"
    + "20,12.5,3,61000.5,61010"
  static let put =
    "1770000000000,BTC-13FEB26-60000-P,BTC,put,60000,1770969600000,,,0,0.5,0,20,0,0,61000.5,61010.25"
  static let later =
    "1770000000001,ETH-4FEB26T1430-0d55-C,ETH,call,0.55,1770215400000,0,,0.00000001,1.25,,,0,0,1,1"

  private func chain(_ lines: String...) throws(ChainFileFailure) -> ChainFile {
    try ChainFile(Array(lines.joined(separator: "\n").utf8))
  }

  @Test("rows of one time are one snapshot, in exact integers")
  func read() throws {
    let file = try chain(Self.header, Self.call, Self.put, Self.later, "")
    #expect(file.snapshots.map(\.time.raw) == [1_770_000_000_000, 1_770_000_000_001])
    #expect(file.snapshots.map(\.rows.count) == [2, 1])
    let expected = ChainFile.Row(
      name: try InstrumentName("BTC-13FEB26-60000-C"), isCall: true,
      strike: Price(raw: 6_000_000_000_000), expiry: Timestamp(raw: 1_770_969_600_000),
      bid: Price(raw: 1_000_000), ask: Price(raw: 1_200_000), mark: Price(raw: 1_100_000),
      markVolatility: Ratio(raw: 500_000_000), future: Price(raw: 6_100_050_000_000),
      index: Price(raw: 6_101_000_000_000), openInterest: Quantity(raw: 1_250_000_000),
      volume: Quantity(raw: 300_000_000))
    #expect(file.snapshots[0].rows[0] == expected)
    #expect(file.snapshots[0].rows[1].bid == nil && file.snapshots[0].rows[1].ask == nil)
    #expect(!file.snapshots[0].rows[1].isCall)
    #expect(file.snapshots[1].rows[0].bid == .zero && file.snapshots[1].rows[0].ask == nil)
  }

  @Test("a missing last line end and carriage returns change nothing")
  func lineEnds() throws {
    let file = try chain(Self.header, Self.call, Self.put)
    #expect(try chain(Self.header, Self.call, Self.put, "") == file)
    #expect(try chain(Self.header + "\r", Self.call + "\r", Self.put + "\r", "") == file)
  }

  @Test("columns stand in any order, and others are skipped")
  func order() throws {
    let header = Self.header.split(separator: ",").reversed().joined(separator: ",") + ",note"
    let row = Self.call.split(separator: ",").reversed().joined(separator: ",") + ",x"
    #expect(try chain(header, row) == chain(Self.header, Self.call))
  }

  @Test("a file without rows is refused")
  func empty() {
    #expect(throws: ChainFileFailure.empty) { try chain("") }
    #expect(throws: ChainFileFailure.empty) { try chain(Self.header) }
    #expect(throws: ChainFileFailure.empty) { try chain(Self.header, "") }
  }

  @Test("a header that lacks or repeats a column is refused")
  func header() {
    for column in ["timestamp_ms", "bid_price", "index_price"] {
      let other = Self.header.replacing(column, with: "other")
      #expect(throws: ChainFileFailure.missingColumn(column)) { try chain(other, Self.call) }
      #expect(throws: ChainFileFailure.repeatedColumn(column)) {
        try chain(Self.header + "," + column, Self.call + ",0")
      }
    }
  }

  struct Fault: Sendable {
    let column: String, position: Int, texts: [String]
    init(_ column: String, _ position: Int, _ texts: String...) {
      self.column = column
      self.position = position
      self.texts = texts
    }
  }

  @Test(
    "a field that does not say what its column holds is named with its line",
    arguments: [
      Fault("timestamp_ms", 0, "", "x", "-1", "1.x"), Fault("currency", 2, "", "ETH", "btc"),
      Fault("instrument_name", 1, "", "BTC", "BTC-PERP", "BTC-13FEB26", "BTC-30FEB26-60000-C"),
      Fault("option_type", 3, "", "put", "CALL"), Fault("strike", 4, "", "60001", "-60000", "6e"),
      Fault("expiry_ms", 5, "", "1770969600001", "99999999999999999999"),
      Fault("bid_price", 6, "-0.1", "nan", " "), Fault("ask_price", 7, "-0.1", "0,1", "\"1\""),
      Fault("mark_price", 8, "", "-1"), Fault("mark_iv", 9, "", "0", "-0.5", "50%"),
      Fault("open_interest", 12, "", "-1"), Fault("volume_24h", 13, "", "1e99"),
      Fault("futures_price", 14, "", "0"), Fault("index_price", 15, "", "0", "1 "),
    ])
  func fields(fault: Fault) throws {
    for text in fault.texts {
      var row = Self.put.replacing("-P", with: "-C").replacing("put", with: "call")
        .split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      row[fault.position] = text
      let found = #expect(throws: ChainFileFailure.self) {
        try chain(Self.header, Self.put, row.joined(separator: ","))
      }
      switch found {
      case .field(let line, let column, let value, _):
        #expect(line == 3 && column == fault.column && value == text)
      case .fieldCount(let line, let expected, let count):
        #expect(text.contains(",") && line == 3 && expected == 16 && count == 17)
      default: Issue.record("found another failure: \(String(describing: found))")
      }
    }
  }

  @Test("short and long lines, earlier times and repeated instruments are refused")
  func rows() {
    #expect(throws: ChainFileFailure.fieldCount(line: 2, expected: 16, found: 1)) {
      try chain(Self.header, "", Self.call)
    }
    #expect(throws: ChainFileFailure.fieldCount(line: 3, expected: 16, found: 17)) {
      try chain(Self.header, Self.call, Self.put + ",")
    }
    #expect(throws: ChainFileFailure.order(line: 3)) {
      try chain(Self.header, Self.later, Self.call)
    }
    #expect(throws: ChainFileFailure.repeated(line: 4, name: "BTC-13FEB26-60000-C")) {
      try chain(Self.header, Self.call, Self.put, Self.call)
    }
  }

  @Test("a gzip file is read as its contents are, and a damaged one is refused")
  func compressed() {
    #expect(throws: ChainFileFailure.missingColumn("instrument_name")) {
      try ChainFile(GzipSample.repeated)
    }
    #expect(throws: ChainFileFailure.compressed(.truncated)) {
      try ChainFile(Array(GzipSample.repeated.dropLast()))
    }
  }

  @Test("a file that is not there is refused by path")
  func absent() {
    let path = "no/such/chain.csv"
    #expect(throws: ChainFileFailure.unreadable(path: path, code: 2)) {
      try ChainFile(path: path)
    }
    #expect(throws: ChainFileFailure.unreadable(path: "/", code: 21)) { try ChainFile(path: "/") }
  }
}
