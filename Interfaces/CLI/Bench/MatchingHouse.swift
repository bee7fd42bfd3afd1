import Clearing
import Client
import Execution
import Instruments
import Primitives
import Wire
import Workloads

/// NM-1 through the whole execution machine: door, nonces, admission by the credit rule, matching,
/// positions and margin sums. Two accounts trade, by side, so that the trades are the published ones;
/// orders of one side that follow one another are one bundle. Clearing runs between batches, and
/// only execution is timed.
struct MatchingHouse: ~Copyable {
  struct Figures {
    let operations: Int
    /// Processor seconds, the median of the runs: opening batches and carrying bundles out; closing
    /// them, with hashes and deltas.
    let applySeconds: Double
    let closeSeconds: Double
    let bundles: Int
    let rejections: Int
    let fold: UInt64
    let expected: UInt64?

    var isExact: Bool { fold == expected && rejections == 0 }

    private func nanoseconds(_ seconds: Double) -> String {
      fixed(seconds * 1e9 / Double(operations), 1)
    }

    var text: String {
      """
      machine     \(nanoseconds(applySeconds)) ns of processor an operation through the whole machine, \
      admission and margin sums included, and \(nanoseconds(closeSeconds)) to close its batch (hashes, \
      delta); \(operations) operations in \(bundles) bundles, fold \(MatchingReport.hex(fold))\
      \(isExact ? "" : ", DIFFERENT")
      """
    }

    var json: JSONValue {
      .object([
        ("operations", .number(String(operations))), ("bundles", .number(String(bundles))),
        ("apply_ns", .number(nanoseconds(applySeconds))),
        ("close_ns", .number(nanoseconds(closeSeconds))),
        ("rejections", .number(String(rejections))), ("fold", .string(MatchingReport.hex(fold))),
        ("is_exact", .bool(isExact)),
      ])
    }
  }

  static func measured(_ stream: NM1, rounds: Int) throws -> Figures {
    var runs: [Figures] = []
    for _ in 0..<rounds {
      var house = try MatchingHouse.opened()
      runs.append(try house.run(stream))
    }
    let apply = runs.map(\.applySeconds).sorted()[rounds / 2]
    let close = runs.map(\.closeSeconds).sorted()[rounds / 2]
    // One run that differs makes the whole different.
    let told = runs.first { !$0.isExact } ?? runs[0]
    return Figures(
      operations: told.operations, applySeconds: apply, closeSeconds: close,
      bundles: told.bundles, rejections: told.rejections, fold: told.fold,
      expected: told.expected)
  }

  private static let batchSize = 2_048
  private let owners: [PublicKey]
  private let publishers: [AccountID]
  /// Buys, then sells.
  private let traders: [AccountID]
  private var execution: ExecutionMachine
  private var clearing: ClearingMachine
  private var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
  private var nonces: [UInt64]
  private var ticks: UInt64 = 0
  private var time: Int64
  private var applySeconds = 0.0
  private var closeSeconds = 0.0
  private var rejections = 0
  /// The workload's id of each order the machine has numbered.
  private var ids: [UInt64] = [0]
  private var fold = NM1.Fold()

  /// A house with a price and two funded accounts.
  private static func opened() throws -> MatchingHouse {
    var builder = GenesisBuilder(startTime: Timestamp(raw: 1_700_000_000_000))
    builder.underlyings = ["BTC"]
    builder.listings = [
      Listing(
        try InstrumentName(underlying: "BTC", form: .perpetual), tick: NP1.tick, lot: NP1.lot)
    ]
    builder.publisherCount = 2
    builder.accountCount = 2
    // Two accounts stand for a whole market.
    builder.constants.openOrdersPerAccountMax = 65_536
    var house = MatchingHouse(try builder.genesis(seed: 1), traders: builder.traders)
    try house.fund()
    return house
  }

