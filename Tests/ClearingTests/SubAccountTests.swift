import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

extension House {
  /// Opens accounts for a client, in a batch of their own; their numbers.
  @inline(never)
  mutating func open(_ client: Int, _ modes: AccountMode...) throws -> [AccountID] {
    let first = machine.accountCount
    instruct(House.client(client), modes.map { .open($0) })
    for _ in modes { maker.open(owner: genesis.accounts[House.client(client).index]) }
    try clear(after: 0)
    return (first..<machine.accountCount).map { AccountID(UInt32($0)) }
  }

  @inline(never)
  mutating func pay(_ amount: Int64, from: AccountID, to: AccountID, asset: UInt16 = 0) {
    instruct(from, [.transfer(asset: AssetID(asset), amount: Amount(raw: amount), to: to)])
  }

  /// The receipt of one transfer, in a batch of its own.
  @inline(never)
  mutating func paid(_ amount: Int64, from: AccountID, to: AccountID, asset: UInt16 = 0) throws
    -> Receipt
  {
    pay(amount, from: from, to: to, asset: asset)
    let receipts = House.receipts(try clear(after: 0))
    return try #require(receipts.last { $0.kind == .ownerTransfer })
  }

  func cash(of account: AccountID) -> Int64 { machine.view(account)?.cash.raw ?? .min }
  func flags(of account: AccountID) -> AccountFlags { machine.view(account)?.flags ?? [] }
}

@Suite("Accounts of one owner, cleared") struct SubAccountTests {
  private static func house(_ change: (inout Constants) -> Void = { _ in }) -> House {
    var constants = Constants()
    change(&constants)
    return House(constants: constants, instruments: TestWorld.instruments(fees: false))
  }

