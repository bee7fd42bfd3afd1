import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

private let lot = TestWorld.lot
private let tick = TestWorld.tick

@Suite("The price of an auction") struct UniformPriceTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let name: String
    /// Price and quantity, from the best.
    let bids: [[Int64]]
    let asks: [[Int64]]
    let reference: Int64
    let price: Int64
    var testDescription: String { name }
  }

  static let rows = [
    Row(name: "one price", bids: [[100, 5]], asks: [[100, 5]], reference: 300, price: 100),
    Row(
      name: "most volume", bids: [[105, 10], [102, 10], [100, 50]],
      asks: [[100, 20], [104, 30]], reference: 105, price: 102),
    // At 101 and below 30 are bid, above it 10; 20 are offered from 99: 20 trade up to 101 alone.
    Row(
      name: "least left over", bids: [[103, 10], [101, 20]], asks: [[99, 20], [101, 8]],
      reference: 90, price: 101),
    Row(
      name: "nearest below", bids: [[110, 5]], asks: [[100, 5]], reference: 90, price: 100),
    Row(
      name: "nearest above", bids: [[110, 5]], asks: [[100, 5]], reference: 190, price: 110),
    Row(
      name: "nearest inside", bids: [[110, 5]], asks: [[100, 5]], reference: 104, price: 104),
    // Five too many are bid up to 104, five too many offered from 105 on.
    Row(
      name: "as much over on either side", bids: [[110, 10], [104, 5]],
      asks: [[100, 10], [105, 5]], reference: 200, price: 110),
  ]

  @Test("most is traded, least left over, nearest the reference", arguments: rows)
  func table(row: Row) {
    func levels(_ rows: [[Int64]]) -> [AuctionLevel] {
      rows.map { AuctionLevel(price: $0[0], quantity: Int128($0[1])) }
    }
    #expect(
      UniformPrice.price(
        bids: levels(row.bids), asks: levels(row.asks), tick: 1, reference: row.reference)
        == row.price)
  }

  @Test("of two ticks as near as each other it is the lower; the price stands on tick")
  func ticks() {
    func price(_ reference: Int64) -> Int64 {
      UniformPrice.price(
        bids: [AuctionLevel(price: 100, quantity: 1)],
        asks: [AuctionLevel(price: 50, quantity: 1)], tick: 10, reference: reference)
    }
    #expect(price(75) == 70 && price(76) == 80 && price(74) == 70 && price(80) == 80)
  }

  @Test("it is what trying every price finds", arguments: [1, 2, 3, 4] as [UInt64])
  func search(seed: UInt64) {
    var generator = Generator(seed: seed)
    for _ in 0..<2_000 {
      let tick = generator.within(1...3)
      var bids: [Int64: Int64] = [:]
      var asks: [Int64: Int64] = [:]
      for _ in 0..<generator.within(1...8) {
        bids[generator.within(10...30) * tick, default: 0] += generator.within(1...4)
        asks[generator.within(5...25) * tick, default: 0] += generator.within(1...4)
      }
      let (high, low) = (bids.keys.max() ?? 0, asks.keys.min() ?? 0)
      guard low <= high else { continue }
      let reference = generator.within(0...40) * tick + generator.within(0...2)
      var best: [Int64] = []
      for price in stride(from: low, through: high, by: Int(tick)) {
        let demand = bids.reduce(0) { $0 + ($1.key >= price ? $1.value : 0) }
        let supply = asks.reduce(0) { $0 + ($1.key <= price ? $1.value : 0) }
        let key = [-min(demand, supply), abs(demand - supply), abs(price - reference), price]
        if best.isEmpty || key.lexicographicallyPrecedes(best) { best = key }
      }
      func levels(_ side: [Int64: Int64], _ isBest: (Int64, Int64) -> Bool) -> [AuctionLevel] {
        side.keys.sorted(by: isBest).map {
          AuctionLevel(price: $0, quantity: Int128(side[$0] ?? 0))
        }
      }
      let found = UniformPrice.price(
        bids: levels(bids.filter { $0.key >= low }, >),
        asks: levels(asks.filter { $0.key <= high }, <), tick: tick, reference: reference)
      #expect(found == best[3], "seed \(seed): bids \(bids), asks \(asks), near \(reference)")
    }
  }
}

