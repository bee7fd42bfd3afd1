public import Primitives

/// Fees and rebates by volume. No two tiers, of one owner or of two, make wash trading pay: for
/// every pair maker rebate + referral < taker fee (field.md 5), checked when the schedule is made.
public struct FeeSchedule: Hashable, Sendable {
  public struct Tier: Hashable, Sendable {
    /// Volume of 30 days from which the tier holds.
    public let volume: Money
    /// Share of notional; a maker's may be negative: a rebate.
    public let maker: Ratio
    public let taker: Ratio

    public init(volume: Money, maker: Ratio, taker: Ratio) {
      self.volume = volume
      self.maker = maker
      self.taker = taker
    }
  }

  public enum Fault: Error, Hashable, Sendable {
    /// The first tier begins at no volume, and volumes rise strictly.
    case volumes(tier: Int)
    /// Fees are within ±1, referral within 0…1.
    case range(tier: Int)
    /// What the maker of one tier and a referrer get reaches what the taker of the other pays.
    case washTrade(maker: Int, taker: Int)
  }

  /// In the order of volumes.
  public let tiers: [Tier]
  /// Share of notional that goes to who brought the taker.
  public let referral: Ratio

  public init(tiers: [Tier], referral: Ratio) throws(Fault) {
    guard tiers.first?.volume == .zero, (0...Ratio.scale).contains(referral.raw) else {
      throw .volumes(tier: 0)
    }
    let range = -Ratio.scale...Ratio.scale
    for (place, tier) in tiers.enumerated() {
      if place > 0, tier.volume <= tiers[place - 1].volume { throw .volumes(tier: place) }
      guard range.contains(tier.maker.raw), range.contains(tier.taker.raw) else {
        throw .range(tier: place)
      }
    }
    for (maker, a) in tiers.enumerated() {
      for (taker, b) in tiers.enumerated() {
        let given = max(0, 0 - a.maker.raw) + referral.raw
        guard given < b.taker.raw else { throw .washTrade(maker: maker, taker: taker) }
      }
    }
    self.tiers = tiers
    self.referral = referral
  }

  /// The tier of a volume.
  public func tier(_ volume: Money) -> Tier {
    var found = tiers[0]
    for tier in tiers where tier.volume <= volume { found = tier }
    return found
  }

  /// rate × notional, rounded up: a fee a little more, a rebate (negative) a little less.
  public static func fee(_ notional: Notional, rate: Ratio) throws(ArithmeticFailure) -> Money {
    precondition(notional.raw >= 0)
    return try Money(
      units: notional.raw.scaled(
        by: Int128(rate.raw), over: Notional.perMoney * Int128(Ratio.scale), rounding: .up))
  }

  /// What a referrer gets of a taker's fill, rounded down.
  public func referralShare(_ notional: Notional) throws(ArithmeticFailure) -> Money {
    precondition(notional.raw >= 0)
    return try Money(
      units: notional.raw.scaled(
        by: Int128(referral.raw), over: Notional.perMoney * Int128(Ratio.scale), rounding: .down))
  }
}
