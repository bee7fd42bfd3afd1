import Instruments
import Margin
import Primitives
import TestSupport
import Wire

@testable import Execution

/// Combinations at random, near what the books show.
extension BookFuzzTests.Run {
  @inline(never)
  mutating func combination() -> Action {
    // The second trades in auctions alone: now and then it is asked all the same.
    var places = [0, 1, 2, 3, 4].filter { generator.chance($0 == 1 ? 5 : 50) }
    if places.count < 2 { places = [2, generator.chance(50) ? 3 : 4] }
    var (legs, net) = ([CombinationLeg](), Int128(0))
    for place in places {
      let side: Side = generator.chance(50) ? .buy : .sell
      let quantity = Quantity(raw: TestWorld.lot * generator.within(1...25))
      let best = twin.orders.filter { $0.instrument == place && $0.side != side }.map(\.price)
      let touch = (side == .buy ? best.min() : best.max()) ?? base(place)
      let tick = TestWorld.tick
      let price = max(tick, touch / tick * tick + side.sign * tick * generator.within(-2...300))
      net += Int128(side.sign) * Int128(touch) * Int128(quantity.raw)
      legs.append(
        CombinationLeg(
          instrument: InstrumentID(UInt32(place)), side: side, quantity: quantity,
          price: generator.chance(60) ? .zero : Price(raw: price)))
    }
    let money = Int64(clamping: net / Notional.perMoney)
    let slack = generator.chance(30) ? generator.within(-3_000_000...3_000_000) : 500_000_000
    return .combination(
      Combination(
        legs: legs, netLimit: Money(raw: money + slack),
        selfTrade: [.cancelResting, .cancelTaker, .cancelBoth][generator.below(3)]))
  }
}
