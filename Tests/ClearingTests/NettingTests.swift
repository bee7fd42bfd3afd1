import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

import class Foundation.ProcessInfo

@testable import Clearing

@Suite("Netting and conservation") struct NettingTests {
  @Test("records are as long as their encoding")
  func sizes() {
    func check<Record: FlatRecord>(_: Record.Type, _ size: Int) {
      #expect(MemoryLayout<Record>.size == size && MemoryLayout<Record>.stride == size)
    }
    check(AccountRecord.self, 112)
    check(PositionRecord.self, 56)
    check(BalanceRecord.self, 24)
    check(FundRecord.self, 104)
    check(SubmissionRecord.self, 80)
    check(WithdrawalRecord.self, 88)
    check(ProposalRecord.self, 192)
    check(StatusRecord.self, 64)
    check(PerpetualRecord.self, 552)
    check(MinuteRecord.self, 528)
  }

  /// One trade, in figures a test can shuffle.
  struct Trade: Sendable {
    var buyer: Int, seller: Int
    var instrument: UInt32
    var price: Int64, quantity: Int64
    var takerBuys: Bool
  }

  static func trades(_ count: Int, _ generator: inout Generator, clients: Int = 4) -> [Trade] {
    (0..<count).map { _ in
      let buyer = generator.below(clients)
      let seller = (buyer + 1 + generator.below(clients - 1)) % clients
      return Trade(
        buyer: buyer, seller: seller, instrument: UInt32(generator.below(5)),
        price: TestWorld.tick * generator.within(1...200_000),
        quantity: TestWorld.lot * generator.within(1...300), takerBuys: generator.chance(50))
    }
  }

  static func send(_ trades: [Trade], _ house: inout House, batchOf size: Int) throws {
    for (place, trade) in trades.enumerated() {
      house.fill(
        buyer: trade.buyer, seller: trade.seller, trade.instrument, price: trade.price,
        quantity: trade.quantity, takerSide: trade.takerBuys ? .buy : .sell)
      if place % size == size - 1 { try house.clear() }
    }
    try house.clear()
  }

  @Test(
    "netting equals gross, whatever the order of fills",
    arguments: [301, 302, 303] as [UInt64])
  func gross(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var trades = Self.trades(400, &generator)
    var gross = Array(repeating: Int64(0), count: 4)
    var held = Array(repeating: Array(repeating: Int64(0), count: 5), count: 4)
    for trade in trades {
      let notional = Int128(trade.price) * Int128(trade.quantity)
      let paid = notional.divided(by: Notional.perMoney, rounding: .up)
      let received = notional.divided(by: Notional.perMoney, rounding: .down)
      let (taker, maker) = (paid * 500_000, paid * 100_000)
      func fee(_ product: Int128) -> Int64 {
        Int64(product.divided(by: 1_000_000_000, rounding: .up))
      }
      gross[trade.buyer] -= Int64(paid) + fee(trade.takerBuys ? taker : maker)
      gross[trade.seller] += Int64(received) - fee(trade.takerBuys ? maker : taker)
      held[trade.buyer][Int(trade.instrument)] += trade.quantity
      held[trade.seller][Int(trade.instrument)] -= trade.quantity
    }
    for round in 0..<4 {
      // No market: nothing is priced, so nobody is liquidated and only netting is at work.
      var house = House()
      try Self.send(trades, &house, batchOf: 1 + generator.below(60))
      for client in 0..<4 {
        let net = house.net(House.client(client))
        #expect(net == gross[client], "seed \(seed), round \(round), client \(client)")
        for instrument in 0..<5 {
          let quantity = house.position(client, UInt32(instrument))
          #expect(quantity == held[client][instrument], "seed \(seed), round \(round)")
        }
      }
      #expect(house.imbalances == [0, 0])
      for place in trades.indices.reversed() {
        trades.swapAt(place, generator.below(place + 1))
      }
    }
  }

