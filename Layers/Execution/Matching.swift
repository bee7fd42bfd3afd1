import Instruments
import Margin
import Primitives
import Wire

extension ExecutionMachine {
  // Small readers are inlined by force: called out of line from a mutating method they make the
  // compiler copy the whole machine, two kibibytes, to lend it.

  // MARK: - Matching

  /// What a match has come to.
  struct MatchResult {
    var left: Quantity
    var filled: Quantity = .zero
    /// An own order stops it: what is left goes no further, and does not rest.
    var isStopped = false
    /// Part of it was lost to an own order.
    var metItself = false

    init(left: Quantity) { self.left = left }

    mutating func count(_ size: Quantity) {
      left = Quantity(raw: left.raw &- size.raw)
      filled = Quantity(raw: filled.raw &+ size.raw)
    }
  }

  /// Whether the batch's body might pass its limit with another trade: what a bundle may still
  /// instruct clearing to do always has room.
  @inline(__always) var hasNoRoomForTrades: Bool { !hasRoom(forTrades: 1) }

  @inline(__always) func hasRoom(forTrades count: Int) -> Bool {
    bodyByteCount
      + (events.count + Limits.recordsPerBundleMax + count) * EventBuffer.recordByteCount
      <= Limits.batchBodyByteCountMax
  }

  /// Matches against the opposite side, best price first, oldest order first. A maker whose time is
  /// over is taken out, one of the same account is dealt with as the taker asks, a reduce-only maker
  /// fills no more than its owner's position and is cancelled when there is none to reduce.
  mutating func match(_ taker: Taker, quantity: Quantity) -> MatchResult {
    var result = MatchResult(left: quantity)
    let terms = terms(taker.instrument)
    while result.left.raw > 0, !result.isStopped, !hasNoRoomForTrades {
      let trade = TradeID(status[0].nextTrade)
      switch books.step(taker, result.left, trade: trade, into: &events) {
      case .nothing:
        return result
      case .selfTrade(let maker):
        settleRemoval(maker, whole: maker.remaining)
      case .fill(let maker, let size):
        settle(maker, whole: maker.remaining, taker, terms, size: size)
        result.count(size)
      case .special(let slot, let maker):
        meet(slot, maker, taker, terms, &result)
      }
    }
    return result
  }

  /// A maker that the book cannot deal with alone: the taker's own, one whose time is over, one with
  /// a hidden part, or one that may only shrink its owner's position.
  private mutating func meet(
    _ slot: Int, _ maker: OrderRecord, _ taker: Taker, _ terms: Terms, _ result: inout MatchResult
  ) {
    if maker.hasExtra, isExpired(maker) {
      removeOrder(slot)
      return
    }
    if maker.account == taker.account {
      meetOwn(slot, maker, taker, terms, &result)
      return
    }
    var size = min(result.left.raw, maker.remaining.raw)
    if maker.isReduceOnly {
      size = min(size, closable(maker.account, maker.instrument, maker.isBuy ? .buy : .sell))
      if size == 0 {
        removeOrder(slot)
        return
      }
    }
    let whole = left(maker)
    let trade = TradeID(status[0].nextTrade)
    books.record(maker, taker, Quantity(raw: size), trade: trade, into: &events)
    lower(slot, maker, whole: whole, by: Quantity(raw: size))
    settle(maker, whole: whole, taker, terms, size: Quantity(raw: size))
    if maker.isQuote {
      if taker.isWhole {
        heldFills.append(QuoteFill(maker: maker, size: Quantity(raw: size)))
      } else {
        countQuoteFill(maker, terms, size: Quantity(raw: size))
      }
    }
    result.count(Quantity(raw: size))
  }

  /// Takes what has filled off an order; booking it is the caller's.
  mutating func lower(_ slot: Int, _ order: OrderRecord, whole: Quantity, by size: Quantity) {
    if size == whole {
      if order.hasExtra { removeExtra(of: order) }
      books.remove(slot)
    } else if size == order.remaining {
      replenish(slot, order)
    } else {
      books.orders[slot].remaining = Quantity(raw: order.remaining.raw - size.raw)
    }
  }

  /// An order meets another of its account: nothing trades.
  mutating func meetOwn(
    _ slot: Int, _ maker: OrderRecord, _ taker: Taker, _ terms: Terms, _ result: inout MatchResult
  ) {
    switch taker.selfTrade {
    case .cancelResting: removeOrder(slot)
    case .cancelTaker: result.isStopped = true
    case .cancelBoth:
      removeOrder(slot)
      result.isStopped = true
    case .decrementBoth:
      let size = min(result.left, maker.remaining)
      decrement(slot, maker, terms, by: size)
      result.left = Quantity(raw: result.left.raw - size.raw)
    }
    result.metItself = taker.selfTrade != .cancelResting
  }

