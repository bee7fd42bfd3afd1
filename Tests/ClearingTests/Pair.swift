import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

/// Execution and clearing in step: every batch adopts what clearing said of the one before.
struct Pair: ~Copyable {
  var execution: ExecutionMachine
  var clearing: ClearingMachine
  let genesis: Genesis
  private var maker: BundleMaker
  private(set) var time = TestWorld.start
  private var pending: [(header: ClearingHeader, body: ClearanceBody)] = []
  private var outgoing: [Wire.Bundle] = []
  private var references: UInt64 = 0
  private var sequence: UInt64 = 0
  /// Of the last batch.
  private(set) var receipts: [Receipt] = []

  init(
    margin: MarginTerms = TestWorld.collateral(), clients: Int = 4, fees: Bool = false,
    _ change: (inout Constants) -> Void = { _ in }
  ) {
    var constants = Constants()
    constants.auctionFast = 60_000
    change(&constants)
    genesis = TestWorld.genesis(
      clients: clients, instruments: TestWorld.instruments(fees: fees), constants: constants,
      margin: margin)
    execution = ExecutionMachine(genesis: genesis)
    clearing = ClearingMachine(genesis: genesis)
    maker = BundleMaker(genesis: genesis)
  }

  mutating func send(_ account: AccountID, _ actions: [Action]) {
    outgoing.append(maker.bundle(account, actions, at: time))
  }

  mutating func deposit(_ client: Int, _ amount: Int64, asset: AssetID = .quote) {
    references += 1
    let owner = genesis.accounts[House.client(client).index]
    send(
      TestWorld.custodian,
      [.deposit(asset: asset, amount: Amount(raw: amount), owner: owner, reference: references)])
  }

  /// Two publishers say the index of BTC.
  mutating func index(_ price: Int64) {
    say { sequence, time in
      .index(
        underlying: UnderlyingID(0), price: Price(raw: price * Price.scale), time: time,
        sequence: sequence)
    }
  }

  /// Two publishers say something now.
  mutating func say(_ word: (UInt64, Timestamp) -> Action) {
    sequence += 1
    for publisher in TestWorld.publishers.prefix(2) { send(publisher, [word(sequence, time)]) }
  }

  /// An order in the perpetual of BTC at 1 000.
  mutating func place(_ client: Int, _ side: Side, _ contracts: Int64) {
    send(
      House.client(client),
      [
        .place(
          instrument: InstrumentID(0), side: side, price: Price(raw: 1_000 * Price.scale),
          quantity: Quantity(raw: contracts * Quantity.scale), timeInForce: .gtc, postOnly: false,
          reduceOnly: false, clientID: 0)
      ])
  }

  mutating func withdraw(_ client: Int, _ amount: Int64, asset: AssetID) {
    send(
      House.client(client),
      [.withdraw(asset: asset, amount: Amount(raw: amount), destination: .zero)])
  }

  /// One batch through both; the outcomes of clients' actions.
  mutating func turn(after milliseconds: Int64 = 1_000) throws -> [Outcome] {
    try execution.openBatch(time: time, adopting: pending)
    var found: [Outcome] = []
    for bundle in outgoing {
      var outcomes: [Outcome] = []
      try execution.apply(bundle, into: &outcomes)
      if bundle.header.account.index >= TestWorld.firstClient { found += outcomes }
    }
    outgoing = []
    let fault = execution.selfCheck()
    #expect(fault == nil)
    let (header, body) = execution.closeBatch()
    execution.seal()
    let result = try clearing.apply(header, try BatchBody(body))
    clearing.seal()
    pending = [(result.header, result.body)]
    receipts = House.receipts(result)
    time = Timestamp(raw: time.raw + milliseconds)
    return found
  }
}
