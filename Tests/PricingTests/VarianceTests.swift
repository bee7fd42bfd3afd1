import Foundation
import Pricing
import Primitives
import Testing

private let year = Timestamp.millisecondsPerYear

private func price(_ value: Double) -> Price { Price(raw: Int64((value * 1e8).rounded())) }
private func double(_ value: Real) -> Double { Double(value.units) * 1e-18 }

@Suite("Variance")
struct VarianceTests {
  @Test("realised variance is the mean squared logarithm, annualised, the mean return held at zero")
  func realised() throws {
    // ln 2, -ln 2, ln 2: each squared 0.48045301391820142467.
    let prices = [100, 200, 100, 200].map { price($0) }
    let level = try Variance.realised(prices, periodsPerYear: Real(365))
    #expect(abs(double(level.variance) - 0.480_453_013_918_201_4 * 365) < 1e-12)
    let volatility = double(try #require(level.volatility))
    #expect(abs(volatility * volatility - double(level.variance)) < 1e-12)
    let still = try Variance.realised([price(5), price(5), price(5)], periodsPerYear: Real(252))
    #expect(still.variance.isZero && still.volatility?.isZero == true)
  }

  @Test("realised variance adds up over parts, and does not care for the price's unit")
  func realisedParts() throws {
    var random = Random(seed: 31)
    let prices = (0...200).map { _ in Price(raw: random.next(5_000_000_000...15_000_000_000)) }
    let one = Real(1)
    let whole = double(try Variance.realised(prices, periodsPerYear: one).variance) * 200
    let first = double(try Variance.realised(Array(prices[...80]), periodsPerYear: one).variance)
    let second = double(try Variance.realised(Array(prices[80...]), periodsPerYear: one).variance)
    #expect(abs(whole - first * 80 - second * 120) < 1e-12)
    let tenfold = prices.map { Price(raw: $0.raw * 10) }
    let scaled = double(try Variance.realised(tenfold, periodsPerYear: one).variance) * 200
    #expect(abs(whole - scaled) < 1e-12)
  }

  @Test("a list that is none is refused")
  func realisedRefusals() {
    let one = Real(1)
    #expect(throws: PricingFailure.malformedList(.prices)) {
      try Variance.realised([price(1)], periodsPerYear: one)
    }
    #expect(throws: PricingFailure.outsideDomain(.prices)) {
      try Variance.realised([price(1), .zero], periodsPerYear: one)
    }
    #expect(throws: PricingFailure.outsideDomain(.periodsPerYear)) {
      try Variance.realised([price(1), price(2)], periodsPerYear: Real(0))
    }
  }

  /// Options out of the money at one volatility, undiscounted, K0 the middle of both.
  private func strip(_ vol: Double, step: Double, to end: Double, forward: Double) -> [Variance
    .Quote]
  {
    stride(from: step, through: end, by: step).map { strike in
      func value(_ type: OptionType) -> Int64 {
        Black76.price(
          type, forward: price(forward), strike: price(strike),
          volatility: Ratio(raw: Int64(vol * 1e9)), time: year / 12
        ).raw
      }
      let quote =
        strike < 100 ? value(.put) : strike > 100 ? value(.call) : (value(.put) + value(.call)) / 2
      return Variance.Quote(strike: price(strike), price: Price(raw: quote))
    }
  }

  @Test("the strip of a flat smile is its variance", arguments: [0.2, 0.6, 1.2])
  func flat(vol: Double) throws {
    let quotes = strip(vol, step: 0.25, to: 700, forward: 100)
    let level = try Variance.strip(
      quotes, forward: price(100), k0: price(100), rate: .zero, time: year / 12)
    // The step leaves ΔK²/(12 K²) of a kink at the money.
    #expect(abs(double(level.variance) - vol * vol) < 1e-4, "\(double(level.variance))")
    #expect(abs(double(try #require(level.volatility)) - vol) < 1e-4)
  }

  @Test("K0 below the forward is made good, and prices grow by the rate")
  func forwardCorrection() throws {
    let quotes = strip(0.6, step: 0.25, to: 700, forward: 100.1)
    let level = try Variance.strip(
      quotes, forward: price(100.1), k0: price(100), rate: .zero, time: year / 12)
    #expect(abs(double(level.variance) - 0.36) < 2e-4)
    // Discounted quotes and their rate give what undiscounted ones do.
    let factor = exp(-0.05 / 12)
    let discounted = quotes.map {
      Variance.Quote(strike: $0.strike, price: Price(raw: Int64(Double($0.price.raw) * factor)))
    }
    let again = try Variance.strip(
      discounted, forward: price(100.1), k0: price(100), rate: Ratio(raw: 50_000_000),
      time: year / 12)
    #expect(abs(double(again.variance) - double(level.variance)) < 1e-6)
  }

  @Test("a small strip is the sum written out")
  func small() throws {
    let quotes = [(90, 1), (100, 4), (120, 2)].map {
      Variance.Quote(strike: price(Double($0.0)), price: price(Double($0.1)))
    }
    let level = try Variance.strip(
      quotes, forward: price(101), k0: price(100), rate: Ratio(raw: 100_000_000), time: year / 4)
    // ΔK 10, 15, 20.
    let sum = 10.0 / 8_100 * 1 + 15.0 / 10_000 * 4 + 20.0 / 14_400 * 2
    let expected = 2 / 0.25 * exp(0.1 * 0.25) * sum - 0.01 * 0.01 / 0.25
    #expect(abs(double(level.variance) - expected) < 1e-14)
  }

  @Test("a malformed strip is refused")
  func stripRefusals() {
    let good = [90, 110].map { Variance.Quote(strike: price($0), price: price(1)) }
    func strip(_ quotes: [Variance.Quote], k0: Double = 100, time: Int64 = 1_000) throws {
      _ = try Variance.strip(
        quotes, forward: price(100), k0: price(k0), rate: .zero, time: time)
    }
    #expect(throws: PricingFailure.malformedList(.strip)) { try strip([good[0]]) }
    #expect(throws: PricingFailure.malformedList(.strip)) { try strip(good.reversed()) }
    #expect(throws: PricingFailure.malformedList(.strip)) { try strip([good[0], good[0]]) }
    #expect(throws: PricingFailure.outsideDomain(.k0)) { try strip(good, k0: 0) }
    #expect(throws: PricingFailure.outsideDomain(.time)) { try strip(good, time: 0) }
  }

  @Test("between two expiries total variance is linear in time")
  func interpolated() throws {
    let (near, far) = (Real(Int64(1)) / Real(4), Real(Int64(1)) / Real(9))
    func level(_ target: Int64) throws -> Double {
      double(
        try Variance.interpolated(
          near: near, nearTime: 20, far: far, farTime: 40, target: target
        ).variance)
    }
    for (target, expected) in [(20, 0.25), (40, 1.0 / 9), (30, (0.25 * 20 + 40.0 / 9) / 2 / 30)]
      as [(Int64, Double)]
    {
      #expect(abs(try level(target) - expected) < 1e-15)
    }
    #expect(throws: PricingFailure.outsideDomain(.time)) {
      try Variance.interpolated(near: near, nearTime: 40, far: far, farTime: 40, target: 40)
    }
  }

  @Test("Cboe's example gives its 61.22")
  func whitePaper() throws {
    let url = Reference.folder.appendingPathComponent("Fixtures/Pricing/vix.txt")
    var strips: [Substring: [Variance.Quote]] = [:]
    for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
    where !line.hasPrefix("#") {
      let fields = line.split(separator: " ")
      func units(_ field: Substring) -> Price {
        Price(raw: Int64(Reference.decimal(String(field))! / 10_000_000_000))
      }
      strips[fields[0], default: []].append(
        Variance.Quote(strike: units(fields[1]), price: units(fields[2])))
    }
    let minute: Int64 = 60_000
    let (nearTime, farTime) = (12_960 * minute, 53_280 * minute)
    func level(_ name: Substring, _ forward: Double, _ time: Int64) throws -> Real {
      try Variance.strip(
        strips[name]!, forward: price(forward), k0: price(920), rate: Ratio(raw: 3_800_000),
        time: time
      ).variance
    }
    // Forwards by parity at the strike where call and put are nearest, the paper's step 1.
    let near = try level("near", 920.500_046_85, nearTime)
    let far = try level("next", 921.000_385_28, farTime)
    let index = try Variance.interpolated(
      near: near, nearTime: nearTime, far: far, farTime: farTime, target: 43_200 * minute)
    #expect(strips["near"]?.count == 136 && strips["next"]?.count == 110)
    #expect(abs(double(try #require(index.volatility)) * 100 - 61.22) < 0.005)
  }
}
