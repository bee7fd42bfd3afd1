import Client
import Commitments
import Node
import Primitives
import Synchronization
import Testing
import Wire

@testable import CLI

/// A layer that shows settlement whatever it was given, under the layer's own keys.
private final class LyingLayer: ServerHandler {
  private let log: FollowMessage.Log
  private let objects: [[UInt8]]
  /// Batches it shows as clearing does, to whoever asks for one.
  private let batches: [[UInt8]]
  let heard = Mutex<SignedFrozen?>(nil)
  private let address: Address
  private let network: Digest

  init(
    _ network: RecoveryNetwork, _ log: FollowMessage.Log, _ objects: [[UInt8]],
    showing batches: [[UInt8]] = []
  ) throws {
    self.log = log
    self.batches = batches
    self.objects = objects
    self.network = network.base.network
    address = try Address(network.base.address(log == .batches ? "execution" : "clearing"))
  }

  /// Begins to lie.
  func serve() throws -> Server {
    var configuration = ServerConfiguration(
      address: address, network: network, role: log == .batches ? .execution : .clearing,
      key: HandshakeKey(
        (log == .batches ? KeyRole.executionHandshake : .clearingHandshake)
          .key(seed: TestNetwork.seed)))
    configuration.admits = { _, _ in true }
    let server = Server(configuration: configuration, handler: self)
    try server.start()
    return server
  }

  func connected(_ connection: Connection) {}
  func disconnected(_ connection: Connection) {}

  func received(_ frame: Frame, from connection: Connection) {
    let body = frame.body
    if frame.type == MessageType.frozen {
      heard.withLock { $0 = try? SignedFrozen(encoded: body.rawSpan) }
    }
    guard frame.type == MessageType.follow,
      let message = try? FollowMessage(decoding: body.rawSpan)
    else { return }
    for object in (message.log == log ? objects : batches).dropFirst(Int(message.from.raw)) {
      connection.send(
        type: message.log == .batches ? MessageType.batch : MessageType.clearance,
        flags: [.response, .more], requestID: frame.requestID, body: object)
    }
  }
}

