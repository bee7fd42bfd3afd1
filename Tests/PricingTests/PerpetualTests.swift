import Foundation
import Pricing
import Primitives
import Testing

private let hour: Int64 = 3_600_000
private func double(_ value: Real) -> Double { Double(value.units) * 1e-18 }
private func price(_ value: Double) -> Price { Price(raw: Int64((value * 1e8).rounded())) }

@Suite("Perpetuals")
struct PerpetualTests {
  @Test(
    "the normalisation factor falls by the mark over the index, held to 0.8 and 1.4, in 420 hours",
    arguments: [(1.1, 1.1), (0.9, 0.9), (2.0, 1.4), (0.1, 0.8), (1.0, 1.0)])
  func normalisation(ratio: Double, held: Double) throws {
    let norm = try Perpetual.normalisation(
      Real(1), mark: Real(price(ratio)), index: Real(1), elapsed: 21 * hour, period: 420 * hour)
    #expect(abs(double(norm) - pow(held, -21.0 / 420)) < 1e-15)
  }

  @Test("a normalisation factor in two steps is the one in a single step")
  func normalisationSteps() throws {
    let (mark, index, period) = (Real(price(1.07)), Real(1), 420 * hour)
    func step(_ norm: Real, _ elapsed: Int64) throws -> Real {
      try Perpetual.normalisation(norm, mark: mark, index: index, elapsed: elapsed, period: period)
    }
    let once = try step(Real(3), 10 * hour)
    let twice = try step(try step(Real(3), 7 * hour), 3 * hour)
    #expect(abs(double(once) - double(twice)) < 1e-17)
    #expect(double(try step(Real(3), 0)) == 3)
    #expect(throws: PricingFailure.outsideDomain(.norm)) { try step(Real(0), hour) }
    #expect(throws: PricingFailure.outsideDomain(.time)) { try step(Real(1), -1) }
  }

  @Test(
    "funding grows with the clock, is paid by longs above the index, and adds up to a unit a step")
  func funding() {
    let index = price(60_000)
    // 0.01 % of 60 000 for eight hours is 6, in 1e-18.
    let whole = Perpetual.funding(index: index, rate: Ratio(raw: 100_000), elapsed: 8 * hour)
    #expect(whole == 6_000_000_000_000_000_000)
    let back = Perpetual.funding(index: index, rate: Ratio(raw: -100_000), elapsed: 8 * hour)
    #expect(back == -whole)
    var sum: Int128 = 0
    for _ in 0..<480 {
      sum += Perpetual.funding(index: index, rate: Ratio(raw: 100_000), elapsed: hour / 60)
    }
    #expect(sum == whole)
    // A step that does not divide is rounded down, never up: a unit of 1e-18 a step at most.
    let odd = Ratio(raw: 33_333)
    let exact = Perpetual.funding(index: price(0.01), rate: odd, elapsed: 7 * 1_001)
    let parts = (0..<7).reduce(Int128(0)) { sum, _ in
      sum + Perpetual.funding(index: price(0.01), rate: odd, elapsed: 1_001)
    }
    #expect(parts <= exact && exact - parts <= 7)
  }

  @Test("a perpetual future's mark is the index and a premium within its cap")
  func mark() {
    let (index, cap) = (price(100), Ratio(raw: 5_000_000))
    for (premium, expected) in [
      (1_000_000, 100.1), (9_000_000, 100.5), (-9_000_000, 99.5), (0, 100),
    ]
      as [(Int64, Double)]
    {
      let mark = Perpetual.mark(index: index, premium: Ratio(raw: premium), cap: cap)
      #expect(mark == price(expected))
    }
    #expect(Perpetual.mark(index: Price(raw: .max), premium: cap, cap: cap) == Price(raw: .max))
  }

  @Test("an everlasting option is its strip of halves", arguments: [1, 2] as [UInt64])
  func everlasting(seed: UInt64) throws {
    var random = Random(seed: seed)
    for _ in 0..<40 {
      let spot = Price(raw: random.next(1_000_000_000...1_000_000_000_000))
      let strike = Price(raw: spot.raw / 100 * random.next(60...160))
      let (vol, rate) = (Ratio(raw: random.next(100_000_000...1_500_000_000)), Ratio.zero)
      let days = random.next(1...30)
      let type: OptionType = random.word() & 1 == 0 ? .call : .put
      let found = try Perpetual.everlasting(
        type, spot: spot, strike: strike, rate: rate, volatility: vol,
        fundingDays: Ratio(raw: days * 1_000_000_000))
      var sum = 0.0
      for j in 1...60 {
        let market = try Market(
          spot: spot, rate: rate, yield: .zero, volatility: vol, time: Int64(j) * days * 24 * hour)
        let value = double(try European.price(market, type, strike: strike))
        sum += value * pow(2, -Double(j))
      }
      let strip = double(try #require(found.markStrip))
      #expect(abs(strip - sum) < 1e-9 * max(1, sum), "seed \(seed): \(spot) \(strike) \(days)")
      // Continuous funding is worth less than the strip's, its first payment being at once.
      let payoff = max(0, Double(spot.raw - strike.raw) * (type == .call ? 1e-8 : -1e-8))
      #expect(double(try #require(found.markContinuous)) >= payoff)
    }
  }

  @Test("everlasting call less put is the forward less the strike, both ways of funding")
  func everlastingParity() throws {
    let (spot, strike) = (price(110), price(100))
    func mark(_ type: OptionType) throws -> Perpetual.Everlasting {
      try Perpetual.everlasting(
        type, spot: spot, strike: strike, rate: .zero, volatility: Ratio(raw: 800_000_000),
        fundingDays: Ratio(raw: 7_000_000_000))
    }
    let (call, put) = (try mark(.call), try mark(.put))
    for path in [\Perpetual.Everlasting.markContinuous, \.markStrip] {
      let gap = double(try #require(call[keyPath: path])) - double(try #require(put[keyPath: path]))
      #expect(abs(gap - 10) < 1e-12)
    }
  }

  @Test("a power perpetual without volatility or with power one is its index")
  func power() throws {
    func marks(_ power: Int64, _ vol: Int64) throws -> Perpetual.Power {
      try Perpetual.power(
        spot: price(50), power: Ratio(raw: power * 1_000_000_000), rate: .zero,
        volatility: Ratio(raw: vol), fundingDays: Ratio(raw: 17_500_000_000))
    }
    let (flat, single) = (try marks(2, 0), try marks(1, 900_000_000))
    #expect(abs(double(flat.index) - 2_500) < 1e-12)
    #expect(abs(double(flat.markContinuous) - 2_500) < 1e-12)
    #expect(abs(double(single.markContinuous) - 50) < 1e-13)
    // Too much growth a period, and the strip of halves does not converge.
    #expect(try marks(16, 10_000_000_000).markStrip == nil)
  }
}
