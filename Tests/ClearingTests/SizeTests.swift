import Commitments
import Instruments
import Margin
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

extension House {
  fileprivate func shown(_ account: AccountID) throws -> ClearingMachine.AccountView {
    let view = machine.view(account)
    return try #require(view)
  }
}

@Suite("Size asked on entry, cleared") struct ClearedSizeTests {
  /// Ten perpetuals are traded a day; the owner's slopes are off unless asked for.
  private static func house(slopes: Bool = false, interest: Bool = true) throws -> House {
    var instruments = TestWorld.instruments(fees: false)
    TestWorld.size(&instruments)
    var margin = MarginTerms.novate32
    if !slopes { margin.slopes = InlineArray<3, SlopeTerms>(repeating: .empty) }
    if !interest { (margin.openInterestLower, margin.openInterestUpper) = (.zero, .zero) }
    var house = House(instruments: instruments, margin: margin)
    for client in 0..<4 { house.deposit(House.client(client), 10_000_000_000) }
    house.index(0, 1_000 * Price.scale)
    house.index(1, 100 * Price.scale)
    house.surface(1_000 * Price.scale)
    try house.clear()
    return house
  }

  private static func whole(_ contracts: Int64) -> Int64 { contracts * Quantity.scale }

  /// How much of cash may leave: what the last refused request said was free.
  private static func refusal(
    _ house: inout House, _ amount: Int64, by client: Int
  ) throws -> Receipt {
    house.index(0, 1_000 * Price.scale)
    house.instruct(
      House.client(client),
      [
        .withdraw(
          asset: .quote, amount: Amount(raw: amount),
          destination: SHA256.digest([1]))
      ])
    let receipts = House.receipts(try house.clear())
    return try #require(receipts.last { $0.kind == .withdrawal })
  }

  @Test(
    "open interest is what a recount gives, through trades, netting and expiry",
    arguments: [811, 812] as [UInt64])
  func recount(seed: UInt64) throws {
    var house = try Self.house()
    var generator = Generator(seed: seed)
    for batch in 0..<60 {
      if batch == 50 { house.time = Timestamp(raw: TestWorld.start.raw + 10 * TestWorld.day) }
      house.index(0, generator.within(980...1_020) * Price.scale)
      for _ in 0..<(batch < 50 ? generator.below(6) : 0) {
        let buyer = generator.below(4)
        house.fill(
          buyer: buyer, seller: (buyer + 1 + generator.below(3)) % 4,
          UInt32(generator.below(4)), price: generator.within(1...20) * TestWorld.tick * 100,
          quantity: generator.within(1...20) * TestWorld.lot)
      }
      try house.clear()
      let (kept, counted) = (house.machine.openInterest, house.machine.countOpenInterest())
      for place in counted.indices {
        #expect(
          (place < kept.count ? kept[place] : 0) == counted[place], "seed \(seed), batch \(batch)")
      }
    }
    let (future, perpetual) = (
      house.machine.openInterest(InstrumentID(1)), house.machine.openInterest(InstrumentID(0))
    )
    #expect(future == 0 && perpetual > 0)
  }

  @Test("others' trades hold back what may leave, and close nobody")
  func crowd() throws {
    var house = try Self.house()
    house.fill(
      buyer: 0, seller: 1, 0, price: 1_000 * Price.scale, quantity: Self.whole(10))
    try house.clear()
    let alone = try house.shown(House.client(0)).margin
    // A daily volume is open; twenty more are traded by others: three daily volumes.
    house.fill(
      buyer: 2, seller: 3, 0, price: 1_000 * Price.scale, quantity: Self.whole(20))
    try house.clear()
    let crowded = try house.shown(House.client(0)).margin
    #expect(crowded.maintenance == alone.maintenance && crowded.equity == alone.equity)
    // An eighth of the way: 840 · 0.125 a contract.
    #expect(crowded.initial.raw - alone.initial.raw == 10 * 105 * 1_000_000)
    let held = try Self.refusal(&house, 8_400_000_000, by: 0)
    #expect(held.code == ReceiptCode.marginShort.rawValue)
    #expect(held.received.raw == 10_000_000_000 - 1_600_000_000 - 1_050_000_000)
    #expect(try Self.refusal(&house, 7_350_000_000, by: 0).code == 0)
    // Far more: nobody is restricted, whatever is asked on entry.
    house.fill(
      buyer: 2, seller: 3, 0, price: 1_000 * Price.scale, quantity: Self.whole(30))
    house.index(0, 1_000 * Price.scale)
    try house.clear()
    let now = try house.shown(House.client(0)).margin
    #expect(now.initial.raw > now.equity.raw && now.maintenance.raw < now.equity.raw)
    let restricted = house.isRestricted
    #expect(!restricted.contains(true))
  }

  @Test("what an owner has elsewhere counts, and splitting it over accounts saves nothing")
  func owners() throws {
    var house = try Self.house(slopes: true, interest: false)
    let other = try house.open(0, .portfolio)[0]
    house.pay(5_000_000_000, from: House.client(0), to: other)
    try house.clear()
    func asked(_ account: AccountID) throws -> Int64 {
      let view = try house.shown(account)
      return view.margin.initial.raw - 160_000_000 * (view.positions.first?.quantity.raw ?? 0)
        / Quantity.scale
    }
    for buyer in [House.client(0), other] {
      house.fill(
        buyer: buyer, seller: House.client(1), 0, price: 1_000 * Price.scale,
        quantity: Self.whole(10))
    }
    house.fill(
      buyer: House.client(2), seller: House.client(3), 0, price: 1_000 * Price.scale,
      quantity: Self.whole(20))
    try house.clear()
    // Twenty of one owner: 19.5 · 1 % + 17.5 · 4 % + 10 · 15 %; ten of them: 9.5 · 1 % + 7.5 · 4 %.
    let whole: Int64 = 195_000_000 + 700_000_000 + 1_500_000_000
    let first: Int64 = 95_000_000 + 300_000_000
    #expect(try asked(House.client(2)) == whole)
    let parts = [try asked(House.client(0)), try asked(other)]
    #expect(parts == [whole - first, whole - first])
    let restricted = house.isRestricted
    #expect(!restricted.contains(true))
  }

  @Test("a machine made from its state asks the same", arguments: [813] as [UInt64])
  func stored(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: false, sized: true)
    for number in 0..<60 {
      let fault = try loop.step(number)
      #expect(fault == nil)
    }
    let snapshot = loop.clearing.snapshot()
    var copy = ClearingMachine(genesis: loop.genesis)
    try copy.load(snapshot: snapshot)
    try copy.rebuild(
      expecting: loop.clearing.root, previous: loop.clearing.previousID,
      previousExecution: loop.clearing.previousExecutionID, log: loop.clearing.log)
    var charged = 0
    for index in 0..<loop.clearing.accountCount {
      let account = AccountID(UInt32(index))
      let (a, b) = (loop.clearing.sizeCharge(account), copy.sizeCharge(account))
      #expect(a == b)
      charged += a > 0 ? 1 : 0
    }
    #expect(charged > 2, "\(charged) accounts are asked for size")
  }
}
