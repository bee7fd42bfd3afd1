import Node
import Primitives

/// Which sessions stand on which connection, and those whose connection is gone.
struct SessionsByConnection {
  struct Session {
    let number: UInt64
    let account: AccountID
  }
  private var sessions: [UInt64: [Session]] = [:]
  private var lost: [Session] = []

  /// A session was opened on a connection, which may be gone already.
  mutating func open(_ session: Session, on connection: Connection) {
    if connection.isClosed {
      lost.append(session)
    } else {
      sessions[connection.id, default: []].append(session)
    }
  }

  /// A connection has gone.
  mutating func lose(_ connection: UInt64) {
    if let gone = sessions.removeValue(forKey: connection) { lost += gone }
  }

  mutating func lose(_ session: Session) { lost.append(session) }

  /// The session lost first, of those not yet cut.
  mutating func nextLost() -> Session? { lost.isEmpty ? nil : lost.removeFirst() }
}
