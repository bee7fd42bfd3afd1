import Instruments
import Margin
import Primitives
import Wire

extension ExecutionMachine {
  /// The credit rule: initial margin holds in every scenario, whichever subset of open orders
  /// fills. An order that does not lower what is left passes, unless its own price would leave the
  /// account with less than nothing while the market stands still.
  ///
  /// - Parameter old: a resting order that goes when this one comes.
  mutating func admissionRefusal(_ order: NewOrder, replacing old: Int?) -> Outcome? {
    let account = order.account
    if isFrozen(account) { return .rejected(.accountFrozen) }
    let freed = old == nil ? 0 : 1
    let openOrders = Int64(credits[account.index].openOrders)
    guard openOrders - Int64(freed) < genesis.constants.openOrdersPerAccountMax else {
      return .rejected(
        .tooManyOrders, openOrders, genesis.constants.openOrdersPerAccountMax)
    }
    guard openOrderCountWithWaiting - freed < Limits.openOrdersMax else {
      return .rejected(
        .tooManyOrders, Int64(openOrderCountWithWaiting), Int64(Limits.openOrdersMax))
    }
    let holdingCount = Int64(credits[account.index].holdingCount)
    let most = positionsMax(account)
    if holdingCount >= most, holdingSlot(account, order.instrument) == nil {
      return .rejected(.tooManyPositions, holdingCount, most)
    }
    let going = old.map { left(orders[$0]).raw } ?? 0
    if let refusal = sizeRefusal(order, less: going) { return refusal }
    return marginRefusal(order, replacing: old)
  }

  /// Whether an order only reduces, where it must, and keeps the position within its limit.
  @inline(__always)
  func sizeRefusal(_ order: NewOrder, less going: Int64) -> Outcome? {
    if order.isReduceOnly || isRestricted(order.account) {
      let reducible = reducibleQuantity(
        order.account, order.instrument, side: order.side, less: going)
      guard order.quantity.raw <= reducible else {
        return .rejected(.notReducing, reducible, order.quantity.raw)
      }
    }
    if let largest = positionRefusal(order, less: going) {
      return .rejected(.quantityTooLarge, order.quantity.raw, largest)
    }
    return nil
  }

  @inline(__always)
  private mutating func marginRefusal(_ order: NewOrder, replacing old: Int?) -> Outcome? {
    let account = order.account
    let terms = terms(order.instrument)
    let exposure = exposure(order.side, quantity: order.quantity, price: order.price, terms)
    let slot = risk.slot(account, terms.underlying, .init(terms.id))
    let before = room(left: account)
    // Sums are exact: what is taken out for the question comes back as it was.
    let going = old.map { wholeExposure(orders[$0], terms) }
    if let going { table.remove(going, terms.id, from: &risk.sums, slot) }
    defer { if let going { table.add(going, terms.id, to: &risk.sums, slot) } }
    let worst = table.worst(with: exposure, terms.id, in: risk.sums, slot)
    var after = risk.room(account, slot, worst: worst)
    if table.asksForSize {
      let going = old.map { left(orders[$0]).raw } ?? 0
      after -= sizeCharge(account, with: [SizeChange(resting: order, less: going)])
    }
    if after >= before {
      if after >= 0 { return nil }
      let still = stillRoom(account) + exposure.entry
      if still >= 0 { return nil }
      return .rejected(.insufficientMargin, moneyFloor(still), moneyFloor(before))
    }
    let age = time.raw - table.time(terms.id).raw
    guard age <= genesis.constants.grantAgeMax else {
      return .rejected(.marketDataStale, age, genesis.constants.grantAgeMax)
    }
    guard after >= 0 else {
      return .rejected(.insufficientMargin, moneyFloor(after), moneyFloor(before))
    }
    return nil
  }

  /// What is left if every resting order filled while the market stood still.
  func stillRoom(_ account: AccountID) -> Int128 {
    var room = risk.equity[account.index]
    for underlying in genesis.underlyings.indices {
      room += risk.still(account, UnderlyingID(UInt16(underlying)))
    }
    return room
  }

  /// The largest order that keeps the position within its limit whatever fills, if this one does
  /// not: position and resting orders of one side never pass `Instrument.positionMax`.
  @inline(__always)
  private func positionRefusal(_ order: NewOrder, less going: Int64) -> Int64? {
    guard let slot = holdingSlot(order.account, order.instrument) else { return nil }
    let limit =
      instruments[order.instrument.index].orderQuantityMax.raw &* Instrument.positionOrdersMax
    let open = order.side == .buy ? resting[slot].bids : resting[slot].asks
    let size = order.side.sign * holdings[slot].total.raw + open - going
    return size + order.quantity.raw <= limit ? nil : max(0, limit - size)
  }

  @inline(__always)
  func isRestricted(_ account: AccountID) -> Bool {
    AccountFlags(rawValue: credits[account.index].flags).contains(.reduceOnly)
  }

