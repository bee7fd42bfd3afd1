import Glibc
import Primitives

/// Whole small files, as clients read and write them.
public enum Files {
  /// The contents of a regular file.
  /// - Parameter isSecret: refuse a file to which group or others have any right.
  /// - Throws: `.call`, `.kind`, `.permissions`, `.tooLarge`.
  public static func read(_ path: String, byteCountMax: Int, isSecret: Bool = false)
    throws(FileFailure) -> [UInt8]
  {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .call("open", path: path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .call("fstat", path: path, code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .kind(path: path) }
    if isSecret, status.st_mode & 0o077 != 0 {
      throw .permissions(path: path, mode: status.st_mode & 0o7777)
    }
    guard status.st_size <= byteCountMax else {
      throw .tooLarge(path: path, maximum: byteCountMax)
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe Glibc.read(descriptor, $0.baseAddress.map { unsafe $0 + done }, $0.count - done)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .call("read", path: path, code: errno) }
      // The file was cut while it was read.
      if count == 0 { break }
      done += count
    }
    bytes.removeLast(bytes.count - done)
    return bytes
  }

  /// Writes a new file and waits until it and its name are on the disk.
  /// - Throws: `.call`; with `EEXIST` when something bears the name. A file half written is removed.
  public static func create(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644)
    throws(FileFailure)
  {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw .call("create", path: path, code: errno) }
    defer { close(descriptor) }
    do throws(FileFailure) {
      try write(bytes, to: descriptor, path)
      guard fchmod(descriptor, mode) == 0 else { throw .call("fchmod", path: path, code: errno) }
      guard fsync(descriptor) == 0 else { throw .call("fsync", path: path, code: errno) }
      try syncFolder(of: path)
    } catch {
      _ = unsafe unlink(path)
      throw error
    }
  }

  /// Puts a file in place of whatever bore the name: written beside it, on the disk, then renamed.
  /// Nobody ever sees a part of it.
  /// - Throws: `.call`.
  public static func replace(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644)
    throws(FileFailure)
  {
    let passing = "\(path).part-\(getpid())"
    try create(passing, bytes, mode: mode)
    try rename(passing, to: path)
  }

  /// Gives a whole file its name, in place of whatever bore it; removes the file when that fails.
  static func rename(_ passing: String, to path: String) throws(FileFailure) {
    guard unsafe Glibc.rename(passing, path) == 0 else {
      let code = errno
      _ = unsafe unlink(passing)
      throw .call("rename", path: path, code: code)
    }
    try syncFolder(of: path)
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String)
    throws(FileFailure)
  {
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress.map { unsafe $0 + done }, $0.count - done)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .call("write", path: path, code: errno) }
      done += count
    }
  }

  /// Makes a folder and the folders above it that are not there; only `path` itself gets `mode`.
  /// - Throws: `.call`.
  public static func makeFolder(_ path: String, mode: UInt32 = 0o755) throws(FileFailure) {
    if unsafe mkdir(path, mode) == 0 { return try syncFolder(of: path) }
    switch errno {
    case EEXIST: return try requireFolder(path)
    case ENOENT:
      let above = parent(of: path)
      guard above != path else { throw .call("mkdir", path: path, code: ENOENT) }
      try makeFolder(above)
      guard unsafe mkdir(path, mode) == 0 else { throw .call("mkdir", path: path, code: errno) }
      try syncFolder(of: path)
    case let code: throw .call("mkdir", path: path, code: code)
    }
  }

  private static func requireFolder(_ path: String) throws(FileFailure) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { throw .call("stat", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw .call("mkdir", path: path, code: ENOTDIR)
    }
  }

  /// Whether something bears the name.
  public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// The names in a folder, in byte order, without `.` and `..`.
  /// - Throws: `.call`.
  public static func names(in folder: String) throws(FileFailure) -> [String] {
    guard let stream = unsafe opendir(folder) else {
      throw .call("opendir", path: folder, code: errno)
    }
    defer { unsafe _ = closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
        unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The rights of a file.
  /// - Throws: `.call`.
  public static func mode(of path: String) throws(FileFailure) -> UInt32 {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { throw .call("stat", path: path, code: errno) }
    return status.st_mode & 0o7777
  }

  /// The folder a path's last part stands in.
  public static func parent(of path: String) -> String {
    var parts = path.utf8[...]
    while parts.count > 1, parts.last == UInt8(ascii: "/") { parts.removeLast() }
    guard let slash = parts.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == parts.startIndex ? "/" : String(decoding: parts[..<slash], as: UTF8.self)
  }

  private static func syncFolder(of path: String) throws(FileFailure) {
    let folder = parent(of: path)
    let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .call("open", path: folder, code: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .call("fsync", path: folder, code: errno) }
  }
}
