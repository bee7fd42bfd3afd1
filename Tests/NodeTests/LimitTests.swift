import Commitments
import Glibc
import Primitives
import Synchronization
import Testing
import Wire

@testable import Node

@Suite("What a connection may cost", .serialized) struct LimitTests {
  @Test("too many bad signatures close the connection and say so") func badSignatures() throws {
    var narrow = try configuration(anyPort)
    narrow.limits.badSignaturesMax = 3
    let recorder = Recorder()
    let server = Server(configuration: narrow, handler: recorder)
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    #expect(eventually { recorder.connectedCount == 1 })
    let connection = try #require(recorder.heard.withLock { $0.connected.first })
    connection.charge(badSignatures: 2)
    connection.charge(badSignatures: 1)
    #expect(!connection.isOvercharged && !connection.isClosed)
    connection.charge(badSignatures: 2)
    #expect(connection.isOvercharged && connection.isClosed)
    let farewell = try client.farewell()
    #expect(farewell.code == .unauthorised && !farewell.isRetryable)
    #expect(farewell.figures == (5, 3))
    // Another connection begins with nothing charged.
    let second = try RawSocket(port: try port(server))
    try second.greet()
    #expect(eventually { recorder.connectedCount == 2 })
    #expect(recorder.heard.withLock { $0.connected.last?.isOvercharged } == false)
  }

