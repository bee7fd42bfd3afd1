import Instruments
import Margin
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

@Suite("Credit and stored state under fuzz") struct CreditTests {
  @Test(
    "whatever subset of open orders fills, initial margin holds",
    arguments: [201, 202, 203, 204, 205, 206, 207, 208, 209, 210] as [UInt64])
  func subsets(seed: UInt64) throws {
    var run = BookFuzzTests.Run(seed: seed, isFunded: false, isSized: seed > 204)
    var (subsets, apart, sized) = (0, 0, 0)
    let crosses = try run.openApart(4) { TestWorld.start.raw + Int64($0) * 10 }
    for batch in 0..<36 {
      try run.open(TestWorld.start.raw + Int64(batch + 1) * 1_000)
      for round in 0..<25 {
        _ = try run.step(1)
        let account = run.generator.pick(round % 3 == 0 ? crosses : run.traders)
        let open = run.twin.orders.count { $0.account == account.index }
        guard batch > 1, (1...10).contains(open), run.twin.room(account.index) >= 0 else {
          continue
        }
        if let fault = run.twin.subsetFault(account.index) {
          Issue.record("seed \(seed), batch \(batch), account \(account): \(fault)")
          return
        }
        subsets += 1 << open
        sized += run.machine.sizeCharge(account) > 0 ? 1 << open : 0
        apart += run.twin.accounts[account.index].isApart ? 1 << open : 0
      }
      try run.close()
    }
    #expect(subsets > 5_000, "seed \(seed): only \(subsets) subsets")
    #expect(apart > 20, "seed \(seed): only \(apart) subsets of accounts in cross mode")
    #expect((sized > 500) == (seed > 204), "seed \(seed): \(sized) subsets with a charge on size")
  }

  @Test("a fill never lowers the room of either side", arguments: [211, 212] as [UInt64])
  func fillsKeepRoom(seed: UInt64) throws {
    var run = BookFuzzTests.Run(seed: seed, isFunded: false)
    var fills = 0
    for batch in 0..<36 {
      try run.open(TestWorld.start.raw + Int64(batch) * 1_000)
      for _ in 0..<40 {
        let before = run.clients.map { run.machine.risk.room($0) }
        let trades = run.twin.trades.count
        _ = try run.step(1)
        // The parties of a block agree on what it costs them.
        guard let first = run.twin.trades[trades...].first, first.makerOrder != 0 else { continue }
        for (place, client) in run.clients.enumerated() where client.index != first.taker {
          // A maker loses at most the roundings of its further fills; each order set one aside.
          let made = run.twin.trades[trades...].count { $0.maker == client.index }
          fills += made
          let after = run.machine.risk.room(client)
          let dust = Int128(made) * 3 * Notional.perMoney
          if after < before[place] - dust {
            Issue.record("seed \(seed), batch \(batch): room \(before[place]) fell to \(after)")
            return
          }
        }
      }
      try run.close()
    }
    #expect(fills > 100, "seed \(seed): \(fills) fills")
  }

  @Test(
    "snapshot and deltas give the same root and the same next header",
    arguments: [221, 222] as [UInt64])
  func stored(seed: UInt64) throws {
    var run = BookFuzzTests.Run(seed: seed, isFunded: true)
    var follower = ExecutionMachine(genesis: run.genesis)
    for batch in 0..<60 {
      let snapshot = run.machine.snapshot()
      let (root, previous) = (run.machine.root, run.machine.previousID)
      try run.open(TestWorld.start.raw + Int64(batch) * 1_000)
      for _ in 0..<40 { _ = try run.step(2) }
      var restored = ExecutionMachine(genesis: run.genesis)
      try restored.load(snapshot: snapshot)
      try restored.rebuild(expecting: root, previous: previous)
      try restored.openBatch(time: run.machine.time, adopting: run.adopted)
      for bundle in run.bundles {
        var outcomes: [Outcome] = []
        try restored.apply(bundle, into: &outcomes)
      }
      let again = restored.closeBatch()
      var delta: [UInt8] = []
      var header = ExecutionHeader()
      try run.close {
        header = $0
        delta = $1
      }
      #expect(again.header == header, "seed \(seed), batch \(batch)")
      #expect(restored.delta() == delta, "seed \(seed), batch \(batch)")
      try follower.applyDelta(delta)
      try follower.rebuild(expecting: header.postRoot, previous: header.id)
      let fault = follower.selfCheck()
      #expect(fault == nil, "seed \(seed), batch \(batch): \(fault ?? "")")
    }
    #expect(throws: ExecutionFailure.self) {
      try follower.rebuild(expecting: .zero, previous: .zero)
    }
  }
}

extension BookTwin {
  /// Fills every subset of an account's orders at their limits, by the ledger's own roundings, and
  /// compares exact equity with exact initial margin; the first subset short of it, or nil.
  func subsetFault(_ account: Int) -> String? {
    let open = orders.filter { $0.account == account }
    // What clearing will hold once it has seen all fills: cash, cost and contracts.
    var cash = Int128(accounts[account].cash)
    for outflow in accounts[account].outflows { cash -= Int128(outflow.amount) }
    var held = instruments.indices.map { accounts[account].granted[$0]?.quantity ?? 0 }
    for (_, entry) in accounts[account].granted { cash -= Int128(entry.cost) }
    func book(_ instrument: Int, _ quantity: Int64, _ price: Int64, _ fee: Int64) {
      cash -= (Int128(quantity) * Int128(price)).divided(by: Notional.perMoney, rounding: .up)
      cash -= Int128(fee)
      held[instrument] += quantity
    }
    var fills = 0
    for trade in since where trade.taker == account || trade.maker == account {
      let isTaker = trade.taker == account
      let sign = isTaker ? trade.takerSide.sign : -trade.takerSide.sign
      book(
        trade.instrument, sign * trade.quantity, trade.price,
        isTaker ? trade.takerFee : trade.makerFee)
      fills += 1
    }
    let (cashBefore, heldBefore) = (cash, held)
    for subset in 0..<(1 << open.count) {
      (cash, held) = (cashBefore, heldBefore)
      for (place, order) in open.enumerated() where subset >> place & 1 == 1 {
        let terms = instruments[order.instrument]
        book(
          order.instrument, order.side.sign * order.left, order.price,
          Fees.fee(
            Price(raw: order.price), Quantity(raw: order.left),
            rate: max(terms.makerFee, terms.takerFee)
          ).raw)
      }
      // Fills already made may have lost a unit each to roundings the room does not know yet.
      let slack = left(account, cash, held) + Int128(fills) * Notional.perMoney
      if slack < 0 { return "subset \(subset) of \(open) is short by \(slack)" }
    }
    return nil
  }

  /// Equity less what the scenarios ask.
  private func left(_ account: Int, _ cash: Int128, _ held: [Int64]) -> Int128 {
    var total = cash * Notional.perMoney
    for page in pages(account) {
      var sums = Array(repeating: Int128(0), count: 32)
      for instrument in page where held[instrument] != 0 {
        let id = InstrumentID(UInt32(instrument))
        total += Int128(held[instrument]) * Int128(table.mark(id).raw)
        for scenario in 0..<32 {
          sums[scenario] += Int128(held[instrument]) * Int128(table.unit(id, scenario).raw)
        }
      }
      total += min(0, sums.min() ?? 0)
    }
    return total - sizes(account, held)
  }
}
