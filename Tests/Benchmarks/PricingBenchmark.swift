import CReference
import Pricing
import Primitives

/// The pricing core against plain double arithmetic with the same outputs, in one run.
public enum PricingBenchmark {
  /// Nanoseconds an operation (`…_ns`), and ratios of ours to C double's (`…_ratio`), the smallest of
  /// many interleaved rounds; `grid_speed` is double's time over ours. In a fixed order.
  public static func run(rounds: Int = 300, seed: UInt64 = 1) -> [(name: String, value: Double)] {
    let rows = Row.random(count: 2_048, seed: seed)
    var results: [(name: String, value: Double)] = []
    for pair in [black(rows), greeks(rows), barrier(rows), svi(rows), grid(rows)] {
      var (ours, theirs) = (Double.infinity, Double.infinity)
      for _ in 0..<rounds {
        ours = min(ours, measure(pair.count, pair.ours))
        theirs = min(theirs, measure(pair.count, pair.theirs))
      }
      results.append((name: "\(pair.name)_ns", value: ours))
      results.append((name: "\(pair.name)_double_ns", value: theirs))
      if pair.name == "grid" {
        results.append((name: "grid_speed", value: theirs / ours))
      } else {
        results.append((name: "\(pair.name)_ratio", value: ours / theirs))
      }
    }
    return results
  }

  /// Two ways to do the same work; each returns something that depends on all of it.
  private struct Pair {
    let name: String
    let count: Int
    let ours: () -> Double
    let theirs: () -> Double
  }

