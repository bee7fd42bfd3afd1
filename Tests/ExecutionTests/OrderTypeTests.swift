import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

extension Desk {
  /// Price in hundredths, quantities in hundredths of a contract.
  @discardableResult
  mutating func order(
    _ client: Int, _ side: Side, _ price: Int64, _ quantity: Int64, instrument: UInt32 = 0,
    _ change: (inout OrderTerms) -> Void
  ) throws -> Outcome {
    var terms = OrderTerms(
      instrument: InstrumentID(instrument), side: side, price: Price(raw: price * TestWorld.tick),
      quantity: Quantity(raw: quantity * TestWorld.lot))
    change(&terms)
    return try send(client, [.order(terms)])[0]
  }

  @discardableResult
  mutating func replace(
    _ client: Int, _ name: OrderReplacement.Name, _ price: Int64, _ quantity: Int64,
    _ change: (inout OrderReplacement) -> Void = { _ in }
  ) throws -> Outcome {
    var replacement = OrderReplacement(
      instrument: InstrumentID(0), name: name, price: Price(raw: price * TestWorld.tick),
      quantity: Quantity(raw: quantity * TestWorld.lot))
    change(&replacement)
    return try send(client, [.replace(replacement)])[0]
  }

  /// Shown lots at the best price of a side, and the price in hundredths.
  func best(_ side: Side) -> [Int64] {
    guard let level = machine.levels(InstrumentID(0), side, limit: 1).first else { return [] }
    return [level.price.raw / TestWorld.tick, level.quantity.raw / TestWorld.lot]
  }

  /// Makers of the batch's fills and their lots.
  var fills: [[Int64]] {
    (0..<machine.events.count).map {
      let fill = machine.events.record($0, as: Fill.self)
      return [Int64(fill.makerOrder.number), fill.quantity.raw / TestWorld.lot]
    }
  }

  /// Closes the batch, opens the next, and gives what was rebuilt from the facts in between.
  mutating func rebuilt() throws -> ExecutionMachine {
    last = machine.closeBatch()
    machine.seal()
    pending.append(try clearing.clear(last.header, last.body))
    var copy = ExecutionMachine(genesis: genesis)
    try copy.load(snapshot: machine.snapshot())
    try copy.rebuild(expecting: machine.root, previous: machine.previousID)
    try machine.openBatch(time: machine.time, adopting: pending)
    pending = []
    return copy
  }
}

private let lot = TestWorld.lot
private let tick = TestWorld.tick

@Suite("Orders good till a time") struct ExpiryTests {
  @Test("it stands below its time and is gone at it, at the opening of the batch")
  func expires() throws {
    var desk = try Desk()
    let end = desk.machine.time.raw + 2_000
    #expect(
      try desk.order(0, .buy, 90_000, 1) {
        $0.timeInForce = .gtt
        $0.expiry = Timestamp(raw: end)
      }.status == .accepted)
    try desk.place(0, .buy, 89_000, 1)
    try desk.turn(after: 1_999)
    #expect(desk.best(.buy) == [90_000, 1])
    try desk.turn(after: 1)
    #expect(desk.best(.buy) == [89_000, 1])
    #expect(desk.machine.openOrderCount == 1 && desk.machine.extraSlots.isEmpty)
    #expect(desk.selfCheck() == nil)
  }

  @Test("a time that has come is refused, with the batch's")
  func late() throws {
    var desk = try Desk()
    let now = desk.machine.time
    let outcome = try desk.order(0, .buy, 90_000, 1) {
      $0.timeInForce = .gtt
      $0.expiry = now
    }
    #expect(outcome == .rejected(.orderExpired, now.raw, now.raw))
  }

  @Test("an opening takes out so many, and the rest neither trade nor last")
  func bounded() throws {
    var constants = Constants()
    constants.openOrdersPerAccountMax = 8_000
    var desk = try Desk(clients: 2, cash: 1_000_000_000_000, constants: constants)
    let count = Limits.orderExpiriesPerBatchMax + 3
    let end = Timestamp(raw: desk.machine.time.raw + 1_000)
    for _ in 0..<count {
      try desk.order(0, .sell, 100_000, 1) {
        $0.timeInForce = .gtt
        $0.expiry = end
      }
    }
    try desk.turn(after: 1_000)
    #expect(desk.machine.openOrderCount == 3)
    #expect(try desk.place(1, .buy, 100_000, 3, .fok) == .rejected(.notFillable, 3 * lot, 0))
    #expect(
      try desk.replace(0, .order(OrderID(number: UInt64(count), slot: count - 1)), 99_000, 1)
        == .rejected(.unknownOrder))
    #expect(try desk.place(1, .buy, 100_000, 3, .ioc).figure1 == 0)
    #expect(desk.machine.openOrderCount == 0 && desk.selfCheck() == nil)
  }

  @Test("the queue gives the soonest first, then the oldest, and forgets the dead")
  func queue() {
    var random = Generator(seed: 71)
    var queue = ExpiryQueue()
    var entries: [[Int64]] = []
    for order in 1...2_000 {
      let expiry = random.within(1...300)
      entries.append([expiry, Int64(order)])
      queue.insert(OrderID(UInt64(order)), expiry: Timestamp(raw: expiry))
    }
    entries.removeAll { $0[1] % 3 == 0 }
    queue.sweep { $0.raw % 3 != 0 }
    #expect(queue.count == entries.count)
    entries.sort { ($0[0], $0[1]) < ($1[0], $1[1]) }
    for entry in entries {
      #expect(queue.pop(at: Timestamp(raw: entry[0] - 1)) == nil)
      let popped = queue.pop(at: Timestamp(raw: entry[0]))
      #expect(popped?.order == OrderID(UInt64(entry[1])) && popped?.expiry.raw == entry[0])
    }
    #expect(queue.pop(at: Timestamp(raw: .max)) == nil)
  }
}

