public import Primitives

/// The writer's side of page checkpoints: dirty pages are copied at one batch and written, a share
/// a commit, over the batches that follow.
///
/// Every page has two places in the database and each stored page names its checkpoint's batch. A
/// running checkpoint overwrites the place that is not in force; its last share writes the page
/// head, and only then do its pages count. So at any moment a load finds every page as of one batch.
public struct PageCheckpoint {
  /// The place in force of each page: 0, 1, or 2 where neither is.
  private var places = [[UInt8]](repeating: [], count: 256)
  private var staged: [(pool: UInt8, page: UInt32, bytes: [UInt8])] = []
  private var head: PageHead?
  private var written = 0

  /// A database without pages. Otherwise begin by `load`ing every pool.
  public init() {}

  /// Whether shares remain to be written.
  public var isRunning: Bool { head != nil }
  /// Pages not yet written.
  public var remaining: Int { staged.count - written }

  // MARK: - Loading

  /// Walks a pool's pages as of the page head, in order, each hash checked.
  ///
  /// - Throws: `.missing` for a page that should stand, `.damaged` for one of a wrong hash or length
  ///   and for a pool whose places are not those its last commit left.
  public mutating func load(
    _ shape: PoolShape, asOf head: PageHead, _ reader: borrowing Reader,
    _ body: (UInt32, RawSpan) throws(StorageFailure) -> Void
  ) throws(StorageFailure) {
    let pool = shape.pool
    let pageCount = Int(shape.pageCount)
    var places = [UInt8](repeating: 2, count: pageCount)
    var newest = [UInt64](repeating: 0, count: pageCount)
    var entry = Inventory.Entry(table: Table.pages.rawValue, group: pool)
    try reader.session.forEachSealed(.pages, group: pool, from: 0, through: .max) {
      (key, sealed) throws(StorageFailure) in
      let bytes = try Seal.open(sealed, at: key)
      entry.insert(key.number, Digest(sealed))
      guard bytes.byteCount >= 8 else { throw .damaged(key: key, reason: .form) }
      let seq: UInt64 = bytes.load(at: 0)
      let page = Int(key.number >> 1)
      if seq <= head.seq, page < pageCount, places[page] == 2 || seq > newest[page] {
        places[page] = UInt8(key.number & 1)
        newest[page] = seq
      }
      return true
    }
    let expected = try reader.inventory()[.pages, pool]
    guard expected == entry else {
      throw .damaged(
        key: .page(pool, 0, place: 0),
        reason: .inventory(expected: expected.count, found: entry.count))
    }
    for (page, place) in places.enumerated() {
      let key = StorageKey.page(pool, UInt32(page), place: place & 1)
      guard place < 2 else { throw .missing(key: key) }
      // The hash was checked above, under the same snapshot.
      try reader.session.withSealed(key) { (sealed) throws(StorageFailure) in
        guard let sealed else { throw .missing(key: key) }
        let bytes = sealed.extracting((Seal.byteCount + 8)..<sealed.byteCount)
        guard bytes.byteCount == shape.byteCount(ofPage: UInt32(page)) else {
          throw .damaged(key: key, reason: .form)
        }
        try body(UInt32(page), bytes)
      }
    }
    self.places[Int(pool)] = places
  }

  /// All records of a pool as of the page head, packed, for `Pool.load`.
  public mutating func load(
    _ shape: PoolShape, asOf head: PageHead, _ reader: borrowing Reader
  ) throws(StorageFailure) -> [UInt8] {
    var records: [UInt8] = []
    records.reserveCapacity(Int(shape.recordCount) * Int(shape.recordByteCount))
    try load(shape, asOf: head, reader) { (_, bytes) throws(StorageFailure) in
      unsafe bytes.withUnsafeBytes { unsafe records.append(contentsOf: $0) }
    }
    return records
  }

  // MARK: - Writing

  /// Begins a checkpoint of the state after batch `seq`; `stage` every dirty page before the next
  /// batch changes them.
  /// - Precondition: none is running.
  public mutating func begin(_ head: PageHead) {
    precondition(!isRunning, "a page checkpoint is still running")
    self.head = head
    staged.removeAll(keepingCapacity: true)
    written = 0
  }

  /// Copies a page's bytes.
  public mutating func stage(pool: UInt8, page: UInt32, bytes: RawSpan) {
    staged.append((pool, page, bytes.array))
  }

