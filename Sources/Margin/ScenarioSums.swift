public import Primitives

/// Scenario totals of many portfolios: 32 exact `Notional` sums a slot, a 33rd for the market
/// standing still, and four by which execution's bound covers the charges beside the scan, 592 bytes.
///
/// In the 33rd a position changes nothing and an open order still costs its entry. Without it an
/// order whose every outcome gains would be free to place and its entry would be lost on the fill.
///
/// Sums are Int128 in units of 1e-16 of the quote asset, so that nothing is rounded before the
/// requirement is shown. Bound: listing holds price × order size to 1e28 units, an account holds at
/// most 1 024 orders and 128 positions and a scenario moves a price at most sixfold, so every sum
/// stays below 1e33, far from 2^127 ≈ 1.7e38; the loops wrap.
@safe public struct ScenarioSums: ~Copyable {
  @usableFromInline var base: UnsafeMutablePointer<Int128>
  public private(set) var count = 0
  private var capacity: Int
  /// Words a slot takes: the scenarios, the market standing still, then the four of the charges.
  @usableFromInline static let wordCount = ScenarioSet.count + 5

  public init(capacity: Int = 64) {
    self.capacity = max(1, capacity)
    unsafe base = .allocate(capacity: self.capacity * ScenarioSums.wordCount)
    unsafe base.initialize(repeating: 0, count: self.capacity * ScenarioSums.wordCount)
  }

  deinit { unsafe base.deallocate() }

  /// A new slot of zero sums.
  public mutating func append() -> Int {
    if count == capacity { grow() }
    count += 1
    return count - 1
  }

  private mutating func grow() {
    let words = capacity * ScenarioSums.wordCount
    let larger = UnsafeMutablePointer<Int128>.allocate(capacity: words * 2)
    unsafe HugePages.ask(larger, count: words * 2)
    unsafe larger.update(from: base, count: words)
    unsafe (larger + words).initialize(repeating: 0, count: words)
    unsafe base.deallocate()
    unsafe base = larger
    capacity *= 2
  }

  /// Sets a slot's sums to zero.
  public mutating func clear(_ slot: Int) {
    precondition(slot >= 0 && slot < count)
    unsafe (base + slot * ScenarioSums.wordCount).update(
      repeating: 0, count: ScenarioSums.wordCount)
  }

  /// The sum of `scenario` in `slot`; the scenario after the last is the market standing still.
  public subscript(slot: Int, scenario: Int) -> Notional {
    precondition(slot >= 0 && slot < count && scenario >= 0 && scenario < ScenarioSums.wordCount)
    return Notional(raw: unsafe base[slot * ScenarioSums.wordCount + scenario])
  }

  /// What the open orders of a slot would lose, all filled, the market standing still.
  public func still(_ slot: Int) -> Notional { self[slot, ScenarioSet.count] }

  /// The least sum of a slot, never above zero as the market may stand still, and its scenario if
  /// it moves.
  public func worst(_ slot: Int) -> (loss: Notional, scenario: Int?) {
    precondition(slot >= 0 && slot < count)
    let sums = unsafe base + slot * ScenarioSums.wordCount
    var least: Int128 = 0
    for word in ScenarioSet.count..<ScenarioSums.wordCount { least = unsafe min(least, sums[word]) }
    var place: Int?
    for scenario in 0..<ScenarioSet.count where unsafe sums[scenario] < least {
      least = unsafe sums[scenario]
      place = scenario
    }
    return (Notional(raw: least), place)
  }
}

/// What an open order may cost before its scenario: the loss of trading at its limit instead of
/// the mark, and its fee; never above zero.
@frozen public struct OrderExposure: Sendable {
  /// Signed quantity in 1e-8 contracts.
  public let quantity: Int64
  /// min(0, quantity × (mark − limit)) − fee − dust, in units of 1e-16.
  public let entry: Int128

  /// What roundings may take from one fill on top: below one money unit when the price × quantity
  /// is rounded to money, below 1.05 of them in the fee.
  public static let dust: Int128 = 3 * Notional.perMoney

  /// What the order loses in a scenario that moves the contract by `unit`, if it fills at `charged`:
  /// never a gain.
  @inline(__always) func loss(_ unit: Int128, _ charged: Int128) -> Int128 {
    min(0, Int128(quantity) &* unit &+ charged)
  }

  /// The entry with the charges that know no netting.
  @inline(__always) func charged(_ charges: UnitCharges) -> Int128 {
    entry &- charges.gross(quantity)
  }

  @inlinable public init(quantity: Quantity, mark: Price, limit: Price, feeRate: Ratio) {
    self.quantity = quantity.raw
    let gap = Int128(quantity.raw) &* Int128(mark.raw &- limit.raw)
    let notional = Int128(quantity.raw.magnitude) &* Int128(limit.raw)
    let fee =
      feeRate.raw == 0
      ? 0 : (notional &* Int128(feeRate.raw)).divided(by: Int128(Ratio.scale), rounding: .up)
    entry = min(0, gap) &- fee &- OrderExposure.dust
  }
}
