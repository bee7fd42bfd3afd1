import Instruments
import Primitives
import Wire

extension ExecutionMachine {
  /// Puts an account's quotes in instruments of an underlying in the place of those before. A side
  /// that stays at its price and does not grow keeps its place; figures count the sides that stand or
  /// traded, and those refused, whose first reason is the code.
  @inline(never)
  mutating func quote(_ quote: MassQuote, account: AccountID) -> Outcome {
    guard quote.underlying.index < genesis.underlyings.count else {
      return .rejected(.unknownInstrument)
    }
    if let slot = protectionSlot(account, quote.underlying) {
      let until = protections[slot].frozenUntil
      if until > time { return .rejected(.quotesFrozen, until.raw, time.raw) }
      if until.raw != 0 { protections[slot].frozenUntil = .zero }
    }
    var isKept = [Bool](repeating: false, count: 2 * quote.entries.count)
    for slot in books.slots(of: account) {
      let order = orders[slot]
      if order.isQuote, instruments[order.instrument.index].underlying == quote.underlying {
        keepOrRemove(slot, order, quote, &isKept)
      }
    }
    var (done, refused) = (Int64(0), Int64(0))
    var code = OutcomeCode.done.rawValue
    for (place, entry) in quote.entries.enumerated() {
      for side in [Side.buy, .sell] where entry.quantity(side).raw > 0 {
        if isKept[2 * place + Int(side.rawValue)] {
          done += 1
          continue
        }
        let outcome = enter(entry, side, of: quote, account)
        // One that an own order stopped neither stands nor traded.
        if outcome.status != .rejected, outcome.figure1 > 0 || outcome.figure2 > 0 {
          done += 1
        } else {
          if refused == 0 { code = outcome.code }
          refused += 1
        }
      }
    }
    return Outcome(.accepted, OutcomeCode(rawValue: code) ?? .done, done, refused)
  }

  /// A quote of before: it stays if the new one has its price and no more contracts, or where none of
  /// its instrument comes and others are left alone.
  private mutating func keepOrRemove(
    _ slot: Int, _ order: OrderRecord, _ quote: MassQuote, _ isKept: inout [Bool]
  ) {
    guard let place = quote.entry(of: order.instrument) else {
      if quote.pullsOthers { removeOrder(slot) }
      return
    }
    let side: Side = order.isBuy ? .buy : .sell
    let quantity = quote.entries[place].quantity(side)
    let flag = 2 * place + Int(side.rawValue)
    guard !isKept[flag], quantity.raw > 0, quote.entries[place].price(side) == order.price,
      quantity <= order.remaining, instruments[order.instrument.index].trades(at: time),
      quantity.raw % instruments[order.instrument.index].lot.raw == 0
    else {
      removeOrder(slot)
      return
    }
    isKept[flag] = true
    guard quantity != order.remaining else { return }
    changeReserve(slot, order, terms(order.instrument), to: quantity)
    books.orders[slot].remaining = quantity
  }

  /// One side: an order good till cancelled, by the rules of any other.
  private mutating func enter(
    _ entry: QuoteEntry, _ side: Side, of quote: MassQuote, _ account: AccountID
  ) -> Outcome {
    var price = entry.price(side)
    let record = ActionRecord(
      kindCode: ActionKind.place.rawValue, a: side.rawValue, c: quote.postOnly.flags,
      id: entry.instrument.raw, x: price.raw, y: entry.quantity(side).raw)
    if let refusal = termsRefusal(record) { return refusal }
    guard instruments[entry.instrument.index].underlying == quote.underlying else {
      return .rejected(.unknownInstrument)
    }
    if let refusal = bandRefusal(entry.instrument, side, price) { return refusal }
    if hasNoRoomForTrades { return .rejected(.batchFull) }
    if record.isPostOnly, let refusal = postOnlyRefusal(record, side, &price) { return refusal }
    return enter(
      NewOrder(
        account: account, instrument: entry.instrument, side: side, price: price,
        quantity: entry.quantity(side), selfTrade: quote.selfTrade, isQuote: true),
      replacing: nil)
  }
}
