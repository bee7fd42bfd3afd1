import Glibc
import Primitives
import Wire

/// Raw SVI fitted to the mark volatilities of one expiry: a tool for people, in floating point,
/// whose rounded figures are what a publisher signs.
///
/// For a given m and σ the smile is linear in a, b and ρb (Zeliade 2009, quasi-explicit
/// calibration): least squares by vega solve those, a search finds m and σ.
enum ChainSmile {
  private struct Point {
    let k: Double
    /// Total variance.
    let w: Double
    let weight: Double
  }

  private struct Smile {
    var a = 0.0
    var b = 0.0
    var rho = 0.0
    var m = 0.0
    var sigma = 0.1
    var error = Double.infinity
  }

  /// The smile of an expiry's rows; flat where they are too few.
  /// - Parameter time: milliseconds to expiry.
  static func parameters(_ rows: [ChainFile.Row], forward: Price, time: Int64)
    -> SurfaceParameters
  {
    let points = points(rows, forward: forward, time: time)
    let least = 5
    let smile = points.count < least ? flat(points) : fit(points)
    func raw(_ value: Double) -> Int64 { Int64((value * 1e12).rounded()) }
    return SurfaceParameters(
      a: raw(smile.a), b: raw(smile.b), rho: raw(smile.rho), m: raw(smile.m),
      sigma: max(raw(smile.sigma), 1_000_000))
  }

  private static func points(_ rows: [ChainFile.Row], forward: Price, time: Int64) -> [Point] {
    let years = Double(time) / Double(Timestamp.millisecondsPerYear)
    return rows.compactMap { row in
      // Out of the money, where marks say most about volatility.
      guard row.isCall == (row.strike >= forward) else { return nil }
      let volatility = Double(row.markVolatility.raw) / Double(Ratio.scale)
      let k = log(Double(row.strike.raw) / Double(forward.raw))
      let w = volatility * volatility * years
      guard w > 0 else { return nil }
      let deviation = w.squareRoot()
      let d1 = deviation / 2 - k / deviation
      // An error in w moves the price by vega/(2√(wT)) of it.
      let vega = exp(-d1 * d1 / 2)
      return Point(k: k, w: w, weight: max(vega * vega / w, 1e-9))
    }
  }

  private static func flat(_ points: [Point]) -> Smile {
    let weight = points.reduce(0) { $0 + $1.weight }
    let mean = weight > 0 ? points.reduce(0) { $0 + $1.weight * $1.w } / weight : 0.01
    return Smile(a: mean)
  }

  // MARK: - Search

  private static func fit(_ points: [Point]) -> Smile {
    let (low, high) = (points.map(\.k).min() ?? -1, points.map(\.k).max() ?? 1)
    var best = flat(points)
    best.error = error(of: best, points)
    // A coarse net over m and log σ, then finer ones around the best.
    var (m, width) = ((low + high) / 2, (high - low) / 2)
    var (logSigma, spread) = (log(0.1), log(10.0))
    let half = 4
    for _ in 0..<7 {
      for i in -half...half {
        for j in -half...half {
          let trial = solve(
            points, m: min(max(m + width * Double(i) / Double(half), -3.9), 3.9),
            sigma: min(max(exp(logSigma + spread * Double(j) / Double(half)), 1e-3), 3.9))
          if trial.error < best.error { best = trial }
        }
      }
      (m, logSigma) = (best.m, log(best.sigma))
      width *= 0.4
      spread *= 0.4
    }
    return best
  }

  /// The best a, b and ρ for an m and a σ, inside the domain: b ≥ 0, |ρ| < 1, b(1 + |ρ|) ≤ 2, no
  /// negative variance.
  private static func solve(_ points: [Point], m: Double, sigma: Double) -> Smile {
    // w = a + d·y + c·√(y² + 1), y = (k - m)/σ, c = bσ, d = ρc.
    var s = [Double](repeating: 0, count: 9)
    for point in points {
      let y = (point.k - m) / sigma
      let z = (y * y + 1).squareRoot()
      let q = point.weight
      s[0] += q
      s[1] += q * y
      s[2] += q * z
      s[3] += q * y * y
      s[4] += q * y * z
      s[5] += q * z * z
      s[6] += q * point.w
      s[7] += q * y * point.w
      s[8] += q * z * point.w
    }
    let determinant =
      s[0] * (s[3] * s[5] - s[4] * s[4]) - s[1] * (s[1] * s[5] - s[4] * s[2])
      + s[2] * (s[1] * s[4] - s[3] * s[2])
    guard determinant.magnitude > 1e-30 else { return Smile() }
    var d =
      (s[0] * (s[7] * s[5] - s[4] * s[8]) - s[6] * (s[1] * s[5] - s[4] * s[2])
        + s[2] * (s[1] * s[8] - s[7] * s[2])) / determinant
    var c =
      (s[0] * (s[3] * s[8] - s[7] * s[4]) - s[1] * (s[1] * s[8] - s[7] * s[2])
        + s[6] * (s[1] * s[4] - s[3] * s[2])) / determinant
    c = min(max(c, 0), 2 * sigma / (1 + 0.999))
    d = min(max(d, -0.999 * c), 0.999 * c)
    // The level that fits best with these, kept above the lowest that variance allows.
    let rho = c > 0 ? d / c : 0
    let a = max((s[6] - d * s[1] - c * s[2]) / s[0], 1e-9 - c * (1 - rho * rho).squareRoot())
    var smile = Smile(a: a, b: c / sigma, rho: rho, m: m, sigma: sigma)
    smile.error = error(of: smile, points)
    return smile
  }

  private static func error(of smile: Smile, _ points: [Point]) -> Double {
    points.reduce(0) { sum, point in
      let x = point.k - smile.m
      let w =
        smile.a + smile.b * (smile.rho * x + (x * x + smile.sigma * smile.sigma).squareRoot())
      return sum + point.weight * (w - point.w) * (w - point.w)
    }
  }
}
