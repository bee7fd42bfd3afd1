import Client
import Commitments
import Instruments
import Primitives
import Wire
import Workloads

/// The network NP-1 runs on: three processes of this machine over Unix sockets, one perpetual, 1 024
/// makers who never run out of credit.
final class PipelineNetwork {
  let genesis: Genesis
  let builder: GenesisBuilder
  let layers: LayerGroup
  let execution: LayerClient
  let settlement: LayerClient
  private let seed: UInt64 = 0x4E50_2D31
  private var ticks: UInt64 = 0
  static let name = "novate-bench"
  static let instrument = InstrumentID(0)
  /// Dollars each maker begins with: half of what may be deposited in all.
  private static let dollars: Int64 = 40_000_000

  init(folder: String) throws {
    var builder = GenesisBuilder(startTime: SystemClock.now)
    builder.name = PipelineNetwork.name
    builder.underlyings = ["BTC"]
    builder.listings = [
      Listing(
        try InstrumentName(underlying: "BTC", form: .perpetual), tick: NP1.tick, lot: NP1.lot)
    ]
    builder.publisherCount = 2
    builder.accountCount = NP1.makerCount
    builder.constants.openOrdersPerAccountMax = 65_536
    builder.constants.bundlesPerSecondMax = 1_000_000_000
    self.builder = builder
    let seed = self.seed
    genesis = try builder.genesis(seed: seed)
    let network = NetworkFolder(folder)
    try Files.makeFolder(folder)
    try Files.makeFolder(network.keysPath, mode: 0o700)
    for role in [
      KeyRole.execution, .executionHandshake, .clearing, .clearingHandshake, .settlement,
      .settlementHandshake, .settlementNote,
    ] {
      try KeyFile.write(role.key(seed: seed), to: network.keyPath(role))
    }
    try Files.create(network.genesisPath, Array(genesis.json.utf8))
    // As on any host that execution shares.
    let settings = "\(folder)/execution.json"
    try Files.create(settings, Array(#"{"realtime": true}"#.utf8))
    layers = try LayerGroup(
      programs: LayerGroup.programsFolder(), genesis: network.genesisPath, folder: folder,
      config: nil, executionConfig: settings)
    execution = try LayerClient(
      to: try Address(layers.execution.address), .execution, genesis: genesis)
    settlement = try LayerClient(
      to: try Address(layers.settlement.address), .settlement, genesis: genesis)
  }

  /// Whether the system let execution's threads go before others.
  func isRealtime() throws -> Bool { try layers.execution.hasRealtimeThreads() }

  func key(_ maker: Int) -> SigningKey {
    KeyRole.account(builder.traders[maker]).key(seed: seed)
  }

  /// Pays everybody and makes the first price; returns once credit is granted.
  func fund() throws {
    let custodian = KeyRole.custodian.key(seed: seed)
    let deposits = builder.traders.enumerated().map { place, account in
      Action.deposit(
        asset: .quote, amount: Amount(raw: PipelineNetwork.dollars * Money.scale),
        owner: genesis.accounts[account.index], reference: UInt64(place + 1))
    }
    var bundles = tick()
    for (place, start) in stride(from: 0, to: deposits.count, by: 256).enumerated() {
      bundles.append(
        signed(
          Array(deposits[start..<min(start + 256, deposits.count)]), builder.custodian,
          nonce: UInt64(place + 1), custodian))
    }
    let id = try execution.connection.send(
      type: MessageType.submit, body: SubmitMessage(bundles: bundles).encoded)
    var (taken, last) = (0, BatchNumber(0))
    // An answer may come in parts.
    while taken < bundles.count {
      let body = try execution.connection.response(to: id).body
      let answer = try SubmittedMessage(decoding: body.rawSpan)
      guard answer.refused.isEmpty else {
        throw CommandFailure("the makers' first deposits were refused")
      }
      taken += answer.accepted.count
      last = max(last, answer.accepted.map(\.leaf.batch).max() ?? last)
    }
    for _ in 0..<4_000 {
      let credit = try execution.status().optionalInteger(at: "credit_batch", as: UInt64.self)
      if let credit, credit >= last.raw { return }
      DemoQuery.pause(milliseconds: 5)
    }
    throw CommandFailure("the makers' credit was not granted within 20 s")
  }

  /// One oracle tick: every publisher's bundle.
  func tick() -> [[UInt8]] {
    ticks += 1
    // A little up and down: the market moves with every tick.
    let price = Price(raw: (1_000_000 + Int64(ticks % 16)) * NP1.tick.raw)
    let time = SystemClock.now
    return builder.publishers.enumerated().map { place, account in
      signed(
        [.index(underlying: UnderlyingID(0), price: price, time: time, sequence: ticks)],
        account, nonce: ticks, KeyRole.publisher(place + 1).key(seed: seed))
    }
  }

  private func signed(
    _ actions: [Action], _ account: AccountID, nonce: UInt64, _ key: borrowing SigningKey
  ) -> [UInt8] {
    Bundle.signed(
      actions, account: account, nonce: nonce,
      expiry: Timestamp(raw: SystemClock.now.raw + 3_600_000), network: genesis.networkID, by: key
    ).bytes
  }

  /// Processor seconds each layer has used so far.
  var processorSeconds: [Double] { layers.all.map { $0.process.processorSeconds } }
}
