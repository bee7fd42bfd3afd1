internal import CLMDB
internal import Primitives

/// One transaction and the tables, as readers and the writer share them. Spans it lends stay valid
/// until the transaction writes or ends, so they never leave the closure they were lent to.
@safe struct Session {
  let transaction: OpaquePointer
  let tables: Tables

  init(_ transaction: borrowing OpenTransaction, _ tables: Tables) {
    unsafe self.transaction = transaction.pointer
    self.tables = tables
  }

  /// Lends the value with its seal still on, or nil.
  func withSealed<R>(
    _ key: StorageKey, _ body: (RawSpan?) throws(StorageFailure) -> R
  ) throws(StorageFailure) -> R {
    var value = unsafe MDB_val()
    let code = unsafe key.withBytes { raw in
      var name = unsafe MDB_val(mv_size: raw.count, mv_data: raw.baseAddress)
      return unsafe mdb_get(transaction, tables[key.table], &name, &value)
    }
    if code == MDB_NOTFOUND { return try body(nil) }
    try Environment.check("mdb_get", code)
    return try body(
      unsafe RawSpan(_unsafeStart: value.mv_data, byteCount: value.mv_size))
  }

  /// Lends the value's bytes, their hash checked, or nil.
  func withValue<R>(
    _ key: StorageKey, _ body: (RawSpan?) throws(StorageFailure) -> R
  ) throws(StorageFailure) -> R {
    try withSealed(key) { (sealed) throws(StorageFailure) in
      guard let sealed else { return try body(nil) }
      return try body(try Seal.open(sealed, at: key))
    }
  }

  /// Walks a group from `lower` through `upper` in order, sealed, until the body answers false.
  func forEachSealed(
    _ table: Table, group: UInt8, from lower: UInt64, through upper: UInt64,
    _ body: (StorageKey, RawSpan) throws(StorageFailure) -> Bool
  ) throws(StorageFailure) {
    var opened: OpaquePointer?
    try Environment.check(
      "mdb_cursor_open", unsafe mdb_cursor_open(transaction, tables[table], &opened))
    guard let cursor = unsafe opened else { return }
    defer { unsafe mdb_cursor_close(cursor) }
    var name = unsafe MDB_val()
    var value = unsafe MDB_val()
    let start = StorageKey(table: table, group: group, number: lower)
    var code = unsafe start.withBytes { raw in
      unsafe name = MDB_val(mv_size: raw.count, mv_data: raw.baseAddress)
      return unsafe mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE)
    }
    while code == MDB_SUCCESS {
      let bytes = unsafe RawSpan(_unsafeStart: name.mv_data, byteCount: name.mv_size)
      guard let key = StorageKey(table: table, bytes: bytes) else {
        throw .damaged(key: start, reason: .form)
      }
      guard key.group == group, key.number <= upper else { return }
      let sealed = unsafe RawSpan(_unsafeStart: value.mv_data, byteCount: value.mv_size)
      guard try body(key, sealed) else { return }
      code = unsafe mdb_cursor_get(cursor, &name, &value, MDB_NEXT)
    }
    if code != MDB_NOTFOUND { try Environment.check("mdb_cursor_get", code) }
  }

  /// The highest number below `upper` that stands in a group.
  func last(_ table: Table, group: UInt8, below upper: UInt64) throws(StorageFailure) -> UInt64? {
    var opened: OpaquePointer?
    try Environment.check(
      "mdb_cursor_open", unsafe mdb_cursor_open(transaction, tables[table], &opened))
    guard let cursor = unsafe opened else { return nil }
    defer { unsafe mdb_cursor_close(cursor) }
    var name = unsafe MDB_val()
    var value = unsafe MDB_val()
    let start = StorageKey(table: table, group: group, number: upper)
    var code = unsafe start.withBytes { raw in
      unsafe name = MDB_val(mv_size: raw.count, mv_data: raw.baseAddress)
      return unsafe mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE)
    }
    code = unsafe mdb_cursor_get(cursor, &name, &value, code == MDB_NOTFOUND ? MDB_LAST : MDB_PREV)
    if code == MDB_NOTFOUND { return nil }
    try Environment.check("mdb_cursor_get", code)
    let bytes = unsafe RawSpan(_unsafeStart: name.mv_data, byteCount: name.mv_size)
    guard let key = StorageKey(table: table, bytes: bytes) else {
      throw .damaged(key: start, reason: .form)
    }
    return key.group == group ? key.number : nil
  }

  /// Stores the bytes under their seal and answers the seal that stood there before.
  func put(_ key: StorageKey, _ bytes: RawSpan) throws(StorageFailure) -> (
    old: Digest?, new: Digest
  ) {
    let seal = Seal.digest(key, bytes)
    var old: Digest?
    let count = Seal.byteCount + bytes.byteCount
    var value = unsafe MDB_val(mv_size: count, mv_data: nil)
    let code = unsafe key.withBytes { raw -> Int32 in
      var name = unsafe MDB_val(mv_size: raw.count, mv_data: raw.baseAddress)
      let table = tables[key.table]
      let first = unsafe mdb_put(
        transaction, table, &name, &value, UInt32(MDB_RESERVE | MDB_NOOVERWRITE))
      guard first == MDB_KEYEXIST else { return first }
      let standing = unsafe RawSpan(_unsafeStart: value.mv_data, byteCount: value.mv_size)
      old = standing.byteCount >= Seal.byteCount ? Digest(standing) : .zero
      unsafe value = MDB_val(mv_size: count, mv_data: nil)
      return unsafe mdb_put(transaction, table, &name, &value, UInt32(MDB_RESERVE))
    }
    try Environment.check("mdb_put", code)
    let target = unsafe UnsafeMutableRawBufferPointer(start: value.mv_data, count: count)
    seal.withBytes { from in
      unsafe from.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
    }
    unsafe bytes.withUnsafeBytes {
      unsafe UnsafeMutableRawBufferPointer(rebasing: target[Seal.byteCount...]).copyMemory(from: $0)
    }
    return (old, seal)
  }

  /// Removes a value and answers the seal that stood there.
  func remove(_ key: StorageKey) throws(StorageFailure) -> Digest? {
    let old = try withSealed(key) { (sealed) throws(StorageFailure) -> Digest? in
      guard let sealed else { return nil }
      return sealed.byteCount >= Seal.byteCount ? Digest(sealed) : .zero
    }
    guard let old else { return nil }
    let code = unsafe key.withBytes { raw in
      var name = unsafe MDB_val(mv_size: raw.count, mv_data: raw.baseAddress)
      return unsafe mdb_del(transaction, tables[key.table], &name, nil)
    }
    try Environment.check("mdb_del", code)
    return old
  }
}
