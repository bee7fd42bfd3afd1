internal import Primitives

/// LMDB's two meta pages, read without LMDB: a flipped bit there would quietly bring back the
/// state before the last commit. Layout: LMDB 0.9, 64-bit, little-endian.
struct MetaPages {
  struct Tree: Equatable {
    var flags: UInt16
    var depth: UInt16
    var branchPages: UInt64
    var leafPages: UInt64
    var overflowPages: UInt64
    var entries: UInt64
    var root: UInt64

    static let byteCount = 48
    static let none = UInt64.max

    init(_ bytes: RawSpan, at offset: Int) {
      flags = bytes.load(at: offset + 4)
      depth = bytes.load(at: offset + 6)
      branchPages = bytes.load(at: offset + 8)
      leafPages = bytes.load(at: offset + 16)
      overflowPages = bytes.load(at: offset + 24)
      entries = bytes.load(at: offset + 32)
      root = bytes.load(at: offset + 40)
    }
  }

  struct Meta {
    var pageByteCount: Int
    var free: Tree
    var main: Tree
    var lastPage: UInt64
    var number: UInt64
  }

  static let key = StorageKey(table: .meta, group: 0, number: 0)

  /// The live meta page: the one of the later commit.
  let live: Meta
  /// The one before it.
  let former: Meta

  init(_ file: borrowing File) throws(StorageFailure) {
    // A writer beside us may commit between the two reads, so a contradiction must stand.
    for _ in 0..<16 {
      if let (live, former) = try MetaPages.both(file) {
        self.live = live
        self.former = former
        return
      }
    }
    throw .damaged(key: MetaPages.key, reason: .form)
  }

  private static func both(_ file: borrowing File) throws(StorageFailure) -> (Meta, Meta)? {
    let head = try file.read(4096, at: 0)
    guard let first = parse(head.rawSpan, page: 0) else { return nil }
    let rest = try file.read(first.pageByteCount, at: first.pageByteCount)
    guard let second = parse(rest.rawSpan, page: 1) else { return nil }
    let (a, b) = (first.number, second.number)
    // Commits alternate between the two pages, so their numbers are neighbours of known parity.
    guard first.pageByteCount == second.pageByteCount,
      (a == 0 && b == 0) || (a % 2 == 0 && b % 2 == 1 && (a == b &+ 1 || b == a &+ 1))
    else { return nil }
    return a > b ? (first, second) : (second, first)
  }

  private static func parse(_ page: RawSpan, page number: UInt64) -> Meta? {
    guard page.byteCount >= 160,
      page.load(at: 0) == number, page.load(at: 10, as: UInt16.self) == 8,
      page.load(at: 16, as: UInt32.self) == 0xBEEF_C0DE, page.load(at: 20, as: UInt32.self) == 1
    else { return nil }
    let pageByteCount = Int(page.load(at: 40, as: UInt32.self))
    let free = Tree(page, at: 40)
    let meta = Meta(
      pageByteCount: pageByteCount, free: free, main: Tree(page, at: 88),
      lastPage: page.load(at: 136), number: page.load(at: 144))
    guard pageByteCount >= 512, pageByteCount <= 65536, pageByteCount & (pageByteCount - 1) == 0,
      // Integer keys; nothing else is set by our opening flags.
      free.flags == 8, meta.main.flags == 0
    else { return nil }
    return meta
  }

  /// Whether the folder's database exists and was ever committed to.
  /// - Throws: `.damaged` when the meta pages contradict each other.
  static func hasCommits(_ folder: String) throws(StorageFailure) -> Bool {
    let path = folder + "/data.mdb"
    guard Folder.exists(path) else { return false }
    let file = try File(path, .read)
    guard try file.byteCount() > 0 else { return false }
    return try MetaPages(file).live.number > 0
  }
}
