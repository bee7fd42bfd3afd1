internal import Commitments
public import Primitives

/// Groups made durable before a batch is: preallocated segment files under `journal/`, one group a
/// sync, each chained to the one before it by SHA-256.
///
/// One thread at a time owns a journal (it is not `Sendable`): it appends a group, syncs, and only then lets acknowledgements leave.
/// A group is 96 bytes of header, the payload, and zeros to the next multiple of 32:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | magic |
/// | 4 | 4 | payload length |
/// | 8 | 8 | index, from 0, never reused |
/// | 16 | 8 | segment number: bytes of a recycled segment's former life never match |
/// | 24 | 8 | durable: groups below this index were synced before this one was written |
/// | 32 | 32 | chain before |
/// | 64 | 32 | chain = SHA-256 of bytes 0…63 and the payload |
///
/// The field *durable* tells a torn tail from rot: a damaged group is a torn tail unless a later
/// group stands which was written after it had been synced. Rot in the very last durable group
/// cannot be told from a torn write; the layer compares with what its peers acknowledged.
public final class Journal {
  /// Bytes of a segment file unless told otherwise.
  public static let segmentByteCount = 64 << 20
  /// Recycled segments kept for later.
  static let spareCountMax = 2

  let folder: String
  let network: Digest
  let segmentByteCount: Int
  private var segments: [Segment]
  private var active: File
  private var activeNumber: UInt64
  private var offset: Int
  /// Where the part of the active segment ends that was written at least once.
  private var writtenEnd: Int
  private var chain: Digest
  private var durable: UInt64
  private var isPoisoned = false
  private var spareCount: Int
  /// The index of the next group.
  public private(set) var nextIndex: UInt64

  struct Segment: Equatable {
    let number: UInt64
    let firstIndex: UInt64
  }

  /// Opens the journal of a layer's folder and replays what it holds from group `first` on.
  ///
  /// A torn tail (writes that no sync covered) is cut silently.
  ///
  /// - Parameter first: the first group that the database does not hold; earlier ones are checked
  ///   and skipped.
  /// - Throws: `.journalDamaged` where a durable group is gone, `.journalGap` where the journal
  ///   begins after `first` or ends before it, `.diskFull`, `.fatalInputOutput`, and what the body
  ///   throws.
  public init(
    folder: String, network: Digest, segmentByteCount: Int = Journal.segmentByteCount,
    replayingFrom first: UInt64 = 0,
    _ body: (UInt64, RawSpan) throws(StorageFailure) -> Void
  ) throws(StorageFailure) {
    precondition(segmentByteCount >= 8192 && segmentByteCount % 4096 == 0)
    let path = folder + "/journal"
    try Folder.create(path)
    let replayed = try JournalScan.replay(path, network, from: first, body)
    var spareCount = try Folder.names(path).count { $0.hasSuffix(".spare") }
    let end: JournalScan.End
    if let replayed {
      guard replayed.nextIndex >= first else {
        throw .journalGap(expected: first, found: replayed.nextIndex)
      }
      end = replayed
    } else {
      let number = try JournalScan.lastNumber(path).map { $0 + 1 } ?? 0
      end = JournalScan.End(
        segments: [Segment(number: number, firstIndex: first)],
        offset: JournalSegmentHeader.byteCount, chain: network, nextIndex: first)
    }
    let number = end.segments[end.segments.count - 1].number
    let active =
      replayed != nil
      ? try File(Journal.path(path, number), .readWrite)
      : try Journal.newSegment(
        path, number, segmentByteCount, &spareCount,
        header: JournalSegmentHeader(
          number: number, network: network, firstIndex: first, chain: network))
    // What was replayed may still sit in the page cache alone.
    try active.syncData()
    self.folder = path
    self.network = network
    self.segmentByteCount = segmentByteCount
    self.active = active
    self.spareCount = spareCount
    segments = end.segments
    activeNumber = number
    offset = end.offset
    writtenEnd = end.offset
    chain = end.chain
    nextIndex = end.nextIndex
    durable = end.nextIndex
  }

  /// What a folder's journal holds, from its oldest group on, without opening it to write.
  ///
  /// - Throws: `.journalDamaged`, `.otherNetwork`, `.fatalInputOutput`, and what the body throws.
  public static func read(
    folder: String, network: Digest,
    _ body: (UInt64, RawSpan) throws(StorageFailure) -> Void
  ) throws(StorageFailure) {
    let path = folder + "/journal"
    guard Folder.exists(path) else { return }
    _ = try JournalScan.replay(path, network, from: nil, body)
  }

