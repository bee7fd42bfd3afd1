import Instruments
import Margin
import Primitives
import Wire

/// A fill of a quote that counts when the whole it belongs to has filled.
struct QuoteFill {
  let maker: OrderRecord
  let size: Quantity
}

extension ExecutionMachine {
  /// Fills every leg at once, or none: what the books show is looked at first, for quantity, net
  /// price and credit on the whole, and nothing that happens while the legs fill can take away from it.
  @inline(never)
  mutating func combine(_ combination: Combination, account: AccountID) -> Outcome {
    var legs: [NewOrder] = []
    for leg in combination.legs {
      var order = NewOrder(
        account: account, instrument: leg.instrument, side: leg.side, price: leg.price,
        quantity: leg.quantity, timeInForce: .fok, selfTrade: combination.selfTrade)
      if let refusal = legRefusal(&order) { return refusal }
      legs.append(order)
    }
    if hasNoRoomForTrades { return .rejected(.batchFull) }
    if let refusal = limitRefusal(legs, account) { return refusal }
    var (fills, net) = (0, Int128(0))
    for place in legs.indices {
      let leg = legs[place]
      let found = reach(of: leg)
      guard found.quantity >= leg.quantity.raw else {
        return .rejected(.notFillable, leg.quantity.raw, found.quantity)
      }
      fills += found.fills
      net += Int128(leg.side.sign) * found.cost
      legs[place].price = found.worst
    }
    guard hasRoom(forTrades: fills) else { return .rejected(.batchFull) }
    guard net <= Notional(combination.netLimit).raw else {
      return .rejected(.netPrice, moneyCeiling(net), combination.netLimit.raw)
    }
    if let refusal = wholeRefusal(legs, moreFills: fills - legs.count, account) { return refusal }
    return fill(legs, account)
  }

  /// An instrument's own rules for a leg; a price of zero becomes the edge of the band.
  private func legRefusal(_ order: inout NewOrder) -> Outcome? {
    let record = ActionRecord(
      kindCode: ActionKind.place.rawValue, a: order.side.rawValue, b: TimeInForce.fok.rawValue,
      c: order.price.raw == 0 ? 8 : 0, id: order.instrument.raw, x: order.price.raw,
      y: order.quantity.raw)
    if let refusal = termsRefusal(record) { return refusal }
    if let refusal = bandRefusal(record, &order.price) { return refusal }
    guard !gathers(order.instrument) else {
      return .rejected(.gathering, calls[order.instrument.index].end.raw, time.raw)
    }
    return nil
  }

  /// What an account may do, whatever its credit.
  func limitRefusal(_ legs: [NewOrder], _ account: AccountID) -> Outcome? {
    if isFrozen(account) { return .rejected(.accountFrozen) }
    var holdingCount = Int64(credits[account.index].holdingCount)
    for leg in legs {
      if holdingSlot(account, leg.instrument) == nil {
        guard holdingCount < positionsMax(account) else {
          return .rejected(.tooManyPositions, holdingCount, positionsMax(account))
        }
        holdingCount += 1
      }
      if let refusal = sizeRefusal(leg, less: 0) { return refusal }
    }
    return nil
  }

  /// The credit rule for legs that all fill: contracts join the sums as positions, and what they lose
  /// at once counts against equity, whatever the orders that rest do.
  ///
  /// - Parameter moreFills: than one a leg, each of which may lose its roundings.
  mutating func wholeRefusal(
    _ legs: [NewOrder], moreFills: Int, _ account: AccountID
  ) -> Outcome? {
    let before = room(left: account)
    let still = stillRoom(account)
    var entries = -Int128(moreFills) * OrderExposure.dust
    for leg in legs {
      let terms = terms(leg.instrument)
      entries += exposure(leg.side, quantity: leg.quantity, price: leg.price, terms).entry
      hold(leg, terms, true)
    }
    var after = risk.room(account) + entries
    if table.asksForSize {
      after -= sizeCharge(account, with: legs.map { SizeChange(filled: $0) })
    }
    // Sums are exact: what joined them for the question leaves them as they were.
    for leg in legs { hold(leg, terms(leg.instrument), false) }
    if after >= before {
      if after >= 0 || still + entries >= 0 { return nil }
      return .rejected(.insufficientMargin, moneyFloor(still + entries), moneyFloor(before))
    }
    for leg in legs {
      let age = time.raw - table.time(leg.instrument).raw
      guard age <= genesis.constants.grantAgeMax else {
        return .rejected(.marketDataStale, age, genesis.constants.grantAgeMax)
      }
    }
    guard after >= 0 else {
      return .rejected(.insufficientMargin, moneyFloor(after), moneyFloor(before))
    }
    return nil
  }

  private mutating func hold(_ leg: NewOrder, _ terms: Terms, _ isHeld: Bool) {
    let slot = risk.slot(leg.account, terms.underlying, .init(terms.id))
    let now = holdingSlot(leg.account, leg.instrument).map { holdings[$0].total } ?? .zero
    let then = Quantity(raw: now.raw + leg.side.sign * leg.quantity.raw)
    let worst = table.move(
      leg.instrument, from: isHeld ? now : then, to: isHeld ? then : now, in: &risk.sums, slot)
    risk.set(leg.account, slot, worst: worst)
  }

  private mutating func fill(_ legs: [NewOrder], _ account: AccountID) -> Outcome {
    let id = nextOrderID()
    let first = events.count
    for leg in legs {
      let result = match(
        Taker(
          account: account, instrument: leg.instrument, side: leg.side, price: leg.price,
          order: id, cause: .match, selfTrade: leg.selfTrade, isWhole: true),
        quantity: leg.quantity)
      precondition(result.left.raw == 0, "a leg fills what the book was found to have")
    }
    countHeldFills()
    var net: Int128 = 0
    for place in first..<events.count {
      let fill = events.record(place, as: Fill.self)
      net += Int128(fill.takerSide.sign) * (fill.price * fill.quantity).raw
    }
    return Outcome(.filled, .done, moneyCeiling(net), 0, order: id)
  }

  /// Counts what quotes filled for an order that fills whole or not at all: were they pulled while it
  /// does, it would not.
  mutating func countHeldFills() {
    guard !heldFills.isEmpty else { return }
    let held = heldFills
    heldFills.removeAll(keepingCapacity: true)
    for fill in held {
      countQuoteFill(fill.maker, terms(fill.maker.instrument), size: fill.size)
    }
  }

  /// Whole money units of a notional, rounded up and held to Int64: a figure to show.
  private func moneyCeiling(_ notional: Int128) -> Int64 {
    Int64(clamping: notional.divided(by: Notional.perMoney, rounding: .up))
  }
}
