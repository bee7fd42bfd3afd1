/// Which slots of a pool are free, lowest first, so that the layout of a pool is a function of its
/// history alone. Three bit scans find the lowest; nothing in taking or giving back is a branch that
/// depends on which slots are free.
public struct SlotBitmap: ~Copyable {
  /// A bit for each slot, set = used.
  private var slots = FlatArray<UInt64>(repeating: 0, count: 4096)
  /// A bit for each word of `slots`, set where the whole word is; and so again. `top` has a word for
  /// 2¹⁸ slots and is scanned.
  private var full = FlatArray<UInt64>(repeating: 0, count: 64)
  private var top = FlatArray<UInt64>(repeating: 0, count: 1)

  public init() {}

  /// Rebuilds from a predicate over `0..<count`.
  public init(count: Int, isUsed: (Int) -> Bool) {
    self.init()
    for slot in 0..<count where isUsed(slot) { mark(slot) }
  }

  /// The lowest free slot, which stays free.
  public var lowest: Int {
    var end = 0
    while top[end] == .max {
      end &+= 1
      if end == top.count { return end &<< 18 }
    }
    let row = end &<< 6 | (~top[end]).trailingZeroBitCount
    let word = row &<< 6 | (~full[row]).trailingZeroBitCount
    return word &<< 6 | (~slots[word]).trailingZeroBitCount
  }

  /// Takes the lowest free slot.
  public mutating func take() -> Int {
    var end = 0
    while top[end] == .max {
      end &+= 1
      if end == top.count { grow() }
    }
    // Each word is read and written once: the lowest zero of x is the bit that x + 1 brings.
    let ends = top[end]
    let row = end &<< 6 | (~ends).trailingZeroBitCount
    let rows = full[row]
    let word = row &<< 6 | (~rows).trailingZeroBitCount
    let used = slots[word]
    let now = used | (used &+ 1)
    let nowRows = rows | (now == .max ? 1 : 0) &<< UInt64(word & 63)
    slots[word] = now
    full[row] = nowRows
    top[end] = ends | (nowRows == .max ? 1 : 0) &<< UInt64(row & 63)
    return word &<< 6 | (~used).trailingZeroBitCount
  }

  /// Room for 2¹⁸ slots more.
  private mutating func grow() {
    for _ in 0..<4096 { slots.append(0) }
    for _ in 0..<64 { full.append(0) }
    top.append(0)
  }

  /// Whether a slot is used.
  public func isUsed(_ slot: Int) -> Bool {
    slot &>> 6 < slots.count && slots[slot &>> 6] &>> UInt64(slot & 63) & 1 == 1
  }

  /// Gives a slot back.
  /// - Precondition: it is used.
  public mutating func free(_ slot: Int) {
    let used = slots[slot &>> 6]
    let bit: UInt64 = 1 &<< UInt64(slot & 63)
    precondition(used & bit != 0, "a slot given back was used")
    slots[slot &>> 6] = used ^ bit
    full[slot &>> 12] &= ~(1 &<< UInt64(slot &>> 6 & 63))
    top[slot &>> 18] &= ~(1 &<< UInt64(slot &>> 12 & 63))
  }

  /// Marks a slot used.
  public mutating func mark(_ slot: Int) {
    while slot &>> 6 >= slots.count { grow() }
    set(slot)
  }

  @inline(__always) private mutating func set(_ slot: Int) {
    let (word, row, end) = (slot &>> 6, slot &>> 12, slot &>> 18)
    slots[word] |= 1 &<< UInt64(slot & 63)
    full[row] |= (slots[word] == .max ? 1 : 0) &<< UInt64(word & 63)
    top[end] |= (full[row] == .max ? 1 : 0) &<< UInt64(row & 63)
  }

  /// Memory held, in bytes.
  public var byteCount: Int { slots.byteCount + full.byteCount + top.byteCount }
}