  @Test(
    "cost is released in proportion, rounded against the account and never lost",
    arguments: [311, 312] as [UInt64])
  func proportion(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var record = PositionRecord()
    for _ in 0..<50_000 {
      let before = record
      let change = generator.within(-1_000...1_000) * (generator.chance(10) ? 1_000_000 : 7)
      guard change != 0 else { continue }
      let money = generator.within(0...3_000_000_000)
      let flow = Int128(change > 0 ? -money : money)
      let posting = try record.net(
        Quantity(raw: change), for: Money(raw: money), isOption: false)
      let (held, cost) = (Int128(before.quantity.raw), Int128(before.cost.raw))
      // Nothing is lost: cash less cost moves by the flow.
      let moved = Int128(posting.cash.raw) - (Int128(record.cost.raw) - cost)
      // The exact profit of the closing part, as a fraction over held × size.
      let size = Int128(change.magnitude)
      let closed = held != 0 && (held > 0) != (change > 0) ? min(size, abs(held)) : 0
      var profitIsRight = posting.realised.raw == 0
      if closed != 0 {
        // flow·closed/size − cost·closed/|held|, times size·|held|.
        let exact = (flow * closed) * abs(held) - (cost * closed) * size
        let over = size * abs(held)
        let realised = Int128(posting.realised.raw) * over
        profitIsRight = realised <= exact && realised > exact - 2 * over
      }
      let quantityIsRight = record.quantity.raw == before.quantity.raw + change
      if moved != flow || !profitIsRight || !quantityIsRight {
        Issue.record("seed \(seed): \(before) and \(change) for \(money) gave \(record)")
        return
      }
      if record.quantity.raw == 0 { record.cost = .zero }
    }
  }

  private func abs(_ value: Int128) -> Int128 { value < 0 ? -value : value }

  @Test("an option's premium is paid in cash and leaves no cost")
  func premium() throws {
    var house = House()
    house.deposit(House.client(0), 1_000_000_000)
    try house.clear()
    // 2.5 contracts at 12.34: a premium of 30.85, fees of 0.0005 and 0.0001 on it.
    house.fill(buyer: 0, seller: 1, 2, price: 1_234_000_000, quantity: 250_000_000)
    try house.clear()
    #expect(house.cash(0) == 1_000_000_000 - 30_850_000 - 15_425)
    #expect(house.cash(1) == 30_850_000 - 3_085)
    #expect(house.net(House.client(0)) == house.cash(0))
    #expect(house.machine.fund(.quote).fees == 15_425 + 3_085)
    #expect(house.position(0, 2) == 250_000_000 && house.position(1, 2) == -250_000_000)
  }

  @Test("a remainder of the buyer's rounding goes to the rounding account")
  func roundings() throws {
    let fine = Instrument(
      id: InstrumentID(0), underlying: UnderlyingID(0), kind: .perpetual, tick: Price(raw: 1),
      lot: Quantity(raw: 1), orderQuantityMax: Quantity(raw: Quantity.scale),
      priceMax: Price(raw: 1_000 * Price.scale))
    var house = House(instruments: [fine])
    for _ in 0..<3 { house.fill(buyer: 0, seller: 1, 0, price: 123_456_789, quantity: 7) }
    let receipts = House.receipts(try house.clear())
    // 1.23456789 × 7e-8 is 8.6e-8 of the quote: a unit for the buyer, nothing for the seller.
    #expect(receipts.allSatisfy { $0.paid.raw == 1 && $0.received.raw == 0 && $0.isCanonical })
    #expect(house.machine.fund(.quote).rounding == 3)
    #expect(house.imbalances == [0, 0])
  }

