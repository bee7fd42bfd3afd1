public import Primitives

/// Why a surface is refused, and where.
public struct SurfaceViolation: Error, Sendable {
  public enum Reason: String, Sendable {
    /// |ρ| is 1 or more.
    case rho
    /// b is below zero.
    case b
    /// σ is below 1e-6, where no grid sees the kink.
    case sigma
    /// The least total variance is below zero.
    case negativeVariance = "negative_variance"
    /// b(1 + |ρ|) passes 2: Lee's bound on the wings.
    case wing
    /// g(k) is below zero: a negative density.
    case butterfly
    /// Total variance falls from one expiry to the next.
    case calendar
    /// Total variance reaches 63 within |k| ≤ 3.
    case range
  }

  public let reason: Reason
  /// ln(K/F) of the worst point, where the reason has one.
  public let logMoneyness: Real?
}

extension SurfaceSlice {
  /// The parameters as real numbers.
  struct Parameters {
    let a: Real
    let b: Real
    let rho: Real
    let m: Real
    let sigma: Real

    init(_ slice: SurfaceSlice) {
      a = Real(slice.a) * .surfaceStep
      b = Real(slice.b) * .surfaceStep
      rho = Real(slice.rho) * .surfaceStep
      m = Real(slice.m) * .surfaceStep
      sigma = Real(slice.sigma) * .surfaceStep
    }

    func totalVariance(_ k: Real) -> Real {
      let distance = k - m
      let root = (distance * distance + sigma * sigma).squareRoot
      return a + b * (rho * distance + root)
    }

    /// Gatheral and Jacquier 2014, eq. 2.1; nil where w is not positive.
    func density(_ k: Real) -> Real? {
      let distance = k - m
      let root = (distance * distance + sigma * sigma).squareRoot
      if root.isZero { return .one }
      let w = a + b * (rho * distance + root)
      guard w.isPositive else { return nil }
      let slope = b * (rho + distance / root)
      let curvature = b * sigma * sigma / (root * root * root)
      let term = Real.one - k * slope / w.shifted(1)
      let quarter = Real.one.shifted(-2)
      return term * term - (slope * slope).shifted(-2) * (Real.one / w + quarter)
        + curvature.shifted(-1)
    }
  }

  /// w(k) without the ceiling of `totalVariance`; relative error 1e-18 of its largest term.
  public func wideTotalVariance(_ k: Real) -> Real { Parameters(self).totalVariance(k) }

  /// ln(K/F) to full precision; both positive.
  public static func wideLogMoneyness(strike: Price, forward: Price) -> Real {
    (Real(strike) / Real(forward)).logarithm
  }

  /// √(w/T) of a wide total variance; nil without time or below zero.
  public static func volatility(of w: Real, time: Int64) -> Real? {
    guard time > 0, !w.isNegative || w.isZero else { return nil }
    return (w / Real(milliseconds: time)).squareRoot
  }

  /// The variance of the Derive exchange's clamp: k held to ±4√(a + bσ), w to at most 144.
  public func clampedTotalVariance(_ k: Real) -> Real {
    let p = Parameters(self)
    let level = p.a + p.b * p.sigma
    let bound = level.isPositive ? level.squareRoot.shifted(2) : .zero
    let held = k > bound ? bound : k < -bound ? -bound : k
    let w = p.totalVariance(held)
    return w > Real(144) ? Real(144) : w
  }

