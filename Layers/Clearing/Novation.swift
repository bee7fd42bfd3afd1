import Instruments
import Margin
import Primitives
import Wire

// Small readers are inlined by force: called out of line from a mutating method they make the
// compiler copy the whole machine to lend it.

extension ClearingMachine {
  /// Puts the house between buyer and seller: both positions, both fees, one receipt.
  mutating func novate(_ fill: Fill) throws(ArithmeticFailure) {
    let instrument = instruments[fill.instrument.index]
    let notional = fill.price * fill.quantity
    let paid = try notional.money(rounding: .up)
    let received = try notional.money(rounding: .down)
    let buyerTakes = fill.takerSide == .buy
    let buyerRates = rates(of: fill.buyer, instrument)
    let sellerRates = rates(of: fill.seller, instrument)
    var receipt = Receipt(.trade)
    receipt.instrument = fill.instrument
    receipt.buyer = fill.buyer
    receipt.seller = fill.seller
    receipt.id = fill.trade.raw
    receipt.price = fill.price
    receipt.quantity = fill.quantity
    receipt.paid = paid
    receipt.received = received
    receipt.buyerFee = Fees.fee(
      fill.price, fill.quantity, rate: buyerTakes ? buyerRates.taker : buyerRates.maker)
    receipt.sellerFee = Fees.fee(
      fill.price, fill.quantity, rate: buyerTakes ? sellerRates.maker : sellerRates.taker)
    (receipt.buyerPosition, receipt.buyerRealised, receipt.buyerCash) = try post(
      fill.buyer, instrument, fill.quantity, paid, fee: receipt.buyerFee)
    (receipt.sellerPosition, receipt.sellerRealised, receipt.sellerCash) = try post(
      fill.seller, instrument, Quantity(raw: 0 - fill.quantity.raw), received,
      fee: receipt.sellerFee)
    funds[0].rounding = try sum(funds[0].rounding, paid.raw - received.raw)
    funds[0].fees = try sum(funds[0].fees, receipt.buyerFee.raw)
    funds[0].fees = try sum(funds[0].fees, receipt.sellerFee.raw)
    count(received, for: fill.buyer)
    count(received, for: fill.seller)
    status[0].trades += 1
    receipts.write(record: receipt)
  }

  /// An account's rates by its volume before the fill, faded to today.
  private mutating func rates(of account: AccountID, _ instrument: Instrument) -> (
    maker: Ratio, taker: Ratio
  ) {
    let today = time.raw / 86_400_000
    let past = today - accounts[account.index].volumeDay
    if past > 0 {
      let volume = Int128(accounts[account.index].volume.raw)
      let faded = (volume * Int128(min(past, 30))).divided(by: 30, rounding: .up)
      accounts[account.index].volume = Money(raw: Int64(volume - faded))
      accounts[account.index].volumeDay = today
    }
    return instrument.fees(volume: accounts[account.index].volume)
  }

  @inline(__always)
  private mutating func count(_ traded: Money, for account: AccountID) {
    // Two values below 2^61: no overflow.
    let volume = accounts[account.index].volume.raw + traded.raw
    accounts[account.index].volume = Money(raw: min(volume, AccountRecord.volumeMax))
  }

  /// Books one side: nets the position, moves cash, takes the fee.
  mutating func post(
    _ account: AccountID, _ instrument: Instrument, _ change: Quantity, _ money: Money, fee: Money
  ) throws(ArithmeticFailure) -> (Quantity, Money, Money) {
    let slot = positionSlot(account, instrument.id) ?? openPosition(account, instrument.id)
    if instrument.kindCode == InstrumentKind.perpetual.rawValue { try bookFunding(slot) }
    let before = positions[slot].quantity
    let posting = try positions[slot].net(change, for: money, isOption: instrument.isOption)
    let quantity = positions[slot].quantity
    // What orders may fill, and a quarter that an auction may have brought before execution knew.
    let limit = instrument.positionMax.raw + instrument.positionMax.raw / 4
    if quantity.raw.magnitude > limit.magnitude { throw .overflow("position") }
    noteInterest(instrument.id, from: before, to: quantity)
    var change = try posting.cash.subtracting(fee)
    if instrument.kindCode == InstrumentKind.perpetual.rawValue { restartFunding(slot) }
    if quantity.raw == 0 {
      // A flat position keeps no cost: what is left of rounding goes to cash.
      change = try change.subtracting(positions[slot].cost)
      closePosition(account, instrument.id)
    }
    let cash = try addCash(change.raw, to: account)
    touched.touch(account)
    touched.positions.append(UInt64(account.raw) << 32 | UInt64(instrument.id.raw))
    return (quantity, posting.realised, cash)
  }

  @inline(__always)
  func sum(_ a: Int64, _ b: Int64) throws(ArithmeticFailure) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    if overflow { throw .overflow("fund posting") }
    return sum
  }

  // MARK: - Positions, a list per account sorted by instrument

  @inline(__always)
  func positionSlot(_ account: AccountID, _ instrument: InstrumentID) -> Int? {
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let slot = Int(next) - 1
      if positions[slot].instrument == instrument { return slot }
      if positions[slot].instrument > instrument { return nil }
      next = positions[slot].next
    }
    return nil
  }

  mutating func openPosition(_ account: AccountID, _ instrument: InstrumentID) -> Int {
    let slot = freePositions.take()
    positions.reserve(through: slot)
    var record = PositionRecord(account: account, instrument: instrument, isUsed: 1)
    var previous: Int?
    var next = accounts[account.index].firstPosition
    while next != 0, positions[Int(next) - 1].instrument < instrument {
      previous = Int(next) - 1
      next = positions[Int(next) - 1].next
    }
    record.next = next
    positions[slot] = record
    if let previous {
      positions[previous].next = UInt32(slot + 1)
    } else {
      accounts[account.index].firstPosition = UInt32(slot + 1)
    }
    accounts[account.index].positionCount += 1
    return slot
  }

  mutating func closePosition(_ account: AccountID, _ instrument: InstrumentID) {
    var previous: Int?
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let slot = Int(next) - 1
      guard positions[slot].instrument == instrument else {
        previous = slot
        next = positions[slot].next
        continue
      }
      if let previous {
        positions[previous].next = positions[slot].next
      } else {
        accounts[account.index].firstPosition = positions[slot].next
      }
      positions[slot] = .empty
      freePositions.free(slot)
      accounts[account.index].positionCount -= 1
      return
    }
  }

  /// Visits an account's positions in the order of instruments.
  @inline(__always)
  func forEachPosition<Failure: Error>(
    _ account: AccountID, _ body: (Int, PositionRecord) throws(Failure) -> Void
  ) throws(Failure) {
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let slot = Int(next) - 1
      try body(slot, positions[slot])
      next = positions[slot].next
    }
  }
}
