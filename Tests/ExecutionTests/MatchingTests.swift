import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

@Suite("Matching, row by row") struct MatchingTests {
  private static let lot = TestWorld.lot

  @Test("records are as long as their encoding")
  func sizes() {
    func check<Record: FlatRecord>(_: Record.Type, _ size: Int) {
      #expect(MemoryLayout<Record>.size == size && MemoryLayout<Record>.stride == size)
    }
    check(KeyRecord.self, 96)
    check(CreditRecord.self, 48)
    check(HoldingRecord.self, 48)
    check(BalanceRecord.self, 32)
    check(OrderRecord.self, 48)
    check(OrderExtra.self, 48)
    check(TimerRecord.self, 16)
    check(ProtectionRecord.self, 128)
    check(TriggerRecord.self, 96)
    check(CallRecord.self, 16)
    check(Triggered.self, 64)
    check(SinceRecord.self, 48)
    check(StatusRecord.self, 128)
  }

  @Test("best price first, then the oldest")
  func priority() throws {
    var desk = try Desk()
    let first = try desk.place(0, .sell, 100_100, 5)
    let better = try desk.place(1, .sell, 100_050, 5)
    let second = try desk.place(2, .sell, 100_100, 5)
    #expect(
      try desk.place(3, .buy, 100_100, 12)
        == Outcome(.filled, .done, 12 * Self.lot, 0, order: OrderID(number: 4, slot: 3)))
    let makers = (0..<3).map { desk.machine.events.record($0, as: Fill.self).makerOrder }
    #expect(makers == [better.order, first.order, second.order])
    #expect(desk.machine.levels(InstrumentID(0), .sell, limit: 5)[0].quantity.raw == 3 * Self.lot)
  }

  @Test("an immediate order never rests, a fill-or-kill order fills whole or not at all")
  func immediate() throws {
    var desk = try Desk()
    try desk.place(0, .sell, 100_000, 5)
    #expect(
      try desk.place(1, .buy, 100_000, 6, .fok)
        == .rejected(.notFillable, 6 * Self.lot, 5 * Self.lot))
    #expect(try desk.place(1, .buy, 100_000, 8, .ioc).figure1 == 5 * Self.lot)
    #expect(try desk.place(1, .buy, 100_000, 1, .ioc).status == .accepted)
    #expect(desk.machine.openOrderCount == 0)
    try desk.place(0, .sell, 100_000, 5)
    #expect(try desk.place(1, .buy, 100_000, 5, .fok).status == .filled)
  }

  @Test("a post-only order that would meet another is refused, with the price it met")
  func postOnly() throws {
    var desk = try Desk()
    try desk.place(0, .sell, 100_000, 5)
    #expect(
      try desk.place(1, .buy, 100_000, 1, postOnly: true)
        == .rejected(.wouldCross, 100_000 * TestWorld.tick, 100_000 * TestWorld.tick))
    #expect(try desk.place(1, .buy, 99_999, 1, postOnly: true).status == .accepted)
  }

  @Test("meeting oneself cancels the resting order")
  func selfTrade() throws {
    var desk = try Desk()
    let mine = try desk.place(0, .sell, 100_000, 5)
    try desk.place(1, .sell, 100_010, 5)
    #expect(try desk.place(0, .buy, 100_010, 3).status == .filled)
    #expect(desk.eventCount == 1)
    #expect(
      try desk.send(0, [.cancel(instrument: InstrumentID(0), order: mine.order)])[0]
        == .rejected(.unknownOrder))
    #expect(desk.selfCheck() == nil)
  }

  @Test("a reduce-only order fills no more than there is to reduce, even after it rests")
  func reduceOnly() throws {
    var desk = try Desk()
    #expect(
      try desk.place(0, .sell, 100_000, 1, reduceOnly: true) == .rejected(.notReducing, 0, Self.lot)
    )
    try desk.place(1, .sell, 100_000, 10)
    try desk.place(0, .buy, 100_000, 10)
    #expect(
      try desk.place(0, .sell, 101_000, 11, reduceOnly: true)
        == .rejected(.notReducing, 10 * Self.lot, 11 * Self.lot))
    #expect(try desk.place(0, .sell, 101_000, 10, reduceOnly: true).status == .accepted)
    #expect(
      try desk.place(0, .sell, 101_000, 1, reduceOnly: true) == .rejected(.notReducing, 0, Self.lot)
    )
    // Another order closes six of the ten: the reduce-only one may fill four.
    try desk.place(2, .buy, 99_000, 6)
    try desk.place(0, .sell, 99_000, 6)
    #expect(try desk.place(3, .buy, 101_000, 10).figure1 == 4 * Self.lot)
    #expect(try desk.place(3, .buy, 101_000, 1, .ioc).figure1 == 0)
    #expect(desk.selfCheck() == nil)
  }

  @Test("a fill-or-kill order does not count on reduce-only orders")
  func killWithReduceOnly() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_000, 10)
    try desk.place(0, .buy, 100_000, 10)
    try desk.place(0, .sell, 100_000, 10, reduceOnly: true)
    #expect(try desk.place(2, .buy, 100_000, 10, .fok) == .rejected(.notFillable, 10 * Self.lot, 0))
    try desk.place(3, .sell, 100_000, 10)
    #expect(try desk.place(2, .buy, 100_000, 10, .fok).status == .filled)
  }

  @Test("client ids are the account's own, unique among what rests, and good for cancelling")
  func clientIDs() throws {
    var desk = try Desk()
    let first = try desk.place(0, .buy, 90_000, 1, clientID: 9)
    #expect(try desk.place(0, .buy, 90_000, 2, clientID: 9) == .rejected(.duplicateClientID))
    #expect(try desk.place(1, .buy, 90_000, 1, clientID: 9).status == .accepted)
    let cancel = Action.cancelClient(instrument: InstrumentID(0), clientID: 9)
    #expect(try desk.send(2, [cancel])[0] == .rejected(.unknownOrder))
    #expect(
      try desk.send(0, [.cancelClient(instrument: InstrumentID(1), clientID: 9)])[0]
        == .rejected(.unknownOrder))
    #expect(
      try desk.send(0, [cancel])[0] == Outcome(.accepted, .done, 0, Self.lot, order: first.order))
    #expect(try desk.place(0, .buy, 90_000, 1, clientID: 9).status == .accepted)
  }

  @Test("a seller who gets more than his limit loses no more than was set aside")
  func feeOnBetterPrice() throws {
    // The bid is far above the mark; the fee is taken on the price, not on the limit.
    var desk = try Desk(cash: 1_000_000_000)
    try desk.place(1, .buy, 120_000, 100)
    let before = desk.room(Desk.client(0)).raw
    let worst = try desk.place(2, .sell, 100_000, 100)
    #expect(worst.status == .filled)
    try desk.place(1, .buy, 120_000, 100)
    let alone = desk.room(Desk.client(3)).raw
    #expect(before == alone)
    try desk.place(3, .sell, 100_000, 1)
    #expect(desk.selfCheck() == nil)
  }

  @Test("an account has at most its maximum of orders and positions")
  func limits() throws {
    var constants = Constants()
    constants.openOrdersPerAccountMax = 2
    constants.positionsPerAccountMax = 1
    var desk = try Desk(constants: constants)
    try desk.place(0, .buy, 90_000, 1)
    #expect(
      try desk.place(0, .buy, 90_000, 1, instrument: 1) == .rejected(.tooManyPositions, 1, 1))
    try desk.place(0, .buy, 90_000, 1)
    #expect(try desk.place(0, .buy, 90_000, 1) == .rejected(.tooManyOrders, 2, 2))
    try desk.send(0, [.cancelAll(instrument: .all)])
    #expect(try desk.place(0, .buy, 90_000, 1, instrument: 1).status == .accepted)
  }

  @Test("orders that add risk need market data, and fresh")
  func staleMarket() throws {
    var constants = Constants()
    constants.grantAgeMax = 5_000
    var desk = try Desk(constants: constants)
    try desk.place(1, .sell, 100_000, 10)
    try desk.place(0, .buy, 100_000, 10)
    try desk.turn(after: 5_001)
    #expect(try desk.place(0, .buy, 99_000, 1) == .rejected(.marketDataStale, 5_001, 5_000))
    // A smaller position risks less: it passes, however old the market.
    #expect(try desk.place(0, .sell, 101_000, 1).status == .accepted)
  }

  @Test("at its expiry a contract's orders are cancelled and it takes no more")
  func expiry() throws {
    var desk = try Desk()
    try desk.place(0, .buy, 90_000, 1, instrument: 1)
    try desk.place(0, .buy, 90_000, 1)
    let expiry = desk.genesis.instruments[1].expiry
    try desk.turn(after: expiry.raw - desk.machine.time.raw - 1)
    #expect(desk.machine.openOrderCount == 2)
    try desk.turn(after: 1)
    #expect(desk.machine.openOrderCount == 1)
    #expect(try desk.place(0, .buy, 90_000, 1, instrument: 1) == .rejected(.instrumentExpired))
    #expect(desk.selfCheck() == nil)
  }

  @Test("a halted instrument cancels but does not match, and trades again when it is freed")
  func halt() throws {
    var desk = try Desk()
    let resting = try desk.place(0, .buy, 90_000, 1)
    var halted = desk.genesis.instruments[0]
    halted.statusCode = InstrumentStatus.halted.rawValue
    let record = halted
    try desk.turn { $0.instruments.append(record) }
    #expect(try desk.place(1, .sell, 90_000, 1) == .rejected(.instrumentHalted))
    #expect(desk.machine.openOrderCount == 1)
    halted.statusCode = InstrumentStatus.active.rawValue
    let freed = halted
    try desk.turn { $0.instruments.append(freed) }
    #expect(try desk.place(1, .sell, 90_000, 1).status == .filled)
    #expect(desk.machine.events.record(0, as: Fill.self).makerOrder == resting.order)
  }

  @Test("a directive cancels, then closes against the book before any client trades")
  func directives() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_000, 10)
    try desk.place(0, .buy, 100_000, 10)
    try desk.place(0, .buy, 90_000, 5)
    try desk.place(0, .sell, 110_000, 10, reduceOnly: true)
    try desk.place(2, .buy, 99_000, 4)
    desk.clearing.restrict(Desk.client(0), true)
    let account = Desk.client(0)
    try desk.turn {
      $0.directives = [
        Directive(
          close: account, instrument: InstrumentID(0), side: .sell,
          quantity: Quantity(raw: 10 * TestWorld.lot), worst: Price(raw: 95_000 * TestWorld.tick))
      ]
    }
    let fill = desk.machine.events.record(0, as: Fill.self)
    #expect(fill.causeCode == FillCause.close.rawValue && fill.taker == account)
    #expect(fill.quantity.raw == 4 * Self.lot && fill.takerOrder.raw == 0 && fill.isCanonical)
    // Its own orders in the instrument are gone, and it may now only reduce: six are left.
    #expect(desk.machine.openOrderCount == 0)
    #expect(try desk.place(0, .buy, 90_000, 1) == .rejected(.notReducing, 0, Self.lot))
    #expect(
      try desk.place(0, .sell, 100_000, 7) == .rejected(.notReducing, 6 * Self.lot, 7 * Self.lot))
    #expect(try desk.place(0, .sell, 100_000, 6).status == .accepted)
    #expect(desk.selfCheck() == nil)
  }

  @Test("a position opened and closed between clearances comes out flat, however late they come")
  func flatBetween() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_000, 10)
    try desk.place(0, .buy, 100_000, 10)
    try desk.turn(adopting: false)
    try desk.place(1, .buy, 100_000, 10)
    try desk.place(0, .sell, 100_000, 10)
    try desk.turn(adopting: false)
    // A cancel drops idle holdings; these are not, while their fills are on the way.
    let order = try desk.place(0, .buy, 90_000, 1)
    try desk.send(0, [.cancel(instrument: InstrumentID(0), order: order.order)])
    let late = desk.pending
    desk.last = desk.machine.closeBatch()
    desk.machine.seal()
    for clearance in late {
      try desk.machine.openBatch(time: desk.machine.time, adopting: [clearance])
      #expect(desk.selfCheck() == nil)
      desk.last = desk.machine.closeBatch()
      desk.machine.seal()
    }
    let left = (0..<desk.machine.holdings.count).count { desk.machine.holdings[$0].isUsed != 0 }
    #expect(left == 0)
    #expect(desk.machine.status[0].sinceCount == 0)
  }

  @Test("a batch closes to trades before its body passes the limit")
  func fullBatch() throws {
    var constants = Constants()
    constants.openOrdersPerAccountMax = 65_536
    // 140 000 one-lot asks of three accounts: more fills than a body may hold.
    var desk = try Desk(cash: 90_000_000_000_000, constants: constants, fees: false)
    for batch in 0..<5 {
      for _ in 0..<110 {
        let actions = (0..<256).map { _ in Desk.order(.sell, 100_000, 1) }
        try desk.send(batch % 3, actions)
      }
      try desk.turn()
    }
    #expect(desk.machine.openOrderCount == 5 * 110 * 256)
    let sweep = (0..<2).map { _ in Desk.order(.buy, 100_000, 90_000) }
    let outcomes = try desk.send(3, sweep)
    #expect(outcomes[0].figure1 == 90_000 * Self.lot)
    #expect(outcomes[1].figure1 > 0 && outcomes[1].figure1 < 90_000 * Self.lot)
    // What could not trade does not rest across the book.
    #expect(desk.machine.levels(InstrumentID(0), .buy, limit: 1).isEmpty)
    #expect(desk.refusal([Desk.order(.buy, 1, 1)], nonce: 999) == .batchFull)
    #expect(desk.refusal(nonce: 999) == nil)
    desk.last = desk.machine.closeBatch()
    #expect(desk.last.body.count <= Limits.batchBodyByteCountMax)
    #expect(desk.last.body.count > Limits.batchBodyByteCountMax - 600 * 64)
  }
}
