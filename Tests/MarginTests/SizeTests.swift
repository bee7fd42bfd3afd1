import Instruments
import Primitives
import Testing

@testable import Margin

@Suite("Charges on size") struct SizeTests {
  private static let seeds: [UInt64] = [31, 32, 33]

  private static func charge(_ generator: inout Generator) -> SizeCharge {
    let spot = generator.within(1...9_000_000_000_000)
    return SizeCharge(
      isOption: generator.below(2) == 0, strike: nil, spot: Price(raw: spot),
      lossLong: generator.within(0...spot), lossShort: generator.within(0...spot * 2),
      dailyVolume: Quantity(raw: generator.within(1...1_000_000_000_000)),
      MarginParameters.preset(.novate32))
  }

  /// Some contracts, about as many as are traded a day.
  private static func size(_ generator: inout Generator) -> Int128 {
    Int128(generator.within(0...2_000_000_000_000))
  }

  @Test(
    "however an owner splits a total, in whatever order, he is never asked for less",
    arguments: seeds)
  func splitting(seed: UInt64) {
    var generator = Generator(seed: seed)
    for _ in 0..<400 {
      let charge = Self.charge(&generator)
      let parts = (0..<(2 + generator.below(5))).map { _ in Self.size(&generator) }
      let total = parts.reduce(0, +)
      let whole = charge.concentration(total, beside: 0)
      // What each was asked when it came, and what each is asked once all are there.
      var (built, standing, before) = (Int128(0), Int128(0), Int128(0))
      for part in parts {
        built += charge.concentration(part, beside: before)
        standing += charge.concentration(part, beside: total - part)
        before += part
      }
      #expect(built >= whole && standing >= built, "seed \(seed)")
      #expect(built - whole <= Int128(parts.count), "seed \(seed): more than roundings")
    }
  }

  @Test(
    "both charges grow with the position and with what stands beside it, and are convex",
    arguments: seeds)
  func shape(seed: UInt64) {
    var generator = Generator(seed: seed)
    for _ in 0..<400 {
      let charge = Self.charge(&generator)
      let (a, b, others, open) = (
        Self.size(&generator), Self.size(&generator), Self.size(&generator),
        Self.size(&generator) * 12
      )
      let (low, high) = (min(a, b), max(a, b))
      #expect(
        charge.concentration(low, beside: others) <= charge.concentration(high, beside: others))
      #expect(charge.concentration(a, beside: low) <= charge.concentration(a, beside: high))
      let together = charge.concentration(a + b, beside: others)
      let apart =
        charge.concentration(a, beside: others) + charge.concentration(b, beside: others)
      #expect(together >= apart - 2, "seed \(seed)")
      #expect(charge.concentration(0, beside: others) == 0)
      for sign in [1, -1] as [Int128] {
        func crowd(_ size: Int128, _ open: Int128) -> Int128 {
          charge.crowding(sign * size, openInterest: open)
        }
        #expect(crowd(a + b, open) == crowd(a, open) + crowd(b, open), "seed \(seed)")
        #expect(crowd(a, open) <= crowd(a, open + b), "seed \(seed)")
      }
      #expect(charge.crowding(a, openInterest: 0) == 0)
    }
  }

  @Test(
    "from its lower to its upper bound open interest goes from nothing to all a contract can lose")
  func openInterest() {
    let parameters = MarginParameters.preset(.novate32)
    let whole = Quantity.scale
    func charge(isOption: Bool = false, strike: Int64? = nil, daily: Int64 = 10) -> SizeCharge {
      SizeCharge(
        isOption: isOption, strike: strike.map { Price(raw: $0 * Price.scale) },
        spot: Price(raw: 1_000 * Price.scale), lossLong: 160 * Price.scale,
        lossShort: 240 * Price.scale, dailyVolume: Quantity(raw: daily * whole), parameters)
    }
    let unit = Int128(whole) * Int128(Price.scale)
    for (open, share) in [(0, 0), (20, 0), (60, 500), (100, 1_000), (400, 1_000)]
      as [(Int64, Int128)]
    {
      let interest = Int128(open) * Int128(whole)
      func asked(_ charge: SizeCharge, _ contracts: Int64) -> Int128 {
        charge.crowding(Int128(contracts * whole), openInterest: interest) / unit
      }
      #expect(asked(charge(), 2) == 1_680 * share / 1_000)
      #expect(asked(charge(), -2) == 1_520 * share / 1_000)
      #expect(asked(charge(isOption: true), 2) == 0)
      #expect(asked(charge(isOption: true), -1) == 760 * share / 1_000)
      #expect(asked(charge(isOption: true, strike: 400), -1) == 160 * share / 1_000)
      #expect(asked(charge(isOption: true, strike: 200), -1) == 0)
      #expect(!charge(daily: 0).isOn && asked(charge(daily: 0), 9) == 0)
    }
  }

  @Test("nothing leaves its word at the bounds of every field")
  func bounds() {
    var parameters = MarginParameters.preset(.novate32)
    parameters.concentration.slopes = Array(
      repeating: .init(from: .zero, rate: Ratio(raw: Ratio.scale)), count: 3)
    parameters.openInterest = OpenInterestScale(
      lower: Ratio(raw: 1), upper: Ratio(raw: 1_000 * Ratio.scale))
    for daily in [1, 1 << 55] as [Int64] {
      let charge = SizeCharge(
        isOption: false, strike: nil, spot: Price(raw: .max), lossLong: 0, lossShort: .max,
        dailyVolume: Quantity(raw: daily), parameters)
      let (position, owner) = (Int128(1) << 62, Int128(1) << 68)
      #expect(charge.concentration(position, beside: owner) <= SizeCharge.most)
      #expect(charge.concentration(position, beside: owner) > 0)
      #expect(charge.crowding(position, openInterest: 1 << 90) <= SizeCharge.most)
      #expect(charge.crowding(0 - position, openInterest: 1 << 90) == 0)
    }
  }
}
