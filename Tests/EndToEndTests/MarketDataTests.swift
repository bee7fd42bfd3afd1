import Client
import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("market data of real processes", .serialized)
struct MarketDataTests {
  @Test("a follower's book is execution's, also after a gap, and its checksum holds")
  func market() throws {
    let network = try TestNetwork("market")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let traders = network.builder.traders
    let rested = try network.submit(
      network.bundle([TestNetwork.order(.sell, 60_010, clientID: 77)], traders[0]), connection)
    let first = try #require(rested.accepted.first).leaf
    let address = try Address(network.address("execution"))
    func client() throws -> LayerClient {
      try LayerClient(to: address, .execution, genesis: network.genesis)
    }
    let stream = MarketStream(try client(), InstrumentID(0))
    let orders = AccountStream(try client(), traders[0])
    // The whole comes first: with the order, or with the update that brings it.
    try orders.run { _ in orders.orders.isEmpty }
    try stream.run { _, book in book.levels(.sell).isEmpty }
    #expect(stream.book[.sell, Price(raw: 60_010 * Price.scale)].orders == 1)
    var last = first.batch
    for dollars in [60_020, 60_030] as [Int64] {
      let answer = try network.submit(
        network.bundle(
          [TestNetwork.order(.sell, dollars), TestNetwork.order(.buy, dollars - 900)], traders[1]),
        connection)
      last = try #require(answer.accepted.first).leaf.batch
    }
    let filled = try network.submit(
      network.bundle([TestNetwork.order(.buy, 60_010, .ioc)], traders[2]), connection)
    last = try #require(filled.accepted.first).leaf.batch
    var trades: [Fill] = []
    try stream.run { update, _ in
      trades += update.trades
      return update.batch < last
    }
    #expect(trades.map(\.price.raw) == [60_010 * Price.scale])
    #expect(
      stream.book.levels(.sell).map(\.price.raw) == [60_020, 60_030].map { $0 * Price.scale })
    #expect(stream.book.levels(.buy).count == 2 && stream.recoveries == 0)
    // The account hears of its fill and that its order is gone.
    var fills: [Fill] = []
    var gone: [OrderID] = []
    try orders.run { update in
      fills += update.fills
      gone += update.orders.filter { $0.quantity.raw == 0 }.map(\.id)
      return update.batch < last
    }
    #expect(fills.map(\.maker) == [traders[0]] && gone == [first.outcomes[0].order])
    #expect(orders.orders.isEmpty)
    // A stranger to the feed gets the same book whole.
    let fresh = MarketStream(try client(), InstrumentID(0))
    try fresh.run { _, book in book.levels(.sell).count < 2 }
    #expect(fresh.book.checksum == stream.book.checksum)
    // What does not exist is refused.
    let nowhere = MarketStream(try client(), InstrumentID(9_999))
    #expect(throws: ClientFailure.self) { try nowhere.run { _, _ in true } }
    try network.stopAll()
  }
}
