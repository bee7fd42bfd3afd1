import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

/// A clearing machine fed by hand-made batches: what an execution, honest or not, may send.
struct House: ~Copyable {
  let genesis: Genesis
  var machine: ClearingMachine
  var maker: BundleMaker
  var time = TestWorld.start
  var previous: Digest
  var number: UInt64 = 0
  var nextTrade: UInt64 = 1
  var credit: UInt64 = .max
  var sequence: UInt64 = 0
  var reference: UInt64 = 0
  /// The open batch.
  var bundles: [Bundle] = []
  var events: [Event] = []
  var last: ClearingResult?

  enum Event {
    case fill(Fill)
    case instruction(Instruction)
    case triggered(Triggered)
  }

  init(
    clients: Int = 4, constants: Constants = Constants(),
    instruments: [Instrument] = TestWorld.instruments(), margin: MarginTerms = .novate32
  ) {
    genesis = TestWorld.genesis(
      clients: clients, instruments: instruments, constants: constants, margin: margin)
    machine = ClearingMachine(genesis: genesis)
    maker = BundleMaker(genesis: genesis)
    previous = genesis.networkID
  }

  static func client(_ number: Int) -> AccountID {
    AccountID(UInt32(TestWorld.firstClient + number))
  }

  // MARK: - Filling the batch

  mutating func fill(
    buyer: Int, seller: Int, _ instrument: UInt32, price: Int64, quantity: Int64,
    takerSide: Side = .buy
  ) {
    fill(
      buyer: House.client(buyer), seller: House.client(seller), instrument, price: price,
      quantity: quantity, takerSide: takerSide)
  }

  mutating func fill(
    buyer: AccountID, seller: AccountID, _ instrument: UInt32, price: Int64, quantity: Int64,
    takerSide: Side = .buy
  ) {
    events.append(
      .fill(
        Fill(
          cause: .match, takerSide: takerSide, instrument: InstrumentID(instrument),
          trade: TradeID(nextTrade), maker: takerSide == .buy ? seller : buyer,
          taker: takerSide == .buy ? buyer : seller, price: Price(raw: price),
          quantity: Quantity(raw: quantity), makerOrder: OrderID(1), takerOrder: OrderID(2))))
    nextTrade += 1
  }

  mutating func instruct(_ account: AccountID, _ actions: [Action]) {
    let bundle = maker.bundle(account, actions, at: time)
    var index = 0
    while index < bundle.recordCount {
      let record = bundle.record(index)
      guard let kind = record.kind else { preconditionFailure("an action") }
      events.append(
        .instruction(
          Instruction(
            kind: kind, account: account, bundle: UInt32(bundles.count), record: UInt32(index))))
      index += record.recordCount
    }
    bundles.append(bundle)
  }

  mutating func deposit(_ account: AccountID, _ amount: Int64, asset: AssetID = .quote) {
    deposit(genesis.accounts[account.index], amount, asset: asset)
  }

  mutating func deposit(_ owner: PublicKey, _ amount: Int64, asset: AssetID = .quote) {
    reference += 1
    instruct(
      TestWorld.custodian,
      [.deposit(asset: asset, amount: Amount(raw: amount), owner: owner, reference: reference)])
  }

  /// Two publishers say the index.
  mutating func index(_ underlying: UInt16, _ price: Int64, at: Timestamp? = nil) {
    sequence += 1
    for publisher in TestWorld.publishers.prefix(2) {
      instruct(
        publisher,
        [
          .index(
            underlying: UnderlyingID(underlying), price: Price(raw: price), time: at ?? time,
            sequence: sequence)
        ])
    }
  }

  /// Two publishers say what the book of a perpetual would give.
  mutating func impact(_ instrument: UInt32, _ price: Int64) {
    sequence += 1
    for publisher in TestWorld.publishers.prefix(2) {
      instruct(
        publisher,
        [
          .impact(
            instrument: InstrumentID(instrument), price: Price(raw: price), time: time,
            sequence: sequence)
        ])
    }
  }

