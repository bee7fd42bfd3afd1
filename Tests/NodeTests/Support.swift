import Commitments
import Glibc
import Node
import Primitives
import Synchronization
import Testing
import Wire

let network = Bytes32((1, 2, 3, 4))

func key(_ number: UInt8) throws -> HandshakeKey {
  HandshakeKey(try SigningKey(seed: [UInt8](repeating: number, count: 32)))
}

/// A socket file of this process's own.
func socketAddress() -> Address {
  .unix(path: "/tmp/novate-test-\(getpid())-\(UInt32.random(in: 0...(.max))).sock")
}

let anyPort = Address.tcp(host: "127.0.0.1", port: 0)

/// Our own seeded generator (SplitMix64).
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// Waits for something to become true.
func eventually(_ milliseconds: Int = 5_000, _ condition: () -> Bool) -> Bool {
  let end = Clock.monotonicNanoseconds + UInt64(milliseconds) * 1_000_000
  while Clock.monotonicNanoseconds < end {
    if condition() { return true }
    usleep(1_000)
  }
  return condition()
}

/// Keeps what it hears, and can answer.
final class Recorder: ServerHandler {
  struct Heard {
    var connected: [Connection] = []
    var disconnected: [Connection] = []
    var frames: [Frame] = []
  }
  let heard = Mutex(Heard())
  let isEcho: Bool
  private let onConnect: @Sendable (Connection) -> Void

  init(isEcho: Bool = false, onConnect: @escaping @Sendable (Connection) -> Void = { _ in }) {
    self.isEcho = isEcho
    self.onConnect = onConnect
  }

  var connectedCount: Int { heard.withLock { $0.connected.count } }
  var disconnectedCount: Int { heard.withLock { $0.disconnected.count } }
  var frames: [Frame] { heard.withLock { $0.frames } }
  var frameCount: Int { heard.withLock { $0.frames.count } }
  var lastFailure: ConnectionFailure? { heard.withLock { $0.disconnected.last?.failure } }

  func connected(_ connection: Connection) {
    heard.withLock { $0.connected.append(connection) }
    onConnect(connection)
  }

  func received(_ frame: Frame, from connection: Connection) {
    heard.withLock { $0.frames.append(frame) }
    if isEcho && frame.type != SessionMessage.error {
      connection.respond(to: frame, type: frame.type, body: frame.body)
    }
  }

  func disconnected(_ connection: Connection) {
    heard.withLock { $0.disconnected.append(connection) }
  }
}

func configuration(_ address: Address) throws -> ServerConfiguration {
  var configuration = ServerConfiguration(
    address: address, network: network, role: .execution, key: try key(1))
  configuration.admits = { _, _ in true }
  return configuration
}

func peerConfiguration(_ address: Address) throws -> PeerConfiguration {
  PeerConfiguration(
    address: address, network: network, role: .clearing, key: try key(2), expectedRole: .execution,
    expectedKey: try key(1).publicKey)
}

/// A plain socket, to misbehave with.
final class RawSocket {
  private let descriptor: Int32
  private var decoder = FrameDecoder(network: network, bodyLimit: 1 << 20)
  private var encoder = FrameEncoder(network: network)
  private var frames: [Frame] = []

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = unsafe withUnsafePointer(to: name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(status == 0)
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) {
    _ = unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  func encoded(_ frame: Frame) -> [UInt8] {
    var writer = ByteWriter()
    encoder.encode(frame, into: &writer)
    return writer.bytes
  }

  func greet(frameLimit: UInt32 = 1 << 20) throws {
    var offer = SessionOffer(network: network)
    offer.frameLimit = frameLimit
    let handshake = ConnectingHandshake(offer, nonce: .zero)
    send(encoded(Frame(type: SessionMessage.hello, body: handshake.hello)))
    _ = try handshake.receive(try #require(try next()))
  }

  /// The next frame; nil when the other side closed.
  func next() throws -> Frame? {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while frames.isEmpty {
      let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 { return nil }
      try #require(count > 0, "nothing came in time: errno \(errno)")
      try decoder.push(buffer.rawSpan.extracting(0..<count), into: &frames)
    }
    return frames.removeFirst()
  }

  /// The error the other side sends before it closes.
  func farewell() throws -> ErrorMessage {
    let frame = try #require(try next())
    try #require(frame.type == SessionMessage.error)
    let message = try ErrorMessage(frame.body.rawSpan)
    #expect(try next() == nil)
    return message
  }
}

func port(_ server: Server) throws -> UInt16 {
  guard case .tcp(_, let port) = try #require(server.address) else { return 0 }
  return port
}
