import Commitments
import Instruments
import Primitives
import Wire

extension ClearingMachine {
  /// Carries out one admitted action; what the rules refuse gets a receipt with the reason.
  mutating func carryOut(_ instruction: Instruction, in bundle: Bundle, at index: Int)
    throws(ArithmeticFailure)
  {
    let record = bundle.record(index)
    let place = BundleHeader.byteCount + index * ActionRecord.byteCount
    switch ActionKind(rawValue: instruction.actionKindCode) {
    case .deposit:
      try deposit(record, by: instruction.account)
    case .withdraw:
      try withdraw(record, from: instruction.account)
    case .release:
      release(record, by: instruction.account)
    case .open:
      openSubAccount(record, of: instruction.account)
    case .transfer:
      try transfer(record, from: instruction.account)
    case .index:
      var submission = SubmissionRecord(
        publisher: publisher(instruction.account), kind: SubmissionRecord.index,
        sequence: record.z, time: Timestamp(raw: record.y), price: Price(raw: record.x))
      if record.a == 1 {
        submission.underlying = instruments[Int(record.id)].underlying
        submission.kind = SubmissionRecord.impact
        submission.expiry = Timestamp(raw: Int64(record.id))
      } else {
        submission.underlying = UnderlyingID(UInt16(record.id))
      }
      submit(submission, by: instruction.account)
    case .surface:
      let update = SurfaceUpdate(bundle.bytes.rawSpan, at: place)
      submit(
        SubmissionRecord(
          publisher: publisher(instruction.account), underlying: update.underlying,
          kind: SubmissionRecord.surface, expiry: update.expiry, sequence: update.sequence,
          time: update.time, price: update.forward, parameters: update.parameters),
        by: instruction.account)
    case .list, .halt, .margin:
      approve(bundle, record, at: index, by: instruction.account)
    case .bid:
      hear(AuctionOffer(record), of: instruction.account)
    case .place, .cancel, .cancelAll, .addKey, .revokeKey, .block, .replace, .timer, .protect,
      .massQuote, .trigger, .combination, .session, .disconnect, .volatility, .hedgedBlock, nil:
      preconditionFailure("events are checked before they are booked")
    }
  }

  @inline(__always)
  private func publisher(_ account: AccountID) -> UInt32 {
    UInt32(genesis.publishers.firstIndex(of: account) ?? genesis.publishers.count)
  }

  // MARK: - Deposits

  /// Credits a deposit once: the custodian's reference must rise. A new owner key opens an account;
  /// the zero key stands for the insurance fund.
  private mutating func deposit(_ record: ActionRecord, by custodian: AccountID)
    throws(ArithmeticFailure)
  {
    let asset = Int(record.id)
    var receipt = Receipt(.deposit)
    receipt.id = record.z
    receipt.paid = Money(raw: record.x)
    defer { receipts.write(record: receipt) }
    func refuse(_ code: ReceiptCode) { receipt.code = code.rawValue }

    guard genesis.assets[asset].custodian == custodian else { return refuse(.notCustodian) }
    var fund = funds[asset]
    guard record.z > fund.lastReference else { return refuse(.referenceUsed) }
    let held = fund.deposits - fund.withdrawals
    guard record.x <= genesis.constants.depositsTotalMax - held,
      record.x <= Int64.max - fund.deposits
    else { return refuse(.depositLimit) }
    let terms = collateralTerms(AssetID(UInt16(asset)))
    guard terms.underlying == nil || record.x <= terms.cap(at: time).raw - held else {
      return refuse(.depositLimit)
    }
    let known = record.tail.isZero ? nil : groups.main(of: record.tail)
    if !record.tail.isZero, known == nil {
      guard Ed25519.isAcceptableKey(record.tail) else { return refuse(.badKey) }
      guard record.x >= genesis.constants.depositForNewAccountMin else {
        return refuse(.depositTooSmall)
      }
      guard accounts.count < Limits.accountsMax else { return refuse(.accountLimit) }
    }
    fund.lastReference = record.z
    fund.deposits += record.x
    if record.tail.isZero {
      fund.insurance = try sum(fund.insurance, record.x)
      funds[asset] = fund
      return
    }
    funds[asset] = fund
    let account = known ?? openAccount(record.tail)
    receipt.buyer = account
    receipt.buyerCash = try credit(account, AssetID(UInt16(asset)), record.x)
  }