@Suite("Market orders and the price band") struct BandTests {
  /// The index is 1 000: a band of 10 % is 100.00 to either side of the mark of 1 000.
  private func desk(_ band: Int64 = 100_000_000) throws -> Desk { try Desk(priceBand: band) }

  @Test("no buy above the band, no sell below it, and nothing against the other way")
  func limits() throws {
    var desk = try desk()
    #expect(
      try desk.place(0, .buy, 110_001, 1)
        == .rejected(.priceOutsideBand, 110_001 * tick, 110_000 * tick))
    #expect(
      try desk.place(0, .sell, 89_999, 1)
        == .rejected(.priceOutsideBand, 89_999 * tick, 90_000 * tick))
    #expect(try desk.place(0, .buy, 50_000, 1).status == .accepted)
    #expect(try desk.place(0, .sell, 150_000, 1).status == .accepted)
    #expect(try desk.place(0, .buy, 110_000, 1).status == .accepted)
    #expect(
      try desk.replace(0, .order(OrderID(number: 3, slot: 2)), 110_001, 1)
        == .rejected(.priceOutsideBand, 110_001 * tick, 110_000 * tick))
  }

  @Test("a market order takes up to its protection price, or the band, and never rests")
  func market() throws {
    var desk = try desk()
    try desk.place(0, .sell, 100_500, 1)
    try desk.place(0, .sell, 101_000, 1)
    try desk.place(0, .sell, 111_000, 1)
    func buy(_ price: Int64, _ quantity: Int64, _ tif: TimeInForce = .ioc) -> OrderTerms {
      OrderTerms(
        instrument: InstrumentID(0), side: .buy, price: Price(raw: price * tick),
        quantity: Quantity(raw: quantity * lot), timeInForce: tif, isMarket: true)
    }
    #expect(try desk.send(1, [.order(buy(100_700, 5))])[0].figure1 == lot)
    // The dearest stands outside the band, whatever protection is asked for.
    #expect(
      try desk.send(1, [.order(buy(200_000, 5, .fok))])[0]
        == .rejected(.notFillable, 5 * lot, lot))
    #expect(
      try desk.send(1, [.order(buy(0, 5))])[0]
        == Outcome(.filled, .done, lot, 0, order: OrderID(number: 5, slot: 0)))
    #expect(try desk.send(1, [.order(buy(0, 5))])[0].status == .accepted)
    #expect(desk.machine.openOrders(of: Desk.client(1)).isEmpty)
    #expect(desk.selfCheck() == nil)
  }

  @Test("a contract without a band knows only its highest price and its tick")
  func none() throws {
    var desk = try desk(0)
    #expect(try desk.place(0, .buy, 190_000, 1).status == .accepted)
    let sell = OrderTerms(
      instrument: InstrumentID(0), side: .sell, price: .zero, quantity: Quantity(raw: lot),
      timeInForce: .ioc, isMarket: true)
    #expect(try desk.send(1, [.order(sell)])[0].status == .filled)
  }
}

