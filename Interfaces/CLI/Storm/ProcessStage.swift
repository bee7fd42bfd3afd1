import Client
import Commitments
import Primitives
import Wire

/// Three processes over sockets, in step with the machines of `LoopStage`: recorded time opens and
/// closes the batches, and before each the Clearance it has to adopt is known to have been published.
final class ProcessStage: StormStage {
  /// Why a storm could not be played through processes.
  enum Failure: Error, CustomStringConvertible {
    /// The host was too slow for the batch to be as it must: play it again.
    case outOfStep(batch: UInt64, what: String)
    case refused(code: UInt16)
    case difference(batch: UInt64, what: String)

    var description: String {
      switch self {
      case .outOfStep(let batch, let what): "batch \(batch) is out of step: \(what)"
      case .refused(let code): "execution refused a bundle with code \(code)"
      case .difference(let batch, let what): "batch \(batch): \(what)"
      }
    }
  }

  let house: StormHouse
  let layers: LayerGroup
  private let genesis: Genesis
  private let execution: LayerClient
  private let clearing: LayerClient
  private let batches: LayerClient
  private let clearances: LayerClient
  /// Batches opened so far, and bundles of the open one.
  private var opened: UInt64 = 0
  private var bundleCount = 0

  /// The longest a batch may stay open: no batch of a storm closes by time.
  static let config = Array(#"{"clock": "oracle", "batch_interval_ms": 1000}"#.utf8)
  /// What a Clearance that has reached us takes to reach execution too.
  private static let pauseMilliseconds: UInt32 = 5

  init(_ cast: StormCast, _ genesis: Genesis, folder: String, programs: String) throws {
    self.genesis = genesis
    house = StormHouse(genesis)
    let network = NetworkFolder(folder)
    try Files.makeFolder(network.keysPath, mode: 0o700)
    for role in [
      KeyRole.execution, .executionHandshake, .clearing, .clearingHandshake, .settlement,
      .settlementHandshake, .settlementNote,
    ] {
      try KeyFile.write(StormCast.key(role).key, to: network.keyPath(role))
    }
    try Files.create(network.genesisPath, Array(genesis.json.utf8))
    let config = DemoFolder.configPath(folder)
    try Files.create(config, ProcessStage.config)
    layers = try LayerGroup(
      programs: programs, genesis: network.genesisPath, folder: folder, config: config)
    let (executionAddress, clearingAddress) = (layers.execution.address, layers.clearing.address)
    func client(_ address: String, _ role: Role) throws -> LayerClient {
      try LayerClient(to: try Address(address), role, genesis: genesis)
    }
    execution = try client(executionAddress, .execution)
    clearing = try client(clearingAddress, .clearing)
    batches = try client(executionAddress, .execution)
    clearances = try client(clearingAddress, .clearing)
    for (client, log) in [(batches, FollowMessage.Log.batches), (clearances, .clearances)] {
      try client.connection.send(
        type: MessageType.follow, body: FollowMessage(log, from: BatchNumber(0)).encoded)
      try client.connection.flush()
    }
  }

  func play(_ bundles: [Bundle], at time: Timestamp) throws -> StormBatch? {
    let number = opened
    try submit(bundles, to: number)
    let count = bundleCount
    (opened, bundleCount) = (number + 1, bundles.count)
    guard number > 0 else { return nil }
    let batch = try closed(number - 1, bundleCount: count)
    DemoQuery.pause(milliseconds: ProcessStage.pauseMilliseconds)
    return batch
  }

  private func submit(_ bundles: [Bundle], to number: UInt64) throws {
    let connection = execution.connection
    let id = try connection.send(
      type: MessageType.submit, body: SubmitMessage(bundles: bundles.map(\.bytes)).encoded)
    var waiting = bundles.count
    while waiting > 0 {
      let body = try connection.response(to: id).body
      let answer = try SubmittedMessage(decoding: body.rawSpan)
      if let refused = answer.refused.first { throw Failure.refused(code: refused.code) }
      if let item = answer.accepted.first(where: { $0.leaf.batch.raw != number }) {
        throw Failure.outOfStep(batch: number, what: "a bundle came into \(item.leaf.batch)")
      }
      waiting -= answer.accepted.count
    }
  }

  /// What execution and clearing published of a batch, which must be what the machine beside says.
  private func closed(_ number: UInt64, bundleCount: Int) throws -> StormBatch {
    let signed = try batches.batch(try next(of: batches, MessageType.batch))
    let header = signed.header
    let credit = number < 2 ? ExecutionHeader.noCredit.raw : number - 2
    guard header.batch.raw == number, header.creditBatch.raw == credit,
      Int(header.bundleCount) == bundleCount
    else {
      throw Failure.outOfStep(
        batch: number,
        what: "found \(header.batch) with \(header.bundleCount) bundles on \(header.creditBatch), "
          + "expected \(bundleCount) on \(credit)")
    }
    let batch = try house.clear(header, signed.body)
    let clearance = try clearances.clearance(try next(of: clearances, MessageType.clearance))
    guard clearance.header.id == batch.cleared.id else {
      throw Failure.difference(batch: number, what: "clearing says something else than its rules")
    }
    let imbalance = try clearing.status().string(at: "imbalance")
    guard imbalance == "0" else {
      throw Failure.difference(batch: number, what: "clearing is off by \(imbalance)")
    }
    return batch
  }

  private func next(of client: LayerClient, _ type: UInt16) throws -> [UInt8] {
    while true {
      let frame = try client.connection.receive(timeoutMilliseconds: 30_000)
      if frame.type == type { return frame.body }
      if frame.type == SessionMessage.error {
        throw ClientFailure.refused(client.address, try client.connection.message(frame))
      }
    }
  }

  /// Waits for settlement, writes the file of all closed batches, and stops the processes.
  /// - Returns: the roots after the last batch, as settlement has them.
  func settle(to path: String) throws -> (execution: Digest, clearing: Digest) {
    let last = opened - 2
    let settlement = try LayerClient(
      to: try Address(layers.settlement.address), .settlement, genesis: genesis)
    for _ in 0..<6_000 {
      let status = try settlement.status()
      guard try status.string(at: "state") == "serving" else {
        throw Failure.difference(batch: last, what: "settlement refused: \(status.text())")
      }
      if try status.integer(at: "batch", as: UInt64.self) > last { break }
      DemoQuery.pause(milliseconds: 10)
    }
    var roots = (execution: Digest.zero, clearing: Digest.zero)
    _ = try SettledRange(settlement, first: 0, last: last).write(
      to: path, batch: { roots.execution = $0.header.postRoot },
      clearance: { roots.clearing = $0.header.postRoot })
    try layers.stop()
    return roots
  }

  /// Plays a storm through processes until it stays in step, three times at most; then settles,
  /// exports and verifies it.
  static func played(
    _ run: StormRun, folder: String, programs: String
  ) throws -> (outcome: StormOutcome, isVerified: Bool) {
    var attempt = 1
    while true {
      try DemoFolder.clear(folder, of: StormCast.networkName)
      var stage: ProcessStage?
      do {
        let outcome = try run.played { cast, genesis in
          let made = try ProcessStage(cast, genesis, folder: folder, programs: programs)
          stage = made
          return made
        }
        guard let stage else { preconditionFailure("a storm makes its stage") }
        let file = "\(folder)/storm.nvb"
        let roots = try stage.settle(to: file)
        guard roots.execution == outcome.executionRoot, roots.clearing == outcome.clearingRoot
        else {
          throw Failure.difference(batch: stage.opened - 2, what: "settlement has other roots")
        }
        let code = try Command.run(
          "\(programs)/novate", ["verify", file, "--genesis", "\(stage.genesis.networkID)"])
        return (outcome, code == 0)
      } catch Failure.outOfStep(let batch, let what) where attempt < 3 {
        Screen.note("batch \(batch) is out of step: \(what); again")
        attempt += 1
      }
    }
  }
}
