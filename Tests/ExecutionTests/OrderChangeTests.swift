import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

@Suite("Changes of resting orders") struct OrderChangeTests {
  @Test("the changes of every batch lead from one book to the next, and name each order that went")
  func fold() throws {
    let seed: UInt64 = 4_107
    var random = Generator(seed: seed)
    var desk = try Desk()
    var resting: [OrderID: RestingOrder] = [:]
    var changes: [OrderChange] = []
    var gone = 0
    for batch in 0..<60 {
      for _ in 0..<random.below(40) {
        let client = random.below(4)
        let instrument = InstrumentID(UInt32(random.below(2)))
        if random.chance(30) {
          let account = Desk.client(client)
          let open = desk.machine.openOrders(of: account)
          if open.isEmpty { continue }
          let order = open[random.below(open.count)]
          try desk.send(client, [.cancel(instrument: order.instrument, order: order.id)])
        } else {
          let middle: Int64 = instrument.raw == 0 ? 100_000 : 10_000
          try desk.send(
            client,
            [
              .place(
                instrument: instrument, side: random.chance(50) ? .buy : .sell,
                price: Price(raw: (middle + random.within(-20...20)) * TestWorld.tick),
                quantity: Quantity(raw: random.within(1...9) * TestWorld.lot),
                timeInForce: random.chance(20) ? .ioc : .gtc, postOnly: false, reduceOnly: false,
                clientID: 0)
            ])
        }
      }
      changes = []
      desk.machine.forEachOrderChange { changes.append($0) }
      for change in changes {
        let before = change.before.map(\.id)
        if let before { #expect(resting[before] == change.before, "seed \(seed), batch \(batch)") }
        if let before, change.after == nil {
          resting[before] = nil
          gone += 1
        }
        if let after = change.after { resting[after.id] = after }
      }
      let found = (0..<4).flatMap { client in
        desk.machine.openOrders(of: Desk.client(client)).map(\.id)
      }
      #expect(Set(found) == Set(resting.keys), "seed \(seed), batch \(batch)")
      for instrument in [InstrumentID(0), InstrumentID(1)] {
        for side in [Side.buy, .sell] {
          let sum = resting.values.filter { $0.instrument == instrument && $0.side == side }
            .reduce(0) { $0 + $1.quantity.raw }
          let levels = desk.machine.levels(instrument, side, limit: .max)
          #expect(levels.reduce(0) { $0 + $1.quantity.raw } == sum, "seed \(seed), batch \(batch)")
        }
      }
      try desk.turn()
    }
    #expect(gone > 100)
  }
}
