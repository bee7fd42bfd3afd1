public import Primitives
public import Wire

/// A client's connection for programs that do one thing after another. Use it from one thread.
///
/// Requests may be sent ahead of their answers: `send` returns an id, `receive` gives answers as
/// they come, `response(to:)` the one wanted.
public final class BlockingConnection {
  public let address: Address
  /// What was agreed on, with the service's role and proved key.
  public private(set) var session: Session
  private let socket: Socket
  private var encoder: FrameEncoder
  private var decoder: FrameDecoder
  private var outgoing = ByteWriter()
  private var sentCount = 0
  private var inbox: [Frame] = []
  private var taken = 0
  private var readBuffer = [UInt8](repeating: 0, count: 64 << 10)
  private var lastRequestID: UInt64 = 0
  /// Sent bytes gathered before they leave without being asked to.
  private static let gatheredByteCount = 64 << 10

  /// Connects and agrees on a session as an anonymous client.
  /// - Parameters:
  ///   - role: who has to answer; nil accepts any service.
  ///   - key: the key it has to hold; nil accepts any.
  /// - Throws: `ClientFailure`.
  public init(
    to address: Address, network: Digest, role: Role? = nil, key: PublicKey? = nil,
    frameLimit: Int = FrameHeader.bodyByteCountHardMax, timeoutMilliseconds: Int = 5_000
  ) throws(ClientFailure) {
    let deadline = Deadline(milliseconds: timeoutMilliseconds)
    let socket = try Socket(to: address, deadline)
    var random = SystemRandomNumberGenerator()
    let nonce = Bytes32((random.next(), random.next(), random.next(), random.next()))
    let offer = SessionOffer(network: network, frameLimit: UInt32(frameLimit))
    let handshake = ConnectingHandshake(offer, nonce: nonce)
    self.address = address
    self.socket = socket
    encoder = FrameEncoder(network: network)
    decoder = FrameDecoder(network: network, bodyLimit: frameLimit)
    session = .none
    encoder.encode(Frame(type: SessionMessage.hello, body: handshake.hello), into: &outgoing)
    let answer = try next(deadline, awaited: "a handshake")
    do throws(HandshakeFailure) {
      session = try handshake.receive(answer, role: role, key: key).session
    } catch {
      throw .handshake(address, error)
    }
    encoder.minor = session.minor
  }

  /// Sends a request or, with id 0, a message nobody answers. Leaves with the next `flush`,
  /// `receive` or `response`, or when 64 KiB have gathered.
  /// - Parameter requestID: nil takes the next free one.
  /// - Returns: the request's id.
  /// - Throws: `ClientFailure`.
  @discardableResult public func send(
    type: UInt16, flags: FrameFlags = [], blockLength: UInt16 = 0, requestID: UInt64? = nil,
    budget: UInt64 = 0, body: [UInt8] = [], timeoutMilliseconds: Int = 30_000
  ) throws(ClientFailure) -> UInt64 {
    guard body.count <= session.frameLimit else {
      throw .tooLong(address, found: body.count, limit: session.frameLimit)
    }
    let id: UInt64
    if let requestID {
      id = requestID
    } else {
      lastRequestID += 1
      id = lastRequestID
    }
    encoder.encode(
      Frame(
        type: type, flags: flags, blockLength: blockLength, requestID: id, budget: budget,
        body: body), into: &outgoing)
    if outgoing.bytes.count - sentCount >= BlockingConnection.gatheredByteCount {
      try flush(Deadline(milliseconds: timeoutMilliseconds))
    }
    return id
  }

  /// Sends what has gathered.
  /// - Throws: `ClientFailure`.
  public func flush(timeoutMilliseconds: Int = 30_000) throws(ClientFailure) {
    try flush(Deadline(milliseconds: timeoutMilliseconds))
  }

  /// Asks and waits for the answer; other frames that come meanwhile are kept for `receive`.
  /// - Throws: `ClientFailure`; `.refused` when the answer is an error.
  public func request(
    type: UInt16, blockLength: UInt16 = 0, body: [UInt8] = [], timeoutMilliseconds: Int = 30_000
  ) throws(ClientFailure) -> Frame {
    let id = try send(
      type: type, blockLength: blockLength, budget: UInt64(max(0, timeoutMilliseconds)), body: body,
      timeoutMilliseconds: timeoutMilliseconds)
    return try response(to: id, timeoutMilliseconds: timeoutMilliseconds)
  }

