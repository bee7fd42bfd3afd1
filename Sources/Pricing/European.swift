public import Primitives

extension Terms {
  /// Discounted forward.
  var forwardValue: Number { spot * growth }

  /// ln(F/K)/s ± s/2, for a positive spot and strike and a positive deviation.
  func deviates(_ strike: Real) -> (Number, Number) {
    let moneyness = (spot / Number(strike)).logarithm + carry * time
    let first = moneyness * inverseDeviation + deviation.times(.half)
    return (first, first - deviation)
  }

  /// No deviation, no strike, no spot, or too much deviation: the formula's limit stands in.
  func isDegenerate(_ strike: Real) -> Bool {
    isCertain || isSaturated || strike.isZero || spot.value.isZero
  }

  /// Forward above strike, as it stands where the path is certain.
  func endsAbove(_ strike: Real) -> Bool {
    (forwardValue.value - discount.value * strike).isPositive
  }

  /// Haug 2007 §1.1.6, the generalised formula.
  func european(_ type: OptionType, strike: Real) -> Number {
    let payment = discount.times(strike)
    if isDegenerate(strike) {
      if isCertain && !strike.isZero && !spot.value.isZero {
        guard endsAbove(strike) == (type == .call) else { return Number(.zero) }
        return type == .call ? forwardValue - payment : payment - forwardValue
      }
      if spot.value.isZero { return type == .call ? Number(.zero) : payment - forwardValue }
      return type == .call ? forwardValue : payment
    }
    let (d1, d2) = deviates(strike)
    let value: Number
    switch type {
    case .call: value = forwardValue * d1.accurateNormal - payment * d2.accurateNormal
    case .put: value = payment * (-d2).accurateNormal - forwardValue * (-d1).accurateNormal
    }
    return value.value.isNegative ? Number(.zero) : value
  }

  /// The discounted probability that a digital pays, times `d`'s measure: N(w d) or its limit.
  private func chance(_ type: OptionType, strike: Real, isAsset: Bool) -> Number {
    if isDegenerate(strike) {
      let isAbove: Bool
      if spot.value.isZero {
        isAbove = false
      } else if strike.isZero {
        isAbove = true
      } else if isCertain {
        isAbove = endsAbove(strike)
      } else {
        isAbove = isAsset
      }
      return Number(isAbove == (type == .call) ? .one : .zero)
    }
    let (d1, d2) = deviates(strike)
    let d = isAsset ? d1 : d2
    return (type == .call ? d : -d).accurateNormal
  }

  /// Haug 1998 p. 88; a call pays where the settlement is above the strike, a put elsewhere.
  func cashDigital(_ type: OptionType, strike: Real, cash: Real) -> Number {
    discount.times(cash) * chance(type, strike: strike, isAsset: false)
  }

  /// Haug 1998 p. 90.
  func assetDigital(_ type: OptionType, strike: Real) -> Number {
    forwardValue * chance(type, strike: strike, isAsset: true)
  }

  /// Haug 1998 p. 87: paid against `payoffStrike` where the settlement passes `strike`.
  func gap(_ type: OptionType, strike: Real, payoffStrike: Real) -> Number {
    let asset = assetDigital(type, strike: strike)
    let cash = cashDigital(type, strike: strike, cash: payoffStrike)
    return type == .call ? asset - cash : cash - asset
  }
}

/// Options that look at the settlement price alone.
///
/// Domain: the market's, and strikes ≥ 0. Error: 1e-17 of the forward (of the cash for a digital), and of
/// each Greek 1e-12 of the spot in its own unit. Degenerate inputs give the limit.
public enum European {
  private static func positive(_ price: Price, _ field: PricingFailure.Field)
    throws(PricingFailure) -> Real
  {
    guard price.raw >= 0 else { throw .outsideDomain(field) }
    return Real(price)
  }

  /// A call or put: Black–Scholes–Merton on a spot, Black-76 on a forward. Haug 2007 §1.1.
  ///
  /// - Throws: `.outsideDomain(.strike)`.
  public static func vanilla(_ market: Market, _ type: OptionType, strike: Price)
    throws(PricingFailure) -> Valuation
  {
    Valuation(market.jets.european(type, strike: try positive(strike, .strike)))
  }

  /// As `vanilla`, the price alone.
  ///
  /// - Throws: `.outsideDomain(.strike)`.
  public static func price(_ market: Market, _ type: OptionType, strike: Price)
    throws(PricingFailure) -> Real
  {
    market.terms.european(type, strike: try positive(strike, .strike))
  }

  /// Pays `cash` if the settlement passes the strike; call and put add up to the discounted cash.
  /// Haug 1998 p. 88.
  ///
  /// - Throws: `.outsideDomain(.strike)`.
  public static func cashDigital(
    _ market: Market, _ type: OptionType, strike: Price, cash: Price
  ) throws(PricingFailure) -> Valuation {
    Valuation(
      market.jets.cashDigital(type, strike: try positive(strike, .strike), cash: Real(cash)))
  }

  /// Pays the asset if the settlement passes the strike. Haug 1998 p. 90.
  ///
  /// - Throws: `.outsideDomain(.strike)`.
  public static func assetDigital(_ market: Market, _ type: OptionType, strike: Price)
    throws(PricingFailure) -> Valuation
  {
    Valuation(market.jets.assetDigital(type, strike: try positive(strike, .strike)))
  }

  /// Pays the difference to `payoffStrike`, of either sign, if the settlement passes `strike`.
  /// Haug 1998 p. 87.
  ///
  /// - Throws: `.outsideDomain(.strike)`, of either.
  public static func gap(
    _ market: Market, _ type: OptionType, strike: Price, payoffStrike: Price
  ) throws(PricingFailure) -> Valuation {
    Valuation(
      market.jets.gap(
        type, strike: try positive(strike, .strike),
        payoffStrike: try positive(payoffStrike, .strike)))
  }
}