  /// Whether the account is under auction, as far as clearing has said.
  @inline(__always)
  func isFrozen(_ account: AccountID) -> Bool {
    AccountFlags(rawValue: credits[account.index].flags).contains(.frozen)
  }

  /// How much the account may still trade on `side` to shrink its position: the position's size
  /// less its orders already resting that way; zero when the side adds to it.
  private func reducibleQuantity(
    _ account: AccountID, _ instrument: InstrumentID, side: Side, less going: Int64
  ) -> Int64 {
    guard let slot = holdingSlot(account, instrument) else { return 0 }
    let open = side == .buy ? resting[slot].bids : resting[slot].asks
    return max(0, closable(account, instrument, side) - (open - going))
  }

  /// How many contracts trading on `side` would close: the size of an opposite position.
  @inline(__always)
  func closable(_ account: AccountID, _ instrument: InstrumentID, _ side: Side) -> Int64 {
    guard let slot = holdingSlot(account, instrument) else { return 0 }
    let position = holdings[slot].total.raw
    guard position != 0, (position > 0) == (side == .sell) else { return 0 }
    return Int64(clamping: position.magnitude)
  }

  /// What an order that fills whole or not at all would surely find at its price or better.
  struct Reach {
    var quantity: Int64 = 0
    /// At most how many fills that takes.
    var fills = 0
    /// What the order's quantity of it costs, in notional units, and the worst price in it: earlier
    /// fills with orders that do not count only better them.
    var cost: Int128 = 0
    var worst = Price.zero

    /// Counts contracts of a level, as many as the order wants of them.
    mutating func count(_ found: Int64, of wanted: Quantity, at price: Price) {
      let taken = min(found, wanted.raw - quantity)
      quantity += found
      guard taken > 0 else { return }
      cost += (price * Quantity(raw: taken)).raw
      worst = price
    }
  }

  /// Looks through the book for an order: its account's own orders do not count, nor reduce-only
  /// ones, whose owners' positions earlier fills may close. Where an own order stops the taker,
  /// nothing behind it counts.
  func reach(of taker: NewOrder) -> Reach {
    let stops = taker.selfTrade == .cancelTaker || taker.selfTrade == .cancelBoth
    var found = Reach()
    books.forEachLevel(taker.instrument, taker.side.opposite) { price, oldest in
      guard taker.side == .buy ? price <= taker.price : price >= taker.price else { return false }
      var next: Int? = oldest
      while let slot = next {
        let order = orders[slot]
        next = books.next(atPriceAfter: slot)
        if order.flags != 0, isExpired(order) { continue }
        if order.account == taker.account {
          if stops { return false }
          continue
        }
        found.fills += 1
        if !order.isReduceOnly {
          found.count(order.remaining.raw, of: taker.quantity, at: price)
        }
        if found.quantity >= taker.quantity.raw { return false }
      }
      // What hides behind a shown slice comes after the rest of its level.
      let hidden = hiddenQuantity(from: oldest, taker)
      found.count(hidden.quantity, of: taker.quantity, at: price)
      found.fills += hidden.fills
      return found.quantity < taker.quantity.raw
    }
    return found
  }

  /// What the orders of a level have hidden, and in how many slices.
  private func hiddenQuantity(from oldest: Int, _ taker: NewOrder) -> (quantity: Int64, fills: Int)
  {
    var (quantity, fills) = (Int64(0), 0)
    var next: Int? = oldest
    while let slot = next {
      let order = orders[slot]
      next = books.next(atPriceAfter: slot)
      guard let extra = extraSlot(order), extras[extra].hidden.raw > 0, !isExpired(order),
        order.account != taker.account
      else { continue }
      let (hidden, display) = (extras[extra].hidden.raw, extras[extra].display.raw)
      fills += Int((hidden + display - 1) / display)
      if !order.isReduceOnly { quantity += hidden }
    }
    return (quantity, fills)
  }

  /// What booking and reserving need of an instrument: a fifth of its record.
  struct Terms {
    let id: InstrumentID
    let underlying: UnderlyingID
    let makerFee: Ratio
    let takerFee: Ratio
  }

  @inline(__always)
  func terms(_ instrument: InstrumentID) -> Terms {
    let place = instrument.index
    return Terms(
      id: instrument, underlying: instruments[place].underlying,
      makerFee: instruments[place].makerFee, takerFee: instruments[place].takerFee)
  }

  @inline(__always)
  func exposure(_ side: Side, quantity: Quantity, price: Price, _ terms: Terms)
    -> OrderExposure
  {
    OrderExposure(
      quantity: Quantity(raw: side.sign * quantity.raw), mark: table.mark(terms.id),
      limit: price, feeRate: max(terms.takerFee, terms.makerFee))
  }

  /// What a resting order sets aside, hidden part and all.
  @inline(__always)
  func wholeExposure(_ order: OrderRecord, _ terms: Terms) -> OrderExposure {
    exposure(order.isBuy ? .buy : .sell, quantity: left(order), price: order.price, terms)
  }
}
