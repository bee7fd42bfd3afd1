/// Which way a barrier lies and what its crossing does.
public enum BarrierType: String, Sendable, CaseIterable {
  case downIn = "downin"
  case downOut = "downout"
  case upIn = "upin"
  case upOut = "upout"

  var isDown: Bool { self == .downIn || self == .downOut }
  var isIn: Bool { self == .downIn || self == .upIn }
}

/// The terms of the single-barrier closed forms: Reiner and Rubinstein 1991, in the letters of Haug
/// 1998 pp. 70-72 and 92-95.
struct BarrierTerms<Number: Scalar> {
  let terms: Terms<Number>
  let strike: Real
  let barrier: Real
  /// Number, not price: the deviates.
  let x1: Number
  let x2: Number
  let y1: Number
  let y2: Number
  /// ln(H/S), and the power 2μ of H/S.
  let distance: Number
  let mu: Number
  let ratio: Number
  let reflection: Number
  /// 1/σ², and ln(H/S)/s.
  let inverseSquare: Number
  let reach: Number
  let isDown: Bool
  let isCall: Bool
  /// A power of H/S passes e^6: the tails it multiplies must be good to their own size.
  let isAmplified: Bool

  /// Beyond e^±20 a power would multiply the error of N past the price's unit.
  @inline(__always)
  private static func power(_ exponent: Number, _ distance: Number) throws(PricingFailure)
    -> Number
  {
    let product = exponent * distance
    guard !(product.value.absolute > Real(20)) else { throw .powerTooLarge }
    return product.exponential
  }

  /// - Precondition: spot, barrier and deviation are positive.
  @inline(__always)
  init(
    _ terms: Terms<Number>, strike: Real, barrier: Number, isDown: Bool, isCall: Bool
  ) throws(PricingFailure) {
    self.terms = terms
    self.strike = strike
    self.barrier = barrier.value
    self.isDown = isDown
    self.isCall = isCall
    inverseSquare = Number(.one) / (terms.volatility * terms.volatility)
    mu = terms.carry * inverseSquare - Number(.half)
    ratio = barrier / terms.spot
    distance = ratio.logarithm
    reflection = try BarrierTerms.power(mu.times(.two), distance)
    isAmplified = BarrierTerms.isLarge(reflection)
    _ = try BarrierTerms<Real>.power((mu.value + .one).shifted(1), distance.value)
    let inverse = Number(.one) / terms.deviation
    let drift = (Number(.one) + mu) * terms.deviation
    reach = distance * inverse
    // Without a strike every path ends above it: any deviate past the table says so.
    let moneyness =
      strike.isZero ? Number(Real(4_000)) : (terms.spot / Number(strike)).logarithm * inverse
    x1 = moneyness + drift
    x2 = drift - reach
    y1 = reach + reach + moneyness + drift
    y2 = reach + drift
  }

  /// Above e^6.
  @inline(__always)
  private static func isLarge(_ power: Number) -> Bool { power.value > Real(403) }

  /// N(ηd) where a power multiplies it.
  @inline(__always)
  private func amplified(_ d: Number, _ isPositive: Bool, _ isLarge: Bool) -> Number {
    let own = isPositive ? d : -d
    return isLarge ? own.accurateNormal : own.normal
  }

  /// N(φd) or N(ηd).
  @inline(__always)
  private func side(_ d: Number, _ isPositive: Bool) -> Number { (isPositive ? d : -d).normal }

  /// φ(S e^((b-r)T) N(φd) - X e^(-rT) N(φd - φs)).
  @inline(__always)
  private func direct(_ d: Number) -> Number {
    let asset = terms.forwardValue * side(d, isCall)
    let cash = terms.discount.times(strike) * side(d - terms.deviation, isCall)
    return isCall ? asset - cash : cash - asset
  }

  /// The same, reflected: powers of H/S and η in place of φ.
  @inline(__always)
  private func reflected(_ d: Number) -> Number {
    let asset = terms.forwardValue * reflection * ratio * ratio * amplified(d, isDown, isAmplified)
    let cash =
      terms.discount.times(strike) * reflection
      * amplified(d - terms.deviation, isDown, isAmplified)
    return isCall ? asset - cash : cash - asset
  }

  var a: Number { direct(x1) }
  var b: Number { direct(x2) }
  var c: Number { reflected(y1) }
  var d: Number { reflected(y2) }

  /// The chance, in money of `cash` at expiry, that the barrier stays untouched: Haug's E and B2, B4.
  func untouched(_ cash: Number) -> Number {
    terms.discount * cash
      * (side(x2 - terms.deviation, isDown)
        - reflection * amplified(y2 - terms.deviation, isDown, isAmplified))
  }

  /// `cash` at expiry if the barrier is touched.
  func touched(_ cash: Number) -> Number {
    terms.discount * cash
      * (side(x2 - terms.deviation, !isDown)
        + reflection * amplified(y2 - terms.deviation, isDown, isAmplified))
  }

  /// The asset at expiry if the barrier is touched.
  var touchedAsset: Number {
    terms.forwardValue
      * (side(x2, !isDown) + reflection * ratio * ratio * amplified(y2, isDown, isAmplified))
  }

  /// `cash` when the barrier is touched: Haug's F.
  @inline(__always)
  func atHit(_ cash: Number) throws(PricingFailure) -> Number {
    let inner = mu * mu + terms.rate.times(.two) * inverseSquare
    guard !inner.value.isNegative || inner.value.isZero else { throw .rateTooNegative }
    let lambda = inner.value.isZero ? Number(.zero) : inner.squareRoot
    let drift = lambda * terms.deviation
    let z = reach + drift
    let turned = reach - drift
    let rise = try BarrierTerms.power(mu + lambda, distance)
    let fall = try BarrierTerms.power(mu - lambda, distance)
    return cash
      * (rise * amplified(z, isDown, BarrierTerms.isLarge(rise))
        + fall * amplified(turned, isDown, BarrierTerms.isLarge(fall)))
  }

  // MARK: - Binary terms, Haug's B1...B4

  func cash1(_ cash: Real) -> Number {
    terms.discount.times(cash) * side(x1 - terms.deviation, isCall)
  }
  func cash2(_ cash: Real) -> Number {
    terms.discount.times(cash) * side(x2 - terms.deviation, isCall)
  }
  func cash3(_ cash: Real) -> Number {
    terms.discount.times(cash) * reflection * amplified(y1 - terms.deviation, isDown, isAmplified)
  }
  func cash4(_ cash: Real) -> Number {
    terms.discount.times(cash) * reflection * amplified(y2 - terms.deviation, isDown, isAmplified)
  }
}
