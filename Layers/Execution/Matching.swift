import Instruments
import Margin
import Primitives
import Wire

extension ExecutionMachine {
  // MARK: - Placing

  /// Admits, matches and rests a limit order.
  mutating func placeOrder(_ record: ActionRecord, account: AccountID) -> Outcome {
    if let refusal = termsRefusal(record) { return refusal }
    if hasNoRoomForTrades { return .rejected(.batchFull) }
    if record.z != 0, clientOrder(account, record.z) != nil {
      return .rejected(.duplicateClientID)
    }
    let side = record.side
    let opposite = side == .buy ? books[Int(record.id)].asks : books[Int(record.id)].bids
    if record.isPostOnly, let best = opposite.best, opposite.isCrossed(by: record.price) {
      return .rejected(.wouldCross, record.x, best.price.raw)
    }
    if let refusal = admissionRefusal(record, account: account) { return refusal }
    if record.timeInForce == .fok {
      let available = quantityAvailable(record, account: account)
      guard available >= record.y else { return .rejected(.notFillable, record.y, available) }
    }
    let id = OrderID(status[0].nextOrder)
    status[0].nextOrder += 1
    let left = match(
      Taker(
        account: account, instrument: record.instrument, side: side, price: record.price,
        order: id, cause: .match), quantity: record.quantity)
    let filled = record.y - left.raw
    if left.raw == 0 { return Outcome(.filled, .done, filled, 0, order: id) }
    if record.timeInForce != .gtc || hasNoRoomForTrades {
      // A batch without room for another trade may have left the order crossing: it cannot rest.
      release(account, record.instrument)
      return Outcome(filled > 0 ? .filled : .accepted, .done, filled, 0, order: id)
    }
    rest(
      OrderRecord(
        id: id, clientID: record.z, price: record.price, remaining: left, account: account,
        instrument: record.instrument, side: side.rawValue,
        isReduceOnly: record.isReduceOnly || isRestricted(account) ? 1 : 0))
    return Outcome(.accepted, .done, filled, left.raw, order: id)
  }

  /// The instrument's own rules: listed, trading, on tick and lot, within its limits.
  func termsRefusal(_ record: ActionRecord) -> Outcome? {
    guard Int(record.id) < instruments.count else { return .rejected(.unknownInstrument) }
    let instrument = instruments[Int(record.id)]
    if instrument.expires && instrument.expiry <= time || instrument.status == .settled {
      return .rejected(.instrumentExpired)
    }
    guard instrument.status == .active else { return .rejected(.instrumentHalted) }
    guard record.x % instrument.tick.raw == 0 else {
      return .rejected(.priceOffTick, record.x, instrument.tick.raw)
    }
    guard record.x <= instrument.priceMax.raw else {
      return .rejected(.priceTooHigh, record.x, instrument.priceMax.raw)
    }
    guard record.y % instrument.lot.raw == 0 else {
      return .rejected(.quantityOffLot, record.y, instrument.lot.raw)
    }
    guard record.y <= instrument.orderQuantityMax.raw else {
      return .rejected(.quantityTooLarge, record.y, instrument.orderQuantityMax.raw)
    }
    guard table.isPriced(record.instrument) else { return .rejected(.noMarketData) }
    return nil
  }

  /// The credit rule: initial margin holds in every scenario, whichever subset of open orders
  /// fills. An order that lowers the worst scenario of nobody's book always passes.
  mutating func admissionRefusal(_ record: ActionRecord, account: AccountID) -> Outcome? {
    let credit = credits[account.index]
    guard Int64(credit.openOrders) < genesis.constants.openOrdersPerAccountMax else {
      return .rejected(
        .tooManyOrders, Int64(credit.openOrders), genesis.constants.openOrdersPerAccountMax)
    }
    let isNewHolding = holdingSlot(account, record.instrument) == nil
    if isNewHolding, Int64(credit.holdingCount) >= genesis.constants.positionsPerAccountMax {
      return .rejected(
        .tooManyPositions, Int64(credit.holdingCount), genesis.constants.positionsPerAccountMax)
    }
    if record.isReduceOnly || isRestricted(account) {
      let reducible = reducibleQuantity(account, record.instrument, side: record.side)
      guard record.y <= reducible else { return .rejected(.notReducing, reducible, record.y) }
    }
    let instrument = instruments[Int(record.id)]
    let exposure = exposure(
      record.side, quantity: record.quantity, price: record.price, instrument)
    let slot = risk.slot(account, instrument.underlying)
    let worst = table.worst(with: exposure, record.instrument, in: risk.sums, slot)
    let before = risk.room(account)
    let after = risk.room(account, slot, worst: worst)
    if after >= before { return nil }
    let age = time.raw - status[0].oracleTime.raw
    guard age <= genesis.constants.grantAgeMax else {
      return .rejected(.marketDataStale, age, genesis.constants.grantAgeMax)
    }
    guard after >= 0 else {
      return .rejected(.insufficientMargin, moneyFloor(after), moneyFloor(before))
    }
    return nil
  }

