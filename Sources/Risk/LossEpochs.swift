public import Primitives

/// A loss that the fund could not bear, borne by those who gained, and what came back of it since.
public struct LossEpoch: Hashable, Sendable {
  public struct Share: Hashable, Sendable {
    public let account: AccountID
    /// What the account bore, positive.
    public let loss: Money
    /// What it got back.
    public fileprivate(set) var repaid: Money
  }

  /// Epochs count from 0 in the order of losses.
  public let number: UInt64
  public let loss: Money
  /// What was recovered, at most the loss.
  public fileprivate(set) var recovered: Money
  /// In the order of accounts; only who bore something is there.
  public fileprivate(set) var shares: [Share]

  /// What a share may have in all: ⌊loss of the share × recovered ÷ loss⌋, all of it once all is
  /// recovered. A function of the recovered sum alone, so how often and in what parts recoveries
  /// and payments come makes no difference.
  func due(_ share: Share) throws(ArithmeticFailure) -> Money {
    try Money(
      units: Int128(share.loss.raw).scaled(
        by: Int128(recovered.raw), over: Int128(loss.raw), rounding: .down))
  }

  public var isClosed: Bool { recovered == loss && shares.allSatisfy { $0.repaid == $0.loss } }
}

/// Losses beyond the fund, epoch by epoch (field.md 4, item 10): who was not there bears nothing and
/// gets nothing.
///
/// Conservation, to the unit: `held` = all recoveries taken in − all repayments made.
public struct LossEpochs: Sendable {
  /// Open epochs, oldest first.
  public private(set) var open: [LossEpoch] = []
  /// Recovered money not yet paid to those it is owed to.
  public private(set) var held: Money = .zero
  private var next: UInt64 = 0

  public init() {}

  /// An account that gains by what caused the loss, and how much: the most it may be asked for.
  public struct Gain: Hashable, Sendable {
    public let account: AccountID
    public let amount: Money

    public init(account: AccountID, amount: Money) {
      self.account = account
      self.amount = amount
    }
  }

  /// What a loss takes: from each account, in the order of accounts, and what no gain covers.
  public struct Levy: Hashable, Sendable {
    public let epoch: UInt64?
    public let parts: [Gain]
    public let uncovered: Money
  }

  /// Spreads a loss over gains in proportion, exactly, nobody beyond its gain, and opens the epoch.
  /// The caller debits the parts.
  ///
  /// - Precondition: accounts strictly increase; no gain is negative; the loss is not.
  public mutating func spread(_ loss: Money, over gains: [Gain]) throws(ArithmeticFailure) -> Levy {
    precondition(loss.raw >= 0)
    precondition(zip(gains, gains.dropFirst()).allSatisfy { $0.account < $1.account })
    let all = gains.reduce(Int128(0)) { $0 + Int128($1.amount.raw) }
    let covered = Int64(min(all, Int128(loss.raw)))
    let amounts = try Apportionment.parts(of: covered, by: gains.map(\.amount.raw))
    var parts: [Gain] = []
    for (gain, amount) in zip(gains, amounts) where amount > 0 {
      parts.append(Gain(account: gain.account, amount: Money(raw: amount)))
    }
    let uncovered = Money(raw: loss.raw - covered)
    guard covered > 0 else { return Levy(epoch: nil, parts: [], uncovered: uncovered) }
    let number = next
    next += 1
    open.append(
      LossEpoch(
        number: number, loss: Money(raw: covered), recovered: .zero,
        shares: parts.map { .init(account: $0.account, loss: $0.amount, repaid: .zero) }))
    return Levy(epoch: number, parts: parts, uncovered: uncovered)
  }

  /// Takes in a recovery: for its own epoch where it names one that is open, else for the open
  /// epochs, oldest first. Says what of it nobody is owed; that is the fund's.
  public mutating func recover(_ amount: Money, of epoch: UInt64?) throws(ArithmeticFailure)
    -> Money
  {
    precondition(amount.raw >= 0)
    var left = amount.raw
    for place in open.indices where epoch == nil || open[place].number == epoch {
      let part = min(left, open[place].loss.raw - open[place].recovered.raw)
      left -= part
      open[place].recovered = Money(raw: open[place].recovered.raw + part)
    }
    held = try held.adding(Money(raw: amount.raw - left))
    return Money(raw: left)
  }

  /// Pays an account all it is due, from every epoch; the caller credits it.
  public mutating func repay(_ account: AccountID) throws(ArithmeticFailure) -> Money {
    var paid = Money.zero
    for place in open.indices {
      guard let slot = open[place].shares.firstIndex(where: { $0.account == account }) else {
        continue
      }
      let share = open[place].shares[slot]
      let due = try open[place].due(share)
      paid = try paid.adding(due.subtracting(share.repaid))
      open[place].shares[slot].repaid = due
    }
    held = try held.subtracting(paid)
    open.removeAll(where: \.isClosed)
    return paid
  }
}
