import Clearing
import Commitments
import Execution
import Logging
import Node
import Primitives
import Settlement
import Storage
import Wire

/// The replay thread: pairs each batch with its Clearance, replays both, and signs.
final class ReplayDesk: @unchecked Sendable {
  // Sound to share: handed once to the replay thread, which alone uses it.
  private unowned let service: SettlementService
  private var replay: Replay
  private var log: MerkleLog
  private var tradeEnds: [UInt64]
  private let keys: SettlementKeys
  private var batches: [UInt64: CheckedBatch] = [:]
  private var clearances: [UInt64: (clearance: SignedClearance, encoded: [UInt8])] = [:]
  private var frozen: Difference?

  init(service: SettlementService, start: consuming SettlementStart, keys: SettlementKeys) {
    self.service = service
    log = start.log
    tradeEnds = start.tradeEnds
    replay = start.replay
    self.keys = keys
  }

  func run() {
    while true {
      for letter in service.box.takeAll() {
        switch letter {
        case .batch(let checked): batches[checked.batch.header.batch.raw] = checked
        case .clearance(let clearance, let encoded):
          clearances[clearance.header.batch.raw] = (clearance, encoded)
        case .query(let query, let connection, let requestID):
          answer(query, connection, requestID)
        case .prove(let question, let connection, let requestID):
          prove(question, connection, requestID)
        case .cosignature(let bytes): keep(cosignature: bytes)
        case .stop: return
        }
        settle()
      }
    }
  }

  // MARK: - Settling

  private func settle() {
    while frozen == nil, let checked = batches[replay.batch.raw],
      let (clearance, encoded) = clearances[replay.batch.raw]
    {
      let number = replay.batch
      batches[number.raw] = nil
      clearances[number.raw] = nil
      do throws(Difference) {
        try settle(checked, clearance, encoded)
      } catch {
        freeze(error, number, checked, clearance)
      }
    }
    // What came again after a reconnection is dropped.
    if batches.count > 1_024 { batches = batches.filter { $0.key >= replay.batch.raw } }
    if clearances.count > 1_024 { clearances = clearances.filter { $0.key >= replay.batch.raw } }
  }

  private func settle(
    _ checked: CheckedBatch, _ clearance: SignedClearance, _ encoded: [UInt8]
  ) throws(Difference) {
    if let fault = checked.fault { throw fault }
    guard let body = checked.body else {
      preconditionFailure("a batch without a fault has a body")
    }
    if let fault = Signatures.fault(clearance, genesis: service.context.genesis) { throw fault }
    try replay.replayExecution(checked.batch, body)
    let clearingID = try replay.replayClearing(checked.batch, body, clearance)
    let delta = replay.delta()
    replay.seal()
    let leaf = clearance.header.logLeaf
    log.append(leafHash: leaf)
    tradeEnds.append(replay.execution.nextTrade.raw)
    let note = signedCheckpoint()
    let number = clearance.header.batch
    var node = ByteWriter(capacity: 40)
    node.write(leaf)
    node.write(replay.execution.nextTrade)
    var extra = ByteWriter(capacity: 256)
    extra.write(checked.batch.header.id)
    extra.write(clearingID)
    replay.clearing.log.encode(into: &extra)
    let isCheckpoint = (number.raw + 1) % StateKeeper.checkpointInterval == 0
    let durable = DurableBatch(
      batch: number,
      values: [
        (.events, checked.encoded), (.clearance, encoded), (.receipts, replay.receipts),
        (.delta, delta), (.checkpoint, note), (.logNodes, node.bytes),
      ],
      head: Head(
        seq: number.raw, term: UInt64(clearance.header.term),
        roots: [checked.batch.header.postRoot, clearance.header.postRoot],
        logSize: UInt64(log.count), logRoot: log.root, extra: extra.bytes),
      id: SHA256.digest(note), pages: isCheckpoint ? replay.takeDirtyPages() : nil)
    service.wanted.set(number.raw + 1)
    service.commit(
      SettledBatch(
        durable: durable, batch: checked.encoded, clearance: encoded, checkpoint: note))
  }

  /// The C2SP checkpoint of the log as it stands. The bytes leave only after the commit.
  private func signedCheckpoint() -> [UInt8] {
    let checkpoint = Checkpoint(
      origin: keys.noteVerifier.name, size: log.count, root: log.root)
    var note = checkpoint.note
    keys.note.withKey { note.sign(with: $0, as: keys.noteVerifier) }
    return Array(note.serialized.utf8)
  }

  /// Signs the refusal and names the first difference. Nothing is settled from here on.
  private func freeze(
    _ difference: Difference, _ number: BatchNumber, _ checked: CheckedBatch,
    _ clearance: SignedClearance
  ) {
    frozen = difference
    let refusal = Frozen(
      layer: difference.layer.rawValue, field: UInt32(difference.offset),
      network: service.context.network,
      lastGood: number.raw == 0 ? BatchNumber(.max) : BatchNumber(number.raw - 1), batch: number,
      refused: difference.layer == .execution ? checked.batch.header.id : clearance.header.id)
    let signature = keys.object.sign(refusal.id)
    let bytes = refusal.withBytes { $0.array }
    service.context.log.critical(
      "frozen",
      metadata: [
        "batch": "\(number)", "difference": "\(difference)",
        "frozen": "\(Hexadecimal.text(bytes.rawSpan))",
        "signature": "\(signature)",
      ])
  }