  private func isRestricted(_ account: AccountID) -> Bool {
    AccountFlags(rawValue: credits[account.index].flags).contains(.reduceOnly)
  }

  /// How much the account may still trade on `side` to shrink its position: the position's size
  /// less its orders already resting that way; zero when the side adds to it.
  private func reducibleQuantity(_ account: AccountID, _ instrument: InstrumentID, side: Side)
    -> Int64
  {
    var left = closable(account, instrument, side)
    guard left > 0 else { return 0 }
    var order = accountOrders[account.index].head
    while order >= 0 {
      let record = orders[Int(order)]
      if record.instrument == instrument, record.side == side.rawValue {
        left -= record.remaining.raw
      }
      order = links[Int(order)].accountNext
    }
    return max(0, left)
  }

  /// How many contracts trading on `side` would close: the size of an opposite position.
  private func closable(_ account: AccountID, _ instrument: InstrumentID, _ side: Side) -> Int64 {
    guard let slot = holdingSlot(account, instrument) else { return 0 }
    let position = holdings[slot].total.raw
    guard position != 0, (position > 0) == (side == .sell) else { return 0 }
    return Int64(clamping: position.magnitude)
  }

  /// Contracts a fill-or-kill order would surely find at its price or better: its own orders do not
  /// count, nor reduce-only ones, whose owners' positions earlier fills may close.
  private func quantityAvailable(_ record: ActionRecord, account: AccountID) -> Int64 {
    let levels =
      record.side == .buy ? books[Int(record.id)].asks.levels : books[Int(record.id)].bids.levels
    var available: Int64 = 0
    for level in levels.reversed() {
      let crosses = record.side == .buy ? level.price <= record.price : level.price >= record.price
      guard crosses else { break }
      var slot = level.head
      while slot >= 0 {
        let order = orders[Int(slot)]
        if order.account != account, order.isReduceOnly == 0 {
          available += order.remaining.raw
        }
        if available >= record.y { return available }
        slot = links[Int(slot)].next
      }
    }
    return available
  }

  func exposure(_ side: Side, quantity: Quantity, price: Price, _ instrument: Instrument)
    -> OrderExposure
  {
    OrderExposure(
      quantity: Quantity(raw: side.sign * quantity.raw), mark: table.mark(instrument.id),
      limit: price, feeRate: max(instrument.takerFee, instrument.makerFee))
  }

  // MARK: - Matching

  /// Who takes, and on what terms.
  struct Taker {
    let account: AccountID
    let instrument: InstrumentID
    let side: Side
    let price: Price
    let order: OrderID
    let cause: FillCause
  }

  /// Whether the batch's body might pass its limit with another trade: what a bundle may still
  /// instruct clearing to do always has room.
  var hasNoRoomForTrades: Bool {
    bodyByteCount + (events.count + Limits.recordsPerBundleMax + 1) * EventBuffer.recordByteCount
      > Limits.batchBodyByteCountMax
  }

  /// Matches against the opposite side, best price first, oldest order first. A maker of the same
  /// account is cancelled instead of filled, a reduce-only maker fills no more than its owner's
  /// position and is cancelled when there is none to reduce. Returns what is left.
  mutating func match(_ taker: Taker, quantity: Quantity) -> Quantity {
    var left = quantity.raw
    let instrument = instruments[taker.instrument.index]
    while left > 0 {
      let level =
        taker.side == .buy
        ? books[taker.instrument.index].asks.best : books[taker.instrument.index].bids.best
      guard let level, taker.side == .buy ? level.price <= taker.price : level.price >= taker.price
      else { break }
      if hasNoRoomForTrades { break }
      let slot = Int(level.head)
      let maker = orders[slot]
      if maker.account == taker.account {
        removeOrder(slot)
        continue
      }
      var size = min(left, maker.remaining.raw)
      if maker.isReduceOnly != 0 {
        size = min(size, closable(maker.account, maker.instrument, maker.isBuy ? .buy : .sell))
        if size == 0 {
          removeOrder(slot)
          continue
        }
      }
      fill(slot, maker, taker, instrument, size: Quantity(raw: size))
      left -= size
    }
    return Quantity(raw: left)
  }

