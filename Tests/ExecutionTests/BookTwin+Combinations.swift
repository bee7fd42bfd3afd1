import Instruments
import Margin
import Primitives
import Wire

/// Orders in several books that fill whole or not at all, by search.
extension BookTwin {
  /// Counts what quotes filled for an order that was to fill whole.
  mutating func countHeld() {
    let fills = held ?? []
    held = nil
    for (maker, size) in fills { countFill(of: maker, size) }
  }

  @inline(never)
  mutating func combine(_ combination: Combination, _ account: Int) -> Outcome {
    var legs: [Order] = []
    for leg in combination.legs {
      let record = ActionRecord(
        kindCode: 1, a: leg.sideCode, b: 2, id: leg.instrument.raw, x: leg.price.raw,
        y: leg.quantity.raw)
      if let refusal = terms(record) { return refusal }
      let place = leg.instrument.index
      let (low, high) = band(place)
      var price = leg.price.raw
      if price == 0 { price = leg.side == .buy ? high : low }
      if leg.side == .buy ? price > high : price < low {
        return .rejected(.priceOutsideBand, price, leg.side == .buy ? high : low)
      }
      if calls[place].gathers { return .rejected(.gathering, calls[place].end, time) }
      legs.append(
        Order(
          id: 0, clientID: 0, account: account, instrument: place, side: leg.side, price: price,
          remaining: leg.quantity.raw, isReduceOnly: false))
    }
    for place in legs.indices {
      if let refusal = tooManyPositions(Array(legs[...place]))
        ?? size(legs[place], orders.filter { $0.account == account })
      {
        return refusal
      }
    }
    var (fills, net) = (0, Int128(0))
    for place in legs.indices {
      let found = available(legs[place], combination.selfTrade)
      if found.quantity < legs[place].remaining {
        return .rejected(.notFillable, legs[place].remaining, found.quantity)
      }
      fills += found.fills
      net += Int128(legs[place].side.sign) * found.cost
      legs[place].price = found.worst
    }
    let unit = Notional.perMoney
    if net > Int128(combination.netLimit.raw) * unit {
      return .rejected(.netPrice, ceiling(net), combination.netLimit.raw)
    }
    if let refusal = credit(legs, fills, account) { return refusal }
    let id = newOrderID()
    let first = trades.count
    held = []
    for leg in legs {
      let result = match(
        account, leg.instrument, leg.side, leg.price, leg.remaining, order: id,
        combination.selfTrade)
      precondition(result.left == 0, "the twin's leg of \(leg) left \(result.left)")
    }
    countHeld()
    combinations += 1
    let paid = trades[first...].reduce(Int128(0)) {
      $0 + Int128($1.takerSide.sign) * Int128($1.price) * Int128($1.quantity)
    }
    return Outcome(.filled, .done, ceiling(paid), 0, order: OrderID(id))
  }

  private func ceiling(_ notional: Int128) -> Int64 {
    Int64(clamping: notional.divided(by: Notional.perMoney, rounding: .up))
  }

  /// Room with every leg held as a position, and every loss it brings at its worst price.
  @inline(never)
  func credit(_ legs: [Order], _ fills: Int, _ account: Int) -> Outcome? {
    var more: [Int: Int64] = [:]
    for leg in legs { more[leg.instrument] = leg.side.sign * leg.remaining }
    var lost = legs.reduce(Int128(0)) { $0 + entry($1) }
    lost -= Int128(fills - legs.count) * 3 * Notional.perMoney
    let before = room(account)
    let after = room(account, holding: more) + lost
    if after >= before {
      let still = orders.filter { $0.account == account }
        .reduce(equity(account) + lost) { $0 + entry($1) }
      if after >= 0 || still >= 0 { return nil }
      return .rejected(.insufficientMargin, money(still), money(before))
    }
    for leg in legs {
      let age = time - table.time(InstrumentID(UInt32(leg.instrument))).raw
      if age > constants.grantAgeMax {
        return .rejected(.marketDataStale, age, constants.grantAgeMax)
      }
    }
    return after < 0 ? .rejected(.insufficientMargin, money(after), money(before)) : nil
  }
}
