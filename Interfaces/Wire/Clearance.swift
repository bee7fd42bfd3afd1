public import Instruments
public import Primitives

/// Marks on an account that execution honours.
public struct AccountFlags: OptionSet, Sendable, Hashable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Below maintenance: only orders that reduce risk.
  public static let reduceOnly = AccountFlags(rawValue: 1)
  /// Under auction, and so reduce-only too: no orders at all.
  public static let frozen = AccountFlags(rawValue: 2)
  /// Its mode, for life: nothing nets across contracts.
  public static let cross = AccountFlags(rawValue: 4)
  /// Its mode, for life: one contract at a time.
  public static let isolated = AccountFlags(rawValue: 8)

  /// What says the account's mode; nothing that happens to it changes these.
  public static let modes: AccountFlags = [.cross, .isolated]
  public var mode: AccountFlags { intersection(.modes) }

  public var isCanonical: Bool {
    isSubset(of: [.reduceOnly, .frozen, .cross, .isolated])
      && intersection([.reduceOnly, .frozen]) != .frozen && mode != .modes
  }
}

/// An account opened by its first deposit, or by its owner's main account: 40 bytes.
@frozen public struct OpenedAccount: CanonicalRecord, Hashable {
  public var account: AccountID
  /// Its mode and nothing else.
  public var flags: UInt32
  public var owner: PublicKey
  public static let empty = OpenedAccount(account: AccountID(0), owner: .zero)
  public init(account: AccountID, owner: PublicKey, mode: AccountMode = .portfolio) {
    self.account = account
    flags = mode.flags.rawValue
    self.owner = owner
  }
  public var isCanonical: Bool {
    let flags = AccountFlags(rawValue: flags)
    return flags.isCanonical && flags.mode == flags
  }
}

/// A touched account's quote cash and flags: 16 bytes.
@frozen public struct AccountEntry: CanonicalRecord, Hashable {
  public var account: AccountID
  public var flags: UInt32
  public var cash: Money
  public static let empty = AccountEntry(account: AccountID(0), flags: [], cash: .zero)
  public init(account: AccountID, flags: AccountFlags, cash: Money) {
    self.account = account
    self.flags = flags.rawValue
    self.cash = cash
  }
  public var isCanonical: Bool { AccountFlags(rawValue: flags).isCanonical }
}

/// A touched balance of an asset other than the quote asset: 16 bytes.
@frozen public struct BalanceEntry: CanonicalRecord, Hashable {
  public var account: AccountID
  public var asset: AssetID
  private var reserved: UInt16 = 0
  public var amount: Amount
  public static let empty = BalanceEntry(account: AccountID(0), asset: AssetID(0), amount: .zero)
  public init(account: AccountID, asset: AssetID, amount: Amount) {
    self.account = account
    self.asset = asset
    self.amount = amount
  }
  public var isCanonical: Bool { reserved == 0 }
}

/// A touched position: 24 bytes; quantity zero = closed.
@frozen public struct PositionEntry: CanonicalRecord, Hashable {
  public var account: AccountID
  public var instrument: InstrumentID
  public var quantity: Quantity
  /// Money paid for it and not yet realised.
  public var cost: Money
  public static let empty = PositionEntry(
    account: AccountID(0), instrument: InstrumentID(0), quantity: .zero, cost: .zero)
  public init(account: AccountID, instrument: InstrumentID, quantity: Quantity, cost: Money) {
    self.account = account
    self.instrument = instrument
    self.quantity = quantity
    self.cost = cost
  }
  public var isCanonical: Bool { true }
}

/// A quorum index price: 24 bytes.
@frozen public struct IndexEntry: CanonicalRecord, Hashable {
  public var underlying: UnderlyingID
  private var reserved0: UInt16 = 0
  private var doubtUnits: UInt32
  public var price: Price
  /// The quorum's time: at least a quorum of publishers stands behind a price this new.
  public var time: Timestamp
  public static let empty = IndexEntry(underlying: UnderlyingID(0), price: .zero, time: .zero)
  /// - Parameter doubt: at most one.
  public init(underlying: UnderlyingID, price: Price, time: Timestamp, doubt: Ratio = .zero) {
    self.underlying = underlying
    self.price = price
    self.time = time
    doubtUnits = UInt32(clamping: doubt.raw)
  }
  public var isCanonical: Bool { reserved0 == 0 && doubtUnits <= UInt32(Ratio.scale) }

