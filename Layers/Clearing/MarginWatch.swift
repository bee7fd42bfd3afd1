import Instruments
import Margin
public import Primitives
import Wire

/// An account's margin at the marks in force.
public struct MarginFigures: Sendable {
  /// Cash plus every position at its mark, less cost; rounded down.
  public let equity: Money
  /// Sum over underlyings of the worst scenario; rounded up.
  public let initial: Money
  /// The maintenance share of initial; rounded up.
  public let maintenance: Money
}

extension ClearingMachine {
  /// Recomputes marks if the market moved, then checks every account that may matter: below
  /// maintenance it may only reduce, its orders are cancelled and its worst position is closed
  /// against the book; above initial margin again it is free. A flat account's debt is paid by the
  /// insurance fund, as far as that reaches.
  ///
  /// Nothing is liquidated on a price that is not fresh.
  mutating func watchMargin(credit: BatchNumber) throws(ArithmeticFailure) {
    if touched.marketMoved { reprice() }
    let watched =
      touched.marketMoved
      ? (0..<accounts.count).map { AccountID(UInt32($0)) }
      : touched.accounts.sortedOnce()
    for account in watched { try watch(account, credit: credit) }
    // A close that found nothing is tried again once execution has seen it.
    if !touched.marketMoved {
      for index in 0..<accounts.count where accounts[index].isRestricted {
        try watch(AccountID(UInt32(index)), credit: credit)
      }
    }
  }

  private mutating func watch(_ account: AccountID, credit: BatchNumber)
    throws(ArithmeticFailure)
  {
    let record = accounts[account.index]
    guard record.firstPosition != 0 else {
      if record.isRestricted { restrict(account, false) }
      try coverDebt(account)
      return
    }
    guard isPriceable(account) else { return }
    let standing = standing(account)
    if standing.equity >= standing.requirement {
      if record.isRestricted { restrict(account, false) }
      return
    }
    let maintenance = maintenance(of: standing.requirement)
    if !record.isRestricted {
      guard standing.equity < maintenance else { return }
      restrict(account, true)
      directives.append(Directive(cancelAllOf: account))
    }
    let isSeen =
      accounts[account.index].closing == .max
      || (credit != ExecutionHeader.noCredit && accounts[account.index].closing <= credit.raw)
    guard isSeen, standing.equity < maintenance, let directive = close(account, standing) else {
      return
    }
    accounts[account.index].closing = status[0].batch
    touched.accounts.append(account)
    directives.append(directive)
  }

  private mutating func restrict(_ account: AccountID, _ isRestricted: Bool) {
    accounts[account.index].flags = isRestricted ? AccountFlags.reduceOnly.rawValue : 0
    if !isRestricted { accounts[account.index].closing = .max }
    touched.accounts.append(account)
    var receipt = Receipt(.restriction)
    receipt.buyer = account
    receipt.id = isRestricted ? 1 : 0
    receipt.buyerCash = accounts[account.index].cash
    receipts.write(record: receipt)
  }

  /// Pays a flat account's debt from the insurance fund.
  private mutating func coverDebt(_ account: AccountID) throws(ArithmeticFailure) {
    let debt = 0 - accounts[account.index].cash.raw
    guard debt > 0, funds[0].insurance > 0 else { return }
    let paid = min(debt, funds[0].insurance)
    funds[0].insurance -= paid
    var receipt = Receipt(.insurance)
    receipt.buyer = account
    receipt.paid = Money(raw: paid)
    receipt.buyerCash = try credit(account, .quote, paid)
    receipts.write(record: receipt)
  }

  // MARK: - Figures

  /// Exact standing of an account, in notional units.
  struct Standing {
    var equity: Int128
    /// Initial margin.
    var requirement: Int128
    /// The underlying with the heaviest worst scenario, and that scenario.
    var binding: (underlying: UnderlyingID, scenario: Int)?
  }

