import Instruments
import Primitives
import Wire

/// What has to hold between pools before any derived state is built on them: links lead somewhere,
/// lists end, counts and sums are those of the records they count. The root vouches for bytes; a
/// root that somebody signed over nonsense vouches for nonsense, and must not stop a verifier.
extension ExecutionMachine {
  /// Stored figures lie inside it, as the largest position does, so that a sum of two fits Int64.
  private static let magnitudeMax = Int64.max / 2

  /// The first thing in loaded pools that a walk over them would stumble on, or nil.
  func structureFault() -> String? {
    guard status.count == 1 else { return "expected one status record, found \(status.count)" }
    guard indices.count == genesis.underlyings.count else {
      return "indices do not fit the underlyings"
    }
    guard margin.count == 1, fits(margin[0]) else { return "terms of the margin method" }
    if let fault = counterFault() { return fault }
    for slot in 0..<instruments.count {
      guard instruments[slot].id.index == slot,
        instruments[slot].underlying.index < genesis.underlyings.count,
        instruments[slot].fault == nil
      else { return "instrument \(slot)" }
    }
    for slot in 0..<indices.count where !indices[slot].isSound(at: slot) {
      return "index \(slot)"
    }
    guard calls.count == instruments.count else { return "calls do not fit the instruments" }
    for slot in 0..<calls.count {
      guard calls[slot].gathers <= 1, calls[slot].end.raw >= 0,
        calls[slot].gathers == 0 ? calls[slot].end.raw == 0 : instruments[slot].hasCalls
      else { return "call \(slot)" }
    }
    for slot in 0..<slices.count where !slices[slot].isSound(underlyings: indices.count) {
      return "slice \(slot)"
    }
    return listFault() ?? tallyFault() ?? makerFault() ?? triggerStructureFault()
      ?? sessionStructureFault()
  }

  private func counterFault() -> String? {
    let record = status[0]
    guard record.batch < 1 << 62, record.nextOrder < OrderID.numberEnd - 1 << 40,
      record.nextTrade < 1 << 62,
      record.creditBatch == .max || record.creditBatch < record.batch,
      record.time.raw > 0, record.time <= .latest, record.oracleTime.raw >= 0,
      record.oracleTime <= .latest
    else { return "a counter of the status record" }
    guard Int(record.sinceCount) <= since.count else { return "count of fills since" }
    guard credits.count <= Limits.accountsMax, orders.count <= Limits.openOrdersMax,
      instruments.count <= Limits.instrumentsMax
    else { return "a pool past its limit" }
    return nil
  }

  // MARK: - Lists

  private func listFault() -> String? {
    var (known, held, owned) = (0, 0, 0)
    for account in 0..<credits.count {
      let credit = credits[account]
      guard isModest(credit.cash.raw), isModest(credit.outflow.raw) else {
        return "cash of account \(account)"
      }
      guard let keys = keyCount(of: account), keys == Int(credit.keyCount) else {
        return "keys of account \(account)"
      }
      guard let holdings = holdingCount(of: account), holdings == Int(credit.holdingCount) else {
        return "holdings of account \(account)"
      }
      guard let balances = balanceCount(of: account) else {
        return "balances of account \(account)"
      }
      known += keys
      held += holdings
      owned += balances
    }
    var used = 0
    for slot in 0..<holdings.count where holdings[slot].isUsed != 0 { used += 1 }
    guard known == keys.count, held == used, owned == balances.count else {
      return "a key, holding or balance of no account"
    }
    return nil
  }

  private func isModest(_ value: Int64) -> Bool {
    -ExecutionMachine.magnitudeMax <= value && value <= ExecutionMachine.magnitudeMax
  }

  /// Lengths of an account's lists; nil where one leads elsewhere, or round in a circle.
  private func keyCount(of account: Int) -> Int? {
    var count = 0
    var next = Int(credits[account].firstKey)
    while next != 0 {
      guard next <= keys.count, count < keys.count, keys[next - 1].account.index == account else {
        return nil
      }
      count += 1
      next = Int(keys[next - 1].next)
    }
    return count
  }

