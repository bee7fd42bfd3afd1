public import Instruments
public import Primitives

/// What an action asks for; the first byte of its first record.
@frozen public enum ActionKind: UInt8, Sendable, CaseIterable {
  case place = 1
  case cancel = 2
  case cancelAll = 3
  case addKey = 4
  case revokeKey = 5
  case withdraw = 6
  case deposit = 7
  case release = 8
  case index = 9
  case surface = 10
  case block = 11
  case list = 12
  case halt = 13

  /// 64-byte records the action takes.
  @inlinable public var recordCount: Int {
    switch self {
    case .surface: 2
    case .list: 3
    case .block: 4
    case .place, .cancel, .cancelAll, .addKey, .revokeKey, .withdraw, .deposit, .release, .index,
      .halt:
      1
    }
  }

  /// Whether the action goes to clearing as an instruction.
  @inlinable public var instructsClearing: Bool {
    switch self {
    case .withdraw, .deposit, .release, .index, .surface, .list, .halt: true
    case .place, .cancel, .cancelAll, .addKey, .revokeKey, .block: false
    }
  }
}

/// Which way an order goes.
@frozen public enum Side: UInt8, Sendable {
  case buy = 0
  case sell = 1

  @inlinable public var opposite: Side { self == .buy ? .sell : .buy }
  /// +1 for a buy, −1 for a sell.
  @inlinable public var sign: Int64 { self == .buy ? 1 : -1 }
}

/// How long an order stands.
@frozen public enum TimeInForce: UInt8, Sendable {
  /// Good till cancelled.
  case gtc = 0
  /// Immediate or cancel.
  case ioc = 1
  /// Fill or kill.
  case fok = 2
}

/// The first record of an action: one layout for all kinds, 64 bytes. `Docs/Protocol.md` tables
/// what each kind keeps in each field; a field a kind does not use is zero.
@frozen public struct ActionRecord: FlatRecord {
  public static let byteCount = 64

  public var kindCode: UInt8
  public var a: UInt8
  public var b: UInt8
  public var c: UInt8
  public var id: UInt32
  public var x: Int64
  public var y: Int64
  public var z: UInt64
  public var tail: Bytes32

  public static let empty = ActionRecord(kindCode: 0)

  @inlinable public init(
    kindCode: UInt8, a: UInt8 = 0, b: UInt8 = 0, c: UInt8 = 0, id: UInt32 = 0, x: Int64 = 0,
    y: Int64 = 0, z: UInt64 = 0, tail: Bytes32 = .zero
  ) {
    self.kindCode = kindCode
    self.a = a
    self.b = b
    self.c = c
    self.id = id
    self.x = x
    self.y = y
    self.z = z
    self.tail = tail
  }

  @inlinable public var kind: ActionKind? { ActionKind(rawValue: kindCode) }

  // Orders.
  @inlinable public var side: Side { a == 0 ? .buy : .sell }
  @inlinable public var timeInForce: TimeInForce { TimeInForce(rawValue: b) ?? .gtc }
  @inlinable public var isPostOnly: Bool { c & 1 != 0 }
  @inlinable public var isReduceOnly: Bool { c & 2 != 0 }
  @inlinable public var instrument: InstrumentID { InstrumentID(id) }
  @inlinable public var price: Price { Price(raw: x) }
  @inlinable public var quantity: Quantity { Quantity(raw: y) }
}

/// Raw SVI parameters of one expiry as publishers sign them, in units of 1e-12.
@frozen public struct SurfaceParameters: FlatRecord, Hashable {
  public var a: Int64
  public var b: Int64
  public var rho: Int64
  public var m: Int64
  public var sigma: Int64

  public static let empty = SurfaceParameters(a: 0, b: 0, rho: 0, m: 0, sigma: 0)

  public init(a: Int64, b: Int64, rho: Int64, m: Int64, sigma: Int64) {
    self.a = a
    self.b = b
    self.rho = rho
    self.m = m
    self.sigma = sigma
  }
}

