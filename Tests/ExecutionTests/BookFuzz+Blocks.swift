import Instruments
import Margin
import Primitives
import TestSupport
import Wire

@testable import Execution

/// Block trades at random, most with a hedge.
extension BookFuzzTests.Run {
  @inline(never)
  mutating func block() -> Action {
    let first = generator.below(5)
    var hedge: BlockLeg?
    if generator.chance(75) {
      let other = generator.chance(80) ? generator.below(2) : generator.below(5)
      hedge = leg(other == first ? (first + 1) % 5 : other)
    }
    let (leg, signer) = (leg(first), generator.pick(clients))
    return .block(
      BlockTrade.signed(
        instrument: leg.instrument, side: leg.side, price: leg.price, quantity: leg.quantity,
        hedge: hedge, reference: 1, counterparty: signer, nonce: maker.nonce(of: signer),
        expiry: Timestamp(raw: twin.time + 5_000), network: genesis.networkID,
        by: TestWorld.ownerKey(signer)))
  }

  private mutating func leg(_ place: Int) -> BlockLeg {
    let id = InstrumentID(UInt32(place))
    let tick = TestWorld.tick
    let around = twin.table.isPriced(id) ? twin.table.mark(id).raw : base(place)
    let price = around / tick * tick + tick * generator.within(-300...300)
    return BlockLeg(
      instrument: id, side: generator.chance(50) ? .buy : .sell,
      price: Price(raw: max(tick, price)),
      quantity: Quantity(raw: TestWorld.lot * generator.within(1...120)))
  }
}
