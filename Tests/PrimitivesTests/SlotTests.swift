import CMemory
import Primitives
import Testing

@Suite("Slots") struct SlotTests {
  @Test("a bitmap gives the lowest free slot", arguments: [21, 22, 23] as [UInt64])
  func bitmap(seed: UInt64) {
    var generator = Generator(seed: seed)
    var bitmap = SlotBitmap()
    var used: Set<Int> = []
    var list: [Int] = []
    // Grow past one and two levels, then shrink, so that words fill and empty.
    for step in 0..<40_000 {
      let grows = (step / 10_000) % 2 == 0
      if used.isEmpty || generator.below(10) < (grows ? 9 : 2) {
        let expected = step % 16 == 0 ? firstFree(used, from: 0) : nil
        let slot = bitmap.take()
        if slot != expected ?? slot || used.contains(slot) || slot > used.count {
          Issue.record("seed \(seed), step \(step): found slot \(slot), expected the lowest")
          return
        }
        used.insert(slot)
        list.append(slot)
      } else {
        list.swapAt(generator.below(list.count), list.count - 1)
        let slot = list.removeLast()
        bitmap.free(slot)
        used.remove(slot)
      }
    }
    let rebuilt = SlotBitmap(count: (used.max() ?? -1) + 1) { used.contains($0) }
    for slot in 0..<20_000 {
      let (kept, again) = (bitmap.isUsed(slot), rebuilt.isUsed(slot))
      #expect(kept == used.contains(slot), "seed \(seed)")
      #expect(again == used.contains(slot), "seed \(seed)")
    }
  }

  /// The lowest number not in the set, searched from the last one found.
  private func firstFree(_ used: Set<Int>, from start: Int) -> Int {
    var slot = start
    while used.contains(slot) { slot += 1 }
    return slot
  }

  @Test("a bitmap crosses the borders of its words and levels", arguments: [64, 4096, 262_144])
  func borders(count: Int) {
    var bitmap = SlotBitmap()
    for slot in 0...count {
      guard bitmap.take() == slot else {
        Issue.record("expected slot \(slot)")
        return
      }
    }
    for slot in [0, 63, 64, count / 2, count - 1, count] {
      bitmap.free(slot)
      let taken = bitmap.take()
      #expect(taken == slot)
    }
    bitmap.free(count)
    bitmap.free(1)
    let taken = [bitmap.take(), bitmap.take(), bitmap.take()]
    #expect(taken == [1, count, count + 1])
  }

  @Test("giving back a free slot stops the process")
  func doubleFree() async {
    await #expect(processExitsWith: .failure) {
      var bitmap = SlotBitmap()
      let slot = bitmap.take()
      bitmap.free(slot)
      bitmap.free(slot)
    }
  }

  @Test("tags compared at once, in words and one by one are the same", arguments: [51, 52])
  func tags(seed: UInt64) {
    var generator = Generator(seed: seed)
    let line = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 16)
    defer { unsafe line.deallocate() }
    for round in 0..<20_000 {
      let tag = UInt8(truncatingIfNeeded: generator.next())
      for place in 0..<16 {
        // Neighbours of the tag by one and by the high bit are what arithmetic on words may confuse.
        let near = [tag, tag &+ 1, tag &- 1, tag ^ 0x80, 0, UInt8(generator.below(256))]
        unsafe line[place] = near[generator.below(near.count)]
      }
      guard let base = line.baseAddress else { return }
      let expected = (0..<12).reduce(UInt32(0)) {
        unsafe $0 | (line[$1] == tag ? 1 << UInt32($1) : 0)
      }
      let (atOnce, inWords) =
        unsafe (novate_equal_tags(base, tag), novate_equal_tags_in_words(base, tag))
      #expect(
        atOnce == expected && inWords == expected, "seed \(seed), round \(round), tag \(tag)")
    }
  }

  @Test(
    "a table finds what was entered and nothing else",
    arguments: [31, 32, 33] as [UInt64], [UInt64.max, 0xFF, 0])
  func table(seed: UInt64, spread: UInt64) {
    // A spread of 0 puts every key on one hash: the worst cluster.
    var generator = Generator(seed: seed)
    var table = SlotTable(capacity: 4)
    var keys: [UInt64?] = []
    var slots: [UInt64: Int] = [:]
    let steps = spread == 0 ? 600 : 20_000
    func hash(_ key: UInt64) -> UInt32 { SlotTable.hash(key & spread) }
    for step in 0..<steps {
      let key = UInt64(generator.below(steps / 4))
      let found = table.slot(hash(key)) { keys[$0] == key }
      if found != slots[key] {
        Issue.record("seed \(seed), step \(step): key \(key) at \(String(describing: found))")
        return
      }
      if let slot = slots[key] {
        table.remove(hash(key), slot: slot)
        slots[key] = nil
        keys[slot] = nil
      } else {
        if table.isFull {
          let entered = table.slots
          table.grow(entered, hashes: entered.map { hash(keys[$0] ?? 0) })
        }
        table.insert(hash(key), slot: keys.count)
        slots[key] = keys.count
        keys.append(key)
      }
      let count = table.count
      #expect(count == slots.count)
    }
    for (key, slot) in slots {
      let found = table.slot(hash(key)) { keys[$0] == key }
      #expect(found == slot)
    }
  }

  @Test("a table spreads keys, chosen ones too, and stays small", arguments: [0, 1, 2, 3])
  func spread(kind: Int) {
    var generator = Generator(seed: 41)
    let key = SlotTable.mixed(generator.next())
    // In a row, in long strides, in the high bits alone, at random.
    func number(_ index: Int) -> UInt64 {
      switch kind {
      case 0: UInt64(index)
      case 1: UInt64(index) << 20
      case 2: UInt64(index) << 44
      default: SlotTable.mixed(UInt64(index))
      }
    }
    let count = 50_000
    let hashes = (0..<count).map { SlotTable.hash(number($0) ^ key, 0x9E37_79B9_7F4A_7C15) }
    var table = SlotTable()
    for slot in 0..<count {
      if table.isFull {
        let entered = table.slots
        table.grow(entered, hashes: entered.map { hashes[$0] })
      }
      table.insert(hashes[slot], slot: slot)
    }
    let (strays, bytes) = (table.strayCount, table.byteCount)
    #expect(strays < count / 8, "\(strays) of \(count) strayed from their line")
    #expect(bytes < count * 10, "\(bytes) bytes")
    for slot in 0..<count { table.remove(hashes[slot], slot: slot) }
    let (left, beyond) = (table.count, table.strayCount)
    #expect(left == 0 && beyond == 0)
  }
}
