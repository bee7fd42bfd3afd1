import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

@Suite("Properties of auctions") struct AuctionPropertyTests {
  /// Equity at the marks in force, of clients.
  private static func equity(_ house: borrowing House, _ clients: [Int]) -> Int64 {
    clients.reduce(0) { $0 + house.machine.margin(House.client($1)).equity.raw }
  }

  @Test(
    "one owner long, short and bidding takes nothing out of the house, whenever it bids",
    arguments: 701...712 as ClosedRange<UInt64>)
  func ownGroup(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var house = House.auctions {
      $0.auctionFast = 4_000
      $0.auctionSlow = 6_000
      $0.auctionFee = generator.within(0...20_000_000)
      $0.auctionPayoutMax = 50_000_000
      $0.auctionPayoutDailyMax = House.money(10_000)
    }
    try house.openLong(fund: 1_000)
    // Client 0 is long ten of the owner's client 1, who is short; client 2 bids.
    let before = Self.equity(house, [0, 1, 2])
    var price: Int64 = 1_000
    var (sold, frozen) = (0, 0)
    for step in 0..<30 {
      price = max(820, price + generator.within(-60...40))
      if step > 2, generator.chance(60) {
        house.bid(2, for: 0, part: generator.within(1...Ratio.scale))
      }
      let result = try house.mark(price, after: generator.within(100...2_000))
      sold += House.bids(result).count { $0.code == 0 }
      if house.flags(0) == 3 { frozen += 1 }
      #expect(house.imbalances == [0, 0])
      let gained = Self.equity(house, [0, 1, 2]) - before
      // Marks alone net out between long and short, each rounded down.
      #expect(gained <= 0, "seed \(seed), batch \(step): took \(gained)")
    }
    if frozen > 8 { #expect(sold > 0, "seed \(seed)") }
  }

  @Test(
    "no bad debt by one step within 0.8 of the scan range, where somebody bids",
    arguments: 721...744 as ClosedRange<UInt64>)
  func noBadDebt(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var house = House.auctions()
    let isLong = generator.chance(50)
    for client in 1..<6 { house.deposit(House.client(client), House.money(1_000_000)) }
    // At 1 000 ten contracts need 1 600 to trade and 1 280 to stay.
    let size = generator.within(1...30)
    house.deposit(House.client(0), House.money(size * generator.within(1_280...1_600)))
    house.deposit(.zero, House.money(1))
    house.index(0, 1_000 * Price.scale)
    let quantity = 10 * size * Quantity.scale
    house.fill(
      buyer: isLong ? 0 : 1, seller: isLong ? 1 : 0, 0, price: 1_000 * Price.scale,
      quantity: quantity)
    try house.clear()
    let step = generator.within(1...128)
    let price = isLong ? 1_000 - step : 1_000 + step
    for _ in 0..<12 {
      house.bid(2, for: 0, stake: 900_000)
      try house.mark(price)
    }
    #expect(house.machine.fund(.quote).insurance >= House.money(1), "seed \(seed)")
    #expect(house.cash(0) >= 0 || house.position(0, 0) != 0, "seed \(seed)")
    #expect(house.flags(0) != 3, "seed \(seed): still under auction")
    let after = house.machine.margin(House.client(0))
    #expect(after.equity >= after.maintenance, "seed \(seed)")
    #expect(house.imbalances == [0, 0])
  }

  @Test(
    "random days with auctions: value conserved, both machines agree, live equals reloaded",
    arguments: 741...744 as ClosedRange<UInt64>)
  func loop(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: true, auctions: true)
    for number in 0..<150 {
      if let fault = try loop.step(number) {
        Issue.record("seed \(seed), batch \(number): \(fault)")
        return
      }
      let (root, id, execution) = (
        loop.clearing.root, loop.clearing.previousID, loop.clearing.previousExecutionID
      )
      guard number % 10 == 9 else { continue }
      var restored = ClearingMachine(genesis: loop.genesis)
      try restored.load(snapshot: loop.clearing.snapshot())
      try restored.rebuild(
        expecting: root, previous: id, previousExecution: execution, log: loop.clearing.log)
      // What the next batch makes of it is the same from both.
      let time = Timestamp(raw: loop.time.raw)
      try loop.execution.openBatch(time: time, adopting: [])
      let (header, body) = loop.execution.closeBatch()
      loop.execution.seal()
      let live = try loop.clearing.apply(header, try BatchBody(body))
      loop.clearing.seal()
      let again = try restored.apply(header, try BatchBody(body))
      #expect(live.header == again.header && live.receipts == again.receipts, "seed \(seed)")
      loop.pending.append((live.header, live.body))
    }
    let fault = try loop.settleUp()
    #expect(fault == nil, "seed \(seed): \(fault ?? "")")
    let (auctions, sales, closed) = (loop.auctions, loop.sales, loop.deleveragings)
    print("seed \(seed): \(auctions) auctions, \(sales) sales, \(closed) deleveragings")
    #expect(loop.auctions > 0 && loop.sales > 0, "seed \(seed)")
  }
}
