import Foundation
import Pricing
import Primitives
import Testing

/// Against 50-digit values that Tests/Generators/pricing_references.py made.
@Suite("Fifty-digit references")
struct ReferenceTests {
  /// The worst errors of price, delta, gamma, vega and theta over European rows, in output units: what
  /// passes 1e-12 of the scale, of all but price and delta.
  private func europeanErrors(_ rows: [Reference]) -> [Worst] {
    var worst = [Worst](repeating: Worst(), count: 5)
    for row in rows {
      let (type, forward, strike) = (row.type(0), row.price(1), row.price(2))
      let found = Black76.greeks(
        type, forward: forward, strike: strike, volatility: row.ratio(3), time: row.integer(4))
      let price = Black76.price(
        type, forward: forward, strike: strike, volatility: row.ratio(3), time: row.integer(4))
      #expect(found.price == price, "\(row.inputs)")
      let f = Double(forward.raw) * 1e-8
      let sigma = Double(row.integer(3)) * 1e-9
      let root = (Double(row.integer(4)) / 31_536_000_000).squareRoot()
      let results = row.results.map { $0! }
      func note(_ index: Int, _ found: Int64, digits: Double, unit: Double, scale: Double = 0) {
        worst[index].note(
          Int128(found) * Int128(digits), results[index], unit: unit, allowance: 1e6 * scale, row)
      }
      note(0, found.price.raw, digits: 1e10, unit: 1e10)
      note(1, found.delta, digits: 1e6, unit: 1e6)
      note(2, found.gamma, digits: 1e6, unit: 1e10, scale: 1 / (f * sigma * root))
      note(3, found.vega.raw, digits: 1e10, unit: 1e10, scale: f * root)
      note(4, found.theta.raw, digits: 1e10, unit: 1e10, scale: f * sigma / root)
    }
    let names = ["price", "delta", "gamma", "vega", "theta"]
    let figures = zip(names, worst).map { "\($0) \($1.error)" }.joined(separator: ", ")
    print("\(rows.count) European points, worst error in units: \(figures)")
    return worst
  }

