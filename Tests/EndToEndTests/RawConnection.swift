import Client
import Commitments
import Glibc
import Primitives
import Testing
import Wire

@testable import CLI

/// A Unix socket that sends whatever bytes it is given, and reads frames.
final class RawConnection {
  private let descriptor: Int32
  private var decoder: FrameDecoder
  private var frames: [Frame] = []
  var encoder: FrameEncoder

  init(_ path: String, network: Digest) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    decoder = FrameDecoder(network: network, bodyLimit: FrameHeader.bodyByteCountHardMax)
    encoder = FrameEncoder(network: network)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw DemoFailure("\(path) is too long for a socket")
    }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let code = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, size)
      }
    }
    guard code == 0 else { throw DemoFailure("cannot connect to \(path): error \(errno)") }
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let rest = Array(bytes[sent...])
      let count = unsafe Glibc.send(descriptor, rest, rest.count, Int32(MSG_NOSIGNAL))
      // Whoever is refused may be cut off before it has said everything.
      if count <= 0 { return }
      sent += count
    }
  }

  func send(_ frame: Frame) {
    var writer = ByteWriter()
    encoder.encode(frame, into: &writer)
    send(writer.bytes)
  }

  /// The next frame; nil once the other side has closed.
  func receive() throws -> Frame? {
    while frames.isEmpty {
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { return nil }
      guard count > 0 else { throw DemoFailure("nothing came: error \(errno)") }
      try decoder.push(buffer.rawSpan.extracting(0..<count), into: &frames)
    }
    return frames.removeFirst()
  }

  /// The error the other side ends with; nil when it closed without a word.
  func farewell() throws -> ErrorMessage? {
    var last: ErrorMessage?
    while let frame = try receive() {
      guard frame.type == SessionMessage.error else { continue }
      let body = frame.body
      last = try ErrorMessage(body.rawSpan)
    }
    return last
  }

  /// Says who it is, as an anonymous client.
  func greet(_ network: Digest) throws {
    let handshake = ConnectingHandshake(
      SessionOffer(network: network), nonce: Bytes32((1, 2, 3, 4)))
    send(Frame(type: SessionMessage.hello, body: handshake.hello))
    guard let answer = try receive() else { throw DemoFailure("no answer to HELLO") }
    _ = try handshake.receive(answer)
  }
}

/// A frame's bytes with one fault in its header, whose checksum is right all the same.
struct BadFrame: Sendable {
  let name: String
  let code: ErrorCode
  /// Changes the 64 bytes of the header; false leaves the checksum as it was.
  let change: @Sendable (inout [UInt8]) -> Bool

  init(
    _ name: String, _ code: ErrorCode, _ change: @escaping @Sendable (inout [UInt8]) -> Bool
  ) {
    self.name = name
    self.code = code
    self.change = change
  }

  static let all = [
    BadFrame("magic", .badFrame) {
      $0[0] = 0x58; return true
    },
    BadFrame("header checksum", .badFrame) {
      $0[20] ^= 1; return false
    },
    BadFrame("an older major", .versionTooOld) {
      $0[4] = 0; return true
    },
    BadFrame("a newer major", .versionTooNew) {
      $0[4] = 2; return true
    },
    BadFrame("a newer minor", .versionTooNew) {
      $0[5] = 9; return true
    },
    BadFrame("another network", .wrongNetwork) {
      $0[16] ^= 0xFF; return true
    },
    BadFrame("an unknown flag", .badFrame) {
      $0[8] = 0x80; return true
    },
    BadFrame("type 0", .badFrame) {
      ($0[6], $0[7]) = (0, 0); return true
    },
    BadFrame("a body too long", .tooLarge) {
      ($0[12], $0[15]) = (0, 2); return true
    },
    BadFrame("a block past the body", .badFrame) {
      $0[11] = 0xFF; return true
    },
    BadFrame("a frame left out", .badFrame) {
      $0[32] &+= 1; return true
    },
    BadFrame("body checksum", .badFrame) {
      $0[48] ^= 1; return true
    },
  ]

  func bytes(of frame: Frame, by encoder: inout FrameEncoder) -> [UInt8] {
    var writer = ByteWriter()
    encoder.encode(frame, into: &writer)
    var header = Array(writer.bytes[0..<FrameHeader.byteCount])
    if change(&header) {
      var checksum = ByteWriter()
      let checked = Array(header[0..<56])
      checksum.write(SipHash.checksum(checked.rawSpan))
      header.replaceSubrange(56..<64, with: checksum.bytes)
    }
    return header + writer.bytes[FrameHeader.byteCount...]
  }
}

extension TestNetwork {
  func killAll() { for name in ["settlement", "clearing", "execution"] { kill(name) } }

  /// What an account has and has done: its key's nonces, resting orders, cash and positions.
  func standing(
    _ execution: BlockingConnection, _ account: AccountID, nonces: Bool = true
  ) throws -> [String] {
    let subject = UInt64(account.raw)
    var found: [String] = []
    if nonces {
      let query = QueryMessage(.nonce, subject: subject, key: key(of: account).publicKey)
      let answer = try execution.request(type: MessageType.query, body: query.encoded).body
      found.append(Hexadecimal.text(answer.rawSpan))
    }
    let orders = try execution.request(
      type: MessageType.query, body: QueryMessage(.orders, subject: subject).encoded)
    found.append(try JSONValue.parse(orders.body).array(at: "orders").map { $0.text() }.joined())
    let view = try DemoQuery.account(try connect("clearing"), account)
    for member in ["cash", "positions", "balances"] {
      found.append(try view.optionalMember(at: member)?.text() ?? "none")
    }
    return found
  }

  /// Fills the disk `path` stands on.
  func fill(_ path: String) {
    let file = unsafe open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
    defer { close(file) }
    let block = [UInt8](repeating: 1, count: 1 << 16)
    var size = block.count
    while size > 0 {
      let count = unsafe write(file, block, size)
      if count < size { size /= 2 }
    }
  }
}
