import Instruments
import Primitives
import TestSupport
import Wire

@testable import Execution

/// What makers send, at random, and what their accounts keep.
extension BookFuzzTests.Run {
  mutating func makerAction() -> Action {
    let underlying = UnderlyingID(UInt16(generator.chance(85) ? 0 : generator.below(3)))
    switch generator.below(20) {
    case 0:
      return .timer(milliseconds: generator.chance(20) ? 0 : generator.within(1_000...6_000))
    case 1:
      return .resetProtection(underlying)
    case 2..<5:
      return .protect(protection(underlying))
    default:
      return .massQuote(massQuote(underlying))
    }
  }

  private mutating func protection(_ underlying: UnderlyingID) -> QuoteProtection {
    if generator.chance(10) {
      return QuoteProtection(underlying: underlying, window: 0, frozen: 0)
    }
    var limits: [Int64] = [0, 0, 0, 0]
    for _ in 0...generator.below(3) {
      limits[generator.below(4)] =
        [
          generator.within(1...4), TestWorld.lot * generator.within(1...800),
          TestWorld.lot * generator.within(1...800), generator.within(1...50_000_000),
        ][generator.below(4)]
    }
    if limits.allSatisfy({ $0 == 0 }) { limits[0] = 1 }
    return QuoteProtection(
      underlying: underlying, window: generator.within(1...4_000),
      frozen: generator.chance(20) ? 0 : generator.within(1...3_000), fills: limits[0],
      quantity: Quantity(raw: limits[1]), delta: Quantity(raw: limits[2]),
      vega: Money(raw: limits[3]))
  }

  private mutating func massQuote(_ underlying: UnderlyingID) -> MassQuote {
    var entries: [QuoteEntry] = []
    let pullsOthers = generator.chance(40)
    for number in 0..<7 where generator.chance(50) {
      let instrument = InstrumentID(UInt32(number))
      var entry = QuoteEntry(instrument: instrument)
      let old = twin.orders.first { $0.isQuote && $0.instrument == number }
      for side in [Side.buy, .sell] where generator.chance(85) {
        let tick = generator.chance(98) ? TestWorld.tick : 1
        var price = base(number) + side.sign * TestWorld.tick * generator.within(-2_000...30)
        var size = TestWorld.lot * generator.within(1...200)
        if let old, old.side == side, generator.chance(60) {
          (price, size) = (old.price, max(1, old.left - TestWorld.lot * generator.within(-3...20)))
        }
        price = max(tick, price / tick * tick)
        if side == .buy {
          (entry.bid, entry.bidQuantity) = (Price(raw: price), Quantity(raw: size))
        } else {
          (entry.ask, entry.askQuantity) = (Price(raw: price), Quantity(raw: size))
        }
      }
      if entry.bidQuantity.raw > 0, entry.askQuantity.raw > 0, entry.bid >= entry.ask {
        (entry.ask, entry.askQuantity) = (.zero, .zero)
      }
      let isEmpty = entry.bidQuantity.raw == 0 && entry.askQuantity.raw == 0
      if !(pullsOthers && isEmpty) { entries.append(entry) }
    }
    return MassQuote(
      underlying: underlying, entries: entries, pullsOthers: pullsOthers || entries.isEmpty,
      postOnly: [.no, .reject, .slide][generator.below(3)],
      selfTrade: SelfTradeMode(rawValue: UInt8(generator.below(4))) ?? .cancelResting)
  }

  /// The timers and protections of both.
  func makersDiffer() -> String? {
    var timers: [[Int64]] = []
    for slot in 0..<machine.timers.count where machine.timers[slot].deadline.raw != 0 {
      let timer = machine.timers[slot]
      timers.append([Int64(timer.account.raw), timer.deadline.raw])
    }
    timers.sort { $0[0] < $1[0] }
    let expected = twin.timers.map { [Int64($0.account), $0.deadline] }.sorted { $0[0] < $1[0] }
    guard timers == expected else { return "timers \(timers), twin \(expected)" }
    var count = 0
    for slot in 0..<machine.protections.count where machine.protections[slot].isUsed != 0 {
      let record = machine.protections[slot]
      count += 1
      let same = BookTwin.Protection(
        account: record.account.index, underlying: record.underlying.index,
        window: record.window, frozen: record.frozen,
        limits: [record.fillsMax, record.quantityMax, record.deltaMax, record.vegaMax],
        sums: [record.fills, record.quantity, record.delta, record.vega],
        start: record.start.raw, until: record.frozenUntil.raw)
      if !twin.protections.contains(same) { return "protection \(same), twin \(twin.protections)" }
    }
    return count == twin.protections.count
      ? nil : "\(count) protections, twin \(twin.protections)"
  }
}
