import Commitments
import Instruments
import Margin
import Primitives
public import Wire

extension ExecutionMachine {
  /// Sequences a bundle whose signature has been checked: uses its nonce and carries its actions
  /// out one by one, in order. A refused action changes nothing and the rest go on.
  ///
  /// - Parameters:
  ///   - counterparties: for each block trade of the bundle, in order, whether its counterparty
  ///     signed it, where the caller has looked; what is not said is looked at here.
  ///   - outcomes: receives one outcome an action.
  /// - Returns: the bundle's place in the batch.
  /// - Throws: `.refused` when the door refuses it; nothing has changed then.
  @discardableResult
  public mutating func apply(
    _ bundle: Bundle, counterparties: [Bool?] = [], into outcomes: inout [Outcome]
  ) throws(ExecutionFailure) -> Int {
    precondition(isOpen, "a bundle needs an open batch")
    if let refusal = door(bundle) { throw .refused(refusal) }
    let header = bundle.header
    let place = bundles.count
    guard let keySlot = keySlot(header.account, header.key) else {
      // The door has just found that it has the account's consent.
      take(bundle)
      outcomes.append(disconnect(header.nonce))
      return place
    }
    keys[keySlot].use(nonce: header.nonce)
    keys[keySlot].countBundle(at: time)
    take(bundle)
    let key = keys[keySlot]
    var index = 0
    var blocks = 0
    while index < bundle.recordCount {
      let record = bundle.record(index)
      guard let kind = record.kind else { preconditionFailure("a bundle is checked on decoding") }
      var isCounterpartySigned: Bool?
      if kind == .block || kind == .hedgedBlock {
        if blocks < counterparties.count { isCounterpartySigned = counterparties[blocks] }
        blocks += 1
      }
      outcomes.append(
        carryOut(
          record, kind, of: bundle, at: index, signedBy: key, place: UInt32(place),
          isCounterpartySigned))
      index += record.recordCount
    }
    return place
  }

  private mutating func take(_ bundle: Bundle) {
    bundles.append(bundle)
    bundleLeaves.append(bundle.leafHash)
    bodyByteCount += bundle.bytes.count
  }

  private mutating func carryOut(
    _ record: ActionRecord, _ kind: ActionKind, of bundle: Bundle, at index: Int,
    signedBy key: KeyRecord, place: UInt32, _ isCounterpartySigned: Bool?
  ) -> Outcome {
    let account = bundle.header.account
    switch kind {
    case .place:
      guard isInScope(record.instrument, of: key) else { return .rejected(.outOfScope) }
      return placeOrder(record, account: account)
    case .volatility:
      guard isInScope(record.instrument, of: key) else { return .rejected(.outOfScope) }
      return placeByVolatility(record, account: account)
    case .trigger:
      guard isInScope(record.instrument, of: key) else { return .rejected(.outOfScope) }
      return placeTrigger(record, account: account)
    case .replace:
      guard isInScope(record.instrument, of: key) else { return .rejected(.outOfScope) }
      return replaceOrder(record, account: account)
    case .timer:
      guard key.isOwner || key.markets == .all else { return .rejected(.outOfScope) }
      return setTimer(record, account: account)
    case .protect, .massQuote:
      // Of the record they both name the underlying.
      guard
        key.isOwner || key.markets == .all
          || key.markets.scopeOfUnderlying.map({ UInt32($0.raw) }) == record.id
      else { return .rejected(.outOfScope) }
      if kind == .protect { return protect(record, account: account) }
      let quote = MassQuote(record, bundle.bytes.rawSpan, at: bundle.offset(ofRecord: index))
      return self.quote(quote, account: account)
    case .cancel:
      return cancel(record, account: account)
    case .cancelAll:
      return cancelAll(record, account: account)
    case .addKey:
      guard key.isOwner else { return .rejected(.outOfScope) }
      return addKey(record, account: account)
    case .revokeKey:
      guard key.isOwner else { return .rejected(.outOfScope) }
      return revokeKey(record, account: account)
    case .session:
      return session(record, account: account)
    case .disconnect:
      // The sequencer's alone: no key of an account says it.
      return .rejected(.outOfScope)
    case .combination:
      let combination = Combination(
        record, bundle.bytes.rawSpan, at: bundle.offset(ofRecord: index))
      guard combination.legs.allSatisfy({ isInScope($0.instrument, of: key) }) else {
        return .rejected(.outOfScope)
      }
      return combine(combination, account: account)
    case .block, .hedgedBlock:
      let block = BlockTrade(bundle.bytes.rawSpan, at: bundle.offset(ofRecord: index))
      guard block.legs.allSatisfy({ isInScope($0.instrument, of: key) }) else {
        return .rejected(.outOfScope)
      }
      return trade(block, account, isSigned: isCounterpartySigned)
    case .withdraw:
      guard key.isOwner else { return .rejected(.outOfScope) }
      if let refusal = debit(record, account: account) { return refusal }
    case .bid:
      guard key.isOwner || key.markets == .all else { return .rejected(.outOfScope) }
      if let refusal = stake(AuctionOffer(record), account: account) { return refusal }
    case .open:
      guard key.isOwner, groups.isMain(account) else { return .rejected(.outOfScope) }
      if let refusal = openingRefusal(account) { return refusal }
    case .transfer:
      guard key.isOwner else { return .rejected(.outOfScope) }
      if let refusal = transfer(record, account: account) { return refusal }
    case .deposit:
      guard record.id < genesis.assets.count else { return .rejected(.unknownAsset) }
      guard genesis.assets[Int(record.id)].custodian == account, key.isOwner else {
        return .rejected(.notAuthorised)
      }
    case .release:
      guard genesis.assets.contains(where: { $0.custodian == account }), key.isOwner else {
        return .rejected(.notAuthorised)
      }
    case .index, .surface:
      guard genesis.publishers.contains(account), key.isOwner else {
        return .rejected(.notAuthorised)
      }
      guard isKnownFeed(record) else { return .rejected(.unknownInstrument) }
    case .list, .halt, .margin:
      guard genesis.governance.contains(account), key.isOwner else {
        return .rejected(.notAuthorised)
      }
    }
    events.append(
      Instruction(kind: kind, account: account, bundle: place, record: UInt32(index)))
    return Outcome(.accepted)
  }

