import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

extension Desk {
  /// Sends actions as any account's owner.
  @inline(never)
  mutating func send(as account: AccountID, _ actions: [Action]) throws -> [Outcome] {
    let bundle = maker.bundle(account, actions, at: machine.time)
    var outcomes: [Outcome] = []
    try machine.apply(bundle, into: &outcomes)
    return outcomes
  }

  /// Sends one action with a key and nonce of choice.
  @inline(never)
  mutating func send(
    as account: AccountID, key: PublicKey, nonce: UInt64, _ action: Action
  ) throws -> Outcome? {
    var outcomes: [Outcome] = []
    let bundle = TestWorld.bundle(
      [action], account: account, key: key, nonce: nonce,
      expiry: Timestamp(raw: machine.time.raw + 1_000))
    try machine.apply(bundle, into: &outcomes)
    return outcomes.first
  }

  /// Lets client 0 open an account, and execution adopt it; its number.
  @inline(never)
  mutating func open(_ mode: AccountMode) throws -> AccountID {
    let account = AccountID(UInt32(machine.accountCount))
    #expect(try send(0, [.open(mode)]) == [Outcome(.accepted)])
    try turn()
    #expect(machine.accountCount == account.index + 1)
    return account
  }

  @inline(never)
  static func pay(_ amount: Int64, _ account: AccountID, asset: UInt16 = 0) -> Action {
    .transfer(asset: AssetID(asset), amount: Amount(raw: amount), to: account)
  }
}

@Suite("Accounts of one owner") struct SubAccountTests {
  static let main = Desk.client(0)

