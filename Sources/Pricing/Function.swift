/// The elementary functions of the kernel, open to everyone.
///
/// Each is good to 1e-15 of its value; `ln` and the others near a zero to 1e-18 absolute. The far tail of
/// the distribution is Laplace's continued fraction (Abramowitz and Stegun 26.2.14), the rest tables.
public enum Function: String, Sendable, CaseIterable {
  case exponential = "exp"
  case logarithm = "ln"
  case squareRoot = "sqrt"
  /// The normal distribution function, its far tail to full relative accuracy.
  case distribution = "cdf"
  /// The normal density.
  case density = "pdf"

  /// - Throws: `.outsideDomain(.x)`: exp beyond ±4 000, ln at or below 0, sqrt below 0.
  public func value(at x: Real) throws(PricingFailure) -> Real {
    switch self {
    case .exponential:
      guard !(x.absolute > .exponentialMax) else { throw .outsideDomain(.x) }
      return x.exponential
    case .logarithm:
      guard x.isPositive else { throw .outsideDomain(.x) }
      return x.logarithm
    case .squareRoot:
      guard !x.isNegative || x.isZero else { throw .outsideDomain(.x) }
      return x.squareRoot
    case .distribution: return Function.distribution(x)
    case .density: return Function.density(x)
    }
  }

  static func density(_ x: Real) -> Real {
    (-(x * x).shifted(-1)).exponential * .inverseRootTwoPi
  }

  /// The table near the middle; below -3 n(x)/(z + 1/(z + 2/(z + ...))), z = -x (Laplace).
  static func distribution(_ x: Real) -> Real {
    guard x < Real(-3) else { return x.normal }
    let z = -x
    var tail = z
    for step in stride(from: Int64(160), to: 0, by: -1) { tail = z + Real(step) / tail }
    return density(x) / tail
  }
}
