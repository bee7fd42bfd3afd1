import Commitments
import Glibc
import Node
import Primitives
import Synchronization
import Testing
import Wire

@Suite("Server and peer", .serialized) struct ServerTests {
  @Test("10 000 frames go both ways in order", arguments: [anyPort, socketAddress()])
  func echo(address: Address) throws {
    let count = 10_000
    let server = Server(configuration: try configuration(address), handler: Recorder(isEcho: true))
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
    for index in 0..<count {
      #expect(
        peer.send(
          type: 100, requestID: UInt64(index + 1),
          body: [UInt8](repeating: UInt8(index & 255), count: index % 300)))
    }
    #expect(eventually(20_000) { recorder.frameCount == count })
    let frames = recorder.frames
    #expect(frames.map(\.requestID) == (1...UInt64(count)).map { $0 })
    #expect(
      frames.enumerated().allSatisfy { index, frame in
        frame.flags == .response && frame.body.count == index % 300
          && frame.body.allSatisfy { $0 == UInt8(index & 255) }
      })
    #expect(eventually { peer.connection?.pendingByteCount == 0 })
    #expect(peer.connection?.role == .execution)
    #expect(peer.connection?.key == (try key(1).publicKey))
  }

  @Test("a long frame passes between services and not from clients") func longFrames() throws {
    let echo = Recorder(isEcho: true)
    let server = Server(configuration: try configuration(anyPort), handler: echo)
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
    let body = [UInt8](repeating: 7, count: 16 << 20)
    #expect(peer.send(type: 100, requestID: 1, body: body))
    #expect(eventually(20_000) { recorder.frameCount == 1 })
    #expect(recorder.frames.first?.body == body)

    let client = try RawSocket(port: try port(server))
    try client.greet()
    client.send(client.encoded(Frame(type: 100, body: [UInt8](repeating: 0, count: 1 << 20 + 1))))
    let farewell = try client.farewell()
    #expect(farewell.code == .tooLarge)
    #expect(farewell.figures == (1 << 20, 1 << 20 + 1))
  }

  @Test("an answer too long for its asker becomes an error") func answerTooLong() throws {
    let server = Server(
      configuration: try configuration(anyPort),
      handler: Recorder(onConnect: {
        $0.send(type: 100, flags: .response, requestID: 5, body: [UInt8](repeating: 0, count: 2048))
      }))
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet(frameLimit: 1024)
    let frame = try #require(try client.next())
    #expect(frame.requestID == 5)
    #expect(try ErrorMessage(frame.body.rawSpan).code == .tooLarge)
  }

  @Test("a peer connects again after the server's restart") func restart() throws {
    let address = socketAddress()
    let loops = EventLoops()
    defer { loops.stop() }
    let recorder = Recorder()
    let peer = Peer(
      configuration: try peerConfiguration(address), handler: recorder, loops: loops)
    peer.start()
    defer { peer.stop() }
    #expect(eventually { peer.failure != nil })
    #expect(!peer.send(type: 100))
    for round in 1...3 {
      let server = Server(
        configuration: try configuration(address), handler: Recorder(isEcho: true))
      try server.start()
      #expect(eventually { recorder.connectedCount == round })
      #expect(peer.send(type: 100, requestID: UInt64(round)))
      #expect(eventually { recorder.frameCount == round })
      server.stop()
      #expect(eventually { recorder.disconnectedCount == round && !peer.isConnected })
    }
  }

  @Test("a peer keeps away from the wrong role, key or network") func wrongPeers() throws {
    let echo = Recorder()
    let server = Server(configuration: try configuration(anyPort), handler: echo)
    try server.start()
    defer { server.stop() }
    let loops = EventLoops()
    defer { loops.stop() }
    func failure(_ change: (inout PeerConfiguration) throws -> Void) throws -> ConnectionFailure? {
      var configuration = try peerConfiguration(try #require(server.address))
      try change(&configuration)
      let peer = Peer(configuration: configuration, handler: Recorder(), loops: loops)
      peer.start()
      defer { peer.stop() }
      #expect(eventually { peer.failure != nil })
      return peer.failure
    }
    #expect(
      try failure { $0.expectedRole = .settlement }
        == .handshake(.wrongRole(expected: .settlement, found: .execution)))
    #expect(
      try failure { $0.expectedKey = try key(9).publicKey }
        == .handshake(
          .wrongKey(expected: try key(9).publicKey, found: try key(1).publicKey)))
    #expect(
      try failure { $0.network = Bytes32((9, 2, 3, 4)) }
        == .frame(.wrongNetwork(expected: 9, found: 1)))
    #expect(echo.connectedCount == 0)
  }

  @Test("a key that is not admitted is refused and says so") func unauthorised() throws {
    var strict = try configuration(anyPort)
    strict.admits = { _, _ in false }
    let recorder = Recorder()
    let server = Server(configuration: strict, handler: recorder)
    try server.start()
    defer { server.stop() }
    let loops = EventLoops()
    defer { loops.stop() }
    let peer = Peer(
      configuration: try peerConfiguration(try #require(server.address)), handler: Recorder(),
      loops: loops)
    peer.start()
    defer { peer.stop() }
    #expect(
      eventually {
        // The peer thinks it is connected until the refusal of its proof comes.
        guard case .handshake(.refused(let message)) = peer.failure else { return false }
        return message.code == .unauthorised
      })
    #expect(recorder.connectedCount == 0)
  }

  @Test(
    "a bad frame is answered, closes the connection and changes nothing", arguments: [8, 60, 70])
  func badFrame(offset: Int) throws {
    let recorder = Recorder()
    let server = Server(configuration: try configuration(anyPort), handler: recorder)
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    var bytes = client.encoded(
      Frame(type: 100, requestID: 1, body: [UInt8](repeating: 0, count: 9)))
    bytes[offset] ^= 16
    client.send(bytes)
    #expect(try client.farewell().code == .badFrame)
    #expect(eventually { recorder.disconnectedCount == 1 })
    #expect(recorder.frameCount == 0)
    guard case .frame = recorder.lastFailure else {
      Issue.record("found \(String(describing: recorder.lastFailure))")
      return
    }
  }

  @Test("session messages after the handshake are refused") func repeatedHello() throws {
    let server = Server(configuration: try configuration(anyPort), handler: Recorder())
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    client.send(client.encoded(Frame(type: SessionMessage.hello)))
    #expect(try client.farewell().code == .unknownType)
  }

  @Test("whoever sends a byte now and then is closed") func slowLoris() throws {
    var hasty = try configuration(anyPort)
    hasty.limits.frameTimeoutMilliseconds = 200
    hasty.limits.handshakeTimeoutMilliseconds = 200
    let server = Server(configuration: hasty, handler: Recorder())
    try server.start()
    defer { server.stop() }
    let silent = try RawSocket(port: try port(server))
    #expect(try silent.farewell().code == .timeout)

    let slow = try RawSocket(port: try port(server))
    try slow.greet()
    let bytes = slow.encoded(Frame(type: 100, body: [UInt8](repeating: 0, count: 64)))
    let start = Clock.monotonicNanoseconds
    for byte in bytes[..<20] {
      slow.send([byte])
      usleep(20_000)
    }
    #expect(try slow.farewell().code == .timeout)
    #expect(Clock.monotonicNanoseconds - start < 2_000_000_000)
    #expect(eventually { server.connectionCount == 0 })
  }

  @Test("whoever is silent is asked, then closed") func idle() throws {
    var hasty = try configuration(anyPort)
    hasty.limits.idleTimeoutMilliseconds = 200
    let server = Server(configuration: hasty, handler: Recorder())
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    #expect(try client.next()?.type == SessionMessage.ping)
    #expect(try client.farewell().code == .timeout)

    let loops = EventLoops()
    defer { loops.stop() }
    let recorder = Recorder()
    let peer = Peer(
      configuration: try peerConfiguration(try #require(server.address)), handler: recorder,
      loops: loops)
    peer.start()
    defer { peer.stop() }
    #expect(eventually { peer.isConnected })
    usleep(600_000)
    #expect(recorder.connectedCount == 1)
    #expect(recorder.disconnectedCount == 0)
  }

  @Test("connections beyond the limit are told so") func limit() throws {
    var narrow = try configuration(anyPort)
    narrow.connectionsMax = 4
    narrow.connectionsPerPeerMax = 3
    let server = Server(configuration: narrow, handler: Recorder())
    try server.start()
    defer { server.stop() }
    var kept: [RawSocket] = []
    for _ in 0..<3 {
      let socket = try RawSocket(port: try port(server))
      try socket.greet()
      kept.append(socket)
    }
    for _ in 0..<20 {
      #expect(try RawSocket(port: try port(server)).farewell().code == .tooManyConnections)
    }
    kept.removeLast()
    #expect(eventually { server.connectionCount == 2 })
    try RawSocket(port: try port(server)).greet()
  }

  @Test("reading stops at the limit of requests in flight, and goes on") func inFlight() throws {
    var narrow = try configuration(anyPort)
    narrow.limits.inFlightRequests = 8
    let recorder = Recorder()
    let server = Server(configuration: narrow, handler: recorder)
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    for id in 1...30 {
      // Long ones, so that one read does not bring them all.
      let body = [UInt8](repeating: 1, count: id <= 8 ? 0 : 20_000)
      if id == 9 { #expect(eventually { recorder.frameCount == 8 }) }
      client.send(client.encoded(Frame(type: 100, requestID: UInt64(id), body: body)))
    }
    usleep(100_000)
    let held = recorder.frameCount
    #expect(held < 8 + 8)
    let connection = try #require(recorder.heard.withLock { $0.connected.first })
    for id in 1...UInt64(8) { connection.send(type: 100, flags: .response, requestID: id) }
    #expect(eventually { recorder.frameCount > held })
    #expect(
      eventually {
        connection.finished()
        return recorder.frameCount == 30
      })
  }

  @Test("who never reads is closed before it costs more than its limit") func slowReader() throws {
    var narrow = try configuration(anyPort)
    narrow.limits.pendingByteCountSoftMax = 1 << 20
    narrow.limits.pendingByteCountMax = 8 << 20
    let recorder = Recorder()
    let server = Server(configuration: narrow, handler: recorder)
    try server.start()
    defer { server.stop() }
    let client = try RawSocket(port: try port(server))
    try client.greet()
    #expect(eventually { recorder.connectedCount == 1 })
    let connection = try #require(recorder.heard.withLock { $0.connected.first })
    let body = [UInt8](repeating: 0, count: 64 << 10)
    var sent = 0
    while connection.send(type: 100, body: body) && sent < 10_000 { sent += 1 }
    #expect(sent < 10_000)
    #expect(!connection.isWritable)
    #expect(eventually { recorder.disconnectedCount == 1 })
    guard case .slowReader = recorder.lastFailure else {
      Issue.record("found \(String(describing: recorder.lastFailure))")
      return
    }
  }

  @Test("an address in use is an error of its own; a dead socket file is not") func inUse() throws {
    let path = socketAddress()
    let first = Server(configuration: try configuration(path), handler: Recorder())
    try first.start()
    let second = Server(configuration: try configuration(path), handler: Recorder())
    #expect(throws: NodeFailure.addressInUse(path)) { try second.start() }
    second.stop()
    first.stop()

    let tcp = Server(configuration: try configuration(anyPort), handler: Recorder())
    try tcp.start()
    defer { tcp.stop() }
    let taken = try #require(tcp.address)
    let third = Server(configuration: try configuration(taken), handler: Recorder())
    #expect(throws: NodeFailure.addressInUse(taken)) { try third.start() }
    third.stop()

    guard case .unix(let file) = path else { return }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: file.utf8) }
    let status = unsafe withUnsafePointer(to: name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(status == 0)
    close(descriptor)
    let heir = Server(configuration: try configuration(path), handler: Recorder())
    try heir.start()
    heir.stop()
  }

  @Test("frames sent together from another thread arrive in order") func manySenders() throws {
    let recorder = Recorder()
    let server = Server(configuration: try configuration(socketAddress()), handler: recorder)
    try server.start()
    defer { server.stop() }
    let loops = EventLoops()
    defer { loops.stop() }
    let peer = Peer(
      configuration: try peerConfiguration(try #require(server.address)), handler: Recorder(),
      loops: loops)
    peer.start()
    defer { peer.stop() }
    #expect(eventually { peer.isConnected })
    let threads = (0..<4).map { sender in
      NamedThread("sender-\(sender)") {
        for index in 0..<500 {
          peer.sendMany(
            (0..<3).map { Frame(type: UInt16(100 + sender), budget: UInt64(index * 3 + $0)) })
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(eventually { recorder.frameCount == 6_000 })
    for sender in 0..<4 {
      let budgets = recorder.frames.filter { $0.type == UInt16(100 + sender) }.map(\.budget)
      #expect(budgets == (0..<1_500).map { UInt64($0) })
    }
  }
}
