import Primitives
import Risk
import Wire

// What an owner's account is short of, his others pay before the insurance fund does (field.md 5):
// nobody keeps in one account what another of his lost of the house's money.

extension ClearingMachine {
  /// Takes towards a debt of an account what the owner's others can do without, by number, each as
  /// much as it could be told to pay now; what it gave in all.
  ///
  /// What execution has admitted on that cash meanwhile is judged as it then stands: fills are
  /// booked, withdrawals and bids answered anew.
  @discardableResult
  mutating func callOwner(of account: AccountID, for debt: Int64) throws(ArithmeticFailure) -> Int64
  {
    let group = groups.group(of: account)
    guard group.count > 1 else { return 0 }
    var left = debt
    for other in group where other != account && left > 0 {
      let amount = min(left, try spareCash(of: other))
      guard amount > 0 else { continue }
      var receipt = Receipt(.ownerTransfer, .ownersDebt)
      receipt.buyer = account
      receipt.seller = other
      receipt.paid = Money(raw: amount)
      receipt.sellerCash = try credit(other, .quote, 0 - amount)
      receipt.buyerCash = try credit(account, .quote, amount)
      receipts.write(record: receipt)
      // It may have been watched already, with more.
      skipping.forget(other)
      left -= amount
    }
    return debt - left
  }

  /// Cash an account could pay over to another of its owner.
  mutating func spareCash(of account: AccountID) throws(ArithmeticFailure) -> Int64 {
    guard accounts[account.index].cash.raw > 0, !accounts[account.index].isRestricted else {
      return 0
    }
    let held = heldBack(of: account)
    guard accounts[account.index].firstPosition != 0 || held > 0 else {
      return accounts[account.index].cash.raw
    }
    try bookFunding(account)
    repriceIfMoved()
    return try withdrawalRule(account, held: held, less: nil).amountMax.raw
  }
}
