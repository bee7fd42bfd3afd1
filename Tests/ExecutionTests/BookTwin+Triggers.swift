import Instruments
import Margin
import Primitives
import Wire

/// Orders that wait for a price, by search.
extension BookTwin {
  struct Trigger: Equatable {
    var id: UInt64
    var account: Int
    var record: ActionRecord
    /// The batch at whose opening its price was reached.
    var reached: UInt64?

    static func == (a: Trigger, b: Trigger) -> Bool {
      a.id == b.id && a.account == b.account && a.reached == b.reached
        && a.record.withBytes { $0.array } == b.record.withBytes { $0.array }
    }
  }

  @inline(never)
  mutating func trigger(_ record: ActionRecord, _ account: Int) -> Outcome {
    if let known = clientAnswer(record, account) { return known }
    if let refusal = terms(record) { return refusal }
    if record.b == 1 || record.b == 2, instruments[Int(record.id)].auctionInterval > 0 {
      return .rejected(.gathering, calls[Int(record.id)].end, time)
    }
    if record.orderExpiry.raw != 0, record.orderExpiry.raw <= time {
      return .rejected(.orderExpired, record.orderExpiry.raw, time)
    }
    if let refusal = slice(Int(record.id), record.display.raw, record.y) { return refusal }
    let open = openCount(account)
    if open >= constants.openOrdersPerAccountMax {
      return .rejected(.tooManyOrders, open, constants.openOrdersPerAccountMax)
    }
    guard let now = source(record) else { return .rejected(.noMarketData) }
    if isReached(record, now) {
      return .rejected(.triggerReached, record.triggerPrice.raw, now)
    }
    let id = newOrderID()
    triggers.append(Trigger(id: id, account: account, record: record))
    return Outcome(.accepted, .done, 0, record.y, order: OrderID(id))
  }

  func openCount(_ account: Int) -> Int64 {
    Int64(orders.count { $0.account == account } + triggers.count { $0.account == account })
  }

  /// What an order or a trigger under a client id that is in use gets.
  @inline(never)
  func clientAnswer(_ record: ActionRecord, _ account: Int) -> Outcome? {
    guard record.z != 0 else { return nil }
    if let known = orders.first(where: { $0.account == account && $0.clientID == record.z }) {
      guard known.fingerprint == record.fingerprint else { return .rejected(.duplicateClientID) }
      return Outcome(
        .accepted, .done, max(0, record.y - known.left), known.left, order: OrderID(known.id))
    }
    guard let known = triggers.first(where: { $0.account == account && $0.record.z == record.z })
    else { return nil }
    guard known.record.fingerprint == record.fingerprint else {
      return .rejected(.duplicateClientID)
    }
    return Outcome(.accepted, .done, 0, known.record.y, order: OrderID(known.id))
  }

  /// Nil where there is no mark, or no index; a mark may be zero.
  private func source(_ record: ActionRecord) -> Int64? {
    let id = InstrumentID(record.id)
    if record.c & 16 != 0 {
      let index = market[instruments[id.index].underlying.index].index.raw
      return index == 0 ? nil : index
    }
    return table.isPriced(id) ? table.mark(id).raw : nil
  }

  private func isReached(_ record: ActionRecord, _ now: Int64) -> Bool {
    let price = Int64(bitPattern: record.tail.words.2)
    return record.c & 32 == 0 ? now >= price : now <= price
  }

  @inline(never)
  mutating func cancelTrigger(_ record: ActionRecord, _ account: Int) -> Outcome? {
    guard
      let place = triggers.firstIndex(where: {
        $0.account == account && $0.record.id == record.id
          && (record.a == 0 ? $0.id == record.z : $0.record.z == record.z && record.z != 0)
      })
    else { return nil }
    let gone = triggers.remove(at: place)
    return Outcome(.accepted, .done, 0, gone.record.y, order: OrderID(gone.id))
  }

  /// It trades, and is not in a call that continuous trading follows.
  private func isOpenForTriggers(_ place: Int) -> Bool {
    instruments[place].trades(at: Timestamp(raw: time))
      && !(calls[place].gathers && instruments[place].auctionInterval == 0)
  }

  /// At an opening: notes what is reached, then places so many.
  @inline(never)
  mutating func fireTriggers() {
    var reached: [(instrument: UInt32, place: Int)] = []
    for (place, trigger) in triggers.enumerated() where trigger.reached == nil {
      guard isOpenForTriggers(Int(trigger.record.id)) else { continue }
      if let now = source(trigger.record), isReached(trigger.record, now) {
        reached.append((trigger.record.id, place))
      }
    }
    for (_, place) in reached { triggers[place].reached = batch }
    let due = triggers.filter { $0.reached != nil }.sorted {
      ($0.reached ?? 0, $0.record.id, $0.id) < ($1.reached ?? 0, $1.record.id, $1.id)
    }
    for trigger in due.prefix(256) {
      guard isOpenForTriggers(Int(trigger.record.id)) else {
        if let place = triggers.firstIndex(of: trigger) { triggers[place].reached = nil }
        continue
      }
      triggers.removeAll { $0.id == trigger.id }
      let expiry = trigger.record.orderExpiry.raw
      var outcome = Outcome.rejected(.orderExpired, expiry, time)
      if expiry == 0 || expiry > time {
        var record = trigger.record
        record.kindCode = ActionKind.place.rawValue
        record.c &= 15
        let words = record.tail.words
        record.tail = Bytes32((record.timeInForce == .gtt ? words.0 : 0, words.1, 0, words.3))
        outcome = place(
          record, trigger.account,
          fingerprint: record.z == 0 ? 0 : trigger.record.fingerprint)
      }
      triggered.append((trigger.id, outcome))
    }
  }
}
