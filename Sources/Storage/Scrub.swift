internal import Primitives

/// What a walk over everything stored found.
public struct ScrubReport: Sendable {
  public struct Damage: Hashable, Sendable, CustomStringConvertible {
    /// The table, or `pages of the file`, `journal`, `highwater`.
    public var place: String
    /// The key, page number or offset.
    public var key: String
    public var reason: String
    public var description: String { "\(place) \(key): \(reason)" }
  }

  public internal(set) var damages: [Damage] = []
  /// Values whose hash was checked, and their bytes.
  public internal(set) var valueCount = 0
  public internal(set) var valueByteCount = 0
  /// Database pages in use and free.
  public internal(set) var pageCount = 0
  public internal(set) var freePageCount = 0
  public internal(set) var journalGroupCount = 0
  public internal(set) var head: Head?
  public internal(set) var pageHead: PageHead?

  public var isSound: Bool { damages.isEmpty }

  mutating func note(_ place: String, _ key: String, _ reason: String) {
    damages.append(Damage(place: place, key: key, reason: reason))
  }
}

/// Walks a folder and names every damage, beside a running writer or without one. It parses the
/// database file itself (`PageWalk`), so corruption never reaches LMDB's unchecked reads.
public enum Scrub {
  /// - Throws: `.notAStore`, `.system`, `.fatalInputOutput` for what keeps it from reading at all;
  ///   damage is in the report.
  public static func run(_ folder: String) throws(StorageFailure) -> ScrubReport {
    guard Folder.exists(folder + "/data.mdb") else { throw .notAStore(folder: folder) }
    let meta: MetaPages.Meta
    do throws(StorageFailure) {
      meta = try MetaPages(try File(folder + "/data.mdb", .read)).live
    } catch {
      guard case .damaged = error else { throw error }
      var report = ScrubReport()
      report.note("pages of the file", "0 and 1", "the meta pages contradict each other")
      try journal(folder, nil, &report)
      return report
    }
    guard Folder.exists(folder + "/lock.mdb") else { return try walk(folder, meta) }
    do throws(StorageFailure) {
      return try Store(reading: folder).scrub()
    } catch {
      switch error {
      case .fatalInputOutput, .system, .folderInUse: throw error
      // The database does not open: nobody writes to it, so it stands still.
      default: return try walk(folder, meta)
      }
    }
  }

  static func walk(_ folder: String, _ meta: MetaPages.Meta) throws(StorageFailure) -> ScrubReport {
    var report = ScrubReport()
    var survey = Survey()
    var walk = try PageWalk(try File(folder + "/data.mdb", .read), meta)
    try walk.run { (table, key, value, page) throws(StorageFailure) in
      survey.visit(table, key, value, page, &report)
    }
    for fault in walk.faults { report.note("pages of the file", "\(fault.page)", fault.reason) }
    report.pageCount = walk.livePageCount
    report.freePageCount = walk.freePageCount
    survey.finish(&report)
    try journal(folder, survey.network, &report)
    try highwater(folder, &report)
    return report
  }

  private static func journal(_ folder: String, _ network: Digest?, _ report: inout ScrubReport)
    throws(StorageFailure)
  {
    let path = folder + "/journal"
    guard Folder.exists(path) else { return }
    var count = 0
    do throws(StorageFailure) {
      _ = try JournalScan.replay(path, network, from: nil) { (_, _) throws(StorageFailure) in
        count += 1
      }
    } catch {
      switch error {
      case .system, .fatalInputOutput: throw error
      default: report.note("journal", "after \(count) groups", error.description)
      }
    }
    report.journalGroupCount = count
  }

  private static func highwater(_ folder: String, _ report: inout ScrubReport)
    throws(StorageFailure)
  {
    let path = folder + "/" + Highwater.fileName
    guard Folder.exists(path) else { return }
    if try Highwater.wholeSlotCount(try File(path, .read)) == 0 {
      report.note("highwater", "both slots", "no slot is whole")
    }
  }
}

extension Store {
  /// Walks everything stored, beside this store's own writer.
  /// - Throws: `.system`, `.fatalInputOutput` for what keeps it from reading at all.
  public func scrub() throws(StorageFailure) -> ScrubReport {
    // The commit that the reader pins must still be in a meta page: the writer keeps two.
    for _ in 0..<64 {
      let report = try withSnapshot { (_, number) throws(StorageFailure) -> ScrubReport? in
        let file = try File(folder + "/data.mdb", .read)
        let metas = try MetaPages(file)
        guard let meta = [metas.live, metas.former].first(where: { $0.number == number }) else {
          return nil
        }
        return try Scrub.walk(folder, meta)
      }
      if let report { return report }
    }
    throw .database(call: "scrub: the writer outran the reader", code: 0)
  }
}

