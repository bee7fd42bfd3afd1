import CSodium
public import Primitives

/// Ed25519 verification (RFC 8032 §5.1.7), stricter than the standard so that every verifier of the
/// network decides alike: `S ≥ L`, small-order `A` or `R` and non-canonical encodings are refused;
/// the equation is the cofactorless one; a key of mixed order passes (eprint 2020/1244, table 5:
/// only case 3 of the twelve is valid).
public enum Ed25519 {
  /// Whether `signature` signs the 32 bytes of `id`. Cost: about 50 µs.
  public static func isValid(_ signature: Signature, of id: Digest, by key: PublicKey) -> Bool {
    id.withBytes { isValid(signature, of: $0, by: key) }
  }

  /// Whether `signature` signs `message`. Cost: about 50 µs and 2 ns a byte.
  public static func isValid(_ signature: Signature, of message: RawSpan, by key: PublicKey)
    -> Bool
  {
    guard Sodium.start() else { return false }
    var (signature, words) = (signature, key.words)
    return unsafe message.withUnsafeBytes {
      unsafe novate_verify(&signature, $0.baseAddress, $0.count, &words) == 0
    }
  }

  /// Whether `key` may be registered: canonical, on the curve, not of small order. A key that
  /// fails here verifies nothing.
  public static func isAcceptableKey(_ key: PublicKey) -> Bool {
    guard Sodium.start(), isCanonical(key), !hasSmallOrder(key) else { return false }
    var words = key.words
    return unsafe novate_on_curve(&words) == 0
  }

  /// Whether the y coordinate is below p = 2²⁵⁵ − 19.
  static func isCanonical(_ key: PublicKey) -> Bool {
    let top = key.words.3 & ~(1 << 63)
    let isBelow = key.words.0 < 0xFFFF_FFFF_FFFF_FFED
    return isBelow || key.words.1 != .max || key.words.2 != .max || top != .max >> 1
  }

  /// Whether the canonical `key` is one of the eight points whose order divides 8, whatever its
  /// sign bit: y is 0, 1 or −1, or one of the two of order 8 (roots of d·y⁴ + 2y² − 1).
  static func hasSmallOrder(_ key: PublicKey) -> Bool {
    let y = (key.words.0, key.words.1, key.words.2, key.words.3 & ~(1 << 63))
    return y == (0, 0, 0, 0) || y == (1, 0, 0, 0)
      || y == (0xFFFF_FFFF_FFFF_FFEC, .max, .max, .max >> 1)
      || y
        == (
          0xB027_B2C2_8F95_E826, 0xF098_EFF2_89F4_C345, 0x3933_C6D3_05AC_DFD5,
          0x05FC_536D_8802_38B1
        )
      || y
        == (
          0x4FD8_4D3D_706A_17C7, 0x0F67_100D_760B_3CBA, 0xC6CC_392C_FA53_202A,
          0x7A03_AC92_77FD_C74E
        )
  }
}

/// An Ed25519 signing key. Its secret lives in guarded, read-only memory, is wiped on release and
/// is never printed.
@safe public struct SigningKey: ~Copyable, @unchecked Sendable {
  // Sound to share: the memory is written once, in `init`, then made read-only; signing only reads.
  private let secret: UnsafeMutableRawPointer
  /// The verification key, 32 bytes.
  public let publicKey: PublicKey

  /// libsodium's secret key: seed, then public key.
  private static let secretByteCount = 64

  /// The key of a 32-byte seed (RFC 8032 §5.1.5). The caller still owns, and wipes, the seed.
  /// - Throws: `.seedByteCount` for any other length, `.libraryUnavailable`.
  public init(seed: [UInt8]) throws(SignatureFailure) {
    guard seed.count == 32 else { throw .seedByteCount(seed.count) }
    guard let secret = unsafe SigningKey.allocate() else { throw .libraryUnavailable }
    var words: SHA256.Words = (0, 0, 0, 0)
    let status = unsafe novate_seed_keypair(&words, secret, seed)
    unsafe self.init(adopting: secret, publicKey: PublicKey(words), status: status)
  }

  private init(adopting secret: UnsafeMutableRawPointer, publicKey: PublicKey, status: Int32) {
    precondition(status == 0, "libsodium made no key pair")
    precondition(unsafe sodium_mprotect_readonly(secret) == 0, "a secret stayed writable")
    unsafe self.secret = secret
    self.publicKey = publicKey
  }

  /// A fresh key from the system's randomness.
  public static func random() -> SigningKey {
    guard let secret = unsafe allocate() else {
      preconditionFailure("no guarded memory for a secret")
    }
    var words: SHA256.Words = (0, 0, 0, 0)
    let status = unsafe novate_keypair(&words, secret)
    return unsafe SigningKey(adopting: secret, publicKey: PublicKey(words), status: status)
  }

  deinit {
    _ = unsafe sodium_mprotect_readwrite(secret)
    unsafe sodium_memzero(secret, SigningKey.secretByteCount)
    unsafe sodium_free(secret)
  }

  private static func allocate() -> UnsafeMutableRawPointer? {
    Sodium.start() ? unsafe sodium_malloc(secretByteCount) : nil
  }

  /// Signs the 32 bytes of an object's id. Cost: about 17 µs.
  public func sign(_ id: Digest) -> Signature { id.withBytes { sign($0) } }

  /// Signs `message` (RFC 8032 §5.1.6); the same message gives the same signature.
  public func sign(_ message: RawSpan) -> Signature {
    var signature = Signature.zero
    let status = unsafe message.withUnsafeBytes {
      unsafe novate_sign($0.baseAddress, $0.count, secret, &signature)
    }
    precondition(status == 0, "libsodium refused to sign")
    return signature
  }

  /// Lends the 32-byte seed, to write it to a key file. Do not keep a copy.
  public func withSeed<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try body(unsafe RawSpan(_unsafeStart: secret, byteCount: 32))
  }
}

/// Memory that held a secret.
public enum Secret {
  /// Overwrites the bytes, whatever the optimiser thinks of it. Copies made before stay.
  public static func wipe(_ bytes: inout [UInt8]) {
    unsafe bytes.withUnsafeMutableBytes {
      unsafe sodium_memzero($0.baseAddress, $0.count)
    }
  }
}

/// The linked libsodium.
public enum Sodium {
  private static let isReady = sodium_init() >= 0

  /// Starts the library, once, whoever calls first. False when it cannot run here.
  @discardableResult public static func start() -> Bool { isReady }

  /// The library's version, such as `1.0.18`.
  public static var version: String { unsafe String(cString: sodium_version_string()) }
}

/// SipHash-2-4 under a fixed, published key: against accidents, not against anyone.
public enum SipHash {
  /// The checksum of `bytes`, under the key `novate/checksum1`. Cost: about 40 ns for 64 bytes.
  public static func checksum(_ bytes: RawSpan) -> UInt64 { hash(bytes, key: key) }

  /// - Precondition: the key is 16 bytes.
  static func hash(_ bytes: RawSpan, key: [UInt8]) -> UInt64 {
    precondition(key.count == 16)
    var out: UInt64 = 0
    let status = unsafe bytes.withUnsafeBytes {
      unsafe novate_siphash($0.baseAddress, $0.count, key, &out)
    }
    precondition(status == 0, "libsodium refused to hash")
    return UInt64(littleEndian: out)
  }

  private static let key = Array("novate/checksum1".utf8)
}
