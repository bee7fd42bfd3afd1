import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Settlement
import Testing
import Wire

@testable import CLI

/// A small network that has traded, and what the real program exported of it.
private struct ExportedFiles {
  let network: TestNetwork
  /// Kind of file, and its path.
  var files: [(name: String, path: String)] = []
  /// Risk arrays, as clearing wrote them.
  var risk = ""

  init(_ name: String) throws {
    network = try TestNetwork(name)
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let (maker, taker) = (network.builder.traders[0], network.builder.traders[1])
    _ = try network.submit(network.bundle([TestNetwork.order(.sell, 60_010)], maker), connection)
    let filled = try network.submit(
      network.bundle([TestNetwork.order(.buy, 60_020, .ioc)], taker), connection)
    let leaf = try #require(filled.accepted.first).leaf
    #expect(leaf.outcomes.first?.status == .filled)
    try network.settle(through: leaf.batch)
    let from = ["--settlement", network.address("settlement")]
    try export("range", ["export"] + from + ["--to", "\(leaf.batch)"])
    try export("middle", ["export"] + from + ["--from", "1", "--to", "\(leaf.batch)"])
    try export("account", ["prove", "account", "\(taker)"] + from)
    try export("absence", ["prove", "account", "4000"] + from)
    try export("trade", ["prove", "trade", "1"] + from)
    risk = "\(network.folder)/risk.jsonl"
    try #require(
      try Command.run(
        TestNetwork.programs + "/novate",
        ["export", "--risk", "--clearing", network.address("clearing"), "--out", risk]
          + ["--genesis", network.folder + "/genesis.json"]) == 0)
    try network.stopAll()
  }

  private mutating func export(_ name: String, _ arguments: [String]) throws {
    let path = "\(network.folder)/\(name).nvb"
    let genesis = ["--genesis", network.folder + "/genesis.json", "--out", path]
    try #require(
      try Command.run(TestNetwork.programs + "/novate", arguments + genesis) == 0, "\(name)")
    files.append((name, path))
  }

  func verify(_ path: String, _ more: [String] = []) throws -> Int32 {
    try Command.run(
      TestNetwork.programs + "/novate",
      ["verify", path, "--genesis", "\(network.network)", "--quiet"] + more)
  }
}

@Suite("files that the real program exported", .serialized)
struct OfflineFileTests {
  @Test("each verifies, answers the question asked and no other")
  func verified() throws {
    let exported = try ExportedFiles("files")
    let account = exported.network.builder.traders[1]
    for (name, path) in exported.files {
      #expect(try exported.verify(path) == 0, "\(name)")
      let answersAccount = name == "account" || name == "range" || name == "middle"
      #expect(
        try exported.verify(path, ["--account", "\(account)"]) == (answersAccount ? 0 : 3),
        "\(name) asked for account \(account)")
      let answersTrade = name == "trade" || name == "range" || name == "middle"
      #expect(
        try exported.verify(path, ["--trade", "1"]) == (answersTrade ? 0 : 3),
        "\(name) asked for trade 1")
    }
    let lines = String(
      decoding: try Files.read(exported.risk, byteCountMax: 1 << 22), as: UTF8.self
    ).split(separator: "\n")
    #expect(lines.count == exported.network.genesis.underlyings.count)
    for line in lines {
      let file = try JSONValue.parse(String(line))
      let name = try #require(file["instruments"]?.asArray().first).string(at: "instrument")
      #expect(try file.string(at: "schema") == "novate.risk/1" && !name.isEmpty)
    }
    // A number of another network is refused, a missing file is an error of its own.
    #expect(
      try Command.run(
        TestNetwork.programs + "/novate",
        ["verify", exported.files[0].path, "--genesis", String(repeating: "0", count: 64)]) == 1)
    #expect(try exported.verify(exported.network.folder + "/none.nvb") == 5)
    #expect(try exported.verify(exported.files[0].path, ["--level", "deep"]) == 2)
  }

  @Test("no flipped bit and no missing byte passes")
  func damaged() throws {
    let exported = try ExportedFiles("flips")
    let verifier = FileVerifier(pin: .hash(exported.network.network))
    for (name, path) in exported.files {
      let whole = try Files.read(path, byteCountMax: 1 << 20)
      var bytes = whole
      var passed: [Int] = []
      for bit in 0..<(whole.count * 8) {
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        let code = verifier.verify(bytes).exitCode
        if code != 1 && code != 3 { passed.append(bit) }
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      }
      #expect(passed.isEmpty, "\(name) of \(whole.count) bytes: bits \(passed.prefix(10))")
      let short = (0..<whole.count).filter {
        let code = verifier.verify(Array(whole[..<$0])).exitCode
        return code != 1 && code != 3
      }
      #expect(short.isEmpty, "\(name) cut to \(short.prefix(10)) bytes")
    }
  }

  @Test("the program refuses what the library refuses")
  func damagedByProgram() throws {
    let exported = try ExportedFiles("program")
    var numbers = SeededNumbers(seed: TestNetwork.seed)
    let target = exported.network.folder + "/damaged.nvb"
    for (name, path) in exported.files {
      let whole = try Files.read(path, byteCountMax: 1 << 20)
      for _ in 0..<12 {
        let bit = numbers.below(whole.count * 8)
        var bytes = whole
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        try Files.replace(target, bytes)
        let code = try exported.verify(target)
        #expect(code == 1 || code == 3, "\(name), bit \(bit): exit \(code)")
        let count = numbers.below(whole.count)
        try Files.replace(target, Array(whole[..<count]))
        let cut = try exported.verify(target)
        #expect(cut == 1 || cut == 3, "\(name) cut to \(count) bytes: exit \(cut)")
      }
    }
  }
}

