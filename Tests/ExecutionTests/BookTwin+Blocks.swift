import Instruments
import Margin
import Primitives
import Wire

/// Block trades past the book; keys, nonces and signatures are the door's, and are good here.
extension BookTwin {
  @inline(never)
  mutating func block(_ block: BlockTrade, _ account: Int) -> Outcome {
    let other = block.counterparty.account.index
    if other == account { return .rejected(.selfTrade) }
    for leg in block.legs {
      let record = ActionRecord(
        kindCode: 1, a: leg.side.rawValue, id: leg.instrument.raw, x: leg.price.raw,
        y: leg.quantity.raw)
      if let refusal = terms(record) { return refusal }
      let (low, high) = band(leg.instrument.index)
      for side in [leg.side, leg.side.opposite] {
        if side == .buy ? leg.price.raw > high : leg.price.raw < low {
          return .rejected(.priceOutsideBand, leg.price.raw, side == .buy ? high : low)
        }
      }
    }
    if let hedge = block.hedge {
      let (first, second) = (
        instruments[block.leg.instrument.index], instruments[hedge.instrument.index]
      )
      if second.kind == .option || first.underlying != second.underlying {
        return .rejected(.notAHedge)
      }
    }
    for (party, isSender) in [(account, true), (other, false)] {
      let legs = block.legs.map {
        Order(
          id: 0, clientID: 0, account: party, instrument: $0.instrument.index,
          side: isSender ? $0.side : $0.side.opposite, price: $0.price.raw,
          remaining: $0.quantity.raw, isReduceOnly: false)
      }
      if legs.count == 1 {
        if let refusal = credit(legs[0], replacing: nil) { return refusal }
        continue
      }
      for place in legs.indices {
        if let refusal = tooManyPositions(Array(legs[...place]))
          ?? size(legs[place], orders.filter { $0.account == party })
        {
          return refusal
        }
      }
      if let refusal = credit(legs, legs.count, party) { return refusal }
    }
    for leg in block.legs {
      let terms = instruments[leg.instrument.index]
      let trade = Trade(
        batch: batch, instrument: leg.instrument.index, maker: other, taker: account,
        takerSide: leg.side, price: leg.price.raw, quantity: leg.quantity.raw, makerOrder: 0,
        takerOrder: 0, makerFee: Fees.fee(leg.price, leg.quantity, rate: terms.makerFee).raw,
        takerFee: Fees.fee(leg.price, leg.quantity, rate: terms.takerFee).raw)
      trades.append(trade)
      since.append(trade)
    }
    if block.hedge != nil { hedgedBlocks += 1 }
    return Outcome(.filled, .done, block.leg.quantity.raw, 0)
  }
}
