import Commitments
import Execution
import Primitives
import Settlement
import TestSupport
import Testing
import Wire

@Suite("a session that is lost, replayed") struct SessionReplayTests {
  private static let genesis = TestWorld.genesis(clients: 2)
  private static let client = AccountID(UInt32(TestWorld.firstClient))
  private static let late = Timestamp(raw: TestWorld.start.raw + 1_000)

  private static func consent() -> Wire.Bundle {
    Wire.Bundle.signed(
      [.openSession(.instrument(.all))], account: client, nonce: 1, expiry: late,
      network: genesis.networkID, by: TestWorld.ownerKey(client))
  }

  /// Execution's word about the first number there is.
  private static func loss(of account: AccountID = client) -> Wire.Bundle {
    Wire.Bundle.signed(
      [.disconnect(session: 1)], account: account, nonce: 1, expiry: late,
      network: genesis.networkID, by: TestWorld.key(1))
  }

  /// A batch of these bundles with a header that fits the first of them alone, signed.
  private static func batch(_ bundles: [Wire.Bundle], applied: Int) throws -> SignedBatch {
    var machine = ExecutionMachine(genesis: genesis)
    try machine.openBatch(time: TestWorld.start, adopting: [])
    var outcomes: [Outcome] = []
    for bundle in bundles.prefix(applied) { try machine.apply(bundle, into: &outcomes) }
    let (header, _) = machine.closeBatch()
    let body = BatchBody.encoded(bundles: bundles, events: [])
    return SignedBatch(
      header: header, signature: TestWorld.key(1).sign(header.id), body: body)
  }

  @Test("with the account's consent in the log the sequencer's word replays")
  func consented() throws {
    var replay = Replay(genesis: Self.genesis)
    let batch = try Self.batch([Self.consent(), Self.loss()], applied: 2)
    let body = try replay.replayExecution(batch)
    #expect(body.bundles.count == 2)
    let open = replay.execution.openSessions.count
    #expect(open == 0)
  }

  @Test("without it, with another's, or a second time, the batch is refused")
  func invented() throws {
    for bundles in [
      [Self.loss()], [Self.consent(), Self.loss(of: AccountID(Self.client.raw + 1))],
      [Self.consent(), Self.loss(), Self.loss()],
    ] {
      let batch = try Self.batch(bundles, applied: bundles.count - 1)
      var found: Difference?
      do {
        var replay = Replay(genesis: Self.genesis)
        _ = try replay.replayExecution(batch)
      } catch {
        found = error
      }
      let difference = try #require(found)
      #expect(difference.field == "bundles[\(bundles.count - 1)]", "\(difference)")
    }
  }
}
