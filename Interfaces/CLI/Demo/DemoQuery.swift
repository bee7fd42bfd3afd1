import Client
import Glibc
import Primitives
import Wire

/// What a demo asks the layers.
enum DemoQuery {
  static func status(_ connection: BlockingConnection) throws -> JSONValue {
    let frame = try connection.request(
      type: MessageType.query, body: QueryMessage(.status).encoded)
    return try JSONValue.parse(frame.body)
  }

  static func account(_ connection: BlockingConnection, _ account: AccountID) throws -> JSONValue {
    let frame = try connection.request(
      type: MessageType.query,
      body: QueryMessage(.account, subject: UInt64(account.raw)).encoded)
    return try JSONValue.parse(frame.body)
  }

  /// Every object of a layer's log through `last`, in order.
  static func log(
    _ connection: BlockingConnection, _ log: FollowMessage.Log, through last: BatchNumber,
    _ body: ([UInt8]) throws -> Void
  ) throws {
    let id = try connection.send(
      type: MessageType.follow,
      body: FollowMessage(log, from: BatchNumber(0), through: last).encoded)
    for _ in 0...last.raw { try body(try connection.response(to: id).body) }
  }

  static func pause(milliseconds: UInt32) { usleep(milliseconds * 1_000) }
}
