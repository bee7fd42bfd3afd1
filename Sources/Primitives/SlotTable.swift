/// A hash index to slots of a pool, in lines of 64 bytes, each the machine's cache line: twelve
/// slots, an eight-bit tag for each, and how many entries wanted the line and lie beyond it. Nearly
/// always one line answers. It keeps no keys: whether a slot really holds the key is the caller's
/// to see in the pool, and a table that grows asks for every slot's hash again.
///
/// It fills to five sixths and grows by a half: 6.4 to 9.6 bytes an entry. Removal leaves nothing
/// behind. It is never iterated, so its layout can reach no root.
@safe public struct SlotTable: ~Copyable {
  /// Words of a line: tags 0…7; tags 8…11 and, above them, the count beyond; six of two slots.
  @usableFromInline var base: UnsafeMutablePointer<UInt64>
  @usableFromInline var lineCount: Int
  public internal(set) var count = 0

  @usableFromInline static let wordsPerLine = 8
  private static let slotsPerLine = 12
  /// Entries a line holds at most on average.
  @usableFromInline static let loadMax = 10
  @usableFromInline static let ones: UInt64 = 0x0101_0101_0101_0101
  @usableFromInline static let highs: UInt64 = 0x8080_8080_8080_8080

  public init(capacity: Int = 16) {
    lineCount = max(2, capacity / SlotTable.loadMax + 1)
    unsafe base = SlotTable.lines(lineCount)
  }

  deinit { unsafe base.deallocate() }

