import Instruments
import Margin
import Primitives
import Wire

/// An order on its way in: what admission, matching and resting need to know of it.
struct NewOrder {
  let account: AccountID
  let instrument: InstrumentID
  let side: Side
  var price: Price
  let quantity: Quantity
  var timeInForce = TimeInForce.gtc
  var isReduceOnly = false
  var selfTrade = SelfTradeMode.cancelResting
  var clientID: UInt64 = 0
  /// Of the record that asked for it, if it has a client id.
  var fingerprint: UInt32 = 0
  var expiry: Timestamp = .zero
  var display: Quantity = .zero
  var isQuote = false
}

extension ExecutionMachine {
  /// Admits, matches and rests an order.
  @inline(__always)
  mutating func placeOrder(_ record: ActionRecord, account: AccountID) -> Outcome {
    placeOrder(record, account: account, fingerprint: record.z == 0 ? 0 : record.fingerprint)
  }

  /// - Parameter fingerprint: of the action that asked for the order.
  mutating func placeOrder(_ record: ActionRecord, account: AccountID, fingerprint: UInt32)
    -> Outcome
  {
    if record.z != 0 {
      if let slot = clientOrder(account, record.z) {
        return repeated(slot, fingerprint, record.quantity)
      }
      if let slot = waiting.slot(of: account, clientID: record.z) {
        return repeatedTrigger(slot, fingerprint)
      }
    }
    if let refusal = termsRefusal(record) { return refusal }
    var price = record.price
    if let refusal = bandRefusal(record, &price) { return refusal }
    if !record.tail.isZero, let refusal = extrasRefusal(record) { return refusal }
    if hasNoRoomForTrades { return .rejected(.batchFull) }
    if record.isPostOnly, let refusal = postOnlyRefusal(record, record.side, &price) {
      return refusal
    }
    return enter(
      NewOrder(
        account: account, instrument: record.instrument, side: record.side, price: price,
        quantity: record.quantity, timeInForce: record.timeInForce,
        isReduceOnly: record.isReduceOnly, selfTrade: record.selfTrade, clientID: record.z,
        fingerprint: fingerprint, expiry: record.orderExpiry, display: record.display),
      replacing: nil)
  }

  /// Admits an order in the place of another, if any; takes that one out, matches and rests.
  mutating func enter(_ order: NewOrder, replacing old: Int?) -> Outcome {
    if gathers(order.instrument) { return gather(order, replacing: old) }
    if let refusal = admissionRefusal(order, replacing: old) { return refusal }
    if order.timeInForce == .fok {
      let found = reach(of: order)
      guard found.quantity >= order.quantity.raw else {
        return .rejected(.notFillable, order.quantity.raw, found.quantity)
      }
      guard hasRoom(forTrades: found.fills) else { return .rejected(.batchFull) }
    }
    if let old { removeOrder(old) }
    let id = nextOrderID()
    let match = match(
      Taker(
        account: order.account, instrument: order.instrument, side: order.side,
        price: order.price, order: id, cause: .match, selfTrade: order.selfTrade,
        isWhole: order.timeInForce == .fok),
      quantity: order.quantity)
    if order.timeInForce == .fok { countHeldFills() }
    let filled = match.filled.raw
    let code: OutcomeCode = match.metItself ? .selfTrade : .done
    if match.left.raw == 0 && filled > 0 { return Outcome(.filled, code, filled, 0, order: id) }
    let rests = order.timeInForce == .gtc || order.timeInForce == .gtt
    if match.left.raw == 0 || !rests || match.isStopped || hasNoRoomForTrades {
      // A batch without room for another trade may have left the order crossing: it cannot rest.
      release(order.account, order.instrument)
      return Outcome(filled > 0 ? .filled : .accepted, code, filled, 0, order: id)
    }
    rest(order, id, left: match.left)
    return Outcome(.accepted, code, filled, match.left.raw, order: id)
  }

  /// The id of the next order.
  @inline(__always) mutating func nextOrderID() -> OrderID {
    let number = status[0].nextOrder
    precondition(number < OrderID.numberEnd, "a network has 2^44 orders")
    status[0].nextOrder = number &+ 1
    return books.id(number: number)
  }