  /// Takes contracts off what an order shows, without a trade; the order goes when none are left.
  private mutating func decrement(
    _ slot: Int, _ order: OrderRecord, _ terms: Terms, by size: Quantity
  ) {
    let whole = left(order)
    guard size < whole else {
      removeOrder(slot)
      return
    }
    changeReserve(slot, order, terms, to: Quantity(raw: whole.raw - size.raw))
    if size == order.remaining {
      replenish(slot, order)
    } else {
      books.orders[slot].remaining = Quantity(raw: order.remaining.raw - size.raw)
    }
  }

  /// Sets aside what `quantity` of a resting order needs, for what all that is left of it needed.
  /// The record itself is the caller's to change, after this.
  mutating func changeReserve(
    _ slot: Int, _ order: OrderRecord, _ terms: Terms, to quantity: Quantity
  ) {
    let side: Side = order.isBuy ? .buy : .sell
    let sums = risk.slot(order.account, terms.underlying, .init(terms.id))
    table.remove(wholeExposure(order, terms), terms.id, from: &risk.sums, sums)
    let worst = table.add(
      exposure(side, quantity: quantity, price: order.price, terms), terms.id, to: &risk.sums, sums)
    risk.set(order.account, sums, worst: worst)
    if let holding = holdingSlot(order.account, order.instrument) {
      reserve(holding, side, quantity.raw - left(order).raw)
    }
  }

  /// Books one match that the book has made: both positions, both losses, and what the maker's
  /// order had set aside.
  private mutating func settle(
    _ maker: OrderRecord, whole: Quantity, _ taker: Taker, _ terms: Terms, size: Quantity
  ) {
    status[0].nextTrade += 1
    settleResting(
      maker, whole: whole, terms, size: size, at: maker.price, feeRate: terms.makerFee)
    book(
      taker.account, terms, Quantity(raw: taker.side.sign * size.raw), maker.price,
      feeRate: terms.takerFee)
  }

  /// Books a fill of an order that rested, at its price or a better one, and gives back what it had
  /// set aside.
  @inline(__always)
  mutating func settleResting(
    _ maker: OrderRecord, whole: Quantity, _ terms: Terms, size: Quantity, at price: Price,
    feeRate: Ratio
  ) {
    let side: Side = maker.isBuy ? .buy : .sell
    let before = exposure(side, quantity: whole, price: maker.price, terms)
    let quantity = Quantity(raw: side.sign * size.raw)
    let holding = holding(maker.account, terms.id)
    let rest = Quantity(raw: whole.raw - size.raw)
    if rest.raw == 0 {
      credits[maker.account.index].openOrders -= 1
      holdings[holding].openOrders -= 1
    }
    reserve(holding, side, 0 - size.raw)
    note(maker.account, holding, terms.id, quantity, price, feeRate: feeRate)
    let sums = risk.slot(maker.account, terms.underlying, .init(terms.id))
    let worst = table.fill(
      before,
      leaving: rest.raw == 0
        ? nil : exposure(side, quantity: rest, price: maker.price, terms), quantity,
      after: holdings[holding].total, terms.id, in: &risk.sums, sums)
    risk.set(maker.account, sums, worst: worst)
  }

  /// Books a fill into an account's position and room: losses against the mark and fees at once,
  /// gains only when clearing grants them.
  mutating func book(
    _ account: AccountID, _ terms: Terms, _ quantity: Quantity, _ price: Price, feeRate: Ratio
  ) {
    let holding = holding(account, terms.id)
    let before = holdings[holding].total
    note(account, holding, terms.id, quantity, price, feeRate: feeRate)
    let slot = risk.slot(account, terms.underlying, .init(terms.id))
    let worst = table.move(
      terms.id, from: before, to: holdings[holding].total, in: &risk.sums, slot)
    risk.set(account, slot, worst: worst)
  }

  /// Notes a fill in the holding, among the fills since, and in equity.
  private mutating func note(
    _ account: AccountID, _ holding: Int, _ instrument: InstrumentID, _ quantity: Quantity,
    _ price: Price, feeRate: Ratio
  ) {
    holdings[holding].since = Quantity(raw: holdings[holding].since.raw + quantity.raw)
    holdings[holding].sinceFills += 1
    let record = SinceRecord(
      batch: status[0].batch, account: account, subject: instrument.raw, quantity: quantity.raw,
      price: price, fee: Fees.fee(price, quantity, rate: feeRate), kind: SinceRecord.fill)
    remember(record)
    risk.equity[account.index] += loss(of: record)
    credits[account.index].spent &+= spent(on: record)
  }

