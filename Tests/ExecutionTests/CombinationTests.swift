import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

private let lot = TestWorld.lot
private let tick = TestWorld.tick

extension Desk {
  /// Legs of instrument, side, hundredths of a contract, and price in hundredths or zero.
  @discardableResult
  @inline(never)
  mutating func combine(
    _ client: Int, _ legs: [(UInt32, Side, Int64, Int64)], for net: Int64 = 1_000_000_000_000,
    _ mode: SelfTradeMode = .cancelResting
  ) throws -> Outcome {
    let legs = legs.map {
      CombinationLeg(
        instrument: InstrumentID($0.0), side: $0.1, quantity: Quantity(raw: $0.2 * lot),
        price: Price(raw: $0.3 * tick))
    }
    return try send(
      client, [.combination(Combination(legs: legs, netLimit: Money(raw: net), selfTrade: mode))])[
        0]
  }
}

@Suite("Combinations") struct CombinationTests {
  @Test("every leg fills at once, at the books' prices, under one number; the outcome is the net")
  func fills() throws {
    var desk = try Desk(fees: false)
    try desk.place(1, .sell, 100_100, 2)
    try desk.place(1, .sell, 100_200, 5)
    try desk.place(2, .buy, 99_000, 4, instrument: 1)
    let outcome = try desk.combine(0, [(0, .buy, 3, 0), (1, .sell, 4, 99_000)])
    // 0.02 at 1 001 and 0.01 at 1 002, less 0.04 at 990: 20.02 + 10.02 − 39.60.
    let id = OrderID(number: 4, slot: 3)
    #expect(outcome == Outcome(.filled, .done, -9_560_000, 0, order: id))
    let takers = (0..<desk.machine.events.count).map {
      desk.machine.events.record($0, as: Fill.self).takerOrder
    }
    #expect(takers == [id, id, id] && desk.fills == [[1, 2], [2, 1], [3, 4]])
    #expect(desk.selfCheck() == nil)
  }

