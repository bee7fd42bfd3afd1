import Commitments
import Glibc
import Primitives
import Testing

@testable import Storage

@Suite struct HighwaterTests {
  /// Commits, raises and forgets `numbers`, as a layer does for each batch.
  private func sign(_ store: Store, _ numbers: Range<UInt64>) throws {
    let highwater = try Highwater(store)
    for seq in numbers {
      let id = HighwaterTests.id(seq)
      try store.commit { (batch) throws(StorageFailure) in
        try batch.putSigned(role: 1, seq: seq, id: id)
        try batch.putHead(Head(seq: seq))
      }
      try highwater.raise(seq: seq, id: id)
    }
  }

  private static func id(_ seq: UInt64) -> Digest { SHA256.digest(Array("id \(seq)".utf8)) }

  private func standing(_ folder: String) throws -> Standing {
    try Highwater(try open(folder)).standing
  }

  @Test("a folder that only went on is consistent")
  func consistent() throws {
    let scratch = try Scratch()
    #expect(try standing(scratch.path) == .consistent)
    try sign(try open(scratch.path), 0..<5)
    let store = try open(scratch.path)
    let highwater = try Highwater(store)
    #expect(highwater.standing == .consistent)
    #expect(highwater.mark == Highwater.Mark(seq: 4, id: HighwaterTests.id(4)))
    try highwater.raise(seq: 4, id: HighwaterTests.id(4))
    #expect(
      failure { try highwater.raise(seq: 4, id: network) }
        == .alreadySigned(role: 1, seq: 4, id: HighwaterTests.id(4)))
    #expect(
      failure { try highwater.raise(seq: 3, id: HighwaterTests.id(3)) }
        == .alreadySigned(role: 1, seq: 4, id: HighwaterTests.id(4)))
  }

  @Test("a batch committed and not yet raised is consistent")
  func oneBehind() throws {
    let scratch = try Scratch()
    do {
      let store = try open(scratch.path)
      _ = try Highwater(store)
      try store.commit { (batch) throws(StorageFailure) in
        try batch.putSigned(role: 1, seq: 0, id: network)
      }
    }
    #expect(try standing(scratch.path) == .consistent)
  }

  @Test("a missing, copied, ahead or disagreeing file makes the folder recover")
  func recovering() throws {
    let scratch = try Scratch()
    try sign(try open(scratch.path), 0..<5)
    let path = scratch.path + "/highwater"
    let bytes = try Scratch.contents(path)

    try Folder.remove(path)
    #expect(
      try standing(scratch.path) == .recovering(atLeast: 4, because: .highwaterMissing))
    // It does not heal by starting twice.
    #expect(
      try standing(scratch.path) == .recovering(atLeast: 4, because: .highwaterMissing))

    // The folder put back whole, as an archive would: the old file still stands somewhere, so the
    // new one has another inode.
    let other = try Scratch()
    try Scratch.write(bytes, to: other.path + "/highwater")
    try Scratch.write(
      try Scratch.contents(scratch.path + "/data.mdb"), to: other.path + "/data.mdb")
    #expect(try standing(other.path) == .recovering(atLeast: 4, because: .highwaterCopied))
  }

  @Test("a database older than the file, or of another id, makes the folder recover")
  func rolledBack() throws {
    let scratch = try Scratch()
    try sign(try open(scratch.path), 0..<3)
    let old = try Scratch.contents(scratch.path + "/data.mdb")
    try sign(try open(scratch.path), 3..<6)
    try Scratch.write(old, to: scratch.path + "/data.mdb")
    let store = try open(scratch.path)
    let highwater = try Highwater(store)
    #expect(highwater.standing == .recovering(atLeast: 5, because: .databaseBehind))
    #expect(failure { try highwater.raise(seq: 3, id: network) } == .recovering(atLeast: 5))
    // Another history grown over it.
    try store.commit { (batch) throws(StorageFailure) in
      for seq in 3..<9 as Range<UInt64> { try batch.putSigned(role: 1, seq: seq, id: network) }
    }
    #expect(try Highwater(store).standing == .recovering(atLeast: 8, because: .disagreement))
  }

  @Test("a slot torn at any of its bytes falls back to the raise before")
  func tornSlot() throws {
    let scratch = try Scratch()
    var random = Seeded(31)
    try sign(try open(scratch.path), 0..<4)
    let path = scratch.path + "/highwater"
    let whole = try Scratch.contents(path)
    // Counter: one empty slot, then four raises; the fifth write is in the odd slot.
    let newest = 4096
    for offset in 0..<136 {
      let file = try File(path, .readWrite)
      var bytes = whole
      bytes[newest + offset] ^= 1 << UInt8(random.below(8))
      try file.write(bytes.rawSpan, at: 0)
      let store = try open(scratch.path)
      let highwater = try Highwater(store)
      #expect(highwater.mark?.seq == 2, "offset \(offset), seed \(random.seed)")
      #expect(highwater.standing == .consistent, "offset \(offset), seed \(random.seed)")
      // The half-written raise is made again, over the torn slot.
      try highwater.raise(seq: 3, id: HighwaterTests.id(3))
      #expect(try Highwater(store).mark?.seq == 3)
    }
    let file = try File(path, .readWrite)
    try file.write([UInt8](repeating: 0xff, count: 8192).rawSpan, at: 0)
    #expect(
      try standing(scratch.path) == .recovering(atLeast: 3, because: .highwaterMissing))
  }
}

