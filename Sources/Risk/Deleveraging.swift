public import Primitives

/// Auto-deleveraging that knows hedges (quant.md 3.4): lots whose close raises their owner's
/// requirement are taken after all others, and then the leg they hedge closes with them, at its
/// mark.
public enum Deleveraging {
  /// Another position of a candidate on the same underlying.
  public struct Leg: Hashable, Sendable {
    public let instrument: InstrumentID
    public let lots: Int64
    /// Change of value of one lot as held, by scenario.
    public let unit: [Int128]

    public init(instrument: InstrumentID, lots: Int64, unit: [Int128]) {
      precondition(lots >= 0)
      self.instrument = instrument
      self.lots = lots
      self.unit = unit
    }
  }

  /// An account on the side opposite to the bankrupt one, solvent, and not of its owner.
  /// Values in notional units; scenario changes are the covered ones of `RiskTable`.
  public struct Candidate: Hashable, Sendable {
    public let account: AccountID
    public let equity: Notional
    /// What one lot loses by closing at the bankruptcy price rather than at the mark.
    public let lossPerLot: Notional
    /// Requirement of its other underlyings.
    public let base: Notional
    /// Scenario sums of the underlying, the position and its legs included.
    public let sums: [Int128]
    /// The position to close: lots, and the change of value of one as held, by scenario.
    public let lots: Int64
    public let unit: [Int128]
    /// In the order of instruments.
    public var legs: [Leg]

    public init(
      account: AccountID, equity: Notional, lossPerLot: Notional, base: Notional, sums: [Int128],
      lots: Int64, unit: [Int128], legs: [Leg]
    ) {
      precondition(unit.count == sums.count && legs.allSatisfy { $0.unit.count == sums.count })
      self.account = account
      self.equity = equity
      self.lossPerLot = lossPerLot
      self.base = base
      self.sums = sums
      self.lots = lots
      self.unit = unit
      self.legs = legs
    }

    /// Whether the position stands against others of the account: its last lot raises the requirement.
    /// A requirement is convex, so where that one does not, none does.
    ///
    /// - Throws: `.overflow` as `plan` does.
    public func isHedged() throws(ArithmeticFailure) -> Bool {
      let path = try DeleveragingPath(
        account: account, lots: lots, equity: equity.raw, lossPerLot: lossPerLot.raw,
        base: base.raw, sums: sums, changePerLot: unit.map { 0 - $0 })
      return lots > 0 && path.requirement(lots) > path.requirement(lots - 1)
    }
  }

  /// What one account gives.
  public struct Part: Hashable, Sendable {
    public let account: AccountID
    /// Lots closed at the bankruptcy price.
    public let lots: Int64
    /// The leg that closes with them at its mark, rounded down to the lot.
    public let paired: InstrumentID?
    public let pairedLots: Int64
  }

  public struct Plan: Sendable {
    /// In the order of accounts.
    public let parts: [Part]
    /// Lots nobody could take.
    public let left: Int64
    /// Proof over lots that raise no requirement, and over the others where they were needed. The
    /// checker makes the paths anew from the candidates.
    public let first: WaterFilling.Certificate
    public let second: WaterFilling.Certificate?
  }

  /// The two paths of a candidate: lots that do not raise its requirement, then the rest with the
  /// leg that hedges them.
  struct Paths {
    let first: DeleveragingPath
    let second: DeleveragingPath
    let paired: Leg?
    /// Lots of the leg that close when all of the second path does.
    let pairedLots: Int64

    init(_ candidate: Candidate) throws(ArithmeticFailure) {
      let minus = candidate.unit.map { 0 - $0 }
      let whole = try DeleveragingPath(
        account: candidate.account, lots: candidate.lots, equity: candidate.equity.raw,
        lossPerLot: candidate.lossPerLot.raw, base: candidate.base.raw, sums: candidate.sums,
        changePerLot: minus)
      let easy = DeleveragingPath.first(0..<candidate.lots) {
        whole.requirement($0 + 1) > whole.requirement($0)
      }
      first = try DeleveragingPath(
        account: candidate.account, lots: easy, equity: candidate.equity.raw,
        lossPerLot: candidate.lossPerLot.raw, base: candidate.base.raw, sums: candidate.sums,
        changePerLot: minus)
      let rest = candidate.lots - easy
      let (leg, legLots) = rest > 0 ? try Paths.pair(candidate, whole) : (nil, 0)
      paired = leg
      pairedLots = legLots
      // Times the lots of the rest, so that a part of the lots takes the same part of the leg.
      let factor = Int128(max(1, rest))
      var sums: [Int128] = []
      var steps: [Int128] = []
      for place in candidate.sums.indices {
        let start = candidate.sums[place] - Int128(easy) * candidate.unit[place]
        sums.append(try Paths.product(start, factor))
        let legs = try leg.map { leg throws(ArithmeticFailure) in
          try Paths.product(leg.unit[place], Int128(legLots))
        }
        steps.append(try Paths.product(minus[place], factor) - (legs ?? 0))
      }
      second = try DeleveragingPath(
        account: candidate.account, lots: rest, equity: Paths.product(whole.equity(easy), factor),
        lossPerLot: Paths.product(candidate.lossPerLot.raw, factor),
        base: Paths.product(candidate.base.raw, factor), sums: sums, changePerLot: steps)
    }

