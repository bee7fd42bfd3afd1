public import Primitives

/// One asset as collateral: haircut, a cap that grows with the listing's age, doubt, depeg.
public struct CollateralRule: Hashable, Sendable {
  /// Whole units of the asset in its balances: 10^decimals.
  public var unit: Int64
  /// Share of value that never counts for maintenance, and what initial margin takes on top.
  public var haircut: Ratio
  public var initialHaircut: Ratio
  /// Amount all accounts together may post: `capStart` at listing, linearly to `capEnd` in
  /// `ageing` milliseconds. A new listing cannot carry off more than its small cap (field.md 3,
  /// item 5).
  public var capStart: Amount
  public var capEnd: Amount
  public var listed: Timestamp
  public var ageing: Int64
  /// Below `confidenceMin`, initial margin is charged (confidenceMin − confidence) × `doubt` × value.
  public var confidenceMin: Ratio
  public var doubt: Ratio
  /// Shares of pools, and what the venue itself issues, are never collateral (field.md 5).
  public var isIssuedHere: Bool

  public init(
    unit: Int64, haircut: Ratio, initialHaircut: Ratio, capStart: Amount, capEnd: Amount,
    listed: Timestamp, ageing: Int64, confidenceMin: Ratio, doubt: Ratio, isIssuedHere: Bool
  ) {
    precondition(unit > 0 && ageing > 0 && capStart.raw >= 0 && capEnd >= capStart)
    let range = 0...Ratio.scale
    precondition(range.contains(haircut.raw) && range.contains(haircut.raw + initialHaircut.raw))
    precondition(initialHaircut.raw >= 0 && doubt.raw >= 0)
    self.unit = unit
    self.haircut = haircut
    self.initialHaircut = initialHaircut
    self.capStart = capStart
    self.capEnd = capEnd
    self.listed = listed
    self.ageing = ageing
    self.confidenceMin = confidenceMin
    self.doubt = doubt
    self.isIssuedHere = isIssuedHere
  }

  /// What all accounts may post at `time`, rounded down.
  public func cap(at time: Timestamp) -> Amount {
    if isIssuedHere { return .zero }
    let age = min(max(0, Int128(time.raw) - Int128(listed.raw)), Int128(ageing))
    let growth = (Int128(capEnd.raw) - Int128(capStart.raw)) * age / Int128(ageing)
    return Amount(raw: capStart.raw + Int64(growth))
  }

  /// How much of a deposit may be taken in while `posted` stands posted.
  public func room(posted: Amount, at time: Timestamp) -> Amount {
    Amount(raw: Int64(clamping: max(0, Int128(cap(at: time).raw) - Int128(posted.raw))))
  }

  /// What a balance counts, in money.
  public struct Value: Hashable, Sendable {
    /// Amount × price, rounded down.
    public let marked: Money
    /// After the haircut, rounded down.
    public let maintenance: Money
    /// After both haircuts and the charge for doubt, rounded down, never below zero.
    public let initial: Money
  }

  /// The value of a balance (at least zero) at a price of one whole unit.
  public func value(_ amount: Amount, price: Price, confidence: Ratio) throws(ArithmeticFailure)
    -> Value
  {
    precondition(amount.raw >= 0 && price.raw >= 0)
    guard !isIssuedHere else { return Value(marked: .zero, maintenance: .zero, initial: .zero) }
    // Price 1e-8 to money 1e-6.
    let marked = try Money(
      units: Int128(amount.raw).scaled(
        by: Int128(price.raw), over: Int128(unit) * 100, rounding: .down))
    let kept = Ratio(raw: Ratio.scale - haircut.raw)
    let keptInitially = Ratio(raw: Ratio.scale - haircut.raw - initialHaircut.raw)
    let missing = Int128(max(0, confidenceMin.raw - confidence.raw))
    let scale = Int128(Ratio.scale)
    let charge = try (missing * Int128(doubt.raw)).scaled(
      by: Int128(marked.raw), over: scale * scale, rounding: .up)
    let initial = try Int128(marked.share(keptInitially, rounding: .down).raw) - charge
    return Value(
      marked: marked, maintenance: try marked.share(kept, rounding: .down),
      initial: try Money(units: max(0, initial)))
  }
}

/// What a stable asset that is no longer worth its peg does to initial margin: imFactor +=
/// max(0, threshold − stable) × slope (field.md 2.1, item 11: 0.99 and 4). Initial margin alone.
public enum Depeg {
  public static func factor(
    base: Ratio, stable: Price, threshold: Price, slope: Ratio
  ) throws(ArithmeticFailure) -> Ratio {
    precondition(threshold.raw >= 0 && stable.raw >= 0 && slope.raw >= 0)
    let missing = Int128(max(0, threshold.raw - stable.raw))
    // Price 1e-8 × ratio 1e-9 to 1e-9.
    let extra = (missing * Int128(slope.raw))
      .divided(by: Int128(Price.scale), rounding: .up)
    guard let raw = Int64(exactly: Int128(base.raw) + extra) else { throw .overflow("depeg") }
    return Ratio(raw: raw)
  }
}
