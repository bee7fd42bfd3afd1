import Commitments
import Foundation
import Instruments
import Margin
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

private let lot = TestWorld.lot
private let tick = TestWorld.tick

extension Desk {
  /// Quotes alone in the underlying, unless `change` says otherwise: prices in hundredths, sizes in
  /// lots, zero for no side.
  @discardableResult
  @inline(never)
  mutating func quote(
    _ client: Int, _ sides: [(instrument: UInt32, bid: Int64, ask: Int64)], _ size: Int64,
    _ change: (inout MassQuote) -> Void = { _ in }
  ) throws -> Outcome {
    let entries = sides.map {
      QuoteEntry(
        instrument: InstrumentID($0.instrument), bid: Price(raw: $0.bid * tick),
        bidQuantity: Quantity(raw: $0.bid == 0 ? 0 : size * lot), ask: Price(raw: $0.ask * tick),
        askQuantity: Quantity(raw: $0.ask == 0 ? 0 : size * lot))
    }
    var quote = MassQuote(underlying: UnderlyingID(0), entries: entries, pullsOthers: true)
    change(&quote)
    return try send(client, [.massQuote(quote)])[0]
  }

  @discardableResult
  @inline(never)
  mutating func protect(_ client: Int, _ change: (inout QuoteProtection) -> Void) throws -> Outcome
  {
    var protection = QuoteProtection(underlying: UnderlyingID(0), window: 2_000, frozen: 3_000)
    change(&protection)
    return try send(client, [.protect(protection)])[0]
  }

  func openCount(_ client: Int) -> Int { machine.openOrders(of: Desk.client(client)).count }
}

@Suite("The timer that cancels") struct TimerTests {
  @Test("it cancels the account's orders at the opening its time has come by, and once")
  func runsOut() throws {
    var desk = try Desk()
    let end = desk.machine.time.raw + 2_000
    try desk.place(0, .buy, 90_000, 1)
    try desk.place(1, .buy, 90_000, 1)
    #expect(try desk.send(0, [.timer(milliseconds: 2_000)])[0] == Outcome(.accepted, .done, end, 0))
    try desk.turn(after: 1_999)
    #expect(desk.openCount(0) == 1)
    try desk.turn(after: 1)
    #expect(desk.openCount(0) == 0 && desk.openCount(1) == 1)
    try desk.place(0, .buy, 90_000, 1)
    try desk.turn(after: 5_000)
    #expect(desk.openCount(0) == 1 && desk.machine.timerSlots.isEmpty)
    #expect(desk.selfCheck() == nil)
  }

  @Test("said again it begins anew, said with nothing it goes; cancels and timers pass a run-ahead")
  func renewed() throws {
    var constants = Constants()
    constants.runAheadMax = 2
    var desk = try Desk(constants: constants)
    try desk.place(0, .buy, 90_000, 1)
    try desk.send(0, [.timer(milliseconds: 2_000)])
    try desk.turn(adopting: false)
    try desk.send(0, [.timer(milliseconds: 2_000)])
    try desk.turn(adopting: false)
    #expect(desk.isAhead && desk.openCount(0) == 1)
    #expect(desk.refusal([.timer(milliseconds: 0)], nonce: 100) == nil)
    try desk.send(0, [.timer(milliseconds: 0)])
    try desk.turn(after: 10_000)
    #expect(desk.openCount(0) == 1)
  }

  @Test("an opening runs out so many, the soonest first, and the rest at the next")
  func bounded() throws {
    let count = Limits.timersPerBatchMax + 2
    var desk = try Desk(clients: count, cash: 100_000_000)
    // What was said before does not count, though it would have come first.
    try desk.send(0, [.timer(milliseconds: 1_000)])
    for client in 0..<count {
      try desk.place(client, .buy, 90_000, 1)
      // The last to set it runs out first.
      try desk.send(client, [.timer(milliseconds: 5_000 - Int64(client))])
      for _ in 0..<5 { try desk.send(client, [.timer(milliseconds: 5_000 - Int64(client))]) }
    }
    try desk.turn(after: 6_000)
    #expect(desk.machine.openOrderCount == 2 && desk.openCount(0) == 1 && desk.openCount(1) == 1)
    #expect(desk.machine.deadlines.count <= 4 * count + 64)
    try desk.turn()
    var again = try desk.rebuilt()
    #expect(desk.machine.openOrderCount == 0 && again.timerSlots.isEmpty)
    #expect(again.selfCheck() == nil)
  }
}

