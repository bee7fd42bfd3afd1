import Commitments
import Foundation
import Instruments
import Primitives
import TestSupport
import Testing

@testable import Wire

/// One fixed value of every message, and how its bytes are read back.
struct Sample: Sendable, CustomTestStringConvertible {
  let name: String
  let bytes: [UInt8]
  /// Decodes and encodes again.
  let again: @Sendable ([UInt8]) throws -> [UInt8]
  var testDescription: String { name }

  static let network = TestWorld.genesis(clients: 1).networkID
  static let account = AccountID(7)
  static let far = Timestamp(raw: TestWorld.start.raw + 60_000)

  static func digest(_ byte: UInt8) -> Digest {
    Digest([UInt8](repeating: byte, count: 32).rawSpan)
  }

  static let surface = Action.surface(
    underlying: UnderlyingID(1), expiry: far, forward: Price(raw: 100_200_000_000),
    parameters: TestWorld.smile(time: 60_000), time: TestWorld.start, sequence: 11)

  static var block: BlockTrade {
    BlockTrade.signed(
      instrument: InstrumentID(3), side: .sell, price: Price(raw: 5_000_000),
      quantity: Quantity(raw: 7_000_000), reference: 99, counterparty: AccountID(6), nonce: 5,
      expiry: far, network: network, by: TestWorld.ownerKey(AccountID(6)))
  }

  static var hedgedBlock: BlockTrade {
    BlockTrade.signed(
      instrument: InstrumentID(3), side: .sell, price: Price(raw: 5_000_000),
      quantity: Quantity(raw: 7_000_000),
      hedge: BlockLeg(
        instrument: InstrumentID(0), side: .buy, price: Price(raw: 9_000_000),
        quantity: Quantity(raw: 3_000_000)), reference: 99, counterparty: AccountID(6), nonce: 5,
      expiry: far, network: network, by: TestWorld.ownerKey(AccountID(6)))
  }

