import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Withdrawals") struct WithdrawalTests {
  private static func house(_ change: (inout Constants) -> Void = { _ in }) -> House {
    var constants = Constants()
    change(&constants)
    return House(constants: constants, instruments: TestWorld.instruments(fees: false))
  }

  /// Asks for an amount in millionths; the code of clearing's answer.
  private static func ask(
    _ house: inout House, _ client: Int, _ amount: Int64, asset: UInt16 = 0,
    after milliseconds: Int64 = 0
  ) throws -> UInt8 {
    house.instruct(
      House.client(client),
      [.withdraw(asset: AssetID(asset), amount: Amount(raw: amount), destination: .zero)])
    let receipts = House.receipts(try house.clear(after: milliseconds))
    return try #require(receipts.first { $0.kind == .withdrawal }).code
  }

  /// Client 0 has 1 000 and buys one at 1 000 from client 1; the index is that.
  private static func long(_ house: inout House) {
    house.deposit(House.client(0), 1_000 * Money.scale)
    house.deposit(House.client(1), 100_000 * Money.scale)
    house.index(0, 1_000 * Price.scale)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
  }

  @Test("initial margin holds at the worse of index and average: 950 here, 210 stay of 1 000")
  func average() throws {
    var house = Self.house()
    house.index(0, 900 * Price.scale)
    try house.clear(after: 60_000)
    Self.long(&house)
    try house.clear(after: 11_000)
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 0)
    // 1 000 − 160 for margin − 50 for the average of 900 and 1 000.
    #expect(try Self.ask(&house, 0, 790_000_001) == ReceiptCode.marginShort.rawValue)
    #expect(try Self.ask(&house, 0, 790_000_000) == 0)
    #expect(try Self.ask(&house, 0, 1) == ReceiptCode.marginShort.rawValue)
    // The short gains by a fall to 950; nothing of that is counted.
    #expect(house.cash(0) == 210_000_000)
    #expect(try Self.ask(&house, 1, 99_840_000_001) == ReceiptCode.marginShort.rawValue)
    #expect(try Self.ask(&house, 1, 99_840_000_000) == 0)
    #expect(house.imbalances == [0, 0])
  }

  @Test("doubt takes its part of the band; profit counts up to the cap, a loss in full")
  func profits() throws {
    var house = Self.house {
      $0.profitCountedMax = 10 * Money.scale
      $0.confidenceBand = 100_000_000
    }
    Self.long(&house)
    try house.clear()
    house.index(0, 1_100 * Price.scale)
    try house.clear(after: 0)
    // 1 000 + 10 of 100 − 176.
    #expect(try Self.ask(&house, 0, 834_000_001) == ReceiptCode.marginShort.rawValue)
    #expect(try Self.ask(&house, 0, 834_000_000) == 0)
    // 100 000 − 100 − 176 for the short.
    #expect(try Self.ask(&house, 1, 99_724_000_001) == ReceiptCode.marginShort.rawValue)
    // The nearest two of three words are 22 apart, of a band of 112.2.
    house.sequence += 1
    for (publisher, price) in ([1_100, 1_122, 1_166] as [Int64]).enumerated() {
      house.instruct(
        TestWorld.publishers[publisher],
        [
          .index(
            underlying: UnderlyingID(0), price: Price(raw: price * Price.scale), time: house.time,
            sequence: house.sequence)
        ])
    }
    try house.clear(after: 0)
    #expect(house.machine.minutes[0].doubt.raw == 196_078_432)
    // 100 000 − 122 − 22 (and what doubt is rounded up by) − 179.52 for the short, and a quarter of
    // 1 122 times what confidence lacks to 0.9.
    #expect(try Self.ask(&house, 1, 99_649_529_999) == ReceiptCode.marginShort.rawValue)
    #expect(try Self.ask(&house, 1, 99_649_529_998) == 0)
  }

  @Test("no money leaves on an old mark, nor from an account that may only reduce")
  func stale() throws {
    var house = Self.house()
    Self.long(&house)
    house.fill(
      buyer: 0, seller: 1, 0, price: 1_000 * Price.scale, quantity: 4 * Quantity.scale)
    try house.clear(after: 60_001)
    #expect(try Self.ask(&house, 0, 1) == ReceiptCode.markTooOld.rawValue)
    #expect(try Self.ask(&house, 2, 1) == ReceiptCode.insufficientBalance.rawValue)
    // 250 of equity for five, of which each asks for 108.8 to stay.
    house.index(0, 850 * Price.scale)
    try house.clear(after: 0)
    #expect(house.isRestricted[7])
    #expect(try Self.ask(&house, 0, 1) == ReceiptCode.withdrawalsLocked.rawValue)
  }

  @Test("all of an asset leaves no faster than its limit, which fills again in a day")
  func outflow() throws {
    var house = Self.house { $0.outflowDailyMax = 100 }
    for asset in 0..<2 as Range<UInt16> {
      for client in 0..<2 {
        house.deposit(House.client(client), 1_000, asset: AssetID(asset))
      }
    }
    try house.clear()
    let limit = ReceiptCode.outflowLimit.rawValue
    #expect(try Self.ask(&house, 0, 60) == 0)
    #expect(try Self.ask(&house, 1, 41) == limit)
    #expect(try Self.ask(&house, 1, 40) == 0)
    #expect(try Self.ask(&house, 1, 1, asset: 1) == 0, "each asset has its own")
    #expect(try Self.ask(&house, 0, 1, after: 43_200_000) == limit)
    #expect(try Self.ask(&house, 0, 51) == limit)
    #expect(try Self.ask(&house, 0, 50) == 0)
    // The rest of a refill is not lost: 864 s are a unit.
    for step in 1...864 as ClosedRange<Int64> {
      house.time = Timestamp(raw: house.time.raw + 1_000)
      #expect(try Self.ask(&house, 0, 1) == (step < 864 ? limit : 0), "step \(step)")
    }
    #expect(house.imbalances == [0, 0])
  }

  @Test("nothing leaves while the insolvent lack more than the fund has, closed or not")
  func lock() throws {
    var house = Self.house()
    house.deposit(House.client(0), 200 * Money.scale)
    house.deposit(House.client(1), 10_000 * Money.scale)
    house.deposit(House.client(2), 50 * Money.scale)
    house.deposit(.zero, 99 * Money.scale)
    house.index(0, 1_000 * Price.scale)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    try house.clear()
    #expect(try Self.ask(&house, 2, 1) == 0)
    // 200 − 300: a hundred is missing, the fund has 99.
    house.index(0, 700 * Price.scale)
    try house.clear(after: 0)
    #expect(try Self.ask(&house, 2, 1) == ReceiptCode.withdrawalsLocked.rawValue)
    house.deposit(.zero, Money.scale)
    try house.clear(after: 0)
    #expect(try Self.ask(&house, 2, 1) == 0)
    // Closed at 690, it lacks 110; the fund pays 100, and what is left keeps it restricted.
    house.fill(
      buyer: 1, seller: 0, 0, price: 690 * Price.scale, quantity: Quantity.scale, takerSide: .sell)
    try house.clear(after: 0)
    #expect(house.cash(0) == -10 * Money.scale && house.isRestricted[7])
    #expect(try Self.ask(&house, 2, 1) == ReceiptCode.withdrawalsLocked.rawValue)
    house.deposit(.zero, 11 * Money.scale)
    try house.clear(after: 0)
    #expect(house.cash(0) == 0 && house.isRestricted[7] == false)
    #expect(try Self.ask(&house, 2, 1) == 0)
  }
}
