import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("three real processes", .serialized)
struct LayerTests {
  @Test("orders are matched, cleared, settled and verified from the exported file")
  func threeProcesses() throws {
    let network = try TestNetwork("three")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let maker = network.builder.traders[0]
    let taker = network.builder.traders[1]
    let rested = try network.submit(
      network.bundle([TestNetwork.order(.sell, 60_010)], maker), connection)
    #expect(rested.accepted.first?.leaf.outcomes.first?.figure2 == Quantity.scale / 10)
    let filled = try network.submit(
      network.bundle([TestNetwork.order(.buy, 60_020, .ioc)], taker), connection)
    let leaf = try #require(filled.accepted.first).leaf
    #expect(leaf.outcomes.first?.status == .filled)
    try network.settle(through: leaf.batch)
    let clearing = try network.connect("clearing")
    let view = try DemoQuery.account(clearing, taker)
    #expect(try view.array(at: "positions").count == 1)
    let path = network.folder + "/all.nvb"
    _ = try network.export(through: leaf.batch, to: path)
    #expect(try network.verify(path) == 0)
    var bytes = try Files.read(path, byteCountMax: 64 << 20)
    bytes[bytes.count / 2] ^= 4
    try Files.create(network.folder + "/flipped.nvb", bytes)
    #expect(try network.verify(network.folder + "/flipped.nvb") == 1)
    try network.stopAll()
  }

  @Test("the same bundle gets its first outcome, also after a restart")
  func idempotence() throws {
    let network = try TestNetwork("again")
    try network.startAll()
    var connection = try network.connect("execution")
    try network.fund(connection)
    let bundle = network.bundle([TestNetwork.order(.buy, 59_000)], network.builder.traders[0])
    let first = try #require(try network.submit(bundle, connection).accepted.first).leaf
    let again = try #require(try network.submit(bundle, connection).accepted.first).leaf
    #expect(again == first)
    network.kill("execution")
    try network.start("execution")
    connection = try network.connect("execution")
    let restarted = try #require(try network.submit(bundle, connection).accepted.first).leaf
    #expect(restarted == first)
    let other = try network.submit(
      network.bundle([TestNetwork.order(.buy, 58_000)], network.builder.traders[0]), connection)
    #expect(other.accepted.count == 1)
    try network.stopAll()
  }

