package import Primitives
import Wire

/// Where a resting order stands: 16 bytes.
struct OrderLinks: BitwiseCopyable {
  /// Its neighbours in its level; where that begins or ends the complement of the level's number.
  var previous: Int32 = -1
  var next: Int32 = -1
  /// Its word among its account's orders.
  var place: Int32 = -1
  /// The hash of its client id: a cancel finds the index's line without waiting for the order's
  /// record to come from far.
  var clientHash: UInt32 = 0
}

/// Who takes, and on what terms.
struct Taker {
  let account: AccountID
  let instrument: InstrumentID
  let side: Side
  let price: Price
  let order: OrderID
  let cause: FillCause
  var selfTrade = SelfTradeMode.cancelResting
  /// It fills whole or not at all.
  var isWhole = false
}

/// What comes next for a taker.
enum MatchStep {
  /// Nothing on the other side meets its price.
  case nothing
  /// Filled against this maker, as it stood before.
  case fill(OrderRecord, Quantity)
  /// The maker is the taker's own and has been taken out of the book.
  case selfTrade(OrderRecord)
  /// The maker has flags, or is the taker's own where that one is not to be cancelled: the machine
  /// knows what to do with it.
  case special(slot: Int, OrderRecord)
}

/// The resting orders of every instrument: price–time priority in flat memory. The orders
/// themselves are facts, in slots given lowest first; levels, links and indexes follow from them.
///
/// It knows nothing of credit: the machine asks before an order comes here, and books what a match
/// has done after it. `Docs/Book.md` has the layout and its arithmetic.
package struct OrderBooks: ~Copyable {
  private let inPlace = InPlace()
  var orders = Pool<OrderRecord>(capacity: 64)
  private(set) var links = FlatArray<OrderLinks>()
  private(set) var levels: PriceLevels
  private var accounts = AccountOrders()
  private var clients = SlotTable()
  private var free = SlotBitmap()
  /// Where the process hides its indexes from whoever chooses ids and prices. It reaches no outcome
  /// and no root.
  private let key: UInt64
  private let secondKey: UInt64

  package init(indexKey: UInt64) {
    key = SlotTable.mixed(indexKey)
    secondKey = SlotTable.mixed(key) | 1
    levels = PriceLevels(key: key)
  }

  package mutating func addInstrument() { levels.addInstrument() }
  package mutating func addAccount() { accounts.addAccount() }

  var accountCount: Int { accounts.accountCount }

  /// Orders resting now.
  package private(set) var count = 0

  /// The id of the next order of that number. Should it come to rest, it will find its place: until
  /// then orders only leave.
  @inline(__always) package func id(number: UInt64) -> OrderID {
    OrderID(number: number, slot: free.lowest)
  }

  // MARK: - Matching

  @inline(__always) private func side(_ instrument: InstrumentID, _ side: Side) -> UInt32 {
    instrument.raw &* 2 &+ UInt32(side.rawValue)
  }

  /// The best price of a side.
  @inline(__always) func best(_ instrument: InstrumentID, _ side: Side) -> Price? {
    let place = self.side(instrument, side)
    let best = levels.best[Int(place)]
    return best.level < 0 ? nil : PriceLevel.price(best.key, place)
  }

  /// The oldest order at the best price of a side.
  func first(in instrument: InstrumentID, _ side: Side) -> Int? {
    let best = levels.best[Int(self.side(instrument, side))]
    return best.level < 0 ? nil : Int(levels.levels[Int(best.level)].head)
  }

  /// The oldest order at the best price opposite to `side` that meets `limit`.
  @inline(__always)
  private func maker(_ instrument: InstrumentID, against side: Side, limit: Price) -> Int? {
    let place = self.side(instrument, side.opposite)
    let best = levels.best[Int(place)]
    guard best.level >= 0, best.key >= PriceLevel.key(limit, place) else { return nil }
    return Int(levels.levels[Int(best.level)].head)
  }

  /// One step of matching: finds the maker and fills it, or takes it out when it is the taker's own.
  @inline(__always)
  mutating func step(
    _ taker: Taker, _ left: Quantity, trade: TradeID, into events: inout EventBuffer
  ) -> MatchStep {
    guard let slot = maker(taker.instrument, against: taker.side, limit: taker.price) else {
      return .nothing
    }
    let maker = orders[slot]
    if maker.flags != 0 { return .special(slot: slot, maker) }
    if maker.account == taker.account {
      guard taker.selfTrade == .cancelResting else { return .special(slot: slot, maker) }
      unlink(slot, maker.id, maker.account, hasClientID: maker.clientID != 0)
      return .selfTrade(maker)
    }
    let size = min(left, maker.remaining)
    fill(slot, maker, taker, size, trade: trade, into: &events)
    return .fill(maker, size)
  }

  /// Fills a maker: the event, and what is left of it.
  @inline(__always)
  mutating func fill(
    _ slot: Int, _ maker: OrderRecord, _ taker: Taker, _ size: Quantity, trade: TradeID,
    into events: inout EventBuffer
  ) {
    record(maker, taker, size, trade: trade, into: &events)
    if size == maker.remaining {
      unlink(slot, maker.id, maker.account, hasClientID: maker.clientID != 0)
    } else {
      orders[slot].remaining = Quantity(raw: maker.remaining.raw &- size.raw)
    }
  }

  /// The event of a match.
  @inline(__always)
  func record(
    _ maker: OrderRecord, _ taker: Taker, _ size: Quantity, trade: TradeID,
    into events: inout EventBuffer
  ) {
    events.append(
      Fill(
        cause: taker.cause, takerSide: taker.side, instrument: taker.instrument, trade: trade,
        maker: maker.account, taker: taker.account, price: maker.price, quantity: size,
        makerOrder: maker.id, takerOrder: taker.order))
  }

  // MARK: - Resting

  /// Puts an order at the back of its level, in the lowest free slot that its id can mean.
  @inline(__always)
  mutating func enter(_ record: OrderRecord) {
    var slot = record.id.place
    while free.isUsed(slot) { slot &+= OrderBooks.placeStride }
    free.mark(slot)
    if slot >= orders.count { orders.reserve(through: slot) }
    orders[slot] = record
    link(slot, record)
  }

  /// Takes an order out and gives what it was.
  @discardableResult
  mutating func remove(_ slot: Int) -> OrderRecord {
    let record = orders[slot]
    unlink(slot, record.id, record.account, hasClientID: record.clientID != 0)
    return record
  }

  @inline(__always)
  private mutating func link(_ slot: Int, _ record: OrderRecord) {
    while links.count <= slot { links.append(OrderLinks()) }
    linkInLevel(slot, record)
    linkInAccount(slot, record)
  }

  /// Puts an order at the back of its level.
  @inline(__always)
  private mutating func linkInLevel(_ slot: Int, _ record: OrderRecord) {
    let place = side(record.instrument, record.isBuy ? .buy : .sell)
    let (level, tail) = levels.append(
      Int32(truncatingIfNeeded: slot), place, PriceLevel.key(record.price, place))
    if tail >= 0 { links[Int(tail)].next = Int32(truncatingIfNeeded: slot) }
    links[slot].previous = tail
    links[slot].next = ~level
  }

  @inline(__always)
  private mutating func unlinkFromLevel(_ slot: Int) {
    let link = links[slot]
    if link.previous >= 0 {
      links[Int(link.previous)].next = link.next
      if link.next < 0 { levels.setTail(~link.next, link.previous) }
    } else if link.next >= 0 {
      levels.setHead(~link.previous, link.next)
      askAhead(link.next)
    } else {
      askAhead(levels.remove(~link.previous))
    }
    if link.next >= 0 { links[Int(link.next)].previous = link.previous }
  }

  /// Asks for the order at the head of a level before anyone meets it; −1 is none.
  @inline(__always)
  private func askAhead(_ slot: Int32) {
    guard slot >= 0 else { return }
    orders.prefetch(Int(slot))
    links.prefetch(Int(slot))
  }

  /// Shows another slice of an order, at the back of its level.
  mutating func requeue(_ slot: Int, remaining: Quantity) {
    orders[slot].remaining = remaining
    unlinkFromLevel(slot)
    linkInLevel(slot, orders[slot])
  }

  /// Gives a resting order another client id.
  mutating func rename(_ slot: Int, _ clientID: UInt64) {
    let old = orders[slot]
    if old.clientID != 0 { clients.remove(links[slot].clientHash, slot: slot) }
    orders[slot].clientID = clientID
    guard clientID != 0 else { return }
    if clients.isFull { growClients() }
    let hash = hash(old.account, clientID)
    links[slot].clientHash = hash
    clients.insert(hash, slot: slot)
  }

  /// Enters an order among its account's and into the index.
  @inline(__always)
  private mutating func linkInAccount(_ slot: Int, _ record: OrderRecord) {
    links[slot].place = accounts.insert(record.account, slot)
    count &+= 1
    if record.clientID != 0 {
      if clients.isFull { growClients() }
      let hash = hash(record.account, record.clientID)
      links[slot].clientHash = hash
      clients.insert(hash, slot: slot)
    }
  }

  /// Takes an order out of its level, its account's orders, the index and its slot.
  private mutating func unlink(
    _ slot: Int, _ id: OrderID, _ account: AccountID, hasClientID: Bool
  ) {
    unlinkFromLevel(slot)
    accounts.remove(account, links[slot].place)
    count &-= 1
    if hasClientID { clients.remove(links[slot].clientHash, slot: slot) }
    orders[slot] = .empty
    free.free(slot)
  }

  // MARK: - By id

  // Keyed: clients choose their own ids, and which of their orders they leave to rest.
  @inline(__always) private func hash(_ account: AccountID, _ clientID: UInt64) -> UInt32 {
    SlotTable.hash(clientID ^ key, (UInt64(account.raw) &<< 32) ^ secondKey)
  }

  @inline(never) private mutating func growClients() {
    let slots = clients.slots
    clients.grow(slots, hashes: slots.map { links[$0].clientHash })
  }

  /// Where an order rests.
  @inline(__always) func slot(of id: OrderID) -> Int? {
    var slot = id.place
    while slot < orders.count {
      if orders[slot].id == id { return id.raw == 0 ? nil : slot }
      slot &+= OrderBooks.placeStride
    }
    return nil
  }

  /// Slots that one id may mean lie so far apart: one for each million of resting orders.
  private static let placeStride = 1 << Int(OrderID.placeBits)

  /// Where an account's order with this client id rests.
  @inline(__always) func slot(of account: AccountID, clientID: UInt64) -> Int? {
    clients.slot(hash(account, clientID)) {
      orders[$0].clientID == clientID && orders[$0].account == account
    }
  }

  // MARK: - Walking

  /// Where an account's orders rest, the oldest first.
  func slots(of account: AccountID) -> [Int] {
    accounts.slots(of: account).sorted { orders[$0].id < orders[$1].id }
  }

  /// Every level of a side from the best, as its price and its oldest order's slot, until `body`
  /// gives false.
  func forEachLevel(
    _ instrument: InstrumentID, _ side: Side, _ body: (_ price: Price, _ slot: Int) -> Bool
  ) {
    let place = self.side(instrument, side)
    var below = Int64.max
    while let level = levels.next(place, below: below) {
      guard body(level.price, Int(level.head)) else { return }
      below = level.key
    }
  }

  /// The next younger order at the same price.
  func next(atPriceAfter slot: Int) -> Int? {
    let next = links[slot].next
    return next < 0 ? nil : Int(next)
  }

  // MARK: - From facts

  /// Builds all that follows from the orders anew.
  /// - Parameter priority: what decides among the orders of a level.
  mutating func rebuild(
    instruments: Int, accounts accountCount: Int, priority: (OrderRecord) -> UInt64
  ) {
    levels = PriceLevels(key: key)
    for _ in 0..<instruments { levels.addInstrument() }
    links = FlatArray(repeating: OrderLinks(), count: orders.count)
    accounts = AccountOrders(accounts: accountCount)
    free = SlotBitmap(count: orders.count) { orders[$0].id.raw != 0 }
    // Levels are in the order of priority, so they come back as they were.
    let open = (0..<orders.count).filter { orders[$0].id.raw != 0 }
      .sorted { priority(orders[$0]) < priority(orders[$1]) }
    count = 0
    clients = SlotTable(capacity: open.count)
    for slot in open { linkInAccount(slot, orders[slot]) }
    for slot in open { linkInLevel(slot, orders[slot]) }
  }

  /// What memory holds orders: records, links and levels; the index by client id;
  /// the old bytes kept until the batch is sealed; in bytes.
  package var memory: (book: Int, clients: Int, undo: Int) {
    (
      orders.memory.records + links.byteCount + levels.byteCount
        + accounts.byteCount
        + free.byteCount, clients.byteCount, orders.memory.undo
    )
  }

  /// The first thing that must hold between orders and what follows from them and does not; slow,
  /// for tests and `doctor`.
  func fault(priority: (OrderRecord) -> UInt64) -> String? {
    var seen = 0
    for place in 0..<levels.best.count {
      if let fault = levels.fault(UInt32(place)) { return fault }
      var below = Int64.max
      while let level = levels.next(UInt32(place), below: below) {
        below = level.key
        if let fault = fault(of: level, &seen, priority) { return fault }
      }
    }
    guard seen == count else { return "levels hold \(seen) orders, the index \(count)" }
    for account in 0..<accountCount {
      var last: UInt64 = 0
      for slot in slots(of: AccountID(UInt32(account))) {
        guard orders[slot].account.index == account, orders[slot].id.raw > last else {
          return "orders of account \(account)"
        }
        last = orders[slot].id.raw
        seen -= 1
      }
    }
    return seen == 0 ? nil : "accounts' lists lack \(seen) orders"
  }

  private func fault(
    of level: PriceLevel, _ seen: inout Int, _ priority: (OrderRecord) -> UInt64
  ) -> String? {
    var last: UInt64 = 0
    var slot: Int? = Int(level.head)
    while let here = slot {
      let order = orders[here]
      guard priority(order) > last, order.price == level.price, order.remaining.raw > 0,
        side(order.instrument, order.isBuy ? .buy : .sell) == level.side, free.isUsed(here),
        self.slot(of: order.id) == here,
        order.clientID == 0 || self.slot(of: order.account, clientID: order.clientID) != nil
      else { return "order \(order.id) in slot \(here)" }
      last = priority(order)
      seen += 1
      if links[here].next < 0 && here != Int(level.tail) { return "end of level \(level.price)" }
      slot = next(atPriceAfter: here)
    }
    return nil
  }
}
