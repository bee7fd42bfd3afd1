import Instruments
import Margin
import Pricing
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

private let lot = TestWorld.lot
private let tick = TestWorld.tick

extension Desk {
  /// Quantity in hundredths, volatility in hundredths of one percent.
  @discardableResult
  @inline(never)
  mutating func quote(
    _ client: Int, _ side: Side, _ volatility: Int64, _ quantity: Int64, instrument: UInt32 = 2,
    _ change: (inout OrderTerms) -> Void = { _ in }
  ) throws -> Outcome {
    var terms = OrderTerms(
      instrument: InstrumentID(instrument), side: side, price: .zero,
      quantity: Quantity(raw: quantity * lot))
    change(&terms)
    let order = VolatilityOrder(terms, volatility: Ratio(raw: volatility * 100_000))
    return try send(client, [.volatility(order)])[0]
  }

  /// Of the call at 1 000, ten days before its expiry, on a forward of 1 002.
  static func exact(_ volatility: Int64, forward: Int64 = 1_002) -> Price {
    Black76.price(
      .call, forward: Price(raw: forward * Price.scale), strike: Price(raw: 1_000 * Price.scale),
      volatility: Ratio(raw: volatility * 100_000), time: 10 * TestWorld.day)
  }

  /// Closes the batch and opens the next with the forward of the options somewhere else.
  @inline(never)
  mutating func forward(to price: Int64) throws {
    let time = machine.time
    try turn {
      Desk.market(&$0, at: time)
      $0.slices[0].forward = Price(raw: price * Price.scale)
    }
  }

  func price(of order: OrderID) -> Int64? {
    machine.books.slot(of: order).map { machine.orders[$0].price.raw }
  }
}

@Suite("Orders quoted in volatility") struct VolatilityOrderTests {
  @Test("a bid goes down to the tick and an ask up, from the price of their volatility")
  func rounds() throws {
    var desk = try Desk()
    let exact = Desk.exact(6_000).raw
    let (low, high) = (exact / tick * tick, (exact + tick - 1) / tick * tick)
    #expect(low < exact && exact < high)
    let bid = try desk.quote(0, .buy, 6_000, 1)
    #expect(bid == Outcome(.accepted, .done, 0, low, order: OrderID(number: 1, slot: 0)))
    let ask = try desk.quote(1, .sell, 6_000, 2)
    #expect(ask == Outcome(.accepted, .done, 0, high, order: OrderID(number: 2, slot: 1)))
    #expect(desk.price(of: bid.order) == low && desk.price(of: ask.order) == high)
    #expect(desk.selfCheck() == nil)
  }

  @Test("at the mark's own volatility the price is the mark, to the tick")
  func mark() throws {
    var desk = try Desk()
    let smile = TestWorld.smile(time: 10 * TestWorld.day)
    let slice = SurfaceSlice(
      a: smile.a, b: smile.b, rho: smile.rho, m: smile.m, sigma: smile.sigma)
    let volatility = slice.volatility(
      strike: Price(raw: 1_000 * Price.scale), forward: Price(raw: 1_002 * Price.scale),
      time: 10 * TestWorld.day)
    let order = VolatilityOrder(
      OrderTerms(
        instrument: InstrumentID(2), side: .buy, price: .zero, quantity: Quantity(raw: lot)),
      volatility: volatility)
    let mark = desk.machine.table.mark(InstrumentID(2)).raw
    #expect(try desk.send(0, [.volatility(order)])[0].figure2 == mark / tick * tick)
  }

