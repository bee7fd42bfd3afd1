import Instruments
import Primitives
import Risk
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Funding") struct FundingTests {
  private static let minute: Int64 = 60_000

  /// A house without fees whose clients 0…3 have money.
  private static func house() throws -> House {
    var house = House(instruments: TestWorld.instruments(fees: false))
    // To a whole minute, so that minutes can be counted.
    house.time = Timestamp(raw: (house.time.raw / minute + 1) * minute)
    for client in 0..<4 { house.deposit(House.client(client), 100_000 * Money.scale) }
    try house.clear(after: minute)
    return house
  }

  /// A minute of an index of 1 000 and an impact price, `whole` and millionths.
  private static func say(_ house: inout House, _ impact: Int64, index: Int64 = 1_000) {
    house.index(0, index * Price.scale)
    house.impact(0, impact)
  }

  @Test("longs pay a premium of 0.25 % of 1 000 from its thirtieth sample on, by the minute")
  func worked() throws {
    var house = try Self.house()
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Price.scale, quantity: 2 * Quantity.scale)
    for _ in 0..<30 {
      Self.say(&house, 1_002_50_000_000)
      try house.clear(after: Self.minute)
    }
    // The thirtieth sample was taken at the end of its batch: nothing ran yet.
    #expect(house.machine.perpetuals[0].rate.raw == 2_500_000)
    #expect(house.machine.perpetuals[0].index.value == 0)
    let before = house.machine.margin(House.client(0)).equity
    for _ in 0..<48 {
      Self.say(&house, 1_002_50_000_000)
      try house.clear(after: Self.minute)
    }
    // 48 minutes are a tenth of 8 hours: 0.25 a contract.
    #expect(house.machine.perpetuals[0].index.value == 250_000_000_000_000_000)
    #expect(before.raw - house.machine.margin(House.client(0)).equity.raw == 500_000)
    #expect(house.cash(0) == 100_000 * Money.scale, "nothing was booked")
    house.fill(buyer: 2, seller: 0, 0, price: 1_000 * Price.scale, quantity: 2 * Quantity.scale)
    house.fill(buyer: 1, seller: 2, 0, price: 1_000 * Price.scale, quantity: 2 * Quantity.scale)
    let elapsed = Self.minute
    let receipts = House.receipts(try house.clear(after: elapsed)).filter { $0.kind == .funding }
    // One minute more: 0.25 × 49 ÷ 48 a contract, a long up, a short down.
    #expect(receipts.map(\.paid.raw) == [510_417, -510_416])
    #expect(receipts.map(\.quantity.raw) == [2 * Quantity.scale, -2 * Quantity.scale])
    #expect(house.cash(0) == 100_000 * Money.scale - 510_417)
    #expect(house.cash(1) == 100_000 * Money.scale + 510_416)
    #expect(house.machine.fundingHeld == 1 && house.imbalances == [0, 0])
  }

  @Test("no premium without a fresh index, fresh words and thirty of an hour; the cap holds")
  func samples() throws {
    var house = try Self.house()
    for number in 0..<60 {
      // Every other minute the book's word is missing, and the last one too old.
      if number % 2 == 0 {
        Self.say(&house, 1_500 * Price.scale)
      } else {
        house.index(0, 1_000 * Price.scale)
      }
      try house.clear(after: Self.minute + 1)
    }
    #expect(house.machine.perpetuals[0].present.nonzeroBitCount == 30)
    #expect(house.machine.perpetuals[0].rate.raw == Constants().fundingRateMax)
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 2 * Self.minute)
    // One of the thirty has left the hour.
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 300 * Self.minute)
    #expect(house.machine.perpetuals[0].rate.raw == 0)
    // An hour and more without a batch leaves no sample.
    Self.say(&house, 1_500 * Price.scale)
    try house.clear()
    #expect(house.machine.perpetuals[0].present.nonzeroBitCount == 1)
  }

  @Test("nobody pays for more than a minute of an outage")
  func outage() throws {
    var house = try Self.house()
    for _ in 0..<30 {
      Self.say(&house, 990 * Price.scale)
      try house.clear(after: Self.minute)
    }
    house.time = Timestamp(raw: house.time.raw + 1_000 * Self.minute)
    try house.clear()
    // −0.75 % of 1 000, a minute of 480: shorts pay.
    #expect(
      house.machine.perpetuals[0].index.value
        == (-7_500_000_000_000_000_000).divided(by: 480, rounding: .down))
  }

  /// Trades the same days twice, touching some accounts now and then, or never.
  private static func play(_ seed: UInt64, touches: Bool) throws -> (
    cash: [Int64], held: Int64, bookings: Int, imbalance: Int128
  ) {
    var generator = Generator(seed: seed)
    var other = Generator(seed: seed + 1)
    var house = try house()
    var bookings = 0
    for _ in 0..<120 {
      say(&house, 1_000 * Price.scale + generator.within(-1_500_000_000...1_500_000_000))
      if generator.chance(20) {
        let buyer = generator.below(4)
        house.fill(
          buyer: buyer, seller: (buyer + 1 + generator.below(3)) % 4, 0,
          price: 1_000 * Price.scale, quantity: TestWorld.lot * generator.within(1...777))
      }
      while touches, other.chance(60) {
        // Refused for want of money, it books the account's funding all the same.
        house.instruct(
          House.client(other.below(4)),
          [.withdraw(asset: .quote, amount: Amount(raw: 1 << 50), destination: .zero)])
      }
      bookings += House.receipts(try house.clear(after: minute)).count { $0.kind == .funding }
    }
    for client in 0..<4 {
      house.instruct(
        House.client(client),
        [.withdraw(asset: .quote, amount: Amount(raw: 1 << 50), destination: .zero)])
    }
    bookings += House.receipts(try house.clear()).count { $0.kind == .funding }
    return (
      (0..<4).map { house.cash($0) }, house.machine.fundingHeld, bookings, house.imbalances[0]
    )
  }

  @Test(
    "neither order nor count of bookings matters; all that is left is dust",
    arguments: [21, 22, 23] as [UInt64])
  func touches(seed: UInt64) throws {
    let lazy = try Self.play(seed, touches: false)
    let eager = try Self.play(seed, touches: true)
    #expect(lazy.cash == eager.cash && lazy.held == eager.held, "seed \(seed)")
    #expect(eager.bookings > lazy.bookings + 50, "seed \(seed): \(eager.bookings) bookings")
    #expect(lazy.imbalance == 0 && eager.imbalance == 0, "seed \(seed)")
    // The house gains less than a unit for each change of quantity, and never pays.
    #expect((0...244).contains(lazy.held), "seed \(seed): \(lazy.held)")
    #expect(lazy.cash.reduce(0, +) + lazy.held == 400_000 * Money.scale, "seed \(seed)")
  }
}
