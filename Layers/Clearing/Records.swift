import Instruments
import Primitives
import Wire

// The records of clearing's state: facts only, nothing that depends on a price.

/// One account: 112 bytes. Lists are slot numbers plus one.
struct AccountRecord: FlatRecord {
  var owner: PublicKey = .zero
  var cash: Money = .zero
  var flags: UInt32 = 0
  var firstPosition: UInt32 = 0
  var firstBalance: UInt32 = 0
  var positionCount: UInt32 = 0
  /// The batch that opened it.
  var opened: UInt64 = 0
  /// The batch of the last close directive, or of what was bought in an auction, that may not have
  /// been adopted; all ones for none.
  var closing: UInt64 = .max
  /// What it traded, fading by a thirtieth a day, as of the day since 1970 that stands behind it.
  var volume: Money = .zero
  var volumeDay: Int64 = 0
  /// Of a debt of cash: the interest index when cash last changed, and what was booked since.
  var debtIndexLow: UInt64 = 0
  var debtIndexHigh: Int64 = 0
  var debtBooked: Money = .zero

  static let empty = AccountRecord()
  /// No volume counts further: far from the end of Int64.
  static let volumeMax: Int64 = 1 << 60
  var isRestricted: Bool { AccountFlags(rawValue: flags).contains(.reduceOnly) }
  var isFrozen: Bool { AccountFlags(rawValue: flags).contains(.frozen) }
  /// In cross mode: nothing nets.
  var isApart: Bool { AccountFlags(rawValue: flags).contains(.cross) }
}

/// One account's position in one instrument: 56 bytes; the list is sorted by instrument.
struct PositionRecord: FlatRecord {
  var account = AccountID(0)
  var instrument = InstrumentID(0)
  var quantity: Quantity = .zero
  /// Money paid for it and not yet realised; options are paid in cash and cost nothing here.
  var cost: Money = .zero
  var next: UInt32 = 0
  var isUsed: UInt32 = 0
  /// Of a perpetual: the funding index at the last change of quantity, and what was booked since.
  var fundingIndexLow: UInt64 = 0
  var fundingIndexHigh: Int64 = 0
  var fundingBooked: Money = .zero

  static let empty = PositionRecord()
}

/// One account's balance of an asset other than the quote asset: 24 bytes, sorted by asset.
struct BalanceRecord: FlatRecord {
  var account = AccountID(0)
  var asset = AssetID(0)
  var reserved: UInt16 = 0
  var amount = Amount(raw: 0)
  var next: UInt32 = 0
  var reserved2: UInt32 = 0

  static let empty = BalanceRecord()
}

/// What the house holds and owes of one asset: 104 bytes.
struct FundRecord: FlatRecord {
  var insurance: Int64 = 0
  var fees: Int64 = 0
  /// Remainders of roundings against users.
  var rounding: Int64 = 0
  /// Ever deposited and ever withdrawn.
  var deposits: Int64 = 0
  var withdrawals: Int64 = 0
  /// The custodian's highest reference credited.
  var lastReference: UInt64 = 0
  /// Funding booked from who pays, less what was booked to who receives: stands in for who was not
  /// yet booked, and keeps the remainders of roundings against users.
  var funding: Int64 = 0
  /// How much of the day's outflow is used, with the remainder of the last refill and its time.
  var outflow: Int64 = 0
  var outflowRemainder: Int64 = 0
  var outflowTime: Timestamp = .zero
  /// Of the quote asset: cumulative interest of a unit of debt, at 1e-18, and the remainder of its
  /// last growth.
  var interestLow: UInt64 = 0
  var interestHigh: Int64 = 0
  var interestRemainder: Int64 = 0

  static let empty = FundRecord()
}

/// A publisher's last word on a feed: 80 bytes.
struct SubmissionRecord: FlatRecord {
  /// Place in the genesis list of publishers.
  var publisher: UInt32 = 0
  var underlying = UnderlyingID(0)
  /// 1 index, 2 surface, 3 impact.
  var kind: UInt16 = 0
  /// Of a surface; of an impact price the number of the perpetual.
  var expiry: Timestamp = .zero
  var sequence: UInt64 = 0
  var time: Timestamp = .zero
  /// Index, forward or impact price.
  var price: Price = .zero
  var parameters: SurfaceParameters = .empty

  static let empty = SubmissionRecord()
  static let index: UInt16 = 1
  static let surface: UInt16 = 2
  static let impact: UInt16 = 3
}

/// What the minutes of an underlying's index left: 528 bytes; slot = underlying.
struct MinuteRecord: FlatRecord {
  /// The minute since 1970 whose words are being gathered, zero for none, and the last one decided.
  var gathering: Int64 = 0
  var sampled: Int64 = 0
  /// One less the confidence of the index in force, and for how many batches in a row it has been
  /// more than a half.
  var doubt: Ratio = .zero
  var doubtful: UInt64 = 0
  /// Prices by minute modulo 30; zero for a minute without a quorum.
  var samples = InlineArray<30, Price>(repeating: .zero)
  /// Of each publisher the word nearest to the minute being gathered; zero for none.
  var prices = InlineArray<16, Price>(repeating: .zero)
  var times = InlineArray<16, Timestamp>(repeating: .zero)

  static let empty = MinuteRecord()
  static let sampleCount = 30
}