  /// Every kind of action, by name.
  static var actions: [(name: String, action: Action)] {
    [
      (
        "place",
        .place(
          instrument: InstrumentID(2), side: .sell, price: Price(raw: 123_000_000),
          quantity: Quantity(raw: 45_000_000), timeInForce: .gtc, postOnly: true,
          reduceOnly: true, clientID: 77)
      ),
      (
        "place-fok",
        .place(
          instrument: InstrumentID(0), side: .buy, price: Price(raw: .max),
          quantity: Quantity(raw: 1), timeInForce: .fok, postOnly: false, reduceOnly: false,
          clientID: 0)
      ),
      (
        "place-gtt",
        .order(
          OrderTerms(
            instrument: InstrumentID(2), side: .buy, price: Price(raw: 123_000_000),
            quantity: Quantity(raw: 45_000_000), timeInForce: .gtt, postOnly: .slide, clientID: 78,
            expiry: far, display: Quantity(raw: 5_000_000), selfTrade: .decrementBoth))
      ),
      (
        "market",
        .order(
          OrderTerms(
            instrument: InstrumentID(0), side: .sell, price: .zero, quantity: Quantity(raw: 9),
            timeInForce: .ioc, isReduceOnly: true, isMarket: true, selfTrade: .cancelTaker))
      ),
      (
        "trigger",
        .trigger(
          TriggerTerms(
            order: OrderTerms(
              instrument: InstrumentID(2), side: .sell, price: .zero,
              quantity: Quantity(raw: 45_000_000), timeInForce: .ioc, isReduceOnly: true,
              isMarket: true, clientID: 80, expiry: far, selfTrade: .cancelTaker),
            source: .index, direction: .falls, price: Price(raw: 123_000_001)))
      ),
      (
        "volatility",
        .volatility(
          VolatilityOrder(
            OrderTerms(
              instrument: InstrumentID(2), side: .sell, price: .zero,
              quantity: Quantity(raw: 45_000_000), timeInForce: .gtt, postOnly: .slide,
              isReduceOnly: true, clientID: 81, expiry: far, display: Quantity(raw: 5_000_000),
              selfTrade: .cancelBoth), volatility: Ratio(raw: 612_500_000)))
      ),
      (
        "replace",
        .replace(
          OrderReplacement(
            instrument: InstrumentID(2), name: .client(78), price: Price(raw: 7),
            quantity: Quantity(raw: 8), postOnly: .reject, selfTrade: .cancelBoth, newClientID: 79,
            expectedLeft: Quantity(raw: 9)))
      ),
      (
        "cancel-underlying", .cancelOrders(.underlying(UnderlyingID(1)), side: .sell)
      ),
      ("timer", .timer(milliseconds: 60_000)),
      (
        "protect",
        .protect(
          QuoteProtection(
            underlying: UnderlyingID(1), window: 1_000, frozen: 2_000, fills: 3,
            quantity: Quantity(raw: 4), delta: Quantity(raw: 5), vega: Money(raw: 6)))
      ),
      ("reset-protection", .resetProtection(UnderlyingID(1))),
      (
        "mass-quote",
        .massQuote(
          MassQuote(
            underlying: UnderlyingID(0),
            entries: [
              QuoteEntry(
                instrument: InstrumentID(0), bid: Price(raw: 5), bidQuantity: Quantity(raw: 6),
                ask: Price(raw: 7), askQuantity: Quantity(raw: 8)),
              QuoteEntry(
                instrument: InstrumentID(2), ask: Price(raw: 7), askQuantity: Quantity(raw: 8)),
            ], pullsOthers: true, postOnly: .slide, selfTrade: .cancelBoth))
      ),
      (
        "combination",
        .combination(
          Combination(
            legs: [
              CombinationLeg(
                instrument: InstrumentID(0), side: .sell, quantity: Quantity(raw: 6)),
              CombinationLeg(
                instrument: InstrumentID(2), side: .buy, quantity: Quantity(raw: 7),
                price: Price(raw: 8)),
            ], netLimit: Money(raw: -9), selfTrade: .cancelBoth))
      ),
      ("session", .openSession(.underlying(UnderlyingID(1)))),
      ("end-session", .endSession(number: 13)),
      ("disconnect", .disconnect(session: 14)),
      ("cancel", .cancel(instrument: InstrumentID(2), order: OrderID(12))),
      ("cancel-client", .cancelClient(instrument: InstrumentID(2), clientID: 77)),
      ("cancel-all", .cancelAll(instrument: .all)),
      ("add-key", .addKey(key: digest(0x11), markets: InstrumentID(4), expiry: far)),
      ("revoke-key", .revokeKey(key: digest(0x22))),
      (
        "withdraw", .withdraw(asset: AssetID(1), amount: Amount(raw: 5), destination: digest(0x33))
      ),
      (
        "deposit",
        .deposit(asset: .quote, amount: Amount(raw: 6), owner: digest(0x44), reference: 8)
      ),
      ("release", .release(withdrawal: 9, reference: digest(0x55))),
      (
        "index",
        .index(
          underlying: UnderlyingID(1), price: Price(raw: 10), time: TestWorld.start, sequence: 3)
      ),
      ("surface", surface),
      ("block", .block(block)),
      ("hedged-block", .block(hedgedBlock)),
      ("list", .list(TestWorld.instruments()[2])),
      ("halt", .halt(instrument: InstrumentID(1), halted: true)),
      ("margin", .margin(TestWorld.collateral())),
      (
        "bid",
        .bid(
          AuctionOffer(
            account: AccountID(9), stake: Money(raw: 10), worst: Money(raw: -11),
            part: Ratio(raw: 12)))
      ),
      (
        "impact",
        .impact(
          instrument: InstrumentID(4), price: Price(raw: 11), time: TestWorld.start, sequence: 5)
      ),
      ("open", .open(.isolated)),
      (
        "transfer", .transfer(asset: AssetID(1), amount: Amount(raw: 6), to: AccountID(10))
      ),
    ]
  }

