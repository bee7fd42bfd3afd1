import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Settlement price") struct SettlementPriceTests {
  private static let minute: Int64 = 60_000
  /// The future (1) expires an hour after the start.
  private static func house() -> House {
    House(instruments: TestWorld.instruments(expiry: 60 * minute, fees: false, samples: 24))
  }

  /// One publisher's word of the index.
  private static func say(
    _ house: inout House, _ publisher: Int, _ price: Int64, at time: Int64
  ) {
    house.sequence += 1
    house.instruct(
      TestWorld.publishers[publisher],
      [
        .index(
          underlying: UnderlyingID(0), price: Price(raw: price * Price.scale),
          time: Timestamp(raw: time), sequence: house.sequence)
      ])
  }

  /// Goes to `minutes` and `seconds` after the start.
  private static func go(_ house: inout House, _ minutes: Int64, _ seconds: Int64 = 0) {
    house.time = Timestamp(raw: TestWorld.start.raw + minutes * minute + seconds * 1_000)
  }

  /// A batch at a minute with the words of all three.
  private static func sample(_ house: inout House, _ number: Int64, _ prices: [Int64]) throws {
    go(&house, number)
    for (publisher, price) in prices.enumerated() {
      say(&house, publisher, price, at: house.time.raw)
    }
    try house.clear(after: 0)
  }

  private static func future(_ house: borrowing House) -> (InstrumentStatus?, Int64) {
    let instrument = house.machine.instrument(InstrumentID(1))
    return (instrument?.status, instrument?.settlementPrice.raw ?? 0)
  }

  @Test("it is the mean of thirty medians, eleven seconds after expiry, and stays")
  func posted() throws {
    var house = Self.house()
    for number in 25...60 as ClosedRange<Int64> {
      // A liar in turn, and a spike of all before the half hour that counts.
      var prices = [1_000 + number, 1_000 + number, 1_000 + number]
      prices[Int(number % 3)] = number % 2 == 0 ? 1 : 900_000
      if number < 31 { prices = [9, 9, 9] }
      try Self.sample(&house, number, prices)
    }
    Self.go(&house, 60, 10)
    try house.clear(after: 0)
    #expect(Self.future(house) == (.active, 0), "the last window is open")
    Self.go(&house, 60, 11)
    // Late words choose nothing.
    for publisher in 0..<3 { Self.say(&house, publisher, 5, at: TestWorld.start.raw + 3_600_500) }
    let result = try house.clear(after: 1_000)
    // The mean of 1 031 … 1 060.
    #expect(Self.future(house) == (.settled, 1_045_50_000_000))
    #expect(result.body.instruments.contains { $0.settlementPrice.raw == 1_045_50_000_000 })
    try Self.sample(&house, 61, [7, 7, 7])
    #expect(Self.future(house) == (.settled, 1_045_50_000_000))
  }

  @Test("the nearest word of each counts, within ten seconds, of a quorum")
  func windows() throws {
    var house = Self.house()
    let minute = TestWorld.start.raw + 40 * Self.minute
    Self.go(&house, 40, -5)
    for (publisher, time, price) in [
      (0, -10_000, 1_000), (0, -4_000, 1_010), (1, -10_001, 1), (0, -1, 1_020),
    ] as [(Int, Int64, Int64)] {
      Self.say(&house, publisher, price, at: minute + time)
    }
    try house.clear(after: 0)
    Self.go(&house, 40, 10)
    Self.say(&house, 0, 1_030, at: minute + 1)
    Self.say(&house, 1, 1_002, at: minute + 10_000)
    Self.say(&house, 2, 1_001, at: minute + 10_001)
    try house.clear(after: 0)
    Self.go(&house, 40, 11)
    try house.clear(after: 0)
    // 1 020 of the first, as far as 1 030 and earlier; 1 002 of the second; none of the third.
    let record = house.machine.minutes[0]
    let number = minute / Self.minute
    #expect(record.sampled == number && record.gathering == 0)
    #expect(record.samples[Int(number % 30)] == Price(raw: 1_002 * Price.scale))
    // One word alone makes no sample.
    Self.go(&house, 41)
    Self.say(&house, 0, 1_000, at: house.time.raw)
    try house.clear(after: 11_000)
    try house.clear(after: 0)
    #expect(house.machine.minutes[0].sampled == number + 1)
    #expect(house.machine.minutes[0].samples[Int((number + 1) % 30)] == .zero)
  }

  @Test("23 samples put it off for a day; then the first fresh index decides")
  func deferral() throws {
    var house = Self.house()
    for number in 31...53 as ClosedRange<Int64> {
      try Self.sample(&house, number, [1_000, 1_000, 1_000])
    }
    try Self.sample(&house, 61, [1_000, 1_000, 1_000])
    Self.go(&house, 61, 11)
    try house.clear()
    #expect(Self.future(house) == (.active, 0))
    try Self.sample(&house, 60 + 1_439, [1_000, 1_000, 1_000])
    #expect(Self.future(house) == (.active, 0))
    try Self.sample(&house, 60 + 1_440, [900, 900, 900])
    #expect(Self.future(house) == (.settled, 900 * Price.scale))
  }

  // MARK: - Jumps and doubt

  private static func index(_ house: borrowing House) -> Int64 {
    house.machine.index(UnderlyingID(0)).price.raw / Price.scale
  }

  @Test("a jump beyond the band waits until the price before is stale, and no longer")
  func jumps() throws {
    var constants = Constants()
    constants.oracleDeviationMax = 100_000_000
    var house = House(constants: constants)
    func say(_ price: Int64, _ house: inout House) throws -> Int64 {
      for publisher in 0..<3 { Self.say(&house, publisher, price, at: house.time.raw) }
      try house.clear(after: 2_000)
      return Self.index(house)
    }
    #expect(try say(1_000, &house) == 1_000, "nothing stood before")
    #expect(try say(1_100, &house) == 1_100, "a tenth is no jump")
    #expect(try say(1_211, &house) == 1_100)
    #expect(try say(1_210, &house) == 1_210, "the words came back")
    #expect(try say(600, &house) == 1_210)
    #expect(try say(600, &house) == 1_210)
    // 6 seconds after the last word that counted.
    #expect(try say(600, &house) == 600)
  }

  @Test(
    "doubt holds a close back for some batches, near the line alone; the account is reduce-only")
  func holdBack() throws {
    var constants = Constants()
    constants.confidenceBand = 20_000_000
    constants.holdBackBatchesMax = 2
    var house = House(
      constants: constants, instruments: TestWorld.instruments(fees: false))
    for client in 0..<2 { house.deposit(House.client(client), 200 * Money.scale) }
    house.deposit(House.client(2), 10_000 * Money.scale)
    house.index(0, 1_000 * Price.scale)
    for client in 0..<2 {
      house.fill(
        buyer: client, seller: 2, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    }
    try house.clear()
    // A fifth of client 1's money goes, so that it stands far below the line.
    house.instruct(
      House.client(1),
      [.withdraw(asset: .quote, amount: Amount(raw: 40 * Money.scale), destination: .zero)])
    func doubt(_ house: inout House, _ gap: Int64) throws -> [AccountID] {
      house.sequence += 1
      for (publisher, price) in [910, 910 + gap, 910 - gap].enumerated() {
        Self.say(&house, publisher, price, at: house.time.raw)
      }
      house.credit = house.number &- 1
      return try house.clear().body.directives.filter { $0.kindCode == 2 }.map(\.account)
    }
    let (near, far) = (House.client(0), House.client(1))
    // Equity 110 and 70, maintenance 116.48; a band of 2 % of 910 is 18.2.
    #expect(try doubt(&house, 17) == [far], "near is held back")
    #expect(house.isRestricted[near.index] && house.isRestricted[far.index])
    #expect(house.machine.minutes[0].doubt.raw > Ratio.scale / 2)
    #expect(try doubt(&house, 17) == [far])
    #expect(try doubt(&house, 17) == [near, far], "two batches are enough")
    #expect(try doubt(&house, 1) == [near, far])
    #expect(house.machine.minutes[0].doubtful == 0)
    #expect(try doubt(&house, 17) == [far], "doubt anew")
  }
}
