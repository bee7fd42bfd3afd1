import Primitives
import Risk
import Wire

// Interest on negative cash: one index of what a unit of debt has cost since the beginning, which
// grows by the rate in force; a debt owes what the index grew by since cash last changed, less what
// it was booked. Paid to the insurance fund, which lends the cash.

extension ClearingMachine {
  /// Lets interest run over the time since the batch before, at the rate that stood.
  mutating func runInterest(since last: Timestamp) throws(ArithmeticFailure) {
    let elapsed = time.raw - last.raw
    guard factors.interest.raw > 0, elapsed > 0 else { return }
    var index = funds[0].interest
    try index.grow(rate: factors.interest, elapsed: elapsed)
    funds[0].setInterest(index)
  }

  /// Adds to an account's cash and gives what stands there after. A debt's interest is booked first,
  /// and what is left of it runs anew: cash changes nowhere else.
  @inline(__always)
  mutating func addCash(_ change: Int64, to account: AccountID) throws(ArithmeticFailure) -> Money {
    guard change != 0 else { return accounts[account.index].cash }
    let isDebt = accounts[account.index].cash.raw < 0
    if isDebt { try bookInterest(account) }
    let cash = try accounts[account.index].cash.adding(Money(raw: change))
    accounts[account.index].cash = cash
    if isDebt || cash.raw < 0 { restartInterest(account) }
    return cash
  }

  /// Books what a debt owes since it was last booked, rounded up.
  mutating func bookInterest(_ account: AccountID) throws(ArithmeticFailure) {
    guard accounts[account.index].cash.raw < 0 else { return }
    var debt = accounts[account.index].debt
    let due = try debt.touch(debt: accounts[account.index].principal, funds[0].interest)
    guard due.raw > 0 else { return }
    let cash = try accounts[account.index].cash.subtracting(due)
    funds[0].insurance = try sum(funds[0].insurance, due.raw)
    accounts[account.index].cash = cash
    accounts[account.index].debtBooked = debt.booked
    touched.touch(account)
    var receipt = Receipt(.interest)
    receipt.buyer = account
    receipt.paid = due
    receipt.buyerCash = cash
    receipts.write(record: receipt)
  }

  /// What cash stands now runs from now on: a debt keeps the index, anything else keeps nothing.
  private mutating func restartInterest(_ account: AccountID) {
    let isDebt = accounts[account.index].cash.raw < 0
    accounts[account.index].debtIndexLow = isDebt ? funds[0].interestLow : 0
    accounts[account.index].debtIndexHigh = isDebt ? funds[0].interestHigh : 0
    accounts[account.index].debtBooked = .zero
  }

  /// What a debt owes and was not yet booked, in notional units.
  @inline(__always)
  func accruedInterest(_ account: AccountID) -> Int128 {
    let record = accounts[account.index]
    guard record.cash.raw < 0 else { return 0 }
    var debt = record.debt
    do throws(ArithmeticFailure) {
      return Notional(try debt.touch(debt: record.principal, funds[0].interest)).raw
    } catch {
      // Beyond all money there is: the booking refuses it.
      return 0
    }
  }
}

extension FundRecord {
  var interest: CumulativeIndex {
    CumulativeIndex.interest(
      value: Int128(interestHigh) &<< 64 | Int128(interestLow),
      remainder: Int128(interestRemainder))
  }

  mutating func setInterest(_ index: CumulativeIndex) {
    interestLow = UInt64(truncatingIfNeeded: index.value)
    interestHigh = Int64(truncatingIfNeeded: index.value &>> 64)
    interestRemainder = Int64(index.remainder)
  }
}

extension AccountRecord {
  var debt: IndexedHolding {
    IndexedHolding(
      opened: Int128(debtIndexHigh) &<< 64 | Int128(debtIndexLow), booked: debtBooked)
  }

  /// The debt that interest runs on: without what was booked since.
  var principal: Money { Money(raw: 0 - cash.raw - debtBooked.raw) }
}
