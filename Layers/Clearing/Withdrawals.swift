import Instruments
import Margin
import Primitives
import Risk
import Wire

// What may leave (field.md 5): initial margin holds after it with every price at its worse, profit
// counts up to a cap, and all of an asset together no faster than its limit. What open orders could
// still do, execution has judged: it alone knows them.

/// Why an amount may not leave, and what of the account is free by the rule.
struct WithdrawalRefusal {
  var code: ReceiptCode
  /// Of cash, before it leaves; of collateral, what would be free once it had left.
  var free = Money.zero
}

extension ClearingMachine {
  /// Why an amount may not leave; nil when it may, and then its outflow is counted.
  mutating func refusal(of amount: Money, of asset: AssetID, from account: AccountID)
    throws(ArithmeticFailure) -> WithdrawalRefusal?
  {
    if status[0].isLocked != 0 { return WithdrawalRefusal(code: .withdrawalsLocked) }
    if let refusal = try marginRefusal(of: amount, of: asset, from: account) { return refusal }
    return takeOutflow(amount, of: asset) ? nil : WithdrawalRefusal(code: .outflowLimit)
  }

  /// Why an account may not do without an amount, wherever it goes; nil when it may.
  mutating func marginRefusal(of amount: Money, of asset: AssetID, from account: AccountID)
    throws(ArithmeticFailure) -> WithdrawalRefusal?
  {
    if accounts[account.index].isRestricted {
      return WithdrawalRefusal(code: .withdrawalsLocked)
    }
    let held = asset == .quote ? heldBack(of: account) : 0
    let owes = accounts[account.index].firstPosition != 0 || accounts[account.index].cash.raw < 0
    let isMargin = asset == .quote || collateralTerms(asset).underlying != nil
    if isMargin, owes || held > 0 {
      repriceIfMoved()
      let leaving =
        asset == .quote ? nil : Leaving(asset: asset, amount: Amount(raw: amount.raw))
      let rule = try withdrawalRule(account, held: held, less: leaving)
      if let refusal = leaving == nil ? rule.refusal(of: amount) : rule.refusalAfterwards {
        return WithdrawalRefusal(code: ReceiptCode(refusal), free: rule.freeMoney)
      }
    }
    return nil
  }

  /// Lets marks and scenarios be those of the market as it stands.
  mutating func repriceIfMoved() {
    guard touched.marketChanges != pricedChanges else { return }
    reprice()
    pricedChanges = touched.marketChanges
  }

