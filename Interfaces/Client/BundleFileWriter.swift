import Commitments
import Glibc
import Primitives
public import Wire

/// Writes a bundle file piece by piece: memory does not grow with the file. Nobody sees a part of
/// it; it takes its name when it is whole.
public struct BundleFileWriter: ~Copyable {
  private let path: String
  private let passing: String
  private var descriptor: Int32
  private let sectionCount: Int
  private var buffer: [UInt8] = []
  /// Bytes of the file so far, those in the buffer included.
  private var byteCount = 0
  private var table: [UInt8] = []
  private var written = 0
  /// The section that is being written.
  private var section: (type: SectionType, start: Int)?
  private var hash = SHA256Stream()

  private static let bufferByteCount = 1 << 20

  /// Begins a file of the manifest and `sectionCount` sections behind it.
  /// - Throws: `FileFailure`.
  public static func begin(_ path: String, _ manifest: BundleFile.Manifest, sectionCount: Int)
    throws(FileFailure) -> BundleFileWriter
  {
    let passing = "\(path).part-\(getpid())"
    let descriptor = unsafe open(passing, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .call("create", path: path, code: errno) }
    var writer = BundleFileWriter(
      path: path, passing: passing, descriptor: descriptor, sectionCount: sectionCount + 1)
    writer.append(BundleFile.start(sectionCount: sectionCount + 1))
    try writer.write(.manifest, manifest.encoded)
    return writer
  }

  private init(path: String, passing: String, descriptor: Int32, sectionCount: Int) {
    self.path = path
    self.passing = passing
    self.descriptor = descriptor
    self.sectionCount = sectionCount
  }

  deinit {
    if descriptor >= 0 {
      _ = close(descriptor)
      _ = unsafe unlink(passing)
    }
  }

  /// Writes a whole section.
  /// - Throws: `FileFailure`.
  public mutating func write(_ type: SectionType, _ bytes: [UInt8]) throws(FileFailure) {
    try begin(type)
    try add(bytes)
    try end()
  }

  /// Begins a section of objects.
  /// - Throws: `FileFailure`.
  public mutating func begin(_ type: SectionType) throws(FileFailure) {
    precondition(section == nil && written < sectionCount, "one section after the other")
    // Length and hash come when they are known.
    append(BundleFile.sectionHead(type, byteCount: 0, .zero))
    section = (type, byteCount)
  }

  /// Adds an object to the section, its length before it.
  /// - Throws: `FileFailure`.
  public mutating func add(object: [UInt8]) throws(FileFailure) {
    var length = ByteWriter(capacity: 4)
    length.write(UInt32(object.count))
    try add(length.bytes)
    try add(object)
  }

  private mutating func add(_ bytes: [UInt8]) throws(FileFailure) {
    hash.update(bytes.rawSpan)
    append(bytes)
    if buffer.count >= BundleFileWriter.bufferByteCount { try flush() }
  }

  /// Ends the section: puts its length and hash before it.
  /// - Throws: `FileFailure`.
  public mutating func end() throws(FileFailure) {
    guard let (type, start) = section else { preconditionFailure("no section has begun") }
    try flush()
    let count = byteCount - start
    try write(
      BundleFile.sectionHead(type, byteCount: count, hash.finish()),
      at: start - BundleFile.sectionHeadByteCount)
    table += BundleFile.tableEntry(type, offset: start, byteCount: count)
    section = nil
    written += 1
  }

  /// Writes the table and the file's hash, waits until all is on the disk, and gives it its name.
  /// - Returns: bytes of the file.
  /// - Throws: `FileFailure`.
  public consuming func finish() throws(FileFailure) -> Int {
    precondition(section == nil && written == sectionCount, "a section is missing")
    append(table)
    try flush()
    var digest = ByteWriter(capacity: 32)
    digest.write(try digestSoFar())
    append(digest.bytes)
    try flush()
    guard fsync(descriptor) == 0 else { throw .call("fsync", path: path, code: errno) }
    try Files.rename(passing, to: path)
    _ = close(descriptor)
    descriptor = -1
    return byteCount
  }

  /// The hash of the file: heads were filled in later, so it is read once more.
  private mutating func digestSoFar() throws(FileFailure) -> Digest {
    var chunk = [UInt8](repeating: 0, count: BundleFileWriter.bufferByteCount)
    var offset = 0
    while offset < byteCount {
      let wanted = min(chunk.count, byteCount - offset)
      let count = unsafe pread(descriptor, &chunk, wanted, off_t(offset))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .call("read", path: path, code: count < 0 ? errno : EIO) }
      hash.update(chunk.rawSpan.extracting(0..<count))
      offset += count
    }
    return hash.finish()
  }

  // MARK: - Bytes

  private mutating func append(_ bytes: [UInt8]) {
    buffer += bytes
    byteCount += bytes.count
  }

  private mutating func flush() throws(FileFailure) {
    try write(buffer, at: byteCount - buffer.count)
    buffer.removeAll(keepingCapacity: true)
  }

  private func write(_ bytes: [UInt8], at place: Int) throws(FileFailure) {
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe pwrite(
          descriptor, $0.baseAddress.map { unsafe $0 + done }, $0.count - done,
          off_t(place + done))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .call("write", path: path, code: errno) }
      done += count
    }
  }
}
