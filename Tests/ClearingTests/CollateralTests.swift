import Instruments
import Margin
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

/// BTC counts at the index of BTC, 1 000, less 5 % and for initial margin 3 % more; 4 of an account.
@Suite("Collateral") struct CollateralTests {
  private static let btc = AssetID(1)

  private static func house(
    margin: MarginTerms = TestWorld.collateral(), _ change: (inout Constants) -> Void = { _ in }
  ) throws -> House {
    var constants = Constants()
    constants.auctionFast = 60_000
    constants.runAheadMax = 1
    constants.activationNotice = 2
    change(&constants)
    var house = House(
      constants: constants, instruments: TestWorld.instruments(fees: false), margin: margin)
    for client in 1..<4 { house.deposit(House.client(client), 100_000 * Money.scale) }
    house.index(0, 1_000 * Price.scale)
    try house.clear()
    return house
  }

  private static func figures(_ house: inout House, _ client: Int = 0) throws -> [Int64] {
    let view = house.machine.view(House.client(client))
    let margin = try #require(view).margin
    return [margin.equity.raw, margin.initial.raw, margin.maintenance.raw]
  }

  /// Clearing's answer to client 0, who asks for an amount of BTC.
  private static func ask(_ house: inout House, _ amount: Int64) throws -> Receipt {
    house.instruct(
      House.client(0), [.withdraw(asset: btc, amount: Amount(raw: amount), destination: .zero)])
    let receipts = House.receipts(try house.clear(after: 0))
    return try #require(receipts.first { $0.kind == .withdrawal })
  }

  /// The code of clearing's answer to a deposit of BTC.
  private static func deposit(_ house: inout House, _ amount: Int64) throws -> UInt8 {
    house.deposit(House.client(0), amount, asset: btc)
    let receipts = House.receipts(try house.clear(after: 0))
    return try #require(receipts.first { $0.kind == .deposit }).code
  }

  /// Client 0 buys a contract at `high` and sells it at `low`: its cash falls by the difference.
  private static func lose(_ house: inout House, from high: Int64, to low: Int64, _ size: Int64) {
    house.fill(buyer: 0, seller: 1, 0, price: high * Price.scale, quantity: size * Quantity.scale)
    house.fill(
      buyer: 1, seller: 0, 0, price: low * Price.scale, quantity: size * Quantity.scale,
      takerSide: .sell)
  }

  @Test(
    "a balance is worth its index, moves by 16 % of it, and is held less a haircut; four count",
    arguments: [
      (100_000_000, 1_000, 240, 178), (300_000_000, 3_000, 720, 534),
      (400_000_000, 4_000, 960, 712),
      (400_000_001, 4_000, 960, 712), (900_000_000, 4_000, 960, 712),
    ] as [(Int64, Int64, Int64, Int64)])
  func worth(amount: Int64, value: Int64, initial: Int64, maintenance: Int64) throws {
    var house = try Self.house()
    house.deposit(House.client(0), amount, asset: Self.btc)
    try house.clear()
    let scale = Money.scale
    let found = try Self.figures(&house)
    #expect(found == [value * scale, initial * scale, maintenance * scale])
  }