@Suite("Post-only orders that slide") struct SlideTests {
  @Test("it rests one tick off the best opposite price")
  func slides() throws {
    var desk = try Desk()
    try desk.place(0, .sell, 100_000, 1)
    #expect(try desk.order(1, .buy, 100_500, 2) { $0.postOnly = .slide }.figure2 == 2 * lot)
    #expect(desk.best(.buy) == [99_999, 2] && desk.eventCount == 0)
    #expect(try desk.order(2, .sell, 99_000, 1) { $0.postOnly = .slide }.figure2 == lot)
    #expect(desk.best(.sell) == [100_000, 2])
    // Where it would not take, it rests at its own price.
    #expect(try desk.order(1, .buy, 99_000, 1) { $0.postOnly = .slide }.figure2 == lot)
  }

  @Test("where there is no price left to slide to, it is refused")
  func edge() throws {
    var desk = try Desk()
    try desk.place(0, .sell, 1, 1)
    #expect(
      try desk.order(1, .buy, 5, 1) { $0.postOnly = .slide }
        == .rejected(.wouldCross, 5 * tick, tick))
  }
}

@Suite("Self-trade prevention") struct SelfTradeTests {
  private func met(_ mode: SelfTradeMode, own: Int64, taker: Int64) throws -> (
    Outcome, [Int64], [[Int64]]
  ) {
    var desk = try Desk()
    try desk.place(1, .sell, 99_990, 2)
    try desk.place(0, .sell, 100_000, own)
    try desk.place(1, .sell, 100_010, 9)
    let outcome = try desk.order(0, .buy, 100_010, taker) { $0.selfTrade = mode }
    let fault = desk.selfCheck()
    #expect(fault == nil)
    return (outcome, desk.best(.sell), desk.fills)
  }

  @Test("the resting order goes and the new one goes on")
  func resting() throws {
    let (outcome, best, fills) = try met(.cancelResting, own: 3, taker: 5)
    #expect(outcome == Outcome(.filled, .done, 5 * lot, 0, order: OrderID(number: 4, slot: 3)))
    #expect(best == [100_010, 6] && fills == [[1, 2], [3, 3]])
  }

  @Test("the new order stops and does not rest")
  func taker() throws {
    let (outcome, best, fills) = try met(.cancelTaker, own: 3, taker: 5)
    #expect(outcome == Outcome(.filled, .selfTrade, 2 * lot, 0, order: OrderID(number: 4, slot: 3)))
    #expect(best == [100_000, 3] && fills == [[1, 2]])
  }

  @Test("both go")
  func both() throws {
    let (outcome, best, fills) = try met(.cancelBoth, own: 3, taker: 5)
    #expect(outcome == Outcome(.filled, .selfTrade, 2 * lot, 0, order: OrderID(number: 4, slot: 3)))
    #expect(best == [100_010, 9] && fills == [[1, 2]])
  }

  @Test("both lose the smaller size, and the larger goes on")
  func decrement() throws {
    var (outcome, best, fills) = try met(.decrementBoth, own: 3, taker: 7)
    #expect(outcome == Outcome(.filled, .selfTrade, 4 * lot, 0, order: OrderID(number: 4, slot: 3)))
    #expect(best == [100_010, 7] && fills == [[1, 2], [3, 2]])
    (outcome, best, fills) = try met(.decrementBoth, own: 8, taker: 7)
    #expect(outcome == Outcome(.filled, .selfTrade, 2 * lot, 0, order: OrderID(number: 4, slot: 3)))
    #expect(best == [100_000, 3] && fills == [[1, 2]])
  }

  @Test("a fill-or-kill order counts nothing behind an own order that would stop it")
  func kill() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 99_990, 2)
    try desk.place(0, .sell, 100_000, 3)
    try desk.place(1, .sell, 100_010, 9)
    for mode in [SelfTradeMode.cancelTaker, .cancelBoth] {
      let outcome = try desk.order(0, .buy, 100_010, 5) {
        $0.timeInForce = .fok
        $0.selfTrade = mode
      }
      #expect(outcome == .rejected(.notFillable, 5 * lot, 2 * lot))
    }
    #expect(desk.machine.openOrderCount == 3)
    #expect(try desk.place(0, .buy, 100_010, 5, .fok).status == .filled)
  }
}

