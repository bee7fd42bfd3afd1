import Instruments
import Margin
import Primitives
import TestSupport
import Wire

@testable import Execution

/// Orders that wait for a price, at random, and what both know of them.
extension BookFuzzTests.Run {
  @inline(never)
  mutating func trigger(_ instrument: InstrumentID) -> Action {
    let around = base(instrument.index)
    let tick = TestWorld.tick
    let side: Side = generator.chance(50) ? .buy : .sell
    let step = max(tick, around / 1_000 / tick * tick)
    let price = max(tick, (around + generator.within(-40...40) * step) / tick * tick)
    let isMarket = generator.chance(40)
    clientID += 1
    var terms = OrderTerms(
      instrument: instrument, side: side,
      price: isMarket && generator.chance(50) ? .zero : Price(raw: price),
      quantity: Quantity(raw: TestWorld.lot * generator.within(1...250)),
      timeInForce: isMarket || generator.chance(20) ? (generator.chance(70) ? .ioc : .fok) : .gtc,
      isReduceOnly: generator.chance(40), isMarket: isMarket,
      clientID: generator.chance(30)
        ? 0 : generator.chance(10) ? clientID - min(9, clientID - 1) : clientID)
    if terms.timeInForce == .gtc {
      terms.postOnly = [.no, .no, .reject, .slide][generator.below(4)]
      season(&terms)
    } else if generator.chance(40) {
      terms.expiry = Timestamp(raw: twin.time + generator.within(1...8_000))
    }
    let source: TriggerSource = generator.chance(60) ? .mark : .index
    // Near what it waits for, on either side: some are reached at once, most within a few batches.
    let underlying = instrument.index == 4 ? 1 : 0
    let now =
      source == .index || !twin.table.isPriced(instrument)
      ? price_(underlying) : twin.table.mark(instrument).raw
    let direction: TriggerDirection = generator.chance(50) ? .rises : .falls
    let away = max(1, now / 2_000) * generator.within(-4...60)
    return .trigger(
      TriggerTerms(
        order: terms, source: source, direction: direction,
        price: Price(raw: max(1, direction == .rises ? now + away : now - away))))
  }

  private func price_(_ underlying: Int) -> Int64 { max(1, price[underlying] * Price.scale) }

  /// What the machine says of the trigger at an event's place, against the twin's next.
  @inline(never)
  func triggeredDiffers(at place: Int) -> String? {
    let word = machine.events.record(place, as: Triggered.self)
    guard triggeredSeen < twin.triggered.count else { return "triggered \(word), twin none" }
    let expected = twin.triggered[triggeredSeen]
    let same =
      word.isCanonical && Int(word.index) == place && word.trigger.raw == expected.trigger
      && word.outcome == expected.outcome
    return same ? nil : "triggered \(word), twin \(expected)"
  }

  func callsDiffer() -> String? {
    let calls = (0..<machine.calls.count).map {
      BookTwin.Call(gathers: machine.calls[$0].gathers != 0, end: machine.calls[$0].end.raw)
    }
    return calls == twin.calls ? nil : "calls \(calls), twin \(twin.calls)"
  }

  @inline(never)
  func waitingDiffers() -> String? {
    var waiting: [BookTwin.Trigger] = []
    for slot in 0..<machine.triggers.count where machine.triggers[slot].id.raw != 0 {
      let record = machine.triggers[slot]
      waiting.append(
        BookTwin.Trigger(
          id: record.id.raw, account: record.account.index, record: record.order,
          reached: record.isReached ? record.reached - 1 : nil))
    }
    waiting.sort { $0.id < $1.id }
    let expected = twin.triggers.sorted { $0.id < $1.id }
    return waiting == expected ? nil : "waiting \(waiting), twin \(expected)"
  }
}
