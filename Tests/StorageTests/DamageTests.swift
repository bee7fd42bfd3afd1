import Commitments
import Glibc
import Primitives
import Testing

@testable import Storage

@Suite struct DamageTests {
  /// A data file with every kind of page: branch, leaf, large values, free list, small tables.
  private func sample(_ folder: String) throws {
    var random = Seeded(41)
    let store = try open(folder)
    try fill(store, 0..<60, &random)
    var state = OnePool()
    for _ in 0..<1_280 { state.accounts.append(Account(number: random.next())) }
    state.seal()
    // The pages of a round, each of them with a commit.
    for seq in 59..<200 as Range<UInt64> {
      guard let share = state.pageShare(after: seq) else { break }
      try store.commit { (batch) throws(StorageFailure) in
        try batch.put(share, 59)
      }
    }
    try store.commit { (batch) throws(StorageFailure) in
      try batch.removeValues(.body, below: 15)
    }
  }

  /// Everything a walk finds, as one digest; nil where the meta pages refuse.
  private func contents(_ path: String) throws -> Digest? {
    guard let metas = try? MetaPages(try File(path, .read)) else { return nil }
    var stream = SHA256Stream()
    var walk = try PageWalk(try File(path, .read), metas.live)
    try walk.run { (table, key, value, _) throws(StorageFailure) in
      stream.update(Array(table.utf8).rawSpan)
      stream.update(key)
      stream.update(value)
    }
    // A free list that lost a page is a wrong one too.
    let pages = Array("\(walk.livePageCount) \(walk.freePageCount)".utf8)
    stream.update(pages.rawSpan)
    return stream.finish()
  }

  @Test("each flipped bit of a data file is found by scrub, or lies in unused space")
  func everyPage() throws {
    let scratch = try Scratch()
    try sample(scratch.path)
    let path = scratch.path + "/data.mdb"
    try Folder.remove(scratch.path + "/lock.mdb")
    let whole = try Scratch.contents(path)
    let original = try contents(path)
    let sound = try Scrub.run(scratch.path)
    #expect(sound.damages == [])
    #expect(sound.valueCount > 200 && sound.freePageCount > 0)
    var random = Seeded(42)
    var found = 0
    var unused = 0
    let file = try File(path, .readWrite)
    // Every byte of both meta records, then each page at its header and at seeded places.
    var offsets = Array(0..<160) + Array(4096..<4256)
    // Every byte in use of the free list's root, and of the table of tables.
    let metas = try MetaPages(try File(path, .read))
    for root in [metas.live.free.root, metas.live.main.root] {
      let start = Int(root) * 4096
      let upper = Int(whole.rawSpan.load(at: start + 14, as: UInt16.self))
      offsets += Array(start..<(start + 24)) + Array((start + upper)..<(start + 4096))
    }
    for page in 2..<(whole.count / 4096) {
      offsets.append(page * 4096 + random.below(16))
      offsets.append(page * 4096 + 16 + random.below(64))
      for _ in 0..<4 { offsets.append(page * 4096 + random.below(4096)) }
    }
    for offset in offsets {
      let byte = whole[offset] ^ 1 << UInt8(random.below(8))
      try file.write([byte].rawSpan, at: offset)
      let report = try Scrub.run(scratch.path)
      if report.isSound {
        unused += 1
        let now = try contents(path)
        #expect(now == original, "silent at offset \(offset), seed \(random.seed)")
      } else {
        found += 1
      }
      try file.write([whole[offset]].rawSpan, at: offset)
    }
    #expect(found > 500)
    print("bit flips: \(found) found, \(unused) in unused space, seed \(random.seed)")
    #expect(try Scrub.run(scratch.path).damages == [])
  }

