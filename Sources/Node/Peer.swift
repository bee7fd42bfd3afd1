import NIOCore
import NIOPosix
public import Primitives
import Synchronization
public import Wire

/// Whom to connect to, and as whom.
public struct PeerConfiguration: Sendable {
  public var address: Address
  public var network: Digest
  /// Our role and key.
  public var role: Role
  public var key: HandshakeKey?
  /// Who has to answer; nil accepts any service.
  public var expectedRole: Role?
  /// The key it has to hold; nil accepts any.
  public var expectedKey: PublicKey?
  public var features: UInt64 = 0
  /// The longest body accepted from the other side.
  public var frameLimit = FrameHeader.bodyByteCountHardMax
  /// Rule sets we can replay.
  public var rules: [Digest] = []
  public var limits = ConnectionLimits()
  public var connectTimeoutMilliseconds = 2_000
  /// The first and the longest pause between two tries; each is shortened at random by up to half.
  public var pauseMilliseconds = 50...1_000

  public init(
    address: Address, network: Digest, role: Role, key: HandshakeKey?, expectedRole: Role? = nil,
    expectedKey: PublicKey? = nil
  ) {
    self.address = address
    self.network = network
    self.role = role
    self.key = key
    self.expectedRole = expectedRole
    self.expectedKey = expectedKey
  }
}

/// A connection we make, and make again for ever when it ends.
///
/// What was sent over one connection may be lost with it: after every `connected` the handler says
/// again what has not been answered. Every request of the protocol bears that.
public final class Peer: Sendable {
  private struct State {
    var channel: (any Channel)?
    var connection: Connection?
    var failure: ConnectionFailure?
    var tries = 0
    var isStarted = false
    var isStopped = false
  }

  private let configuration: PeerConfiguration
  private let handler: any PeerHandler
  private let loops: EventLoops
  private let loop: any EventLoop
  private let state = Mutex(State())

  public init(configuration: PeerConfiguration, handler: any PeerHandler, loops: EventLoops) {
    self.configuration = configuration
    self.handler = handler
    self.loops = loops
    loop = loops.group.next()
  }

  /// The connection as it stands; nil while there is none.
  public var connection: Connection? { state.withLock { $0.connection } }
  public var isConnected: Bool { connection != nil }
  /// Why the last try or connection ended; nil while one stands.
  public var failure: ConnectionFailure? { state.withLock { $0.failure } }
  public var address: Address { configuration.address }

  /// Begins to connect; returns at once.
  public func start() {
    let isFirst = state.withLock { state in
      defer { state.isStarted = true }
      return !state.isStarted
    }
    if isFirst { connect() }
  }

  /// Closes the connection and makes no other. Waits; never call it on an event loop.
  public func stop() {
    let channel = state.withLock { state in
      state.isStopped = true
      return state.channel
    }
    guard let channel else { return }
    // Closing what is closed already is no fault.
    do { try channel.close().wait() } catch {}
  }

  /// Sends a frame over the connection as it stands.
  /// - Returns: false when there is none, and as `Connection.send`.
  @discardableResult public func send(
    type: UInt16, flags: FrameFlags = [], blockLength: UInt16 = 0, requestID: UInt64 = 0,
    budget: UInt64 = 0, body: [UInt8] = []
  ) -> Bool {
    connection?.send(
      type: type, flags: flags, blockLength: blockLength, requestID: requestID, budget: budget,
      body: body) ?? false
  }

  /// - Returns: as `send`.
  @discardableResult public func sendMany(_ frames: some Collection<Frame>) -> Bool {
    connection?.sendMany(frames) ?? false
  }

  private func connect() {
    if state.withLock({ $0.isStopped }) { return }
    let bootstrap = ClientBootstrap(group: loop)
      .connectTimeout(.milliseconds(Int64(configuration.connectTimeoutMilliseconds)))
      .channelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture { try prepare(channel) }
      }
    let connecting =
      switch configuration.address {
      case .tcp(let host, let port): bootstrap.connect(host: host, port: Int(port))
      case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
      }
    connecting.whenComplete { [self] result in
      switch result {
      case .success(let channel):
        let isStopped = state.withLock { state in
          state.channel = channel
          return state.isStopped
        }
        if isStopped { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { [self] _ in retry() }
      case .failure(let error):
        failed(.transport("cannot connect to \(configuration.address): \(error)"))
        retry()
      }
    }
  }

  private func prepare(_ channel: any Channel) throws {
    if case .tcp = configuration.address {
      try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
    }
    let offer = SessionOffer(
      network: configuration.network, role: configuration.role, key: configuration.key,
      features: configuration.features, frameLimit: UInt32(configuration.frameLimit),
      rules: configuration.rules)
    try channel.pipeline.syncOperations.addHandler(
      SessionHandler(
        offer: offer,
        mode: .connecting(role: configuration.expectedRole, key: configuration.expectedKey),
        limits: configuration.limits, handler: Relay(self), failed: { [self] in failed($0) }))
  }

  private func failed(_ failure: ConnectionFailure) { state.withLock { $0.failure = failure } }

  private func retry() {
    let pause: Int? = state.withLock { state in
      state.channel = nil
      if state.isStopped { return nil }
      defer { state.tries += 1 }
      let bounds = configuration.pauseMilliseconds
      return min(bounds.upperBound, bounds.lowerBound << min(state.tries, 16))
    }
    guard let pause else { return }
    let shortened = Int64(Int.random(in: (pause / 2)...max(pause, 1)))
    loop.scheduleTask(in: .milliseconds(shortened)) { [self] in connect() }
  }

  /// Notes the connection before the handler hears of it.
  private final class Relay: ServerHandler {
    private let peer: Peer
    init(_ peer: Peer) { self.peer = peer }

    func connected(_ connection: Connection) {
      peer.state.withLock { state in
        state.connection = connection
        state.failure = nil
        state.tries = 0
      }
      peer.handler.connected(connection)
    }

    func received(_ frame: Frame, from connection: Connection) {
      peer.handler.received(frame, from: connection)
    }

    func received(_ frames: [Frame], from connection: Connection) {
      peer.handler.received(frames, from: connection)
    }

    func disconnected(_ connection: Connection) {
      peer.state.withLock { state in
        state.connection = nil
        state.failure = connection.failure
      }
      peer.handler.disconnected(connection)
    }
  }
}