  @Test("a short against the coin itself loses nothing by a move, a long loses twice")
  func legs() throws {
    var house = try Self.house()
    for client in 0..<2 { house.deposit(House.client(client), 100_000_000, asset: Self.btc) }
    house.fill(buyer: 1, seller: 0, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    try house.clear()
    let scale = Money.scale
    // 80 of haircuts, and the delta minimum: no net, and a hundredth of what is hedged.
    let (short, long) = (try Self.figures(&house, 0), try Self.figures(&house, 1))
    #expect(short == [1_000 * scale, 90 * scale, 58 * scale])
    #expect(long == [101_000 * scale, 400 * scale, 306 * scale])
  }

  @Test("it stands behind a debt; a fall of its price sells it with the debt, to the unit")
  func sale() throws {
    var house = try Self.house()
    house.deposit(House.client(0), 450_000_000, asset: Self.btc)
    Self.lose(&house, from: 1_000, to: 750, 10)
    try house.clear()
    // 4 000 − 2 500 against 712: it stands.
    #expect(house.cash(0) == -2_500 * Money.scale && house.isRestricted[7] == false)
    house.index(0, 700 * Price.scale)
    let started = House.receipts(try house.clear())
    // 2 800 − 2 500 against 498.4.
    #expect(started.contains { $0.kind == .auctionStart && $0.buyer == House.client(0) })
    #expect(house.isRestricted[7])
    house.credit = house.number - 1
    house.instruct(
      House.client(2),
      [
        .bid(
          AuctionOffer(
            account: House.client(0), stake: Money(raw: 50_000 * Money.scale),
            worst: Money(raw: 10_000 * Money.scale), part: Ratio(raw: Ratio.scale)))
      ])
    let receipts = House.receipts(try house.clear())
    let bid = try #require(receipts.first { $0.kind == .bid })
    #expect(bid.code == 0)
    let sold = try #require(receipts.first { $0.kind == .collateral })
    #expect(sold.buyer == House.client(2) && sold.seller == House.client(0))
    #expect(sold.price.raw == 700 * Price.scale && sold.quantity.raw == sold.buyerPosition.raw)
    #expect(sold.paid.raw >= sold.received.raw && sold.paid.raw - sold.received.raw <= 1)
    #expect(sold.sellerPosition.raw == 450_000_000 - sold.quantity.raw)
    #expect(house.imbalances == [0, 0])
    // Whoever bought it has it at its worth, less the price above it.
    let view = house.machine.view(House.client(2))
    let after = try #require(view)
    #expect(after.balances.map { $0.amount.raw } == [sold.quantity.raw])
    #expect(after.margin.equity.raw > 100_000 * Money.scale)
    // The part that was sold took its part of the debt along.
    #expect(house.cash(0) > -2_500 * Money.scale)
  }

  @Test("it leaves while what stays carries the debt, and a refusal says what is missing")
  func withdrawal() throws {
    var house = try Self.house()
    house.deposit(House.client(0), 400_000_000, asset: Self.btc)
    Self.lose(&house, from: 1_000, to: 900, 10)
    try house.clear(after: 0)
    #expect(house.cash(0) == -1_000 * Money.scale)
    // 76 % of 1.31578947 is less than 1 000 by three units of rounded money.
    let refused = try Self.ask(&house, 268_421_053)
    #expect(refused.code == ReceiptCode.marginShort.rawValue && refused.received.raw == -3)
    let allowed = try Self.ask(&house, 268_421_052)
    #expect(allowed.code == 0 && allowed.buyerCash.raw == 131_578_948)
    #expect(try Self.ask(&house, 1).code == ReceiptCode.marginShort.rawValue)
    // Out of debt, all of it may.
    house.deposit(House.client(0), 1_000 * Money.scale)
    try house.clear(after: 0)
    let rest = try Self.ask(&house, 131_578_948)
    #expect(rest.code == 0 && house.imbalances == [0, 0])
  }

  @Test("an old price lets nothing go that stands behind a debt")
  func stale() throws {
    var house = try Self.house()
    house.deposit(House.client(0), 400_000_000, asset: Self.btc)
    house.deposit(House.client(1), 400_000_000, asset: Self.btc)
    Self.lose(&house, from: 1_000, to: 900, 1)
    try house.clear(after: 600_000)
    for client in 0..<2 {
      house.instruct(
        House.client(client),
        [.withdraw(asset: Self.btc, amount: Amount(raw: 1), destination: .zero)])
    }
    let codes = House.receipts(try house.clear()).filter { $0.kind == .withdrawal }.map(\.code)
    #expect(codes == [ReceiptCode.markTooOld.rawValue, 0])
  }

  @Test("all together hold no more than a cap that grows with age")
  func cap() throws {
    var house = try Self.house()
    // 60 at the start, 900 after a hundred seconds; one has passed.
    let most: Int64 = 6_840_000_000
    #expect(try Self.deposit(&house, most + 1) == ReceiptCode.depositLimit.rawValue)
    #expect(try Self.deposit(&house, most) == 0)
    #expect(try Self.deposit(&house, 1) == ReceiptCode.depositLimit.rawValue)
    house.time = Timestamp(raw: house.time.raw + 500_000)
    #expect(try Self.deposit(&house, 90_000_000_000 - most) == 0)
    #expect(try Self.deposit(&house, 1) == ReceiptCode.depositLimit.rawValue)
  }

  @Test(
    "no balance is worth more than 1e11 of the quote asset, whatever its price",
    arguments: [1, 1 << 20, 1_000 * Price.scale, Int64.max] as [Int64])
  func bounds(price: Int64) throws {
    var terms = TestWorld.collateral(accountMax: Int64.max)
    terms.collaterals[15] = terms.collaterals[1]
    var table = CollateralTable(decimals: [6, 8] + [UInt8](repeating: 0, count: 14))
    let market = UnderlyingMarket(index: Price(raw: price), time: .zero, doubt: .one)
    table.update(terms, [market])
    let most: Int128 = 1_000_000_000_000_000_000_000_000_000
    for asset in [1, 15] as [UInt16] {
      let worth = table.worth(AssetID(asset), Amount(raw: Int64.max))
      #expect(worth.value <= most && worth.value >= 0)
      #expect(worth.maintenance >= 0 && worth.initial >= 0)
      let negative = table.worth(AssetID(asset), Amount(raw: Int64.min))
      #expect(negative == .none)
    }
    let none = table.worth(AssetID(2), Amount(raw: Int64.max))
    #expect(none == .none)
  }

  @Test("execution lends against it what clearing will, and keeps what is needed")
  func admission() throws {
    var pair = Pair()
    pair.deposit(0, 400_000_000, asset: Self.btc)
    pair.deposit(1, 100_000 * Money.scale)
    pair.index(1_000)
    _ = try pair.turn()
    // 92 % of 4 000 less 16 % for the leg: 3 040, of which a contract takes 160.
    pair.place(1, .sell, 30)
    pair.place(0, .buy, 19)
    pair.place(0, .buy, 18)
    pair.index(1_000)
    let orders = try pair.turn()
    #expect(orders.map(\.code) == [0, OutcomeCode.insufficientMargin.rawValue, 0])
    #expect(orders[2].figure1 == 18 * Quantity.scale)
    let room = pair.execution.room(House.client(0)).raw
    #expect(room == 160_000_000)
    // A coin less takes 760 from it: 21 052 631 units leave, one more would take three millionths.
    for amount in [400_000_001, 21_052_632, 21_052_631, 1] as [Int64] {
      pair.withdraw(0, amount, asset: Self.btc)
    }
    pair.withdraw(2, 1, asset: Self.btc)
    let outcomes = try pair.turn()
    let (short, many) = (OutcomeCode.insufficientMargin, OutcomeCode.insufficientBalance)
    #expect(
      outcomes == [
        .rejected(many, 400_000_001, 400_000_000), .rejected(short, -4, 160_000_000),
        Outcome(.accepted), .rejected(short, -4, 4), .rejected(many, 1, 0),
      ])
    let answers = pair.receipts.filter { $0.kind == .withdrawal }
    #expect(answers.map(\.code) == [0])
    _ = try pair.turn()
    let left = pair.execution.room(House.client(0)).raw
    #expect(left == 4)
  }

