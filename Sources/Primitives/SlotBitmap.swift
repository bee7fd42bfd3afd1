/// Which slots of a pool are free, lowest first, so that the layout of a pool is a function of its
/// history alone. Nearly always the last word used has it; else three bit scans find it.
public struct SlotBitmap: Sendable {
  /// A bit for each slot, set = used.
  private var slots: [UInt64] = [0]
  /// A bit for each word of `slots`, set where the whole word is; and so again. Both have a bit for
  /// each word below. The upper one has a word for 2¹⁸ slots and is scanned.
  private var full: [UInt64] = [0]
  private var fuller: [UInt64] = [0]
  /// No word of `slots` below this one has a free slot.
  private var lowest = 0

  public init() {}

  /// Rebuilds from a predicate over `0..<count`.
  public init(count: Int, isUsed: (Int) -> Bool) {
    self.init()
    for slot in 0..<count where isUsed(slot) { mark(slot) }
  }

  /// Takes the lowest free slot.
  public mutating func take() -> Int {
    // Nearly always the word where the last one was taken or given back.
    if lowest < slots.count, slots[lowest] != .max {
      let slot = lowest << 6 | (~slots[lowest]).trailingZeroBitCount
      slots[lowest] |= slots[lowest] + 1
      if slots[lowest] == .max { markFull(lowest) }
      return slot
    }
    lowest = lowestFreeWord()
    let word = lowest < slots.count ? slots[lowest] : 0
    let slot = lowest << 6 | (~word).trailingZeroBitCount
    mark(slot)
    return slot
  }

  private func lowestFreeWord() -> Int {
    // None below the last one found is free.
    var index = lowest >> 12
    while index < fuller.count, fuller[index] == .max { index += 1 }
    // A word that is not there yet is free from its first bit on.
    index = index << 6 | (index < fuller.count ? ~fuller[index] : .max).trailingZeroBitCount
    return index << 6 | (index < full.count ? ~full[index] : .max).trailingZeroBitCount
  }

  /// Whether a slot is used.
  public func isUsed(_ slot: Int) -> Bool {
    slot >> 6 < slots.count && slots[slot >> 6] >> UInt64(slot & 63) & 1 == 1
  }

  /// Gives a slot back.
  /// - Precondition: it is used.
  public mutating func free(_ slot: Int) {
    precondition(isUsed(slot), "a slot given back was used")
    let word = slot >> 6
    let wasFull = slots[word] == .max
    slots[word] &= ~(1 << UInt64(slot & 63))
    if word < lowest { lowest = word }
    if wasFull { markFree(word) }
  }

  /// Marks a slot used.
  public mutating func mark(_ slot: Int) {
    let word = slot >> 6
    if word >= slots.count {
      slots.append(contentsOf: repeatElement(0, count: word + 1 - slots.count))
    }
    slots[word] |= 1 << UInt64(slot & 63)
    if slots[word] == .max { markFull(word) }
  }

  private mutating func markFull(_ word: Int) {
    guard SlotBitmap.set(word, in: &full) else { return }
    _ = SlotBitmap.set(word >> 6, in: &fuller)
  }

  /// Sets a bit; whether its word is all set now.
  private static func set(_ bit: Int, in words: inout [UInt64]) -> Bool {
    let word = bit >> 6
    if word >= words.count {
      words.append(contentsOf: repeatElement(0, count: word + 1 - words.count))
    }
    words[word] |= 1 << UInt64(bit & 63)
    return words[word] == .max
  }

  private mutating func markFree(_ word: Int) {
    full[word >> 6] &= ~(1 << UInt64(word & 63))
    if word >> 12 < fuller.count { fuller[word >> 12] &= ~(1 << UInt64(word >> 6 & 63)) }
  }

  /// Memory held, in bytes.
  public var byteCount: Int { (slots.count + full.count + fuller.count) * 8 }
}
