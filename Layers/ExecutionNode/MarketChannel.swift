import Execution
import Primitives
import Wire

/// One followed market or account: its state after the newest batch, and the updates that led there.
struct MarketChannel {
  private enum State {
    case market(MarketBook)
    case account(AccountID, [OrderID: RestingOrder])
  }

  private var state: State
  /// The batch of the newest update.
  private(set) var last: BatchNumber
  private var time: Timestamp
  /// The newest updates, encoded, with the batch each follows.
  private var recent: [(previous: BatchNumber, bytes: [UInt8])] = []

  /// Updates kept for followers that come back.
  private static let recentMax = 256
  /// Levels a message of a snapshot holds.
  private static let levelsPerMessage = 16_384

  init(market id: InstrumentID, _ levels: [BookLevel], _ batch: MarketBatch) {
    var book = MarketBook(id)
    for level in levels { book.set(level) }
    book.note(batch.batch, mark: batch.marks[id] ?? .zero)
    state = .market(book)
    last = batch.batch
    time = batch.time
  }

  init(account id: AccountID, _ orders: [RestingOrder], _ batch: MarketBatch) {
    state = .account(id, Dictionary(uniqueKeysWithValues: orders.map { ($0.id, $0) }))
    last = batch.batch
    time = batch.time
  }

  var messageType: UInt16 {
    switch state {
    case .market: MessageType.market
    case .account: MessageType.accountOrders
    }
  }

  /// What leads from a batch to the newest, encoded: updates, or the whole state.
  func updates(after held: BatchNumber) -> [[UInt8]] {
    if let first = recent.firstIndex(where: { $0.previous == held }) {
      return recent[first...].map(\.bytes)
    }
    switch state {
    case .market(let book): return MarketChannel.snapshot(book, last, time).map(\.encoded)
    case .account(let id, let orders):
      return [
        AccountUpdate(
          id, isSnapshot: true, batch: last, previous: FollowMarketMessage.nothing, time: time,
          orders: orders.values.sorted { $0.id < $1.id }
        ).encoded
      ]
    }
  }

  private static func snapshot(_ book: MarketBook, _ batch: BatchNumber, _ time: Timestamp)
    -> [MarketUpdate]
  {
    let levels = book.levels(.buy) + book.levels(.sell)
    var parts: [MarketUpdate] = []
    var start = 0
    repeat {
      let end = min(start + levelsPerMessage, levels.count)
      var part = MarketUpdate(
        book.instrument, isSnapshot: true, batch: batch, previous: FollowMarketMessage.nothing,
        time: time, mark: book.mark, checksum: book.checksum, levels: Array(levels[start..<end]),
        trades: [])
      part.isPartial = end < levels.count
      parts.append(part)
      start = end
    } while start < levels.count
    return parts
  }

  /// Takes a batch's news and keeps the update they make.
  mutating func take(_ news: MarketNews, _ batch: MarketBatch) {
    let bytes: [UInt8]
    switch state {
    case .market(var book):
      let mark = batch.marks[book.instrument] ?? book.mark
      let levels = MarketChannel.levels(news.changes, book)
      if levels.isEmpty && news.fills.isEmpty { return }
      bytes =
        MarketUpdate(
          book.instrument, isSnapshot: false, batch: batch.batch, previous: last,
          time: batch.time, mark: mark, checksum: book.checksum(with: levels), levels: levels,
          trades: news.fills
        ).encoded
      // Given up first, so that the book is changed where it lies.
      state = .account(AccountID(0), [:])
      for level in levels { book.set(level) }
      book.note(batch.batch, mark: mark)
      state = .market(book)
    case .account(let id, var orders):
      let changed = news.changes.compactMap { $0.account == id ? $0.newest : nil }
      bytes =
        AccountUpdate(
          id, isSnapshot: false, batch: batch.batch, previous: last, time: batch.time,
          orders: changed, fills: news.fills, triggered: news.triggered,
          acknowledgements: news.acknowledgements
        ).encoded
      state = .account(id, [:])
      for order in changed { orders[order.id] = order.quantity.raw == 0 ? nil : order }
      state = .account(id, orders)
    }
    recent.append((last, bytes))
    if recent.count > MarketChannel.recentMax { recent.removeFirst() }
    last = batch.batch
    time = batch.time
  }

  /// Levels that differ after the changes, each as it is now, by side and price.
  private static func levels(_ changes: [OrderChange], _ book: MarketBook) -> [BookLevel] {
    struct Place: Hashable {
      let side: Side
      let price: Price
    }
    var touched: [Place: (quantity: Int64, orders: Int64)] = [:]
    for change in changes where change.instrument == book.instrument {
      for (order, sign) in [(change.before, Int64(-1)), (change.after, Int64(1))] {
        guard let order, !order.isWaiting else { continue }
        let place = Place(side: order.side, price: order.price)
        let (quantity, orders) = touched[place] ?? (0, 0)
        touched[place] = (quantity &+ sign &* order.quantity.raw, orders + sign)
      }
    }
    return touched.compactMap { place, difference in
      guard difference.quantity != 0 || difference.orders != 0 else { return nil }
      let held = book[place.side, place.price]
      return BookLevel(
        place.side, place.price, Quantity(raw: held.quantity.raw &+ difference.quantity),
        orders: UInt32(truncatingIfNeeded: Int64(held.orders) + difference.orders))
    }.sorted { ($0.sideCode, $0.price) < ($1.sideCode, $1.price) }
  }
}

extension OrderChange {
  /// The order as it is now, or as it went: with nothing left.
  var newest: RestingOrder? {
    if let after { return after }
    guard var gone = before else { return nil }
    gone.quantity = .zero
    return gone
  }
}
