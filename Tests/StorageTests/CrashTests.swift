import Commitments
import Glibc
import Primitives
import Testing

@testable import Storage

/// A layer in small: each batch is one journalled group, acknowledged, committed, raised, signed,
/// published. The world outside is a file that only grows.
private final class Layer {
  enum Step: Int, CaseIterable {
    case appended, synced, acknowledged, put, committed, raised, published
  }

  let store: Store
  let highwater: Highwater
  let world: File
  private(set) var worldOffset: Int
  private let journal: Journal

  init(_ folder: String) throws {
    let store = try open(folder + "/layer", options(map: 1 << 17))
    self.store = store
    highwater = try Highwater(store)
    guard highwater.standing == .consistent else { throw StorageFailure.recovering(atLeast: 0) }
    world = try File(folder + "/world", .createOrOpen)
    worldOffset = try world.byteCount() / 48 * 48
    let next = try store.head().map { $0.seq + 1 } ?? 0
    var open: [(UInt64, [UInt8])] = []
    journal = try Journal(
      folder: folder + "/layer", network: network, segmentByteCount: 1 << 15, replayingFrom: next
    ) { (index, payload) throws(StorageFailure) in open.append((index, payload.array)) }
    // The last batch may be committed and unsigned; the open journal is applied again.
    if next > 0, let body = try store.value(.body, next - 1) {
      try sign(next - 1, body) { _ in }
    }
    for (index, payload) in open {
      try commit(index, payload) { _ in }
      try sign(index, payload) { _ in }
    }
  }

  func batch(_ payload: [UInt8], _ pass: (Step) -> Void) throws {
    let seq = try journal.append(payload)
    pass(.appended)
    try journal.sync()
    pass(.synced)
    try publish(1, seq, SHA256.digest(payload))
    pass(.acknowledged)
    try commit(seq, payload, pass)
    try sign(seq, payload, pass)
    if seq % 16 == 15 { try journal.trim(before: seq) }
  }

  private func commit(_ seq: UInt64, _ payload: [UInt8], _ pass: (Step) -> Void) throws {
    try store.commit { (batch) throws(StorageFailure) in
      try batch.put(.body, seq, payload)
      try batch.putSigned(role: 1, seq: seq, id: SHA256.digest(payload))
      pass(.put)
      try batch.putHead(Head(seq: seq, roots: [SHA256.digest(payload)]))
    }
    pass(.committed)
  }

  private func sign(_ seq: UInt64, _ payload: [UInt8], _ pass: (Step) -> Void) throws {
    try highwater.raise(seq: seq, id: SHA256.digest(payload))
    pass(.raised)
    try publish(2, seq, SHA256.digest(payload))
    pass(.published)
  }

  private func publish(_ kind: UInt64, _ seq: UInt64, _ id: Digest) throws {
    var writer = ByteWriter()
    writer.write(kind)
    writer.write(seq)
    writer.write(id)
    try world.write(writer.bytes.rawSpan, at: worldOffset)
    worldOffset += 48
  }
}

/// Opens the folder as a restart does and compares it with what the world has seen.
private func check(_ folder: String, _ note: Comment) throws -> Int {
  let layer = try Layer(folder)
  let world = try Scratch.contents(folder + "/world")
  let head = try layer.store.head()
  for offset in stride(from: 0, to: world.count / 48 * 48, by: 48) {
    let seq: UInt64 = world.rawSpan.load(at: offset + 8)
    let id = Digest(world.rawSpan, at: offset + 16)
    // Acknowledged or signed: the batch stands, with these bytes and this id.
    #expect(seq <= head?.seq ?? 0, note)
    let body = try #require(try layer.store.value(.body, seq), note)
    #expect(SHA256.digest(body) == id, note)
    let signed = try layer.store.read { (reader) throws(StorageFailure) in
      try reader.signed(role: 1, seq)
    }
    #expect(signed == id, note)
  }
  if let head {
    #expect(head.roots == [SHA256.digest(try layer.store.value(.body, head.seq) ?? [])], note)
  }
  #expect(try layer.store.scrub().damages == [], note)
  return Int(head.map { $0.seq + 1 } ?? 0)
}

