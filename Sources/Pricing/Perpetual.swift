public import Primitives

/// Contracts without expiry, paid for by funding.
public enum Perpetual {
  /// Index and marks of a power perpetual.
  public struct Power: Sendable {
    /// S^p.
    public let index: Real
    /// index · e^(g f), g = (p-1)(r + pσ²/2): log funding, continuous.
    public let markContinuous: Real
    /// index/(2e^(-g f) - 1): the half-weight strip; nil where it does not converge.
    public let markStrip: Real?
  }

  /// Parts of a year in days, 1e-9.
  private static func years(_ days: Ratio) throws(PricingFailure) -> Real {
    guard days.raw > 0, days.raw <= 3_650_000_000_000 else { throw .outsideDomain(.fundingDays) }
    return Real(days) / Real(365)
  }

  private static func check(_ volatility: Ratio, _ rate: Ratio) throws(PricingFailure) {
    guard volatility.raw >= 0, volatility.raw <= 1_000_000_000_000_000 else {
      throw .outsideDomain(.vol)
    }
    guard rate.raw.magnitude <= 100_000_000_000 else { throw .outsideDomain(.rate) }
  }

  /// A power perpetual: White, Clark et al., *Power Perpetuals*, 2021. Relative error 1e-17.
  ///
  /// - Parameters:
  ///   - power: p in 1e-9, |p| ≤ 16.
  ///   - fundingDays: the funding period f in days, 1e-9, in (0, 3650].
  /// - Throws: `.outsideDomain`; also where the growth passes e^±4000.
  public static func power(
    spot: Price, power: Ratio, rate: Ratio, volatility: Ratio, fundingDays: Ratio
  ) throws(PricingFailure) -> Power {
    try check(volatility, rate)
    guard spot.raw > 0 else { throw .outsideDomain(.spot) }
    guard power.raw.magnitude <= 16_000_000_000 else { throw .outsideDomain(.power) }
    let period = try years(fundingDays)
    let (p, r, sigma) = (Real(power), Real(rate), Real(volatility))
    let index = raised(Real(spot), to: power)
    let growth = (p - .one) * (r + p * sigma * sigma * .half) * period
    guard !(growth.absolute > .exponentialMax) else { throw .outsideDomain(.vol) }
    let rest = (-growth).exponential.shifted(1) - .one
    return Power(
      index: index, markContinuous: index * growth.exponential,
      markStrip: rest.isPositive ? index / rest : nil)
  }

  /// x^p: by squaring where p is a whole number, else by logarithm.
  static func raised(_ base: Real, to power: Ratio) -> Real {
    let (whole, part) = power.raw.magnitude.quotientAndRemainder(
      dividingBy: UInt64(Ratio.scale))
    guard part == 0 else { return (base.logarithm * Real(power)).exponential }
    var (result, square, left) = (Real.one, base, whole)
    while left > 0 {
      if left & 1 == 1 { result = result * square }
      square = square * square
      left >>= 1
    }
    return power.raw < 0 ? .one / result : result
  }

  /// Both marks of an everlasting option.
  public struct Everlasting: Sendable {
    /// Funding paid continuously: ∫ e^(-t/f)/f · V(t) dt; nil for a rate of -1/f or less.
    public let markContinuous: Real?
    /// Funding paid once a period: Σ 2^-j V(j f); nil where e^(-rf) is 2 or more.
    public let markStrip: Real?
  }

  /// An everlasting option: White and Bankman-Fried, *Everlasting Options*, 2021.
  ///
  /// The strip is summed until what is left is below 2^-66 of its bound. With rates, the continuous
  /// mark solves ½σ²S²V'' + rSV' - rV = (V - payoff)/f; without, it is payoff + (K/u)(S/K)^β.
  ///
  /// - Throws: `.outsideDomain`.
  public static func everlasting(
    _ type: OptionType, spot: Price, strike: Price, rate: Ratio, volatility: Ratio,
    fundingDays: Ratio
  ) throws(PricingFailure) -> Everlasting {
    try check(volatility, rate)
    guard spot.raw >= 0 else { throw .outsideDomain(.spot) }
    guard strike.raw >= 0 else { throw .outsideDomain(.strike) }
    let period = try years(fundingDays)
    let (s, k, r, sigma) = (Real(spot), Real(strike), Real(rate), Real(volatility))
    let funded = Real.one + r * period
    // Half the weight a period against a strike growing by e^(-rf).
    let weight = (-(r * period)).exponential.shifted(-1)
    return Everlasting(
      markContinuous: funded.isPositive ? continuous(type, s, k, r, sigma, period, funded) : nil,
      markStrip: weight < .one ? strip(type, s, k, r, sigma, period) : nil)
  }

