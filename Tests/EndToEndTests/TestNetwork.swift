import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

/// Three real layers in a temporary folder, and clients with seeded keys.
final class TestNetwork {
  static let seed: UInt64 = 0x4E6F_7661_7465
  let folder: String
  let builder: GenesisBuilder
  let genesis: Genesis
  let network: Digest
  private(set) var layers: [String: LayerProcess] = [:]
  /// An operator's settings for every layer started from now on.
  var config: String?
  private let seed: UInt64
  private var nonces: [AccountID: UInt64] = [:]

  static var programs: String {
    if let path = unsafe getenv("NOVATE_BIN") { return unsafe String(cString: path) }
    return Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/.build/release"
  }

  init(
    _ name: String, seed: UInt64 = TestNetwork.seed,
    _ change: (inout Constants) -> Void = { _ in },
    build: (inout GenesisBuilder) -> Void = { _ in }
  ) throws {
    self.seed = seed
    folder = "/tmp/novate-\(name)-\(getpid())-\(UInt32.random(in: 0..<1_000_000))"
    var builder = GenesisBuilder(startTime: Timestamp(raw: 1_770_000_000_000))
    builder.name = "novate-test"
    build(&builder)
    change(&builder.constants)
    self.builder = builder
    genesis = try builder.genesis(seed: seed)
    network = genesis.networkID
    try Files.makeFolder(folder)
    try Files.makeFolder(folder + "/keys", mode: 0o700)
    for role in builder.roles {
      try KeyFile.write(
        role.key(seed: seed), to: "\(folder)/keys/\(role.fileName)")
    }
    try Files.create(folder + "/genesis.json", Array(genesis.json.utf8))
  }

  deinit {
    layers = [:]
    _ = try? Command.run("/bin/rm", ["-rf", folder])
  }

  func address(_ name: String) -> String { "unix:\(folder)/\(name).sock" }

  static let peers = [
    "execution": ["clearing"], "clearing": ["execution"],
    "settlement": ["execution", "clearing"],
  ]

  func start(_ name: String, data: String? = nil) throws {
    var arguments = [
      "--genesis", folder + "/genesis.json", "--data", data ?? "\(folder)/\(name)",
      "--listen", address(name),
    ]
    for peer in TestNetwork.peers[name] ?? [] { arguments += ["--peer", address(peer)] }
    if let config { arguments += ["--config", config] }
    layers[name] = try LayerProcess(
      program: TestNetwork.programs + "/novate-\(name)", arguments: arguments,
      logPath: "\(folder)/\(name).log")
  }

  func startAll() throws {
    for name in ["execution", "clearing", "settlement"] { try start(name) }
  }

  func stopAll() throws {
    for name in ["execution", "clearing", "settlement"] { try layers[name]?.stop() }
    layers = [:]
  }

  /// Ends a layer at once, in the middle of whatever it does.
  func kill(_ name: String) {
    // The handle's end kills the process and waits for it.
    layers[name] = nil
  }

  func connect(_ name: String) throws -> BlockingConnection {
    try BlockingConnection(to: try Address(address(name)), network: network)
  }