@Suite struct CrashTests {
  @Test("killed at each step of a batch, a layer keeps every promise it made")
  func eachStep() async throws {
    let scratch = try Scratch()
    var random = Seeded(61)
    var batches = 0
    for step in Layer.Step.allCases {
      for after in [0, 5] {
        let folder = scratch.path
        let (kill, run, seed) = (step.rawValue, after, random.next())
        await #expect(processExitsWith: .signal(SIGKILL)) {
          [folder = folder as String, step = kill as Int, after = run as Int, seed = seed as UInt64]
          in
          var random = Seeded(seed)
          let layer = try Layer(folder)
          for number in 0... {
            try layer.batch(random.bytes(random.below(6000))) { passed in
              if number == after, passed.rawValue == step {
                _ = Glibc.kill(getpid(), SIGKILL)
              }
            }
          }
        }
        let now = try check(folder, "step \(step), after \(after), seed \(random.seed)")
        #expect(now >= batches + after)
        batches = now
      }
    }
  }

  @Test("killed at any moment, a layer keeps every promise it made", arguments: 0..<12)
  func anyMoment(_ round: Int) async throws {
    let scratch = try Scratch()
    let folder = scratch.path
    let seed = UInt64(6200 + round)
    for run in 0..<2 as Range<UInt64> {
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [folder = folder as String, seed = seed &+ run &* 1000 as UInt64] in
        var random = Seeded(seed)
        let layer = try Layer(folder)
        let delay = UInt32(2000 + random.below(300_000))
        Task.detached {
          usleep(delay)
          _ = Glibc.kill(getpid(), SIGKILL)
        }
        while true { try layer.batch(random.bytes(random.below(4000) + 1)) { _ in } }
      }
      let count = try check(folder, "seed \(seed), run \(run)")
      print("killed after \(count) batches, seed \(seed)")
    }
  }
}

@Suite(.serialized) struct DiskFullTests {
  /// Mounts a small file system of memory; false, and a word on it, where this process may not.
  private func smallDisk(_ folder: String, _ mebibytes: Int) -> Bool {
    let code = unsafe mount("tmpfs", folder, "tmpfs", 0, "size=\(mebibytes)m")
    if code != 0 {
      print("skipped: this process may not mount a small file system (error \(errno))")
    }
    return code == 0
  }

  @Test("a full disk aborts the batch, keeps the store readable, and passes when space is back")
  func full() throws {
    var random = Seeded(71)
    let value = random.bytes(300_000)
    // Without a reserve the database's own writes meet the end of the disk; with one, the check.
    for reserve in [0, 1 << 20] { try fill(value, reserve: reserve) }
  }

  /// On a disk of its own: a child being spawned may hold a copy of a closed file for a moment.
  private func fill(_ value: [UInt8], reserve: Int) throws {
    let scratch = try Scratch()
    guard smallDisk(scratch.path, 8) else { return }
    defer { _ = unsafe umount2(scratch.path, Int32(MNT_DETACH)) }
    let folder = scratch.path + "/store"
    let ballast = scratch.path + "/ballast"
    try Scratch.write([UInt8](repeating: 1, count: 3 << 20), to: ballast)
    let store = try open(folder, options(map: 1 << 26, mapMax: 1 << 26, reserve: reserve))
    var last: StorageFailure?
    var committed: UInt64 = 0
    while last == nil, committed < 100 {
      last = failure {
        try store.commit { (batch) throws(StorageFailure) in
          try batch.put(.body, committed, value)
          try batch.putHead(Head(seq: committed))
        }
      }
      if last == nil { committed += 1 }
    }
    guard case .diskFull(let free, let needed) = last else {
      Issue.record("reserve \(reserve): found \(String(describing: last))")
      return
    }
    #expect(free < needed)
    #expect(try store.head()?.seq == committed - 1)
    for seq in 0..<committed { #expect(try store.value(.body, seq) == value) }
    // Space comes back: the same batch passes.
    try Folder.remove(ballast)
    try store.commit { (batch) throws(StorageFailure) in
      try batch.put(.body, committed, value)
      try batch.putHead(Head(seq: committed))
    }
    #expect(try store.value(.body, committed) == value)
    #expect(try store.scrub().damages == [])
  }

  @Test("a journal meets a full disk as such, and goes on when space is back")
  func journal() throws {
    let scratch = try Scratch()
    guard smallDisk(scratch.path, 4) else { return }
    defer { _ = unsafe umount2(scratch.path, Int32(MNT_DETACH)) }
    var random = Seeded(72)
    let journal = try Journal(
      folder: scratch.path, network: network, segmentByteCount: 1 << 20
    ) { (_, _) throws(StorageFailure) in }
    var payloads: [[UInt8]] = []
    var last: StorageFailure?
    while last == nil, payloads.count < 100 {
      let payload = random.bytes(200_000)
      last = failure {
        try journal.append(payload)
        try journal.sync()
      }
      if last == nil { payloads.append(payload) }
    }
    guard case .diskFull = last else {
      Issue.record("found \(String(describing: last))")
      return
    }
    try journal.trim(before: UInt64(payloads.count))
    try journal.append([5])
    try journal.sync()
    #expect(try groups(scratch.path).last == [5])
  }

  private func groups(_ folder: String) throws -> [[UInt8]] {
    var groups: [[UInt8]] = []
    _ = try JournalScan.replay(folder + "/journal", network, from: nil) {
      (_, payload) throws(StorageFailure) in groups.append(payload.array)
    }
    return groups
  }
}
