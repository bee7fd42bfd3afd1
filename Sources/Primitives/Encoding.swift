/// Why bytes are not the one canonical encoding of a value.
public enum DecodingFailure: Error, Hashable, Sendable {
  /// Bytes ran out: `needed` more at `offset`.
  case truncated(offset: Int, needed: Int)
  /// Bytes were left over from `offset` on.
  case trailing(offset: Int, count: Int)
  /// A field holds a value outside its domain.
  case invalid(field: StaticString, offset: Int)
  /// A count passes its hard maximum.
  case tooMany(field: StaticString, count: Int, maximum: Int)

  public static func == (a: DecodingFailure, b: DecodingFailure) -> Bool {
    a.description == b.description
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(description) }
}

extension DecodingFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated(let offset, let needed): "expected \(needed) more bytes at offset \(offset)"
    case .trailing(let offset, let count): "found \(count) trailing bytes at offset \(offset)"
    case .invalid(let field, let offset): "\(field) at offset \(offset) is outside its domain"
    case .tooMany(let field, let count, let maximum):
      "\(field): found \(count), at most \(maximum) are allowed"
    }
  }
}

extension RawSpan {
  /// The little-endian integer at `offset`.
  /// - Precondition: it lies inside the span.
  @inlinable @inline(__always)
  public func load<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type = T.self)
    -> T
  {
    precondition(offset >= 0 && offset &+ MemoryLayout<T>.size <= byteCount)
    return unsafe T(
      littleEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
  }

  /// A copy of the bytes.
  @inlinable public var array: [UInt8] {
    unsafe withUnsafeBytes { unsafe [UInt8]($0) }
  }

  /// Whether all bytes are zero.
  public var isZero: Bool {
    for offset in 0..<byteCount where load(at: offset, as: UInt8.self) != 0 { return false }
    return true
  }
}

/// Appends values in the one canonical encoding: little-endian, fixed width, no padding.
@frozen public struct ByteWriter: Sendable {
  public var bytes: [UInt8]

  @inlinable public init(capacity: Int = 0) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  @inlinable public mutating func write<T: FixedWidthInteger>(_ value: T) {
    unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
  }

  @inlinable public mutating func write<T: Unit>(_ value: T) { write(value.raw) }
  @inlinable public mutating func write<T: Identifier>(_ value: T) { write(value.raw) }
  @inlinable public mutating func write(_ value: Bool) { bytes.append(value ? 1 : 0) }

  @inlinable public mutating func write(_ value: Bytes32) {
    unsafe withUnsafeBytes(of: value.words) { unsafe bytes.append(contentsOf: $0) }
  }

  @inlinable public mutating func write(_ value: Signature) {
    write(value.r)
    write(value.s)
  }

  @inlinable public mutating func write(_ value: [UInt8]) { bytes.append(contentsOf: value) }

  @inlinable public mutating func write(_ value: RawSpan) {
    unsafe value.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// Appends a record's memory as it stands.
  /// - Precondition: the record has no padding; its test asserts `size == stride`.
  @inlinable public mutating func write<Record: FlatRecord>(record: Record) {
    unsafe withUnsafeBytes(of: record) { unsafe bytes.append(contentsOf: $0) }
  }

  /// Appends `count` zero bytes.
  @inlinable public mutating func pad(_ count: Int) {
    bytes.append(contentsOf: repeatElement(0, count: count))
  }
}

/// Reads values in the canonical encoding, in order, refusing what is short or left over.
public struct ByteReader: ~Escapable {
  private let bytes: RawSpan
  /// Bytes consumed.
  public private(set) var offset = 0

  @_lifetime(copy bytes) public init(_ bytes: RawSpan) { self.bytes = bytes }

  public var remaining: Int { bytes.byteCount - offset }

  private func require(_ count: Int) throws(DecodingFailure) {
    guard count >= 0, remaining >= count else {
      throw .truncated(offset: offset, needed: count - remaining)
    }
  }

