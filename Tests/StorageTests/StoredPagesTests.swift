import Primitives
import Testing

@testable import Storage

struct Account: FlatRecord {
  var number: UInt64
  var cash: Int64 = 0
  // Twenty to a page, so that a pool has many.
  var rest = InlineArray<23, UInt64>(repeating: 0)
  static let empty = Account(number: 0)
}

/// A state of one pool.
struct OnePool: ~Copyable, PooledState {
  var accounts = Pool<Account>(capacity: 1)
  var pageRound = PageRound()

  mutating func visitPools<Visitor: PoolVisitor>(_ visitor: inout Visitor)
    throws(Visitor.Failure)
  {
    try visitor.visit(&accounts)
  }
}

@Suite("Stored pages") struct StoredPagesTests {
  /// Changes records, stores deltas and pages; at any commit the folder may be loaded again, and must
  /// give the pool as it stood.
  @Test(
    "pages and deltas give the pool back after every commit", arguments: [51, 52, 53] as [UInt64])
  func everyCommit(_ seed: UInt64) throws {
    let scratch = try Scratch()
    var random = Seeded(seed)
    let store = try open(scratch.path)
    var state = OnePool()
    var (rounds, aheads) = (0, 0)
    for seq in 0..<700 as Range<UInt64> {
      // Now and then many slots at once; each is touched, as a delta counts on it.
      if random.below(4) == 0 {
        for _ in 0...random.below(60) { state.accounts.append(Account(number: random.next())) }
      }
      for _ in 0..<random.below(9) where state.accounts.count > 0 {
        state.accounts[random.below(state.accounts.count)].cash &+= Int64(random.below(1000))
      }
      let delta = state.delta()
      state.seal()
      let share = state.pageShare(after: seq)
      rounds += share?.finished == nil ? 0 : 1
      try store.commit { (batch) throws(StorageFailure) in
        try batch.put(.delta, seq, delta)
        if let share { try batch.put(share, seq) }
        try batch.putHead(Head(seq: seq))
      }
      guard random.below(4) == 0 || seq == 699 else { continue }
      var loaded = OnePool()
      aheads += try load(store, &loaded)
      let isSame = loaded.snapshot() == state.snapshot()
      #expect(isSame, "batch \(seq), seed \(seed)")
      // Now and then all memory is lost, in the middle of a round or between two.
      if random.below(12) == 0 { state = loaded }
    }
    #expect(
      rounds > 3 && aheads > 20, "seed \(seed): \(rounds) rounds, \(aheads) deltas partly held")
    #expect(try store.scrub().damages == [])
  }

  /// Gives how many deltas some page held already.
  private func load(_ store: Store, _ state: inout OnePool) throws -> Int {
    var deltas: [(UInt64, [UInt8])] = []
    var stored: [StoredPool] = []
    try store.read { (reader) throws(StorageFailure) in
      let head = try reader.pageHead()
      let last = try reader.head()?.seq ?? 0
      if let head { stored = [try reader.pool(head.pools[0], through: last)] }
      try reader.forEach(.delta, from: head.map { $0.seq + 1 } ?? 0) {
        (seq, bytes) throws(StorageFailure) in
        deltas.append((seq, bytes.array))
        return true
      }
    }
    var partly = 0
    if !stored.isEmpty { try state.load(pools: stored.map { ($0.count, $0.bytes) }) }
    var ahead = stored.map(\.ahead)
    for (seq, delta) in deltas {
      if ahead.contains(where: { $0.batches.contains { $0 >= seq } }) {
        try state.applyDelta(delta, of: seq, past: &ahead)
        partly += 1
      } else {
        try state.applyDelta(delta)
      }
    }
    return partly
  }

  @Test("a page from a later batch than the last, or one that lacks, is refused")
  func refused() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    var state = OnePool()
    for number in 0..<50 as Range<UInt64> { state.accounts.append(Account(number: number)) }
    state.seal()
    var pages = 0
    for seq in 0..<10 as Range<UInt64> {
      guard let share = state.pageShare(after: seq) else { break }
      pages += share.pages.count
      try store.commit { (batch) throws(StorageFailure) in
        try batch.put(share, seq)
        try batch.putHead(Head(seq: seq))
      }
    }
    #expect(pages == 3)
    try store.read { (reader) throws(StorageFailure) in
      let shape = try reader.pageHead()!.pools[0]
      let found = try reader.pool(shape, through: 2)
      #expect(found.count == 50 && found.ahead.batches == [0, 1, 2] && found.ahead.count == 50)
      #expect(throws: StorageFailure.damaged(key: .page(0, 2), reason: .form)) {
        try reader.pool(shape, through: 1)
      }
      var longer = shape
      longer.recordCount = 61
      #expect(throws: StorageFailure.missing(key: .page(0, 3))) {
        try reader.pool(longer, through: 2)
      }
    }
  }
}
