import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

/// Chains here are made up.
@Suite("Smiles fitted to a chain") struct ChainSmileTests {
  private static let forward = Price(raw: 60_000 * Price.scale)
  private static let week: Int64 = 7 * 86_400_000

  /// An expiry's rows with these volatilities, an out-of-the-money option a strike.
  private func rows(_ strikes: [Int64], _ volatility: (Double) -> Double) throws -> [ChainFile.Row]
  {
    try strikes.map { strike in
      let isCall = strike >= 60_000
      let k = log(Double(strike) / 60_000)
      return ChainFile.Row(
        name: try InstrumentName("BTC-13FEB26-\(strike)-\(isCall ? "C" : "P")"), isCall: isCall,
        strike: Price(raw: strike * Price.scale), expiry: Timestamp(raw: 1_770_969_600_000),
        bid: nil, ask: nil, mark: .zero,
        markVolatility: Ratio(raw: Int64((volatility(k) * 1e9).rounded())), future: Self.forward,
        index: Self.forward, openInterest: .zero, volume: .zero)
    }
  }

  private func volatility(_ p: SurfaceParameters, _ k: Double) -> Double {
    let x = k - Double(p.m) / 1e12
    let sigma = Double(p.sigma) / 1e12
    let w =
      Double(p.a) / 1e12
      + Double(p.b) / 1e12 * (Double(p.rho) / 1e12 * x + (x * x + sigma * sigma).squareRoot())
    return (max(0, w) * 365 / 7).squareRoot()
  }

  @Test("a smile that is SVI comes back, in the domain execution accepts")
  func recovery() throws {
    let years = 7.0 / 365
    let strikes = Array(stride(from: Int64(40_000), through: 90_000, by: 2_500))
    for (b, rho, m, sigma) in [(0.1, -0.3, 0.02, 0.15), (0.05, 0.4, -0.05, 0.08)] {
      func exact(_ k: Double) -> Double {
        let x = k - m
        let w = 0.002 + b * (rho * x + (x * x + sigma * sigma).squareRoot())
        return (w / years).squareRoot()
      }
      let chain = try rows(strikes, exact)
      let fitted = ChainSmile.parameters(chain, forward: Self.forward, time: Self.week)
      for row in chain {
        let k = log(Double(row.strike.raw) / Double(Self.forward.raw))
        #expect(
          abs(volatility(fitted, k) - exact(k)) < 0.005,
          "k \(k), smile \((b, rho, m, sigma)): \(fitted)")
      }
      #expect(
        SurfaceUpdate(
          underlying: UnderlyingID(0), expiry: Timestamp(raw: 1), forward: Self.forward,
          parameters: fitted, time: Timestamp(raw: 0), sequence: 1
        ).isInDomain)
    }
  }

  @Test("few or odd marks still give a smile in the domain", arguments: [0, 1, 3, 6])
  func few(count: Int) throws {
    let strikes = [50_000, 55_000, 60_000, 65_000, 70_000, 80_000].prefix(count).map { Int64($0) }
    // Volatility that falls to a tenth and back from strike to strike.
    let chain = try rows(strikes) { k in 0.5 + 0.45 * sin(40 * k) }
    let fitted = ChainSmile.parameters(chain, forward: Self.forward, time: Self.week)
    #expect(
      SurfaceUpdate(
        underlying: UnderlyingID(0), expiry: Timestamp(raw: 1), forward: Self.forward,
        parameters: fitted, time: Timestamp(raw: 0), sequence: 1
      ).isInDomain)
  }
}
