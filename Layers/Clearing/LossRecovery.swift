import Primitives
import Risk
import Wire

// Loss epochs: who bore what in a step of deleveraging is on record, and what is recovered of it goes
// to them in proportion, before the insurance fund keeps anything beyond its target.

/// A step of deleveraging whose loss others bore: 48 bytes; all zero = free slot.
struct EpochRecord: FlatRecord {
  /// Of the auction, and the batch of the step.
  var number: UInt64 = 0
  var batch: UInt64 = 0
  /// Who was short of it.
  var account = AccountID(0)
  /// Shares not yet repaid whole.
  var shares: UInt32 = 0
  var loss: Money = .zero
  var recovered: Money = .zero
  var repaid: Money = .zero

  static let empty = EpochRecord()
  var isOpen: Bool { number != 0 }
  var epoch: LossEpoch {
    get { LossEpoch(loss: loss, recovered: recovered, repaid: repaid) }
    set { (recovered, repaid) = (newValue.recovered, newValue.repaid) }
  }
}

/// What an account bore of an epoch's loss: 24 bytes; all zero = free slot.
struct ShareRecord: FlatRecord {
  /// Slot of the epoch plus one.
  var epoch: UInt32 = 0
  var account = AccountID(0)
  var loss: Money = .zero
  var repaid: Money = .zero

  static let empty = ShareRecord()
}

/// What an account bears of the step that goes on.
struct BorneLoss {
  var account: AccountID
  var amount: Money
}

extension ClearingMachine {
  private var isRecording: Bool { genesis.constants.lossEpochsMax > 0 }

  /// Notes what an account loses by closing at a bankruptcy price rather than at the mark. The
  /// bankrupt owner's others lose by their own.
  mutating func noteLoss(
    of account: AccountID, by bankrupt: AccountID, _ size: Quantity, at price: Price, mark: Price
  ) {
    guard isRecording, !groups.areOne(account, bankrupt) else { return }
    let gap = (Int128(price.raw) - Int128(mark.raw)).magnitude
    let amount = (Int128(gap) * Int128(size.raw)).divided(by: Notional.perMoney, rounding: .down)
    // Beyond all money there is nothing.
    if amount > 0, amount <= Int128(Int64.max / 2) {
      borne.append(BorneLoss(account: account, amount: Money(raw: Int64(amount))))
    }
  }

  // MARK: - Opening and closing

  /// Opens an epoch of what was noted in a step. Where there is no room the oldest epochs close.
  mutating func openEpoch(of auction: AuctionRecord) throws(ArithmeticFailure) {
    defer { borne = [] }
    let parts = borne.prefix(Limits.lossSharesMax)
    guard !parts.isEmpty else { return }
    while let oldest = openEpochs().first,
      openEpochs().count >= Int(genesis.constants.lossEpochsMax)
        || shareCount + parts.count > Limits.lossSharesMax
    {
      try closeEpoch(oldest)
    }
    var loss: Int64 = 0
    for part in parts { loss = try sum(loss, part.amount.raw) }
    let slot = (0..<epochs.count).first { !epochs[$0].isOpen } ?? epochs.append(.empty)
    epochs[slot] = EpochRecord(
      number: auction.number, batch: status[0].batch, account: auction.account,
      shares: UInt32(parts.count), loss: Money(raw: loss))
    for part in parts {
      let place = freeShares.take()
      shares.reserve(through: place)
      shares[place] = ShareRecord(
        epoch: UInt32(slot + 1), account: part.account, loss: part.amount)
    }
    shareCount += parts.count
  }

  /// Slots of open epochs, oldest first.
  private func openEpochs() -> [Int] {
    (0..<epochs.count).filter { epochs[$0].isOpen }
      .sorted { (epochs[$0].batch, epochs[$0].number) < (epochs[$1].batch, epochs[$1].number) }
  }