    private static func product(_ a: Int128, _ b: Int128) throws(ArithmeticFailure) -> Int128 {
      let (product, overflow) = a.multipliedReportingOverflow(by: b)
      guard !overflow, product.magnitude < DeleveragingPath.valueMax.magnitude else {
        throw .overflow("deleveraging path")
      }
      return product
    }

    /// The leg, and how much of it, whose close leaves the least requirement once the position is
    /// gone; none where no close lowers it. Ties go to the first leg and the fewest lots.
    private static func pair(_ candidate: Candidate, _ whole: DeleveragingPath)
      throws(ArithmeticFailure) -> (Leg?, Int64)
    {
      var choice: (leg: Leg?, lots: Int64) = (nil, 0)
      var least = whole.requirement(candidate.lots)
      let bare = candidate.sums.indices.map {
        candidate.sums[$0] - Int128(candidate.lots) * candidate.unit[$0]
      }
      for leg in candidate.legs {
        let path = try DeleveragingPath(
          account: candidate.account, lots: leg.lots, equity: 0, lossPerLot: 0,
          base: candidate.base.raw, sums: bare, changePerLot: leg.unit.map { 0 - $0 })
        let lots = DeleveragingPath.first(0..<leg.lots) {
          path.requirement($0 + 1) >= path.requirement($0)
        }
        if path.requirement(lots) < least {
          least = path.requirement(lots)
          choice = (leg, lots)
        }
      }
      return choice
    }
  }

  /// Closes `lots` against the candidates.
  ///
  /// - Parameters:
  ///   - factor: maintenance over initial.
  ///   - sparing: whether lots that raise their owner's requirement are left alone.
  /// - Precondition: accounts strictly increase.
  /// - Throws: `.overflow` when values pass 2^120 notional units times lots.
  public static func plan(
    _ candidates: [Candidate], closing lots: Int64, factor: Ratio, sparing: Bool = false
  ) throws(ArithmeticFailure) -> Plan {
    precondition(lots >= 0)
    var paths: [Paths] = []
    for candidate in candidates { paths.append(try Paths(candidate)) }
    let (firstLots, secondLots) = division(of: lots, among: paths, sparing)
    let first = WaterFilling.certificate(paths.map(\.first), closing: firstLots, factor: factor)
    var second: WaterFilling.Certificate?
    if secondLots > 0 {
      second = WaterFilling.certificate(paths.map(\.second), closing: secondLots, factor: factor)
    }
    var parts: [Part] = []
    for place in paths.indices {
      parts.append(
        part(paths[place], first.shares[place].lots, second?.shares[place].lots ?? 0))
    }
    return Plan(
      parts: parts, left: lots - firstLots - secondLots, first: first, second: second)
  }

  /// How many lots raise no requirement, and how many of the others are needed.
  private static func division(of lots: Int64, among paths: [Paths], _ sparing: Bool)
    -> (first: Int64, second: Int64)
  {
    let easy = WaterFilling.total(paths.map(\.first.lots))
    let hard = sparing ? 0 : WaterFilling.total(paths.map(\.second.lots))
    let first = Int64(min(easy, Int128(lots)))
    return (first, Int64(min(hard, Int128(lots - first))))
  }

  private static func part(_ paths: Paths, _ easy: Int64, _ hard: Int64) -> Part {
    // Lots × lots fits Int128, and the quotient is at most the leg's lots.
    let paired = hard > 0 ? Int128(paths.pairedLots) * Int128(hard) / Int128(paths.second.lots) : 0
    return Part(
      account: paths.first.account, lots: easy + hard,
      paired: paired > 0 ? paths.paired?.instrument : nil, pairedLots: Int64(paired))
  }

  /// Whether a plan is the one: both certificates hold, the second is there only when the first
  /// takes all it can, and the parts are theirs.
  public static func isValid(
    _ plan: Plan, for candidates: [Candidate], closing lots: Int64, factor: Ratio,
    sparing: Bool = false
  ) throws(ArithmeticFailure) -> Bool {
    var paths: [Paths] = []
    for candidate in candidates { paths.append(try Paths(candidate)) }
    let (firstLots, secondLots) = division(of: lots, among: paths, sparing)
    guard plan.left == lots - firstLots - secondLots, (plan.second != nil) == (secondLots > 0),
      plan.parts.count == paths.count,
      WaterFilling.isValid(
        plan.first, for: paths.map(\.first), closing: firstLots, factor: factor)
    else { return false }
    if let second = plan.second,
      !WaterFilling.isValid(
        second, for: paths.map(\.second), closing: secondLots, factor: factor)
    {
      return false
    }
    return paths.indices.allSatisfy { place in
      plan.parts[place]
        == part(
          paths[place], plan.first.shares[place].lots, plan.second?.shares[place].lots ?? 0)
    }
  }
}
