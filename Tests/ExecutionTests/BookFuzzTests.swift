import Instruments
import Margin
import Primitives
import TestSupport
import Testing
import Wire

import class Foundation.ProcessInfo

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
    /// The last order sent, to send it again.
    var placed: OrderTerms?
    var quoted: VolatilityOrder?
    var eventsSeen = 0
    var tradesSeen = 0
    var triggeredSeen = 0
    var price: [Int64] = [1_000, 100]
    let isFunded: Bool
    /// What the open batch was made of, to make it again.
    var adopted: [(header: ClearingHeader, body: ClearanceBody)] = []
    var bundles: [Bundle] = []

    init(
      seed: UInt64, isFunded: Bool, isSized: Bool = false, method: MarginTerms = .novate32
    ) {
      var instruments = TestWorld.instruments(expiry: 40_000, priceBand: 30_000_000)
      // One that trades in auctions, one that has a call now and then, one with both.
      instruments[1].auctionInterval = 2_500
      instruments[4].callDuration = 3_000
      instruments[0].callDuration = 1_500
      if seed % 3 == 0 { instruments[0].auctionInterval = 1_000 }
      var margin = method
      if isSized {
        TestWorld.size(&instruments)
        margin.openInterestLower = Ratio(raw: Ratio.scale / 2)
        margin.openInterestUpper = Ratio(raw: 8 * Ratio.scale)
        margin.peg = TestWorld.pegged
      }
      genesis = TestWorld.genesis(clients: 8, instruments: instruments, margin: margin)
      machine = ExecutionMachine(genesis: genesis)
      twin = BookTwin(genesis: genesis)
      clearing = FakeClearing(genesis: genesis)
      maker = BundleMaker(genesis: genesis)
      generator = Generator(seed: seed)
      self.isFunded = isFunded
    }

    var clients: [AccountID] { (0..<8).map { AccountID(UInt32(TestWorld.firstClient + $0)) } }

    @inline(never)
    mutating func open(_ time: Int64) throws {
      // Adopt at random all, some or none of what is there.
      let count =
        pending.isEmpty || twin.batch < 2 ? pending.count : generator.below(pending.count + 1)
      adopted = Array(pending.prefix(count))
      bundles = []
      pending.removeFirst(count)
      try machine.openBatch(time: Timestamp(raw: time), adopting: adopted)
      twin.open(
        time: time, adopting: adopted.map { ($0.header.batch.raw, $0.body) })
    }

    /// Closes the batch, hands `delta` and header on, and clears it.
    @inline(never)
    mutating func close(_ follow: (ExecutionHeader, [UInt8]) throws -> Void = { _, _ in }) throws {
      let (header, bytes) = machine.closeBatch()
      let delta = machine.delta()
      machine.seal()
      try follow(header, delta)
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
      halt(&extra)
      let settled = settle(&extra)
      if settled { move(&extra) }
      extra.instruments.sort { $0.id.raw < $1.id.raw }
      let clearance = try clearing.clear(header, bytes) { $0 = extra }
      for opened in clearance.body.opened { maker.open(owner: opened.owner) }
      pending.append(clearance)
      twin.batch += 1
    }

    /// Halts a perpetual now and then, for a batch or two.
    private mutating func halt(_ body: inout ClearanceBody) {
      for place in [0, 4] where generator.chance(isHalted[place] ? 60 : 4) {
        isHalted[place].toggle()
        var terms = genesis.instruments[place]
        terms.statusCode =
          (isHalted[place] ? InstrumentStatus.halted : InstrumentStatus.active).rawValue
        body.instruments.append(terms)
      }
    }
    private var isHalted = [false, false, false, false, false]

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
      if let peg = genesis.margin.pegUnderlying {
        let worth = Price(raw: generator.within(95_000_000...102_000_000))
        body.indices.append(
          IndexEntry(underlying: peg, price: worth, time: Timestamp(raw: now)))
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
    @inline(never)
    mutating func action() -> Action {
      let instrument = InstrumentID(UInt32(generator.chance(60) ? 0 : generator.below(5)))
      switch generator.below(100) {
      case 0..<8: return makerAction()
      case 8..<14: return trigger(instrument)
      case 14..<20: return generator.chance(25) ? session() : combination()
      case 20..<24: return generator.chance(25) ? block() : volatility()
      case 24..<70:
        let around = base(instrument.index)
        let side: Side = generator.chance(50) ? .buy : .sell
        let tick = TestWorld.tick
        let price = max(
          tick,
          (around + generator.within(-40...40) * max(tick, around / 1_000 / tick * tick)) / tick
            * tick)
        let flavour = generator.below(10)
        clientID += 1
        var terms = OrderTerms(
          instrument: instrument, side: side, price: Price(raw: price),
          quantity: Quantity(raw: TestWorld.lot * generator.within(1...(isFunded ? 400 : 250))),
          timeInForce: flavour == 0 ? .fok : flavour < 3 ? .ioc : .gtc,
          postOnly: flavour == 4 ? .reject : flavour == 5 ? .slide : .no,
          isReduceOnly: flavour == 6 || flavour == 1,
          clientID: generator.chance(20)
            ? 0 : generator.chance(5) ? (clientID > 30 ? clientID - 30 : 1) : clientID)
        if generator.chance(40) { season(&terms) }
        if generator.chance(5), let placed { return .order(placed) }
        placed = terms
        return .order(terms)
      case 70..<76: return replacement(instrument)
      case 76..<84:
        if generator.chance(15), !twin.triggers.isEmpty {
          let known = generator.pick(twin.triggers)
          return .cancel(instrument: known.record.instrument, order: OrderID(known.id))
        }
        let known = twin.orders.isEmpty ? 0 : generator.pick(twin.orders).id
        return .cancel(instrument: instrument, order: OrderID(generator.chance(10) ? 0 : known))
      case 84..<95:
        let known = twin.orders.isEmpty ? 0 : generator.pick(twin.orders).clientID
        return .cancelClient(instrument: instrument, clientID: known)
      case 95..<96:
        return .cancelOrders(
          generator.chance(30)
            ? .underlying(UnderlyingID(UInt16(generator.below(3))))
            : .instrument(generator.chance(20) ? .all : instrument),
          side: generator.chance(50) ? nil : generator.chance(50) ? .buy : .sell)
      case 96..<99:
        guard generator.chance(40) else { return subAccount() }
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

    /// The terms that few orders have.
    @inline(never)
    mutating func season(_ terms: inout OrderTerms) {
      terms.selfTrade = SelfTradeMode(rawValue: UInt8(generator.below(4))) ?? .cancelResting
      let rests = terms.timeInForce == .gtc
      if !rests {
        if terms.timeInForce == .fok, terms.selfTrade == .decrementBoth {
          terms.selfTrade = .cancelBoth
        }
        terms.isMarket = generator.chance(60)
        if terms.isMarket, generator.chance(50) { terms.price = .zero }
        return
      }
      if generator.chance(40) {
        terms.timeInForce = .gtt
        terms.expiry = Timestamp(raw: twin.time + generator.within(0...6_000))
      }
      if generator.chance(50), terms.quantity.raw > TestWorld.lot {
        let lots = terms.quantity.raw / TestWorld.lot
        terms.display = Quantity(
          raw: TestWorld.lot * generator.within(max(1, lots / 80)...max(1, lots / 3)))
        if terms.display >= terms.quantity { terms.display = .zero }
      }
    }

    @inline(never)
    private mutating func replacement(_ instrument: InstrumentID) -> Action {
      guard !twin.orders.isEmpty, generator.chance(95) else {
        return .replace(
          OrderReplacement(
            instrument: instrument, name: .client(clientID), price: Price(raw: TestWorld.tick),
            quantity: Quantity(raw: TestWorld.lot)))
      }
      let old = generator.pick(twin.orders)
      let step = TestWorld.tick * generator.within(-50...50)
      clientID += 1
      return .replace(
        OrderReplacement(
          instrument: InstrumentID(UInt32(old.instrument)),
          name: old.clientID != 0 && generator.chance(50)
            ? .client(old.clientID) : .order(OrderID(old.id)),
          price: Price(raw: max(TestWorld.tick, old.price + (generator.chance(50) ? 0 : step))),
          quantity: Quantity(
            raw: max(TestWorld.lot, old.left + TestWorld.lot * generator.within(-20...10))),
          postOnly: generator.chance(70) ? .no : generator.chance(50) ? .slide : .reject,
          selfTrade: SelfTradeMode(rawValue: UInt8(generator.below(4))) ?? .cancelResting,
          newClientID: generator.chance(70) ? 0 : clientID,
          expectedLeft: generator.chance(70)
            ? .zero : Quantity(raw: old.left + (generator.chance(80) ? 0 : 1))))
    }

    func base(_ instrument: Int) -> Int64 {
      switch instrument {
      case 4: price[1] * Price.scale
      case 2, 3: 40 * Price.scale
      default: price[0] * Price.scale
      }
    }

    /// Opens an account in cross mode for each of some clients, and pays it.
    @inline(never)
    mutating func openApart(_ count: Int, _ time: (Int) -> Int64) throws -> [AccountID] {
      let first = machine.accountCount
      for batch in 0..<12 {
        try open(time(batch))
        for (place, client) in clients.prefix(count).enumerated() where batch > 0 {
          let opened = AccountID(UInt32(first + place))
          let isOpen = machine.accountCount > opened.index
          guard isOpen || batch == 1 else { continue }
          let pay = Action.transfer(asset: .quote, amount: Amount(raw: 100_000_000), to: opened)
          let difference = try send([isOpen ? pay : .open(.cross)], by: client)
          #expect(difference == nil)
        }
        try close()
      }
      return (first..<machine.accountCount).map { AccountID(UInt32($0)) }
    }

    /// Sends one bundle of `count` actions to both; the first difference, or nil.
    @inline(never)
    mutating func step(_ count: Int) throws -> String? {
      let actions = (0..<count).map { _ in action() }
      var account = generator.pick(traders)
      // A cancel by its owner is worth more than one by a stranger.
      if let owner = owner(actions[0]), generator.chance(90) {
        account = AccountID(UInt32(owner))
      }
      if let sender = sender(actions[0]), generator.chance(90) { account = sender }
      if actions.count == 1, generator.chance(4), !twin.sessions.isEmpty {
        let lost = generator.pick(twin.sessions)
        account = AccountID(UInt32(lost.account))
        return try send(loss(lost.number, account), of: account, actions)
      }
      return try send(actions, by: account)
    }

    @inline(never)
    private mutating func send(_ actions: [Action], by account: AccountID) throws -> String? {
      let bundle = maker.bundle(account, actions, at: Timestamp(raw: twin.time))
      return try send(bundle, of: account, actions)
    }

    @inline(never)
    private mutating func send(_ bundle: Bundle, of account: AccountID, _ actions: [Action]) throws
      -> String?
    {
      var outcomes: [Outcome] = []
      try machine.apply(bundle, into: &outcomes)
      bundles.append(bundle)
      var expected: [Outcome] = []
      var place = 0
      for _ in actions {
        expected.append(twin.apply(bundle, at: place, account.index))
        place += bundle.record(place).recordCount
      }
      twin.isolations += expected.count {
        $0.code == OutcomeCode.tooManyPositions.rawValue && $0.figure2 == 1
      }
      guard outcomes == expected else {
        return "outcomes of \(actions): \(outcomes) against the twin's \(expected)"
      }
      return fillsDiffer() ?? roomDiffers(account)
    }

    /// Whose order a cancel or a replace is about.
    private func owner(_ action: Action) -> Int? {
      switch action {
      case .cancel(_, let order):
        return twin.orders.first { $0.id == order.raw }?.account
          ?? twin.triggers.first { $0.id == order.raw }?.account
      case .replace(let new):
        switch new.name {
        case .order(let order): return twin.orders.first { $0.id == order.raw }?.account
        case .client(let id): return twin.orders.first { $0.clientID == id }?.account
        }
      default: return nil
      }
    }

    @inline(never)
    private mutating func fillsDiffer() -> String? {
      var fills: [Fill] = []
      while eventsSeen < machine.events.count {
        let fill = machine.events.record(eventsSeen, as: Fill.self)
        if fill.kindCode == EventKind.fill.rawValue { fills.append(fill) }
        if fill.kindCode == EventKind.triggered.rawValue {
          if let fault = triggeredDiffers(at: eventsSeen) { return fault }
          triggeredSeen += 1
        }
        eventsSeen += 1
      }
      if triggeredSeen != twin.triggered.count {
        return "\(triggeredSeen) triggered, twin \(twin.triggered.count)"
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
      let (kept, summed) = (machine.room(left: account), twin.room(account.index))
      return kept == summed ? nil : "room of \(account): kept \(kept), twin \(summed)"
    }

    /// The resting orders of both, in time order.
    @inline(never)
    func restingDiffer() -> String? {
      var resting: [BookTwin.Order] = []
      for slot in 0..<machine.orders.count where machine.orders[slot].id.raw != 0 {
        let order = machine.orders[slot]
        let extra = machine.extraSlot(order).map { machine.extras[$0] } ?? .empty
        resting.append(
          BookTwin.Order(
            id: order.id.raw, clientID: order.clientID, account: order.account.index,
            instrument: order.instrument.index, side: order.isBuy ? .buy : .sell,
            price: order.price.raw, remaining: order.remaining.raw,
            isReduceOnly: order.isReduceOnly, expiry: extra.expiry.raw, display: extra.display.raw,
            hidden: extra.hidden.raw, fingerprint: order.fingerprint, isQuote: order.isQuote))
      }
      resting.sort { $0.id < $1.id }
      let expected = twin.orders.sorted { $0.id < $1.id }
      guard resting == expected else { return "resting \(resting), twin \(twin.orders)" }
      return sessionsDiffer() ?? makersDiffer() ?? waitingDiffers() ?? callsDiffer()
    }
  }

  @Test(
    "same outcomes, fills, rooms and resting orders as the twin",
    arguments: [
      (101, true), (102, false), (103, false), (104, true), (105, false), (106, false),
      (107, false), (108, true), (109, false), (110, false), (111, true),
    ] as [(UInt64, Bool)])
  func fuzz(seed: UInt64, isFunded: Bool) throws {
    var done = 0
    var filled = 0
    var tripped = 0
    var triggered = 0
    var auctions = 0
    var combined = 0
    var lost = 0
    var volatilities = 0
    var hedged = 0
    var (opened, transfers, isolations) = (0, 0, 0)
    var round = seed
    // A run lasts for one life of the expiring contracts, then another begins.
    while done < fuzzCount / 8 {
      var run = Run(
        seed: round, isFunded: isFunded, isSized: seed == 109,
        method: seed > 109 ? .span16 : .novate32)
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
      tripped += run.twin.trips
      triggered += run.twin.triggered.count
      auctions += run.twin.auctions
      combined += run.twin.combinations
      lost += run.twin.losses
      volatilities += run.twin.volatilityOrders
      hedged += run.twin.hedgedBlocks
      opened += run.twin.accounts.count - run.genesis.accounts.count
      transfers += run.twin.transfers
      isolations += run.twin.isolations
    }
    print(
      """
      seed \(seed): \(done) operations, \(filled) fills, \(tripped) trips, \(triggered) triggered, \
      \(auctions) auctions, \(combined) combinations, \(lost) sessions lost, \
      \(volatilities) in volatility, \(hedged) hedged blocks, \(opened) sub-accounts, \
      \(transfers) transfers, \(isolations) second contracts refused
      """)
    // A fuzz in which nothing trades proves nothing.
    #expect(filled > done / 30, "seed \(seed): \(filled) fills in \(done) operations")
    #expect(tripped > done / 2_000, "seed \(seed): \(tripped) trips in \(done) operations")
    #expect(triggered > done / 500, "seed \(seed): \(triggered) triggered in \(done) operations")
    #expect(combined > done / 1_000, "seed \(seed): \(combined) combinations in \(done) operations")
    #expect(lost > done / 1_000, "seed \(seed): \(lost) sessions lost in \(done) operations")
    #expect(
      volatilities > done / 200, "seed \(seed): \(volatilities) in volatility of \(done) operations"
    )
    #expect(opened > done / 2_000, "seed \(seed): \(opened) opened in \(done) operations")
    #expect(transfers > done / 2_000, "seed \(seed): \(transfers) transfers of \(done) operations")
    #expect(isolations > done / 2_000, "seed \(seed): \(isolations) refused of \(done) operations")
    #expect(hedged > done / 2_000, "seed \(seed): \(hedged) hedged blocks in \(done) operations")
    #expect(auctions > done / 1_000, "seed \(seed): \(auctions) auctions in \(done) operations")
  }
}
