import Clearing
import Client
import Commitments
import Execution
import Instruments
import Primitives
import Wire
import Workloads

/// Both machines side by side, without processes between them.
struct BatchHouse: ~Copyable {
  /// Processor seconds of one batch: of opening, orders and close; of clearing, with what keeps it.
  struct Cost {
    var execution = 0.0
    var clearing = 0.0
    var fillCount = 0
  }

  /// Takes over what clearing made of a batch, in clearing's time: the delta and the seal at least.
  typealias Keep = (inout ClearingMachine, ClearingResult, _ batch: [UInt8]) throws -> Void

  let genesis: Genesis
  private let owners: [PublicKey]
  private let first: Int
  private var execution: ExecutionMachine
  private var clearing: ClearingMachine
  private var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
  private var nonces: [UInt64]
  private var references: UInt64 = 0
  private var ticks: UInt64 = 0
  private var time: Int64
  private var state: UInt64 = 0x4E6F_7661_7465
  /// Genesis takes no more accounts; the others are opened by deposits.
  private static let genesisAccountMax = 60_000
  private static let perpetual = InstrumentID(0)

  init(accounts: Int) throws {
    var builder = GenesisBuilder(startTime: Timestamp(raw: 1_700_000_000_000))
    builder.underlyings = ["BTC"]
    builder.listings = [
      Listing(
        try InstrumentName(underlying: "BTC", form: .perpetual), tick: NP1.tick, lot: NP1.lot)
    ]
    builder.publisherCount = 2
    builder.accountCount = min(accounts, BatchHouse.genesisAccountMax)
    genesis = try builder.genesis(seed: 1)
    first = builder.traders[0].index
    var owners = genesis.accounts
    for account in owners.count..<(first + accounts) {
      owners.append(KeyRole.account(AccountID(UInt32(account))).key(seed: 1).publicKey)
    }
    self.owners = owners
    nonces = Array(repeating: 0, count: owners.count)
    execution = ExecutionMachine(genesis: genesis)
    clearing = ClearingMachine(genesis: genesis)
    time = genesis.startTime.raw
  }

  /// Pays everybody, opens who is not there yet, makes a price and gives everybody a position; then everybody
  /// is weighed once.
  mutating func settleIn() throws {
    let dollars = min(1_000_000, 90_000_000_000 / Int64(owners.count))
    for start in stride(from: first, to: owners.count, by: 25_600) {
      var bundles = tick()
      for from in stride(from: start, to: min(start + 25_600, owners.count), by: 256) {
        let actions = (from..<min(from + 256, owners.count)).map { account in
          references += 1
          return Action.deposit(
            asset: .quote, amount: Amount(raw: dollars * Money.scale), owner: owners[account],
            reference: references)
        }
        bundles.append(try bundle(actions, of: 0))
      }
      _ = try run(bundles)
    }
    _ = try run([])
    for start in stride(from: first, to: owners.count - 1, by: 2_000) {
      var bundles: [Bundle] = []
      for account in start..<min(start + 2_000, owners.count) {
        bundles.append(
          try bundle([order(account % 2 == 0 ? .sell : .buy, id: 1)], of: account))
      }
      _ = try run(bundles)
    }
    // A house that runs has weighed everybody at some tick; only a new process has not.
    _ = try run(tick())
  }

  /// A batch of orders by accounts drawn from all of them, a buy after each sell.
  mutating func batch(orders: Int, tick isTick: Bool, keeping keep: Keep = BatchHouse.forget) throws
    -> Cost
  {
    var bundles = isTick ? tick() : []
    let traders = owners.count - first
    var place = 0
    for number in 0..<orders {
      // The buyer is never the seller.
      let step = 1 + Int(next() % UInt64(traders - 1))
      place = (place + step) % traders
      let account = first + place
      bundles.append(
        try bundle([order(number % 2 == 0 ? .sell : .buy, id: nonces[account] + 1)], of: account))
    }
    return try run(bundles, keeping: keep)
  }

  /// Keeps nothing.
  private static func forget(
    _ machine: inout ClearingMachine, _ result: ClearingResult, _ batch: [UInt8]
  ) {
    _ = machine.delta()
    machine.seal()
  }

  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  private func order(_ side: Side, id: UInt64) -> Action {
    .place(
      instrument: BatchHouse.perpetual, side: side, price: Price(raw: 1_000_000 * NP1.tick.raw),
      quantity: NP1.lot, timeInForce: .gtc, postOnly: false, reduceOnly: false, clientID: id)
  }

  private mutating func tick() -> [Bundle] {
    ticks += 1
    let price = Price(raw: (1_000_000 + Int64(ticks % 2)) * NP1.tick.raw)
    do {
      var bundles: [Bundle] = []
      for publisher in genesis.publishers {
        let action = Action.index(
          underlying: UnderlyingID(0), price: price, time: Timestamp(raw: time), sequence: ticks)
        bundles.append(try bundle([action], of: publisher.index))
      }
      return bundles
    } catch {
      preconditionFailure("a tick is well formed: \(error)")
    }
  }

  /// A bundle without a signature: the machines take what has been checked.
  private mutating func bundle(_ actions: [Action], of account: Int) throws -> Bundle {
    nonces[account] += 1
    return try Bundle.unsigned(
      actions, account: AccountID(UInt32(account)), key: owners[account], nonce: nonces[account],
      expiry: Timestamp(raw: time + 3_600_000))
  }

  /// One batch through both.
  private mutating func run(_ bundles: [Bundle], keeping keep: Keep = BatchHouse.forget) throws
    -> Cost
  {
    time += 20
    var outcomes: [Outcome] = []
    var cost = Cost()
    let start = ProcessorTime.ofThread
    try execution.openBatch(time: Timestamp(raw: time), adopting: grants)
    for bundle in bundles {
      outcomes.removeAll(keepingCapacity: true)
      try execution.apply(bundle, into: &outcomes)
    }
    let (header, bytes) = execution.closeBatch()
    _ = execution.delta()
    execution.seal()
    let closed = ProcessorTime.ofThread
    let body = try BatchBody(bytes)
    let result = try clearing.apply(header, body)
    try keep(&clearing, result, bytes)
    cost.execution = closed - start
    cost.clearing = ProcessorTime.ofThread - closed
    cost.fillCount = (0..<body.eventCount).count { body.eventKind($0) == .fill }
    grants = [(result.header, result.body)]
    return cost
  }

  var bytesPerAccount: Double {
    Double(execution.memory.accountBytes + clearing.memory.accountBytes) / Double(owners.count)
  }
}