  @Test("it trades like the limit order it is, and says what filled and at which limit")
  func fills() throws {
    var desk = try Desk()
    let price = Desk.exact(6_000).raw / tick * tick
    try desk.place(1, .sell, price / tick - 5, 2, instrument: 2)
    let outcome = try desk.quote(0, .buy, 6_000, 3)
    #expect(
      outcome == Outcome(.accepted, .done, 2 * lot, price, order: OrderID(number: 2, slot: 1)))
    // One that waits for nothing leaves nothing, and its outcome does not say otherwise.
    let immediate = try desk.quote(2, .sell, 5_000, 4) { $0.timeInForce = .ioc }
    let limit = (Desk.exact(5_000).raw + tick - 1) / tick * tick
    #expect(
      immediate == Outcome(.filled, .done, lot, limit, order: OrderID(number: 3, slot: 0)))
    #expect(desk.machine.openOrderCount == 0 && desk.fills == [[1, 2], [2, 1]])
    #expect(
      try desk.quote(0, .buy, 6_000, 3) { $0.timeInForce = .fok }
        == .rejected(.notFillable, 3 * lot, 0))
  }

  @Test("one that slides says the price it rests at")
  func slides() throws {
    var desk = try Desk()
    let price = Desk.exact(6_000).raw / tick
    try desk.place(1, .sell, price - 5, 2, instrument: 2)
    #expect(
      try desk.quote(0, .buy, 6_000, 3) { $0.postOnly = .reject }
        == .rejected(.wouldCross, price * tick, (price - 5) * tick))
    #expect(
      try desk.quote(0, .buy, 6_000, 3) { $0.postOnly = .slide }.figure2 == (price - 6) * tick)
  }

  @Test("the market moves, its price does not; sent again it answers, and places nothing")
  func stays() throws {
    var desk = try Desk()
    let first = try desk.quote(0, .buy, 6_000, 2) { $0.clientID = 9 }
    try desk.forward(to: 1_010)
    #expect(desk.price(of: first.order) == first.figure2)
    #expect(try desk.quote(0, .buy, 6_000, 2) { $0.clientID = 9 } == first)
    #expect(
      try desk.quote(0, .buy, 6_001, 2) { $0.clientID = 9 } == .rejected(.duplicateClientID))
    try desk.stop(1, at: 90_000) { $0.order.clientID = 5 }
    #expect(
      try desk.quote(1, .buy, 6_000, 2) { $0.clientID = 5 } == .rejected(.duplicateClientID))
    // A new one has the price of the market as it is, with the time of its surface, not the batch's.
    let second = try desk.quote(0, .buy, 6_000, 2)
    #expect(second.figure2 == Desk.exact(6_000, forward: 1_010).raw / tick * tick)
    #expect(second.figure2 > first.figure2)
  }

  @Test("an own order ends it as it asks")
  func selfTrade() throws {
    var desk = try Desk()
    let price = Desk.exact(6_000).raw / tick
    try desk.place(0, .sell, price - 5, 2, instrument: 2)
    let stopped = try desk.quote(0, .buy, 6_000, 3) { $0.selfTrade = .cancelTaker }
    #expect(stopped.code == OutcomeCode.selfTrade.rawValue && stopped.figure2 == price * tick)
    #expect(desk.machine.openOrderCount == 1)
    #expect(try desk.quote(0, .buy, 6_000, 3).code == 0)
    #expect(desk.machine.openOrderCount == 1 && desk.selfCheck() == nil)
  }

  @Test("what has no volatility, no surface or no price takes none")
  func refusals() throws {
    var desk = try Desk()
    #expect(try desk.quote(0, .buy, 6_000, 1, instrument: 0) == .rejected(.notAnOption))
    #expect(try desk.quote(0, .buy, 6_000, 1, instrument: 9) == .rejected(.unknownInstrument))
    // The put at 950 is worth nothing without volatility.
    #expect(
      try desk.quote(0, .buy, 1, 1, instrument: 3) == .rejected(.volatilityTooLow, 0, tick))
    #expect(try desk.quote(0, .sell, 1, 1, instrument: 3).figure2 == tick)
    // Ask for more than there is: the call is worth its forward, whatever the volatility.
    #expect(try desk.quote(0, .sell, 1_000_000, 1).figure2 == 1_002 * Price.scale)
    #expect(
      try desk.quote(0, .buy, 6_000, 1) { $0.quantity = Quantity(raw: lot + 1) }
        == .rejected(.quantityOffLot, lot + 1, lot))
    var banded = try Desk(priceBand: 10_000_000)
    let high = banded.machine.bands[2].high
    let exact = Desk.exact(12_000).raw / tick * tick
    #expect(try banded.quote(0, .buy, 12_000, 1) == .rejected(.priceOutsideBand, exact, high))
    var bare = ExecutionMachine(genesis: TestWorld.genesis(clients: 1))
    try bare.openBatch(time: TestWorld.start, adopting: [])
    var outcomes: [Outcome] = []
    let order = VolatilityOrder(
      OrderTerms(
        instrument: InstrumentID(2), side: .buy, price: .zero, quantity: Quantity(raw: lot)),
      volatility: Ratio(raw: 600_000_000))
    var maker = BundleMaker(genesis: desk.genesis)
    let bundle = maker.bundle(Desk.client(0), [.volatility(order)], at: TestWorld.start)
    try bare.apply(bundle, into: &outcomes)
    #expect(outcomes == [.rejected(.noMarketData)])
  }
}