  private static func strip(
    _ type: OptionType, _ spot: Real, _ strike: Real, _ rate: Real, _ volatility: Real,
    _ period: Real
  ) -> Real {
    var sum = Real.zero
    for j in 1...2_000 {
      let terms = Terms<Real>(
        spot: spot, rate: rate, carry: rate, volatility: volatility,
        time: period * Real(Int64(j)), discount: nil)
      let value = terms.european(type, strike: strike).shifted(-j)
      sum = sum + value
      let bound = (spot + terms.discount * strike).shifted(-j)
      if j >= 8, bound.isZero || bound.exponent < sum.exponent - 66 { break }
    }
    return sum
  }

  private static func continuous(
    _ type: OptionType, _ spot: Real, _ strike: Real, _ rate: Real, _ volatility: Real,
    _ period: Real, _ funded: Real
  ) -> Real {
    let owed = strike / funded  // K c, what one K a funding date is worth.
    if strike.isZero || spot.isZero { return type == .call ? spot : owed }
    let isAbove = !(spot - strike).isNegative
    let forward = spot - owed
    let extra = strike - owed  // K(1 - c).
    // Power-law parts a(S/K)^rise below the strike and b(S/K)^fall above it.
    var below = Real.zero
    var above = Real.zero
    let square = volatility * volatility
    if square.isZero {
      if !rate.isZero {
        let exponent = funded / (rate * period)
        let power = ((spot / strike).logarithm * exponent).exponential
        if rate.isNegative { above = -(extra * power) } else { below = extra * power }
      }
    } else {
      // ½σ²β(β-1) + rβ - (r + 1/f) = 0.
      let middle = Real.half - rate / square
      let width = (middle * middle + (rate + .one / period).shifted(1) / square).squareRoot
      let spread = width.shifted(1)
      let ln = (spot / strike).logarithm
      if isAbove {
        let rise = middle + width
        above =
          (strike - rise * extra) / spread * ((middle - width) * ln).exponential
      } else {
        let fall = middle - width
        below = (strike - fall * extra) / spread * ((middle + width) * ln).exponential
      }
    }
    switch type {
    case .call: return isAbove ? forward + above : below
    case .put: return isAbove ? above : below - forward
    }
  }

  /// The new normalisation factor n·clamp(mark/index, 0.8, 1.4)^(-elapsed/period): funding in kind of
  /// the power perpetual.
  ///
  /// - Parameters: `norm` > 0, mark and index ≥ 0 with index > 0, elapsed ≥ 0, period > 0 in ms.
  /// - Throws: `.outsideDomain`.
  public static func normalisation(
    _ norm: Real, mark: Real, index: Real, elapsed: Int64, period: Int64
  ) throws(PricingFailure) -> Real {
    guard norm.isPositive else { throw .outsideDomain(.norm) }
    guard !mark.isNegative || mark.isZero else { throw .outsideDomain(.mark) }
    guard index.isPositive else { throw .outsideDomain(.index) }
    guard elapsed >= 0 else { throw .outsideDomain(.time) }
    guard period > 0 else { throw .outsideDomain(.period) }
    let (low, high) = (Real(4) / Real(5), Real(7) / Real(5))
    let ratio = mark / index
    let held = ratio < low ? low : ratio > high ? high : ratio
    return norm * (-(held.logarithm * (Real(elapsed) / Real(period)))).exponential
  }

  /// index · (1 + clamp(premium, ±cap)): the mark of a perpetual future.
  public static func mark(index: Price, premium: Ratio, cap: Ratio) -> Price {
    let held = min(max(premium.raw, 0 - max(cap.raw, 0)), max(cap.raw, 0))
    let change = scaled(index.raw, by: Ratio(raw: held))
    let (sum, overflow) = index.raw.addingReportingOverflow(change)
    return Price(raw: overflow ? .max : sum)
  }

  /// What one contract long pays over `elapsed` milliseconds: rate·index·dt/8 h, in 1e-18 of the quote
  /// asset, truncated downwards.
  public static func funding(index: Price, rate: Ratio, elapsed: Int64) -> Int128 {
    // 2^63 · 1e10 · 2^44 would pass Int128: the clock is held to ten years, the rate to ±1.
    let held = min(max(rate.raw, 0 - Ratio.scale), Ratio.scale)
    let clock = min(max(elapsed, 0), 10 * Timestamp.millisecondsPerYear)
    let product = Int128(index.raw) * Int128(held) * Int128(clock)
    // 1e-8 · 1e-9 = 1e-17, so ten units of 1e-18; the period is 28 800 000 ms.
    return product.divided(by: 2_880_000, rounding: .down)
  }
}