  /// Removes every segment: all they hold is in the database, and the next journal begins at an
  /// index never used.
  ///
  /// - Throws: `.system`, `.fatalInputOutput`.
  public static func discard(folder: String) throws(StorageFailure) {
    let path = folder + "/journal"
    guard Folder.exists(path) else { return }
    // The newest goes first: what is left at any moment is a journal that ends early.
    for name in try Folder.names(path).reversed() { try Folder.remove(path + "/" + name) }
    try Folder.sync(path)
  }

  /// Writes a group after the last; durable only after `sync`.
  ///
  /// - Returns: the group's index.
  /// - Throws: `.groupTooLarge`, `.diskFull` (nothing changed; may be tried again),
  ///   `.fatalInputOutput`, `.poisoned`.
  @discardableResult
  public func append(_ payload: RawSpan) throws(StorageFailure) -> UInt64 {
    guard !isPoisoned else { throw .poisoned }
    let byteCount = JournalGroup.byteCount(payload: payload.byteCount)
    let maximum = segmentByteCount - JournalSegmentHeader.byteCount
    guard byteCount <= maximum else {
      throw .groupTooLarge(
        byteCount: payload.byteCount, maximum: maximum - JournalGroup.headerByteCount)
    }
    do throws(StorageFailure) {
      if offset + byteCount > segmentByteCount { try rollOver() }
      let group = JournalGroup(
        index: nextIndex, segment: activeNumber, durable: durable, before: chain)
      let (bytes, after) = group.encoded(payload)
      try clear(through: offset + bytes.count)
      try active.write(bytes.rawSpan, at: offset)
      offset += bytes.count
      chain = after
      nextIndex += 1
      return nextIndex - 1
    } catch { throw poisoning(error) }
  }

  @discardableResult
  public func append(_ payload: [UInt8]) throws(StorageFailure) -> UInt64 {
    try append(payload.rawSpan)
  }

  /// Writes zeros ahead of the groups, a stretch at a time. Preallocated blocks that were never
  /// written make every `fdatasync` change the file's map; over written ones it is a third faster.
  private func clear(through end: Int) throws(StorageFailure) {
    guard end > writtenEnd else { return }
    let next = min(segmentByteCount, end + Journal.clearedByteCount)
    try active.write([UInt8](repeating: 0, count: next - offset).rawSpan, at: offset)
    writtenEnd = next
  }

  /// Bytes cleared ahead at once.
  private static let clearedByteCount = 256 << 10

  /// Makes every appended group durable. A failure is never retried.
  /// - Throws: `.fatalInputOutput`, `.poisoned`.
  public func sync() throws(StorageFailure) {
    guard !isPoisoned else { throw .poisoned }
    guard durable != nextIndex else { return }
    do throws(StorageFailure) {
      try active.syncData()
      durable = nextIndex
    } catch { throw poisoning(error) }
  }

  /// Recycles the segments whose groups are all below `index`: those the database holds.
  /// - Throws: `.system`.
  public func trim(before index: UInt64) throws(StorageFailure) {
    guard !isPoisoned else { throw .poisoned }
    while segments.count > 1, segments[1].firstIndex <= index {
      let path = Journal.path(folder, segments[0].number)
      if spareCount < Journal.spareCountMax {
        try Folder.rename(path, to: path + ".spare")
        spareCount += 1
      } else {
        try Folder.remove(path)
      }
      segments.removeFirst()
    }
  }

  private func poisoning(_ failure: StorageFailure) -> StorageFailure {
    if case .fatalInputOutput = failure { isPoisoned = true }
    return failure
  }

  /// Begins the next segment; its header promises that everything before it is durable.
  private func rollOver() throws(StorageFailure) {
    try active.syncData()
    durable = nextIndex
    let number = activeNumber + 1
    active = try Journal.newSegment(
      folder, number, segmentByteCount, &spareCount,
      header: JournalSegmentHeader(
        number: number, network: network, firstIndex: nextIndex, chain: chain))
    activeNumber = number
    offset = JournalSegmentHeader.byteCount
    writtenEnd = offset
    segments.append(Segment(number: number, firstIndex: nextIndex))
  }

  /// A preallocated file with a durable header: a recycled one where there is one.
  private static func newSegment(
    _ folder: String, _ number: UInt64, _ byteCount: Int, _ spareCount: inout Int,
    header: JournalSegmentHeader
  ) throws(StorageFailure) -> File {
    // The header is made durable under a passing name, so that a segment's name implies a header.
    let passing = folder + "/next"
    if let spare = try Folder.names(folder).first(where: { $0.hasSuffix(".spare") }) {
      try Folder.rename(folder + "/" + spare, to: passing)
      spareCount -= 1
    }
    let file = try File(passing, .createOrOpen)
    do throws(StorageFailure) {
      try file.preallocate(byteCount)
    } catch {
      // What was reserved in part must not keep the disk full.
      try Folder.remove(passing)
      throw error
    }
    try file.write(header.encoded.rawSpan, at: 0)
    try file.sync()
    try Folder.rename(passing, to: path(folder, number))
    try Folder.sync(folder)
    return file
  }

