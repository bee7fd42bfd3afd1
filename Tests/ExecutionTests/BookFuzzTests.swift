import Foundation
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

/// Operations of the differential fuzz; `NOVATE_FUZZ` asks for more.
let fuzzCount = ProcessInfo.processInfo.environment["NOVATE_FUZZ"].flatMap(Int.init) ?? 200_000

@Suite("Execution against its slow twin") struct BookFuzzTests {
  /// A machine, its twin and a clearing house, driven by one seed.
  struct Run: ~Copyable {
    let genesis: Genesis
    var machine: ExecutionMachine
    var twin: BookTwin
    var clearing: FakeClearing
    var maker: BundleMaker
    var generator: Generator
    var pending: [(header: ClearingHeader, body: ClearanceBody)] = []
    var clientID: UInt64 = 0
    var eventsSeen = 0
    var tradesSeen = 0
    var price: [Int64] = [1_000, 100]
    let isFunded: Bool

    init(seed: UInt64, isFunded: Bool) {
      genesis = TestWorld.genesis(clients: 8, instruments: TestWorld.instruments(expiry: 40_000))
      machine = ExecutionMachine(genesis: genesis)
      twin = BookTwin(genesis: genesis)
      clearing = FakeClearing(genesis: genesis)
      maker = BundleMaker(genesis: genesis)
      generator = Generator(seed: seed)
      self.isFunded = isFunded
    }

    var clients: [AccountID] { (0..<8).map { AccountID(UInt32(TestWorld.firstClient + $0)) } }

    mutating func open(_ time: Int64) throws {
      // Adopt at random all, some or none of what is there.
      let count = pending.isEmpty || twin.batch < 2 ? pending.count : generator.below(pending.count + 1)
      let adopted = Array(pending.prefix(count))
      pending.removeFirst(count)
      try machine.openBatch(time: Timestamp(raw: time), adopting: adopted)
      twin.open(
        time: time, adopting: adopted.map { ($0.header.batch.raw, $0.body) })
    }

    mutating func close() throws {
      let (header, bytes) = machine.closeBatch()
      machine.seal()
      let body = try BatchBody(bytes)
      #expect(header.eventCount == UInt32(body.eventCount))
      eventsSeen = 0
      let isFirst = twin.batch == 0
      if isFirst {
        for client in clients {
          clearing.credit(client, isFunded ? 1_000_000_000_000 : 2_000_000_000)
        }
      }
      var extra = ClearanceBody()
      if isFirst || generator.chance(40) { move(&extra) }
      if generator.chance(10) {
        let client = generator.pick(clients)
        clearing.restrict(client, generator.chance(50))
      }
      if generator.chance(10) { direct(&extra) }
      let settled = settle(&extra)
      if settled { move(&extra) }
      pending.append(try clearing.clear(header, bytes) { $0 = extra })
      twin.batch += 1
    }

    private mutating func move(_ body: inout ClearanceBody) {
      let now = twin.time
      body.indices = []
      body.slices = []
      for underlying in 0..<2 {
        let step = max(1, price[underlying] / 50)
        price[underlying] = max(10, price[underlying] + generator.within(-step...step))
        body.indices.append(
          IndexEntry(
            underlying: UnderlyingID(UInt16(underlying)),
            price: Price(raw: price[underlying] * Price.scale + Int64(generator.below(1_000_000))),
            time: Timestamp(raw: now)))
      }
      let expiry = genesis.instruments[2].expiry
      if expiry.raw > now {
        body.slices.append(
          SliceEntry(
            underlying: UnderlyingID(0), expiry: expiry,
            forward: Price(raw: (price[0] + 2) * Price.scale),
            parameters: TestWorld.smile(time: expiry.raw - now), time: Timestamp(raw: now)))
      }
    }

