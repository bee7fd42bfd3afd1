public import CMemory

/// Bytes of records of a stored page at most: with its seal, its batch and the database's own header
/// it fills a page of 4 096.
@usableFromInline let storedPageByteCount = 4_040

/// The one owner of long-lived flat memory: records in slots, with the old bytes of every record
/// touched since the last `seal`, so that a batch can be stored as a delta, undone, and hashed page
/// by page.
///
/// Slots are numbered from 0; `count` is the high-water mark. A slot is given out by whoever owns
/// the pool (see `SlotBitmap` for lowest-free-first).
@safe public struct Pool<Record: FlatRecord>: ~Copyable {
  /// A slot changed in this batch, and what stood there before it.
  @usableFromInline struct Touch {
    @usableFromInline let slot: UInt32
    @usableFromInline let old: Record

    @inlinable init(slot: UInt32, old: Record) {
      self.slot = slot
      self.old = old
    }
  }

  @usableFromInline var base: UnsafeMutablePointer<Record>
  /// A bit for each slot: touched since the last `seal`.
  @usableFromInline var touched: UnsafeMutablePointer<UInt64>
  /// Slots and old bytes of what was touched, in the order of first touch.
  @usableFromInline var undo: UnsafeMutablePointer<Touch>
  @usableFromInline var undoCapacity = 1
  /// How many slots were touched since the last `seal`.
  @usableFromInline var touches = 0

  @inlinable public var touchedCount: Int { touches }
  /// Slots in use or once used.
  @inlinable public var count: Int { used }
  @usableFromInline var used = 0
  /// `count` when the batch began.
  @inlinable public var sealedCount: Int { sealed }
  @usableFromInline var sealed = 0
  @usableFromInline var capacity: Int

  @inlinable public static var recordByteCount: Int { MemoryLayout<Record>.stride }
  /// Slots stored together, at least one.
  @inlinable public static var slotsPerPage: Int { max(1, storedPageByteCount / recordByteCount) }
  /// Pages changed since they were last stored.
  @usableFromInline var dirty: [Bool] = []

  public init(capacity: Int = 64) {
    precondition(
      MemoryLayout<Record>.size == MemoryLayout<Record>.stride, "a record may have no padding")
    self.capacity = max(capacity, 1)
    unsafe base = .allocate(capacity: self.capacity)
    unsafe HugePages.ask(base, count: self.capacity)
    unsafe base.initialize(repeating: .empty, count: self.capacity)
    let words = self.capacity / 64 + 1
    unsafe touched = .allocate(capacity: words)
    unsafe touched.initialize(repeating: 0, count: words)
    unsafe undo = .allocate(capacity: 1)
  }

  deinit {
    unsafe base.deallocate()
    unsafe touched.deallocate()
    unsafe undo.deallocate()
  }

  /// Reads a slot.
  @inlinable public subscript(slot: Int) -> Record {
    @inline(__always) get {
      precondition(UInt(bitPattern: slot) < UInt(bitPattern: used))
      return unsafe base[slot]
    }
    @inline(__always) _modify {
      touch(slot)
      yield unsafe &base[slot]
    }
  }

  /// Asks the processor for a slot that will be read soon: both lines, where it lies in two.
  @inlinable @inline(__always) public func prefetch(_ slot: Int) {
    precondition(UInt(bitPattern: slot) < UInt(bitPattern: used))
    let start = unsafe UnsafeRawPointer(base + slot)
    unsafe novate_prefetch(start)
    unsafe novate_prefetch(start + (MemoryLayout<Record>.size - 1))
  }

  /// Keeps the slot's old bytes if this is its first change in the batch.
  @inlinable @inline(__always) mutating func touch(_ slot: Int) {
    precondition(UInt(bitPattern: slot) < UInt(bitPattern: used))
    let bit: UInt64 = 1 &<< UInt64(slot & 63)
    if unsafe touched[slot &>> 6] & bit == 0 {
      unsafe touched[slot &>> 6] |= bit
      keep(slot)
    }
  }

  // Inlined, since a generic function of another module is not made for the one record.
  @inlinable @inline(__always) mutating func keep(_ slot: Int) {
    if touchedCount == undoCapacity { growUndo() }
    unsafe (undo + touchedCount).initialize(
      to: Touch(slot: UInt32(truncatingIfNeeded: slot), old: base[slot]))
    touches &+= 1
  }

  @usableFromInline mutating func growUndo() {
    let newCapacity = max(64, undoCapacity * 2)
    let newUndo = UnsafeMutablePointer<Touch>.allocate(capacity: newCapacity)
    unsafe newUndo.update(from: undo, count: touchedCount)
    unsafe undo.deallocate()
    unsafe undo = newUndo
    undoCapacity = newCapacity
  }

  /// Raises `count` to hold `slot`.
  @inlinable public mutating func reserve(through slot: Int) {
    guard slot >= count else { return }
    // By an eighth, so that little memory lies idle.
    if slot >= capacity { grow(to: max(capacity + max(64, capacity / 8), slot + 1)) }
    used = slot + 1
  }

