/// Which way a barrier lies and what its crossing does.
public enum BarrierType: String, Sendable, CaseIterable {
  case downIn = "downin"
  case downOut = "downout"
  case upIn = "upin"
  case upOut = "upout"

  @inline(__always) var isDown: Bool { self == .downIn || self == .downOut }
  @inline(__always) var isIn: Bool { self == .downIn || self == .upIn }
}

/// The terms of the single-barrier closed forms: Reiner and Rubinstein 1991, in the letters of Haug
/// 1998 pp. 70-72 and 92-95.
struct BarrierTerms<Number: Scalar> {
  let deviation: Number
  let barrier: Real
  /// Number, not price: the deviates.
  let x1: Number
  let x2: Number
  let y1: Number
  let y2: Number
  /// ln(H/S), and ln(H/S)/s.
  let distance: Number
  let reach: Number
  let mu: Number
  /// The power 2μ of H/S.
  let reflection: Number
  /// 1/σ², e^(-rT), and r.
  let inverseSquare: Number
  let discount: Number
  let rate: Number
  /// S e^((b-r)T) and X e^(-rT), and both reflected: times the powers 2μ+2 and 2μ of H/S.
  let asset: Number
  let payment: Number
  let reflectedAsset: Number
  let reflectedPayment: Number
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
    deviation = terms.deviation
    self.barrier = barrier.value
    self.isDown = isDown
    self.isCall = isCall
    let inverse = terms.inverseDeviation
    let square = inverse * inverse * terms.time
    let tilt = terms.carry * square
    let lean = tilt - Number(.half)
    let rise = tilt + Number(.half)  // 1 + μ.
    inverseSquare = square
    mu = lean
    discount = terms.discount
    rate = terms.rate
    let ratio = barrier / terms.spot
    let distance = ratio.logarithm
    self.distance = distance
    let reflection = try BarrierTerms.power(lean.times(.two), distance)
    self.reflection = reflection
    isAmplified = BarrierTerms.isLarge(reflection)
    guard !((rise.value * distance.value).absolute > Real(10)) else { throw .powerTooLarge }
    asset = terms.spot * terms.growth
    payment = terms.discount.times(strike)
    reflectedAsset = asset * (reflection * (ratio * ratio))
    reflectedPayment = payment * reflection
    let drift = rise * terms.deviation
    let reach = distance * inverse
    self.reach = reach
    // Without a strike every path ends above it: any deviate past the table says so.
    let moneyness =
      strike.isZero ? Number(Real(4_000)) : (terms.spot / Number(strike)).logarithm * inverse
    let above = moneyness + drift
    x1 = above
    x2 = drift - reach
    y1 = reach.times(.two) + above
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
    let own = asset * side(d, isCall)
    let owed = payment * side(d - deviation, isCall)
    return isCall ? own - owed : owed - own
  }

  /// The same, reflected: powers of H/S and η in place of φ.
  @inline(__always)
  private func reflected(_ d: Number) -> Number {
    let own = reflectedAsset * amplified(d, isDown, isAmplified)
    let owed = reflectedPayment * amplified(d - deviation, isDown, isAmplified)
    return isCall ? own - owed : owed - own
  }

  @inline(__always) var a: Number { direct(x1) }
  @inline(__always) var b: Number { direct(x2) }
  @inline(__always) var c: Number { reflected(y1) }
  @inline(__always) var d: Number { reflected(y2) }

  /// The chance, in money of `cash` at expiry, that the barrier stays untouched: Haug's E and B2, B4.
  func untouched(_ cash: Number) -> Number {
    discount * cash
      * (side(x2 - deviation, isDown)
        - reflection * amplified(y2 - deviation, isDown, isAmplified))
  }

  /// `cash` at expiry if the barrier is touched.
  func touched(_ cash: Number) -> Number {
    discount * cash
      * (side(x2 - deviation, !isDown)
        + reflection * amplified(y2 - deviation, isDown, isAmplified))
  }

  /// The asset at expiry if the barrier is touched.
  var touchedAsset: Number {
    asset * side(x2, !isDown) + reflectedAsset * amplified(y2, isDown, isAmplified)
  }

  /// `cash` when the barrier is touched: Haug's F.
  @inline(__always)
  func atHit(_ cash: Number) throws(PricingFailure) -> Number {
    let inner = mu * mu + rate.times(.two) * inverseSquare
    guard !inner.value.isNegative || inner.value.isZero else { throw .rateTooNegative }
    let lambda = inner.value.isZero ? Number(.zero) : inner.squareRoot
    let drift = lambda * deviation
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
    discount.times(cash) * side(x1 - deviation, isCall)
  }
  func cash2(_ cash: Real) -> Number {
    discount.times(cash) * side(x2 - deviation, isCall)
  }
  func cash3(_ cash: Real) -> Number {
    discount.times(cash) * reflection * amplified(y1 - deviation, isDown, isAmplified)
  }
  func cash4(_ cash: Real) -> Number {
    discount.times(cash) * reflection * amplified(y2 - deviation, isDown, isAmplified)
  }
}
