import Client
import Commitments
import Foundation
import Primitives
import Testing
import Wire

@Suite("Key files") struct KeyFileTests {
  static let seed = (0..<32).map { UInt8($0) }

  static func text(_ seed: [UInt8]) -> String {
    "novate key 1 ed25519 (secret)\n\(Hexadecimal.text(seed.rawSpan))\n"
  }

  static func failure(_ path: String) -> FileFailure? {
    do throws(FileFailure) {
      _ = try KeyFile.read(path)
      return nil
    } catch {
      return error
    }
  }

  @Test("a key is written as two lines, for its owner alone, and read back")
  func roundTrip() throws {
    try withFolder { folder in
      let path = folder + "/a.key"
      let key = try SigningKey(seed: Self.seed)
      try KeyFile.write(key, to: path)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == Self.text(Self.seed))
      #expect(try Files.mode(of: path) == 0o600)
      let again = try KeyFile.read(path)
      #expect(again.publicKey == key.publicKey)
      #expect(
        Ed25519.isValid(again.sign(Digest.zero), of: Digest.zero, by: key.publicKey))
    }
  }

  @Test("a key is never overwritten")
  func overwrite() throws {
    try withFolder { folder in
      let path = folder + "/a.key"
      try KeyFile.write(try SigningKey(seed: Self.seed), to: path)
      #expect(throws: FileFailure.call("create", path: path, code: EEXIST)) {
        try KeyFile.write(SigningKey.random(), to: path)
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == Self.text(Self.seed))
    }
  }

  @Test("a key that others may read is refused", arguments: [0o640, 0o604, 0o620, 0o601, 0o777])
  func permissions(mode: Int) throws {
    try withFolder { folder in
      let path = folder + "/a.key"
      try KeyFile.write(try SigningKey(seed: Self.seed), to: path)
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      #expect(Self.failure(path) == .permissions(path: path, mode: UInt32(mode)))
    }
  }

  @Test("anything but the two lines is refused and its contents are not repeated")
  func form() throws {
    let good = Self.text(Self.seed)
    let hex = Hexadecimal.text(Self.seed.rawSpan)
    let texts = [
      "", hex + "\n", String(good.dropLast()), String(good.dropFirst()),
      good.replacingOccurrences(of: "key 1", with: "key 2"),
      good.replacingOccurrences(of: hex, with: hex.uppercased()),
      good.replacingOccurrences(of: hex, with: String(repeating: "g", count: 64)),
      good.replacingOccurrences(of: "\n", with: "\r\n"),
    ]
    try withFolder { folder in
      for (index, text) in texts.enumerated() {
        let path = folder + "/\(index).key"
        try Files.create(path, Array(text.utf8), mode: 0o600)
        let failure = try #require(Self.failure(path))
        #expect(!failure.description.contains(hex))
        if text.utf8.count <= KeyFile.byteCount {
          #expect(failure == .keyForm(path: path))
        } else {
          #expect(failure == .tooLarge(path: path, maximum: KeyFile.byteCount))
        }
      }
      let longer = folder + "/longer.key"
      try Files.create(longer, Array((good + " ").utf8), mode: 0o600)
      #expect(Self.failure(longer) == .tooLarge(path: longer, maximum: KeyFile.byteCount))
    }
  }

  @Test("a missing file and a folder are said to be so")
  func kinds() throws {
    try withFolder { folder in
      #expect(
        Self.failure(folder + "/none")
          == .call("open", path: folder + "/none", code: ENOENT))
      #expect(Self.failure(folder) == .kind(path: folder))
    }
    #expect(
      FileFailure.call("open", path: "/x", code: ENOENT).description
        == "/x: open failed: No such file or directory")
  }

  @Test("folders are made with those above them; a file in the way is refused")
  func folders() throws {
    try withFolder { folder in
      try Files.makeFolder(folder + "/a/b/c", mode: 0o700)
      #expect(try Files.mode(of: folder + "/a/b/c") == 0o700)
      try Files.makeFolder(folder + "/a/b/c")
      try Files.create(folder + "/file", [1])
      #expect(throws: FileFailure.self) { try Files.makeFolder(folder + "/file") }
      #expect(try Files.names(in: folder) == ["a", "file"])
    }
    #expect(Files.parent(of: "/a/b") == "/a")
    #expect(Files.parent(of: "/a") == "/")
    #expect(Files.parent(of: "a") == ".")
    #expect(Files.parent(of: "a/b/") == "a")
    #expect(Files.parent(of: "/") == "/")
  }
}

@Suite("A network's folder") struct NetworkFolderTests {
  @Test("init writes a key for every role and a manifest that lists them")
  func make() throws {
    try withFolder { folder in
      let network = NetworkFolder(folder + "/net")
      let genesis = try network.make(GenesisBuilder(startTime: Timestamp(raw: 1_000)))
      #expect(try network.genesis() == genesis)
      #expect(
        try Files.names(in: network.keysPath) == [
          "account-10.key", "account-11.key", "account-12.key", "account-13.key",
          "account-14.key", "account-7.key", "account-8.key", "account-9.key",
          "clearing-handshake.key", "clearing.key", "custodian.key", "execution-handshake.key",
          "execution.key", "governance-1.key", "governance-2.key", "governance-3.key",
          "publisher-1.key", "publisher-2.key", "publisher-3.key", "settlement-handshake.key",
          "settlement-note.key", "settlement.key", "witness-1.key",
        ])
      for name in try Files.names(in: network.keysPath) {
        #expect(try Files.mode(of: network.keysPath + "/" + name) == 0o600)
      }
      #expect(
        try network.key(.account(AccountID(9)), expecting: genesis.accounts[9]).publicKey
          == genesis.accounts[9])
      #expect(try network.key(.governance(2)).publicKey == genesis.accounts[5])
      #expect(
        throws: FolderFailure.key(
          path: network.keyPath(.custodian), expected: genesis.accounts[1],
          found: genesis.accounts[0])
      ) { _ = try network.key(.custodian, expecting: genesis.accounts[1]) }
      #expect(throws: FolderFailure.exists(network.genesisPath)) {
        try network.make(GenesisBuilder(startTime: Timestamp(raw: 1_000)))
      }
    }
  }

  @Test("a builder at fault leaves nothing behind")
  func fault() throws {
    try withFolder { folder in
      var builder = GenesisBuilder(startTime: Timestamp(raw: 1_000))
      builder.governanceThreshold = 4
      #expect(throws: GenesisFailure.fault("governance threshold")) {
        try NetworkFolder(folder + "/net").make(builder)
      }
      #expect(!Files.exists(folder + "/net"))
    }
  }
}
