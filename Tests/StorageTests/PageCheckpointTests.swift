import Primitives
import Testing

@testable import Storage

private struct Account: FlatRecord {
  var number: UInt64
  var cash: Int64
  var rest: (UInt64, UInt64)
  static let empty = Account(number: 0, cash: 0, rest: (0, 0))
}

@Suite struct PageCheckpointTests {
  /// A layer with one pool: changes records, stores deltas, spreads checkpoints; at any commit the
  /// folder may be loaded again, and must give the pool as it stood.
  @Test(
    "pages and deltas give the pool back after every commit", arguments: [51, 52, 53] as [UInt64])
  func everyCommit(_ seed: UInt64) throws {
    let scratch = try Scratch()
    var random = Seeded(seed)
    let store = try open(scratch.path)
    var pool = Pool<Account>()
    var dirty = DirtyPages(pool: 1, recordByteCount: 32, pageByteCount: 256)
    var checkpoint = PageCheckpoint()
    var checkpoints = 0
    for seq in 0..<60 as Range<UInt64> {
      // Now and then many slots at once; each is touched, as a delta counts on it.
      if random.below(4) == 0 {
        for _ in 0...random.below(20) { pool.append(.empty) }
      }
      for _ in 0..<random.below(6) where pool.count > 0 {
        pool[random.below(pool.count)].cash &+= Int64(random.below(1000))
      }
      var delta = ByteWriter()
      pool.writeDelta(into: &delta)
      dirty.mark(pool)
      pool.seal()
      if !checkpoint.isRunning, random.below(5) == 0 {
        checkpoint.begin(PageHead(seq: seq, pools: [dirty.shape(count: pool.count)]))
        checkpoint.stage(pool, &dirty)
        checkpoints += 1
      }
      let share = checkpoint.share(of: 1 + random.below(4))
      try store.commit { (batch) throws(StorageFailure) in
        try batch.put(.delta, seq, delta.bytes)
        if let share { try checkpoint.write(share, into: &batch) }
        try batch.putHead(Head(seq: seq))
      }
      if let share { checkpoint.advance(share) }
      var loaded = Pool<Account>()
      let resumed = try load(store, &loaded)
      let same =
        loaded.count == pool.count
        && loaded.bytes(of: 0..<loaded.count).elementsEqual(
          pool.bytes(of: 0..<pool.count))
      #expect(same, "batch \(seq), seed \(seed)")
      // Now and then all memory is lost in the middle of a checkpoint.
      if random.below(7) == 0 {
        checkpoint = resumed
        dirty = DirtyPages(pool: 1, recordByteCount: 32, pageByteCount: 256)
        dirty.markAll(count: pool.count)
      }
    }
    #expect(checkpoints > 3)
    #expect(try store.scrub().damages == [])
  }

  private func load(_ store: Store, _ pool: inout Pool<Account>) throws -> PageCheckpoint {
    var checkpoint = PageCheckpoint()
    var deltas: [[UInt8]] = []
    var records: [UInt8] = []
    var count = 0
    try store.read { (reader) throws(StorageFailure) in
      let head = try reader.pageHead()
      if let head {
        records = try checkpoint.load(head.pools[0], asOf: head, reader)
        count = Int(head.pools[0].recordCount)
      }
      try reader.forEach(.delta, from: head.map { $0.seq + 1 } ?? 0) {
        (_, bytes) throws(StorageFailure) in
        deltas.append(bytes.array)
        return true
      }
    }
    var reader = ByteReader(records.rawSpan)
    try pool.load(count: count, &reader)
    for delta in deltas {
      var reader = ByteReader(delta.rawSpan)
      try pool.applyDelta(&reader)
      try reader.finish()
    }
    return checkpoint
  }
}
