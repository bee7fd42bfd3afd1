import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

@Suite("Keys and blocks") struct KeyTests {
  static let session = TestWorld.key(500).publicKey
  static let far = Timestamp(raw: TestWorld.start.raw + 1_000_000)

  private static func send(
    _ desk: inout Desk, key: PublicKey, nonce: UInt64, _ actions: [Action]
  ) throws -> [Outcome] {
    var outcomes: [Outcome] = []
    try desk.machine.apply(
      TestWorld.bundle(
        actions, account: Desk.client(0), key: key, nonce: nonce,
        expiry: Timestamp(raw: desk.machine.time.raw + 1_000)), into: &outcomes)
    return outcomes
  }

  @Test("a key is good from the next batch until the batch after its revocation")
  func life() throws {
    var desk = try Desk()
    let add = Action.addKey(key: Self.session, markets: .all, expiry: Self.far)
    #expect(try desk.send(0, [add])[0].status == .accepted)
    #expect(desk.refusal(key: Self.session, nonce: 1) == .unknownKey)
    #expect(try desk.send(0, [add])[0] == .rejected(.keyExists))
    try desk.turn()
    #expect(desk.refusal(key: Self.session, nonce: 1) == nil)
    #expect(
      try Self.send(&desk, key: Self.session, nonce: 1, [Desk.order(.buy, 1_000, 1)])[0].status
        == .accepted)
    #expect(try desk.send(0, [.revokeKey(key: Self.session)])[0].status == .accepted)
    #expect(try desk.send(0, [add])[0] == .rejected(.keyExists))
    #expect(desk.refusal(key: Self.session, nonce: 2) == nil)
    try desk.turn()
    #expect(desk.refusal(key: Self.session, nonce: 2) == .unknownKey)
    // Rescoped, it keeps its nonce window: what it once signed stays used.
    let narrow = Action.addKey(key: Self.session, markets: InstrumentID(1), expiry: Self.far)
    #expect(try desk.send(0, [narrow])[0].status == .accepted)
    try desk.turn()
    #expect(desk.refusal(key: Self.session, nonce: 1) == .nonceUsed)
    let outcomes = try Self.send(
      &desk, key: Self.session, nonce: 2,
      [
        Desk.order(.buy, 1_000, 1), Desk.order(.buy, 1_000, 1, instrument: 1),
        .cancelAll(instrument: .all),
        .trigger(
          TriggerTerms(
            order: OrderTerms(
              instrument: InstrumentID(0), side: .buy, price: Price(raw: TestWorld.tick),
              quantity: Quantity(raw: TestWorld.lot)),
            direction: .falls, price: Price(raw: 1))),
      ])
    #expect(outcomes[0] == .rejected(.outOfScope) && outcomes[3] == .rejected(.outOfScope))
    #expect(outcomes[1].status == .accepted && outcomes[2].status == .accepted)
  }

  @Test("a key of an underlying trades, quotes and protects its instruments, and no others")
  func underlyings() throws {
    var desk = try Desk()
    try desk.send(
      0, [.addKey(key: Self.session, markets: .all(of: UnderlyingID(0)), expiry: Self.far)])
    try desk.turn()
    func quote(_ underlying: UInt16, _ instrument: UInt32) -> Action {
      .massQuote(
        MassQuote(
          underlying: UnderlyingID(underlying),
          entries: [
            QuoteEntry(
              instrument: InstrumentID(instrument), bid: Price(raw: TestWorld.tick),
              bidQuantity: Quantity(raw: TestWorld.lot))
          ]))
    }
    func legs(_ second: UInt32) -> Action {
      .combination(
        Combination(
          legs: [0, second].map {
            CombinationLeg(
              instrument: InstrumentID($0), side: .buy, quantity: Quantity(raw: TestWorld.lot))
          }, netLimit: .zero))
    }
    let outcomes = try Self.send(
      &desk, key: Self.session, nonce: 1,
      [
        Desk.order(.buy, 1_000, 1), Desk.order(.buy, 1_000, 1, instrument: 1),
        Desk.order(.buy, 1_000, 1, instrument: 4), Desk.order(.buy, 1_000, 1, instrument: 9),
        quote(0, 0), quote(1, 4), .resetProtection(UnderlyingID(0)),
        .resetProtection(UnderlyingID(1)), .timer(milliseconds: 1_000), legs(1), legs(4),
      ])
    let codes = outcomes.map(\.code)
    let scope = OutcomeCode.outOfScope.rawValue
    #expect(
      codes == [
        0, 0, scope, scope, 0, scope, OutcomeCode.noProtection.rawValue, scope, scope,
        OutcomeCode.notFillable.rawValue, scope,
      ])
    #expect(InstrumentID.all.scopeOfUnderlying == nil && InstrumentID(4).scopeOfUnderlying == nil)
    #expect(
      InstrumentID.all(of: UnderlyingID(.max)).scopeOfUnderlying == UnderlyingID(.max))
  }

  @Test("a key expires at its time and not before")
  func expiry() throws {
    var desk = try Desk()
    let expiry = Timestamp(raw: desk.machine.time.raw + 1_000)
    try desk.send(0, [.addKey(key: Self.session, markets: .all, expiry: expiry)])
    try desk.turn(after: 1_000)
    #expect(desk.refusal(key: Self.session, nonce: 1) == nil)
    try desk.turn(after: 1)
    #expect(desk.refusal(key: Self.session, nonce: 1) == .unknownKey)
  }

  @Test("a session key trades and cancels, and nothing else")
  func sessionScope() throws {
    var desk = try Desk()
    try desk.send(0, [.addKey(key: Self.session, markets: .all, expiry: Self.far)])
    try desk.turn()
    let before = desk.room(Desk.client(0))
    let outcomes = try Self.send(
      &desk, key: Self.session, nonce: 1,
      [
        .withdraw(asset: .quote, amount: Amount(raw: 1), destination: .zero),
        .addKey(key: TestWorld.key(501).publicKey, markets: .all, expiry: Self.far),
        .revokeKey(key: Self.session),
        .deposit(asset: .quote, amount: Amount(raw: 1), owner: Self.session, reference: 1),
        .index(
          underlying: UnderlyingID(0), price: Price(raw: 1), time: TestWorld.start, sequence: 1),
        .halt(instrument: InstrumentID(0), halted: true),
      ])
    #expect(outcomes.prefix(3).allSatisfy { $0 == .rejected(.outOfScope) })
    #expect(outcomes.suffix(3).allSatisfy { $0 == .rejected(.notAuthorised) })
    #expect(desk.room(Desk.client(0)) == before && desk.eventCount == 0)
  }

  @Test("only the custodian deposits, publishers speak and members govern")
  func roles() throws {
    var desk = try Desk()
    let actions: [Action] = [
      .deposit(asset: .quote, amount: Amount(raw: 1), owner: Self.session, reference: 1),
      .release(withdrawal: 0, reference: .zero),
      .index(underlying: UnderlyingID(0), price: Price(raw: 1), time: TestWorld.start, sequence: 1),
      .list(TestWorld.instruments()[0]),
    ]
    let allowed = [
      (TestWorld.custodian, [true, true, false, false]),
      (TestWorld.publishers[1], [false, false, true, false]),
      (TestWorld.governance[2], [false, false, false, true]),
      (Desk.client(0), [false, false, false, false]),
    ]
    for (account, expected) in allowed {
      var outcomes: [Outcome] = []
      try desk.machine.apply(
        desk.maker.bundle(account, actions, at: desk.machine.time), into: &outcomes)
      #expect(outcomes.map { $0.status == .accepted } == expected, "account \(account)")
    }
    #expect(desk.eventCount == 4)
  }

  @Test("an account has at most its maximum of keys, and refuses unusable ones")
  func keyLimit() throws {
    var desk = try Desk()
    for number in 0..<15 {
      let key = TestWorld.key(600 + number).publicKey
      #expect(
        try desk.send(0, [.addKey(key: key, markets: .all, expiry: Self.far)])[0].status
          == .accepted)
    }
    #expect(
      try desk.send(0, [.addKey(key: Self.session, markets: .all, expiry: Self.far)])[0]
        == .rejected(.tooManyKeys))
    #expect(
      try desk.send(1, [.addKey(key: Bytes32((1, 0, 0, 0)), markets: .all, expiry: Self.far)])[0]
        == .rejected(.badKey))
    #expect(
      try desk.send(1, [.revokeKey(key: desk.genesis.accounts[8])])[0] == .rejected(.outOfScope))
    #expect(try desk.send(1, [.revokeKey(key: Self.session)])[0] == .rejected(.unknownKey))
  }

  // MARK: - Outflows

  @Test("a withdrawal is debited at once, and again not after its clearance")
  func outflow() throws {
    var desk = try Desk(cash: 100_000_000)
    let ask = Action.withdraw(asset: .quote, amount: Amount(raw: 60_000_000), destination: .zero)
    #expect(try desk.send(0, [ask])[0].status == .accepted)
    #expect(desk.room(Desk.client(0)).raw == 40_000_000)
    #expect(try desk.send(0, [ask])[0] == .rejected(.insufficientBalance, 60_000_000, 40_000_000))
    try desk.turn()
    #expect(desk.room(Desk.client(0)).raw == 40_000_000)
    #expect(desk.selfCheck() == nil)
    // Initial margin of the worst subset of open orders stays behind.
    #expect(try desk.place(0, .buy, 100_000, 20).status == .accepted)
    let room = desk.room(Desk.client(0)).raw
    #expect(room < 8_000_000)
    let rest = Action.withdraw(asset: .quote, amount: Amount(raw: room + 1), destination: .zero)
    #expect(try desk.send(0, [rest])[0] == .rejected(.insufficientMargin, -1, room))
    let all = Action.withdraw(asset: .quote, amount: Amount(raw: room), destination: .zero)
    #expect(try desk.send(0, [all])[0].status == .accepted)
  }

  @Test("another asset is withdrawn up to its balance, each debit at once")
  func otherAsset() throws {
    var desk = try Desk()
    let btc = AssetID(1)
    func ask(_ amount: Int64, _ asset: AssetID = btc) -> Action {
      .withdraw(asset: asset, amount: Amount(raw: amount), destination: .zero)
    }
    #expect(try desk.send(0, [ask(1)])[0] == .rejected(.insufficientBalance, 1, 0))
    #expect(try desk.send(0, [ask(1, AssetID(5))])[0] == .rejected(.unknownAsset))
    try desk.turn {
      $0.balances.append(BalanceEntry(account: Desk.client(0), asset: btc, amount: Amount(raw: 10)))
    }
    let outcomes = try desk.send(0, [ask(6), ask(6), ask(4)])
    #expect(outcomes.map(\.status) == [.accepted, .rejected, .accepted])
    #expect(outcomes[1] == .rejected(.insufficientBalance, 6, 4))
    // The clearance that granted the deposit is older than the debits: they still count.
    try desk.turn {
      $0.balances.append(BalanceEntry(account: Desk.client(0), asset: btc, amount: .zero))
    }
    #expect(try desk.send(0, [ask(1)])[0] == .rejected(.insufficientBalance, 1, 0))
  }

  // MARK: - Block trades

  private static func block(
    _ network: Digest, side: Side = .buy, price: Int64 = 100_000, quantity: Int64 = 10,
    by signer: AccountID = Desk.client(1), account: AccountID = Desk.client(1), nonce: UInt64 = 70,
    expiry: Int64 = 10_000
  ) -> BlockTrade {
    BlockTrade.signed(
      instrument: InstrumentID(0), side: side, price: Price(raw: price * TestWorld.tick),
      quantity: Quantity(raw: quantity * TestWorld.lot), reference: 5, counterparty: account,
      nonce: nonce, expiry: Timestamp(raw: TestWorld.start.raw + expiry), network: network,
      by: TestWorld.ownerKey(signer))
  }

  @Test("a block trade fills both sides at its price and uses both nonces")
  func blockTrade() throws {
    var desk = try Desk()
    let outcome = try desk.send(0, [.block(Self.block(desk.genesis.networkID))])[0]
    #expect(outcome == Outcome(.filled, .done, 10 * TestWorld.lot, 0))
    let fill = desk.machine.events.record(0, as: Fill.self)
    #expect(fill.buyer == Desk.client(0) && fill.seller == Desk.client(1))
    #expect(fill.causeCode == FillCause.block.rawValue && fill.isCanonical)
    #expect(desk.refusal(account: Desk.client(1), nonce: 70) == .nonceUsed)
    #expect(
      try desk.send(0, [.block(Self.block(desk.genesis.networkID))])[0]
        == .rejected(.counterpartyNonce))
    #expect(desk.selfCheck() == nil)
    try desk.turn()
    #expect(desk.selfCheck() == nil)
  }

  @Test("a forged, foreign, stale or self block trade is refused and keeps the nonce")
  func forgedBlock() throws {
    var desk = try Desk(cash: 100_000_000)
    let network = desk.genesis.networkID
    var cases: [(BlockTrade, OutcomeCode)] = []
    var changed = Self.block(network)
    changed.leg.price = Price(raw: changed.leg.price.raw + TestWorld.tick)
    cases.append((changed, .counterpartySignature))
    changed = Self.block(network)
    changed.leg.quantity = Quantity(raw: changed.leg.quantity.raw + TestWorld.lot)
    cases.append((changed, .counterpartySignature))
    changed = Self.block(network)
    changed.leg.side = .sell
    cases.append((changed, .counterpartySignature))
    changed = Self.block(network)
    changed.reference += 1
    cases.append((changed, .counterpartySignature))
    changed = Self.block(network)
    changed.counterparty.nonce += 1
    cases.append((changed, .counterpartySignature))
    changed = Self.block(network)
    changed.counterparty.recordCount = 2
    cases.append((changed, .counterpartySignature))
    changed = Self.block(network)
    changed.counterparty.account = Desk.client(2)
    cases.append((changed, .unknownKey))
    cases.append((Self.block(.zero), .counterpartySignature))
    cases.append((Self.block(network, by: Desk.client(2)), .unknownKey))
    cases.append((Self.block(network, account: AccountID(900)), .unknownAccount))
    cases.append((Self.block(network, by: Desk.client(0), account: Desk.client(0)), .selfTrade))
    cases.append((Self.block(network, expiry: -1), .counterpartyExpired))
    cases.append((Self.block(network, expiry: 90_000_000), .counterpartyExpired))
    cases.append((Self.block(network, price: 100_001_00 * 2), .priceTooHigh))
    cases.append((Self.block(network, quantity: 900), .insufficientMargin))
    for (trade, code) in cases {
      let outcome = try desk.send(0, [.block(trade)])[0]
      #expect(outcome.code == code.rawValue, "\(trade)")
      #expect(outcome.status == .rejected)
    }
    #expect(desk.eventCount == 0)
    #expect(desk.refusal(account: Desk.client(1), nonce: 70) == nil)
    #expect(try desk.send(0, [.block(Self.block(network))])[0].status == .filled)
  }

  @Test("a block checked by the caller and one checked here end alike, whatever the index key")
  func checkedElsewhere() throws {
    var forged = Self.block(TestWorld.genesis(clients: 4).networkID, nonce: 71)
    forged.reference += 1
    var headers: [ExecutionHeader] = []
    var outcomes: [[Outcome]] = []
    for (isChecked, indexKey) in [(false, 1), (true, 1), (true, 0xFEED_F00D)] as [(Bool, UInt64)] {
      var desk = try Desk(indexKey: indexKey)
      let network = desk.genesis.networkID
      let bundle = desk.maker.bundle(
        Desk.client(0),
        [
          .block(forged), Desk.order(.buy, 99_000, 1, clientID: 7),
          .block(Self.block(network, nonce: 72)), .block(Self.block(network, nonce: 72)),
          .cancelClient(instrument: InstrumentID(0), clientID: 7),
        ], at: desk.machine.time)
      #expect(bundle.blockTrades.map { $0.isSigned(network: network) } == [false, true, true])
      var found: [Outcome] = []
      try desk.machine.apply(
        bundle,
        counterparties: isChecked
          ? bundle.blockTrades.map { $0.isSigned(network: network) } : [nil],
        into: &found)
      outcomes.append(found)
      try desk.turn()
      headers.append(desk.last.header)
    }
    #expect(
      outcomes[0].map(\.code)
        == [OutcomeCode.counterpartySignature, .done, .done, .counterpartyNonce, .done].map(
          \.rawValue))
    #expect(outcomes[1] == outcomes[0] && outcomes[2] == outcomes[0])
    #expect(headers[1] == headers[0] && headers[2] == headers[0])
  }

  @Test("a bundle's signature under the block tag, or a block's under the bundle tag, is no good")
  func tagsApart() throws {
    let network = TestWorld.genesis(clients: 4).networkID
    var trade = Self.block(network)
    var out = ByteWriter()
    trade.counterparty.write(to: &out)
    let id = ObjectID.of(tag: Bundle.tag, network: network, bytes: out.bytes.rawSpan)
    #expect(trade.isSigned(network: network))
    trade.signature = TestWorld.ownerKey(Desk.client(1)).sign(id)
    #expect(!trade.isSigned(network: network))
  }
}
