import Instruments
import Primitives
import TestSupport
import Wire

@testable import Execution

/// Orders quoted in volatility at random.
extension BookFuzzTests.Run {
  @inline(never)
  mutating func volatility() -> Action {
    let instrument = InstrumentID(UInt32(generator.chance(96) ? 2 + generator.below(2) : 0))
    clientID += 1
    var terms = OrderTerms(
      instrument: instrument, side: generator.chance(50) ? .buy : .sell, price: .zero,
      quantity: Quantity(raw: TestWorld.lot * generator.within(1...250)),
      timeInForce: generator.chance(70) ? .gtc : generator.chance(60) ? .ioc : .fok,
      isReduceOnly: generator.chance(10), clientID: generator.chance(30) ? 0 : clientID)
    if terms.timeInForce == .gtc {
      terms.postOnly = [.no, .no, .reject, .slide][generator.below(4)]
      season(&terms)
    } else {
      terms.selfTrade = SelfTradeMode(rawValue: UInt8(generator.below(3))) ?? .cancelResting
    }
    if terms.selfTrade == .decrementBoth { terms.selfTrade = .cancelResting }
    // Seconds before expiry what is priced like the other orders has a volatility of many times one.
    let wide: [Int64] = [1_000_000, 1_000_000_000, 200_000_000_000]
    var order = VolatilityOrder(
      terms,
      volatility: Ratio(
        raw: generator.chance(60)
          ? 1_000_000 * generator.within(40_000...160_000)
          : generator.within(1...generator.pick(wide))))
    if generator.chance(15), let quoted { order = quoted }
    quoted = order
    return .volatility(order)
  }
}
