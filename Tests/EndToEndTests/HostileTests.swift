import CSandbox
import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Testing
import Wire

@testable import CLI

/// Bad input of every kind against real processes: each gets its own error and changes nothing.
@Suite("hostile input", .serialized)
struct HostileTests {
  // MARK: - Frames

  @Test("each bad frame gets its own error, before the handshake and after, and closes no other")
  func frames() throws {
    let network = try TestNetwork("frames")
    try network.startAll()
    let connection = try network.connect("execution")
    for layer in ["execution", "clearing", "settlement"] {
      let path = String(network.address(layer).dropFirst("unix:".count))
      for bad in BadFrame.all {
        for isGreeted in [false, true] {
          let raw = try RawConnection(path, network: network.network)
          if isGreeted { try raw.greet(network.network) }
          let frame = Frame(
            type: isGreeted ? MessageType.query : SessionMessage.hello,
            body: [UInt8](repeating: 7, count: 48))
          raw.send(bad.bytes(of: frame, by: &raw.encoder))
          let farewell = try raw.farewell()
          #expect(farewell?.code == bad.code, "\(layer), \(bad.name), greeted: \(isGreeted)")
        }
      }
      // A frame cut short, and noise, leave nothing behind.
      let cut = try RawConnection(path, network: network.network)
      cut.send([0x4E, 0x56, 0x54, 0x31, 1, 0])
      let noise = try RawConnection(path, network: network.network)
      noise.send((0..<400).map { UInt8(truncatingIfNeeded: $0 &* 37) })
      #expect(try noise.farewell()?.code == .badFrame, "\(layer)")
    }
    #expect(try DemoQuery.status(connection).string(at: "state") == "serving")
    network.killAll()
  }

