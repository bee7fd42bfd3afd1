import Glibc
import NIOCore
import NIOPosix
public import Primitives
import Synchronization
public import Wire

/// What a server needs to know.
public struct ServerConfiguration: Sendable {
  public var address: Address
  public var network: Digest
  public var role: Role
  public var key: HandshakeKey
  public var features: UInt64 = 0
  /// Connections served at once; more are told `tooManyConnections`.
  public var connectionsMax = 1024
  /// Connections served at once for one IP address. A Unix socket knows no addresses.
  public var connectionsPerPeerMax = 256
  /// The longest body accepted from a client.
  public var clientFrameLimit = FrameHeader.bodyByteCountDefaultMax
  /// The longest body accepted from a service that `admits` lets in.
  public var serviceFrameLimit = FrameHeader.bodyByteCountHardMax
  public var limits = ConnectionLimits()
  /// Whether a key may act in a role here; asked on event-loop threads for whoever names a key.
  public var admits: @Sendable (Role, PublicKey) -> Bool = { role, _ in role == .client }
  /// Connections the system may queue before they are accepted.
  public var backlog = 256

  public init(address: Address, network: Digest, role: Role, key: HandshakeKey) {
    self.address = address
    self.network = network
    self.role = role
    self.key = key
  }
}

/// Listens at one address and serves agreed-on connections to a handler.
public final class Server: Sendable {
  private let configuration: ServerConfiguration
  private let handler: any ServerHandler
  private let loops: EventLoops
  private let ownsLoops: Bool
  private let census: Census
  private let refusals = Atomic<UInt64>(0)

  private struct State {
    var channel: (any Channel)?
    var address: Address?
    var isStarted = false
  }
  private let state = Mutex(State())

  /// - Parameter loops: shared threads; nil makes one thread of its own.
  public init(
    configuration: ServerConfiguration, handler: any ServerHandler, loops: EventLoops? = nil
  ) {
    self.configuration = configuration
    self.handler = handler
    self.loops = loops ?? EventLoops()
    ownsLoops = loops == nil
    census = Census(
      total: configuration.connectionsMax, perPeer: configuration.connectionsPerPeerMax)
  }

  /// Where it really listens: port 0 has become a port. nil before `start`.
  public var address: Address? { state.withLock { $0.address } }
  /// Connections open, agreed on or not.
  public var connectionCount: Int { census.count }
  /// Connections that ended before there was an agreement.
  public var refusalCount: UInt64 { refusals.load(ordering: .relaxed) }

  /// Binds and begins to serve. Waits until bound; never call it on an event loop.
  /// - Throws: `NodeFailure`.
  public func start() throws(NodeFailure) {
    let isFirst = state.withLock { state in
      defer { state.isStarted = true }
      return !state.isStarted
    }
    guard isFirst else { throw .alreadyStarted }
    let channel = try bind()
    let real = realAddress(of: channel)
    state.withLock { state in
      state.channel = channel
      state.address = real
    }
  }

  /// Stops listening and closes every connection. Waits; never call it on an event loop.
  public func stop() {
    let channel = state.withLock { state in
      defer { state.channel = nil }
      return state.channel
    }
    if let channel {
      // Closing what is closed already is no fault.
      do { try channel.close().wait() } catch {}
      if case .unix(let path) = configuration.address { unsafe unlink(path) }
    }
    for connection in census.channels {
      do { try connection.close().wait() } catch {}
    }
    if ownsLoops { loops.stop() }
  }