  /// Books one match: the event, both positions, both losses, and what is left of the maker.
  private mutating func fill(
    _ slot: Int, _ maker: OrderRecord, _ taker: Taker, _ instrument: Instrument, size: Quantity
  ) {
    let trade = TradeID(status[0].nextTrade)
    status[0].nextTrade += 1
    events.append(
      Fill(
        cause: taker.cause, takerSide: taker.side, instrument: instrument.id, trade: trade,
        maker: maker.account, taker: taker.account, price: maker.price, quantity: size,
        makerOrder: maker.id, takerOrder: taker.order))
    if maker.remaining == size {
      removeOrder(slot, keepingHolding: true)
    } else {
      let rest = Quantity(raw: maker.remaining.raw - size.raw)
      changeExposure(maker, to: rest, instrument)
      orders[slot].remaining = rest
    }
    book(
      maker.account, instrument, Quantity(raw: taker.side.opposite.sign * size.raw), maker.price,
      feeRate: instrument.makerFee)
    book(
      taker.account, instrument, Quantity(raw: taker.side.sign * size.raw), maker.price,
      feeRate: instrument.takerFee)
  }

  /// Books a fill into an account's position and room: losses against the mark and fees at once,
  /// gains only when clearing grants them.
  mutating func book(
    _ account: AccountID, _ instrument: Instrument, _ quantity: Quantity, _ price: Price,
    feeRate: Ratio
  ) {
    let holding = holdingSlot(account, instrument.id) ?? openHolding(account, instrument.id)
    holdings[holding].since = Quantity(raw: holdings[holding].since.raw + quantity.raw)
    holdings[holding].sinceFills += 1
    let fee = Fees.fee(price, quantity, rate: feeRate)
    let record = SinceRecord(
      batch: status[0].batch, account: account, subject: instrument.id.raw,
      quantity: quantity.raw, price: price, fee: fee, kind: SinceRecord.fill)
    remember(record)
    risk.equity[account.index] += loss(of: record)
    let slot = risk.slot(account, instrument.underlying)
    table.add(instrument.id, quantity, to: &risk.sums, slot)
    risk.refresh(account, slot)
  }

  /// What a fill since the adopted Clearance takes from equity at today's mark: its loss with its
  /// fee, never a gain. The fee counts against the same fill's gain, so that a seller who got more
  /// than his limit, and pays his fee on it, never loses more than his order had set aside.
  func loss(of fill: SinceRecord) -> Int128 {
    let mark = table.mark(InstrumentID(fill.subject))
    let gap = Int128(fill.quantity) * Int128(mark.raw - fill.price.raw)
    return min(0, gap - Notional(fill.fee).raw)
  }

  // MARK: - Resting orders

  /// Puts what is left of an order into the book.
  private mutating func rest(_ record: OrderRecord) {
    let slot = freeOrders.take()
    orders.reserve(through: slot)
    orders[slot] = record
    while links.count <= slot { links.append(OrderLinks()) }
    linkOrder(slot, record)
    let instrument = instruments[record.instrument.index]
    let holding =
      holdingSlot(record.account, record.instrument)
      ?? openHolding(record.account, record.instrument)
    holdings[holding].openOrders += 1
    credits[record.account.index].openOrders += 1
    let risk = self.risk.slot(record.account, instrument.underlying)
    table.add(
      exposure(record.isBuy ? .buy : .sell, quantity: record.remaining, price: record.price, instrument),
      instrument.id, to: &self.risk.sums, risk)
    self.risk.refresh(record.account, risk)
  }

  /// Enters a resting order into level, account list and indexes.
  mutating func linkOrder(_ slot: Int, _ record: OrderRecord) {
    if record.isBuy {
      books[record.instrument.index].bids.append(slot, price: record.price, links: &links)
    } else {
      books[record.instrument.index].asks.append(slot, price: record.price, links: &links)
    }
    let tail = accountOrders[record.account.index].tail
    links[slot].accountPrevious = tail
    links[slot].accountNext = -1
    if tail >= 0 {
      links[Int(tail)].accountNext = Int32(slot)
    } else {
      accountOrders[record.account.index].head = Int32(slot)
    }
    accountOrders[record.account.index].tail = Int32(slot)
    orderIndex.insert(SlotTable.hash(record.id.raw), slot: slot)
    if record.clientID != 0 {
      clientIndex.insert(ExecutionMachine.clientHash(record.account, record.clientID), slot: slot)
    }
  }

