public import Primitives

/// Which accounts give up how many lots: the highest level L of maintenance over equity such that
/// bringing every account down to L takes at least what must be closed (quant.md 3.4; Campbell, Hey,
/// Moallemi, Nutz, arXiv:2603.15963). Levels are whole counts of 1e-9.
public enum WaterFilling {
  public static let levelMax: Int64 = .max - 1

  /// One account's part, with what proves it.
  public struct Share: Hashable, Sendable {
    public let account: AccountID
    /// Lots closed.
    public var lots: Int64
    /// x(level + 1) and x(level): the account gives at least the one and at most the other.
    public var low: Int64
    public var high: Int64
    /// Where maintenance − level × equity turns, at the two levels: shows that a level is beyond
    /// the account's reach.
    public var lowTurn: Int64
    public var highTurn: Int64
  }

  /// The result and its proof: a verifier needs the paths, the lots to close, and this.
  public struct Certificate: Hashable, Sendable {
    /// The highest level at which enough is closed; −1 where every account gives all.
    public var level: Int64
    /// Lots beyond `low` that every account gives, as far as its `high` allows.
    public var round: Int64
    /// In the order of accounts.
    public var shares: [Share]
  }

  /// Divides `lots` among the paths: each gives what brings it to the level above, and what is then
  /// missing is given lot by lot in turn, in the order of accounts, down to the level itself.
  ///
  /// Cost: 64 levels × accounts × two binary searches over lots.
  ///
  /// - Parameter factor: maintenance over initial, the same for all.
  /// - Precondition: accounts strictly increase; 0 ≤ lots ≤ all lots of the paths.
  public static func certificate(_ paths: [DeleveragingPath], closing lots: Int64, factor: Ratio)
    -> Certificate
  {
    precondition(isOrdered(paths) && lots >= 0 && Int128(lots) <= total(paths.map(\.lots)))
    // The condition of the search fails from some level on, so its negation holds from there on.
    let above = DeleveragingPath.first(0..<levelMax + 1) { level in
      total(paths.map { $0.least(level, turn: $0.turn(level, factor), factor) }) < Int128(lots)
    }
    let level = above - 1
    var shares = paths.map { path in
      let lowTurn = path.turn(max(0, above), factor)
      let highTurn = path.turn(max(0, level), factor)
      let low = path.least(above, turn: lowTurn, factor)
      return Share(
        account: path.account, lots: low, low: low,
        high: path.least(level, turn: highTurn, factor), lowTurn: lowTurn, highTurn: highTurn)
    }
    var left = Int128(lots) - total(shares.map(\.low))
    let widest = shares.map { $0.high - $0.low }.max() ?? 0
    // The last round that all can take part in.
    let round =
      DeleveragingPath.first(0..<widest) { round in
        total(shares.map { min($0.high - $0.low, round + 1) }) > left
      }
    for place in shares.indices {
      let part = min(shares[place].high - shares[place].low, round)
      shares[place].lots += part
      left -= Int128(part)
    }
    for place in shares.indices where left > 0 && shares[place].lots < shares[place].high {
      shares[place].lots += 1
      left -= 1
    }
    return Certificate(level: level, round: round, shares: shares)
  }

  /// Checks a certificate without searching: a handful of comparisons an account.
  public static func isValid(
    _ certificate: Certificate, for paths: [DeleveragingPath], closing lots: Int64, factor: Ratio
  ) -> Bool {
    let (level, shares) = (certificate.level, certificate.shares)
    guard isOrdered(paths), shares.map(\.account) == paths.map(\.account), level >= -1,
      level <= levelMax, certificate.round >= 0
    else { return false }
    // Enough at the level, too little one above it: no higher level does.
    guard total(shares.map(\.lots)) == Int128(lots), total(shares.map(\.high)) >= Int128(lots),
      total(shares.map(\.low)) < Int128(lots) || (lots == 0 && level == levelMax)
    else { return false }
    var isTurnOver = false
    for (path, share) in zip(paths, shares) {
      guard share.low >= 0, share.low <= share.high, share.high <= path.lots,
        isLeast(share.low, path, level + 1, turn: share.lowTurn, factor),
        isLeast(share.high, path, level, turn: share.highTurn, factor)
      else { return false }
      // In turn: every account gives `round` beyond its low, the first ones a lot more.
      let gap = share.high - share.low
      let part = share.lots - share.low
      if gap <= certificate.round {
        guard part == gap else { return false }
      } else if part == certificate.round {
        isTurnOver = true
      } else {
        guard part == certificate.round + 1, !isTurnOver else { return false }
      }
    }
    return true
  }

  /// Whether x(level) = `lots`, by its neighbour or by the turning point.
  private static func isLeast(
    _ lots: Int64, _ path: DeleveragingPath, _ level: Int64, turn: Int64, _ factor: Ratio
  ) -> Bool {
    if level < 0 { return lots == path.lots }
    if level > levelMax { return lots == 0 }
    if path.isWithin(level, lots, factor) {
      return lots == 0 || !path.isWithin(level, lots - 1, factor)
    }
    return lots == path.lots && turn >= 0 && turn <= path.lots
      && !path.isWithin(level, turn, factor)
      && (turn == 0 || !path.isRising(level, turn - 1, factor))
      && (turn == path.lots || path.isRising(level, turn, factor))
  }

  private static func isOrdered(_ paths: [DeleveragingPath]) -> Bool {
    zip(paths, paths.dropFirst()).allSatisfy { $0.account < $1.account }
  }

  static func total(_ lots: [Int64]) -> Int128 { lots.reduce(0) { $0 + Int128($1) } }
}
