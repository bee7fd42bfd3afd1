internal import Primitives

/// Walks a database file page by page without LMDB, which trusts what it maps: every offset, count
/// and page number is checked before use, so damage is named and never followed.
///
/// It accounts for every page: each is a meta page, in one tree, part of one large value, or in the
/// free list, and none of them twice. So a flipped bit in a page number cannot hide either.
/// Layout: LMDB 0.9, 64-bit, little-endian (`mdb.c`, `MDB_page`, `MDB_node`, `MDB_db`).
struct PageWalk: ~Copyable {
  struct Fault {
    var page: UInt64
    var reason: String
  }

  private let file: File
  private let meta: MetaPages.Meta
  private var seen: [Bool]
  private(set) var faults: [Fault] = []
  private(set) var livePageCount = 2
  private(set) var freePageCount = 0

  private enum Flag {
    static let branch: UInt16 = 1
    static let leaf: UInt16 = 2
    static let overflow: UInt16 = 4
    static let bigData: UInt16 = 1
    static let subtree: UInt16 = 2
  }

  private static let headerByteCount = 16
  private static let nodeByteCount = 8
  private static let depthMax = 32

  init(_ file: consuming File, _ meta: MetaPages.Meta) throws(StorageFailure) {
    let held = try file.byteCount() / meta.pageByteCount
    self.meta = meta
    guard meta.lastPage >= 1, meta.lastPage < UInt64(held) else {
      seen = []
      faults = [Fault(page: 0, reason: "the file ends before its last page \(meta.lastPage)")]
      self.file = file
      return
    }
    seen = [Bool](repeating: false, count: Int(meta.lastPage) + 1)
    seen[0] = true
    seen[1] = true
    self.file = file
  }

  /// Walks the free list and every table, lending each value to the body as
  /// (table name, key, value, page).
  mutating func run(_ body: (String, RawSpan, RawSpan, UInt64) throws(StorageFailure) -> Void)
    throws(StorageFailure)
  {
    guard !seen.isEmpty else { return }
    var free: [UInt64] = []
    try walk(meta.free, isFreeList: true) { (_, value, _) throws(StorageFailure) -> String? in
      guard value.byteCount >= 8 else { return "a free list of \(value.byteCount) bytes" }
      let count = value.load(at: 0, as: UInt64.self)
      guard count <= UInt64(value.byteCount / 8 - 1) else { return "a free list of \(count)" }
      for index in 0..<Int(count) { free.append(value.load(at: 8 + index * 8)) }
      return nil
    }
    var tables: [(name: String, tree: MetaPages.Tree)] = []
    try walk(meta.main, areTables: true) { (key, value, _) throws(StorageFailure) -> String? in
      guard value.byteCount == MetaPages.Tree.byteCount else { return "a table of another size" }
      let tree = MetaPages.Tree(value, at: 0)
      guard tree.flags == 0, value.load(at: 0, as: UInt32.self) == 0 else { return "table flags" }
      tables.append((String(decoding: key.array, as: UTF8.self), tree))
      return nil
    }
    for (name, tree) in tables {
      try walk(tree) { (key, value, page) throws(StorageFailure) -> String? in
        try body(name, key, value, page)
        return nil
      }
    }
    for page in free {
      freePageCount += 1
      _ = mark(page, 1, from: 0, "the free list names it")
    }
    // Where a tree is broken, what lies below it is rightly unaccounted for.
    guard faults.isEmpty else { return }
    for page in seen.indices where !seen[page] {
      faults.append(Fault(page: UInt64(page), reason: "in no tree and not free"))
    }
  }

  private mutating func fault(_ page: UInt64, _ reason: String) {
    faults.append(Fault(page: page, reason: reason))
  }

  /// Notes that pages are in use; a fault where one is in use already or outside the file.
  private mutating func mark(_ page: UInt64, _ count: UInt64, from: UInt64, _ what: String) -> Bool
  {
    guard count > 0, page >= 2, page <= meta.lastPage, count <= meta.lastPage - page + 1 else {
      fault(from, "\(what): page \(page) of \(meta.lastPage)")
      return false
    }
    for index in Int(page)..<Int(page + count) {
      guard !seen[index] else {
        fault(from, "\(what): page \(index) is in use twice")
        return false
      }
      seen[index] = true
    }
    return true
  }

