import Primitives
import Testing
import Wire

/// SplitMix64, for seeded cases.
struct TextGenerator {
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

@Suite("Decimal text") struct DecimalTextTests {
  struct Row: Sendable {
    let text: String, digits: Int, raw: Int64
    init(_ text: String, _ digits: Int, _ raw: Int64) {
      self.text = text
      self.digits = digits
      self.raw = raw
    }
  }

  static let rows = [
    Row("-67867.5", 8, -6_786_750_000_000), Row("0", 8, 0), Row("-0", 8, 0), Row("-0.0", 0, 0),
    Row("007.50", 2, 750), Row("1", 0, 1), Row("0.00000001", 8, 1),
    // Ties to even, and what breaks a tie.
    Row("0.5", 0, 0), Row("1.5", 0, 2), Row("2.5", 0, 2), Row("-0.5", 0, 0), Row("-1.5", 0, -2),
    Row("-2.5", 0, -2), Row("0.50000000000000000000001", 0, 1), Row("2.5000", 0, 2),
    Row("2.49999999999999999999", 0, 2), Row("0.05", 0, 0), Row("0.95", 0, 1), Row("9.5", 0, 10),
    Row("0.000000005", 8, 0), Row("0.000000015", 8, 2), Row("99.999999999", 8, 10_000_000_000),
    // Exponents.
    Row("1e3", 2, 100_000), Row("1E+3", 0, 1000), Row("1.25e-1", 3, 125), Row("5e-1", 0, 0),
    Row("15e-1", 0, 2), Row("0e999999999999999999999", 8, 0), Row("1e-99999999999999999999", 8, 0),
    Row("0.0000000000000000000001e22", 0, 1), Row("100000000000000000000000e-23", 0, 1),
    Row("0.00e5", 2, 0), Row("-12.34e00", 2, -1234),
    // The bounds.
    Row("9223372036854775807", 0, .max), Row("-9223372036854775808", 0, .min),
    Row("92233720368.54775807", 8, .max),
    Row("-92233720368.54775808", 8, .min), Row("9223372036854775807.4999", 0, .max),
    Row("-9223372036854775808.5", 0, .min),
  ]

  @Test("a decimal text has its integer", arguments: rows)
  func table(row: Row) throws {
    #expect(try DecimalText.parse(row.text, digits: row.digits, as: Int64.self) == row.raw)
    #expect(try DecimalText.parse(row.text, digits: row.digits, as: Int128.self) == Int128(row.raw))
  }

  @Test(
    "a number past the bounds overflows",
    arguments: [
      "9223372036854775808", "-9223372036854775809", "9223372036854775807.5",
      "-9223372036854775808.51", "18446744073709551616", "99999999999999999999", "1e19", "1e400",
      "0.1e9999999999999999999999", "184467440737095516159", "18446744073709551615.5",
    ])
  func overflow(text: String) {
    #expect(throws: DecimalFailure.overflow) {
      try DecimalText.parse(text, digits: 0, as: Int64.self)
    }
  }

