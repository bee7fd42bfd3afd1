public import Primitives

/// The price a withdrawal is judged at: the worse, for whom it concerns, of spot moved by
/// (1 − confidence) × band and of the 30-minute average (field.md 5, c).
public enum PrudentPrice {
  /// For a long: the lower of both, rounded down.
  public static func low(spot: Price, average: Price, confidence: Ratio, band: Ratio) -> Price {
    let scale = Int128(Ratio.scale)
    let doubt = doubt(confidence, band)
    let moved = Int128(spot.raw) * (scale * scale - doubt)
    let shaded = moved.divided(by: scale * scale, rounding: .down)
    return Price(raw: Int64(max(0, min(shaded, Int128(average.raw)))))
  }

  /// For a short: the higher of both, rounded up; the highest price there is where it would pass it.
  public static func high(spot: Price, average: Price, confidence: Ratio, band: Ratio) -> Price {
    let scale = Int128(Ratio.scale)
    let doubt = doubt(confidence, band)
    let moved = Int128(spot.raw) * (scale * scale + doubt)
    let shaded = moved.divided(by: scale * scale, rounding: .up)
    return Price(raw: Int64(clamping: max(shaded, Int128(average.raw))))
  }

  /// (1 − confidence) × band in 1e-18, both held to 0…1: products with a price stay below 2^125.
  private static func doubt(_ confidence: Ratio, _ band: Ratio) -> Int128 {
    let missing = Ratio.scale - max(0, min(confidence.raw, Ratio.scale))
    return Int128(missing) * Int128(max(0, min(band.raw, Ratio.scale)))
  }
}

/// The full rule of field.md 5 for money that leaves: allowed iff initial margin holds after it,
/// with everything that could still go against the account taken at its worst.
public struct WithdrawalRule: Sendable {
  public enum Refusal: UInt8, Sendable {
    /// Insolvency exceeds the fund, or the account is held back from liquidation.
    case locked = 1
    /// A feed the account's margin depends on is not fresh.
    case stale = 2
    /// More than the balance of cash.
    case balance = 3
    /// Initial margin would not hold.
    case margin = 4
  }

  /// Unrealised profit of one market at prudent prices (negative: loss), and how much of a profit
  /// counts.
  public struct MarketProfit: Hashable, Sendable {
    public let amount: Money
    public let countedMax: Money

    public init(amount: Money, countedMax: Money) {
      self.amount = amount
      self.countedMax = countedMax
    }
  }

  /// Everything at prudent prices.
  public var cash: Money
  /// Initial-margin value of other collateral.
  public var collateral: Money
  /// A market is an underlying: its positions net before the cap.
  public var profits: [MarketProfit]
  /// Initial requirement of the positions with the worst subset of open orders filled, entry
  /// losses and fees included (`ScenarioSums` with its orders).
  public var requirement: Money
  /// Reserved for bids in auctions that are not cleared, and cash locked with a payout.
  public var reserved: Money
  /// Funding and interest due and not yet booked, positive when owed; what would be received does
  /// not count.
  public var accrued: Money
  /// Fees due and not yet booked.
  public var fees: Money
  public var areFeedsFresh: Bool
  public var isLocked: Bool

  public init(
    cash: Money, collateral: Money, profits: [MarketProfit], requirement: Money, reserved: Money,
    accrued: Money, fees: Money, areFeedsFresh: Bool, isLocked: Bool
  ) {
    self.cash = cash
    self.collateral = collateral
    self.profits = profits
    self.requirement = requirement
    self.reserved = reserved
    self.accrued = accrued
    self.fees = fees
    self.areFeedsFresh = areFeedsFresh
    self.isLocked = isLocked
  }

  /// What is free beyond all claims; may be negative. Exact: sums of money in Int128.
  var free: Int128 {
    var free = Int128(cash.raw) + Int128(collateral.raw)
    for profit in profits { free += Int128(min(profit.amount.raw, max(0, profit.countedMax.raw))) }
    free -= Int128(requirement.raw) + Int128(reserved.raw)
    return free - Int128(max(0, accrued.raw)) - Int128(max(0, fees.raw))
  }