  private struct Tally {
    var branchPages: UInt64 = 0
    var leafPages: UInt64 = 0
    var overflowPages: UInt64 = 0
    var entries: UInt64 = 0
  }

  private typealias Visit = (RawSpan, RawSpan, UInt64) throws(StorageFailure) -> String?

  private mutating func walk(
    _ tree: MetaPages.Tree, isFreeList: Bool = false, areTables: Bool = false, _ visit: Visit
  ) throws(StorageFailure) {
    var tally = Tally()
    if tree.root == MetaPages.Tree.none {
      guard tree.depth == 0 else { return fault(0, "a tree of depth \(tree.depth) without a root") }
    } else {
      guard tree.depth >= 1, tree.depth <= PageWalk.depthMax else {
        return fault(tree.root, "a tree of depth \(tree.depth)")
      }
      let bounds = Bounds(isInteger: isFreeList)
      try descend(
        tree.root, from: 0, Int(tree.depth), bounds, areTables ? Flag.subtree : 0, &tally, visit)
    }
    guard tally.branchPages == tree.branchPages, tally.leafPages == tree.leafPages,
      tally.overflowPages == tree.overflowPages, tally.entries == tree.entries
    else { return fault(tree.root, "the tree's counts are not what it holds") }
  }

  /// The keys a page may hold.
  private struct Bounds {
    var isInteger: Bool
    var lower: [UInt8]?
    var upper: [UInt8]?

    func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
      if isInteger, a.count == 8, b.count == 8 {
        return a.rawSpan.load(at: 0, as: UInt64.self) < b.rawSpan.load(at: 0, as: UInt64.self)
      }
      return a.lexicographicallyPrecedes(b)
    }

