import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("A lying execution") struct LieTests {
  /// A house with a market, a position and one good batch to spoil.
  private static func house() throws -> House {
    var house = House()
    for client in 0..<3 { house.deposit(House.client(client), 10_000_000_000) }
    house.index(0, 1_000 * Price.scale)
    house.index(1, 100 * Price.scale)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000 * Price.scale, quantity: Quantity.scale)
    try house.clear()
    house.fill(buyer: 1, seller: 2, 0, price: 1_001 * Price.scale, quantity: Quantity.scale)
    house.instruct(
      House.client(0), [.withdraw(asset: .quote, amount: Amount(raw: 5), destination: .zero)])
    house.index(1, 101 * Price.scale)
    house.surface(1_000 * Price.scale)
    return house
  }

  struct HeaderLie: Sendable {
    let field: String
    let change: @Sendable (inout ExecutionHeader) -> Void
    init(_ field: String, _ change: @escaping @Sendable (inout ExecutionHeader) -> Void) {
      self.field = field
      self.change = change
    }
  }

  static let headers = [
    HeaderLie("version") { $0.version = 2 }, HeaderLie("version") { $0.proofSystem = 1 },
    HeaderLie("network") { $0.network = .zero }, HeaderLie("batch") { $0.batch = BatchNumber(0) },
    HeaderLie("batch") { $0.batch = BatchNumber(2) }, HeaderLie("previous") { $0.previous = .zero },
    HeaderLie("time") { $0.time = Timestamp(raw: TestWorld.start.raw - 1) },
    HeaderLie("time") { $0.time = Timestamp(raw: .max) },
    HeaderLie("rule set") { $0.ruleSet = .zero },
    HeaderLie("body length") { $0.bodyByteCount += 1 },
    HeaderLie("bundle count") { $0.bundleCount += 1 },
    HeaderLie("event count") { $0.eventCount -= 1 },
    HeaderLie("body hash") { $0.bodyHash = .zero },
  ]

  struct EventLie: Sendable {
    let reason: String
    let change: @Sendable (inout [House.Event]) -> Void
    init(_ reason: String, _ change: @escaping @Sendable (inout [House.Event]) -> Void) {
      self.reason = reason
      self.change = change
    }
    static func fill(_ reason: String, _ change: @escaping @Sendable (inout Fill) -> Void)
      -> EventLie
    {
      EventLie(reason) { events in
        guard case .fill(var fill) = events[0] else { return }
        change(&fill)
        events[0] = .fill(fill)
      }
    }
    static func instruction(
      _ reason: String, at place: Int = 1, _ change: @escaping @Sendable (inout Instruction) -> Void
    ) -> EventLie {
      EventLie(reason) { events in
        guard case .instruction(var instruction) = events[place] else { return }
        change(&instruction)
        events[place] = .instruction(instruction)
      }
    }
  }

  /// Of an order that was placed behind all others, said wrongly.
  private static func word(_ change: @escaping @Sendable (inout Triggered) -> Void) -> EventLie {
    EventLie("a triggered order") { events in
      var word = Triggered(
        OrderID(1), clientID: 2, of: House.client(0), in: InstrumentID(0), .rejected(.batchFull),
        index: UInt32(events.count))
      change(&word)
      events.append(.triggered(word))
    }
  }

  static let events = [
    word { $0.index += 1 }, word { $0.account = AccountID(900) },
    word { $0.instrument = InstrumentID(50) }, word { $0.statusCode = 3 },
    word { $0.code = 999 },
    EventLie.fill("accounts") { $0.maker = AccountID(900) },
    EventLie.fill("accounts") { $0.taker = AccountID(900) },
    EventLie.fill("accounts") { $0.maker = $0.taker },
    EventLie.fill("instrument") { $0.instrument = InstrumentID(50) },
    EventLie.fill("price") { $0.price = .zero },
    EventLie.fill("price") { $0.price = Price(raw: -TestWorld.tick) },
    EventLie.fill("price") { $0.price = Price(raw: $0.price.raw + 1) },
    EventLie.fill("price") { $0.price = Price(raw: 100_001 * Price.scale) },
    EventLie.fill("quantity") { $0.quantity = .zero },
    EventLie.fill("quantity") { $0.quantity = Quantity(raw: .min) },
    EventLie.fill("quantity") { $0.quantity = Quantity(raw: $0.quantity.raw + 1) },
    EventLie.fill("quantity") { $0.quantity = Quantity(raw: 1_001 * Quantity.scale) },
    EventLie.fill("encoding") { $0.takerSideCode = 2 },
    EventLie.fill("encoding") { $0.causeCode = 4 },
    EventLie.fill("number") { $0.trade = TradeID($0.trade.raw + 1) },
    EventLie.fill("number") { $0.trade = TradeID(1) },
    EventLie.fill("unknown kind") { $0.kindCode = 9 },
    EventLie("number") { $0.append($0[0]) },
    EventLie.instruction("reference") { $0.bundle = 99 },
    EventLie.instruction("reference") { $0.record = 99 },
    EventLie.instruction("reference") { $0.account = House.client(1) },
    EventLie.instruction("reference") { $0.account = AccountID(900) },
    EventLie.instruction("kind") { $0.actionKindCode = ActionKind.deposit.rawValue },
    EventLie.instruction("encoding") { $0.actionKindCode = ActionKind.place.rawValue },
    EventLie.instruction("encoding") { $0.actionKindCode = 200 },
    // The second record of a surface is no action.
    EventLie.instruction("reference", at: 4) { $0.record = 1 },
    // An instruction twice, or out of order.
    EventLie("reference") { $0.append($0[1]) },
    EventLie("reference") { $0.swapAt(1, 2) },
    EventLie("reference") { $0.insert($0[1], at: 2) },
  ]

  @Test("a false header is refused by name and changes nothing", arguments: headers.indices)
  func header(place: Int) throws {
    let lie = Self.headers[place]
    var house = try Self.house()
    let (good, body) = try house.batch()
    var bad = good
    lie.change(&bad)
    let before = (house.root, house.snapshot())
    guard case .header(let field, _) = house.failure(bad, body) else {
      Issue.record("a header with a false \(lie.field) was cleared")
      return
    }
    #expect(field.hasPrefix(lie.field), "\(field)")
    #expect(house.root == before.0 && house.snapshot() == before.1)
    try house.clear()
    #expect(house.imbalances == [0, 0])
  }

  @Test("a false event is refused by its place and changes nothing", arguments: events.indices)
  func event(place: Int) throws {
    let lie = Self.events[place]
    var house = try Self.house()
    let truth = house.events
    lie.change(&house.events)
    let (bad, body) = try house.batch()
    let before = (house.root, house.snapshot())
    guard case .event(_, let reason) = house.failure(bad, body) else {
      Issue.record("a body with a false event was cleared: \(lie.reason)")
      return
    }
    #expect(reason.contains(lie.reason), "\(reason)")
    #expect(house.root == before.0 && house.snapshot() == before.1)
    house.events = truth
    try house.clear()
    #expect(house.imbalances == [0, 0])
  }

  @Test("word of a triggered order changes no value")
  func triggered() throws {
    var house = try Self.house()
    house.events.append(
      .triggered(
        Triggered(
          OrderID(1), clientID: 2, of: House.client(0), in: InstrumentID(0),
          .rejected(.batchFull), index: UInt32(house.events.count))))
    try house.clear()
    #expect(house.imbalances == [0, 0])
  }

  @Test("a stranger's word, deposit, release or approval is no instruction")
  func strangers() throws {
    var house = try Self.house()
    let actions: [Action] = [
      .index(
        underlying: UnderlyingID(0), price: Price(raw: 1), time: house.time, sequence: 99),
      .deposit(asset: .quote, amount: Amount(raw: 1), owner: .zero, reference: 999),
      .release(withdrawal: 0, reference: .zero),
      .halt(instrument: InstrumentID(0), halted: true),
      .list(TestWorld.instruments()[0]), .margin(.novate32),
    ]
    for action in actions {
      let (bundles, events) = (house.bundles, house.events)
      house.instruct(House.client(2), [action])
      let (header, body) = try house.batch()
      let before = house.root
      let failure = house.failure(header, body)
      #expect(failure != nil, "\(action)")
      #expect(house.root == before)
      house.bundles = bundles
      house.events = events
    }
    try house.clear()
  }

  @Test("a fill at or after its contract's expiry is refused")
  func afterExpiry() throws {
    var house = try Self.house()
    house.events = []
    house.bundles = []
    house.nextTrade = 2
    house.time = house.genesis.instruments[1].expiry
    house.fill(buyer: 0, seller: 1, 1, price: 1_000 * Price.scale, quantity: Quantity.scale)
    let (header, body) = try house.batch()
    let failure = house.failure(header, body)
    #expect(failure == .event(index: 0, reason: "fill after expiry"))
  }

  @Test("postings past the ledger's range undo the whole batch, and the next is cleared")
  func overflow() throws {
    let wide = Instrument(
      id: InstrumentID(0), underlying: UnderlyingID(0), kind: .perpetual, tick: Price(raw: 1),
      lot: Quantity(raw: 1), orderQuantityMax: Quantity(raw: 1 << 46), priceMax: Price(raw: 1 << 43)
    )
    var house = House(instruments: [wide])
    house.deposit(House.client(0), 100)
    house.deposit(TestWorld.key(4_000).publicKey, 2_000_000)
    try house.clear()
    let (root, snapshot, accounts) = (house.root, house.snapshot(), house.machine.accountCount)
    let previous = house.machine.previousID
    house.deposit(TestWorld.key(4_001).publicKey, 2_000_000)
    house.index(0, 1_000)
    // One fill more than a position may hold, with the quarter that an auction may bring.
    for _ in 0...Instrument.positionOrdersMax * 5 / 4 {
      house.fill(buyer: 0, seller: 1, 0, price: 1 << 43, quantity: 1 << 46)
    }
    let (header, body) = try house.batch()
    let failure = house.failure(header, body)
    #expect(failure == .ledger(.overflow("position")))
    #expect(house.root == root && house.snapshot() == snapshot)
    #expect(house.machine.accountCount == accounts && house.machine.previousID == previous)
    house.events = []
    house.bundles = []
    house.nextTrade = 1
    house.reference -= 1
    house.deposit(TestWorld.key(4_001).publicKey, 2_000_000)
    house.fill(buyer: 0, seller: 1, 0, price: 1_000, quantity: 5)
    let result = try house.clear()
    #expect(result.body.opened.count == 1 && house.imbalances == [0, 0])
  }

  // MARK: - Proofs and stored state

  @Test("an account, and an absent one, are proved under the signed root; anything changed is not")
  func proofs() throws {
    var house = try Self.house()
    house.deposit(House.client(0), 77, asset: AssetID(1))
    let root = try house.clear().header.postRoot
    for account in [
      House.client(0), House.client(3), AccountID(0), AccountID(5_000), AccountID(.max),
    ] {
      let proof = house.machine.accountProof(account)
      #expect(proof.stateRoot == root, "account \(account)")
      #expect(proof.fields.isEmpty == (account.index >= house.genesis.accounts.count))
      let encoded = proof.encoded
      var reader = ByteReader(encoded.rawSpan)
      let decoded = try AccountProof(reading: &reader)
      try reader.finish()
      #expect(decoded == proof)
      // An absence is no presence and a presence no absence, of this account or another.
      var claimed = proof
      claimed.account = AccountID(proof.fields.isEmpty ? 7 : account.raw ^ 1)
      #expect(claimed.stateRoot != root, "account \(account)")
    }
    let proof = house.machine.accountProof(House.client(0))
    #expect(!proof.positions.isEmpty && !proof.balances.isEmpty)
    let encoded = proof.encoded
    for bit in 0..<(encoded.count * 8) {
      var bytes = encoded
      bytes[bit >> 3] ^= 1 << UInt8(bit & 7)
      var reader = ByteReader(bytes.rawSpan)
      let changed = try? AccountProof(reading: &reader)
      if let changed, reader.remaining == 0, changed.stateRoot == root {
        Issue.record("bit \(bit) changed and the proof still holds")
        return
      }
    }
    var absent = proof
    absent.fields = []
    absent.positions = []
    absent.balances = []
    #expect(absent.stateRoot != root)
  }

  @Test(
    "snapshot and deltas give the same root and the same next batch",
    arguments: [331, 332] as [UInt64])
  func stored(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var house = House()
    var follower = ClearingMachine(genesis: house.genesis)
    for batch in 0..<60 {
      if batch % 9 == 0 {
        for client in 0..<4 { house.deposit(House.client(client), 3_000_000_000) }
        house.deposit(TestWorld.key(5_000 + batch).publicKey, 2_000_000, asset: AssetID(1))
      }
      if batch % 3 == 0 { house.index(0, generator.within(900...1_100) * Price.scale) }
      for trade in NettingTests.trades(8, &generator) {
        house.fill(
          buyer: trade.buyer, seller: trade.seller, trade.instrument, price: trade.price,
          quantity: trade.quantity)
      }
      if generator.chance(20) {
        house.instruct(
          TestWorld.governance[generator.below(3)],
          [.halt(instrument: InstrumentID(0), halted: generator.chance(50))])
      }
      let log = house.machine.log
      var restored = ClearingMachine(genesis: house.genesis)
      try restored.load(snapshot: house.snapshot())
      try restored.rebuild(
        expecting: house.root, previous: house.machine.previousID,
        previousExecution: house.machine.previousExecutionID, log: log)
      let (header, body) = try house.batch()
      let again = try restored.apply(header, body)
      let result = try house.machine.apply(header, body)
      let delta = house.machine.delta()
      house.machine.seal()
      house.next(header, after: 500)
      #expect(again.header == result.header && again.receipts == result.receipts, "seed \(seed)")
      #expect(again.bodyBytes == result.bodyBytes && restored.delta() == delta, "seed \(seed)")
      try follower.applyDelta(delta)
      try follower.rebuild(
        expecting: result.header.postRoot, previous: result.header.id, previousExecution: header.id,
        log: house.machine.log)
    }
  }
}
