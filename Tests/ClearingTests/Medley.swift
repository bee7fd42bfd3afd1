import Commitments
import Foundation
import Instruments
import Margin
import Pricing
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

/// Every kind of action, from every kind of key, between two machines of which one lags.
struct Medley: ~Copyable {
  let genesis: Genesis
  var execution: ExecutionMachine
  var clearing: ClearingMachine
  var generator: Generator
  var time = TestWorld.start
  var batches: [(header: ExecutionHeader, body: [UInt8])] = []
  var results: [ClearingResult] = []
  /// How often each kind was accepted, by its code.
  var accepted = [Int](repeating: 0, count: 32)
  private var adopted = 0
  private var nonces: [PublicKey: UInt64] = [:]
  private var references: [UInt64] = [0, 0]
  private var sequence: UInt64 = 0
  private var price: Int64 = 1_000
  private var outgoing: [Wire.Bundle] = []
  private var placed: OrderTerms?
  private var quoted: [QuoteEntry]?

  static let clients = 6
  static let sessionKeys = 4
  /// How much longer than usual a batch lasts.
  private let pace: Int64

  /// Whether size costs something on entry.
  private let isSized: Bool

  /// The margin methods of a run: that of genesis and all that governance asks for.
  enum Methods { case novate32, span16, both }
  private let methods: Methods

  init(seed: UInt64, pace: Int64 = 1, sized: Bool = false, methods: Methods = .novate32) {
    isSized = sized
    self.methods = methods
    self.pace = pace
    var constants = Constants()
    constants.oracleDeviationMax = 100_000_000
    constants.confidenceBand = pace > 1 ? 200_000_000 : 100_000
    constants.holdBackBatchesMax = 3
    constants.runAheadMax = 6
    constants.activationNotice = 7
    constants.outflowDailyMax = 2_000_000_000
    constants.profitCountedMax = 1_000_000
    constants.auctionFast = 5_000 * pace
    constants.auctionSlow = 10_000 * pace
    constants.auctionInsolvent = 6_000 * pace
    constants.auctionFee = 5_000_000
    constants.auctionPayoutMax = 10_000_000
    constants.auctionPayoutDailyMax = 90_000_000
    var listed = TestWorld.instruments(
      expiry: 60_000 * pace, priceBand: 8_000_000,
      tiers: FeeTiers(
        count: 5, volume: Money(raw: 300 * Money.scale), makerStep: 30, takerStep: 60),
      samples: pace > 1 ? 9 : 0)
    // One that opens by a call, one that trades in auctions alone.
    listed[2].callDuration = 9_000
    listed[4].auctionInterval = 1_500
    // A later expiry, whose forward may tilt.
    for place in [1, 2] {
      var later = listed[place]
      later.id = InstrumentID(UInt32(listed.count))
      later.expiry = Timestamp(raw: later.expiry.raw + 86_400_000)
      listed.append(later)
    }
    var margin = TestWorld.collateral(
      accountMax: 300_000_000, method: methods == .span16 ? .span16 : .novate32)
    if sized {
      TestWorld.size(&listed)
      margin.openInterestLower = Ratio(raw: Ratio.scale / 8)
      margin.openInterestUpper = Ratio(raw: 3 * Ratio.scale)
      margin.peg = TestWorld.pegged
    }
    genesis = TestWorld.genesis(
      clients: Medley.clients, instruments: listed, constants: constants, margin: margin)
    execution = ExecutionMachine(genesis: genesis)
    clearing = ClearingMachine(genesis: genesis)
    generator = Generator(seed: seed)
  }

  private func client(_ number: Int) -> AccountID {
    AccountID(UInt32(TestWorld.firstClient + number))
  }

  /// A client's main account or, less often, another of his.
  private mutating func trader(_ number: Int) -> AccountID {
    let main = client(number)
    return generator.chance(60) ? main : generator.pick(execution.groups.group(of: main))
  }

  private static func sessionKey(_ client: Int, _ number: Int) -> SigningKey {
    TestWorld.key(9_000 + client * 10 + number)
  }