  /// Appends a record and returns its slot.
  @discardableResult public mutating func append(_ record: Record) -> Int {
    let slot = count
    reserve(through: slot)
    self[slot] = record
    return slot
  }

  @usableFromInline mutating func grow(to newCapacity: Int) {
    let newBase = UnsafeMutablePointer<Record>.allocate(capacity: newCapacity)
    unsafe HugePages.ask(newBase, count: newCapacity)
    unsafe newBase.update(from: base, count: capacity)
    unsafe (newBase + capacity).initialize(repeating: .empty, count: newCapacity - capacity)
    let (words, newWords) = (capacity / 64 + 1, newCapacity / 64 + 1)
    let newTouched = UnsafeMutablePointer<UInt64>.allocate(capacity: newWords)
    unsafe newTouched.update(from: touched, count: words)
    unsafe (newTouched + words).initialize(repeating: 0, count: newWords - words)
    unsafe base.deallocate()
    unsafe touched.deallocate()
    unsafe base = newBase
    unsafe touched = newTouched
    capacity = newCapacity
  }

  /// The slot of the `index`-th touch since the last `seal`, in the order of first touch.
  @inlinable public func touchedSlot(_ index: Int) -> Int {
    precondition(index >= 0 && index < touchedCount)
    return Int(unsafe undo[index].slot)
  }

  /// What stood in the slot of the `index`-th touch when the batch began.
  @inlinable public func touchedOld(_ index: Int) -> Record {
    precondition(index >= 0 && index < touchedCount)
    return unsafe undo[index].old
  }

  /// Memory held for records and for what this batch has touched, in bytes: `records` last, `undo`
  /// is used again by every batch.
  public var memory: (records: Int, undo: Int) {
    (
      capacity * Pool.recordByteCount + (capacity / 64 + 1) * 8,
      undoCapacity * MemoryLayout<Touch>.stride
    )
  }

  /// The memory of slots `range`, for hashing and storing.
  @_lifetime(borrow self)
  public func bytes(of range: Range<Int>) -> RawSpan {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    let start = unsafe UnsafeRawPointer(base + range.lowerBound)
    let span = unsafe RawSpan(
      _unsafeStart: start, byteCount: range.count * MemoryLayout<Record>.stride)
    return unsafe _overrideLifetime(span, borrowing: self)
  }
}

// MARK: - The batch: delta, seal, rollback

extension Pool {
  /// Ends the batch: what was touched is now settled.
  @inlinable public mutating func seal() {
    for index in 0..<touchedCount {
      let slot = Int(unsafe undo[index].slot)
      unsafe touched[slot >> 6] = 0
      markDirty(slot)
    }
    touches = 0
    sealed = used
  }

  @inlinable mutating func markDirty(_ slot: Int) {
    let page = slot / Pool.slotsPerPage
    while dirty.count <= page { dirty.append(false) }
    dirty[page] = true
  }

  /// Pages that sealed batches changed since they were last taken, ascending.
  var dirtyPages: [Int] { dirty.indices.filter { dirty[$0] } }

  /// Appends a page's records, which are clean from now on, and gives their bytes' number.
  mutating func takePage(_ page: Int, into bytes: inout [UInt8]) -> Int {
    if page < dirty.count { dirty[page] = false }
    let first = page * Pool.slotsPerPage
    let span = self.bytes(of: first..<min(first + Pool.slotsPerPage, count))
    unsafe span.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    return span.byteCount
  }

  /// Puts every touched slot back to what it was when the batch began.
  public mutating func rollback() {
    for index in 0..<touchedCount {
      unsafe base[Int(undo[index].slot)] = undo[index].old
    }
    let before = used
    used = sealedCount
    for slot in used..<max(before, used) { unsafe base[slot] = .empty }
    seal()
  }

  /// Replaces the whole pool by the records of a snapshot or page checkpoint.
  public mutating func load(count newCount: Int, _ reader: inout ByteReader)
    throws(DecodingFailure)
  {
    let bytes = try reader.span(newCount * MemoryLayout<Record>.stride)
    if newCount > 0 { reserve(through: newCount - 1) }
    for slot in 0..<newCount {
      unsafe base[slot] = Record(bytes, at: slot * MemoryLayout<Record>.stride)
    }
    for slot in newCount..<max(count, newCount) { unsafe base[slot] = .empty }
    used = newCount
    seal()
    dirty.removeAll()
  }
}

extension RawSpan {
  /// Byte-wise equality.
  public func elementsEqual(_ other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var offset = 0
    while offset + 8 <= byteCount {
      if load(at: offset, as: UInt64.self) != other.load(at: offset, as: UInt64.self) {
        return false
      }
      offset += 8
    }
    while offset < byteCount {
      if load(at: offset, as: UInt8.self) != other.load(at: offset, as: UInt8.self) {
        return false
      }
      offset += 1
    }
    return true
  }
}
