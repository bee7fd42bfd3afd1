/// One reused flat buffer of fixed-size records in the wire encoding: what a machine emits is what
/// is hashed, stored and sent. Appending allocates only while the buffer still grows.
public struct EventBuffer: ~Copyable {
  public static let recordByteCount = 64
  @usableFromInline var storage: [UInt8] = []

  public init(capacity: Int = 1024) {
    storage.reserveCapacity(capacity * EventBuffer.recordByteCount)
  }

  /// Records held.
  @inlinable public var count: Int { storage.count / EventBuffer.recordByteCount }

  /// Bytes held.
  @inlinable public var byteCount: Int { storage.count }

  /// Appends a 64-byte record.
  @inlinable public mutating func append<Record: FlatRecord>(_ record: Record) {
    precondition(MemoryLayout<Record>.size == EventBuffer.recordByteCount)
    unsafe withUnsafeBytes(of: record) { unsafe storage.append(contentsOf: $0) }
  }

  /// The record at `index`, read as the named type.
  @inlinable public func record<Record: FlatRecord>(_ index: Int, as: Record.Type) -> Record {
    Record(storage.rawSpan, at: index * EventBuffer.recordByteCount)
  }

  /// All records, packed.
  public var bytes: [UInt8] { storage }

  /// Forgets the records and keeps the memory.
  @inlinable public mutating func removeAll() { storage.removeAll(keepingCapacity: true) }

  /// Forgets the records from `count` on.
  @inlinable public mutating func truncate(to count: Int) {
    storage.removeLast(storage.count - count * EventBuffer.recordByteCount)
  }
}
