import Primitives
import Wire

/// What only some resting orders have: 48 bytes beside the order's own record, so that plain orders
/// do not pay for it.
struct OrderExtra: FlatRecord {
  /// The order it belongs to; zero in an empty slot.
  var order = OrderID(0)
  /// The first batch time it no longer stands at, zero for none.
  var expiry: Timestamp = .zero
  /// The slice it shows, zero for the whole.
  var display: Quantity = .zero
  /// What it does not show yet.
  var hidden: Quantity = .zero
  /// Its place in time once it has been replenished: a number drawn from those of orders. Zero
  /// before: its id is its place.
  var priority: UInt64 = 0
  var reserved: UInt64 = 0

  static let empty = OrderExtra()
}

/// Orders that expire, soonest first, then lowest id. Orders that went before are passed over when
/// they come up, and swept out when they are more than the living.
struct ExpiryQueue {
  private struct Entry: Comparable {
    let expiry: Int64
    let order: UInt64
    static func < (a: Entry, b: Entry) -> Bool { (a.expiry, a.order) < (b.expiry, b.order) }
  }
  /// A binary heap: no entry comes before the one at half its place.
  private var heap: [Entry] = []

  var count: Int { heap.count }

  mutating func insert(_ order: OrderID, expiry: Timestamp) {
    heap.append(Entry(expiry: expiry.raw, order: order.raw))
    var place = heap.count - 1
    while place > 0, heap[place] < heap[(place - 1) / 2] {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  /// Takes out the first entry if its time has come.
  mutating func pop(at time: Timestamp) -> (order: OrderID, expiry: Timestamp)? {
    guard let first = heap.first, first.expiry <= time.raw else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    sink(0)
    return (OrderID(first.order), Timestamp(raw: first.expiry))
  }

  private mutating func sink(_ start: Int) {
    var place = start
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2]
      where child < heap.count && heap[child] < heap[least] { least = child }
      if least == place { return }
      heap.swapAt(place, least)
      place = least
    }
  }

  /// Forgets the entries that are no order's any more.
  mutating func sweep(keeping isAlive: (OrderID) -> Bool) {
    heap.removeAll { !isAlive(OrderID($0.order)) }
    for place in (0..<(heap.count / 2)).reversed() { sink(place) }
  }
}

extension ExecutionMachine {
  // MARK: - What is left of an order

  /// The extras of an order that has any.
  @inline(__always)
  func extraSlot(_ order: OrderRecord) -> Int? {
    order.hasExtra ? extraSlots[order.id.raw] : nil
  }

  /// What is left of a resting order, shown and hidden.
  @inline(__always)
  func left(_ order: OrderRecord) -> Quantity {
    guard let slot = extraSlot(order) else { return order.remaining }
    return Quantity(raw: order.remaining.raw + extras[slot].hidden.raw)
  }

  /// What decides among the orders of a level: the lower, the earlier.
  func priority(_ order: OrderRecord) -> UInt64 {
    guard let slot = extraSlot(order), extras[slot].priority != 0 else {
      return order.id.number
    }
    return extras[slot].priority
  }

  /// Whether its time is over, though no opening has come to take it out yet.
  func isExpired(_ order: OrderRecord) -> Bool {
    guard let slot = extraSlot(order) else { return false }
    return extras[slot].expiry.raw != 0 && extras[slot].expiry <= time
  }

  // MARK: - Keeping

  mutating func enter(_ extra: OrderExtra) {
    let slot = freeExtras.take()
    extras.reserve(through: slot)
    extras[slot] = extra
    link(extra, slot)
  }

  /// Enters an extra into what is derived from it.
  mutating func link(_ extra: OrderExtra, _ slot: Int) {
    extraSlots[extra.order.raw] = slot
    if extra.expiry.raw != 0 {
      expiries.insert(extra.order, expiry: extra.expiry)
      timedOrders += 1
    }
  }

  mutating func removeExtra(of order: OrderRecord) {
    guard let slot = extraSlot(order) else { return }
    extraSlots[order.id.raw] = nil
    if extras[slot].expiry.raw != 0 { forgetExpiry() }
    extras[slot] = .empty
    freeExtras.free(slot)
  }

  /// An order that expires has gone.
  mutating func forgetExpiry() {
    timedOrders -= 1
    if expiries.count > 2 * timedOrders + 64 {
      let (living, waiting) = (extraSlots, waiting)
      expiries.sweep { living[$0.raw] != nil || waiting.slot(of: $0) != nil }
    }
  }

  /// Shows the next slice of an order whose shown part has gone, at the back of its level.
  mutating func replenish(_ slot: Int, _ record: OrderRecord) {
    guard let extra = extraSlot(record) else {
      preconditionFailure("an order with something hidden has its extra")
    }
    let slice = min(extras[extra].display, extras[extra].hidden)
    extras[extra].hidden = Quantity(raw: extras[extra].hidden.raw - slice.raw)
    extras[extra].priority = status[0].nextOrder
    status[0].nextOrder += 1
    books.requeue(slot, remaining: slice)
  }

  // MARK: - Expiry

  /// Takes out orders whose time is over: soonest first, then lowest id, so many a batch.
  mutating func expireOrders() {
    var count = 0
    while count < Limits.orderExpiriesPerBatchMax, let (id, _) = expiries.pop(at: time) {
      if let slot = waiting.slot(of: id) {
        removeTrigger(slot)
        count += 1
        continue
      }
      // Filled or cancelled since, perhaps.
      guard extraSlots[id.raw] != nil, let slot = books.slot(of: id) else { continue }
      removeOrder(slot)
      count += 1
    }
  }
}