  /// Two publishers say the forward and a flat smile of the options' expiry.
  mutating func surface(_ forward: Int64) {
    sequence += 1
    let expiry = genesis.instruments[2].expiry
    for publisher in TestWorld.publishers.prefix(2) {
      instruct(
        publisher,
        [
          .surface(
            underlying: UnderlyingID(0), expiry: expiry, forward: Price(raw: forward),
            parameters: TestWorld.smile(time: expiry.raw - time.raw), time: time,
            sequence: sequence)
        ])
    }
  }

  // MARK: - Sending it

  /// The batch as execution would send it.
  mutating func batch() throws -> (header: ExecutionHeader, body: BatchBody) {
    var bytes = EventBuffer()
    for event in events {
      switch event {
      case .fill(let fill): bytes.append(fill)
      case .instruction(let instruction): bytes.append(instruction)
      case .triggered(let word): bytes.append(word)
      }
    }
    let body = try BatchBody(BatchBody.encoded(bundles: bundles, events: bytes.bytes))
    return (header(body), body)
  }

  func header(_ body: BatchBody) -> ExecutionHeader {
    var header = ExecutionHeader()
    header.term = 1
    header.network = genesis.networkID
    header.batch = BatchNumber(number)
    header.time = time
    header.previous = previous
    header.creditBatch = BatchNumber(credit)
    header.bundleCount = UInt32(body.bundles.count)
    header.eventCount = UInt32(body.eventCount)
    header.bodyByteCount = UInt32(body.bytes.count)
    header.bodyHash = SHA256.digest(body.bytes)
    header.ruleSet = genesis.ruleSet
    return header
  }

  /// Clears the open batch and begins the next, `milliseconds` later.
  @discardableResult
  mutating func clear(after milliseconds: Int64 = 1_000) throws -> ClearingResult {
    let (header, body) = try batch()
    let result = try machine.apply(header, body)
    machine.seal()
    next(header, after: milliseconds)
    last = result
    return result
  }

  /// Why a batch is refused; nil when it is cleared.
  mutating func failure(_ header: ExecutionHeader, _ body: BatchBody) -> ClearingFailure? {
    do throws(ClearingFailure) {
      _ = try machine.apply(header, body)
      return nil
    } catch {
      return error
    }
  }

  mutating func next(_ header: ExecutionHeader, after milliseconds: Int64) {
    previous = header.id
    number += 1
    bundles = []
    events = []
    time = Timestamp(raw: time.raw + milliseconds)
  }

  // MARK: - Reading it

  func cash(_ client: Int) -> Int64 { machine.view(House.client(client))?.cash.raw ?? .min }

  /// Cash less what positions cost: what netting must keep.
  func net(_ account: AccountID) -> Int64 {
    guard let view = machine.view(account) else { return .min }
    return view.cash.raw - view.positions.reduce(0) { $0 + $1.cost.raw }
  }

  func position(_ client: Int, _ instrument: UInt32) -> Int64 {
    machine.view(House.client(client))?.positions
      .first { $0.instrument.id.raw == instrument }?.quantity.raw ?? 0
  }

  var imbalances: [Int128] {
    genesis.assets.indices.map { machine.imbalance(AssetID(UInt16($0))) }
  }
  var isRestricted: [Bool] {
    (0..<genesis.accounts.count).map {
      machine.view(AccountID(UInt32($0)))?.flags.contains(.reduceOnly) ?? false
    }
  }
  var root: Digest { machine.root }
  mutating func snapshot() -> [UInt8] { machine.snapshot() }

  static func receipts(_ result: ClearingResult) -> [Receipt] {
    stride(from: 0, to: result.receipts.count, by: Receipt.byteCount).map {
      Receipt(result.receipts.rawSpan, at: $0)
    }
  }
}
