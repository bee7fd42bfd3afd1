public import Primitives

/// What kind of contract an instrument is.
@frozen public enum InstrumentKind: UInt8, Sendable {
  case option = 1
  case future = 2
  case perpetual = 3
}

/// Where an instrument stands in its life.
@frozen public enum InstrumentStatus: UInt8, Sendable {
  case active = 1
  /// Orders may be cancelled, nothing matches.
  case halted = 2
  /// Settled in cash; nothing happens to it any more.
  case settled = 3
  /// Expired at a price that is fixed; positions are being paid out.
  case settling = 4
}

/// One listed contract: its terms, its limits and where it stands in its life. 128 bytes.
///
/// All contracts are settled in the quote asset. An option pays `max(0, ±(S − strike))` per
/// contract at expiry, a future the settlement price less what it cost; a perpetual never expires.
@frozen public struct Instrument: FlatRecord, Hashable {
  public var id: InstrumentID
  public var underlying: UnderlyingID
  public var kindCode: UInt8
  /// 1 call, 2 put, 0 for anything but an option.
  public var optionTypeCode: UInt8
  /// Zero for anything but an option.
  public var strike: Price
  /// Zero for a perpetual.
  public var expiry: Timestamp
  /// Prices are multiples of it.
  public var tick: Price
  /// Quantities are multiples of it.
  public var lot: Quantity
  /// The largest single order.
  public var orderQuantityMax: Quantity
  /// The highest price an order may name.
  public var priceMax: Price
  /// Charged on the notional of each fill, rounded up.
  public var makerFee: Ratio
  public var takerFee: Ratio
  public var statusCode: UInt8
  /// Fee tiers above the first, at most 16; `FeeTiers` says what they do.
  private var tierCount: UInt8 = 0
  private var makerStep: UInt16 = 0
  private var takerStep: UInt16 = 0
  /// Minute samples a settlement price needs, at most 30; 0 settles at the first index after expiry.
  public var settlementSamples: UInt16 = 0
  /// Fixed once, at expiry.
  public var settlementPrice: Price
  /// The batch that listed it.
  public var listed: BatchNumber
  /// How long orders gather before trading begins, and begins again after a halt, in milliseconds;
  /// 0 for no call.
  public var callDuration: UInt32 = 0
  /// How long they gather between auctions, in milliseconds; 0 where they trade continuously.
  public var auctionInterval: UInt32 = 0
  /// Contracts traded a day, as governance says: what large positions and much open interest are
  /// measured by on entry; zero for no such charge.
  public var dailyVolume: Quantity = .zero
  /// How far from the mark an order may buy above it or sell below it, as a share of the index;
  /// zero for no limit.
  public var priceBand: Ratio = .zero
  private var tierVolume: Money = .zero

  public static let empty = Instrument()

  private init() {
    id = InstrumentID(0)
    underlying = UnderlyingID(0)
    kindCode = 0
    optionTypeCode = 0
    strike = .zero
    expiry = .zero
    tick = .zero
    lot = .zero
    orderQuantityMax = .zero
    priceMax = .zero
    makerFee = .zero
    takerFee = .zero
    statusCode = 0
    settlementPrice = .zero
    listed = BatchNumber(0)
  }

  /// A contract with the usual limits: the largest order and the highest price are chosen by
  /// whoever lists it; `fault` holds their product to the ledger.
  public init(
    id: InstrumentID, underlying: UnderlyingID, kind: InstrumentKind, optionTypeCode: UInt8 = 0,
    strike: Price = .zero, expiry: Timestamp = .zero, tick: Price, lot: Quantity,
    orderQuantityMax: Quantity, priceMax: Price, makerFee: Ratio = .zero,
    takerFee: Ratio = .zero, priceBand: Ratio = .zero, tiers: FeeTiers = .none,
    settlementSamples: UInt16 = 0, callDuration: UInt32 = 0, auctionInterval: UInt32 = 0,
    dailyVolume: Quantity = .zero
  ) {
    self.init()
    self.id = id
    self.underlying = underlying
    kindCode = kind.rawValue
    self.optionTypeCode = optionTypeCode
    self.strike = strike
    self.expiry = expiry
    self.tick = tick
    self.lot = lot
    self.orderQuantityMax = orderQuantityMax
    self.priceMax = priceMax
    self.makerFee = makerFee
    self.takerFee = takerFee
    self.priceBand = priceBand
    tierCount = tiers.count
    tierVolume = tiers.volume
    makerStep = tiers.makerStep
    takerStep = tiers.takerStep
    self.settlementSamples = settlementSamples
    self.callDuration = callDuration
    self.auctionInterval = auctionInterval
    self.dailyVolume = dailyVolume
    statusCode = InstrumentStatus.active.rawValue
  }
}

