/// One reused flat buffer of fixed-size records in the wire encoding: what a machine emits is what
/// is hashed, stored and sent. Appending allocates only while the buffer still grows.
@safe public struct EventBuffer: ~Copyable {
  public static let recordByteCount = 64
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  @usableFromInline var held = 0

  public init(capacity: Int = 1024) {
    self.capacity = max(capacity, 1)
    unsafe base = .allocate(
      byteCount: self.capacity * EventBuffer.recordByteCount,
      alignment: EventBuffer.recordByteCount)
  }

  deinit { unsafe base.deallocate() }

  /// Records held.
  @inlinable public var count: Int { held }

  /// Bytes held.
  @inlinable public var byteCount: Int { held * EventBuffer.recordByteCount }

  /// Appends a 64-byte record.
  @inlinable @inline(__always) public mutating func append<Record: FlatRecord>(_ record: Record) {
    precondition(MemoryLayout<Record>.size == EventBuffer.recordByteCount)
    if held == capacity { grow() }
    unsafe base.storeBytes(
      of: record, toByteOffset: held &* EventBuffer.recordByteCount, as: Record.self)
    held &+= 1
  }

  @usableFromInline mutating func grow() {
    let newBase = UnsafeMutableRawPointer.allocate(
      byteCount: 2 * capacity * EventBuffer.recordByteCount,
      alignment: EventBuffer.recordByteCount)
    unsafe newBase.copyMemory(from: base, byteCount: byteCount)
    unsafe base.deallocate()
    unsafe base = newBase
    capacity *= 2
  }

  /// The record at `index`, read as the named type.
  @inlinable @inline(__always) public func record<Record: FlatRecord>(_ index: Int, as: Record.Type)
    -> Record
  {
    precondition(MemoryLayout<Record>.size == EventBuffer.recordByteCount)
    precondition(index >= 0 && index < held)
    return unsafe base.load(
      fromByteOffset: index &* EventBuffer.recordByteCount, as: Record.self)
  }

  /// A copy of all records, packed.
  public var bytes: [UInt8] {
    unsafe [UInt8](UnsafeRawBufferPointer(start: base, count: byteCount))
  }

  /// Forgets the records and keeps the memory.
  @inlinable public mutating func removeAll() { held = 0 }

  /// Forgets the records from `count` on.
  @inlinable public mutating func truncate(to count: Int) {
    precondition(count >= 0 && count <= held)
    held = count
  }

  /// Memory held, in bytes.
  public var memoryByteCount: Int { capacity * EventBuffer.recordByteCount }
}
