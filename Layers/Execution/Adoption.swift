import Instruments
import Margin
import Primitives
import Wire

extension ExecutionMachine {
  /// Takes over what clearing granted: new accounts, cash, positions and the market record. Fills
  /// of later batches stay counted on top.
  mutating func adopt(_ header: ClearingHeader, _ body: ClearanceBody) {
    for opened in body.opened {
      precondition(opened.account.index == credits.count, "accounts open in order")
      open(owner: opened.owner, flags: opened.flags, at: status[0].batch)
    }
    forgetSince(through: header.batch.raw)
    for entry in body.positions { adopt(entry) }
    for entry in body.accounts {
      credits[entry.account.index].cash = entry.cash
      credits[entry.account.index].flags = entry.flags
    }
    for entry in body.balances { adopt(entry) }
    if adoptMarket(body) {
      rebuildRisk()
    } else {
      refreshEquity(of: body.accounts)
    }
  }

  /// Moves fills and outflows up to `batch` from *since* to *granted*; the Clearance's own entries
  /// then say what stands there.
  private mutating func forgetSince(through batch: UInt64) {
    let count = Int(status[0].sinceCount)
    var kept = 0
    for place in 0..<count {
      let record = since[place]
      guard record.batch <= batch else {
        if kept != place { since[kept] = record }
        kept += 1
        continue
      }
      if record.kind == SinceRecord.outflow {
        forgetOutflow(record)
      } else if let slot = holdingSlot(record.account, InstrumentID(record.subject)) {
        credits[record.account.index].spent &-= spent(on: record)
        holdings[slot].sinceFills -= 1
        holdings[slot].since = Quantity(raw: holdings[slot].since.raw - record.quantity)
        grant(slot, Quantity(raw: holdings[slot].granted.raw + record.quantity))
      }
    }
    for place in kept..<count { since[place] = .empty }
    status[0].sinceCount = UInt32(kept)
  }

  private mutating func forgetOutflow(_ record: SinceRecord) {
    if record.subject == UInt32(AssetID.quote.raw) {
      let outflow = credits[record.account.index].outflow
      credits[record.account.index].outflow = Money(raw: outflow.raw - record.quantity)
    } else if let slot = balanceSlot(record.account, AssetID(UInt16(record.subject))) {
      setBalance(
        slot, granted: balances[slot].granted,
        outflow: Amount(raw: balances[slot].outflow.raw - record.quantity))
    }
  }

  /// Sets a granted position; only what differs from the fills execution saw moves the sums.
  private mutating func adopt(_ entry: PositionEntry) {
    guard entry.quantity.raw != 0 || holdingSlot(entry.account, entry.instrument) != nil else {
      return
    }
    let slot =
      holdingSlot(entry.account, entry.instrument) ?? openHolding(entry.account, entry.instrument)
    let before = holdings[slot].total
    grant(slot, entry.quantity)
    holdings[slot].cost = entry.cost
    if holdings[slot].total != before {
      let sums = risk.slot(
        entry.account, instruments[entry.instrument.index].underlying, .init(entry.instrument))
      let worst = table.move(
        entry.instrument, from: before, to: holdings[slot].total, in: &risk.sums, sums)
      risk.set(entry.account, sums, worst: worst)
    }
    release(entry.account, entry.instrument)
  }

  private mutating func adopt(_ entry: BalanceEntry) {
    if let slot = balanceSlot(entry.account, entry.asset) {
      setBalance(slot, granted: entry.amount, outflow: balances[slot].outflow)
      return
    }
    let slot = balances.append(
      BalanceRecord(
        account: entry.account, asset: entry.asset,
        next: credits[entry.account.index].firstBalance))
    credits[entry.account.index].firstBalance = UInt32(slot + 1)
    setBalance(slot, granted: entry.amount, outflow: Amount(raw: 0))
  }

  // MARK: - Checks before any change

