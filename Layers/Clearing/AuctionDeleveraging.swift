import Instruments
import Margin
import Primitives
import Risk
import Wire

// What no bidder took of an insolvent account in time, or the fund cannot pay for, is closed against
// those who stand on the other side, at the price that leaves the account with nothing (quant.md 3.4).
// What that leaves of a hedge closes with it: HedgeClosing.swift.

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
    try openEpoch(of: auctions[slot])
  }

  /// Pays a debt as far as the fund reaches.
  private mutating func payDebt(of account: AccountID, _ debt: Int64) throws(ArithmeticFailure) {
    var tranches = try tranches(of: account, for: debt)
    let paid = Int64(min(Int128(debt), fundReach(tranches)))
    guard paid > 0 else { return }
    let tranched = takeFromFund(paid, &tranches)
    var receipt = Receipt(.insurance)
    receipt.buyer = account
    receipt.paid = Money(raw: paid)
    receipt.received = tranched
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
    let lots = Int64(quantity.raw.magnitude) / lot
    let plan: Deleveraging.Plan
    var count = 0
    do throws(ArithmeticFailure) {
      let others = try candidates(id, against: auctions[slot].account, isLong: !isLong, loss: loss)
      count = others.count
      plan = try Deleveraging.plan(others, closing: lots, factor: factors.maintenance)
    } catch {
      // Figures beyond what the plan can hold: the position stays.
      return report(nil, of: slot, id, at: price, asked: lots, among: 0, .beyondFigures)
    }
    report(plan, of: slot, id, at: price, asked: lots, among: count, .done)
    for (place, part) in plan.parts.enumerated() where part.lots > 0 {
      let level = part.lots > plan.first.shares[place].lots ? plan.second?.level : plan.first.level
      let size = Quantity(raw: part.lots * lot)
      let (buyer, seller) =
        isLong ? (part.account, auctions[slot].account) : (auctions[slot].account, part.account)
      accounts[part.account.index].closing = status[0].batch
      try exchange(
        .deleveraging, id, size, at: price, buyer: buyer, seller: seller, auctions[slot].number,
        level: Money(raw: level ?? 0))
      noteLoss(
        of: part.account, by: auctions[slot].account, size, at: price, mark: table.mark(id))
    }
    try closeHedges(plan, of: slot)
  }

  /// Says how far a plan went: with the accounts' leaves before the batch anybody can check that the
  /// level is the one, and that a lot more or less of anyone would break it.
  mutating func report(
    _ plan: Deleveraging.Plan?, of slot: Int, _ id: InstrumentID, at price: Price, asked: Int64,
    among count: Int, _ code: ReceiptCode
  ) {
    var receipt = Receipt(.deleveragingLevel, code)
    receipt.instrument = id
    receipt.buyer = auctions[slot].account
    receipt.seller = AccountID(UInt32(count))
    receipt.id = auctions[slot].number
    receipt.price = price
    receipt.quantity = Quantity(raw: asked)
    receipt.buyerPosition = Quantity(raw: asked)
    if let plan {
      func lots(_ certificate: WaterFilling.Certificate?) -> Int64 {
        certificate?.shares.reduce(0) { $0 + $1.lots } ?? 0
      }
      receipt.paid = Money(raw: lots(plan.first))
      receipt.received = Money(raw: lots(plan.second))
      receipt.buyerFee = Money(raw: plan.first.level)
      receipt.sellerFee = Money(raw: plan.second?.level ?? 0)
      receipt.buyerPosition = Quantity(raw: plan.left)
      receipt.sellerPosition = Quantity(raw: Int64(plan.parts.count { $0.lots > 0 }))
    }
    receipts.write(record: receipt)
  }

  /// Solvent accounts that hold the other side and of whom execution knows the last change, in
  /// order; no more of a position than a quarter of its limit at once. Who is hedged comes with its
  /// legs.
  private mutating func candidates(
    _ id: InstrumentID, against account: AccountID, isLong: Bool, loss: Int128
  ) throws(ArithmeticFailure) -> [Deleveraging.Candidate] {
    var others: [Deleveraging.Candidate] = []
    for index in 0..<accounts.count {
      let other = AccountID(UInt32(index))
      guard other != account,
        var candidate = candidate(other, id, isLong: isLong, loss: loss)
      else { continue }
      if !accounts[index].isApart, try candidate.isHedged() {
        candidate.legs = legs(of: other, beside: id)
      }
      others.append(candidate)
    }
    return others
  }

  /// An account as one that may close a position; nil where it may not.
  mutating func candidate(
    _ account: AccountID, _ id: InstrumentID, isLong: Bool, loss: Int128
  ) -> Deleveraging.Candidate? {
    guard !accounts[account.index].isFrozen, hasAdopted(accounts[account.index].closing),
      let place = positionSlot(account, id), (positions[place].quantity.raw > 0) == isLong,
      isPriceable(account)
    else { return nil }
    let standing = weigh(account)
    guard standing.equity > 0 else { return nil }
    let page = sheet.page(of: id, instruments[id.index].underlying)
    return Deleveraging.Candidate(
      account: account, equity: Notional(raw: standing.equity), lossPerLot: Notional(raw: loss),
      base: Notional(raw: max(0, standing.core - sheet.scan(page))),
      sums: (0..<ScenarioSet.count).map { sheet.sum(page, $0) },
      lots: closableLots(positions[place]), unit: unit(of: id, isLong: isLong), legs: [])
  }

  /// Lots of a position that may close in one batch.
  func closableLots(_ position: PositionRecord) -> Int64 {
    let instrument = instruments[position.instrument.index]
    let size = min(
      position.quantity.raw.magnitude, (instrument.positionMax.raw / 4).magnitude)
    return Int64(size) / instrument.lot.raw
  }

  /// Change of value of a lot as held, by scenario.
  func unit(of id: InstrumentID, isLong: Bool) -> [Int128] {
    let step = (isLong ? 1 : -1) * Int128(instruments[id.index].lot.raw)
    return (0..<ScenarioSet.count).map { Int128(table.unit(id, $0).raw) * step }
  }
}
