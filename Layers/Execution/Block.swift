import Instruments
import Margin
import Primitives
import Wire

extension ExecutionMachine {
  /// Books a trade two accounts agreed on: both signatures, both nonces, both margins; the book is
  /// not touched. With a hedge both legs trade or neither, and credit is asked for both together.
  ///
  /// - Parameter isSigned: whether the counterparty signed it, if the caller knows.
  mutating func trade(_ block: BlockTrade, _ account: AccountID, isSigned: Bool?) -> Outcome {
    let other = block.counterparty
    guard other.account != account else { return .rejected(.selfTrade) }
    guard other.account.index < credits.count else { return .rejected(.unknownAccount) }
    guard let slot = keySlot(other.account, other.key) else { return .rejected(.unknownKey) }
    let legs = block.legs
    guard legs.allSatisfy({ isInScope($0.instrument, of: keys[slot]) }) else {
      return .rejected(.outOfScope)
    }
    guard other.expiry >= time, other.expiry.raw - time.raw <= genesis.constants.bundleLifeMax
    else { return .rejected(.counterpartyExpired) }
    if keys[slot].refusal(ofNonce: other.nonce) != nil { return .rejected(.counterpartyNonce) }
    for leg in legs {
      if let refusal = legRefusal(leg) { return refusal }
    }
    if let hedge = block.hedge, !isHedge(hedge.instrument, of: block.leg.instrument) {
      return .rejected(.notAHedge)
    }
    guard isSigned ?? block.isSigned(network: network) else {
      return .rejected(.counterpartySignature)
    }
    for (party, isSender) in [(account, true), (other.account, false)] {
      if let refusal = partyRefusal(party, legs, isSender: isSender) { return refusal }
    }
    keys[slot].use(nonce: other.nonce)
    for leg in legs { book(leg, account, other.account) }
    return Outcome(.filled, .done, block.leg.quantity.raw, 0)
  }

  /// An instrument's own rules, and its band for both sides.
  private func legRefusal(_ leg: BlockLeg) -> Outcome? {
    let terms = ActionRecord(
      kindCode: ActionKind.place.rawValue, a: leg.side.rawValue, id: leg.instrument.raw,
      x: leg.price.raw, y: leg.quantity.raw)
    if let refusal = termsRefusal(terms) { return refusal }
    for side in [leg.side, leg.side.opposite] {
      if let refusal = bandRefusal(leg.instrument, side, leg.price) { return refusal }
    }
    return nil
  }

  private func isHedge(_ hedge: InstrumentID, of instrument: InstrumentID) -> Bool {
    !instruments[hedge.index].isOption
      && instruments[hedge.index].underlying == instruments[instrument.index].underlying
  }

  /// What one party may not do: of one leg as of an order, of two as of a combination.
  private mutating func partyRefusal(
    _ party: AccountID, _ legs: [BlockLeg], isSender: Bool
  ) -> Outcome? {
    let orders = legs.map {
      NewOrder(
        account: party, instrument: $0.instrument, side: isSender ? $0.side : $0.side.opposite,
        price: $0.price, quantity: $0.quantity)
    }
    if orders.count == 1 { return admissionRefusal(orders[0], replacing: nil) }
    return limitRefusal(orders, party) ?? wholeRefusal(orders, moreFills: 0, party)
  }

  private mutating func book(_ leg: BlockLeg, _ sender: AccountID, _ counterparty: AccountID) {
    let terms = terms(leg.instrument)
    let trade = TradeID(status[0].nextTrade)
    status[0].nextTrade += 1
    events.append(
      Fill(
        cause: .block, takerSide: leg.side, instrument: terms.id, trade: trade,
        maker: counterparty, taker: sender, price: leg.price, quantity: leg.quantity,
        makerOrder: OrderID(0), takerOrder: OrderID(0)))
    let quantity = Quantity(raw: leg.side.sign * leg.quantity.raw)
    book(counterparty, terms, Quantity(raw: -quantity.raw), leg.price, feeRate: terms.makerFee)
    book(sender, terms, quantity, leg.price, feeRate: terms.takerFee)
  }
}
