import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

/// A machine with funded clients and a market, in an open batch. Nothing of it is inlined: it would
/// be compiled again in every test.
struct Desk: ~Copyable {
  let genesis: Genesis
  var machine: ExecutionMachine
  var clearing: FakeClearing
  var maker: BundleMaker
  var pending: [(header: ClearingHeader, body: ClearanceBody)]
  var last: (header: ExecutionHeader, body: [UInt8])

  @inline(never)
  init(
    clients: Int = 4, cash: Int64 = 1_000_000_000, constants: Constants = Constants(),
    fees: Bool = true, priceBand: Int64 = 0, indexKey: UInt64 = 1,
    instruments: [Instrument]? = nil
  ) throws {
    let genesis = TestWorld.genesis(
      clients: clients,
      instruments: instruments ?? TestWorld.instruments(fees: fees, priceBand: priceBand),
      constants: constants)
    var machine = ExecutionMachine(genesis: genesis, indexKey: indexKey)
    var clearing = FakeClearing(genesis: genesis)
    try machine.openBatch(time: TestWorld.start, adopting: [])
    let last = machine.closeBatch()
    machine.seal()
    for client in 0..<clients { clearing.credit(Desk.client(client), cash) }
    let clearance = try clearing.clear(last.header, last.body) { Desk.market(&$0) }
    try machine.openBatch(time: TestWorld.start, adopting: [clearance])
    // A throwing initialiser of what cannot be copied sets everything at its end.
    self.last = last
    pending = []
    self.genesis = genesis
    self.clearing = clearing
    maker = BundleMaker(genesis: genesis)
    self.machine = machine
  }

  // `#expect` wants values it can copy.
  @inline(never)
  mutating func snapshot() -> [UInt8] { machine.snapshot() }
  @inline(never)
  mutating func selfCheck() -> String? { machine.selfCheck() }
  var eventCount: Int { machine.events.count }
  var isAhead: Bool { machine.isAheadOfClearing }
  @inline(never)
  func room(_ account: AccountID) -> Money { machine.room(account) }

  @inline(never)
  static func client(_ number: Int) -> AccountID {
    AccountID(UInt32(TestWorld.firstClient + number))
  }

  /// BTC at 1 000 with a smile, ETH at 100.
  @inline(never)
  static func market(_ body: inout ClearanceBody, at time: Timestamp = TestWorld.start) {
    body.indices = [
      IndexEntry(
        underlying: UnderlyingID(0), price: Price(raw: 1_000 * Price.scale), time: time),
      IndexEntry(underlying: UnderlyingID(1), price: Price(raw: 100 * Price.scale), time: time),
    ]
    body.slices = [
      SliceEntry(
        underlying: UnderlyingID(0),
        expiry: Timestamp(raw: TestWorld.start.raw + 10 * TestWorld.day),
        forward: Price(raw: 1_002 * Price.scale),
        parameters: TestWorld.smile(time: 10 * TestWorld.day), time: time)
    ]
  }

  /// Closes the batch, clears it, and opens the next with everything adopted, or with nothing.
  @inline(never)
  mutating func turn(
    adopting: Bool = true, after milliseconds: Int64 = 1_000,
    _ extra: (inout ClearanceBody) -> Void = { _ in }
  ) throws {
    last = machine.closeBatch()
    machine.seal()
    let clearance = try clearing.clear(last.header, last.body, extra)
    for opened in clearance.body.opened { maker.open(owner: opened.owner) }
    pending.append(clearance)
    let adopted = adopting ? pending : []
    if adopting { pending = [] }
    try machine.openBatch(
      time: Timestamp(raw: machine.time.raw + milliseconds), adopting: adopted)
  }

  /// Sends actions as their owner; their outcomes.
  @discardableResult
  @inline(never)
  mutating func send(_ client: Int, _ actions: [Action]) throws -> [Outcome] {
    let bundle = maker.bundle(Desk.client(client), actions, at: machine.time)
    var outcomes: [Outcome] = []
    try machine.apply(bundle, into: &outcomes)
    return outcomes
  }

