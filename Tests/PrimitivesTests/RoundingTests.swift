import Primitives
import Testing

@Suite("Rounding and units") struct RoundingTests {
  struct Row: Sendable {
    let value: Int64, divisor: Int64, down: Int64, up: Int64, even: Int64
    init(_ value: Int64, _ divisor: Int64, _ down: Int64, _ up: Int64, _ even: Int64) {
      (self.value, self.divisor) = (value, divisor)
      (self.down, self.up, self.even) = (down, up, even)
    }
  }

  static let table = [
    Row(0, 1, 0, 0, 0), Row(0, 7, 0, 0, 0), Row(7, 7, 1, 1, 1), Row(-7, 7, -1, -1, -1),
    Row(1, 3, 0, 1, 0), Row(2, 3, 0, 1, 1), Row(-1, 3, -1, 0, 0), Row(-2, 3, -1, 0, -1),
    // Ties go to the even neighbour.
    Row(1, 2, 0, 1, 0), Row(3, 2, 1, 2, 2), Row(5, 2, 2, 3, 2), Row(7, 2, 3, 4, 4),
    Row(-1, 2, -1, 0, 0), Row(-3, 2, -2, -1, -2), Row(-5, 2, -3, -2, -2),
    Row(15, 10, 1, 2, 2), Row(25, 10, 2, 3, 2), Row(-15, 10, -2, -1, -2),
    Row(-25, 10, -3, -2, -2), Row(14, 10, 1, 2, 1), Row(16, 10, 1, 2, 2), Row(-14, 10, -2, -1, -1),
    // The ends of the range.
    Row(.max, 1, .max, .max, .max), Row(.min, 1, .min, .min, .min), Row(.max, .max, 1, 1, 1),
    Row(.min, .max, -2, -1, -1), Row(.max - 1, .max, 0, 1, 1), Row(1, .max, 0, 1, 0),
    Row(-1, .max, -1, 0, 0), Row(.max / 2, .max, 0, 1, 0), Row(.max / 2 + 1, .max, 0, 1, 1),
    Row(.min, 2, .min / 2, .min / 2, .min / 2), Row(.max, 2, .max / 2, .max / 2 + 1, 1 << 62),
  ]

  @Test("a quotient leaves its remainder in the named direction", arguments: table)
  func directions(row: Row) {
    #expect(row.value.divided(by: row.divisor, rounding: .down) == row.down)
    #expect(row.value.divided(by: row.divisor, rounding: .up) == row.up)
    #expect(row.value.divided(by: row.divisor, rounding: .nearestEven) == row.even)
    let wide = Int128(row.value)
    #expect(wide.divided(by: Int128(row.divisor), rounding: .nearestEven) == Int128(row.even))
  }

  @Test("rounding agrees with its definition on random values", arguments: [1, 2, 3] as [UInt64])
  func definition(seed: UInt64) {
    var generator = Generator(seed: seed)
    for _ in 0..<20_000 {
      let value = Int64(bitPattern: generator.next()) >> Int64(generator.below(64))
      let divisor = max(1, Int64(bitPattern: generator.next() >> 1) >> Int64(generator.below(63)))
      let (v, d) = (Int128(value), Int128(divisor))
      let down = Int128(value.divided(by: divisor, rounding: .down))
      let up = Int128(value.divided(by: divisor, rounding: .up))
      let even = Int128(value.divided(by: divisor, rounding: .nearestEven))
      let fits = down * d <= v && v < (down + 1) * d && up * d >= v && v > (up - 1) * d
      let gap = 2 * (v - even * d)
      let isNearest = -d < gap && gap < d || (gap == d || gap == -d) && even & 1 == 0
      if !fits || !isNearest {
        Issue.record("seed \(seed): \(value) / \(divisor) gave \(down), \(up), \(even)")
        return
      }
    }
  }

  @Test("a divisor of zero stops the process")
  func zeroDivisor() async {
    await #expect(processExitsWith: .failure) {
      _ = Int64(1).divided(by: Int64(CommandLine.arguments.count < 0 ? 1 : 0), rounding: .down)
    }
  }

  @Test("sums outside a unit throw, sums at its ends do not")
  func checked() throws {
    #expect(try Money(raw: .max - 1).adding(Money(raw: 1)).raw == .max)
    #expect(try Money(raw: .min + 1).subtracting(Money(raw: 1)).raw == .min)
    #expect(throws: ArithmeticFailure.overflow("addition")) {
      try Money(raw: .max).adding(Money(raw: 1))
    }
    #expect(throws: ArithmeticFailure.overflow("subtraction")) {
      try Quantity(raw: .min).subtracting(Quantity(raw: 1))
    }
    #expect(throws: ArithmeticFailure.overflow("subtraction")) {
      try Quantity.zero.subtracting(Quantity(raw: .min))
    }
  }

  @Test("price times quantity is exact at the ends and becomes money by a named rounding")
  func notional() throws {
    #expect((Price(raw: .max) * Quantity(raw: .min)).raw == Int128(Int64.max) * Int128(Int64.min))
    // 1.00000001 × 0.00000001 = 1.00000001e-8: less than one money unit.
    let dust = Price(raw: 100_000_001) * Quantity(raw: 1)
    #expect(try dust.money(rounding: .down).raw == 0)
    #expect(try dust.money(rounding: .up).raw == 1)
    let short = Price(raw: 100_000_001) * Quantity(raw: -1)
    #expect(try short.money(rounding: .down).raw == -1)
    #expect(try short.money(rounding: .up).raw == 0)
    #expect(try Notional(Money(raw: -42)).money(rounding: .nearestEven).raw == -42)
    #expect(throws: ArithmeticFailure.overflow("notional to money")) {
      try (Price(raw: .max) * Quantity(raw: .max)).money(rounding: .down)
    }
    let edge = Notional(Money(raw: .max))
    #expect(try edge.money(rounding: .up).raw == .max)
    #expect(throws: ArithmeticFailure.overflow("notional to money")) {
      try Notional(raw: edge.raw + 1).money(rounding: .up)
    }
  }
}
