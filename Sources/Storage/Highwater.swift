internal import Commitments
internal import Glibc
public import Primitives

/// Whether a folder may sign.
public enum Standing: Hashable, Sendable {
  case consistent
  /// Sign nothing before the peers, or an operator's bundle, have shown the highest sequence this
  /// role signed and replay has passed it; it is at least `atLeast`.
  case recovering(atLeast: UInt64, because: Reason)

  public enum Reason: Hashable, Sendable {
    /// The folder came from a backup.
    case restored
    /// The database has signed, and the file is gone or unreadable.
    case highwaterMissing
    /// The file was copied with its folder: it is not the file that was written here.
    case highwaterCopied
    /// The file knows a higher sequence than the database: the folder was rolled back.
    case databaseBehind
    /// File and database name two ids for one sequence.
    case disagreement
  }
}

/// The highest (sequence, id) this role may have signed: a file that is synced before each
/// signature leaves, so that no backup and no rolled-back database can make a role sign twice.
///
/// It is `highwater` in the layer's folder, and `Backup` leaves it out. Two slots of 4 KiB are
/// written in turn, so a torn write spoils the older. A slot names the file's own inode: a copy of
/// the whole folder is another file and starts *recovering*. What it cannot see is a snapshot below
/// the file system, such as a virtual disk rolled back as a whole.
public final class Highwater {
  public struct Mark: Hashable, Sendable {
    public var seq: UInt64
    public var id: Digest

    public init(seq: UInt64, id: Digest) {
      self.seq = seq
      self.id = id
    }
  }

  static let slotByteCount = 4096
  static let fileName = "highwater"
  static let markerName = "RESTORED"

  private let folder: String
  private let role: UInt8
  private let network: Digest
  private var file: File
  private var counter: UInt64
  private var isPoisoned = false
  /// The last raise; nil before the first.
  public private(set) var mark: Mark?
  public private(set) var standing: Standing

  /// Opens the file beside the store and compares the two. A store that never signed gets a new one.
  ///
  /// - Throws: `.system`, `.diskFull`, `.fatalInputOutput`, `.damaged`, `.missing`.
  public init(_ store: Store) throws(StorageFailure) {
    let role = store.role
    let path = store.folder + "/" + Highwater.fileName
    let isRestored = Folder.exists(store.folder + "/" + Highwater.markerName)
    let range = try store.read { (reader) throws(StorageFailure) in
      try reader.signedRange(role: role)
    }
    let isNew = !Folder.exists(path)
    let file = try File(path, .createOrOpen)
    let slots = isNew ? [] : try Highwater.slots(file, role, store.network)
    let newest = slots.max { $0.counter < $1.counter }
    let node = UInt64(try file.status().st_ino)
    let last = range?.upperBound ?? 0

    let standing: Standing
    if isRestored {
      standing = .recovering(atLeast: max(last, newest?.mark?.seq ?? 0), because: .restored)
    } else if let newest {
      standing = try Highwater.compare(newest, node, range, store)
    } else if range != nil {
      standing = .recovering(atLeast: last, because: .highwaterMissing)
    } else {
      standing = .consistent
    }
    var counter = newest?.counter ?? 0
    if newest == nil, standing == .consistent {
      counter += 1
      try file.preallocate(2 * Highwater.slotByteCount)
      try Slot(counter: counter, mark: nil, node: node).write(to: file, role, store.network)
      try Folder.sync(store.folder)
    }
    folder = store.folder
    self.role = role
    network = store.network
    self.counter = counter
    mark = newest?.mark
    self.file = file
    self.standing = standing
  }

  private static func compare(
    _ slot: Slot, _ node: UInt64, _ range: ClosedRange<UInt64>?, _ store: Store
  ) throws(StorageFailure) -> Standing {
    let last = range?.upperBound ?? 0
    guard slot.node == node else {
      return .recovering(atLeast: max(last, slot.mark?.seq ?? 0), because: .highwaterCopied)
    }
    guard let mark = slot.mark else {
      // Never raised: one commit may have gone before the first raise, not more.
      guard let range, range.count > 1 else { return .consistent }
      return .recovering(atLeast: last, because: .highwaterMissing)
    }
    guard let range, mark.seq <= last else {
      return .recovering(atLeast: mark.seq, because: .databaseBehind)
    }
    let seq = mark.seq
    let id = try store.read { (reader) throws(StorageFailure) in
      try reader.signed(role: store.role, seq)
    }
    guard id == mark.id, range.contains(seq) else {
      return .recovering(atLeast: last, because: .disagreement)
    }
    return .consistent
  }

  /// Writes down, durably, that `id` is about to be signed as sequence `seq`. The same pair may come
  /// again: after a crash the same signature is made again.
  ///
  /// - Throws: `.recovering`; `.alreadySigned` for another id, or for a lower sequence;
  ///   `.fatalInputOutput`, `.poisoned`.
  public func raise(seq: UInt64, id: Digest) throws(StorageFailure) {
    if case .recovering(let seq, _) = standing { throw .recovering(atLeast: seq) }
    if let mark {
      if mark.seq == seq && mark.id == id { return }
      guard seq > mark.seq else { throw .alreadySigned(role: role, seq: mark.seq, id: mark.id) }
    }
    try write(Mark(seq: seq, id: id))
  }

