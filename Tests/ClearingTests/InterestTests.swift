import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Interest on debt") struct InterestTests {
  private static let year = Timestamp.millisecondsPerYear
  private static let btc = AssetID(1)

  private static func house(interest: Int64 = 100_000_000) throws -> House {
    var constants = Constants()
    constants.auctionFast = 60_000
    var house = House(
      constants: constants, instruments: TestWorld.instruments(fees: false),
      margin: TestWorld.collateral(interest: interest))
    house.deposit(.zero, 1_000 * Money.scale)
    for client in 1..<4 { house.deposit(House.client(client), 100_000 * Money.scale) }
    house.deposit(House.client(0), 400_000_000, asset: btc)
    house.index(0, 1_000 * Price.scale)
    try house.clear()
    return house
  }

  /// Client 0 loses so many cents of cash to client 1, or wins them, and is flat after.
  private static func lose(_ house: inout House, cents: Int64) {
    let size = Quantity.scale
    let amount = cents * 10_000
    let (high, low) = (1_000_000 + max(0, amount), 1_000_000 + max(0, 0 - amount))
    house.fill(buyer: 0, seller: 1, 0, price: high * 100, quantity: size)
    house.fill(buyer: 1, seller: 0, 0, price: low * 100, quantity: size, takerSide: .sell)
  }

  private static func interests(_ result: ClearingResult) -> [Int64] {
    House.receipts(result).filter { $0.kind == .interest }.map(\.paid.raw)
  }

  @Test("a debt of 1 000 costs 100 in a year at 10 %, paid to the fund; credit earns nothing")
  func year() throws {
    var house = try Self.house()
    Self.lose(&house, cents: 100_000)
    try house.clear(after: Self.year)
    #expect(house.cash(0) == -1_000_000_000)
    let fund = house.machine.fund(.quote).insurance
    house.deposit(House.client(0), 1)
    house.deposit(House.client(1), 1)
    #expect(Self.interests(try house.clear()) == [100_000_000])
    #expect(house.cash(0) == -1_099_999_999)
    #expect(house.machine.fund(.quote).insurance == fund + 100_000_000)
    // What was paid is debt now: it ran for a second since.
    let second = (1_099_999_999 * 1_000 + 10 * Self.year - 1) / (10 * Self.year)
    house.deposit(House.client(0), 2_000_000_000)
    #expect(Self.interests(try house.clear()) == [second])
    #expect(house.cash(0) == 900_000_001 - second)
    house.deposit(House.client(0), 1)
    try house.clear(after: Self.year)
    house.deposit(House.client(0), 1)
    #expect(Self.interests(try house.clear()) == [])
    #expect(house.imbalances == [0, 0])
  }

  @Test("without a rate nothing is booked, and a rate counts from when it is in force")
  func rates() throws {
    var house = try Self.house(interest: 0)
    Self.lose(&house, cents: 100_000)
    try house.clear(after: Self.year)
    for member in 0..<2 {
      house.instruct(
        TestWorld.governance[member], [.margin(TestWorld.collateral(interest: 200_000_000))])
    }
    try house.clear(after: 1)
    for _ in 0...Constants().activationNotice { try house.clear(after: 1) }
    try house.clear(after: Self.year / 2)
    house.deposit(House.client(0), 1)
    let paid = try #require(Self.interests(try house.clear()).first)
    // Half a year, and what of the notice had passed: a few milliseconds at most.
    #expect((100_000_000...100_000_100).contains(paid), "\(paid)")
  }

  @Test(
    "what is paid is the same to the unit, however often and in whatever order accounts are touched",
    arguments: [881, 882, 883, 884] as [UInt64])
  func touches(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var quiet = try Self.house(interest: 777_777_777)
    var busy = try Self.house(interest: 777_777_777)
    let before = quiet.machine.fund(.quote).insurance
    var booked: [Int64] = [0, 0]
    var bookings = [0, 0]
    func count(_ place: Int, _ result: ClearingResult) {
      let paid = Self.interests(result)
      booked[place] += paid.reduce(0, +)
      bookings[place] += paid.count
    }
    for round in 0..<120 {
      // Whoever is asked to pay out cash it has not is booked, and nothing else comes of it.
      for client in 0..<4 where generator.chance(40) {
        busy.instruct(
          House.client(client),
          [.withdraw(asset: .quote, amount: Amount(raw: 1 << 60), destination: .zero)])
      }
      if round % 7 == 3 {
        let cents = generator.within(-30_000...90_000)
        Self.lose(&quiet, cents: cents)
        Self.lose(&busy, cents: cents)
      }
      let pause = generator.within(1...3_000_000_000)
      count(0, try quiet.clear(after: pause))
      count(1, try busy.clear(after: pause))
    }
    for place in 0...1 {
      if place == 0 {
        quiet.deposit(House.client(0), 1)
        count(0, try quiet.clear())
      } else {
        busy.deposit(House.client(0), 1)
        count(1, try busy.clear())
      }
    }
    #expect(booked[0] == booked[1] && booked[0] > 0, "seed \(seed): \(booked)")
    #expect(bookings[1] > bookings[0] + 20, "seed \(seed): \(bookings) bookings")
    let (one, two) = ((0..<4).map { quiet.cash($0) }, (0..<4).map { busy.cash($0) })
    #expect(one == two, "seed \(seed)")
    #expect(quiet.machine.fund(.quote).insurance == before + booked[0])
    #expect(quiet.imbalances == [0, 0] && busy.imbalances == [0, 0])
  }

  @Test("a debt's interest is under the state root, and stored with it")
  func stored() throws {
    var house = try Self.house()
    Self.lose(&house, cents: 100_000)
    try house.clear(after: Self.year)
    house.instruct(
      House.client(0), [.withdraw(asset: .quote, amount: Amount(raw: 1), destination: .zero)])
    try house.clear()
    let record = house.machine.accounts[House.client(0).index]
    #expect(record.debtBooked.raw == 100_000_000 && record.principal.raw == 1_000_000_000)
    let snapshot = house.snapshot()
    try Self.load(&house, snapshot)
    var machine = ClearingMachine(genesis: house.genesis)
    try machine.load(snapshot: snapshot)
    machine.accounts[House.client(0).index].debtBooked = Money(raw: 99_999_999)
    let forged = machine.snapshot()
    do {
      try Self.load(&house, forged)
      Issue.record("a forged debt was loaded")
    } catch is ClearingFailure {}
    machine.accounts[House.client(0).index].debtBooked = Money(raw: -1)
    let fault = machine.structureFault()
    #expect(fault == "interest of account 7")
  }

  private static func load(_ house: inout House, _ bytes: [UInt8]) throws {
    var machine = ClearingMachine(genesis: house.genesis)
    try machine.load(snapshot: bytes)
    try machine.rebuild(
      expecting: house.root, previous: house.machine.previousID,
      previousExecution: house.machine.previousExecutionID, log: house.machine.log)
  }
}
