internal import Commitments
internal import Glibc
public import Primitives

/// A consistent copy of a layer's database, without journal and highwater: what stands in those
/// belongs to one machine's one history.
public enum Backup {
  static let manifestName = "SHA256SUMS"

  /// Copies a folder's database into `target`, beside a running writer of another process.
  ///
  /// - Returns: the SHA-256 of the copy, which `SHA256SUMS` names too.
  /// - Throws: `.notEmpty`, `.notAStore`, `.diskFull`, `.fatalInputOutput`, `.folderInUse` where
  ///   this process holds the store (then call `Store.backup`).
  @discardableResult
  public static func copy(from folder: String, to target: String, isCompact: Bool = false)
    throws(StorageFailure) -> Digest
  {
    try Store(reading: folder).backup(to: target, isCompact: isCompact)
  }

  /// Puts a backup into `folder`, marked so that the layer starts *recovering*.
  ///
  /// - Throws: `.notEmpty` where the folder holds anything, `.backupDamaged`, `.notAStore`,
  ///   `.diskFull`, `.fatalInputOutput`.
  public static func restore(_ backup: String, to folder: String) throws(StorageFailure) {
    guard Folder.exists(backup + "/data.mdb"), Folder.exists(backup + "/" + manifestName) else {
      throw .notAStore(folder: backup)
    }
    try Folder.create(folder)
    guard try Folder.names(folder).isEmpty else { throw .notEmpty(folder: folder) }
    // The marker first: a restore cut short must not look like a folder that may sign.
    let marker = try File(folder + "/" + Highwater.markerName, .createNew)
    try marker.sync()
    try Folder.sync(folder)
    let expected = try manifest(backup)
    let passing = folder + "/data.part"
    let found = try duplicate(backup + "/data.mdb", to: passing)
    guard found == expected else {
      try Folder.remove(passing)
      try Folder.remove(folder + "/" + Highwater.markerName)
      throw .backupDamaged(expected: expected, found: found)
    }
    try Folder.rename(passing, to: folder + "/data.mdb")
    try Folder.sync(folder)
  }

  /// The digest that the manifest names.
  private static func manifest(_ folder: String) throws(StorageFailure) -> Digest {
    let file = try File(folder + "/" + manifestName, .read)
    let text = String(decoding: try file.read(try file.byteCount(), at: 0), as: UTF8.self)
    guard text.hasSuffix("  data.mdb\n"), let digest = Digest(hex: String(text.prefix(64))) else {
      throw .backupDamaged(expected: .zero, found: .zero)
    }
    return digest
  }

  static func writeManifest(_ digest: Digest, _ folder: String) throws(StorageFailure) {
    let file = try File(folder + "/" + manifestName, .createNew)
    try file.write(Array("\(digest)  data.mdb\n".utf8).rawSpan, at: 0)
    try file.sync()
  }

  /// Copies a file and answers its SHA-256.
  private static func duplicate(_ from: String, to: String) throws(StorageFailure) -> Digest {
    let target = try File(to, .createNew)
    var offset = 0
    let digest = try walk(from) { (bytes) throws(StorageFailure) in
      try target.write(bytes, at: offset)
      offset += bytes.byteCount
    }
    try target.sync()
    return digest
  }

  static func walk(_ path: String, _ body: (RawSpan) throws(StorageFailure) -> Void)
    throws(StorageFailure) -> Digest
  {
    let file = try File(path, .read)
    var stream = SHA256Stream()
    var offset = 0
    while true {
      let bytes = try file.read(1 << 20, at: offset)
      if bytes.isEmpty { return stream.finish() }
      stream.update(bytes.rawSpan)
      try body(bytes.rawSpan)
      offset += bytes.count
    }
  }
}

extension Store {
  /// Copies the database as of one commit into `target`, beside this store's own writer; the map
  /// does not grow meanwhile.
  ///
  /// - Throws: `.notEmpty`, `.diskFull`, `.fatalInputOutput`.
  @discardableResult
  public func backup(to target: String, isCompact: Bool = false) throws(StorageFailure) -> Digest {
    try Folder.create(target)
    guard try Folder.names(target).isEmpty else { throw .notEmpty(folder: target) }
    try withSnapshot { (environment, _) throws(StorageFailure) in
      try environment.copy(to: target, isCompact: isCompact)
    }
    // What was copied is read back, and made durable before the manifest says so.
    let copy = try File(target + "/data.mdb", .readWrite)
    try copy.sync()
    let digest = try Backup.walk(target + "/data.mdb") { (_) throws(StorageFailure) in }
    try Backup.writeManifest(digest, target)
    try Folder.sync(target)
    return digest
  }
}
