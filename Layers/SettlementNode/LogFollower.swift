import Commitments
import Logging
import Node
import Primitives
import Settlement
import Wire

/// Follows one of the two logs. Waiting for room here is back pressure: the connection is not read.
final class LogFollower: PeerHandler, Sendable {
  private let service: SettlementService
  private let log: FollowMessage.Log

  init(service: SettlementService, log: FollowMessage.Log) {
    self.service = service
    self.log = log
  }

  func connected(_ connection: Connection) {
    // A layer that was down when settlement refused hears of it now.
    guard !service.tell(connection) else { return }
    let message = FollowMessage(log, from: BatchNumber(service.wanted.raw))
    connection.send(type: MessageType.follow, requestID: 1, body: message.encoded)
  }

  func disconnected(_ connection: Connection) { service.forget(connection) }

  func received(_ frame: Frame, from connection: Connection) {
    do {
      switch (frame.type, log) {
      case (MessageType.batch, .batches):
        let batch = try SignedBatch(encoded: frame.body.rawSpan)
        guard SHA256.digest(batch.body) == batch.header.bodyHash,
          Ed25519.isValid(batch.signature, of: batch.header.id, by: genesis.execution.object)
        else { return disown(connection, "execution") }
        service.take(batch, frame.body)
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

  /// Bytes nobody signed accuse nobody: whoever stands between may have made them.
  private func disown(_ connection: Connection, _ layer: String) {
    service.context.log.error("refused an object", metadata: ["layer": "\(layer)"])
    connection.close(error: ErrorMessage(.malformed, "the object is not \(layer)'s"))
  }
}