  private func judge(_ worst: [Worst]) {
    #expect(worst[0].error <= 0.51, "\(worst[0])")
    #expect(worst[1].error <= 1, "\(worst[1])")
    for other in worst[2...] { #expect(other.error <= 1, "\(other)") }
  }

  @Test("Black-76 prices round correctly, and Greeks hold their bounds")
  func black76() throws { judge(europeanErrors(try Reference.rows("black76.txt"))) }

  @Test(
    "so do thirty thousand points made now, where python3 and mpmath are installed",
    .enabled(if: Python.hasMpmath))
  func points() throws {
    let made = try Python.output([
      Python.script("pricing_references.py"), "--points", "30000", "30",
    ])
    let rows = Reference.rows(text: try #require(made))
    #expect(rows.count == 30_000)
    judge(europeanErrors(rows))
  }

  private func valuation(_ row: Reference) throws -> [Real] {
    let market = try Market(
      spot: row.price(0), rate: row.ratio(1), yield: row.ratio(2), volatility: row.ratio(3),
      time: row.integer(4))
    if row.kind == "touch" {
      let touch = try Barrier.touch(
        market, isUp: row.inputs[5] == "up", barrier: row.price(6),
        cash: row.inputs[7] == "0" ? nil : row.price(7))
      return [touch.atHit.price, touch.atExpiry.price, touch.atHit.delta, touch.atExpiry.delta]
    }
    let v: Valuation
    switch row.kind {
    case "european": v = try European.vanilla(market, row.type(5), strike: row.price(6))
    case "digital":
      v = try European.cashDigital(market, row.type(5), strike: row.price(6), cash: row.price(7))
    case "asset_digital": v = try European.assetDigital(market, row.type(5), strike: row.price(6))
    case "gap":
      v = try European.gap(market, row.type(5), strike: row.price(6), payoffStrike: row.price(7))
    case "barrier":
      let kind = try #require(BarrierType(rawValue: row.inputs[5]))
      v = try Barrier.option(
        market, kind, row.type(6), strike: row.price(7), barrier: row.price(8),
        rebate: row.price(9))
      let price = try Barrier.price(
        market, kind, row.type(6), strike: row.price(7), barrier: row.price(8),
        rebate: row.price(9))
      #expect(price.units == v.price.units)
    default:
      let kind = try #require(BarrierType(rawValue: row.inputs[5]))
      v = try Barrier.binary(
        market, kind, row.type(6), strike: row.price(7), barrier: row.price(8), cash: row.price(9))
    }
    return [v.price, v.delta, v.gamma, v.vega, v.theta, v.rho]
  }

  @Test("products and all their Greeks agree")
  func products() throws {
    for row in try Reference.rows("products.txt") + Reference.rows("amplified.txt") {
      let found = try valuation(row)
      let spot = Double(row.integer(0)) * 1e-8
      for (index, expected) in row.results.enumerated() {
        // Half a unit of 1e-8 of doubt is allowed to a price, 1e-12 of the spot beside it elsewhere.
        let difference = abs(Double(found[index].units - expected!)) / 1e10
        let allowance = index == 0 || row.kind == "touch" ? 0.5 : 1 + 1e-4 * spot
        #expect(difference <= allowance, "\(row.kind) \(row.inputs) result \(index)")
      }
    }
  }

  @Test("perpetual marks agree within 1e-9")
  func perpetuals() throws {
    for row in try Reference.rows("perpetuals.txt") {
      let found: [Real?]
      if row.kind == "power" {
        let power = try Perpetual.power(
          spot: row.price(0), power: row.ratio(1), rate: row.ratio(2), volatility: row.ratio(3),
          fundingDays: row.ratio(4))
        found = [power.index, power.markContinuous, power.markStrip]
        #expect((row.results[2] == nil) == (power.markStrip == nil), "\(row.inputs)")
      } else {
        let mark = try Perpetual.everlasting(
          row.type(0), spot: row.price(1), strike: row.price(2), rate: row.ratio(3),
          volatility: row.ratio(4), fundingDays: row.ratio(5))
        found = [mark.markContinuous, mark.markStrip]
      }
      for (value, expected) in zip(found, row.results) {
        guard let expected, let value else { continue }
        let difference = abs(Double(value.units - expected))
        #expect(
          difference <= max(1e10, 1e-9 * abs(Double(expected))), "\(row.kind) \(row.inputs)")
      }
    }
  }

  @Test("SVI total variance agrees within 1e-15, volatility within its unit")
  func surfaces() throws {
    for row in try Reference.rows("surfaces.txt") {
      let slice = SurfaceSlice(
        a: row.integer(0), b: row.integer(1), rho: row.integer(2), m: row.integer(3),
        sigma: row.integer(4))
      let w = slice.totalVariance(strike: row.price(5), forward: row.price(6))
      let fixed = Double(w.raw) * 0x1p-57 * 1e18
      let expected = Double(row.results[0]!)
      #expect(abs(fixed - expected) <= 1e3 + 1e-12 * expected, "\(row.inputs)")
      let volatility = slice.volatility(
        strike: row.price(5), forward: row.price(6), time: row.integer(7))
      let error = abs(Double(Int128(volatility.raw) * 1_000_000_000 - row.results[1]!)) / 1e9
      #expect(error <= 0.51 + 1e-15 * Double(volatility.raw), "\(row.inputs)")
    }
  }

  @Test("the functions agree to fourteen digits")
  func functions() throws {
    for row in try Reference.rows("functions.txt") {
      let x = Real(Int128(row.inputs[0])!, digits: 18)
      for (name, expected) in zip(Function.allCases, row.results) {
        let found = try? name.value(at: x)
        guard let expected else {
          #expect(found == nil, "\(name) at \(row.inputs[0])")
          continue
        }
        let error = abs(Double(found!.units - expected))
        #expect(error <= 2 + 1e-14 * abs(Double(expected)), "\(name) at \(row.inputs[0])")
      }
    }
  }
}
