import ArgumentParser
import Client
import Foundation
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("Doctor") struct DoctorTests {
  static func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let path = FileManager.default.temporaryDirectory.appending(path: "novate-\(UUID())").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  @Test("the sealed self-test passes")
  func selfTest() throws { #expect(try SelfTest.run().contains("value conserved")) }

  @Test("the linked libraries give the published answers")
  func vectors() {
    #expect(KnownAnswers.signatureFault() == nil)
    #expect(KnownAnswers.hashFault() == nil)
  }

  @Test("a sound network's folder passes every check")
  func sound() throws {
    try Self.withFolder { folder in
      _ = try NetworkFolder(folder).make(GenesisBuilder(startTime: Timestamp(raw: 1_000)))
      let checks = Examination(folder: folder).checks()
      #expect(
        checks.map(\.name) == [
          "novate", "libsodium", "libcrypto", "lmdb", "zlib", "ed25519", "sha256", "disk space",
          "disk sync",
          "clock", "genesis", "keys", "self-test",
        ])
      #expect(!checks.contains { $0.status == .fail })
      #expect(checks.first { $0.name == "keys" }?.detail == "23 key files")
      // Nothing is left behind.
      #expect(try Files.names(in: folder) == ["genesis.json", "keys"])
    }
  }

  @Test("a key that others may read fails, a stranger's key warns")
  func keys() throws {
    try Self.withFolder { folder in
      let network = NetworkFolder(folder)
      _ = try network.make(GenesisBuilder(startTime: Timestamp(raw: 1_000)))
      try KeyFile.write(KeyRole.custodian.key(seed: 1), to: network.keysPath + "/mine.key")
      func keys() -> Check? { Examination(folder: folder).checks().first { $0.name == "keys" } }
      #expect(keys() == Check("keys", .warn, "24 key files, 1 of them not in genesis"))
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o644], ofItemAtPath: network.keyPath(.execution))
      #expect(keys()?.status == .fail)
      #expect(keys()?.detail.contains("found mode 644") == true)
    }
  }

  @Test("a folder that is none fails and says so")
  func missing() {
    let checks = Examination(folder: "/nowhere/at/all").checks()
    #expect(
      checks.filter { $0.status == .fail }.map(\.name) == ["disk space", "disk sync", "genesis"])
  }

  @Test("the report is text for people and one JSON object for programs")
  func report() throws {
    let checks = [Check("a", .pass, "1"), Check("longer", .warn, "2"), Check("b", .fail, "\"3\"")]
    #expect(DoctorCommand.text(checks) == "PASS  a       1\nWARN  longer  2\nFAIL  b       \"3\"\n")
    let value = try JSONValue.parse(DoctorCommand.json(checks))
    #expect(try value.string(at: "schema") == "novate.doctor/1")
    #expect(try value.string(at: "status") == "fail")
    #expect(try value.array(at: "checks").count == 3)
    #expect(try JSONValue.parse(DoctorCommand.json([checks[0]])).string(at: "status") == "pass")
    #expect(
      try JSONValue.parse(DoctorCommand.json([checks[0], checks[1]])).string(at: "status")
        == "warn")
  }
}

@Suite("The command line") struct CommandTests {
  @Test("init makes a network with the options asked for")
  func initialise() throws {
    try DoctorTests.withFolder { folder in
      let command = try InitCommand.parse([
        folder + "/net", "--name", "test", "--accounts", "2", "--start-time", "1767225600000",
        "--instrument", "BTC-27MAR26-60000-C", "--instrument", "SOL-PERP",
      ])
      try command.run()
      let genesis = try NetworkFolder(folder + "/net").genesis()
      #expect(genesis.name == "test")
      #expect(genesis.accounts.count == 9)
      #expect(genesis.startTime.raw == 1_767_225_600_000)
      #expect(
        genesis.instruments.compactMap { genesis.instrumentName($0.id)?.description } == [
          "BTC-PERP", "ETH-PERP", "BTC-27MAR26-60000-C", "SOL-PERP",
        ])
      #expect(throws: FolderFailure.self) { try command.run() }
    }
  }

  @Test("keys are made once and shown")
  func keys() throws {
    try DoctorTests.withFolder { folder in
      let path = folder + "/a.key"
      try KeyCommand.New.parse([path]).run()
      #expect(throws: FileFailure.self) { try KeyCommand.New.parse([path]).run() }
      try KeyCommand.Show.parse([path]).run()
      try KeyCommand.Show.parse([path, "--json"]).run()
    }
  }

  @Test("faults of usage are told from those of files and of contents")
  func exits() throws {
    #expect(throws: (any Error).self) { try InitCommand.parse(["x", "--accounts", "70000"]) }
    #expect(Exit.code(FileFailure.kind(path: "x")) == 5)
    #expect(Exit.code(GenesisFailure.fault("x")) == 1)
    #expect(Exit.code(CommandFailure("x")) == 1)
    #expect(NovateCommand.configuration.version == "novate \(Version.text)")
  }
}