  /// Opens the next account.
  @discardableResult mutating func openAccount(
    _ owner: PublicKey, mode: AccountMode = .portfolio
  ) -> AccountID {
    let account = AccountID(UInt32(accounts.count))
    accounts.append(
      AccountRecord(owner: owner, flags: mode.flags.rawValue, opened: status[0].batch))
    groups.note(account, owner: owner)
    opened.append(OpenedAccount(account: account, owner: owner, mode: mode))
    touched.touch(account)
    return account
  }

  /// Adds to a balance (or takes from it) and gives what stands there after.
  mutating func credit(_ account: AccountID, _ asset: AssetID, _ change: Int64)
    throws(ArithmeticFailure) -> Money
  {
    touched.touch(account)
    if asset == .quote {
      return try addCash(change, to: account)
    }
    touched.balances.append(UInt64(account.raw) << 32 | UInt64(asset.raw))
    let slot = balanceSlot(account, asset) ?? openBalance(account, asset)
    let amount = try balances[slot].amount.adding(Amount(raw: change))
    balances[slot].amount = amount
    return Money(raw: amount.raw)
  }

  // MARK: - Withdrawals

  /// Takes what execution has already debited and notes the request; its slot is its id.
  private mutating func withdraw(_ record: ActionRecord, from account: AccountID)
    throws(ArithmeticFailure)
  {
    let asset = AssetID(UInt16(record.id))
    var receipt = Receipt(.withdrawal)
    receipt.buyer = account
    receipt.paid = Money(raw: record.x)
    defer { receipts.write(record: receipt) }
    touched.touch(account)
    if asset == .quote || collateralTerms(asset).underlying != nil { try bookFunding(account) }
    guard balance(account, asset) >= record.x else {
      receipt.code = ReceiptCode.insufficientBalance.rawValue
      return
    }
    if let refusal = try refusal(of: Money(raw: record.x), of: asset, from: account) {
      receipt.code = refusal.code.rawValue
      receipt.received = refusal.free
      return
    }
    receipt.buyerCash = try credit(account, asset, 0 - record.x)
    funds[asset.index].withdrawals = try sum(funds[asset.index].withdrawals, record.x)
    receipt.id = UInt64(withdrawals.count)
    withdrawals.append(
      WithdrawalRecord(
        account: account, asset: asset, state: WithdrawalRecord.requested,
        amount: Amount(raw: record.x), batch: status[0].batch, destination: record.tail))
  }

  /// Notes the custodian's payment of a request of an earlier batch.
  private mutating func release(_ record: ActionRecord, by custodian: AccountID) {
    var receipt = Receipt(.release)
    receipt.id = record.z
    defer { receipts.write(record: receipt) }
    guard record.z < UInt64(withdrawals.count),
      withdrawals[Int(record.z)].state == WithdrawalRecord.requested,
      withdrawals[Int(record.z)].batch < status[0].batch
    else {
      receipt.code = ReceiptCode.unknownWithdrawal.rawValue
      return
    }
    let slot = Int(record.z)
    guard genesis.assets[withdrawals[slot].asset.index].custodian == custodian else {
      receipt.code = ReceiptCode.notCustodian.rawValue
      return
    }
    withdrawals[slot].state = WithdrawalRecord.released
    withdrawals[slot].reference = record.tail
    receipt.buyer = withdrawals[slot].account
    receipt.paid = Money(raw: withdrawals[slot].amount.raw)
  }

  // MARK: - Balances, a list per account sorted by asset

  @inline(__always)
  func balance(_ account: AccountID, _ asset: AssetID) -> Int64 {
    if asset == .quote { return accounts[account.index].cash.raw }
    guard let slot = balanceSlot(account, asset) else { return 0 }
    return balances[slot].amount.raw
  }

  @inline(__always)
  func balanceSlot(_ account: AccountID, _ asset: AssetID) -> Int? {
    var next = accounts[account.index].firstBalance
    while next != 0 {
      if balances[Int(next) - 1].asset == asset { return Int(next) - 1 }
      next = balances[Int(next) - 1].next
    }
    return nil
  }

  private mutating func openBalance(_ account: AccountID, _ asset: AssetID) -> Int {
    var previous: Int?
    var next = accounts[account.index].firstBalance
    while next != 0, balances[Int(next) - 1].asset < asset {
      previous = Int(next) - 1
      next = balances[Int(next) - 1].next
    }
    let slot = balances.append(BalanceRecord(account: account, asset: asset, next: next))
    if let previous {
      balances[previous].next = UInt32(slot + 1)
    } else {
      accounts[account.index].firstBalance = UInt32(slot + 1)
    }
    return slot
  }
}