  @Test("who speaks on and takes nothing of what waits for him is closed") func deafTalker() throws
  {
    var hasty = try configuration(anyPort)
    hasty.limits.idleTimeoutMilliseconds = 400
    hasty.limits.pendingByteCountSoftMax = 1 << 20
    hasty.limits.byteRateFloor = 1 << 30
    let recorder = Recorder(onConnect: {
      for _ in 0..<8 { $0.send(type: 100, body: [UInt8](repeating: 0, count: 1 << 20)) }
    })
    let server = Server(configuration: hasty, handler: recorder)
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    #expect(
      eventually {
        client.send(client.encoded(Frame(type: SessionMessage.ping)))
        usleep(20_000)
        return recorder.disconnectedCount == 1
      })
    guard case .timeout("a reader of what waits for it", _) = recorder.lastFailure else {
      Issue.record("found \(String(describing: recorder.lastFailure))")
      return
    }
  }

  @Test("one who reads slowly but at the floor's rate is served to the end") func slowButSteady()
    throws
  {
    var hasty = try configuration(anyPort)
    hasty.limits.idleTimeoutMilliseconds = 400
    let count = 8
    let recorder = Recorder(onConnect: {
      for _ in 0..<count { $0.send(type: 100, body: [UInt8](repeating: 0, count: 1 << 20)) }
    })
    let server = Server(configuration: hasty, handler: recorder)
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    var received = 0
    while received < count {
      let frame = try #require(try client.next())
      if frame.type == 100 {
        received += 1
        usleep(100_000)
      }
      client.send(client.encoded(Frame(type: SessionMessage.pong, flags: .response)))
    }
    #expect(recorder.disconnectedCount == 0)
  }

  @Test("a log's ranges may be asked for without end over one connection") func ranges() throws {
    let feed = LogFeed("feed", messageType: 200, end: 4) { [UInt8(truncatingIfNeeded: $0)] }
    defer { feed.stop() }
    let follower = Follower(feed)
    let server = Server(configuration: try configuration(anyPort), handler: follower)
    try server.start()
    defer { server.stop() }
    let loops = EventLoops()
    defer { loops.stop() }
    let recorder = Recorder()
    let peer = Peer(
      configuration: try peerConfiguration(try #require(server.address)), handler: recorder,
      loops: loops)
    peer.start()
    defer { peer.stop() }
    #expect(eventually { peer.isConnected })
    // More than may be in flight.
    for id in 1...UInt64(1_500) {
      let message = FollowMessage(.batches, from: BatchNumber(2), through: BatchNumber(3))
      peer.send(type: MessageType.follow, requestID: id, body: message.encoded)
      #expect(eventually { recorder.frameCount == Int(id) * 2 })
    }
    #expect(recorder.frames.suffix(2).map(\.body) == [[2], [3]])
    #expect(recorder.disconnectedCount == 0)
  }

  @Test("requests that wait are counted, and those beyond the limit refused") func waiting() {
    let waiting = WaitingRequests(maximum: 2)
    #expect(waiting.tryEnter() && waiting.tryEnter())
    #expect(!waiting.tryEnter() && !waiting.tryEnter())
    waiting.leave()
    #expect(waiting.tryEnter() && !waiting.tryEnter())
  }

  // MARK: - Settings and time

  @Test("a journal's segment is a whole number of pages and holds the longest group")
  func segments() throws {
    func settings(_ text: String) throws -> OperatorSettings {
      try OperatorSettings(json: Array(text.utf8))
    }
    #expect(
      try settings(#"{"journal_segment_bytes": 20971520}"#).journalSegmentByteCount == 20 << 20)
    for count in [0, -4_096, 4_096, (20 << 20) - 4_096, (20 << 20) + 1] {
      #expect(throws: NodeFailure.self) { try settings("{\"journal_segment_bytes\": \(count)}") }
    }
    #expect(OperatorSettings.journalSegmentByteCountMin >= 2 * Limits.batchBodyByteCountMax)
  }

  @Test("a setting outside its domain is refused, and named")
  func domains() throws {
    for (text, key) in [
      (#"{"batch_interval_ms": 0}"#, "batch_interval_ms"),
      (#"{"batch_interval_ms": 1001}"#, "batch_interval_ms"), (#"{"workers": -7}"#, "workers"),
      (#"{"workers": 65}"#, "workers"), (#"{"reserve_bytes": -1}"#, "reserve_bytes"),
    ] {
      do {
        _ = try OperatorSettings(json: Array(text.utf8))
        Issue.record("\(text) was taken")
      } catch {
        #expect("\(error)".contains("config: \(key): expected"), "\(error)")
      }
    }
    #expect(
      try OperatorSettings(json: Array(#"{"batch_interval_ms": 1000}"#.utf8))
        .batchIntervalMilliseconds == 1_000)
  }

  @Test("real-time scheduling is a setting of yes or no, and tried without changing who tries")
  func realtime() throws {
    func settings(_ text: String) throws -> OperatorSettings {
      try OperatorSettings(json: Array(text.utf8))
    }
    #expect(try settings(#"{"realtime": true}"#).isRealtime)
    #expect(try !settings("{}").isRealtime)
    #expect(throws: (any Error).self) { try settings(#"{"realtime": 1}"#) }
    let before = sched_getscheduler(0)
    _ = Promptness.isRealtimeAllowed
    #expect(sched_getscheduler(0) == before)
  }

  @Test("batch time follows the clock within its margin, and real time beyond it")
  func batchClock() {
    let start: Int64 = 1_770_000_000_000
    let clock = BatchClock(time: Timestamp(raw: start), monotonic: 7_000_000, margin: 5_000)
    /// Milliseconds after the start: the system's clock, real time, and what is said.
    let rows: [(wall: Int64, passed: UInt64, said: Int64)] = [
      (0, 0, 0), (1_000, 1_000, 1_000), (1_250, 1_000, 1_250), (6_001, 1_000, 6_000),
      (3_600_000, 1_000, 6_000), (3_600_000, 1_001, 6_001), (3_600_000, 7_200_000, 7_195_000),
      (-3_600_000, 1_000, -4_000), (-3_600_000, 10_000, 5_000),
    ]
    for row in rows {
      let time = clock.time(
        Timestamp(raw: start + row.wall), monotonic: 7_000_000 + row.passed * 1_000_000)
      #expect(time.raw - start == row.said, "\(row)")
    }
  }
}

/// Lets whoever asks follow a feed.
private final class Follower: ServerHandler {
  private let feed: LogFeed
  init(_ feed: LogFeed) { self.feed = feed }
  func connected(_ connection: Connection) {}
  func disconnected(_ connection: Connection) { feed.forget(connection) }
  func received(_ frame: Frame, from connection: Connection) {
    let body = frame.body
    guard let message = try? FollowMessage(decoding: body.rawSpan) else { return }
    feed.follow(message, connection, requestID: frame.requestID)
  }
}
