public import Primitives

/// The smiles of one underlying, an expiry each.
///
/// Between expiries total variance is linear in time at constant ln(K/F); before the first it shrinks
/// in proportion, after the last volatility stays.
public struct Surface: Sendable {
  /// One smile and when it expires.
  public struct Expiry: Sendable {
    /// Milliseconds to expiry.
    public let time: Int64
    public let slice: SurfaceSlice
    public init(time: Int64, slice: SurfaceSlice) {
      self.time = time
      self.slice = slice
    }
  }

  public let expiries: [Expiry]

  /// - Precondition: at least one expiry, times positive and rising.
  /// - Throws: the first static arbitrage, of one slice or between neighbours.
  public init(_ expiries: [Expiry]) throws(SurfaceViolation) {
    precondition(!expiries.isEmpty, "a surface needs an expiry")
    var last: Int64 = 0
    for index in expiries.indices {
      precondition(expiries[index].time > last, "expiries must rise")
      last = expiries[index].time
      if let violation = expiries[index].slice.violation() { throw violation }
      guard index > 0 else { continue }
      let earlier = expiries[index - 1].slice
      if let violation = earlier.calendarViolation(before: expiries[index].slice) {
        throw violation
      }
    }
    self.expiries = expiries
  }

  /// w at ln(K/F) in Q57 and a time in milliseconds, held to [0, 63]. Linear in the expiries.
  public func totalVariance(logMoneyness k: Int64, time: Int64) -> TotalVariance {
    let clock = min(max(time, 0), 10 &* Timestamp.millisecondsPerYear)
    let next = expiries.firstIndex { $0.time >= clock } ?? expiries.count
    if next == 0 || next == expiries.count {
      let end = expiries[next == 0 ? 0 : next - 1]
      let w = Int128(end.slice.totalVariance(logMoneyness: k).raw) &* Int128(clock)
      let value = w.divided(by: Int128(end.time), rounding: .nearestEven)
      return TotalVariance(
        raw: Int64(truncatingIfNeeded: min(value, Int128(SurfaceCurve.ceiling))))
    }
    let (before, after) = (expiries[next - 1], expiries[next])
    let low = Int128(before.slice.totalVariance(logMoneyness: k).raw)
    let high = Int128(after.slice.totalVariance(logMoneyness: k).raw)
    let span = Int128(after.time - before.time)
    let sum = low &* Int128(after.time - clock) &+ high &* Int128(clock - before.time)
    return TotalVariance(
      raw: Int64(truncatingIfNeeded: sum.divided(by: span, rounding: .nearestEven)))
  }

  /// √(w/T) to the nearest 1e-9.
  public func volatility(strike: Price, forward: Price, time: Int64) -> Ratio {
    totalVariance(
      logMoneyness: SurfaceSlice.logMoneyness(strike: strike, forward: forward), time: time
    ).volatility(time: time)
  }
}

/// Surface SVI: w = θ/2 (1 + ρφk + √((φk + ρ)² + 1 - ρ²)), three numbers an expiry in units of 1e-12.
/// Gatheral and Jacquier 2014, §4.
public struct SurfaceSVI: Sendable, Hashable {
  public let theta: Int64
  public let rho: Int64
  public let phi: Int64

  public init(theta: Int64, rho: Int64, phi: Int64) {
    self.theta = theta
    self.rho = rho
    self.phi = phi
  }

  /// The same smile in raw parameters: θ(1-ρ²)/2, θφ/2, ρ, -ρ/φ, √(1-ρ²)/φ, each to the nearest 1e-12.
  /// - Throws: `.rho`, `.b` and `.negativeVariance` where the parameters make no smile.
  public func slice() throws(SurfaceViolation) -> SurfaceSlice {
    let (t, r, f) = try parameters()
    let rest = Real.one - r * r
    func units(_ value: Real) -> Int64 { (value / .surfaceStep).nearest }
    return SurfaceSlice(
      a: units((t * rest).shifted(-1)), b: units((t * f).shifted(-1)), rho: rho,
      m: units(-(r / f)), sigma: units(rest.squareRoot / f))
  }

  private func parameters() throws(SurfaceViolation) -> (Real, Real, Real) {
    guard rho > -SurfaceSlice.scale, rho < SurfaceSlice.scale else {
      throw SurfaceViolation(reason: .rho, logMoneyness: nil)
    }
    guard theta > 0 else { throw SurfaceViolation(reason: .negativeVariance, logMoneyness: .zero) }
    guard phi > 0 else { throw SurfaceViolation(reason: .b, logMoneyness: nil) }
    let step = Real.surfaceStep
    return (Real(theta) * step, Real(rho) * step, Real(phi) * step)
  }

  /// θφ(1+|ρ|) < 4 and θφ²(1+|ρ|) ≤ 4: sufficient against butterflies, Theorem 4.2.
  public func violation() -> SurfaceViolation? {
    do throws(SurfaceViolation) {
      let (t, r, f) = try parameters()
      let wing = t * f * (Real.one + r.absolute)
      if !(wing < Real(4)) { return SurfaceViolation(reason: .wing, logMoneyness: nil) }
      if wing * f > Real(4) {
        return SurfaceViolation(reason: .butterfly, logMoneyness: .zero)
      }
      return nil
    } catch {
      return error
    }
  }

  /// θ must not fall, and 0 ≤ Δ(θφ)/Δθ ≤ φ(1+√(1-ρ²))/ρ² with one ρ for both: Theorem 4.1 between two
  /// expiries. Differing ρ is checked on the raw slices' grids.
  public func calendarViolation(before later: SurfaceSVI) -> SurfaceViolation? {
    do throws(SurfaceViolation) {
      if rho != later.rho {
        return try slice().calendarViolation(before: try later.slice())
      }
      let (t1, r, f1) = try parameters()
      let (t2, _, f2) = try later.parameters()
      let refusal = SurfaceViolation(reason: .calendar, logMoneyness: .zero)
      let rise = t2 - t1
      let skew = t2 * f2 - t1 * f1
      if rise.isZero && skew.isZero { return nil }
      guard rise.isPositive, !skew.isNegative || skew.isZero else { return refusal }
      if r.isZero { return nil }
      let bound = f1 * (Real.one + (Real.one - r * r).squareRoot) / (r * r)
      return skew / rise > bound ? refusal : nil
    } catch {
      return error
    }
  }
}
