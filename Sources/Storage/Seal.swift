internal import Commitments
internal import Primitives

/// A stored value: 32 bytes of SHA-256 over its place and its bytes, then the bytes. The place is
/// hashed too, so that a value that turns up under another key is refused.
enum Seal {
  static let byteCount = 32

  static func digest(_ key: StorageKey, _ bytes: RawSpan) -> Digest {
    var stream = SHA256Stream()
    var prefix = ByteWriter(capacity: 16)
    prefix.write(key.table.rawValue)
    prefix.write(key.group)
    prefix.write(key.number)
    stream.update(prefix.bytes.rawSpan)
    stream.update(bytes)
    return stream.finish()
  }

  /// The bytes behind the seal.
  /// - Throws: `.damaged` when they do not match it.
  @_lifetime(copy value)
  static func open(_ value: RawSpan, at key: StorageKey) throws(StorageFailure) -> RawSpan {
    guard value.byteCount >= byteCount else { throw .damaged(key: key, reason: .form) }
    let bytes = value.extracting(byteCount..<value.byteCount)
    guard digest(key, bytes) == Digest(value) else {
      throw .damaged(key: key, reason: .hash)
    }
    return bytes
  }
}
