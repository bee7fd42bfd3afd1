import Client
import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

@Suite("sessions", .serialized)
struct SessionTests {
  private static func openOrders(_ network: TestNetwork, _ account: AccountID) throws -> Int {
    let frame = try network.connect("execution").request(
      type: MessageType.query, body: QueryMessage(.orders, subject: UInt64(account.raw)).encoded)
    return try JSONValue.parse(frame.body).array(at: "orders").count
  }

  /// Opens a session on a connection of its own, and leaves an order in the book by another.
  private static func session(_ network: TestNetwork, _ account: AccountID) throws
    -> BlockingConnection
  {
    let own = try network.connect("execution")
    let opened = try network.submit(
      network.bundle([.openSession(.instrument(.all))], account), own)
    #expect(opened.accepted.first?.leaf.outcomes.first?.status == .accepted)
    let other = try network.connect("execution")
    _ = try network.submit(network.bundle([TestNetwork.order(.buy, 59_000)], account), other)
    #expect(try openOrders(network, account) == 1)
    return own
  }

  @Test("when the connection goes the orders go, in a batch that verifies; others stay")
  func disconnects() throws {
    let network = try TestNetwork("session")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let (account, other) = (network.builder.traders[0], network.builder.traders[1])
    _ = try network.submit(network.bundle([TestNetwork.order(.buy, 58_000)], other), connection)
    var own: BlockingConnection? = try Self.session(network, account)
    #expect(own?.session.role == .execution)
    own = nil
    try network.wait("the session's orders to go") {
      try Self.openOrders(network, account) == 0
    }
    #expect(try Self.openOrders(network, other) == 1)
    let last = try network.submit(
      network.bundle([TestNetwork.order(.buy, 57_000)], other), connection)
    let batch = try #require(last.accepted.first).leaf.batch
    try network.settle(through: batch)
    let path = network.folder + "/session.nvb"
    let batches = try network.export(through: batch, to: path)
    #expect(try network.verify(path) == 0)
    let kinds = try batches.flatMap { try BatchBody($0.body).bundles.map { $0.record(0).kindCode } }
    #expect(kinds.count { $0 == ActionKind.disconnect.rawValue } == 1)
    try network.stopAll()
  }

  @Test("a process that starts again has lost every connection of the one before")
  func restarts() throws {
    let network = try TestNetwork("session-restart")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let account = network.builder.traders[0]
    let own = try Self.session(network, account)
    network.kill("execution")
    #expect(own.session.role == .execution)
    try network.start("execution")
    try network.wait("the session's orders to go") {
      try Self.openOrders(network, account) == 0
    }
    try network.stopAll()
  }
}
