internal import Primitives

/// What every group of every table must hold, rewritten by each commit: LMDB alone would read a
/// damaged branch page as *no such key*, and a lost write as an older value. The accumulator is the
/// XOR of the group's seals: it guards against accidents, not against forgery.
struct Inventory: Equatable {
  struct Entry: Equatable {
    var table: UInt8
    var group: UInt8
    var count: UInt64 = 0
    var first: UInt64 = 0
    var last: UInt64 = 0
    var accumulator: Digest = .zero

    /// Whether every number between the first and the last stands.
    var isDense: Bool { count > 0 && last - first == count - 1 }

    mutating func insert(_ number: UInt64, _ seal: Digest) {
      first = count == 0 ? number : min(first, number)
      last = count == 0 ? number : max(last, number)
      count += 1
      accumulator = accumulator.xor(seal)
    }
  }

  /// Sorted by table and group.
  private(set) var entries: [Entry] = []

  init() {}

  private func position(_ table: Table, _ group: UInt8) -> (index: Int, found: Bool) {
    for (index, entry) in entries.enumerated() {
      if (entry.table, entry.group) == (table.rawValue, group) { return (index, true) }
      if (entry.table, entry.group) > (table.rawValue, group) { return (index, false) }
    }
    return (entries.count, false)
  }

  subscript(_ table: Table, _ group: UInt8) -> Entry {
    get {
      let (index, found) = position(table, group)
      return found ? entries[index] : Entry(table: table.rawValue, group: group)
    }
    set {
      let (index, found) = position(table, group)
      if found { entries[index] = newValue } else { entries.insert(newValue, at: index) }
    }
  }

  mutating func insert(_ key: StorageKey, _ seal: Digest) {
    self[key.table, key.group].insert(key.number, seal)
  }

  mutating func replace(_ key: StorageKey, old: Digest, new: Digest) {
    let accumulator = self[key.table, key.group].accumulator
    self[key.table, key.group].accumulator = accumulator.xor(old).xor(new)
  }

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 4 + entries.count * 58)
    writer.write(UInt32(entries.count))
    for entry in entries {
      writer.write(entry.table)
      writer.write(entry.group)
      writer.write(entry.count)
      writer.write(entry.first)
      writer.write(entry.last)
      writer.write(entry.accumulator)
    }
    return writer.bytes
  }

  init(_ bytes: RawSpan) throws(StorageFailure) {
    do throws(DecodingFailure) {
      var reader = ByteReader(bytes)
      for _ in 0..<(try reader.count("inventory", maximum: 1024)) {
        entries.append(
          Entry(
            table: try reader.read(), group: try reader.read(), count: try reader.read(),
            first: try reader.read(), last: try reader.read(), accumulator: try reader.read()))
      }
      try reader.finish()
    } catch { throw .damaged(key: .meta(.inventory), reason: .form) }
  }
}

extension Digest {
  func xor(_ other: Digest) -> Digest {
    Digest(
      (
        words.0 ^ other.words.0, words.1 ^ other.words.1, words.2 ^ other.words.2,
        words.3 ^ other.words.3
      ))
  }
}
