import Client
import Glibc
import Node
import Primitives
import Synchronization
import Testing
import Wire

/// What `body` fails with.
private func failure(_ body: () throws(ClientFailure) -> Void) -> ClientFailure? {
  do throws(ClientFailure) {
    try body()
    return nil
  } catch {
    return error
  }
}

@Suite("Blocking client", .serialized) struct ClientTests {
  @Test(
    "requests are answered, one at a time and many ahead", arguments: [anyPort, socketAddress()])
  func requests(address: Address) throws {
    let server = Server(configuration: try configuration(address), handler: Recorder(isEcho: true))
    try server.start()
    defer { server.stop() }
    let connection = try BlockingConnection(
      to: try #require(server.address), network: network, role: .execution,
      key: try key(1).publicKey)
    #expect(connection.session.role == .execution)
    let answer = try connection.request(type: 100, body: [1, 2, 3])
    #expect(answer.body == [1, 2, 3])

    let ids = try (0..<5_000).map { try connection.send(type: 100, body: [UInt8($0 & 255)]) }
    let wanted = try connection.response(to: ids[2_500])
    #expect(wanted.body == [UInt8(2_500 & 255)])
    for id in ids where id != ids[2_500] {
      #expect(try connection.receive(timeoutMilliseconds: 5_000).requestID == id)
    }
  }

  @Test("more than any buffer holds goes both ways without a stand-still") func flood() throws {
    let server = Server(
      configuration: try configuration(anyPort), handler: Recorder(isEcho: true))
    try server.start()
    defer { server.stop() }
    let connection = try BlockingConnection(to: try #require(server.address), network: network)
    let body = [UInt8](repeating: 3, count: 1 << 20)
    for _ in 0..<40 { try connection.send(type: 100, body: body) }
    for id in 1...UInt64(40) {
      let frame = try connection.receive(timeoutMilliseconds: 10_000)
      #expect(frame.requestID == id && frame.body == body)
    }
  }

  @Test("each failure is one clear line") func failures() throws {
    let nowhere = Address.tcp(host: "127.0.0.1", port: 1)
    #expect(
      failure { () throws(ClientFailure) in
        _ = try BlockingConnection(to: nowhere, network: network)
      }?.description == "nobody listens at 127.0.0.1:1")
    let file = socketAddress()
    #expect(
      failure { () throws(ClientFailure) in
        _ = try BlockingConnection(to: file, network: network)
      } == .nobodyListens(file))

    let recorder = Recorder()
    let server = Server(configuration: try configuration(anyPort), handler: recorder)
    try server.start()
    defer { server.stop() }
    let address = try #require(server.address)
    #expect(
      failure { () throws(ClientFailure) in
        _ = try BlockingConnection(to: address, network: Bytes32((9, 2, 3, 4)))
      } == .frame(address, .wrongNetwork(expected: 9, found: 1)))
    let sameBeginning = Bytes32((1, 9, 9, 9))
    let refusal = failure { () throws(ClientFailure) in
      _ = try BlockingConnection(to: address, network: sameBeginning)
    }
    guard case .refused(_, let message) = refusal else {
      Issue.record("found \(String(describing: refusal))")
      return
    }
    #expect(message.code == .wrongNetwork)
    #expect(
      failure { () throws(ClientFailure) in
        _ = try BlockingConnection(to: address, network: network, role: .settlement)
      } == .handshake(address, .wrongRole(expected: .settlement, found: .execution)))

    let connection = try BlockingConnection(to: address, network: network)
    #expect(
      failure { () throws(ClientFailure) in
        _ = try connection.request(type: 100, timeoutMilliseconds: 50)
      } == .timeout(address, awaited: "an answer", milliseconds: 50))
    #expect(
      failure { () throws(ClientFailure) in
        try connection.send(type: 100, body: [UInt8](repeating: 0, count: 1 << 20 + 1))
      } == .tooLong(address, found: 1 << 20 + 1, limit: 1 << 20))
    let inner = try #require(recorder.heard.withLock { $0.connected.last })
    inner.refuse(1, ErrorMessage(.degraded, "no disk"))
    #expect(
      failure { () throws(ClientFailure) in _ = try connection.response(to: 1) }
        == .refused(address, ErrorMessage(.degraded, requestID: 1, "no disk")))
    inner.close(error: ErrorMessage(.notReady, "stopping"))
    #expect(
      failure { () throws(ClientFailure) in
        _ = try connection.receive(timeoutMilliseconds: 2_000)
      } == .refused(address, ErrorMessage(.notReady, "stopping")))
  }

  @Test("a listener that says nothing is given up on") func silence() throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutablePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = unsafe bind(descriptor, $0, size)
        _ = listen(descriptor, 1)
        _ = unsafe getsockname(descriptor, $0, &size)
      }
    }
    let address = Address.tcp(host: "127.0.0.1", port: UInt16(bigEndian: name.sin_port))
    #expect(
      failure { () throws(ClientFailure) in
        _ = try BlockingConnection(to: address, network: network, timeoutMilliseconds: 100)
      } == .timeout(address, awaited: "a handshake", milliseconds: 100))
  }
}
