internal import CLMDB
internal import Glibc
public import Primitives
internal import Synchronization

/// A layer's database: one writer, any number of readers, one transaction a batch.
///
/// `Sendable`: the environment may be used by any thread (transactions are not tied to threads),
/// the writer's state sits behind a mutex, and the map grows only while no transaction is open.
@safe public final class Store: @unchecked Sendable {
  /// The database format this code writes.
  public static let formatVersion: UInt16 = 2

  public struct Options: Sendable {
    /// Address space to begin with.
    public var mapByteCount = 1 << 30
    /// Address space to grow to: the size the database may reach.
    public var mapByteCountMax = 1 << 40
    /// Free space that a commit must leave on the disk.
    public var reserveByteCount = 64 << 20
    public var readerCountMax = 126
    public init() {}
  }

  public let folder: String
  public let role: UInt8
  public let network: Digest
  public let isReadOnly: Bool
  private let options: Options
  private let claim: Claim
  private let environment: Environment
  private let tables: Tables
  private let gate = Gate()
  private let writer: Mutex<Writer>

  private struct Writer: Sendable {
    var inventory: Inventory
    var isPoisoned = false
  }

  /// Opens the folder for writing, creating it where nothing stands.
  ///
  /// - Throws: `.folderInUse`, `.otherNetwork`, `.otherRole`, `.newerFormat`, `.olderFormat`,
  ///   `.damaged`, `.missing`, `.diskFull`, `.system`, `.database`.
  public init(
    folder: String, role: UInt8, network: Digest, formatVersion: UInt16 = Store.formatVersion,
    options: Options = Options()
  ) throws(StorageFailure) {
    try Folder.create(folder)
    claim = try Claim(folder, isExclusive: true)
    let isNew = try !MetaPages.hasCommits(folder)
    environment = try Environment(
      folder: folder, mapByteCount: options.mapByteCount, readerCountMax: options.readerCountMax,
      isReadOnly: false)
    let transaction = try environment.begin(isReadOnly: false)
    tables = try Tables(transaction, creating: isNew)
    let session = Session(transaction, tables)
    if isNew {
      var batch = Transaction(session, Inventory())
      let format = Format(version: formatVersion, role: role, network: network)
      try batch.put(.meta(.format), format.encoded.rawSpan)
      try batch.seal()
    } else {
      let format = try Format.read(Reader(session), supported: formatVersion)
      guard format.network == network else {
        throw .otherNetwork(expected: network, found: format.network)
      }
      guard format.role == role else { throw .otherRole(expected: role, found: format.role) }
    }
    writer = Mutex(Writer(inventory: try Reader(session).inventory()))
    try transaction.commit(folder)
    self.folder = folder
    self.role = role
    self.network = network
    self.options = options
    isReadOnly = false
    if isNew { try Folder.sync(folder) }
  }

  /// Opens the folder for reading beside another process's writer, for `scrub`, `backup`, exports.
  ///
  /// - Throws: `.notAStore`, `.folderInUse` where this process has it open already, `.newerFormat`,
  ///   `.olderFormat`, `.otherNetwork` if one is expected, `.damaged`, `.missing`.
  public init(
    reading folder: String, network expected: Digest? = nil,
    formatVersion: UInt16 = Store.formatVersion, options: Options = Options()
  ) throws(StorageFailure) {
    guard Folder.exists(folder + "/data.mdb"), try MetaPages.hasCommits(folder) else {
      throw .notAStore(folder: folder)
    }
    claim = try Claim(folder, isExclusive: false)
    environment = try Environment(
      folder: folder, mapByteCount: options.mapByteCount, readerCountMax: options.readerCountMax,
      isReadOnly: true)
    let transaction = try environment.begin(isReadOnly: true)
    tables = try Tables(transaction, creating: false)
    let format = try Format.read(Reader(Session(transaction, tables)), supported: formatVersion)
    let inventory = try Reader(Session(transaction, tables)).inventory()
    writer = Mutex(Writer(inventory: inventory))
    // A table handle opened by a reader lasts only if that reader commits.
    try transaction.commit(folder)
    if let expected, expected != format.network {
      throw .otherNetwork(expected: expected, found: format.network)
    }
    self.folder = folder
    role = format.role
    network = format.network
    self.options = options
    isReadOnly = true
  }

  // MARK: - Writing

  /// Makes one batch durable, or leaves the store as it was.
  ///
  /// The body may run again from its start after the map has grown, so it writes to the transaction
  /// and to nothing else.
  ///
  /// - Throws: `.diskFull` (space ran out or would fall below the reserve; nothing changed),
  ///   `.fatalInputOutput` (stop the process), `.poisoned`, `.readOnly`, and what the body throws.
  public func commit(
    _ body: (inout Transaction) throws(StorageFailure) -> Void
  ) throws(StorageFailure) {
    guard !isReadOnly else { throw .readOnly }
    try writer.withLock { (state) throws(StorageFailure) in
      guard !state.isPoisoned else { throw .poisoned }
      do throws(StorageFailure) {
        while true {
          switch try attempt(state.inventory, body) {
          case .done(let inventory):
            state.inventory = inventory
            return
          case .mapFull(let needed): try grow(needed)
          }
        }
      } catch {
        if case .fatalInputOutput = error { state.isPoisoned = true }
        throw error
      }
    }
  }