  @Test(
    "nothing is made or lost in random batches of everything",
    arguments: [321, 322, 323, 324] as [UInt64])
  func conservation(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var house = House(clients: 6, instruments: TestWorld.instruments(expiry: 60_000))
    var price: Int64 = 1_000
    for batch in 0..<120 {
      for client in 0..<6 where generator.chance(batch == 0 ? 100 : 10) {
        house.deposit(House.client(client), generator.within(1...5_000_000_000))
        house.deposit(House.client(client), generator.within(1...5_000), asset: AssetID(1))
      }
      if generator.chance(10) { house.deposit(.zero, generator.within(1...100_000_000)) }
      if batch % 7 == 3 {
        house.deposit(TestWorld.key(2_000 + batch).publicKey, generator.within(1...2_000_000))
      }
      if generator.chance(50) {
        price = max(100, price + generator.within(-120...120))
        house.index(0, price * Price.scale)
        house.index(1, price * Price.scale / 10)
        if house.time < house.genesis.instruments[2].expiry {
          house.surface((price + 1) * Price.scale)
        }
      }
      let isExpired = house.time >= house.genesis.instruments[1].expiry
      for trade in Self.trades(generator.below(20), &generator, clients: 6)
      where !isExpired || trade.instrument == 0 || trade.instrument == 4 {
        house.fill(
          buyer: trade.buyer, seller: trade.seller, trade.instrument, price: trade.price,
          quantity: trade.quantity, takerSide: trade.takerBuys ? .buy : .sell)
      }
      if generator.chance(40) {
        let client = House.client(generator.below(6))
        house.instruct(
          client,
          [
            .withdraw(
              asset: AssetID(UInt16(generator.below(2))),
              amount: Amount(raw: generator.within(1...50_000_000)), destination: .zero)
          ])
      }
      if generator.chance(20) {
        house.instruct(
          TestWorld.custodian,
          [.release(withdrawal: UInt64(generator.below(10)), reference: Bytes32((1, 1, 1, 1)))])
      }
      if batch > 1 { house.credit = UInt64(batch - 2) }
      let result = try house.clear()
      let imbalances = house.imbalances
      if imbalances != [0, 0] || !result.body.isSorted
        || !House.receipts(result).allSatisfy(\.isCanonical)
      {
        Issue.record("seed \(seed), batch \(batch): off by \(imbalances)")
        return
      }
      let decoded = try ClearanceBody(encoded: result.bodyBytes.rawSpan)
      #expect(decoded == result.body, "seed \(seed), batch \(batch)")
    }
    let settled = house.machine.instrument(InstrumentID(2))?.status
    #expect(settled == .settled, "seed \(seed)")
    let flat = (0..<6).allSatisfy { house.position($0, 1) == 0 && house.position($0, 3) == 0 }
    #expect(flat, "seed \(seed)")
  }
}

@Suite("Speed of clearing", .enabled(if: isMeasuring)) struct ClearingSpeedTests {
  @Test("batches of 2 000 fills on 1 024 accounts", arguments: [0, 500_000])
  func fills(fee: Int64) throws {
    var perpetual = TestWorld.instruments(fees: false)[0]
    perpetual.takerFee = Ratio(raw: fee)
    var house = House(clients: 1_024, instruments: [perpetual])
    var generator = Generator(seed: 7)
    for client in 0..<1_024 { house.deposit(House.client(client), 9_000_000_000) }
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 1)
    var spent = 0.0
    let batches = 100
    for _ in 0..<batches {
      for _ in 0..<2_000 {
        let buyer = generator.below(1_024)
        house.fill(
          buyer: buyer, seller: (buyer + 1 + generator.below(1_023)) % 1_024, 0,
          price: (1_000 * Price.scale + TestWorld.tick * generator.within(-50...50)),
          quantity: TestWorld.lot * generator.within(1...10))
      }
      let (header, body) = try house.batch()
      let start = threadSeconds()
      _ = try house.machine.apply(header, body)
      house.machine.seal()
      spent += threadSeconds() - start
      house.next(header, after: 1)
    }
    print("clearing, fee \(fee): \(spent / Double(batches) / 2_000 * 1e9) ns a fill (CPU)")
  }
}

let isMeasuring = ProcessInfo.processInfo.environment["NOVATE_MEASURE"] != nil
