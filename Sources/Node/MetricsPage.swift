import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
public import Wire

/// What an operator's tools ask for over HTTP/1.1: `GET /metrics`, the Prometheus text format, and
/// `GET /health`, 200 while the layer takes new work, else 503 with the reason.
///
/// It changes nothing and tells nothing secret, but listens only where it was told to.
public final class MetricsPage: Sendable {
  /// Connections served at once; more are closed unanswered.
  static let connectionsMax = 32
  /// After this long without a request a connection is closed.
  static let idleLimit = TimeAmount.seconds(60)

  // Threads of its own: a connection held back by its reader must not silence the page.
  private let loops = EventLoops()
  private let metrics: Metrics
  private let trouble: @Sendable () -> String?
  private let channel = Mutex<(any Channel)?>(nil)
  private let open = Atomic<Int>(0)

  /// - Parameter trouble: why the layer takes no new work; nil while it does.
  public init(_ metrics: Metrics, trouble: @escaping @Sendable () -> String?) {
    self.metrics = metrics
    self.trouble = trouble
  }

  /// Where it really listens: port 0 has become a port. nil before `start`.
  public var address: Address? {
    channel.withLock { $0 }?.localAddress.flatMap { address in
      guard let host = address.ipAddress, let port = address.port else { return nil }
      return .tcp(host: host, port: UInt16(truncatingIfNeeded: port))
    }
  }

  /// Binds and begins to serve. Waits until bound; never call it on an event loop.
  /// - Throws: `NodeFailure`.
  public func start(at address: Address) throws(NodeFailure) {
    guard case .tcp(let host, let port) = address else {
      throw .configuration("--metrics: expected HOST:PORT, found \(address)")
    }
    let bootstrap = ServerBootstrap(group: loops.group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture { try admit(channel) }
      }
    do {
      let bound = try bootstrap.bind(host: host, port: Int(port)).wait()
      channel.withLock { $0 = bound }
    } catch {
      throw .cannotListen(address, reason: "\(error)")
    }
  }

  /// Stops listening and closes every connection. Call it once, on no event loop.
  public func stop() {
    let bound = channel.withLock { channel in
      defer { channel = nil }
      return channel
    }
    // Closing what is closed already is no fault.
    do { try bound?.close().wait() } catch {}
    loops.stop()
  }

  private func admit(_ channel: any Channel) throws {
    guard open.add(1, ordering: .relaxed).newValue <= MetricsPage.connectionsMax else {
      open.subtract(1, ordering: .relaxed)
      channel.close(promise: nil)
      return
    }
    channel.closeFuture.whenComplete { [self] _ in open.subtract(1, ordering: .relaxed) }
    let pipeline = channel.pipeline.syncOperations
    try pipeline.addHandler(IdleStateHandler(readTimeout: MetricsPage.idleLimit))
    try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
    try pipeline.addHandler(PageHandler { [self] in answer($0) })
  }

  private func answer(_ head: HTTPRequestHead) -> (HTTPResponseStatus, String) {
    guard head.method == .GET || head.method == .HEAD else {
      return (.methodNotAllowed, "expected GET, found \(head.method.rawValue)\n")
    }
    switch head.uri.prefix(while: { $0 != "?" }) {
    case "/metrics": return (.ok, metrics.exposition)
    case "/health":
      guard let reason = trouble() else { return (.ok, "ok\n") }
      return (.serviceUnavailable, reason + "\n")
    default: return (.notFound, "expected /metrics or /health\n")
    }
  }
}

/// Answers one request after the other.
private final class PageHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart
  private let answer: (HTTPRequestHead) -> (HTTPResponseStatus, String)
  private var head: HTTPRequestHead?

  init(_ answer: @escaping (HTTPRequestHead) -> (HTTPResponseStatus, String)) {
    self.answer = answer
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body: break
    case .end:
      guard let head else { return }
      self.head = nil
      respond(to: head, context)
    }
  }

  private func respond(to request: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let (status, text) = answer(request)
    let body = ByteBuffer(string: text)
    var head = HTTPResponseHead(version: request.version, status: status)
    head.headers.add(name: "content-type", value: "text/plain; version=0.0.4; charset=utf-8")
    head.headers.add(name: "content-length", value: "\(body.readableBytes)")
    if !request.isKeepAlive { head.headers.add(name: "connection", value: "close") }
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    if request.method != .HEAD {
      context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    }
    let done = context.eventLoop.makePromise(of: Void.self)
    if !request.isKeepAlive {
      let channel = context.channel
      done.futureResult.whenComplete { _ in channel.close(promise: nil) }
    }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }
}