/// An action as people write it.
public enum Action: Sendable, Equatable {
  case place(
    instrument: InstrumentID, side: Side, price: Price, quantity: Quantity,
    timeInForce: TimeInForce, postOnly: Bool, reduceOnly: Bool, clientID: UInt64)
  case cancel(instrument: InstrumentID, order: OrderID)
  /// By the client id the order was placed with.
  case cancelClient(instrument: InstrumentID, clientID: UInt64)
  case cancelAll(instrument: InstrumentID)
  case addKey(key: PublicKey, markets: InstrumentID, expiry: Timestamp)
  case revokeKey(key: PublicKey)
  case withdraw(asset: AssetID, amount: Amount, destination: Bytes32)
  /// `reference` is the custodian's own number of the payment, strictly rising per asset, so that
  /// none is credited twice.
  case deposit(asset: AssetID, amount: Amount, owner: PublicKey, reference: UInt64)
  case release(withdrawal: UInt64, reference: Bytes32)
  case index(underlying: UnderlyingID, price: Price, time: Timestamp, sequence: UInt64)
  case surface(
    underlying: UnderlyingID, expiry: Timestamp, forward: Price, parameters: SurfaceParameters,
    time: Timestamp, sequence: UInt64)
  case block(BlockTrade)
  case list(Instrument)
  case halt(instrument: InstrumentID, halted: Bool)
}

extension Action {
  /// Checks that `records` records at `offset` are exactly `actions` actions, each within its
  /// domains.
  static func check(_ bytes: RawSpan, at offset: Int, records: Int, actions: Int)
    throws(DecodingFailure)
  {
    var record = 0
    for _ in 0..<actions {
      let place = offset + record * ActionRecord.byteCount
      guard record < records, let kind = ActionKind(rawValue: bytes.load(at: place)) else {
        throw .invalid(field: "action kind", offset: place)
      }
      guard record + kind.recordCount <= records else {
        throw .truncated(offset: place, needed: kind.recordCount * ActionRecord.byteCount)
      }
      try check(ActionRecord(bytes, at: place), kind, bytes, at: place)
      record += kind.recordCount
    }
    guard record == records else {
      throw .trailing(offset: offset + record * ActionRecord.byteCount, count: records - record)
    }
  }

  private static func check(
    _ record: ActionRecord, _ kind: ActionKind, _ bytes: RawSpan, at place: Int
  ) throws(DecodingFailure) {
    func require(_ condition: Bool, _ field: StaticString) throws(DecodingFailure) {
      if !condition { throw .invalid(field: field, offset: place) }
    }
    /// Fields the kind does not use are zero: one encoding per action.
    func unused(
      a: Bool = false, b: Bool = false, c: Bool = false, id: Bool = false, x: Bool = false,
      y: Bool = false, z: Bool = false, tail: Bool = false
    ) throws(DecodingFailure) {
      try require(
        !(a && record.a != 0 || b && record.b != 0 || c && record.c != 0 || id && record.id != 0
          || x && record.x != 0 || y && record.y != 0 || z && record.z != 0
          || tail && !record.tail.isZero), "unused action field")
    }
    switch kind {
    case .place:
      try require(record.a <= 1, "side")
      try require(record.b <= 2, "time in force")
      try require(record.c <= 3, "order flags")
      try require(!(record.isPostOnly && record.b != 0), "post-only with ioc or fok")
      try require(record.x > 0, "price")
      try require(record.y > 0, "quantity")
      try unused(tail: true)
    case .cancel:
      try require(record.a <= 1, "cancel by")
      try unused(b: true, c: true, x: true, y: true, tail: true)
    case .cancelAll:
      try unused(a: true, b: true, c: true, x: true, y: true, z: true, tail: true)
    case .addKey:
      try require(record.x > 0, "key expiry")
      try unused(a: true, b: true, c: true, y: true, z: true)
    case .revokeKey:
      try unused(a: true, b: true, c: true, id: true, x: true, y: true, z: true)
    case .withdraw:
      try require(record.x > 0 && record.id <= UInt16.max, "withdrawal")
      try unused(a: true, b: true, c: true, y: true, z: true)
    case .deposit:
      try require(record.x > 0 && record.id <= UInt16.max && record.z > 0, "deposit")
      try unused(a: true, b: true, c: true, y: true)
    case .release:
      try unused(a: true, b: true, c: true, id: true, x: true, y: true)
    case .index:
      try require(record.x > 0 && record.y > 0 && record.z > 0, "index update")
      try require(record.id <= UInt16.max, "underlying")
      try unused(a: true, b: true, c: true, tail: true)
    case .surface:
      try require(record.x > 0 && record.y > 0 && record.z > 0, "surface update")
      try require(record.id <= UInt16.max, "underlying")
      try unused(a: true, b: true, c: true)
      let rest = bytes.extracting((place + 80)..<(place + 128))
      try require(rest.isZero, "surface reserved")
      try require(SurfaceUpdate(bytes, at: place).isInDomain, "surface parameters")
    case .block:
      try require(record.a <= 1 && record.x > 0 && record.y > 0, "block trade")
      try unused(b: true, c: true, tail: true)
      try require(bytes.extracting((place + 224)..<(place + 256)).isZero, "block reserved")
      try require(bytes.extracting((place + 154)..<(place + 160)).isZero, "block reserved")
    case .list:
      try unused(a: true, b: true, c: true, id: true, x: true, y: true, z: true, tail: true)
      try require(Instrument(bytes, at: place + ActionRecord.byteCount).isProposal, "listing")
    case .halt:
      try require(record.a <= 1, "halt")
      try unused(b: true, c: true, x: true, y: true, z: true, tail: true)
    }
  }

