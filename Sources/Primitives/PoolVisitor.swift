/// Something done to each pool of a machine in turn. A machine lists its pools once, in
/// `visitPools`; storing, loading, sealing and undoing are visitors, written once for all machines.
public protocol PoolVisitor {
  associatedtype Failure: Error
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Failure)
}

/// A machine whose facts live in pools.
public protocol PooledState: ~Copyable {
  /// Which pages the store has still to take.
  var pageRound: PageRound { get set }
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

  /// Applies one batch's delta to every pool and seals it. Derived state is the machine's to
  /// rebuild.
  /// - Precondition: no batch is open.
  /// - Throws: when the delta does not continue what stands here; no pool has changed then.
  public mutating func applyDelta(_ bytes: [UInt8]) throws(DecodingFailure) {
    var visitor = DeltaApplier(bytes: bytes)
    do throws(DecodingFailure) {
      try visitPools(&visitor)
      guard visitor.offset == bytes.count else {
        throw DecodingFailure.trailing(
          offset: visitor.offset, count: bytes.count - visitor.offset)
      }
    } catch {
      rollback()
      throw error
    }
    seal()
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

  /// Replaces every pool by its stored records: (count, packed bytes) in the order of pools.
  public mutating func load(pools: [(count: Int, bytes: [UInt8])]) throws(DecodingFailure) {
    var loader = PoolLoader(pools: pools)
    try visitPools(&loader)
    guard loader.visited == pools.count else {
      throw .invalid(field: "stored pools", offset: pools.count)
    }
  }
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

private struct PoolLoader: PoolVisitor {
  let pools: [(count: Int, bytes: [UInt8])]
  var visited = 0
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(DecodingFailure) {
    guard visited < pools.count else {
      throw .invalid(field: "stored pools", offset: visited)
    }
    let stored = pools[visited]
    var reader = ByteReader(stored.bytes.rawSpan)
    try pool.load(count: stored.count, &reader)
    try reader.finish()
    visited += 1
  }
}
