public import Primitives

/// A consistent view of the database, for the length of a closure. Spans it lends must be copied
/// to outlive theirs. Readers do not nest: a second one may wait for a map that wants to grow.
public struct Reader: ~Copyable {
  let session: Session
  /// A writer's own view: its inventory is not stored before the commit.
  let isWriter: Bool

  init(_ session: Session, isWriter: Bool = false) {
    self.session = session
    self.isWriter = isWriter
  }

  /// Lends a batch's value, its hash checked; nil where none was stored.
  /// - Throws: `.damaged`; `.missing` where the value's neighbours stand on both sides.
  public func withValue<R>(
    _ kind: RecordKind, _ seq: UInt64, _ body: (RawSpan?) throws(StorageFailure) -> R
  ) throws(StorageFailure) -> R {
    try withChecked(.batch(kind, seq), body)
  }

  /// A copy of a batch's value; nil where none was stored.
  public func value(_ kind: RecordKind, _ seq: UInt64) throws(StorageFailure) -> [UInt8]? {
    try withValue(kind, seq) { (bytes) throws(StorageFailure) -> [UInt8]? in
      guard let bytes else { return nil }
      return bytes.array
    }
  }

  /// The state after the last committed batch; nil before the first.
  public func head() throws(StorageFailure) -> Head? {
    try withChecked(.meta(.head)) { (bytes) throws(StorageFailure) -> Head? in
      guard let bytes else { return nil }
      return try Head(bytes)
    }
  }

  /// The last finished page checkpoint; nil before the first.
  public func pageHead() throws(StorageFailure) -> PageHead? {
    try withChecked(.meta(.pageHead)) { (bytes) throws(StorageFailure) -> PageHead? in
      guard let bytes else { return nil }
      return try PageHead(bytes)
    }
  }

  /// The id this role stands for as sequence `seq`.
  public func signed(role: UInt8, _ seq: UInt64) throws(StorageFailure) -> Digest? {
    try withChecked(.signed(role, seq)) { (bytes) throws(StorageFailure) -> Digest? in
      guard let bytes else { return nil }
      guard bytes.byteCount == Digest.byteCount else {
        throw .damaged(key: .signed(role, seq), reason: .form)
      }
      return Digest(bytes)
    }
  }

  /// The sequence numbers stored of a kind, first and last; nil where none is.
  public func range(_ kind: RecordKind) throws(StorageFailure) -> ClosedRange<UInt64>? {
    try range(.batches, kind.rawValue)
  }

  /// The highest sequence stored of a kind.
  public func lastSeq(_ kind: RecordKind) throws(StorageFailure) -> UInt64? {
    try range(kind)?.upperBound
  }

  /// The sequence numbers signed by a role, first and last.
  public func signedRange(role: UInt8) throws(StorageFailure) -> ClosedRange<UInt64>? {
    try range(.signed, role)
  }

  /// Walks the values of a kind in the order of batches, each hash checked, until the body answers
  /// false.
  /// - Throws: `.missing` at a gap in a kind that is stored for every batch.
  public func forEach(
    _ kind: RecordKind, from lower: UInt64 = 0, through upper: UInt64 = .max,
    _ body: (UInt64, RawSpan) throws(StorageFailure) -> Bool
  ) throws(StorageFailure) {
    let entry = isWriter ? nil : try inventory()[.batches, kind.rawValue]
    let isDense = entry?.isDense ?? false
    var expected = max(lower, entry?.first ?? 0)
    var stopped = false
    try session.forEachSealed(.batches, group: kind.rawValue, from: lower, through: upper) {
      (key, sealed) throws(StorageFailure) in
      if isDense, key.number != expected { throw .missing(key: .batch(kind, expected)) }
      expected = key.number &+ 1
      stopped = !(try body(key.number, try Seal.open(sealed, at: key)))
      return !stopped
    }
    if isDense, !stopped, let entry, expected <= min(upper, entry.last), expected > 0 || lower == 0
    {
      throw .missing(key: .batch(kind, expected))
    }
  }

  func inventory() throws(StorageFailure) -> Inventory {
    let key = StorageKey.meta(.inventory)
    return try session.withValue(key) { (bytes) throws(StorageFailure) in
      guard let bytes else { throw .missing(key: key) }
      return try Inventory(bytes)
    }
  }

  private func range(_ table: Table, _ group: UInt8) throws(StorageFailure)
    -> ClosedRange<UInt64>?
  {
    let entry = try inventory()[table, group]
    return entry.count == 0 ? nil : entry.first...entry.last
  }

  /// Lends a value; where there is none, asks the inventory whether there should be.
  func withChecked<R>(
    _ key: StorageKey, _ body: (RawSpan?) throws(StorageFailure) -> R
  ) throws(StorageFailure) -> R {
    try session.withValue(key) { (bytes) throws(StorageFailure) in
      if bytes == nil, !isWriter {
        let entry = try inventory()[key.table, key.group]
        if entry.isDense, entry.first <= key.number, key.number <= entry.last {
          throw .missing(key: key)
        }
      }
      return try body(bytes)
    }
  }
}
