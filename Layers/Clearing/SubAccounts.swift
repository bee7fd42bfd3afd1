import Instruments
import Primitives
import Wire

// Further accounts of one owner: opened by the main account, paid from any of the owner's. Each is
// margined, closed and sold for itself; what they share is the owner, who cannot bid for his own.

extension ClearingMachine {
  /// Opens another account for the owner of a main one, in a mode that it keeps.
  mutating func openSubAccount(_ record: ActionRecord, of main: AccountID) {
    let mode = AccountMode(rawValue: record.a) ?? .portfolio
    var receipt = Receipt(.opened)
    receipt.seller = main
    receipt.id = UInt64(mode.rawValue)
    if groups.group(of: main).count >= Limits.accountsPerOwnerMax {
      receipt.code = ReceiptCode.tooManySubAccounts.rawValue
    } else if accounts.count >= Limits.accountsMax {
      receipt.code = ReceiptCode.accountLimit.rawValue
    } else {
      receipt.buyer = openAccount(accounts[main.index].owner, mode: mode)
    }
    receipts.write(record: receipt)
  }

  /// Whether execution could have let a transfer through: an asset there is, to another account of
  /// the same owner.
  func isOwnTransfer(_ record: ActionRecord, by account: AccountID) -> Bool {
    guard record.id < genesis.assets.count, record.z < UInt64(accounts.count) else { return false }
    let other = AccountID(UInt32(record.z))
    return other != account && groups.areOne(other, account)
  }

  /// Takes what execution has already debited and pays it to another account of the owner. It is
  /// judged as a withdrawal is, but for what guards the house's own money: nothing leaves.
  mutating func transfer(_ record: ActionRecord, from account: AccountID) throws(ArithmeticFailure)
  {
    let asset = AssetID(UInt16(record.id))
    let recipient = AccountID(UInt32(record.z))
    var receipt = Receipt(.ownerTransfer)
    receipt.instrument = InstrumentID(record.id)
    receipt.buyer = recipient
    receipt.seller = account
    receipt.paid = Money(raw: record.x)
    defer { receipts.write(record: receipt) }
    touched.touch(account)
    if asset == .quote || collateralTerms(asset).underlying != nil { try bookFunding(account) }
    guard balance(account, asset) >= record.x else {
      receipt.code = ReceiptCode.insufficientBalance.rawValue
      return
    }
    if let refusal = try marginRefusal(of: Money(raw: record.x), of: asset, from: account) {
      receipt.code = refusal.code.rawValue
      receipt.received = refusal.free
      return
    }
    receipt.sellerCash = try credit(account, asset, 0 - record.x)
    receipt.buyerCash = try credit(recipient, asset, record.x)
  }

  /// Sets what an account may do for now; its mode stays.
  mutating func setStanding(of account: AccountID, to flags: AccountFlags) {
    let mode = AccountFlags(rawValue: accounts[account.index].flags).mode
    accounts[account.index].flags = mode.union(flags).rawValue
  }
}
