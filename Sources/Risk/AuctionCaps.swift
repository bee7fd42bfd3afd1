public import Primitives

/// How much may be under auction at once, in total and per market: Maker's `Hole` and `hole`
/// (field.md 2.6), the valve against cascades.
public struct AuctionCaps: Hashable, Sendable {
  /// Notional that may be under auction in all.
  public private(set) var totalMax: Money
  /// The same of each market, by dense market number.
  public private(set) var marketMax: [Money]
  /// What is under auction.
  public private(set) var total: Money = .zero
  public private(set) var market: [Money]

  public init(totalMax: Money, marketMax: [Money]) {
    self.totalMax = totalMax
    self.marketMax = marketMax
    market = marketMax.map { _ in .zero }
  }

  /// What may still be put under auction in a market.
  public func room(_ place: Int) -> Money {
    let all = Int128(totalMax.raw) - Int128(total.raw)
    let own = Int128(marketMax[place].raw) - Int128(market[place].raw)
    return Money(raw: Int64(clamping: max(0, min(all, own))))
  }

  /// Admits as much of `wanted` as there is room for and says how much; nothing where less than
  /// `least` would be admitted or, unless all is, be left over: no dust on either side.
  public mutating func admit(_ wanted: Money, to place: Int, least: Money) -> Money {
    guard wanted.raw > 0 else { return .zero }
    var part = min(wanted, room(place))
    let rest = Int128(wanted.raw) - Int128(part.raw)
    if rest > 0, rest < Int128(least.raw) {
      part = Money(raw: Int64(clamping: max(0, Int128(wanted.raw) - Int128(least.raw))))
    }
    guard part.raw > 0, part >= least || part == wanted else { return .zero }
    // Both stay within their limits, so neither overflows.
    total = Money(raw: total.raw + part.raw)
    market[place] = Money(raw: market[place].raw + part.raw)
    return part
  }

  /// Frees what was sold or called off.
  /// - Precondition: no more than was admitted to the market.
  public mutating func release(_ part: Money, from place: Int) {
    precondition(part.raw >= 0 && part <= market[place] && part <= total)
    total = Money(raw: total.raw - part.raw)
    market[place] = Money(raw: market[place].raw - part.raw)
  }

  /// Sets new limits: what is already under auction stays, and nothing new comes while it is over.
  public mutating func limit(total: Money, markets: [Money]) {
    precondition(markets.count == marketMax.count)
    totalMax = total
    marketMax = markets
  }
}

/// Payouts of the fund above what makes a debt good: so much a market and day of batch time
/// (field.md 5), the day beginning with its first payout.
public struct PayoutCap: Hashable, Sendable {
  public static let day: Int64 = 86_400_000
  public let dailyMax: Money
  private var start: Timestamp = .zero
  private var paid: Money = .zero

  public init(dailyMax: Money) { self.dailyMax = dailyMax }

  /// What may still be paid at `time` for an auction of `notional`: the less of the day's rest and
  /// the governed share of notional, rounded down.
  public func room(_ time: Timestamp, notional: Money, share: Ratio) throws(ArithmeticFailure)
    -> Money
  {
    let rest =
      isNewDay(time) ? dailyMax : Money(raw: max(0, dailyMax.raw - paid.raw))
    return try min(rest, notional.share(share, rounding: .down))
  }

  private func isNewDay(_ time: Timestamp) -> Bool {
    Int128(time.raw) - Int128(start.raw) >= Int128(PayoutCap.day)
  }

  /// Notes a payout within the room.
  public mutating func pay(_ amount: Money, at time: Timestamp) throws(ArithmeticFailure) {
    precondition(amount.raw >= 0)
    if isNewDay(time) {
      start = time
      paid = .zero
    }
    paid = try paid.adding(amount)
  }
}
