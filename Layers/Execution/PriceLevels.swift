import Primitives

/// All orders at one price of one side, oldest first: 32 bytes, two to a cache line.
struct PriceLevel: BitwiseCopyable {
  /// The price as its side ranks it, best highest: bids by price, asks by its negative.
  var key: Int64
  /// First and last order's slot.
  var head: Int32
  var tail: Int32
  /// Instrument × 2, asks one more.
  var side: UInt32
  /// Worse and better levels below this one in the tree of far levels.
  var worse: Int32 = -1
  var better: Int32 = -1
  var reserved: UInt32 = 0

  var price: Price { PriceLevel.price(key, side) }

  @inline(__always) static func key(_ price: Price, _ side: UInt32) -> Int64 {
    side & 1 == 0 ? price.raw : 0 &- price.raw
  }
  @inline(__always) static func price(_ key: Int64, _ side: UInt32) -> Price {
    Price(raw: side & 1 == 0 ? key : 0 &- key)
  }
}

/// The price levels of every book. Of each side the best levels, at most 256, stand in a sorted row;
/// all worse ones in a treap, whose shape the process's secret key decides, so that nobody can
/// choose prices that make it deep. A table of hints finds the level of a price near the touch at
/// once; what it says is checked, and where it knows nothing the row or the tree is searched.
struct PriceLevels: ~Copyable {
  /// A side's best level, at hand without looking at the row.
  struct Best: BitwiseCopyable {
    var key: Int64 = .min
    var level: Int32 = -1
    var reserved: UInt32 = 0
  }

  private struct Near {
    var key: Int64
    var level: Int32
  }

  /// Levels rising by key, and the root of those below them all. No level is far while none is near.
  private struct Side {
    var near: [Near] = []
    var far: Int32 = -1
    var farCount = 0
  }

  private(set) var levels = FlatArray<PriceLevel>()
  private(set) var best = FlatArray<Best>()
  private var sides: [Side] = []
  private var hints = FlatArray<Int32>(repeating: -1, count: 1 << PriceLevels.hintBits)
  /// First of the unused levels, each leading to the next by `worse`.
  private var firstFree: Int32 = -1
  private let key: UInt64

  private static let hintBits: UInt64 = 10
  static let nearMax = 256

  init(key: UInt64) { self.key = key }

  /// Makes room for the two sides of one more instrument.
  mutating func addInstrument() {
    for _ in 0..<2 {
      best.append(Best())
      sides.append(Side())
    }
  }

  // MARK: - One level