  private static func measure(_ count: Int, _ body: () -> Double) -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    let value = body()
    let time = clock.now - start
    // The value must be used, or there would be nothing to measure.
    if value == -1 { print(value) }
    let parts = time.components
    let nanoseconds = Double(parts.seconds) * 1e9 + Double(parts.attoseconds) * 1e-9
    return nanoseconds / Double(count)
  }

  private struct Row {
    let forward: Price
    let strike: Price
    let vol: Ratio
    let time: Int64
    let f: Double
    let k: Double
    let v: Double
    let t: Double
    let barrier: Price
    let h: Double
    let market: Market
    let discount: Double
    let growth: Double
    let type: OptionType

    private static func exponential(_ rate: Double, _ time: Int64) -> Double {
      reference_exponential(rate * Double(time) / 31_536_000_000)
    }

    static func random(count: Int, seed: UInt64) -> [Row] {
      var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
      func next(_ range: ClosedRange<Int64>) -> Int64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        let word = state &* 0x2545_F491_4F6C_DD1D
        let span = UInt64(range.upperBound - range.lowerBound) + 1
        return range.lowerBound + Int64(word.multipliedFullWidth(by: span).high)
      }
      return (0..<count).map { index in
        let forward = Price(raw: next(5_000_000_000_000...12_000_000_000_000))
        let strike = Price(raw: next(5_000_000_000_000...12_000_000_000_000))
        let vol = Ratio(raw: next(200_000_000...1_200_000_000))
        let time = next(86_400_000...31_536_000_000)
        let barrier = Price(raw: forward.raw / 100 * next(70...98))
        do throws(PricingFailure) {
          let market = try Market(
            spot: forward, rate: Ratio(raw: 40_000_000), yield: Ratio(raw: 10_000_000),
            volatility: vol, time: time)
          return Row(
            forward: forward, strike: strike, vol: vol, time: time, f: Double(forward.raw) * 1e-8,
            k: Double(strike.raw) * 1e-8, v: Double(vol.raw) * 1e-9,
            t: Double(time) / 31_536_000_000, barrier: barrier, h: Double(barrier.raw) * 1e-8,
            market: market, discount: exponential(-0.04, time), growth: exponential(-0.01, time),
            type: index % 2 == 0 ? .call : .put)
        } catch {
          preconditionFailure("the benchmark's rows lie inside the domain")
        }
      }
    }
  }

  private static func black(_ rows: [Row]) -> Pair {
    Pair(
      name: "black76_price", count: rows.count,
      ours: {
        var sum: Int64 = 0
        for r in rows {
          sum &+=
            Black76.price(
              r.type, forward: r.forward, strike: r.strike, volatility: r.vol, time: r.time
            ).raw
        }
        return Double(sum)
      },
      theirs: {
        var sum = 0.0
        for r in rows {
          sum += reference_black_price(r.type == .call ? 1 : 0, r.f, r.k, r.v, r.t)
        }
        return sum
      })
  }

  private static func greeks(_ rows: [Row]) -> Pair {
    Pair(
      name: "black76_greeks", count: rows.count,
      ours: {
        var sum: Int64 = 0
        for r in rows {
          let g = Black76.greeks(
            r.type, forward: r.forward, strike: r.strike, volatility: r.vol, time: r.time)
          sum &+= g.price.raw &+ g.delta &+ g.gamma &+ g.vega.raw &+ g.theta.raw
        }
        return Double(sum)
      },
      theirs: {
        var sum = 0.0
        for r in rows {
          let g = reference_black(r.type == .call ? 1 : 0, r.f, r.k, r.v, r.t)
          sum += g.price + g.delta + g.gamma + g.vega + g.theta
        }
        return sum
      })
  }

  private static func barrier(_ rows: [Row]) -> Pair {
    let rebate = Price(raw: 100_000_000_000)
    return Pair(
      name: "barrier", count: rows.count,
      ours: {
        var sum: Int64 = 0
        for r in rows {
          do throws(PricingFailure) {
            let value = try Barrier.price(
              r.market, .downOut, .call, strike: r.strike, barrier: r.barrier, rebate: rebate)
            sum &+= value.price.raw
          } catch {
            continue
          }
        }
        return Double(sum)
      },
      theirs: {
        var sum = 0.0
        for r in rows {
          sum += reference_barrier(
            r.f, r.k, r.h, 1_000, 0.04, 0.03, r.v, r.t, r.discount, r.growth)
        }
        return sum
      })
  }

  private static func svi(_ rows: [Row]) -> Pair {
    let slice = SurfaceSlice(
      a: 10_000_000_000, b: 100_000_000_000, rho: -300_000_000_000, m: 10_000_000_000,
      sigma: 200_000_000_000)
    return Pair(
      name: "svi", count: rows.count,
      ours: {
        var sum: Int64 = 0
        let curve = slice.curve
        let forward = SurfaceCurve.logarithm(Price(raw: 9_000_000_000_000))
        for r in rows {
          sum &+= curve.totalVariance(strike: r.strike, logForward: forward).raw
        }
        return Double(sum)
      },
      theirs: {
        var sum = 0.0
        for r in rows { sum += reference_svi(0.01, 0.1, -0.3, 0.01, 0.2, r.k, 90_000) }
        return sum
      })
  }

  /// A thousand accounts of twenty options: each contract is priced once a scenario, then every
  /// account adds up its own thirty-two values. Time is an account's.
  private static func grid(_ rows: [Row]) -> Pair {
    let accounts = 1_000
    let held = 20
    let contracts = 200
    let (factors, multipliers) = Scenarios.shocks
    let spot = Price(raw: 9_000_000_000_000)
    let time: Int64 = 2_592_000_000
    var f: [Double] = []
    var v: [Double] = []
    for index in 0..<32 {
      f.append(Double(spot.raw) * 1e-8 * Double(factors[index].raw) * 1e-9)
      v.append(Double(multipliers[index].raw) * 1e-9)
    }
    let years = Double(time) / 31_536_000_000
    return Pair(
      name: "grid", count: accounts,
      ours: {
        let grid = ScenarioGrid(
          forward: spot, forwardMultipliers: factors, volatilityMultipliers: multipliers,
          time: time)
        var values = [Int64](repeating: 0, count: contracts * 32)
        for contract in 0..<contracts {
          let r = rows[contract]
          let prices = grid.prices(r.type, strike: r.strike, volatility: r.vol)
          for scenario in 0..<32 { values[contract * 32 + scenario] = prices[scenario].raw }
        }
        var worst: Int64 = 0
        for account in 0..<accounts {
          var sums = InlineArray<32, Int64>(repeating: 0)
          for leg in 0..<held {
            let contract = (account &* 7 &+ leg &* 13) % contracts
            let quantity = Int64(leg &- 10)
            for scenario in 0..<32 {
              sums[scenario] &+= quantity &* values[contract &* 32 &+ scenario]
            }
          }
          for scenario in 0..<32 { worst = min(worst, sums[scenario]) }
        }
        return Double(worst)
      },
      theirs: {
        var values = [Double](repeating: 0, count: contracts * 32)
        for contract in 0..<contracts {
          let r = rows[contract]
          for scenario in 0..<32 {
            values[contract * 32 + scenario] = reference_black_price(
              r.type == .call ? 1 : 0, max(f[scenario], 1e-8), r.k, r.v * v[scenario], years)
          }
        }
        var worst = 0.0
        for account in 0..<accounts {
          var sums = InlineArray<32, Double>(repeating: 0)
          for leg in 0..<held {
            let contract = (account &* 7 &+ leg &* 13) % contracts
            let quantity = Double(leg &- 10)
            for scenario in 0..<32 {
              sums[scenario] += quantity * values[contract &* 32 &+ scenario]
            }
          }
          for scenario in 0..<32 { worst = min(worst, sums[scenario]) }
        }
        return worst
      })
  }

  /// The thirty-two scenarios of the reference margin, as multipliers.
  private enum Scenarios {
    static var shocks: (InlineArray<32, Ratio>, InlineArray<32, Ratio>) {
      let one = Ratio(raw: 1_000_000_000)
      let (up, down) = (Ratio(raw: 1_400_000_000), Ratio(raw: 780_000_000))
      var factors = InlineArray<32, Ratio>(repeating: one)
      var multipliers = InlineArray<32, Ratio>(repeating: up)
      let moves: [Int64] = [-160, -120, -80, -40, 40, 80, 120, 160]
      for (index, move) in moves.enumerated() {
        for (column, vol) in [up, one, down].enumerated() {
          factors[index * 3 + column] = Ratio(raw: (1_000 + move) * 1_000_000)
          multipliers[index * 3 + column] = vol
        }
      }
      for (index, vol) in [up, down].enumerated() { multipliers[24 + index] = vol }
      for (index, factor) in [340, 670, 1_500, 2_000, 4_000, 6_000].enumerated() {
        factors[26 + index] = Ratio(raw: Int64(factor) * 1_000_000)
      }
      return (factors, multipliers)
    }
  }
}