  /// Ends the recovery: `mark` is the highest sequence this role signed, as its peers or an
  /// operator's bundle showed it, and the store has replayed to it.
  ///
  /// - Throws: `.recovering` where `mark` lies below what the folder itself knows.
  public func finishRecovery(at mark: Mark) throws(StorageFailure) {
    guard case .recovering(let least, _) = standing else { return }
    guard mark.seq >= least else { throw .recovering(atLeast: least) }
    try write(mark)
    try Folder.remove(folder + "/" + Highwater.markerName)
    try Folder.sync(folder)
    standing = .consistent
  }

  /// Marks the folder as one that may not sign: a peer has shown what this role signed and the folder
  /// does not hold. From the next start on it recovers.
  public static func distrust(_ folder: String) throws(StorageFailure) {
    let marker = try File(folder + "/" + markerName, .createOrOpen)
    try marker.sync()
    try Folder.sync(folder)
  }

  /// Lowers the mark after a Resume signed by governance made what lies above it void.
  public func resume(at mark: Mark) throws(StorageFailure) {
    if case .recovering(let seq, _) = standing { throw .recovering(atLeast: seq) }
    try write(mark)
  }

  private func write(_ mark: Mark) throws(StorageFailure) {
    guard !isPoisoned else { throw .poisoned }
    let slot = Slot(counter: counter + 1, mark: mark, node: UInt64(try file.status().st_ino))
    do throws(StorageFailure) {
      try slot.write(to: file, role, network)
    } catch {
      // After a failed sync, which bytes the disk holds is no longer known.
      if case .fatalInputOutput = error { isPoisoned = true }
      throw error
    }
    counter = slot.counter
    self.mark = mark
  }

  struct Slot {
    static let magic: UInt64 = 0x3145_544b_4d57_484e  // "NHWMKTE1"

    var counter: UInt64
    var mark: Mark?
    var node: UInt64

    func write(to file: borrowing File, _ role: UInt8, _ network: Digest) throws(StorageFailure) {
      let offset = Int(counter % 2) * Highwater.slotByteCount
      try file.write(encoded(role, network).rawSpan, at: offset)
      try file.syncData()
    }

    func encoded(_ role: UInt8, _ network: Digest) -> [UInt8] {
      var writer = ByteWriter(capacity: Highwater.slotByteCount)
      writer.write(Slot.magic)
      writer.write(counter)
      writer.write(node)
      writer.write(role)
      writer.write(mark != nil)
      writer.pad(6)
      writer.write(mark?.seq ?? 0)
      writer.write(mark?.id ?? .zero)
      writer.write(network)
      writer.write(SHA256.digest(writer.bytes.rawSpan))
      writer.pad(Highwater.slotByteCount - writer.bytes.count)
      return writer.bytes
    }
  }

  /// The slots that are whole.
  /// - Throws: `.otherRole`, `.otherNetwork` for a whole slot of another file.
  private static func slots(_ file: borrowing File, _ role: UInt8, _ network: Digest)
    throws(StorageFailure) -> [Slot]
  {
    var slots: [Slot] = []
    for position in 0..<2 {
      let bytes = try file.read(slotByteCount, at: position * slotByteCount)
      guard let parsed = Slot.parse(bytes.rawSpan) else { continue }
      guard parsed.role == role else { throw .otherRole(expected: role, found: parsed.role) }
      guard parsed.network == network else {
        throw .otherNetwork(expected: network, found: parsed.network)
      }
      slots.append(parsed.slot)
    }
    return slots
  }

  static func wholeSlotCount(_ file: borrowing File) throws(StorageFailure) -> Int {
    var count = 0
    for position in 0..<2 {
      let bytes = try file.read(slotByteCount, at: position * slotByteCount)
      if Slot.parse(bytes.rawSpan) != nil { count += 1 }
    }
    return count
  }
}

extension Highwater.Slot {
  /// Parses a slot; nil where it is not whole.
  static func parse(_ span: RawSpan) -> (slot: Highwater.Slot, role: UInt8, network: Digest)? {
    guard span.byteCount >= 136, span.load(at: 0) == magic,
      SHA256.digest(span.extracting(0..<104)) == Digest(span, at: 104)
    else { return nil }
    let isMarked = span.load(at: 25, as: UInt8.self) == 1
    let mark = Highwater.Mark(seq: span.load(at: 32), id: Digest(span, at: 40))
    let slot = Highwater.Slot(
      counter: span.load(at: 8), mark: isMarked ? mark : nil, node: span.load(at: 16))
    return (slot, span.load(at: 24), Digest(span, at: 72))
  }
}
