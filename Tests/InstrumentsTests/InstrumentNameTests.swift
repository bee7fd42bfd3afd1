import Instruments
import Primitives
import Testing

/// SplitMix64, for seeded cases.
struct Generator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

@Suite("Civil dates") struct CivilDateTests {
  struct Row: Sendable {
    let days: Int, year: Int, month: Int, day: Int
  }

  /// Checked against `date -u -d @…`.
  static let rows = [
    Row(days: 0, year: 1970, month: 1, day: 1),
    Row(days: -1, year: 1969, month: 12, day: 31),
    Row(days: 11_016, year: 2000, month: 2, day: 29),
    Row(days: 20_497, year: 2026, month: 2, day: 13),
    Row(days: -719_468, year: 0, month: 3, day: 1),
    Row(days: 47_541, year: 2100, month: 3, day: 1),
  ]

  @Test("a day has its number", arguments: rows)
  func table(row: Row) {
    #expect(CivilDate(year: row.year, month: row.month, day: row.day)?.daysSinceEpoch == row.days)
    let date = CivilDate(daysSinceEpoch: row.days)
    #expect(date == CivilDate(year: row.year, month: row.month, day: row.day))
  }

  @Test("counting day by day through 800 years agrees with the closed form")
  func differential() {
    var days = CivilDate(year: 1600, month: 1, day: 1)?.daysSinceEpoch ?? 0
    for year in 1600..<2400 {
      for month in 1...12 {
        for day in 1...CivilDate.dayCount(ofMonth: month, year: year) {
          let date = CivilDate(daysSinceEpoch: days)
          if date.year != year || date.month != month || date.day != day
            || date.daysSinceEpoch != days
          {
            Issue.record("day \(days): found \(date)")
          }
          days += 1
        }
      }
    }
    #expect(days - (CivilDate(year: 1600, month: 1, day: 1)?.daysSinceEpoch ?? 0) == 2 * 146_097)
  }

  @Test("a day the month lacks is none")
  func absent() {
    #expect(CivilDate(year: 2026, month: 2, day: 29) == nil)
    #expect(CivilDate(year: 1900, month: 2, day: 29) == nil)
    #expect(CivilDate(year: 2000, month: 2, day: 29) != nil)
    #expect(CivilDate(year: 2026, month: 0, day: 1) == nil)
    #expect(CivilDate(year: 2026, month: 13, day: 1) == nil)
    #expect(CivilDate(year: 2026, month: 4, day: 31) == nil)
    #expect(CivilDate(year: 2026, month: 4, day: 0) == nil)
  }

  @Test("times split at midnight, before the epoch too, and far times have no date")
  func split() {
    #expect(CivilDate.split(Timestamp(raw: -1))?.date == CivilDate(year: 1969, month: 12, day: 31))
    #expect(CivilDate.split(Timestamp(raw: -1))?.milliseconds == 86_399_999)
    #expect(CivilDate.split(Timestamp(raw: .max)) == nil)
    #expect(CivilDate.split(Timestamp(raw: .min)) == nil)
  }
}

@Suite("Instrument names") struct InstrumentNameTests {
  static func option(_ underlying: String, _ expiry: Int64, _ strike: Int64, _ isCall: Bool)
    throws -> InstrumentName
  {
    try InstrumentName(
      underlying: underlying,
      form: .option(
        expiry: Timestamp(raw: expiry), strike: Price(raw: strike), isCall: isCall))
  }

  /// Expiry times from Deribit's own rows of the February 2026 chain.
  @Test("known names mean their instruments, and are written back")
  func known() throws {
    let rows: [(String, InstrumentName)] = [
      ("BTC-4FEB26-65000-C", try Self.option("BTC", 1_770_192_000_000, 6_500_000_000_000, true)),
      ("BTC-13FEB26-60000-P", try Self.option("BTC", 1_770_969_600_000, 6_000_000_000_000, false)),
      (
        "BTC-13FEB26T1430-60000-C",
        try Self.option("BTC", 1_770_993_000_000, 6_000_000_000_000, true)
      ),
      ("BTC-13FEB26T0000-1-C", try Self.option("BTC", 1_770_940_800_000, 100_000_000, true)),
      ("XRP_USDC-13FEB26-0d55-C", try Self.option("XRP_USDC", 1_770_969_600_000, 55_000_000, true)),
      ("X-13FEB26-0d00000001-P", try Self.option("X", 1_770_969_600_000, 1, false)),
      ("X-13FEB26-12d05-P", try Self.option("X", 1_770_969_600_000, 1_205_000_000, false)),
      (
        "BTC-27MAR26",
        try InstrumentName(
          underlying: "BTC", form: .future(expiry: Timestamp(raw: 1_774_598_400_000)))
      ),
      ("BTC-PERP", try InstrumentName(underlying: "BTC", form: .perpetual)),
    ]
    for (text, name) in rows {
      #expect(try InstrumentName(text) == name)
      #expect(name.description == text)
    }
  }

