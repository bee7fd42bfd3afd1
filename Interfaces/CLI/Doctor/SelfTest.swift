import Clearing
import Client
import Commitments
import Execution
import Instruments
import Primitives
import Settlement
import Wire

/// A sealed run of the whole stack in memory, from fixed keys: two accounts are funded, a price is
/// made, a trade is signed, sequenced, matched, cleared and settled, and an account is proved.
struct SelfTest: ~Copyable {
  private static let seed: UInt64 = 0x5EA1
  private static let start = Timestamp(raw: 1_767_225_600_000)

  private let builder: GenesisBuilder
  private let genesis: Genesis
  private let network: Digest
  private var execution: ExecutionMachine
  private var clearing: ClearingMachine
  private var replay: Replay
  private var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
  private var nonce: UInt64 = 0

  private init() throws {
    builder = GenesisBuilder(startTime: SelfTest.start)
    genesis = try builder.genesis(seed: SelfTest.seed)
    network = genesis.networkID
    execution = ExecutionMachine(genesis: genesis)
    clearing = ClearingMachine(genesis: genesis)
    replay = Replay(genesis: genesis)
  }

  /// What was done, in one line.
  /// - Throws: `CommandFailure` with the step that went wrong, or a machine's own failure.
  static func run() throws -> String {
    var test = try SelfTest()
    try test.fund()
    try test.trade()
    try test.checkConservation()
    try test.checkProof()
    return "2 batches sequenced, cleared and replayed; value conserved; an account proved"
  }

  private func require(_ condition: Bool, _ what: String) throws {
    if !condition { throw CommandFailure("expected \(what)") }
  }

  // MARK: - Steps

  private mutating func fund() throws {
    let (buyer, seller) = (builder.traders[0], builder.traders[1])
    let deposits = [buyer, seller].enumerated().map { place, trader in
      Action.deposit(
        asset: .quote, amount: Amount(raw: 100_000 * Money.scale),
        owner: genesis.accounts[trader.index], reference: UInt64(place + 1))
    }
    var bundles = [signed(deposits, .custodian, builder.custodian)]
    for (place, publisher) in builder.publishers.enumerated() {
      let index = Action.index(
        underlying: UnderlyingID(0), price: Price(raw: 50_000 * Price.scale),
        time: Timestamp(raw: SelfTest.start.raw + 1), sequence: 1)
      bundles.append(signed([index], .publisher(place + 1), publisher))
    }
    try batch(bundles, after: 2)
  }

  private mutating func trade() throws {
    let orders = [(Side.sell, builder.traders[1]), (Side.buy, builder.traders[0])]
    var bundles: [Bundle] = []
    for (side, trader) in orders {
      let order = Action.place(
        instrument: InstrumentID(0), side: side, price: Price(raw: 50_000 * Price.scale),
        quantity: Quantity(raw: Quantity.scale / 4), timeInForce: .gtc, postOnly: false,
        reduceOnly: false, clientID: 1)
      bundles.append(signed([order], .account(trader), trader))
    }
    let outcomes = try batch(bundles, after: 22)
    try require(
      outcomes.last?.status == .filled && outcomes.last?.figure1 == Quantity.scale / 4,
      "the buy order to fill 0.25, found \(outcomes.last.map { "\($0)" } ?? "no outcome")")
  }

  private func checkConservation() throws {
    let imbalance = clearing.imbalance(.quote)
    try require(imbalance == 0, "no imbalance of the quote asset, found \(imbalance)")
  }

  private mutating func checkProof() throws {
    let proof = clearing.accountProof(builder.traders[0])
    try require(proof.stateRoot == clearing.root, "a proof that leads to the state root")
    var reader = ByteReader(proof.encoded.rawSpan)
    let decoded = try AccountProof(reading: &reader)
    try require(decoded == proof, "the proof to decode to itself")
    var forged = proof
    forged.fields[0] = .zero
    try require(forged.stateRoot != clearing.root, "a forged proof to fail")
    let absent = clearing.accountProof(AccountID(UInt32(clearing.accountCount)))
    try require(
      absent.fields.isEmpty && absent.stateRoot == clearing.root, "a proof of absence")
  }

  // MARK: - A batch through three layers

  private mutating func signed(_ actions: [Action], _ role: KeyRole, _ account: AccountID)
    -> Bundle
  {
    nonce += 1
    return Bundle.signed(
      actions, account: account, nonce: nonce,
      expiry: Timestamp(raw: SelfTest.start.raw + 60_000), network: network,
      by: role.key(seed: SelfTest.seed))
  }

  @discardableResult
  private mutating func batch(_ bundles: [Bundle], after milliseconds: Int64) throws -> [Outcome] {
    try execution.openBatch(
      time: Timestamp(raw: SelfTest.start.raw + milliseconds), adopting: grants)
    var outcomes: [Outcome] = []
    for bundle in bundles {
      let received = try Bundle(bundle.bytes)
      try require(received.isSigned(network: network), "a signature that verifies")
      try execution.apply(received, into: &outcomes)
    }
    for outcome in outcomes where outcome.status == .rejected {
      throw CommandFailure("expected no rejection, found code \(outcome.code)")
    }
    let (header, body) = execution.closeBatch()
    execution.seal()
    let batch = SignedBatch(
      header: header, signature: KeyRole.execution.key(seed: SelfTest.seed).sign(header.id),
      body: body)
    let result = try clearing.apply(header, try BatchBody(body))
    clearing.seal()
    let clearance = SignedClearance(
      header: result.header,
      signature: KeyRole.clearing.key(seed: SelfTest.seed).sign(result.header.id),
      body: result.bodyBytes)
    try settle(batch, clearance)
    grants = [(result.header, result.body)]
    return outcomes
  }

  private mutating func settle(_ batch: SignedBatch, _ clearance: SignedClearance) throws {
    let bundles = try BatchBody(batch.body).bundles
    let faults = [
      Signatures.fault(batch, bundles: bundles, genesis: genesis, network: network),
      Signatures.fault(clearance, genesis: genesis),
    ]
    for fault in faults {
      if let fault { throw CommandFailure("\(fault)") }
    }
    let id = try replay.apply(batch, clearance)
    try require(id == clearance.header.id, "settlement to replay the same Clearance")
  }
}