  static func bundle(_ actions: [Action]) -> Wire.Bundle {
    Wire.Bundle.signed(
      actions, account: account, nonce: 3, expiry: far, network: network,
      by: TestWorld.ownerKey(account))
  }

  static var executionHeader: ExecutionHeader {
    var header = ExecutionHeader()
    header.term = 2
    header.network = network
    header.batch = BatchNumber(3)
    header.time = TestWorld.start
    header.previous = digest(1)
    header.preRoot = digest(2)
    header.postRoot = digest(3)
    header.creditBatch = BatchNumber(1)
    header.creditID = digest(4)
    header.transactionRoot = digest(5)
    header.eventRoot = digest(6)
    header.bundleCount = 7
    header.eventCount = 8
    header.bodyHash = digest(9)
    header.ruleSet = RuleSet.current
    return header
  }

  static var clearingHeader: ClearingHeader {
    var header = ClearingHeader()
    header.term = 2
    header.network = network
    header.batch = BatchNumber(3)
    header.time = TestWorld.start
    header.execution = digest(1)
    header.previous = digest(2)
    header.preRoot = digest(3)
    header.postRoot = digest(4)
    header.receiptsRoot = digest(5)
    header.bodyHash = digest(6)
    header.oracleRoot = digest(7)
    header.parametersRoot = digest(8)
    header.ruleSet = RuleSet.current
    header.receiptCount = 9
    header.accountCount = 10
    header.positionCount = 11
    header.directiveCount = 12
    header.logSizeBefore = 3
    header.logRootBefore = digest(13)
    return header
  }

  static let triggered = Triggered(
    OrderID(12), clientID: 80, of: AccountID(7), in: InstrumentID(2),
    Outcome(.filled, .done, 5, 0, order: OrderID(13)), index: 3)

  static let fill = Fill(
    cause: .match, takerSide: .sell, instrument: InstrumentID(2), trade: TradeID(4),
    maker: AccountID(7), taker: AccountID(8), price: Price(raw: 9_000_000),
    quantity: Quantity(raw: 2_000_000), makerOrder: OrderID(5), takerOrder: OrderID(6))

  static var batchBody: [UInt8] {
    var events = EventBuffer()
    events.append(fill)
    events.append(Instruction(kind: .withdraw, account: account, bundle: 1, record: 0))
    return BatchBody.encoded(
      bundles: [bundle([actions[0].action, actions[4].action]), bundle([actions[7].action])],
      events: events.bytes)
  }

  static var clearance: ClearanceBody {
    var body = ClearanceBody()
    body.opened = [OpenedAccount(account: AccountID(8), owner: digest(0x66))]
    body.accounts = [
      AccountEntry(account: AccountID(7), flags: [], cash: Money(raw: -5)),
      AccountEntry(account: AccountID(8), flags: .reduceOnly, cash: Money(raw: 6)),
    ]
    body.balances = [BalanceEntry(account: AccountID(7), asset: AssetID(1), amount: Amount(raw: 4))]
    body.positions = [
      PositionEntry(
        account: AccountID(7), instrument: InstrumentID(0), quantity: Quantity(raw: -3),
        cost: Money(raw: 2))
    ]
    body.indices = [
      IndexEntry(underlying: UnderlyingID(1), price: Price(raw: 9), time: TestWorld.start)
    ]
    body.slices = [
      SliceEntry(
        underlying: UnderlyingID(0), expiry: far, forward: Price(raw: 8),
        parameters: TestWorld.smile(time: 60_000), time: TestWorld.start)
    ]
    body.instruments = [TestWorld.instruments()[1]]
    body.directives = [
      Directive(cancelAllOf: AccountID(8)),
      Directive(
        close: AccountID(8), instrument: InstrumentID(1), side: .buy, quantity: Quantity(raw: 5),
        worst: Price(raw: 6)),
    ]
    body.margin = [TestWorld.collateral()]
    return body
  }

