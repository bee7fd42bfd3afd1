import Client
import Commitments
import Glibc
import Primitives
import Storage
import Testing
import Wire

@testable import CLI

/// Only a build with `NOVATE_TESTING=1` has places to kill at.
let hasFaults = unsafe getenv("NOVATE_TESTING") != nil

@Suite("a folder that may not sign", .serialized)
struct RecoveryTests {
  @Test("a stale execution signs nothing, replays from its peers what it signed, and goes on")
  func execution() throws {
    let network = try RecoveryNetwork("stale-execution")
    try network.startAll()
    var connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(10, connection)
    let backup = try network.backup("execution")
    try network.trade(40, connection)
    let last = try #require(network.acknowledged.last).leaf.batch
    try network.base.settle(through: last)
    try network.stopAll()
    // Alone it serves reads and sequences nothing.
    let restored = try network.restore("execution", from: backup)
    try network.start("execution", data: restored)
    connection = try network.base.connect("execution")
    let status = try DemoQuery.status(connection)
    #expect(try status.string(at: "state") == "recovering")
    #expect(try status.integer(at: "batch", as: UInt64.self) <= last.raw)
    #expect(throws: ClientFailure.self) { try network.submit(network.order(0), connection) }
    #expect(throws: ClientFailure.self) {
      try DemoQuery.log(connection, .batches, through: BatchNumber(0)) { _ in }
    }
    // A restart does not change that.
    network.kill("execution")
    try network.start("execution", data: restored)
    #expect(try network.state("execution") == "recovering")
    network.kill("execution")
    try network.start("clearing")
    try network.start("settlement")
    // Killed in the middle of it, it begins again.
    for fault in hasFaults ? ["recovery.replayed@1", "recovery.finishing@1"] : [] {
      network.kill("execution")
      try network.start("execution", data: restored, fault: fault)
      try network.base.wait("\(fault)") { try network.isDead("execution") }
    }
    network.kill("execution")
    try network.start("execution", data: restored)
    try network.waitFor("execution", toBe: "serving")
    connection = try network.base.connect("execution")
    try network.trade(20, connection)
    try network.check("after")
    try network.stopAll()
    // It signs on after a restart too.
    try network.start("execution", data: restored)
    try network.waitFor("execution", toBe: "serving")
    try network.stopAll()
  }

  @Test("a stale clearing and a stale settlement catch up and go on")
  func others() throws {
    let network = try RecoveryNetwork("stale-others")
    try network.startAll()
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(10, connection)
    let clearing = try network.backup("clearing")
    let settlement = try network.backup("settlement")
    try network.trade(40, connection)
    try network.base.settle(through: try #require(network.acknowledged.last).leaf.batch)
    try network.stop("clearing")
    try network.start(
      "clearing", data: try network.restore("clearing", from: clearing),
      more: [
        "--recover-from", network.base.address("execution"),
        "--recover-from", network.base.address("settlement"),
      ])
    try network.waitFor("clearing", toBe: "serving")
    try network.trade(10, connection)
    try network.stop("settlement")
    try network.start("settlement", data: try network.restore("settlement", from: settlement))
    try network.waitFor("settlement", toBe: "serving")
    try network.trade(10, connection)
    try network.check("others")
    try network.stopAll()
  }

  @Test("two stale layers do not reassure each other; settlement shows both what they signed")
  func wholeMachine() throws {
    let network = try RecoveryNetwork("stale-both")
    try network.startAll()
    var connection = try network.base.connect("execution")
    try network.base.fund(connection)
    let backups = [
      "execution": try network.backup("execution"), "clearing": try network.backup("clearing"),
    ]
    try network.trade(30, connection)
    try network.base.settle(through: try #require(network.acknowledged.last).leaf.batch)
    try network.stopAll()
    for (name, other) in [("execution", "clearing"), ("clearing", "execution")] {
      try network.start(
        name, data: try network.restore(name, from: try #require(backups[name])),
        more: [
          "--recover-from", network.base.address(other),
          "--recover-from", network.base.address("settlement"),
        ])
    }
    // Long enough to have asked each other many times over.
    for _ in 0..<20 {
      #expect(try network.state("execution") == "recovering")
      #expect(try network.state("clearing") == "recovering")
      usleep(100_000)
    }
    try network.start("settlement")
    try network.waitFor("clearing", toBe: "serving")
    try network.waitFor("execution", toBe: "serving")
    connection = try network.base.connect("execution")
    try network.trade(10, connection)
    try network.check("both")
    try network.stopAll()
  }

  @Test("an operator's bundle file shows what was signed")
  func bundleFile() throws {
    let network = try RecoveryNetwork("bundle-file")
    try network.startAll()
    var connection = try network.base.connect("execution")
    try network.base.fund(connection)
    let backup = try network.backup("execution")
    try network.trade(20, connection)
    let last = try #require(network.acknowledged.last).leaf.batch
    try network.base.settle(through: last)
    // Nothing newer may be signed than what the file shows.
    try network.stop("execution")
    let size = try network.status("settlement").integer(at: "log_size", as: UInt64.self)
    let path = network.folder + "/all.nvb"
    _ = try network.base.export(through: BatchNumber(size - 1), to: path)
    let restored = try network.restore("execution", from: backup)
    try network.start("execution", data: restored, more: ["--recover-from", path])
    try network.waitFor("execution", toBe: "serving")
    connection = try network.base.connect("execution")
    try network.trade(10, connection)
    try network.check("file")
    try network.stopAll()
  }

  @Test(
    "without its highwater file, or with a copied one, a layer asks first",
    arguments: [true, false])
  func highwater(isRemoved: Bool) throws {
    let network = try RecoveryNetwork("highwater")
    try network.startAll()
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(20, connection)
    // The last orders are in the journal alone: they were acknowledged.
    network.kill("execution")
    let file = network.folder + "/execution/highwater"
    if isRemoved {
      #expect(try Command.run("/bin/rm", [file]) == 0)
    } else {
      #expect(try Command.run("/bin/cp", [file, file + "2"]) == 0)
      #expect(try Command.run("/bin/mv", [file + "2", file]) == 0)
    }
    network.kill("clearing")
    try network.start("execution")
    #expect(try network.state("execution") == "recovering")
    try network.start("clearing")
    try network.waitFor("execution", toBe: "serving")
    try network.trade(20, try network.base.connect("execution"))
    try network.check("highwater")
    try network.stopAll()
  }

  @Test("an empty folder in place of the right one stops, and recovers from batch 0")
  func emptyFolder() throws {
    let network = try RecoveryNetwork("empty")
    try network.startAll()
    let connection = try network.base.connect("execution")
    try network.base.fund(connection)
    try network.trade(20, connection)
    try network.base.settle(through: try #require(network.acknowledged.last).leaf.batch)
    try network.stop("execution")
    let data = network.folder + "/mistaken"
    try network.start("execution", data: data)
    try network.base.wait("the end of execution") { try network.isDead("execution") }
    network.kill("execution")
    try network.start("execution", data: data)
    try network.waitFor("execution", toBe: "serving")
    try network.trade(20, try network.base.connect("execution"))
    try network.check("empty")
    try network.stopAll()
  }

  @Test("a folder of another network, another role or a newer format is refused in one line")
  func refusals() throws {
    let network = try RecoveryNetwork("refusals")
    try network.start("execution")
    try network.base.wait("a batch") {
      try network.status("execution").integer(at: "batch", as: UInt64.self) > 0
    }
    try network.stop("execution")
    // Another network's genesis and keys, this network's data.
    let other = network.folder + "/other"
    #expect(
      try Command.run(TestNetwork.programs + "/novate", ["init", other, "--name", "other"]) == 0)
    let log = network.folder + "/other.log"
    #expect(throws: ProcessFailure.self) {
      _ = try LayerProcess(
        program: TestNetwork.programs + "/novate-execution",
        arguments: [
          "--genesis", other + "/genesis.json", "--data", network.folder + "/execution",
          "--listen", "unix:\(other)/x.sock",
        ], logPath: log)
    }
    let genesis = try NetworkFolder.genesis(at: other + "/genesis.json")
    #expect(
      try lines(log)
        == ["error: expected network \(genesis.networkID), found \(network.base.network)"])
    let clearingLog = network.folder + "/clearing.log"
    #expect(throws: ProcessFailure.self) {
      try network.start("clearing", data: network.folder + "/execution")
    }
    #expect(try lines(clearingLog) == ["error: expected role 2, found 1"])
    // Of the next format nothing is read but its number.
    let newer = network.folder + "/newer"
    _ = try Store(
      folder: newer, role: Role.settlement.rawValue, network: network.base.network,
      formatVersion: Store.formatVersion + 1)
    let settlementLog = network.folder + "/settlement.log"
    #expect(throws: ProcessFailure.self) { try network.start("settlement", data: newer) }
    #expect(
      try lines(settlementLog) == [
        "error: database format 3 is newer than this program, which reads up to 2"
      ])
  }

  private func lines(_ path: String) throws -> [String] {
    String(decoding: try Files.read(path, byteCountMax: 1 << 20), as: UTF8.self)
      .split(separator: "\n").map(String.init)
  }

  @Test("a data folder is made with the folders it lies in")
  func parents() throws {
    let network = try RecoveryNetwork("parents")
    try network.start("execution", data: network.folder + "/a/b/c")
    try network.stopAll()
  }
}