  mutating func step(_ number: Int) throws {
    let until = max(adopted, results.count - generator.below(4))
    try execution.openBatch(
      time: time, adopting: results[adopted..<until].map { ($0.header, $0.body) })
    adopted = until
    outgoing = []
    traffic(number)
    for bundle in outgoing where execution.door(bundle) == nil {
      var outcomes: [Outcome] = []
      try execution.apply(bundle, into: &outcomes)
      var record = 0
      for outcome in outcomes {
        let head = bundle.record(record)
        let kind = head.kind
        if outcome.status != .rejected, let kind { accepted[Int(kind.rawValue)] += 1 }
        record += head.recordCount
      }
    }
    let (header, body) = execution.closeBatch()
    execution.seal()
    results.append(try clearing.apply(header, try BatchBody(body)))
    clearing.seal()
    batches.append((header, body))
    time = Timestamp(raw: time.raw + pace * (100 + Int64(generator.below(1_500))))
  }

  private mutating func send(_ account: AccountID, _ actions: [Action], by key: PublicKey? = nil) {
    let key = key ?? genesis.accounts[execution.groups.main(of: account).index]
    let nonce = nonces[key, default: 0] + (generator.chance(90) ? 1 : 3)
    nonces[key] = nonce
    outgoing.append(
      TestWorld.bundle(
        actions, account: account, key: key, nonce: nonce,
        expiry: Timestamp(raw: time.raw + 30_000)))
  }

  private mutating func traffic(_ number: Int) {
    if number == 0 { fund() }
    bid()
    if number == 0 || pace > 1 || generator.chance(70) { oracle() }
    if generator.chance(25) { govern() }
    if generator.chance(20), clearing.withdrawals.count > 0 {
      send(
        TestWorld.custodian,
        [
          .release(
            withdrawal: UInt64(generator.below(clearing.withdrawals.count + 1)),
            reference: SHA256.digest([1]))
        ])
    }
    if generator.chance(15) { deposit(number) }
    for session in execution.openSessions where generator.chance(10) {
      outgoing.append(
        TestWorld.bundle(
          [.disconnect(session: session.number)], account: session.account,
          key: genesis.execution.object, nonce: session.number,
          expiry: Timestamp(raw: time.raw + 1_000)))
    }
    for _ in 0..<(4 + generator.below(14)) {
      let number = generator.below(Medley.clients)
      var actions: [Action] = []
      for _ in 0...generator.below(3) { actions.append(action(number)) }
      let session =
        generator.chance(25)
        ? Medley.sessionKey(number, generator.below(Medley.sessionKeys)).publicKey : nil
      send(trader(number), actions, by: session)
    }
  }

  private mutating func bid() {
    for frozen in 0..<execution.credits.count where execution.isFrozen(AccountID(UInt32(frozen))) {
      for _ in 0..<3 {
        let offer = AuctionOffer(
          account: AccountID(UInt32(frozen)),
          stake: Money(raw: generator.within(1...2_000_000_000)),
          worst: Money(raw: generator.within(-50_000_000...2_000_000_000)),
          part: Ratio(raw: generator.within(1...Ratio.scale)))
        send(trader(generator.below(Medley.clients)), [.bid(offer)])
      }
    }
  }

  private mutating func fund() {
    for number in 0..<Medley.clients {
      references[0] += 1
      references[1] += 1
      send(
        TestWorld.custodian,
        [
          .deposit(
            asset: .quote, amount: Amount(raw: 4_000_000_000),
            owner: genesis.accounts[client(number).index], reference: references[0]),
          .deposit(
            asset: AssetID(1), amount: Amount(raw: 900_000_000),
            owner: genesis.accounts[client(number).index], reference: references[1]),
        ])
    }
  }

  private mutating func deposit(_ number: Int) {
    references[0] += generator.chance(80) ? 1 : 0
    let owners: [PublicKey] = [
      .zero, TestWorld.key(7_700 + number).publicKey, genesis.accounts[client(0).index],
    ]
    send(
      TestWorld.custodian,
      [
        .deposit(
          asset: .quote, amount: Amount(raw: generator.within(1...60_000_000)),
          owner: generator.pick(owners), reference: references[0])
      ])
  }

