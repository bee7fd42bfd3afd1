import Primitives

// The records of execution's state. Each is its own canonical encoding; links between records are
// slot numbers plus one, zero meaning none.

/// A key of an account with its nonce window: 96 bytes.
struct KeyRecord: FlatRecord {
  var key: PublicKey = .zero
  var account = AccountID(0)
  /// The account's next key.
  var next: UInt32 = 0
  /// The one instrument it may trade, all of an underlying (`InstrumentID.all(of:)`), or all.
  var markets: InstrumentID = .all
  /// Bit 0: owner key.
  var flags: UInt32 = 0
  /// First batch it is good in.
  var validFrom: UInt64 = 0
  /// First batch it is no longer good in.
  var validUntil: UInt64 = .max
  /// Last batch time it is good at.
  var expiry = Timestamp(raw: .max)
  /// Highest nonce used.
  var nonceTop: UInt64 = 0
  /// Bit i set: nonce `nonceTop - i` is used.
  var nonceBits: UInt64 = 0
  /// The second of batch time the key last sequenced in, and how many bundles in it.
  var rateSecond: UInt32 = 0
  var rateCount: UInt32 = 0

  static let empty = KeyRecord()
  var isOwner: Bool { flags & 1 != 0 }
}

/// What clearing granted an account, and where its lists begin: 48 bytes.
struct CreditRecord: FlatRecord {
  /// Quote cash as of the adopted Clearance.
  var cash: Money = .zero
  /// Quote cash debited since, not yet in an adopted Clearance.
  var outflow: Money = .zero
  var flags: UInt32 = 0
  var firstKey: UInt32 = 0
  var firstHolding: UInt32 = 0
  var firstBalance: UInt32 = 0
  var openOrders: UInt32 = 0
  var keyCount: UInt16 = 0
  var holdingCount: UInt16 = 0
  /// Fees and premiums of options bought since, not yet in an adopted Clearance. Kept modulo 2^64:
  /// what is added is taken back as it was.
  var spent: Int64 = 0

  static let empty = CreditRecord()
}

/// An account's position in an instrument, granted and since: 48 bytes.
struct HoldingRecord: FlatRecord {
  var account = AccountID(0)
  var instrument = InstrumentID(0)
  /// As of the adopted Clearance.
  var granted: Quantity = .zero
  var cost: Money = .zero
  /// Filled since.
  var since: Quantity = .zero
  var next: UInt32 = 0
  var openOrders: UInt32 = 0
  /// Fills that no adopted Clearance holds yet: the record stays while there are any, even flat.
  var sinceFills: UInt32 = 0
  /// 1 while an account's list holds the record.
  var isUsed: UInt32 = 0

  static let empty = HoldingRecord()
  /// The position with every fill so far; never past `Instrument.positionMax`.
  var total: Quantity { Quantity(raw: granted.raw &+ since.raw) }
  var isIdle: Bool {
    granted.raw == 0 && since.raw == 0 && cost.raw == 0 && openOrders == 0 && sinceFills == 0
  }
}

/// An account's balance of another asset: 32 bytes.
struct BalanceRecord: FlatRecord {
  var account = AccountID(0)
  var asset = AssetID(0)
  var reserved: UInt16 = 0
  var granted = Amount(raw: 0)
  var outflow = Amount(raw: 0)
  var next: UInt32 = 0
  var reserved2: UInt32 = 0

  static let empty = BalanceRecord()
}

/// One resting order: 48 bytes, sixteen to a page.
struct OrderRecord: FlatRecord {
  /// Zero in an empty slot: order ids start at 1.
  var id = OrderID(0)
  var clientID: UInt64 = 0
  var price: Price = .zero
  /// What the book shows of it.
  var remaining: Quantity = .zero
  var account = AccountID(0)
  var instrument = InstrumentID(0)
  var side: UInt8 = 0
  /// Bit 0: it may only shrink its owner's position. Bit 1: an `OrderExtra` says more. Bit 2: it is
  /// one of the account's quotes.
  var flags: UInt8 = 0
  var reserved: UInt16 = 0
  /// Of the action that gave it its terms, where it has a client id; else zero.
  var fingerprint: UInt32 = 0

  static let empty = OrderRecord()
  static let reduceOnly: UInt8 = 1
  static let extra: UInt8 = 2
  static let quote: UInt8 = 4
  var isReduceOnly: Bool { flags & OrderRecord.reduceOnly != 0 }
  var isQuote: Bool { flags & OrderRecord.quote != 0 }
  var hasExtra: Bool { flags & OrderRecord.extra != 0 }
  var isBuy: Bool { side == 0 }
}

/// A fill or an outflow that no adopted Clearance holds yet: 48 bytes.
struct SinceRecord: FlatRecord {
  var batch: UInt64 = 0
  var account = AccountID(0)
  /// Instrument of a fill, asset of an outflow.
  var subject: UInt32 = 0
  /// Signed contracts of a fill, amount of an outflow.
  var quantity: Int64 = 0
  var price: Price = .zero
  var fee: Money = .zero
  /// 1 fill, 2 outflow.
  var kind: UInt32 = 0
  var reserved: UInt32 = 0

  static let empty = SinceRecord()
  static let fill: UInt32 = 1
  static let outflow: UInt32 = 2
}

/// Counters and the adopted Clearance: 128 bytes, one record.
struct StatusRecord: FlatRecord {
  /// The batch being made, or the next one.
  var batch: UInt64 = 0
  var time: Timestamp = .zero
  var nextOrder: UInt64 = 1
  var nextTrade: UInt64 = 1
  var creditBatch: UInt64 = .max
  /// Newest quorum oracle time adopted, of any underlying.
  var oracleTime: Timestamp = .zero
  var creditID: Digest = .zero
  var term: UInt32 = 1
  var sinceCount: UInt32 = 0
  var reserved: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)

  static let empty = StatusRecord()
}