  /// The first static arbitrage found, in the order of `SurfaceViolation.Reason`; nil when free.
  ///
  /// Butterflies are looked for on k = m + σ sinh t, which follows the kink however narrow, on
  /// multiples of √w(0)/8 to ±8√w(0), and by a search around the least of all. Cost about 0.5 ms.
  /// Source: Gatheral and Jacquier, arXiv:1204.0646; Lee 2004 for the wings.
  public func violation() -> SurfaceViolation? {
    if rho <= -SurfaceSlice.scale || rho >= SurfaceSlice.scale {
      return SurfaceViolation(reason: .rho, logMoneyness: nil)
    }
    if b < 0 { return SurfaceViolation(reason: .b, logMoneyness: nil) }
    if b == 0 && a >= 0 {
      return a < 63 * SurfaceSlice.scale
        ? nil : SurfaceViolation(reason: .range, logMoneyness: .zero)
    }
    if b > 0 && sigma < 1_000_000 {
      return SurfaceViolation(reason: .sigma, logMoneyness: nil)
    }
    let p = Parameters(self)
    // The least variance, a + bσ√(1-ρ²), lies at m - ρσ/√(1-ρ²).
    let cosine = (Real.one - p.rho * p.rho).squareRoot
    let lowest = p.a + p.b * p.sigma * cosine
    if lowest.isNegative && !lowest.isZero {
      return SurfaceViolation(
        reason: .negativeVariance, logMoneyness: p.m - p.rho * p.sigma / cosine)
    }
    let steepest = Int128(b) * Int128(SurfaceSlice.scale + abs(rho))
    if steepest > 2 * Int128(SurfaceSlice.scale) * Int128(SurfaceSlice.scale) {
      let isRight = rho >= 0
      return SurfaceViolation(reason: .wing, logMoneyness: isRight ? Real(3) : Real(-3))
    }
    for end in [Real(-3), Real(3)] where !(p.totalVariance(end) < Real(63)) {
      return SurfaceViolation(reason: .range, logMoneyness: end)
    }
    return butterfly(p)
  }

  private func butterfly(_ p: Parameters) -> SurfaceViolation? {
    let grid = grid()
    func density(_ k: Int64) -> Real { p.density(Real(k, fractionBits: 57)) ?? .one }
    var worst = 0
    var least = density(grid[0])
    for index in 1..<grid.count {
      let value = density(grid[index])
      if value < least {
        least = value
        worst = index
      }
    }
    var low = grid[max(worst - 1, 0)]
    var high = grid[min(worst + 1, grid.count - 1)]
    var place = grid[worst]
    // A third of the bracket falls away each step.
    for _ in 0..<96 where high - low > 2 {
      let third = (high - low) / 3
      let (left, right) = (low + third, high - third)
      let (atLeft, atRight) = (density(left), density(right))
      if atLeft < least { (least, place) = (atLeft, left) }
      if atRight < least { (least, place) = (atRight, right) }
      if atLeft < atRight { high = right } else { low = left }
    }
    guard least.isNegative, !least.isZero else { return nil }
    return SurfaceViolation(reason: .butterfly, logMoneyness: Real(place, fractionBits: 57))
  }

  /// Where the slice is checked: k in Q57, rising.
  func grid() -> [Int64] {
    let p = Parameters(self)
    var places: [Int64] = [0]
    func add(_ k: Real) { places.append(Int64(truncatingIfNeeded: k.fixed(fractionBits: 57))) }
    if p.sigma.isPositive {
      func inverse(_ k: Real) -> Real {
        let x = ((k - p.m) / p.sigma)
        let size = x.absolute
        let value = (size + (size * size + .one).squareRoot).logarithm
        return x.isNegative ? -value : value
      }
      let (start, end) = (inverse(Real(-3)), inverse(Real(3)))
      let count = 512
      let step = (end - start) / Real(Int64(count))
      for index in 0...count {
        let e = (start + step * Real(Int64(index))).exponential
        add(p.m + p.sigma * (e - .one / e).shifted(-1))
      }
    }
    let center = p.totalVariance(.zero)
    if center.isPositive && center < Real(63) {
      let step = center.squareRoot.shifted(-3)
      for j in -64...64 { add(step * Real(Int64(j))) }
    }
    return places.sorted()
  }

  /// Where total variance falls from `self` to a later slice: the worst place on both grids.
  public func calendarViolation(before later: SurfaceSlice) -> SurfaceViolation? {
    let (near, far) = (Parameters(self), Parameters(later))
    var worst: (gap: Real, place: Real)?
    for k in grid() + later.grid() {
      let place = Real(k, fractionBits: 57)
      let gap = far.totalVariance(place) - near.totalVariance(place)
      guard gap.isNegative, !gap.isZero else { continue }
      if worst.map({ gap < $0.gap }) ?? true { worst = (gap, place) }
    }
    return worst.map { SurfaceViolation(reason: .calendar, logMoneyness: $0.place) }
  }
}
