public import CMemory

/// A hash index to slots of a pool, in lines of 64 bytes, each the machine's cache line: twelve
/// slots, an eight-bit tag for each, and how many entries wanted the line and lie beyond it. Nearly
/// always one line answers. It keeps no keys: whether a slot really holds the key is the caller's
/// to see in the pool, and a table that grows asks for every slot's hash again.
///
/// It fills to five sixths and grows by a quarter: 6.4 to 8 bytes an entry. Removal leaves nothing
/// behind. It is never iterated, so its layout can reach no root.
@safe public struct SlotTable: ~Copyable {
  /// Bytes of a line: 0…11 tags, 12…15 the count beyond, 16…63 slots.
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var lineCount: Int {
    didSet { room = lineCount &* SlotTable.loadMax }
  }
  /// Entries it takes before it must grow.
  @usableFromInline var room: Int
  public internal(set) var count = 0

  private static let slotsPerLine = 12
  /// Entries a line holds at most on average.
  @usableFromInline static let loadMax = 10

  public init(capacity: Int = 16) {
    lineCount = max(2, capacity / SlotTable.loadMax + 1)
    room = lineCount * SlotTable.loadMax
    unsafe base = SlotTable.lines(lineCount)
  }

  deinit { unsafe base.deallocate() }

  private static func lines(_ count: Int) -> UnsafeMutableRawPointer {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 64, alignment: 64)
    unsafe HugePages.ask(raw, byteCount: count * 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: count * 64)
    return unsafe raw
  }

  /// The mixer of splitmix64: every bit of the key reaches every bit.
  @inlinable public static func mixed(_ key: UInt64) -> UInt64 {
    var z = key &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z &>> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z &>> 31)
  }

  /// The low half of `mixed`.
  @inlinable public static func hash(_ key: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: mixed(key))
  }

  /// One product, its halves folded: with a secret in the first factor nobody can choose what falls
  /// together.
  @inlinable @inline(__always) public static func hash(_ a: UInt64, _ b: UInt64) -> UInt32 {
    let product = a.multipliedFullWidth(by: b)
    let folded = product.high ^ product.low
    return UInt32(truncatingIfNeeded: folded ^ folded &>> 32)
  }

  /// The high bits choose the line, the low eight are the tag; zero marks an empty place.
  @inlinable @inline(__always) func home(_ hash: UInt32) -> Int {
    Int(truncatingIfNeeded: (UInt64(hash) &* UInt64(truncatingIfNeeded: lineCount)) &>> 32)
  }

  @inlinable @inline(__always) static func tag(_ hash: UInt32) -> UInt8 {
    let low = UInt8(truncatingIfNeeded: hash)
    return low == 0 ? 1 : low
  }

  /// The twelve tags of a line against one: a bit for each that is the same, without a branch to
  /// guess.
  @inlinable @inline(__always) func matches(_ line: Int, _ tag: UInt8) -> UInt32 {
    unsafe novate_equal_tags(base + line, tag)
  }

  @inlinable @inline(__always) func beyond(_ line: Int) -> UInt32 {
    unsafe base.load(fromByteOffset: line &+ 12, as: UInt32.self)
  }

  @inlinable @inline(__always) func slot(_ line: Int, _ place: Int) -> UInt32 {
    unsafe base.load(fromByteOffset: line &+ 16 &+ 4 &* place, as: UInt32.self)
  }

  @inlinable @inline(__always) func tag(_ line: Int, _ place: Int) -> UInt8 {
    unsafe base.load(fromByteOffset: line &+ place, as: UInt8.self)
  }

  /// The slot under `hash` that `matches`, or nil.
  @inlinable @inline(__always)
  public func slot(_ hash: UInt32, where isWanted: (Int) -> Bool) -> Int? {
    let tag = SlotTable.tag(hash)
    var number = home(hash)
    for _ in 0..<lineCount {
      let line = number &<< 6
      var found = matches(line, tag)
      while found != 0 {
        let slot = Int(slot(line, found.trailingZeroBitCount))
        if isWanted(slot) { return slot }
        found &= found &- 1
      }
      if beyond(line) == 0 { return nil }
      number = number &+ 1 == lineCount ? 0 : number &+ 1
    }
    return nil
  }

  /// Whether the table must grow before another slot is entered.
  @inlinable @inline(__always) public var isFull: Bool { count >= room }

  /// Enters a slot that is not there, into a table that is not full.
  @inlinable @inline(__always) public mutating func insert(_ hash: UInt32, slot: Int) {
    precondition(!isFull, "a full table grows first")
    place(hash, UInt32(truncatingIfNeeded: slot))
  }

  @usableFromInline mutating func place(_ hash: UInt32, _ slot: UInt32) {
    var number = home(hash)
    while true {
      let line = number &<< 6
      let free = matches(line, 0)
      if free != 0 {
        let place = free.trailingZeroBitCount
        unsafe base.storeBytes(
          of: SlotTable.tag(hash), toByteOffset: line &+ place, as: UInt8.self)
        unsafe base.storeBytes(
          of: slot, toByteOffset: line &+ 16 &+ 4 &* place, as: UInt32.self)
        count &+= 1
        return
      }
      // One more that wanted this line and lies beyond.
      unsafe base.storeBytes(
        of: beyond(line) &+ 1, toByteOffset: line &+ 12, as: UInt32.self)
      number = number &+ 1 == lineCount ? 0 : number &+ 1
    }
  }

  /// Removes a slot that is there.
  public mutating func remove(_ hash: UInt32, slot: Int) {
    let wanted = UInt32(truncatingIfNeeded: slot)
    let tag = SlotTable.tag(hash)
    var number = home(hash)
    for _ in 0..<lineCount {
      let line = number &<< 6
      var found = matches(line, tag)
      while found != 0 {
        let place = found.trailingZeroBitCount
        if self.slot(line, place) == wanted {
          unsafe base.storeBytes(of: 0, toByteOffset: line &+ place, as: UInt8.self)
          count &-= 1
          return
        }
        found &= found &- 1
      }
      precondition(beyond(line) != 0, "a removed slot was entered")
      unsafe base.storeBytes(
        of: beyond(line) &- 1, toByteOffset: line &+ 12, as: UInt32.self)
      number = number &+ 1 == lineCount ? 0 : number &+ 1
    }
    preconditionFailure("a removed slot was entered")
  }

  /// Every slot entered, for `grow` alone.
  public var slots: [Int] {
    var found: [Int] = []
    found.reserveCapacity(count)
    for line in stride(from: 0, to: lineCount * 64, by: 64) {
      for place in 0..<SlotTable.slotsPerLine where tag(line, place) != 0 {
        found.append(Int(slot(line, place)))
      }
    }
    return found
  }

  /// Grows by a quarter.
  /// - Parameter hashes: of the slots that `slots` gave, in that order.
  public mutating func grow(_ slots: [Int], hashes: [UInt32]) {
    precondition(slots.count == count && hashes.count == count, "every slot is entered again")
    unsafe base.deallocate()
    lineCount += max(1, lineCount / 4)
    unsafe base = SlotTable.lines(lineCount)
    count = 0
    for (slot, hash) in zip(slots, hashes) { insert(hash, slot: slot) }
  }

  /// Entries that lie beyond their own line, each counted once for every line it passed; for tests.
  public var strayCount: Int {
    (0..<lineCount).reduce(0) { $0 + Int(beyond($1 * 64)) }
  }

  /// Memory held, in bytes.
  public var byteCount: Int { lineCount * 64 }
}
