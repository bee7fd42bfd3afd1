public import Primitives

/// What the disk, the database or a folder refused.
public enum StorageFailure: Error, Hashable, Sendable {
  /// Another process holds the folder.
  case folderInUse(folder: String)
  /// The folder holds no database.
  case notAStore(folder: String)
  /// The target of a restore or a backup holds files already.
  case notEmpty(folder: String)
  case otherNetwork(expected: Digest, found: Digest)
  case otherRole(expected: UInt8, found: UInt8)
  /// The database was written by a newer version of this software.
  case newerFormat(supported: UInt16, found: UInt16)
  /// The database was written by an older version and needs its migration.
  case olderFormat(supported: UInt16, found: UInt16)
  /// The sign-once rule: another id already stands for this sequence number.
  case alreadySigned(role: UInt8, seq: UInt64, id: Digest)
  /// The highwater file does not agree with the folder: nothing may be signed yet.
  case recovering(atLeast: UInt64)
  /// Stored bytes do not match their hash or their form.
  case damaged(key: StorageKey, reason: Damage)
  /// A value that must stand there is gone.
  case missing(key: StorageKey)
  /// Space ran out; the transaction was aborted, and what was committed stays readable.
  case diskFull(free: UInt64, needed: UInt64)
  /// The disk failed with space left: the process must stop, nothing may be retried.
  case fatalInputOutput(call: String, code: Int32)
  /// An earlier fatal failure: only a restart reads what is really on the disk.
  case poisoned
  /// The store was opened for reading.
  case readOnly
  /// Every reader slot is taken.
  case readersFull
  /// A journal group that was made durable is gone, though later groups stand.
  case journalDamaged(segment: UInt64, offset: UInt64, index: UInt64)
  /// The journal begins at another group than the one asked for.
  case journalGap(expected: UInt64, found: UInt64)
  /// A group passes what one segment holds.
  case groupTooLarge(byteCount: Int, maximum: Int)
  /// A backup's data file is not the one its manifest names.
  case backupDamaged(expected: Digest, found: Digest)
  /// Any other refusal of the operating system.
  case system(call: String, path: String, code: Int32)
  /// Any other refusal of the database.
  case database(call: String, code: Int32)
}

/// How stored bytes are wrong.
public enum Damage: Hashable, Sendable {
  case hash
  case form
  /// The table's contents are not those its last commit left.
  case inventory(expected: UInt64, found: UInt64)
}

extension StorageFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .folderInUse(let folder): "\(folder) is in use by another process"
    case .notAStore(let folder): "\(folder) holds no database"
    case .notEmpty(let folder): "\(folder) is not empty"
    case .otherNetwork(let expected, let found): "expected network \(expected), found \(found)"
    case .otherRole(let expected, let found): "expected role \(expected), found \(found)"
    case .newerFormat(let supported, let found):
      "database format \(found) is newer than this program, which reads up to \(supported)"
    case .olderFormat(let supported, let found):
      "database format \(found) is older than \(supported) and needs its migration"
    case .alreadySigned(let role, let seq, let id):
      "role \(role) already signed \(id) as sequence \(seq)"
    case .recovering(let seq):
      "the folder is recovering: nothing is signed before replay passes sequence \(seq)"
    case .damaged(let key, let reason): "\(key): \(reason)"
    case .missing(let key): "\(key): expected a value, found none"
    case .diskFull(let free, let needed): "disk full: \(needed) bytes needed, \(free) free"
    case .fatalInputOutput(let call, let code): "\(call) failed with error \(code) and space left"
    case .poisoned: "an earlier input/output error needs a restart"
    case .readOnly: "the store was opened for reading"
    case .readersFull: "every reader slot is taken"
    case .journalDamaged(let segment, let offset, let index):
      "journal segment \(segment) offset \(offset): durable group \(index) is damaged"
    case .journalGap(let expected, let found):
      "journal: expected group \(expected), found \(found)"
    case .groupTooLarge(let count, let maximum):
      "journal group of \(count) bytes, at most \(maximum) fit a segment"
    case .backupDamaged(let expected, let found):
      "backup data file: expected SHA-256 \(expected), found \(found)"
    case .system(let call, let path, let code): "\(call) \(path): error \(code)"
    case .database(let call, let code): "\(call): database error \(code)"
    }
  }
}

extension Damage: CustomStringConvertible {
  public var description: String {
    switch self {
    case .hash: "the bytes do not match their hash"
    case .form: "the bytes are not of the expected form"
    case .inventory(let expected, let found):
      "expected \(expected) values as last committed, found \(found) or others"
    }
  }
}
