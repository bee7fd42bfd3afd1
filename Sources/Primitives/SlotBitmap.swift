/// Which slots of a pool are free, lowest first, so that the layout of a pool is a function of its
/// history alone. The lowest is kept at hand; three bit scans find the next. Nothing in taking or
/// giving back is a branch that depends on which slots are free.
public struct SlotBitmap: ~Copyable {
  /// A bit for each slot, set = used.
  @usableFromInline var slots = FlatArray<UInt64>(repeating: 0, count: 4096)
  /// A bit for each word of `slots`, set where the whole word is; and so again. `top` has a word for
  /// 2¹⁸ slots and is scanned.
  @usableFromInline var full = FlatArray<UInt64>(repeating: 0, count: 64)
  @usableFromInline var top = FlatArray<UInt64>(repeating: 0, count: 1)
  /// The lowest free slot, which stays free.
  @usableFromInline var next = 0

  @inlinable public var lowest: Int { next }

  public init() {}

  /// Rebuilds from a predicate over `0..<count`.
  public init(count: Int, isUsed: (Int) -> Bool) {
    self.init()
    for slot in 0..<count where isUsed(slot) { mark(slot) }
  }

  /// Takes the lowest free slot.
  @inlinable @inline(__always) public mutating func take() -> Int {
    let slot = next
    mark(slot)
    return slot
  }

  /// Whether a slot is used.
  @inlinable @inline(__always) public func isUsed(_ slot: Int) -> Bool {
    slot &>> 6 < slots.count && slots[slot &>> 6] &>> UInt64(slot & 63) & 1 == 1
  }

  /// Gives a slot back.
  /// - Precondition: it is used.
  @inlinable @inline(__always) public mutating func free(_ slot: Int) {
    let used = slots[slot &>> 6]
    let bit: UInt64 = 1 &<< UInt64(slot & 63)
    precondition(used & bit != 0, "a slot given back was used")
    slots[slot &>> 6] = used ^ bit
    full[slot &>> 12] &= ~(1 &<< UInt64(slot &>> 6 & 63))
    top[slot &>> 18] &= ~(1 &<< UInt64(slot &>> 12 & 63))
    next = min(next, slot)
  }

  /// Marks a slot used.
  @inlinable @inline(__always) public mutating func mark(_ slot: Int) {
    let (word, row, end) = (slot &>> 6, slot &>> 12, slot &>> 18)
    if word >= slots.count { grow(through: slot) }
    let used = slots[word] | 1 &<< UInt64(slot & 63)
    slots[word] = used
    let rows = full[row] | (used == .max ? 1 : 0) &<< UInt64(word & 63)
    full[row] = rows
    top[end] |= (rows == .max ? 1 : 0) &<< UInt64(row & 63)
    if slot == next { findNext() }
  }

  @inlinable @inline(__always) mutating func findNext() {
    var end = 0
    while top[end] == .max {
      end &+= 1
      if end == top.count {
        next = end &<< 18
        return
      }
    }
    let row = end &<< 6 | (~top[end]).trailingZeroBitCount
    let word = row &<< 6 | (~full[row]).trailingZeroBitCount
    next = word &<< 6 | (~slots[word]).trailingZeroBitCount
  }

  /// Makes room for a slot, 2¹⁸ at a time.
  @usableFromInline @inline(never) mutating func grow(through slot: Int) {
    while slot &>> 6 >= slots.count {
      for _ in 0..<4096 { slots.append(0) }
      for _ in 0..<64 { full.append(0) }
      top.append(0)
    }
  }

  /// Memory held, in bytes.
  public var byteCount: Int { slots.byteCount + full.byteCount + top.byteCount }
}