  /// Cash a fill since the adopted Clearance takes at once: its fee, and the premium of an option
  /// bought, rounded up.
  @inline(__always)
  func spent(on fill: SinceRecord) -> Int64 {
    guard fill.quantity > 0, instruments[Int(fill.subject)].isOption else { return fill.fee.raw }
    let premium = Int128(fill.quantity) * Int128(fill.price.raw)
    return fill.fee.raw
      &+ Int64(clamping: premium.divided(by: Notional.perMoney, rounding: .up))
  }

  /// What a fill since the adopted Clearance takes from equity at today's mark: its loss with its
  /// fee, never a gain. The fee counts against the same fill's gain, so that a seller who got more
  /// than his limit, and pays his fee on it, never loses more than his order had set aside.
  @inline(__always)
  func loss(of fill: SinceRecord) -> Int128 {
    let mark = table.mark(InstrumentID(fill.subject))
    let gap = Int128(fill.quantity) * Int128(mark.raw - fill.price.raw)
    return min(0, gap - Notional(fill.fee).raw)
  }

  // MARK: - Resting orders

  /// Puts an order into the book; its extra, if it has one, has been entered.
  mutating func rest(_ record: OrderRecord) {
    books.enter(record)
    let terms = terms(record.instrument)
    let holding = holding(record.account, record.instrument)
    holdings[holding].openOrders += 1
    reserve(holding, record.isBuy ? .buy : .sell, left(record).raw)
    credits[record.account.index].openOrders += 1
    let sums = risk.slot(record.account, terms.underlying, .init(terms.id))
    let worst = table.add(
      wholeExposure(record, terms), terms.id, to: &risk.sums, sums)
    risk.set(record.account, sums, worst: worst)
  }

  /// Counts contracts that rest, or no longer do.
  @inline(__always)
  mutating func reserve(_ holding: Int, _ side: Side, _ change: Int64) {
    if side == .buy { resting[holding].bids += change } else { resting[holding].asks += change }
  }

  /// Cancels an order: out of the book, its contribution back, its holding released if idle.
  mutating func removeOrder(_ slot: Int) {
    let record = orders[slot]
    let whole = left(record)
    if record.hasExtra { removeExtra(of: record) }
    books.remove(slot)
    settleRemoval(record, whole: whole)
  }

  /// What the removal of an order, already out of the book, gives back.
  private mutating func settleRemoval(_ record: OrderRecord, whole: Quantity) {
    credits[record.account.index].openOrders -= 1
    if let holding = holdingSlot(record.account, record.instrument) {
      holdings[holding].openOrders -= 1
      reserve(holding, record.isBuy ? .buy : .sell, 0 - whole.raw)
      if holdings[holding].isIdle { release(record.account, record.instrument) }
    }
    let terms = terms(record.instrument)
    let sums = risk.slot(record.account, terms.underlying, .init(terms.id))
    let worst = table.remove(
      exposure(record.isBuy ? .buy : .sell, quantity: whole, price: record.price, terms),
      terms.id, from: &risk.sums, sums)
    risk.set(record.account, sums, worst: worst)
  }

  @inline(__always)
  func clientOrder(_ account: AccountID, _ clientID: UInt64) -> Int? {
    books.slot(of: account, clientID: clientID)
  }

  // MARK: - Holdings

  @inline(__always)
  func holdingSlot(_ account: AccountID, _ instrument: InstrumentID) -> Int? {
    var next = credits[account.index].firstHolding
    while next != 0 {
      let slot = Int(next) - 1
      if holdings[slot].instrument == instrument { return slot }
      next = holdings[slot].next
    }
    return nil
  }

  /// The slot of a holding, opened if there is none.
  mutating func holding(_ account: AccountID, _ instrument: InstrumentID) -> Int {
    holdingSlot(account, instrument) ?? openHolding(account, instrument)
  }

  mutating func openHolding(_ account: AccountID, _ instrument: InstrumentID) -> Int {
    let slot = freeHoldings.take()
    holdings.reserve(through: slot)
    holdings[slot] = HoldingRecord(
      account: account, instrument: instrument, next: credits[account.index].firstHolding,
      isUsed: 1)
    credits[account.index].firstHolding = UInt32(slot + 1)
    credits[account.index].holdingCount += 1
    while resting.count <= slot { resting.append((0, 0)) }
    return slot
  }

  /// Drops the account's holding of an instrument if nothing is left of it.
  mutating func release(_ account: AccountID, _ instrument: InstrumentID) {
    var next = credits[account.index].firstHolding
    var previous: Int?
    while next != 0 {
      let slot = Int(next) - 1
      if holdings[slot].instrument == instrument {
        guard holdings[slot].isIdle else { return }
        if let previous {
          holdings[previous].next = holdings[slot].next
        } else {
          credits[account.index].firstHolding = holdings[slot].next
        }
        holdings[slot] = .empty
        freeHoldings.free(slot)
        credits[account.index].holdingCount -= 1
        return
      }
      previous = slot
      next = holdings[slot].next
    }
  }
}
