internal import CLMDB
internal import Glibc
internal import Primitives

/// The linked LMDB.
public enum LMDB {
  /// The library's own words, such as `LMDB 0.9.24: (July 24, 2019)`.
  public static var version: String { unsafe String(cString: mdb_version(nil, nil, nil)) }
}

/// One open LMDB environment, default sync flags only. Its map is address space, not memory: it
/// grows by `grow`, for which no transaction of this process may be open.
/// See http://www.lmdb.tech/doc/group__mdb.html for the codes.
@safe struct Environment: ~Copyable {
  private let handle: OpaquePointer
  let folder: String

  init(folder: String, mapByteCount: Int, readerCountMax: Int, isReadOnly: Bool)
    throws(StorageFailure)
  {
    var opened: OpaquePointer?
    try Environment.check("mdb_env_create", unsafe mdb_env_create(&opened))
    guard let handle = unsafe opened else {
      throw .database(call: "mdb_env_create", code: MDB_PANIC)
    }
    let flags = UInt32(MDB_NOTLS) | (isReadOnly ? UInt32(MDB_RDONLY) : 0)
    do throws(StorageFailure) {
      try Environment.check("mdb_env_set_maxdbs", unsafe mdb_env_set_maxdbs(handle, 8))
      try Environment.check(
        "mdb_env_set_maxreaders", unsafe mdb_env_set_maxreaders(handle, UInt32(readerCountMax)))
      try Environment.check("mdb_env_set_mapsize", unsafe mdb_env_set_mapsize(handle, mapByteCount))
      try Environment.check(
        "mdb_env_open", unsafe mdb_env_open(handle, folder, flags, 0o600), folder: folder)
      var dead: Int32 = 0
      try Environment.check("mdb_reader_check", unsafe mdb_reader_check(handle, &dead))
    } catch {
      unsafe mdb_env_close(handle)
      throw error
    }
    unsafe self.handle = handle
    self.folder = folder
  }

  deinit { unsafe mdb_env_close(handle) }

  /// Begins a transaction.
  func begin(isReadOnly: Bool) throws(StorageFailure) -> OpenTransaction {
    let flags = isReadOnly ? UInt32(MDB_RDONLY) : 0
    var begun: OpaquePointer?
    var code = unsafe mdb_txn_begin(handle, nil, flags, &begun)
    if code == MDB_READERS_FULL {
      var dead: Int32 = 0
      try Environment.check("mdb_reader_check", unsafe mdb_reader_check(handle, &dead))
      code = unsafe mdb_txn_begin(handle, nil, flags, &begun)
    }
    try Environment.check("mdb_txn_begin", code, folder: folder)
    guard let pointer = unsafe begun else {
      throw .database(call: "mdb_txn_begin", code: MDB_PANIC)
    }
    return unsafe OpenTransaction(pointer: pointer)
  }

  /// Sets the map's size; 0 adopts what another process chose.
  func grow(to byteCount: Int) throws(StorageFailure) {
    try Environment.check(
      "mdb_env_set_mapsize", unsafe mdb_env_set_mapsize(handle, byteCount), folder: folder)
  }

  /// Bytes of map in force.
  func mapByteCount() -> Int {
    var information = unsafe MDB_envinfo()
    unsafe mdb_env_info(handle, &information)
    return unsafe Int(information.me_mapsize)
  }

  /// Copies a consistent snapshot into `folder`, which stands and is empty.
  func copy(to target: String, isCompact: Bool) throws(StorageFailure) {
    try Environment.check(
      "mdb_env_copy2",
      unsafe mdb_env_copy2(handle, target, isCompact ? UInt32(MDB_CP_COMPACT) : 0), folder: target)
  }

  /// Frees the slots of readers that died.
  func clearStaleReaders() throws(StorageFailure) -> Int {
    var dead: Int32 = 0
    try Environment.check("mdb_reader_check", unsafe mdb_reader_check(handle, &dead))
    return Int(dead)
  }

  static func check(_ call: String, _ code: Int32, folder: String = "") throws(StorageFailure) {
    if code == MDB_SUCCESS { return }
    switch code {
    case MDB_READERS_FULL: throw .readersFull
    case MDB_PANIC: throw .poisoned
    default:
      if code < 0 { throw .database(call: call, code: code) }
      throw .of(call, folder, code)
    }
  }
}

/// One transaction, aborted unless committed.
@safe struct OpenTransaction: ~Copyable {
  let pointer: OpaquePointer

  init(pointer: OpaquePointer) { unsafe self.pointer = pointer }

  /// The number of the commit it sees.
  var number: UInt64 { unsafe UInt64(mdb_txn_id(pointer)) }

  consuming func commit(_ folder: String) throws(StorageFailure) {
    let pointer = unsafe self.pointer
    // The call frees the transaction whatever it answers.
    discard self
    try Environment.check("mdb_txn_commit", unsafe mdb_txn_commit(pointer), folder: folder)
  }

  deinit { unsafe mdb_txn_abort(pointer) }
}

/// The open tables.
struct Tables {
  private var handles: [MDB_dbi] = []

  /// Opens every table, creating those of a new database.
  init(_ transaction: borrowing OpenTransaction, creating: Bool) throws(StorageFailure) {
    for table in Table.allCases {
      var handle: MDB_dbi = 0
      let code = unsafe mdb_dbi_open(
        transaction.pointer, table.name, creating ? UInt32(MDB_CREATE) : 0, &handle)
      try Environment.check("mdb_dbi_open", code)
      handles.append(handle)
    }
  }

  subscript(_ table: Table) -> MDB_dbi { handles[Int(table.rawValue)] }
}
