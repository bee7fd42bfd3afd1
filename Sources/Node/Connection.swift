import NIOCore
public import Primitives
import Synchronization
public import Wire

/// What a connection may cost us.
public struct ConnectionLimits: Hashable, Sendable {
  /// Requests answered neither by a response nor by `finished`, beyond which reading stops. Frames
  /// of one read (64 KiB) are always delivered together, so the count may pass it by that much.
  public var inFlightRequests = 1024
  /// Bytes waiting to be sent, beyond which reading stops.
  public var pendingByteCountSoftMax = 4 << 20
  /// Bytes waiting to be sent, beyond which the connection is closed.
  public var pendingByteCountMax = 64 << 20
  public var handshakeTimeoutMilliseconds = 5_000
  /// A connection that brings nothing, not even the answer to a PING, for so long is closed.
  public var idleTimeoutMilliseconds = 60_000
  /// A frame must be complete so long after its first byte; a long one gets more time, by
  /// `byteRateFloor`.
  public var frameTimeoutMilliseconds = 10_000
  /// Bytes a second that a frame under way must bring on top of its `frameTimeoutMilliseconds`, and
  /// that a reader must take of what waits for it on top of `idleTimeoutMilliseconds`.
  public var byteRateFloor = 65_536
  /// Bad signatures over a connection's life, beyond which it is closed. Each costs a check that
  /// nobody pays for; a client that signs has none.
  public var badSignaturesMax = 1_024

  public init() {}
}

/// One agreed-on connection. Send from any thread.
public final class Connection: Sendable {
  /// Counts connections of this process.
  public let id: UInt64
  /// What was agreed on; the other side's role and proved key among it.
  public let session: Session
  /// The other side's address, for people.
  public let remote: String

  private struct State {
    var encoder: FrameEncoder
    var buffer: ByteBuffer
    var isScheduled = false
    var isClosed = false
    var inFlight = 0
    var isReadHeld = false
    var failure: ConnectionFailure?
  }

  private let state: Mutex<State>
  private let pending = Atomic<Int>(0)
  private let written = Atomic<UInt64>(0)
  private let badSignatures = Atomic<Int>(0)
  private let channel: any Channel
  private let limits: ConnectionLimits
  /// The first and the longest buffer made before it is known how much will be sent.
  private static let bufferByteCount = 4096

  init(
    id: UInt64, session: Session, remote: String, encoder: FrameEncoder, channel: any Channel,
    limits: ConnectionLimits
  ) {
    self.id = id
    self.session = session
    self.remote = remote
    self.channel = channel
    self.limits = limits
    state = Mutex(
      State(
        encoder: encoder, buffer: channel.allocator.buffer(capacity: Connection.bufferByteCount))
    )
  }

  public var role: Role { session.role }
  /// The proved key; zero for an anonymous client.
  public var key: PublicKey { session.key }
  /// Bytes accepted by `send` and not yet taken by the system.
  public var pendingByteCount: Int { pending.load(ordering: .relaxed) }
  /// Whether more can be sent without piling up.
  public var isWritable: Bool { pendingByteCount < limits.pendingByteCountSoftMax && !isClosed }
  public var isClosed: Bool { state.withLock { $0.isClosed } }
  /// Why it ended; nil while it lasts.
  public var failure: ConnectionFailure? { state.withLock { $0.failure } }

  /// Sends a frame; many sent in a row leave together.
  /// - Returns: false when the connection is closed, or the body longer than the other side takes
  ///   (a response is then replaced by an error).
  @discardableResult public func send(
    type: UInt16, flags: FrameFlags = [], blockLength: UInt16 = 0, requestID: UInt64 = 0,
    budget: UInt64 = 0, body: [UInt8] = []
  ) -> Bool {
    send(
      Frame(
        type: type, flags: flags, blockLength: blockLength, requestID: requestID, budget: budget,
        body: body))
  }

  @discardableResult public func send(_ frame: Frame) -> Bool { sendMany(CollectionOfOne(frame)) }

  /// Sends frames in order, with nothing between them.
  /// - Returns: false as `send`.
  @discardableResult public func sendMany(_ frames: some Collection<Frame>) -> Bool {
    var isComplete = true
    let byteCount = frames.reduce(0) { $0 + FrameHeader.byteCount + $1.body.count }
    let total = pending.add(byteCount, ordering: .relaxed).newValue
    let isScheduling: Bool? = state.withLock { state in
      guard !state.isClosed else { return nil }
      for frame in frames {
        if frame.body.count <= session.frameLimit {
          write(frame, &state)
        } else {
          isComplete = false
          pending.subtract(FrameHeader.byteCount + frame.body.count, ordering: .relaxed)
          guard frame.flags.contains(.response) else { continue }
          let figures = (Int64(session.frameLimit), Int64(frame.body.count))
          write(
            error: ErrorMessage(.tooLarge, requestID: frame.requestID, figures: figures), &state)
        }
      }
      defer { state.isScheduled = true }
      return !state.isScheduled
    }
    guard let isScheduling else {
      pending.subtract(byteCount, ordering: .relaxed)
      return false
    }
    if isScheduling { schedule() }
    if total > limits.pendingByteCountMax {
      end(.slowReader(pending: total, limit: limits.pendingByteCountMax))
    }
    return isComplete
  }

