public import Primitives

/// Hard sizes of the protocol, in bytes unless said otherwise. Relations between them are tested.
public enum Limits {
  /// A frame's body, whatever was negotiated.
  public static let frameBodyByteCountMax = 16 << 20
  /// The body of a batch or of a Clearance.
  public static let batchBodyByteCountMax = 8 << 20
  /// Actions in one bundle.
  public static let actionsPerBundleMax = 256
  /// 64-byte records in one bundle; an action takes one to thirteen, a mass quote more.
  public static let recordsPerBundleMax = 512
  /// Bundles in one batch.
  public static let bundlesPerBatchMax = 65_536
  /// Orders resting at once, of all accounts.
  public static let openOrdersMax = 1 << 24
  /// Orders past their time that the opening of one batch takes out; the rest in the next.
  public static let orderExpiriesPerBatchMax = 4_096
  /// Accounts whose timers the opening of one batch runs out; the rest in the next.
  public static let timersPerBatchMax = 64
  /// Orders whose triggers were reached that the opening of one batch places; the rest in the next.
  public static let triggersPerBatchMax = 256
  /// Orders whose triggers are found reached at the opening of one batch.
  public static let triggersReachedPerBatchMax = 4_096
  /// Legs of a combination.
  public static let combinationLegs: ClosedRange<Int> = 2...8
  /// What a timer may be set to, in milliseconds.
  public static let timerRange: ClosedRange<Int64> = 1_000...86_400_000
  /// A protection's window and frozen time, in milliseconds.
  public static let protectionTimeMax: Int64 = 86_400_000
  /// Instruments in one mass quote.
  public static let quoteEntriesMax = 128
  /// An order shows at least one such part of itself.
  public static let displayParts: Int64 = 64
  /// Accounts.
  public static let accountsMax = 1 << 24
  /// Instruments ever listed.
  public static let instrumentsMax = 1 << 16
  public static let underlyingsMax = 64
  /// Positions of expired contracts paid out in one batch; the rest in the next.
  public static let settlementsPerBatchMax = 32_768
  /// Directives in one Clearance; accounts not yet looked at come first in the next.
  public static let directivesPerBatchMax = 16_384
  /// Undecided proposals one governance member may have opened.
  public static let proposalsPerMemberMax = 16
  /// Terms of the margin method ever proposed: each is kept.
  public static let marginTermsMax = 1 << 16
  /// A proposal undecided for so many milliseconds lapses.
  public static let proposalLife: Int64 = 604_800_000
  /// What accounts bore of losses on record; the oldest goes for the next.
  public static let lossSharesMax = 65_536
  /// Of them so many are looked at in one batch for what they are due; the rest in the next.
  public static let repaymentsPerBatchMax = 1_024
  public static let assetsMax = 16
  public static let publishersMax = 16
  public static let governanceMembersMax = 16
  public static let witnessesMax = 16
  /// A bundle's largest encoding.
  public static let bundleByteCountMax =
    BundleHeader.byteCount + recordsPerBundleMax * ActionRecord.byteCount + 64
}

/// The numbers of genesis that rules read. Eight bytes each, in this order.
public struct Constants: FlatRecord, Hashable {
  /// A header's time is at most this far past the newest quorum oracle time, or the batch is not
  /// *fresh* and expiry, funding and liquidation wait. Milliseconds.
  public var driftMax: Int64 = 5_000
  /// A batch closes at least this often, even empty. Milliseconds.
  public var heartbeat: Int64 = 1_000
  /// Batches execution may run ahead of the last adopted Clearance.
  public var runAheadMax: Int64 = 64
  /// Orders that add risk need market data no older than this. Milliseconds.
  public var grantAgeMax: Int64 = 60_000
  /// Batches between the deciding approval and its effect.
  public var activationNotice: Int64 = 65
  /// The longest life a bundle may ask for. Milliseconds.
  public var bundleLifeMax: Int64 = 86_400_000
  public var openOrdersPerAccountMax: Int64 = 1_024
  public var keysPerAccountMax: Int64 = 16
  public var positionsPerAccountMax: Int64 = 128
  /// Bundles a key may sequence in one second of batch time.
  public var bundlesPerSecondMax: Int64 = 100_000
  /// The least first deposit that opens an account, in the asset's units.
  public var depositForNewAccountMin: Int64 = 1_000_000
  /// All deposits of one asset together, in the asset's units.
  public var depositsTotalMax: Int64 = 100_000_000_000_000_000
  /// Publishers that make an oracle price.
  public var oracleQuorum: Int64 = 2
  /// A publisher's update older than this does not count towards the quorum. Milliseconds.
  public var oracleStaleness: Int64 = 60_000
  /// How far from the mark a directed close may trade, 1e-9.
  public var closeBand: Int64 = 160_000_000
  /// Witness cosignatures that settle a checkpoint.
  public var witnessQuorum: Int64 = 0
  /// The least withdrawal of the quote asset, in its units: each is a record for ever.
  public var withdrawalMin: Int64 = 1_000_000
  /// The highest funding rate of eight hours either way, 1e-9.
  public var fundingRateMax: Int64 = 7_500_000
  /// How far an index may move at once while the one before is fresh, 1e-9; zero for any way.
  public var oracleDeviationMax: Int64 = 0
  /// Dispersion of a quorum at which nothing is sure, 1e-9 of the price; zero to ask for none.
  public var confidenceBand: Int64 = 0
  /// Batches in a row that doubt about an index may hold liquidation back.
  public var holdBackBatchesMax: Int64 = 0
  /// What may leave of one asset in a day, and at once, in the asset's units; zero for any amount.
  public var outflowDailyMax: Int64 = 0
  /// How much unrealised profit of one underlying may back a withdrawal, quote units.
  public var profitCountedMax: Int64 = 100_000_000_000_000_000
  /// Milliseconds in which an auction's discount falls fast; zero: no auctions, what is below
  /// maintenance is closed against the book.
  public var auctionFast: Int64 = 0
  /// Milliseconds in which it then falls to nothing.
  public var auctionSlow: Int64 = 43_200_000
  /// Milliseconds in which the payout for an insolvent account rises.
  public var auctionInsolvent: Int64 = 3_600_000
  /// How far beyond maintenance an auction goes on, 1e-9 of maintenance.
  public var auctionBuffer: Int64 = 150_000_000
  /// Share of the value a bidder pays at the start, and where the slow phase begins, 1e-9.
  public var auctionStartDiscount: Int64 = 950_000_000
  public var auctionSlowDiscount: Int64 = 700_000_000
  /// Marked value below which all of an account goes at once, quote units.
  public var auctionCutoff: Int64 = 0
  /// Share of what must be sold that goes to the insurance fund at the start, 1e-9.
  public var auctionFee: Int64 = 0
  /// Notional that may be under auction at once, in all and of one underlying, quote units.
  public var auctionNotionalMax: Int64 = 100_000_000_000_000_000
  public var auctionUnderlyingNotionalMax: Int64 = 100_000_000_000_000_000
  /// Auctions that may begin in one batch.
  public var auctionStartsMax: Int64 = 64
  /// What the insurance fund pays beyond a debt: of one auction in 1e-9 of its notional, of one
  /// underlying and day in quote units.
  public var auctionPayoutMax: Int64 = 0
  public var auctionPayoutDailyMax: Int64 = 0
  /// Losses that others bore and whose recoveries go to them, on record at once; zero for none.
  public var lossEpochsMax: Int64 = 0
  /// Share of what the insurance fund takes in beyond its target that goes to them, 1e-9.
  public var lossRecovery: Int64 = 0
  /// What the insurance fund keeps before it shares, quote units.
  public var insuranceTarget: Int64 = 0
  /// What an underlying's own tranche of the insurance fund holds at most, quote units; zero for no
  /// tranches.
  public var insuranceTrancheMax: Int64 = 0