  /// Refuses an action that no bundle may hold, before it is signed.
  /// - Throws: the field outside its domain, with its offset in the action's records.
  public func validate() throws(DecodingFailure) {
    var records = ByteWriter(capacity: 4 * ActionRecord.byteCount)
    write(to: &records)
    let count = records.bytes.count / ActionRecord.byteCount
    try Action.check(records.bytes.rawSpan, at: 0, records: count, actions: 1)
  }

  /// Appends the action's records.
  public func write(to out: inout ByteWriter) {
    switch self {
    case .place(
      let instrument, let side, let price, let quantity, let tif, let postOnly, let reduceOnly,
      let clientID):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.place.rawValue, a: side.rawValue, b: tif.rawValue,
          c: (postOnly ? 1 : 0) | (reduceOnly ? 2 : 0), id: instrument.raw, x: price.raw,
          y: quantity.raw, z: clientID))
    case .cancel(let instrument, let order):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.cancel.rawValue, id: instrument.raw, z: order.raw))
    case .cancelClient(let instrument, let clientID):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.cancel.rawValue, a: 1, id: instrument.raw, z: clientID))
    case .cancelAll(let instrument):
      out.write(
        record: ActionRecord(kindCode: ActionKind.cancelAll.rawValue, id: instrument.raw))
    case .addKey(let key, let markets, let expiry):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.addKey.rawValue, id: markets.raw, x: expiry.raw, tail: key))
    case .revokeKey(let key):
      out.write(record: ActionRecord(kindCode: ActionKind.revokeKey.rawValue, tail: key))
    case .withdraw(let asset, let amount, let destination):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.withdraw.rawValue, id: UInt32(asset.raw), x: amount.raw,
          tail: destination))
    case .deposit(let asset, let amount, let owner, let reference):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.deposit.rawValue, id: UInt32(asset.raw), x: amount.raw,
          z: reference, tail: owner))
    case .release(let withdrawal, let reference):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.release.rawValue, z: withdrawal, tail: reference))
    case .index(let underlying, let price, let time, let sequence):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.index.rawValue, id: UInt32(underlying.raw), x: price.raw,
          y: time.raw, z: sequence))
    case .surface(let underlying, let expiry, let forward, let parameters, let time, let sequence):
      SurfaceUpdate(
        underlying: underlying, expiry: expiry, forward: forward, parameters: parameters,
        time: time, sequence: sequence
      ).write(to: &out)
    case .block(let trade):
      trade.write(to: &out)
    case .list(let instrument):
      out.write(record: ActionRecord(kindCode: ActionKind.list.rawValue))
      out.write(record: instrument)
    case .halt(let instrument, let halted):
      out.write(
        record: ActionRecord(
          kindCode: ActionKind.halt.rawValue, a: halted ? 1 : 0, id: instrument.raw))
    }
  }
}
