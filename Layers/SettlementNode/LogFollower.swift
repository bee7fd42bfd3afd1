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
        service.take(try SignedBatch(encoded: frame.body.rawSpan), frame.body)
      case (MessageType.clearance, .clearances):
        let clearance = try SignedClearance(encoded: frame.body.rawSpan)
        service.box.waitForRoom()
        service.box.put(.clearance(clearance, encoded: frame.body))
      default:
        break
      }
    } catch {
      connection.close(error: ErrorMessage(.malformed, "\(error)"))
    }
  }
}
