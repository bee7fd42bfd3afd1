import Client
import Commitments
import Glibc
import Primitives
import Testing
import Wire

@testable import CLI

/// A `TestNetwork` whose layers are started with options, settings and faults of a test's own.
final class RecoveryNetwork {
  let base: TestNetwork
  private(set) var layers: [String: LayerProcess] = [:]
  /// Every acknowledgement seen, with the bundle it is about.
  private(set) var acknowledged: [(leaf: Acknowledgement, bytes: [UInt8])] = []
  /// The one content of each acknowledgement group seen.
  private var groups: [UInt64: Digest] = [:]

  static let names = ["execution", "clearing", "settlement"]

  init(_ name: String) throws { base = try TestNetwork(name) }

  deinit { layers = [:] }

  var folder: String { base.folder }

  /// Starts a layer.
  /// - Parameters:
  ///   - fault: where it kills itself, `NAME@N`.
  ///   - peers: names instead of the usual ones.
  func start(
    _ name: String, program: String? = nil, data: String? = nil, fault: String? = nil,
    peers: [String]? = nil, more: [String] = []
  ) throws {
    let path = TestNetwork.programs + "/novate-\(program ?? name)"
    var arguments = [
      "--genesis", folder + "/genesis.json", "--data", data ?? "\(folder)/\(name)",
      "--listen", base.address(name),
    ]
    for peer in peers ?? TestNetwork.peers[name] ?? [] {
      arguments += ["--peer", base.address(peer)]
    }
    arguments += more
    if let fault { arguments = ["NOVATE_FAULT=\(fault)", path] + arguments }
    do {
      layers[name] = try LayerProcess(
        program: fault == nil ? path : "/usr/bin/env", arguments: arguments,
        logPath: "\(folder)/\(name).log")
    } catch ProcessFailure.notReady where fault != nil {
      // It killed itself before it could serve.
      layers[name] = nil
    }
  }

  func startAll() throws { for name in RecoveryNetwork.names { try start(name) } }

  func stop(_ name: String) throws {
    try layers[name]?.stop()
    layers[name] = nil
  }

  func stopAll() throws { for name in layers.keys.sorted() { try stop(name) } }

  /// Ends a layer at once.
  func kill(_ name: String) { layers[name] = nil }

  /// Whether a layer's process has ended by itself.
  func isDead(_ name: String) throws -> Bool {
    guard let pid = layers[name]?.pid else { return true }
    // Asked without reaping: the handle still waits for it.
    var information = unsafe siginfo_t()
    let status = unsafe waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT)
    try #require(status == 0)
    return unsafe information.si_signo == SIGCHLD
  }

  func status(_ name: String) throws -> JSONValue {
    try DemoQuery.status(try base.connect(name))
  }

  func state(_ name: String) throws -> String { try status(name).string(at: "state") }

  /// A layer that has recovered begins anew: for a moment nobody answers.
  func waitFor(_ name: String, toBe state: String) throws {
    try base.wait("\(name) \(state)") {
      do { return try self.state(name) == state } catch is ClientFailure { return false }
    }
  }

  // MARK: - Orders

  /// Submits a bundle and keeps what was promised.
  @discardableResult
  func submit(_ bundle: Bundle, _ connection: BlockingConnection) throws -> SubmittedMessage {
    let answer = try base.submit(bundle, connection)
    for item in answer.accepted { acknowledged.append((item.leaf, bundle.bytes)) }
    if answer.group.count > 0 {
      try #require(
        Ed25519.isValid(
          answer.signature, of: answer.group.id, by: base.genesis.execution.object))
      let known = groups.updateValue(answer.group.id, forKey: answer.group.number)
      #expect(
        known == nil || known == answer.group.id,
        "two contents for acknowledgement group \(answer.group.number)")
    }
    return answer
  }

  /// An order of a trader near the index, some of which meet.
  func order(_ number: Int) -> Bundle {
    base.bundle(
      [
        TestNetwork.order(
          (number + number / 8) % 2 == 0 ? .buy : .sell, 59_950 + Int64(number * 37 % 100))
      ],
      base.builder.traders[number % 8])
  }

  func trade(_ count: Int, _ connection: BlockingConnection) throws {
    for number in 0..<count {
      let answer = try submit(order(number), connection)
      try #require(answer.accepted.count == 1)
    }
  }

  // MARK: - What must hold

  /// Settles, exports, verifies; every acknowledged order stands where it was promised, and all
  /// layers tell the same story.
  func check(_ name: String) throws {
    let last = try #require(acknowledged.map(\.leaf.batch).max())
    try base.settle(through: last)
    let path = "\(folder)/\(name).nvb"
    let batches = try base.export(through: last, to: path)
    #expect(try base.verify(path) == 0)
    for item in acknowledged {
      let body = try BatchBody(batches[Int(item.leaf.batch.raw)].body)
      try #require(
        Int(item.leaf.index) < body.bundles.count, "batch \(item.leaf.batch) is too short")
      #expect(
        body.bundles[Int(item.leaf.index)].bytes == item.bytes,
        "batch \(item.leaf.batch), index \(item.leaf.index)")
    }
    // Execution signs its log anew for whoever asks: the ids must be those settlement was shown.
    for source in ["execution", "clearing"] {
      var next = 0
      try DemoQuery.log(try base.connect(source), .batches, through: last) { object in
        let batch = try SignedBatch(encoded: object.rawSpan)
        #expect(batch.header.id == batches[next].header.id, "\(source): batch \(next)")
        next += 1
      }
    }
  }

  /// Backs a running layer up, and later puts the copy into a new folder.
  func backup(_ name: String) throws -> String {
    let target = "\(folder)/\(name)-backup"
    #expect(
      try Command.run(
        TestNetwork.programs + "/novate", ["backup", "\(folder)/\(name)", target]) == 0)
    return target
  }

  func restore(_ name: String, from backup: String) throws -> String {
    let target = "\(folder)/\(name)-restored"
    #expect(
      try Command.run(TestNetwork.programs + "/novate", ["restore", backup, target]) == 0)
    return target
  }
}
