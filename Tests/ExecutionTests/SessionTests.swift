import Commitments
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Execution

extension Desk {
  /// Execution's word that a session is lost, as some key signed it.
  @inline(never)
  func loss(
    _ session: UInt64, of client: Int, nonce: UInt64? = nil, key: PublicKey? = nil
  ) -> Wire.Bundle {
    TestWorld.bundle(
      [.disconnect(session: session)], account: Desk.client(client),
      key: key ?? genesis.execution.object, nonce: nonce ?? session,
      expiry: Timestamp(raw: machine.time.raw + 500))
  }

  @inline(never)
  mutating func lose(_ session: UInt64, of client: Int) throws -> [Outcome] {
    var outcomes: [Outcome] = []
    let bundle = loss(session, of: client)
    try machine.apply(bundle, into: &outcomes)
    return outcomes
  }
}

@Suite("Sessions") struct SessionTests {
  @Test("a lost session cancels what its consent is about, once")
  func scopes() throws {
    var desk = try Desk()
    let all = try desk.send(0, [.openSession(.instrument(.all))])[0].order.raw
    let one = try desk.send(0, [.openSession(.instrument(InstrumentID(1)))])[0].order.raw
    let other = try desk.send(0, [.openSession(.underlying(UnderlyingID(1)))])[0].order.raw
    try desk.place(0, .buy, 90_000, 1)
    try desk.place(0, .buy, 90_000, 1, instrument: 1)
    try desk.place(0, .buy, 9_000, 1, instrument: 4)
    try desk.stop(0, at: 95_000)
    try desk.place(1, .buy, 90_000, 1)
    #expect(try desk.lose(one, of: 0) == [Outcome(.accepted, .done, 1, 0)])
    #expect(try desk.lose(other, of: 0) == [Outcome(.accepted, .done, 1, 0)])
    #expect(try desk.lose(all, of: 0) == [Outcome(.accepted, .done, 2, 0)])
    #expect(desk.machine.openOrderCount == 1 && desk.machine.waiting.isEmpty)
    #expect(desk.machine.door(desk.loss(all, of: 0)) == .unknownKey)
    #expect(desk.selfCheck() == nil)
  }

  @Test("without the account's consent the sequencer's word is refused at the door")
  func consent() throws {
    var desk = try Desk()
    #expect(desk.machine.door(desk.loss(1, of: 0)) == .unknownKey)
    let session = try desk.send(0, [.openSession(.instrument(.all))])[0].order.raw
    #expect(desk.machine.door(desk.loss(session, of: 0)) == nil)
    #expect(desk.machine.door(desk.loss(session, of: 1)) == .unknownKey)
    #expect(desk.machine.door(desk.loss(session + 1, of: 0)) == .unknownKey)
    #expect(desk.machine.door(desk.loss(session, of: 0, nonce: 1_000)) == .unknownKey)
    let clearing = desk.genesis.clearing.object
    #expect(desk.machine.door(desk.loss(session, of: 0, key: clearing)) == .unknownKey)
    // Nothing else goes by the sequencer's key.
    for actions in [
      [Action.cancelAll(instrument: .all)],
      [.disconnect(session: session), .timer(milliseconds: 0)],
      [Desk.order(.buy, 90_000, 1)],
    ] {
      #expect(
        desk.machine.door(
          TestWorld.bundle(
            actions, account: Desk.client(0), key: desk.genesis.execution.object, nonce: session,
            expiry: Timestamp(raw: desk.machine.time.raw + 500))) == .unknownKey)
    }
    #expect(
      try desk.send(0, [.disconnect(session: session)])[0] == .rejected(.outOfScope))
    #expect(try desk.send(1, [.endSession(number: session)])[0] == .rejected(.unknownSession))
    #expect(try desk.send(0, [.endSession(number: session)])[0].status == .accepted)
    #expect(desk.machine.door(desk.loss(session, of: 0)) == .unknownKey)
  }

  @Test("a consent stands though the key that gave it is revoked, and cancels for all keys alike")
  func revoked() throws {
    var desk = try Desk()
    let key = TestWorld.key(500).publicKey
    let far = Timestamp(raw: TestWorld.start.raw + 1_000_000)
    try desk.send(0, [.addKey(key: key, markets: InstrumentID(1), expiry: far)])
    try desk.turn()
    var outcomes: [Outcome] = []
    try desk.machine.apply(
      TestWorld.bundle(
        [.openSession(.instrument(.all)), Desk.order(.buy, 90_000, 1, instrument: 1)],
        account: Desk.client(0), key: key, nonce: 1,
        expiry: Timestamp(raw: desk.machine.time.raw + 500)), into: &outcomes)
    let session = outcomes[0].order.raw
    try desk.place(0, .buy, 90_000, 1)
    try desk.send(0, [.revokeKey(key: key)])
    try desk.turn()
    #expect(try desk.lose(session, of: 0) == [Outcome(.accepted, .done, 2, 0)])
    #expect(desk.machine.openOrderCount == 0 && desk.selfCheck() == nil)
  }

  @Test("an account has so many open; they survive a restart, and are in the root")
  func stored() throws {
    var desk = try Desk()
    let most = Int64(Limits.sessionsPerAccountMax)
    var numbers: [UInt64] = []
    for _ in 0..<most {
      numbers.append(try desk.send(0, [.openSession(.instrument(.all))])[0].order.raw)
    }
    #expect(
      try desk.send(0, [.openSession(.instrument(.all))])[0]
        == .rejected(.tooManySessions, most, most))
    #expect(try desk.send(1, [.openSession(.instrument(.all))])[0].status == .accepted)
    var copy = try desk.rebuilt()
    #expect(copy.openSessions.map(\.number).prefix(Int(most)) == numbers[...])
    let root = copy.root
    try copy.openBatch(time: desk.machine.time, adopting: [])
    var outcomes: [Outcome] = []
    let bundle = desk.loss(numbers[3], of: 0)
    try copy.apply(bundle, into: &outcomes)
    _ = copy.closeBatch()
    let changed = copy.root != root
    #expect(changed && outcomes == [Outcome(.accepted, .done, 0, 0)])
    let fault = copy.selfCheck()
    #expect(fault == nil && copy.openSessions.count == numbers.count)
  }
}
