/// A page checkpoint that never stops: in each round the pages that were dirty when it began are
/// copied, a few after every batch, each as it stands then. So no batch pays for a copy of the state.
///
/// A page says the batch after which it was copied. A load takes every page, then the deltas since
/// the round began, and of each delta leaves out what a page has already.
public struct PageRound: Sendable {
  /// Batches of a round at least, and what its pages are spread over.
  public static let length: UInt64 = 128

  /// Pages still to be copied, in the order of pools and rising.
  private var waiting: [(pool: UInt8, page: UInt32)] = []
  private var next = 0
  private var perBatch = 1
  /// The batch after which the round began, and every pool's shape then.
  private var begun: UInt64?
  private var shapes: [StoredShape] = []
  private var isRunning = false

  public init() {}

  /// Whether a new round begins after `batch`.
  fileprivate func begins(after batch: UInt64) -> Bool {
    guard let begun else { return true }
    return !isRunning && batch >= begun + PageRound.length
  }

  fileprivate mutating func begin(
    after batch: UInt64, _ dirty: [(pool: UInt8, page: UInt32)], _ shapes: [StoredShape]
  ) {
    (waiting, self.shapes, begun, next) = (dirty, shapes, batch, 0)
    perBatch = max(1, (dirty.count + Int(PageRound.length) - 1) / Int(PageRound.length))
    isRunning = true
  }

  /// The pages to copy now; the round ends with the last.
  fileprivate mutating func take() -> (
    pages: ArraySlice<(pool: UInt8, page: UInt32)>, finished: FinishedRound?
  ) {
    guard isRunning else { return ([], nil) }
    let end = min(waiting.count, next + perBatch)
    defer { next = end }
    guard end == waiting.count, let begun else { return (waiting[next..<end], nil) }
    isRunning = false
    return (waiting[next..<end], FinishedRound(batch: begun, shapes: shapes))
  }
}

/// A round whose pages are all copied.
public struct FinishedRound: Sendable {
  /// It began after this batch: later deltas are to be applied again.
  public let batch: UInt64
  /// Every pool's shape then.
  public let shapes: [StoredShape]
}

/// The shape of a stored pool.
public struct StoredShape: Sendable {
  public let recordByteCount: Int
  public let count: Int
  /// Records of a full page.
  public let recordsPerPage: Int
}

/// Pages as one batch left them, to be stored with it.
public struct PageShare: Sendable {
  public struct Page: Sendable {
    public let pool: UInt8
    public let page: UInt32
    public let byteCount: Int
  }
  public fileprivate(set) var pages: [Page] = []
  /// Of all pages, in order.
  public fileprivate(set) var bytes: [UInt8] = []
  /// Stands where these are the last of a round.
  public fileprivate(set) var finished: FinishedRound?
}

extension PooledState where Self: ~Copyable {
  /// What the store takes of the pools beside batch `batch`, which was just sealed; nil for nothing.
  public mutating func pageShare(after batch: UInt64) -> PageShare? {
    if pageRound.begins(after: batch) {
      var lister = PageLister()
      visitPools(&lister)
      pageRound.begin(after: batch, lister.pages, lister.shapes)
    }
    let (pages, finished) = pageRound.take()
    guard !pages.isEmpty || finished != nil else { return nil }
    var copier = PageCopier(waiting: pages)
    if !pages.isEmpty { visitPools(&copier) }
    copier.share.finished = finished
    return copier.share
  }
}

private struct PageLister: PoolVisitor {
  var pages: [(pool: UInt8, page: UInt32)] = []
  var shapes: [StoredShape] = []
  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) {
    for page in pool.dirtyPages { pages.append((UInt8(shapes.count), UInt32(page))) }
    shapes.append(
      StoredShape(
        recordByteCount: Pool<Record>.recordByteCount, count: pool.count,
        recordsPerPage: Pool<Record>.slotsPerPage))
  }
}

private struct PageCopier: PoolVisitor {
  var waiting: ArraySlice<(pool: UInt8, page: UInt32)>
  var share = PageShare()
  private var number: UInt8 = 0

  init(waiting: ArraySlice<(pool: UInt8, page: UInt32)>) {
    self.waiting = waiting
    share.bytes.reserveCapacity(waiting.count * storedPageByteCount)
  }

  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(Never) {
    while let page = waiting.first, page.pool == number {
      waiting.removeFirst()
      let size = pool.takePage(Int(page.page), into: &share.bytes)
      share.pages.append(PageShare.Page(pool: page.pool, page: page.page, byteCount: size))
    }
    number &+= 1
  }
}

/// What a page that was stored ahead of its checkpoint holds already.
public struct PagesAhead: Sendable {
  /// The pool's count after the last delta applied.
  public fileprivate(set) var count: Int
  /// By page: the batch after which it was copied.
  public let batches: [UInt64]

  /// - Parameter count: the pool's when the round began.
  public init(count: Int, batches: [UInt64]) {
    self.count = count
    self.batches = batches
  }
}

extension PooledState where Self: ~Copyable {
  /// Applies a delta past pages of which some hold it already, and seals it.
  /// - Throws: when it does not continue what stands here; the state is then good for nothing.
  public mutating func applyDelta(
    _ bytes: [UInt8], of batch: UInt64, past pages: inout [PagesAhead]
  )
    throws(DecodingFailure)
  {
    var visitor = DeltaCatcher(bytes: bytes, batch: batch, pages: pages)
    try visitPools(&visitor)
    guard visitor.offset == bytes.count else {
      throw .trailing(offset: visitor.offset, count: bytes.count - visitor.offset)
    }
    pages = visitor.pages
    seal()
  }
}

private struct DeltaCatcher: PoolVisitor {
  let bytes: [UInt8]
  let batch: UInt64
  var pages: [PagesAhead]
  var offset = 0
  private var number = 0

  init(bytes: [UInt8], batch: UInt64, pages: [PagesAhead]) {
    (self.bytes, self.batch, self.pages) = (bytes, batch, pages)
  }

  mutating func visit<Record: FlatRecord>(_ pool: inout Pool<Record>) throws(DecodingFailure) {
    guard number < pages.count else { throw .invalid(field: "stored pools", offset: offset) }
    var reader = ByteReader(bytes.rawSpan.extracting(offset..<bytes.count))
    let batches = pages[number].batches
    let (batch, standing) = (self.batch, pages[number].count)
    let after = try pool.redo(&reader, from: standing) { slot in
      let page = slot / Pool<Record>.slotsPerPage
      return page < batches.count && batches[page] >= batch
    }
    offset += reader.offset
    // The reader borrows this visitor's bytes: nothing else may change before its last use.
    pages[number].count = after
    number += 1
  }
}
