import Foundation
import Pricing
import Primitives
import Testing

/// Values printed in books and other libraries' tests; each row of published.txt names its source.
@Suite("Published tables")
struct PublishedTests {
  private static func units(_ text: String, _ digits: Int) -> Int64 {
    var divisor: Int128 = 1
    for _ in 0..<(18 - digits) { divisor *= 10 }
    return Int64(Reference.decimal(text)! / divisor)
  }

  @Test("every row agrees to its printed digits")
  func rows() throws {
    let url = Reference.folder.appendingPathComponent("Fixtures/Pricing/published.txt")
    let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
    var count = 0
    for line in lines where !line.hasPrefix("#") {
      let parts = line.split(separator: "|")
      let source = try #require(parts.last.map(String.init))
      #expect(parts.count == 2 && source.contains("QuantLib"), "\(line): no source")
      let halves = parts[0].split(separator: "=")
      let fields = halves[0].split(separator: " ").map(String.init)
      let expected = Reference.decimal(
        halves[1].trimmingCharacters(in: .whitespaces))!
      let found = try value(fields).units
      #expect(abs(found - expected) <= 100_000_000_000_000, "\(line)")
      count += 1
    }
    #expect(count > 100)
  }

  private func value(_ f: [String]) throws -> Real {
    func price(_ text: String) -> Price { Price(raw: PublishedTests.units(text, 8)) }
    func ratio(_ text: String) -> Ratio { Ratio(raw: PublishedTests.units(text, 9)) }
    let years = Reference.decimal(f[5])!
    let market = try Market(
      spot: price(f[1]), rate: ratio(f[2]), yield: ratio(f[3]), volatility: ratio(f[4]),
      time: Int64(years * 31_536_000_000 / Reference.scale))
    func type(_ text: String) -> OptionType { text == "call" ? .call : .put }
    switch f[0] {
    case "european": return try European.vanilla(market, type(f[6]), strike: price(f[7])).price
    case "delta": return try European.vanilla(market, type(f[6]), strike: price(f[7])).delta
    case "gamma": return try European.vanilla(market, type(f[6]), strike: price(f[7])).gamma
    case "vega": return try European.vanilla(market, type(f[6]), strike: price(f[7])).vega
    case "theta": return try European.vanilla(market, type(f[6]), strike: price(f[7])).theta
    case "rho": return try European.vanilla(market, type(f[6]), strike: price(f[7])).rho
    case "digital":
      return try European.cashDigital(
        market, type(f[6]), strike: price(f[7]), cash: price(f[8])
      ).price
    case "asset_digital":
      return try European.assetDigital(market, type(f[6]), strike: price(f[7])).price
    case "gap":
      return try European.gap(
        market, type(f[6]), strike: price(f[7]), payoffStrike: price(f[8])
      ).price
    case "barrier":
      return try Barrier.option(
        market, BarrierType(rawValue: f[6])!, type(f[7]), strike: price(f[8]), barrier: price(f[9]),
        rebate: price(f[10])
      ).price
    case "binary":
      return try Barrier.binary(
        market, BarrierType(rawValue: f[6])!, type(f[7]), strike: price(f[8]), barrier: price(f[9]),
        cash: price(f[10])
      ).price
    default:
      let touch = try Barrier.touch(
        market, isUp: f[6] == "up", barrier: price(f[7]), cash: f[8] == "-" ? nil : price(f[8]))
      switch f[0] {
      case "at_hit": return touch.atHit.price
      case "at_expiry": return touch.atExpiry.price
      default: return touch.noTouch.price
      }
    }
  }
}