@Suite("Icebergs") struct IcebergTests {
  @Test("a slice is shown at a time; the next goes to the back of its level")
  func slices() throws {
    var desk = try Desk()
    let iceberg = try desk.order(0, .sell, 100_000, 10) { $0.display = Quantity(raw: 4 * lot) }
    #expect(iceberg == Outcome(.accepted, .done, 0, 10 * lot, order: OrderID(number: 1, slot: 0)))
    try desk.place(1, .sell, 100_000, 3)
    #expect(desk.best(.sell) == [100_000, 7])
    try desk.place(2, .buy, 100_000, 5)
    // Four of the iceberg, one of the other; the second slice stands behind it.
    #expect(desk.fills == [[1, 4], [2, 1]] && desk.best(.sell) == [100_000, 6])
    try desk.place(2, .buy, 100_000, 3)
    #expect(desk.fills.suffix(2) == [[2, 2], [1, 1]])
    var again = try desk.rebuilt()
    let shown = again.levels(InstrumentID(0), .sell, limit: 1)[0].quantity.raw
    let fault = again.selfCheck()
    #expect(shown == 3 * lot && fault == nil)
    try desk.place(2, .buy, 100_000, 5)
    #expect(desk.fills == [[1, 3], [1, 2]] && desk.machine.openOrderCount == 0)
    #expect(desk.machine.extraSlots.isEmpty && desk.selfCheck() == nil)
  }

  @Test("it is matched whole on its way in, and counted whole by whoever must fill or be killed")
  func whole() throws {
    var desk = try Desk()
    try desk.place(1, .buy, 100_000, 5)
    let iceberg = try desk.order(0, .sell, 100_000, 20) { $0.display = Quantity(raw: 4 * lot) }
    #expect(
      iceberg == Outcome(.accepted, .done, 5 * lot, 15 * lot, order: OrderID(number: 2, slot: 1)))
    #expect(desk.best(.sell) == [100_000, 4])
    #expect(
      try desk.place(2, .buy, 100_000, 16, .fok) == .rejected(.notFillable, 16 * lot, 15 * lot))
    #expect(try desk.place(2, .buy, 100_000, 15, .fok).status == .filled)
    #expect(desk.fills == [[1, 5], [2, 4], [2, 4], [2, 4], [2, 3]])
  }

  @Test("margin is asked for the whole, shown or not")
  func margin() throws {
    var plain = try Desk()
    var iceberg = try Desk()
    try plain.place(0, .sell, 100_000, 64)
    try iceberg.order(0, .sell, 100_000, 64) { $0.display = Quantity(raw: lot) }
    #expect(plain.room(Desk.client(0)) == iceberg.room(Desk.client(0)))
    #expect(iceberg.selfCheck() == nil)
  }

  @Test("a slice is whole lots and no less than a sixty-fourth")
  func small() throws {
    var desk = try Desk()
    #expect(
      try desk.order(0, .sell, 100_000, 65) { $0.display = Quantity(raw: lot) }
        == .rejected(.displayTooSmall, lot, (65 * lot + 63) / 64))
    #expect(
      try desk.order(0, .sell, 100_000, 65) { $0.display = Quantity(raw: lot + 1) }
        == .rejected(.quantityOffLot, lot + 1, lot))
    #expect(
      try desk.order(0, .sell, 100_000, 64) { $0.display = Quantity(raw: lot) }.status == .accepted)
  }

  @Test("what an own order takes off it without a trade brings the next slice too")
  func decremented() throws {
    var desk = try Desk()
    try desk.order(0, .sell, 100_000, 10) { $0.display = Quantity(raw: 4 * lot) }
    #expect(
      try desk.order(0, .buy, 100_000, 6) { $0.selfTrade = .decrementBoth }
        == Outcome(.accepted, .selfTrade, 0, 0, order: OrderID(number: 2, slot: 1)))
    #expect(desk.best(.sell) == [100_000, 2] && desk.eventCount == 0)
    #expect(
      try desk.send(0, [.cancel(instrument: InstrumentID(0), order: OrderID(number: 1, slot: 0))])[
        0
      ].figure2 == 4
        * lot)
    #expect(desk.selfCheck() == nil)
  }
}

