public import Primitives

/// What one unit of something has cost since the beginning: funding of a contract, interest on a
/// unit of debt (quant.md 2, "Funding, one rule"). Units of 1e-18; rising is paid by the holder.
///
/// The remainder of every growth is kept, so one step over a time and many steps over its parts come
/// to the same index.
public struct CumulativeIndex: Hashable, Sendable {
  /// Rounded down; the same for those who pay and those who receive, so it makes no dust.
  public private(set) var value: Int128 = 0
  /// Of the last division, in parts of `divisor`.
  public private(set) var remainder: Int128 = 0
  private let multiplier: Int128
  private let divisor: Int128

  /// Milliseconds of eight hours.
  public static let fundingPeriod: Int64 = 28_800_000

  private init(multiplier: Int128, divisor: Int128) {
    self.multiplier = multiplier
    self.divisor = divisor
  }

  /// Quote per contract: rate (1e-9 for 8 h) × price (1e-8) × ms ÷ 28.8e6 ms is 1e-17 ÷ 28.8e6.
  public static let funding = CumulativeIndex(
    multiplier: 10, divisor: Int128(CumulativeIndex.fundingPeriod))

  /// An index of funding as it was kept.
  public static func funding(value: Int128, remainder: Int128) -> CumulativeIndex {
    var index = funding
    index.value = value
    index.remainder = remainder
    return index
  }

  /// Quote per quote of debt: rate (1e-9 a year) × ms ÷ the year.
  public static let interest = CumulativeIndex(
    multiplier: 1_000_000_000, divisor: Int128(Timestamp.millisecondsPerYear))

  /// An index of interest as it was kept.
  public static func interest(value: Int128, remainder: Int128) -> CumulativeIndex {
    var index = interest
    index.value = value
    index.remainder = remainder
    return index
  }

  /// Lets funding run: `rate` for eight hours of an index price, over `elapsed` milliseconds.
  /// - Throws: `.overflow` beyond Int128: a million years at the highest price and a rate of one.
  public mutating func grow(rate: Ratio, price: Price, elapsed: Int64) throws(ArithmeticFailure) {
    // |Int64| × |Int64| fits.
    try grow(Int128(rate.raw) * Int128(price.raw), elapsed)
  }

  /// Lets interest run: `rate` a year, over `elapsed` milliseconds.
  public mutating func grow(rate: Ratio, elapsed: Int64) throws(ArithmeticFailure) {
    try grow(Int128(rate.raw), elapsed)
  }

  private mutating func grow(_ rate: Int128, _ elapsed: Int64) throws(ArithmeticFailure) {
    precondition(elapsed >= 0)
    let (once, early) = rate.multipliedReportingOverflow(by: Int128(elapsed))
    let (growth, late) = once.multipliedReportingOverflow(by: multiplier)
    let (whole, last) = growth.addingReportingOverflow(remainder)
    if early || late || last { throw .overflow("index growth") }
    let step = whole.divided(by: divisor, rounding: .down)
    let (sum, overflow) = value.addingReportingOverflow(step)
    if overflow { throw .overflow("index growth") }
    remainder = whole - step * divisor
    value = sum
  }
}

/// What a holder owes by an index since its holding last changed.
///
/// Booked = ⌈holding × (index now − index then)⌉ − already booked: against the holder whether it
/// pays or receives, and the same sum whatever the count and times of touches between two changes.
public struct IndexedHolding: Hashable, Sendable {
  public private(set) var opened: Int128
  public private(set) var booked: Money = .zero

  public init(at index: CumulativeIndex) { opened = index.value }

  /// A holding as it was kept.
  public init(opened: Int128, booked: Money) {
    self.opened = opened
    self.booked = booked
  }

  /// Holding × 1e-18 in one unit of money: quantities count in 1e-8, debts in 1e-6.
  private static let perContractMoney: Int128 = 100_000_000_000_000_000_000
  private static let perDebtMoney: Int128 = 1_000_000_000_000_000_000