  private mutating func oracle() {
    let isCrash = generator.chance(8)
    let step = max(1, price / (isCrash ? 4 : 50))
    price = min(3_000, max(200, price + (isCrash ? -step : generator.within(-step...step))))
    // The first word of all has a number too.
    sequence += generator.chance(92) || sequence == 0 ? 1 : 0
    let expiry = genesis.instruments[2].expiry
    for publisher in TestWorld.publishers where generator.chance(85) {
      let word = Timestamp(raw: time.raw - generator.within(-6_000...2_000))
      var actions: [Action] = [
        .index(
          underlying: UnderlyingID(0),
          price: Price(raw: price * Price.scale + generator.within(0...9_999_999)), time: word,
          sequence: sequence),
        .index(
          underlying: UnderlyingID(1), price: Price(raw: price * Price.scale / 10), time: time,
          sequence: sequence),
        .impact(
          instrument: InstrumentID(UInt32(pace > 1 ? 0 : generator.pick([0, 0, 4, 5]))),
          price: Price(raw: price * Price.scale + generator.within(-500_000_000...900_000_000)),
          time: time, sequence: sequence),
      ]
      var smile = TestWorld.smile(time: max(60_000, expiry.raw - time.raw))
      if isSized {
        let worth = Price(raw: generator.within(90_000_000...103_000_000))
        actions.append(
          .index(underlying: UnderlyingID(2), price: worth, time: time, sequence: sequence))
      }
      smile.a += generator.within(0...1_000)
      smile.b += generator.within(0...200_000_000)
      smile.m = generator.within(-50_000_000_000...50_000_000_000)
      for days in [0, 1] as [Int64] {
        actions.append(
          .surface(
            underlying: UnderlyingID(0), expiry: Timestamp(raw: expiry.raw + days * 86_400_000),
            forward: Price(raw: (price + generator.within(0...3)) * Price.scale),
            parameters: smile, time: word, sequence: sequence))
      }
      send(publisher, actions)
    }
  }

  private mutating func govern() {
    var terms = genesis.instruments[generator.pick([0, 4])]
    terms.tick = Price(raw: TestWorld.tick * generator.within(1...2))
    let instrument = InstrumentID(UInt32(generator.below(clearing.instrumentCount)))
    let action: Action =
      generator.chance(30)
      ? .list(terms) : .halt(instrument: instrument, halted: generator.chance(40))
    for member in TestWorld.governance where generator.chance(75) { send(member, [action]) }
    // Slow days are for funding: harsh terms would end them.
    guard pace == 1, generator.chance(40) else { return }
    var margin = TestWorld.collateral(
      haircut: generator.within(0...200_000_000), initial: generator.within(0...200_000_000),
      accountMax: generator.within(0...800_000_000), interest: generator.within(0...Ratio.scale))
    if methods == .span16 || methods == .both && generator.chance(60) {
      let terms = span(margin)
      for member in TestWorld.governance { send(member, [.margin(terms)]) }
      return
    }
    margin.lambda = Ratio(raw: generator.pick([0, 300_000_000, Ratio.scale]))
    margin.netDelta = Ratio(raw: generator.within(0...300_000_000))
    margin.hedgedDelta = Ratio(raw: generator.within(0...2 * margin.netDelta.raw))
    margin.shortOption = Ratio(raw: generator.within(0...200_000_000))
    margin.basisAdd = Ratio(raw: generator.within(0...50_000_000))
    margin.maintenanceFactor = Ratio(raw: generator.within(500_000_000...Ratio.scale))
    margin.volatilityUp = Ratio(raw: generator.within(100_000_000...900_000_000))
    margin.daysFloor = Ratio(raw: generator.within(0...3 * Ratio.scale))
    if isSized {
      margin.openInterestLower = Ratio(raw: generator.within(0...Ratio.scale))
      margin.openInterestUpper = Ratio(raw: generator.within(Ratio.scale + 1...4 * Ratio.scale))
      margin.peg = generator.chance(80) ? TestWorld.pegged : 0
      margin.depegThreshold = Ratio(raw: generator.within(900_000_000...Ratio.scale))
      margin.depegFactor = Ratio(raw: generator.within(0...10 * Ratio.scale))
      for place in 0..<3 {
        margin.slopes[place] = SlopeTerms(
          from: Ratio(raw: generator.within(0...Ratio.scale)),
          rate: Ratio(raw: generator.within(0...300_000_000)))
      }
    }
    for member in TestWorld.governance { send(member, [.margin(margin)]) }
  }

