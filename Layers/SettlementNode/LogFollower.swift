import Commitments
import Logging
import Node
import Primitives
import Settlement
import Synchronization
import Wire

/// Follows one of the two logs, a window at a time. Waiting for room here is back pressure: the
/// connection is not read.
final class LogFollower: PeerHandler, Sendable {
  private let service: SettlementService
  let log: FollowMessage.Log
  private let window: LogWindow
  private let connection = Mutex<Connection?>(nil)
  /// Windows count their requests from 1.
  private static let showRequestID: UInt64 = 1 << 63

  init(service: SettlementService, log: FollowMessage.Log) {
    self.service = service
    self.log = log
    window = LogWindow(log)
  }

  func connected(_ connection: Connection) {
    // A layer that was down when settlement refused hears of it now.
    guard !service.tell(connection) else { return }
    self.connection.withLock { $0 = connection }
    window.begin(connection, from: service.wanted.raw)
    // What was settled meanwhile asked for nothing.
    window.advance(to: service.wanted.raw)
  }

  func disconnected(_ connection: Connection) {
    window.end(connection)
    self.connection.withLock { if $0?.id == connection.id { $0 = nil } }
    service.forget(connection)
  }

  /// All before `next` is settled.
  func advance(to next: UInt64) { window.advance(to: next) }

  /// Asks clearing for the batch of execution it cleared under a number.
  func showBatch(_ number: BatchNumber) {
    let message = FollowMessage(.batches, from: number, through: number)
    connection.withLock {
      _ = $0?.send(
        type: MessageType.follow, requestID: LogFollower.showRequestID, body: message.encoded)
    }
  }

  func received(_ frame: Frame, from connection: Connection) {
    do {
      switch (frame.type, log) {
      case (MessageType.batch, .batches):
        let batch = try SignedBatch(encoded: frame.body.rawSpan)
        guard isExecutions(batch) else { return disown(connection, "execution") }
        service.take(batch, frame.body)
      case (MessageType.batch, .clearances):
        let batch = try SignedBatch(encoded: frame.body.rawSpan)
        guard isExecutions(batch) else { return disown(connection, "execution") }
        service.box.put(.shown(batch, encoded: frame.body))
      case (MessageType.clearance, .clearances):
        let clearance = try SignedClearance(encoded: frame.body.rawSpan)
        guard SHA256.digest(clearance.body) == clearance.header.bodyHash,
          Ed25519.isValid(clearance.signature, of: clearance.header.id, by: genesis.clearing.object)
        else { return disown(connection, "clearing") }
        service.box.waitForRoom()
        service.box.put(.clearance(clearance, encoded: frame.body))
      default:
        break
      }
    } catch {
      connection.close(error: ErrorMessage(.malformed, "\(error)"))
    }
  }
  private var genesis: Genesis { service.context.genesis }

  private func isExecutions(_ batch: SignedBatch) -> Bool {
    SHA256.digest(batch.body) == batch.header.bodyHash
      && Ed25519.isValid(batch.signature, of: batch.header.id, by: genesis.execution.object)
  }

  /// Bytes nobody signed accuse nobody: whoever stands between may have made them.
  private func disown(_ connection: Connection, _ layer: String) {
    service.context.log.error("refused an object", metadata: ["layer": "\(layer)"])
    connection.close(error: ErrorMessage(.malformed, "the object is not \(layer)'s"))
  }
}
