import Glibc
import Pricing

/// Raw SVI in doubles: what is searched for. What is used is the slice of its integers.
struct RawSVI {
  var a: Double
  var b: Double
  var rho: Double
  var m: Double
  var sigma: Double

  init(a: Double, b: Double, rho: Double, m: Double, sigma: Double) {
    self.a = a
    self.b = b
    self.rho = rho
    self.m = m
    self.sigma = sigma
  }

  init(_ slice: SurfaceSlice) {
    let unit = 1 / Double(SurfaceSlice.scale)
    a = Double(slice.a) * unit
    b = Double(slice.b) * unit
    rho = Double(slice.rho) * unit
    m = Double(slice.m) * unit
    sigma = Double(slice.sigma) * unit
  }

  /// To the nearest 1e-12; nil where a parameter is no number of the format.
  var slice: SurfaceSlice? {
    let units = [a, b, rho, m, sigma].map { ($0 * Double(SurfaceSlice.scale)).rounded() }
    guard units.allSatisfy({ $0.magnitude < 9e18 }) else { return nil }
    return SurfaceSlice(
      a: Int64(units[0]), b: Int64(units[1]), rho: Int64(units[2]), m: Int64(units[3]),
      sigma: Int64(units[4]))
  }

  func totalVariance(_ k: Double) -> Double {
    let x = k - m
    return a + b * (rho * x + (x * x + sigma * sigma).squareRoot())
  }

  /// Gatheral and Jacquier 2014, eq. 2.1; below zero a butterfly has a negative price.
  func density(_ k: Double) -> Double {
    let x = k - m
    let root = (x * x + sigma * sigma).squareRoot()
    let w = a + b * (rho * x + root)
    guard w > 0 else { return -1 }
    let slope = b * (rho + x / root)
    let curvature = b * sigma * sigma / (root * root * root)
    let term = 1 - k * slope / (2 * w)
    return term * term - slope * slope / 4 * (1 / w + 0.25) + curvature / 2
  }

  /// Five numbers without bounds that stand for every slice with b(1 + |ρ|) < `steepest` and no negative
  /// variance: the logit of b(1 + |ρ|)/steepest, the hyperbolic arc tangent of ρ, m, ln σ, and the
  /// logarithm of the least variance.
  init(free: [Double], steepest: Double) {
    rho = tanh(free[1])
    b = steepest / (1 + rho.magnitude) / (1 + exp(-free[0]))
    m = free[2]
    sigma = exp(free[3])
    a = exp(free[4]) - b * sigma * (1 - rho * rho).squareRoot()
  }

  func free(steepest: Double) -> [Double] {
    let held = min(max(rho, -0.9999), 0.9999)
    let share = min(max(b * (1 + held.magnitude) / steepest, 1e-9), 1 - 1e-9)
    let least = a + b * sigma * (1 - held * held).squareRoot()
    return [log(share / (1 - share)), atanh(held), m, log(sigma), log(max(least, 1e-12))]
  }
}
