import Glibc

/// Quotes as points in total variance with weights.
struct SmileProblem {
  var places: [Double] = []
  var variances: [Double] = []
  var weights: [Double] = []
  /// The weight of an error in volatility, by quote.
  var volatilityWeights: [Double] = []
  let years: Double
  let earlier: RawSVI?
  /// The largest b(1 + |ρ|) looked at: Lee's 2, and no more than the square root of the variance at the
  /// money leaves room for without butterflies. Quotes near the money alone would ask for more.
  private let steepest: Double
  /// The variance nearest the money.
  private let center: Double
  /// Log-moneyness to ±3 or nine deviations, close together at the money, and the earlier variance there.
  private let grid: [Double]
  private let floor: [Double]

  init(_ quotes: [SmileQuote], years: Double, earlier: RawSVI?) {
    self.years = years
    self.earlier = earlier
    for quote in quotes {
      let volatility = quote.middle
      // A tight quote says more; below half a volatility point nothing is gained.
      let doubt = max(quote.ask - quote.bid, 0.005)
      places.append(quote.logMoneyness)
      variances.append(volatility * volatility * years)
      volatilityWeights.append(1 / (doubt * doubt))
      let slope = 2 * volatility * years
      weights.append(1 / (doubt * doubt * slope * slope))
    }
    var center = 0.0
    var nearest = Double.infinity
    for (k, w) in zip(places, variances) where k.magnitude < nearest {
      (nearest, center) = (k.magnitude, w)
    }
    self.center = center
    steepest = min(2, 2 * center.squareRoot())
    let unit = center.squareRoot() / 4
    let end = asinh(max(3, 36 * unit) / unit)
    let grid = (-80...80).map { unit * sinh(end * Double($0) / 80) }
    self.grid = grid
    floor = grid.map { earlier?.totalVariance($0) ?? 0 }
  }

  /// Root mean square in volatility.
  func error(_ model: RawSVI) -> Double {
    var (sum, total) = (0.0, 0.0)
    for index in places.indices {
      let w = max(model.totalVariance(places[index]), 0)
      let gap = (w / years).squareRoot() - (variances[index] / years).squareRoot()
      sum += volatilityWeights[index] * gap * gap
      total += volatilityWeights[index]
    }
    return (sum / total).squareRoot()
  }

  // MARK: - Quasi-explicit

  func quasiExplicit() -> RawSVI {
    let (low, high) = (places.reduce(places[0], min), places.reduce(places[0], max))
    let span = max(high - low, 1e-3)
    var best: (model: RawSVI, value: Double)?
    // The valley has several floors: from the left, the middle and the right, narrow and wide.
    for start in [low / 2, 0, high / 2] {
      for width in [span / 20, span / 4] {
        let found = NelderMead.minimum(
          from: [start, log(width)], steps: [span / 10, 0.5], countMax: 300
        ) { point in
          guard point[0].magnitude < 3, point[1] > -9, point[1] < 2 else { return .infinity }
          return linear(m: point[0], sigma: exp(point[1])).value
        }
        if best.map({ found.value < $0.value }) ?? true {
          let model = linear(m: found.point[0], sigma: exp(found.point[1])).model
          best = (model, found.value)
        }
      }
    }
    return best?.model ?? RawSVI(a: variances[0], b: 0, rho: 0, m: 0, sigma: 0.1)
  }

  /// The best a, b and ρ for these m and σ: w = a + d y + c √(y² + 1), y = (k-m)/σ, c = bσ, d = ρbσ, under
  /// |d| ≤ c and c + |d| ≤ steepest σ.
  private func linear(m: Double, sigma: Double) -> (model: RawSVI, value: Double) {
    let rows = places.map { k in
      let y = (k - m) / sigma
      return (y, (y * y + 1).squareRoot())
    }
    /// Least squares of w = a + t (d y + c z) + fixed part.
    func line(_ c: Double, _ d: Double, from c0: Double, _ d0: Double) -> (Double, Double) {
      var (s, sx, sxx, sw, sxw) = (0.0, 0.0, 0.0, 0.0, 0.0)
      for (index, (y, z)) in rows.enumerated() {
        let x = d * y + c * z
        let w = variances[index] - d0 * y - c0 * z
        s += weights[index]
        sx += weights[index] * x
        sxx += weights[index] * x * x
        sw += weights[index] * w
        sxw += weights[index] * x * w
      }
      let determinant = s * sxx - sx * sx
      return determinant > 0 ? ((s * sxw - sx * sw) / determinant, sw / s) : (0, sw / s)
    }
    func level(_ c: Double, _ d: Double) -> Double {
      var (s, sw) = (0.0, 0.0)
      for (index, (y, z)) in rows.enumerated() {
        s += weights[index]
        sw += weights[index] * (variances[index] - d * y - c * z)
      }
      return sw / s
    }
    func value(_ c: Double, _ d: Double) -> (Double, Double) {
      let a = level(c, d)
      var sum = 0.0
      for (index, (y, z)) in rows.enumerated() {
        let gap = a + d * y + c * z - variances[index]
        sum += weights[index] * gap * gap
      }
      // A least variance below zero is no smile.
      let least = a + max(c * c - d * d, 0).squareRoot()
      return (least < 0 ? sum + 1e3 * sum * least.magnitude / variances[0] : sum, a)
    }
    var candidates: [(c: Double, d: Double)] = []
    let corner = steepest * sigma / 2
    let (c, d) = plane(rows)
    if d.magnitude <= c, c + d.magnitude <= 2 * corner { candidates.append((c, d)) }
    // The four edges of the rhombus with the ends 0 and (2, 0) and the corners (1, ±1), times this:
    for side in [1.0, -1.0] {
      let near = min(max(line(1, side, from: 0, 0).0, 0), corner)
      candidates.append((near, side * near))
      let far = min(max(line(-1, side, from: 2 * corner, 0).0, 0), corner)
      candidates.append((2 * corner - far, side * far))
    }
    var best = (c: 0.0, d: 0.0, a: 0.0, value: Double.infinity)
    for candidate in candidates {
      let (sum, a) = value(candidate.c, candidate.d)
      if sum < best.value { best = (candidate.c, candidate.d, a, sum) }
    }
    let rho = best.c > 0 ? min(max(best.d / best.c, -0.9999), 0.9999) : 0
    return (RawSVI(a: best.a, b: best.c / sigma, rho: rho, m: m, sigma: sigma), best.value)
  }

