package import Primitives
package import Wire

/// An order as the book alone sees it.
package struct BookOrder {
  package var id: OrderID
  package var clientID: UInt64
  package var account: AccountID
  package var instrument: InstrumentID
  package var side: Side
  package var price: Price
  package var quantity: Quantity
  /// What does not match at once is dropped.
  package var isImmediate: Bool

  @inlinable @inline(__always) package init(
    id: OrderID, clientID: UInt64, account: AccountID, instrument: InstrumentID, side: Side,
    price: Price, quantity: Quantity, isImmediate: Bool
  ) {
    self.id = id
    self.clientID = clientID
    self.account = account
    self.instrument = instrument
    self.side = side
    self.price = price
    self.quantity = quantity
    self.isImmediate = isImmediate
  }
}

/// The books without the machine around them, for `novate bench matching` and for tests: the steps are
/// those the machine takes, without asking for credit before and booking it after.
extension OrderBooks {
  /// Gives an order of that number its id, then submits it. Here, and not by the caller, since
  /// nothing of another module is inlined.
  package mutating func submit(
    _ order: inout BookOrder, number: UInt64, trade: inout UInt64, into events: inout EventBuffer
  ) {
    order.id = id(number: number)
    submit(order, trade: &trade, into: &events)
  }

  /// Matches an order and rests what is left of it, unless it is immediate.
  /// - Parameter trade: the next trade's number.
  /// - Returns: what is left.
  @discardableResult @inline(__always)
  package mutating func submit(
    _ order: BookOrder, trade: inout UInt64, into events: inout EventBuffer
  ) -> Quantity {
    let taker = Taker(
      account: order.account, instrument: order.instrument, side: order.side, price: order.price,
      order: order.id, cause: .match)
    var left = order.quantity.raw
    matching: while left > 0 {
      switch step(taker, Quantity(raw: left), trade: TradeID(trade), into: &events) {
      case .nothing: break matching
      case .selfTrade: continue
      case .fill(_, let size):
        trade += 1
        left -= size.raw
      case .special: preconditionFailure("orders here are plain")
      }
    }
    if left > 0, !order.isImmediate {
      enter(
        OrderRecord(
          id: order.id, clientID: order.clientID, price: order.price,
          remaining: Quantity(raw: left), account: order.account, instrument: order.instrument,
          side: order.side.rawValue))
    }
    return Quantity(raw: left)
  }

  /// Cancels an order by its id; false if it does not rest.
  package mutating func cancel(_ id: OrderID) -> Bool {
    guard let slot = slot(of: id) else { return false }
    remove(slot)
    return true
  }

  /// Cancels an account's order by the client's id; false if it does not rest.
  package mutating func cancel(_ account: AccountID, clientID: UInt64) -> Bool {
    guard let slot = slot(of: account, clientID: clientID) else { return false }
    remove(slot)
    return true
  }

  /// As `fault(priority:)`, where no order has lost its place to a younger one.
  package func fault() -> String? { fault { $0.id.raw } }

  /// Ends the batch: the old bytes of what it touched are no longer needed.
  package mutating func seal() { orders.seal() }

  /// The most orders that ever rested at once.
  package var restingOrderMax: Int { orders.count }

  /// Levels of an instrument's side that have orders.
  package func levelCount(_ instrument: InstrumentID, _ side: Side) -> Int {
    levels.count(instrument.raw * 2 + UInt32(side.rawValue))
  }

  /// Every order of an instrument's side in its order of priority.
  package func resting(_ instrument: InstrumentID, _ side: Side) -> [BookOrder] {
    var found: [BookOrder] = []
    forEachLevel(instrument, side) { price, oldest in
      var slot: Int? = oldest
      while let here = slot {
        let order = orders[here]
        found.append(
          BookOrder(
            id: order.id, clientID: order.clientID, account: order.account,
            instrument: order.instrument, side: order.isBuy ? .buy : .sell, price: order.price,
            quantity: order.remaining, isImmediate: false))
        slot = next(atPriceAfter: here)
      }
      return true
    }
    return found
  }

  /// The same orders in the same slots, and all that follows from them made anew, as after a
  /// restart.
  package func rebuilt() -> OrderBooks {
    var books = OrderBooks(indexKey: SlotTable.mixed(UInt64(orders.count)))
    if orders.count > 0 { books.orders.reserve(through: orders.count - 1) }
    for slot in 0..<orders.count { books.orders[slot] = orders[slot] }
    books.orders.seal()
    books.rebuild(instruments: levels.best.count / 2, accounts: accountCount) { $0.id.raw }
    return books
  }

  package func bestPrice(_ instrument: InstrumentID, _ side: Side) -> Price? {
    best(instrument, side)
  }
}