@Suite("Mass quotes") struct MassQuoteTests {
  @Test("the quotes of an underlying stand in the place of those before, other orders stay")
  func replaced() throws {
    var desk = try Desk()
    try desk.place(0, .buy, 90_000, 1)
    #expect(
      try desk.quote(0, [(0, 99_000, 101_000), (1, 99_000, 0)], 5)
        == Outcome(.accepted, .done, 3, 0))
    #expect(desk.openCount(0) == 4)
    #expect(try desk.quote(0, [(0, 99_500, 0)], 5) == Outcome(.accepted, .done, 1, 0))
    #expect(desk.openCount(0) == 2 && desk.best(.buy) == [99_500, 5])
    #expect(try desk.quote(0, [], 5) == Outcome(.accepted, .done, 0, 0))
    #expect(desk.openCount(0) == 1 && desk.best(.buy) == [90_000, 1])
    #expect(desk.selfCheck() == nil)
  }

  @Test("a side that keeps its price and does not grow keeps its place")
  func kept() throws {
    var desk = try Desk()
    try desk.quote(0, [(0, 99_000, 101_000)], 5)
    try desk.place(1, .buy, 99_000, 5)
    try desk.quote(0, [(0, 99_000, 101_500)], 4)
    try desk.place(2, .sell, 99_000, 5)
    #expect(desk.fills == [[1, 4], [3, 1]])
    try desk.quote(0, [(0, 99_000, 101_500)], 6)
    try desk.place(2, .sell, 99_000, 5)
    // A bid that came anew, or grew, stands behind.
    #expect(desk.fills.suffix(2) == [[3, 4], [6, 1]])
    #expect(desk.selfCheck() == nil)
  }

  @Test("a side refused says why, and the others stand")
  func refused() throws {
    var desk = try Desk()
    let off = QuoteEntry(
      instrument: InstrumentID(0), bid: Price(raw: tick + 1), bidQuantity: Quantity(raw: lot),
      ask: Price(raw: 101_000 * tick), askQuantity: Quantity(raw: lot))
    let other = QuoteEntry(
      instrument: InstrumentID(4), bid: Price(raw: 9_000 * tick), bidQuantity: Quantity(raw: lot))
    let quote = MassQuote(underlying: UnderlyingID(0), entries: [off, other])
    #expect(
      try desk.send(0, [.massQuote(quote)])[0] == Outcome(.accepted, .priceOffTick, 1, 2))
    #expect(
      try desk.send(
        0, [.massQuote(MassQuote(underlying: UnderlyingID(7), entries: [], pullsOthers: true))])[0]
        == .rejected(.unknownInstrument))
    #expect(desk.openCount(0) == 1)
  }

  @Test("instruments not named keep their quotes, a side left out is pulled")
  func others() throws {
    var desk = try Desk()
    try desk.quote(0, [(0, 99_000, 101_000), (1, 98_000, 102_000)], 5)
    #expect(
      try desk.quote(0, [(0, 99_500, 0)], 5) { $0.pullsOthers = false }
        == Outcome(.accepted, .done, 1, 0))
    #expect(desk.openCount(0) == 3 && desk.best(.buy) == [99_500, 5] && desk.best(.sell).isEmpty)
    try desk.quote(0, [(1, 0, 0)], 5) { $0.pullsOthers = false }
    #expect(desk.openCount(0) == 1 && desk.selfCheck() == nil)
  }

  @Test("post-only refuses the side that would take, or slides it off")
  func postOnly() throws {
    var desk = try Desk()
    try desk.place(1, .sell, 100_000, 1)
    #expect(
      try desk.quote(0, [(0, 100_500, 101_000)], 5) { $0.postOnly = .reject }
        == Outcome(.accepted, .wouldCross, 1, 1))
    #expect(
      try desk.quote(0, [(0, 100_500, 101_000)], 5) { $0.postOnly = .slide }
        == Outcome(.accepted, .done, 2, 0))
    #expect(desk.best(.buy) == [99_999, 5] && desk.eventCount == 0)
    #expect(
      try desk.quote(0, [(0, 100_500, 101_000)], 5) == Outcome(.accepted, .done, 2, 0))
    #expect(desk.best(.buy) == [100_500, 4] && desk.fills == [[1, 1]])
  }

  @Test("a side that an own order stops is not counted among those that stand")
  func ownOrder() throws {
    var desk = try Desk()
    try desk.place(0, .sell, 100_000, 1)
    #expect(
      try desk.quote(0, [(0, 100_500, 101_000)], 5) { $0.selfTrade = .cancelTaker }
        == Outcome(.accepted, .selfTrade, 1, 1))
    #expect(desk.openCount(0) == 2)
    try desk.quote(0, [(0, 100_500, 101_000)], 5)
    #expect(desk.openCount(0) == 2 && desk.best(.sell) == [101_000, 5])
  }

  @Test("a quote is replaced and cancelled as any order, and stays a quote")
  func asOrder() throws {
    var desk = try Desk()
    try desk.quote(0, [(0, 99_000, 101_000)], 5)
    #expect(
      try desk.replace(0, .order(OrderID(number: 1, slot: 0)), 99_500, 5).order
        == OrderID(number: 3, slot: 0))
    #expect(try desk.quote(0, [(0, 99_500, 0)], 4) == Outcome(.accepted, .done, 1, 0))
    #expect(desk.openCount(0) == 1 && desk.best(.buy) == [99_500, 4])
    #expect(try desk.send(0, [.cancelAll(instrument: InstrumentID(0))])[0].figure1 == 1)
  }

  @Test("an instrument that is halted, and one of another account, keep their own counsel")
  func halted() throws {
    var desk = try Desk()
    try desk.quote(0, [(0, 99_000, 101_000), (1, 98_000, 102_000)], 5)
    try desk.turn { body in
      var future = TestWorld.instruments()[1]
      future.statusCode = InstrumentStatus.halted.rawValue
      body.instruments = [future]
    }
    #expect(
      try desk.quote(0, [(0, 99_000, 101_000), (1, 98_000, 102_000)], 5)
        == Outcome(.accepted, .instrumentHalted, 2, 2))
    #expect(desk.openCount(0) == 2)
  }
}

