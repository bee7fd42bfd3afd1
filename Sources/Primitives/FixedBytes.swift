/// Thirty-two bytes: a digest, a public key, a root. Held as four words in memory order.
@frozen public struct Bytes32: Hashable, Sendable, BitwiseCopyable {
  public let words: (UInt64, UInt64, UInt64, UInt64)
  public static let byteCount = 32
  public static let zero = Bytes32((0, 0, 0, 0))

  @inlinable public init(_ words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

  /// The 32 bytes at `offset`.
  /// - Precondition: they lie inside `bytes`.
  @inlinable public init(_ bytes: RawSpan, at offset: Int = 0) {
    words = (
      bytes.load(at: offset), bytes.load(at: offset + 8), bytes.load(at: offset + 16),
      bytes.load(at: offset + 24)
    )
  }

  @inlinable public static func == (a: Bytes32, b: Bytes32) -> Bool { a.words == b.words }
  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
  @inlinable public var isZero: Bool { self == .zero }

  /// Lends the bytes for the length of the call.
  @inlinable public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    var copy = words
    return try unsafe withUnsafeBytes(of: &copy) { (raw) throws(E) in
      try body(unsafe RawSpan(_unsafeBytes: raw))
    }
  }
}

/// A SHA-256 digest or Merkle root.
public typealias Digest = Bytes32
/// An Ed25519 public key.
public typealias PublicKey = Bytes32

/// Sixty-four bytes: an Ed25519 signature.
@frozen public struct Signature: Hashable, Sendable, BitwiseCopyable {
  public let r: Bytes32
  public let s: Bytes32
  public static let byteCount = 64
  public static let zero = Signature(r: .zero, s: .zero)

  @inlinable public init(r: Bytes32, s: Bytes32) {
    self.r = r
    self.s = s
  }

  /// The 64 bytes at `offset`.
  @inlinable public init(_ bytes: RawSpan, at offset: Int = 0) {
    r = Bytes32(bytes, at: offset)
    s = Bytes32(bytes, at: offset + 32)
  }
}

extension Bytes32: CustomStringConvertible, Comparable {
  /// Lower-case hexadecimal, 64 characters.
  public var description: String { withBytes { Hexadecimal.text($0) } }

  /// Parses exactly 64 hexadecimal characters.
  public init?(hex: String) {
    guard let bytes = Hexadecimal.bytes(hex), bytes.count == 32 else { return nil }
    self.init(bytes.rawSpan)
  }

  /// Byte order, as SSZ libraries and log tools sort.
  public static func < (a: Bytes32, b: Bytes32) -> Bool {
    if a.words.0 != b.words.0 { return a.words.0.byteSwapped < b.words.0.byteSwapped }
    if a.words.1 != b.words.1 { return a.words.1.byteSwapped < b.words.1.byteSwapped }
    if a.words.2 != b.words.2 { return a.words.2.byteSwapped < b.words.2.byteSwapped }
    return a.words.3.byteSwapped < b.words.3.byteSwapped
  }
}

extension Signature: CustomStringConvertible {
  public var description: String { r.description + s.description }
  /// The 64 bytes as an array.
  public var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.write(self)
    return writer.bytes
  }
}

/// Hexadecimal text of bytes.
public enum Hexadecimal {
  private static let digits: [UInt8] = Array("0123456789abcdef".utf8)

  /// Two lower-case digits a byte.
  public static func text(_ bytes: RawSpan) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.byteCount * 2)
    for offset in 0..<bytes.byteCount {
      let byte: UInt8 = bytes.load(at: offset)
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// The bytes of an even number of digits of either case; nil for anything else.
  public static func bytes(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    var high: UInt8?
    for character in text.utf8 {
      let value: UInt8
      switch character {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = character - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): value = character - UInt8(ascii: "A") + 10
      default: return nil
      }
      if let first = high {
        out.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return high == nil ? out : nil
  }
}
