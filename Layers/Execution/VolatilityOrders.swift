import Instruments
import Pricing
import Primitives
import Wire

extension ExecutionMachine {
  /// Places a limit order at the price that its volatility has on the adopted forward, with the time
  /// and by the formula of the mark: at the mark's volatility that is the mark. The price is brought
  /// to the tick against the account. From then on it is an order like any other: were it priced anew
  /// at each adoption, it would lose its place each time.
  @inline(never)
  mutating func placeByVolatility(_ record: ActionRecord, account: AccountID) -> Outcome {
    let fingerprint = record.z == 0 ? 0 : record.fingerprint
    if record.z != 0 {
      // Its terms are the volatility's, whatever the price has become since.
      if let slot = clientOrder(account, record.z) {
        return priced(repeated(slot, fingerprint, record.quantity), record, orders[slot].price)
      }
      if waiting.slot(of: account, clientID: record.z) != nil {
        return .rejected(.duplicateClientID)
      }
    }
    guard record.instrument.index < instruments.count else {
      return .rejected(.unknownInstrument)
    }
    let instrument = instruments[record.instrument.index]
    guard instrument.isOption else { return .rejected(.notAnOption) }
    guard let exact = price(of: instrument, at: record.volatility) else {
      return .rejected(.noMarketData)
    }
    let price = onTick(exact, instrument.tick, record.side)
    guard price.raw > 0 else {
      return .rejected(.volatilityTooLow, exact.raw, instrument.tick.raw)
    }
    return priced(
      placeOrder(record.order(at: price), account: account, fingerprint: fingerprint), record,
      price)
  }

  /// Black-76 on the adopted forward of the option's expiry; nil without one.
  private func price(of instrument: Instrument, at volatility: Ratio) -> Price? {
    for slot in 0..<slices.count
    where slices[slot].underlying == instrument.underlying
      && slices[slot].expiry == instrument.expiry
    {
      return Black76.price(
        instrument.isCall ? .call : .put, forward: slices[slot].forward,
        strike: instrument.strike, volatility: volatility,
        time: max(0, instrument.expiry.raw - slices[slot].time.raw))
    }
    return nil
  }

  /// A bid goes down to the tick, to nothing below the first; an ask up, to the first at least.
  private func onTick(_ price: Price, _ tick: Price, _ side: Side) -> Price {
    let ticks = Int128(price.raw).divided(
      by: Int128(tick.raw), rounding: side == .buy ? .down : .up)
    return Price(raw: Int64(clamping: (side == .buy ? ticks : max(1, ticks)) * Int128(tick.raw)))
  }

  /// The outcome with the price in the place of what is left. What did not fill rests or, of an
  /// immediate order, is gone; code 25 says that an own order ended it, code 31 that the batch did.
  private func priced(_ outcome: Outcome, _ record: ActionRecord, _ price: Price) -> Outcome {
    guard outcome.status != .rejected else { return outcome }
    var result = outcome
    if record.rests, outcome.code == OutcomeCode.done.rawValue, outcome.figure2 == 0,
      outcome.figure1 < record.y
    {
      result.code = OutcomeCode.batchFull.rawValue
    }
    // One that slid rests at another.
    let slot = outcome.figure2 > 0 ? books.slot(of: outcome.order) : nil
    result.figure2 = slot.map { orders[$0].price.raw } ?? price.raw
    return result
  }
}