  /// The next frame that answers a request; others are kept for `receive`.
  /// - Throws: `ClientFailure`; `.refused` when the answer is an error.
  public func response(to id: UInt64, timeoutMilliseconds: Int = 30_000) throws(ClientFailure)
    -> Frame
  {
    let deadline = Deadline(milliseconds: timeoutMilliseconds)
    while true {
      if let index = inbox[taken...].firstIndex(where: {
        $0.requestID == id && $0.flags.contains(.response)
      }) {
        let frame = inbox.remove(at: index)
        if frame.type == SessionMessage.error { throw .refused(address, try message(frame)) }
        return frame
      }
      try read(deadline, awaited: "an answer")
    }
  }

  /// The next frame of whatever kind; answers that are errors are frames of type ERROR.
  /// - Throws: `ClientFailure`, `.timeout` when none came.
  public func receive(timeoutMilliseconds: Int) throws(ClientFailure) -> Frame {
    try next(Deadline(milliseconds: timeoutMilliseconds), awaited: "a message")
  }

  // MARK: - For programs that wait for several connections at once

  /// What to poll: for reading always, for writing while `hasUnsent`.
  public var descriptor: Int32 { socket.descriptor }
  /// Whether sent bytes wait for room.
  public var hasUnsent: Bool { sentCount < outgoing.bytes.count }

  /// Sends what there is room for and takes every frame that has come. Never waits.
  /// - Throws: `ClientFailure`.
  public func exchange() throws(ClientFailure) -> [Frame] {
    try push()
    while try takeBytes() == readBuffer.count {}
    try push()
    defer {
      inbox.removeAll(keepingCapacity: true)
      taken = 0
    }
    return Array(inbox[taken...])
  }

  /// Sends what there is room for. Never waits.
  /// - Throws: `ClientFailure`.
  public func push() throws(ClientFailure) {
    while hasUnsent {
      let count = try socket.write(outgoing.bytes, from: sentCount)
      if count == 0 { return }
      sentCount += count
    }
    outgoing.bytes.removeAll(keepingCapacity: true)
    sentCount = 0
  }

  /// What a frame of type ERROR says.
  /// - Throws: `.handshake(.malformed)` when it is none.
  public func message(_ frame: Frame) throws(ClientFailure) -> ErrorMessage {
    do throws(DecodingFailure) { return try ErrorMessage(frame.body.rawSpan) } catch {
      throw .handshake(address, .malformed(error))
    }
  }

  private func next(_ deadline: Deadline, awaited: String) throws(ClientFailure) -> Frame {
    while taken == inbox.count { try read(deadline, awaited: awaited) }
    defer {
      taken += 1
      if taken == inbox.count {
        inbox.removeAll(keepingCapacity: true)
        taken = 0
      }
    }
    return inbox[taken]
  }

  private func flush(_ deadline: Deadline) throws(ClientFailure) {
    while sentCount < outgoing.bytes.count {
      let count = try socket.write(outgoing.bytes, from: sentCount)
      sentCount += count
      if count > 0 { continue }
      // While we wait for room the other side may wait for us to read.
      let (canRead, _) = try socket.wait(forRoom: true, deadline, awaited: "room to send")
      if canRead { try takeBytes() }
    }
    outgoing.bytes.removeAll(keepingCapacity: true)
    sentCount = 0
  }

  /// Waits for bytes and takes them.
  private func read(_ deadline: Deadline, awaited: String) throws(ClientFailure) {
    try flush(deadline)
    _ = try socket.wait(forRoom: false, deadline, awaited: awaited)
    try takeBytes()
  }

  @discardableResult private func takeBytes() throws(ClientFailure) -> Int {
    let count = try socket.read(into: &readBuffer)
    let first = inbox.count
    do throws(FrameFailure) {
      try decoder.push(readBuffer.rawSpan.extracting(0..<count), into: &inbox)
    } catch {
      throw .frame(address, error)
    }
    try answerSession(from: first)
    return count
  }

  /// Answers PINGs and throws farewells among the frames from `first` on.
  private func answerSession(from first: Int) throws(ClientFailure) {
    var index = first
    while index < inbox.count {
      let frame = inbox[index]
      if frame.type == SessionMessage.ping {
        encoder.encode(
          Frame(type: SessionMessage.pong, flags: .response, requestID: frame.requestID),
          into: &outgoing)
        inbox.remove(at: index)
      } else if frame.type == SessionMessage.pong || frame.type == SessionMessage.credit {
        inbox.remove(at: index)
      } else if frame.type == SessionMessage.error && frame.requestID == 0 {
        throw .refused(address, try message(frame))
      } else {
        index += 1
      }
    }
  }
}

extension Session {
  /// Before the handshake: the other side may take one small frame.
  fileprivate static var none: Session { Session(frameLimit: 1024) }
}