@Suite("Replacing orders") struct ReplaceTests {
  @Test("it keeps its place where only the size falls, and loses it otherwise")
  func priority() throws {
    var desk = try Desk()
    try desk.place(0, .sell, 100_000, 5)
    try desk.place(1, .sell, 100_000, 5)
    #expect(
      try desk.replace(0, .order(OrderID(number: 1, slot: 0)), 100_000, 2)
        == Outcome(.accepted, .done, 0, 2 * lot, order: OrderID(number: 1, slot: 0)))
    try desk.place(2, .buy, 100_000, 1)
    #expect(desk.fills == [[1, 1]])
    // More of it is a new order, behind the other.
    #expect(
      try desk.replace(0, .order(OrderID(number: 1, slot: 0)), 100_000, 3)
        == Outcome(.accepted, .done, 0, 3 * lot, order: OrderID(number: 4, slot: 0)))
    try desk.place(2, .buy, 100_000, 6)
    #expect(desk.fills == [[1, 1], [2, 5], [4, 1]])
    #expect(
      try desk.replace(0, .order(OrderID(number: 1, slot: 0)), 100_000, 1)
        == .rejected(.unknownOrder))
    #expect(desk.selfCheck() == nil)
  }

  @Test("at a crossing price it takes, under its new number")
  func takes() throws {
    var desk = try Desk()
    try desk.place(0, .buy, 99_000, 5, clientID: 7)
    try desk.place(1, .sell, 100_000, 2)
    let outcome = try desk.replace(0, .client(7), 100_000, 5) { $0.newClientID = 8 }
    #expect(
      outcome == Outcome(.accepted, .done, 2 * lot, 3 * lot, order: OrderID(number: 3, slot: 0)))
    #expect(
      try desk.send(0, [.cancelClient(instrument: InstrumentID(0), clientID: 7)])[0]
        == .rejected(.unknownOrder))
    #expect(
      try desk.send(0, [.cancelClient(instrument: InstrumentID(0), clientID: 8)])[0].figure2 == 3
        * lot)
    #expect(desk.machine.openOrderCount == 0 && desk.selfCheck() == nil)
  }

  @Test("what is refused leaves the old order as it was")
  func refused() throws {
    var desk = try Desk(cash: 100_000_000)
    try desk.place(0, .buy, 99_000, 5, clientID: 7)
    try desk.place(0, .buy, 98_000, 5, clientID: 8)
    try desk.place(1, .sell, 100_000, 2)
    let before = desk.snapshot()
    let room = desk.room(Desk.client(0))
    let nonces: [(Outcome, OutcomeCode)] = [
      (try desk.replace(0, .order(OrderID(number: 9, slot: 0)), 99_000, 1), .unknownOrder),
      (try desk.replace(1, .order(OrderID(number: 1, slot: 0)), 99_000, 1), .unknownOrder),
      (try desk.replace(0, .client(9), 99_000, 1), .unknownOrder),
      (try desk.replace(0, .client(7), 99_000, 1) { $0.newClientID = 8 }, .duplicateClientID),
      (
        try desk.replace(0, .client(7), 99_000, 1) { $0.expectedLeft = Quantity(raw: lot) },
        .orderChanged
      ),
      (
        try desk.replace(0, .client(7), 99_000, 1) { $0.quantity = Quantity(raw: lot + 1) },
        .quantityOffLot
      ),
      (try desk.replace(0, .client(7), 101_000, 1) { $0.postOnly = .reject }, .wouldCross),
      (try desk.replace(0, .client(7), 99_000, 90_000), .insufficientMargin),
      (try desk.replace(0, .client(7), 99_000, 100_001), .quantityTooLarge),
    ]
    for (outcome, code) in nonces {
      #expect(outcome.status == .rejected && outcome.code == code.rawValue, "\(code)")
    }
    #expect(desk.room(Desk.client(0)) == room && desk.selfCheck() == nil)
    // Only the keys' nonces have moved: orders, holdings and credits are what they were.
    #expect(desk.snapshot().count == before.count)
    #expect(desk.best(.buy) == [99_000, 5] && desk.machine.openOrderCount == 3)
  }

  @Test("the old order's margin and place among the open orders are free for the new one")
  func frees() throws {
    var constants = Constants()
    constants.openOrdersPerAccountMax = 1
    var desk = try Desk(cash: 100_000_000, constants: constants)
    var size: Int64 = 1
    while try desk.place(0, .buy, 99_000, size * 2).status == .accepted {
      try desk.send(0, [.cancelAll(instrument: .all)])
      size *= 2
    }
    #expect(try desk.place(0, .buy, 99_000, size).status == .accepted)
    #expect(try desk.place(0, .buy, 99_000, 1).code == OutcomeCode.tooManyOrders.rawValue)
    let order = desk.machine.openOrders(of: Desk.client(0))[0].id
    #expect(try desk.replace(0, .order(order), 98_990, size).status == .accepted)
    #expect(desk.machine.openOrderCount == 1 && desk.selfCheck() == nil)
  }

  @Test("an iceberg gives up its hidden part first, and keeps its slice")
  func iceberg() throws {
    var desk = try Desk()
    try desk.order(0, .sell, 100_000, 10) { $0.display = Quantity(raw: 4 * lot) }
    try desk.replace(0, .order(OrderID(number: 1, slot: 0)), 100_000, 5)
    #expect(desk.best(.sell) == [100_000, 4])
    try desk.replace(0, .order(OrderID(number: 1, slot: 0)), 100_000, 3)
    #expect(desk.best(.sell) == [100_000, 3])
    try desk.replace(0, .order(OrderID(number: 1, slot: 0)), 100_010, 12)
    #expect(desk.best(.sell) == [100_010, 4])
    #expect(desk.machine.openOrders(of: Desk.client(0))[0].quantity.raw == 12 * lot)
    #expect(desk.selfCheck() == nil)
  }

  @Test("a key of another market may not")
  func scope() throws {
    var desk = try Desk()
    try desk.place(0, .buy, 99_000, 5)
    let key = TestWorld.key(555).publicKey
    try desk.send(0, [.addKey(key: key, markets: InstrumentID(1), expiry: Timestamp(raw: .max))])
    try desk.turn()
    let bundle = TestWorld.bundle(
      [
        .replace(
          OrderReplacement(
            instrument: InstrumentID(0), name: .order(OrderID(number: 1, slot: 0)),
            price: Price(raw: tick),
            quantity: Quantity(raw: lot)))
      ], account: Desk.client(0), key: key, nonce: 1,
      expiry: Timestamp(raw: desk.machine.time.raw + 1))
    var outcomes: [Outcome] = []
    try desk.machine.apply(bundle, into: &outcomes)
    #expect(outcomes == [.rejected(.outOfScope)])
  }
}