  /// Puts what is left of an order into the book.
  mutating func rest(_ order: NewOrder, _ id: OrderID, left: Quantity) {
    let shown = order.display.raw == 0 ? left : min(order.display, left)
    let isTimed = order.timeInForce == .gtt
    let hasExtra = isTimed || shown != left
    if hasExtra {
      enter(
        OrderExtra(
          order: id, expiry: order.expiry, display: shown == left ? .zero : order.display,
          hidden: Quantity(raw: left.raw - shown.raw)))
    }
    rest(
      OrderRecord(
        id: id, clientID: order.clientID, price: order.price, remaining: shown,
        account: order.account, instrument: order.instrument, side: order.side.rawValue,
        flags: (order.isReduceOnly || isRestricted(order.account) ? OrderRecord.reduceOnly : 0)
          | (hasExtra ? OrderRecord.extra : 0) | (order.isQuote ? OrderRecord.quote : 0),
        fingerprint: order.fingerprint))
  }

  /// The same client id again: with the same terms the first order answers, as it stands now.
  func repeated(_ slot: Int, _ fingerprint: UInt32, _ quantity: Quantity) -> Outcome {
    guard orders[slot].fingerprint == fingerprint else { return .rejected(.duplicateClientID) }
    let left = left(orders[slot]).raw
    return Outcome(.accepted, .done, max(0, quantity.raw - left), left, order: orders[slot].id)
  }

  // MARK: - Terms

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

  /// Holds an order's price to the band: a limit past it is refused, a market order is brought to
  /// it, or to the worst price it names, whichever is nearer.
  @inline(__always)
  func bandRefusal(_ record: ActionRecord, _ price: inout Price) -> Outcome? {
    guard record.isMarket else { return bandRefusal(record.instrument, record.side, price) }
    let edge = bands[Int(record.id)]
    if record.side == .buy {
      price = Price(raw: record.x == 0 ? edge.high : min(record.x, edge.high))
    } else {
      price = Price(raw: max(record.x, edge.low))
    }
    return nil
  }

  @inline(__always)
  func bandRefusal(_ instrument: InstrumentID, _ side: Side, _ price: Price) -> Outcome? {
    let edge = side == .buy ? bands[instrument.index].high : bands[instrument.index].low
    guard side == .buy ? price.raw > edge : price.raw < edge else { return nil }
    return .rejected(.priceOutsideBand, price.raw, edge)
  }

  /// What an order asks for beyond the plain terms.
  private func extrasRefusal(_ record: ActionRecord) -> Outcome? {
    if record.timeInForce == .gtt, record.orderExpiry <= time {
      return .rejected(.orderExpired, record.orderExpiry.raw, time.raw)
    }
    return displayRefusal(record.instrument, record.display.raw, of: record.y)
  }

  /// A slice is whole lots, and no order has more than so many: they are fills to come.
  func displayRefusal(_ instrument: InstrumentID, _ display: Int64, of quantity: Int64) -> Outcome?
  {
    guard display > 0 else { return nil }
    let lot = instruments[instrument.index].lot.raw
    guard display % lot == 0 else { return .rejected(.quantityOffLot, display, lot) }
    let least = (quantity + Limits.displayParts - 1) / Limits.displayParts
    return display < least ? .rejected(.displayTooSmall, display, least) : nil
  }

  /// Refuses a post-only order that would take, or brings it one tick off the best opposite price.
  @inline(__always)
  func postOnlyRefusal(_ record: ActionRecord, _ side: Side, _ price: inout Price) -> Outcome? {
    let place = Int(record.id)
    guard let best = books.best(record.instrument, side.opposite),
      side == .buy ? price >= best : price <= best
    else { return nil }
    let slid = best.raw - side.sign * instruments[place].tick.raw
    guard record.isSliding, slid > 0, slid <= instruments[place].priceMax.raw else {
      return .rejected(.wouldCross, price.raw, best.raw)
    }
    price = Price(raw: slid)
    return nil
  }
}