    func admits(_ key: [UInt8]) -> Bool {
      if let lower, precedes(key, lower) { return false }
      if let upper, !precedes(key, upper) { return false }
      return true
    }
  }

  private struct Node {
    var key: [UInt8]
    var offset: Int
    var low: UInt16
    var high: UInt16
    var flags: UInt16

    var dataByteCount: Int { Int(low) | Int(high) << 16 }
    var child: UInt64 { UInt64(low) | UInt64(high) << 16 | UInt64(flags) << 32 }
  }

  /// The nodes of a page, or nil after noting a fault.
  private mutating func nodes(_ bytes: RawSpan, _ page: UInt64, isLeaf: Bool) -> [Node]? {
    let lower = Int(bytes.load(at: 12, as: UInt16.self))
    let upper = Int(bytes.load(at: 14, as: UInt16.self))
    let count = (lower - PageWalk.headerByteCount) / 2
    guard lower % 2 == 0, count >= (isLeaf ? 1 : 2), lower <= upper, upper <= bytes.byteCount else {
      fault(page, "the page's bounds \(lower), \(upper)")
      return nil
    }
    var nodes: [Node] = []
    var used = 0
    var extents: [Range<Int>] = []
    for index in 0..<count {
      let start = Int(bytes.load(at: PageWalk.headerByteCount + index * 2, as: UInt16.self))
      guard start >= upper, start % 2 == 0, start + PageWalk.nodeByteCount <= bytes.byteCount else {
        fault(page, "node \(index) at offset \(start)")
        return nil
      }
      let keyCount = Int(bytes.load(at: start + 6, as: UInt16.self))
      var node = Node(
        key: [], offset: start + PageWalk.nodeByteCount + keyCount, low: bytes.load(at: start),
        high: bytes.load(at: start + 2), flags: bytes.load(at: start + 4))
      let isBig = node.flags & Flag.bigData != 0
      let dataCount = isLeaf ? (isBig ? 8 : node.dataByteCount) : 0
      let byteCount = (PageWalk.nodeByteCount + keyCount + dataCount + 1) & ~1
      guard start + byteCount <= bytes.byteCount else {
        fault(page, "node \(index) passes the page's end")
        return nil
      }
      node.key = bytes.extracting((node.offset - keyCount)..<node.offset).array
      extents.append(start..<(start + byteCount))
      used += byteCount
      nodes.append(node)
    }
    extents.sort { $0.lowerBound < $1.lowerBound }
    let overlaps = zip(extents, extents.dropFirst()).contains { $0.upperBound > $1.lowerBound }
    guard !overlaps, used == bytes.byteCount - upper else {
      fault(page, "the nodes do not fill their space")
      return nil
    }
    return nodes
  }

  private mutating func descend(
    _ page: UInt64, from parent: UInt64, _ depth: Int, _ bounds: Bounds, _ leafFlags: UInt16,
    _ tally: inout Tally, _ visit: Visit
  ) throws(StorageFailure) {
    guard mark(page, 1, from: parent, "a child") else { return }
    livePageCount += 1
    let buffer = try file.read(meta.pageByteCount, at: Int(page) * meta.pageByteCount)
    let bytes = buffer.rawSpan
    let isLeaf = depth == 1
    guard bytes.byteCount == meta.pageByteCount, bytes.load(at: 0) == page,
      bytes.load(at: 10, as: UInt16.self) == (isLeaf ? Flag.leaf : Flag.branch)
    else { return fault(page, "expected a \(isLeaf ? "leaf" : "branch") page") }
    guard let nodes = nodes(bytes, page, isLeaf: isLeaf) else { return }
    if isLeaf { tally.leafPages += 1 } else { tally.branchPages += 1 }
    for (index, node) in nodes.enumerated() {
      // A branch's first key is never read.
      let isRead = isLeaf || index > 0
      let follows =
        index == 0 || (index == 1 && !isLeaf)
        || bounds.precedes(nodes[index - 1].key, node.key)
      guard !isRead || (follows && bounds.admits(node.key)) else {
        fault(page, "key \(index) is out of order")
        continue
      }
      guard isLeaf else {
        var inner = bounds
        if index > 0 { inner.lower = node.key }
        if index + 1 < nodes.count { inner.upper = nodes[index + 1].key }
        try descend(node.child, from: page, depth - 1, inner, leafFlags, &tally, visit)
        continue
      }
      tally.entries += 1
      try leaf(bytes, node, page, leafFlags, &tally, visit)
    }
  }

  private mutating func leaf(
    _ bytes: RawSpan, _ node: Node, _ page: UInt64, _ leafFlags: UInt16, _ tally: inout Tally,
    _ visit: Visit
  ) throws(StorageFailure) {
    let key = node.key.rawSpan
    if node.flags == leafFlags {
      let value = bytes.extracting(node.offset..<(node.offset + node.dataByteCount))
      if let reason = try visit(key, value, page) { fault(page, reason) }
      return
    }
    guard node.flags == Flag.bigData, leafFlags == 0 else {
      return fault(page, "a node with flags \(node.flags)")
    }
    let first: UInt64 = bytes.load(at: node.offset)
    let count = UInt64(
      (PageWalk.headerByteCount - 1 + node.dataByteCount) / meta.pageByteCount + 1)
    guard mark(first, count, from: page, "a large value") else { return }
    livePageCount += Int(count)
    tally.overflowPages += count
    let whole = try file.read(
      PageWalk.headerByteCount + node.dataByteCount, at: Int(first) * meta.pageByteCount)
    let span = whole.rawSpan
    guard span.byteCount == PageWalk.headerByteCount + node.dataByteCount,
      span.load(at: 0) == first, span.load(at: 10, as: UInt16.self) == Flag.overflow,
      span.load(at: 12, as: UInt32.self) == UInt32(count)
    else { return fault(first, "expected \(count) overflow pages") }
    let value = span.extracting(PageWalk.headerByteCount..<span.byteCount)
    if let reason = try visit(key, value, first) { fault(first, reason) }
  }
}
