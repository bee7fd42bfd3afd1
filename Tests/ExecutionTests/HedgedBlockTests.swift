import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

private let lot = TestWorld.lot
private let tick = TestWorld.tick

/// Calls bought from client 1, hedged by a sale of the perpetual; prices and quantities in hundredths.
private func hedgedBlock(
  _ network: Digest, price: Int64 = 4_000, quantity: Int64 = 100, hedge: UInt32 = 0,
  _ hedgeSide: Side = .sell, hedgePrice: Int64 = 100_000, hedgeQuantity: Int64 = 50,
  nonce: UInt64 = 70
) -> BlockTrade {
  BlockTrade.signed(
    instrument: InstrumentID(2), side: .buy, price: Price(raw: price * tick),
    quantity: Quantity(raw: quantity * lot),
    hedge: BlockLeg(
      instrument: InstrumentID(hedge), side: hedgeSide, price: Price(raw: hedgePrice * tick),
      quantity: Quantity(raw: hedgeQuantity * lot)), reference: 5, counterparty: Desk.client(1),
    nonce: nonce, expiry: Timestamp(raw: TestWorld.start.raw + 10_000), network: network,
    by: TestWorld.ownerKey(Desk.client(1)))
}

@Suite("Block trades with a hedge") struct HedgedBlockTests {
  @Test("both legs trade at their prices, under one nonce, and clear")
  func trades() throws {
    var desk = try Desk(cash: 100_000_000_000)
    let outcome = try desk.send(0, [.block(hedgedBlock(desk.genesis.networkID))])[0]
    #expect(outcome == Outcome(.filled, .done, 100 * lot, 0))
    let fills = (0..<desk.eventCount).map { desk.machine.events.record($0, as: Fill.self) }
    #expect(fills.map(\.instrument.raw) == [2, 0] && fills.map(\.trade.raw) == [1, 2])
    #expect(fills.map(\.takerSide) == [.buy, .sell])
    #expect(fills.map(\.price.raw) == [4_000 * tick, 100_000 * tick])
    #expect(fills.allSatisfy { $0.causeCode == FillCause.block.rawValue && $0.isCanonical })
    #expect(fills.allSatisfy { $0.taker == Desk.client(0) && $0.maker == Desk.client(1) })
    #expect(desk.refusal(account: Desk.client(1), nonce: 70) == .nonceUsed)
    #expect(
      try desk.send(0, [.block(hedgedBlock(desk.genesis.networkID))])[0]
        == .rejected(.counterpartyNonce))
    #expect(desk.selfCheck() == nil)
    try desk.turn()
    #expect(desk.selfCheck() == nil)
  }

  @Test("credit is asked for both legs together: the hedge passes where the sale alone would not")
  func credit() throws {
    // What the seller of the calls needs is far less with the perpetual beside them.
    var desk = try Desk(cash: 400_000_000, fees: false)
    let network = desk.genesis.networkID
    let alone = BlockTrade.signed(
      instrument: InstrumentID(2), side: .buy, price: Price(raw: 4_000 * tick),
      quantity: Quantity(raw: 300 * lot), reference: 5, counterparty: Desk.client(1), nonce: 71,
      expiry: Timestamp(raw: TestWorld.start.raw + 10_000), network: network,
      by: TestWorld.ownerKey(Desk.client(1)))
    let short = OutcomeCode.insufficientMargin.rawValue
    #expect(try desk.send(0, [.block(alone)])[0].code == short)
    let wrong = hedgedBlock(network, quantity: 300, .buy, hedgeQuantity: 180, nonce: 71)
    #expect(try desk.send(0, [.block(wrong)])[0].code == short)
    #expect(desk.eventCount == 0 && desk.machine.nothingHeld)
    let hedged = hedgedBlock(network, quantity: 300, hedgeQuantity: 180, nonce: 71)
    #expect(try desk.send(0, [.block(hedged)])[0].status == .filled)
    #expect(desk.room(Desk.client(0)).raw >= 0 && desk.room(Desk.client(1)).raw >= 0)
    #expect(desk.selfCheck() == nil)
  }

  @Test("what is no hedge, off its rules or not signed is refused whole, and keeps the nonce")
  func refusals() throws {
    var desk = try Desk(cash: 100_000_000_000)
    let network = desk.genesis.networkID
    var cases: [(BlockTrade, OutcomeCode)] = [
      (hedgedBlock(network, hedge: 3, hedgePrice: 1_000), .notAHedge),
      (hedgedBlock(network, hedge: 4, hedgePrice: 10_000), .notAHedge),
      (hedgedBlock(network, hedge: 9), .unknownInstrument),
      (hedgedBlock(network, hedgePrice: 10_000_100), .priceTooHigh),
    ]
    var changed = hedgedBlock(network)
    changed.hedge?.quantity = Quantity(raw: 51 * lot)
    cases.append((changed, .counterpartySignature))
    changed = hedgedBlock(network)
    changed.hedge = nil
    cases.append((changed, .counterpartySignature))
    changed = hedgedBlock(network)
    changed.hedge?.side = .buy
    cases.append((changed, .counterpartySignature))
    changed = hedgedBlock(network)
    changed.hedge?.quantity = Quantity(raw: lot + 1)
    cases.append((changed, .quantityOffLot))
    for (trade, code) in cases {
      let outcome = try desk.send(0, [.block(trade)])[0]
      #expect(outcome.code == code.rawValue && outcome.status == .rejected, "\(trade)")
    }
    #expect(desk.eventCount == 0)
    #expect(desk.refusal(account: Desk.client(1), nonce: 70) == nil)
    #expect(try desk.send(0, [.block(hedgedBlock(network))])[0].status == .filled)
  }

  @Test("a halted hedge keeps the option from trading")
  func halted() throws {
    var desk = try Desk(cash: 100_000_000_000)
    var terms = desk.genesis.instruments[0]
    terms.statusCode = InstrumentStatus.halted.rawValue
    try desk.turn { $0.instruments.append(terms) }
    let network = desk.genesis.networkID
    #expect(try desk.send(0, [.block(hedgedBlock(network))])[0] == .rejected(.instrumentHalted))
    #expect(try desk.send(0, [.block(hedgedBlock(network, hedge: 1))])[0].status == .filled)
  }

  @Test("a key of one leg's market alone trades neither")
  func scope() throws {
    var desk = try Desk(cash: 100_000_000_000)
    let far = Timestamp(raw: TestWorld.start.raw + 3_600_000)
    for (number, markets) in [(501, InstrumentID(2)), (502, .all(of: UnderlyingID(0)))] {
      try desk.send(
        0, [.addKey(key: TestWorld.key(number).publicKey, markets: markets, expiry: far)])
    }
    try desk.turn()
    let trade = hedgedBlock(desk.genesis.networkID)
    for (number, code) in [(501, OutcomeCode.outOfScope), (502, .done)] {
      var outcomes: [Outcome] = []
      try desk.machine.apply(
        TestWorld.bundle(
          [.block(trade)], account: Desk.client(0), key: TestWorld.key(number).publicKey, nonce: 1,
          expiry: Timestamp(raw: desk.machine.time.raw + 500)), into: &outcomes)
      #expect(outcomes[0].code == code.rawValue)
    }
  }
}

extension ExecutionMachine {
  /// No account has a position or an order.
  fileprivate var nothingHeld: Bool { (0..<holdings.count).allSatisfy { holdings[$0].isUsed == 0 } }
}