  static var acknowledgement: SignedAcknowledgement {
    let leaf = Acknowledgement(
      account: account, key: digest(0x77), nonce: 3, bundle: digest(0x88), batch: BatchNumber(4),
      index: 1,
      outcomes: [
        Outcome(.accepted, .done, 0, 5, order: OrderID(9)), .rejected(.priceOffTick, 3, 2),
      ])
    let leaves = [MerkleLog.leafHash(leaf.encoded), digest(0x99)]
    let group = AcknowledgementGroup(
      term: 1, network: network, number: 2, count: 2,
      root: MerkleLog.root(ofLeafHashes: leaves))
    return SignedAcknowledgement(
      group: group, signature: TestWorld.key(1).sign(group.id), place: 0, path: [leaves[1]],
      leaf: leaf)
  }

  private static func encoded(_ acknowledgement: SignedAcknowledgement) -> [UInt8] {
    var out = ByteWriter()
    acknowledgement.write(to: &out)
    return out.bytes
  }

  /// Every message.
  static let all: [Sample] =
    actions.map { name, action in
      Sample(name: "bundle-\(name)", bytes: bundle([action]).bytes) { try Wire.Bundle($0).bytes }
    } + [
      Sample(name: "bundle-all", bytes: bundle(actions.map(\.action)).bytes) {
        try Wire.Bundle($0).bytes
      },
      Sample(
        name: "signed-batch",
        bytes: {
          var header = executionHeader
          header.bodyByteCount = UInt32(batchBody.count)
          return SignedBatch(
            header: header, signature: TestWorld.key(1).sign(header.id), body: batchBody
          ).encoded
        }()
      ) { try SignedBatch(encoded: $0.rawSpan).encoded },
      Sample(
        name: "answer-nonce",
        bytes: NonceAnswer(top: 77, window: 0b1011).encoded
      ) { try NonceAnswer(decoding: $0.rawSpan).encoded },
      Sample(
        name: "judged",
        bytes: JudgedMessage(batch: BatchNumber(9), index: 2, isKept: false).encoded
      ) { try JudgedMessage(decoding: $0.rawSpan).encoded },
      Sample(
        name: "signed-clearance",
        bytes: {
          let body = clearance.encoded
          var header = clearingHeader
          header.bodyByteCount = UInt32(body.count)
          return SignedClearance(
            header: header, signature: TestWorld.key(2).sign(header.id), body: body
          ).encoded
        }()
      ) { try SignedClearance(encoded: $0.rawSpan).encoded },
      Sample(name: "batch-body", bytes: batchBody) {
        let body = try BatchBody($0)
        return BatchBody.encoded(bundles: body.bundles, events: body.events.array)
      },
      Sample(name: "clearance-body", bytes: clearance.encoded) {
        try ClearanceBody(encoded: $0.rawSpan).encoded
      },
      Sample(name: "acknowledgement", bytes: encoded(acknowledgement)) {
        var reader = ByteReader($0.rawSpan)
        let value = try SignedAcknowledgement(reading: &reader)
        try reader.finish()
        return encoded(value)
      },
      Sample(name: "genesis", bytes: TestWorld.genesis(clients: 1).encoded) {
        try Genesis(encoded: $0.rawSpan).encoded
      },
      Sample(
        name: "frozen",
        bytes: Frozen(
          layer: 2, field: 152, network: network, lastGood: BatchNumber(3), batch: BatchNumber(4),
          refused: digest(0xAA)
        ).withBytes { $0.array }
      ) {
        var reader = ByteReader($0.rawSpan)
        let value = try reader.read(canonical: Frozen.self)
        try reader.finish()
        return value.withBytes { $0.array }
      },
      Sample(name: "signed-frozen", bytes: frozen.encoded) {
        try SignedFrozen(encoded: $0.rawSpan).encoded
      },
      Sample(
        name: "follow",
        bytes: FollowMessage(
          .clearances, from: BatchNumber(3), through: BatchNumber(9), wantsEnd: true
        ).encoded
      ) { try FollowMessage(decoding: $0.rawSpan).encoded },
      Sample(name: "end", bytes: EndMessage(.clearances, next: BatchNumber(10)).encoded) {
        try EndMessage(decoding: $0.rawSpan).encoded
      },
      Sample(
        name: "follow-market",
        bytes: FollowMarketMessage(.market(InstrumentID(2)), after: BatchNumber(9)).encoded
      ) { try FollowMarketMessage(decoding: $0.rawSpan).encoded },
      Sample(name: "follow-account", bytes: FollowMarketMessage(.account(AccountID(7))).encoded) {
        try FollowMarketMessage(decoding: $0.rawSpan).encoded
      },
      Sample(name: "market", bytes: market.encoded) {
        try MarketUpdate(decoding: $0.rawSpan).encoded
      },
      Sample(name: "account-orders", bytes: accountOrders.encoded) {
        try AccountUpdate(decoding: $0.rawSpan).encoded
      },
    ]