  /// One less the quorum's confidence in the price.
  public var doubt: Ratio { Ratio(raw: Int64(doubtUnits)) }

  /// Whether the entry can stand at `slot` of a market record: that underlying's, with a price or
  /// none yet, at a time there is.
  public func isSound(at slot: Int) -> Bool {
    underlying.index == slot && price.raw >= 0 && (0...Timestamp.latest.raw).contains(time.raw)
      && isCanonical
  }
}

/// A quorum forward and surface of one expiry: 72 bytes.
@frozen public struct SliceEntry: CanonicalRecord, Hashable {
  public var underlying: UnderlyingID
  private var reserved0: UInt16 = 0
  private var reserved1: UInt32 = 0
  public var expiry: Timestamp
  public var forward: Price
  public var parameters: SurfaceParameters
  public var time: Timestamp
  public static let empty = SliceEntry(
    underlying: UnderlyingID(0), expiry: .zero, forward: .zero, parameters: .empty, time: .zero)
  public init(
    underlying: UnderlyingID, expiry: Timestamp, forward: Price, parameters: SurfaceParameters,
    time: Timestamp
  ) {
    self.underlying = underlying
    self.expiry = expiry
    self.forward = forward
    self.parameters = parameters
    self.time = time
  }
  public var isCanonical: Bool { reserved0 == 0 && reserved1 == 0 }

  /// Whether the entry can stand in a market record of so many underlyings.
  public func isSound(underlyings: Int) -> Bool {
    underlying.index < underlyings && forward.raw > 0
      && (0...Timestamp.latest.raw).contains(expiry.raw)
      && (0...Timestamp.latest.raw).contains(time.raw)
  }
}

@frozen public enum DirectiveKind: UInt8, Sendable {
  /// Cancel every order of the account.
  case cancelAll = 1
  /// Place an immediate-or-cancel order for the account before any other.
  case close = 2
}

/// What clearing orders execution to do at the opening of a batch: 32 bytes.
@frozen public struct Directive: CanonicalRecord, Hashable {
  public var kindCode: UInt8
  public var sideCode: UInt8
  private var reserved: UInt16 = 0
  public var account: AccountID
  public var instrument: InstrumentID
  private var reserved1: UInt32 = 0
  public var quantity: Quantity
  /// The worst price a close may trade at.
  public var price: Price
  public static let empty = Directive(cancelAllOf: AccountID(0))

  public init(cancelAllOf account: AccountID) {
    kindCode = DirectiveKind.cancelAll.rawValue
    sideCode = 0
    self.account = account
    instrument = .all
    quantity = .zero
    price = .zero
  }

  public init(
    close account: AccountID, instrument: InstrumentID, side: Side, quantity: Quantity,
    worst price: Price
  ) {
    kindCode = DirectiveKind.close.rawValue
    sideCode = side.rawValue
    self.account = account
    self.instrument = instrument
    self.quantity = quantity
    self.price = price
  }

  public var isCanonical: Bool {
    guard reserved == 0, reserved1 == 0 else { return false }
    switch DirectiveKind(rawValue: kindCode) {
    case .cancelAll:
      return sideCode == 0 && instrument == .all && quantity.raw == 0 && price.raw == 0
    case .close: return sideCode <= 1 && quantity.raw > 0 && price.raw > 0
    case nil: return false
    }
  }
}

extension Instrument: CanonicalRecord {}

extension MarginTerms: CanonicalRecord {
  public var isCanonical: Bool { fault == nil }
}