@Suite("Protection of quotes") struct ProtectionTests {
  @Test("so many fills within the window pull every quote, inside the match")
  func fills() throws {
    var desk = try Desk()
    try desk.protect(0) { $0.fills = 2 }
    try desk.quote(0, [(0, 99_000, 101_000), (1, 98_000, 102_000)], 5)
    try desk.place(0, .buy, 98_000, 50)
    try desk.place(1, .sell, 99_000, 1)
    #expect(desk.openCount(0) == 5)
    // The second fill leaves four: they are pulled before the taker meets them again.
    #expect(try desk.place(1, .sell, 98_000, 20).figure1 == 20 * lot)
    #expect(desk.fills.map { $0[1] } == [1, 4, 16])
    #expect(desk.openCount(0) == 1 && desk.selfCheck() == nil)
    let until = desk.machine.time.raw + 3_000
    #expect(try desk.quote(0, [], 5) == .rejected(.quotesFrozen, until, until - 3_000))
    try desk.turn(after: 2_999)
    #expect(try desk.quote(0, [], 5).status == .rejected)
    try desk.turn(after: 1)
    #expect(try desk.quote(0, [(0, 99_000, 0)], 5).figure1 == 1)
  }

  @Test("what came before the window does not count; other accounts' fills never do")
  func window() throws {
    var desk = try Desk()
    try desk.protect(0) { $0.quantity = Quantity(raw: 4 * lot) }
    try desk.quote(0, [(0, 99_000, 101_000)], 9)
    try desk.quote(2, [(0, 98_000, 102_000)], 9)
    try desk.place(1, .sell, 99_000, 3)
    try desk.turn(after: 2_000)
    try desk.place(1, .sell, 99_000, 3)
    #expect(desk.openCount(0) == 2)
    try desk.place(1, .sell, 99_000, 1)
    #expect(desk.openCount(0) == 0 && desk.openCount(2) == 2)
  }

  @Test("delta nets over contracts of an underlying, vega is the options'")
  func greeks() throws {
    var desk = try Desk()
    try desk.protect(0) { $0.delta = Quantity(raw: 4 * lot) }
    try desk.quote(0, [(0, 99_000, 101_000)], 3)
    // Bought three, sold three, bought three: never four.
    try desk.place(1, .sell, 99_000, 3)
    try desk.place(1, .buy, 101_000, 3)
    try desk.quote(0, [(0, 99_000, 101_000)], 3)
    try desk.place(1, .sell, 99_000, 3)
    #expect(desk.openCount(0) == 1)
    try desk.quote(0, [(0, 99_000, 101_000)], 3)
    try desk.place(1, .sell, 99_000, 1)
    #expect(desk.openCount(0) == 0)

    desk = try Desk()
    try desk.protect(0) { $0.vega = Money(raw: 1) }
    try desk.quote(0, [(0, 99_000, 101_000), (2, 1_000, 20_000)], 3)
    try desk.place(1, .sell, 99_000, 1)
    #expect(desk.openCount(0) == 4)
    try desk.place(1, .buy, 20_000, 1, instrument: 2)
    #expect(desk.openCount(0) == 0)
  }

