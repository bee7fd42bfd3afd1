public import Primitives

/// Realised and implied variance, annualised.
public enum Variance {
  /// A variance and its root; the root is nil where the variance is below zero.
  public struct Level: Sendable {
    public let variance: Real
    public let volatility: Real?

    init(_ variance: Real) {
      self.variance = variance
      volatility = variance.isNegative && !variance.isZero ? nil : variance.squareRoot
    }
  }

  /// (A/n) Σ ln²(p_i/p_(i-1)), the mean held at zero: Demeterfi, Derman, Kamal and Zou 1999. Relative error
  /// 1e-15.
  ///
  /// - Throws: `.malformedList` below two prices, `.outsideDomain` for a price ≤ 0.
  public static func realised(_ prices: [Price], periodsPerYear: Real) throws(PricingFailure)
    -> Level
  {
    guard prices.count >= 2 else { throw .malformedList(.prices) }
    guard periodsPerYear.isPositive else { throw .outsideDomain(.periodsPerYear) }
    guard prices[0].raw > 0 else { throw .outsideDomain(.prices) }
    var sum = Real.zero
    for index in 1..<prices.count {
      guard prices[index].raw > 0 else { throw .outsideDomain(.prices) }
      let change = squaredReturn(from: prices[index - 1], to: prices[index])
      sum = sum + change
    }
    return Level(sum * periodsPerYear / Real(Int64(prices.count - 1)))
  }

  /// ln²(b/a) for positive prices; relative error 3e-18 or 1e-17 of |ln|, the larger.
  public static func squaredReturn(from a: Price, to b: Price) -> Real {
    let logarithm = Kernel.logarithm(
      of: UInt64(bitPattern: max(b.raw, 1)), over: UInt64(bitPattern: max(a.raw, 1)))
    let value = Real(logarithm.mantissa, fractionBits: logarithm.bits)
    return value * value
  }

  /// One out-of-the-money price of the strip.
  public struct Quote: Sendable {
    public let strike: Price
    public let price: Price
    public init(strike: Price, price: Price) {
      self.strike = strike
      self.price = price
    }
  }

  /// (2/T) Σ ΔK/K² e^(rT) Q(K) - (F/K0 - 1)²/T: Cboe, *VIX methodology*; Demeterfi et al. 1999.
  ///
  /// ΔK is half the distance between the neighbours, at the ends the distance to the one there is. Error:
  /// 1e-17 of the sum of absolute terms.
  /// - Throws: `.malformedList` below two quotes or where strikes do not rise strictly,
  ///   `.outsideDomain` for time ≤ 0, k0 ≤ 0, forward < 0 or a strike ≤ 0.
  public static func strip(
    _ quotes: [Quote], forward: Price, k0: Price, rate: Ratio, time: Int64
  ) throws(PricingFailure) -> Level {
    guard quotes.count >= 2 else { throw .malformedList(.strip) }
    guard time > 0, time <= 10 * Timestamp.millisecondsPerYear else {
      throw .outsideDomain(.time)
    }
    guard k0.raw > 0 else { throw .outsideDomain(.k0) }
    guard forward.raw >= 0 else { throw .outsideDomain(.forward) }
    guard rate.raw.magnitude <= 100_000_000_000 else { throw .outsideDomain(.rate) }
    guard quotes[0].strike.raw > 0 else { throw .outsideDomain(.strike) }
    var sum = Real.zero
    for index in quotes.indices {
      let (low, high) = (max(index - 1, 0), min(index + 1, quotes.count - 1))
      guard index == low || quotes[index].strike > quotes[low].strike else {
        throw .malformedList(.strip)
      }
      let gap = Real(Int64(quotes[high].strike.raw - quotes[low].strike.raw)) * .priceStep
      let width = high - low == 2 ? gap.shifted(-1) : gap
      let strike = Real(quotes[index].strike)
      sum = sum + width / (strike * strike) * Real(quotes[index].price)
    }
    let years = Real(milliseconds: time)
    let growth = (Real(rate) * years).exponential
    let excess = Real(forward.raw - k0.raw) * .priceStep / Real(k0)
    return Level(((sum * growth).shifted(1) - excess * excess) / years)
  }

  /// Variance to a target time by total variance linear between two expiries, as the volatility
  /// index takes it.
  ///
  /// - Throws: `.outsideDomain(.time)` unless 0 < nearTime < farTime and target > 0.
  public static func interpolated(
    near: Real, nearTime: Int64, far: Real, farTime: Int64, target: Int64
  ) throws(PricingFailure) -> Level {
    guard nearTime > 0, farTime > nearTime, target > 0 else { throw .outsideDomain(.time) }
    let span = Real(farTime - nearTime)
    let weight = Real(farTime - target) / span
    let total =
      near * Real(nearTime) * weight + far * Real(farTime) * (Real(target - nearTime) / span)
    return Level(total / Real(target))
  }
}