  @Test("kill -9 of any layer at any moment loses no acknowledged order and forks nothing")
  func killNine() throws {
    let network = try TestNetwork("kill")
    var numbers = SeededNumbers(seed: TestNetwork.seed)
    try network.startAll()
    var connection = try network.connect("execution")
    try network.fund(connection)
    var acknowledged: [(leaf: Acknowledgement, bytes: [UInt8])] = []
    let names = ["execution", "clearing", "settlement"]
    for round in 0..<9 {
      let victim = names[round % 3]
      for _ in 0..<(20 + numbers.below(40)) {
        let account = network.builder.traders[numbers.below(8)]
        let side: Side = numbers.below(2) == 0 ? .buy : .sell
        let price = 59_950 + Int64(numbers.below(100))
        let bundle = network.bundle([TestNetwork.order(side, price)], account)
        let answer = try network.submit(bundle, connection)
        // A nonce below the window is refused; everything else here is in the log.
        if let item = answer.accepted.first { acknowledged.append((item.leaf, bundle.bytes)) }
      }
      // Some bundles are on their way when the process dies; nobody waits for them.
      for _ in 0..<10 {
        let bundle = network.bundle(
          [TestNetwork.order(.buy, 59_900)], network.builder.traders[numbers.below(8)])
        try connection.send(
          type: MessageType.submit, body: SubmitMessage(bundles: [bundle.bytes]).encoded)
      }
      try connection.flush()
      usleep(UInt32(numbers.below(30_000)))
      network.kill(victim)
      try network.start(victim)
      connection = try network.connect("execution")
    }
    let last = try #require(acknowledged.last).leaf.batch
    try network.settle(through: last)
    let path = network.folder + "/all.nvb"
    let batches = try network.export(through: last, to: path)
    #expect(try network.verify(path) == 0, "seed \(TestNetwork.seed)")
    for item in acknowledged {
      let body = try BatchBody(batches[Int(item.leaf.batch.raw)].body)
      try #require(Int(item.leaf.index) < body.bundles.count)
      #expect(
        body.bundles[Int(item.leaf.index)].bytes == item.bytes,
        "batch \(item.leaf.batch), index \(item.leaf.index), seed \(TestNetwork.seed)")
    }
    try network.stopAll()
  }

  @Test("layers may start in any order and find each other")
  func anyOrder() throws {
    let network = try TestNetwork("order")
    try network.start("settlement")
    try network.start("clearing")
    try network.start("execution")
    let connection = try network.connect("execution")
    try network.fund(connection)
    try network.settle(through: BatchNumber(0))
    try network.stopAll()
  }

  @Test("a folder of another network and a missing genesis are refused with one line")
  func startUpFaults() throws {
    let network = try TestNetwork("faults")
    try network.start("execution")
    // The folder is in use by the first.
    #expect(throws: ProcessFailure.self) {
      _ = try LayerProcess(
        program: TestNetwork.programs + "/novate-execution",
        arguments: [
          "--genesis", network.folder + "/genesis.json", "--data", network.folder + "/execution",
          "--listen", "unix:\(network.folder)/other.sock",
        ], logPath: network.folder + "/second.log")
    }
    #expect(throws: ProcessFailure.self) {
      _ = try LayerProcess(
        program: TestNetwork.programs + "/novate-execution",
        arguments: ["--genesis", network.folder + "/none.json", "--data", network.folder + "/x"],
        logPath: network.folder + "/third.log")
    }
    try network.stopAll()
  }

  @Test("a settlement far behind catches up, and counts all transactions also after a restart")
  func farBehind() throws {
    let network = try TestNetwork("behind")
    try Files.create(
      network.folder + "/config.json", Array(#"{"batch_interval_ms": 1}"#.utf8))
    network.config = network.folder + "/config.json"
    try network.start("clearing")
    try network.start("execution")
    let connection = try network.connect("execution")
    try network.fund(connection)
    // Several windows of batches, one bundle in each.
    var last = BatchNumber(0)
    var sent = 0
    while last.raw < 300 {
      let bundle = network.bundle(
        [TestNetwork.order(.buy, 59_000)], network.builder.traders[sent % 8])
      let answer = try network.submit(bundle, connection)
      let leaf = try #require(answer.accepted.first).leaf
      last = leaf.batch
      sent += 1
    }
    try network.start("settlement")
    try network.settle(through: last)
    let path = network.folder + "/all.nvb"
    let count = try network.export(through: last, to: path).reduce(0) {
      $0 + UInt64($1.header.bundleCount)
    }
    #expect(count == UInt64(sent + network.builder.publishers.count + 1))
    for _ in 0..<2 {
      let status = try DemoQuery.status(try network.connect("settlement"))
      #expect(try status.integer(at: "bundles", as: UInt64.self) == count)
      network.kill("settlement")
      try network.start("settlement")
      try network.settle(through: last)
    }
    #expect(try network.verify(path) == 0)
    network.killAll()
  }

  @Test("a demo that is told to end leaves no layer running, and too long a folder is named")
  func interruptedDemo() throws {
    let folder = "/tmp/novate-interrupted-\(getpid())"
    defer { _ = try? Command.run("/bin/sh", ["-c", "rm -rf \(folder) \(folder)-*.out"]) }
    for number in [SIGTERM, SIGINT] {
      let output = "\(folder)-\(number).out"
      let command = "exec \(TestNetwork.programs)/novate demo --data \(folder) >\(output) 2>&1"
      let arguments = ["/bin/sh", "-c", command]
      var words = unsafe arguments.map { unsafe strdup($0) }
      unsafe words.append(nil)
      defer { unsafe words.forEach { unsafe free($0) } }
      var child: pid_t = 0
      var attributes = CleanSignals.attributes()
      defer { unsafe posix_spawnattr_destroy(&attributes) }
      let code = unsafe posix_spawn(&child, "/bin/sh", nil, &attributes, words, environ)
      try #require(code == 0)
      var pids: [pid_t] = []
      for _ in 0..<3_000 where pids.count < 3 {
        usleep(10_000)
        guard Files.exists(output) else { continue }
        let text = String(decoding: try Files.read(output, byteCountMax: 1 << 20), as: UTF8.self)
        pids = text.split(separator: "\n").filter { $0.hasPrefix("process ") }.compactMap { line in
          line.split(separator: ",").first { $0.hasPrefix(" pid ") }.flatMap {
            pid_t($0.dropFirst(5))
          }
        }
      }
      try #require(pids.count == 3)
      #expect(pids.allSatisfy { kill($0, 0) == 0 })
      kill(child, number)
      var status: Int32 = 0
      _ = unsafe waitpid(child, &status, 0)
      #expect(status >> 8 & 0xff == 128 + number, "status \(status)")
      #expect(pids.allSatisfy { kill($0, 0) != 0 && errno == ESRCH })
    }
    let long = "/tmp/" + String(repeating: "x", count: LayerGroup.folderByteCountMax)
    #expect(
      try Command.run(TestNetwork.programs + "/novate", ["demo", "--data", long]) == 1)
    #expect(!Files.exists(long))
  }

  @Test("hostile bytes close their own connection and change nothing")
  func hostileBytes() throws {
    let network = try TestNetwork("hostile")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let before = try DemoQuery.status(connection).string(at: "network")
    // Another network's client is told so.
    #expect(throws: ClientFailure.self) {
      _ = try BlockingConnection(
        to: try Address(network.address("execution")), network: SHA256.digest([1]))
    }
    // A bundle with any byte flipped is refused, and its nonce stays free.
    let bundle = network.bundle([TestNetwork.order(.buy, 59_000)], network.builder.traders[0])
    for place in stride(from: 0, to: bundle.bytes.count, by: 7) {
      var bytes = bundle.bytes
      bytes[place] ^= 0x10
      let frame = try connection.request(
        type: MessageType.submit, body: SubmitMessage(bundles: [bytes]).encoded)
      let body = frame.body
      let answer = try SubmittedMessage(decoding: body.rawSpan)
      #expect(answer.accepted.isEmpty && answer.refused.count == 1, "byte \(place)")
    }
    // A message that does not decode is answered by an error.
    #expect(throws: ClientFailure.self) {
      _ = try connection.request(type: MessageType.submit, body: [9, 0, 0, 0, 1])
    }
    let good = try network.submit(bundle, connection)
    #expect(good.accepted.count == 1)
    #expect(try DemoQuery.status(connection).string(at: "network") == before)
    try network.stopAll()
  }
}

/// The recorded crash stands beside the project where it is developed; nowhere else.
private let recordedCrash =
  Files.parent(of: Files.parent(of: Files.parent(of: Files.parent(of: #filePath))))
  + "/shared/data/deribit_option_chain_2026-02_crash.csv.gz"

@Suite("the demo", .serialized)
struct DemoTests {
  private func demo(_ name: String, _ more: [String]) throws -> Int32 {
    let folder = "/tmp/novate-\(name)-\(getpid())"
    defer { _ = try? Command.run("/bin/rm", ["-rf", folder]) }
    return try Command.run(TestNetwork.programs + "/novate", ["demo", "--data", folder] + more)
  }

  @Test("the demo ends verified")
  func demo() throws { #expect(try demo("demo", []) == 0) }

  @Test("a recorded crash ends verified", .enabled(if: Files.exists(recordedCrash)))
  func chain() throws { #expect(try demo("chain", ["--chain", recordedCrash]) == 0) }
}
