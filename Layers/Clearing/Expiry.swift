import Instruments
import Primitives
import Wire

extension ClearingMachine {
  /// Settles in cash what has expired: at the first batch whose quorum index is at or past the
  /// expiry and fresh, the index is the settlement price, fixed once.
  ///
  /// A long receives its payoff rounded down, a short pays it rounded up; the difference goes to
  /// the rounding account.
  mutating func settleExpiries() throws(ArithmeticFailure) {
    for index in 0..<instruments.count {
      let instrument = instruments[index]
      guard instrument.status != .settled, instrument.expires, instrument.expiry <= time,
        isFresh(instrument.underlying),
        indices[instrument.underlying.index].time >= instrument.expiry
      else { continue }
      let price = indices[instrument.underlying.index].price
      // Positions of one instrument sum to zero, so what the roundings kept is minus their values.
      var values: Int128 = 0
      for account in 0..<accounts.count {
        let value = try settle(AccountID(UInt32(account)), instrument, at: price)
        values += Int128(value.raw)
      }
      funds[0].rounding = try sum(funds[0].rounding, Int64(clamping: 0 - values))
      instruments[index].settlementPrice = price
      instruments[index].statusCode = InstrumentStatus.settled.rawValue
      touched.instruments.append(index)
    }
  }

  private mutating func settle(_ account: AccountID, _ instrument: Instrument, at price: Price)
    throws(ArithmeticFailure) -> Money
  {
    guard let slot = positionSlot(account, instrument.id) else { return .zero }
    let position = positions[slot]
    // Positive for a long, rounded down; negative for a short, rounded down: away from the user.
    let value = try (instrument.payoff(at: price) * position.quantity).money(rounding: .down)
    let change = try value.subtracting(position.cost)
    accounts[account.index].cash = try accounts[account.index].cash.adding(change)
    closePosition(account, instrument.id)
    touched.accounts.append(account)
    touched.positions.append(UInt64(account.raw) << 32 | UInt64(instrument.id.raw))
    var receipt = Receipt(.expiry)
    receipt.instrument = instrument.id
    receipt.buyer = account
    receipt.price = price
    receipt.quantity = position.quantity
    receipt.received = value
    receipt.buyerRealised = change
    receipt.buyerCash = accounts[account.index].cash
    receipts.write(record: receipt)
    return value
  }
}