  @discardableResult
  @inline(never)
  mutating func place(
    _ client: Int, _ side: Side, _ price: Int64, _ quantity: Int64, instrument: UInt32 = 0,
    _ timeInForce: TimeInForce = .gtc, postOnly: Bool = false, reduceOnly: Bool = false,
    clientID: UInt64 = 0
  ) throws -> Outcome {
    try send(
      client,
      [
        Desk.order(
          side, price, quantity, instrument: instrument, timeInForce, postOnly: postOnly,
          reduceOnly: reduceOnly, clientID: clientID)
      ])[0]
  }

  /// Price in hundredths, quantity in hundredths of a contract.
  @inline(never)
  static func order(
    _ side: Side, _ price: Int64, _ quantity: Int64, instrument: UInt32 = 0,
    _ timeInForce: TimeInForce = .gtc, postOnly: Bool = false, reduceOnly: Bool = false,
    clientID: UInt64 = 0
  ) -> Action {
    .place(
      instrument: InstrumentID(instrument), side: side, price: Price(raw: price * TestWorld.tick),
      quantity: Quantity(raw: quantity * TestWorld.lot), timeInForce: timeInForce,
      postOnly: postOnly, reduceOnly: reduceOnly, clientID: clientID)
  }

  /// The door's answer to a bundle with these fields.
  @inline(never)
  func refusal(
    _ actions: [Action] = [.cancelAll(instrument: .all)], account: AccountID = client(0),
    key: PublicKey? = nil, nonce: UInt64, life: Int64 = 1_000
  ) -> Refusal? {
    machine.door(
      TestWorld.bundle(
        actions, account: account,
        key: key ?? genesis.accounts[min(account.index, genesis.accounts.count - 1)],
        nonce: nonce, expiry: Timestamp(raw: machine.time.raw + life)))
  }
}

