internal import Glibc
internal import Primitives

/// One open file, closed when its owner goes.
struct File: ~Copyable {
  let descriptor: Int32
  let path: String

  enum Opening { case read, readWrite, createOrOpen, createNew }

  init(_ path: String, _ opening: Opening) throws(StorageFailure) {
    let flags: Int32 =
      switch opening {
      case .read: O_RDONLY
      case .readWrite: O_RDWR
      case .createOrOpen: O_RDWR | O_CREAT
      case .createNew: O_RDWR | O_CREAT | O_EXCL
      }
    let descriptor = unsafe Glibc.open(path, flags | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .of("open", path, errno) }
    self.descriptor = descriptor
    self.path = path
  }

  deinit { _ = Glibc.close(descriptor) }

  func byteCount() throws(StorageFailure) -> Int { Int(try status().st_size) }

  func status() throws(StorageFailure) -> stat {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .of("fstat", path, errno) }
    return status
  }

  /// Reads up to `count` bytes at `offset`; fewer only at the end of the file.
  func read(_ count: Int, at offset: Int) throws(StorageFailure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = unsafe bytes.withUnsafeMutableBytes { raw in
        unsafe pread(descriptor, raw.baseAddress! + done, count - done, off_t(offset + done))
      }
      if got < 0 {
        if errno == EINTR { continue }
        throw .of("pread", path, errno)
      }
      if got == 0 { break }
      done += got
    }
    bytes.removeLast(count - done)
    return bytes
  }

  /// Writes all the bytes at `offset`.
  func write(_ bytes: RawSpan, at offset: Int) throws(StorageFailure) {
    var done = 0
    while done < bytes.byteCount {
      let rest = bytes.extracting(done..<bytes.byteCount)
      let put = unsafe rest.withUnsafeBytes { raw in
        unsafe pwrite(descriptor, raw.baseAddress!, raw.count, off_t(offset + done))
      }
      if put < 0 {
        if errno == EINTR { continue }
        throw .of("pwrite", path, errno, needed: bytes.byteCount)
      }
      done += put
    }
  }

  /// Makes the file's bytes durable. A failure is never retried: the kernel may have dropped them.
  func syncData() throws(StorageFailure) {
    guard fdatasync(descriptor) == 0 else {
      throw .fatalInputOutput(call: "fdatasync", code: errno)
    }
  }

  /// Makes bytes and length durable.
  func sync() throws(StorageFailure) {
    guard fsync(descriptor) == 0 else { throw .fatalInputOutput(call: "fsync", code: errno) }
  }

  func preallocate(_ count: Int) throws(StorageFailure) {
    let code = posix_fallocate(descriptor, 0, off_t(count))
    if code != 0 { throw .of("posix_fallocate", path, code, needed: count) }
  }

  /// Takes the advisory lock; false when another opening holds it.
  func lock() throws(StorageFailure) -> Bool {
    if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
    if errno == EWOULDBLOCK { return false }
    throw .of("flock", path, errno)
  }
}

extension StorageFailure {
  /// The failure of a call: space, hardware, or anything else.
  static func of(_ call: String, _ path: String, _ code: Int32, needed: Int = 0) -> StorageFailure {
    switch code {
    case ENOSPC, EDQUOT:
      .diskFull(free: Folder.freeByteCount(path), needed: UInt64(needed))
    case EIO: .fatalInputOutput(call: call, code: code)
    default: .system(call: call, path: path, code: code)
    }
  }
}

/// Folders and names.
enum Folder {
  /// Creates the folder, and those it lies in, readable by their owner alone, where none stands.
  static func create(_ path: String) throws(StorageFailure) {
    if unsafe mkdir(path, 0o700) == 0 || errno == EEXIST { return }
    let code = errno
    let name = path.utf8.reversed().drop { $0 == UInt8(ascii: "/") }
    let parent = String(
      decoding: name.drop { $0 != UInt8(ascii: "/") }.reversed(), as: UTF8.self)
    guard code == ENOENT, parent.utf8.count > 1, parent != path else {
      throw .of("mkdir", path, code)
    }
    try create(parent)
    if unsafe mkdir(path, 0o700) != 0, errno != EEXIST { throw .of("mkdir", path, errno) }
  }

  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// The names inside, sorted.
  static func names(_ path: String) throws(StorageFailure) -> [String] {
    guard let stream = unsafe opendir(path) else { throw .of("opendir", path, errno) }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
        unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Makes the folder's names durable.
  static func sync(_ path: String) throws(StorageFailure) {
    let folder = try File(path, .read)
    try folder.sync()
  }

  static func rename(_ from: String, to: String) throws(StorageFailure) {
    guard unsafe Glibc.rename(from, to) == 0 else { throw .of("rename", from, errno) }
  }

  static func remove(_ path: String) throws(StorageFailure) {
    if unsafe unlink(path) != 0, errno != ENOENT { throw .of("unlink", path, errno) }
  }

  /// Bytes an unprivileged process may still write; 0 when the system does not say.
  static func freeByteCount(_ path: String) -> UInt64 {
    var status = Glibc.statvfs()
    guard unsafe statvfs(path, &status) == 0 else { return 0 }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }

  /// Whether `count` more bytes fit: by reserving them in a probe file, since a file system's own
  /// count may hold quotas and reserved blocks back.
  static func hasRoom(_ folder: String, for count: Int) -> Bool {
    let path = folder + "/probe"
    defer { unsafe unlink(path) }
    do throws(StorageFailure) {
      let probe = try File(path, .createOrOpen)
      try probe.preallocate(count)
      return true
    } catch {
      if case .diskFull = error { return false }
      return true
    }
  }
}
