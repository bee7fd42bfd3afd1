import Instruments
import Primitives
import Risk
import Wire

extension ClearingMachine {
  /// The first thing in loaded pools that a walk over them would stumble on: a link that leads
  /// nowhere, a list that is no list. Bytes from a file are checked before they are hashed.
  func structureFault() -> String? {
    guard status.count == 1 else { return "expected one status record, found \(status.count)" }
    guard status[0].settlingFrom <= accounts.count, status[0].watchFrom <= accounts.count else {
      return "a place among the accounts"
    }
    guard status[0].margin < UInt64(margins.count),
      (0..<margins.count).allSatisfy({
        margins[$0].fault == nil
          && margins[$0].fits(assets: genesis.assets.count, underlyings: genesis.underlyings.count)
      })
    else { return "terms of the margin method" }
    guard funds.count == genesis.assets.count else { return "funds do not fit the assets" }
    guard indices.count == genesis.underlyings.count else {
      return "indices do not fit the underlyings"
    }
    for slot in 0..<instruments.count {
      guard instruments[slot].id.index == slot,
        instruments[slot].underlying.index < genesis.underlyings.count,
        instruments[slot].fault == nil
      else { return "instrument \(slot)" }
    }
    if let fault = figureFault() ?? decisionFault() ?? perpetualFault() ?? minuteFault()
      ?? liquidationFault() ?? epochFault()
    {
      return fault
    }
    for slot in 0..<indices.count where !indices[slot].isSound(at: slot) {
      return "index \(slot)"
    }
    for slot in 0..<slices.count where !slices[slot].isSound(underlyings: indices.count) {
      return "slice \(slot)"
    }
    var listed = 0
    for index in 0..<accounts.count {
      guard hasSoundPositions(index) else { return "positions of account \(index)" }
      guard let count = balanceCount(index) else { return "balances of account \(index)" }
      listed += count
    }
    guard listed == balances.count else { return "a balance of no account" }
    return unlistedFault()
  }

  /// Figures so large that a sum of a few might not fit.
  private func figureFault() -> String? {
    func isModest(_ value: Int64) -> Bool { value.magnitude <= UInt64(Int64.max / 2) }
    guard status[0].batch < 1 << 62, status[0].trades < 1 << 62, status[0].time.raw > 0,
      status[0].time <= .latest
    else { return "a counter of the status record" }
    for asset in 0..<funds.count {
      let fund = funds[asset]
      guard fund.insurance >= 0, fund.deposits >= 0, fund.withdrawals >= 0, fund.outflow >= 0,
        (0..<Int64(OutflowLimit.day)).contains(fund.outflowRemainder),
        (0...Timestamp.latest.raw).contains(fund.outflowTime.raw),
        [
          fund.insurance, fund.fees, fund.rounding, fund.deposits, fund.withdrawals, fund.funding,
        ].allSatisfy(isModest)
      else { return "fund of asset \(asset)" }
      guard fund.isInterestSound(isQuote: asset == 0)
      else { return "interest of asset \(asset)" }
    }
    for index in 0..<accounts.count where !isModest(accounts[index].cash.raw) {
      return "cash of account \(index)"
    }
    for index in 0..<accounts.count where !accounts[index].hasSoundDebt(upTo: funds[0].interest) {
      return "interest of account \(index)"
    }
    for index in 0..<accounts.count
    where !(0...AccountRecord.volumeMax).contains(accounts[index].volume.raw)
      || !(0...Timestamp.latest.raw / 86_400_000).contains(accounts[index].volumeDay)
    {
      return "volume of account \(index)"
    }
    for slot in 0..<positions.count
    where !isModest(positions[slot].quantity.raw) || !isModest(positions[slot].cost.raw) {
      return "figures of position \(slot)"
    }
    for slot in 0..<balances.count where !isModest(balances[slot].amount.raw) {
      return "amount of balance \(slot)"
    }
    return nil
  }

  /// Withdrawals and proposals that name what is not there.
  private func decisionFault() -> String? {
    for slot in 0..<withdrawals.count
    where withdrawals[slot].asset.index >= genesis.assets.count {
      return "asset of withdrawal \(slot)"
    }
    for slot in 0..<proposals.count {
      let proposal = proposals[slot]
      switch ActionKind(rawValue: UInt8(clamping: proposal.kind)) {
      case .list
      where proposal.terms.fault == nil
        && proposal.terms.underlying.index < genesis.underlyings.count:
        continue
      case .halt where proposal.subject < instruments.count: continue
      case .margin where (1..<margins.count).contains(Int(proposal.subject)): continue
      default: return "proposal \(slot)"
      }
    }
    return nil
  }

  private func minuteFault() -> String? {
    guard minutes.count == indices.count else { return "minutes do not fit the underlyings" }
    for slot in 0..<minutes.count where !minutes[slot].isSound {
      return "minutes of underlying \(slot)"
    }
    return nil
  }