/// A perpetual's funding: 552 bytes, in the order of listing.
struct PerpetualRecord: FlatRecord {
  var instrument = InstrumentID(0)
  var reserved: UInt32 = 0
  /// What a quorum said last of the book's impact price.
  var impact: Price = .zero
  var impactTime: Timestamp = .zero
  /// The last minute since 1970 that was sampled, or passed without a sample.
  var minute: Int64 = 0
  /// Bit p: a premium stands at place p.
  var present: UInt64 = 0
  /// Premiums by minute modulo 60.
  var premiums = InlineArray<60, Ratio>(repeating: .zero)
  /// In force until the next sample.
  var rate: Ratio = .zero
  /// Cumulative funding of a contract, quote at 1e-18, and the remainder of its last growth.
  var indexLow: UInt64 = 0
  var indexHigh: Int64 = 0
  var remainder: Int64 = 0

  static let empty = PerpetualRecord()
  static let sampleCount = 60
}

/// A withdrawal and where it stands: 88 bytes; its slot is its id.
struct WithdrawalRecord: FlatRecord {
  var account = AccountID(0)
  var asset = AssetID(0)
  /// 1 requested, 2 released.
  var state: UInt16 = 0
  var amount = Amount(raw: 0)
  var batch: UInt64 = 0
  var destination: Bytes32 = .zero
  /// The custodian's proof of payment.
  var reference: Bytes32 = .zero

  static let empty = WithdrawalRecord()
  static let requested: UInt16 = 1
  static let released: UInt16 = 2
}

/// A governance action gathering approvals: 192 bytes.
struct ProposalRecord: FlatRecord {
  /// SHA-256 of the action's records: members approve the same bytes.
  var action: Digest = .zero
  var kind: UInt16 = 0
  /// Place in the genesis list of the member who approved first.
  var opener: UInt16 = 0
  /// Bit i: genesis member i approved.
  var approvals: UInt32 = 0
  /// The batch it takes effect in; all ones while undecided.
  var effective: UInt64 = .max
  /// Of a halt: the instrument and 1 halt, 0 resume; of margin terms their slot.
  var subject: UInt32 = 0
  /// 1 once carried out.
  var isDone: UInt16 = 0
  var halted: UInt16 = 0
  /// Batch time of the first approval.
  var opened: Timestamp = .zero
  /// Of a listing.
  var terms: Instrument = .empty

  static let empty = ProposalRecord()
  var isDecided: Bool { effective != .max }
}

/// Counters: 64 bytes, one record.
struct StatusRecord: FlatRecord {
  /// The batch being cleared, or the next one.
  var batch: UInt64 = 0
  var time: Timestamp = .zero
  var term: UInt32 = 1
  /// 1 while insolvency exceeds the insurance fund: nothing leaves.
  var isLocked: UInt32 = 0
  /// Totals for people; recomputable.
  var trades: UInt64 = 0
  /// The account whose expired positions are paid out next; zero between expiries.
  var settlingFrom: UInt32 = 0
  /// The account margin is watched from in the next batch; not zero when this batch had no room for
  /// another directive.
  var watchFrom: UInt32 = 0
  /// Auctions ever begun.
  var auctions: UInt64 = 0
  /// The margin terms in force, by their slot.
  var margin: UInt64 = 0
  /// The share of a loss looked at next for what it is due, and how many are still to be looked at.
  var repayFrom: UInt32 = 0
  var repayLeft: UInt32 = 0

  static let empty = StatusRecord()
}

/// An auction: 64 bytes; a slot without a phase is free.
struct AuctionRecord: FlatRecord {
  var account = AccountID(0)
  var phase: UInt32 = 0
  /// Counts from 1.
  var number: UInt64 = 0
  /// The batch it began in: bids count once execution has adopted that.
  var batch: UInt64 = 0
  var started: Timestamp = .zero
  /// When the phase began; the fast and the slow one are the same here.
  var phaseStarted: Timestamp = .zero
  /// Cash that bidders paid and later ones cannot take.
  var reserved: Money = .zero
  /// Notional when it began: what payouts are capped by.
  var notional: Money = .zero
  /// What the insurance fund paid beyond debts.
  var paid: Money = .zero

  static let empty = AuctionRecord()
  static let solvent: UInt32 = 1
  static let insolvent: UInt32 = 2
  /// Nobody took it all in time: what is left is closed against the book.
  static let overdue: UInt32 = 3
  /// Insolvent, and nobody took it all in time, or the fund cannot pay for it: it is closed against
  /// the other side.
  static let deleveraging: UInt32 = 4
  /// Whether bids are taken, once execution knows.
  var isOffered: Bool { phase == AuctionRecord.solvent || phase == AuctionRecord.insolvent }
}

/// What an account was paid by the insurance fund beyond a debt, and may not yet take out: 24 bytes;
/// a slot without an amount is free.
struct LockRecord: FlatRecord {
  var account = AccountID(0)
  var reserved: UInt32 = 0
  var amount: Money = .zero
  /// The first time at which it is free.
  var until: Timestamp = .zero

  static let empty = LockRecord()
  /// Milliseconds.
  static let life: Int64 = 86_400_000
}

/// What the insurance fund paid beyond debts in an underlying's day, and what the underlying's own
/// tranche of it holds: 24 bytes; slot = underlying.
struct PayoutRecord: FlatRecord {
  var start: Timestamp = .zero
  var paid: Money = .zero
  var tranche: Money = .zero

  static let empty = PayoutRecord()
}