  @Test(
    "governance sets no collateral that is not there, that nobody could sell, or older than now",
    arguments: 0..<6)
  func governance(row: Int) throws {
    var terms = TestWorld.collateral()
    var house = try Self.house(margin: row == 1 ? .novate32 : TestWorld.collateral()) {
      if row == 1 { $0.auctionFast = 0 }
    }
    switch row {
    case 0: terms.collaterals[2] = terms.collaterals[1]
    case 1: terms.collaterals[1].listed = house.time
    case 2: terms.collaterals[1].underlyingPlace = 3
    case 3: terms.collaterals[1].capEnd = Amount(raw: 90_000_000_001)
    case 4:
      terms.collaterals[1].capEnd = Amount(raw: 90_000_000_001)
      terms.collaterals[1].listed = house.time
    default: terms.collaterals[1].haircut = 400_000_000
    }
    house.instruct(TestWorld.governance[0], [.margin(terms)])
    let receipts = House.receipts(try house.clear())
    let receipt = try #require(receipts.first { $0.kind == .governance })
    #expect(receipt.code == (row < 4 ? ReceiptCode.termsRefused.rawValue : 0))
  }

  @Test("genesis takes no such terms either")
  func genesis() {
    var constants = Constants()
    constants.auctionFast = 1
    var genesis = TestWorld.genesis(
      clients: 1, constants: constants, margin: TestWorld.collateral())
    #expect(genesis.fault == nil)
    genesis.constants.auctionFast = 0
    #expect(genesis.fault != nil)
    genesis.constants.auctionFast = 1
    genesis.margin.collaterals[2] = genesis.margin.collaterals[1]
    #expect(genesis.fault != nil)
    genesis.margin = TestWorld.collateral()
    genesis.margin.collaterals[1].underlyingPlace = 3
    #expect(genesis.fault != nil)
  }

