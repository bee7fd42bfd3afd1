import Instruments
import Margin
public import Primitives
public import Wire

/// An order that waits outside the book, as it was sent: 96 bytes.
struct TriggerRecord: FlatRecord {
  /// Zero in an empty slot.
  var id = OrderID(0)
  var account = AccountID(0)
  var reserved: UInt32 = 0
  /// One more than the batch at whose opening its price was reached; zero while it waits for that.
  var reached: UInt64 = 0
  var reserved2: UInt64 = 0
  var order = ActionRecord.empty

  static let empty = TriggerRecord()
  var isReached: Bool { reached != 0 }
}

/// What is derived from the waiting orders, to find the reached ones and those an account names
/// without looking at all.
///
/// For each instrument there are four heaps, by mark or index and up or down, the price that comes
/// first on top: an opening at which nothing is reached looks at four tops of each instrument that
/// has any, however many wait below.
struct TriggerIndex {
  private struct Client: Hashable {
    let account: UInt32
    let clientID: UInt64
  }
  // Nothing iterates these where order matters.
  private var slots: [UInt64: Int] = [:]
  private var clients: [Client: Int] = [:]
  /// Ids, rising, of the orders of each account that has any.
  private var accounts: [UInt32: [UInt64]] = [:]
  /// By instrument, source and direction; `ExpiryQueue` holds the price where it holds a time, or
  /// the price below zero where it is a fall to it that counts.
  private var heaps: [ExpiryQueue] = []
  /// How many wait in each heap and, of each instrument, whether their price was reached or not.
  private var heapCounts: [Int] = []
  private var instrumentCounts: [Int] = []
  /// Orders whose price was reached, as they are to be placed; those that have gone are passed over.
  private var reached: [UInt64] = []
  private var reachedHead = 0

  @inline(__always) var isEmpty: Bool { slots.isEmpty }
  var count: Int { slots.count }

  func slot(of id: OrderID) -> Int? { slots[id.raw] }

  @inline(__always)
  func slot(of account: AccountID, clientID: UInt64) -> Int? {
    if slots.isEmpty { return nil }
    return clients[Client(account: account.raw, clientID: clientID)]
  }

  /// Ids of an account's orders, oldest first.
  func orders(of account: AccountID) -> [OrderID] {
    slots.isEmpty ? [] : (accounts[account.raw] ?? []).map { OrderID($0) }
  }

  /// Orders of an instrument that wait or are to be placed.
  func count(in instrument: Int) -> Int {
    instrument < instrumentCounts.count ? instrumentCounts[instrument] : 0
  }

  private static func heap(_ order: ActionRecord) -> Int {
    Int(order.id) * 4 + Int(order.triggerSource.rawValue) * 2
      + Int(order.triggerDirection.rawValue)
  }

  /// Enters an order; one whose price was reached has its place in the queue from `append`.
  mutating func insert(_ record: TriggerRecord, _ slot: Int) {
    slots[record.id.raw] = slot
    accounts[record.account.raw, default: []].append(record.id.raw)
    if record.order.z != 0 {
      clients[Client(account: record.account.raw, clientID: record.order.z)] = slot
    }
    while instrumentCounts.count <= record.order.instrument.index {
      instrumentCounts.append(0)
      for _ in 0..<4 {
        heaps.append(ExpiryQueue())
        heapCounts.append(0)
      }
    }
    instrumentCounts[record.order.instrument.index] += 1
    if !record.isReached { wait(record) }
  }

  /// Lets an order that has been entered wait for its price.
  mutating func wait(_ record: TriggerRecord) {
    let place = TriggerIndex.heap(record.order)
    let price = record.order.triggerPrice.raw
    heapCounts[place] += 1
    heaps[place].insert(
      record.id, expiry: Timestamp(raw: record.order.triggerDirection == .rises ? price : -price))
  }

  mutating func remove(_ record: TriggerRecord) {
    slots[record.id.raw] = nil
    accounts[record.account.raw]?.removeAll { $0 == record.id.raw }
    if accounts[record.account.raw]?.isEmpty == true { accounts[record.account.raw] = nil }
    if record.order.z != 0 {
      clients[Client(account: record.account.raw, clientID: record.order.z)] = nil
    }
    instrumentCounts[record.order.instrument.index] -= 1
    guard !record.isReached else { return }
    let place = TriggerIndex.heap(record.order)
    heapCounts[place] -= 1
    if heaps[place].count > 2 * heapCounts[place] + 64 {
      let living = slots
      heaps[place].sweep { living[$0.raw] != nil }
    }
  }

  /// Takes the orders of an instrument that `price` reaches out of a heap, so many at most.
  mutating func pop(
    _ instrument: Int, _ source: TriggerSource, _ direction: TriggerDirection, at price: Price,
    into found: inout [UInt64], atMost count: Int
  ) {
    let place = instrument * 4 + Int(source.rawValue) * 2 + Int(direction.rawValue)
    let key = Timestamp(raw: direction == .rises ? price.raw : -price.raw)
    while found.count < count, let (id, _) = heaps[place].pop(at: key) {
      guard slots[id.raw] != nil else { continue }
      heapCounts[place] -= 1
      found.append(id.raw)
    }
  }