@Suite("The door") struct DoorTests {
  @Test("each check refuses with its own code, in the protocol's order")
  func order() throws {
    var constants = Constants()
    constants.bundlesPerSecondMax = 3
    var desk = try Desk(constants: constants)
    let stranger = TestWorld.key(99).publicKey
    #expect(desk.refusal(nonce: 1) == nil)
    // Everything is wrong at once: the first check in the order speaks.
    #expect(
      desk.refusal(account: AccountID(999), key: stranger, nonce: 1, life: -1) == .unknownAccount)
    #expect(desk.refusal(key: stranger, nonce: 1, life: -1) == .unknownKey)
    #expect(desk.refusal(nonce: 1, life: -1) == .expired)
    #expect(desk.refusal(nonce: 1, life: 0) == nil)
    #expect(desk.refusal(nonce: 1, life: 86_400_000) == nil)
    #expect(desk.refusal(nonce: 1, life: 86_400_001) == .expiryTooFar)
    #expect(desk.refusal(nonce: 1, life: .max - desk.machine.time.raw) == .expiryTooFar)
    for _ in 0..<3 { try desk.send(0, [.cancelAll(instrument: .all)]) }
    #expect(desk.refusal(nonce: 3) == .nonceUsed)
    #expect(desk.refusal(nonce: 4) == .rateLimited)
    // Another key, and the next second, have a bucket of their own.
    #expect(desk.refusal(account: Desk.client(1), nonce: 4) == nil)
    try desk.turn(after: 1_000)
    #expect(desk.refusal(nonce: 4) == nil)
  }

  @Test("a refused bundle changes nothing and keeps its nonce")
  func refusedIsFree() throws {
    var desk = try Desk()
    let before = desk.machine.snapshot()
    let late = TestWorld.bundle(
      [.cancelAll(instrument: .all)], account: Desk.client(0), key: desk.genesis.accounts[7],
      nonce: 5, expiry: Timestamp(raw: desk.machine.time.raw - 1))
    var outcomes: [Outcome] = []
    #expect(throws: ExecutionFailure.refused(.expired)) {
      try desk.machine.apply(late, into: &outcomes)
    }
    #expect(desk.snapshot() == before && outcomes.isEmpty)
    #expect(desk.refusal(nonce: 5) == nil)
  }

  @Test("a bundle uses its nonce whatever becomes of its actions")
  func rejectedUsesNonce() throws {
    var desk = try Desk()
    #expect(
      try desk.place(0, .buy, 50, 1, instrument: 77).code == OutcomeCode.unknownInstrument.rawValue)
    #expect(desk.refusal(nonce: 1) == .nonceUsed)
  }

  struct NonceRow: Sendable {
    let used: [UInt64], next: UInt64, refusal: Refusal?
  }

  @Test(
    "a nonce is free once, above the window always, below it never",
    arguments: [
      NonceRow(used: [], next: 0, refusal: nil), NonceRow(used: [0], next: 0, refusal: .nonceUsed),
      NonceRow(used: [0], next: 1, refusal: nil),
      NonceRow(used: [63], next: 0, refusal: nil),
      NonceRow(used: [64], next: 0, refusal: .nonceTooOld),
      NonceRow(used: [64], next: 1, refusal: nil),
      NonceRow(used: [1, 64], next: 1, refusal: .nonceUsed),
      NonceRow(used: [1, 65], next: 1, refusal: .nonceTooOld),
      NonceRow(used: [5, 3, 4], next: 3, refusal: .nonceUsed),
      NonceRow(used: [5, 3], next: 4, refusal: nil),
      NonceRow(used: [.max], next: .max, refusal: .nonceUsed),
      NonceRow(used: [.max], next: .max - 63, refusal: nil),
      NonceRow(used: [.max], next: .max - 64, refusal: .nonceTooOld),
      NonceRow(used: [1, 2, .max], next: 3, refusal: .nonceTooOld),
    ])
  func nonces(row: NonceRow) {
    var record = KeyRecord()
    for nonce in row.used {
      #expect(record.refusal(ofNonce: nonce) == nil)
      record.use(nonce: nonce)
    }
    #expect(record.refusal(ofNonce: row.next) == row.refusal)
  }

  @Test("the window agrees with a set of used nonces", arguments: [61, 62, 63] as [UInt64])
  func nonceTwin(seed: UInt64) {
    var generator = Generator(seed: seed)
    var record = KeyRecord()
    var used: Set<UInt64> = []
    var top: UInt64 = 0
    for _ in 0..<100_000 {
      let jump = generator.chance(3) ? 200 : 12
      let nonce = UInt64(max(0, Int64(top) + generator.within(-80...Int64(jump))))
      let expected: Refusal? =
        nonce + 63 < top ? .nonceTooOld : used.contains(nonce) ? .nonceUsed : nil
      if record.refusal(ofNonce: nonce) != expected {
        Issue.record("seed \(seed): nonce \(nonce) below \(top)")
        return
      }
      if expected == nil {
        record.use(nonce: nonce)
        used.insert(nonce)
        top = max(top, nonce)
      }
    }
  }

  @Test("past the run-ahead limit cancels still pass and the rest waits for clearing")
  func runAhead() throws {
    var constants = Constants()
    constants.runAheadMax = 3
    var desk = try Desk(constants: constants)
    let resting = try desk.place(0, .buy, 90_000, 1)
    // The clearance of batch 0 is adopted; batches 1, 2 and 3 are the run.
    try desk.turn(adopting: false)
    try desk.turn(adopting: false)
    #expect(desk.isAhead == false)
    try desk.turn(adopting: false)
    #expect(desk.isAhead == true)
    #expect(desk.refusal([Desk.order(.buy, 1, 1)], nonce: 90) == .clearingBehind)
    #expect(
      desk.refusal(
        [.cancelAll(instrument: .all), Desk.order(.buy, 1, 1)], nonce: 90) == .clearingBehind)
    let outcome = try desk.send(0, [.cancel(instrument: InstrumentID(0), order: resting.order)])
    #expect(outcome[0].status == .accepted)
    try desk.turn()
    #expect(desk.isAhead == false)
    #expect(desk.refusal([Desk.order(.buy, 1, 1)], nonce: 90) == nil)
  }

  @Test("a time that falls and a clearance out of turn are refused and change nothing")
  func opening() throws {
    var desk = try Desk()
    desk.last = desk.machine.closeBatch()
    desk.machine.seal()
    let good = try desk.clearing.clear(desk.last.header, desk.last.body)
    let time = desk.machine.time
    let before = desk.machine.snapshot()
    let early = Timestamp(raw: time.raw - 1)
    #expect(throws: ExecutionFailure.timeFalls(from: time, to: early)) {
      try desk.machine.openBatch(time: early, adopting: [])
    }
    let never = Timestamp(raw: .max)
    #expect(throws: ExecutionFailure.timeFalls(from: time, to: never)) {
      try desk.machine.openBatch(time: never, adopting: [])
    }
    var wrong = good
    wrong.header.batch = BatchNumber(2)
    #expect(
      throws: ExecutionFailure.clearance(expected: BatchNumber(1), found: BatchNumber(2))
    ) {
      try desk.machine.openBatch(time: time, adopting: [wrong])
    }
    #expect(throws: ExecutionFailure.self) {
      try desk.machine.openBatch(time: time, adopting: [good, good])
    }
    for break_ in DoorTests.lies {
      var bad = good
      break_.change(&bad.header, &bad.body)
      #expect(throws: ExecutionFailure.clearanceBody(batch: BatchNumber(1), field: break_.field)) {
        try desk.machine.openBatch(time: time, adopting: [bad])
      }
    }
    #expect(desk.snapshot() == before)
    try desk.machine.openBatch(time: time, adopting: [good])
  }

  struct Lie: Sendable {
    let field: String
    let change: @Sendable (inout ClearingHeader, inout ClearanceBody) -> Void
  }

  static let lies: [Lie] = [
    Lie(field: "chain") { header, _ in header.previous = .zero },
    Lie(field: "chain") { header, _ in header.network = .zero },
    Lie(field: "opened account") { _, body in
      body.opened.append(OpenedAccount(account: AccountID(900), owner: .zero))
    },
    Lie(field: "account") { _, body in
      body.accounts.append(AccountEntry(account: AccountID(900), flags: [], cash: .zero))
    },
    Lie(field: "balance") { _, body in
      body.balances.append(
        BalanceEntry(account: AccountID(7), asset: AssetID(9), amount: Amount(raw: 1)))
    },
    Lie(field: "position") { _, body in
      body.positions.append(
        PositionEntry(
          account: AccountID(7), instrument: InstrumentID(50), quantity: .zero, cost: .zero))
    },
    Lie(field: "instrument") { _, body in
      var instrument = TestWorld.instruments()[0]
      instrument.id = InstrumentID(9)
      body.instruments.append(instrument)
    },
    Lie(field: "instrument") { _, body in
      var instrument = TestWorld.instruments()[0]
      instrument.tick = Price(raw: 2 * instrument.tick.raw)
      body.instruments.append(instrument)
    },
    Lie(field: "oracle") { _, body in
      body.indices.append(
        IndexEntry(underlying: UnderlyingID(7), price: Price(raw: 1), time: .zero))
    },
    Lie(field: "oracle") { _, body in
      body.indices.append(IndexEntry(underlying: UnderlyingID(0), price: .zero, time: .zero))
    },
    Lie(field: "order") { _, body in
      for account in [8, 7] as [UInt32] {
        body.accounts.append(AccountEntry(account: AccountID(account), flags: [], cash: .zero))
      }
    },
    Lie(field: "directive") { _, body in
      body.directives.append(Directive(cancelAllOf: AccountID(900)))
    },
    Lie(field: "directive") { _, body in
      var directive = Directive(cancelAllOf: AccountID(7))
      directive.kindCode = 9
      body.directives.append(directive)
    },
  ]
}
