internal import Primitives

/// A table of a layer's database.
public enum Table: UInt8, Sendable, CaseIterable {
  case meta
  case batches
  case pages
  case signed

  var name: String {
    switch self {
    case .meta: "meta"
    case .batches: "batches"
    case .pages: "pages"
    case .signed: "signed"
    }
  }
}

/// What a value of a batch is. Raw values are stored: never renumbered.
public enum RecordKind: UInt8, Sendable, CaseIterable {
  case header = 1
  case body = 2
  case acknowledgements = 3
  case receipts = 4
  case delta = 5
  case clearance = 6
  case signature = 7
  case checkpoint = 8
  case cosignature = 9
  case logNodes = 10
  case events = 11
  case evidence = 12
  /// What settlement keeps of accounts that were told to close: proofs can only be made then.
  case decisions = 13
}

/// The single records of the meta table.
enum MetaRecord: UInt8 {
  case format = 1
  case head = 2
  case inventory = 3
  case pageHead = 4
}

/// The place of a value: table, group (record kind, pool or role) and number (sequence or page).
///
/// The database key is group, then the number big-endian, so that its order is the numbers' order.
public struct StorageKey: Hashable, Sendable {
  public let table: Table
  public let group: UInt8
  public let number: UInt64

  public init(table: Table, group: UInt8, number: UInt64) {
    self.table = table
    self.group = group
    self.number = number
  }

  static let byteCount = 9

  static func batch(_ kind: RecordKind, _ seq: UInt64) -> StorageKey {
    StorageKey(table: .batches, group: kind.rawValue, number: seq)
  }

  static func meta(_ record: MetaRecord) -> StorageKey {
    StorageKey(table: .meta, group: record.rawValue, number: 0)
  }

  /// Each page has two places, so that an unfinished checkpoint never overwrites a finished one.
  static func page(_ pool: UInt8, _ page: UInt32) -> StorageKey {
    StorageKey(table: .pages, group: pool, number: UInt64(page))
  }

  static func signed(_ role: UInt8, _ seq: UInt64) -> StorageKey {
    StorageKey(table: .signed, group: role, number: seq)
  }

  /// Parses a database key.
  init?(table: Table, bytes: RawSpan) {
    guard bytes.byteCount == StorageKey.byteCount else { return nil }
    self.init(
      table: table, group: bytes.load(at: 0),
      number: UInt64(byteSwapping: bytes.load(at: 1)))
  }

  /// Lends the database key.
  func withBytes<R>(_ body: (UnsafeMutableRawBufferPointer) -> R) -> R {
    var packed: (UInt64, UInt64) = (0, 0)
    return unsafe withUnsafeMutableBytes(of: &packed) { raw in
      unsafe raw[0] = group
      unsafe raw.storeBytes(of: number.bigEndian, toByteOffset: 1, as: UInt64.self)
      return unsafe body(
        UnsafeMutableRawBufferPointer(rebasing: raw[0..<StorageKey.byteCount]))
    }
  }
}

extension UInt64 {
  fileprivate init(byteSwapping value: UInt64) { self = value.byteSwapped }
}

extension StorageKey: CustomStringConvertible {
  public var description: String { "\(table.name) \(place)" }

  /// The place inside its table.
  var place: String {
    switch table {
    case .meta:
      switch MetaRecord(rawValue: group) {
      case .format: "format"
      case .head: "head"
      case .inventory: "inventory"
      case .pageHead: "page head"
      case nil: "record \(group)"
      }
    case .batches: "\(RecordKind(rawValue: group).map { "\($0)" } ?? "\(group)") \(number)"
    case .pages: "pool \(group) page \(number >> 1) place \(number & 1)"
    case .signed: "role \(group) sequence \(number)"
    }
  }
}
