import Foundation
import Pricing
import Primitives
import Testing

private let year = Timestamp.millisecondsPerYear
private func price(_ value: Double) -> Price { Price(raw: Int64((value * 1e8).rounded())) }
private func double(_ value: Real) -> Double { Double(value.units) * 1e-18 }

@Suite("Barriers")
struct BarrierTests {
  private func market(_ spot: Double = 100, vol: Int64 = 400_000_000, time: Int64 = year / 2) throws
    -> Market
  {
    try Market(
      spot: price(spot), rate: Ratio(raw: 50_000_000), yield: Ratio(raw: 20_000_000),
      volatility: Ratio(raw: vol), time: time)
  }

  private func value(
    _ market: Market, _ kind: BarrierType, _ barrier: Double, monitors: Int? = nil,
    isHit: Bool = false, rebate: Double = 0
  ) throws -> Double {
    double(
      try Barrier.price(
        market, kind, .call, strike: price(105), barrier: price(barrier), rebate: price(rebate),
        monitoring: Monitoring(observations: monitors, isHit: isHit)))
  }

  @Test(
    "n observations move the barrier away by exp(0.5826 σ √(T/n))",
    arguments: [(BarrierType.downOut, 92.0), (.downIn, 92), (.upOut, 130), (.upIn, 130)])
  func monitors(kind: BarrierType, barrier: Double) throws {
    let market = try market()
    for count in [4, 52, 1_000] {
      let shift = 0.582_597_157_939_010_7 * 0.4 * (0.5 / Double(count)).squareRoot()
      let away = kind == .downOut || kind == .downIn ? -shift : shift
      let discrete = try value(market, kind, barrier, monitors: count)
      let moved = try value(market, kind, barrier * exp(away))
      #expect(abs(discrete - moved) < 1e-6, "\(count)")
    }
  }

  @Test("the oftener a barrier is watched the less an option out is worth, to the continuous limit")
  func monitorsConverge() throws {
    let market = try market()
    let continuous = try value(market, .downOut, 92)
    let plain = double(try European.price(market, .call, strike: price(105)))
    var last = plain
    for count in [1, 10, 100, 10_000, 1_000_000, 1_000_000_000] {
      let now = try value(market, .downOut, 92, monitors: count)
      #expect(now < last && now > continuous)
      last = now
    }
    #expect(last - continuous < 1e-3)
    for count in [0, -1, 1_000_000_001] {
      #expect(throws: PricingFailure.outsideDomain(.monitors)) {
        try value(market, .downOut, 92, monitors: count)
      }
    }
  }

  @Test("a barrier already hit: out pays its rebate, in is the plain option")
  func hit() throws {
    for (spot, isHit) in [(100.0, true), (92, false), (80, false)] {
      let market = try market(spot)
      let plain = double(try European.price(market, .call, strike: price(105)))
      #expect(try value(market, .downOut, 92, isHit: isHit, rebate: 3) == 3)
      #expect(abs(try value(market, .downIn, 92, isHit: isHit, rebate: 3) - plain) < 1e-15)
    }
  }

  @Test("watched at moments, a spot beyond the barrier is not by itself a hit")
  func beyond() throws {
    // The barrier moves down by about 1.7 %.
    let market = try market(91.5)
    #expect(try value(market, .downOut, 92, monitors: 26, rebate: 0) > 0)
    #expect(try value(market, .downOut, 92) == 0)
  }

  @Test("without volatility or time the path is certain")
  func certain() throws {
    // The forward climbs from 100 by 3 % a year: it meets 101 and not 103.
    let still = try market(vol: 0)
    let plain = double(try European.price(still, .call, strike: price(105)))
    #expect(abs(try value(still, .upIn, 101) - plain) < 1e-15)
    #expect(try value(still, .upOut, 103) == plain)
    let over = try market(time: 0)
    #expect(try value(over, .downOut, 92, rebate: 3) == 0)
    #expect(try value(over, .downIn, 92, rebate: 3) == 3)
  }

  @Test(
    "delta, gamma and vega are differences of the price, for all eight",
    arguments: BarrierType.allCases)
  func differences(kind: BarrierType) throws {
    let barrier = kind == .downIn || kind == .downOut ? price(90) : price(125)
    for type in [OptionType.call, .put] {
      func at(_ spot: Double, _ vol: Int64 = 400_000_000) throws -> Double {
        double(
          try Barrier.price(
            try market(spot, vol: vol), kind, type, strike: price(105), barrier: barrier,
            rebate: price(2)))
      }
      let found = try Barrier.option(
        try market(), kind, type, strike: price(105), barrier: barrier, rebate: price(2))
      let (up, middle, down) = (try at(100.01), try at(100), try at(99.99))
      #expect(abs(double(found.delta) - (up - down) / 0.02) < 1e-7)
      #expect(abs(double(found.gamma) - (up + down - 2 * middle) / 1e-4) < 1e-6)
      let vega = (try at(100, 400_100_000) - (try at(100, 399_900_000))) / 2e-4
      #expect(abs(double(found.vega) - vega) < 1e-4)
    }
  }

  @Test(
    "a touch that pays at expiry and one that never does are the cash for certain",
    arguments: [true, false])
  func touches(isUp: Bool) throws {
    let market = try market()
    let touch = try Barrier.touch(
      market, isUp: isUp, barrier: price(isUp ? 120 : 85), cash: price(10))
    let sum = double(touch.atExpiry.price) + double(touch.noTouch.price)
    #expect(abs(sum - 10 * exp(-0.025)) < 1e-12)
    // Paid earlier, it is worth more while rates are positive.
    #expect(double(touch.atHit.price) > double(touch.atExpiry.price))
  }

  @Test("binary barriers in and out add up to the digital", arguments: [OptionType.call, .put])
  func binaries(type: OptionType) throws {
    let market = try market()
    let plain = double(
      try European.cashDigital(market, type, strike: price(105), cash: price(10)).price)
    for (inside, outside, level) in [
      (BarrierType.downIn, BarrierType.downOut, 92.0), (.upIn, .upOut, 121),
    ] {
      let sum = try [inside, outside].map {
        double(
          try Barrier.binary(
            market, $0, type, strike: price(105), barrier: price(level), cash: price(10)
          ).price)
      }.reduce(0, +)
      #expect(abs(sum - plain) < 1e-12)
    }
  }

  @Test("what has no closed form, or would lose its digits, is a typed error")
  func refusals() throws {
    let market = try Market(
      spot: price(100), rate: Ratio(raw: -100_000_000), yield: Ratio(raw: -100_000_000),
      volatility: Ratio(raw: 300_000_000), time: year)
    #expect(throws: PricingFailure.rateTooNegative) {
      try value(market, .downOut, 92, rebate: 1)
    }
    #expect(try value(market, .downOut, 92) > 0)
    let quiet = try Market(
      spot: price(100), rate: Ratio(raw: 100_000_000), yield: .zero,
      volatility: Ratio(raw: 20_000_000), time: year)
    #expect(throws: PricingFailure.powerTooLarge) { try value(quiet, .downOut, 92) }
    #expect(throws: PricingFailure.outsideDomain(.barrier)) { try value(quiet, .downOut, 0) }
  }
}