  @Test("a flipped bit in each live value is refused by the store that reads it")
  func everyValue() throws {
    let scratch = try Scratch()
    try sample(scratch.path)
    let path = scratch.path + "/data.mdb"
    let whole = try Scratch.contents(path)
    var random = Seeded(43)
    let bodies = try { () throws -> [(RecordKind, UInt64, [UInt8])] in
      let store = try open(scratch.path)
      var all: [(RecordKind, UInt64, [UInt8])] = []
      try store.read { (reader) throws(StorageFailure) in
        for kind in [RecordKind.header, .body, .delta] {
          try reader.forEach(kind) { (seq, bytes) throws(StorageFailure) in
            all.append((kind, seq, bytes.array))
            return true
          }
        }
      }
      return all
    }()
    #expect(bodies.count == 165)
    // Where each value stands, by the first word of its seal; found by a scan.
    var places: [UInt64: [Int]] = [:]
    for (kind, seq, bytes) in bodies {
      places[Seal.digest(.batch(kind, seq), bytes.rawSpan).words.0] = []
    }
    for offset in stride(from: 8192, to: whole.count - 8, by: 1) {
      let word: UInt64 = whole.rawSpan.load(at: offset)
      // A free page may hold a value's former self, so each copy is flipped below.
      if places[word] != nil { places[word]?.append(offset) }
    }
    for (kind, seq, bytes) in bodies {
      let word = Seal.digest(.batch(kind, seq), bytes.rawSpan).words.0
      let copies = try #require(places[word], "\(kind) \(seq)")
      #expect(!copies.isEmpty)
      let inside = random.below(32 + bytes.count)
      let bit = UInt8(1) << UInt8(random.below(8))
      let file = try File(path, .readWrite)
      for offset in copies.map({ $0 + inside }) where offset < whole.count {
        try file.write([whole[offset] ^ bit].rawSpan, at: offset)
      }
      let reader = try Store(reading: scratch.path)
      #expect(
        failure { _ = try reader.value(kind, seq) }
          == .damaged(key: .batch(kind, seq), reason: .hash), "seed \(random.seed)")
      for offset in copies.map({ $0 + inside }) where offset < whole.count {
        try file.write([whole[offset]].rawSpan, at: offset)
      }
      #expect(try reader.value(kind, seq) == bytes)
    }
  }

  /// A structural flip may stop the process inside the database library; it must never pass.
  @Test("a flipped bit in a tree page never gives a wrong answer", arguments: 0..<12)
  func structure(_ round: Int) async throws {
    let scratch = try Scratch()
    try sample(scratch.path)
    let path = scratch.path + "/data.mdb"
    let sound = try digestOfReads(scratch.path)
    try Folder.remove(scratch.path + "/lock.mdb")
    var bytes = try Scratch.contents(path)
    var random = Seeded(UInt64(4400 + round))
    var trees: [Int] = []
    for page in 2..<(bytes.count / 4096) {
      let flags = bytes[page * 4096 + 10]
      if bytes[page * 4096 + 11] == 0, flags == 1 || flags == 2 { trees.append(page) }
    }
    let page = trees[random.below(trees.count)]
    let offset = page * 4096 + random.below(round % 2 == 0 ? 64 : 4096)
    bytes[offset] ^= 1 << UInt8(random.below(8))
    try Scratch.write(bytes, to: path)
    let folder = scratch.path
    let expected = "\(sound)"
    await #expect(processExitsWith: .success, "offset \(offset), seed \(random.seed)") {
      [folder = folder as String, expected = expected as String] in
      for number in [SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGTRAP, SIGFPE] {
        // Stopping is an answer too.
        signal(number) { _ in _exit(0) }
      }
      alarm(20)
      do {
        let read = try digestOfReads(folder)
        exit("\(read)" == expected ? 0 : 77)
      } catch { exit(0) }
    }
  }

  @Test("a value that a damaged page hides is missing, not absent")
  func hidden() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    var random = Seeded(45)
    try fill(store, 0..<10, &random)
    // As if a page had lost it: removed beneath the inventory.
    try store.commit { (batch) throws(StorageFailure) in
      _ = try batch.reader.session.remove(.batch(.body, 4))
      _ = try batch.reader.session.remove(.meta(.head))
    }
    #expect(failure { _ = try store.value(.body, 4) } == .missing(key: .batch(.body, 4)))
    #expect(failure { _ = try store.head() } == .missing(key: .meta(.head)))
    let walk = failure {
      try store.read { (reader) throws(StorageFailure) in
        try reader.forEach(.body) { (_, _) throws(StorageFailure) in true }
      }
    }
    #expect(walk == .missing(key: .batch(.body, 4)))
    let places = try store.scrub().damages.map { "\($0.place) \($0.key)" }
    #expect(places == ["meta group 2", "batches group 2"])
  }
}

/// Everything a layer would read at its start, as one digest.
func digestOfReads(_ folder: String) throws -> Digest {
  let store = try open(folder)
  var stream = SHA256Stream()
  try store.read { (reader) throws(StorageFailure) in
    for kind in RecordKind.allCases {
      try reader.forEach(kind) { (seq, bytes) throws(StorageFailure) in
        stream.update(Array("\(seq)".utf8).rawSpan)
        stream.update(bytes)
        return true
      }
    }
    let head = Array("\(String(describing: try reader.head()))".utf8)
    stream.update(head.rawSpan)
    for seq in 0..<120 as Range<UInt64> {
      if let id = try reader.signed(role: 1, seq) { stream.update(id) }
      if let body = try reader.value(.body, seq) { stream.update(body.rawSpan) }
    }
    if let head = try reader.pageHead() {
      for shape in head.pools {
        let stored = try reader.pool(shape, through: 59)
        let records = stored.bytes
        stream.update(records.rawSpan)
      }
    }
  }
  return stream.finish()
}
