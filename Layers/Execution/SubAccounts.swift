import Primitives
import Wire

// Further accounts of one owner: the main account opens them, and money goes between them as it
// leaves any of them. Everything else – orders, keys, nonces, margin – is each account's own.

extension ExecutionMachine {
  /// Why an owner's main account may open no further account. Those that no adopted Clearance holds
  /// yet are not counted: clearing looks again.
  func openingRefusal(_ account: AccountID) -> Outcome? {
    let count = groups.group(of: account).count
    guard count < Limits.accountsPerOwnerMax else {
      return .rejected(.tooManySubAccounts, Int64(count), Int64(Limits.accountsPerOwnerMax))
    }
    return nil
  }

  /// Debits a transfer as if it left: the account paid has it with the Clearance of the batch.
  mutating func transfer(_ record: ActionRecord, account: AccountID) -> Outcome? {
    guard record.id < genesis.assets.count else { return .rejected(.unknownAsset) }
    guard record.z < UInt64(credits.count) else { return .rejected(.unknownAccount) }
    let other = AccountID(UInt32(record.z))
    guard other != account else { return .rejected(.selfTrade) }
    guard groups.areOne(other, account) else { return .rejected(.notAuthorised) }
    if isFrozen(account) { return .rejected(.accountFrozen) }
    return takeOut(record.x, of: AssetID(UInt16(record.id)), account: account)
  }

  // MARK: - Modes

  /// Whether an account holds one contract at a time.
  @inline(__always)
  func isIsolated(_ account: AccountID) -> Bool {
    AccountFlags(rawValue: credits[account.index].flags).contains(.isolated)
  }

  /// Instruments an account may have positions and orders in at once.
  @inline(__always)
  func positionsMax(_ account: AccountID) -> Int64 {
    isIsolated(account) ? 1 : genesis.constants.positionsPerAccountMax
  }

  /// Notes every account's owner anew.
  mutating func rebuildGroups() {
    groups = OwnerGroups()
    for index in 0..<credits.count {
      let account = AccountID(UInt32(index))
      guard let owner = owner(of: account) else { continue }
      groups.note(account, owner: owner)
    }
  }

  /// An account's owner key: the first it had, and so the last on its list.
  private func owner(of account: AccountID) -> PublicKey? {
    var next = credits[account.index].firstKey
    while next != 0 {
      let slot = Int(next) - 1
      if keys[slot].isOwner { return keys[slot].key }
      next = keys[slot].next
    }
    return nil
  }
}
