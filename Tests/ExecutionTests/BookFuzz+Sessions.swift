import Primitives
import TestSupport
import Wire

@testable import Execution

/// Sessions at random, and their loss.
extension BookFuzzTests.Run {
  @inline(never)
  mutating func session() -> Action {
    switch generator.below(10) {
    case 0: return .disconnect(session: twin.sessions.first?.number ?? 1)
    case 1..<4:
      let known = twin.sessions.isEmpty ? 1 : generator.pick(twin.sessions).number
      return .endSession(number: known)
    default:
      let scopes: [CancelScope] = [
        .instrument(.all), .instrument(InstrumentID(UInt32(generator.below(5)))),
        .underlying(UnderlyingID(UInt16(generator.below(2)))),
      ]
      return .openSession(generator.pick(scopes))
    }
  }

  /// What the sequencer says when it loses a session's connection.
  func loss(_ number: UInt64, _ account: AccountID) -> Wire.Bundle {
    TestWorld.bundle(
      [.disconnect(session: number)], account: account, key: genesis.execution.object,
      nonce: number, expiry: Timestamp(raw: twin.time + 500))
  }

  func sessionsDiffer() -> String? {
    let open = machine.openSessions.map { [$0.number, UInt64($0.account.raw)] }
    let expected = twin.sessions.map { [$0.number, UInt64($0.account)] }
    return open == expected ? nil : "sessions \(open), twin \(expected)"
  }
}