  /// Ranges of `span-16`, with the collateral of other terms.
  private mutating func span(_ terms: MarginTerms) -> MarginTerms {
    var margin = MarginTerms.span16
    (margin.collaterals, margin.interest) = (terms.collaterals, terms.interest)
    margin.lambda = Ratio(raw: generator.pick([0, 300_000_000, Ratio.scale]))
    margin.shortOption = Ratio(raw: generator.within(0...200_000_000))
    margin.maintenanceFactor = Ratio(raw: generator.within(500_000_000...Ratio.scale))
    margin.spanRange = Ratio(raw: generator.within(30_000_000...400_000_000))
    margin.spanVolatility = Ratio(raw: generator.within(0...900_000_000))
    margin.extremeMultiple = Ratio(raw: generator.within(0...9 * Ratio.scale))
    margin.extremeCover = Ratio(raw: generator.within(0...Ratio.scale))
    margin.lookahead = generator.within(0...100_000)
    return margin
  }

  private mutating func action(_ number: Int) -> Action {
    let instrument = InstrumentID(UInt32(generator.below(execution.instrumentCount + 1)))
    let orders = execution.openOrders(
      of: client(generator.chance(60) ? number : generator.below(Medley.clients)))
    switch generator.below(100) {
    case 0..<31: return place(instrument)
    case 31..<34: return volatility(instrument)
    case 34..<37: return combination()
    case 37..<45: return trigger(instrument)
    case 45..<55: return maker()
    case 55..<62: return replace(orders)
    case 62..<68:
      guard let order = orders.first else { return .cancelAll(instrument: instrument) }
      return .cancel(instrument: order.instrument, order: order.id)
    case 68..<72:
      return .cancelClient(instrument: instrument, clientID: UInt64(generator.below(6)))
    case 72..<75:
      return .cancelOrders(
        generator.chance(40)
          ? .underlying(UnderlyingID(UInt16(generator.below(3))))
          : .instrument(generator.chance(50) ? .all : instrument),
        side: generator.chance(50) ? nil : generator.chance(50) ? .buy : .sell)
    case 75..<82: return block(number, instrument)
    case 82..<88:
      return .addKey(
        key: Medley.sessionKey(number, generator.below(Medley.sessionKeys)).publicKey,
        markets: generator.chance(40)
          ? .all
          : generator.chance(50)
            ? instrument : .all(of: UnderlyingID(UInt16(generator.below(2)))),
        expiry: Timestamp(raw: time.raw + generator.within(1_000...20_000)))
    case 88..<91:
      return .revokeKey(
        key: Medley.sessionKey(number, generator.below(Medley.sessionKeys)).publicKey)
    case 91..<94: return subAccount(number)
    default:
      return .withdraw(
        asset: AssetID(UInt16(generator.below(3))),
        amount: Amount(raw: generator.within(1...90_000_000)), destination: SHA256.digest([9]))
    }
  }

  /// Another account of the owner, or money for one of his, or by mistake for a stranger's.
  private mutating func subAccount(_ number: Int) -> Action {
    let group = execution.groups.group(of: client(number))
    if generator.chance(group.count < 4 ? 50 : 3) {
      return .open(AccountMode.allCases[generator.below(3)])
    }
    return .transfer(
      asset: AssetID(UInt16(generator.below(20) / 9)),
      amount: Amount(raw: generator.within(1...900_000_000)),
      to: generator.chance(90) ? generator.pick(group) : client(generator.below(Medley.clients)))
  }

  private mutating func limit(_ instrument: InstrumentID) -> Price {
    let mark = execution.mark(instrument)?.raw ?? price * Price.scale
    let step = max(TestWorld.tick, mark / 1_500)
    let raw = (mark + generator.within(-10...10) * step) / TestWorld.tick * TestWorld.tick
    return Price(raw: max(TestWorld.tick, raw))
  }