  /// Whether a key may trade an instrument.
  @inline(__always)
  func isInScope(_ instrument: InstrumentID, of key: KeyRecord) -> Bool {
    key.isOwner || key.markets == .all || key.markets == instrument
      || isOfUnderlying(instrument, key.markets)
  }

  @inline(never)
  private func isOfUnderlying(_ instrument: InstrumentID, _ scope: InstrumentID) -> Bool {
    guard let underlying = scope.scopeOfUnderlying, instrument.index < instruments.count else {
      return false
    }
    return instruments[instrument.index].underlying == underlying
  }

  /// An underlying there is or, of an impact price, a perpetual.
  private func isKnownFeed(_ record: ActionRecord) -> Bool {
    guard record.kind == .index, record.a == 1 else {
      return record.id < genesis.underlyings.count
    }
    return record.id < instruments.count && instruments[Int(record.id)].kind == .perpetual
  }

  // MARK: - Keys

  private mutating func addKey(_ record: ActionRecord, account: AccountID) -> Outcome {
    guard Ed25519.isAcceptableKey(record.tail) else { return .rejected(.badKey) }
    if let slot = anyKeySlot(account, record.tail) {
      guard keys[slot].validUntil <= status[0].batch, !keys[slot].isOwner else {
        return .rejected(.keyExists)
      }
      // A key that comes back keeps its nonce window: what it once signed stays used.
      keys[slot].validFrom = status[0].batch + 1
      keys[slot].validUntil = .max
      keys[slot].expiry = Timestamp(raw: record.x)
      keys[slot].markets = InstrumentID(record.id)
      return Outcome(.accepted)
    }
    guard Int64(credits[account.index].keyCount) < genesis.constants.keysPerAccountMax else {
      return .rejected(.tooManyKeys)
    }
    enter(
      KeyRecord(
        key: record.tail, account: account, markets: InstrumentID(record.id),
        validFrom: status[0].batch + 1, expiry: Timestamp(raw: record.x)))
    return Outcome(.accepted)
  }

  private mutating func revokeKey(_ record: ActionRecord, account: AccountID) -> Outcome {
    guard let slot = anyKeySlot(account, record.tail), keys[slot].validUntil == .max else {
      return .rejected(.unknownKey)
    }
    guard !keys[slot].isOwner else { return .rejected(.outOfScope) }
    keys[slot].validUntil = status[0].batch + 1
    return Outcome(.accepted)
  }

  /// Puts a key at the head of its account's list.
  mutating func enter(_ record: KeyRecord) {
    var record = record
    record.next = credits[record.account.index].firstKey
    let slot = keys.append(record)
    credits[record.account.index].firstKey = UInt32(slot + 1)
    credits[record.account.index].keyCount += 1
  }

  /// Opens the next account, in a mode that it keeps.
  mutating func open(owner: PublicKey, flags: UInt32 = 0, at batch: UInt64) {
    let account = AccountID(UInt32(credits.count))
    credits.append(CreditRecord(flags: flags))
    groups.note(account, owner: owner)
    risk.reserve(accounts: credits.count)
    if AccountFlags(rawValue: flags).contains(.cross) { risk.setApart(account) }
    books.addAccount()
    enter(KeyRecord(key: owner, account: account, flags: 1, validFrom: batch))
  }

  // MARK: - Outflows

  /// Debits a withdrawal the moment it is sequenced, or says why not: the balance must be there and
  /// initial margin must hold after it, with the worst subset of open orders.
  private mutating func debit(_ record: ActionRecord, account: AccountID) -> Outcome? {
    guard record.id < genesis.assets.count else { return .rejected(.unknownAsset) }
    if isFrozen(account) { return .rejected(.accountFrozen) }
    let asset = AssetID(UInt16(record.id))
    if asset == .quote, record.x < genesis.constants.withdrawalMin {
      return .rejected(.amountTooSmall, record.x, genesis.constants.withdrawalMin)
    }
    return takeOut(record.x, of: asset, account: account)
  }

