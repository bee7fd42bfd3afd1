import Instruments
import Primitives
import Wire

/// What one side of a fill does to its account.
struct Posting {
  /// Change of cash before fees.
  var cash: Money
  /// Profit that left the position for cash; zero for an option.
  var realised: Money
}

extension PositionRecord {
  /// Nets a fill into the position.
  ///
  /// An option's premium is paid in cash at once. A future or perpetual keeps what was paid as
  /// cost; closing releases cost in proportion, rounded up: the realised profit is rounded against
  /// the account, and what is left of the cost stays in the position, so nothing is lost.
  ///
  /// - Parameters:
  ///   - change: signed contracts, not zero.
  ///   - money: what the whole fill is worth, at least zero: rounded up for a buyer, down for a
  ///     seller.
  /// - Throws: `.overflow`; the position is then half-changed and the batch is undone.
  mutating func net(_ change: Quantity, for money: Money, isOption: Bool)
    throws(ArithmeticFailure) -> Posting
  {
    let flow = change.raw > 0 ? Money(raw: 0 - money.raw) : money
    let before = quantity
    quantity = try quantity.adding(change)
    if isOption { return Posting(cash: flow, realised: .zero) }
    let closes = before.raw != 0 && (before.raw > 0) != (change.raw > 0)
    guard closes else {
      cost = try cost.subtracting(flow)
      return Posting(cash: .zero, realised: .zero)
    }
    let size = Int128(change.raw.magnitude)
    let held = Int128(before.raw.magnitude)
    let closed = min(size, held)
    // The share of the money that belongs to the closing part; the opening part takes the rest.
    let closing =
      closed == size
      ? Int128(flow.raw)
      : (Int128(flow.raw) * closed).divided(by: size, rounding: .down)
    let released = (Int128(cost.raw) * closed).divided(by: held, rounding: .up)
    guard let realised = Int64(exactly: closing - released),
      let kept = Int64(exactly: Int128(cost.raw) - released - (Int128(flow.raw) - closing))
    else { throw .overflow("netting") }
    cost = Money(raw: kept)
    return Posting(cash: Money(raw: realised), realised: Money(raw: realised))
  }
}