  @inline(__always) private func hintPlace(_ side: UInt32, _ key: Int64) -> Int {
    let mixed = (UInt64(bitPattern: key) &+ UInt64(side) &<< 56) &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: mixed &>> (64 &- PriceLevels.hintBits))
  }

  /// Puts an order's slot at the back of its level, making the level if there is none. What the
  /// slot's links become: previous and next; an end of a level names the level, as its complement.
  @inline(__always)
  mutating func append(_ slot: Int32, _ side: UInt32, _ key: Int64) -> (level: Int32, tail: Int32) {
    let place = hintPlace(side, key)
    let hint = hints[place]
    if hint >= 0, levels[Int(hint)].key == key, levels[Int(hint)].side == side {
      let tail = levels[Int(hint)].tail
      levels[Int(hint)].tail = slot
      return (hint, tail)
    }
    return appendUnknown(slot, side, key, place)
  }

  @inline(never)
  private mutating func appendUnknown(_ slot: Int32, _ side: UInt32, _ key: Int64, _ hint: Int)
    -> (level: Int32, tail: Int32)
  {
    if let level = level(side, key) {
      hints[hint] = level
      let tail = levels[Int(level)].tail
      levels[Int(level)].tail = slot
      return (level, tail)
    }
    let level = make(PriceLevel(key: key, head: slot, tail: slot, side: side))
    hints[hint] = level
    enter(level, side, key)
    return (level, ~level)
  }

  @inline(__always) mutating func setHead(_ level: Int32, _ slot: Int32) {
    levels[Int(level)].head = slot
  }
  @inline(__always) mutating func setTail(_ level: Int32, _ slot: Int32) {
    levels[Int(level)].tail = slot
  }

  private mutating func make(_ record: PriceLevel) -> Int32 {
    guard firstFree >= 0 else {
      levels.append(record)
      return Int32(levels.count - 1)
    }
    let level = firstFree
    firstFree = levels[Int(level)].worse
    levels[Int(level)] = record
    return level
  }

  /// The level of a price, if there is one.
  private func level(_ side: UInt32, _ key: Int64) -> Int32? {
    let near = sides[Int(side)].near
    guard let worst = near.first else { return nil }
    if key >= worst.key {
      let place = PriceLevels.place(key, in: near)
      return place < near.count && near[place].key == key ? near[place].level : nil
    }
    var node = sides[Int(side)].far
    while node >= 0, levels[Int(node)].key != key {
      node = levels[Int(node)].key < key ? levels[Int(node)].better : levels[Int(node)].worse
    }
    return node >= 0 ? node : nil
  }

  /// How many levels of the row are worse than `key`: by halves, without a branch to guess.
  private static func place(_ key: Int64, in near: [Near]) -> Int {
    var low = 0
    var length = near.count
    while length > 0 {
      let half = length &>> 1
      let isBelow = near[low &+ half].key < key
      low = isBelow ? low &+ half &+ 1 : low
      length = isBelow ? length &- half &- 1 : half
    }
    return low
  }

  private mutating func enter(_ level: Int32, _ side: UInt32, _ key: Int64) {
    let at = Int(side)
    let count = sides[at].near.count
    let isFar =
      count > 0 && key < sides[at].near[0].key
      && (sides[at].far >= 0 || count == PriceLevels.nearMax)
    if isFar {
      sides[at].far = planted(level, under: sides[at].far)
      sides[at].farCount += 1
      return
    }
    if count == PriceLevels.nearMax {
      let worst = sides[at].near.removeFirst()
      sides[at].far = planted(worst.level, under: sides[at].far)
      sides[at].farCount += 1
    }
    let place = PriceLevels.place(key, in: sides[at].near)
    sides[at].near.insert(Near(key: key, level: level), at: place)
    if place == sides[at].near.count - 1 { best[at] = Best(key: key, level: level) }
  }

  /// Takes an empty level out, and gives the first order of the side's best level; −1 if none is left.
  @inline(never)
  mutating func remove(_ level: Int32) -> Int32 {
    let (key, side) = (levels[Int(level)].key, Int(levels[Int(level)].side))
    if let worst = sides[side].near.first, key >= worst.key {
      let isBest = best[side].level == level
      let place = isBest ? sides[side].near.count - 1 : PriceLevels.place(key, in: sides[side].near)
      sides[side].near.remove(at: place)
      if sides[side].near.isEmpty && sides[side].far >= 0 { refill(side) }
      if isBest {
        best[side] =
          sides[side].near.last.map { Best(key: $0.key, level: $0.level) } ?? Best()
      }
    } else {
      sides[side].far = without(key, under: sides[side].far)
      sides[side].farCount -= 1
    }
    // No price ranks there: a hint that still leads here finds nothing.
    levels[Int(level)] = PriceLevel(
      key: .min, head: -1, tail: -1, side: .max, worse: firstFree)
    firstFree = level
    return best[side].level < 0 ? -1 : levels[Int(best[side].level)].head
  }

  /// Brings the best half row of far levels near, once none is left there: 128 removals have paid
  /// for it, or every level there is.
  private mutating func refill(_ side: Int) {
    var found: [Near] = []
    while found.count < PriceLevels.nearMax / 2, sides[side].far >= 0 {
      var node = sides[side].far
      while levels[Int(node)].better >= 0 { node = levels[Int(node)].better }
      let key = levels[Int(node)].key
      sides[side].far = without(key, under: sides[side].far)
      sides[side].farCount -= 1
      found.append(Near(key: key, level: node))
    }
    sides[side].near.append(contentsOf: found.reversed())
  }

  // MARK: - The tree of far levels

  @inline(__always) private func rank(_ node: Int32) -> UInt64 {
    let mixed = (UInt64(bitPattern: levels[Int(node)].key) ^ key) &* 0xBF58_476D_1CE4_E5B9
    return (mixed ^ mixed &>> 29) &* 0x94D0_49BB_1331_11EB
  }

  private mutating func planted(_ new: Int32, under node: Int32) -> Int32 {
    guard node >= 0 else {
      levels[Int(new)].worse = -1
      levels[Int(new)].better = -1
      return new
    }
    if rank(node) < rank(new) {
      let (worse, better) = parted(node, by: levels[Int(new)].key)
      levels[Int(new)].worse = worse
      levels[Int(new)].better = better
      return new
    }
    if levels[Int(new)].key < levels[Int(node)].key {
      levels[Int(node)].worse = planted(new, under: levels[Int(node)].worse)
    } else {
      levels[Int(node)].better = planted(new, under: levels[Int(node)].better)
    }
    return node
  }

  private mutating func parted(_ node: Int32, by key: Int64) -> (worse: Int32, better: Int32) {
    guard node >= 0 else { return (-1, -1) }
    if levels[Int(node)].key < key {
      let (worse, better) = parted(levels[Int(node)].better, by: key)
      levels[Int(node)].better = worse
      return (node, better)
    }
    let (worse, better) = parted(levels[Int(node)].worse, by: key)
    levels[Int(node)].worse = better
    return (worse, node)
  }

  private mutating func without(_ key: Int64, under node: Int32) -> Int32 {
    precondition(node >= 0, "a level taken out was entered")
    let here = levels[Int(node)]
    if here.key == key { return joined(here.worse, here.better) }
    if key < here.key {
      levels[Int(node)].worse = without(key, under: here.worse)
    } else {
      levels[Int(node)].better = without(key, under: here.better)
    }
    return node
  }

  private mutating func joined(_ worse: Int32, _ better: Int32) -> Int32 {
    if worse < 0 { return better }
    if better < 0 { return worse }
    if rank(worse) > rank(better) {
      levels[Int(worse)].better = joined(levels[Int(worse)].better, better)
      return worse
    }
    levels[Int(better)].worse = joined(worse, levels[Int(better)].worse)
    return better
  }

  // MARK: - Walking

  /// The best level of a side worse than `key`; the best of all for `Int64.max`.
  func next(_ side: UInt32, below key: Int64) -> PriceLevel? {
    let at = Int(side)
    let place = PriceLevels.place(key, in: sides[at].near)
    if place > 0 { return levels[Int(sides[at].near[place - 1].level)] }
    var node = sides[at].far
    var found: Int32 = -1
    while node >= 0 {
      if levels[Int(node)].key < key {
        found = node
        node = levels[Int(node)].better
      } else {
        node = levels[Int(node)].worse
      }
    }
    return found >= 0 ? levels[Int(found)] : nil
  }

  func count(_ side: UInt32) -> Int { sides[Int(side)].near.count + sides[Int(side)].farCount }

  /// Levels on the longest way down the tree of a side's far levels, and how many it holds.
  func farShape(_ side: UInt32) -> (depth: Int, count: Int) {
    func depth(_ node: Int32) -> Int {
      node < 0 ? 0 : 1 + max(depth(levels[Int(node)].worse), depth(levels[Int(node)].better))
    }
    return (depth(sides[Int(side)].far), sides[Int(side)].farCount)
  }

  /// The first thing of a side that must hold and does not; slow, for tests and `doctor`.
  func fault(_ side: UInt32) -> String? {
    let at = Int(side)
    let near = sides[at].near
    guard near.count <= PriceLevels.nearMax, !near.isEmpty || sides[at].far < 0 else {
      return "row of side \(side)"
    }
    guard best[at].key == near.last?.key ?? .min, best[at].level == near.last?.level ?? -1 else {
      return "best level of side \(side)"
    }
    var below = Int64.max
    var seen = 0
    while let level = next(side, below: below) {
      guard level.side == side, level.key < below else { return "order of side \(side)" }
      below = level.key
      seen += 1
    }
    return seen == count(side) ? nil : "levels of side \(side): walked \(seen), kept \(count(side))"
  }

  /// Memory held, in bytes.
  var byteCount: Int {
    levels.byteCount + best.byteCount + hints.byteCount
      + sides.reduce(0) { $0 + $1.near.capacity * MemoryLayout<Near>.stride }
      + sides.capacity * MemoryLayout<Side>.stride
  }
}
