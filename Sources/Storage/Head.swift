public import Primitives

/// The state after the last committed batch: what a restart begins from.
public struct Head: Hashable, Sendable {
  /// The last committed batch.
  public var seq: UInt64
  public var term: UInt64
  /// The layer's roots after the batch, in the layer's own order; at most 255.
  public var roots: [Digest]
  public var logSize: UInt64
  public var logRoot: Digest
  /// Whatever else the layer must find again, in its own encoding.
  public var extra: [UInt8]

  public init(
    seq: UInt64, term: UInt64 = 0, roots: [Digest] = [], logSize: UInt64 = 0,
    logRoot: Digest = .zero, extra: [UInt8] = []
  ) {
    self.seq = seq
    self.term = term
    self.roots = roots
    self.logSize = logSize
    self.logRoot = logRoot
    self.extra = extra
  }

  var encoded: [UInt8] {
    precondition(roots.count <= 255, "a head holds at most 255 roots")
    var writer = ByteWriter(capacity: 64 + roots.count * 32 + extra.count)
    writer.write(seq)
    writer.write(term)
    writer.write(logSize)
    writer.write(logRoot)
    writer.write(UInt8(roots.count))
    for root in roots { writer.write(root) }
    writer.write(UInt32(extra.count))
    writer.write(extra)
    return writer.bytes
  }

  init(_ bytes: RawSpan) throws(StorageFailure) {
    do throws(DecodingFailure) {
      var reader = ByteReader(bytes)
      seq = try reader.read()
      term = try reader.read()
      logSize = try reader.read()
      logRoot = try reader.read()
      roots = []
      for _ in 0..<(try reader.read(UInt8.self)) { roots.append(try reader.read()) }
      extra = try reader.array(Int(try reader.read(UInt32.self)))
      try reader.finish()
    } catch { throw .damaged(key: .meta(.head), reason: .form) }
  }
}

/// The last finished page checkpoint.
public struct PageHead: Hashable, Sendable {
  /// The batch after which the pages were taken; deltas above it are to be re-applied.
  public var seq: UInt64
  public var pools: [PoolShape]

  public init(seq: UInt64, pools: [PoolShape]) {
    self.seq = seq
    self.pools = pools
  }

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 12 + pools.count * 13)
    writer.write(seq)
    writer.write(UInt32(pools.count))
    for pool in pools {
      writer.write(pool.pool)
      writer.write(pool.recordByteCount)
      writer.write(pool.recordCount)
      writer.write(pool.recordsPerPage)
    }
    return writer.bytes
  }

  init(_ bytes: RawSpan) throws(StorageFailure) {
    do throws(DecodingFailure) {
      var reader = ByteReader(bytes)
      seq = try reader.read()
      pools = []
      for _ in 0..<(try reader.count("pools", maximum: 256)) {
        pools.append(
          PoolShape(
            pool: try reader.read(), recordByteCount: try reader.read(),
            recordCount: try reader.read(), recordsPerPage: try reader.read()))
      }
      try reader.finish()
      for pool in pools where pool.recordsPerPage == 0 {
        throw .invalid(field: "records per page", offset: 0)
      }
    } catch { throw .damaged(key: .meta(.pageHead), reason: .form) }
  }
}

/// A pool's size at a page checkpoint.
public struct PoolShape: Hashable, Sendable {
  public var pool: UInt8
  public var recordByteCount: UInt32
  public var recordCount: UInt32
  public var recordsPerPage: UInt32

  public init(pool: UInt8, recordByteCount: UInt32, recordCount: UInt32, recordsPerPage: UInt32) {
    self.pool = pool
    self.recordByteCount = recordByteCount
    self.recordCount = recordCount
    self.recordsPerPage = recordsPerPage
  }

  public var pageCount: UInt32 {
    UInt32((UInt64(recordCount) + UInt64(recordsPerPage) - 1) / UInt64(recordsPerPage))
  }

  /// Bytes of page `page`: the last one may be short.
  public func byteCount(ofPage page: UInt32) -> Int {
    let first = Int(page) * Int(recordsPerPage)
    let end = min(Int(recordCount), first + Int(recordsPerPage))
    return max(0, end - first) * Int(recordByteCount)
  }
}
