import Foundation
import Pricing
import Primitives
import Testing

@testable import Calibration

/// A smile like those of the market, and what quotes on it look like.
private let slice = SurfaceSlice(
  a: 4_000_000_000, b: 60_000_000_000, rho: -250_000_000_000, m: 20_000_000_000,
  sigma: 150_000_000_000)
private let years = 0.1

private func quotes(
  _ slice: SurfaceSlice, spread: Double = 0.01, places: StrideThrough<Double>, noise: Double = 0
) -> [SmileQuote] {
  places.enumerated().map { index, k in
    let volatility = (RawSVI(slice).totalVariance(k) / years).squareRoot()
    // A saw, so that the same noise comes every time.
    let middle = volatility + noise * (Double(index % 5) - 2)
    return SmileQuote(logMoneyness: k, bid: middle - spread / 2, ask: middle + spread / 2)
  }
}

private let chain = stride(from: -0.5, through: 0.451, by: 0.05)

@Suite("Smile fits")
struct SmileFitTests {
  @Test("quotes on a smile give the smile back")
  func exact() throws {
    let fit = try SmileFit(quotes(slice, places: chain), years: years)
    #expect(fit.error < 1e-5, "\(fit.error)")
    #expect(fit.insideCount == fit.quoteCount && fit.quoteCount == 20)
    #expect(fit.slice.violation() == nil)
    for k in chain {
      let gap = RawSVI(fit.slice).totalVariance(k) - RawSVI(slice).totalVariance(k)
      #expect(abs(gap) < 1e-6, "\(k)")
    }
  }

  @Test("noisy quotes are passed between, and tight ones count for more")
  func noisy() throws {
    var all = quotes(slice, places: chain, noise: 0.002)
    let fit = try SmileFit(all, years: years)
    #expect(fit.error < 0.004)
    // One absurd quote that nobody means.
    all[3] = SmileQuote(logMoneyness: all[3].logMoneyness, bid: 0.1, ask: 3)
    let robust = try SmileFit(all, years: years)
    let (k, w) = (-0.05, RawSVI(slice).totalVariance(-0.05))
    #expect(abs(RawSVI(robust.slice).totalVariance(k) / w - 1) < 0.02)
  }

  @Test("quotes that no smile without butterflies passes get the nearest that has none")
  func butterflies() throws {
    // Vogt's parameters, and the nearest free slice is not near.
    let vogt = SurfaceSlice(
      a: -41_000_000_000, b: 133_100_000_000, rho: 306_000_000_000, m: 358_600_000_000,
      sigma: 415_300_000_000)
    #expect(vogt.violation()?.reason == .butterfly)
    let fit = try SmileFit(
      quotes(vogt, places: stride(from: -1, through: 1.4, by: 0.1)), years: years)
    #expect(fit.slice.violation() == nil)
    #expect(fit.slice != vogt && fit.error < 0.05)
  }

  @Test("an expiry does not fall below the one before, or is refused with its place")
  func calendar() throws {
    let higher = SurfaceSlice(
      a: slice.a * 3 / 2, b: slice.b * 3 / 2, rho: slice.rho, m: slice.m, sigma: slice.sigma)
    let fit = try SmileFit(quotes(slice, places: chain), years: years, after: higher)
    #expect(higher.calendarViolation(before: fit.slice) == nil)
    // The quotes lie below what is allowed: the fit misses them and says so.
    #expect(fit.error > 0.05 && fit.insideCount == 0)
  }

  @Test("too few quotes are no smile")
  func few() {
    let four = quotes(slice, places: stride(from: -0.2, through: 0.1, by: 0.1))
    #expect(four.count == 4)
    #expect(throws: SmileFit.Failure.self) { try SmileFit(four, years: years) }
  }

  @Test("a slice that the exact tests refuse is refused")
  func refused() throws {
    // Nothing below an earlier variance near the ceiling is free of a fall.
    let ceiling = SurfaceSlice(a: 60_000_000_000_000, b: 0, rho: 0, m: 0, sigma: 0)
    do {
      _ = try SmileFit(quotes(slice, places: chain), years: years, after: ceiling)
      Issue.record("expected a refusal")
    } catch SmileFit.Failure.refused(let found, let violation) {
      let reason = found.violation()?.reason ?? ceiling.calendarViolation(before: found)?.reason
      #expect(reason == violation.reason)
    }
  }

  @Test("quotes come from prices: bid and ask imply the volatilities they were made from")
  func prices() throws {
    let (forward, strike) = (Price(raw: 6_000_000_000_000), Price(raw: 6_500_000_000_000))
    let time: Int64 = 2_592_000_000
    func price(_ vol: Int64) -> Price {
      Black76.price(
        .call, forward: forward, strike: strike, volatility: Ratio(raw: vol), time: time)
    }
    let quote = try #require(
      SmileQuote(
        .call, forward: forward, strike: strike, bid: price(500_000_000), ask: price(520_000_000),
        time: time))
    #expect(abs(quote.bid - 0.5) < 1e-9 && abs(quote.ask - 0.52) < 1e-9)
    #expect(abs(quote.logMoneyness - log(65.0 / 60)) < 1e-15)
    #expect(
      SmileQuote(
        .call, forward: forward, strike: strike, bid: price(520_000_000), ask: price(500_000_000),
        time: time) == nil)
    #expect(
      SmileQuote(
        .call, forward: forward, strike: strike, bid: .zero, ask: price(500_000_000), time: time)
        == nil)
  }

  @Test("the picture shows every quote and every smile")
  func picture() throws {
    let all = quotes(slice, places: chain)
    let svg = SmilePicture([
      .init(title: "BTC <1>", note: "rms", quotes: all, slice: slice, years: years),
      .init(title: "ETH", note: "refused", quotes: all, slice: nil, years: years),
    ]).svg
    #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
    #expect(svg.components(separatedBy: "<polyline").count == 2)
    #expect(svg.components(separatedBy: #"stroke="gray""#).count == 2 * all.count + 1)
    #expect(svg.contains("BTC &lt;1>"))
    #expect(try XMLDocumentCheck.isWellFormed(svg))
  }
}

/// Tags open and close in order; nothing else is asked.
private enum XMLDocumentCheck {
  static func isWellFormed(_ text: String) throws -> Bool {
    var open: [Substring] = []
    for match in text.matches(of: /<(\/?)(\w+)[^>]*?(\/?)>/) {
      if !match.output.3.isEmpty { continue }
      if match.output.1.isEmpty {
        open.append(match.output.2)
      } else if open.popLast() != match.output.2 {
        return false
      }
    }
    return open.isEmpty
  }
}
