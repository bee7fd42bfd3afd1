import Instruments
import Margin
import Primitives
import Wire

extension ExecutionMachine {
  // Small readers are inlined by force: called out of line from a mutating method they make the
  // compiler copy the whole machine, two kibibytes, to lend it.

  // MARK: - Placing

  /// Admits, matches and rests a limit order.
  mutating func placeOrder(_ record: ActionRecord, account: AccountID) -> Outcome {
    if let refusal = termsRefusal(record) { return refusal }
    if hasNoRoomForTrades { return .rejected(.batchFull) }
    if record.z != 0, clientOrder(account, record.z) != nil {
      return .rejected(.duplicateClientID)
    }
    let side = record.side
    if record.isPostOnly, let best = books.best(record.instrument, side.opposite),
      side == .buy ? best <= record.price : best >= record.price
    {
      return .rejected(.wouldCross, record.x, best.raw)
    }
    if let refusal = admissionRefusal(record, account: account) { return refusal }
    if record.timeInForce == .fok {
      let (available, fills) = quantityAvailable(record, account: account)
      guard available >= record.y else { return .rejected(.notFillable, record.y, available) }
      guard hasRoom(forTrades: fills) else { return .rejected(.batchFull) }
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
  @inline(__always)
  func termsRefusal(_ record: ActionRecord) -> Outcome? {
    let place = Int(record.id)
    guard place < instruments.count else { return .rejected(.unknownInstrument) }
    // Field by field: the whole record is two cache lines.
    if instruments[place].expires && instruments[place].expiry <= time
      || instruments[place].status == .settled
    {
      return .rejected(.instrumentExpired)
    }
    guard instruments[place].status == .active else { return .rejected(.instrumentHalted) }
    let (tick, lot) = (instruments[place].tick.raw, instruments[place].lot.raw)
    guard record.x % tick == 0 else { return .rejected(.priceOffTick, record.x, tick) }
    let priceMax = instruments[place].priceMax.raw
    guard record.x <= priceMax else { return .rejected(.priceTooHigh, record.x, priceMax) }
    guard record.y % lot == 0 else { return .rejected(.quantityOffLot, record.y, lot) }
    let quantityMax = instruments[place].orderQuantityMax.raw
    guard record.y <= quantityMax else {
      return .rejected(.quantityTooLarge, record.y, quantityMax)
    }
    guard table.isPriced(record.instrument) else { return .rejected(.noMarketData) }
    return nil
  }

  /// The credit rule: initial margin holds in every scenario, whichever subset of open orders
  /// fills. An order that does not lower what is left passes, unless its own price would leave the
  /// account with less than nothing while the market stands still.
  mutating func admissionRefusal(_ record: ActionRecord, account: AccountID) -> Outcome? {
    let openOrders = Int64(credits[account.index].openOrders)
    guard openOrders < genesis.constants.openOrdersPerAccountMax else {
      return .rejected(
        .tooManyOrders, openOrders, genesis.constants.openOrdersPerAccountMax)
    }
    guard books.count < Limits.openOrdersMax else {
      return .rejected(.tooManyOrders, Int64(books.count), Int64(Limits.openOrdersMax))
    }
    let holdingCount = Int64(credits[account.index].holdingCount)
    if holdingCount >= genesis.constants.positionsPerAccountMax,
      holdingSlot(account, record.instrument) == nil
    {
      return .rejected(
        .tooManyPositions, holdingCount, genesis.constants.positionsPerAccountMax)
    }
    if record.isReduceOnly || isRestricted(account) {
      let reducible = reducibleQuantity(account, record.instrument, side: record.side)
      guard record.y <= reducible else { return .rejected(.notReducing, reducible, record.y) }
    }
    if let largest = positionRefusal(record, account: account) {
      return .rejected(.quantityTooLarge, record.y, largest)
    }
    let terms = terms(record.instrument)
    let exposure = exposure(record.side, quantity: record.quantity, price: record.price, terms)
    let slot = risk.slot(account, terms.underlying)
    let worst = table.worst(with: exposure, record.instrument, in: risk.sums, slot)
    let before = risk.room(account)
    let after = risk.room(account, slot, worst: worst)
    if after >= before {
      if after >= 0 { return nil }
      let still = stillRoom(account) + exposure.entry
      if still >= 0 { return nil }
      return .rejected(.insufficientMargin, moneyFloor(still), moneyFloor(before))
    }
    let age = time.raw - table.time(record.instrument).raw
    guard age <= genesis.constants.grantAgeMax else {
      return .rejected(.marketDataStale, age, genesis.constants.grantAgeMax)
    }
    guard after >= 0 else {
      return .rejected(.insufficientMargin, moneyFloor(after), moneyFloor(before))
    }
    return nil
  }

  /// What is left if every resting order filled while the market stood still.
  private func stillRoom(_ account: AccountID) -> Int128 {
    var room = risk.equity[account.index]
    for underlying in genesis.underlyings.indices {
      room += risk.still(account, UnderlyingID(UInt16(underlying)))
    }
    return room
  }

  /// The largest order that keeps the position within its limit whatever fills, if this one does
  /// not: position and resting orders of one side never pass `Instrument.positionMax`.
  @inline(__always)
  private func positionRefusal(_ record: ActionRecord, account: AccountID) -> Int64? {
    guard let slot = holdingSlot(account, record.instrument) else { return nil }
    let limit =
      instruments[Int(record.id)].orderQuantityMax.raw &* Instrument.positionOrdersMax
    let side = record.side
    let open = side == .buy ? resting[slot].bids : resting[slot].asks
    let size = side.sign * holdings[slot].total.raw + open
    return size + record.y <= limit ? nil : max(0, limit - size)
  }

  @inline(__always)
  private func isRestricted(_ account: AccountID) -> Bool {
    AccountFlags(rawValue: credits[account.index].flags).contains(.reduceOnly)
  }

  /// How much the account may still trade on `side` to shrink its position: the position's size
  /// less its orders already resting that way; zero when the side adds to it.
  private func reducibleQuantity(_ account: AccountID, _ instrument: InstrumentID, side: Side)
    -> Int64
  {
    guard let slot = holdingSlot(account, instrument) else { return 0 }
    let open = side == .buy ? resting[slot].bids : resting[slot].asks
    return max(0, closable(account, instrument, side) - open)
  }

  /// How many contracts trading on `side` would close: the size of an opposite position.
  @inline(__always)
  func closable(_ account: AccountID, _ instrument: InstrumentID, _ side: Side) -> Int64 {
    guard let slot = holdingSlot(account, instrument) else { return 0 }
    let position = holdings[slot].total.raw
    guard position != 0, (position > 0) == (side == .sell) else { return 0 }
    return Int64(clamping: position.magnitude)
  }

  /// Contracts a fill-or-kill order would surely find at its price or better, and at most how many
  /// fills they take: its own orders do not count, nor reduce-only ones, whose owners' positions
  /// earlier fills may close.
  private func quantityAvailable(_ record: ActionRecord, account: AccountID)
    -> (quantity: Int64, fills: Int)
  {
    var available: Int64 = 0
    var fills = 0
    books.forEachLevel(record.instrument, record.side.opposite) { price, oldest in
      guard record.side == .buy ? price <= record.price : price >= record.price else {
        return false
      }
      var slot: Int? = oldest
      while let here = slot {
        let order = orders[here]
        if order.account != account {
          fills += 1
          if order.isReduceOnly == 0 { available += order.remaining.raw }
        }
        if available >= record.y { return false }
        slot = books.next(atPriceAfter: here)
      }
      return true
    }
    return (available, fills)
  }

  /// What booking and reserving need of an instrument: a fifth of its record.
  struct Terms {
    let id: InstrumentID
    let underlying: UnderlyingID
    let makerFee: Ratio
    let takerFee: Ratio
  }

  @inline(__always)
  func terms(_ instrument: InstrumentID) -> Terms {
    let place = instrument.index
    return Terms(
      id: instrument, underlying: instruments[place].underlying,
      makerFee: instruments[place].makerFee, takerFee: instruments[place].takerFee)
  }

  @inline(__always)
  func exposure(_ side: Side, quantity: Quantity, price: Price, _ terms: Terms)
    -> OrderExposure
  {
    OrderExposure(
      quantity: Quantity(raw: side.sign * quantity.raw), mark: table.mark(terms.id),
      limit: price, feeRate: max(terms.takerFee, terms.makerFee))
  }

  // MARK: - Matching

  /// Whether the batch's body might pass its limit with another trade: what a bundle may still
  /// instruct clearing to do always has room.
  @inline(__always) var hasNoRoomForTrades: Bool { !hasRoom(forTrades: 1) }

  @inline(__always) func hasRoom(forTrades count: Int) -> Bool {
    bodyByteCount
      + (events.count + Limits.recordsPerBundleMax + count) * EventBuffer.recordByteCount
      <= Limits.batchBodyByteCountMax
  }

  /// Matches against the opposite side, best price first, oldest order first. A maker of the same
  /// account is cancelled instead of filled, a reduce-only maker fills no more than its owner's
  /// position and is cancelled when there is none to reduce. Returns what is left.
  mutating func match(_ taker: Taker, quantity: Quantity) -> Quantity {
    var left = quantity.raw
    let terms = terms(taker.instrument)
    while left > 0, !hasNoRoomForTrades {
      let trade = TradeID(status[0].nextTrade)
      switch books.step(taker, Quantity(raw: left), trade: trade, into: &events) {
      case .nothing:
        return Quantity(raw: left)
      case .selfTrade(let maker):
        settleRemoval(maker)
      case .fill(let maker, let size):
        settle(maker, taker, terms, size: size)
        left -= size.raw
      case .reduceOnly(let slot, let maker):
        let closable = closable(maker.account, maker.instrument, maker.isBuy ? .buy : .sell)
        let size = min(left, maker.remaining.raw, closable)
        if size == 0 {
          removeOrder(slot)
        } else {
          books.fill(slot, maker, taker, Quantity(raw: size), trade: trade, into: &events)
          settle(maker, taker, terms, size: Quantity(raw: size))
          left -= size
        }
      }
    }
    return Quantity(raw: left)
  }

  /// Books one match that the book has made: both positions, both losses, and what the maker's
  /// order had set aside.
  private mutating func settle(
    _ maker: OrderRecord, _ taker: Taker, _ terms: Terms, size: Quantity
  ) {
    status[0].nextTrade += 1
    let side = taker.side.opposite
    let before = exposure(side, quantity: maker.remaining, price: maker.price, terms)
    let quantity = Quantity(raw: side.sign * size.raw)
    let holding = holding(maker.account, terms.id)
    let rest = Quantity(raw: maker.remaining.raw - size.raw)
    if rest.raw == 0 {
      credits[maker.account.index].openOrders -= 1
      holdings[holding].openOrders -= 1
    }
    reserve(holding, side, 0 - size.raw)
    note(maker.account, holding, terms.id, quantity, maker.price, feeRate: terms.makerFee)
    let sums = risk.slot(maker.account, terms.underlying)
    let worst = table.fill(
      before,
      leaving: rest.raw == 0
        ? nil : exposure(side, quantity: rest, price: maker.price, terms), quantity, terms.id,
      in: &risk.sums, sums)
    risk.set(maker.account, sums, worst: worst)
    book(
      taker.account, terms, Quantity(raw: taker.side.sign * size.raw), maker.price,
      feeRate: terms.takerFee)
  }

  /// Books a fill into an account's position and room: losses against the mark and fees at once,
  /// gains only when clearing grants them.
  mutating func book(
    _ account: AccountID, _ terms: Terms, _ quantity: Quantity, _ price: Price, feeRate: Ratio
  ) {
    note(account, holding(account, terms.id), terms.id, quantity, price, feeRate: feeRate)
    let slot = risk.slot(account, terms.underlying)
    let worst = table.add(terms.id, quantity, to: &risk.sums, slot)
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

  /// Puts what is left of an order into the book.
  private mutating func rest(_ record: OrderRecord) {
    books.enter(record)
    let terms = terms(record.instrument)
    let holding = holding(record.account, record.instrument)
    holdings[holding].openOrders += 1
    reserve(holding, record.isBuy ? .buy : .sell, record.remaining.raw)
    credits[record.account.index].openOrders += 1
    let sums = risk.slot(record.account, terms.underlying)
    let worst = table.add(
      exposure(
        record.isBuy ? .buy : .sell, quantity: record.remaining, price: record.price, terms),
      terms.id, to: &risk.sums, sums)
    risk.set(record.account, sums, worst: worst)
  }

  /// Counts contracts that rest, or no longer do.
  @inline(__always)
  mutating func reserve(_ holding: Int, _ side: Side, _ change: Int64) {
    if side == .buy { resting[holding].bids += change } else { resting[holding].asks += change }
  }

  /// Cancels an order: out of the book, its contribution back, its holding released if idle.
  mutating func removeOrder(_ slot: Int) {
    settleRemoval(books.remove(slot))
  }

  /// What the removal of an order, already out of the book, gives back.
  private mutating func settleRemoval(_ record: OrderRecord) {
    credits[record.account.index].openOrders -= 1
    if let holding = holdingSlot(record.account, record.instrument) {
      holdings[holding].openOrders -= 1
      reserve(holding, record.isBuy ? .buy : .sell, 0 - record.remaining.raw)
      if holdings[holding].isIdle { release(record.account, record.instrument) }
    }
    let terms = terms(record.instrument)
    let sums = risk.slot(record.account, terms.underlying)
    let worst = table.remove(
      exposure(
        record.isBuy ? .buy : .sell, quantity: record.remaining, price: record.price, terms),
      terms.id, from: &risk.sums, sums)
    risk.set(record.account, sums, worst: worst)
  }

  @inline(__always)
  func clientOrder(_ account: AccountID, _ clientID: UInt64) -> Int? {
    books.slot(of: account, clientID: clientID)
  }

  // MARK: - Cancelling

  mutating func cancel(_ record: ActionRecord, account: AccountID) -> Outcome {
    let slot =
      record.a == 0
      ? books.slot(of: OrderID(record.z))
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
    var slot = books.first(of: account)
    while let here = slot {
      slot = books.next(ofAccountAfter: here)
      if instrument == .all || orders[here].instrument == instrument {
        removeOrder(here)
        count += 1
      }
    }
    return Outcome(.accepted, .done, count, 0)
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