/// How a contract's fees fall with an account's volume: with each further `volume` both rates fall
/// by their step, `count` times at most. A maker's may pass zero and become a rebate.
@frozen public struct FeeTiers: Hashable, Sendable {
  public var count: UInt8
  public var volume: Money
  /// 1e-6 of notional.
  public var makerStep: UInt16
  public var takerStep: UInt16

  public init(count: UInt8, volume: Money, makerStep: UInt16, takerStep: UInt16) {
    self.count = count
    self.volume = volume
    self.makerStep = makerStep
    self.takerStep = takerStep
  }

  public static let none = FeeTiers(count: 0, volume: .zero, makerStep: 0, takerStep: 0)
  public static let countMax: UInt8 = 16
}

/// Why the terms of a contract cannot be listed.
public enum InstrumentFailure: Error, Hashable, Sendable {
  case kind(UInt8)
  case status(UInt8)
  /// Strike, option type or expiry contradict the kind.
  case terms
  /// Tick, lot or a limit is not positive, or a limit is no multiple of its step.
  case steps
  /// The largest order may pass 2^55 units, or 1e11 of the quote asset.
  case notional
  /// A fee outside 0…5 %.
  case fee
  /// A price band outside 0…1.
  case band
  /// Steps without tiers, more than 16 tiers, or a rebate that reaches the least taker's fee: wash
  /// trading would pay.
  case tiers
  /// More than 30 samples, or samples where none can be: no expiry, or not at a whole minute.
  case samples
  /// A call or an interval of more than a day.
  case calls
  /// A daily volume below zero, or above 2^55 units.
  case volume
}

extension Instrument {
  /// Whether what stands where records once had zeros is in its range.
  public var isCanonical: Bool {
    (0...Instrument.orderQuantityLimit.raw).contains(dailyVolume.raw)
  }

  /// Whether these are terms to list: active, never settled, nothing reserved set.
  public var isProposal: Bool {
    isCanonical && status == .active && settlementPrice.raw == 0 && listed.raw == 0
  }

  /// Whether `other` is the same contract, wherever it stands in its life.
  public func hasTerms(of other: Instrument) -> Bool {
    var copy = other
    copy.statusCode = statusCode
    copy.settlementPrice = settlementPrice
    return copy == self
  }

  public var tiers: FeeTiers {
    FeeTiers(count: tierCount, volume: tierVolume, makerStep: makerStep, takerStep: takerStep)
  }

  /// The rates of an account by its volume; never above the contract's own.
  @inlinable public func fees(volume: Money) -> (maker: Ratio, taker: Ratio) {
    let tiers = tiers
    guard tiers.count > 0, volume.raw > 0 else { return (makerFee, takerFee) }
    return fees(tier: min(Int64(tiers.count), volume.raw / tiers.volume.raw))
  }

  /// Bound: at most 16 steps of 6.6 %.
  @usableFromInline func fees(tier: Int64) -> (maker: Ratio, taker: Ratio) {
    (
      Ratio(raw: makerFee.raw - tier * Int64(makerStep) * 1_000),
      Ratio(raw: takerFee.raw - tier * Int64(takerStep) * 1_000)
    )
  }

