import Instruments
import Margin
import Primitives
import Risk
import Wire

// What no bidder took of an insolvent account in time, or the fund cannot pay for, is closed against
// those who stand on the other side, at the price that leaves the account with nothing (quant.md 3.4).

extension ClearingMachine {
  /// Lets the insurance fund pay what it has of the debt, then closes position after position
  /// against solvent accounts of the other side, the most leveraged first, each down to one level.
  mutating func deleverage(_ slot: Int) throws(ArithmeticFailure) {
    let account = auctions[slot].account
    try bookFunding(account)
    let marked = figures(weigh(account), reserved: .zero).marked
    try payDebt(of: account, 0 - marked.raw)
    let missing = max(0, 0 - weigh(account).equity)
    var held: [(id: InstrumentID, quantity: Quantity)] = []
    forEachPosition(account) { _, position in
      held.append((position.instrument, position.quantity))
    }
    let weights = held.map { position in
      (Int128(position.quantity.raw.magnitude)
        * Int128(indices[instruments[position.id.index].underlying.index].price.raw))
        .divided(by: Notional.perMoney, rounding: .up)
    }
    let whole = weights.reduce(0, +)
    for (place, position) in held.enumerated() {
      let instrument = instruments[position.id.index]
      guard !(instrument.expires && instrument.expiry <= time) else { continue }
      let part = try missing.scaled(by: weights[place], over: whole, rounding: .up)
      let shift = part.divided(
        by: Int128(position.quantity.raw.magnitude), rounding: .up)
      try close(position.id, position.quantity, shiftedBy: shift, of: slot)
    }
  }

  /// Pays a debt as far as the fund reaches.
  private mutating func payDebt(of account: AccountID, _ debt: Int64) throws(ArithmeticFailure) {
    let paid = min(debt, funds[0].insurance)
    guard paid > 0 else { return }
    funds[0].insurance -= paid
    var receipt = Receipt(.insurance)
    receipt.buyer = account
    receipt.paid = Money(raw: paid)
    receipt.buyerCash = try credit(account, .quote, paid)
    receipts.write(record: receipt)
  }

  /// Closes a position against the other side, `shift` off its mark in the account's favour.
  private mutating func close(
    _ id: InstrumentID, _ quantity: Quantity, shiftedBy shift: Int128, of slot: Int
  ) throws(ArithmeticFailure) {
    let lot = instruments[id.index].lot.raw
    let isLong = quantity.raw > 0
    let mark = Int128(table.mark(id).raw)
    let price = Price(
      raw: Int64(clamping: isLong ? mark + shift : max(0, mark - shift)))
    let loss = Int128((Int128(price.raw) - mark).magnitude) * Int128(lot)
    let others = candidates(id, against: auctions[slot].account, isLong: !isLong, loss: loss)
    let lots = Int64(quantity.raw.magnitude) / lot
    let plan: Deleveraging.Plan
    do throws(ArithmeticFailure) {
      plan = try Deleveraging.plan(
        others, closing: lots, factor: factors.maintenance)
    } catch {
      // Figures beyond what the plan can hold: the position stays.
      return
    }
    for (place, part) in plan.parts.enumerated() where part.lots > 0 {
      let level = part.lots > plan.first.shares[place].lots ? plan.second?.level : plan.first.level
      let size = Quantity(raw: part.lots * lot)
      let (buyer, seller) =
        isLong ? (part.account, auctions[slot].account) : (auctions[slot].account, part.account)
      accounts[part.account.index].closing = status[0].batch
      try exchange(
        .deleveraging, id, size, at: price, buyer: buyer, seller: seller, auctions[slot].number,
        level: Money(raw: level ?? 0))
    }
  }

  /// Solvent accounts that hold the other side and of whom execution knows the last change, in
  /// order; no more of a position than a quarter of its limit at once.
  private mutating func candidates(
    _ id: InstrumentID, against account: AccountID, isLong: Bool, loss: Int128
  ) -> [Deleveraging.Candidate] {
    let instrument = instruments[id.index]
    var others: [Deleveraging.Candidate] = []
    for index in 0..<accounts.count {
      let other = AccountID(UInt32(index))
      guard other != account, !accounts[index].isFrozen, hasAdopted(accounts[index].closing),
        let place = positionSlot(other, id), (positions[place].quantity.raw > 0) == isLong,
        isPriceable(other)
      else { continue }
      let standing = weigh(other)
      guard standing.equity > 0 else { continue }
      let page = sheet.page(of: id, instrument.underlying)
      let size = min(
        positions[place].quantity.raw.magnitude, (instrument.positionMax.raw / 4).magnitude)
      let step = (isLong ? 1 : -1) * Int128(instrument.lot.raw)
      var (sums, unit): ([Int128], [Int128]) = ([], [])
      for scenario in 0..<ScenarioSet.count {
        sums.append(sheet.sum(page, scenario))
        unit.append(Int128(table.unit(id, scenario).raw) * step)
      }
      others.append(
        Deleveraging.Candidate(
          account: other, equity: Notional(raw: standing.equity),
          lossPerLot: Notional(raw: loss),
          base: Notional(raw: max(0, standing.core - sheet.scan(page))),
          sums: sums, lots: Int64(size) / instrument.lot.raw, unit: unit, legs: []))
    }
    return others
  }
}