  /// Puts orders whose price was reached behind those before.
  mutating func append(reached ids: [UInt64]) { reached += ids }

  /// Takes the next order to place out of the queue.
  mutating func popReached() -> Int? {
    while reachedHead < reached.count {
      let id = reached[reachedHead]
      reachedHead += 1
      if let slot = slots[id] { return slot }
    }
    reached.removeAll(keepingCapacity: true)
    reachedHead = 0
    return nil
  }
}

extension ExecutionMachine {
  // MARK: - Coming and going

  /// Takes an order that is to be placed when mark or index reaches its price. What it needs is
  /// asked for then: it sets nothing aside while it waits.
  @inline(never)
  mutating func placeTrigger(_ record: ActionRecord, account: AccountID) -> Outcome {
    if record.z != 0 {
      let fingerprint = record.fingerprint
      if let slot = clientOrder(account, record.z) {
        return repeated(slot, fingerprint, record.quantity)
      }
      if let slot = waiting.slot(of: account, clientID: record.z) {
        return repeatedTrigger(slot, fingerprint)
      }
    }
    if isFrozen(account) { return .rejected(.accountFrozen) }
    if let refusal = termsRefusal(record) { return refusal }
    if !record.rests, instruments[record.instrument.index].auctionInterval > 0 {
      return .rejected(.gathering, calls[record.instrument.index].end.raw, time.raw)
    }
    if record.orderExpiry.raw != 0, record.orderExpiry <= time {
      return .rejected(.orderExpired, record.orderExpiry.raw, time.raw)
    }
    if let refusal = displayRefusal(record.instrument, record.display.raw, of: record.y) {
      return refusal
    }
    let openOrders = Int64(credits[account.index].openOrders)
    guard openOrders < genesis.constants.openOrdersPerAccountMax else {
      return .rejected(.tooManyOrders, openOrders, genesis.constants.openOrdersPerAccountMax)
    }
    guard openOrderCountWithWaiting < Limits.openOrdersMax else {
      return .rejected(
        .tooManyOrders, Int64(openOrderCountWithWaiting), Int64(Limits.openOrdersMax))
    }
    guard let price = triggerSource(record) else { return .rejected(.noMarketData) }
    if isReached(record, at: price) {
      return .rejected(.triggerReached, record.triggerPrice.raw, price.raw)
    }
    let id = nextOrderID()
    let slot = freeTriggers.take()
    triggers.reserve(through: slot)
    triggers[slot] = TriggerRecord(id: id, account: account, order: record)
    credits[account.index].openOrders += 1
    link(triggers[slot], slot)
    return Outcome(.accepted, .done, 0, record.y, order: id)
  }

  /// The same client id again: what waits under it answers.
  func repeatedTrigger(_ slot: Int, _ fingerprint: UInt32) -> Outcome {
    guard triggers[slot].order.fingerprint == fingerprint else {
      return .rejected(.duplicateClientID)
    }
    return Outcome(.accepted, .done, 0, triggers[slot].order.y, order: triggers[slot].id)
  }

  /// Orders that rest and orders that wait.
  @inline(__always) var openOrderCountWithWaiting: Int { books.count + waiting.count }

  /// Enters a waiting order into what is derived from it.
  mutating func link(_ record: TriggerRecord, _ slot: Int) {
    waiting.insert(record, slot)
    if record.order.orderExpiry.raw != 0 {
      expiries.insert(record.id, expiry: record.order.orderExpiry)
      timedOrders += 1
    }
  }

  mutating func removeTrigger(_ slot: Int) {
    let record = triggers[slot]
    triggers[slot] = .empty
    freeTriggers.free(slot)
    credits[record.account.index].openOrders -= 1
    waiting.remove(record)
    if record.order.orderExpiry.raw != 0 { forgetExpiry() }
  }

  /// The waiting order a cancel names: of the account, in the instrument.
  func namedTrigger(_ record: ActionRecord, _ account: AccountID) -> Int? {
    let slot =
      record.a == 0
      ? waiting.slot(of: OrderID(record.z)) : waiting.slot(of: account, clientID: record.z)
    guard let slot, triggers[slot].account == account,
      triggers[slot].order.instrument == record.instrument
    else { return nil }
    return slot
  }

  /// Cancels an account's waiting orders, oldest first, and counts them.
  mutating func cancelTriggers(of account: AccountID, _ scope: CancelScope, side: Side?) -> Int64 {
    var count: Int64 = 0
    for id in waiting.orders(of: account) {
      guard let slot = waiting.slot(of: id) else { continue }
      let order = triggers[slot].order
      if isMeant(order.instrument, scope), side == nil || side == order.side {
        removeTrigger(slot)
        count += 1
      }
    }
    return count
  }

  /// Takes out what waits in an instrument that has expired.
  mutating func cancelTriggers(in instrument: InstrumentID) {
    guard waiting.count(in: instrument.index) > 0 else { return }
    for slot in 0..<triggers.count
    where triggers[slot].id.raw != 0 && triggers[slot].order.instrument == instrument {
      removeTrigger(slot)
    }
  }

