public import Primitives

/// A bid for a part of an account under auction. The price is the batch's, the same for all who bid.
@frozen public struct AuctionOffer: Sendable, Hashable {
  /// Under auction.
  public var account: AccountID
  /// What execution sets aside until clearing has answered: it must carry the part.
  public var stake: Money
  /// The most the bidder would pay for the whole; negative: the least it must be paid for it.
  public var worst: Money
  /// Part wanted of what the account holds and earlier bidders did not pay in, 1e-9.
  public var part: Ratio

  public init(account: AccountID, stake: Money, worst: Money, part: Ratio) {
    self.account = account
    self.stake = stake
    self.worst = worst
    self.part = part
  }

  /// Reads the record of a bid.
  public init(_ record: ActionRecord) {
    self.init(
      account: AccountID(record.id), stake: Money(raw: record.x), worst: Money(raw: record.y),
      part: Ratio(raw: Int64(clamping: record.z)))
  }

  var record: ActionRecord {
    ActionRecord(
      kindCode: ActionKind.bid.rawValue, id: account.raw, x: stake.raw, y: worst.raw,
      z: UInt64(clamping: part.raw))
  }
}
