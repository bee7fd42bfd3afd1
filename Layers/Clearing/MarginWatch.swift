import Instruments
import Margin
public import Primitives
import Wire

/// An account's margin at the marks in force.
public struct MarginFigures: Sendable {
  /// Cash, collateral that counts and every position at its mark, less cost, funding and interest not
  /// yet booked; rounded down.
  public let equity: Money
  /// By the method in force, with what is asked on entry for size; rounded up.
  public let initial: Money
  /// The maintenance share of initial; rounded up.
  public let maintenance: Money
}

/// What the margin terms in force say of whole accounts.
struct MarginFactors {
  var lambda = Ratio.zero
  var maintenance = Ratio(raw: Ratio.scale)
  var interest = Ratio.zero
}

extension ClearingMachine {
  /// Checks every account that may matter: below maintenance it may only reduce, its orders are
  /// cancelled, and its auction begins or, without auctions, a position is closed against the
  /// book; above initial margin again it is free. A flat account's debt is paid by the insurance
  /// fund, as far as that reaches; while some is left it may only reduce.
  ///
  /// An account whose every position stands on old words is left alone. When a Clearance has no
  /// room for another directive, the next batch goes on with the account where this one stopped.
  mutating func watchMargin() throws(ArithmeticFailure) {
    let first = Int(status[0].watchFrom)
    status[0].watchFrom = 0
    if touched.marketMoved || first != 0 {
      noteDrift()
      for index in first..<accounts.count {
        if index + 8 < accounts.count { lookAheadToPosition(of: AccountID(UInt32(index + 8))) }
        if !canSkip(index) { try watch(AccountID(UInt32(index))) }
      }
      for index in 0..<first where !canSkip(index) { try watch(AccountID(UInt32(index))) }
      return
    }
    touched.sortAccounts()
    let order = touched.accounts[...]
    for place in order.indices {
      askAhead(order, place)
      try watch(order[place])
    }
    // A close that found nothing is tried again once execution has seen it.
    for account in restricted { try watch(account) }
  }

  private mutating func watch(_ account: AccountID) throws(ArithmeticFailure) {
    let record = accounts[account.index]
    skipping.forget(account)
    guard !record.isFrozen else { return }
    guard isExposed(account) else {
      try coverDebt(account)
      let isInDebt = accounts[account.index].cash.raw < 0
      if record.isRestricted != isInDebt { restrict(account, isInDebt) }
      return
    }
    guard isPriceable(account) else { return }
    let standing = weigh(account)
    if standing.equity >= standing.requirement {
      skipping.note(account, slack: standing.equity - standing.requirement)
      if record.isRestricted { restrict(account, false, standing) }
      return
    }
    let maintenance = standing.maintenance
    guard standing.equity < maintenance else { return }
    guard directives.count + 2 <= Limits.directivesPerBatchMax else {
      if status[0].watchFrom == 0 { status[0].watchFrom = account.raw }
      return
    }
    if !record.isRestricted {
      restrict(account, true, standing)
      directives.append(Directive(cancelAllOf: account))
    }
    guard !isHeldBack(account, lacking: maintenance - standing.equity) else { return }
    if genesis.constants.auctionFast > 0, auctionSlots[account] == nil {
      return try startAuction(of: account, standing, isCancelled: !record.isRestricted)
    }
    guard hasAdopted(accounts[account.index].closing),
      let directive = close(account, standing)
    else { return }
    accounts[account.index].closing = status[0].batch
    touched.touch(account)
    directives.append(directive)
    receipts.write(record: receipt(of: directive, standing))
  }

