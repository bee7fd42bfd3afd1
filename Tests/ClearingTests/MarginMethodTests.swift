import Calculators
import Commitments
import Instruments
import Margin
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

extension House {
  fileprivate func figures(_ client: Int) throws -> MarginFigures {
    try figures(of: House.client(client))
  }

  fileprivate func figures(of account: AccountID) throws -> MarginFigures {
    let view = machine.view(account)
    return try #require(view).margin
  }

  /// A client as a line of `novate margin`.
  fileprivate func line(of account: AccountID) throws -> JSONValue {
    let line = machine.marginLine(account)
    return try #require(line)
  }
}

@Suite("The margin method in state") struct MarginMethodTests {
  private static let scale = Price.scale

  /// Genesis with an option and a future beyond the front expiry.
  private static func instruments() -> [Instrument] {
    var listed = TestWorld.instruments(fees: false)
    var later = listed[2]
    later.id = InstrumentID(5)
    later.expiry = Timestamp(raw: later.expiry.raw + 30 * 86_400_000)
    listed.append(later)
    var future = listed[1]
    future.id = InstrumentID(6)
    future.expiry = later.expiry
    listed.append(future)
    return listed
  }

  private static func house(
    _ constants: Constants = Constants(), margin: MarginTerms = .novate32, sized: Bool = false
  ) throws -> House {
    var listed = instruments()
    if sized { TestWorld.size(&listed, contracts: 40) }
    var house = House(constants: constants, instruments: listed, margin: margin)
    for client in 0..<4 { house.deposit(House.client(client), 50_000_000_000) }
    house.index(0, 1_000 * scale)
    house.index(1, 70 * scale)
    surfaces(&house, 1_003)
    try house.clear()
    return house
  }

  private static func surfaces(_ house: inout House, _ forward: Int64) {
    house.surface(forward * scale)
    house.sequence += 1
    let expiry = house.genesis.instruments[5].expiry
    for publisher in TestWorld.publishers.prefix(2) {
      house.instruct(
        publisher,
        [
          .surface(
            underlying: UnderlyingID(0), expiry: expiry, forward: Price(raw: forward * scale + 7),
            parameters: TestWorld.smile(time: expiry.raw - house.time.raw), time: house.time,
            sequence: house.sequence)
        ])
    }
  }

  /// `initial_requirement`, `maintenance_requirement` and `mark_to_market` as `novate margin` says
  /// them, to the money unit in the house's roundings.
  private static func answer(_ line: JSONValue) throws -> (Int64, Int64, Int64) {
    let response = MarginCalculator.respond(line: line.text())
    let value = try JSONValue.parse(Array(response.line.utf8))
    func money(_ key: String, _ rounding: Rounding) throws -> Int64 {
      let units: Int128 = try value.decimal(at: key, digits: 12)
      return Int64(units.divided(by: 1_000_000, rounding: rounding))
    }
    return (
      try money("initial_requirement", .up), try money("maintenance_requirement", .up),
      try money("mark_to_market", .down)
    )
  }

