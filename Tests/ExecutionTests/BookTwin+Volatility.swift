import Instruments
import Margin
import Pricing
import Primitives
import Wire

/// Orders quoted in volatility, by search.
extension BookTwin {
  @inline(never)
  mutating func volatility(_ record: ActionRecord, _ account: Int) -> Outcome {
    func answer(_ outcome: Outcome, _ price: Int64) -> Outcome {
      var answer = outcome
      answer.figure2 = orders.first { $0.id == outcome.order.raw }?.price ?? price
      return answer
    }
    if let known = clientAnswer(record, account) {
      return known.status == .rejected ? known : answer(known, 0)
    }
    guard Int(record.id) < instruments.count else { return .rejected(.unknownInstrument) }
    let terms = instruments[Int(record.id)]
    guard terms.kind == .option else { return .rejected(.notAnOption) }
    guard
      let slice = market[terms.underlying.index].slices.first(where: { $0.expiry == terms.expiry })
    else { return .rejected(.noMarketData) }
    let exact = Black76.price(
      terms.optionTypeCode == 1 ? .call : .put, forward: slice.forward, strike: terms.strike,
      volatility: Ratio(raw: record.x), time: max(0, terms.expiry.raw - slice.time.raw)
    ).raw
    let tick = terms.tick.raw
    var price = exact - exact % tick
    if record.side == .buy, price == 0 { return .rejected(.volatilityTooLow, exact, tick) }
    if record.side == .sell, price == 0 || price < exact { price += tick }
    var order = record
    (order.kindCode, order.x) = (ActionKind.place.rawValue, price)
    volatilityOrders += 1
    let outcome = place(order, account, fingerprint: record.z == 0 ? 0 : record.fingerprint)
    return outcome.status == .rejected ? outcome : answer(outcome, price)
  }
}
