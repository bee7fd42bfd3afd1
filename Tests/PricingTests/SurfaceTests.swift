import Foundation
import Pricing
import Primitives
import Testing

private let day: Int64 = 86_400_000
private let one = SurfaceSlice.scale

private func slice(_ a: Double, _ b: Double, _ rho: Double, _ m: Double, _ sigma: Double)
  -> SurfaceSlice
{
  func units(_ value: Double) -> Int64 { Int64((value * 1e12).rounded()) }
  return SurfaceSlice(a: units(a), b: units(b), rho: units(rho), m: units(m), sigma: units(sigma))
}

private func q57(_ value: Double) -> Int64 { Int64(value * 0x1p57) }
private func double(_ w: TotalVariance) -> Double { Double(w.raw) * 0x1p-57 }

@Suite("Surface")
struct SurfaceTests {
  private let near = slice(0.01, 0.05, -0.3, 0.02, 0.15)
  private let far = slice(0.04, 0.09, -0.35, 0.03, 0.25)

  @Test(
    "each static arbitrage is refused with its reason",
    arguments: [
      (slice(0.04, 0.1, 1, 0, 0.2), SurfaceViolation.Reason.rho),
      (slice(0.04, 0.1, -1, 0, 0.2), .rho), (slice(0.04, -0.1, 0, 0, 0.2), .b),
      (slice(0.04, 0.1, 0, 0, 0), .sigma), (slice(-0.03, 0.1, 0, 0, 0.2), .negativeVariance),
      (slice(0.04, 1.5, 0.5, 0, 0.2), .wing), (slice(63, 0, 0, 0, 0), .range),
      (slice(-0.041, 0.1331, 0.306, 0.3586, 0.4153), .butterfly),
      (slice(2.28e-5, 0.012, -0.368, -8.4e-5, 1.04e-4), .butterfly),
    ])
  func violations(slice: SurfaceSlice, reason: SurfaceViolation.Reason) {
    #expect(slice.violation()?.reason == reason)
  }

  @Test("slices of a market, and a flat one, are free")
  func free() {
    #expect(near.violation() == nil && far.violation() == nil)
    #expect(SurfaceSlice(flat: Ratio(raw: 500_000_000), time: 30 * day).violation() == nil)
  }