  /// Auctions of accounts there are, one an account, frozen while bids are taken; locks and payouts
  /// that a sum may follow.
  private func liquidationFault() -> String? {
    guard payouts.count == indices.count else { return "payouts do not fit the underlyings" }
    let times = 0...Timestamp.latest.raw
    let amounts = 0...Int64.max / 2
    for slot in 0..<payouts.count
    where !times.contains(payouts[slot].start.raw) || !amounts.contains(payouts[slot].paid.raw)
      || !(0...genesis.constants.insuranceTrancheMax).contains(payouts[slot].tranche.raw)
    {
      return "payouts of underlying \(slot)"
    }
    for slot in 0..<locks.count
    where !amounts.contains(locks[slot].amount.raw) || locks[slot].reserved != 0
      || !(0...Timestamp.latest.raw + LockRecord.life).contains(locks[slot].until.raw)
    {
      return "lock \(slot)"
    }
    guard status[0].auctions < 1 << 62 else { return "a counter of the status record" }
    var offered = 0
    var seen: Set<AccountID> = []
    for slot in 0..<auctions.count where auctions[slot].phase != 0 {
      let auction = auctions[slot]
      guard auction.phase <= AuctionRecord.deleveraging, auction.account.index < accounts.count,
        seen.insert(auction.account).inserted, auction.batch <= status[0].batch,
        times.contains(auction.started.raw), times.contains(auction.phaseStarted.raw),
        amounts.contains(auction.reserved.raw), auction.notional.raw >= 0,
        amounts.contains(auction.paid.raw),
        accounts[auction.account.index].isFrozen == (auction.phase != AuctionRecord.overdue)
      else { return "auction \(slot)" }
      if auction.phase != AuctionRecord.overdue { offered += 1 }
    }
    for index in 0..<accounts.count {
      guard AccountFlags(rawValue: accounts[index].flags).isCanonical else {
        return "flags of account \(index)"
      }
      if accounts[index].isFrozen { offered -= 1 }
    }
    return offered == 0 ? nil : "a frozen account without an auction"
  }

  /// Every perpetual has its record, in the order of listing, and figures that a growth may follow.
  private func perpetualFault() -> String? {
    var slot = 0
    for index in 0..<instruments.count where instruments[index].kind == .perpetual {
      guard slot < perpetuals.count else { return "a perpetual without a record" }
      let record = perpetuals[slot]
      guard record.instrument.index == index,
        record.isSound(rateMax: genesis.constants.fundingRateMax)
      else { return "perpetual \(slot)" }
      slot += 1
    }
    for slot in 0..<submissions.count where submissions[slot].kind == SubmissionRecord.impact {
      let number = submissions[slot].expiry.raw
      guard (0..<Int64(instruments.count)).contains(number),
        instruments[Int(number)].kind == .perpetual
      else { return "perpetual of submission \(slot)" }
    }
    return slot == perpetuals.count ? nil : "a record of no perpetual"
  }

  /// A slot on no list holds nothing: no root would cover it.
  private func unlistedFault() -> String? {
    var used = 0
    for slot in 0..<positions.count {
      let record = positions[slot]
      if record.isUsed != 0 {
        used += 1
      } else {
        let isEmpty = record.withBytes { bytes in
          PositionRecord.empty.withBytes { bytes.elementsEqual($0) }
        }
        guard isEmpty else { return "position slot \(slot) is free and not empty" }
      }
    }
    var listed = 0
    for index in 0..<accounts.count { listed += Int(accounts[index].positionCount) }
    return listed == used ? nil : "a position of no account"
  }

  /// Instruments rise along the list, so it cannot run in a circle.
  private func hasSoundPositions(_ account: Int) -> Bool {
    var next = Int(accounts[account].firstPosition)
    var last = -1
    var count: UInt32 = 0
    while next != 0 {
      guard next <= positions.count else { return false }
      let record = positions[next - 1]
      guard record.account.index == account, record.isUsed == 1, record.instrument.index > last,
        record.instrument.index < instruments.count
      else { return false }
      last = record.instrument.index
      count += 1
      next = Int(record.next)
    }
    return count == accounts[account].positionCount
  }

  /// The length of the list; nil when it is none.
  private func balanceCount(_ account: Int) -> Int? {
    var count = 0
    var next = Int(accounts[account].firstBalance)
    var last = -1
    while next != 0 {
      guard next <= balances.count else { return nil }
      let record = balances[next - 1]
      guard record.account.index == account, record.asset.index > last,
        record.asset.index < genesis.assets.count, record.reserved == 0, record.reserved2 == 0
      else { return nil }
      last = record.asset.index
      count += 1
      next = Int(record.next)
    }
    return count
  }
}

extension MinuteRecord {
  /// Times there are, a doubt up to all of it, and no price below zero.
  var isSound: Bool {
    let latest = Timestamp.latest.raw / 60_000
    guard (0...latest).contains(gathering), (0...latest).contains(sampled),
      (0...Ratio.scale).contains(doubt.raw)
    else { return false }
    for place in 0..<MinuteRecord.sampleCount where samples[place].raw < 0 { return false }
    for publisher in 0..<Limits.publishersMax where prices[publisher].raw < 0 { return false }
    return true
  }
}

extension PerpetualRecord {
  /// Figures that a growth may follow.
  func isSound(rateMax: Int64) -> Bool {
    reserved == 0 && impact.raw >= 0 && present >> UInt64(PerpetualRecord.sampleCount) == 0
      && (0...Timestamp.latest.raw / 60_000).contains(minute)
      && rate.raw.magnitude <= rateMax.magnitude
      && (0..<CumulativeIndex.fundingPeriod).contains(remainder)
  }
}

extension FundRecord {
  /// An index that a growth may follow; only the quote asset has one.
  func isInterestSound(isQuote: Bool) -> Bool {
    (0..<(isQuote ? Timestamp.millisecondsPerYear : 1)).contains(interestRemainder)
      && (isQuote ? interestHigh >= 0 : interestHigh == 0 && interestLow == 0)
  }
}

extension AccountRecord {
  /// A debt stands on an index that was, and nothing else on any.
  func hasSoundDebt(upTo interest: CumulativeIndex) -> Bool {
    guard cash.raw < 0 else { return debt.opened == 0 && debt.booked.raw == 0 }
    return (0...interest.value).contains(debt.opened)
      && (0...(0 - cash.raw)).contains(debt.booked.raw)
  }
}