  // MARK: - Reaching

  /// What a trigger compares its price with; nil where there is none yet.
  private func triggerSource(_ record: ActionRecord) -> Price? {
    switch record.triggerSource {
    case .mark: return table.isPriced(record.instrument) ? table.mark(record.instrument) : nil
    case .index:
      let index = index(instruments[record.instrument.index].underlying)
      return index.raw > 0 ? index : nil
    }
  }

  private func isReached(_ record: ActionRecord, at price: Price) -> Bool {
    record.triggerDirection == .rises ? price >= record.triggerPrice : price <= record.triggerPrice
  }

  /// Whether waiting orders of an instrument are asked for: it trades, and if its orders gather, they
  /// do for good. A stop at the market that came up in a call would be refused there and be lost.
  private func placesTriggers(_ instrument: Int) -> Bool {
    instruments[instrument].trades(at: time)
      && (calls[instrument].gathers == 0 || instruments[instrument].auctionInterval > 0)
  }

  /// Notes which waiting orders mark or index have reached: by instrument, then by order. Those that
  /// one opening cannot place are not asked again. So many an opening: each is a page touched.
  mutating func reachTriggers() {
    guard !waiting.isEmpty else { return }
    var found: [UInt64] = []
    var left = Limits.triggersReachedPerBatchMax
    for place in 0..<instruments.count where waiting.count(in: place) > 0 && left > 0 {
      guard placesTriggers(place) else { continue }
      let (id, underlying) = (instruments[place].id, instruments[place].underlying)
      found.removeAll(keepingCapacity: true)
      for direction in [TriggerDirection.rises, .falls] {
        if table.isPriced(id) {
          waiting.pop(place, .mark, direction, at: table.mark(id), into: &found, atMost: left)
        }
        if index(underlying).raw > 0 {
          waiting.pop(
            place, .index, direction, at: index(underlying), into: &found, atMost: left)
        }
      }
      left -= found.count
      found.sort()
      for id in found {
        guard let slot = waiting.slot(of: OrderID(id)) else { continue }
        triggers[slot].reached = status[0].batch + 1
      }
      waiting.append(reached: found)
    }
  }

  /// Places orders whose price was reached, the earliest reached first, so many a batch. Where their
  /// instrument has been halted or called since, they wait again.
  mutating func placeReached() {
    guard !waiting.isEmpty else { return }
    var count = 0
    while count < Limits.triggersPerBatchMax, !hasNoRoomForTrades, let slot = waiting.popReached() {
      count += 1
      let record = triggers[slot]
      guard placesTriggers(record.order.instrument.index) else {
        triggers[slot].reached = 0
        waiting.wait(record)
        continue
      }
      removeTrigger(slot)
      let outcome = placeTriggered(record)
      events.append(
        Triggered(
          record.id, clientID: record.order.z, of: record.account, in: record.order.instrument,
          outcome, index: UInt32(events.count)))
    }
  }

  /// The order a trigger stands for, by the rules of any other. Under its client id it answers to
  /// the action that asked for the trigger.
  private mutating func placeTriggered(_ record: TriggerRecord) -> Outcome {
    if record.order.orderExpiry.raw != 0, record.order.orderExpiry <= time {
      return .rejected(.orderExpired, record.order.orderExpiry.raw, time.raw)
    }
    return placeOrder(
      record.order.triggeredOrder, account: record.account,
      fingerprint: record.order.z == 0 ? 0 : record.order.fingerprint)
  }
}

extension ExecutionMachine {
  /// An account's waiting orders as they were sent, oldest first.
  public func waitingOrders(of account: AccountID) -> [(id: OrderID, order: ActionRecord)] {
    waiting.orders(of: account).compactMap { id in
      waiting.slot(of: id).map { (id, triggers[$0].order) }
    }
  }

  /// What must hold between waiting orders and what is derived from them.
  func triggerFault() -> String? {
    var count = 0
    for slot in 0..<triggers.count where triggers[slot].id.raw != 0 {
      let record = triggers[slot]
      count += 1
      guard waiting.slot(of: record.id) == slot,
        record.order.z == 0
          || waiting.slot(of: record.account, clientID: record.order.z) == slot,
        waiting.orders(of: record.account).contains(record.id)
      else { return "index of trigger \(record.id)" }
      if !record.isReached, placesTriggers(record.order.instrument.index),
        waiting.count <= Limits.triggersReachedPerBatchMax,
        let price = triggerSource(record.order), isReached(record.order, at: price)
      {
        return "trigger \(record.id) waits for what \(price.raw) has reached"
      }
    }
    return count == waiting.count ? nil : "\(count) triggers, the index has \(waiting.count)"
  }
}

extension TriggerRecord {
  /// The order as its owner sees it; nil for an empty slot.
  var shown: RestingOrder? {
    guard id.raw != 0 else { return nil }
    return RestingOrder(
      id: id, clientID: order.z, account: account, instrument: order.instrument, side: order.side,
      price: order.price, quantity: order.quantity, isWaiting: true)
  }
}