  @Test("a fall from one expiry to the next is found where it is worst")
  func calendar() throws {
    #expect(near.calendarViolation(before: far) == nil)
    let back = try #require(far.calendarViolation(before: near))
    #expect(back.reason == .calendar)
    // Steeper on one side alone: the fall is far out on that side.
    let steep = slice(0.005, 0.2, 0.9, 0, 0.1)
    let place = try #require(steep.calendarViolation(before: far)?.logMoneyness?.scaled(digits: 6))
    #expect(place > 1_000_000)
    #expect(throws: SurfaceViolation.self) {
      try Surface([.init(time: day, slice: far), .init(time: 2 * day, slice: near)])
    }
  }

  @Test(
    "between expiries total variance is linear in time; before the first it shrinks in proportion")
  func interpolation() throws {
    let surface = try Surface([
      .init(time: 10 * day, slice: near), .init(time: 40 * day, slice: far),
    ])
    for k in [-0.8, -0.1, 0, 0.05, 1.2] {
      let (low, high) = (
        double(near.totalVariance(logMoneyness: q57(k))),
        double(far.totalVariance(logMoneyness: q57(k)))
      )
      func w(_ days: Int64) -> Double {
        double(surface.totalVariance(logMoneyness: q57(k), time: days * day))
      }
      #expect(w(10) == low && w(40) == high)
      #expect(abs(w(20) - (low + (high - low) / 3)) < 1e-15)
      #expect(abs(w(5) - low / 2) < 1e-15)
      // After the last, volatility stays.
      #expect(abs(w(80) - high * 2) < 1e-15)
      #expect(w(0) == 0)
    }
  }

  @Test("volatility is the root of total variance over time")
  func volatility() throws {
    let surface = try Surface([.init(time: 73 * day, slice: slice(0.05, 0, 0, 0, 0))])
    // 0.05 over a fifth of a year is 0.25.
    let vol = surface.volatility(
      strike: Price(raw: 7), forward: Price(raw: 5), time: 73 * day)
    #expect(vol == Ratio(raw: 500_000_000))
    let flat = SurfaceSlice(flat: Ratio(raw: 654_321_987), time: 17 * day)
    let back = flat.volatility(strike: Price(raw: 3), forward: Price(raw: 9), time: 17 * day)
    // The parameter's step of 1e-12 in total variance.
    #expect(abs(back.raw - 654_321_987) <= 20)
  }

  @Test("SSVI is its raw slice: w = θ/2 (1 + ρφk + √((φk + ρ)² + 1 - ρ²))")
  func ssvi() throws {
    let (theta, rho, phi) = (0.05, -0.4, 2.5)
    let smile = SurfaceSVI(
      theta: Int64(theta * 1e12), rho: Int64(rho * 1e12), phi: Int64(phi * 1e12))
    #expect(smile.violation() == nil)
    let raw = try smile.slice()
    #expect(raw.violation() == nil)
    for k in [-1.5, -0.2, 0, 0.3, 2] {
      let bent = phi * k + rho
      let expected =
        theta / 2 * (1 + rho * phi * k + (bent * bent + 1 - rho * rho).squareRoot())
      // Five parameters rounded to 1e-12.
      #expect(abs(double(raw.totalVariance(logMoneyness: q57(k))) - expected) < 5e-12)
    }
  }

  @Test("SSVI is refused where its bounds are passed")
  func ssviViolations() {
    func smile(_ theta: Double, _ rho: Double, _ phi: Double) -> SurfaceSVI {
      SurfaceSVI(theta: Int64(theta * 1e12), rho: Int64(rho * 1e12), phi: Int64(phi * 1e12))
    }
    #expect(smile(0.05, 0.5, 60).violation()?.reason == .wing)
    #expect(smile(0.05, 0.5, 9).violation()?.reason == .butterfly)
    #expect(smile(0.05, 1, 1).violation()?.reason == .rho)
    #expect(smile(0, 0, 1).violation()?.reason == .negativeVariance)
    #expect(smile(0.05, 0, 0).violation()?.reason == .b)
    let (early, late) = (smile(0.04, -0.4, 3), smile(0.06, -0.4, 2.5))
    #expect(early.calendarViolation(before: late) == nil)
    #expect(late.calendarViolation(before: early)?.reason == .calendar)
    // θ rises, θφ falls.
    #expect(early.calendarViolation(before: smile(0.05, -0.4, 2))?.reason == .calendar)
    // Differing ρ is looked at on the slices.
    #expect(early.calendarViolation(before: smile(0.2, -0.3, 2)) == nil)
  }

  @Test("outside a market a slice is held, not wrapped", arguments: [11, 12] as [UInt64])
  func extremes(seed: UInt64) {
    var random = Random(seed: seed)
    for _ in 0..<20_000 {
      let wild = SurfaceSlice(
        a: Int64(bitPattern: random.word()), b: Int64(bitPattern: random.word()) >> 20,
        rho: random.next(-one...one), m: random.next(-40 * one...40 * one),
        sigma: random.next(0...(31 * one)))
      let curve = wild.curve
      let strike = Price(raw: random.logarithmic(1...Int64.max))
      let forward = Price(raw: random.logarithmic(1...Int64.max))
      let w = curve.totalVariance(strike: strike, forward: forward)
      #expect(w.raw >= 0 && w.raw <= 63 << 57, "\(wild)")
      let again = curve.totalVariance(
        strike: strike, logForward: SurfaceCurve.logarithm(forward))
      // Two logarithms' rounding in place of a quotient's, at a slope of up to 62.
      #expect(abs(w.raw - again.raw) <= 400, "\(wild) \(strike) \(forward)")
    }
  }

  @Test("the short way and the wide one agree to 4e-16")
  func wide() {
    var random = Random(seed: 13)
    for _ in 0..<20_000 {
      let slice = SurfaceSlice(
        a: random.next(0...one / 10), b: random.next(0...(2 * one - 1)),
        rho: random.next(-one + 1...one - 1), m: random.next(-one...one),
        sigma: random.next(1_000_000...one))
      let k = random.next(-2 << 57...2 << 57)
      let real = Real((Int128(k) * 1_000_000_000_000_000_000) >> 57, digits: 18)
      let w = double(slice.totalVariance(logMoneyness: k))
      let exact = Double(slice.wideTotalVariance(real).units) * 1e-18
      #expect(abs(w - exact) < 8e-16 + 2e-16 * w, "\(slice) \(k)")
    }
  }
}