  @Test("the main account opens others by its owner key, no other account or key does")
  func opening() throws {
    var desk = try Desk()
    let session = TestWorld.key(500).publicKey
    let far = Timestamp(raw: TestWorld.start.raw + 100_000)
    try desk.send(0, [.addKey(key: session, markets: .all, expiry: far)])
    let account = try desk.open(.cross)
    #expect(desk.machine.credits[account.index].flags == AccountFlags.cross.rawValue)
    #expect(desk.machine.groups.group(of: account) == [Self.main, account])
    let out = Outcome.rejected(.outOfScope)
    #expect(try desk.send(as: Self.main, key: session, nonce: 1, .open(.portfolio)) == out)
    #expect(try desk.send(as: Self.main, key: session, nonce: 2, Desk.pay(1, account)) == out)
    #expect(try desk.send(as: account, [.open(.portfolio)]) == [out])
    // The session key is the main account's alone.
    #expect(throws: ExecutionFailure.refused(.unknownKey)) {
      try desk.send(as: account, key: session, nonce: 1, .cancelAll(instrument: .all))
    }
    #expect(
      try desk.send(as: account, [.addKey(key: session, markets: .all, expiry: far)])[0].code == 0)
    try desk.turn()
    #expect(
      try desk.send(as: account, key: session, nonce: 1, .cancelAll(instrument: .all))?.code == 0)
    #expect(try desk.send(as: account, key: session, nonce: 3, Desk.pay(1, Self.main)) == out)
  }

  @Test("a nonce is used in one account alone, though one key signs for both")
  func nonces() throws {
    var desk = try Desk()
    let account = try desk.open(.portfolio)
    let key = desk.genesis.accounts[Self.main.index]
    for number in [account, Self.main] {
      _ = try desk.send(as: number, key: key, nonce: 70, .cancelAll(instrument: .all))
      #expect(throws: ExecutionFailure.refused(.nonceUsed)) {
        try desk.send(as: number, key: key, nonce: 70, .cancelAll(instrument: .all))
      }
    }
    #expect(desk.machine.nonces(of: account, key)?.top == 70)
    #expect(desk.machine.nonces(of: Self.main, key)?.top == 70)
    #expect(throws: ExecutionFailure.refused(.nonceTooOld)) {
      try desk.send(as: account, key: key, nonce: 6, .cancelAll(instrument: .all))
    }
  }

  @Test("an owner has sixty-four accounts at most")
  func limit() throws {
    var desk = try Desk()
    try desk.send(0, Array(repeating: .open(.portfolio), count: 62))
    try desk.turn()
    // Those not yet adopted are clearing's to refuse.
    #expect(try desk.send(0, [.open(.isolated), .open(.isolated)]).allSatisfy { $0.code == 0 })
    #expect(desk.machine.groups.group(of: Self.main).count == 63)
    try desk.turn()
    #expect(try desk.send(0, [.open(.portfolio)]) == [.rejected(.tooManySubAccounts, 65, 64)])
    #expect(try desk.send(1, [.open(.portfolio)]) == [Outcome(.accepted)])
  }

  @Test("all free cash goes over and no more, with an order open and below the least withdrawal")
  func transfers() throws {
    var desk = try Desk()
    let account = try desk.open(.portfolio)
    #expect(try desk.place(0, .buy, 1_000, 200).status == .accepted)
    let room = desk.room(Self.main).raw
    #expect(room > 0 && room < 1_000_000_000)
    #expect(
      try desk.send(
        0,
        [
          Desk.pay(room + 1, account), Desk.pay(1, Self.main), Desk.pay(1, Desk.client(1)),
          Desk.pay(1, AccountID(9_999)), Desk.pay(1, account, asset: 7),
          Desk.pay(1, account, asset: 1), Desk.pay(1_000_000_001, account),
        ])
        == [
          .rejected(.insufficientMargin, -1, room), .rejected(.selfTrade),
          .rejected(.notAuthorised), .rejected(.unknownAccount), .rejected(.unknownAsset),
          .rejected(.insufficientBalance, 1, 0),
          .rejected(.insufficientBalance, 1_000_000_001, 1_000_000_000),
        ])
    #expect(desk.room(Self.main).raw == room && desk.eventCount == 0)
    #expect(
      try desk.send(0, [Desk.pay(1, account), Desk.pay(room - 1, account)]).allSatisfy {
        $0.code == 0
      })
    #expect(desk.room(Self.main).raw == 0 && desk.room(account).raw == 0)
    #expect(try desk.place(0, .buy, 999, 1).code == OutcomeCode.insufficientMargin.rawValue)
    // What is paid counts once clearing has said so.
    try desk.turn()
    #expect(desk.room(account).raw == room && desk.room(Self.main).raw == 0)
    let fault = desk.selfCheck()
    #expect(fault == nil)
    #expect(try desk.send(as: account, [Desk.pay(room, Self.main)])[0].code == 0)
  }

  @Test("an isolated account stands in one contract at a time, by orders too, and bids for nothing")
  func isolated() throws {
    var desk = try Desk()
    let account = try desk.open(.isolated)
    let order = Desk.order(.buy, 900, 1)
    let other = Desk.order(.buy, 90, 1, instrument: 4)
    #expect(try desk.send(0, [Desk.pay(500_000_000, account)])[0].code == 0)
    try desk.turn()
    let refused = Outcome.rejected(.tooManyPositions, 1, 1)
    #expect(try desk.send(as: account, [order, order, other]).map(\.code) == [0, 0, refused.code])
    func leg(_ instrument: UInt32) -> CombinationLeg {
      CombinationLeg(
        instrument: InstrumentID(instrument), side: .buy, quantity: Quantity(raw: TestWorld.lot))
    }
    let both = Action.combination(
      Combination(legs: [leg(0), leg(1)], netLimit: Money(raw: 1 << 40)))
    #expect(try desk.send(as: account, [both]) == [refused])
    #expect(
      try desk.send(as: account, [.cancelAll(instrument: .all), other]).map(\.code) == [0, 0])
    #expect(try desk.send(as: account, [order]) == [refused])
    // Others of the owner, and cross ones, stand in as many as the network allows.
    let cross = try desk.open(.cross)
    #expect(
      try desk.send(0, [Desk.pay(100_000_000, cross), order, other]).allSatisfy { $0.code == 0 })
    desk.clearing.freeze(Desk.client(2))
    try desk.turn()
    #expect(try desk.send(as: cross, [order, other]).allSatisfy { $0.code == 0 })
    let bid = Self.bid(for: Desk.client(2))
    #expect(try desk.send(as: account, [bid]) == [refused])
    #expect(try desk.send(as: cross, [bid])[0].code == 0)
  }

  private static func bid(for account: AccountID) -> Action {
    .bid(
      AuctionOffer(
        account: account, stake: Money(raw: 1_000), worst: Money(raw: 1), part: Ratio(raw: 1)))
  }

  @Test("nobody bids for an account of his own, from whichever")
  func ownBids() throws {
    var desk = try Desk()
    let account = try desk.open(.portfolio)
    let second = try desk.open(.portfolio)
    #expect(
      try desk.send(0, [Desk.pay(1_000_000, account), Desk.pay(1_000_000, second)])[1].code == 0)
    desk.clearing.freeze(account)
    try desk.turn()
    let bid = Self.bid(for: account)
    for number in [Self.main, account, second] {
      #expect(try desk.send(as: number, [bid]) == [.rejected(.selfTrade)])
    }
    #expect(try desk.send(1, [bid])[0].code == 0)
    // Under auction it pays nobody, and may be paid.
    #expect(try desk.send(as: account, [Desk.pay(1, Self.main)]) == [.rejected(.accountFrozen)])
    #expect(try desk.send(0, [Desk.pay(1, account)])[0].code == 0)
  }

  @Test("a machine from stored state knows owners, modes and what is under way")
  func restored() throws {
    var desk = try Desk()
    let account = try desk.open(.isolated)
    _ = try desk.send(0, [Desk.pay(70_000_000, account), .open(.cross)])
    // The Clearance of the batch comes later.
    try desk.turn(adopting: false)
    _ = desk.machine.closeBatch()
    desk.machine.seal()
    var copy = ExecutionMachine(genesis: desk.genesis)
    try copy.load(snapshot: desk.snapshot())
    try copy.rebuild(expecting: desk.machine.root, previous: desk.machine.previousID)
    #expect(copy.groups.group(of: Self.main) == [Self.main, account])
    #expect(copy.room(Self.main).raw == 930_000_000 && copy.isIsolated(account))
    let bundle = desk.maker.bundle(
      account, [Desk.pay(1, Self.main), .open(.portfolio)], at: copy.time)
    for number in 0..<2 {
      var outcomes: [Outcome] = []
      if number == 0 {
        try copy.openBatch(time: copy.time, adopting: desk.pending)
        try copy.apply(bundle, into: &outcomes)
      } else {
        try desk.machine.openBatch(time: copy.time, adopting: [])
        try desk.machine.apply(bundle, into: &outcomes)
      }
      // Paid only where the Clearance was adopted.
      #expect(outcomes[0].status == (number == 0 ? .accepted : .rejected))
      #expect(outcomes[1] == .rejected(.outOfScope))
    }
    #expect(copy.groups.group(of: account).count == 3 && copy.room(account).raw == 69_999_999)
  }
}
