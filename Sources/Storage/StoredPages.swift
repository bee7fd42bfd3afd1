public import Primitives

// Pages of pools. A page checkpoint goes on all the time (`PageRound`): each commit replaces a few
// pages by what the batch made of them, and the last of a round writes the page head. So a stored
// page is as of the batch it names, at or after the page head's, and a load needs every delta since
// the page head, of which it leaves out what a page holds already.

extension Transaction {
  /// Stores pages as batch `seq` left them, and, with the last of a round, the page head.
  public mutating func put(_ share: PageShare, _ seq: UInt64) throws(StorageFailure) {
    var offset = 0
    for page in share.pages {
      var writer = ByteWriter(capacity: 8 + page.byteCount)
      writer.write(seq)
      writer.write(share.bytes.rawSpan.extracting(offset..<(offset + page.byteCount)))
      try put(.page(page.pool, page.page), writer.bytes.rawSpan)
      offset += page.byteCount
    }
    guard let finished = share.finished else { return }
    let pools = finished.shapes.enumerated().map { pool, shape in
      PoolShape(
        pool: UInt8(pool), recordByteCount: UInt32(shape.recordByteCount),
        recordCount: UInt32(shape.count), recordsPerPage: UInt32(shape.recordsPerPage))
    }
    try put(.meta(.pageHead), PageHead(seq: finished.batch, pools: pools).encoded.rawSpan)
  }
}

/// A pool as its pages have it.
public struct StoredPool: Sendable {
  /// Records, and their bytes.
  public let count: Int
  public let bytes: [UInt8]
  /// How far each page is ahead of the page head.
  public let ahead: PagesAhead
}

extension Reader {
  /// Every page of a pool, each hash checked.
  ///
  /// - Parameters:
  ///   - shape: the pool's at the page head; it may have grown since.
  ///   - last: the batch committed last: no page is as of a later one.
  /// - Throws: `.missing` for a page that should stand, `.damaged` for one of a wrong hash, length or
  ///   batch and for a pool that does not hold what its last commit left.
  public func pool(_ shape: PoolShape, through last: UInt64) throws(StorageFailure) -> StoredPool {
    let pool = shape.pool
    let (size, perPage) = (Int(shape.recordByteCount), Int(shape.recordsPerPage))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(shape.recordCount) * size)
    var batches: [UInt64] = []
    var entry = Inventory.Entry(table: Table.pages.rawValue, group: pool)
    try session.forEachSealed(.pages, group: pool, from: 0, through: .max) {
      (key, sealed) throws(StorageFailure) in
      let page = try Seal.open(sealed, at: key)
      entry.insert(key.number, Digest(sealed))
      guard key.number == UInt64(batches.count) else {
        throw .missing(key: .page(pool, UInt32(batches.count)))
      }
      let records = page.byteCount - 8
      // Only the last page may be short.
      guard records > 0, size > 0, records % size == 0, records <= perPage * size,
        bytes.count == batches.count * perPage * size
      else { throw .damaged(key: key, reason: .form) }
      let seq: UInt64 = page.load(at: 0)
      guard seq <= last else { throw .damaged(key: key, reason: .form) }
      batches.append(seq)
      let body = page.extracting(8..<page.byteCount)
      unsafe body.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
      return true
    }
    let expected = try inventory()[.pages, pool]
    guard expected == entry else {
      throw .damaged(
        key: .page(pool, 0),
        reason: .inventory(expected: expected.count, found: entry.count))
    }
    guard bytes.count >= Int(shape.recordCount) * size else {
      throw .missing(key: .page(pool, UInt32(batches.count)))
    }
    return StoredPool(
      count: size == 0 ? 0 : bytes.count / size, bytes: bytes,
      ahead: PagesAhead(count: Int(shape.recordCount), batches: batches))
  }
}
