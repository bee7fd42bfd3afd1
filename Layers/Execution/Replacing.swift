import Instruments
import Primitives
import Wire

extension ExecutionMachine {
  // MARK: - Cancelling

  /// The resting order a cancel or a replace names: of the account, in the instrument.
  private func named(_ record: ActionRecord, _ account: AccountID) -> Int? {
    let slot =
      record.a == 0 ? books.slot(of: OrderID(record.z)) : clientOrder(account, record.z)
    guard let slot, orders[slot].account == account, orders[slot].instrument == record.instrument
    else { return nil }
    return slot
  }

  mutating func cancel(_ record: ActionRecord, account: AccountID) -> Outcome {
    guard let slot = named(record, account) else {
      guard let slot = namedTrigger(record, account) else { return .rejected(.unknownOrder) }
      let trigger = triggers[slot]
      removeTrigger(slot)
      return Outcome(.accepted, .done, 0, trigger.order.y, order: trigger.id)
    }
    let order = orders[slot]
    let left = left(order)
    removeOrder(slot)
    return Outcome(.accepted, .done, 0, left.raw, order: order.id)
  }

  /// Cancels the orders an action names.
  mutating func cancelAll(_ record: ActionRecord, account: AccountID) -> Outcome {
    cancelAll(
      of: account, record.cancelScope, side: record.a == 0 ? nil : record.a == 1 ? .buy : .sell)
  }

  /// Cancels an account's orders, oldest first; figure 1 counts them.
  @discardableResult
  mutating func cancelAll(of account: AccountID, _ scope: CancelScope, side: Side? = nil)
    -> Outcome
  {
    var count: Int64 = 0
    for slot in books.slots(of: account) {
      let order = orders[slot]
      if isMeant(order.instrument, scope), side == nil || (side == .buy) == order.isBuy {
        removeOrder(slot)
        count += 1
      }
    }
    count += cancelTriggers(of: account, scope, side: side)
    return Outcome(.accepted, .done, count, 0)
  }

  func isMeant(_ instrument: InstrumentID, _ scope: CancelScope) -> Bool {
    switch scope {
    case .instrument(let meant): meant == .all || instrument == meant
    case .underlying(let underlying): instruments[instrument.index].underlying == underlying
    }
  }

  // MARK: - Replacing

  /// Gives a resting order a new price, or another quantity left. It keeps its place where the price
  /// stays and the quantity does not rise; else a new order takes its place, or nothing changes.
  mutating func replaceOrder(_ record: ActionRecord, account: AccountID) -> Outcome {
    guard let slot = named(record, account), !isExpired(orders[slot]) else {
      return .rejected(.unknownOrder)
    }
    let old = orders[slot]
    let left = left(old)
    guard record.expectedLeft == 0 || record.expectedLeft == left.raw else {
      return .rejected(.orderChanged, left.raw, record.expectedLeft)
    }
    if let refusal = termsRefusal(record) { return refusal }
    let clientID = record.newClientID == 0 ? old.clientID : record.newClientID
    if clientID != old.clientID,
      clientOrder(account, clientID) != nil
        || waiting.slot(of: account, clientID: clientID) != nil
    {
      return .rejected(.duplicateClientID)
    }
    let fingerprint = clientID == 0 ? 0 : record.fingerprint
    if record.price == old.price, record.quantity <= left {
      reduce(slot, old, to: record.quantity, clientID: clientID, fingerprint: fingerprint)
      return Outcome(.accepted, .done, 0, record.y, order: old.id)
    }
    let side: Side = old.isBuy ? .buy : .sell
    if let refusal = bandRefusal(record.instrument, side, record.price) { return refusal }
    let extra = extraSlot(old).map { extras[$0] } ?? .empty
    if let refusal = displayRefusal(record.instrument, extra.display.raw, of: record.y) {
      return refusal
    }
    if hasNoRoomForTrades { return .rejected(.batchFull) }
    var price = record.price
    if record.isPostOnly, let refusal = postOnlyRefusal(record, side, &price) { return refusal }
    return enter(
      NewOrder(
        account: account, instrument: record.instrument, side: side, price: price,
        quantity: record.quantity, timeInForce: extra.expiry.raw == 0 ? .gtc : .gtt,
        isReduceOnly: old.isReduceOnly, selfTrade: record.selfTrade, clientID: clientID,
        fingerprint: fingerprint, expiry: extra.expiry, display: extra.display,
        isQuote: old.isQuote),
      replacing: slot)
  }

  /// Lowers what is left of an order, the hidden part first.
  private mutating func reduce(
    _ slot: Int, _ old: OrderRecord, to quantity: Quantity, clientID: UInt64, fingerprint: UInt32
  ) {
    changeReserve(slot, old, terms(old.instrument), to: quantity)
    let shown = min(old.remaining, quantity)
    if let extra = extraSlot(old) {
      extras[extra].hidden = Quantity(raw: quantity.raw - shown.raw)
    }
    books.orders[slot].remaining = shown
    books.orders[slot].fingerprint = fingerprint
    if clientID != old.clientID { books.rename(slot, clientID) }
  }
}
