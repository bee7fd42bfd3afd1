public import Primitives

/// The volatility that a price implies.
public enum ImpliedVolatility {
  /// σ with which the option has this price; 0 at the payoff's own value, nil where no volatility gives
  /// it: below the discounted payoff, or at or above the discounted forward (call) or strike (put).
  ///
  /// Newton on the logarithm of the out-of-the-money price inside a bracket that always halves, so it
  /// ends for every input. Prices again within 1e-17 of the forward.
  /// - Throws: `.outsideDomain` for a strike or price below zero.
  public static func solve(_ market: Market, _ type: OptionType, strike: Price, price: Price)
    throws(PricingFailure) -> Real?
  {
    guard strike.raw >= 0 else { throw .outsideDomain(.strike) }
    guard price.raw >= 0 else { throw .outsideDomain(.price) }
    let terms = market.terms
    let k = Real(strike)
    let forward = terms.forwardValue
    let payment = terms.discount * k
    let intrinsic = type == .call ? forward - payment : payment - forward
    let floor = intrinsic.isPositive ? intrinsic : .zero
    let target = Real(price)
    let excess = target - floor
    // Half a unit of 1e-8 of doubt comes with the price itself; 2^-60 of the forward with the kernel.
    let noise = (forward + payment).shifted(-60)
    if excess.absolute < noise || excess.isZero { return .zero }
    guard excess.isPositive, terms.time.isPositive else { return nil }
    guard forward.isPositive, payment.isPositive else { return nil }
    // The out-of-the-money option has the same excess, by parity.
    let moneyness = (forward / payment).logarithm
    let cap = moneyness.isPositive ? payment : forward
    guard (cap - excess).isPositive else { return nil }
    let deviation = solve(moneyness: moneyness, forward, payment, excess)
    return deviation / terms.time.squareRoot
  }

  /// Out-of-the-money value and its slope by s.
  private static func value(
    _ moneyness: Real, _ forward: Real, _ payment: Real, _ deviation: Real
  ) -> (Real, Real) {
    let first = moneyness / deviation + deviation.shifted(-1)
    let second = first - deviation
    let (_, density) = first.normalAndDensity
    if moneyness.isPositive {
      let put = payment * (-second).normal - forward * (-first).normal
      return (put, forward * density)
    }
    return (forward * first.normal - payment * second.normal, forward * density)
  }

  private static func solve(
    moneyness: Real, _ forward: Real, _ payment: Real, _ target: Real
  ) -> Real {
    var low = Real.zero
    var high = Real(64)
    // The inflection: Newton on ln V climbs from the left of it without overshooting.
    var guess = moneyness.absolute.shifted(1).squareRoot
    if guess < Real.one.shifted(-20) {
      // At the money V = F(2N(s/2) - 1) ≈ F s/√(2π).
      guess = target / forward / .inverseRootTwoPi
    }
    for _ in 0..<200 {
      let (price, slope) = value(moneyness, forward, payment, guess)
      let gap = price - target
      if gap.isZero { return guess }
      if gap.isNegative { low = guess } else { high = guess }
      var next = (low + high).shifted(-1)
      if slope.isPositive && price.isPositive {
        // Newton on ln V while V is far below, on V near it.
        let ratio = target / price
        let step =
          ratio > Real.two || ratio < Real.half ? ratio.logarithm * price / slope : -(gap / slope)
        let trial = guess + step
        if trial > low && trial < high { next = trial }
      } else if low.isZero == false && price.isZero {
        next = (low + high).shifted(-1)
      }
      let change = (next - guess).absolute
      guess = next
      if change.isZero || change.exponent < guess.exponent &- 58 { return guess }
    }
    return guess
  }
}
