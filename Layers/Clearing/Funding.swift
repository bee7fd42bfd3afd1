import Instruments
import Primitives
import Risk
import Wire

// Funding, one rule (quant.md 2): an index a perpetual, which grows by rate × index price × time; a
// position owes what the index grew by since its quantity last changed, less what it was booked.

extension ClearingMachine {
  private static let minute: Int64 = 60_000
  /// Samples of each hundred that are cut off at either end.
  private static let trim = 10

  /// Lets funding run over the time since the batch before, at the rates and prices that stood.
  /// Nobody pays for more than a minute between two batches: an outage is not the users'.
  mutating func runFunding(since last: Timestamp) throws(ArithmeticFailure) {
    let elapsed = min(time.raw - last.raw, ClearingMachine.minute)
    for slot in 0..<perpetuals.count {
      let record = perpetuals[slot]
      let price = indices[instruments[record.instrument.index].underlying.index].price
      if record.rate.raw != 0, elapsed > 0, price.raw > 0 {
        var index = record.index
        try index.grow(rate: record.rate, price: price, elapsed: elapsed)
        perpetuals[slot].setIndex(index)
        skipping.noteFunding(slot, grown: index.value - record.index.value)
      }
    }
  }

  /// Takes a sample of the premium where a minute has begun, after the batch's words were heard.
  mutating func samplePremiums() {
    for slot in 0..<perpetuals.count
    where time.raw / ClearingMachine.minute > perpetuals[slot].minute {
      samplePremium(slot)
    }
  }

  /// A premium needs a fresh index and an impact price no older than words may be; a minute without
  /// them, or without a batch, has none. The rate is the trimmed mean of the last hour.
  private mutating func samplePremium(_ slot: Int) {
    var record = perpetuals[slot]
    let minute = time.raw / ClearingMachine.minute
    let count = Int64(PerpetualRecord.sampleCount)
    for passed in max(record.minute, minute - count) + 1...minute {
      record.present &= ~(1 << UInt64(passed % count))
      record.premiums[Int(passed % count)] = .zero
    }
    record.minute = minute
    let underlying = instruments[record.instrument.index].underlying
    if isFresh(underlying), record.impact.raw > 0,
      time.raw - record.impactTime.raw <= genesis.constants.oracleStaleness
    {
      record.present |= 1 << UInt64(minute % count)
      record.premiums[Int(minute % count)] = RunningRate.premium(
        impact: record.impact, index: indices[underlying.index].price)
    }
    var samples: [Ratio] = []
    for place in 0..<PerpetualRecord.sampleCount where record.present >> UInt64(place) & 1 == 1 {
      samples.append(record.premiums[place])
    }
    record.rate = RunningRate.funding(
      of: samples, trim: ClearingMachine.trim, cap: Ratio(raw: genesis.constants.fundingRateMax))
    perpetuals[slot] = record
  }

  /// What a quorum says of a book's impact price.
  mutating func setImpact(of perpetual: InstrumentID, _ price: Price, _ time: Timestamp) {
    let slot = perpetualSlots[perpetual.index]
    guard time >= perpetuals[slot].impactTime else { return }
    perpetuals[slot].impact = price
    perpetuals[slot].impactTime = time
  }

  // MARK: - Perpetuals

  /// Opens the record of a perpetual that was just listed.
  mutating func openPerpetual(_ instrument: Instrument) {
    guard instrument.kind == .perpetual else { return }
    let record = PerpetualRecord(
      instrument: instrument.id, minute: time.raw / ClearingMachine.minute)
    notePerpetual(instrument.id, perpetuals.append(record))
  }

  mutating func notePerpetual(_ instrument: InstrumentID, _ slot: Int) {
    while perpetualSlots.count <= instrument.index { perpetualSlots.append(-1) }
    perpetualSlots[instrument.index] = slot
  }

  // MARK: - Bookings

  /// Books the interest of an account's debt and the funding of its perpetuals.
  mutating func bookFunding(_ account: AccountID) throws(ArithmeticFailure) {
    try bookInterest(account)
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let slot = Int(next) - 1
      next = positions[slot].next
      if instruments[positions[slot].instrument.index].kind == .perpetual {
        try bookFunding(slot)
      }
    }
  }

  /// Books what a perpetual's position owes (or is owed) since it was last booked; before its
  /// quantity changes. Its quantity and cost stay, so a Clearance has nothing to say of it but its
  /// owner's cash.
  mutating func bookFunding(_ slot: Int) throws(ArithmeticFailure) {
    let position = positions[slot]
    var holding = position.holding
    let due = try holding.touch(
      position.quantity, perpetuals[perpetualSlots[position.instrument.index]].index)
    guard due.raw != 0 else { return }
    let account = position.account
    let cash = try addCash(0 - due.raw, to: account)
    funds[0].funding = try sum(funds[0].funding, due.raw)
    positions[slot].fundingBooked = holding.booked
    touched.touch(account)
    var receipt = Receipt(.funding)
    receipt.instrument = position.instrument
    receipt.buyer = account
    receipt.quantity = position.quantity
    receipt.paid = due
    receipt.buyerCash = cash
    receipts.write(record: receipt)
  }

  /// A new quantity stands from now on.
  mutating func restartFunding(_ slot: Int) {
    let record = perpetuals[perpetualSlots[positions[slot].instrument.index]]
    positions[slot].fundingIndexLow = record.indexLow
    positions[slot].fundingIndexHigh = record.indexHigh
    positions[slot].fundingBooked = .zero
  }

  /// What a position owes and was not yet booked, in notional units; zero for what has no funding.
  @inline(__always)
  func accruedFunding(_ position: PositionRecord) -> Int128 {
    guard position.instrument.index < perpetualSlots.count,
      perpetualSlots[position.instrument.index] >= 0
    else { return 0 }
    let index = perpetuals[perpetualSlots[position.instrument.index]].index
    if index.value == position.holding.opened, position.fundingBooked.raw == 0 { return 0 }
    var holding = position.holding
    do throws(ArithmeticFailure) {
      return Notional(try holding.touch(position.quantity, index)).raw
    } catch {
      // Beyond all money there is: the booking refuses it.
      return 0
    }
  }
}

extension PerpetualRecord {
  var index: CumulativeIndex {
    CumulativeIndex.funding(
      value: Int128(indexHigh) &<< 64 | Int128(indexLow), remainder: Int128(remainder))
  }

  mutating func setIndex(_ index: CumulativeIndex) {
    indexLow = UInt64(truncatingIfNeeded: index.value)
    indexHigh = Int64(truncatingIfNeeded: index.value &>> 64)
    remainder = Int64(index.remainder)
  }
}

extension PositionRecord {
  var holding: IndexedHolding {
    IndexedHolding(
      opened: Int128(fundingIndexHigh) &<< 64 | Int128(fundingIndexLow), booked: fundingBooked)
  }
}