  // MARK: - Cosignatures

  /// Keeps a witness's cosignature of a checkpoint we signed: u64 batch, then the note's text.
  private func keep(cosignature bytes: [UInt8]) {
    do {
      var reader = ByteReader(bytes.rawSpan)
      let batch: UInt64 = try reader.read()
      let text = try reader.array(reader.remaining)
      guard let own = try service.keeper.store.value(.checkpoint, batch) else { return }
      let note = try SignedNote(parsing: own + text)
      let verifiers = try service.context.genesis.witnesses.map {
        try NoteVerifier(name: $0.name, algorithm: .cosignature, key: $0.key)
      }
      let valid = try note.verified(by: verifiers)
      guard !valid.isEmpty else { return }
      let held = try service.keeper.store.value(.cosignature, batch) ?? []
      let lines = String(decoding: held, as: UTF8.self)
      let added = String(decoding: text, as: UTF8.self)
      guard !lines.contains(added) else { return }
      try service.keeper.store.commit { (transaction) throws(StorageFailure) in
        try transaction.put(.cosignature, batch, held + text)
      }
    } catch {
      service.context.log.warning("refused a cosignature", metadata: ["error": "\(error)"])
    }
  }

  // MARK: - Queries

  private func answer(_ query: QueryMessage, _ connection: Connection, _ requestID: UInt64) {
    guard query.kind == .status else {
      connection.refuse(
        requestID, ErrorMessage(.notFound, "settlement answers status, follow and prove"))
      return
    }
    let status = JSONValue.object([
      ("role", .string("settlement")),
      ("network", .string("\(service.context.network)")),
      ("batch", .integer(replay.batch.raw)),
      ("time_ms", .integer(replay.clearing.time.raw)),
      ("execution_root", .string("\(replay.execution.root)")),
      ("root", .string("\(replay.clearing.root)")),
      ("log_size", .integer(log.count)),
      ("log_root", .string("\(log.root)")),
      ("bundles", .integer(replay.bundleCount)),
      ("trades", .integer(replay.clearing.tradeCount)),
      ("degraded", .bool(service.degraded.isSet)),
      ("state", .string(frozen == nil ? "serving" : "frozen")),
      ("reason", frozen.map { .string("\($0)") } ?? .null),
    ])
    connection.send(
      type: MessageType.answer, flags: .response, requestID: requestID, body: status.bytes())
  }

  // MARK: - Proofs

  /// Makes a small file that proves an account at the last batch, or a trade.
  private func prove(_ question: ProveMessage, _ connection: Connection, _ requestID: UInt64) {
    do {
      guard let file = try proof(question) else {
        connection.refuse(
          requestID,
          ErrorMessage(.notFound, "settlement does not know subject \(question.subject)"))
        return
      }
      connection.send(
        type: MessageType.proof, flags: .response, requestID: requestID, body: file)
    } catch {
      connection.refuse(requestID, ErrorMessage(.internalError, "\(error)"))
    }
  }

  private func proof(_ question: ProveMessage) throws -> [UInt8]? {
    guard log.count > 0 else { return nil }
    let store = service.keeper.store
    let last = UInt64(log.count - 1)
    let number: UInt64
    switch question.kind {
    case .account: number = last
    case .trade:
      guard let place = tradeEnds.firstIndex(where: { $0 > question.subject }),
        question.subject >= 1
      else { return nil }
      number = UInt64(place)
    case .range, .evidence: return nil
    }
    guard let batchBytes = try stored(.events, number),
      let clearanceBytes = try stored(.clearance, number),
      let note = try stored(.checkpoint, last)
    else { return nil }
    let cosignatures = try store.value(.cosignature, last) ?? []
    let path = log.inclusionProof(of: Int(number), size: log.count)
    let logProof = LogProof(index: number, size: UInt64(log.count), path: path)
    let batch = try SignedBatch(encoded: batchBytes.rawSpan)
    let clearance = try SignedClearance(encoded: clearanceBytes.rawSpan)
    let text = note + cosignatures
    let checkpoint = try SignedNote(parsing: text)
    let genesis = service.context.genesis
    if question.kind == .account {
      let proof = replay.clearing.accountProof(AccountID(UInt32(clamping: question.subject)))
      return BundleFileBuilder.account(
        genesis: genesis, proof: proof, clearance: clearance, log: logProof,
        checkpoint: checkpoint)
    }
    let receipts = try stored(.receipts, number) ?? []
    guard
      let proof = TradeProof(
        of: TradeID(question.subject), in: try BatchBody(batch.body), receipts: receipts)
    else { return nil }
    return BundleFileBuilder.trade(
      genesis: genesis, proof: proof, batch: batch, clearance: clearance, log: logProof,
      checkpoint: checkpoint)
  }

  /// A stored value; the newest batches may still be on their way to the database.
  private func stored(_ kind: RecordKind, _ batch: UInt64) throws -> [UInt8]? {
    for _ in 0..<200 {
      if let value = try service.keeper.store.value(kind, batch) { return value }
      sleepMilliseconds(5)
    }
    return nil
  }
}