@Suite struct BackupTests {
  @Test("a backup taken while the writer runs is one commit, and restores to a recovering folder")
  func whileWriting() async throws {
    let scratch = try Scratch()
    let out = try Scratch()
    var random = Seeded(32)
    let store = try open(scratch.path)
    _ = try Highwater(store)
    try fill(store, 0..<40, &random)
    let writing = Task.detached {
      var random = Seeded(33)
      for seq in 40..<120 as Range<UInt64> { try fill(store, seq..<(seq + 1), &random) }
    }
    for copy in 0..<4 {
      let target = "\(out.path)/\(copy)"
      let digest = try store.backup(to: target, isCompact: copy % 2 == 1)
      #expect(failure { _ = try store.backup(to: target) } == .notEmpty(folder: target))
      #expect(try Folder.names(target) == ["SHA256SUMS", "data.mdb"])
      #expect(SHA256.digest(try Scratch.contents(target + "/data.mdb")) == digest)
      #expect(try store.scrub().damages == [], "scrub beside the writer")
    }
    try await writing.value
    for copy in 0..<4 {
      let target = "\(out.path)/restored\(copy)"
      try Backup.restore("\(out.path)/\(copy)", to: target)
      #expect(
        failure { try Backup.restore("\(out.path)/\(copy)", to: target) }
          == .notEmpty(folder: target))
      #expect(try Scrub.run(target).damages == [])
      let restored = try open(target)
      let head = try #require(try restored.head())
      #expect(head.seq >= 39)
      #expect(head.roots == [SHA256.digest(try #require(try restored.value(.body, head.seq)))])
      let highwater = try Highwater(restored)
      #expect(highwater.standing == .recovering(atLeast: head.seq, because: .restored))
      // Its peers saw two more; after the replay it signs again, from there on.
      #expect(
        failure { try highwater.finishRecovery(at: .init(seq: head.seq - 1, id: network)) }
          == .recovering(atLeast: head.seq))
      let ids = [network, otherNetwork]
      try restored.commit { (batch) throws(StorageFailure) in
        try batch.putSigned(role: 1, seq: head.seq + 1, id: ids[0])
        try batch.putSigned(role: 1, seq: head.seq + 2, id: ids[1])
      }
      try highwater.finishRecovery(at: .init(seq: head.seq + 2, id: ids[1]))
      #expect(
        failure { try highwater.raise(seq: head.seq + 2, id: network) }
          == .alreadySigned(role: 1, seq: head.seq + 2, id: otherNetwork))
      #expect(try Highwater(restored).standing == .consistent)
    }
  }

  @Test("another process copies beside the writer")
  func otherProcess() async throws {
    let scratch = try Scratch()
    let out = try Scratch()
    var random = Seeded(34)
    let store = try open(scratch.path)
    try fill(store, 0..<20, &random)
    let (from, to) = (scratch.path, out.path + "/copy")
    await #expect(processExitsWith: .success) { [from = from as String, to = to as String] in
      try Backup.copy(from: from, to: to)
      let report = try Scrub.run(from)
      exit(report.isSound && report.valueCount > 80 ? 0 : 1)
    }
    try fill(store, 20..<22, &random)
    try Backup.restore(to, to: out.path + "/restored")
    #expect(try open(out.path + "/restored").head()?.seq == 19)
    #expect(try Store(reading: to).head()?.seq == 19)
  }

  @Test("a backup with a flipped bit is refused and leaves nothing behind")
  func damagedBackup() throws {
    let scratch = try Scratch()
    let out = try Scratch()
    var random = Seeded(35)
    let store = try open(scratch.path)
    try fill(store, 0..<5, &random)
    try store.backup(to: out.path + "/copy")
    var bytes = try Scratch.contents(out.path + "/copy/data.mdb")
    bytes[bytes.count / 2] ^= 1
    try Scratch.write(bytes, to: out.path + "/copy/data.mdb")
    let target = out.path + "/restored"
    guard case .backupDamaged = failure({ try Backup.restore(out.path + "/copy", to: target) })
    else {
      Issue.record("the damage was not seen")
      return
    }
    #expect(try Folder.names(target) == [])
  }
}