  @Test(
    "`novate margin` says of an exported account what the machine says, to the unit",
    arguments: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] as [UInt64])
  func calculator(seed: UInt64) throws {
    // From the ninth on by span-16, from the thirteenth on by one method and then the other.
    let first = (9...13).contains(seed) ? MarginTerms.span16 : .novate32
    let second = [10, 12, 14].contains(seed) ? MarginTerms.span16 : .novate32
    var constants = Constants()
    constants.runAheadMax = 1
    constants.activationNotice = 2
    constants.auctionFast = 80_000_000
    constants.confidenceBand = 20_000_000
    // Two of three runs hold collateral, more or less than counts.
    let takes = seed % 3 != 0
    var start = takes ? TestWorld.collateral(method: first) : first
    start.peg = seed > 4 ? TestWorld.pegged : 0
    var house = try Self.house(constants, margin: start, sized: seed > 6)
    var generator = Generator(seed: seed)
    for client in 0..<4 {
      house.deposit(
        House.client(client), generator.within(1...600_000_000), asset: AssetID(1))
    }
    // Every other run by other terms.
    if seed % 2 == 0 || seed == 13 {
      var terms =
        takes ? TestWorld.collateral(haircut: 123_456_789, method: second) : second
      terms.peg = start.peg
      terms.depegFactor = Ratio(raw: 3_456_789_012)
      terms.lambda = Ratio(raw: 400_000_000)
      if terms.isSpan {
        terms.spanRange = Ratio(raw: 123_456_789)
        terms.extremeCover = Ratio(raw: 777_777_777)
        terms.lookahead = 7_000_001
      } else {
        terms.netDelta = Ratio(raw: 90_000_000)
        terms.hedgedDelta = Ratio(raw: 60_000_000)
        terms.basisAdd = Ratio(raw: 17_000_001)
      }
      terms.shortOption = Ratio(raw: 130_000_000)
      terms.maintenanceFactor = Ratio(raw: 712_345_678)
      for member in 0..<2 { house.instruct(TestWorld.governance[member], [.margin(terms)]) }
    }
    // Two of the six accounts are in cross mode.
    var accounts = (0..<4).map { House.client($0) }
    for client in 0..<2 {
      let opened = try house.open(client, .cross)
      house.pay(20_000_000_000, from: House.client(client), to: opened[0])
      if takes { house.pay(50_000, from: House.client(client), to: opened[0], asset: 1) }
      accounts += opened
    }
    try house.clear()
    var depegged = 0
    for round in 0..<30 {
      for _ in 0..<5 {
        let buyer = generator.below(6)
        let instrument = generator.pick([0, 1, 2, 3, 4, 5, 6] as [UInt32])
        let price: Int64 = instrument == 4 ? 70 : [0, 1, 6].contains(instrument) ? 1_000 : 40
        house.fill(
          buyer: accounts[buyer], seller: accounts[(buyer + 1 + generator.below(5)) % 6],
          instrument,
          price: price * Self.scale, quantity: TestWorld.lot * generator.within(1...3_000))
      }
      if round % 3 == 2 {
        house.index(0, generator.within(900...1_100) * Self.scale + generator.within(0...999_999))
        Self.surfaces(&house, generator.within(900...1_100))
        if start.peg != 0 { house.index(2, generator.within(95_000_000...101_000_000)) }
      }
      try house.clear()
      depegged += house.machine.table.pegShare == .zero ? 0 : 1
      for account in accounts {
        let figures = try house.figures(of: account)
        let line = try house.line(of: account)
        let said = try Self.answer(line)
        let known = (figures.initial.raw, figures.maintenance.raw, figures.equity.raw)
        #expect(said == known, "seed \(seed), round \(round), \(account): \(line.text())")
      }
    }
    let sized = accounts.count {
      let charge = house.machine.sizeCharge($0)
      return charge > 0
    }
    #expect((sized > 3) == (seed > 6), "\(sized) accounts are asked for size")
    #expect((depegged > 5) == (seed > 4), "below the peg in \(depegged) rounds")
  }

  @Test("a quote asset below its peg is asked for on entry, and closes nobody")
  func peg() throws {
    var terms = MarginTerms.novate32
    terms.peg = TestWorld.pegged
    var house = try Self.house(margin: terms)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Self.scale, quantity: Quantity.scale)
    try house.clear()
    // Nobody has said what it is worth.
    #expect(try house.figures(0).initial.raw == 160_000_000)
    // Threshold 0.99, factor 4: a cent below costs a twenty-fifth.
    for (worth, initial) in [
      (100_000_000, 160_000_000), (99_000_000, 160_000_000), (98_999_999, 160_000_007),
      (98_000_000, 166_400_000), (1, 793_599_994),
    ] as [(Int64, Int64)] {
      house.index(2, worth)
      try house.clear()
      let figures = try house.figures(0)
      #expect(figures.initial.raw == initial && figures.maintenance.raw == 128_000_000)
    }
    // Free is cash less that, profit being none: 50 000 − 793.6.
    for (amount, code) in [(49_206_400_007, 17), (49_206_400_006, 0)] as [(Int64, UInt8)] {
      house.instruct(
        House.client(0),
        [.withdraw(asset: .quote, amount: Amount(raw: amount), destination: .zero)])
      #expect(House.receipts(try house.clear()).map(\.code) == [code])
    }
  }

  @Test("terms change by governance, for clearing at once and for execution by the Clearance")
  func change() throws {
    var constants = Constants()
    constants.runAheadMax = 2
    constants.activationNotice = 3
    var house = try Self.house(constants)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Self.scale, quantity: Quantity.scale)
    try house.clear()
    let before = try house.figures(0)
    #expect(before.initial.raw == 160_000_000 && before.maintenance.raw == 128_000_000)
    var terms = MarginTerms.novate32
    terms.netDelta = Ratio(raw: 250_000_000)
    terms.hedgedDelta = Ratio(raw: 100_000_000)
    terms.maintenanceFactor = Ratio(raw: 900_000_000)
    // One member does not decide.
    house.instruct(TestWorld.governance[0], [.margin(terms)])
    try house.clear()
    let decided = house.number
    house.instruct(TestWorld.governance[1], [.margin(terms)])
    #expect(House.receipts(try house.clear()).map(\.id) == [decided + 3])
    for _ in 0..<2 { #expect(try house.clear().body.margin.isEmpty) }
    let same = try house.figures(0)
    #expect(same.initial == before.initial)
    let result = try house.clear()
    #expect(result.body.margin == [terms])
    let after = try house.figures(0)
    #expect(after.initial.raw == 250_000_000 && after.maintenance.raw == 225_000_000)
    #expect(try house.clear().body.margin.isEmpty)

    // Stored and loaded again, the terms are those in force.
    let snapshot = house.snapshot()
    var machine = ClearingMachine(genesis: house.genesis)
    try machine.load(snapshot: snapshot)
    try machine.rebuild(
      expecting: house.root, previous: house.machine.previousID,
      previousExecution: house.machine.previousExecutionID, log: house.machine.log)
    let loaded = machine.view(House.client(0))?.margin.initial
    #expect(loaded == after.initial)
  }

  @Test("one method takes another's place for both layers, and gives it back")
  func replacement() throws {
    var pair = Pair(margin: .novate32, clients: 2) {
      $0.runAheadMax = 1
      $0.activationNotice = 2
    }
    for client in 0..<2 { pair.deposit(client, 1_000_000_000) }
    pair.index(1_000)
    _ = try pair.turn()
    pair.place(0, .buy, 1)
    pair.place(1, .sell, 1)
    _ = try pair.turn()
    var narrow = MarginTerms.span16
    narrow.spanRange = Ratio(raw: 50_000_000)
    // Requirements of a contract at 1 000, maintenance, and how many more 1 000 admit at its price.
    for (terms, initial, maintenance, more) in [
      (MarginTerms.novate32, 160, 128, 5), (.span16, 150, 120, 5), (narrow, 50, 40, 18),
      (.novate32, 160, 128, 5),
    ] as [(MarginTerms, Int64, Int64, Int64)] {
      for member in TestWorld.governance { pair.send(member, [.margin(terms)]) }
      for _ in 0..<4 {
        pair.index(1_000)
        _ = try pair.turn()
      }
      let view = pair.clearing.view(House.client(0))
      let margin = try #require(view).margin
      #expect(margin.initial.raw == initial * Money.scale, "\(terms.methodCode)")
      #expect(margin.maintenance.raw == maintenance * Money.scale)
      pair.place(0, .buy, more + 1)
      pair.place(0, .buy, more)
      let outcomes = try pair.turn()
      #expect(outcomes.map(\.status) == [.rejected, .accepted], "\(terms.methodCode): \(outcomes)")
      pair.send(
        House.client(0), [.cancelAll(instrument: .all)])
      _ = try pair.turn()
    }
  }

  @Test("a restriction's receipt names the terms, the equity and the requirement it went by")
  func receipts() throws {
    var constants = Constants()
    constants.runAheadMax = 1
    constants.activationNotice = 2
    var house = try Self.house(constants)
    house.deposit(House.client(0), 1)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Self.scale, quantity: 200 * Quantity.scale)
    try house.clear()
    var terms = MarginTerms.novate32
    terms.netDelta = Ratio(raw: 400_000_000)
    for member in 0..<2 { house.instruct(TestWorld.governance[member], [.margin(terms)]) }
    try house.clear()
    try house.clear()
    let found = House.receipts(try house.clear()).filter { $0.kind == .restriction }
    // The seller's 50 000 are as far below.
    #expect(found.map(\.buyer) == [House.client(0), House.client(1)])
    let receipt = try #require(found.first)
    #expect(receipt.buyer == House.client(0) && receipt.id == 1 && receipt.quantity.raw == 1)
    #expect(receipt.received.raw == 50_000_000_001 && receipt.paid.raw == 80_000_000_000)
  }

  @Test(
    "leaving out accounts that cannot matter changes no byte of a crash",
    arguments: [
      (811, false, false), (812, true, false), (813, false, false), (814, true, false),
      (815, true, true), (817, true, true), (819, true, true), (821, true, true),
      (831, false, false), (833, true, true),
    ] as [(UInt64, Bool, Bool)])
  func skipping(seed: UInt64, auctions: Bool, collateral: Bool) throws {
    var loop = Loop(
      seed: seed, crashes: true, auctions: auctions, collateral: collateral,
      method: seed > 830 ? .span16 : .novate32)
    var plain = ClearingMachine(genesis: loop.genesis)
    plain.skipping.isOn = false
    for number in 0..<160 {
      let fault = try loop.step(number)
      #expect(fault == nil)
      let batch = try #require(loop.record.last)
      let result = try plain.apply(batch.header, try BatchBody(batch.body))
      plain.seal()
      #expect(
        result.header == batch.result.header && result.receipts == batch.result.receipts,
        "seed \(seed), batch \(number)")
    }
    let (left, weighed) = (loop.clearing.skipping.left, loop.clearing.skipping.weighed)
    let none = plain.skipping.left
    #expect(none == 0 && left > 100, "seed \(seed): \(left) left, \(weighed) weighed")
    let restrictions = loop.restrictions
    #expect(restrictions > 0, "seed \(seed): nobody came below maintenance")
  }

  @Test("doubt about an index raises initial margin, for execution too, and closes nobody")
  func doubt() throws {
    var constants = Constants()
    constants.confidenceBand = 10_000_000
    var house = try Self.house(constants)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Self.scale, quantity: 10 * Quantity.scale)
    try house.clear()
    let sure = try house.figures(0)
    // Two words half a percent apart: half sure.
    house.sequence += 1
    for (publisher, price) in zip(TestWorld.publishers, [1_000, 1_005] as [Int64]) {
      house.instruct(
        publisher,
        [
          .index(
            underlying: UnderlyingID(0), price: Price(raw: price * Self.scale), time: house.time,
            sequence: house.sequence)
        ])
    }
    let result = try house.clear()
    #expect(result.body.indices.map(\.doubt.raw) == [500_000_000])
    let figures = try house.figures(0)
    // (0.9 − 0.5) · 0.25 of 10 000.
    #expect(figures.initial.raw == sure.initial.raw + 1_000_000_000)
    #expect(figures.maintenance == sure.maintenance)
    let line = try house.line(of: House.client(0))
    let said = try Self.answer(line)
    #expect(said.0 == figures.initial.raw && said.1 == figures.maintenance.raw)
  }

  @Test("an account within the declared minimums is not closed, one beyond them is")
  func minimums() throws {
    var house = try Self.house()
    // A conversion: nothing in any scenario, yet 1 % of the hedged delta.
    house.fill(buyer: 0, seller: 1, 2, price: 60 * Self.scale, quantity: Quantity.scale)
    house.fill(buyer: 1, seller: 0, 0, price: 1_000 * Self.scale, quantity: Quantity.scale)
    try house.clear()
    let figures = try house.figures(0)
    let line = try house.line(of: House.client(0))
    #expect(try Self.answer(line).0 == figures.initial.raw)
    #expect(figures.initial.raw > 0)
    #expect(house.imbalances.allSatisfy { $0 == 0 })
  }
}