extension OfflineFileTests {
  @Test("two signed headers for one batch are evidence that anybody can judge")
  func equivocation() throws {
    let exported = try ExportedFiles("compare")
    let network = exported.network
    let path = exported.files[0].path
    let file = try BundleFile(Files.read(path, byteCountMax: 1 << 20))
    // Clearing signs a second header for the last batch.
    let list = try ObjectList(try #require(file[.clearances]))
    var forked = ByteWriter()
    for index in 0..<list.count {
      let object = list.object(index)
      var signed = try SignedClearance(encoded: object.rawSpan)
      if index == list.count - 1 {
        signed.header.postRoot = .zero
        let key = KeyRole.clearing.key(seed: TestNetwork.seed)
        signed = SignedClearance(
          header: signed.header, signature: key.sign(signed.header.id), body: signed.body)
      }
      ObjectList.append(signed.encoded, to: &forked)
    }
    let other = network.folder + "/forked.nvb"
    try Files.create(
      other,
      BundleFile.encoded(
        file.manifest,
        file.sections.dropFirst().map {
          ($0.type, $0.type == .clearances ? forked.bytes : $0.bytes)
        }))
    let evidence = network.folder + "/evidence.nve"
    func compare(_ a: String, _ b: String) throws -> Int32 {
      try Command.run(TestNetwork.programs + "/novate", ["compare", a, b, "--out", evidence])
    }
    #expect(try compare(path, path) == 0)
    #expect(!Files.exists(evidence))
    #expect(try compare(path, other) == 4)
    #expect(try exported.verify(evidence) == 4)
    #expect(try exported.verify(other) == 1)
    #expect(try compare(path, network.folder + "/genesis.json") == 1)
    #expect(try compare(path, network.folder + "/none.nvb") == 5)
  }
}

@Suite("what the demo shows", .serialized)
struct DemoLedgerTests {
  @Test("the crash closes accounts below maintenance, and leaves none in debt")
  func crash() throws {
    let folder = "/tmp/novate-ledger-\(getpid())"
    defer { _ = try? Command.run("/bin/rm", ["-rf", folder]) }
    try #require(
      try Command.run(TestNetwork.programs + "/novate", ["demo", "--data", folder]) == 0)
    let file = try BundleFile(Files.read(folder + "/demo.nvb", byteCountMax: 1 << 28))
    var ledger = DemoLedger()
    let batches = try ObjectList(try #require(file[.batches]))
    for index in 0..<batches.count {
      let object = batches.object(index)
      try ledger.add(try SignedBatch(encoded: object.rawSpan))
    }
    let clearances = try ObjectList(try #require(file[.clearances]))
    for index in 0..<clearances.count {
      let object = clearances.object(index)
      try ledger.add(try SignedClearance(encoded: object.rawSpan))
    }
    #expect(ledger.blocks == 1 && ledger.expired > 0 && ledger.fills > 1_000)
    let ended = ledger.closings.filter { $0.isOver && !$0.closed.isEmpty }
    #expect(ended.contains { $0.cash.raw > 0 }, "nobody was closed with something left")
    // A close gives away no more than the account has: the fund is there for gaps, and this crash
    // has none that is wide enough.
    #expect(ended.allSatisfy { $0.cash.raw >= 0 }, "somebody was left in debt")
  }
}
