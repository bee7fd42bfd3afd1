public import Primitives
public import Wire

/// What a batch did to one resting order, or one that waits. An order that came and went in the same batch
/// leaves no trace here.
public struct OrderChange: Sendable, Hashable {
  /// As it rested before the batch; nil if it did not.
  public var before: RestingOrder?
  /// As it rests now; nil if it does not.
  public var after: RestingOrder?
  public var account: AccountID
  public var instrument: InstrumentID

  init?(before: RestingOrder?, after: RestingOrder?) {
    guard let one = before ?? after else { return nil }
    self.before = before
    self.after = after
    account = one.account
    instrument = one.instrument
  }
}

extension ExecutionMachine {
  /// Every change of a resting order in the open or just closed batch, in the order in which slots
  /// were first touched; read off what the pool keeps to undo the batch, so matching pays nothing.
  public func forEachOrderChange(_ body: (OrderChange) -> Void) {
    for index in 0..<books.orders.touchedCount {
      let before = books.orders.touchedOld(index).resting
      let after = books.orders[books.orders.touchedSlot(index)].resting
      if let before, let after, before.id != after.id {
        // The slot was given up and given again.
        OrderChange(before: before, after: nil).map(body)
        OrderChange(before: nil, after: after).map(body)
      } else if before != after {
        OrderChange(before: before, after: after).map(body)
      }
    }
    for index in 0..<triggers.touchedCount {
      let before = triggers.touchedOld(index).shown
      let after = triggers[triggers.touchedSlot(index)].shown
      if let before, let after, before.id != after.id {
        OrderChange(before: before, after: nil).map(body)
        OrderChange(before: nil, after: after).map(body)
      } else if before != after {
        OrderChange(before: before, after: after).map(body)
      }
    }
  }
}

extension ExecutionMachine {
  /// An account's resting orders as the world sees them, oldest first: of an iceberg what it shows.
  /// Behind them those that wait.
  public func restingOrders(of account: AccountID) -> [RestingOrder] {
    var found: [RestingOrder] = []
    for slot in books.slots(of: account) {
      if let order = books.orders[slot].resting { found.append(order) }
    }
    for id in waiting.orders(of: account) {
      if let slot = waiting.slot(of: id), let order = triggers[slot].shown { found.append(order) }
    }
    return found
  }
}

extension OrderRecord {
  /// The order of the slot, as the world sees it; nil for an empty one.
  var resting: RestingOrder? {
    guard id.raw != 0 else { return nil }
    return RestingOrder(
      id: id, clientID: clientID, account: account, instrument: instrument,
      side: isBuy ? .buy : .sell, price: price, quantity: remaining)
  }
}
