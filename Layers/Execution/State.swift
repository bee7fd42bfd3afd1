import Commitments
import Margin
import Pricing
public import Primitives
public import Wire

extension ExecutionMachine: PooledState {
  /// Every pool, in the order they are stored.
  public mutating func visitPools<Visitor: PoolVisitor>(_ visitor: inout Visitor)
    throws(Visitor.Failure)
  {
    try visitor.visit(&keys)
    try visitor.visit(&credits)
    try visitor.visit(&holdings)
    try visitor.visit(&balances)
    try visitor.visit(&since)
    try visitor.visit(&books.orders)
    try visitor.visit(&instruments)
    try visitor.visit(&indices)
    try visitor.visit(&slices)
    try visitor.visit(&status)
    try visitor.visit(&extras)
    try visitor.visit(&timers)
    try visitor.visit(&protections)
    try visitor.visit(&triggers)
    try visitor.visit(&calls)
    try visitor.visit(&margin)
    try visitor.visit(&sessions)
  }

  /// Rebuilds all derived state after the pools were loaded, and checks the root.
  /// - Throws: `.state` when the facts do not hash to `expected`.
  public mutating func rebuild(expecting expected: Digest, previous: Digest)
    throws(ExecutionFailure)
  {
    if let fault = structureFault() { throw .state("stored state is out of shape: \(fault)") }
    previousID = previous
    root = trees.rebuiltRoot(
      keys, credits, holdings, balances, since, books.orders, instruments, indices, slices, status,
      extras, timers, protections, triggers, calls, margin, sessions)
    guard root == expected else {
      throw .state("stored state has root \(root), expected \(expected)")
    }
    freeHoldings = SlotBitmap(count: holdings.count) { _ in true }
    for slot in 0..<holdings.count where holdings[slot].isUsed == 0 { freeHoldings.free(slot) }
    resting = Array(repeating: (0, 0), count: holdings.count)
    rebuildGroups()
    openInterest = countOpenInterest()
    rebuildOrders()
    rebuildMakers()
    risk = RiskBook(underlyingCount: genesis.underlyings.count)
    table.use(margin[0])
    reprice()
    rebuildRisk()
  }

  private mutating func rebuildMakers() {
    timerSlots = [:]
    freeTimers = SlotBitmap(count: timers.count) { timers[$0].deadline.raw != 0 }
    for slot in 0..<timers.count where timers[slot].deadline.raw != 0 {
      timerSlots[timers[slot].account.raw] = slot
    }
    rebuildDeadlines()
    protectionSlots = [:]
    freeProtections = SlotBitmap(count: protections.count) { protections[$0].isUsed != 0 }
    for slot in 0..<protections.count where protections[slot].isUsed != 0 {
      link(protections[slot], slot)
    }
    rebuildTriggers()
    rebuildSessions()
  }

  /// Those whose price was reached go to the queue in the order in which it was.
  private mutating func rebuildTriggers() {
    waiting = TriggerIndex()
    freeTriggers = SlotBitmap(count: triggers.count) { triggers[$0].id.raw != 0 }
    let used = (0..<triggers.count).filter { triggers[$0].id.raw != 0 }
      .sorted { triggers[$0].id < triggers[$1].id }
    for slot in used { link(triggers[slot], slot) }
    let reached = used.map { triggers[$0] }.filter(\.isReached).sorted { a, b in
      (a.reached, a.order.id, a.id.raw) < (b.reached, b.order.id, b.id.raw)
    }
    waiting.append(reached: reached.map(\.id.raw))
  }

  private mutating func rebuildOrders() {
    extraSlots = [:]
    expiries = ExpiryQueue()
    timedOrders = 0
    freeExtras = SlotBitmap(count: extras.count) { extras[$0].order.raw != 0 }
    for slot in 0..<extras.count where extras[slot].order.raw != 0 { link(extras[slot], slot) }
    for slot in 0..<orders.count where orders[slot].id.raw != 0 {
      let order = orders[slot]
      if let holding = holdingSlot(order.account, order.instrument) {
        reserve(holding, order.isBuy ? .buy : .sell, left(order).raw)
      }
    }
    let moved = movedPriorities
    books.rebuild(instruments: instruments.count, accounts: credits.count) {
      moved[$0.id.raw] ?? $0.id.number
    }
  }

  /// Priorities that are not the order's id, by id.
  private var movedPriorities: [UInt64: UInt64] {
    var moved: [UInt64: UInt64] = [:]
    for slot in 0..<extras.count where extras[slot].priority != 0 {
      moved[extras[slot].order.raw] = extras[slot].priority
    }
    return moved
  }

  // MARK: - Views

  /// The aggregated levels of an instrument, best first: (price, contracts, orders).
  public func levels(_ instrument: InstrumentID, _ side: Side, limit: Int)
    -> [(price: Price, quantity: Quantity, orders: Int)]
  {
    guard instrument.index < instruments.count, limit > 0 else { return [] }
    var found: [(price: Price, quantity: Quantity, orders: Int)] = []
    books.forEachLevel(instrument, side) { price, oldest in
      var quantity: Int64 = 0
      var count = 0
      var slot: Int? = oldest
      while let here = slot {
        let (sum, overflow) = quantity.addingReportingOverflow(orders[here].remaining.raw)
        quantity = overflow ? .max : sum
        count += 1
        slot = books.next(atPriceAfter: here)
      }
      found.append((price, Quantity(raw: quantity), count))
      return found.count < limit
    }
    return found
  }