  public static let empty = Constants()
  public init() {}

  /// No constant passes it, so that sums with times and amounts stay inside Int64; it is 1e11 of
  /// the quote asset, which with `Instrument.orderNotionalMax` keeps every cost inside `Money`.
  public static let largest: Int64 = 100_000_000_000_000_000

  /// Name and place of every constant, as `genesis.json` spells them.
  public static var fields: [(name: String, path: any WritableKeyPath<Constants, Int64> & Sendable)]
  {
    [
      ("drift_max_ms", \.driftMax), ("heartbeat_ms", \.heartbeat),
      ("run_ahead_max", \.runAheadMax), ("grant_age_max_ms", \.grantAgeMax),
      ("activation_notice", \.activationNotice), ("bundle_life_max_ms", \.bundleLifeMax),
      ("open_orders_per_account_max", \.openOrdersPerAccountMax),
      ("keys_per_account_max", \.keysPerAccountMax),
      ("positions_per_account_max", \.positionsPerAccountMax),
      ("bundles_per_second_max", \.bundlesPerSecondMax),
      ("deposit_for_new_account_min", \.depositForNewAccountMin),
      ("deposits_total_max", \.depositsTotalMax), ("oracle_quorum", \.oracleQuorum),
      ("oracle_staleness_ms", \.oracleStaleness),
      ("close_band", \.closeBand), ("witness_quorum", \.witnessQuorum),
      ("withdrawal_min", \.withdrawalMin), ("funding_rate_max", \.fundingRateMax),
      ("oracle_deviation_max", \.oracleDeviationMax), ("confidence_band", \.confidenceBand),
      ("hold_back_batches_max", \.holdBackBatchesMax),
      ("outflow_daily_max", \.outflowDailyMax), ("profit_counted_max", \.profitCountedMax),
      ("auction_fast_ms", \.auctionFast), ("auction_slow_ms", \.auctionSlow),
      ("auction_insolvent_ms", \.auctionInsolvent), ("auction_buffer", \.auctionBuffer),
      ("auction_start_discount", \.auctionStartDiscount),
      ("auction_slow_discount", \.auctionSlowDiscount), ("auction_cutoff", \.auctionCutoff),
      ("auction_fee", \.auctionFee), ("auction_notional_max", \.auctionNotionalMax),
      ("auction_underlying_notional_max", \.auctionUnderlyingNotionalMax),
      ("auction_starts_max", \.auctionStartsMax), ("auction_payout_max", \.auctionPayoutMax),
      ("auction_payout_daily_max", \.auctionPayoutDailyMax),
      ("loss_epochs_max", \.lossEpochsMax), ("loss_recovery", \.lossRecovery),
      ("insurance_target", \.insuranceTarget),
      ("insurance_tranche_max", \.insuranceTrancheMax),
    ]
  }

  public static func == (a: Constants, b: Constants) -> Bool {
    fields.allSatisfy { a[keyPath: $0.path] == b[keyPath: $0.path] }
  }

  public func hash(into hasher: inout Hasher) {
    for field in Constants.fields { hasher.combine(self[keyPath: field.path]) }
  }
}
