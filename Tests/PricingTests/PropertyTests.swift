import Pricing
import Primitives
import Testing

private let year = Timestamp.millisecondsPerYear

/// An option drawn from the whole domain that a venue lists.
private struct Draw {
  let forward: Price
  let strike: Price
  let volatility: Ratio
  let time: Int64
  let type: OptionType

  init(_ random: inout Random) {
    forward = Price(raw: random.logarithmic(1_000_000...1_000_000_000_000_000))
    let ratio = random.next(50_000_000...2_000_000_000)
    strike = Price(
      raw: max(1, Int64(Int128(forward.raw) * Int128(ratio) / 1_000_000_000)))
    volatility = Ratio(raw: random.logarithmic(10_000_000...5_000_000_000))
    time = random.logarithmic(60_000...(5 * year))
    type = random.word() & 1 == 0 ? .call : .put
  }

  func price(_ type: OptionType, strike: Price? = nil) -> Int64 {
    Black76.price(
      type, forward: forward, strike: strike ?? self.strike, volatility: volatility, time: time
    ).raw
  }
}

@Suite("Properties")
struct PropertyTests {
  @Test("call less put is forward less strike, within a unit", arguments: [1, 2, 3] as [UInt64])
  func parity(seed: UInt64) {
    var random = Random(seed: seed)
    for _ in 0..<2_000 {
      let draw = Draw(&random)
      let gap = draw.price(.call) - draw.price(.put) - (draw.forward.raw - draw.strike.raw)
      #expect(abs(gap) <= 1, "seed \(seed): \(draw)")
    }
  }

  @Test("prices are monotone and convex in strike", arguments: [4, 5] as [UInt64])
  func strikes(seed: UInt64) {
    var random = Random(seed: seed)
    for _ in 0..<2_000 {
      let draw = Draw(&random)
      let step = max(draw.strike.raw / 50, 1)
      let low = Price(raw: max(draw.strike.raw - step, 0))
      let high = Price(raw: 2 * draw.strike.raw - low.raw)
      let calls = [low, draw.strike, high].map { draw.price(.call, strike: $0) }
      let puts = [low, draw.strike, high].map { draw.price(.put, strike: $0) }
      #expect(calls[0] >= calls[1] && calls[1] >= calls[2], "seed \(seed): \(draw)")
      #expect(puts[0] <= puts[1] && puts[1] <= puts[2], "seed \(seed): \(draw)")
      // Each of the four roundings is worth half a unit.
      #expect(calls[0] + calls[2] - 2 * calls[1] >= -2, "seed \(seed): \(draw)")
      #expect(puts[0] + puts[2] - 2 * puts[1] >= -2, "seed \(seed): \(draw)")
    }
  }

  @Test("a barrier in and out add up to the plain option", arguments: [6, 7] as [UInt64])
  func inOut(seed: UInt64) throws {
    var random = Random(seed: seed)
    for _ in 0..<500 {
      let spot = Price(raw: random.next(100_000_000...10_000_000_000_000))
      let strike = Price(raw: spot.raw / 100 * random.next(60...160))
      let isDown = random.word() & 1 == 0
      let barrier = Price(
        raw: spot.raw / 100 * (isDown ? random.next(70...99) : random.next(101...140)))
      let market = try Market(
        spot: spot, rate: Ratio(raw: random.next(0...100_000_000)),
        yield: Ratio(raw: random.next(0...100_000_000)),
        volatility: Ratio(raw: random.next(250_000_000...1_500_000_000)),
        time: random.next(86_400_000...year))
      let type: OptionType = random.word() & 1 == 0 ? .call : .put
      let inside = try Barrier.price(
        market, isDown ? .downIn : .upIn, type, strike: strike, barrier: barrier)
      let outside = try Barrier.price(
        market, isDown ? .downOut : .upOut, type, strike: strike, barrier: barrier)
      let plain = try European.price(market, type, strike: strike)
      let gap = (inside + outside - plain).units
      #expect(abs(gap) <= 10_000_000_000, "seed \(seed): \(spot) \(strike) \(barrier)")
    }
  }

