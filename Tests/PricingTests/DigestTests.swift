import Pricing
import Primitives
import Testing

@Suite("Determinism")
struct DigestTests {
  /// FNV-1a, the bits stirred.
  private struct Mix {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ value: Int64) {
      hash = (hash ^ UInt64(bitPattern: value)) &* 0x0000_0100_0000_01B3
      hash ^= hash >> 29
    }

    mutating func add(_ greeks: Greeks) {
      add(greeks.price.raw)
      add(greeks.delta)
      add(greeks.gamma)
      add(greeks.vega.raw)
      add(greeks.theta.raw)
    }
  }

  /// Six results a row, from the whole of the formats.
  private func wide(count: Int, seed: UInt64) -> UInt64 {
    var (random, mix) = (Random(seed: seed), Mix())
    for _ in 0..<count {
      let forward = Price(raw: random.logarithmic(1...Int64.max))
      let strike = Price(raw: random.logarithmic(1...Int64.max))
      let volatility = Ratio(raw: random.logarithmic(1...1_000_000_000_000_000))
      let time = random.logarithmic(1...(10 * Timestamp.millisecondsPerYear))
      mix.add(
        Black76.greeks(
          random.word() & 1 == 0 ? .call : .put, forward: forward, strike: strike,
          volatility: volatility, time: time))
      let slice = SurfaceSlice(
        a: random.next(0...1_000_000_000_000), b: random.next(0...1_000_000_000_000),
        rho: random.next(-999_999_999_999...999_999_999_999),
        m: random.next(-1_000_000_000_000...1_000_000_000_000),
        sigma: random.next(1_000_000...1_000_000_000_000))
      mix.add(slice.totalVariance(strike: strike, forward: forward).raw)
    }
    return mix.hash
  }

  /// Nine results a row, from what a venue lists.
  private func market(count: Int, seed: UInt64) throws -> UInt64 {
    var (random, mix) = (Random(seed: seed), Mix())
    for _ in 0..<count {
      let forward = Price(raw: random.logarithmic(1_000_000...1_000_000_000_000_000))
      let strike = Price(raw: max(1, forward.raw / 1_000 * random.next(300...2_500)))
      let volatility = Ratio(raw: random.logarithmic(50_000_000...3_000_000_000))
      let time = random.logarithmic(60_000...(2 * Timestamp.millisecondsPerYear))
      let type: OptionType = random.word() & 1 == 0 ? .call : .put
      let discount = Discount(rate: Ratio(raw: random.next(-50_000_000...100_000_000)), time: time)
      mix.add(
        Black76.greeks(
          type, forward: forward, strike: strike, volatility: volatility, time: time,
          discount: discount))
      let slice = SurfaceSlice(
        a: random.next(0...100_000_000_000), b: random.next(0...500_000_000_000),
        rho: random.next(-900_000_000_000...900_000_000_000),
        m: random.next(-200_000_000_000...200_000_000_000),
        sigma: random.next(10_000_000_000...500_000_000_000))
      mix.add(
        slice.curve.totalVariance(
          strike: strike, logForward: SurfaceCurve.logarithm(forward)
        ).raw)
      let world = try Market(
        spot: forward, rate: Ratio(raw: 40_000_000), yield: Ratio(raw: 10_000_000),
        volatility: volatility, time: time)
      let kind = BarrierType.allCases[Int(random.next(0...3))]
      let isDown = kind == .downIn || kind == .downOut
      let barrier = Price(
        raw: max(
          1, forward.raw / 1_000 * (isDown ? random.next(800...990) : random.next(1_010...1_250))))
      do throws(PricingFailure) {
        let option = try Barrier.option(world, kind, type, strike: strike, barrier: barrier)
        mix.add(option.price.price.raw)
        mix.add(option.delta.price.raw)
      } catch {
        mix.add(-1)
      }
      mix.add(try European.price(world, type, strike: strike).price.raw)
    }
    return mix.hash
  }

  @Test("a million random results have the bits they always had, in debug as in release")
  func million() throws {
    let (wide, market) = (wide(count: 100_000, seed: 76), try market(count: 50_000, seed: 77))
    #expect(wide == 14_007_006_175_366_729_550)
    #expect(market == 11_547_557_928_591_570_649)
  }

  @Test(
    "the tables are what their generator writes, where python3 and mpmath are installed",
    .enabled(if: Python.hasMpmath))
  func tables() throws {
    #expect(try Python.output([Python.script("pricing_tables.py"), "--check"]) != nil)
  }
}
