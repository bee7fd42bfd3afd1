import Margin
import Primitives
import Wire

// What other assets count in the admission bound: kept value in equity, and a leg of their
// underlying in the sums, both from what was granted less what has left since.

extension BalanceRecord {
  /// What of a balance has not left. A Clearance's amount is anything: the difference may wrap, and
  /// then counts nothing.
  var left: Amount { Amount(raw: granted.raw &- outflow.raw) }
}

extension ExecutionMachine {
  /// Changes a balance, and with it what of it counts.
  mutating func setBalance(_ slot: Int, granted: Amount, outflow: Amount) {
    let before = balances[slot].left
    balances[slot].granted = granted
    balances[slot].outflow = outflow
    let (account, asset) = (balances[slot].account, balances[slot].asset)
    let after = balances[slot].left
    guard before != after, let underlying = collaterals.underlying(asset) else { return }
    risk.equity[account.index] +=
      collaterals.worth(asset, after).kept - collaterals.worth(asset, before).kept
    let sums = risk.slot(account, underlying, .init(asset))
    let worst = collaterals.move(asset, from: before, to: after, in: &risk.sums, sums)
    risk.set(account, sums, worst: worst)
  }

  /// What an account's balances add to its equity: value less haircuts and doubt.
  func keptCollateral(_ account: AccountID) -> Int128 {
    var kept: Int128 = 0
    var next = credits[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      kept += collaterals.worth(record.asset, record.left).kept
      next = record.next
    }
    return kept
  }

  /// Adds every balance that counts to the sums, which were cleared.
  mutating func rebuildCollateral() {
    for slot in 0..<balances.count {
      let record = balances[slot]
      guard let underlying = collaterals.underlying(record.asset) else { continue }
      let sums = risk.slot(record.account, underlying, .init(record.asset))
      collaterals.move(
        record.asset, from: Amount(raw: 0), to: record.left, in: &risk.sums, sums)
    }
  }

  /// Debits a withdrawal of another asset, or says why not: initial margin must hold after it where
  /// the account owes anything.
  mutating func debit(
    _ amount: Int64, of asset: AssetID, account: AccountID
  ) -> Outcome? {
    guard let slot = balanceSlot(account, asset) else {
      return .rejected(.insufficientBalance, amount, 0)
    }
    let free = balances[slot].left.raw
    guard amount <= free else { return .rejected(.insufficientBalance, amount, max(0, free)) }
    let outflow = balances[slot].outflow
    let credit = credits[account.index]
    let owes = credit.firstHolding != 0 || credit.cash < credit.outflow
    let counts = collaterals.counts(asset)
    let room = room(left: account)
    if counts, owes {
      let own = time.raw - collaterals.time(asset).raw
      let age = staleAge(account) ?? own
      guard age <= genesis.constants.grantAgeMax else {
        return .rejected(.marketDataStale, age, genesis.constants.grantAgeMax)
      }
    }
    setBalance(
      slot, granted: balances[slot].granted, outflow: Amount(raw: outflow.raw + amount))
    let after = self.room(left: account)
    guard counts, owes, after < 0 else { return nil }
    setBalance(slot, granted: balances[slot].granted, outflow: outflow)
    return .rejected(.insufficientMargin, moneyFloor(after), moneyFloor(room))
  }
}