  /// The wall time, as the layers see it.
  static var now: Timestamp {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(raw: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
  }

  /// - Parameter owner: the account at genesis that has the same owner; nil for itself.
  func bundle(
    _ actions: [Action], _ account: AccountID, owner: AccountID? = nil, life: Int64 = 600_000
  ) -> Bundle {
    let nonce = nonces[account, default: 0] + 1
    nonces[account] = nonce
    let key = key(of: owner ?? account)
    return Bundle.signed(
      actions, account: account, nonce: nonce,
      expiry: Timestamp(raw: TestNetwork.now.raw + life), network: network, by: key)
  }

  func key(of account: AccountID) -> SigningKey {
    builder.accountRoles[account.index].key(seed: seed)
  }

  /// Submits one bundle and waits for its answer.
  func submit(_ bundle: Bundle, _ connection: BlockingConnection) throws -> SubmittedMessage {
    try submit(bundle.bytes, connection)
  }

  /// Submits what may be no bundle at all.
  func submit(_ bytes: [UInt8], _ connection: BlockingConnection) throws -> SubmittedMessage {
    let frame = try connection.request(
      type: MessageType.submit, body: SubmitMessage(bundles: [bytes]).encoded)
    let body = frame.body
    return try SubmittedMessage(decoding: body.rawSpan)
  }

  /// Publishers speak and the custodian pays, so that orders can be admitted.
  func fund(_ connection: BlockingConnection, sequence: UInt64 = 1, dollars: Int64 = 60_000) throws
  {
    let now = TestNetwork.now
    for (place, publisher) in builder.publishers.enumerated() {
      let answer = try submit(
        bundle(
          [
            .index(
              underlying: UnderlyingID(0),
              price: Price(raw: (dollars + Int64(place)) * Price.scale),
              time: now, sequence: sequence),
            .index(
              underlying: UnderlyingID(1), price: Price(raw: 2_000 * Price.scale), time: now,
              sequence: sequence),
          ], publisher), connection)
      try #require(
        answer.accepted.first?.leaf.outcomes.allSatisfy { $0.status == .accepted } == true)
    }
    let deposits = builder.traders.enumerated().map { place, trader in
      Action.deposit(
        asset: .quote, amount: Amount(raw: 10_000_000 * Money.scale),
        owner: genesis.accounts[trader.index], reference: sequence * 100 + UInt64(place))
    }
    let answer = try submit(bundle(deposits, builder.custodian), connection)
    let batch = try #require(answer.accepted.first).leaf.batch
    try wait("credit of batch \(batch)") {
      let credit = try DemoQuery.status(connection).optionalInteger(
        at: "credit_batch", as: UInt64.self)
      return credit.map { $0 >= batch.raw } ?? false
    }
  }

  func wait(_ what: String, seconds: Int = 30, _ condition: () throws -> Bool) throws {
    for _ in 0..<(seconds * 50) {
      if try condition() { return }
      usleep(20_000)
    }
    Issue.record("\(what) did not come within \(seconds) s")
    throw DemoFailure("\(what) did not come")
  }

  /// An order on BTC-PERP near the index.
  static func order(
    _ side: Side, _ dollars: Int64, _ tif: TimeInForce = .gtc, clientID: UInt64 = 0
  ) -> Action {
    .place(
      instrument: InstrumentID(0), side: side, price: Price(raw: dollars * Price.scale),
      quantity: Quantity(raw: Quantity.scale / 10), timeInForce: tif, postOnly: false,
      reduceOnly: false, clientID: clientID)
  }

  /// Waits until settlement has settled every batch through `batch`.
  func settle(through batch: BatchNumber) throws {
    let connection = try connect("settlement")
    try wait("settlement of batch \(batch)") {
      let status = try DemoQuery.status(connection)
      let state = try status.string(at: "state")
      try #require(state == "serving", "settlement: \(status.text())")
      return try status.integer(at: "batch", as: UInt64.self) > batch.raw
    }
  }

  /// Writes the range file of batches 0 through `last`.
  func export(through last: BatchNumber, to path: String) throws -> [SignedBatch] {
    let connection = try connect("settlement")
    var batches: [SignedBatch] = []
    var lists = (batches: ByteWriter(), clearances: ByteWriter(), notes: ByteWriter())
    try DemoQuery.log(connection, .batches, through: last) { object in
      ObjectList.append(object, to: &lists.batches)
      batches.append(try SignedBatch(encoded: object.rawSpan))
    }
    try DemoQuery.log(connection, .clearances, through: last) {
      ObjectList.append($0, to: &lists.clearances)
    }
    var note: [UInt8] = []
    try DemoQuery.log(connection, .checkpoints, through: last) { note = $0 }
    ObjectList.append(note, to: &lists.notes)
    let file = BundleFile.encoded(
      BundleFile.Manifest(kind: .range, network: network, first: BatchNumber(0), last: last),
      [
        (.genesis, genesis.encoded), (.batches, lists.batches.bytes),
        (.clearances, lists.clearances.bytes), (.checkpoints, lists.notes.bytes),
      ])
    try Files.create(path, file)
    return batches
  }

  /// Exit code of `novate verify`.
  func verify(_ path: String) throws -> Int32 {
    try Command.run(
      TestNetwork.programs + "/novate", ["verify", path, "--genesis", "\(network)", "--quiet"])
  }
}