  private mutating func place(_ instrument: InstrumentID) -> Action {
    if generator.chance(4), let placed { return .order(placed) }
    let tif: TimeInForce =
      generator.chance(50) ? .gtc : generator.chance(40) ? .gtt : generator.chance(50) ? .ioc : .fok
    let rests = tif == .gtc || tif == .gtt
    let quantity = generator.within(1...500)
    var terms = OrderTerms(
      instrument: instrument, side: generator.chance(50) ? .buy : .sell,
      price: limit(instrument), quantity: Quantity(raw: TestWorld.lot * quantity),
      timeInForce: tif,
      postOnly: rests && generator.chance(25) ? (generator.chance(50) ? .reject : .slide) : .no,
      isReduceOnly: generator.chance(15), isMarket: !rests && generator.chance(30),
      clientID: generator.chance(40) ? UInt64(generator.below(6)) : 0,
      selfTrade: SelfTradeMode(rawValue: UInt8(generator.below(tif == .fok ? 3 : 4)))
        ?? .cancelResting)
    if tif == .gtt { terms.expiry = Timestamp(raw: time.raw + generator.within(0...8_000)) }
    if terms.isMarket, generator.chance(50) { terms.price = .zero }
    if rests, quantity > 4, generator.chance(30) {
      terms.display = Quantity(raw: TestWorld.lot * generator.within(quantity / 70...quantity / 3))
    }
    placed = terms
    return .order(terms)
  }

  private mutating func volatility(_ instrument: InstrumentID) -> Action {
    guard case .order(var terms) = place(instrument) else { return .cancelAll(instrument: .all) }
    if generator.chance(90) { terms.instrument = InstrumentID(UInt32(2 + generator.below(2))) }
    terms.isMarket = false
    if terms.selfTrade == .decrementBoth { terms.selfTrade = .cancelTaker }
    return .volatility(
      VolatilityOrder(
        terms,
        volatility: Ratio(
          raw: generator.chance(80)
            ? generator.within(500_000_000...700_000_000)
            : generator.within(1...90_000_000_000))))
  }

  private mutating func combination() -> Action {
    var legs: [CombinationLeg] = []
    // Few legs and small ones often find what they ask for, many seldom.
    let isSmall = generator.chance(60)
    for number in 0..<execution.instrumentCount where generator.chance(40) || legs.count < 2 {
      guard legs.count < (isSmall ? 2 : 8) else { break }
      let instrument = InstrumentID(UInt32(number))
      legs.append(
        CombinationLeg(
          instrument: instrument, side: generator.chance(50) ? .buy : .sell,
          quantity: Quantity(raw: TestWorld.lot * generator.within(1...(isSmall ? 3 : 40))),
          price: generator.chance(70) ? .zero : limit(instrument)))
    }
    return .combination(
      Combination(
        legs: legs, netLimit: Money(raw: generator.within(-20_000_000...400_000_000)),
        selfTrade: [.cancelResting, .cancelTaker, .cancelBoth][generator.below(3)]))
  }

  /// A little away from where the market is, so that it comes there.
  private mutating func trigger(_ instrument: InstrumentID) -> Action {
    guard case .order(var terms) = place(instrument) else { return .cancelAll(instrument: .all) }
    if generator.chance(50) {
      terms = OrderTerms(
        instrument: generator.chance(70) ? InstrumentID(0) : instrument, side: terms.side,
        price: .zero, quantity: Quantity(raw: TestWorld.lot * generator.within(1...20)),
        timeInForce: .ioc, isMarket: true)
    }
    if terms.timeInForce == .ioc, generator.chance(30) {
      terms.expiry = Timestamp(raw: time.raw + generator.within(1...9_000))
    }
    let mark = execution.mark(instrument)?.raw ?? price * Price.scale
    let now = generator.chance(60) ? mark : price * Price.scale
    let direction: TriggerDirection = generator.chance(50) ? .rises : .falls
    let away = max(1, now / 3_000) * generator.within(-2...20)
    return .trigger(
      TriggerTerms(
        order: terms, source: now == mark ? .mark : .index, direction: direction,
        price: Price(raw: max(1, direction == .rises ? now + away : now - away))))
  }