/// What a scrub gathers about the tables while it walks their values.
private struct Survey {
  private var found = Inventory()
  private var stored: Inventory?
  private(set) var network: Digest?
  /// Pool and page of every stored page, and the latest batch that any is as of.
  private var pagesFound: Set<UInt64> = []
  private var newestPage: UInt64 = 0

  mutating func visit(
    _ name: String, _ key: RawSpan, _ value: RawSpan, _ page: UInt64, _ report: inout ScrubReport
  ) {
    guard let table = Table.allCases.first(where: { $0.name == name }) else {
      return report.note(name, Hexadecimal.text(key), "no such table (page \(page))")
    }
    guard let key = StorageKey(table: table, bytes: key) else {
      return report.note(name, Hexadecimal.text(key), "not a key (page \(page))")
    }
    report.valueCount += 1
    report.valueByteCount += value.byteCount
    do throws(StorageFailure) {
      let bytes = try Seal.open(value, at: key)
      if key != .meta(.inventory) { found.insert(key, Digest(value)) }
      try read(key, bytes, &report)
    } catch {
      // The line names table and key already.
      let reason = if case .damaged(_, let reason) = error { "\(reason)" } else { "\(error)" }
      report.note(name, key.place, "\(reason) (page \(page))")
    }
  }

  private mutating func read(_ key: StorageKey, _ bytes: RawSpan, _ report: inout ScrubReport)
    throws(StorageFailure)
  {
    switch key.table {
    case .meta:
      switch MetaRecord(rawValue: key.group) {
      case .format: if bytes.byteCount == 43 { network = Digest(bytes, at: 11) }
      case .head: report.head = try Head(bytes)
      case .inventory: stored = try Inventory(bytes)
      case .pageHead: report.pageHead = try PageHead(bytes)
      case nil: throw .damaged(key: key, reason: .form)
      }
    case .pages:
      guard bytes.byteCount >= 8 else { throw .damaged(key: key, reason: .form) }
      let page = UInt64(key.group) << 56 | key.number
      newestPage = max(newestPage, bytes.load(at: 0))
      pagesFound.insert(page)
    case .batches, .signed: break
    }
  }

  /// Compares what was found with what the last commit left.
  mutating func finish(_ report: inout ScrubReport) {
    guard let stored else {
      return report.note("meta", "inventory", "expected a value, found none")
    }
    for table in Table.allCases {
      for group in 0...UInt8.max {
        let (expected, here) = (stored[table, group], found[table, group])
        if expected.count == 0 && here.count == 0 { continue }
        if expected != here {
          report.note(
            table.name, "group \(group)",
            "expected \(expected.count) values as last committed, found \(here.count) or others")
        }
      }
    }
    if network == nil { report.note("meta", "format", "expected a value, found none") }
    deltas(stored, &report)
    pages(&report)
  }

  /// Every batch between the page checkpoint and the head must have its delta.
  private func deltas(_ stored: Inventory, _ report: inout ScrubReport) {
    let entry = stored[.batches, RecordKind.delta.rawValue]
    guard let head = report.head, entry.count > 0 else { return }
    let first = report.pageHead.map { $0.seq + 1 } ?? entry.first
    let spans = head.seq < first || (entry.isDense && entry.first <= first)
    if !spans || entry.last != head.seq {
      report.note(
        "batches", "delta \(first)…\(head.seq)",
        "expected every one, found \(entry.count) in \(entry.first)…\(entry.last)")
    }
  }

  private func pages(_ report: inout ScrubReport) {
    guard let head = report.pageHead else { return }
    for shape in head.pools {
      for page in 0..<shape.pageCount {
        if !pagesFound.contains(UInt64(shape.pool) << 56 | UInt64(page)) {
          report.note("pages", "pool \(shape.pool) page \(page)", "expected a page, found none")
        }
      }
    }
    if let last = report.head?.seq, newestPage > last {
      report.note("pages", "batch \(newestPage)", "expected none after the head's, \(last)")
    }
  }
}