  private func holdingCount(of account: Int) -> Int? {
    var count = 0
    var next = Int(credits[account].firstHolding)
    while next != 0 {
      guard next <= holdings.count, count < holdings.count else { return nil }
      let record = holdings[next - 1]
      guard record.account.index == account, record.isUsed == 1,
        record.instrument.index < instruments.count, isModest(record.granted.raw),
        isModest(record.cost.raw), isModest(record.since.raw)
      else { return nil }
      count += 1
      next = Int(record.next)
    }
    return count
  }

  private func balanceCount(of account: Int) -> Int? {
    var count = 0
    var next = Int(credits[account].firstBalance)
    while next != 0 {
      guard next <= balances.count, count < balances.count else { return nil }
      let record = balances[next - 1]
      guard record.account.index == account, record.asset != .quote,
        record.asset.index < genesis.assets.count, isModest(record.granted.raw),
        isModest(record.outflow.raw)
      else { return nil }
      count += 1
      next = Int(record.next)
    }
    return count
  }

  // MARK: - Counts and sums

  /// Open orders, fills and outflows, counted again.
  private func tallyFault() -> String? {
    var openOrders = [UInt32](repeating: 0, count: credits.count)
    var heldOrders = [UInt32](repeating: 0, count: holdings.count)
    var heldContracts = [Int128](repeating: 0, count: holdings.count)
    var extraOf: [UInt64: Int] = [:]
    for slot in 0..<extras.count {
      guard isModest(extras[slot]), extraOf[extras[slot].order.raw] == nil else {
        return "extra in slot \(slot)"
      }
      if extras[slot].order.raw != 0 { extraOf[extras[slot].order.raw] = slot }
    }
    for slot in 0..<orders.count where orders[slot].id.raw != 0 {
      let order = orders[slot]
      guard order.id.number < status[0].nextOrder,
        order.id.place == OrderID(number: 0, slot: slot).place, order.account.index < credits.count,
        order.instrument.index < instruments.count, order.side <= 1, order.flags <= 7,
        isOnTerms(order.instrument, order.price, order.remaining.raw),
        let holding = holdingSlot(order.account, order.instrument)
      else { return "order in slot \(slot)" }
      openOrders[order.account.index] += 1
      heldOrders[holding] += 1
      heldContracts[holding] += Int128(order.remaining.raw)
      if order.hasExtra {
        guard let extra = extraOf[order.id.raw],
          order.remaining.raw + extras[extra].hidden.raw
            <= instruments[order.instrument.index].orderQuantityMax.raw
        else { return "extra of the order in slot \(slot)" }
        heldContracts[holding] += Int128(extras[extra].hidden.raw)
        extraOf[order.id.raw] = nil
      }
    }
    guard extraOf.isEmpty else { return "an extra of no order" }
    for slot in 0..<triggers.count where triggers[slot].id.raw != 0 {
      guard triggers[slot].account.index < credits.count else { return "trigger in slot \(slot)" }
      openOrders[triggers[slot].account.index] += 1
    }
    for account in 0..<credits.count where openOrders[account] != credits[account].openOrders {
      return "open orders of account \(account)"
    }
    for slot in 0..<holdings.count
    where holdings[slot].isUsed != 0 {
      // A side may pass the position limit by an opposite position, which the other side then lacks.
      let limit = Int128(instruments[holdings[slot].instrument.index].positionMax.raw) * 2
      guard heldOrders[slot] == holdings[slot].openOrders, heldContracts[slot] <= limit else {
        return "open orders of holding \(slot)"
      }
    }
    return sinceFault()
  }

  /// Timers and protections: one each, of accounts and underlyings that exist.
  private func makerFault() -> String? {
    var accounts: Set<UInt32> = []
    for slot in 0..<timers.count where timers[slot].deadline.raw != 0 {
      guard timers[slot].deadline.raw > 0, timers[slot].account.index < credits.count,
        accounts.insert(timers[slot].account.raw).inserted
      else { return "timer in slot \(slot)" }
    }
    var pairs: Set<UInt64> = []
    for slot in 0..<protections.count where protections[slot].isUsed != 0 {
      let record = protections[slot]
      guard record.isUsed == 1, record.account.index < credits.count,
        record.underlying.index < genesis.underlyings.count,
        (1...Limits.protectionTimeMax).contains(record.window),
        (0...Limits.protectionTimeMax).contains(record.frozen), record.start.raw >= 0,
        record.start <= time, (0..<(1 << 62)).contains(record.fills),
        pairs.insert(UInt64(record.account.raw) << 16 | UInt64(record.underlying.raw)).inserted
      else { return "protection in slot \(slot)" }
    }
    return nil
  }

