import CCrypto
public import Primitives

/// SHA-256 (FIPS 180-4), through libcrypto's low-level calls; many short messages at once are in
/// `SHA256+Many.swift`.
/// https://docs.openssl.org/3.0/man3/SHA256_Init/
public enum SHA256 {
  /// The digest of `bytes`. Cost: about 0.6 µs a KiB.
  public static func digest(_ bytes: RawSpan) -> Digest {
    var words: Words = (0, 0, 0, 0)
    let done = unsafe bytes.withUnsafeBytes {
      unsafe novate_sha256($0.baseAddress, $0.count, &words)
    }
    precondition(done == 1, "libcrypto refused to hash")
    return Digest(words)
  }

  /// The digest of `bytes`.
  public static func digest(_ bytes: [UInt8]) -> Digest { digest(bytes.rawSpan) }

  /// SHA-256(left || right), 64 bytes: an inner node of an SSZ tree. Cost: about 0.1 µs.
  public static func pair(_ left: Digest, _ right: Digest) -> Digest {
    var block = (left.words, right.words)
    var words: Words = (0, 0, 0, 0)
    precondition(unsafe novate_sha256_pair(&block, &words) == 1, "libcrypto refused to hash")
    return Digest(words)
  }

  /// SHA-256(0x01 || left || right): an inner node of a log (RFC 6962 §2.1).
  static func logNode(_ left: Digest, _ right: Digest) -> Digest {
    var (a, b) = (left.words, right.words)
    var words: Words = (0, 0, 0, 0)
    precondition(unsafe novate_sha256_node(&a, &b, &words) == 1, "libcrypto refused to hash")
    return Digest(words)
  }

  /// Thirty-two bytes in memory order, as `Bytes32` holds them.
  typealias Words = (UInt64, UInt64, UInt64, UInt64)
}

/// A SHA-256 digest fed piece by piece, so that nothing need be joined first.
public struct SHA256Stream: ~Copyable {
  private var context = SHA256_CTX()

  /// Nothing hashed yet.
  public init() {
    precondition(unsafe SHA256_Init(&context) == 1, "libcrypto refused to hash")
  }

  /// Hashes the next bytes.
  public mutating func update(_ bytes: RawSpan) {
    let done = unsafe bytes.withUnsafeBytes {
      unsafe SHA256_Update(&context, $0.baseAddress, $0.count)
    }
    precondition(done == 1, "libcrypto refused to hash")
  }

  /// Hashes the next 32 bytes.
  public mutating func update(_ digest: Digest) { digest.withBytes { update($0) } }

  /// Hashes the next byte.
  public mutating func update(_ byte: UInt8) {
    var byte = byte
    precondition(unsafe SHA256_Update(&context, &byte, 1) == 1, "libcrypto refused to hash")
  }

  /// The digest of everything since the start or the last `finish`; the stream begins anew.
  public mutating func finish() -> Digest {
    var words: SHA256.Words = (0, 0, 0, 0)
    precondition(unsafe novate_sha256_finish(&context, &words) == 1, "libcrypto refused to hash")
    return Digest(words)
  }
}

/// The linked libcrypto.
public enum LibCrypto {
  /// The library's own words, such as `OpenSSL 3.0.17 1 Jul 2025`.
  public static var version: String {
    unsafe String(cString: OpenSSL_version(OPENSSL_VERSION))
  }
}
