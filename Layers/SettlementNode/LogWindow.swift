import Node
import Primitives
import Synchronization
import Wire

/// What a follower asks for of a log: a few batches ahead of what it has dealt with. However far it
/// is behind, so much lies in memory and no more.
final class LogWindow: Sendable {
  /// Batches asked for ahead. Each, with its Clearance, is 16 MiB at the very most.
  static let batchCount: UInt64 = 64

  private struct State {
    var connection: Connection?
    /// The first batch not asked for.
    var end: UInt64 = 0
    var requestID: UInt64 = 0
  }

  private let state = Mutex(State())
  private let log: FollowMessage.Log

  init(_ log: FollowMessage.Log) { self.log = log }

  /// Begins anew over a connection that has just been made.
  func begin(_ connection: Connection, from next: UInt64) {
    state.withLock { state in
      state.connection = connection
      state.end = next
      LogWindow.ask(&state, log, through: next + LogWindow.batchCount - 1)
    }
  }

  /// All before `next` has been dealt with. More is asked for once half of the window has been.
  func advance(to next: UInt64) {
    state.withLock { state in
      guard next + LogWindow.batchCount / 2 >= state.end else { return }
      LogWindow.ask(&state, log, through: next + LogWindow.batchCount - 1)
    }
  }

  func end(_ connection: Connection) {
    state.withLock { state in
      if state.connection?.id == connection.id { state.connection = nil }
    }
  }

  /// Each range is a request of its own, so that nothing is sent twice.
  private static func ask(_ state: inout State, _ log: FollowMessage.Log, through last: UInt64) {
    guard let connection = state.connection, last >= state.end else { return }
    let message = FollowMessage(log, from: BatchNumber(state.end), through: BatchNumber(last))
    state.requestID += 1
    state.end = last + 1
    connection.send(
      type: MessageType.follow, requestID: state.requestID, body: message.encoded)
  }
}
