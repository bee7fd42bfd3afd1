import Instruments
import Primitives
import Wire

extension ClearingMachine {
  /// Settles in cash what has expired, at a price that is fixed once: the mean of the index's minute
  /// samples, or the first fresh index at or past the expiry, as the terms say. Positions are then paid out,
  /// account after account, as many a batch as a Clearance has room for; what becomes due meanwhile
  /// waits until that is done.
  ///
  /// A long receives its payoff rounded down, a short pays it rounded up; the difference goes to
  /// the rounding account, which also stands in for who is not yet paid.
  mutating func settleExpiries() throws(ArithmeticFailure) {
    if !isSettling { fixSettlementPrices() }
    guard isSettling else { return }
    var left = Limits.settlementsPerBatchMax
    var account = Int(status[0].settlingFrom)
    while account < accounts.count, left > 0 {
      left -= try settle(AccountID(UInt32(account)))
      account += 1
    }
    guard account == accounts.count else {
      status[0].settlingFrom = UInt32(account)
      return
    }
    status[0].settlingFrom = 0
    for index in 0..<instruments.count where instruments[index].status == .settling {
      instruments[index].statusCode = InstrumentStatus.settled.rawValue
      touched.instruments.append(index)
    }
  }

  private var isSettling: Bool {
    (0..<instruments.count).contains { instruments[$0].status == .settling }
  }

  private mutating func fixSettlementPrices() {
    for index in 0..<instruments.count {
      let instrument = instruments[index]
      guard instrument.status != .settled, instrument.expires, instrument.expiry <= time,
        let price = settlementPrice(instrument)
      else { continue }
      instruments[index].settlementPrice = price
      instruments[index].statusCode = InstrumentStatus.settling.rawValue
      touched.instruments.append(index)
    }
  }

  /// Pays out an account's expired positions and says how many there were.
  private mutating func settle(_ account: AccountID) throws(ArithmeticFailure) -> Int {
    var count = 0
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let slot = Int(next) - 1
      next = positions[slot].next
      let instrument = instruments[positions[slot].instrument.index]
      guard instrument.status == .settling else { continue }
      try settle(account, positions[slot], in: instrument)
      count += 1
    }
    return count
  }

  private mutating func settle(
    _ account: AccountID, _ position: PositionRecord, in instrument: Instrument
  ) throws(ArithmeticFailure) {
    let price = instrument.settlementPrice
    // Positive for a long, rounded down; negative for a short, rounded down: away from the user.
    let value = try (instrument.payoff(at: price) * position.quantity).money(rounding: .down)
    let change = try value.subtracting(position.cost)
    let cash = try addCash(change.raw, to: account)
    // Positions of one instrument sum to zero, so what the roundings keep is minus their values.
    funds[0].rounding = try sum(funds[0].rounding, 0 - value.raw)
    noteInterest(instrument.id, from: position.quantity, to: .zero)
    closePosition(account, instrument.id)
    touched.touch(account)
    touched.positions.append(UInt64(account.raw) << 32 | UInt64(instrument.id.raw))
    var receipt = Receipt(.expiry)
    receipt.instrument = instrument.id
    receipt.buyer = account
    receipt.price = price
    receipt.quantity = position.quantity
    receipt.received = value
    receipt.buyerRealised = change
    receipt.buyerCash = cash
    receipts.write(record: receipt)
  }
}
