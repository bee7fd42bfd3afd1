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
  case replace = 14
  case timer = 15
  case protect = 16
  /// As many records more as its field c says.
  case massQuote = 17
  /// For a part of an account under auction.
  case bid = 18
  /// An order that waits for a price outside the book.
  case trigger = 19
  /// Other terms of the margin method.
  case margin = 26
  /// As many records more as its field c says.
  case combination = 20
  /// Consent to a cancel when the connection is lost, or its end.
  case session = 21
  /// Execution's own word that it is lost.
  case disconnect = 22
  /// A limit order whose price is that of a volatility.
  case volatility = 23
  /// A block trade with a second leg in a future or perpetual of the same underlying.
  case hedgedBlock = 24
  /// Another account of the same owner.
  case open = 27
  /// From one account of an owner to another.
  case transfer = 28

  /// 64-byte records the action takes, a mass quote's entries and a combination's legs aside: see `ActionRecord.recordCount`.
  @inlinable public var recordCount: Int {
    switch self {
    case .surface: 2
    case .list: 3
    case .block: 4
    case .hedgedBlock: 5
    case .margin: 33
    case .place, .cancel, .cancelAll, .addKey, .revokeKey, .withdraw, .deposit, .release, .index,
      .halt, .replace, .timer, .protect, .massQuote, .bid, .trigger,
      .combination, .session, .disconnect, .volatility, .open, .transfer:
      1
    }
  }

  /// Whether the action goes to clearing as an instruction.
  @inlinable public var instructsClearing: Bool {
    switch self {
    case .withdraw, .deposit, .release, .index, .surface, .list, .halt, .bid, .margin, .open,
      .transfer:
      true
    case .place, .cancel, .cancelAll, .addKey, .revokeKey, .block, .replace, .timer, .protect,
      .massQuote, .trigger, .combination, .session, .disconnect, .volatility, .hedgedBlock:
      false
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
  /// Good till a time.
  case gtt = 3
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