  private init(_ genesis: Genesis, traders: [AccountID]) {
    owners = genesis.accounts
    publishers = genesis.publishers
    self.traders = traders
    nonces = Array(repeating: 0, count: owners.count)
    execution = ExecutionMachine(genesis: genesis)
    clearing = ClearingMachine(genesis: genesis)
    time = genesis.startTime.raw
  }

  private mutating func fund() throws {
    var bundles = try tick()
    for (place, account) in traders.enumerated() {
      let deposit = Action.deposit(
        asset: .quote, amount: Amount(raw: 40_000_000_000 * Money.scale),
        owner: owners[account.index], reference: UInt64(place + 1))
      bundles.append(try bundle([deposit], of: AccountID(0)))
    }
    try batch(bundles)
    // What clearing granted for the first is adopted by the second, and traded on from the third.
    try batch(tick())
    try batch(tick())
    (applySeconds, closeSeconds, rejections) = (0, 0, 0)
  }

  private mutating func run(_ stream: NM1) throws -> Figures {
    var place = 0
    var bundleCount = 0
    while place < stream.operations.count {
      var bundles = try tick()
      let end = min(place + MatchingHouse.batchSize, stream.operations.count)
      while place < end {
        let side = stream.operations[place].side
        var actions: [Action] = []
        while place < end, actions.count < 64, stream.operations[place].side == side {
          let operation = stream.operations[place]
          if operation.kind != 1 { ids.append(operation.id) }
          actions.append(NP1.action(operation, on: InstrumentID(0)))
          place += 1
        }
        bundles.append(try bundle(actions, of: traders[Int(side)]))
        bundleCount += 1
      }
      try batch(bundles)
    }
    return Figures(
      operations: stream.operations.count, applySeconds: applySeconds, closeSeconds: closeSeconds,
      bundles: bundleCount, rejections: rejections, fold: fold.value,
      expected: NM1.expected.first { $0.count == stream.operations.count }?.fold)
  }

  private mutating func tick() throws -> [Bundle] {
    ticks += 1
    let price = Price(raw: (1_000_000 + Int64(ticks % 2)) * NP1.tick.raw)
    let action = Action.index(
      underlying: UnderlyingID(0), price: price, time: Timestamp(raw: time), sequence: ticks)
    var bundles: [Bundle] = []
    for publisher in publishers { bundles.append(try bundle([action], of: publisher)) }
    return bundles
  }

  /// A bundle without a signature: the machines take what has been checked.
  private mutating func bundle(_ actions: [Action], of account: AccountID) throws -> Bundle {
    nonces[account.index] += 1
    return try Bundle.unsigned(
      actions, account: account, key: owners[account.index], nonce: nonces[account.index],
      expiry: Timestamp(raw: time + 60_000))
  }

  private mutating func batch(_ bundles: [Bundle]) throws {
    time += 20
    var outcomes: [Outcome] = []
    let start = ProcessorTime.ofThread
    try execution.openBatch(time: Timestamp(raw: time), adopting: grants)
    for bundle in bundles { try execution.apply(bundle, into: &outcomes) }
    let applied = ProcessorTime.ofThread
    let (header, bytes) = execution.closeBatch()
    _ = execution.delta()
    execution.seal()
    closeSeconds += ProcessorTime.ofThread - applied
    applySeconds += applied - start
    rejections += outcomes.count { $0.status == .rejected }
    let body = try BatchBody(bytes)
    for index in 0..<body.eventCount where body.eventKind(index) == .fill {
      let fill = body.event(index, as: Fill.self)
      fold.add(
        maker: ids[Int(fill.makerOrder.number)], taker: ids[Int(fill.takerOrder.number)],
        price: fill.price.raw / NP1.tick.raw, quantity: UInt64(fill.quantity.raw / NP1.lot.raw))
    }
    let result = try clearing.apply(header, body)
    _ = clearing.delta()
    clearing.seal()
    grants = [(result.header, result.body)]
  }
}