  @Test("a contract's delta and vega are close to the textbook's")
  func closeToBlack() throws {
    let desk = try Desk()
    let greeks = desk.machine.greeks
    #expect(greeks[0].delta == Ratio(raw: Ratio.scale) && greeks[0].vega == .zero)
    #expect(greeks[1].delta.raw == Ratio.scale * 1_002 / 1_000 && greeks[1].vega == .zero)
    let option = desk.machine.instruments[2]
    let time = Double(option.expiry.raw - TestWorld.start.raw) / 31_536_000_000
    let mark = Double(desk.machine.table.mark(option.id).raw) / 1e8
    let (forward, strike) = (1_002.0, Double(option.strike.raw) / 1e8)
    func price(_ forward: Double, _ volatility: Double) -> Double {
      let spread = volatility * time.squareRoot()
      let d = (log(forward / strike) / spread) + spread / 2
      func normal(_ x: Double) -> Double { erfc(-x / 2.0.squareRoot()) / 2 }
      let call = forward * normal(d) - strike * normal(d - spread)
      return option.isCall ? call : call - forward + strike
    }
    // The volatility behind the mark, by halving.
    var (low, high) = (0.01, 5.0)
    for _ in 0..<60 {
      if price(forward, (low + high) / 2) < mark {
        low = (low + high) / 2
      } else {
        high = (low + high) / 2
      }
    }
    let delta = (price(forward * 1.0001, low) - price(forward * 0.9999, low)) / 0.2
    let vega = (price(forward, low + 0.005) - price(forward, low - 0.005))
    #expect(abs(Double(greeks[2].delta.raw) / 1e9 - delta) < 0.02)
    #expect(abs(Double(greeks[2].vega.raw) / 1e8 / vega - 1) < 0.03)
  }

  @Test("without a frozen time they wait for a reset; without a protection there is none")
  func reset() throws {
    var desk = try Desk()
    #expect(try desk.send(0, [.resetProtection(UnderlyingID(0))])[0] == .rejected(.noProtection))
    try desk.protect(0) {
      $0.frozen = 0
      $0.fills = 1
    }
    try desk.quote(0, [(0, 99_000, 101_000)], 3)
    try desk.place(1, .sell, 99_000, 1)
    #expect(try desk.quote(0, [], 1) == .rejected(.quotesFrozen, .max, desk.machine.time.raw))
    try desk.turn()
    var again = try desk.rebuilt()
    #expect(again.protectionSlots.count == 1 && again.selfCheck() == nil)
    try desk.turn(after: 50_000)
    #expect(try desk.quote(0, [], 1).status == .rejected)
    try desk.send(0, [.resetProtection(UnderlyingID(0))])
    #expect(try desk.quote(0, [(0, 99_000, 0)], 1).figure1 == 1)
    try desk.protect(0) {
      $0.window = 0
      $0.frozen = 0
    }
    try desk.place(1, .sell, 99_000, 1)
    #expect(desk.machine.protectionSlots.isEmpty && desk.openCount(0) == 0)
    #expect(
      try desk.protect(0) {
        $0.underlying = UnderlyingID(9)
        $0.fills = 1
      } == .rejected(.unknownInstrument))
  }

  @Test("a fill-or-kill order finds what it counted, though it trips a protection on its way")
  func kill() throws {
    var desk = try Desk()
    try desk.protect(0) { $0.fills = 1 }
    try desk.quote(0, [(0, 0, 101_000)], 3)
    try desk.place(0, .sell, 101_010, 3)
    #expect(try desk.place(1, .buy, 101_010, 7, .fok) == .rejected(.notFillable, 7 * lot, 6 * lot))
    #expect(try desk.place(1, .buy, 101_010, 6, .fok).status == .filled)
  }

  @Test("a key of one market sets neither protection nor quotes")
  func scope() throws {
    var desk = try Desk()
    let key = TestWorld.key(556).publicKey
    try desk.send(0, [.addKey(key: key, markets: InstrumentID(0), expiry: Timestamp(raw: .max))])
    try desk.turn()
    let bundle = TestWorld.bundle(
      [
        .massQuote(MassQuote(underlying: UnderlyingID(0), entries: [], pullsOthers: true)),
        .resetProtection(UnderlyingID(0)), .timer(milliseconds: 0),
      ], account: Desk.client(0), key: key, nonce: 1,
      expiry: Timestamp(raw: desk.machine.time.raw + 1))
    var outcomes: [Outcome] = []
    try desk.machine.apply(bundle, into: &outcomes)
    #expect(outcomes == Array(repeating: .rejected(.outOfScope), count: 3))
  }
}
