import NIOCore
import Primitives
import Synchronization
public import Wire

/// Hears of connections and what comes over them, on event-loop threads: it must not block. Calls
/// about one connection come one at a time and in order.
public protocol ServerHandler: AnyObject, Sendable {
  /// The handshake is done.
  func connected(_ connection: Connection)
  /// A frame of the application's types, or an ERROR.
  func received(_ frame: Frame, from connection: Connection)
  /// All frames of one read; hand them on together. By default calls `received` for each.
  func received(_ frames: [Frame], from connection: Connection)
  /// The connection is gone; its `failure` says why. Called once for each `connected`.
  func disconnected(_ connection: Connection)
}

extension ServerHandler {
  public func received(_ frames: [Frame], from connection: Connection) {
    for frame in frames { received(frame, from: connection) }
  }
}

/// A `Peer` has the same to tell as a `Server`.
public typealias PeerHandler = ServerHandler

/// Whose turn it is to say what.
enum SessionMode: Sendable {
  /// Waits for a HELLO.
  case listening(admits: @Sendable (Role, PublicKey) -> Bool)
  /// Said HELLO and waits for the answer of whom it expects.
  case connecting(role: Role?, key: PublicKey?)
}

/// One channel's bytes ↔ frames, handshake and time limits.
final class SessionHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum Stage {
    case greeting
    case awaitingAnswer(ConnectingHandshake)
    case awaitingProof(ListeningHandshake)
    case agreed(Connection)
    /// Refused; what still comes is dropped.
    case ending
  }

  private static let connectionCount = Atomic<UInt64>(0)
  private static let handshakeFrameLimit = 1024

  private let offer: SessionOffer
  private let mode: SessionMode
  private let limits: ConnectionLimits
  private let handler: any ServerHandler
  /// Told why a channel ended before there was an agreement.
  private let failed: @Sendable (ConnectionFailure) -> Void
  private var decoder: FrameDecoder
  private var encoder: FrameEncoder
  private var stage = Stage.greeting
  private var openedAt: UInt64 = 0
  private var heardAt: UInt64 = 0
  private var frameBeganAt: UInt64?
  private var isPinged = false
  /// Bytes the system had taken when it last took some, and when that was.
  private var taken: (byteCount: UInt64, at: UInt64) = (0, 0)
  private var timer: RepeatedTask?

  init(
    offer: SessionOffer, mode: SessionMode, limits: ConnectionLimits, handler: any ServerHandler,
    failed: @escaping @Sendable (ConnectionFailure) -> Void
  ) {
    self.offer = offer
    self.mode = mode
    self.limits = limits
    self.handler = handler
    self.failed = failed
    decoder = FrameDecoder(
      network: offer.network, bodyLimit: SessionHandler.handshakeFrameLimit,
      versions: offer.versions)
    encoder = FrameEncoder(network: offer.network)
    encoder.minor = offer.versions.lowestMinor
  }

  static func nonce() -> Bytes32 {
    var random = SystemRandomNumberGenerator()
    return Bytes32((random.next(), random.next(), random.next(), random.next()))
  }

  func channelActive(context: ChannelHandlerContext) {
    openedAt = Clock.monotonicNanoseconds
    heardAt = openedAt
    taken = (0, openedAt)
    startTimer(context)
    if case .connecting = mode {
      let handshake = ConnectingHandshake(offer, nonce: SessionHandler.nonce())
      stage = .awaitingAnswer(handshake)
      write(type: SessionMessage.hello, body: handshake.hello, context)
    }
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if case .ending = stage { return }
    if case .agreed(let connection) = stage, connection.isClosed { return }
    let buffer = unwrapInboundIn(data)
    heardAt = Clock.monotonicNanoseconds
    isPinged = false
    var frames: [Frame] = []
    let count = decoder.frameCount
    let failure = take(buffer, into: &frames, context)
    if decoder.frameCount != count || !decoder.isMidFrame { frameBeganAt = nil }
    if decoder.isMidFrame && frameBeganAt == nil { frameBeganAt = heardAt }
    if case .agreed(let connection) = stage { deliver(frames, from: connection) }
    if let failure { end(failure, context) }
  }

  /// Decodes the bytes; handshake messages are answered one by one, since they change what may
  /// follow.
  private func take(
    _ buffer: ByteBuffer, into frames: inout [Frame], _ context: ChannelHandlerContext
  ) -> ConnectionFailure? {
    let bytes = buffer.readableBytesSpan
    var offset = 0
    do throws(FrameFailure) {
      while let frame = try decoder.next(bytes, from: &offset) {
        switch stage {
        case .agreed: frames.append(frame)
        case .ending: return nil
        case .greeting, .awaitingAnswer, .awaitingProof:
          do throws(HandshakeFailure) {
            try advance(frame, context)
          } catch {
            return .handshake(error)
          }
        }
      }
      return nil
    } catch {
      return .frame(error)
    }
  }

  private func advance(_ frame: Frame, _ context: ChannelHandlerContext) throws(HandshakeFailure) {
    switch (stage, mode) {
    case (.greeting, .listening(let admits)):
      let handshake = try ListeningHandshake(
        frame, offer: offer, nonce: SessionHandler.nonce(), admits: admits)
      write(type: SessionMessage.helloAck, body: handshake.ack, context)
      if handshake.needsProof {
        stage = .awaitingProof(handshake)
      } else {
        agree(handshake.session, frameLimit: handshake.frameLimit, context)
      }
    case (.awaitingProof(let handshake), _):
      try handshake.receive(frame)
      agree(handshake.session, frameLimit: handshake.frameLimit, context)
    case (.awaitingAnswer(let handshake), .connecting(let role, let key)):
      let (session, proof) = try handshake.receive(frame, role: role, key: key)
      if let proof { write(type: SessionMessage.helloProof, body: proof, context) }
      agree(session, frameLimit: Int(offer.frameLimit), context)
    case (.greeting, .connecting), (.awaitingAnswer, .listening), (.agreed, _), (.ending, _):
      throw .unexpectedMessage(expected: 0, found: frame.type)
    }
  }

  private func agree(_ session: Session, frameLimit: Int, _ context: ChannelHandlerContext) {
    encoder.minor = session.minor
    decoder.versions = VersionRange(
      major: offer.versions.major, minors: offer.versions.lowestMinor...session.minor)
    decoder.bodyLimit = frameLimit
    let connection = Connection(
      id: SessionHandler.connectionCount.add(1, ordering: .relaxed).newValue, session: session,
      remote: context.remoteAddress?.description ?? "unknown", encoder: encoder,
      channel: context.channel, limits: limits)
    stage = .agreed(connection)
    handler.connected(connection)
  }

  /// Answers the session's own messages and hands on the rest.
  private func deliver(_ frames: [Frame], from connection: Connection) {
    var kept: [Frame] = []
    kept.reserveCapacity(frames.count)
    var requests = 0
    var farewell: Frame?
    for frame in frames {
      switch frame.type {
      case SessionMessage.ping:
        connection.send(type: SessionMessage.pong, flags: .response, requestID: frame.requestID)
      case SessionMessage.pong, SessionMessage.credit:
        continue
      case SessionMessage.error:
        kept.append(frame)
        if frame.requestID == 0 { farewell = frame }
      case SessionMessage.reserved:
        connection.end(
          .refused(ErrorMessage(.unknownType, figures: (Int64(frame.type), 0), "unknown type")))
        return
      default:
        let isRequest = frame.requestID != 0 && !frame.flags.contains(.response)
        // Only what counts as a request is held to the limit of requests in flight; a witness's line
        // asks for nothing.
        if !isRequest, frame.type != MessageType.cosignature, case .listening = mode,
          connection.role == .client
        {
          connection.end(
            .refused(ErrorMessage(.malformed, "expected a request with an id, found none")))
          return
        }
        if isRequest { requests += 1 }
        kept.append(frame)
      }
    }
    if requests > 0 { connection.received(requests: requests) }
    if !kept.isEmpty { handler.received(kept, from: connection) }
    if let farewell {
      do throws(DecodingFailure) {
        connection.end(.closed(by: try ErrorMessage(farewell.body.rawSpan)))
      } catch {
        connection.end(.handshake(.malformed(error)))
      }
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    // What was answered while reading leaves now, without another turn of the loop.
    if case .agreed(let connection) = stage { connection.drain() }
    context.fireChannelReadComplete()
  }

  func read(context: ChannelHandlerContext) {
    if case .agreed(let connection) = stage, !connection.isClosed, !connection.mayRead() { return }
    context.read()
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    timer = nil
    switch stage {
    case .agreed(let connection):
      connection.ended(.closed(by: nil))
      handler.disconnected(connection)
    case .greeting, .awaitingAnswer, .awaitingProof:
      failed(.closed(by: nil))
    case .ending: break
    }
    stage = .ending
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if case .agreed(let connection) = stage { connection.ended(.transport("\(error)")) }
    context.close(promise: nil)
  }

  private func write(
    type: UInt16, flags: FrameFlags = [], body: [UInt8], _ context: ChannelHandlerContext
  ) {
    var writer = ByteWriter(capacity: FrameHeader.byteCount + body.count)
    encoder.encode(Frame(type: type, flags: flags, body: body), into: &writer)
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: writer.bytes)), promise: nil)
  }

  private func end(_ failure: ConnectionFailure, _ context: ChannelHandlerContext) {
    switch stage {
    case .agreed(let connection): connection.end(failure)
    case .ending: return
    case .greeting, .awaitingAnswer, .awaitingProof:
      stage = .ending
      failed(failure)
      refuse(failure.message, context)
    }
  }

  /// Says why, lets the other side read it, and closes.
  private func refuse(_ message: ErrorMessage?, _ context: ChannelHandlerContext) {
    guard let message else {
      context.close(promise: nil)
      return
    }
    write(type: SessionMessage.error, flags: .error, body: message.bytes, context)
    context.close(mode: .output, promise: nil)
    let channel = context.channel
    channel.eventLoop.scheduleTask(in: .milliseconds(500)) { channel.close(promise: nil) }
  }
}