@Suite("a settlement that is lied to", .serialized)
struct FrozenTests {
  @Test("a forged Clearance freezes it: batch, record and field are named, for good")
  func forged() throws {
    let network = try RecoveryNetwork("forged")
    try network.startAll()
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(20, connection)
    let last = try #require(network.acknowledged.last).leaf.batch
    try network.base.settle(through: last)
    var clearances: [[UInt8]] = []
    try DemoQuery.log(try network.base.connect("clearing"), .clearances, through: last) {
      clearances.append($0)
    }
    try network.stop("settlement")
    try network.stop("clearing")
    // One money unit more for one account, in the last Clearance that touched any.
    let (place, forged) = try forge(&clearances)
    let liar = try LyingLayer(network, .clearances, clearances)
    let server = try liar.serve()
    defer { server.stop() }
    // A settlement of its own folder has everything to replay.
    try network.start("settlement", data: network.folder + "/lied-to")
    try network.waitFor("settlement", toBe: "frozen")
    let statement = try signedStatement(network)
    #expect(statement.frozen.layer == 2)
    #expect(statement.frozen.batch.raw == place)
    #expect(statement.frozen.lastGood.raw == place - 1)
    #expect(statement.frozen.refused == forged)
    let status = try network.status("settlement")
    let frozen = try #require(status["frozen"])
    #expect(try frozen.string(at: "field") == "accounts[0]")
    #expect(
      try status.string(at: "reason").hasPrefix("batch \(place): clearing claims accounts[0]"))
    #expect(try status.integer(at: "log_size", as: UInt64.self) == place)
    // Both layers hear of it; execution sequences nothing more, after a restart neither.
    try network.base.wait("the liar hears") { liar.heard.withLock { $0 } == statement }
    try network.waitFor("execution", toBe: "frozen")
    let batch = try network.status("execution").integer(at: "batch", as: UInt64.self)
    #expect(throws: (any Error).self) {
      try network.trade(1, try network.base.connect("execution"))
    }
    network.kill("execution")
    try network.start("execution")
    #expect(try network.state("execution") == "frozen")
    #expect(try network.status("execution").integer(at: "batch", as: UInt64.self) <= batch + 1)
    // Restarted it is frozen at the same place, with the same statement.
    network.kill("settlement")
    try network.start("settlement", data: network.folder + "/lied-to")
    #expect(try network.state("settlement") == "frozen")
    #expect(try signedStatement(network) == statement)
    #expect(try network.status("settlement").integer(at: "log_size", as: UInt64.self) == place)
    try network.stopAll()
  }

  @Test("two headers of one number freeze it, also long after the first was settled")
  func equivocation() throws {
    let network = try RecoveryNetwork("equivocation")
    try network.startAll()
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(20, connection)
    let last = try #require(network.acknowledged.last).leaf.batch
    try network.base.settle(through: last)
    var batches: [[UInt8]] = []
    try DemoQuery.log(try network.base.connect("execution"), .batches, through: last) {
      batches.append($0)
    }
    var clearances: [[UInt8]] = []
    try DemoQuery.log(try network.base.connect("clearing"), .clearances, through: last) {
      clearances.append($0)
    }
    try network.stopAll()
    // Batch 1 once more, as another term would have signed it.
    let first = batches[1]
    var other = try SignedBatch(encoded: first.rawSpan)
    other.header.term += 1
    other.signature = KeyRole.execution.key(seed: TestNetwork.seed).sign(other.header.id)
    let execution = try LyingLayer(network, .batches, batches + [other.encoded])
    let clearing = try LyingLayer(network, .clearances, clearances)
    let servers = [try execution.serve(), try clearing.serve()]
    defer { for server in servers { server.stop() } }
    try network.start("settlement", data: network.folder + "/lied-to")
    try network.waitFor("settlement", toBe: "frozen")
    let statement = try signedStatement(network)
    #expect(statement.frozen.layer == 1)
    #expect(statement.frozen.refused == other.header.id)
    let reason = try network.status("settlement").string(at: "reason")
    #expect(reason.contains("execution claims a second header \(other.header.id)"))
    try network.base.wait("execution hears") { execution.heard.withLock { $0 } == statement }
    network.kill("settlement")
    try network.start("settlement", data: network.folder + "/lied-to")
    #expect(try network.state("settlement") == "frozen")
    #expect(try signedStatement(network) == statement)
    try network.stopAll()
  }

  @Test("of two batches shown to two, execution is to blame; of one nobody shows, clearing")
  func culprit() throws {
    let network = try RecoveryNetwork("culprit")
    try network.startAll()
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(12, connection)
    let last = try #require(network.acknowledged.last).leaf.batch
    try network.base.settle(through: last)
    var batches: [[UInt8]] = []
    try DemoQuery.log(try network.base.connect("execution"), .batches, through: last) {
      batches.append($0)
    }
    var clearances: [[UInt8]] = []
    try DemoQuery.log(try network.base.connect("clearing"), .clearances, through: last) {
      clearances.append($0)
    }
    try network.stopAll()
    // Batch 1 as execution tells it to settlement: another time, and all else in order.
    let second = batches[1]
    var told = try SignedBatch(encoded: second.rawSpan)
    let original = told.header.id
    told.header.time = Timestamp(raw: told.header.time.raw + 1)
    told.signature = KeyRole.execution.key(seed: TestNetwork.seed).sign(told.header.id)
    var shown = batches
    shown[1] = told.encoded
    let execution = try LyingLayer(network, .batches, shown)
    let honest = try LyingLayer(network, .clearances, clearances, showing: batches)
    var servers = [try execution.serve(), try honest.serve()]
    defer { for server in servers { server.stop() } }
    try network.start("settlement", data: network.folder + "/lied-to")
    try network.waitFor("settlement", toBe: "frozen")
    var statement = try signedStatement(network)
    #expect(statement.frozen.layer == 1 && statement.frozen.refused == original)
    let reason = try network.status("settlement").string(at: "reason")
    #expect(reason.contains("execution claims a second header \(original)"), "\(reason)")
    // Clearing that names a batch of its own making has none to show.
    try network.stop("settlement")
    for server in servers { server.stop() }
    servers = []
    let cleared = clearances[1]
    var made = try SignedClearance(encoded: cleared.rawSpan)
    made.header.execution = SHA256.digest([1])
    made.signature = KeyRole.clearing.key(seed: TestNetwork.seed).sign(made.header.id)
    var forged = clearances
    forged[1] = made.encoded
    servers = [
      try LyingLayer(network, .batches, batches).serve(),
      try LyingLayer(network, .clearances, forged).serve(),
    ]
    try network.start("settlement", data: network.folder + "/lied-to-again")
    try network.waitFor("settlement", toBe: "frozen")
    statement = try signedStatement(network)
    #expect(statement.frozen.layer == 2 && statement.frozen.refused == made.header.id)
    let frozen = try #require(try network.status("settlement")["frozen"])
    #expect(try frozen.string(at: "field") == "exec_id")
    try network.stopAll()
  }

  private func forge(_ clearances: inout [[UInt8]]) throws -> (place: UInt64, id: Digest) {
    for place in clearances.indices.reversed() {
      let bytes = clearances[place]
      let clearance = try SignedClearance(encoded: bytes.rawSpan)
      let bodyBytes = clearance.body
      var body = try ClearanceBody(encoded: bodyBytes.rawSpan)
      guard !body.accounts.isEmpty else { continue }
      body.accounts[0].cash = Money(raw: body.accounts[0].cash.raw + 1)
      let forged = body.encoded
      var header = clearance.header
      header.bodyHash = SHA256.digest(forged)
      let key = KeyRole.clearing.key(seed: TestNetwork.seed)
      clearances[place] =
        SignedClearance(header: header, signature: key.sign(header.id), body: forged).encoded
      return (UInt64(place), header.id)
    }
    throw DemoFailure("no Clearance touches an account")
  }

  private func signedStatement(_ network: RecoveryNetwork) throws -> SignedFrozen {
    var statement: SignedFrozen?
    try network.base.wait("the statement") {
      guard let frozen = try network.status("settlement")["frozen"],
        let signature = try frozen.optionalString(at: "signature")
      else { return false }
      let bytes = try #require(
        Hexadecimal.bytes(try frozen.string(at: "statement") + signature))
      statement = try SignedFrozen(encoded: bytes.rawSpan)
      return true
    }
    let found = try #require(statement)
    #expect(
      found.isValid(by: network.base.genesis.settlement.object, network: network.base.network))
    return found
  }
}