  /// Everything of an account at prudent prices, without what leaves; funding and interest have been
  /// booked.
  mutating func withdrawalRule(
    _ account: AccountID, held: Int128, less leaving: Leaving?
  ) throws(ArithmeticFailure) -> WithdrawalRule {
    // Beyond all money there is nothing is free, and no sum leaves its word.
    let standing = weigh(account, less: leaving)
    let requirement = min(
      standing.requirement + MarginSheet.share(standing.core, table.pegShare)
        + sizeCharge(account),
      Notional(Money(raw: 1 << 61)).raw)
    var profits = [Int128](repeating: 0, count: genesis.underlyings.count)
    var isFresh = true
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let position = positions[Int(next) - 1]
      next = position.next
      let id = position.instrument
      isFresh =
        isFresh && table.isPriced(id)
        && time.raw - table.time(id).raw <= genesis.constants.grantAgeMax
      profits[instruments[id.index].underlying.index] += prudentProfit(position)
    }
    var collateral: Int128 = 0
    next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      next = record.next
      guard let underlying = collaterals.underlying(record.asset) else { continue }
      let gone = leaving?.asset == record.asset ? leaving?.amount.raw ?? 0 : 0
      let amount = Amount(raw: record.amount.raw - gone)
      let low = prudentPrices(underlying).low
      collateral += (low * collaterals.quantity(record.asset, amount)).raw
      let age = time.raw - collaterals.time(record.asset).raw
      isFresh = isFresh && (amount.raw <= 0 || age <= genesis.constants.grantAgeMax)
    }
    let cap = Money(raw: genesis.constants.profitCountedMax)
    var markets: [WithdrawalRule.MarketProfit] = []
    for profit in profits where profit != 0 {
      let money = try Notional(raw: profit).money(rounding: .down)
      markets.append(WithdrawalRule.MarketProfit(amount: money, countedMax: cap))
    }
    return WithdrawalRule(
      cash: accounts[account.index].cash,
      collateral: try Notional(raw: collateral).money(rounding: .down), profits: markets,
      requirement: try Notional(raw: requirement).money(rounding: .up),
      reserved: Money(raw: Int64(clamping: held)),
      accrued: .zero, fees: .zero, areFeedsFresh: isFresh, isLocked: false)
  }

  /// Value less cost of a position at the prudent price of its side. No contract changes by more
  /// than its underlying does, so an option gives up the whole difference.
  private func prudentProfit(_ position: PositionRecord) -> Int128 {
    let instrument = instruments[position.instrument.index]
    let spot = indices[instrument.underlying.index].price
    let isPut = instrument.isOption && !instrument.isCall
    let losesInFall = (position.quantity.raw > 0) != isPut
    let prices = prudentPrices(instrument.underlying)
    let prudent = losesInFall ? prices.low : prices.high
    let gap = (Int128(spot.raw) - Int128(prudent.raw)).magnitude
    return (table.mark(instrument.id) * position.quantity).raw - Notional(position.cost).raw
      - Int128(gap) * Int128(position.quantity.raw.magnitude)
  }

  /// The prices a long and a short are judged at.
  private func prudentPrices(_ underlying: UnderlyingID) -> (low: Price, high: Price) {
    let spot = indices[underlying.index].price
    let recent = samples(underlying, upTo: time.raw / SettlementSamples.minute)
    let sum = recent.reduce(Int128(0)) { $0 + Int128($1) }
    let average = recent.isEmpty ? spot : Price(raw: Int64(sum / Int128(recent.count)))
    let confidence = Ratio(raw: Ratio.scale - minutes[underlying.index].doubt.raw)
    let band = Ratio(raw: genesis.constants.confidenceBand)
    return (
      PrudentPrice.low(spot: spot, average: average, confidence: confidence, band: band),
      PrudentPrice.high(spot: spot, average: average, confidence: confidence, band: band)
    )
  }

  /// Counts an amount against what may leave of its asset; false, and no change, beyond it.
  private mutating func takeOutflow(_ amount: Money, of asset: AssetID) -> Bool {
    let daily = Money(raw: genesis.constants.outflowDailyMax)
    guard daily.raw > 0 else { return true }
    let fund = funds[asset.index]
    var limit = OutflowLimit(
      daily: daily, burst: daily, used: Money(raw: fund.outflow),
      remainder: Int128(fund.outflowRemainder), at: fund.outflowTime)
    limit.refill(to: time)
    guard limit.take(out: amount, in: .zero) else { return false }
    funds[asset.index].outflow = daily.raw - limit.level.raw
    funds[asset.index].outflowRemainder = Int64(limit.remainder)
    funds[asset.index].outflowTime = limit.last
    return true
  }

  /// Whether nothing may leave in the next batch: what insolvent accounts lack exceeds what the
  /// fund has. Who lacks anything is restricted.
  mutating func lockWithdrawals() {
    var missing: Int128 = 0
    for account in restricted where isPriced(account) {
      missing += max(0, 0 - weigh(account).equity)
    }
    let isLocked: UInt32 = missing > Notional(Money(raw: funds[0].insurance)).raw ? 1 : 0
    if status[0].isLocked != isLocked { status[0].isLocked = isLocked }
  }

  @inline(__always)
  private func isPriced(_ account: AccountID) -> Bool {
    var next = accounts[account.index].firstPosition
    while next != 0 {
      guard table.isPriced(positions[Int(next) - 1].instrument) else { return false }
      next = positions[Int(next) - 1].next
    }
    return true
  }
}

extension ReceiptCode {
  fileprivate init(_ refusal: WithdrawalRule.Refusal) {
    self =
      switch refusal {
      case .locked: .withdrawalsLocked
      case .stale: .markTooOld
      case .balance: .insufficientBalance
      case .margin: .marginShort
      }
  }
}
