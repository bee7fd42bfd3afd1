import Instruments
import Margin
import Primitives
import Wire

extension ExecutionMachine {
  /// Books a trade two accounts agreed on: both signatures, both nonces, both margins; the book is
  /// not touched.
  ///
  /// - Parameter isSigned: whether the counterparty signed it, if the caller knows.
  mutating func trade(_ block: BlockTrade, _ account: AccountID, isSigned: Bool?) -> Outcome {
    let other = block.counterparty
    guard other.account != account else { return .rejected(.selfTrade) }
    guard other.account.index < credits.count else { return .rejected(.unknownAccount) }
    guard let slot = keySlot(other.account, other.key) else { return .rejected(.unknownKey) }
    guard isInScope(block.instrument, of: keys[slot]) else { return .rejected(.outOfScope) }
    guard other.expiry >= time, other.expiry.raw - time.raw <= genesis.constants.bundleLifeMax
    else { return .rejected(.counterpartyExpired) }
    if keys[slot].refusal(ofNonce: other.nonce) != nil { return .rejected(.counterpartyNonce) }
    let terms = ActionRecord(
      kindCode: ActionKind.place.rawValue, a: block.side.rawValue, id: block.instrument.raw,
      x: block.price.raw, y: block.quantity.raw)
    if let refusal = termsRefusal(terms) { return refusal }
    for side in [block.side, block.side.opposite] {
      if let refusal = bandRefusal(block.instrument, side, block.price) { return refusal }
    }
    guard isSigned ?? block.isSigned(network: network) else {
      return .rejected(.counterpartySignature)
    }
    for (party, side) in [(account, block.side), (other.account, block.side.opposite)] {
      let order = NewOrder(
        account: party, instrument: block.instrument, side: side, price: block.price,
        quantity: block.quantity)
      if let refusal = admissionRefusal(order, replacing: nil) { return refusal }
    }
    keys[slot].use(nonce: other.nonce)
    let booked = self.terms(block.instrument)
    let trade = TradeID(status[0].nextTrade)
    status[0].nextTrade += 1
    events.append(
      Fill(
        cause: .block, takerSide: block.side, instrument: booked.id, trade: trade,
        maker: other.account, taker: account, price: block.price, quantity: block.quantity,
        makerOrder: OrderID(0), takerOrder: OrderID(0)))
    book(
      other.account, booked, Quantity(raw: block.side.opposite.sign * block.quantity.raw),
      block.price, feeRate: booked.makerFee)
    book(
      account, booked, Quantity(raw: block.side.sign * block.quantity.raw), block.price,
      feeRate: booked.takerFee)
    return Outcome(.filled, .done, block.quantity.raw, 0)
  }
}