  /// Takes an order out of everything it stands in.
  mutating func removeOrder(_ slot: Int, keepingHolding: Bool = false) {
    let record = orders[slot]
    if record.isBuy {
      books[record.instrument.index].bids.remove(slot, price: record.price, links: &links)
    } else {
      books[record.instrument.index].asks.remove(slot, price: record.price, links: &links)
    }
    let link = links[slot]
    if link.accountPrevious >= 0 {
      links[Int(link.accountPrevious)].accountNext = link.accountNext
    } else {
      accountOrders[record.account.index].head = link.accountNext
    }
    if link.accountNext >= 0 {
      links[Int(link.accountNext)].accountPrevious = link.accountPrevious
    } else {
      accountOrders[record.account.index].tail = link.accountPrevious
    }
    orderIndex.remove(SlotTable.hash(record.id.raw), slot: slot)
    if record.clientID != 0 {
      clientIndex.remove(ExecutionMachine.clientHash(record.account, record.clientID), slot: slot)
    }
    changeExposure(record, to: .zero, instruments[record.instrument.index])
    orders[slot] = .empty
    freeOrders.free(slot)
    credits[record.account.index].openOrders -= 1
    if let holding = holdingSlot(record.account, record.instrument) {
      holdings[holding].openOrders -= 1
    }
    if !keepingHolding { release(record.account, record.instrument) }
  }

  /// Replaces a resting order's contribution to its owner's sums by that of `remaining`.
  private mutating func changeExposure(
    _ record: OrderRecord, to remaining: Quantity, _ instrument: Instrument
  ) {
    let side: Side = record.isBuy ? .buy : .sell
    let slot = risk.slot(record.account, instrument.underlying)
    table.remove(
      exposure(side, quantity: record.remaining, price: record.price, instrument), instrument.id,
      from: &risk.sums, slot)
    if remaining.raw > 0 {
      table.add(
        exposure(side, quantity: remaining, price: record.price, instrument), instrument.id,
        to: &risk.sums, slot)
    }
    risk.refresh(record.account, slot)
  }

  static func clientHash(_ account: AccountID, _ clientID: UInt64) -> UInt32 {
    SlotTable.hash(clientID ^ UInt64(account.raw) << 40)
  }

  func clientOrder(_ account: AccountID, _ clientID: UInt64) -> Int? {
    clientIndex.slot(ExecutionMachine.clientHash(account, clientID)) {
      orders[$0].clientID == clientID && orders[$0].account == account
    }
  }

  // MARK: - Cancelling

  mutating func cancel(_ record: ActionRecord, account: AccountID) -> Outcome {
    let slot =
      record.a == 0
      ? orderIndex.slot(SlotTable.hash(record.z)) { orders[$0].id.raw == record.z }
      : clientOrder(account, record.z)
    guard let slot, orders[slot].account == account, orders[slot].instrument == record.instrument
    else { return .rejected(.unknownOrder) }
    let order = orders[slot]
    removeOrder(slot)
    return Outcome(.accepted, .done, 0, order.remaining.raw, order: order.id)
  }

  /// Cancels an account's orders, oldest first; figure 1 counts them.
  mutating func cancelAll(of account: AccountID, in instrument: InstrumentID) -> Outcome {
    var count: Int64 = 0
    var slot = accountOrders[account.index].head
    while slot >= 0 {
      let next = links[Int(slot)].accountNext
      if instrument == .all || orders[Int(slot)].instrument == instrument {
        removeOrder(Int(slot))
        count += 1
      }
      slot = next
    }
    return Outcome(.accepted, .done, count, 0)
  }

  // MARK: - Holdings

  func holdingSlot(_ account: AccountID, _ instrument: InstrumentID) -> Int? {
    var next = credits[account.index].firstHolding
    while next != 0 {
      let slot = Int(next) - 1
      if holdings[slot].instrument == instrument { return slot }
      next = holdings[slot].next
    }
    return nil
  }

  mutating func openHolding(_ account: AccountID, _ instrument: InstrumentID) -> Int {
    let slot = freeHoldings.take()
    holdings.reserve(through: slot)
    holdings[slot] = HoldingRecord(
      account: account, instrument: instrument, next: credits[account.index].firstHolding,
      isUsed: 1)
    credits[account.index].firstHolding = UInt32(slot + 1)
    credits[account.index].holdingCount += 1
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