  private mutating func touch(_ holding: Int64, _ index: CumulativeIndex, per unit: Int128)
    throws(ArithmeticFailure) -> Money
  {
    let (growth, overflow) = index.value.subtractingReportingOverflow(opened)
    if overflow { throw .overflow("index growth") }
    let all = try Money(
      units: Int128(holding).scaled(by: growth, over: unit, rounding: .up))
    let due = try all.subtracting(booked)
    booked = all
    return due
  }

  /// What a position pays now (negative: receives). To be called before its quantity changes, and
  /// then followed by `restart`.
  public mutating func touch(_ position: Quantity, _ index: CumulativeIndex)
    throws(ArithmeticFailure) -> Money
  {
    try touch(position.raw, index, per: IndexedHolding.perContractMoney)
  }

  /// What a debt pays now. Interest booked is not part of the debt it runs on until `restart`, so
  /// touches do not compound.
  public mutating func touch(debt: Money, _ index: CumulativeIndex) throws(ArithmeticFailure)
    -> Money
  {
    precondition(debt.raw >= 0)
    return try touch(debt.raw, index, per: IndexedHolding.perDebtMoney)
  }

  /// A new holding stands from now on; what was due must have been touched at this index.
  public mutating func restart(at index: CumulativeIndex) {
    opened = index.value
    booked = .zero
  }
}

/// Rates that indices grow by.
public enum RunningRate {
  /// Samples a funding rate needs.
  public static let samplesMin = 30

  /// (max(bid − index, 0) − max(index − ask, 0)) ÷ index of impact prices at a governed notional,
  /// towards zero; zero when either side is thinner (nil) (field.md 2.11, quant.md 2).
  public static func premium(bid: Price?, ask: Price?, index: Price) -> Ratio {
    guard let bid, let ask else { return .zero }
    let above = max(0, Int128(bid.raw) - Int128(index.raw))
    let below = max(0, Int128(index.raw) - Int128(ask.raw))
    return premium(above - below, index)
  }

  /// The same of the index held between impact bid and impact ask, as publishers say it.
  public static func premium(impact: Price, index: Price) -> Ratio {
    premium(Int128(impact.raw) - Int128(index.raw), index)
  }

  /// What passes a ratio is held to it; every cap is far below.
  private static func premium(_ gap: Int128, _ index: Price) -> Ratio {
    precondition(index.raw > 0)
    return Ratio(raw: Int64(clamping: gap * Int128(Ratio.scale) / Int128(index.raw)))
  }

  /// The mean of the samples without the `trim` highest and lowest of each hundred, towards zero,
  /// held to ±cap; zero while there are fewer than 30.
  public static func funding(of samples: [Ratio], trim percent: Int, cap: Ratio) -> Ratio {
    precondition((0..<50).contains(percent) && cap.raw >= 0)
    guard samples.count >= samplesMin else { return .zero }
    let cut = samples.count * percent / 100
    let kept = samples.sorted()[cut..<(samples.count - cut)]
    let sum = kept.reduce(Int128(0)) { $0 + Int128($1.raw) }
    let mean = sum / Int128(kept.count)
    return Ratio(raw: Int64(max(-Int128(cap.raw), min(mean, Int128(cap.raw)))))
  }

  /// base + slope·use, and `steep` instead of `slope` on use beyond the kink, rounded up; use is
  /// held to 0…1. Derive: 2 % + 8 %·u below 0.85, 90 % a unit above (field.md 2.12).
  public static func interest(base: Ratio, slope: Ratio, kink: Ratio, steep: Ratio, use: Ratio)
    -> Ratio
  {
    let use = max(0, min(use.raw, Ratio.scale))
    let below = Int128(min(use, kink.raw)) * Int128(slope.raw)
    let above = Int128(max(0, use - kink.raw)) * Int128(steep.raw)
    let rate = (below + above).divided(by: Int128(Ratio.scale), rounding: .up)
    return Ratio(raw: Int64(clamping: Int128(base.raw) + rate))
  }
}