    private mutating func direct(_ body: inout ClearanceBody) {
      let client = generator.pick(clients)
      body.directives.append(Directive(cancelAllOf: client))
      let instrument = generator.below(5)
      let held = clearing.position(client, instrument)
      if held != 0 {
        body.directives.append(
          Directive(
            close: client, instrument: InstrumentID(UInt32(instrument)),
            side: held > 0 ? .sell : .buy, quantity: Quantity(raw: Int64(held.magnitude)),
            worst: Price(raw: held > 0 ? TestWorld.tick : 90_000 * Price.scale)))
      }
    }

    /// Once the expiring instruments have expired, they are settled at the index.
    private mutating func settle(_ body: inout ClearanceBody) -> Bool {
      guard twin.time >= genesis.instruments[1].expiry.raw,
        twin.instruments[1].status != .settled, !hasSettled
      else { return false }
      hasSettled = true
      for index in 1...3 {
        var instrument = genesis.instruments[index]
        instrument.settlementPrice = Price(raw: price[0] * Price.scale)
        instrument.statusCode = InstrumentStatus.settled.rawValue
        body.instruments.append(instrument)
        clearing.settle(index, at: instrument.payoff(at: instrument.settlementPrice).raw)
      }
      return true
    }
    private var hasSettled = false

    /// One random action of one client.
    mutating func action() -> Action {
      let instrument = InstrumentID(UInt32(generator.chance(60) ? 0 : generator.below(5)))
      switch generator.below(100) {
      case 0..<70:
        let around = base(instrument.index)
        let side: Side = generator.chance(50) ? .buy : .sell
        let tick = TestWorld.tick
        let price = max(tick, (around + generator.within(-40...40) * max(tick, around / 1_000 / tick * tick)) / tick * tick)
        let flavour = generator.below(10)
        clientID += 1
        return .place(
          instrument: instrument, side: side, price: Price(raw: price),
          quantity: Quantity(raw: TestWorld.lot * generator.within(1...(isFunded ? 400 : 250))),
          timeInForce: flavour == 0 ? .fok : flavour < 3 ? .ioc : .gtc,
          postOnly: flavour == 4 || flavour == 5, reduceOnly: flavour == 6 || flavour == 1,
          clientID: generator.chance(20) ? 0 : generator.chance(5) ? (clientID > 30 ? clientID - 30 : 1) : clientID)
      case 70..<84:
        let known = twin.orders.isEmpty ? 0 : generator.pick(twin.orders).id
        return .cancel(instrument: instrument, order: OrderID(generator.chance(10) ? 0 : known))
      case 84..<95:
        let known = twin.orders.isEmpty ? 0 : generator.pick(twin.orders).clientID
        return .cancelClient(instrument: instrument, clientID: known)
      case 95..<97:
        return .cancelAll(instrument: generator.chance(20) ? .all : instrument)
      case 97..<99:
        return .withdraw(
          asset: .quote, amount: Amount(raw: generator.within(1...400_000_000)),
          destination: Bytes32((1, 2, 3, 4)))
      default:
        // Off tick, off lot, too large, too dear, unknown.
        let prices: [Int64] = [1, TestWorld.tick, 100_001 * Price.scale]
        let quantities: [Int64] = [1, TestWorld.lot, 1_001 * Quantity.scale]
        return .place(
          instrument: InstrumentID(UInt32(generator.below(7))), side: .buy,
          price: Price(raw: generator.pick(prices)),
          quantity: Quantity(raw: generator.pick(quantities)), timeInForce: .gtc,
          postOnly: false, reduceOnly: false, clientID: 0)
      }
    }

    private func base(_ instrument: Int) -> Int64 {
      switch instrument {
      case 4: price[1] * Price.scale
      case 2, 3: 40 * Price.scale
      default: price[0] * Price.scale
      }
    }