  /// What a close went by, so that it can be judged alone from the account and its market.
  func receipt(of close: Directive, _ standing: Standing) -> Receipt {
    var receipt = Receipt(.close)
    receipt.instrument = close.instrument
    receipt.buyer = close.account
    receipt.price = close.price
    receipt.quantity =
      close.sideCode == Side.buy.rawValue ? close.quantity : Quantity(raw: 0 - close.quantity.raw)
    receipt.id = .max
    if let binding = standing.binding {
      let underlying = instruments[close.instrument.index].underlying
      receipt.id = UInt64(underlying.raw) << 8 | UInt64(binding.scenario)
      let loss = sheet.sum(binding.page, binding.scenario)
      receipt.buyerRealised = standing.held(loss, .down)
    }
    receipt.paid = standing.held(standing.requirement, .up)
    receipt.received = standing.held(standing.equity, .down)
    receipt.buyerFee = standing.held(standing.maintenance, .up)
    receipt.buyerPosition =
      positionSlot(close.account, close.instrument).map { positions[$0].quantity } ?? .zero
    receipt.sellerPosition = Quantity(raw: Int64(status[0].margin))
    receipt.buyerCash = accounts[close.account.index].cash
    return receipt
  }

  /// Whether execution had adopted what clearing did in a batch; all ones stand for nothing.
  @inline(__always)
  func hasAdopted(_ batch: UInt64) -> Bool {
    batch == .max || (adopted != ExecutionHeader.noCredit && batch <= adopted.raw)
  }

  private mutating func restrict(
    _ account: AccountID, _ isRestricted: Bool, _ standing: Standing? = nil
  ) {
    setStanding(of: account, to: isRestricted ? .reduceOnly : [])
    if isRestricted {
      let place = restricted.firstIndex { $0 > account } ?? restricted.count
      restricted.insert(account, at: place)
    } else {
      restricted.removeAll { $0 == account }
    }
    if !isRestricted { accounts[account.index].closing = .max }
    touched.touch(account)
    var receipt = Receipt(.restriction)
    receipt.buyer = account
    receipt.id = isRestricted ? 1 : 0
    receipt.buyerCash = accounts[account.index].cash
    receipt.quantity = Quantity(raw: Int64(status[0].margin))
    if let standing {
      receipt.received = standing.held(standing.equity, .down)
      receipt.paid = standing.held(standing.requirement, .up)
    }
    receipts.write(record: receipt)
  }

  /// Pays a flat account's debt: with what its owner's others can do without, then from the insurance
  /// fund.
  private mutating func coverDebt(_ account: AccountID) throws(ArithmeticFailure) {
    guard accounts[account.index].cash.raw < 0 else { return }
    if groups.group(of: account).count > 1 {
      try bookInterest(account)
      try callOwner(of: account, for: 0 - accounts[account.index].cash.raw)
    }
    guard accounts[account.index].cash.raw < 0, funds[0].insurance > 0 else { return }
    try bookInterest(account)
    let debt = 0 - accounts[account.index].cash.raw
    let paid = min(debt, funds[0].insurance)
    funds[0].insurance -= paid
    var receipt = Receipt(.insurance)
    receipt.buyer = account
    receipt.paid = Money(raw: paid)
    receipt.buyerCash = try credit(account, .quote, paid)
    receipts.write(record: receipt)
  }

  // MARK: - Figures

  /// Exact standing of an account, in notional units.
  struct Standing {
    var equity: Int128
    /// Initial margin.
    var requirement: Int128
    /// Of it, what maintenance is a share of.
    var core: Int128
    /// Maintenance margin: that share, and the haircuts of collateral.
    var maintenance: Int128
    /// The underlying, or in cross mode the contract, with the heaviest worst scenario, and that
    /// scenario.
    var binding: MarginSheet.Binding?

    /// A figure as money, held far beyond all money there is, so that it fits a receipt's field.
    func held(_ notional: Int128, _ rounding: Rounding) -> Money {
      let units = notional.divided(by: Notional.perMoney, rounding: rounding)
      return Money(raw: Int64(max(-1 << 61, min(units, 1 << 61))))
    }
  }

