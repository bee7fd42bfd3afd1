import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

private let lot = TestWorld.lot
private let tick = TestWorld.tick

extension Desk {
  /// A sale at the market when the mark has fallen to a price in hundredths, unless `change` says
  /// otherwise.
  @discardableResult
  @inline(never)
  mutating func stop(
    _ client: Int, at price: Int64, _ quantity: Int64 = 1,
    _ change: (inout TriggerTerms) -> Void = { _ in }
  ) throws -> Outcome {
    var terms = TriggerTerms(
      order: OrderTerms(
        instrument: InstrumentID(0), side: .sell, price: .zero,
        quantity: Quantity(raw: quantity * lot), timeInForce: .ioc, isMarket: true),
      direction: .falls, price: Price(raw: price * tick))
    change(&terms)
    return try send(client, [.trigger(terms)])[0]
  }

  /// What the open batch says of triggers.
  var triggered: [Triggered] {
    (0..<machine.events.count).map { machine.events.record($0, as: Triggered.self) }
      .filter { $0.kindCode == EventKind.triggered.rawValue }
  }

  /// Closes the batch and opens the next with the index of underlying 0 at a price.
  @inline(never)
  mutating func move(to price: Int64) throws {
    let time = machine.time
    try turn {
      $0.indices.append(
        IndexEntry(underlying: UnderlyingID(0), price: Price(raw: price * tick), time: time))
    }
  }
}

