import Instruments
public import Primitives

/// What one contract asks on entry for size (Protocol 10.8): of whoever holds it where much of it is
/// open, and of an owner who holds much of it. On initial margin alone, where risk is taken on and money
/// leaves: nobody is closed because others traded, or for what he holds elsewhere.
///
/// Both charges are convex in the position and nothing for none. What an owner's further contracts add
/// grows with what he has, so however he splits a position among his accounts, and in whatever order he
/// builds it, what they are asked together is never less.
public struct SizeCharge: Sendable, Equatable {
  /// Whether anything may be asked at all.
  public private(set) var isOn = false
  private var isOption = false
  /// Index of the underlying.
  private var spot: Int64 = 0
  /// Of one contract, what an open interest beyond all bounds adds to what its worst scenario takes, in
  /// price units: all that it can lose. A held option is paid for.
  public private(set) var long = Price.zero
  public private(set) var short = Price.zero
  /// In contracts, 1e-8.
  private var lower: Int128 = 0
  private var upper: Int128 = 0
  private var thresholds = InlineArray<3, Int128>(repeating: 0)
  /// 1e-9; zero for a slope that is not there.
  private var rates = InlineArray<3, Int64>(repeating: 0)

  public static let none = SizeCharge()
  private init() {}

  /// - Parameters:
  ///   - lossLong: what the worst scenario takes from one contract held, not below zero.
  ///   - lossShort: what it takes from one owed.
  ///   - strike: of a put, what an owed one can cost at most; nil for all else.
  ///   - dailyVolume: contracts traded a day; zero for no charge.
  init(
    isOption: Bool, strike: Price?, spot: Price, lossLong: Int64, lossShort: Int64,
    dailyVolume: Quantity, _ parameters: MarginParameters
  ) {
    guard dailyVolume.raw > 0, spot.raw > 0 else { return }
    func volumes(_ ratio: Ratio) -> Int128 {
      (Int128(dailyVolume.raw) * Int128(ratio.raw))
        .divided(by: Int128(Ratio.scale), rounding: .down)
    }
    self.isOption = isOption
    self.spot = spot.raw
    let scale = parameters.openInterest
    if scale.upper.raw > scale.lower.raw {
      lower = volumes(scale.lower)
      upper = max(lower + 1, volumes(scale.upper))
      long = Price(raw: isOption ? 0 : max(0, spot.raw - lossLong))
      short = Price(raw: max(0, (strike ?? spot).raw - lossShort))
      isOn = true
    }
    for (place, slope) in parameters.concentration.slopes.prefix(3).enumerated()
    where slope.rate.raw > 0 {
      thresholds[place] = volumes(slope.from)
      rates[place] = slope.rate.raw
      isOn = true
    }
  }

  public static func == (a: SizeCharge, b: SizeCharge) -> Bool {
    (0..<3).allSatisfy { a.thresholds[$0] == b.thresholds[$0] && a.rates[$0] == b.rates[$0] }
      && (a.isOn, a.isOption, a.spot, a.long, a.short)
        == (b.isOn, b.isOption, b.spot, b.long, b.short)
      && (a.lower, a.upper) == (b.lower, b.upper)
  }

  /// No charge is larger, so that sums stay inside their words whatever is listed; 1e17 of the quote
  /// asset.
  static let most: Int128 = 1 << 110

  // MARK: - Open interest

  /// How far open interest has come from where it begins to cost to where it costs all, 1e-9, rounded
  /// up.
  public func crowd(_ openInterest: Int128) -> Ratio {
    guard openInterest > lower else { return .zero }
    guard openInterest < upper else { return Ratio(raw: Ratio.scale) }
    // A daily volume is below 2^56 and a bound at most a thousand of them.
    let share = ((openInterest - lower) * Int128(Ratio.scale))
      .divided(by: upper - lower, rounding: .up)
    return Ratio(raw: Int64(share))
  }

  /// Asked of a position of `quantity` contracts, in notional units, rounded up.
  public func crowding(_ quantity: Int128, openInterest: Int128) -> Int128 {
    let most = quantity < 0 ? short : long
    guard isOn, quantity != 0, most.raw > 0 else { return 0 }
    let crowd = crowd(openInterest)
    guard crowd.raw > 0 else { return 0 }
    // Below 2^63 · 2^30.
    let unit = (Int128(most.raw) * Int128(crowd.raw))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    return SizeCharge.product(Int128(quantity.magnitude), unit)
  }

  // MARK: - Owners

  /// How much of a position counts towards its owner's total: options count where they are owed.
  @inline(__always)
  public func counted(_ quantity: Int128) -> Int128 {
    isOption ? max(0, 0 - quantity) : Int128(quantity.magnitude)
  }

  /// Asked of an account for `counted` contracts, beside `others` that count of its owner's other
  /// accounts: what they add to the charge on the owner's total, in notional units, rounded up.
  public func concentration(_ counted: Int128, beside others: Int128) -> Int128 {
    guard isOn, counted > 0 else { return 0 }
    // Both below 2^70, the rates below 2^30.
    var weight: Int128 = 0
    for place in 0..<3 where rates[place] > 0 {
      let before = max(0, others - thresholds[place])
      let after = max(0, others + counted - thresholds[place])
      weight += (after - before) * Int128(rates[place])
    }
    guard weight > 0 else { return 0 }
    let (whole, rest) = weight.quotientAndRemainder(dividingBy: Int128(Ratio.scale))
    let dust = (rest * Int128(spot)).divided(by: Int128(Ratio.scale), rounding: .up)
    return min(SizeCharge.most, SizeCharge.product(whole, Int128(spot)) + dust)
  }

  /// Held to `most`.
  private static func product(_ a: Int128, _ b: Int128) -> Int128 {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? most : min(most, product)
  }
}

extension Quantity {
  /// No daily volume is above the largest order's largest size.
  static let dailyMax = Instrument.orderQuantityLimit
}

extension RiskTable {
  /// What an instrument asks for size; nothing for what is not priced or settling.
  @inline(__always) public func size(_ instrument: InstrumentID) -> SizeCharge {
    instrument.index < sizes.count ? sizes[instrument.index] : .none
  }

  /// The size charge of a priced instrument, from its units.
  func sizeCharge(
    _ instrument: InstrumentID, isOption: Bool, strike: Price?, spot: Price,
    dailyVolume: Quantity, _ parameters: MarginParameters
  ) -> SizeCharge {
    guard dailyVolume.raw > 0, isPriced(instrument) else { return .none }
    var (least, most): (Int64, Int64) = (0, 0)
    for scenario in 0..<ScenarioSet.count {
      let unit = unit(instrument, scenario).raw
      (least, most) = (min(least, unit), max(most, unit))
    }
    return SizeCharge(
      isOption: isOption, strike: strike, spot: spot,
      lossLong: least == .min ? .max : 0 - least, lossShort: most, dailyVolume: dailyVolume,
      parameters)
  }

  /// Sets what an instrument asks for size, its units being those in force.
  mutating func updateSize(_ instrument: Instrument, spot: Price) {
    var charge = SizeCharge.none
    if instrument.dailyVolume.raw > 0, instrument.status != .settling {
      charge = sizeCharge(
        instrument.id, isOption: instrument.isOption,
        strike: instrument.isOption && !instrument.isCall ? instrument.strike : nil, spot: spot,
        dailyVolume: instrument.dailyVolume, parameters)
    }
    let place = instrument.id.index
    sizedCount += (charge.isOn ? 1 : 0) - (sizes[place].isOn ? 1 : 0)
    sizes[place] = charge
  }
}