  private mutating func maker() -> Action {
    let underlying = UnderlyingID(UInt16(generator.chance(90) ? 0 : generator.below(3)))
    switch generator.below(10) {
    case 0: return .timer(milliseconds: generator.chance(30) ? 0 : generator.within(1_000...4_000))
    case 1: return .resetProtection(underlying)
    case 3:
      guard let session = execution.openSessions.first, generator.chance(40) else {
        return .openSession(
          generator.chance(50)
            ? .instrument(.all)
            : generator.chance(50) ? .underlying(underlying) : .instrument(InstrumentID(0)))
      }
      return generator.chance(80)
        ? .endSession(number: session.number) : .disconnect(session: session.number)
    case 2:
      guard generator.chance(80) else {
        return .protect(QuoteProtection(underlying: underlying, window: 0, frozen: 0))
      }
      return .protect(
        QuoteProtection(
          underlying: underlying, window: generator.within(1...5_000),
          frozen: generator.chance(30) ? 0 : generator.within(1...3_000),
          fills: generator.chance(50) ? 0 : generator.within(1...4),
          quantity: Quantity(raw: TestWorld.lot * generator.within(1...900)),
          delta: Quantity(raw: TestWorld.lot * generator.within(0...400)),
          vega: Money(raw: generator.within(0...3_000_000))))
    default:
      var entries: [QuoteEntry] = []
      for number in 0..<(execution.instrumentCount + 1) where generator.chance(60) {
        let instrument = InstrumentID(UInt32(number))
        let (bid, ask) = (limit(instrument), limit(instrument))
        let size = Quantity(raw: TestWorld.lot * generator.within(1...300))
        if bid < ask {
          entries.append(
            QuoteEntry(
              instrument: instrument, bid: bid, bidQuantity: size, ask: ask, askQuantity: size))
        } else {
          entries.append(QuoteEntry(instrument: instrument, ask: bid, askQuantity: size))
        }
      }
      if generator.chance(30), let quoted { entries = quoted }
      quoted = entries
      return .massQuote(
        MassQuote(
          underlying: underlying, entries: entries,
          pullsOthers: entries.isEmpty || generator.chance(40),
          postOnly: [.no, .reject, .slide][generator.below(3)],
          selfTrade: SelfTradeMode(rawValue: UInt8(generator.below(4))) ?? .cancelResting))
    }
  }

  private mutating func replace(_ orders: [OpenOrder]) -> Action {
    guard !orders.isEmpty else { return .cancelAll(instrument: .all) }
    let old = generator.pick(orders)
    let quantity = old.quantity.raw + TestWorld.lot * generator.within(-40...15)
    return .replace(
      OrderReplacement(
        instrument: old.instrument,
        name: old.clientID != 0 && generator.chance(50) ? .client(old.clientID) : .order(old.id),
        price: generator.chance(50) ? old.price : limit(old.instrument),
        quantity: Quantity(raw: max(TestWorld.lot, quantity)),
        postOnly: generator.chance(70) ? .no : .slide,
        selfTrade: SelfTradeMode(rawValue: UInt8(generator.below(4))) ?? .cancelResting,
        newClientID: UInt64(generator.below(8)),
        expectedLeft: generator.chance(80) ? .zero : old.quantity))
  }

  private mutating func block(_ number: Int, _ instrument: InstrumentID) -> Action {
    let other = client((number + generator.below(Medley.clients)) % Medley.clients)
    let key = genesis.accounts[other.index]
    let nonce = nonces[key, default: 0] + (generator.chance(80) ? 1 : 0)
    nonces[key] = nonce
    var hedge: BlockLeg?
    if generator.chance(50) {
      let other = InstrumentID(UInt32(generator.pick([0, 0, 1, 1, 2, 4])))
      hedge = BlockLeg(
        instrument: other == instrument ? InstrumentID(3) : other,
        side: generator.chance(50) ? .buy : .sell, price: limit(other),
        quantity: Quantity(raw: TestWorld.lot * generator.within(1...100)))
    }
    var trade = BlockTrade.signed(
      instrument: instrument, side: generator.chance(50) ? .buy : .sell, price: limit(instrument),
      quantity: Quantity(raw: TestWorld.lot * generator.within(1...100)), hedge: hedge,
      reference: 1,
      counterparty: other, nonce: nonce, expiry: Timestamp(raw: time.raw + 5_000),
      network: genesis.networkID, by: TestWorld.ownerKey(other))
    if generator.chance(10) { trade.reference = 2 }
    return .block(trade)
  }
}