  public mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type = T.self)
    throws(DecodingFailure) -> T
  {
    try require(MemoryLayout<T>.size)
    defer { offset += MemoryLayout<T>.size }
    return bytes.load(at: offset)
  }

  public mutating func read<T: Unit>(_: T.Type = T.self) throws(DecodingFailure) -> T {
    T(raw: try read(T.Raw.self))
  }

  public mutating func read<T: Identifier>(_: T.Type = T.self) throws(DecodingFailure) -> T {
    T(try read(T.Raw.self))
  }

  public mutating func read(_: Bytes32.Type = Bytes32.self) throws(DecodingFailure) -> Bytes32 {
    try require(32)
    defer { offset += 32 }
    return Bytes32(bytes, at: offset)
  }

  public mutating func read(_: Signature.Type = Signature.self) throws(DecodingFailure)
    -> Signature
  {
    try require(64)
    defer { offset += 64 }
    return Signature(bytes, at: offset)
  }

  /// A 0/1 byte.
  public mutating func read(_: Bool.Type, field: StaticString) throws(DecodingFailure) -> Bool {
    let byte: UInt8 = try read()
    guard byte <= 1 else { throw .invalid(field: field, offset: offset - 1) }
    return byte == 1
  }

  /// A record whose memory is its encoding.
  public mutating func read<Record: FlatRecord>(record: Record.Type) throws(DecodingFailure)
    -> Record
  {
    let size = MemoryLayout<Record>.size
    try require(size)
    defer { offset += size }
    return Record(bytes, at: offset)
  }

  /// A count of at most `maximum`.
  public mutating func count(_ field: StaticString, maximum: Int) throws(DecodingFailure) -> Int {
    let value: UInt32 = try read()
    guard Int(value) <= maximum else {
      throw .tooMany(field: field, count: Int(value), maximum: maximum)
    }
    return Int(value)
  }

  /// The next `count` bytes.
  @_lifetime(copy self)
  public mutating func span(_ count: Int) throws(DecodingFailure) -> RawSpan {
    try require(count)
    defer { offset += count }
    return bytes.extracting(offset..<(offset + count))
  }

  /// The next `count` bytes as an array.
  public mutating func array(_ count: Int) throws(DecodingFailure) -> [UInt8] {
    try span(count).array
  }

  /// Refuses any but zero bytes.
  public mutating func zeros(_ count: Int, field: StaticString) throws(DecodingFailure) {
    let start = offset
    guard try span(count).isZero else { throw .invalid(field: field, offset: start) }
  }

  /// Refuses anything left over.
  public func finish() throws(DecodingFailure) {
    if remaining != 0 { throw .trailing(offset: offset, count: remaining) }
  }
}

/// A record whose memory layout is its canonical encoding: little-endian fields in order, without
/// padding. A test asserts `MemoryLayout.size == stride` and a golden vector for each.
public protocol FlatRecord: BitwiseCopyable, Sendable {
  /// The record of all zero bytes: an empty slot.
  static var empty: Self { get }
}

extension FlatRecord {
  /// The record at `offset`. Field domains are the caller's to check.
  /// - Precondition: it lies inside `bytes`.
  @inlinable public init(_ bytes: RawSpan, at offset: Int = 0) {
    precondition(offset >= 0 && offset + MemoryLayout<Self>.size <= bytes.byteCount)
    self = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: Self.self)
  }

  /// Lends the record's bytes.
  @inlinable public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    var copy = self
    return try unsafe withUnsafeBytes(of: &copy) { (raw) throws(E) in
      try body(unsafe RawSpan(_unsafeBytes: raw))
    }
  }
}

#if _endian(big)
  #error("records are laid out little-endian; a big-endian port must swap on load and store")
#endif

extension Array where Element == UInt8 {
  /// The bytes, lent for as long as the array stands still.
  @inlinable public var rawSpan: RawSpan {
    // Safe: every bit pattern of a byte is a byte; the library marks `bytes` for other elements.
    @_lifetime(borrow self) get { unsafe span.bytes }
  }
}