@Suite("Client ids and cancels") struct ClientIDTests {
  @Test("the same terms under the same id answer with the first order as it stands")
  func idempotent() throws {
    var desk = try Desk()
    let first = try desk.place(0, .buy, 100_000, 5, clientID: 9)
    try desk.place(1, .sell, 100_000, 2)
    // Also where the terms would not be admitted any more.
    #expect(
      try desk.place(0, .buy, 100_000, 5, clientID: 9)
        == Outcome(.accepted, .done, 2 * lot, 3 * lot, order: first.order))
    #expect(desk.machine.openOrderCount == 1)
    for (price, quantity, postOnly) in [
      (100_000, 6, false), (99_999, 5, false), (100_000, 5, true),
    ] {
      #expect(
        try desk.place(0, .buy, Int64(price), Int64(quantity), postOnly: postOnly, clientID: 9)
          == .rejected(.duplicateClientID))
    }
    try desk.place(1, .sell, 100_000, 3)
    let second = try desk.place(0, .buy, 99_000, 5, clientID: 9)
    #expect(second.order == OrderID(number: 4, slot: 0))
  }

  @Test("an account cancels one side, one underlying, or both")
  func cancels() throws {
    var desk = try Desk()
    try desk.place(0, .buy, 90_000, 1)
    try desk.place(0, .sell, 110_000, 1)
    try desk.place(0, .buy, 90_000, 1, instrument: 1)
    try desk.place(0, .buy, 9_000, 1, instrument: 4)
    try desk.place(1, .buy, 90_000, 1)
    func count(_ scope: CancelScope, _ side: Side?) throws -> Int64 {
      try desk.send(0, [.cancelOrders(scope, side: side)])[0].figure1
    }
    #expect(try count(.underlying(UnderlyingID(9)), nil) == 0)
    #expect(try count(.underlying(UnderlyingID(1)), .sell) == 0)
    #expect(try count(.instrument(InstrumentID(0)), .sell) == 1)
    #expect(try count(.underlying(UnderlyingID(0)), .buy) == 2)
    #expect(try count(.instrument(.all), nil) == 1)
    #expect(desk.machine.openOrderCount == 1 && desk.selfCheck() == nil)
  }
}