  /// Copies the dirty pages of a pool, and forgets that they are dirty.
  public mutating func stage<Record>(
    _ pool: borrowing Pool<Record>, _ dirty: inout DirtyPages
  ) {
    for page in dirty.drain() {
      let first = Int(page) * dirty.recordsPerPage
      let end = min(pool.count, first + dirty.recordsPerPage)
      if first < end {
        stage(pool: dirty.pool, page: page, bytes: pool.bytes(of: first..<end))
      }
    }
  }

  /// What one commit writes.
  public struct Share: Sendable {
    fileprivate let pages: Range<Int>
    fileprivate let isLast: Bool
  }

  /// The pages for the next commit when `batchCount` commits are left to finish in; nil where no
  /// checkpoint runs.
  public func share(of batchCount: Int) -> Share? {
    guard isRunning else { return nil }
    let count = batchCount <= 1 ? remaining : (remaining + batchCount - 1) / batchCount
    return Share(
      pages: written..<(written + count), isLast: written + count == staged.count)
  }

  /// Writes a share; may run again where the commit starts again.
  public func write(_ share: Share, into transaction: inout Transaction) throws(StorageFailure) {
    guard let head else { return }
    for (pool, page, bytes) in staged[share.pages] {
      var writer = ByteWriter(capacity: 8 + bytes.count)
      writer.write(head.seq)
      writer.write(bytes)
      try transaction.put(
        .page(pool, page, place: place(pool, page) == 0 ? 1 : 0), writer.bytes.rawSpan)
    }
    if share.isLast { try transaction.put(.meta(.pageHead), head.encoded.rawSpan) }
  }

  /// Tells that the commit with this share succeeded; the last one brings its pages into force.
  public mutating func advance(_ share: Share) {
    written = share.pages.upperBound
    guard share.isLast else { return }
    for (pool, page, _) in staged {
      let next: UInt8 = place(pool, page) == 0 ? 1 : 0
      let missing = Int(page) + 1 - places[Int(pool)].count
      if missing > 0 {
        places[Int(pool)].append(contentsOf: repeatElement(2, count: missing))
      }
      places[Int(pool)][Int(page)] = next
    }
    head = nil
    staged.removeAll(keepingCapacity: true)
    written = 0
  }

  private func place(_ pool: UInt8, _ page: UInt32) -> UInt8 {
    let known = places[Int(pool)]
    return Int(page) < known.count ? known[Int(page)] : 2
  }
}

/// The pages of one pool that changed since the last page checkpoint began.
public struct DirtyPages: Sendable {
  public let pool: UInt8
  public let recordByteCount: Int
  public let recordsPerPage: Int
  private var isDirty: [Bool] = []
  private var pages: [UInt32] = []
  private var markedCount: Int

  /// - Parameter count: the pool's count as loaded; 0 for a new one.
  public init(pool: UInt8, recordByteCount: Int, pageByteCount: Int = 4096, count: Int = 0) {
    self.pool = pool
    self.recordByteCount = recordByteCount
    recordsPerPage = max(1, pageByteCount / recordByteCount)
    markedCount = count
  }

  /// Marks what the batch touched; before the pool is sealed.
  public mutating func mark<Record>(_ records: borrowing Pool<Record>) {
    for index in 0..<records.touchedCount { mark(slot: records.touchedSlot(index)) }
    // Slots between the old count and a touched one exist now, though nothing touched them.
    if markedCount < records.count {
      for page in (markedCount / recordsPerPage)...((records.count - 1) / recordsPerPage) {
        mark(page: page)
      }
      markedCount = records.count
    }
  }

  public mutating func mark(slot: Int) { mark(page: slot / recordsPerPage) }

  /// Marks every page, for a checkpoint that trusts nothing stored.
  public mutating func markAll(count: Int) {
    guard count > 0 else { return }
    for page in 0...((count - 1) / recordsPerPage) { mark(page: page) }
    markedCount = count
  }

  private mutating func mark(page: Int) {
    if page >= isDirty.count {
      isDirty.append(contentsOf: repeatElement(false, count: page + 1 - isDirty.count))
    }
    guard !isDirty[page] else { return }
    isDirty[page] = true
    pages.append(UInt32(page))
  }

  /// The dirty pages in ascending order; none is dirty afterwards.
  public mutating func drain() -> [UInt32] {
    defer { pages.removeAll(keepingCapacity: true) }
    for page in pages { isDirty[Int(page)] = false }
    return pages.sorted()
  }

  /// The pool's shape for a page head.
  public func shape(count: Int) -> PoolShape {
    PoolShape(
      pool: pool, recordByteCount: UInt32(recordByteCount), recordCount: UInt32(count),
      recordsPerPage: UInt32(recordsPerPage))
  }
}
