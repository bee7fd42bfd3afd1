/// Which slots of a pool are free, lowest first, so that the layout of a pool is a function of its
/// history alone. Four levels of 64-way words hold 2²⁴ slots: taking the lowest free slot costs
/// four bit scans.
public struct SlotBitmap: Sendable {
  /// `levels[0]`: bit set = slot used. A bit of a higher level is set where the whole word below
  /// it is. Every level has a word for each bit that may be asked for.
  private var levels: [[UInt64]]

  public init() { levels = Array(repeating: [0], count: SlotBitmap.depth) }

  private static let depth = 4

  /// Rebuilds from a predicate over `0..<count`.
  public init(count: Int, isUsed: (Int) -> Bool) {
    self.init()
    for slot in 0..<count where isUsed(slot) { mark(slot) }
  }

  /// Takes the lowest free slot.
  public mutating func take() -> Int {
    var index = 0
    // The top level is one word up to 2²⁴ slots and is scanned beyond.
    while index < levels[SlotBitmap.depth - 1].count, levels[SlotBitmap.depth - 1][index] == .max {
      index += 1
    }
    for level in (0..<SlotBitmap.depth).reversed() {
      // A word that is not there yet is free from its first bit on.
      let word = index < levels[level].count ? levels[level][index] : 0
      index = index << 6 | (~word).trailingZeroBitCount
    }
    mark(index)
    return index
  }

  /// Whether a slot is used.
  public func isUsed(_ slot: Int) -> Bool {
    slot >> 6 < levels[0].count && levels[0][slot >> 6] >> UInt64(slot & 63) & 1 == 1
  }

  /// Gives a slot back.
  /// - Precondition: it is used.
  public mutating func free(_ slot: Int) {
    precondition(isUsed(slot), "a slot given back was used")
    var index = slot
    for level in 0..<SlotBitmap.depth {
      let wasFull = levels[level][index >> 6] == .max
      levels[level][index >> 6] &= ~(1 << UInt64(index & 63))
      guard wasFull else { return }
      index >>= 6
    }
  }

  /// Marks a slot used.
  public mutating func mark(_ slot: Int) {
    var index = slot
    for level in 0..<SlotBitmap.depth {
      let word = index >> 6
      if word >= levels[level].count {
        levels[level].append(
          contentsOf: repeatElement(0, count: word + 1 - levels[level].count))
      }
      levels[level][word] |= 1 << UInt64(index & 63)
      guard levels[level][word] == .max else { return }
      index = word
    }
  }
}