  private static func lines(_ count: Int) -> UnsafeMutablePointer<UInt64> {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 64, alignment: 64)
    return unsafe raw.initializeMemory(as: UInt64.self, repeating: 0, count: count * wordsPerLine)
  }

  /// The mixer of splitmix64: every bit of the key reaches the low 32.
  @inlinable @inline(__always) public static func hash(_ key: UInt64) -> UInt32 {
    var z = key &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z &>> 27)) &* 0x94D0_49BB_1331_11EB
    return UInt32(truncatingIfNeeded: z ^ (z &>> 31))
  }

  /// The high bits choose the line, the low eight are the tag; zero marks an empty place.
  @inlinable @inline(__always) func home(_ hash: UInt32) -> Int {
    Int(truncatingIfNeeded: (UInt64(hash) &* UInt64(truncatingIfNeeded: lineCount)) &>> 32)
  }

  @inlinable @inline(__always) static func tag(_ hash: UInt32) -> UInt64 {
    let low = UInt64(hash & 0xFF)
    return low == 0 ? 1 : low
  }

  /// High bit of each byte that is zero. Exact for the lowest one; above it a byte of 1 may show
  /// too, which costs the caller a look at a slot that is not it.
  @inlinable @inline(__always) static func zeroBytes(_ word: UInt64) -> UInt64 {
    (word &- ones) & ~word & highs
  }

  @inlinable @inline(__always) func slot(_ line: Int, _ place: Int) -> UInt32 {
    let word = unsafe base[line &+ 2 &+ place &>> 1]
    return UInt32(truncatingIfNeeded: word &>> UInt64(32 &* (place & 1)))
  }

  /// The slot under `hash` that `matches`, or nil.
  @inlinable @inline(__always)
  public func slot(_ hash: UInt32, where matches: (Int) -> Bool) -> Int? {
    let pattern = SlotTable.tag(hash) &* SlotTable.ones
    var number = home(hash)
    for _ in 0..<lineCount {
      let line = number &* SlotTable.wordsPerLine
      let second = unsafe base[line &+ 1]
      var found = SlotTable.zeroBytes(unsafe base[line] ^ pattern)
      while found != 0 {
        let slot = Int(slot(line, found.trailingZeroBitCount &>> 3))
        if matches(slot) { return slot }
        found &= found &- 1
      }
      found = SlotTable.zeroBytes(second ^ pattern) & 0x8080_8080
      while found != 0 {
        let slot = Int(slot(line, 8 &+ found.trailingZeroBitCount &>> 3))
        if matches(slot) { return slot }
        found &= found &- 1
      }
      if second &>> 32 == 0 { return nil }
      number = number &+ 1 == lineCount ? 0 : number &+ 1
    }
    return nil
  }

  /// Whether the table must grow before another slot is entered.
  @inlinable @inline(__always) public var isFull: Bool {
    count >= lineCount &* SlotTable.loadMax
  }

  /// Enters a slot that is not there, into a table that is not full.
  @inlinable @inline(__always) public mutating func insert(_ hash: UInt32, slot: Int) {
    precondition(!isFull, "a full table grows first")
    place(hash, UInt32(truncatingIfNeeded: slot))
  }

  @usableFromInline mutating func place(_ hash: UInt32, _ slot: UInt32) {
    var number = home(hash)
    while true {
      let line = number &* SlotTable.wordsPerLine
      var free = unsafe SlotTable.zeroBytes(base[line])
      var place = free.trailingZeroBitCount &>> 3
      if free == 0 {
        free = SlotTable.zeroBytes(unsafe base[line &+ 1]) & 0x8080_8080
        place = 8 &+ free.trailingZeroBitCount &>> 3
      }
      if free != 0 {
        put(line, place, tag: SlotTable.tag(hash), slot)
        count &+= 1
        return
      }
      // One more that wanted this line and lies beyond.
      unsafe base[line &+ 1] &+= 1 &<< 32
      number = number &+ 1 == lineCount ? 0 : number &+ 1
    }
  }

  @inline(__always)
  private mutating func put(_ line: Int, _ place: Int, tag: UInt64, _ slot: UInt32) {
    let shift = UInt64(8 &* (place & 7))
    let word = line &+ place &>> 3
    unsafe base[word] = base[word] & ~(0xFF &<< shift) | tag &<< shift
    let half = UInt64(32 &* (place & 1))
    let pair = line &+ 2 &+ place &>> 1
    unsafe base[pair] = base[pair] & ~(0xFFFF_FFFF &<< half) | UInt64(slot) &<< half
  }

  /// Removes a slot that is there.
  public mutating func remove(_ hash: UInt32, slot: Int) {
    let wanted = UInt32(truncatingIfNeeded: slot)
    let pattern = SlotTable.tag(hash) &* SlotTable.ones
    var number = home(hash)
    for _ in 0..<lineCount {
      let line = number &* SlotTable.wordsPerLine
      var found = unsafe SlotTable.zeroBytes(base[line] ^ pattern)
      while found != 0 {
        let place = found.trailingZeroBitCount &>> 3
        // A byte that only seems to match may be an empty place with the slot's number left in it.
        if self.slot(line, place) == wanted && tag(line, place) != 0 {
          clear(line, place)
          return
        }
        found &= found &- 1
      }
      found = SlotTable.zeroBytes(unsafe base[line &+ 1] ^ pattern) & 0x8080_8080
      while found != 0 {
        let place = 8 &+ found.trailingZeroBitCount &>> 3
        if self.slot(line, place) == wanted && tag(line, place) != 0 {
          clear(line, place)
          return
        }
        found &= found &- 1
      }
      precondition(unsafe base[line &+ 1] &>> 32 != 0, "a removed slot was entered")
      unsafe base[line &+ 1] &-= 1 &<< 32
      number = number &+ 1 == lineCount ? 0 : number &+ 1
    }
    preconditionFailure("a removed slot was entered")
  }

  @inline(__always) private func tag(_ line: Int, _ place: Int) -> UInt64 {
    unsafe base[line &+ place &>> 3] &>> UInt64(8 &* (place & 7)) & 0xFF
  }

  @inline(__always) private mutating func clear(_ line: Int, _ place: Int) {
    put(line, place, tag: 0, 0)
    count &-= 1
  }

  /// Every slot entered, for `grow` alone.
  public var slots: [Int] {
    var found: [Int] = []
    found.reserveCapacity(count)
    for line in stride(from: 0, to: lineCount * SlotTable.wordsPerLine, by: SlotTable.wordsPerLine) {
      for place in 0..<SlotTable.slotsPerLine where tag(line, place) != 0 {
        found.append(Int(slot(line, place)))
      }
    }
    return found
  }

  /// Grows by a half.
  /// - Parameter hashes: of the slots that `slots` gave, in that order.
  public mutating func grow(_ slots: [Int], hashes: [UInt32]) {
    precondition(slots.count == count && hashes.count == count, "every slot is entered again")
    unsafe base.deallocate()
    lineCount += max(1, lineCount / 2)
    unsafe base = SlotTable.lines(lineCount)
    count = 0
    for (slot, hash) in zip(slots, hashes) { insert(hash, slot: slot) }
  }

  /// Memory held, in bytes.
  public var byteCount: Int { lineCount * 64 }
}