  @Test("a client of another network is told so")
  func otherNetwork() throws {
    let network = try TestNetwork("other")
    try network.start("execution")
    let found = #expect(throws: ClientFailure.self) {
      _ = try BlockingConnection(
        to: try Address(network.address("execution")), network: SHA256.digest([1]))
    }
    // The refusal's own frame bears the listener's network, so the client sees that first.
    switch found {
    case .frame(_, .wrongNetwork), .handshake(_, .refused), .refused: break
    default: Issue.record("\(String(describing: found))")
    }
    network.killAll()
  }

  @Test("requests that cannot be answered get a typed error, and the connection goes on")
  func requests() throws {
    let network = try TestNetwork("requests")
    try network.startAll()
    func refusal(_ layer: String, _ type: UInt16, _ body: [UInt8]) throws -> ErrorCode? {
      let connection = try network.connect(layer)
      defer { _ = try? DemoQuery.status(connection) }
      do {
        _ = try connection.request(type: type, body: body)
        return nil
      } catch {
        guard case .refused(_, let message) = error else { throw error }
        // Still there.
        #expect(try DemoQuery.status(connection).string(at: "network") == "\(network.network)")
        return message.code
      }
    }
    func query(_ kind: QueryMessage.Kind, _ subject: UInt64) -> [UInt8] {
      QueryMessage(kind, subject: subject).encoded
    }
    for (subject, code) in [
      (99, .notFound), (UInt64(UInt32.max), .notFound), (1 << 32, .malformed), (.max, .malformed),
    ] as [(UInt64, ErrorCode)] {
      for kind in [QueryMessage.Kind.book, .orders, .nonce] {
        #expect(try refusal("execution", MessageType.query, query(kind, subject)) == code)
      }
      #expect(try refusal("clearing", MessageType.query, query(.account, subject)) == code)
    }
    for layer in ["execution", "clearing", "settlement"] {
      #expect(try refusal(layer, MessageType.query, [9]) == .malformed, "\(layer)")
      #expect(try refusal(layer, MessageType.query, query(.status, 0) + [0]) == .malformed)
      #expect(try refusal(layer, MessageType.follow, [0, 0]) == .malformed, "\(layer)")
      #expect(try refusal(layer, 99, [1, 2, 3]) == .unknownType, "\(layer)")
    }
    #expect(try refusal("execution", MessageType.submit, [0, 0, 0, 0]) == .malformed)
    #expect(try refusal("execution", MessageType.submit, [255, 255, 255, 255]) == .malformed)
    #expect(try refusal("settlement", MessageType.prove, [1, 2, 3]) == .malformed)
    network.killAll()
  }

  // MARK: - Bundles

  @Test("each bad bundle gets its own refusal, and its nonce and everything else stay as they were")
  func bundles() throws {
    let network = try TestNetwork("bundles")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let account = network.builder.traders[0]
    let order = TestNetwork.order(.buy, 59_000)
    let now = TestNetwork.now.raw
    func made(
      _ actions: [Action], account: AccountID = account, nonce: UInt64 = 70,
      expiry: Int64 = now + 600_000, network id: Digest? = nil, by signer: AccountID = account
    ) -> [UInt8] {
      Bundle.signed(
        actions, account: account, nonce: nonce, expiry: Timestamp(raw: expiry),
        network: id ?? network.network, by: network.key(of: signer)
      ).bytes
    }
    let before = try network.standing(connection, account)
    var forged = made([order])
    forged[forged.count - 1] ^= 1
    var named = made([order], by: network.builder.traders[1])
    named.replaceSubrange(
      4..<36, with: network.key(of: account).publicKey.withBytes { $0.array })
    let rows: [(String, [UInt8], Refusal)] = [
      ("nothing", [], .malformed),
      ("a header alone", Array(made([order]).prefix(96)), .malformed),
      ("cut short", Array(made([order]).dropLast()), .malformed),
      ("a byte too many", made([order]) + [0], .malformed),
      ("an unknown account", made([order], account: AccountID(4_000)), .unknownAccount),
      ("another account's key", made([order], by: network.builder.traders[1]), .unknownKey),
      ("expired", made([order], expiry: now - 1_000), .expired),
      ("the oldest expiry", made([order], expiry: .min), .expired),
      ("an expiry too far", made([order], expiry: now + 90_000_000), .expiryTooFar),
      ("the farthest expiry", made([order], expiry: .max), .expiryTooFar),
      ("a flipped signature", forged, .badSignature),
      ("signed by another under this name", named, .badSignature),
      ("signed for another network", made([order], network: SHA256.digest([1])), .badSignature),
      ("no price", made([TestNetwork.order(.buy, 0)]), .malformed),
      ("a price below zero", made([TestNetwork.order(.buy, -5)]), .malformed),
    ]
    for (name, bytes, refusal) in rows {
      let answer = try network.submit(bytes, connection)
      #expect(answer.accepted.isEmpty && answer.refused.first?.refusal == refusal, "\(name)")
      #expect(answer.refused.first?.refusal?.isRetryable == false, "\(name)")
    }
    #expect(try network.standing(connection, account) == before)
    // The nonce is free for the first good bundle, and then for the same one alone.
    let good = made([order])
    let leaf = try #require(try network.submit(good, connection).accepted.first).leaf
    #expect(leaf.outcomes.first?.status == .accepted)
    #expect(try network.submit(good, connection).accepted.first?.leaf == leaf)
    let other = try network.submit(made([TestNetwork.order(.buy, 58_000)]), connection)
    #expect(other.refused.first?.refusal == .nonceUsed)
    let old = try network.submit(made([order], nonce: 5), connection)
    #expect(old.refused.first?.refusal == .nonceTooOld)
    network.killAll()
  }

  @Test("actions out of range are rejected one by one, each by its code, and the rest go on")
  func actions() throws {
    let network = try TestNetwork("actions")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let account = network.builder.traders[0]
    let before = try network.standing(connection, account, nonces: false)
    func place(
      _ instrument: UInt32 = 0, price: Int64 = 59_000 * Price.scale,
      quantity: Int64 = Quantity.scale / 10
    ) -> Action {
      .place(
        instrument: InstrumentID(instrument), side: .buy, price: Price(raw: price),
        quantity: Quantity(raw: quantity), timeInForce: .gtc, postOnly: false, reduceOnly: false,
        clientID: 0)
    }
    let zero = Bytes32.zero
    let rows: [(Action, OutcomeCode)] = [
      (place(999_999), .unknownInstrument), (place(.max), .unknownInstrument),
      (place(price: 59_000 * Price.scale + 1), .priceOffTick),
      (place(quantity: 1), .quantityOffLot),
      (place(price: .max / 1_000_000_000 * 1_000_000_000), .priceTooHigh),
      (place(quantity: 90_000_000_000 * Quantity.scale), .quantityTooLarge),
      (.cancel(instrument: InstrumentID(0), order: OrderID(.max)), .unknownOrder),
      (.cancelClient(instrument: InstrumentID(0), clientID: 5), .unknownOrder),
      (.withdraw(asset: AssetID(9_999), amount: Amount(raw: 1), destination: zero), .unknownAsset),
      (
        .withdraw(asset: .quote, amount: Amount(raw: .max), destination: zero), .insufficientBalance
      ),
      (
        .deposit(asset: .quote, amount: Amount(raw: 1), owner: zero, reference: 1 << 60),
        .notAuthorised
      ),
      (.release(withdrawal: 0, reference: zero), .notAuthorised),
      (
        .index(
          underlying: UnderlyingID(0), price: Price(raw: 1), time: TestNetwork.now, sequence: 9),
        .notAuthorised
      ),
      (.halt(instrument: InstrumentID(0), halted: true), .notAuthorised),
      (.resetProtection(UnderlyingID(0)), .noProtection),
      (
        .massQuote(MassQuote(underlying: UnderlyingID(60_000), entries: [], pullsOthers: true)),
        .unknownInstrument
      ),
      (.addKey(key: zero, markets: .all, expiry: Timestamp(raw: .max)), .badKey),
      (.revokeKey(key: SHA256.digest([3])), .unknownKey),
      (.revokeKey(key: network.key(of: account).publicKey), .outOfScope),
    ]
    let answer = try network.submit(network.bundle(rows.map(\.0), account), connection)
    let outcomes = try #require(answer.accepted.first).leaf.outcomes
    #expect(outcomes.count == rows.count)
    for (outcome, row) in zip(outcomes, rows) {
      #expect(outcome.status == .rejected && outcome.code == row.1.rawValue, "\(row.0)")
    }
    #expect(try network.standing(connection, account, nonces: false) == before)
    let good = try network.submit(
      network.bundle([place(999_999), place()], account), connection)
    #expect(good.accepted.first?.leaf.outcomes.map(\.status) == [.rejected, .accepted])
    network.killAll()
  }

  @Test("forged bundles in its name do not use up an account's rate")
  func rate() throws {
    let network = try TestNetwork("rate") { $0.bundlesPerSecondMax = 20 }
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let account = network.builder.traders[0]
    for round in 0..<4 {
      var forged: [[UInt8]] = []
      for _ in 0..<100 {
        var bytes = network.bundle([TestNetwork.order(.buy, 59_000)], account).bytes
        bytes[bytes.count - 1] ^= 1
        forged.append(bytes)
      }
      let good = network.bundle([TestNetwork.order(.buy, 59_000)], account).bytes
      let id = try connection.send(
        type: MessageType.submit, body: SubmitMessage(bundles: forged + [good]).encoded)
      var isTaken = false
      var refused = 0
      while !isTaken || refused < 100 {
        let body = try connection.response(to: id).body
        let answer = try SubmittedMessage(decoding: body.rawSpan)
        isTaken = isTaken || !answer.accepted.isEmpty
        for item in answer.refused {
          refused += 1
          try #require(item.refusal == .badSignature, "round \(round), bundle \(item.submission)")
        }
      }
    }
    network.killAll()
  }

  @Test("a connection that goes on with bad signatures is closed, and no other")
  func badSignatures() throws {
    let network = try TestNetwork("charged")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let account = network.builder.traders[0]
    let bundle = network.bundle([TestNetwork.order(.buy, 59_000)], account)
    let leaf = try #require(try network.submit(bundle, connection).accepted.first).leaf
    var replayed = bundle.bytes
    replayed[replayed.count - 1] ^= 1
    // A used nonce under a bad signature is told nothing of the first outcome.
    let answer = try network.submit(replayed, connection)
    #expect(answer.accepted.isEmpty && answer.refused.first?.refusal == .nonceUsed)
    let hostile = try network.connect("execution")
    var closed: ErrorCode?
    for _ in 0..<24 where closed == nil {
      do {
        let id = try hostile.send(
          type: MessageType.submit,
          body: SubmitMessage(bundles: Array(repeating: replayed, count: 100)).encoded)
        var refused = 0
        while refused < 100 {
          let body = try hostile.response(to: id).body
          refused += try SubmittedMessage(decoding: body.rawSpan).refused.count
        }
      } catch let failure as ClientFailure {
        guard case .refused(_, let message) = failure else { throw failure }
        closed = message.code
      }
    }
    #expect(closed == .unauthorised)
    #expect(try network.submit(bundle, connection).accepted.first?.leaf == leaf)
    network.killAll()
  }

  // MARK: - Folders and disks

  @Test("a folder of another network, role or user is refused by name before anything is signed")
  func folders() throws {
    let network = try TestNetwork("folders")
    try network.startAll()
    network.killAll()
    let other = try TestNetwork("strangers", seed: TestNetwork.seed + 1)
    func refused(_ layer: String, _ data: String, on network: TestNetwork, _ word: String) throws {
      #expect(throws: ProcessFailure.self) { try network.start(layer, data: data) }
      let log = try Files.read("\(network.folder)/\(layer).log", byteCountMax: 1 << 20)
      let text = String(decoding: log, as: UTF8.self)
      #expect(text.contains(word), "\(text)")
    }
    try refused("execution", network.folder + "/execution", on: other, "network")
    try refused("clearing", network.folder + "/execution", on: network, "role")
    // The folders are as good as before.
    try network.startAll()
    network.killAll()
  }

  @Test("a full disk makes a layer degraded; it serves, refuses new work, and goes on with room")
  func fullDisk() throws {
    for victim in ["execution", "clearing"] {
      let network = try TestNetwork("full-\(victim)")
      let disk = network.folder + "/" + victim
      try Files.makeFolder(disk, mode: 0o700)
      guard unsafe mount("tmpfs", disk, "tmpfs", 0, "size=96m") == 0 else {
        print("skipped: this process may not mount a small file system (error \(errno))")
        return
      }
      defer { _ = unsafe umount2(disk, Int32(MNT_DETACH)) }
      try Files.create(
        network.folder + "/config.json",
        Array(#"{"journal_segment_bytes": 20971520, "reserve_bytes": 4194304}"#.utf8))
      network.config = network.folder + "/config.json"
      try network.startAll()
      let connection = try network.connect("execution")
      try network.fund(connection)
      let account = network.builder.traders[0]
      var acknowledged: [(Acknowledgement, [UInt8])] = []
      func trade(_ price: Int64) throws -> ErrorMessage? {
        let bundle = network.bundle([TestNetwork.order(.buy, price)], account)
        do {
          let answer = try network.submit(bundle, connection)
          if let item = answer.accepted.first { acknowledged.append((item.leaf, bundle.bytes)) }
          if answer.refused.contains(where: { $0.refusal?.isRetryable == true }) {
            return ErrorMessage(.degraded)
          }
          return nil
        } catch let failure as ClientFailure {
          guard case .refused(_, let message) = failure else { throw failure }
          return message
        }
      }
      for price in 0..<10 { #expect(try trade(59_000 + Int64(price)) == nil) }
      let ballast = disk + "/ballast"
      network.fill(ballast)
      let observed = try network.connect(victim)
      try network.wait("\(victim) to be degraded") {
        try DemoQuery.status(observed).bool(at: "degraded")
      }
      // Reads go on, at the victim and elsewhere.
      #expect(try DemoQuery.status(observed).string(at: "state") == "serving")
      _ = try DemoQuery.account(try network.connect("clearing"), account)
      if victim == "execution" {
        let refusal = try #require(try trade(58_000))
        #expect(refusal.isRetryable, "\(refusal)")
      } else {
        // Execution goes on until it is too far ahead of what was cleared.
        try network.wait("execution to wait for clearing") { try trade(58_000) != nil }
      }
      _ = unsafe unlink(ballast)
      try network.wait("\(victim) to go on") {
        try !DemoQuery.status(observed).bool(at: "degraded")
      }
      try network.wait("new work") { try trade(58_500) == nil && !acknowledged.isEmpty }
      let last = try #require(acknowledged.last).0.batch
      try network.settle(through: last)
      let path = network.folder + "/all.nvb"
      let batches = try network.export(through: last, to: path)
      #expect(try network.verify(path) == 0)
      for (leaf, bytes) in acknowledged {
        let body = try BatchBody(batches[Int(leaf.batch.raw)].body)
        #expect(body.bundles[Int(leaf.index)].bytes == bytes, "batch \(leaf.batch)")
      }
      network.killAll()
    }
  }

  // MARK: - The verifier

  @Test("novate verify makes no socket: it runs where the kernel forbids one")
  func verifyWithoutSockets() throws {
    let holds = novate_socket_rule_holds()
    guard holds >= 0 else {
      print("skipped: this kernel sets no such rule for an unprivileged child")
      return
    }
    #expect(holds == 1, "a child under the rule made a socket")
    let network = try TestNetwork("sockets")
    try network.startAll()
    let connection = try network.connect("execution")
    try network.fund(connection)
    let leaf = try #require(
      try network.submit(
        network.bundle([TestNetwork.order(.buy, 59_000)], network.builder.traders[0]), connection
      ).accepted.first
    ).leaf
    try network.settle(through: leaf.batch)
    let path = network.folder + "/all.nvb"
    _ = try network.export(through: leaf.batch, to: path)
    func run(_ arguments: [String]) -> Int32 {
      let program = TestNetwork.programs + "/novate"
      var words = unsafe ([program] + arguments).map { unsafe strdup($0) }
      unsafe words.append(nil)
      defer { unsafe words.forEach { unsafe free($0) } }
      return unsafe novate_run_without_sockets(program, words)
    }
    #expect(run(["verify", path, "--genesis", "\(network.network)"]) == 0)
    #expect(run(["verify", path, "--genesis", "\(SHA256.digest([1]))"]) == 1)
    #expect(run(["compare", path, path]) == 0)
    // A command that asks a layer does not live under the rule.
    let status = run(["status", "--genesis", network.folder + "/genesis.json"])
    #expect(status == 128 + SIGSYS, "novate status ended with \(status)")
    network.killAll()
  }
}
