public import Primitives

/// A whole portfolio under a Dutch auction: Derive's phases (field.md 2.5), with the limits on
/// payouts of field.md 5.
///
/// Fractions are of the remaining portfolio that is not reserved, in 1e-9. What the bidder pays is
/// rounded up and what the account gets down; the rounding account takes the difference.
public enum PortfolioAuction {
  /// Governed numbers; `reference` holds Derive's live ones.
  public struct Terms: Hashable, Sendable {
    /// b of the buffer margin.
    public var buffer: Ratio
    /// Discount at the start, at the end of the fast phase; nothing at the end of the slow one.
    public var startDiscount: Ratio
    public var slowDiscount: Ratio
    /// Milliseconds of the phases, positive.
    public var fast: Int64
    public var slow: Int64
    public var insolvent: Int64
    /// Marked value under which all of the portfolio goes at once.
    public var cutoff: Money
    /// Share of the value sold that goes to the fund at the start.
    public var fee: Ratio

    public init(
      buffer: Ratio, startDiscount: Ratio, slowDiscount: Ratio, fast: Int64, slow: Int64,
      insolvent: Int64, cutoff: Money, fee: Ratio
    ) {
      self.buffer = buffer
      self.startDiscount = startDiscount
      self.slowDiscount = slowDiscount
      self.fast = fast
      self.slow = slow
      self.insolvent = insolvent
      self.cutoff = cutoff
      self.fee = fee
    }

    /// b 0.15; 0.95 to 0.70 in 15 minutes, to 0 in 12 hours; insolvent 60 minutes. Cutoff and fee
    /// are of the venue.
    public static let reference = Terms(
      buffer: Ratio(raw: 150_000_000), startDiscount: Ratio(raw: 950_000_000),
      slowDiscount: Ratio(raw: 700_000_000), fast: 900_000, slow: 43_200_000,
      insolvent: 3_600_000, cutoff: .zero, fee: .zero)
  }

  public enum Phase: Hashable, Sendable {
    case fast, slow, insolvent
    /// The buffer stands again, or all that the portfolio is worth is already reserved.
    case over
  }

  /// An account under auction, at the marks of a batch.
  public struct Figures: Hashable, Sendable {
    /// MtM: marked value, cash included.
    public var marked: Money
    /// MM: net maintenance margin, negative under auction.
    public var net: Money
    /// Cash earlier bidders paid, which later ones cannot take.
    public var reserved: Money

    public init(marked: Money, net: Money, reserved: Money) {
      self.marked = marked
      self.net = net
      self.reserved = reserved
    }

    /// BM = MM + b·(MM − MtM), rounded down: the liquidation goes a little further.
    public func buffered(_ terms: Terms) throws(ArithmeticFailure) -> Money {
      let gap = Int128(net.raw) - Int128(marked.raw)
      let extra = try gap.scaled(
        by: Int128(terms.buffer.raw), over: Int128(Ratio.scale), rounding: .down)
      return try Money(units: Int128(net.raw) + extra)
    }

    /// The phase `elapsed` milliseconds after this phase's kind (solvent or not) began.
    public func phase(_ terms: Terms, elapsed: Int64) throws(ArithmeticFailure) -> Phase {
      if try buffered(terms).raw >= 0 { return .over }
      if marked.raw < 0 { return .insolvent }
      if reserved >= marked { return .over }
      return elapsed < terms.fast ? .fast : .slow
    }
  }

  /// The share of the value a bidder pays `elapsed` milliseconds after the start, rounded down.
  public static func discount(_ terms: Terms, elapsed: Int64) -> Ratio {
    precondition(elapsed >= 0 && terms.fast > 0 && terms.slow > 0)
    let first = Int128(terms.startDiscount.raw)
    let second = Int128(terms.slowDiscount.raw)
    if elapsed < terms.fast {
      let fall = ((first - second) * Int128(elapsed))
        .divided(by: Int128(terms.fast), rounding: .up)
      return Ratio(raw: Int64(first - fall))
    }
    let left = max(0, terms.slow - (elapsed - terms.fast))
    return Ratio(raw: Int64(second * Int128(left) / Int128(terms.slow)))
  }

