import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Clearing rules") struct RuleTests {
  private static let scale = Price.scale

  // MARK: - Custody

  @Test(
    "a deposit is credited once, opens an account from its minimum on, and only the custodian makes it"
  )
  func deposits() throws {
    var house = House()
    let owner = TestWorld.key(3_000).publicKey
    let insurance = PublicKey.zero
    func deposit(_ owner: PublicKey, _ amount: Int64, _ reference: UInt64) -> Action {
      .deposit(asset: .quote, amount: Amount(raw: amount), owner: owner, reference: reference)
    }
    house.instruct(
      TestWorld.custodian,
      [
        deposit(owner, 999_999, 1), deposit(owner, 1_000_000, 2), deposit(owner, 5, 3),
        deposit(owner, 7, 3), deposit(owner, 7, 2), deposit(insurance, 40, 9),
      ])
    let result = try house.clear()
    let codes = House.receipts(result).map(\.code)
    let expected: [ReceiptCode] = [
      .depositTooSmall, .done, .done, .referenceUsed, .referenceUsed, .done,
    ]
    #expect(codes == expected.map(\.rawValue))
    #expect(house.cash(4) == 1_000_005)
    #expect(result.body.opened == [OpenedAccount(account: House.client(4), owner: owner)])
    #expect(house.machine.fund(.quote).insurance == 40 && house.imbalances == [0, 0])
  }

  @Test("deposits of an asset together have a limit, which withdrawals give back")
  func depositLimit() throws {
    var constants = Constants()
    constants.depositsTotalMax = 100
    constants.depositForNewAccountMin = 1
    var house = House(constants: constants)
    house.deposit(House.client(0), 60)
    house.deposit(House.client(1), 41)
    house.deposit(House.client(1), 40)
    house.instruct(
      House.client(0), [.withdraw(asset: .quote, amount: Amount(raw: 10), destination: .zero)])
    house.deposit(House.client(1), 10)
    let codes = House.receipts(try house.clear()).map(\.code)
    #expect(codes == [0, ReceiptCode.depositLimit.rawValue, 0, 0, 0])
    #expect(house.cash(1) == 50)
  }

  @Test("a withdrawal is taken, numbered, and released once, in a later batch")
  func withdrawals() throws {
    var house = House()
    house.deposit(House.client(0), 100)
    house.deposit(House.client(0), 50, asset: AssetID(1))
    try house.clear()
    let paid = Bytes32((7, 7, 7, 7))
    func ask(_ amount: Int64, _ asset: UInt16) -> Action {
      .withdraw(asset: AssetID(asset), amount: Amount(raw: amount), destination: paid)
    }
    house.instruct(House.client(0), [ask(60, 0), ask(60, 0), ask(50, 1), ask(1, 1)])
    house.instruct(TestWorld.custodian, [.release(withdrawal: 0, reference: paid)])
    var receipts = House.receipts(try house.clear())
    let short = ReceiptCode.insufficientBalance.rawValue
    #expect(receipts.map(\.code) == [0, short, 0, short, ReceiptCode.unknownWithdrawal.rawValue])
    #expect(receipts[0].id == 0 && receipts[2].id == 1 && house.cash(0) == 40)
    let release = Action.release(withdrawal: 0, reference: paid)
    house.instruct(
      TestWorld.custodian, [release, release, .release(withdrawal: 9, reference: paid)])
    receipts = House.receipts(try house.clear())
    let unknown = ReceiptCode.unknownWithdrawal.rawValue
    #expect(receipts.map(\.code) == [0, unknown, unknown] && receipts[0].paid.raw == 60)
    #expect(house.imbalances == [0, 0])
  }

  // MARK: - Expiry

  struct ExpiryRow: Sendable {
    let instrument: UInt32, index: Int64, price: Int64, quantity: Int64
    /// Cash of the long and the short after, without fees.
    let long: Int64, short: Int64, rounding: Int64
  }

  /// Strikes 1 000 (call, 2) and 950 (put, 3); the future is 1.
  @Test(
    "an expiry settles in cash to the unit",
    arguments: [
      // A call 50.00000001 inside: 2 contracts at a premium of 10.
      ExpiryRow(
        instrument: 2, index: 105_000_000_001, price: 1_000_000_000, quantity: 200_000_000,
        long: 80_000_000, short: -80_000_001, rounding: 1),
      ExpiryRow(
        instrument: 2, index: 100_000_000_000, price: 1_000_000_000, quantity: 100_000_000,
        long: -10_000_000, short: 10_000_000, rounding: 0),
      ExpiryRow(
        instrument: 3, index: 94_999_999_999, price: 500_000_000, quantity: 300_000_000,
        long: -15_000_000, short: 14_999_999, rounding: 1),
      ExpiryRow(
        instrument: 3, index: 95_000_000_001, price: 500_000_000, quantity: 300_000_000,
        long: -15_000_000, short: 15_000_000, rounding: 0),
      ExpiryRow(
        instrument: 1, index: 101_000_000_000, price: 100_000_000_000, quantity: 50_000_000,
        long: 5_000_000, short: -5_000_000, rounding: 0),
      ExpiryRow(
        instrument: 1, index: 99_123_456_789, price: 100_000_000_000, quantity: 1_000_000,
        long: -87_655, short: 87_654, rounding: 1),
    ])
  func expiry(row: ExpiryRow) throws {
    var house = House(instruments: TestWorld.instruments(expiry: 10_000, fees: false))
    for client in 0..<2 { house.deposit(House.client(client), 1_000_000_000) }
    house.fill(buyer: 0, seller: 1, row.instrument, price: row.price, quantity: row.quantity)
    try house.clear(after: 9_999)
    // One millisecond before expiry, and after it without a fresh quorum, nothing is settled.
    house.index(0, 1_000 * Self.scale)
    try house.clear(after: 1)
    #expect(house.position(0, row.instrument) == row.quantity)
    try house.clear(after: 5_000)
    #expect(house.position(0, row.instrument) == row.quantity)
    house.index(0, row.index)
    let result = try house.clear()
    #expect(house.cash(0) == 1_000_000_000 + row.long)
    #expect(house.cash(1) == 1_000_000_000 + row.short)
    #expect(house.machine.fund(.quote).rounding == row.rounding && house.imbalances == [0, 0])
    let settled = result.body.instruments.first { $0.id.raw == row.instrument }
    #expect(settled?.status == .settled && settled?.settlementPrice.raw == row.index)
    // The price is fixed once.
    house.index(0, row.index + 100_000_000)
    let after = try house.clear()
    #expect(after.body.instruments.isEmpty)
    #expect(house.cash(0) == 1_000_000_000 + row.long)
  }

  // MARK: - Oracle

  private static func word(
    _ house: inout House, _ publisher: Int, _ price: Int64, _ sequence: UInt64,
    after milliseconds: Int64 = 0
  ) {
    let time = Timestamp(raw: house.time.raw + milliseconds)
    house.instruct(
      TestWorld.publishers[publisher],
      [
        .index(
          underlying: UnderlyingID(0), price: Price(raw: price * scale), time: time,
          sequence: sequence)
      ])
  }

  private static func index(_ house: borrowing House) -> Int64 {
    house.machine.index(UnderlyingID(0)).price.raw / scale
  }

  @Test("an index is the median of a quorum: one publisher neither makes, moves nor stops it")
  func median() throws {
    var house = House()
    Self.word(&house, 0, 1_000, 1)
    try house.clear()
    #expect(Self.index(house) == 0)
    Self.word(&house, 1, 1_010, 1)
    try house.clear()
    #expect(Self.index(house) == 1_000)
    Self.word(&house, 2, 1_005, 1)
    try house.clear()
    #expect(Self.index(house) == 1_005)
    // A liar far outside moves the price no further than an honest word.
    for (step, lie) in ([90_000, 1, 90_000, 1] as [Int64]).enumerated() {
      Self.word(&house, 2, lie, UInt64(step + 2), after: 5_000)
      try house.clear()
      let index = Self.index(house)
      #expect(index == 1_000 || index == 1_010)
    }
    // Nor can it hold the feed back by speaking from the future.
    Self.word(&house, 0, 1_100, 2)
    Self.word(&house, 1, 1_100, 2)
    try house.clear()
    #expect(Self.index(house) == 1_100)
    #expect(house.machine.oracleTime < house.time)
  }

  @Test("stale, future and repeated words are refused; stale ones leave the quorum")
  func words() throws {
    var house = House()
    func code(_ result: ClearingResult) -> [UInt8] { House.receipts(result).map(\.code) }
    let late = ReceiptCode.timeOutOfRange.rawValue
    let repeated = ReceiptCode.sequenceNotRising.rawValue
    Self.word(&house, 0, 1_000, 5, after: -60_001)
    Self.word(&house, 0, 1_000, 5, after: 5_001)
    Self.word(&house, 0, 1_000, 5, after: -60_000)
    Self.word(&house, 0, 1_000, 5)
    Self.word(&house, 0, 1_000, 4)
    Self.word(&house, 0, 1_000, 6, after: 5_000)
    #expect(code(try house.clear()) == [late, late, 0, repeated, repeated, 0])
    #expect(Self.index(house) == 0)
    Self.word(&house, 1, 1_000, 1)
    try house.clear(after: 65_001)
    #expect(Self.index(house) == 1_000)
    // Both are too old for a newer word to make a quorum with.
    Self.word(&house, 2, 2_000, 1)
    try house.clear()
    #expect(Self.index(house) == 1_000)
  }

  @Test("a surface is one publisher's whole set, and only where something is listed")
  func surfaces() throws {
    var house = House()
    house.index(0, 1_000 * Self.scale)
    house.surface(1_002 * Self.scale)
    let result = try house.clear()
    #expect(result.body.slices.count == 1)
    #expect(result.body.slices[0].parameters == TestWorld.smile(time: 10 * TestWorld.day))
    let strange = Timestamp(raw: TestWorld.start.raw + 77)
    house.instruct(
      TestWorld.publishers[0],
      [
        .surface(
          underlying: UnderlyingID(0), expiry: strange, forward: Price(raw: Self.scale),
          parameters: TestWorld.smile(time: 1), time: house.time, sequence: 900)
      ])
    #expect(House.receipts(try house.clear())[0].code == ReceiptCode.surfaceRefused.rawValue)
  }

  // MARK: - Governance

  @Test("m of n members decide, and the decision waits for its notice")
  func governance() throws {
    var constants = Constants()
    constants.runAheadMax = 2
    constants.activationNotice = 3
    var house = House(constants: constants)
    let terms = Instrument(
      id: InstrumentID(0), underlying: UnderlyingID(1), kind: .perpetual,
      tick: Price(raw: TestWorld.tick), lot: Quantity(raw: TestWorld.lot),
      orderQuantityMax: Quantity(raw: Quantity.scale), priceMax: Price(raw: 1_000 * Self.scale))
    func approve(_ member: Int, _ action: Action) {
      house.instruct(TestWorld.governance[member], [action])
    }
    approve(0, .list(terms))
    approve(0, .list(terms))
    var receipts = House.receipts(try house.clear())
    #expect(receipts.map(\.code) == [0, ReceiptCode.alreadyApproved.rawValue])
    #expect(receipts[0].id == .max)
    // Other terms are another proposal.
    var other = terms
    other.tick = Price(raw: 2 * TestWorld.tick)
    approve(1, .list(other))
    approve(1, .halt(instrument: InstrumentID(0), halted: true))
    approve(2, .list(terms))
    receipts = House.receipts(try house.clear())
    #expect(receipts.map(\.id) == [.max, .max, 4])
    for _ in 2..<4 { #expect(try house.clear().body.instruments.isEmpty) }
    let result = try house.clear()
    #expect(result.body.instruments.map(\.id) == [InstrumentID(5)])
    #expect(result.body.instruments[0].listed.raw == 4 && house.machine.instrumentCount == 6)
    approve(0, .halt(instrument: InstrumentID(0), halted: true))
    try house.clear()
    for _ in 0..<2 { try house.clear() }
    #expect(try house.clear().body.instruments.map(\.status) == [.halted])
    // Once done, the same bytes are a new proposal.
    approve(0, .halt(instrument: InstrumentID(0), halted: true))
    #expect(House.receipts(try house.clear())[0].quantity.raw == 1)
  }

  @Test("terms that cannot be listed and instruments that are not there are refused")
  func badTerms() throws {
    var house = House()
    let good = TestWorld.instruments()[0]
    var expired = TestWorld.instruments()[1]
    expired.expiry = house.time
    var foreign = good
    foreign.underlying = UnderlyingID(9)
    var dear = good
    dear.priceMax = Price(raw: 1_000_000_000 * TestWorld.tick * 1_000)
    for terms in [expired, foreign, dear] {
      house.instruct(TestWorld.governance[0], [.list(terms)])
    }
    house.instruct(
      TestWorld.governance[0], [.halt(instrument: InstrumentID(50), halted: true)])
    let codes = House.receipts(try house.clear()).map(\.code)
    #expect(codes == Array(repeating: ReceiptCode.termsRefused.rawValue, count: 4))
  }

  // MARK: - Margin

  @Test("below maintenance: restricted, orders cancelled, closed; the fund pays what is left")
  func liquidation() throws {
    var house = House(instruments: TestWorld.instruments(fees: false))
    house.deposit(House.client(0), 200_000_000)
    house.deposit(House.client(1), 10_000_000_000)
    house.deposit(.zero, 30_000_000)
    house.index(0, 1_000 * Self.scale)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Self.scale, quantity: Quantity.scale)
    var result = try house.clear()
    // Long one at 1 000 with 200: 160 is asked for, 128 to stay.
    let margin = house.machine.margin(House.client(0))
    #expect(margin.equity.raw == 200_000_000 && margin.initial.raw == 160_000_000)
    #expect(margin.maintenance.raw == 128_000_000)
    #expect(result.body.directives.isEmpty)
    house.index(0, 920 * Self.scale)
    result = try house.clear()
    // Equity 120, maintenance 117.76: free still, though below initial.
    #expect(result.body.directives.isEmpty && house.isRestricted[7] == false)
    house.index(0, 900 * Self.scale)
    result = try house.clear()
    let account = House.client(0)
    #expect(
      result.body.directives == [
        Directive(cancelAllOf: account),
        Directive(
          close: account, instrument: InstrumentID(0), side: .sell,
          quantity: Quantity(raw: Quantity.scale), worst: Price(raw: 800 * Self.scale)),
      ])
    #expect(house.isRestricted[7])
    #expect(result.body.accounts.first { $0.account == account }?.flags == 1)
    // Until execution has seen the directive it is not sent again.
    house.credit = house.number - 2
    #expect(try house.clear().body.directives.isEmpty)
    house.credit = house.number - 1
    #expect(try house.clear().body.directives.count == 1)
    house.credit = house.number - 1
    // The market gaps: equity is −30, and an eighth of its initial margin may go beyond the mark.
    house.index(0, 770 * Self.scale)
    let gap = try house.clear().body.directives
    #expect(gap.last?.price == Price(raw: 754_600_000_00))
    // Closed at 780: it lost 220 of its 200, and the fund has 30.
    house.fill(
      buyer: 1, seller: 0, 0, price: 780 * Self.scale, quantity: Quantity.scale, takerSide: .sell)
    result = try house.clear()
    #expect(house.cash(0) == 0 && house.position(0, 0) == 0)
    #expect(house.machine.fund(.quote).insurance == 10_000_000)
    #expect(house.isRestricted[7] == false && house.imbalances == [0, 0])
    #expect(House.receipts(result).contains { $0.kind == .insurance && $0.paid.raw == 20_000_000 })
  }

  @Test("nobody is liquidated on a price that is not fresh")
  func staleLiquidation() throws {
    var house = House(instruments: TestWorld.instruments(fees: false))
    house.deposit(House.client(0), 200_000_000)
    house.deposit(House.client(1), 10_000_000_000)
    house.index(0, 1_000 * Self.scale)
    try house.clear()
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Self.scale, quantity: 2 * Quantity.scale)
    house.time = Timestamp(raw: house.time.raw + 5_001)
    #expect(try house.clear().body.directives.isEmpty)
    house.index(0, 1_000 * Self.scale)
    #expect(try house.clear().body.directives.count == 2)
  }

  @Test("a restricted account is freed once initial margin is met")
  func freed() throws {
    var house = House(instruments: TestWorld.instruments(fees: false))
    house.deposit(House.client(0), 150_000_000)
    house.deposit(House.client(1), 10_000_000_000)
    house.index(0, 1_000 * Self.scale)
    house.fill(buyer: 0, seller: 1, 0, price: 1_050 * Self.scale, quantity: Quantity.scale)
    try house.clear()
    #expect(house.isRestricted[7])
    // Above maintenance (128) is not enough.
    house.deposit(House.client(0), 40_000_000)
    try house.clear()
    #expect(house.isRestricted[7])
    house.deposit(House.client(0), 20_000_000)
    let result = try house.clear()
    #expect(house.isRestricted[7] == false)
    #expect(result.body.accounts.first { $0.account == House.client(0) }?.flags == 0)
  }
}
