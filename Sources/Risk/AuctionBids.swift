public import Primitives

/// A bid in one batch for a part of what is under auction.
public struct AuctionBid: Hashable, Sendable {
  public let account: AccountID
  /// The bidder's owner group: all accounts of one key group.
  public let group: UInt32
  /// Part wanted, in whatever unit the auction is divided in (1e-9 of the portfolio, or lots).
  public let wanted: Int64
  /// The most it pays for the whole; of an insolvent portfolio, minus the least it must be paid.
  public let worst: Money
  /// Initial margin left after taking `wanted` at the price of the batch, as the margin library
  /// finds it; the bid cannot carry the position while this is negative.
  public let netAfter: Money

  public init(
    account: AccountID, group: UInt32, wanted: Int64, worst: Money, netAfter: Money
  ) {
    self.account = account
    self.group = group
    self.wanted = wanted
    self.worst = worst
    self.netAfter = netAfter
  }
}

/// Bids of one batch, cleared together at one price, so that no order of arrival matters.
public enum BatchClearing {
  public enum Refusal: UInt8, Sendable {
    /// The liquidated account, or another of its owner.
    case ownGroup = 1
    /// The price of the batch is beyond the bid's worst.
    case price = 2
    /// Initial margin would not hold.
    case margin = 3
    /// Nothing wanted.
    case empty = 4
    /// A second bid of one account in a batch.
    case repeated = 5
  }

  public enum Outcome: Hashable, Sendable {
    case filled(Int64)
    case refused(Refusal)
  }

  /// Divides `available` among the bids that are good at `price` (of the whole, as the bidder pays
  /// it): all they want if that suffices, else pro rata; what the pro-rata floors leave goes one
  /// unit each in the order of accounts. The answer is in the order of the bids and does not depend
  /// on it.
  ///
  /// - Parameters:
  ///   - owner: group of the account under auction, which may not bid.
  ///   - available: units for sale, at least zero.
  public static func outcomes(
    of bids: [AuctionBid], available: Int64, price: Money, owner: UInt32
  ) throws(ArithmeticFailure) -> [Outcome] {
    precondition(available >= 0)
    // By account; equal accounts by what they want and offer, so that order of arrival is nothing.
    let order = bids.indices.sorted { a, b in
      let (a, b) = (bids[a], bids[b])
      if a.account != b.account { return a.account < b.account }
      if a.wanted != b.wanted { return a.wanted < b.wanted }
      return a.worst < b.worst
    }
    var outcomes = bids.map { _ in Outcome.filled(0) }
    var good: [Int] = []
    var last: AccountID?
    for place in order {
      let bid = bids[place]
      if let refusal = refusal(bid, isRepeated: bid.account == last, price, owner) {
        outcomes[place] = .refused(refusal)
      } else {
        good.append(place)
      }
      last = bid.account
    }
    var wanted: Int128 = 0
    for place in good { wanted += Int128(bids[place].wanted) }
    var left = Int64(min(Int128(available), wanted))
    let sold = left
    var fills: [Int64] = []
    for place in good {
      let part = try Int128(bids[place].wanted).scaled(
        by: Int128(sold), over: wanted, rounding: .down)
      fills.append(Int64(part))
      left -= Int64(part)
    }
    for (slot, place) in good.enumerated() {
      if left > 0, fills[slot] < bids[place].wanted {
        fills[slot] += 1
        left -= 1
      }
      outcomes[place] = .filled(fills[slot])
    }
    return outcomes
  }

  private static func refusal(
    _ bid: AuctionBid, isRepeated: Bool, _ price: Money, _ owner: UInt32
  ) -> Refusal? {
    if bid.group == owner { return .ownGroup }
    if isRepeated { return .repeated }
    if bid.wanted <= 0 { return .empty }
    if price > bid.worst { return .price }
    if bid.netAfter.raw < 0 { return .margin }
    return nil
  }
}
