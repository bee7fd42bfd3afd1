/// A hash index to slots of a pool: open addressing, linear probing, backward shift on removal,
/// eight bytes an entry at a load of at most one half. It keeps 32 bits of each hash; whether a
/// slot really holds the key is the caller's to see in the pool.
///
/// It is never iterated, so its layout can reach no root.
public struct SlotTable: Sendable {
  /// hash << 32 | slot + 1; zero is an empty place.
  private var entries: [UInt64]
  private var mask: Int
  public private(set) var count = 0

  public init(capacity: Int = 16) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    entries = Array(repeating: 0, count: size)
    mask = size - 1
  }

  /// The mixer of splitmix64: every bit of the key reaches the low 32.
  @inline(__always) public static func hash(_ key: UInt64) -> UInt32 {
    var z = key &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z &>> 27)) &* 0x94D0_49BB_1331_11EB
    return UInt32(truncatingIfNeeded: z ^ (z &>> 31))
  }

  /// The slot under `hash` that `matches`, or nil.
  public func slot(_ hash: UInt32, where matches: (Int) -> Bool) -> Int? {
    var place = Int(hash) & mask
    while entries[place] != 0 {
      let entry = entries[place]
      let slot = Int(truncatingIfNeeded: entry & 0xFFFF_FFFF) - 1
      if UInt32(truncatingIfNeeded: entry >> 32) == hash && matches(slot) { return slot }
      place = (place + 1) & mask
    }
    return nil
  }

  /// Enters a slot that is not there.
  public mutating func insert(_ hash: UInt32, slot: Int) {
    if (count + 1) * 2 > mask { grow() }
    place(UInt64(hash) << 32 | UInt64(slot + 1))
    count += 1
  }

  private mutating func place(_ entry: UInt64) {
    var place = Int(entry >> 32) & mask
    while entries[place] != 0 { place = (place + 1) & mask }
    entries[place] = entry
  }

  /// Removes a slot that is there.
  public mutating func remove(_ hash: UInt32, slot: Int) {
    let entry = UInt64(hash) << 32 | UInt64(slot + 1)
    var hole = Int(hash) & mask
    while entries[hole] != entry {
      precondition(entries[hole] != 0, "a removed slot was entered")
      hole = (hole + 1) & mask
    }
    var next = (hole + 1) & mask
    while entries[next] != 0 {
      let wanted = Int(entries[next] >> 32) & mask
      // The entry may move back if its home does not lie between the hole and itself.
      if (next - wanted) & mask >= (next - hole) & mask {
        entries[hole] = entries[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    entries[hole] = 0
    count -= 1
  }

  private mutating func grow() {
    let old = entries
    entries = Array(repeating: 0, count: old.count * 2)
    mask = entries.count - 1
    for entry in old where entry != 0 { place(entry) }
  }

  /// Memory held, in bytes.
  public var byteCount: Int { entries.count * 8 }
}