/// What a Clearance tells execution: nine lists, each but the directives sorted by its ids;
/// directives are carried out in the order they stand.
public struct ClearanceBody: Sendable, Equatable {
  public var opened: [OpenedAccount] = []
  public var accounts: [AccountEntry] = []
  public var balances: [BalanceEntry] = []
  public var positions: [PositionEntry] = []
  public var indices: [IndexEntry] = []
  public var slices: [SliceEntry] = []
  /// Whole records of instruments listed, halted or settled.
  public var instruments: [Instrument] = []
  public var directives: [Directive] = []
  /// The terms of the margin method, where they change.
  public var margin: [MarginTerms] = []

  public init() {}

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 64 + accounts.count * 16 + positions.count * 24)
    for count in [
      opened.count, accounts.count, balances.count, positions.count, indices.count, slices.count,
      instruments.count, directives.count, margin.count,
    ] { out.write(UInt32(count)) }
    for record in opened { out.write(record: record) }
    for record in accounts { out.write(record: record) }
    for record in balances { out.write(record: record) }
    for record in positions { out.write(record: record) }
    for record in indices { out.write(record: record) }
    for record in slices { out.write(record: record) }
    for record in instruments { out.write(record: record) }
    for record in directives { out.write(record: record) }
    for record in margin { out.write(record: record) }
    return out.bytes
  }

  public init(encoded bytes: RawSpan) throws(DecodingFailure) {
    guard bytes.byteCount <= Limits.batchBodyByteCountMax else {
      throw .tooMany(
        field: "Clearance body", count: bytes.byteCount, maximum: Limits.batchBodyByteCountMax)
    }
    var reader = ByteReader(bytes)
    var counts: [Int] = []
    for _ in 0..<9 { counts.append(Int(try reader.read(UInt32.self))) }
    opened = try reader.records(counts[0])
    accounts = try reader.records(counts[1])
    balances = try reader.records(counts[2])
    positions = try reader.records(counts[3])
    indices = try reader.records(counts[4])
    slices = try reader.records(counts[5])
    instruments = try reader.records(counts[6])
    directives = try reader.records(counts[7])
    guard counts[8] <= 1 else { throw .invalid(field: "margin terms of a Clearance", offset: 32) }
    margin = try reader.records(counts[8])
    try reader.finish()
    guard isSorted else { throw .invalid(field: "order of a Clearance list", offset: 0) }
  }

  /// Whether each list but the directives rises by its ids, none twice.
  public var isSorted: Bool {
    opened.rises { $0.account < $1.account } && accounts.rises { $0.account < $1.account }
      && balances.rises { ($0.account, $0.asset) < ($1.account, $1.asset) }
      && positions.rises { ($0.account, $0.instrument) < ($1.account, $1.instrument) }
      && indices.rises { $0.underlying < $1.underlying }
      && slices.rises { ($0.underlying, $0.expiry) < ($1.underlying, $1.expiry) }
      && instruments.rises { $0.id < $1.id }
  }
}

extension Array {
  fileprivate func rises(_ isBefore: (Element, Element) -> Bool) -> Bool {
    zip(self, dropFirst()).allSatisfy(isBefore)
  }
}

extension ByteReader {
  /// `count` packed records; the bytes must be there before memory is taken.
  mutating func records<Record: CanonicalRecord>(_ count: Int) throws(DecodingFailure)
    -> [Record]
  {
    let size = MemoryLayout<Record>.size
    guard remaining / size >= count else {
      throw .truncated(offset: offset, needed: count * size - remaining)
    }
    var out: [Record] = []
    out.reserveCapacity(count)
    for _ in 0..<count { out.append(try read(canonical: Record.self)) }
    return out
  }

  /// A record that is the one encoding of what it says.
  mutating func read<Record: CanonicalRecord>(canonical: Record.Type) throws(DecodingFailure)
    -> Record
  {
    let record = try read(record: Record.self)
    guard record.isCanonical else {
      throw .invalid(
        field: "reserved field or code of a record", offset: offset - MemoryLayout<Record>.size)
    }
    return record
  }
}