  /// fMax = BM ÷ (BM − discount·MtM − reserved·(1 − discount)): the fraction whose sale brings the
  /// buffer margin to nothing, rounded up; all where that is not enough, where the account is
  /// insolvent or worth less than the cutoff, none where the buffer stands.
  public static func fractionMax(_ figures: Figures, discount: Ratio, _ terms: Terms)
    throws(ArithmeticFailure) -> Ratio
  {
    let buffered = Int128(try figures.buffered(terms).raw)
    guard buffered < 0 else { return .zero }
    guard figures.marked.raw >= 0, figures.marked >= terms.cutoff else { return .one }
    let scale = Int128(Ratio.scale)
    // All times the scale, so that nothing is rounded before the quotient.
    let below =
      buffered * scale - Int128(discount.raw) * Int128(figures.marked.raw)
      - Int128(figures.reserved.raw) * (scale - Int128(discount.raw))
    guard below < 0 else { return .one }
    let fraction = try (buffered * scale).scaled(by: scale, over: below, rounding: .up)
    return Ratio(raw: Int64(min(fraction, scale)))
  }

  /// What the fund takes at the start of a solvent auction: fMax at discount one × MtM × rate,
  /// rounded up.
  public static func startFee(_ figures: Figures, _ terms: Terms) throws(ArithmeticFailure)
    -> Money
  {
    guard figures.marked.raw > 0 else { return .zero }
    let fraction = try fractionMax(figures, discount: .one, terms)
    let scale = Int128(Ratio.scale)
    return try Money(
      units: Int128(figures.marked.raw).scaled(
        by: Int128(fraction.raw) * Int128(terms.fee.raw), over: scale * scale, rounding: .up))
  }

  /// Price of a fraction, from the bidder's side and from the account's.
  public struct Cost: Hashable, Sendable {
    /// What the bidder pays; negative: what he is paid. Rounded up.
    public let paid: Money
    /// What the account gets; negative never: the fund pays for the insolvent. Rounded down.
    public let received: Money
    /// What the fund pays. Rounded down as the bidder's pay is.
    public let fund: Money
  }

  /// discount·(MtM − reserved)·fraction.
  public static func cost(_ figures: Figures, discount: Ratio, fraction: Ratio)
    throws(ArithmeticFailure) -> Cost
  {
    let value = max(0, Int128(figures.marked.raw) - Int128(figures.reserved.raw))
    let share = Int128(discount.raw) * Int128(fraction.raw)
    let scale = Int128(Ratio.scale)
    return Cost(
      paid: try Money(units: value.scaled(by: share, over: scale * scale, rounding: .up)),
      received: try Money(units: value.scaled(by: share, over: scale * scale, rounding: .down)),
      fund: .zero)
  }

  /// What all of an insolvent portfolio pays its bidder `elapsed` milliseconds after it became
  /// insolvent: from −MtM linearly to −MM, rounded down.
  public static func payout(_ figures: Figures, elapsed: Int64, _ terms: Terms)
    throws(ArithmeticFailure) -> Money
  {
    precondition(elapsed >= 0 && terms.insolvent > 0)
    let first = 0 - Int128(figures.marked.raw)
    let last = max(first, 0 - Int128(figures.net.raw))
    let past = Int128(min(elapsed, terms.insolvent))
    return try Money(
      units: first + ((last - first) * past).divided(by: Int128(terms.insolvent), rounding: .down))
  }

  /// What a fraction of an insolvent portfolio pays its bidder: the part up to −MtM, which only
  /// makes the debt good, and of the part above it no more than `aboveMax` (field.md 5: capped per
  /// auction by a share of notional, per market and day by an amount; the caller gives the less).
  public static func insolventCost(
    _ figures: Figures, elapsed: Int64, fraction: Ratio, aboveMax: Money, _ terms: Terms
  ) throws(ArithmeticFailure) -> Cost {
    let whole = try payout(figures, elapsed: elapsed, terms)
    let debt = max(0, 0 - Int128(figures.marked.raw))
    let (share, scale) = (Int128(fraction.raw), Int128(Ratio.scale))
    let base = try debt.scaled(by: share, over: scale, rounding: .down)
    let above = try (Int128(whole.raw) - debt).scaled(by: share, over: scale, rounding: .down)
    let paid = try Money(units: base + min(above, Int128(max(0, aboveMax.raw))))
    return Cost(paid: try Money.zero.subtracting(paid), received: .zero, fund: paid)
  }

  /// What the bidder must own in cash: price + |BM − reserved|·fraction, rounded up, so that it can
  /// carry what it takes over.
  public static func cashNeeded(
    _ figures: Figures, paid: Money, fraction: Ratio, _ terms: Terms
  ) throws(ArithmeticFailure) -> Money {
    let gap = try Int128(figures.buffered(terms).raw) - Int128(figures.reserved.raw)
    let carry = try Int128(gap.magnitude).scaled(
      by: Int128(fraction.raw), over: Int128(Ratio.scale), rounding: .up)
    return try Money(units: max(0, Int128(paid.raw)) + carry)
  }
}