  private enum Attempt {
    case done(Inventory)
    case mapFull(needed: Int)
  }

  private func attempt(
    _ inventory: Inventory, _ body: (inout Transaction) throws(StorageFailure) -> Void
  ) throws(StorageFailure) -> Attempt {
    let open = try environment.begin(isReadOnly: false)
    var batch = Transaction(Session(open, tables), inventory)
    do throws(StorageFailure) {
      try body(&batch)
      try batch.seal()
      try requireReserve(batch.byteCount)
      let done = batch.inventory
      try open.commit(folder)
      return .done(done)
    } catch {
      switch error {
      case .database(_, MDB_MAP_FULL): return .mapFull(needed: batch.byteCount)
      case .fatalInputOutput(_, EIO) where !Folder.hasRoom(folder, for: batch.byteCount + 1 << 20):
        // LMDB answers a short write with EIO.
        throw .diskFull(
          free: Folder.freeByteCount(folder), needed: UInt64(batch.byteCount + 1 << 20))
      default: throw error
      }
    }
  }

  private func requireReserve(_ byteCount: Int) throws(StorageFailure) {
    let free = Folder.freeByteCount(folder)
    let needed = UInt64(options.reserveByteCount + byteCount)
    if free < needed { throw .diskFull(free: free, needed: needed) }
  }

  /// Doubles the map, or more where the batch needs it, up to the maximum.
  private func grow(_ needed: Int) throws(StorageFailure) {
    let current = environment.mapByteCount()
    guard current < options.mapByteCountMax else {
      throw .diskFull(free: 0, needed: UInt64(needed))
    }
    gate.close()
    defer { gate.open() }
    try environment.grow(to: min(options.mapByteCountMax, max(current * 2, current + needed * 2)))
  }

  // MARK: - Reading

  /// Lends a consistent view. Reads neither nest nor last: the writer may wait for them to end.
  ///
  /// - Throws: `.readersFull` and what the body throws.
  public func read<R>(
    _ body: (borrowing Reader) throws(StorageFailure) -> R
  ) throws(StorageFailure) -> R {
    for _ in 0..<8 {
      gate.enter()
      do throws(StorageFailure) {
        defer { gate.leave() }
        let open = try environment.begin(isReadOnly: true)
        return try body(Reader(Session(open, tables)))
      } catch {
        guard case .database("mdb_txn_begin", MDB_MAP_RESIZED) = error else { throw error }
      }
      // Another process's writer has grown the map.
      gate.close()
      defer { gate.open() }
      try environment.grow(to: 0)
    }
    throw .database(call: "mdb_txn_begin", code: MDB_MAP_RESIZED)
  }

  /// A copy of a batch's value; nil where none was stored.
  public func value(_ kind: RecordKind, _ seq: UInt64) throws(StorageFailure) -> [UInt8]? {
    try read { (reader) throws(StorageFailure) in try reader.value(kind, seq) }
  }

  /// The state after the last committed batch; nil before the first.
  public func head() throws(StorageFailure) -> Head? {
    try read { (reader) throws(StorageFailure) in try reader.head() }
  }

  /// The highest sequence stored of a kind.
  public func lastSeq(_ kind: RecordKind) throws(StorageFailure) -> UInt64? {
    try read { (reader) throws(StorageFailure) in try reader.lastSeq(kind) }
  }

  /// Frees the slots of readers whose process died; answers how many.
  @discardableResult public func clearStaleReaders() throws(StorageFailure) -> Int {
    try environment.clearStaleReaders()
  }

  /// Lends the environment to `Backup` and `Scrub`.
  func withSnapshot<R>(
    _ body: (borrowing Environment, UInt64) throws(StorageFailure) -> R
  ) throws(StorageFailure) -> R {
    gate.enter()
    defer { gate.leave() }
    let open = try environment.begin(isReadOnly: true)
    return try body(environment, open.number)
  }
}

/// Whose database it is. Its layout is fixed for every format to come: a program must be able to
/// read the version of a format newer than itself.
struct Format {
  static let magic: UInt64 = 0x3152_4f54_5345_564e  // "NVESTOR1"

  var version: UInt16
  var role: UInt8
  var network: Digest

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 43)
    writer.write(Format.magic)
    writer.write(version)
    writer.write(role)
    writer.write(network)
    return writer.bytes
  }

  static func read(_ reader: borrowing Reader, supported: UInt16) throws(StorageFailure) -> Format {
    let key = StorageKey.meta(.format)
    return try reader.session.withValue(key) { (bytes) throws(StorageFailure) in
      guard let bytes else { throw .missing(key: key) }
      guard bytes.byteCount == 43, bytes.load(at: 0) == Format.magic else {
        throw .damaged(key: key, reason: .form)
      }
      let format = Format(
        version: bytes.load(at: 8), role: bytes.load(at: 10), network: Digest(bytes, at: 11))
      if format.version > supported {
        throw .newerFormat(supported: supported, found: format.version)
      }
      if format.version < supported {
        throw .olderFormat(supported: supported, found: format.version)
      }
      return format
    }
  }
}