  @Test("the bounds of 128 bits hold")
  func wide() throws {
    for raw in [Int128.max, .min, 0, 1, -1] {
      for digits in [0, 1, 16, 38] {
        let text = DecimalText.format(raw, digits: digits)
        #expect(try DecimalText.parse(text, digits: digits, as: Int128.self) == raw)
      }
    }
    #expect(throws: DecimalFailure.overflow) {
      try DecimalText.parse("170141183460469231731687303715884105728", digits: 0, as: Int128.self)
    }
    #expect(throws: DecimalFailure.overflow) {
      try DecimalText.parse("1e39", digits: 0, as: Int128.self)
    }
  }

  struct Fault: Sendable {
    let text: String, offset: Int
    init(_ text: String, _ offset: Int) {
      self.text = text
      self.offset = offset
    }
  }

  @Test(
    "a malformed text is refused where it breaks",
    arguments: [
      Fault("-", 1), Fault(".5", 0), Fault("5.", 2), Fault("+5", 0), Fault("1.2.3", 3),
      Fault("1,5", 1), Fault(" 1", 0), Fault("1 ", 1), Fault("--1", 1), Fault("1e", 2),
      Fault("1e+", 3), Fault("1e1.5", 3), Fault("e5", 0), Fault("nan", 0), Fault("inf", 0),
      Fault("0x10", 1), Fault("1_000", 1), Fault("1\u{0}", 1), Fault("\u{661}", 0),
      Fault("1\u{301}", 1), Fault("-.5", 1),
    ])
  func malformed(fault: Fault) {
    #expect(throws: DecimalFailure.malformed(offset: fault.offset)) {
      try DecimalText.parse(fault.text, digits: 8, as: Int64.self)
    }
  }

  @Test("an empty text is refused")
  func empty() {
    #expect(throws: DecimalFailure.empty) { try DecimalText.parse("", digits: 8, as: Int64.self) }
  }

  @Test("formatting trims down to the minimum and pads up to it")
  func format() {
    #expect(DecimalText.format(Int64(-6_786_750_000_000), digits: 8) == "-67867.5")
    #expect(
      DecimalText.format(Int64(6_786_750_000_000), digits: 8, minimumFraction: 2) == "67867.50")
    #expect(DecimalText.format(Int64(100), digits: 2) == "1")
    #expect(DecimalText.format(Int64(100), digits: 2, minimumFraction: 2) == "1.00")
    #expect(DecimalText.format(Int64(100), digits: 2, minimumFraction: 4) == "1.0000")
    #expect(DecimalText.format(Int64(100), digits: 0) == "100")
    #expect(DecimalText.format(Int64(0), digits: 8) == "0")
    #expect(DecimalText.format(Int64(0), digits: 0, minimumFraction: 1) == "0.0")
    #expect(DecimalText.format(Int64(-1), digits: 8) == "-0.00000001")
    #expect(DecimalText.format(Int64.min, digits: 8) == "-92233720368.54775808")
    #expect(DecimalText.format(Int64.min, digits: 0) == "-9223372036854775808")
    #expect(DecimalText.format(Int64(7), digits: 38).utf8.count == 40)
  }

  @Test("parsing gives back every formatted integer", arguments: [1, 2, 3] as [UInt64])
  func roundTrip(seed: UInt64) throws {
    var generator = TextGenerator(state: seed)
    for _ in 0..<5000 {
      let shift = generator.below(64)
      let raw = Int64(bitPattern: generator.next()) >> Int64(shift)
      let digits = generator.below(20)
      let text = DecimalText.format(raw, digits: digits, minimumFraction: generator.below(24))
      #expect(try DecimalText.parse(text, digits: digits) == raw, "seed \(seed), \(text)")
    }
  }

  /// The reference shifts an exact wide integer instead of looking at figures.
  @Test("rounding agrees with exact integer division", arguments: [4, 5, 6] as [UInt64])
  func differential(seed: UInt64) throws {
    var generator = TextGenerator(state: seed)
    for _ in 0..<5000 {
      let raw = Int64(bitPattern: generator.next()) >> Int64(generator.below(60))
      let digits = generator.below(12)
      let dropped = generator.below(digits + 1)
      var divisor: Int64 = 1
      for _ in 0..<dropped { divisor *= 10 }
      // Half of the cases are exact ties.
      let tied = dropped > 0 && raw & 1 == 0 ? raw / divisor * divisor + divisor / 2 : raw
      let text = DecimalText.format(tied, digits: digits)
      let expected = tied.divided(by: divisor, rounding: .nearestEven)
      let found = try DecimalText.parse(text, digits: digits - dropped, as: Int64.self)
      #expect(found == expected, "seed \(seed), \(text) to \(digits - dropped)")
    }
  }

  @Test("a megabyte of figures and a vast exponent cost linear time")
  func long() throws {
    let zeros = String(repeating: "0", count: 1_000_000)
    #expect(try DecimalText.parse("0.\(zeros)1e1000001", digits: 0, as: Int64.self) == 1)
    #expect(try DecimalText.parse("1\(zeros)e-1000000", digits: 0, as: Int64.self) == 1)
    #expect(try DecimalText.parse("0.5\(zeros)1", digits: 0, as: Int64.self) == 1)
    #expect(throws: DecimalFailure.overflow) {
      try DecimalText.parse("1\(zeros)", digits: 0, as: Int64.self)
    }
  }

  @Test("every unit has its own step")
  func units() throws {
    #expect(try Price(decimal: "67867.5") == Price(raw: 6_786_750_000_000))
    #expect(try Quantity(decimal: "-0.25") == Quantity(raw: -25_000_000))
    #expect(try Money(decimal: "0.0000005") == .zero)
    #expect(try Money(decimal: "0.0000015") == Money(raw: 2))
    #expect(try Ratio(decimal: "1e-9") == Ratio(raw: 1))
    #expect(try Notional(decimal: "1") == Notional(Money(raw: 1_000_000)))
    #expect(Price(raw: 6_786_750_000_000).decimal == "67867.5")
    #expect(Money(raw: -1).decimal == "-0.000001")
    #expect(try Price(decimal: "1").raw == Price.scale)
    #expect(try Quantity(decimal: "1").raw == Quantity.scale)
    #expect(try Money(decimal: "1").raw == Money.scale)
    #expect(try Ratio(decimal: "1").raw == Ratio.scale)
  }
}
