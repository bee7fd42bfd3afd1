public import Primitives

/// An account as lot after lot of one position is closed: scenario sums and equity move in straight
/// lines, so its requirement is convex in the lots closed (quant.md 3.4).
///
/// All values are in one unit of value, `Notional`'s by custom; a common factor changes nothing.
public struct DeleveragingPath: Hashable, Sendable {
  public let account: AccountID
  /// Lots that may be closed.
  public let lots: Int64
  /// Equity before the first lot, and what each lot closed at the bankruptcy price loses of it.
  let equity: Int128
  let loss: Int128
  /// Requirement that the close does not touch: of other underlyings; at least zero.
  let base: Int128
  /// Change of value in each scenario before the first lot, and what each lot closed adds to it.
  let start: [Int128]
  let step: [Int128]

  /// Values may not pass this, so that sums stay far from the ends of Int128.
  static let valueMax: Int128 = 1 << 120

  /// - Throws: `.overflow` when a value along the path passes 2^120.
  public init(
    account: AccountID, lots: Int64, equity: Int128, lossPerLot loss: Int128, base: Int128,
    sums start: [Int128], changePerLot step: [Int128]
  ) throws(ArithmeticFailure) {
    precondition(lots >= 0 && base >= 0 && start.count == step.count)
    self.account = account
    self.lots = lots
    self.equity = equity
    self.loss = loss
    self.base = base
    self.start = start
    self.step = step
    try DeleveragingPath.check(base, 0, lots)
    try DeleveragingPath.check(equity, loss, lots)
    for place in start.indices { try DeleveragingPath.check(start[place], step[place], lots) }
  }

  private static func check(_ start: Int128, _ step: Int128, _ lots: Int64)
    throws(ArithmeticFailure)
  {
    let (moved, overflow) = step.multipliedReportingOverflow(by: Int128(lots))
    guard !overflow, moved.magnitude < valueMax.magnitude, start.magnitude < valueMax.magnitude,
      step.magnitude < valueMax.magnitude
    else { throw .overflow("deleveraging path") }
  }

  /// Initial requirement after `closed` lots: what the worst scenario loses, at least zero, and the
  /// base.
  public func requirement(_ closed: Int64) -> Int128 {
    var worst: Int128 = 0
    for place in start.indices { worst = min(worst, start[place] + Int128(closed) * step[place]) }
    return base - worst
  }

  public func equity(_ closed: Int64) -> Int128 { equity - Int128(closed) * loss }

  /// Whether maintenance (factor × requirement) over equity is at most `level` after `closed` lots,
  /// decided exactly. Never for an account without equity and with a requirement.
  ///
  /// The lots for which it holds are neighbours: a convex function is held below a straight line.
  func isWithin(_ level: Int64, _ closed: Int64, _ factor: Ratio) -> Bool {
    Int128.isProduct(
      requirement(closed), Int128(factor.raw), atMost: equity(closed), Int128(level))
  }

  /// Whether the lot after `closed` brings maintenance − level × equity no lower.
  func isRising(_ level: Int64, _ closed: Int64, _ factor: Ratio) -> Bool {
    let growth = requirement(closed + 1) - requirement(closed)
    return Int128.isProduct(0 - loss, Int128(level), atMost: growth, Int128(factor.raw))
  }

  /// The first of `range` for which a condition holds that, once true, stays so; its end if none.
  static func first(_ range: Range<Int64>, where holds: (Int64) -> Bool) -> Int64 {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = low + (high - low) / 2
      if holds(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Lots after which maintenance − level × equity falls no further.
  func turn(_ level: Int64, _ factor: Ratio) -> Int64 {
    DeleveragingPath.first(0..<lots) { isRising(level, $0, factor) }
  }

  /// x(level): the least lots that bring the account to `level`, all of them where none do. All
  /// below the level 0, none above the last.
  func least(_ level: Int64, turn: Int64, _ factor: Ratio) -> Int64 {
    if level < 0 { return lots }
    if level > WaterFilling.levelMax { return 0 }
    if !isWithin(level, turn, factor) { return lots }
    return DeleveragingPath.first(0..<turn) { isWithin(level, $0, factor) }
  }
}