  @Test("delta, gamma, vega and theta are the differences of the price")
  func differences() throws {
    let volatility = Ratio(raw: 600_000_000)
    let (spot, step) = (Price(raw: 10_000_000_000), Int64(1_000_000))
    func value(_ spot: Int64, _ vol: Int64 = 600_000_000, _ time: Int64 = year / 4) throws -> Real {
      try European.price(
        try Market(
          spot: Price(raw: spot), rate: Ratio(raw: 50_000_000), yield: Ratio(raw: 20_000_000),
          volatility: Ratio(raw: vol), time: time), .put, strike: Price(raw: 11_000_000_000))
    }
    let market = try Market(
      spot: spot, rate: Ratio(raw: 50_000_000), yield: Ratio(raw: 20_000_000),
      volatility: volatility, time: year / 4)
    let found = try European.vanilla(market, .put, strike: Price(raw: 11_000_000_000))
    let (up, down) = (try value(spot.raw + step), try value(spot.raw - step))
    func close(_ a: Real, _ b: Int128, _ tolerance: Int128) -> Bool {
      abs(a.units - b) <= tolerance
    }
    // h = 0.01: the error is h²/6 of a third derivative.
    #expect(close(found.delta, (up - down).units * 50, 100_000_000_000))
    let middle = try value(spot.raw)
    #expect(close(found.gamma, (up + down - middle - middle).units * 10_000, 100_000_000_000))
    let vega = (try value(spot.raw, 600_100_000) - (try value(spot.raw, 599_900_000))).units * 5_000
    #expect(close(found.vega, vega, 1_000_000_000_000))
    let second: Int64 = 31_536_000
    let decay = try value(spot.raw, 600_000_000, year / 4 - second)
    let growth = try value(spot.raw, 600_000_000, year / 4 + second)
    #expect(close(found.theta, (decay - growth).units * 500, 100_000_000_000_000))
  }

  @Test("implied volatility gives back the price", arguments: [8, 9] as [UInt64])
  func implied(seed: UInt64) throws {
    var random = Random(seed: seed)
    for _ in 0..<400 {
      let draw = Draw(&random)
      let price = draw.price(draw.type)
      let market = try Market(
        forward: draw.forward, discount: 1_000_000_000_000_000_000, volatility: .zero,
        time: draw.time)
      let vol = try ImpliedVolatility.solve(
        market, draw.type, strike: draw.strike, price: Price(raw: price))
      guard let vol, let units = vol.scaled(digits: 9) else {
        // No volatility gives a price that rounding carried to its bound.
        let bound = draw.type == .call ? draw.forward.raw : draw.strike.raw
        let floor =
          draw.type == .call
          ? draw.forward.raw - draw.strike.raw
          : draw.strike.raw - draw.forward.raw
        #expect(price >= bound - 1 || price <= max(floor, 0), "seed \(seed): \(draw)")
        continue
      }
      let again = Black76.greeks(
        draw.type, forward: draw.forward, strike: draw.strike,
        volatility: Ratio(raw: Int64(units)), time: draw.time)
      // The volatility's own rounding is worth half a unit of 1e-9 of vega.
      let allowance = 1 + again.vega.raw / 1_000_000_000
      #expect(abs(again.price.raw - price) <= allowance, "seed \(seed): \(draw)")
    }
  }

  @Test("a scenario grid gives the single prices, bit for bit", arguments: [10] as [UInt64])
  func grid(seed: UInt64) {
    var random = Random(seed: seed)
    for _ in 0..<100 {
      let draw = Draw(&random)
      var forwards = InlineArray<32, Price>(repeating: .zero)
      var multipliers = InlineArray<32, Ratio>(repeating: Ratio(raw: 1_000_000_000))
      for index in 0..<32 {
        forwards[index] = Price(raw: draw.forward.raw / 100 * random.next(0...600))
        multipliers[index] = Ratio(raw: random.next(1...4) * 500_000_000)
      }
      let grid = ScenarioGrid(
        forwards: forwards, volatilityMultipliers: multipliers, time: draw.time)
      let prices = grid.prices(draw.type, strike: draw.strike, volatility: draw.volatility)
      for index in 0..<32 {
        let shocked = (Int128(draw.volatility.raw) * Int128(multipliers[index].raw))
          .divided(by: 1_000_000_000, rounding: .nearestEven)
        let single = Black76.price(
          draw.type, forward: forwards[index], strike: draw.strike,
          volatility: Ratio(raw: Int64(shocked)), time: draw.time)
        #expect(single == prices[index], "seed \(seed): \(draw)")
      }
    }
  }

  @Test("the index squared is its strip of options: Carr and Madan")
  func replication() throws {
    // S² = K0² + 2K0(S-K0) + 2∫ out-of-the-money options dK, all at one volatility.
    let (volatility, time) = (Ratio(raw: 500_000_000), year / 12)
    let step: Int64 = 10_000_000
    var sum: Int128 = 0
    for index in 1..<20_000 {
      let strike = Price(raw: Int64(index) * step)
      let type: OptionType = strike.raw < 10_000_000_000 ? .put : .call
      sum += Int128(
        Black76.price(
          type, forward: Price(raw: 10_000_000_000), strike: strike, volatility: volatility,
          time: time
        ).raw)
    }
    let strip = 10_000.0 + 2 * Double(sum) * 1e-8 * 0.1
    let fair = try Perpetual.power(
      spot: Price(raw: 10_000_000_000), power: Ratio(raw: 2_000_000_000), rate: .zero,
      volatility: volatility, fundingDays: Ratio(raw: 30_416_666_667))
    let mark = Double(fair.markContinuous.units) * 1e-18
    #expect(abs(strip - mark) < 1e-2, "\(strip) against \(mark)")
  }
}