  static func path(_ folder: String, _ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return folder + "/" + String(repeating: "0", count: 16 - digits.count) + digits + ".segment"
  }
}

/// The first 128 bytes of a segment, alone in a 4 KiB page.
struct JournalSegmentHeader: Equatable {
  /// Bytes before the first group: a page, so that no group shares a sector with the header.
  static let byteCount = 4096
  static let magic: UInt64 = 0x314c_4e52_554f_4a4e  // "NJOURNL1"

  let number: UInt64
  let network: Digest
  let firstIndex: UInt64
  /// The chain digest before the first group.
  let chain: Digest

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: JournalSegmentHeader.byteCount)
    writer.write(JournalSegmentHeader.magic)
    writer.write(number)
    writer.write(firstIndex)
    writer.pad(8)
    writer.write(network)
    writer.write(chain)
    writer.write(SHA256.digest(writer.bytes.rawSpan))
    writer.pad(JournalSegmentHeader.byteCount - writer.bytes.count)
    return writer.bytes
  }

  init(number: UInt64, network: Digest, firstIndex: UInt64, chain: Digest) {
    self.number = number
    self.network = network
    self.firstIndex = firstIndex
    self.chain = chain
  }

  /// Parses a header; nil where it is not whole.
  init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= 128, bytes.load(at: 0) == JournalSegmentHeader.magic,
      SHA256.digest(bytes.extracting(0..<96)) == Digest(bytes, at: 96)
    else { return nil }
    number = bytes.load(at: 8)
    firstIndex = bytes.load(at: 16)
    network = Digest(bytes, at: 32)
    chain = Digest(bytes, at: 64)
  }
}

/// One group's header.
struct JournalGroup: Equatable {
  static let magic: UInt32 = 0x3147_4a4e  // "NJG1"
  static let headerByteCount = 96
  static let alignment = 32

  let index: UInt64
  let segment: UInt64
  let durable: UInt64
  let before: Digest

  /// Bytes on disk of a group with such a payload.
  static func byteCount(payload: Int) -> Int {
    (headerByteCount + payload + alignment - 1) / alignment * alignment
  }

  func encoded(_ payload: RawSpan) -> (bytes: [UInt8], chain: Digest) {
    let total = JournalGroup.byteCount(payload: payload.byteCount)
    var writer = ByteWriter(capacity: total)
    writer.write(JournalGroup.magic)
    writer.write(UInt32(payload.byteCount))
    writer.write(index)
    writer.write(segment)
    writer.write(durable)
    writer.write(before)
    let chain = JournalGroup.chain(writer.bytes.rawSpan, payload)
    writer.write(chain)
    writer.write(payload)
    writer.pad(total - writer.bytes.count)
    return (writer.bytes, chain)
  }

  static func chain(_ header: RawSpan, _ payload: RawSpan) -> Digest {
    var stream = SHA256Stream()
    stream.update(header)
    stream.update(payload)
    return stream.finish()
  }

  init(index: UInt64, segment: UInt64, durable: UInt64, before: Digest) {
    self.index = index
    self.segment = segment
    self.durable = durable
    self.before = before
  }

  /// Parses the group at `offset` with its chain and the place of its payload; nil where no whole
  /// group of this segment stands.
  static func parse(_ bytes: RawSpan, at offset: Int, segment: UInt64)
    -> (group: JournalGroup, payload: Range<Int>, chain: Digest)?
  {
    guard offset + headerByteCount <= bytes.byteCount,
      bytes.load(at: offset) == magic, bytes.load(at: offset + 16) == segment
    else { return nil }
    let count = Int(bytes.load(at: offset + 4, as: UInt32.self))
    let start = offset + headerByteCount
    guard count <= bytes.byteCount - start else { return nil }
    let chain = Digest(bytes, at: offset + 64)
    let payload = start..<(start + count)
    guard
      JournalGroup.chain(bytes.extracting(offset..<(offset + 64)), bytes.extracting(payload))
        == chain
    else { return nil }
    let group = JournalGroup(
      index: bytes.load(at: offset + 8), segment: segment, durable: bytes.load(at: offset + 24),
      before: Digest(bytes, at: offset + 32))
    return (group, payload, chain)
  }
}
