import Client
import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

/// Recorded orders stand beside the project where it is developed; nowhere else.
private let recording =
  Files.parent(of: Files.parent(of: Files.parent(of: Files.parent(of: #filePath))))
  + "/shared/data/bitstamp_btc_orders_2015-05-01.csv.gz"

/// The plainest book there is: two lists, searched from end to end.
private struct PlainBook {
  struct Order {
    let id: UInt64
    let isBuy: Bool
    let price: Int64
    var quantity: Int64
  }
  private(set) var orders: [Order] = []
  private(set) var trades: [(price: Int64, quantity: Int64)] = []

  mutating func place(_ order: Order) {
    var order = order
    while order.quantity > 0 {
      let others = orders.indices.filter {
        orders[$0].isBuy != order.isBuy
          && (order.isBuy ? orders[$0].price <= order.price : orders[$0].price >= order.price)
      }
      // The first of the best: the list is in the order of time.
      let best = others.min {
        order.isBuy ? orders[$0].price < orders[$1].price : orders[$0].price > orders[$1].price
      }
      guard let best else { break }
      let size = min(order.quantity, orders[best].quantity)
      trades.append((orders[best].price, size))
      order.quantity -= size
      orders[best].quantity -= size
      if orders[best].quantity == 0 { orders.remove(at: best) }
    }
    if order.quantity > 0 { orders.append(order) }
  }

  mutating func cancel(_ id: UInt64) { orders.removeAll { $0.id == id } }

  func levels(_ isBuy: Bool) -> [Int64: Int64] {
    orders.filter { $0.isBuy == isBuy }.reduce(into: [:]) {
      $0[$1.price, default: 0] += $1.quantity
    }
  }
}

@Suite("a day of recorded orders", .serialized)
struct RecordedOrdersTests {
  /// One event: an order that comes, or what is left of it taken back.
  private struct Event {
    let isNew: Bool
    let order: PlainBook.Order
  }

  private func events() throws -> [Event] {
    let text = "/tmp/novate-recording-\(getpid()).csv"
    defer { _ = try? Command.run("/bin/rm", ["-f", text]) }
    guard try Command.run("/bin/sh", ["-c", "gzip -dc '\(recording)' > \(text)"]) == 0 else {
      throw DemoFailure("the recording does not unpack")
    }
    let bytes = try Files.read(text, byteCountMax: 64 << 20)
    return try String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropFirst()
      .compactMap { line in
        let fields = line.split(separator: ",")
        let isNew = fields[2] == "created"
        let quantity = try Quantity(decimal: String(fields[5])).raw
        // Fills come about by themselves.
        guard isNew || (fields[2] == "deleted" && quantity > 0) else { return nil }
        return Event(
          isNew: isNew,
          order: PlainBook.Order(
            id: try #require(UInt64(fields[1])), isBuy: fields[3] == "bid",
            price: try Price(decimal: String(fields[4])).raw, quantity: quantity))
      }
  }

  @Test(
    "they leave the book of the plainest engine, sane after every batch",
    .enabled(if: Files.exists(recording)))
  func replay() throws {
    let network = try TestNetwork("recorded") { constants in
      constants.bundlesPerSecondMax = 1_000_000
      constants.openOrdersPerAccountMax = 65_535
    } build: { builder in
      builder.listings[0].tick = Price(raw: Price.scale / 100)
      builder.listings[0].lot = Quantity(raw: 1)
    }
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection, dollars: 235)
    let traders = network.builder.traders
    let perpetual = InstrumentID(0)
    let stream = MarketStream(
      try LayerClient(
        to: try Address(network.address("execution")), .execution, genesis: network.genesis),
      perpetual)
    try stream.run { _, _ in false }

    var plain = PlainBook()
    var trades: [(price: Int64, quantity: Int64)] = []
    let events = try events()
    #expect(events.count > 19_000)
    for start in stride(from: 0, to: events.count, by: 400) {
      let part = events[start..<min(start + 400, events.count)]
      // Buyers and sellers are different accounts, so that nobody meets himself.
      let bundles = part.map { event in
        let order = event.order
        let trader = traders[Int(order.id % 4) * 2 + (order.isBuy ? 0 : 1)]
        let action: Action =
          event.isNew
          ? .place(
            instrument: perpetual, side: order.isBuy ? .buy : .sell, price: Price(raw: order.price),
            quantity: Quantity(raw: order.quantity), timeInForce: .gtc, postOnly: false,
            reduceOnly: false, clientID: order.id)
          : .cancelClient(instrument: perpetual, clientID: order.id)
        return network.bundle([action], trader)
      }
      for event in part {
        if event.isNew { plain.place(event.order) } else { plain.cancel(event.order.id) }
      }
      let last = try submit(bundles, connection)
      // A batch whose every order went again changes nothing: then there is nothing to wait for.
      try stream.run(patienceMilliseconds: 2_000) { update, book in
        trades += update.trades.map { ($0.price.raw, $0.quantity.raw) }
        let (bid, ask) = (book.levels(.buy, limit: 1).first, book.levels(.sell, limit: 1).first)
        if let bid, let ask, bid.price >= ask.price {
          Issue.record("crossed at batch \(update.batch): \(bid.price) and \(ask.price)")
        }
        return update.batch < last
      }
    }
    #expect(trades.map(\.price) == plain.trades.map(\.price))
    #expect(trades.map(\.quantity) == plain.trades.map(\.quantity))
    for side in [Side.buy, .sell] {
      let found = stream.book.levels(side).reduce(into: [:]) { $0[$1.price.raw] = $1.quantity.raw }
      #expect(found == plain.levels(side == .buy))
    }
    #expect(stream.recoveries == 0)
    try network.settle(through: stream.book.batch)
    try network.stopAll()
  }

  /// Sends bundles in one request; the last batch that holds one of them and changed the book.
  private func submit(_ bundles: [Wire.Bundle], _ connection: BlockingConnection) throws
    -> BatchNumber
  {
    let request = try connection.send(
      type: MessageType.submit, body: SubmitMessage(bundles: bundles.map(\.bytes)).encoded)
    var last = BatchNumber(0)
    var answered = 0
    while answered < bundles.count {
      let frame = try connection.receive(timeoutMilliseconds: 30_000)
      guard frame.requestID == request else { continue }
      let body = frame.body
      let answer = try SubmittedMessage(decoding: body.rawSpan)
      try #require(answer.refused.isEmpty, "\(answer.refused)")
      for item in answer.accepted {
        let outcome = item.leaf.outcomes[0]
        // An order that was filled meanwhile cannot be cancelled.
        if outcome.status == .rejected {
          #expect(outcome.code == OutcomeCode.unknownOrder.rawValue)
        } else {
          last = max(last, item.leaf.batch)
        }
        answered += 1
      }
    }
    return last
  }
}