  /// Closes an epoch before its time: its shares are paid what they are due, and what no share may
  /// have, less than a unit each, is the insurance fund's.
  private mutating func closeEpoch(_ slot: Int) throws(ArithmeticFailure) {
    let number = UInt32(slot + 1)
    for place in 0..<shares.count where shares[place].epoch == number { try repay(place) }
    // What was repaid whole is gone, and with the last share its epoch.
    guard epochs[slot].isOpen else { return }
    for place in 0..<shares.count where shares[place].epoch == number { freeShare(place) }
    let epoch = epochs[slot].epoch
    funds[0].insurance = try sum(funds[0].insurance, epoch.held.raw)
    var receipt = Receipt(.recovery, .epochClosed)
    receipt.buyer = epochs[slot].account
    receipt.id = epochs[slot].number
    receipt.paid = epoch.held
    receipt.received = epoch.recovered
    receipt.buyerFee = epoch.loss
    receipts.write(record: receipt)
    epochs[slot] = .empty
  }

  private mutating func freeShare(_ place: Int) {
    shares[place] = .empty
    freeShares.free(place)
    shareCount -= 1
  }

  // MARK: - A batch's recoveries

  /// Takes in what the batch recovered, and repays those who bore losses, so many a batch.
  mutating func runRecoveries() throws(ArithmeticFailure) {
    guard shareCount > 0 else { return }
    let grown = funds[0].insurance - fundBefore
    let open = openEpochs()
    var isRecovered = false
    // By account, what it can still do without: asked once a batch.
    var spare: [AccountID: Int64] = [:]
    for slot in open where try recoverFromOwner(slot, &spare) { isRecovered = true }
    if try recoverFromFund(grown, open) { isRecovered = true }
    if isRecovered { status[0].repayLeft = UInt32(shares.count) }
    var visits = 0
    while status[0].repayLeft > 0, visits < Limits.repaymentsPerBatchMax {
      let place = Int(status[0].repayFrom) % shares.count
      if shares[place].epoch != 0 { try repay(place) }
      status[0].repayFrom = UInt32((place + 1) % shares.count)
      status[0].repayLeft -= 1
      visits += 1
    }
  }

  /// What the accounts of the owner that this batch touched can do without.
  private mutating func recoverFromOwner(_ slot: Int, _ spare: inout [AccountID: Int64])
    throws(ArithmeticFailure) -> Bool
  {
    var isRecovered = false
    for payer in groups.group(of: epochs[slot].account) where touched.isTouched(payer) {
      let owed = epochs[slot].epoch.owed
      guard owed.raw > 0 else { break }
      let most: Int64
      if let known = spare[payer] { most = known } else { most = try spareCash(of: payer) }
      let amount = min(owed.raw, most)
      spare[payer] = most - amount
      guard amount > 0 else { continue }
      var receipt = Receipt(.recovery, .ownersDebt)
      receipt.seller = payer
      receipt.sellerCash = try credit(payer, .quote, 0 - amount)
      recover(Money(raw: amount), of: slot, receipt)
      // It has been watched already, with more.
      skipping.forget(payer)
      isRecovered = true
    }
    return isRecovered
  }

  /// A share of what the fund grew by in the batch, of what it has beyond its target: to the oldest
  /// epoch first.
  private mutating func recoverFromFund(_ grown: Int64, _ open: [Int]) throws(ArithmeticFailure)
    -> Bool
  {
    let beyond = funds[0].insurance - genesis.constants.insuranceTarget
    var left = try Money(raw: max(0, min(grown, beyond)))
      .share(Ratio(raw: genesis.constants.lossRecovery), rounding: .down)
    var isRecovered = false
    for slot in open {
      let part = min(left, epochs[slot].epoch.owed)
      guard part.raw > 0 else { continue }
      funds[0].insurance -= part.raw
      recover(part, of: slot, Receipt(.recovery))
      left = try left.subtracting(part)
      isRecovered = true
    }
    return isRecovered
  }

