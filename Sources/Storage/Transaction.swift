public import Primitives

/// The writes of one batch; all of them become durable together, or none.
public struct Transaction: ~Copyable {
  /// What the database holds, this transaction's own writes included.
  public let reader: Reader
  var inventory: Inventory
  /// Bytes put so far.
  public private(set) var byteCount = 0

  init(_ session: Session, _ inventory: Inventory) {
    reader = Reader(session, isWriter: true)
    self.inventory = inventory
  }

  /// Stores a batch's value, in place of one of the same kind and sequence.
  /// - Throws: `.diskFull`, `.fatalInputOutput`.
  public mutating func put(_ kind: RecordKind, _ seq: UInt64, _ bytes: RawSpan)
    throws(StorageFailure)
  {
    try put(.batch(kind, seq), bytes)
  }

  public mutating func put(_ kind: RecordKind, _ seq: UInt64, _ bytes: [UInt8])
    throws(StorageFailure)
  {
    try put(.batch(kind, seq), bytes.rawSpan)
  }

  /// Stores the state after this batch.
  public mutating func putHead(_ head: Head) throws(StorageFailure) {
    try put(.meta(.head), head.encoded.rawSpan)
  }

  /// Writes down that `role` will sign `id` as sequence `seq`, before it does.
  /// - Throws: `.alreadySigned` where another id stands.
  public mutating func putSigned(role: UInt8, seq: UInt64, id: Digest) throws(StorageFailure) {
    if let standing = try reader.signed(role: role, seq) {
      guard standing == id else { throw .alreadySigned(role: role, seq: seq, id: standing) }
      return
    }
    let key = StorageKey.signed(role, seq)
    try id.withBytes { (bytes) throws(StorageFailure) in try put(key, bytes) }
  }

  /// Forgets what the role signed above `lastGood`: for a Resume signed by governance alone.
  public mutating func voidSigned(role: UInt8, above lastGood: UInt64) throws(StorageFailure) {
    try remove(.signed, role, from: lastGood &+ 1, through: .max)
  }

  /// Forgets a kind's values below `seq`: retention.
  public mutating func removeValues(_ kind: RecordKind, below seq: UInt64) throws(StorageFailure) {
    guard seq > 0 else { return }
    try remove(.batches, kind.rawValue, from: 0, through: seq - 1)
  }

  /// Forgets a kind's values above `seq`: batches that a Resume made void.
  public mutating func removeValues(_ kind: RecordKind, above seq: UInt64) throws(StorageFailure) {
    try remove(.batches, kind.rawValue, from: seq &+ 1, through: .max)
  }

  mutating func put(_ key: StorageKey, _ bytes: RawSpan) throws(StorageFailure) {
    let (old, new) = try reader.session.put(key, bytes)
    byteCount += bytes.byteCount + 64
    if let old {
      inventory.replace(key, old: old, new: new)
    } else {
      inventory.insert(key, new)
    }
  }

  /// Removes a run of numbers that reaches to one end of the group.
  private mutating func remove(
    _ table: Table, _ group: UInt8, from lower: UInt64, through upper: UInt64
  ) throws(StorageFailure) {
    var numbers: [UInt64] = []
    try reader.session.forEachSealed(table, group: group, from: lower, through: upper) {
      (key, _) throws(StorageFailure) in
      numbers.append(key.number)
      return true
    }
    var entry = inventory[table, group]
    for number in numbers {
      let key = StorageKey(table: table, group: group, number: number)
      guard let seal = try reader.session.remove(key) else { continue }
      entry.count -= 1
      entry.accumulator = entry.accumulator.xor(seal)
    }
    guard !numbers.isEmpty else { return }
    if upper == .max {
      entry.last = try reader.session.last(table, group: group, below: lower) ?? 0
    } else {
      try reader.session.forEachSealed(table, group: group, from: upper, through: .max) {
        (key, _) throws(StorageFailure) in
        entry.first = key.number
        return false
      }
    }
    inventory[table, group] = entry
  }

  /// Stores the inventory; the last write of every transaction.
  func seal() throws(StorageFailure) {
    _ = try reader.session.put(.meta(.inventory), inventory.encoded.rawSpan)
  }
}