@Suite("Orders that wait for a price") struct TriggerTests {
  @Test("it is placed at the opening that brings the mark to its price, and not before")
  func fires() throws {
    var desk = try Desk()
    try desk.place(1, .buy, 90_000, 5)
    let stop = try desk.stop(0, at: 95_000, 2)
    #expect(stop == Outcome(.accepted, .done, 0, 2 * lot, order: OrderID(number: 2, slot: 1)))
    #expect(desk.machine.openOrderCount == 1)
    try desk.move(to: 95_001)
    #expect(desk.triggered.isEmpty)
    try desk.move(to: 95_000)
    let word = try #require(desk.triggered.first)
    #expect(
      word.trigger == OrderID(number: 2, slot: 1) && word.account == Desk.client(0)
        && word.index == 1
        && word.outcome == Outcome(.filled, .done, 2 * lot, 0, order: OrderID(number: 3, slot: 1)))
    #expect(desk.best(.buy) == [90_000, 3])
    try desk.move(to: 94_000)
    #expect(desk.triggered.isEmpty && desk.selfCheck() == nil)
  }

  @Test("a price reached already is refused with what it is now, for both ways and both sources")
  func reached() throws {
    var desk = try Desk()
    #expect(
      try desk.stop(0, at: 100_000) == .rejected(.triggerReached, 100_000 * tick, 100_000 * tick))
    #expect(try desk.stop(0, at: 99_999).status == .accepted)
    for source in [TriggerSource.mark, .index] {
      #expect(
        try desk.stop(0, at: 100_000) {
          $0.direction = .rises
          $0.source = source
        }.code == OutcomeCode.triggerReached.rawValue)
      #expect(
        try desk.stop(0, at: 100_001) {
          $0.direction = .rises
          $0.source = source
        }.status == .accepted)
    }
  }

  @Test("the index alone moves what waits for the index")
  func sources() throws {
    var desk = try Desk()
    // The mark of the option stands on the forward of its slice, which stays.
    for source in [TriggerSource.mark, .index] {
      try desk.stop(0, at: source == .mark ? 1 : 98_000) {
        $0.source = source
        $0.order.instrument = InstrumentID(2)
      }
      try desk.stop(0, at: 102_000) {
        $0.source = source
        $0.direction = .rises
        $0.order.instrument = InstrumentID(2)
      }
    }
    try desk.move(to: 98_000)
    #expect(desk.triggered.map(\.trigger) == [OrderID(number: 3, slot: 0)])
    try desk.move(to: 102_000)
    #expect(
      desk.triggered.map(\.trigger) == [OrderID(number: 4, slot: 0)]
        && desk.machine.waiting.count == 2)
  }

  @Test("credit is asked for when it is placed, and the refusal stands in the batch")
  func credit() throws {
    var desk = try Desk(cash: 1_000_000_000)
    let stop = try desk.stop(0, at: 95_000, 90_000) {
      $0.order.isMarket = false
      $0.order.timeInForce = .gtc
      $0.order.price = Price(raw: 90_000 * tick)
      $0.order.clientID = 7
    }
    #expect(stop.status == .accepted)
    try desk.move(to: 95_000)
    let word = try #require(desk.triggered.first)
    #expect(word.outcome.code == OutcomeCode.insufficientMargin.rawValue)
    #expect(word.order == OrderID(0) && word.clientID == 7 && word.outcome.status == .rejected)
    #expect(desk.machine.waiting.isEmpty && desk.selfCheck() == nil)
  }

  @Test("placed as a limit order it rests, under its client id and the action's fingerprint")
  func rests() throws {
    var desk = try Desk()
    let terms: (inout TriggerTerms) -> Void = {
      $0.order.isMarket = false
      $0.order.timeInForce = .gtc
      $0.order.price = Price(raw: 96_000 * tick)
      $0.order.clientID = 9
    }
    let stop = try desk.stop(0, at: 95_000, 3, terms)
    #expect(try desk.stop(0, at: 95_000, 3, terms) == stop)
    #expect(try desk.stop(0, at: 94_000, 3, terms) == .rejected(.duplicateClientID))
    #expect(
      try desk.order(0, .buy, 90_000, 1) { $0.clientID = 9 } == .rejected(.duplicateClientID))
    try desk.move(to: 95_000)
    #expect(desk.best(.sell) == [96_000, 3])
    #expect(
      try desk.stop(0, at: 95_000, 3, terms)
        == Outcome(.accepted, .done, 0, 3 * lot, order: OrderID(number: 2, slot: 0)))
  }

  @Test("cancels find it by order, by client id, by side, and the timer takes it")
  func cancelled() throws {
    var desk = try Desk()
    let first = try desk.stop(0, at: 95_000, 2) { $0.order.clientID = 4 }
    #expect(
      try desk.send(1, [.cancel(instrument: InstrumentID(0), order: first.order)])[0]
        == .rejected(.unknownOrder))
    #expect(
      try desk.send(0, [.cancelClient(instrument: InstrumentID(0), clientID: 4)])[0]
        == Outcome(.accepted, .done, 0, 2 * lot, order: first.order))
    let second = try desk.stop(0, at: 95_000)
    #expect(
      try desk.send(0, [.cancel(instrument: InstrumentID(0), order: second.order)])[0].status
        == .accepted)
    try desk.stop(0, at: 95_000)
    try desk.place(0, .sell, 110_000, 1)
    #expect(
      try desk.send(0, [.cancelOrders(.instrument(InstrumentID(0)), side: .buy)])[0].figure1 == 0)
    #expect(try desk.send(0, [.cancelAll(instrument: .all)])[0].figure1 == 2)
    try desk.stop(0, at: 95_000)
    try desk.send(0, [.timer(milliseconds: 1_000)])
    try desk.turn(after: 1_000)
    #expect(desk.machine.waiting.isEmpty && desk.selfCheck() == nil)
  }

  @Test("it counts among open orders, and its expiry takes it out")
  func limits() throws {
    var constants = Constants()
    constants.openOrdersPerAccountMax = 2
    var desk = try Desk(constants: constants)
    try desk.stop(0, at: 95_000) { $0.order.expiry = Timestamp(raw: TestWorld.start.raw + 60_000) }
    try desk.place(0, .sell, 110_000, 1)
    #expect(try desk.stop(0, at: 94_000) == .rejected(.tooManyOrders, 2, 2))
    #expect(try desk.place(0, .sell, 110_000, 1) == .rejected(.tooManyOrders, 2, 2))
    try desk.turn(after: 100_000)
    #expect(desk.machine.waiting.isEmpty && desk.machine.openOrderCount == 1)
    let now = desk.machine.time
    #expect(
      try desk.stop(0, at: 94_000) { $0.order.expiry = now }
        == .rejected(.orderExpired, now.raw, now.raw))
    #expect(desk.selfCheck() == nil)
  }

  @Test("an opening places so many, by number; the rest come though the price went back")
  func bounded() throws {
    let count = Limits.triggersPerBatchMax
    var desk = try Desk()
    // The last asked for is reached first by price, but numbers decide.
    for number in 0..<(count + 3) { try desk.stop(number % 4, at: 90_000 + Int64(number)) }
    try desk.move(to: 89_000)
    #expect(desk.triggered.map(\.trigger.number) == (1...UInt64(count)).map { $0 })
    var copy = try desk.rebuilt()
    #expect(copy.selfCheck() == nil)
    #expect(desk.triggered.map(\.trigger.number) == (1...3).map { UInt64(count + $0) })
    try copy.openBatch(time: desk.machine.time, adopting: [])
    #expect(copy.events.count == 3)
  }

  @Test("while a market is halted nothing is reached there")
  func halted() throws {
    var desk = try Desk()
    try desk.stop(0, at: 95_000)
    var terms = desk.genesis.instruments[0]
    terms.statusCode = InstrumentStatus.halted.rawValue
    try desk.turn { $0.instruments.append(terms) }
    try desk.move(to: 94_000)
    #expect(desk.triggered.isEmpty && desk.machine.waiting.count == 1)
    terms.statusCode = InstrumentStatus.active.rawValue
    try desk.turn { $0.instruments.append(terms) }
    #expect(desk.triggered.count == 1)
  }

  @Test("in a call it waits on, and is placed when the call is over")
  func called() throws {
    var desk = try Desk.withCalls()
    #expect(try desk.stop(0, at: 95_000).status == .accepted)
    try desk.place(1, .buy, 90_000, 5)
    try desk.move(to: 94_000)
    #expect(desk.gathers && desk.triggered.isEmpty)
    try desk.turn(after: 3_000)
    #expect(desk.triggered.map(\.outcome.status) == [.filled])
    #expect(!desk.gathers && desk.machine.waiting.isEmpty && desk.selfCheck() == nil)
  }

  @Test("where there are auctions alone only an order that rests may wait")
  func auctionsAlone() throws {
    var desk = try Desk.withCalls()
    let end = desk.machine.calls[1].end.raw
    let refused = try desk.stop(0, at: 95_000) { $0.order.instrument = InstrumentID(1) }
    #expect(end > 0 && refused == .rejected(.gathering, end, desk.machine.time.raw))
    try desk.stop(0, at: 95_000) {
      $0.order.instrument = InstrumentID(1)
      $0.order.isMarket = false
      $0.order.timeInForce = .gtc
      $0.order.price = Price(raw: 90_000 * tick)
      $0.source = .index
    }
    try desk.move(to: 94_000)
    #expect(desk.triggered.map(\.outcome.figure2) == [lot] && desk.machine.openOrderCount == 1)
  }

  @Test("what an opening could not place waits again when its market is halted before the next")
  func haltedBetween() throws {
    var desk = try Desk()
    for number in 0..<(Limits.triggersPerBatchMax + 2) { try desk.stop(number % 4, at: 90_000) }
    try desk.move(to: 89_000)
    #expect(desk.triggered.count == Limits.triggersPerBatchMax && desk.machine.waiting.count == 2)
    var terms = desk.genesis.instruments[0]
    terms.statusCode = InstrumentStatus.halted.rawValue
    try desk.turn { $0.instruments.append(terms) }
    #expect(desk.triggered.isEmpty && desk.machine.waiting.count == 2 && desk.selfCheck() == nil)
    terms.statusCode = InstrumentStatus.active.rawValue
    let time = desk.machine.time
    try desk.turn {
      $0.instruments.append(terms)
      $0.indices.append(
        IndexEntry(underlying: UnderlyingID(0), price: Price(raw: 91_000 * tick), time: time))
    }
    #expect(desk.triggered.isEmpty && desk.machine.waiting.count == 2)
    try desk.move(to: 90_000)
    #expect(desk.triggered.count == 2 && desk.selfCheck() == nil)
  }

  @Test("an opening finds so many reached, by their price; the others are asked again at the next")
  func found() throws {
    let count = Limits.triggersReachedPerBatchMax
    var constants = Constants()
    constants.openOrdersPerAccountMax = 65_536
    constants.bundlesPerSecondMax = 65_536
    var desk = try Desk(constants: constants)
    // Falling, the highest price is met first: those asked for last.
    let terms = TriggerTerms(
      order: OrderTerms(
        instrument: InstrumentID(0), side: .sell, price: .zero, quantity: Quantity(raw: lot),
        timeInForce: .ioc, isMarket: true),
      direction: .falls, price: Price(raw: 90_000 * tick))
    for number in stride(from: 0, to: count, by: 256) {
      try desk.send(number / 256 % 4, Array(repeating: .trigger(terms), count: 256))
    }
    try desk.stop(0, at: 90_001)
    try desk.stop(1, at: 90_001)
    try desk.move(to: 89_000)
    #expect(desk.machine.waiting.count == count + 2 - Limits.triggersPerBatchMax)
    let waits = (0..<desk.machine.triggers.count).filter {
      desk.machine.triggers[$0].id.raw != 0 && !desk.machine.triggers[$0].isReached
    }
    #expect(
      waits.map { desk.machine.triggers[$0].id.number } == [UInt64(count - 1), UInt64(count)])
    try desk.move(to: 95_000)
    let still = desk.machine.triggers[waits[0]].isReached
    #expect(!still && desk.selfCheck() == nil)
  }
}