    /// Sends one bundle of `count` actions to both; the first difference, or nil.
    mutating func step(_ count: Int) throws -> String? {
      let actions = (0..<count).map { _ in action() }
      var account = generator.pick(clients)
      // A cancel by its owner is worth more than one by a stranger.
      if case .cancel(_, let order) = actions[0],
        let owner = twin.orders.first(where: { $0.id == order.raw })?.account, generator.chance(90)
      {
        account = AccountID(UInt32(owner))
      }
      let bundle = maker.bundle(account, actions, at: Timestamp(raw: twin.time))
      var outcomes: [Outcome] = []
      try machine.apply(bundle, into: &outcomes)
      var expected: [Outcome] = []
      for index in 0..<count { expected.append(twin.apply(bundle.record(index), account.index)) }
      guard outcomes == expected else {
        return "outcomes of \(actions): \(outcomes) against the twin's \(expected)"
      }
      return fillsDiffer() ?? roomDiffers(account)
    }

    private mutating func fillsDiffer() -> String? {
      var fills: [Fill] = []
      while eventsSeen < machine.events.count {
        let fill = machine.events.record(eventsSeen, as: Fill.self)
        if fill.kindCode == EventKind.fill.rawValue { fills.append(fill) }
        eventsSeen += 1
      }
      let new = twin.trades[tradesSeen...]
      tradesSeen = twin.trades.count
      guard fills.count == new.count else { return "\(fills.count) fills, twin \(new.count)" }
      for (fill, trade) in zip(fills, new) {
        let same =
          fill.maker.index == trade.maker && fill.taker.index == trade.taker
          && fill.takerSide == trade.takerSide && fill.price.raw == trade.price
          && fill.quantity.raw == trade.quantity && fill.makerOrder.raw == trade.makerOrder
          && fill.takerOrder.raw == trade.takerOrder && fill.instrument.index == trade.instrument
        if !same { return "fill \(fill), twin \(trade)" }
      }
      return nil
    }

    private func roomDiffers(_ account: AccountID) -> String? {
      let (kept, summed) = (machine.risk.room(account), twin.room(account.index))
      return kept == summed ? nil : "room of \(account): kept \(kept), twin \(summed)"
    }

    /// The resting orders of both, in time order.
    func restingDiffer() -> String? {
      var resting: [BookTwin.Order] = []
      for slot in 0..<machine.orders.count where machine.orders[slot].id.raw != 0 {
        let order = machine.orders[slot]
        resting.append(
          BookTwin.Order(
            id: order.id.raw, clientID: order.clientID, account: order.account.index,
            instrument: order.instrument.index, side: order.isBuy ? .buy : .sell,
            price: order.price.raw, remaining: order.remaining.raw,
            isReduceOnly: order.isReduceOnly != 0))
      }
      resting.sort { $0.id < $1.id }
      return resting == twin.orders ? nil : "resting \(resting), twin \(twin.orders)"
    }
  }

  @Test(
    "same outcomes, fills, rooms and resting orders as the twin",
    arguments: [
      (101, true), (102, false), (103, false), (104, true), (105, false), (106, false),
      (107, false), (108, true),
    ] as [(UInt64, Bool)])
  func fuzz(seed: UInt64, isFunded: Bool) throws {
    var done = 0
    var filled = 0
    var round = seed
    // A run lasts for one life of the expiring contracts, then another begins.
    while done < fuzzCount / 8 {
      var run = Run(seed: round, isFunded: isFunded)
      round &+= 1_000
      for batch in 0..<60 {
        try run.open(TestWorld.start.raw + Int64(batch) * 1_000)
        for step in 0..<60 {
          let count = 1 + run.generator.below(3)
          if let difference = try run.step(count) {
            Issue.record("seed \(round - 1_000), batch \(batch), step \(step): \(difference)")
            return
          }
          done += count
        }
        let difference = run.restingDiffer() ?? run.machine.selfCheck()
        if let difference {
          Issue.record("seed \(round - 1_000), batch \(batch): \(difference)")
          return
        }
        try run.close()
      }
      filled += run.twin.trades.count
    }
    // A fuzz in which nothing trades proves nothing.
    #expect(filled > done / 30, "seed \(seed): \(filled) fills in \(done) operations")
  }
}
