/// Something done to each pool of a machine in turn. A machine lists its pools once, in
/// `visitPools`; storing, loading, sealing and undoing are visitors, written once for all machines.
public protocol PoolVisitor {
  associatedtype Failure: Error
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Failure)
}

/// A machine whose facts live in pools.
public protocol PooledState: ~Copyable {
  /// Visits every pool, always in the same order.
  mutating func visitPools<Visitor: PoolVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure)
}

extension PooledState where Self: ~Copyable {
  /// The delta of the open batch: every pool's, in order.
  public mutating func delta() -> [UInt8] {
    var visitor = DeltaWriter()
    visitPools(&visitor)
    return visitor.out.bytes
  }

  /// Ends the batch in every pool.
  public mutating func seal() {
    var visitor = Sealer()
    visitPools(&visitor)
  }

  /// Undoes the open batch in every pool. Derived state is the machine's to rebuild.
  public mutating func rollback() {
    var visitor = Undoer()
    visitPools(&visitor)
  }

  /// Applies one batch's delta to every pool. Derived state is the machine's to rebuild.
  public mutating func applyDelta(_ bytes: [UInt8]) throws(DecodingFailure) {
    var visitor = DeltaApplier(bytes: bytes)
    try visitPools(&visitor)
    guard visitor.offset == bytes.count else {
      throw .trailing(offset: visitor.offset, count: bytes.count - visitor.offset)
    }
  }

  /// Every record of every pool: for each pool a u32 count, then the records.
  public mutating func snapshot() -> [UInt8] {
    var visitor = SnapshotWriter()
    visitPools(&visitor)
    return visitor.out.bytes
  }

  /// Replaces every pool by a snapshot's. Derived state is the machine's to rebuild.
  public mutating func load(snapshot bytes: [UInt8]) throws(DecodingFailure) {
    var visitor = SnapshotLoader(bytes: bytes)
    try visitPools(&visitor)
    guard visitor.offset == bytes.count else {
      throw .trailing(offset: visitor.offset, count: bytes.count - visitor.offset)
    }
  }

  /// Pages of 4 KiB or one record, whichever is more, that changed since the last call, as (pool,
  /// page, bytes), and every pool's count.
  public mutating func takeDirtyPages() -> (pages: [StoredPage], counts: [UInt32]) {
    var visitor = PageCollector()
    visitPools(&visitor)
    return (visitor.pages, visitor.counts)
  }

  /// Replaces every pool by stored pages.
  /// - Parameter page: gives the bytes of (pool, page), nil when there are none.
  public mutating func load(counts: [UInt32], page: (UInt8, UInt32) throws -> [UInt8]?) throws {
    var loader = PageLoader(counts: counts)
    while true {
      // Two passes a pool: read its pages outside the visitor, hand them over inside.
      guard loader.pool < counts.count else { return }
      var sizes = PageSizes()
      visitPools(&sizes)
      guard loader.pool < sizes.recordByteCounts.count else { return }
      let size = sizes.recordByteCounts[loader.pool]
      let slots = max(1, 4096 / size)
      let pages = (Int(counts[loader.pool]) + slots - 1) / slots
      var bytes: [UInt8] = []
      for number in 0..<pages {
        guard let stored = try page(UInt8(loader.pool), UInt32(number)) else {
          throw DecodingFailure.invalid(field: "missing page", offset: number)
        }
        bytes += stored
      }
      loader.bytes = bytes
      loader.visited = 0
      try visitPools(&loader)
      loader.pool += 1
    }
  }
}

/// One page of a pool as it is stored.
public struct StoredPage: Sendable {
  public let pool: UInt8
  public let page: UInt32
  public let bytes: [UInt8]
}

private struct DeltaWriter: PoolVisitor {
  var out = ByteWriter()
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) {
    pool.writeDelta(into: &out)
  }
}

private struct Sealer: PoolVisitor {
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) { pool.seal() }
}

private struct Undoer: PoolVisitor {
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) {
    pool.rollback()
  }
}

private struct DeltaApplier: PoolVisitor {
  let bytes: [UInt8]
  var offset = 0
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(DecodingFailure) {
    var reader = ByteReader(bytes.rawSpan.extracting(offset..<bytes.count))
    try pool.applyDelta(&reader)
    offset += reader.offset
  }
}

private struct SnapshotWriter: PoolVisitor {
  var out = ByteWriter()
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) {
    out.write(UInt32(pool.count))
    out.write(pool.bytes(of: 0..<pool.count))
  }
}

private struct SnapshotLoader: PoolVisitor {
  let bytes: [UInt8]
  var offset = 0
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(DecodingFailure) {
    var reader = ByteReader(bytes.rawSpan.extracting(offset..<bytes.count))
    let count = Int(try reader.read(UInt32.self))
    try pool.load(count: count, &reader)
    offset += reader.offset
  }
}

private struct PageCollector: PoolVisitor {
  var pages: [StoredPage] = []
  var counts: [UInt32] = []
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) {
    let slots = Pool<Record>.slotsPerPage
    for page in pool.takeDirtyPages() {
      let range = (page * slots)..<min((page + 1) * slots, pool.count)
      guard range.lowerBound < range.upperBound else { continue }
      pages.append(
        StoredPage(
          pool: UInt8(counts.count), page: UInt32(page), bytes: pool.bytes(of: range).array))
    }
    counts.append(UInt32(pool.count))
  }
}

private struct PageSizes: PoolVisitor {
  var recordByteCounts: [Int] = []
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) {
    recordByteCounts.append(Pool<Record>.recordByteCount)
  }
}

private struct PageLoader: PoolVisitor {
  let counts: [UInt32]
  var pool = 0
  var visited = 0
  var bytes: [UInt8] = []
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(DecodingFailure) {
    defer { visited += 1 }
    guard visited == self.pool else { return }
    var reader = ByteReader(bytes.rawSpan)
    try pool.load(count: Int(counts[visited]), &reader)
    try reader.finish()
  }
}
