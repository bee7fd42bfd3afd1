import Clearing
import Commitments
import Execution
import Instruments
import Primitives
import Settlement
import TestSupport
import Wire

/// Three layers in one process: a seeded day of deposits, prices, orders and an expiry, signed.
struct World {
  static let witnessKeys = [51, 52, 53]
  let genesis: Genesis
  let seed: UInt64
  private(set) var batches: [SignedBatch] = []
  private(set) var clearances: [SignedClearance] = []
  private(set) var receipts: [[UInt8]] = []
  private(set) var log = MerkleLog()
  private(set) var trades: [TradeID] = []
  private(set) var finalRoot: Digest = .zero
  private var nonces: [UInt64]
  private var random: Generator
  private var reference: UInt64 = 0

  init(seed: UInt64, count: Int = 16, quorum: Int64 = 0, name: String = "test") throws {
    var constants = Constants()
    constants.witnessQuorum = 0
    var genesis = TestWorld.genesis(
      clients: 4, instruments: TestWorld.instruments(expiry: 9_000), constants: constants)
    genesis.name = name
    genesis.witnesses = World.witnessKeys.map {
      Genesis.NoteKey(name: "witness/\($0)", key: TestWorld.key($0).publicKey)
    }
    genesis.constants.witnessQuorum = quorum
    precondition(genesis.fault == nil)
    self.genesis = genesis
    self.seed = seed
    random = Generator(seed: seed)
    nonces = Array(repeating: 0, count: genesis.accounts.count)
    try run(count)
  }

  private mutating func run(_ count: Int) throws {
    var execution = ExecutionMachine(genesis: genesis)
    var clearing = ClearingMachine(genesis: genesis)
    var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
    for number in 0..<count {
      let time = Timestamp(raw: TestWorld.start.raw + Int64(number) * 1_000)
      // Execution runs two batches ahead of what it has adopted.
      let adopted = max(0, grants.count - 2)
      try execution.openBatch(time: time, adopting: Array(grants[..<adopted]))
      grants.removeFirst(adopted)
      var outcomes: [Outcome] = []
      for bundle in bundles(number, time) { try execution.apply(bundle, into: &outcomes) }
      let (header, body) = execution.closeBatch()
      execution.seal()
      batches.append(
        SignedBatch(header: header, signature: TestWorld.key(1).sign(header.id), body: body))
      let decoded = try BatchBody(body)
      for index in 0..<decoded.eventCount where decoded.eventKind(index) == .fill {
        trades.append(decoded.event(index, as: Fill.self).trade)
      }
      let result = try clearing.apply(header, decoded)
      clearing.seal()
      receipts.append(result.receipts)
      clearances.append(
        SignedClearance(
          header: result.header, signature: TestWorld.key(2).sign(result.header.id),
          body: result.bodyBytes))
      log.append(leafHash: result.header.logLeaf)
      grants.append((result.header, result.body))
    }
    finalRoot = clearing.root
  }

  private mutating func sign(_ account: AccountID, _ actions: [Action], _ time: Timestamp)
    -> Bundle
  {
    nonces[account.index] += 1
    return Bundle.signed(
      actions, account: account, nonce: nonces[account.index],
      expiry: Timestamp(raw: time.raw + 60_000), network: genesis.networkID,
      by: TestWorld.ownerKey(account))
  }

  private mutating func bundles(_ number: Int, _ time: Timestamp) -> [Bundle] {
    var out: [Bundle] = []
    if number == 0 {
      for client in TestWorld.firstClient..<genesis.accounts.count {
        reference += 1
        out.append(
          sign(
            TestWorld.custodian,
            [
              .deposit(
                asset: .quote, amount: Amount(raw: 1_000_000_000_000),
                owner: genesis.accounts[client], reference: reference)
            ], time))
      }
      // One more owner, and an asset of its own.
      out.append(
        sign(
          TestWorld.custodian,
          [
            .deposit(
              asset: AssetID(1), amount: Amount(raw: 500_000_000),
              owner: genesis.accounts[TestWorld.firstClient], reference: 1)
          ], time))
    }
    let price = (1_000 + Int64(random.below(20))) * Price.scale
    for publisher in TestWorld.publishers.prefix(2) {
      out.append(
        sign(
          publisher,
          [
            .index(
              underlying: UnderlyingID(0), price: Price(raw: price), time: time,
              sequence: UInt64(number) + 1),
            .surface(
              underlying: UnderlyingID(0), expiry: Timestamp(raw: TestWorld.start.raw + 9_000),
              forward: Price(raw: price), parameters: TestWorld.smile(time: 9_000), time: time,
              sequence: UInt64(number) + 1),
          ], time))
    }
    for client in TestWorld.firstClient..<genesis.accounts.count where number > 3 {
      var actions: [Action] = []
      for instrument in [InstrumentID(0), InstrumentID(2)] {
        let around = instrument.raw == 0 ? 1_010 : 20
        actions.append(
          .place(
            instrument: instrument, side: random.chance(50) ? .buy : .sell,
            price: Price(raw: (Int64(around - 2) + Int64(random.below(5))) * Price.scale),
            quantity: Quantity(raw: Int64(1 + random.below(3)) * TestWorld.lot),
            timeInForce: .gtc, postOnly: false, reduceOnly: false, clientID: 0))
      }
      out.append(sign(AccountID(UInt32(client)), actions, time))
    }
    return out
  }

