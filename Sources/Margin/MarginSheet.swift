public import Primitives

/// The exact requirement of one account by `novate-32`: what clearing closes accounts by, and what
/// `novate margin` says. Filled position by position, an underlying a page.
public struct MarginSheet: ~Copyable {
  private(set) var sums: ScenarioSums
  private var totals: [ChargeTotals]
  private var tilts: [TiltSums]
  private var isUsed: [Bool]
  /// Underlyings on the sheet, in the order of their first position.
  private var used: [Int] = []

  public init(underlyings: Int) {
    sums = ScenarioSums(capacity: underlyings)
    for _ in 0..<underlyings { _ = sums.append() }
    totals = Array(repeating: ChargeTotals(), count: underlyings)
    tilts = Array(repeating: TiltSums(), count: underlyings)
    isUsed = Array(repeating: false, count: underlyings)
    used.reserveCapacity(underlyings)
  }

  /// An empty sheet; sums of an underlying are stale until a position comes.
  @inline(__always)
  public mutating func clear() {
    for underlying in used { isUsed[underlying] = false }
    used.removeAll(keepingCapacity: true)
  }

  /// Adds a position. No contract may come twice: what its charges are depends on the whole.
  public mutating func add(
    _ instrument: InstrumentID, _ quantity: Quantity, _ underlying: Int,
    _ table: borrowing RiskTable
  ) {
    if !isUsed[underlying] {
      isUsed[underlying] = true
      used.append(underlying)
      sums.clear(underlying)
      totals[underlying] = ChargeTotals()
      tilts[underlying].clear()
    }
    table.add(instrument, quantity, to: &sums, underlying)
    let charges = table.charges(instrument)
    totals[underlying].add(charges, quantity, mark: table.mark(instrument))
    tilts[underlying].add(charges, quantity)
  }

  /// What a full sheet asks, in notional units.
  public struct Requirement: Sendable {
    public var initial: Int128 = 0
    /// Of it, what maintenance is a share of: without the charges on entry.
    public var core: Int128 = 0
    /// Σ over underlyings of the worst scenario, without charges.
    public var scan: Int128 = 0
    /// The underlying with the heaviest worst scenario, and that scenario.
    public var binding: (underlying: UnderlyingID, scenario: Int)?
  }

  /// - Parameter lambda: the share of netting across underlyings.
  public func requirement(lambda: Ratio) -> Requirement {
    var found = Requirement()
    var heaviest: Int128 = 0
    var (apart, delta, short): (Int128, Int128, Int128) = (0, 0, 0)
    var (basis, held): (Int128, Int128) = (0, 0)
    var owes = false
    for underlying in used {
      let (loss, scenario) = sums.worst(underlying)
      let scan = 0 - loss.raw
      let charge = totals[underlying]
      let (minimum, shorts) = (charge.deltaMinimum, charge.short)
      apart += max(scan, minimum, shorts)
      delta += minimum
      short += shorts
      basis += tilts[underlying].total
      held += charge.held
      found.initial += charge.doubt
      owes = owes || charge.owes
      found.scan += scan
      // The lowest number on a tie.
      let isBefore = underlying < (found.binding?.underlying.index ?? 0)
      if let scenario, scan > heaviest || scan == heaviest && isBefore {
        heaviest = scan
        found.binding = (UnderlyingID(UInt16(truncatingIfNeeded: underlying)), scenario)
      }
    }
    var core = apart
    if lambda.raw > 0 {
      core = MarginSheet.mixed(joint: max(jointScan, delta, short), apart: apart, lambda: lambda)
    }
    core += basis
    found.core = owes ? core : min(core, held)
    found.initial += found.core
    return found
  }

  /// The worst scenario of all underlyings together.
  private var jointScan: Int128 {
    var worst: Int128 = 0
    for scenario in 0..<ScenarioSet.count {
      var sum: Int128 = 0
      for underlying in used { sum += sums[underlying, scenario].raw }
      worst = min(worst, sum)
    }
    return 0 - worst
  }

  /// λ·joint + (1 − λ)·apart, each rounded up; both are losses, not below zero.
  static func mixed(joint: Int128, apart: Int128, lambda: Ratio) -> Int128 {
    share(joint, lambda) + share(apart, Ratio(raw: Ratio.scale - lambda.raw))
  }

  /// amount × ratio, rounded up, without forming the product in full; the ratio is at most one.
  @inline(__always)
  public static func share(_ amount: Int128, _ ratio: Ratio) -> Int128 {
    let (whole, rest) = amount.quotientAndRemainder(dividingBy: Int128(Ratio.scale))
    return whole * Int128(ratio.raw)
      + (rest * Int128(ratio.raw)).divided(by: Int128(Ratio.scale), rounding: .up)
  }

  // MARK: - The scan alone

  /// The sum of a scenario; zero for an underlying not on the sheet.
  public func sum(_ underlying: Int, _ scenario: Int) -> Int128 {
    isUsed[underlying] ? sums[underlying, scenario].raw : 0
  }

  /// The worst scenario of an underlying, at least zero.
  public func scan(_ underlying: Int) -> Int128 {
    isUsed[underlying] ? 0 - sums.worst(underlying).loss.raw : 0
  }

  /// The same without `quantity` contracts of one of its instruments.
  public func scan(
    _ underlying: Int, less quantity: Quantity, of instrument: InstrumentID,
    _ table: borrowing RiskTable
  ) -> Int128 {
    var least: Int128 = 0
    for scenario in 0..<ScenarioSet.count {
      let moved = Int128(quantity.raw) * Int128(table.unit(instrument, scenario).raw)
      least = min(least, sum(underlying, scenario) - moved)
    }
    return 0 - least
  }

  // MARK: - For the calculator, which reports each term

  func totals(_ underlying: Int) -> ChargeTotals { totals[underlying] }
  func tilt(_ underlying: Int) -> Int128 { isUsed[underlying] ? tilts[underlying].total : 0 }
}