  private func bind() throws(NodeFailure) -> any Channel {
    let address = configuration.address
    let bootstrap = ServerBootstrap(group: loops.group)
      .serverChannelOption(.backlog, value: Int32(configuration.backlog))
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture { try admit(channel) }
      }
    do {
      switch address {
      case .tcp(let host, let port):
        return try bootstrap.bind(host: host, port: Int(port)).wait()
      case .unix(let path):
        guard !isAlive(path) else { throw NodeFailure.addressInUse(address) }
        return try bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true)
          .wait()
      }
    } catch let failure as NodeFailure {
      throw failure
    } catch let error as IOError where error.errnoCode == EADDRINUSE {
      throw .addressInUse(address)
    } catch let error as IOError {
      throw .cannotListen(address, reason: unsafe String(cString: strerror(error.errnoCode)))
    } catch {
      throw .cannotListen(address, reason: "\(error)")
    }
  }

  /// Whether somebody answers at a socket file; a file left by a dead process may be replaced.
  private func isAlive(_ path: String) -> Bool {
    do {
      let channel = try ClientBootstrap(group: loops.group).connect(unixDomainSocketPath: path)
        .wait()
      try channel.close().wait()
      return true
    } catch {
      return false
    }
  }

  private func realAddress(of channel: any Channel) -> Address {
    guard case .tcp(let host, _) = configuration.address, let port = channel.localAddress?.port
    else { return configuration.address }
    return .tcp(host: host, port: UInt16(truncatingIfNeeded: port))
  }

  private func admit(_ channel: any Channel) throws {
    let isUnix = if case .unix = configuration.address { true } else { false }
    let peer = isUnix ? nil : channel.remoteAddress?.ipAddress
    let options = channel.syncOptions
    if !isUnix { try options?.setOption(.tcpOption(.tcp_nodelay), value: 1) }
    guard census.enter(channel, peer: peer) else {
      refusals.add(1, ordering: .relaxed)
      try channel.pipeline.syncOperations.addHandler(
        RefusalHandler(network: configuration.network))
      return
    }
    channel.closeFuture.whenComplete { [census] _ in census.leave(channel, peer: peer) }
    var offer = SessionOffer(
      network: configuration.network, role: configuration.role, key: configuration.key,
      features: configuration.features, frameLimit: UInt32(configuration.clientFrameLimit))
    offer.serviceFrameLimit = UInt32(configuration.serviceFrameLimit)
    try channel.pipeline.syncOperations.addHandler(
      SessionHandler(
        offer: offer,
        mode: .listening(admits: configuration.admits), limits: configuration.limits,
        handler: handler,
        failed: { [self] _ in refusals.add(1, ordering: .relaxed) }))
  }
}

/// Who is connected.
private final class Census: Sendable {
  private struct State {
    var channels: [ObjectIdentifier: any Channel] = [:]
    var perPeer: [String: Int] = [:]
  }
  private let state = Mutex(State())
  private let total: Int
  private let perPeer: Int

  init(total: Int, perPeer: Int) {
    self.total = total
    self.perPeer = perPeer
  }

  var count: Int { state.withLock { $0.channels.count } }
  var channels: [any Channel] { state.withLock { Array($0.channels.values) } }

  /// - Returns: false when there are too many.
  func enter(_ channel: any Channel, peer: String?) -> Bool {
    state.withLock { state in
      guard state.channels.count < total else { return false }
      if let peer {
        guard state.perPeer[peer, default: 0] < perPeer else { return false }
        state.perPeer[peer, default: 0] += 1
      }
      state.channels[ObjectIdentifier(channel)] = channel
      return true
    }
  }

  func leave(_ channel: any Channel, peer: String?) {
    state.withLock { state in
      state.channels[ObjectIdentifier(channel)] = nil
      guard let peer, let count = state.perPeer[peer] else { return }
      state.perPeer[peer] = count == 1 ? nil : count - 1
    }
  }
}

/// Tells a connection beyond the limits so, and closes it.
private final class RefusalHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  private var encoder: FrameEncoder

  init(network: Digest) { encoder = FrameEncoder(network: network) }

  func channelActive(context: ChannelHandlerContext) {
    let message = ErrorMessage(.tooManyConnections, "too many connections")
    var writer = ByteWriter()
    encoder.encode(
      Frame(type: SessionMessage.error, flags: .error, body: message.bytes), into: &writer)
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: writer.bytes)), promise: nil)
    context.close(mode: .output, promise: nil)
    let channel = context.channel
    channel.eventLoop.scheduleTask(in: .milliseconds(100)) { channel.close(promise: nil) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}