  @Test("a point or trailing zeros are taken and written canonically")
  func lenient() throws {
    #expect(try InstrumentName("X-13FEB26-0.55-C").description == "X-13FEB26-0d55-C")
    #expect(try InstrumentName("X-13FEB26-0d5500-C").description == "X-13FEB26-0d55-C")
    #expect(try InstrumentName("X-13FEB26-60.000000000-C").description == "X-13FEB26-60-C")
  }

  @Test(
    "what is no name is refused",
    arguments: [
      "", "BTC", "BTC-", "-PERP", "BTC-PERP-", "BTC-PERP-1-C", "btc-PERP", "BTC-perp", "B C-PERP",
      "ABCDEFGHIJKLMNOPQ-PERP", "BTC-13FEB26-60000", "BTC-13FEB26-60000-", "BTC-13FEB26-60000-X",
      "BTC-13FEB26-60000-c", "BTC-13FEB26-60000-C-", "BTC-013FEB26", "BTC-04FEB26", "BTC-0FEB26",
      "BTC-29FEB26", "BTC-31APR26", "BTC-32JAN26", "BTC-13Feb26", "BTC-13FEB2026", "BTC-13FEB6",
      "BTC-13FEB", "BTC-FEB26", "BTC-13FEB26T0800", "BTC-13FEB26T2400", "BTC-13FEB26T1260",
      "BTC-13FEB26T143", "BTC-13FEB26t1430", "BTC-13FEB26T14300", "BTC-13FEB26-0-C",
      "BTC-13FEB26--1-C", "BTC-13FEB26-060000-C", "BTC-13FEB26-1d-C", "BTC-13FEB26-d5-C",
      "BTC-13FEB26-1d2d3-C", "BTC-13FEB26-1d000000001-C", "BTC-13FEB26-0d000000000-C",
      "BTC-13FEB26-92233720369-C", "BTC-13FEB26-1e5-C", "BTC-13FEB26-+1-C", " BTC-PERP",
      "BTC-PERP ",
      "BTC-1\u{301}FEB26", "BTC-13FEB26-6\u{0}-C", "BTC-1", "BTC-1234567890",
    ])
  func refused(text: String) {
    #expect(throws: InstrumentNameFailure.self) { try InstrumentName(text) }
  }

  @Test("the largest strike has a name")
  func largest() throws {
    let name = try Self.option("BTC", 1_770_969_600_000, .max, true)
    #expect(name.description == "BTC-13FEB26-92233720368d54775807-C")
    #expect(try InstrumentName(name.description) == name)
  }

  @Test("what no name can say is refused")
  func nameless() {
    let noon = Timestamp(raw: 1_770_984_000_000)
    #expect(throws: InstrumentNameFailure.namelessStrike(.zero)) {
      try Self.option("BTC", noon.raw, 0, true)
    }
    let times: [Int64] = [
      noon.raw + 1, noon.raw + 30_000, -1, 946_684_740_000, 4_102_444_800_000,
    ]
    for time in times {
      #expect(throws: InstrumentNameFailure.namelessExpiry(Timestamp(raw: time))) {
        try InstrumentName(underlying: "BTC", form: .future(expiry: Timestamp(raw: time)))
      }
    }
    #expect(throws: InstrumentNameFailure.underlying("")) {
      try InstrumentName(underlying: "", form: .perpetual)
    }
  }

  @Test("parsing gives back every formatted name", arguments: [1, 2, 3] as [UInt64])
  func roundTrip(seed: UInt64) throws {
    var generator = Generator(state: seed)
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_".utf8)
    for _ in 0..<5000 {
      let letters = (0...generator.below(16)).map { _ in alphabet[generator.below(37)] }
      let day = Int64(10_957 + generator.below(36_525)) * 86_400_000
      let minute = Int64(generator.below(3) == 0 ? 480 : generator.below(1440))
      let expiry = Timestamp(raw: day + minute * 60_000)
      let strike = Price(raw: Int64(generator.next() >> 1) >> Int64(generator.below(62)) | 1)
      let form: InstrumentName.Form =
        switch generator.below(4) {
        case 0: .perpetual
        case 1: .future(expiry: expiry)
        default: .option(expiry: expiry, strike: strike, isCall: generator.below(2) == 0)
        }
      let underlying = String(decoding: letters.prefix(16), as: UTF8.self)
      let name = try InstrumentName(underlying: underlying, form: form)
      #expect(try InstrumentName(name.description) == name, "seed \(seed)")
    }
  }

  @Test(
    "noise never crashes the parser, and what it takes is written back", arguments: [4] as [UInt64])
  func noise(seed: UInt64) throws {
    var generator = Generator(state: seed)
    let base = Array("BTC-13FEB26T1430-60000d5-C".utf8)
    let alphabet = Array("-.dTBFE0123456789CP".utf8)
    for _ in 0..<20_000 {
      var bytes = base
      for _ in 0...generator.below(3) {
        let at = generator.below(bytes.count)
        switch generator.below(3) {
        case 0: bytes[at] = alphabet[generator.below(alphabet.count)]
        case 1: bytes.remove(at: at)
        default: bytes.insert(alphabet[generator.below(alphabet.count)], at: at)
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      guard let name = try? InstrumentName(text) else { continue }
      #expect(try InstrumentName(name.description) == name, "seed \(seed), \(text)")
    }
  }
}