  /// Every Clearance must follow the one before and name only what is there, or what comes next.
  func check(_ clearances: [(header: ClearingHeader, body: ClearanceBody)])
    throws(ExecutionFailure)
  {
    var expected = status[0].creditBatch == .max ? 0 : status[0].creditBatch + 1
    var previous = status[0].creditBatch == .max ? network : status[0].creditID
    var accountCount = credits.count
    // Modes of accounts that these Clearances open.
    var opened: [AccountFlags] = []
    var instrumentCount = instruments.count
    for (header, body) in clearances {
      guard header.batch.raw == expected, expected < status[0].batch else {
        throw .clearance(expected: BatchNumber(expected), found: header.batch)
      }
      func require(_ condition: Bool, _ field: String) throws(ExecutionFailure) {
        if !condition { throw .clearanceBody(batch: header.batch, field: field) }
      }
      try require(header.network == network && header.previous == previous, "chain")
      try require(body.isSorted, "order")
      for entry in body.opened {
        try require(entry.account.index == accountCount, "opened account")
        opened.append(AccountFlags(rawValue: entry.flags))
        accountCount += 1
      }
      for instrument in body.instruments {
        try require(
          instrument.id.index <= instrumentCount && instrument.fault == nil
            && instrument.underlying.index < indices.count
            && (instrument.id.index >= instruments.count
              || instruments[instrument.id.index].hasTerms(of: instrument)),
          "instrument")
        if instrument.id.index == instrumentCount { instrumentCount += 1 }
      }
      try require(body.accounts.allSatisfy { $0.account.index < accountCount }, "account")
      try require(
        body.accounts.allSatisfy { entry in
          let place = entry.account.index
          let known =
            place < credits.count
            ? AccountFlags(rawValue: credits[place].flags) : opened[place - credits.count]
          return AccountFlags(rawValue: entry.flags).mode == known.mode
        }, "mode")
      try require(
        body.balances.allSatisfy {
          $0.account.index < accountCount && $0.asset != .quote
            && $0.asset.index < genesis.assets.count
        }, "balance")
      // A position is in what was listed before: execution filled it.
      try require(
        body.positions.allSatisfy {
          $0.account.index < accountCount && $0.instrument.index < instruments.count
        }, "position")
      try require(
        body.indices.allSatisfy { $0.underlying.index < indices.count && $0.price.raw > 0 }
          && body.slices.allSatisfy { $0.underlying.index < indices.count && $0.forward.raw > 0 },
        "oracle")
      try require(
        body.directives.allSatisfy { $0.isCanonical && $0.account.index < accountCount },
        "directive")
      try require(body.margin.count <= 1 && body.margin.allSatisfy { fits($0) }, "margin")
      previous = header.id
      expected += 1
    }
  }

  func fits(_ terms: MarginTerms) -> Bool {
    terms.isCanonical
      && terms.fits(assets: genesis.assets.count, underlyings: genesis.underlyings.count)
  }

  // MARK: - Market

  /// Takes the market record over; true when a mark may have moved.
  private mutating func adoptMarket(_ body: ClearanceBody) -> Bool {
    guard
      !body.instruments.isEmpty || !body.indices.isEmpty || !body.slices.isEmpty
        || !body.margin.isEmpty
    else { return false }
    for terms in body.margin {
      margin[0] = terms
      table.use(terms)
    }
    for instrument in body.instruments {
      if instrument.id.index == instruments.count {
        list(instrument)
      } else {
        let before = instruments[instrument.id.index].status
        instruments[instrument.id.index] = instrument
        if before == .halted, instrument.status == .active { beginCall(instrument) }
      }
    }
    for entry in body.indices {
      indices[entry.underlying.index] = entry
      status[0].oracleTime = max(status[0].oracleTime, entry.time)
    }
    for entry in body.slices { set(entry) }
    reprice()
    return true
  }

  /// Lists the next instrument.
  mutating func list(_ instrument: Instrument) {
    precondition(instrument.id.index == instruments.count, "instruments are listed in order")
    instruments.append(instrument)
    calls.append(.empty)
    books.addInstrument()
    beginCall(instrument)
  }

  private mutating func set(_ entry: SliceEntry) {
    for slot in 0..<slices.count
    where slices[slot].underlying == entry.underlying && slices[slot].expiry == entry.expiry {
      slices[slot] = entry
      return
    }
    slices.append(entry)
  }

  /// Recomputes marks and unit vectors from the market record.
  mutating func reprice() {
    var markets: [UnderlyingMarket] = []
    for slot in 0..<indices.count {
      let entry = indices[slot]
      markets.append(
        UnderlyingMarket(index: entry.price, time: entry.time, doubt: entry.doubt))
    }
    for slot in 0..<slices.count {
      let entry = slices[slot]
      markets[entry.underlying.index].slices.append(entry.expirySlice)
    }
    for slot in 0..<instruments.count {
      let instrument = instruments[slot]
      table.update(instrument, market: markets[instrument.underlying.index])
    }
    collaterals.update(margin[0], markets)
    table.setQuoteWorth(margin[0].pegUnderlying.map { indices[$0.index].price })
    risk.pegShare = table.pegShare
    bands.removeAll(keepingCapacity: true)
    greeks.removeAll(keepingCapacity: true)
    for slot in 0..<instruments.count {
      bands.append(band(of: instruments[slot]))
      greeks.append(greeks(of: instruments[slot]))
    }
  }