  /// The index price adopted, zero for none.
  public func index(_ underlying: UnderlyingID) -> Price { indices[underlying.index].price }

  /// What an account has left under its worst scenario, in money, rounded down.
  public func room(_ account: AccountID) -> Money {
    Money(raw: moneyFloor(room(left: account)))
  }

  /// Bytes held for orders by book, links and indexes, for risk sums, and for accounts with their
  /// keys, holdings, risk sums and the index of owners.
  public var memory: (orderBytes: Int, riskBytes: Int, accountBytes: Int) {
    let accounts =
      credits.count * (MemoryLayout<CreditRecord>.stride + 8 + 60)
      + keys.count * MemoryLayout<KeyRecord>.stride
      + holdings.count * MemoryLayout<HoldingRecord>.stride
    let orders = books.memory
    return (orders.book + orders.clients, risk.byteCount, accounts + risk.byteCount)
  }

  /// Bytes held for what only some orders have.
  public var extraByteCount: Int {
    extras.count * MemoryLayout<OrderExtra>.stride + extraSlots.capacity * 17 + expiries.count * 16
  }

  /// The most orders that ever rested at once: the lowest free slot is given first.
  public var restingOrderMax: Int { orders.count }

  /// Checks what must hold between facts and derived state; slow. For tests and `doctor`.
  public mutating func selfCheck() -> String? {
    let rooms = (0..<credits.count).map { risk.room(AccountID(UInt32($0))) }
    rebuildRisk()
    for index in 0..<credits.count where risk.room(AccountID(UInt32(index))) != rooms[index] {
      return "room of account \(index): kept \(rooms[index]), recomputed "
        + "\(risk.room(AccountID(UInt32(index))))"
    }
    var open = Array(repeating: (bids: Int64(0), asks: Int64(0)), count: holdings.count)
    for slot in 0..<orders.count where orders[slot].id.raw != 0 {
      let order = orders[slot]
      guard let holding = holdingSlot(order.account, order.instrument) else {
        return "order \(order.id) has no holding"
      }
      if order.isBuy {
        open[holding].bids += left(order).raw
      } else {
        open[holding].asks += left(order).raw
      }
    }
    if let fault = triggerFault() { return fault }
    let interest = countOpenInterest()
    for index in interest.indices where index < openInterest.count {
      guard openInterest[index] == interest[index] else {
        return "open interest of \(index): kept \(openInterest[index]), counted \(interest[index])"
      }
    }
    for slot in resting.indices where slot < open.count && resting[slot] != open[slot] {
      return "resting of holding \(slot): kept \(resting[slot]), recomputed \(open[slot])"
    }
    for index in 0..<instruments.count {
      let id = InstrumentID(UInt32(index))
      if calls[index].gathers == 0, let bid = books.best(id, .buy), let ask = books.best(id, .sell),
        bid >= ask
      {
        return "book \(index) is crossed: \(bid.raw) against \(ask.raw)"
      }
    }
    let moved = movedPriorities
    return books.fault { moved[$0.id.raw] ?? $0.id.number }
  }
}

extension SliceEntry {
  var expirySlice: ExpirySlice {
    ExpirySlice(
      expiry: expiry, forward: forward,
      surface: SurfaceSlice(
        a: parameters.a, b: parameters.b, rho: parameters.rho, m: parameters.m,
        sigma: parameters.sigma), time: time)
  }
}

/// A resting order as its owner sees it.
public struct OpenOrder: Sendable {
  public var id: OrderID
  public var clientID: UInt64
  public var instrument: InstrumentID
  public var side: Side
  public var price: Price
  public var quantity: Quantity
}

extension ExecutionMachine {
  /// Whether a batch is being made.
  public var isBatchOpen: Bool { isOpen }

  /// Highest nonce a key used and the window below it; nil for an unknown key.
  public func nonces(of account: AccountID, _ key: PublicKey) -> (top: UInt64, bits: UInt64)? {
    guard account.index < credits.count, let slot = anyKeySlot(account, key) else { return nil }
    return (keys[slot].nonceTop, keys[slot].nonceBits)
  }

  /// Every key an account has or had.
  public func keys(of account: AccountID) -> [PublicKey] {
    var found: [PublicKey] = []
    var next = credits[account.index].firstKey
    while next != 0 {
      found.append(keys[Int(next) - 1].key)
      next = keys[Int(next) - 1].next
    }
    return found
  }

  /// An account's resting orders, oldest first.
  public func openOrders(of account: AccountID) -> [OpenOrder] {
    var found: [OpenOrder] = []
    for slot in books.slots(of: account) {
      let record = orders[slot]
      found.append(
        OpenOrder(
          id: record.id, clientID: record.clientID, instrument: record.instrument,
          side: record.isBuy ? .buy : .sell, price: record.price, quantity: left(record)))
    }
    return found
  }
}

extension ExecutionMachine {
  /// The next trade's number.
  public var nextTrade: TradeID { TradeID(status[0].nextTrade) }
}