  @Test("an account is opened with its owner's key and its mode; deposits go on to the main one")
  func opening() throws {
    var house = Self.house()
    let main = House.client(0)
    let accounts = try house.open(0, .isolated, .cross, .portfolio)
    let last = house.last
    let result = try #require(last)
    let owner = house.genesis.accounts[main.index]
    #expect(
      result.body.opened == [
        OpenedAccount(account: accounts[0], owner: owner, mode: .isolated),
        OpenedAccount(account: accounts[1], owner: owner, mode: .cross),
        OpenedAccount(account: accounts[2], owner: owner),
      ])
    #expect(result.body.accounts.map(\.flags) == [8, 4, 0])
    let receipts = House.receipts(result)
    #expect(receipts.map(\.kind) == [.opened, .opened, .opened])
    #expect(receipts.map(\.buyer) == accounts && receipts.allSatisfy { $0.seller == main })
    #expect(receipts.map(\.id) == [2, 1, 0] && receipts.allSatisfy { $0.code == 0 })
    #expect(house.machine.view(accounts[1])?.group == [main] + accounts)
    house.deposit(main, 5_000_000)
    try house.clear()
    #expect(house.cash(0) == 5_000_000 && accounts.allSatisfy { house.cash(of: $0) == 0 })
  }

  @Test("the sixty-fifth is refused, whatever execution let through; another owner has his own")
  func limit() throws {
    var house = Self.house()
    let before = house.machine.accountCount
    house.instruct(House.client(0), Array(repeating: .open(.portfolio), count: 64))
    house.instruct(House.client(1), [.open(.portfolio)])
    let receipts = House.receipts(try house.clear())
    #expect(receipts.prefix(63).allSatisfy { $0.code == 0 } && receipts[64].code == 0)
    #expect(receipts[63].code == ReceiptCode.tooManySubAccounts.rawValue)
    #expect(receipts[63].buyer == AccountID(0) && house.machine.accountCount == before + 64)
  }

  @Test("what execution cannot have let through makes no batch")
  func lies() throws {
    var house = Self.house()
    let account = try house.open(0, .portfolio)[0]
    house.deposit(House.client(0), 1_000)
    try house.clear()
    let pay: (AccountID, UInt16) -> Action = {
      .transfer(asset: AssetID($1), amount: Amount(raw: 1), to: $0)
    }
    let lies: [(AccountID, Action)] = [
      (account, .open(.portfolio)), (House.client(0), pay(House.client(0), 0)),
      (House.client(0), pay(House.client(1), 0)), (House.client(0), pay(account, 2)),
      (House.client(0), pay(AccountID(9_999), 0)),
    ]
    let root = house.root
    for (signer, action) in lies {
      house.instruct(signer, [action])
      let (header, body) = try house.batch()
      let failure = house.failure(header, body)
      #expect(
        failure == .event(index: 0, reason: "subject or signer of an instruction"), "\(action)")
      house.bundles = []
      house.events = []
    }
    #expect(house.root == root)
    #expect(try house.paid(1, from: House.client(0), to: account).code == 0)
  }

  @Test("money and collateral go over whole: the funds do not move, and nothing is lost")
  func transfers() throws {
    var house = Self.house { $0.outflowDailyMax = 10 }
    let account = try house.open(0, .portfolio)[0]
    house.deposit(House.client(0), 1_000)
    house.deposit(House.client(0), 500, asset: AssetID(1))
    try house.clear()
    let before = house.machine.fund(.quote)
    // Nothing leaves the house: the day's outflow of 10 does not matter.
    let receipt = try house.paid(700, from: House.client(0), to: account)
    #expect(receipt.code == 0 && receipt.buyer == account && receipt.seller == House.client(0))
    #expect(receipt.paid.raw == 700 && receipt.instrument.raw == 0)
    #expect(receipt.buyerCash.raw == 700 && receipt.sellerCash.raw == 300)
    let other = try house.paid(500, from: House.client(0), to: account, asset: 1)
    #expect(other.code == 0 && other.instrument.raw == 1)
    #expect(other.buyerCash.raw == 500 && other.sellerCash.raw == 0)
    #expect(house.last?.body.balances.map(\.amount.raw) == [0, 500])
    #expect(house.machine.fund(.quote) == before && house.imbalances == [0, 0])
    let short = ReceiptCode.insufficientBalance.rawValue
    #expect(try house.paid(301, from: House.client(0), to: account).code == short)
    #expect(try house.paid(1, from: House.client(0), to: account, asset: 1).code == short)
    #expect(try house.paid(700, from: account, to: House.client(0)).code == 0)
    #expect(house.cash(0) == 1_000 && house.imbalances == [0, 0])
  }

  @Test("initial margin stays with a position, at prudent prices, whoever is paid")
  func margin() throws {
    var house = Self.house()
    let account = try house.open(0, .isolated)[0]
    house.deposit(House.client(0), House.money(1_000))
    house.deposit(House.client(1), House.money(10_000))
    house.index(0, 1_000 * Price.scale)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    try house.clear(after: 0)
    // A long perpetual of 1 000 asks for 160.
    let refused = try house.paid(House.money(840) + 1, from: House.client(0), to: account)
    #expect(refused.code == ReceiptCode.marginShort.rawValue)
    #expect(refused.received.raw == House.money(840) && house.cash(of: account) == 0)
    #expect(try house.paid(House.money(840), from: House.client(0), to: account).code == 0)
    #expect(house.cash(0) == House.money(160) && house.imbalances == [0, 0])
  }

  @Test("who may only reduce pays nobody; a lock of the house holds no transfer")
  func locked() throws {
    var house = Self.house()
    let account = try house.open(0, .cross)[0]
    let other = try house.open(2, .portfolio)[0]
    house.deposit(House.client(0), House.money(500))
    house.deposit(House.client(1), House.money(10_000))
    house.deposit(House.client(2), House.money(50))
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 0)
    #expect(try house.paid(House.money(200), from: House.client(0), to: account).code == 0)
    let buyer = account.index - TestWorld.firstClient
    house.fill(buyer: buyer, seller: 1, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    try house.clear(after: 0)
    // 200 − 300: it is restricted, in its mode; nothing is there to pay what it lacks.
    house.index(0, 700 * Price.scale)
    try house.clear(after: 0)
    #expect(house.flags(of: account) == [.cross, .reduceOnly])
    #expect(house.last?.body.accounts.first { $0.account == account }?.flags == 5)
    let locked = ReceiptCode.withdrawalsLocked.rawValue
    #expect(try house.paid(1, from: account, to: House.client(0)).code == locked)
    house.instruct(
      House.client(2), [.withdraw(asset: .quote, amount: Amount(raw: 1), destination: .zero)])
    #expect(House.receipts(try house.clear(after: 0))[0].code == locked)
    #expect(try house.paid(1, from: House.client(2), to: other).code == 0)
    // Its owner's money frees it, and it is of its mode still.
    #expect(try house.paid(House.money(300), from: House.client(0), to: account).code == 0)
    #expect(house.flags(of: account) == .cross && house.imbalances == [0, 0])
  }

  @Test("what a payout locked goes to no other account of its owner")
  func purchaseLock() throws {
    var house = House.auctions {
      $0.auctionPayoutMax = 10_000_000
      $0.auctionPayoutDailyMax = House.money(50)
    }
    let account = try house.open(2, .portfolio)[0]
    try house.openLong(fund: 1_000)
    try house.mark(780, after: 1_800_000)
    house.bid(2, for: 0, worst: -250)
    try house.mark(780, after: 0)
    // 100 050 less 1 248 of margin and 50 that are locked.
    func pay(_ amount: Int64) throws -> UInt8 {
      house.pay(amount, from: House.client(2), to: account)
      let receipts = House.receipts(try house.mark(780, after: 0))
      return try #require(receipts.first { $0.kind == .ownerTransfer }).code
    }
    #expect(try pay(House.money(98_752) + 1) == ReceiptCode.marginShort.rawValue)
    #expect(try pay(House.money(98_752)) == 0)
    #expect(try pay(1) == ReceiptCode.marginShort.rawValue && house.imbalances == [0, 0])
  }

  @Test("no account of the owner bids for another; an auction leaves the mode alone")
  func ownBids() throws {
    var house = House.auctions()
    let accounts = try house.open(0, .cross, .isolated)
    house.deposit(House.client(1), House.money(100_000))
    house.deposit(House.client(0), House.money(90_000))
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 0)
    #expect(try house.paid(House.money(2_000), from: House.client(0), to: accounts[0]).code == 0)
    let long = accounts[0].index - TestWorld.firstClient
    house.fill(
      buyer: long, seller: 1, 0, price: 1_000 * Price.scale, quantity: 10 * Quantity.scale)
    try house.clear(after: 0)
    try house.mark(900)
    #expect(house.flags(of: accounts[0]) == [.cross, .reduceOnly, .frozen])
    house.bid(0, for: long)
    house.bid(accounts[1].index - TestWorld.firstClient, for: long)
    house.bid(1, for: long)
    let bids = House.bids(try house.mark(900))
    let own = ReceiptCode.ownAuction.rawValue
    #expect(bids.map(\.code) == [own, own, 0])
    try house.mark(1_000)
    #expect(house.flags(of: accounts[0]) == .cross && house.imbalances == [0, 0])
  }

  @Test("an isolated account buys no second contract in an auction")
  func isolatedBidder() throws {
    var house = House.auctions()
    let account = try house.open(2, .isolated)[0]
    try house.openLong()
    #expect(try house.paid(House.money(60_000), from: House.client(2), to: account).code == 0)
    let bidder = account.index - TestWorld.firstClient
    house.index(1, 100 * Price.scale)
    house.fill(buyer: bidder, seller: 1, 4, price: 100 * Price.scale, quantity: Quantity.scale)
    try house.clear(after: 0)
    try house.mark(900)
    house.bid(bidder, for: 0)
    let result = try house.mark(900)
    #expect(House.bids(result).map(\.code) == [ReceiptCode.positionLimit.rawValue])
  }

  @Test(
    "an owner's other accounts pay a flat one's debt before the fund, as far as margin lets them")
  func debt() throws {
    var house = Self.house()
    let accounts = try house.open(0, .isolated, .portfolio)
    house.deposit(House.client(0), House.money(700))
    house.deposit(House.client(1), House.money(100_000))
    house.deposit(.zero, House.money(1_000))
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 0)
    for (amount, account) in [(200, accounts[0]), (60, accounts[1])] as [(Int64, AccountID)] {
      let paid = try house.paid(House.money(amount), from: House.client(0), to: account)
      #expect(paid.code == 0)
    }
    // The sub-account is long one; the main account short of one, with 440 and 160 to keep.
    let long = accounts[0].index - TestWorld.firstClient
    house.fill(buyer: long, seller: 1, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    house.fill(buyer: 1, seller: 0, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    try house.clear(after: 0)
    // Closed at 400, it owes 400. A profit of 300 at 700 counts, of 16 % less of initial margin.
    house.index(0, 700 * Price.scale)
    house.fill(
      buyer: 1, seller: long, 0, price: 400 * Price.scale, quantity: Quantity.scale,
      takerSide: .sell)
    let result = try house.clear(after: 0)
    let calls = House.receipts(result).filter { $0.kind == .ownerTransfer }
    #expect(calls.map(\.seller) == [House.client(0)] && calls[0].buyer == accounts[0])
    #expect(calls[0].code == ReceiptCode.ownersDebt.rawValue)
    #expect(calls[0].paid.raw == House.money(400) && calls[0].buyerCash.raw == 0)
    #expect(house.cash(0) == House.money(40) && house.cash(of: accounts[0]) == 0)
    #expect(house.machine.fund(.quote).insurance == House.money(1_000))
    #expect(house.flags(of: accounts[0]) == .isolated && house.imbalances == [0, 0])

    // The next debt takes what can be spared, by number, and the fund pays the rest.
    #expect(try house.paid(House.money(40), from: accounts[1], to: accounts[0]).code == 0)
    house.fill(
      buyer: 1, seller: long, 0, price: 700 * Price.scale, quantity: Quantity.scale,
      takerSide: .sell)
    house.fill(buyer: long, seller: 1, 0, price: 900 * Price.scale, quantity: Quantity.scale)
    let next = House.receipts(try house.clear(after: 0))
    let spared = next.filter { $0.kind == .ownerTransfer }
    // 40 of cash, all free beside a profit of 300 and a margin of 112; then the 20 of the other.
    #expect(spared.map(\.paid.raw) == [House.money(40), House.money(20)])
    #expect(spared.map(\.seller) == [House.client(0), accounts[1]])
    #expect(next.first { $0.kind == .insurance }?.paid.raw == House.money(100))
    #expect(house.machine.fund(.quote).insurance == House.money(900))
    #expect(house.cash(of: accounts[0]) == 0 && house.imbalances == [0, 0])
  }

  @Test("an owner pays an insolvent auction's debt before the fund pays for it")
  func insolventAuction() throws {
    var house = House.auctions()
    let account = try house.open(0, .cross)[0]
    let long = account.index - TestWorld.firstClient
    house.deposit(House.client(0), House.money(2_150))
    for client in 1..<4 { house.deposit(House.client(client), House.money(100_000)) }
    house.deposit(.zero, House.money(1_000))
    house.index(0, 1_000 * Price.scale)
    try house.clear(after: 0)
    #expect(try house.paid(House.money(2_000), from: House.client(0), to: account).code == 0)
    house.fill(
      buyer: long, seller: 1, 0, price: 1_000 * Price.scale, quantity: 10 * Quantity.scale)
    try house.clear(after: 0)
    // Ten at 780: −200, and the owner has 150 elsewhere.
    try house.mark(780)
    #expect(house.flags(of: account) == [.cross, .reduceOnly, .frozen])
    #expect(house.cash(0) == House.money(150))
    house.bid(2, for: long, worst: -50)
    let result = try house.mark(780, after: 0)
    let call = try #require(House.receipts(result).first { $0.kind == .ownerTransfer })
    #expect(call.code == ReceiptCode.ownersDebt.rawValue && call.seller == House.client(0))
    #expect(call.paid.raw == House.money(150) && house.cash(0) == 0)
    let bid = try #require(House.bids(result).first)
    #expect(bid.code == 0 && bid.paid.raw == -House.money(50))
    #expect(house.machine.fund(.quote).insurance == House.money(950))
    #expect(house.cash(of: account) == 0 && house.flags(of: account) == .cross)
    #expect(house.imbalances == [0, 0])
  }

  @Test("a machine from stored state knows owners and modes")
  func restored() throws {
    var house = Self.house()
    let accounts = try house.open(0, .isolated, .cross)
    house.deposit(House.client(0), 1_000)
    try house.clear()
    let (root, log) = (house.machine.root, house.machine.log)
    let (previous, execution) = (house.machine.previousID, house.machine.previousExecutionID)
    var copy = ClearingMachine(genesis: house.genesis)
    try copy.load(snapshot: house.snapshot())
    try copy.rebuild(
      expecting: root, previous: previous, previousExecution: execution, log: log)
    #expect(copy.groups.group(of: accounts[1]) == [House.client(0)] + accounts)
    house.deposit(House.client(0), 1)
    house.pay(7, from: House.client(0), to: accounts[0])
    house.instruct(House.client(0), [.open(.portfolio)])
    let (header, body) = try house.batch()
    let again = try copy.apply(header, body)
    let result = try house.clear()
    #expect(again.header == result.header && again.receipts == result.receipts)
    #expect(house.cash(0) == 994 && house.cash(of: accounts[0]) == 7)
  }
}
