/// Which slots of a pool are free, lowest first, so that the layout of a pool is a function of its
/// history alone. Three levels of 64-way words: taking the lowest free slot costs three bit scans.
public struct SlotBitmap {
  /// Bit set = slot used. `full[l]` has a bit set where a whole word of the level below is used.
  private var used: [UInt64] = []
  private var full: [[UInt64]] = [[]]

  public init() {}

  /// Rebuilds from a predicate over `0..<count`.
  public init(count: Int, isUsed: (Int) -> Bool) {
    for slot in 0..<count where isUsed(slot) { mark(slot) }
  }

  /// Takes the lowest free slot.
  public mutating func take() -> Int {
    let word = firstWordWithRoom()
    let bit = (~used[word]).trailingZeroBitCount
    mark(word << 6 | bit)
    return word << 6 | bit
  }

  /// Gives a slot back.
  public mutating func free(_ slot: Int) {
    precondition(slot >> 6 < used.count && used[slot >> 6] >> UInt64(slot & 63) & 1 == 1)
    used[slot >> 6] &= ~(1 << UInt64(slot & 63))
    var index = slot >> 6
    for level in full.indices {
      full[level][index >> 6] &= ~(1 << UInt64(index & 63))
      index >>= 6
    }
  }

  /// Marks a slot used.
  public mutating func mark(_ slot: Int) {
    extend(toWord: slot >> 6)
    used[slot >> 6] |= 1 << UInt64(slot & 63)
    var index = slot >> 6
    var word = used[index]
    for level in full.indices {
      guard word == .max else { return }
      full[level][index >> 6] |= 1 << UInt64(index & 63)
      index >>= 6
      word = full[level][index]
    }
  }

  private mutating func extend(toWord word: Int) {
    guard word >= used.count else { return }
    used.append(contentsOf: repeatElement(0, count: word + 1 - used.count))
    let needed = (used.count + 63) >> 6
    if needed > full[0].count {
      full[0].append(contentsOf: repeatElement(0, count: needed - full[0].count))
    }
  }

  private func firstWordWithRoom() -> Int {
    for (index, word) in full[0].enumerated() where word != .max {
      return index << 6 | (~word).trailingZeroBitCount
    }
    return used.count
  }
}
