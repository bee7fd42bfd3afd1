import Glibc
import Logging
import Node
import Testing
import Wire

@Suite("The operator's page") struct MetricsPageTests {
  /// One request over a socket of its own; everything until the other end closes.
  private func get(_ path: String, _ address: Address, method: String = "GET") throws -> String {
    guard case .tcp(_, let port) = address else { throw NodeFailure.configuration("no port") }
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    try #require(file >= 0)
    defer { close(file) }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = unsafe withUnsafePointer(to: &name) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
    let request = Array("\(method) \(path) HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".utf8)
    let sent = unsafe request.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
    try #require(sent == request.count)
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = unsafe read(file, &chunk, chunk.count)
      if count <= 0 { break }
      text += chunk[..<count]
    }
    return String(decoding: text, as: UTF8.self)
  }

  @Test("metrics, health, and what is neither") func page() throws {
    let metrics = LayerMetrics()
    metrics.batch.set(41)
    let degraded = DegradedFlag()
    let page = MetricsPage(metrics.registry) { degraded.isSet ? "the disk is full" : nil }
    try page.start(at: .tcp(host: "127.0.0.1", port: 0))
    defer { page.stop() }
    let address = try #require(page.address)
    let text = try get("/metrics", address)
    #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(text.contains("\nnovate_batch 41\n"))
    #expect(try get("/health", address).hasSuffix("\r\n\r\nok\n"))
    degraded.set(
      .store, NodeFailure.configuration("full"),
      Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let sick = try get("/health", address)
    #expect(sick.hasPrefix("HTTP/1.1 503 ") && sick.hasSuffix("the disk is full\n"))
    #expect(try get("/", address).hasPrefix("HTTP/1.1 404 "))
    #expect(try get("/metrics", address, method: "POST").hasPrefix("HTTP/1.1 405 "))
    #expect(try get("nonsense\r\n", address).hasPrefix("HTTP/1.1 4"))
  }

  @Test("a taken port is said in one line") func taken() throws {
    let first = MetricsPage(Metrics()) { nil }
    try first.start(at: .tcp(host: "127.0.0.1", port: 0))
    defer { first.stop() }
    let second = MetricsPage(Metrics()) { nil }
    defer { second.stop() }
    let address = try #require(first.address)
    #expect(throws: NodeFailure.self) { try second.start(at: address) }
    #expect(throws: NodeFailure.self) { try second.start(at: .unix(path: "/tmp/x")) }
  }
}