  @Test("one leg that cannot fill whole keeps all from filling, and changes nothing")
  func whole() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_100, 2)
    try desk.place(2, .buy, 99_000, 3, instrument: 1)
    let room = desk.room(Desk.client(0))
    let outcome = try desk.combine(0, [(0, .buy, 2, 0), (1, .sell, 4, 0)])
    #expect(outcome == .rejected(.notFillable, 4 * lot, 3 * lot))
    #expect(
      try desk.combine(0, [(0, .buy, 2, 100_000), (1, .sell, 3, 0)])
        == .rejected(.notFillable, 2 * lot, 0))
    #expect(desk.eventCount == 0 && desk.machine.openOrderCount == 2)
    #expect(desk.room(Desk.client(0)) == room && desk.selfCheck() == nil)
    #expect(try desk.combine(0, [(0, .buy, 2, 0), (1, .sell, 3, 0)]).status == .filled)
  }

  @Test("the net limit holds to the unit, paid or received")
  func net() throws {
    var desk = try Desk(fees: false)
    try desk.place(1, .sell, 100_100, 2)
    try desk.place(2, .buy, 99_000, 1, instrument: 1)
    let legs: [(UInt32, Side, Int64, Int64)] = [(0, .buy, 2, 0), (1, .sell, 1, 0)]
    // 20.02 − 9.90.
    #expect(
      try desk.combine(0, legs, for: 10_119_999) == .rejected(.netPrice, 10_120_000, 10_119_999))
    #expect(try desk.combine(0, legs, for: 10_120_000).figure1 == 10_120_000)
    try desk.place(1, .buy, 99_000, 1)
    try desk.place(2, .sell, 1_000, 1, instrument: 2)
    let spread: [(UInt32, Side, Int64, Int64)] = [(0, .sell, 1, 0), (2, .buy, 1, 0)]
    #expect(
      try desk.combine(0, spread, for: -9_800_001) == .rejected(.netPrice, -9_800_000, -9_800_001))
    #expect(try desk.combine(0, spread, for: -9_800_000).status == .filled)
  }

  @Test("credit is asked for the whole: a hedge passes where its legs alone would not")
  func credit() throws {
    var desk = try Desk(cash: 300_000_000, fees: false)
    for maker in 1...3 {
      try desk.place(maker, .sell, 100_000, 100)
      try desk.place(maker, .buy, 100_000, 100, instrument: 1)
    }
    let far: Int64 = 250
    #expect(
      try desk.order(0, .buy, 100_000, far) { $0.timeInForce = .fok }.code
        == OutcomeCode.insufficientMargin.rawValue)
    #expect(
      try desk.order(0, .sell, 100_000, far, instrument: 1) { $0.timeInForce = .fok }.code
        == OutcomeCode.insufficientMargin.rawValue)
    #expect(
      try desk.combine(0, [(0, .buy, far, 100_000), (1, .sell, far, 100_000)]).status == .filled)
    #expect(desk.room(Desk.client(0)).raw >= 0 && desk.selfCheck() == nil)
    #expect(
      try desk.combine(0, [(0, .buy, 40, 100_000), (4, .buy, 1, 0)]).code
        == OutcomeCode.notFillable.rawValue)
  }

  @Test("protections trip when the whole has filled, not while it does")
  func protections() throws {
    var desk = try Desk()
    try desk.send(
      1,
      [
        .protect(
          QuoteProtection(underlying: UnderlyingID(0), window: 1_000, frozen: 500, fills: 1)),
        .massQuote(
          MassQuote(
            underlying: UnderlyingID(0),
            entries: [0, 1].map {
              QuoteEntry(
                instrument: InstrumentID($0), bid: Price(raw: 99_000 * tick),
                bidQuantity: Quantity(raw: 4 * lot), ask: Price(raw: 101_000 * tick),
                askQuantity: Quantity(raw: 4 * lot))
            })),
      ])
    let outcome = try desk.combine(0, [(0, .buy, 1, 0), (1, .sell, 1, 0)])
    #expect(outcome.status == .filled && desk.eventCount == 2)
    #expect(desk.machine.openOrderCount == 0 && desk.machine.heldFills.isEmpty)
  }

  @Test("a fill-or-kill order fills whole though its first fill trips the maker's protection")
  func fillOrKill() throws {
    var desk = try Desk()
    try desk.send(
      1,
      [
        .protect(
          QuoteProtection(underlying: UnderlyingID(0), window: 1_000, frozen: 500, fills: 1)),
        .massQuote(
          MassQuote(
            underlying: UnderlyingID(0),
            entries: [
              QuoteEntry(
                instrument: InstrumentID(0), ask: Price(raw: 101_000 * tick),
                askQuantity: Quantity(raw: 4 * lot))
            ])),
      ])
    // Its hidden slices are fills of their own: the second would find the first's quotes gone.
    try desk.place(1, .sell, 102_000, 4)
    try desk.place(2, .sell, 101_000, 4)
    let outcome = try desk.place(0, .buy, 102_000, 10, .fok)
    #expect(outcome == Outcome(.filled, .done, 10 * lot, 0, order: outcome.order))
    #expect(desk.selfCheck() == nil)
  }

  @Test("an account's own orders are cancelled, or end what the books have for it")
  func selfTrade() throws {
    for mode in [SelfTradeMode.cancelResting, .cancelTaker, .cancelBoth] {
      var desk = try Desk()
      try desk.place(0, .sell, 100_000, 9)
      try desk.place(1, .sell, 100_000, 2)
      try desk.place(2, .buy, 99_000, 3, instrument: 1)
      let outcome = try desk.combine(
        0, [(0, .buy, 2, 0), (1, .sell, 3, 0)], for: 1_000_000_000, mode)
      if mode == .cancelResting {
        #expect(outcome.status == .filled && desk.machine.openOrderCount == 0)
      } else {
        #expect(outcome == .rejected(.notFillable, 2 * lot, 0))
      }
      #expect(desk.selfCheck() == nil)
    }
  }

  @Test("reduce-only makers, whose position may be gone, are not counted on")
  func reduceOnlyMakers() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_000, 5)
    try desk.place(2, .buy, 100_000, 5)
    try desk.place(2, .sell, 100_100, 5, reduceOnly: true)
    try desk.place(3, .buy, 99_000, 3, instrument: 1)
    #expect(
      try desk.combine(0, [(0, .buy, 2, 0), (1, .sell, 3, 0)])
        == .rejected(.notFillable, 2 * lot, 0))
    try desk.place(3, .sell, 100_200, 2)
    // It fills with the reduce-only order, which is better, though not counted.
    #expect(try desk.combine(0, [(0, .buy, 2, 0), (1, .sell, 3, 0)]).status == .filled)
    #expect(desk.best(.sell) == [100_100, 3] && desk.selfCheck() == nil)
  }

  @Test("an account held to reducing combines what reduces alone, leg by leg")
  func restricted() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_000, 5)
    try desk.place(0, .buy, 100_000, 5)
    try desk.place(1, .buy, 99_000, 9)
    try desk.place(2, .buy, 99_000, 9, instrument: 1)
    desk.clearing.restrict(Desk.client(0), true)
    try desk.turn()
    #expect(
      try desk.combine(0, [(0, .sell, 5, 0), (1, .sell, 1, 0)]) == .rejected(.notReducing, 0, lot))
    #expect(
      try desk.combine(0, [(0, .sell, 6, 0), (1, .sell, 1, 0)])
        == .rejected(.notReducing, 5 * lot, 6 * lot))
    #expect(desk.eventCount == 0 && desk.selfCheck() == nil)
  }

  @Test("a halted leg keeps all from filling")
  func halted() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_000, 5)
    try desk.place(1, .buy, 99_000, 5, instrument: 1)
    var terms = desk.genesis.instruments[1]
    terms.statusCode = InstrumentStatus.halted.rawValue
    try desk.turn { $0.instruments.append(terms) }
    #expect(
      try desk.combine(0, [(0, .buy, 1, 0), (1, .sell, 1, 0)]) == .rejected(.instrumentHalted))
    #expect(desk.eventCount == 0 && desk.machine.openOrderCount == 2)
  }

  @Test("an instrument's own rules are asked of every leg, and those that gather take none")
  func terms() throws {
    var desk = try Desk.withCalls()
    let (end, now) = (desk.machine.calls[0].end.raw, desk.machine.time.raw)
    #expect(
      try desk.combine(0, [(0, .buy, 1, 0), (2, .sell, 1, 0)]) == .rejected(.gathering, end, now))
    #expect(
      try desk.combine(0, [(2, .buy, 1, 0), (9, .sell, 1, 0)]) == .rejected(.unknownInstrument))
    #expect(
      try desk.send(
        0,
        [
          .combination(
            Combination(
              legs: [
                CombinationLeg(
                  instrument: InstrumentID(2), side: .buy, quantity: Quantity(raw: lot + 1)),
                CombinationLeg(
                  instrument: InstrumentID(3), side: .buy, quantity: Quantity(raw: lot)),
              ], netLimit: .zero))
        ])[0] == .rejected(.quantityOffLot, lot + 1, lot))
  }
}