extension Desk {
  /// The perpetual has a call of three seconds, the future auctions every two.
  @inline(never)
  static func withCalls() throws -> Desk {
    var instruments = TestWorld.instruments()
    instruments[0].callDuration = 3_000
    instruments[1].auctionInterval = 2_000
    return try Desk(cash: 1_000_000_000_000, instruments: instruments)
  }

  /// Price in hundredths and lots of each fill of the open batch, with its cause.
  var auctionFills: [[Int64]] {
    (0..<machine.events.count).map {
      let fill = machine.events.record($0, as: Fill.self)
      return [
        Int64(fill.causeCode), Int64(fill.makerOrder.number), Int64(fill.takerOrder.number),
        fill.price.raw / TestWorld.tick, fill.quantity.raw / TestWorld.lot,
      ]
    }
  }

  var gathers: Bool { machine.calls[0].gathers != 0 }
}

@Suite("Calls and auctions") struct AuctionTests {
  @Test("a market opens with a call: orders gather, then trade at one price, then as they come")
  func opening() throws {
    var desk = try Desk.withCalls()
    #expect(desk.gathers == true)
    try desk.place(0, .buy, 100_300, 5)
    try desk.place(1, .buy, 100_100, 5)
    try desk.place(2, .sell, 99_900, 4)
    try desk.place(3, .sell, 100_100, 4)
    #expect(desk.eventCount == 0 && desk.machine.openOrderCount == 4)
    try desk.turn(after: 2_999)
    #expect(desk.gathers && desk.eventCount == 0)
    try desk.turn(after: 1)
    // Eight trade at 1001 alone; the orders that came first are the makers.
    #expect(
      desk.auctionFills == [
        [3, 1, 3, 100_100, 4], [3, 1, 4, 100_100, 1], [3, 2, 4, 100_100, 3],
      ])
    #expect(!desk.gathers && desk.best(.buy) == [100_100, 2] && desk.best(.sell).isEmpty)
    #expect(try desk.place(3, .sell, 100_100, 2).status == .filled)
    #expect(desk.selfCheck() == nil)
  }

  @Test("what does not rest is refused while orders gather, with the auction's time")
  func refused() throws {
    var desk = try Desk.withCalls()
    let (end, now) = (desk.machine.calls[0].end.raw, desk.machine.time.raw)
    #expect(end == now + 3_000)
    for force in [TimeInForce.ioc, .fok] {
      #expect(try desk.place(0, .buy, 100_000, 1, force) == .rejected(.gathering, end, now))
    }
    #expect(
      try desk.order(0, .buy, 0, 1) {
        $0.isMarket = true
        $0.timeInForce = .ioc
      } == .rejected(.gathering, end, now))
    try desk.place(1, .sell, 100_000, 1)
    #expect(
      try desk.place(0, .buy, 100_000, 1, postOnly: true)
        == .rejected(.wouldCross, 100_000 * tick, 100_000 * tick))
    #expect(try desk.place(0, .buy, 99_999, 1, postOnly: true).status == .accepted)
    let order = try desk.place(0, .buy, 100_500, 1)
    #expect(try desk.replace(0, .order(order.order), 100_600, 2).status == .accepted)
    #expect(
      try desk.send(0, [.cancel(instrument: InstrumentID(0), order: OrderID(number: 4, slot: 2))])[
        0
      ].status
        == .accepted)
    #expect(desk.selfCheck() == nil)
  }

  @Test("an account never trades with itself: its orders meet as they come, by their mode")
  func selfTrade() throws {
    var desk = try Desk.withCalls()
    try desk.place(0, .sell, 100_000, 5)
    try desk.place(1, .sell, 99_000, 1)
    #expect(
      try desk.order(0, .buy, 100_000, 3) { $0.selfTrade = .cancelTaker }
        == Outcome(.accepted, .selfTrade, 0, 0, order: OrderID(number: 3, slot: 2)))
    #expect(
      try desk.order(0, .buy, 100_000, 3) { $0.selfTrade = .decrementBoth }
        == Outcome(.accepted, .selfTrade, 0, 0, order: OrderID(number: 4, slot: 2)))
    #expect(desk.machine.openOrders(of: Desk.client(0))[0].quantity.raw == 2 * lot)
    #expect(
      try desk.order(0, .buy, 100_000, 3) { $0.selfTrade = .cancelBoth }.figure2 == 0)
    #expect(desk.openCount(0) == 0)
    try desk.place(0, .sell, 100_000, 5)
    #expect(try desk.place(0, .buy, 100_000, 3).figure2 == 3 * lot)
    #expect(desk.openCount(0) == 1)
    try desk.turn(after: 3_000)
    #expect(desk.auctionFills.map { $0[4] } == [1])
    #expect(desk.selfCheck() == nil)
  }

  @Test("after a halt the market opens by a call again")
  func afterHalt() throws {
    var desk = try Desk.withCalls()
    try desk.turn(after: 3_000)
    #expect(desk.gathers == false)
    try desk.place(0, .sell, 100_000, 5)
    var terms = desk.genesis.instruments[0]
    terms.statusCode = InstrumentStatus.halted.rawValue
    try desk.turn { $0.instruments.append(terms) }
    #expect(desk.gathers == false)
    terms.statusCode = InstrumentStatus.active.rawValue
    try desk.turn { $0.instruments.append(terms) }
    #expect(desk.gathers == true)
    try desk.place(1, .buy, 100_200, 5)
    #expect(desk.eventCount == 0)
    var copy = try desk.rebuilt()
    #expect(copy.calls[0].gathers == 1)
    #expect(copy.selfCheck() == nil)
    try desk.turn(after: 3_000)
    // Between 1000 and 1002 the mark decides.
    #expect(desk.auctionFills == [[3, 1, 2, 100_000, 5]])
  }

  @Test("an interval's orders trade together at its end, one interval after the other")
  func interval() throws {
    var desk = try Desk.withCalls()
    for _ in 0..<3 {
      let before = desk.eventCount
      try desk.place(0, .sell, 99_000, 2, instrument: 1)
      try desk.place(1, .buy, 101_000, 3, instrument: 1)
      #expect(desk.eventCount == before)
      try desk.turn(after: 2_000)
      #expect(desk.auctionFills.map { $0[0] } == [3] && desk.auctionFills[0][4] == 2)
      #expect(desk.machine.calls[1].end.raw == desk.machine.time.raw + 2_000)
      try desk.send(1, [.cancelAll(instrument: .all)])
    }
    #expect(desk.selfCheck() == nil)
  }

  @Test("hidden slices trade behind what is shown; reduce-only orders no more than they may")
  func special() throws {
    var desk = try Desk.withCalls()
    try desk.turn(after: 3_000)
    try desk.place(1, .sell, 100_000, 4)
    try desk.place(0, .buy, 100_000, 4)
    var terms = desk.genesis.instruments[0]
    terms.statusCode = InstrumentStatus.halted.rawValue
    try desk.turn { $0.instruments.append(terms) }
    terms.statusCode = InstrumentStatus.active.rawValue
    try desk.turn { $0.instruments.append(terms) }
    // Orders 3 and 4 may close four together with 5, which comes first by price.
    try desk.place(0, .sell, 99_900, 3, reduceOnly: true)
    try desk.place(0, .sell, 99_800, 2)
    try desk.order(2, .sell, 99_900, 6) { $0.display = Quantity(raw: 2 * lot) }
    try desk.place(3, .sell, 99_900, 1)
    try desk.place(1, .buy, 100_000, 20)
    try desk.turn(after: 3_000)
    #expect(
      desk.auctionFills.map { [$0[1], $0[4]] } == [
        [4, 2], [3, 2], [5, 2], [6, 1], [7, 2], [7, 2],
      ])
    #expect(desk.auctionFills.allSatisfy { $0[3] == 100_000 })
    #expect(desk.selfCheck() == nil)
  }

  @Test("a contract without a mark gathers until it has one")
  func unpriced() throws {
    var instruments = TestWorld.instruments()
    instruments[0].callDuration = 3_000
    let genesis = TestWorld.genesis(clients: 1, instruments: instruments)
    var machine = ExecutionMachine(genesis: genesis)
    #expect(machine.calls[0].gathers == 1)
    try machine.openBatch(time: TestWorld.start, adopting: [])
    _ = machine.closeBatch()
    machine.seal()
    try machine.openBatch(time: Timestamp(raw: TestWorld.start.raw + 9_000), adopting: [])
    #expect(machine.calls[0].gathers == 1 && machine.calls[0].end == .zero)
  }
}