  static var market: MarketUpdate {
    MarketUpdate(
      InstrumentID(2), isSnapshot: false, batch: BatchNumber(9), previous: BatchNumber(7),
      time: TestWorld.start, mark: Price(raw: 9_100_000), checksum: 0x0123_4567_89AB_CDEF,
      levels: [
        BookLevel(.buy, Price(raw: 9_000_000), Quantity(raw: 5), orders: 2),
        BookLevel(.sell, Price(raw: 9_200_000), .zero, orders: 0),
      ], trades: [fill])
  }

  static var accountOrders: AccountUpdate {
    AccountUpdate(
      AccountID(7), isSnapshot: true, batch: BatchNumber(9), previous: BatchNumber(.max),
      time: TestWorld.start,
      orders: [
        RestingOrder(
          id: OrderID(5), clientID: 99, account: AccountID(7), instrument: InstrumentID(2),
          side: .sell, price: Price(raw: 9_200_000), quantity: Quantity(raw: 3)),
        RestingOrder(
          id: OrderID(6), clientID: 0, account: AccountID(7), instrument: InstrumentID(2),
          side: .buy, price: .zero, quantity: Quantity(raw: 4), isWaiting: true),
      ], fills: [fill], triggered: [triggered], acknowledgements: [acknowledgement.leaf])
  }

  static var frozen: SignedFrozen {
    let statement = Frozen(
      layer: 1, field: 8, network: network, lastGood: BatchNumber(1), batch: BatchNumber(2),
      refused: digest(0xAB))
    return SignedFrozen(statement, signature: TestWorld.key(3).sign(statement.id))
  }
}

/// The golden vectors: `name hex`, one a line. `NOVATE_REGENERATE=1` writes the file anew.
enum Vectors {
  static let file = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/Wire/messages.txt")
  static let regenerates = ProcessInfo.processInfo.environment["NOVATE_REGENERATE"] == "1"

  static func read() throws -> [String: String] {
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
    let rows = lines.filter { !$0.hasPrefix("#") }.map { $0.split(separator: " ") }
    return Dictionary(uniqueKeysWithValues: rows.map { (String($0[0]), String($0[1])) })
  }

  static func write(_ samples: [(name: String, hex: String)]) throws {
    var text = """
      # Golden vectors of the wire: name and bytes. Kept for ever; regenerated only by
      # NOVATE_REGENERATE=1 swift test --filter WireTests

      """
    for sample in samples { text += "\(sample.name) \(sample.hex)\n" }
    try text.write(to: file, atomically: true, encoding: .utf8)
  }
}