  /// Sets an amount aside as gone.
  mutating func takeOut(_ amount: Int64, of asset: AssetID, account: AccountID) -> Outcome? {
    if asset == .quote { return debit(cash: amount, account: account) }
    if let refusal = debit(amount, of: asset, account: account) { return refusal }
    remember(
      SinceRecord(
        batch: status[0].batch, account: account, subject: UInt32(asset.raw), quantity: amount,
        kind: SinceRecord.outflow))
    return nil
  }

  /// Sets a bid's stake aside as if it left: what it buys comes with a Clearance.
  private mutating func stake(_ offer: AuctionOffer, account: AccountID) -> Outcome? {
    guard offer.account.index < credits.count else { return .rejected(.unknownAccount) }
    guard !groups.areOne(offer.account, account) else { return .rejected(.selfTrade) }
    if isFrozen(account) { return .rejected(.accountFrozen) }
    if isIsolated(account) { return .rejected(.tooManyPositions, 1, positionsMax(account)) }
    guard isFrozen(offer.account) else { return .rejected(.notUnderAuction) }
    return debit(cash: offer.stake.raw, account: account)
  }

  private mutating func debit(cash amount: Int64, account: AccountID) -> Outcome? {
    if let age = staleAge(account) {
      return .rejected(.marketDataStale, age, genesis.constants.grantAgeMax)
    }
    let free = freeCash(account)
    guard amount <= free else { return .rejected(.insufficientBalance, amount, max(0, free)) }
    let room = room(left: account)
    let debited = Notional(Money(raw: amount)).raw
    guard room >= debited else {
      return .rejected(.insufficientMargin, moneyFloor(room - debited), moneyFloor(room))
    }
    credits[account.index].outflow = Money(raw: credits[account.index].outflow.raw + amount)
    risk.equity[account.index] -= debited
    remember(
      SinceRecord(
        batch: status[0].batch, account: account, subject: UInt32(AssetID.quote.raw),
        quantity: amount, kind: SinceRecord.outflow))
    return nil
  }

  /// The age of the oldest mark an account with positions or orders stands on, if it is too old to
  /// let money go.
  func staleAge(_ account: AccountID) -> Int64? {
    var next = credits[account.index].firstHolding
    while next != 0 {
      let holding = holdings[Int(next) - 1]
      let age = time.raw - table.time(holding.instrument).raw
      if holding.total.raw != 0 || holding.openOrders > 0, age > genesis.constants.grantAgeMax {
        return age
      }
      next = holding.next
    }
    return nil
  }

  /// Cash that will surely be there when clearing comes to what is sequenced now: granted cash less
  /// outflows, less all that fills since may take: fees, premiums, losses against today's mark, and
  /// the whole loss that stands in a position they may have closed.
  private func freeCash(_ account: AccountID) -> Int64 {
    let credit = credits[account.index]
    guard credit.spent >= 0 else { return 0 }
    var losses = grantedEquity(account) - risk.equity[account.index]
    var next = credit.firstHolding
    while next != 0 {
      let holding = holdings[Int(next) - 1]
      if holding.sinceFills > 0 {
        let value = (table.mark(holding.instrument) * holding.granted).raw
        losses += max(0, Notional(holding.cost).raw - value)
      }
      next = holding.next
    }
    let taken = losses.divided(by: Notional.perMoney, rounding: .up)
    return Int64(
      clamping: Int128(credit.cash.raw) - Int128(credit.outflow.raw) - Int128(credit.spent)
        - taken)
  }

  @inline(__always)
  func balanceSlot(_ account: AccountID, _ asset: AssetID) -> Int? {
    var next = credits[account.index].firstBalance
    while next != 0 {
      if balances[Int(next) - 1].asset == asset { return Int(next) - 1 }
      next = balances[Int(next) - 1].next
    }
    return nil
  }

  /// Notes what no adopted Clearance holds yet.
  mutating func remember(_ record: SinceRecord) {
    let place = Int(status[0].sinceCount)
    since.reserve(through: place)
    since[place] = record
    status[0].sinceCount += 1
  }

  /// Whole money units of a notional, rounded down and held to Int64: a figure to show.
  @inline(__always)
  func moneyFloor(_ notional: Int128) -> Int64 {
    let money = notional.divided(by: Notional.perMoney, rounding: .down)
    return Int64(clamping: money)
  }
}

extension Bundle {
  /// Byte offset of the record at `index`.
  func offset(ofRecord index: Int) -> Int {
    BundleHeader.byteCount + index * ActionRecord.byteCount
  }

  /// Its block trades, in order.
  public var blockTrades: [BlockTrade] {
    var trades: [BlockTrade] = []
    var index = 0
    while index < recordCount, let kind = record(index).kind {
      if kind == .block || kind == .hedgedBlock {
        trades.append(BlockTrade(bytes.rawSpan, at: offset(ofRecord: index)))
      }
      index += record(index).recordCount
    }
    return trades
  }
}