  /// For every pair of tiers what a maker gets is less than what a taker pays: rates fall with the
  /// tier, so the last one decides.
  private var hasSoundTiers: Bool {
    guard tierCount > 0 else { return tiers == .none }
    let best = fees(tier: Int64(tierCount))
    return tierCount <= FeeTiers.countMax && tierVolume.raw > 0
      && best.taker.raw > max(0, 0 - best.maker.raw)
  }

  public var kind: InstrumentKind? { InstrumentKind(rawValue: kindCode) }
  public var status: InstrumentStatus? { InstrumentStatus(rawValue: statusCode) }
  public var isCall: Bool { optionTypeCode == 1 }
  public var isOption: Bool { kindCode == InstrumentKind.option.rawValue }
  public var expires: Bool { kindCode != InstrumentKind.perpetual.rawValue }

  /// The longest call or interval, in milliseconds.
  public static let callMax: UInt32 = 86_400_000

  /// Whether its orders ever gather.
  @inlinable public var hasCalls: Bool { callDuration | auctionInterval != 0 }

  /// How long the first call lasts.
  public var firstCall: Int64 { Int64(callDuration == 0 ? auctionInterval : callDuration) }

  /// Whether it is active or halted, its settlement not begun.
  public var isListed: Bool { status == .active || status == .halted }

  /// Whether orders may match at `time`.
  public func trades(at time: Timestamp) -> Bool {
    statusCode == InstrumentStatus.active.rawValue && !(expires && expiry <= time)
  }

  /// The largest order's largest notional: 1e11 of the quote asset, in units of 1e-16. With
  /// `positionOrdersMax` it keeps every position's cost inside `Money`.
  public static let orderNotionalMax = Notional(raw: 1_000_000_000_000_000_000_000_000_000)

  /// The largest order's largest size: with `positionOrdersMax` every position fits Int64.
  public static let orderQuantityLimit = Quantity(raw: 1 << 55)

  /// No position, with every resting order of one side filled, is larger than so many orders of the
  /// largest size.
  public static let positionOrdersMax: Int64 = 64

  /// The largest position an account may have or come to have by its resting orders.
  public var positionMax: Quantity {
    Quantity(raw: orderQuantityMax.raw &* Instrument.positionOrdersMax)
  }

  /// The first rule the terms break for a contract of their kind, or nil.
  public var fault: InstrumentFailure? {
    guard let kind else { return .kind(kindCode) }
    guard status != nil else { return .status(statusCode) }
    switch kind {
    case .option:
      guard optionTypeCode == 1 || optionTypeCode == 2, strike.raw > 0, expiry.raw > 0 else {
        return .terms
      }
    case .future:
      guard optionTypeCode == 0, strike.raw == 0, expiry.raw > 0 else { return .terms }
    case .perpetual:
      guard optionTypeCode == 0, strike.raw == 0, expiry.raw == 0 else { return .terms }
    }
    guard tick.raw > 0, lot.raw > 0, orderQuantityMax.raw > 0, priceMax.raw > 0,
      orderQuantityMax.raw % lot.raw == 0, priceMax.raw % tick.raw == 0
    else { return .steps }
    guard orderQuantityMax <= Instrument.orderQuantityLimit,
      priceMax * orderQuantityMax <= Instrument.orderNotionalMax
    else { return .notional }
    guard (0...50_000_000).contains(makerFee.raw), (0...50_000_000).contains(takerFee.raw) else {
      return .fee
    }
    guard (0...Ratio.scale).contains(priceBand.raw) else { return .band }
    guard hasSoundTiers else { return .tiers }
    guard settlementSamples == 0 || settlementSamples <= 30 && expires && expiry.raw % 60_000 == 0
    else { return .samples }
    guard max(callDuration, auctionInterval) <= Instrument.callMax else { return .calls }
    guard isCanonical else { return .volume }
    return nil
  }

  /// The cash a contract pays per unit at the settlement price `price`; never negative for an
  /// option, the price itself for a future.
  public func payoff(at price: Price) -> Price {
    guard isOption else { return price }
    let inside = isCall ? price.raw - strike.raw : strike.raw - price.raw
    return Price(raw: max(0, inside))
  }
}