  /// The most that may leave.
  public var amountMax: Money {
    guard !isLocked, areFeedsFresh else { return .zero }
    let reservedCash = Int128(cash.raw) - Int128(reserved.raw)
    return Money(raw: Int64(clamping: max(0, min(free, reservedCash))))
  }

  /// What is free beyond all claims, to show.
  public var freeMoney: Money { Money(raw: Int64(clamping: free)) }

  /// Why collateral that is no longer counted here may not have left; nil when it may.
  public var refusalAfterwards: Refusal? {
    if isLocked { return .locked }
    if !areFeedsFresh { return .stale }
    return free < 0 ? .margin : nil
  }

  /// Why an amount may not leave; nil when it may.
  public func refusal(of amount: Money) -> Refusal? {
    if isLocked { return .locked }
    if !areFeedsFresh { return .stale }
    if Int128(amount.raw) > Int128(cash.raw) - Int128(reserved.raw) { return .balance }
    return Int128(amount.raw) > free ? .margin : nil
  }

  /// The lock on all withdrawals while what insolvent accounts lack exceeds what the fund has
  /// (field.md 2.5).
  public static func isLocked(missing: Money, fund: Money) -> Bool { missing > fund }
}

/// A bucket of tokens on batch time: so much may leave in all at once, and so much a day after that.
/// The remainder of every refill is kept, so batches of any length refill the same.
public struct OutflowLimit: Hashable, Sendable {
  /// Money of one day's refill, and of a full bucket.
  public private(set) var daily: Money
  public private(set) var burst: Money
  /// What may leave now.
  public private(set) var level: Money
  public private(set) var remainder: Int128 = 0
  public private(set) var last: Timestamp

  public static let day: Int128 = 86_400_000

  /// A full bucket.
  public init(daily: Money, burst: Money, at time: Timestamp) {
    precondition(daily.raw >= 0 && burst.raw >= 0)
    self.daily = daily
    self.burst = burst
    level = burst
    last = time
  }

  /// A bucket as it was kept: `used` of its burst is missing.
  public init(daily: Money, burst: Money, used: Money, remainder: Int128, at time: Timestamp) {
    self.init(daily: daily, burst: burst, at: time)
    precondition(used.raw >= 0 && remainder >= 0)
    level = Money(raw: max(0, burst.raw - used.raw))
    self.remainder = remainder
  }

  /// Refills up to `time`; earlier times do nothing.
  public mutating func refill(to time: Timestamp) {
    guard time > last else { return }
    // At most 2^63 × 2^64 and a remainder below a day.
    let whole = Int128(daily.raw) * (Int128(time.raw) - Int128(last.raw)) + remainder
    last = time
    let sum = Int128(level.raw) + whole / OutflowLimit.day
    if sum >= Int128(burst.raw) {
      level = burst
      remainder = 0
    } else {
      level = Money(raw: Int64(sum))
      remainder = whole % OutflowLimit.day
    }
  }

  /// Takes what leaves in a batch less what came in with it; false, and no change, when that is
  /// more than the level. More in than out refills no further than a full bucket, and nothing of
  /// what other batches took.
  public mutating func take(out: Money, in inflow: Money) -> Bool {
    precondition(out.raw >= 0 && inflow.raw >= 0)
    let net = max(0, Int128(out.raw) - Int128(inflow.raw))
    guard net <= Int128(level.raw) else { return false }
    level = Money(raw: level.raw - Int64(net))
    return true
  }

  /// New limits: lower ones hold at once; a raised burst gives no tokens, they come with time, so
  /// nobody lifts the limit and empties the house in one go (field.md 3, item 5).
  public mutating func limit(daily: Money, burst: Money) {
    precondition(daily.raw >= 0 && burst.raw >= 0)
    self.daily = daily
    self.burst = burst
    level = min(level, burst)
  }
}