  /// The furthest prices the band lets an order name: `high` for a buy, above the mark, `low` for a
  /// sell, below it; on tick and inside the instrument's limits. Without a band, the limits.
  private func band(of instrument: Instrument) -> (low: Int64, high: Int64) {
    let (tick, priceMax) = (instrument.tick.raw, instrument.priceMax.raw)
    guard instrument.priceBand.raw > 0, table.isPriced(instrument.id) else {
      return (tick, priceMax)
    }
    let index = Int128(indices[instrument.underlying.index].price.raw)
    let width = (index * Int128(instrument.priceBand.raw)).divided(
      by: Int128(Ratio.scale), rounding: .down)
    let (mark, step) = (Int128(table.mark(instrument.id).raw), Int128(tick))
    func edge(_ price: Int128, _ rounding: Rounding) -> Int64 {
      let onTick = max(0, price).divided(by: step, rounding: rounding) * step
      return Int64(clamping: max(step, min(onTick, Int128(priceMax))))
    }
    return (edge(mark - width, .up), edge(mark + width, .down))
  }

  // MARK: - Equity and sums

  /// Everything derived from facts and marks, anew.
  mutating func rebuildRisk() {
    risk.reserve(accounts: credits.count)
    risk.clear()
    for index in 0..<credits.count
    where AccountFlags(rawValue: credits[index].flags).contains(.cross) {
      risk.setApart(AccountID(UInt32(index)))
    }
    for slot in 0..<holdings.count where holdings[slot].total.raw != 0 {
      let holding = holdings[slot]
      let underlying = instruments[holding.instrument.index].underlying
      let sums = risk.slot(holding.account, underlying, .init(holding.instrument))
      table.move(holding.instrument, from: .zero, to: holding.total, in: &risk.sums, sums)
    }
    for slot in 0..<orders.count where orders[slot].id.raw != 0 {
      let order = orders[slot]
      let terms = terms(order.instrument)
      let sums = risk.slot(order.account, terms.underlying, .init(terms.id))
      table.add(
        wholeExposure(order, terms), terms.id, to: &risk.sums, sums)
    }
    rebuildCollateral()
    risk.refreshAll()
    for index in 0..<credits.count { risk.equity[index] = grantedEquity(AccountID(UInt32(index))) }
    for place in 0..<Int(status[0].sinceCount) where since[place].kind == SinceRecord.fill {
      risk.equity[since[place].account.index] += loss(of: since[place])
    }
  }

  /// Equity of the accounts a Clearance touched, the market standing still.
  private mutating func refreshEquity(of entries: [AccountEntry]) {
    for entry in entries { risk.equity[entry.account.index] = grantedEquity(entry.account) }
    risk.mark(entries.map(\.account))
    for place in 0..<Int(status[0].sinceCount) where since[place].kind == SinceRecord.fill {
      if risk.isMarked(since[place].account) {
        risk.equity[since[place].account.index] += loss(of: since[place])
      }
    }
  }

  /// Cash less outflows, every granted position at its mark less its cost, and what other assets add.
  func grantedEquity(_ account: AccountID) -> Int128 {
    let credit = credits[account.index]
    var equity = Notional(credit.cash).raw - Notional(credit.outflow).raw
    var next = credit.firstHolding
    while next != 0 {
      let holding = holdings[Int(next) - 1]
      equity += (table.mark(holding.instrument) * holding.granted).raw
      equity -= Notional(holding.cost).raw
      next = holding.next
    }
    return credit.firstBalance == 0 ? equity : equity + keptCollateral(account)
  }

  // MARK: - Opening a batch

  /// Cancels the orders of instruments that have expired by now.
  mutating func cancelExpired() {
    for index in 0..<instruments.count {
      let instrument = instruments[index]
      guard instrument.expires, instrument.expiry <= time else { continue }
      while let slot = books.first(in: instrument.id, .buy) ?? books.first(in: instrument.id, .sell)
      {
        removeOrder(slot)
      }
      cancelTriggers(in: instrument.id)
    }
  }

  /// Carries out what clearing directs, before any client's order.
  mutating func carryOut(_ directive: Directive) {
    switch DirectiveKind(rawValue: directive.kindCode) {
    case .cancelAll:
      cancelAll(of: directive.account, .instrument(.all))
    case .close:
      guard directive.instrument.index < instruments.count,
        instruments[directive.instrument.index].trades(at: time)
      else { return }
      // What the account still has resting there would close the same position twice.
      cancelAll(of: directive.account, .instrument(directive.instrument))
      let side: Side = directive.sideCode == 0 ? .buy : .sell
      // Fills since clearing looked may have closed some of it already.
      let quantity = min(
        directive.quantity.raw, closable(directive.account, directive.instrument, side))
      _ = match(
        Taker(
          account: directive.account, instrument: directive.instrument, side: side,
          price: directive.price, order: OrderID(0), cause: .close),
        quantity: Quantity(raw: quantity))
      release(directive.account, directive.instrument)
    case nil:
      preconditionFailure("a Clearance is checked before it is adopted")
    }
  }
}