  /// Equity and initial margin of an account from its positions, one underlying after the other.
  func standing(_ account: AccountID) -> Standing {
    var equity = Notional(accounts[account.index].cash).raw
    var groups: [(underlying: UnderlyingID, sums: InlineArray<32, Int128>)] = []
    forEachPosition(account) { _, position in
      let instrument = instruments[position.instrument.index]
      equity += (table.mark(instrument.id) * position.quantity).raw
      equity -= Notional(position.cost).raw
      let place: Int
      if let known = groups.firstIndex(where: { $0.underlying == instrument.underlying }) {
        place = known
      } else {
        place = groups.count
        groups.append((instrument.underlying, .init(repeating: 0)))
      }
      for scenario in 0..<ScenarioSet.count {
        groups[place].sums[scenario] += (table.unit(instrument.id, scenario) * position.quantity).raw
      }
    }
    var standing = Standing(equity: equity, requirement: 0, binding: nil)
    var heaviest: Int128 = 0
    for group in groups {
      var worst: Int128 = 0
      var scenario = 0
      for index in 0..<ScenarioSet.count where group.sums[index] < worst {
        worst = group.sums[index]
        scenario = index
      }
      standing.requirement -= worst
      if worst < heaviest {
        heaviest = worst
        standing.binding = (group.underlying, scenario)
      }
    }
    return standing
  }

  /// ceil(initial × maintenance factor), in notional units.
  func maintenance(of requirement: Int128) -> Int128 {
    (requirement * Int128(genesis.constants.maintenanceFactor))
      .divided(by: Int128(Ratio.scale), rounding: .up)
  }

  /// The figures people see.
  public func margin(_ account: AccountID) -> MarginFigures {
    let standing = standing(account)
    func money(_ notional: Int128, _ rounding: Rounding) -> Money {
      Money(raw: Int64(clamping: notional.divided(by: Notional.perMoney, rounding: rounding)))
    }
    return MarginFigures(
      equity: money(standing.equity, .down), initial: money(standing.requirement, .up),
      maintenance: money(maintenance(of: standing.requirement), .up))
  }

  /// Whether every position has a mark from a fresh index.
  private func isPriceable(_ account: AccountID) -> Bool {
    var result = true
    forEachPosition(account) { _, position in
      let instrument = instruments[position.instrument.index]
      if !table.isPriced(instrument.id) || !isFresh(instrument.underlying) { result = false }
    }
    return result
  }

  // MARK: - Closing

  /// The order that closes what loses most in the binding scenario: the whole position, at worst a
  /// band away from the mark.
  private func close(_ account: AccountID, _ standing: Standing) -> Directive? {
    guard let binding = standing.binding else { return nil }
    var worst: Int128 = 0
    var choice: PositionRecord?
    forEachPosition(account) { _, position in
      let instrument = instruments[position.instrument.index]
      guard instrument.underlying == binding.underlying, instrument.trades(at: time) else { return }
      let loss = (table.unit(instrument.id, binding.scenario) * position.quantity).raw
      if loss < worst {
        worst = loss
        choice = position
      }
    }
    guard let position = choice else { return nil }
    let instrument = instruments[position.instrument.index]
    let side: Side = position.quantity.raw > 0 ? .sell : .buy
    return Directive(
      close: account, instrument: instrument.id, side: side,
      quantity: Quantity(raw: Int64(clamping: position.quantity.raw.magnitude)),
      worst: worstPrice(instrument, side))
  }

  /// The mark moved against the account by the close band; an option's band is taken of its mark
  /// and a tenth of the index, since a cheap option's own price says little. Rounded to the tick,
  /// away from the mark; at least one tick and at most the highest price.
  private func worstPrice(_ instrument: Instrument, _ side: Side) -> Price {
    let mark = table.mark(instrument.id).raw
    let index = indices[instrument.underlying.index].price.raw
    let base = Int128(mark) + (instrument.isOption ? Int128(index) / 10 : 0)
    let band = (base * Int128(genesis.constants.closeBand))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    let tick = Int128(instrument.tick.raw)
    let limit =
      side == .buy
      ? (Int128(mark) + band).divided(by: tick, rounding: .up) * tick
      : (Int128(mark) - band).divided(by: tick, rounding: .down) * tick
    return Price(raw: Int64(min(max(limit, tick), Int128(instrument.priceMax.raw))))
  }

  /// Recomputes marks and unit vectors from the market record.
  mutating func reprice() {
    var markets: [UnderlyingMarket] = []
    for slot in 0..<indices.count {
      markets.append(UnderlyingMarket(index: indices[slot].price, time: indices[slot].time))
    }
    for slot in 0..<slices.count {
      let entry = slices[slot]
      markets[entry.underlying.index].slices.append(entry.expirySlice)
    }
    for slot in 0..<instruments.count {
      let instrument = instruments[slot]
      table.update(instrument, market: markets[instrument.underlying.index])
    }
  }
}