@Suite("a witness", .serialized)
struct WitnessTests {
  @Test("it replays by itself and cosigns; the exported file meets a policy that asks for it")
  func cosigning() throws {
    let network = try RecoveryNetwork("witness")
    try network.startAll()
    let settings = network.folder + "/witness.json"
    let key = "\(network.folder)/keys/\(KeyRole.witness(1).fileName)"
    try Files.create(settings, Array("{\"witness_key\":\"\(key)\"}".utf8))
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(10, connection)
    let witness = ["--config", settings]
    let peers = ["execution", "clearing", "settlement"]
    try network.start("witness", program: "settlement", peers: peers, more: witness)
    try network.trade(10, connection)
    try cosigned(network)
    #expect(try network.status("witness").string(at: "role") == "witness")
    let last = try #require(network.acknowledged.last).leaf.batch
    let path = network.folder + "/cosigned.nvb"
    _ = try network.base.export(through: last, to: path)
    let policy = try writePolicy(network)
    #expect(try verify(network, path, policy) == 0)
    // The same file without the line lacks the quorum.
    let bare = network.folder + "/bare.nvb"
    try strip(path, to: bare)
    #expect(try network.base.verify(bare) == 0)
    #expect(try verify(network, bare, policy) == 3)
    // Killed and started again it goes on where it stood; settlement likewise.
    network.kill("witness")
    network.kill("settlement")
    try network.start("settlement")
    try network.start("witness", program: "settlement", peers: peers, more: witness)
    try network.trade(10, connection)
    try cosigned(network)
    try network.check("witness")
    // The folder is the witness's: settlement may not have it.
    #expect(throws: ProcessFailure.self) {
      try network.start("other", program: "settlement", data: network.folder + "/witness")
    }
    try network.stopAll()
  }

  /// Waits until settlement keeps the witness's line for the last order's batch.
  private func cosigned(_ network: RecoveryNetwork) throws {
    let last = try #require(network.acknowledged.last).leaf.batch
    try network.base.settle(through: last)
    let connection = try network.base.connect("settlement")
    try network.base.wait("a cosignature") {
      var lines = 0
      let id = try connection.send(
        type: MessageType.follow,
        body: FollowMessage(.checkpoints, from: last, through: last).encoded)
      let body = try connection.response(to: id).body
      lines = try SignedNote(parsing: body).signatures.count
      return lines == 2
    }
  }

  private func writePolicy(_ network: RecoveryNetwork) throws -> String {
    let path = network.folder + "/policy.txt"
    let genesis = network.base.genesis
    let text = """
      log \(genesis.settlementNote.key)
      witness w1 \(genesis.witnesses[0].key)
      quorum w1

      """
    try Files.create(path, Array(text.utf8))
    return path
  }

  private func verify(_ network: RecoveryNetwork, _ path: String, _ policy: String) throws -> Int32
  {
    try Command.run(
      TestNetwork.programs + "/novate",
      ["verify", path, "--genesis", "\(network.base.network)", "--policy", policy, "--quiet"])
  }

  /// Writes the file again with settlement's own signature alone.
  private func strip(_ path: String, to target: String) throws {
    let file = try BundleFile(try Files.read(path, byteCountMax: 64 << 20))
    let sections = try file.sections.dropFirst().map { section in
      guard section.type == .checkpoints else { return (type: section.type, bytes: section.bytes) }
      let note = try SignedNote(parsing: Array(section.bytes.dropFirst(4)))
      var bare = try SignedNote(text: note.text)
      bare.append(note.signatures[0])
      var out = ByteWriter()
      ObjectList.append(Array(bare.serialized.utf8), to: &out)
      return (type: section.type, bytes: out.bytes)
    }
    try Files.create(target, BundleFile.encoded(file.manifest, Array(sections)))
  }
}