  /// Least squares in all three, the bounds forgotten.
  private func plane(_ rows: [(Double, Double)]) -> (Double, Double) {
    var (s, sy, sz, syy, syz, szz, sw, syw, szw) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for (index, (y, z)) in rows.enumerated() {
      let (q, w) = (weights[index], variances[index])
      s += q
      sy += q * y
      sz += q * z
      syy += q * y * y
      syz += q * y * z
      szz += q * z * z
      sw += q * w
      syw += q * y * w
      szw += q * z * w
    }
    // The level taken out, two by two.
    let (yy, yz, zz) = (syy - sy * sy / s, syz - sy * sz / s, szz - sz * sz / s)
    let (yw, zw) = (syw - sy * sw / s, szw - sz * sw / s)
    let determinant = yy * zz - yz * yz
    guard determinant > 1e-14 * yy * zz else { return (-1, 0) }
    return ((yy * zw - yz * yw) / determinant, (zz * yw - yz * zw) / determinant)
  }

  // MARK: - With penalties

  /// How far the slice is from being free, with room to spare between the places looked at: nothing when
  /// it is. The exact tests have the last word.
  private func penalty(_ model: RawSVI) -> Double {
    var sum = 0.0
    for (index, k) in grid.enumerated() {
      sum += max(0, 2e-3 - model.density(k))
      if earlier != nil {
        let rise = (model.totalVariance(k) - floor[index]) / center
        sum += max(0, 2e-3 - rise)
      }
    }
    return sum
  }

  /// The best slice without arbitrage that a search finds.
  ///
  /// It begins at smiles that are free, or nearly: the best SSVI, which has no butterflies by its three
  /// numbers' bounds (Gatheral and Jacquier 2014, Theorem 4.2), and the expiry before made larger,
  /// from which nothing falls. Free slices it does not leave again.
  func free(near start: RawSVI) -> RawSVI {
    var starts = [ssvi(near: start)]
    if var scaled = earlier {
      let factor = max(1.001, center / scaled.totalVariance(0))
      scaled.a *= factor
      scaled.b *= factor
      starts.append(scaled)
    }
    let found = starts.map { search(from: $0) }
    return found.min { penalised($0) < penalised($1) } ?? start
  }

  private func search(from start: RawSVI) -> RawSVI {
    var best = start
    // A start beyond the slope that is looked at has none but the bound's own slope.
    let steepest = max(steepest, start.b * (1 + start.rho.magnitude) * 1.01)
    for round in 0..<4 {
      let size = round < 2 ? 1 : 0.2
      let steps = [0.5, 0.2, 0.05, 0.3, 0.5].map { $0 * size * (round % 2 == 0 ? 1 : -1) }
      let found = NelderMead.minimum(
        from: best.free(steepest: steepest), steps: steps, tolerance: 1e-12, countMax: 1_200
      ) {
        let model = RawSVI(free: $0, steepest: steepest)
        guard model.m.magnitude < 3, model.sigma > 1e-4, model.sigma < 8 else { return .infinity }
        return penalised(model)
      }
      best = RawSVI(free: found.point, steepest: steepest)
    }
    return best
  }

  /// The error, and behind every slice that is free those that are not, by how far.
  private func penalised(_ model: RawSVI) -> Double {
    let penalty = penalty(model)
    return penalty > 0 ? 10 + penalty : error(model)
  }

  /// w = θ/2 (1 + ρφk + √((φk + ρ)² + 1 - ρ²)), θφ(1+|ρ|) < 4 and θφ²(1+|ρ|) ≤ 4.
  private func ssvi(near start: RawSVI) -> RawSVI {
    func model(_ point: [Double]) -> RawSVI {
      let (theta, rho) = (exp(point[0]), tanh(point[1]))
      let width = theta * (1 + rho.magnitude)
      let phi = min(4 / width, 2 / width.squareRoot()) * 0.999 / (1 + exp(-point[2]))
      let rest = 1 - rho * rho
      return RawSVI(
        a: theta * rest / 2, b: theta * phi / 2, rho: rho, m: -rho / phi,
        sigma: rest.squareRoot() / phi)
    }
    var point = [log(center), atanh(min(max(start.rho, -0.9), 0.9)) / 2, -2]
    for round in 0..<3 {
      let steps = [0.3, 0.3, 1].map { $0 * (round % 2 == 0 ? 1 : -0.5) }
      point =
        NelderMead.minimum(from: point, steps: steps, countMax: 800) {
          let model = model($0)
          return error(model) + penalty(model)
        }.point
    }
    return model(point)
  }
}