  /// Waiting orders are actions a bundle may hold, each with a number of its own.
  private func triggerStructureFault() -> String? {
    var ids: Set<UInt64> = []
    for slot in 0..<triggers.count where triggers[slot].id.raw != 0 {
      let record = triggers[slot]
      guard record.id.number < status[0].nextOrder, record.reached <= status[0].batch,
        record.order.kind == .trigger, record.order.triggerFault == nil,
        record.order.instrument.index < instruments.count,
        record.order.price <= instruments[record.order.instrument.index].priceMax,
        record.order.quantity <= instruments[record.order.instrument.index].orderQuantityMax,
        ids.insert(record.id.raw).inserted
      else { return "trigger in slot \(slot)" }
    }
    return nil
  }

  /// Whether an extra's figures can stand together.
  private func isModest(_ extra: OrderExtra) -> Bool {
    let limit = Instrument.orderQuantityLimit.raw
    return extra.expiry.raw >= 0 && (0...limit).contains(extra.display.raw)
      && (0...limit).contains(extra.hidden.raw)
      && (extra.hidden.raw == 0 || extra.display.raw > 0) && extra.priority < status[0].nextOrder
  }

  private func isOnTerms(_ instrument: InstrumentID, _ price: Price, _ quantity: Int64) -> Bool {
    let terms = instruments[instrument.index]
    return price.raw > 0 && price <= terms.priceMax && quantity > 0
      && quantity <= terms.orderQuantityMax.raw
  }

  private func sinceFault() -> String? {
    var fills = [UInt32](repeating: 0, count: holdings.count)
    var filled = [Int128](repeating: 0, count: holdings.count)
    var outflows = [Int128](repeating: 0, count: credits.count)
    var spent = [Int64](repeating: 0, count: credits.count)
    var balanceOutflows = [Int128](repeating: 0, count: balances.count)
    for place in 0..<Int(status[0].sinceCount) {
      let record = since[place]
      let fault = "entry \(place) since the adopted Clearance"
      guard record.account.index < credits.count, record.batch <= status[0].batch else {
        return fault
      }
      switch record.kind {
      case SinceRecord.fill:
        let instrument = InstrumentID(record.subject)
        guard instrument.index < instruments.count, isModest(record.quantity),
          isOnTerms(instrument, record.price, abs(record.quantity)), record.fee.raw >= 0,
          isModest(record.fee.raw), let slot = holdingSlot(record.account, instrument)
        else { return fault }
        fills[slot] += 1
        filled[slot] += Int128(record.quantity)
        spent[record.account.index] &+= self.spent(on: record)
      case SinceRecord.outflow:
        guard record.subject < genesis.assets.count, record.quantity > 0 else { return fault }
        if record.subject == 0 {
          outflows[record.account.index] += Int128(record.quantity)
        } else {
          guard let slot = balanceSlot(record.account, AssetID(UInt16(record.subject))) else {
            return fault
          }
          balanceOutflows[slot] += Int128(record.quantity)
        }
      default: return fault
      }
    }
    for slot in 0..<holdings.count where holdings[slot].isUsed != 0 {
      guard fills[slot] == holdings[slot].sinceFills,
        filled[slot] == Int128(holdings[slot].since.raw)
      else { return "fills of holding \(slot)" }
    }
    for account in 0..<credits.count {
      guard outflows[account] == Int128(credits[account].outflow.raw),
        spent[account] == credits[account].spent
      else { return "outflow of account \(account)" }
    }
    for slot in 0..<balances.count
    where balanceOutflows[slot] != Int128(balances[slot].outflow.raw) {
      return "outflow of balance \(slot)"
    }
    return nil
  }
}
