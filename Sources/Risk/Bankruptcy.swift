public import Primitives

/// What an account that is being liquidated owns and must hold, after dYdX v4 (field.md 2.8).
///
/// Amounts of quote are signed as the account sees them: positive is received (a long is sold),
/// negative is paid (a short is bought back).
public struct Bankruptcy: Sendable {
  /// Total net collateral: cash plus every position at its mark; may be negative.
  public let collateral: Money
  /// Total maintenance requirement, positive.
  public let maintenance: Money

  /// - Precondition: `maintenance > 0`: an account without requirement is not liquidated.
  public init(collateral: Money, maintenance: Money) {
    precondition(maintenance.raw > 0, "a liquidated account has a requirement")
    self.collateral = collateral
    self.maintenance = maintenance
  }

  /// The quote at which closing a part leaves the account's ratio of collateral to requirement as
  /// it was: −ΔNNV − ⌊TNC·|ΔMMR| ÷ TMMR⌋, so rounded up, in the fund's favour where the fund pays
  /// and the account's where it receives.
  ///
  /// - Parameters:
  ///   - valueChange: ΔNNV, change of the position's net value by the close (negative for a long).
  ///   - requirementChange: ΔMMR, change of its requirement by the close.
  /// - Throws: `.overflow` beyond money.
  public func price(valueChange: Money, requirementChange: Money) throws(ArithmeticFailure)
    -> Money
  {
    let share = (Int128(collateral.raw) * Int128(requirementChange.raw.magnitude))
      .divided(by: Int128(maintenance.raw), rounding: .down)
    return try Money(units: 0 - Int128(valueChange.raw) - share)
  }

  /// ABR, how far the account has slid: clamp(BA·(1 − TNC ÷ TMMR), 0, 1), rounded up.
  ///
  /// - Parameter adjustment: BA, 1 by default at dYdX; not negative.
  public func slide(adjustment: Ratio) throws(ArithmeticFailure) -> Ratio {
    let missing = Int128(maintenance.raw) - Int128(collateral.raw)
    guard missing > 0, adjustment.raw > 0 else { return .zero }
    let slide = try missing.scaled(
      by: Int128(adjustment.raw), over: Int128(maintenance.raw), rounding: .up)
    return Ratio(raw: Int64(min(slide, Int128(Ratio.scale))))
  }

  /// The limit price of the closing order: (PNNV − ABR·SMMR·PMMR) ÷ PS, which slides from the mark
  /// to a share SMMR of the requirement away as equity goes to nothing. Rounded away from the mark,
  /// against the one liquidated: down for a long, up for a short; never below zero.
  ///
  /// - Parameters:
  ///   - value: PNNV, signed net value of the position at the mark.
  ///   - requirement: PMMR, its maintenance requirement, at least zero.
  ///   - size: PS, signed, not zero.
  ///   - spread: SMMR, 0.1 by default at dYdX.
  public func fillablePrice(
    value: Money, requirement: Money, size: Quantity, adjustment: Ratio, spread: Ratio
  ) throws(ArithmeticFailure) -> Price {
    precondition(size.raw != 0 && requirement.raw >= 0)
    let scale = Int128(Ratio.scale)
    let slide = try slide(adjustment: adjustment)
    let charge = try (Int128(slide.raw) * Int128(spread.raw)).scaled(
      by: Int128(requirement.raw), over: scale * scale, rounding: .up)
    // Money over contracts: 1e-6 ÷ 1e-8, wanted in 1e-8.
    let price = try (Int128(value.raw) - charge).scaled(
      by: 10_000_000_000, over: Int128(size.raw), rounding: size.raw > 0 ? .down : .up)
    guard let raw = Int64(exactly: max(price, 0)) else { throw .overflow("fillable price") }
    return Price(raw: raw)
  }

  /// What the fund receives (positive) or pays (negative) for a close: min(rate·|quote|, quote −
  /// bankruptcy quote) where that is positive, else the shortfall. The fee is rounded up, and never
  /// more than what is above bankruptcy.
  public static func insuranceChange(quote: Money, bankruptcy: Money, rateMax: Ratio)
    throws(ArithmeticFailure) -> Money
  {
    let above = Int128(quote.raw) - Int128(bankruptcy.raw)
    guard above > 0 else { return try Money(units: above) }
    let fee = (Int128(quote.raw.magnitude) * Int128(rateMax.raw))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    return try Money(units: min(fee, above))
  }
}

/// How much of a position may be closed.
public enum PartialLiquidation {
  /// Contracts to close so that a shortage is gone: shortage ÷ (price·(MR − liquidator fee − fund
  /// fee)) (field.md 2.9), rounded up to the lot and held to `held`; all of it when fees eat what
  /// the close frees.
  ///
  /// - Parameters:
  ///   - shortage: requirement with its buffer less equity, positive.
  ///   - marginRatio: requirement a notional of one frees.
  ///   - fees: liquidator's and fund's fee together, a share of notional.
  ///   - held: size held, positive, whole lots.
  public static func size(
    shortage: Money, price: Price, marginRatio: Ratio, fees: Ratio, lot: Quantity, held: Quantity
  ) throws(ArithmeticFailure) -> Quantity {
    precondition(lot.raw > 0 && held.raw >= 0 && price.raw >= 0)
    guard shortage.raw > 0 else { return .zero }
    let freed = Int128(price.raw) * (Int128(marginRatio.raw) - Int128(fees.raw))
    guard freed > 0 else { return held }
    // Money 1e-6 over price 1e-8 × ratio 1e-9, wanted in 1e-8: the factor is 1e19.
    let wanted = try Int128(shortage.raw).scaled(
      by: 10_000_000_000_000_000_000, over: freed, rounding: .up)
    guard wanted < Int128(held.raw) else { return held }
    let lots = wanted.divided(by: Int128(lot.raw), rounding: .up)
    return Quantity(raw: Int64(min(lots * Int128(lot.raw), Int128(held.raw))))
  }

  /// The most a batch may close of a position: max(least, portion of its notional) (field.md 2.8),
  /// rounded up.
  public static func notionalMax(of notional: Money, least: Money, portion: Ratio)
    throws(ArithmeticFailure) -> Money
  {
    max(least, try notional.share(portion, rounding: .up))
  }

  /// Requirement and equity before and after: a step must lower the shortfall strictly, else it is
  /// refused (quant.md 3.2, property 13).
  public static func isProgress(before: Money, after: Money) -> Bool {
    before.raw < 0 && after.raw > before.raw
  }
}