  /// Equity and margin of an account from its positions and collateral, on `sheet`.
  mutating func weigh(_ account: AccountID, less leaving: Leaving? = nil) -> Standing {
    var equity = Notional(accounts[account.index].cash).raw - accruedInterest(account)
    sheet.clear(apart: accounts[account.index].isApart)
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let slot = Int(next) - 1
      let (id, quantity) = (positions[slot].instrument, positions[slot].quantity)
      equity += (table.mark(id) * quantity).raw - Notional(positions[slot].cost).raw
      equity -= accruedFunding(positions[slot])
      sheet.add(id, quantity, instruments[id.index].underlying.index, table)
      next = positions[slot].next
    }
    var worth = CollateralTable.Worth.none
    if accounts[account.index].firstBalance != 0 {
      worth = weighCollateral(account, less: leaving)
    }
    let found = sheet.requirement(lambda: factors.lambda)
    // What is charged on entry closes nobody.
    return Standing(
      equity: equity + worth.value,
      requirement: found.initial + worth.maintenance + worth.initial, core: found.core,
      maintenance: MarginSheet.share(found.core, factors.maintenance) + worth.maintenance,
      binding: found.binding)
  }

  /// The figures people see. Cost: a few microseconds and two allocations.
  public func margin(_ account: AccountID) -> MarginFigures {
    var sheet = MarginSheet(underlyings: genesis.underlyings.count)
    sheet.clear(apart: accounts[account.index].isApart)
    var equity = Notional(accounts[account.index].cash).raw - accruedInterest(account)
    forEachPosition(account) { _, position in
      let id = position.instrument
      equity += (table.mark(id) * position.quantity).raw - Notional(position.cost).raw
      equity -= accruedFunding(position)
      sheet.add(id, position.quantity, instruments[id.index].underlying.index, table)
    }
    var worth = CollateralTable.Worth.none
    var next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      next = record.next
      guard collaterals.counts(record.asset) else { continue }
      collaterals.add(record.asset, record.amount, to: &sheet)
      worth = worth + collaterals.worth(record.asset, record.amount)
    }
    let found = sheet.requirement(lambda: factors.lambda)
    func money(_ notional: Int128, _ rounding: Rounding) -> Money {
      Money(raw: Int64(clamping: notional.divided(by: Notional.perMoney, rounding: rounding)))
    }
    return MarginFigures(
      equity: money(equity + worth.value, .down),
      initial: money(
        found.initial + MarginSheet.share(found.core, table.pegShare) + worth.maintenance
          + worth.initial + sizeCharge(account), .up),
      maintenance: money(
        MarginSheet.share(found.core, factors.maintenance) + worth.maintenance, .up))
  }

  /// Whether every position has a mark, and at least one a fresh one: a stale corner shields no
  /// account from the rest of the market. Without a position, whether some collateral has a fresh
  /// price.
  func isPriceable(_ account: AccountID) -> Bool {
    if accounts[account.index].firstPosition == 0 {
      return holdsCollateral(account) { isPriceFresh($0) }
    }
    var isFresh = false
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let id = positions[Int(next) - 1].instrument
      guard table.isPriced(id) else { return false }
      isFresh = isFresh || isMarkFresh(id)
      next = positions[Int(next) - 1].next
    }
    return isFresh
  }

  /// Whether an instrument's index is fresh and no word behind its mark is stale.
  @inline(__always)
  func isMarkFresh(_ id: InstrumentID) -> Bool {
    isFresh(instruments[id.index].underlying)
      && time.raw - table.time(id).raw <= genesis.constants.oracleStaleness
  }

  // MARK: - Closing

  /// The order that closes the position whose close lowers initial margin most, at marks: as much
  /// of it as brings the binding scenario to nothing. Ties go to the lowest instrument.
  ///
  /// It trades no further from the mark than the close band, and never gives away more than the
  /// account's equity, or an eighth of its initial margin where equity is less than that: what is
  /// left of an account cannot be carried off by whoever waits on the other side.
  mutating func close(_ account: AccountID, _ standing: Standing) -> Directive? {
    var choice: (id: InstrumentID, quantity: Quantity, requirement: Int128)?
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let position = positions[Int(next) - 1]
      next = position.next
      let id = position.instrument
      let page = sheet.page(of: id, instruments[id.index].underlying)
      if let binding = standing.binding, binding.page != page { continue }
      guard instruments[id.index].trades(at: time), isMarkFresh(id) else { continue }
      let quantity = closable(position, standing.binding)
      guard quantity.raw != 0 else { continue }
      let requirement = requirement(after: quantity, of: id, standing)
      if choice.map({ requirement < $0.requirement }) ?? true {
        choice = (id, quantity, requirement)
      }
    }
    guard let choice else { return nil }
    let instrument = instruments[choice.id.index]
    let side: Side = choice.quantity.raw > 0 ? .sell : .buy
    let size = Quantity(raw: Int64(clamping: choice.quantity.raw.magnitude))
    let allowance = max(standing.equity, standing.requirement / 8)
    guard let worst = worstPrice(instrument, side, size, allowance: allowance) else { return nil }
    return Directive(
      close: account, instrument: instrument.id, side: side, quantity: size, worst: worst)
  }

  /// The signed part of a position whose close brings the binding sum to nothing, rounded up to the
  /// lot; all of it when nothing binds, none when it does not lose in that scenario.
  private func closable(
    _ position: PositionRecord, _ binding: MarginSheet.Binding?
  ) -> Quantity {
    guard let binding else { return position.quantity }
    let unit = Int128(table.unit(position.instrument, binding.scenario).raw)
    guard unit * Int128(position.quantity.raw) < 0 else { return .zero }
    let sum = sheet.sum(binding.page, binding.scenario)
    let lot = Int128(instruments[position.instrument.index].lot.raw)
    let wanted =
      (0 - sum).divided(by: Int128(unit.magnitude), rounding: .up)
      .divided(by: lot, rounding: .up) * lot
    let held = Int128(position.quantity.raw.magnitude)
    let size = Int64(clamping: min(held, wanted))
    return Quantity(raw: position.quantity.raw > 0 ? size : 0 - size)
  }

  /// Initial margin once `quantity` contracts of the position are gone, the charges held still.
  /// `sheet` holds the account.
  private func requirement(
    after quantity: Quantity, of id: InstrumentID, _ standing: Standing
  ) -> Int128 {
    let page = sheet.page(of: id, instruments[id.index].underlying)
    return standing.requirement - sheet.scan(page)
      + sheet.scan(page, less: quantity, of: id, table)
  }

  /// The worst price a close may trade at: a band away from the mark, of which an option's is taken
  /// of its mark and a tenth of the index, since a cheap option's own price says little; and no
  /// further than the allowance reaches. Rounded to the tick, towards the mark; nil when that
  /// leaves no price.
  private func worstPrice(
    _ instrument: Instrument, _ side: Side, _ size: Quantity, allowance: Int128
  ) -> Price? {
    let mark = Int128(table.mark(instrument.id).raw)
    let index = indices[instrument.underlying.index].price.raw
    let base = mark + (instrument.isOption ? Int128(index) / 10 : 0)
    let widest = (base * Int128(genesis.constants.closeBand))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    let band = min(widest, allowance.divided(by: Int128(size.raw), rounding: .down))
    let tick = Int128(instrument.tick.raw)
    let limit =
      side == .buy
      ? (mark + band).divided(by: tick, rounding: .down) * tick
      : (mark - band).divided(by: tick, rounding: .up) * tick
    if side == .buy, limit < tick { return nil }
    return Price(raw: Int64(min(max(limit, tick), Int128(instrument.priceMax.raw))))
  }

  /// Takes over the margin terms in force; what is priced by them is to be priced anew.
  mutating func takeTerms() {
    let terms = margins[Int(status[0].margin)]
    table.use(terms)
    factors = MarginFactors(
      lambda: terms.lambda, maintenance: terms.maintenanceFactor, interest: terms.interest)
    skipping.forgetAll()
  }

  /// Recomputes marks and unit vectors from the market record.
  mutating func reprice() { reprice(0..<instruments.count) }

  /// The same of the instruments in these slots.
  mutating func reprice(_ listed: some Sequence<Int>) {
    var markets: [UnderlyingMarket] = []
    for slot in 0..<indices.count {
      markets.append(
        UnderlyingMarket(
          index: indices[slot].price, time: indices[slot].time, doubt: indices[slot].doubt))
    }
    for slot in 0..<slices.count {
      let entry = slices[slot]
      markets[entry.underlying.index].slices.append(entry.expirySlice)
    }
    for slot in listed {
      let instrument = instruments[slot]
      table.update(instrument, market: markets[instrument.underlying.index])
    }
    let terms = margins[Int(status[0].margin)]
    collaterals.update(terms, markets)
    table.setQuoteWorth(terms.pegUnderlying.map { indices[$0.index].price })
  }
}