  /// Answers a request.
  @discardableResult public func respond(
    to request: Frame, type: UInt16, blockLength: UInt16 = 0, body: [UInt8]
  ) -> Bool {
    send(
      type: type, flags: .response, blockLength: blockLength, requestID: request.requestID,
      body: body)
  }

  /// Answers a request with an error.
  @discardableResult public func refuse(_ requestID: UInt64, _ message: ErrorMessage) -> Bool {
    send(
      type: SessionMessage.error, flags: [.response, .error], requestID: requestID,
      body: message.about(requestID).bytes)
  }

  /// Says that a request will get no response, or got it otherwise, so that others may come.
  /// Responses sent with their request's id say so themselves.
  public func finished(_ count: Int = 1) {
    let isHeld = state.withLock { state in
      state.inFlight = max(0, state.inFlight - count)
      return state.isReadHeld
    }
    if isHeld { schedule() }
  }

  /// Counts signatures that came over it and do not hold; too many end it.
  public func charge(badSignatures count: Int) {
    let total = badSignatures.add(count, ordering: .relaxed).newValue
    guard total > limits.badSignaturesMax else { return }
    end(
      .refused(
        ErrorMessage(
          .unauthorised, figures: (Int64(total), Int64(limits.badSignaturesMax)),
          "too many bad signatures")))
  }

  /// Whether more bad signatures came over it than one connection may bring.
  public var isOvercharged: Bool {
    badSignatures.load(ordering: .relaxed) > limits.badSignaturesMax
  }

  /// Ends the connection after what was sent before, and the error if there is one.
  public func close(error: ErrorMessage? = nil) {
    end(error.map { .refused($0) } ?? .closed(by: nil))
  }

  private func write(_ frame: Frame, _ state: inout State) {
    let header = state.encoder.header(
      type: frame.type, flags: frame.flags, blockLength: frame.blockLength,
      requestID: frame.requestID, budget: frame.budget, body: frame.body.rawSpan)
    header.withBytes { _ = state.buffer.writeBytes($0) }
    state.buffer.writeBytes(frame.body)
    if frame.flags.contains(.response) && !frame.flags.contains(.more) && frame.requestID != 0 {
      state.inFlight = max(0, state.inFlight - 1)
    }
  }

  private func write(error: ErrorMessage, _ state: inout State) {
    let flags: FrameFlags = error.requestID == 0 ? .error : [.response, .error]
    let frame = Frame(
      type: SessionMessage.error, flags: flags, requestID: error.requestID, body: error.bytes)
    pending.add(FrameHeader.byteCount + frame.body.count, ordering: .relaxed)
    write(frame, &state)
  }

  private func schedule() { channel.eventLoop.execute { [self] in drain() } }
}

// MARK: - The event loop's side

extension Connection {
  /// How long the other side may take to read our last words before the connection is cut.
  private static let lingerMilliseconds: Int64 = 500

  /// Whether the next bytes may be read; if not, remembers that somebody waits to.
  func mayRead() -> Bool {
    state.withLock { state in
      state.isReadHeld = state.inFlight >= limits.inFlightRequests || !isWritableSoon
      return !state.isReadHeld
    }
  }

  private var isWritableSoon: Bool { pendingByteCount < limits.pendingByteCountSoftMax }

  /// Whether reading stands still by our own will.
  var isReadHeld: Bool { state.withLock { $0.isReadHeld } }

  /// Bytes the system has taken so far.
  var writtenByteCount: UInt64 { written.load(ordering: .relaxed) }

  /// Counts requests that came in.
  func received(requests count: Int) { state.withLock { $0.inFlight += count } }

  /// Hands what was sent to the system and reads on if that was held back.
  func drain() {
    channel.eventLoop.assertInEventLoop()
    let taken: ByteBuffer? = state.withLock { state in
      state.isScheduled = false
      guard state.buffer.readableBytes > 0 else { return nil }
      let buffer = state.buffer
      state.buffer = channel.allocator.buffer(capacity: Connection.bufferByteCount)
      return buffer
    }
    if let taken {
      let byteCount = taken.readableBytes
      channel.writeAndFlush(taken).whenComplete { [self] _ in
        pending.subtract(byteCount, ordering: .relaxed)
        written.add(UInt64(byteCount), ordering: .relaxed)
        readOn()
      }
    }
    readOn()
  }

  private func readOn() {
    let isFree = state.withLock { state in
      guard state.isReadHeld && !state.isClosed else { return false }
      return state.inFlight < limits.inFlightRequests && isWritableSoon
    }
    if isFree && mayRead() { channel.read() }
  }

  /// Ends the connection for a reason; the first reason stays. The other side is told if there is
  /// something to tell, and gets a moment to read it: closing at once would throw it away.
  func end(_ failure: ConnectionFailure) {
    let isFirst = state.withLock { state in
      guard !state.isClosed else { return false }
      if let message = failure.message { write(error: message, &state) }
      state.isClosed = true
      state.failure = failure
      return true
    }
    guard isFirst else { return }
    channel.eventLoop.execute { [self] in
      drain()
      channel.close(mode: .output, promise: nil)
      // What still comes is read and dropped, so that closing does not reset the connection.
      channel.read()
      channel.eventLoop.scheduleTask(in: .milliseconds(Connection.lingerMilliseconds)) { [self] in
        channel.close(promise: nil)
      }
    }
  }

  /// The channel is gone.
  func ended(_ failure: ConnectionFailure) {
    state.withLock { state in
      state.isClosed = true
      if state.failure == nil { state.failure = failure }
    }
  }
}