  @Test(
    "through crashes with debts, sales and withdrawals all that must hold holds after every batch",
    arguments: [761, 762, 763, 764] as [UInt64])
  func loop(seed: UInt64) throws {
    var loop = Loop(seed: seed, crashes: true, auctions: true, collateral: true)
    for number in 0..<150 {
      if let fault = try loop.step(number) {
        Issue.record("seed \(seed), batch \(number): \(fault)")
        return
      }
    }
    let (sales, interests) = (loop.collateralSales, loop.interests)
    #expect(sales > 0 && interests > 0, "seed \(seed): \(sales) sales, \(interests) bookings")
    let fault = try loop.settleUp()
    #expect(fault == nil, "seed \(seed): \(fault ?? "")")
  }

  @Test(
    "what execution has left for an account is never more than clearing's initial margin leaves",
    arguments: [765, 766, 767] as [UInt64])
  func bound(seed: UInt64) throws {
    var compared = 0
    for batches in stride(from: 6, through: 66, by: 6) {
      var loop = Loop(seed: seed, crashes: true, auctions: true, collateral: true)
      for number in 0..<batches { _ = try loop.step(number) }
      _ = try loop.settleUp()
      var newer: [AccountID] = []
      for place in 0..<Int(loop.execution.status[0].sinceCount) {
        newer.append(loop.execution.since[place].account)
      }
      for account in 0..<loop.clearing.accountCount {
        let id = AccountID(UInt32(account))
        guard !newer.contains(id), let view = loop.clearing.view(id) else { continue }
        var accrued = loop.clearing.accruedInterest(id)
        var held: [PositionRecord] = []
        loop.clearing.forEachPosition(id) { _, position in held.append(position) }
        for position in held { accrued += loop.clearing.accruedFunding(position) }
        let left = view.margin.equity.raw - view.margin.initial.raw
        // Execution knows no accrual; two roundings of money stand between.
        let room = loop.execution.room(id).raw - Int64(accrued / Notional.perMoney)
        #expect(room <= left + 2, "seed \(seed), batch \(batches), account \(id)")
        compared += view.balances.isEmpty ? 0 : 1
      }
    }
    #expect(compared > 40, "seed \(seed): \(compared) accounts with collateral")
  }
}