  private mutating func recover(_ amount: Money, of slot: Int, _ cause: Receipt) {
    let part = epochs[slot].epoch.recover(amount)
    precondition(part == amount, "no more is recovered than is owed")
    var receipt = cause
    receipt.buyer = epochs[slot].account
    receipt.id = epochs[slot].number
    receipt.paid = amount
    receipt.received = epochs[slot].recovered
    receipt.buyerFee = epochs[slot].loss
    receipts.write(record: receipt)
  }

  /// Pays a share what it is due; once it has all, it is gone, and with the last one the epoch.
  private mutating func repay(_ place: Int) throws(ArithmeticFailure) {
    let share = shares[place]
    let slot = Int(share.epoch) - 1
    let paid = epochs[slot].epoch.repay(share.loss, paid: share.repaid)
    guard paid.raw > 0 else { return }
    let all = try share.repaid.adding(paid)
    shares[place].repaid = all
    var receipt = Receipt(.repayment)
    receipt.buyer = share.account
    receipt.seller = epochs[slot].account
    receipt.id = epochs[slot].number
    receipt.paid = paid
    receipt.received = all
    receipt.buyerFee = share.loss
    receipt.buyerCash = try credit(share.account, .quote, paid.raw)
    receipts.write(record: receipt)
    guard all == share.loss else { return }
    freeShare(place)
    epochs[slot].shares -= 1
    if epochs[slot].shares == 0 { epochs[slot] = .empty }
  }

  // MARK: - Structure

  /// Epochs of auctions there were, whose shares add up to what they say.
  func epochFault() -> String? {
    guard epochs.count <= Int(genesis.constants.lossEpochsMax),
      shares.count <= Limits.lossSharesMax, Int(status[0].repayFrom) <= shares.count,
      Int(status[0].repayLeft) <= shares.count
    else { return "loss epochs beyond their limits" }
    let amounts = 0...Int64.max / 2
    var sums = [(count: UInt32, loss: Int128, repaid: Int128)](
      repeating: (0, 0, 0), count: epochs.count)
    for slot in 0..<epochs.count {
      let record = epochs[slot]
      guard record.isOpen else {
        guard record.isEqual(to: .empty) else { return "a free epoch is not empty" }
        continue
      }
      guard record.number <= status[0].auctions, record.batch <= status[0].batch,
        record.account.index < accounts.count, amounts.contains(record.loss.raw),
        record.repaid.raw >= 0, record.repaid <= record.recovered,
        record.recovered <= record.loss, record.loss.raw > 0
      else { return "epoch \(slot)" }
    }
    for place in 0..<shares.count {
      let share = shares[place]
      guard share.epoch != 0 else {
        guard share.isEqual(to: .empty) else { return "a free share is not empty" }
        continue
      }
      let slot = Int(share.epoch) - 1
      guard slot < epochs.count, epochs[slot].isOpen, share.account.index < accounts.count,
        share.loss.raw > 0, share.repaid.raw >= 0, share.loss <= epochs[slot].loss,
        share.repaid <= epochs[slot].epoch.due(share.loss), share.repaid < share.loss
      else { return "share \(place)" }
      sums[slot].count += 1
      sums[slot].loss += Int128(share.loss.raw)
      sums[slot].repaid += Int128(share.repaid.raw)
    }
    for slot in 0..<epochs.count {
      let record = epochs[slot]
      guard record.shares == sums[slot].count, sums[slot].loss <= Int128(record.loss.raw),
        // What was repaid whole is gone.
        Int128(record.loss.raw) - sums[slot].loss == Int128(record.repaid.raw) - sums[slot].repaid
      else { return "shares of epoch \(slot)" }
    }
    return nil
  }
}

extension FlatRecord {
  fileprivate func isEqual(to other: Self) -> Bool {
    withBytes { bytes in other.withBytes { bytes.elementsEqual($0) } }
  }
}
