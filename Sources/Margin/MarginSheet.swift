public import Primitives

/// The exact requirement of one account by a method of unit vectors: what clearing closes accounts by, and what
/// `novate margin` says. Filled position by position: an underlying a page, or, where nothing nets,
/// each contract and each asset a page of its own.
public struct MarginSheet: ~Copyable {
  private(set) var sums: ScenarioSums
  private var totals: [ChargeTotals] = []
  private var tilts: [TiltSums] = []
  private var isUsed: [Bool] = []
  /// Pages on the sheet, in the order of their first position.
  private var used: [Int] = []
  private var isApart = false
  /// What stands on each page in turn where nothing nets: a contract, or nil for collateral.
  private var contracts: [InstrumentID?] = []

  public init(underlyings: Int) {
    sums = ScenarioSums(capacity: underlyings)
    reserve(underlyings)
    used.reserveCapacity(underlyings)
  }

  private mutating func reserve(_ count: Int) {
    while isUsed.count < count {
      _ = sums.append()
      totals.append(ChargeTotals())
      tilts.append(TiltSums())
      isUsed.append(false)
    }
  }

  /// An empty sheet; sums of a page are stale until a position comes.
  ///
  /// - Parameter apart: whether nothing nets: an account in cross mode.
  @inline(__always)
  public mutating func clear(apart: Bool = false) {
    for page in used { isUsed[page] = false }
    used.removeAll(keepingCapacity: true)
    contracts.removeAll(keepingCapacity: true)
    isApart = apart
  }

  /// Adds a position. No contract may come twice: what its charges are depends on the whole.
  @inline(__always)
  public mutating func add(
    _ instrument: InstrumentID, _ quantity: Quantity, _ underlying: Int,
    _ table: borrowing RiskTable
  ) {
    let page = isApart ? ownPage(instrument) : underlying
    add(instrument, quantity, onPage: page, table)
  }

  /// Adds what counts of an asset.
  mutating func add(
    collateral leg: InstrumentID, _ quantity: Quantity, _ underlying: Int,
    _ legs: borrowing RiskTable
  ) {
    add(leg, quantity, onPage: isApart ? ownPage(nil) : underlying, legs)
  }

  private mutating func ownPage(_ contract: InstrumentID?) -> Int {
    contracts.append(contract)
    reserve(contracts.count)
    return contracts.count - 1
  }

  @inline(__always)
  private mutating func add(
    _ instrument: InstrumentID, _ quantity: Quantity, onPage page: Int,
    _ table: borrowing RiskTable
  ) {
    if !isUsed[page] {
      isUsed[page] = true
      used.append(page)
      sums.clear(page)
      totals[page] = ChargeTotals()
      tilts[page].clear()
    }
    table.add(instrument, quantity, to: &sums, page)
    let charges = table.charges(instrument)
    totals[page].add(charges, quantity, mark: table.mark(instrument))
    tilts[page].add(charges, quantity)
  }

  /// The page that a contract on the sheet stands on.
  public func page(of instrument: InstrumentID, _ underlying: UnderlyingID) -> Int {
    guard isApart else { return underlying.index }
    return contracts.firstIndex { $0 == instrument } ?? contracts.count
  }

  /// Where an account loses most.
  public struct Binding: Sendable, Equatable {
    /// Of the underlying, or of the contract.
    public var page: Int
    public var scenario: Int
  }

  /// What a full sheet asks, in notional units.
  public struct Requirement: Sendable {
    public var initial: Int128 = 0
    /// Of it, what maintenance is a share of: without the charges on entry.
    public var core: Int128 = 0
    /// Σ over pages of the worst scenario, without charges.
    public var scan: Int128 = 0
    /// The page with the heaviest worst scenario, none of collateral alone, and that scenario.
    public var binding: Binding?
  }

  /// - Parameter lambda: the share of netting across underlyings, where anything nets.
  public func requirement(lambda: Ratio) -> Requirement {
    var found = Requirement()
    var heaviest: Int128 = 0
    var (apart, delta, short): (Int128, Int128, Int128) = (0, 0, 0)
    var (basis, held): (Int128, Int128) = (0, 0)
    var owes = false
    for page in used {
      let (loss, scenario) = sums.worst(page)
      let scan = 0 - loss.raw
      let charge = totals[page]
      let (minimum, shorts) = (charge.deltaMinimum, charge.short)
      var asked = max(scan, minimum, shorts)
      if isApart {
        asked += tilts[page].total
        asked = charge.owes ? asked : min(asked, charge.held)
      } else {
        basis += tilts[page].total
      }
      apart += asked
      delta += minimum
      short += shorts
      held += charge.held
      found.initial += charge.doubt
      owes = owes || charge.owes
      found.scan += scan
      // The lowest number on a tie.
      let isBefore = page < (found.binding?.page ?? 0)
      let closes = !isApart || contracts[page] != nil
      if closes, let scenario, scan > heaviest || scan == heaviest && isBefore {
        heaviest = scan
        found.binding = Binding(page: page, scenario: scenario)
      }
    }
    var core = apart
    if lambda.raw > 0, !isApart {
      core = MarginSheet.mixed(joint: max(jointScan, delta, short), apart: apart, lambda: lambda)
    }
    core += basis
    found.core = owes || isApart ? core : min(core, held)
    found.initial += found.core
    return found
  }

  /// The worst scenario of all underlyings together.
  private var jointScan: Int128 {
    var worst: Int128 = 0
    for scenario in 0..<ScenarioSet.count {
      var sum: Int128 = 0
      for page in used { sum += sums[page, scenario].raw }
      worst = min(worst, sum)
    }
    return 0 - worst
  }

  /// λ·joint + (1 − λ)·apart, each rounded up; both are losses, not below zero.
  static func mixed(joint: Int128, apart: Int128, lambda: Ratio) -> Int128 {
    share(joint, lambda) + share(apart, Ratio(raw: Ratio.scale - lambda.raw))
  }

  /// amount × ratio, rounded up, without forming the product in full; not below zero, the ratio at most ten.
  @inline(__always)
  public static func share(_ amount: Int128, _ ratio: Ratio) -> Int128 {
    let (whole, rest) = amount.quotientAndRemainder(dividingBy: Int128(Ratio.scale))
    return whole * Int128(ratio.raw)
      + (rest * Int128(ratio.raw)).divided(by: Int128(Ratio.scale), rounding: .up)
  }

  // MARK: - The scan alone

  /// The sum of a scenario; zero for a page that is not used.
  public func sum(_ page: Int, _ scenario: Int) -> Int128 {
    isUsed[page] ? sums[page, scenario].raw : 0
  }

  /// The worst scenario of a page, at least zero.
  public func scan(_ page: Int) -> Int128 {
    isUsed[page] ? 0 - sums.worst(page).loss.raw : 0
  }

  /// The same without `quantity` contracts of one of its instruments.
  public func scan(
    _ page: Int, less quantity: Quantity, of instrument: InstrumentID,
    _ table: borrowing RiskTable
  ) -> Int128 {
    var least: Int128 = 0
    for scenario in 0..<ScenarioSet.count {
      let moved = Int128(quantity.raw) * Int128(table.unit(instrument, scenario).raw)
      least = min(least, sum(page, scenario) - moved)
    }
    return 0 - least
  }

  // MARK: - For the calculator, which reports each term

  func totals(_ underlying: Int) -> ChargeTotals { totals[underlying] }
  func tilt(_ underlying: Int) -> Int128 { isUsed[underlying] ? tilts[underlying].total : 0 }
}