// MARK: - Time

extension SessionHandler {
  private func startTimer(_ context: ChannelHandlerContext) {
    let shortest = min(
      limits.handshakeTimeoutMilliseconds, limits.frameTimeoutMilliseconds,
      limits.idleTimeoutMilliseconds)
    let period = TimeAmount.milliseconds(Int64(min(max(shortest / 4, 10), 1000)))
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in
      let (handler, context) = bound.value
      handler.checkTime(context)
    }
  }

  private func checkTime(_ context: ChannelHandlerContext) {
    let now = Clock.monotonicNanoseconds
    switch stage {
    case .ending: return
    case .greeting, .awaitingAnswer, .awaitingProof:
      let limit = limits.handshakeTimeoutMilliseconds
      if elapsed(openedAt, now) > limit {
        end(.timeout("a handshake", milliseconds: limit), context)
      }
    case .agreed(let connection):
      checkReader(connection, now, context)
      // Time we did not read in is not the other side's fault.
      if connection.isReadHeld {
        heardAt = now
        frameBeganAt = frameBeganAt == nil ? nil : now
        return
      }
      checkFrame(now, context)
      checkIdle(connection, now, context)
    }
  }

  /// Whoever takes nothing of what waits for him is not waited for.
  private func checkReader(
    _ connection: Connection, _ now: UInt64, _ context: ChannelHandlerContext
  ) {
    let (waiting, byteCount) = (connection.pendingByteCount, connection.writtenByteCount)
    guard waiting > 0, byteCount == taken.byteCount else {
      taken = (byteCount, now)
      return
    }
    let limit =
      limits.idleTimeoutMilliseconds + waiting / max(1, limits.byteRateFloor / 1000)
    if elapsed(taken.at, now) > limit {
      end(.timeout("a reader of what waits for it", milliseconds: limit), context)
    }
  }

  private func checkFrame(_ now: UInt64, _ context: ChannelHandlerContext) {
    guard let frameBeganAt else { return }
    let limit =
      limits.frameTimeoutMilliseconds + decoder.heldByteCount / max(1, limits.byteRateFloor / 1000)
    if elapsed(frameBeganAt, now) > limit {
      end(.timeout("a whole frame", milliseconds: limit), context)
    }
  }

  private func checkIdle(_ connection: Connection, _ now: UInt64, _ context: ChannelHandlerContext)
  {
    let limit = limits.idleTimeoutMilliseconds
    let silence = elapsed(heardAt, now)
    if silence > limit {
      end(.timeout("a sign of life", milliseconds: limit), context)
    } else if silence > limit / 2 && !isPinged {
      isPinged = true
      connection.send(type: SessionMessage.ping, requestID: .max)
    }
  }

  private func elapsed(_ from: UInt64, _ to: UInt64) -> Int { Int((to &- from) / 1_000_000) }
}