  // MARK: - Settlement

  /// A checkpoint of `size`, cosigned by the first witnesses.
  func checkpoint(_ size: Int, witnesses: Int = 0, root: Digest? = nil) throws -> SignedNote {
    var note = Checkpoint(
      origin: genesis.settlementNote.name, size: size, root: root ?? log.rootAt(size: size)
    ).note
    note.sign(
      with: TestWorld.key(4),
      as: try NoteVerifier(name: genesis.settlementNote.name, key: TestWorld.key(4).publicKey))
    for number in World.witnessKeys.prefix(witnesses) {
      note.cosign(
        with: TestWorld.key(number),
        as: try NoteVerifier(
          name: "witness/\(number)", algorithm: .cosignature,
          key: TestWorld.key(number).publicKey), at: TestWorld.start.raw / 1_000 + 20)
    }
    return note
  }

  // MARK: - Files

  var hash: FileVerifier { FileVerifier(pin: .hash(genesis.networkID)) }

  /// Replays up to `count` batches.
  func withReplay<R>(_ count: Int, _ body: (inout Replay) throws -> R) throws -> R {
    var replay = Replay(genesis: genesis)
    for index in 0..<count { try replay.apply(batches[index], clearances[index]) }
    return try body(&replay)
  }

  func range(
    _ first: Int = 0, checkpoints: [SignedNote]? = nil, preState: [UInt8]? = nil,
    batches: [SignedBatch]? = nil, clearances: [SignedClearance]? = nil
  ) throws -> [UInt8] {
    let state = try preState ?? (first > 0 ? withReplay(first) { $0.preState() } : nil)
    return BundleFileBuilder.range(
      genesis: genesis, preState: state, batches: batches ?? Array(self.batches[first...]),
      clearances: clearances ?? Array(self.clearances[first...]),
      checkpoints: try checkpoints ?? [checkpoint(self.batches.count)])
  }

  func proof(_ account: AccountID, at batch: Int) throws -> AccountProof {
    try withReplay(batch + 1) { $0.clearing.accountProof(account) }
  }

  func logProof(_ batch: Int) -> LogProof {
    LogProof(
      index: UInt64(batch), size: UInt64(log.count),
      path: log.inclusionProof(of: batch, size: log.count))
  }

  func accountFile(_ account: AccountID, proof: AccountProof? = nil, log: LogProof? = nil)
    throws -> [UInt8]
  {
    let batch = batches.count - 1
    return BundleFileBuilder.account(
      genesis: genesis, proof: try proof ?? self.proof(account, at: batch),
      clearance: clearances[batch], log: log ?? logProof(batch),
      checkpoint: try checkpoint(batches.count))
  }

  func tradeProof(_ trade: TradeID) throws -> (proof: TradeProof, batch: Int)? {
    for index in batches.indices {
      if let proof = TradeProof(
        of: trade, in: try BatchBody(batches[index].body), receipts: receipts[index])
      {
        return (proof, index)
      }
    }
    return nil
  }

  func tradeFile(_ trade: TradeID, changing: (inout TradeProof) -> Void = { _ in }) throws
    -> [UInt8]
  {
    guard let (honest, batch) = try tradeProof(trade) else { return [] }
    var proof = honest
    changing(&proof)
    return BundleFileBuilder.trade(
      genesis: genesis, proof: proof, batch: batches[batch], clearance: clearances[batch],
      log: logProof(batch), checkpoint: try checkpoint(batches.count))
  }

  /// Clearing signs a header of its own making.
  func forked(_ index: Int, _ change: (inout ClearingHeader) -> Void) -> SignedClearance {
    var header = clearances[index].header
    change(&header)
    return SignedClearance(
      header: header, signature: TestWorld.key(2).sign(header.id), body: clearances[index].body)
  }

  func evidence() throws -> [UInt8] {
    let fork = forked(5) { $0.postRoot = .zero }
    let other = try range(clearances: clearances.enumerated().map { $0 == 5 ? fork : $1 })
    guard case .equivocation(_, _, let file) = Comparison.compare(try range(), other) else {
      return []
    }
    return file
  }
}

extension BundleFile {
  /// The file again, hashes and all, with one section's payload changed.
  func resealed(_ type: SectionType, _ change: (inout [UInt8]) -> Void) -> [UInt8] {
    BundleFile.encoded(
      manifest,
      sections.dropFirst().map { section in
        var bytes = section.bytes
        if section.type == type { change(&bytes) }
        return (section.type, bytes)
      })
  }

  func without(_ type: SectionType) -> [UInt8] {
    BundleFile.encoded(
      manifest,
      sections.dropFirst().filter { $0.type != type }.map { ($0.type, $0.bytes) })
  }
}
