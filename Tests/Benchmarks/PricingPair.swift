import CReference
import Pricing
import Primitives

/// Two ways to do the same work; each returns something that depends on all of it.
struct PricingPair {
  let name: String
  /// How many of what the name says one call does.
  let count: Int
  let ratioMax: Double
  let ours: () -> Double
  let theirs: () -> Double

  static func all(_ rows: [PricingRow]) -> [PricingPair] {
    [price(rows), greeks(rows), barrier(rows), svi(rows), grid(rows)]
  }

  private static func price(_ rows: [PricingRow]) -> PricingPair {
    PricingPair(
      name: "black76_price", count: rows.count, ratioMax: 2.5,
      ours: {
        var sum: Int64 = 0
        for r in rows {
          let price = Black76.price(
            r.type, forward: r.forward, strike: r.strike, volatility: r.vol, time: r.time)
          sum &+= price.raw
        }
        return Double(sum)
      },
      theirs: {
        var sum = 0.0
        for r in rows { sum += reference_black_price(r.isCall, r.f, r.k, r.v, r.t) }
        return sum
      })
  }

  private static func greeks(_ rows: [PricingRow]) -> PricingPair {
    PricingPair(
      name: "black76_greeks", count: rows.count, ratioMax: 2.5,
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
          let g = reference_black(r.isCall, r.f, r.k, r.v, r.t)
          sum += g.price + g.delta + g.gamma + g.vega + g.theta
        }
        return sum
      })
  }

  private static func barrier(_ rows: [PricingRow]) -> PricingPair {
    let rebate = Price(raw: 100_000_000_000)
    return PricingPair(
      name: "barrier", count: rows.count, ratioMax: 3,
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

  private static let slice = SurfaceSlice(
    a: 10_000_000_000, b: 100_000_000_000, rho: -300_000_000_000, m: 10_000_000_000,
    sigma: 200_000_000_000)

  private static func svi(_ rows: [PricingRow]) -> PricingPair {
    let strikes = rows.map(\.strike)
    let doubles = rows.map(\.k)
    return PricingPair(
      name: "svi", count: rows.count, ratioMax: 1.5,
      ours: {
        var sum: Int64 = 0
        let curve = slice.curve
        let forward = SurfaceCurve.logarithm(Price(raw: 9_000_000_000_000))
        for strike in strikes {
          sum &+= curve.totalVariance(strike: strike, logForward: forward).raw
        }
        return Double(sum)
      },
      theirs: {
        var sum = 0.0
        for k in doubles { sum += reference_svi(0.01, 0.1, -0.3, 0.01, 0.2, k, 90_000) }
        return sum
      })
  }

  /// A thousand accounts of twenty options: each contract is priced once a scenario, then every
  /// account adds up its own thirty-two values. One is an account.
  private static func grid(_ rows: [PricingRow]) -> PricingPair {
    let (accounts, held, contracts) = (1_000, 20, 200)
    let (factors, multipliers) = shocks
    let spot = Price(raw: 9_000_000_000_000)
    let time: Int64 = 2_592_000_000
    var f: [Double] = []
    var v: [Double] = []
    for index in 0..<32 {
      f.append(Double(spot.raw) * 1e-8 * Double(factors[index].raw) * 1e-9)
      v.append(Double(multipliers[index].raw) * 1e-9)
    }
    let years = Double(time) / 31_536_000_000
    return PricingPair(
      name: "grid_account", count: accounts, ratioMax: 2,
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
            let start = (account &* 7 &+ leg &* 13) % contracts &* 32
            let quantity = Int64(leg &- 10)
            for scenario in 0..<32 { sums[scenario] &+= quantity &* values[start &+ scenario] }
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
              r.isCall, max(f[scenario], 1e-8), r.k, r.v * v[scenario], years)
          }
        }
        var worst = 0.0
        for account in 0..<accounts {
          var sums = InlineArray<32, Double>(repeating: 0)
          for leg in 0..<held {
            let start = (account &* 7 &+ leg &* 13) % contracts &* 32
            let quantity = Double(leg &- 10)
            for scenario in 0..<32 { sums[scenario] += quantity * values[start &+ scenario] }
          }
          for scenario in 0..<32 { worst = min(worst, sums[scenario]) }
        }
        return worst
      })
  }

  /// The thirty-two scenarios of the reference margin, as multipliers.
  private static var shocks: (InlineArray<32, Ratio>, InlineArray<32, Ratio>) {
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
