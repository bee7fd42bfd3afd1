import Clearing
import Commitments
import Execution
import Logging
import Node
import Primitives
import Settlement
import Storage
import Wire

/// A Clearance and whether clearing signed it.
private struct CheckedClearance {
  let clearance: SignedClearance
  let encoded: [UInt8]
  let fault: Difference?
}

/// The replay thread: pairs each batch with its Clearance, replays both, and signs.
final class ReplayDesk: @unchecked Sendable {
  // Sound to share: handed once to the replay thread, which alone uses it.
  private unowned let service: SettlementService
  private var book: SettlementBook
  private var batches: [UInt64: CheckedBatch] = [:]
  private var clearances: [UInt64: CheckedClearance] = [:]

  init(service: SettlementService, book: consuming SettlementBook) {
    self.service = service
    self.book = book
  }

  func run() {
    while true {
      for letter in service.box.takeAll() {
        switch letter {
        case .batch(let checked): take(checked)
        case .clearance(let clearance, let encoded): take(clearance, encoded)
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

  private func take(_ checked: CheckedBatch) {
    let number = checked.batch.header.batch
    guard book.refusal == nil else { return }
    // A body that does not decode leaves the signature unchecked.
    let isSigned =
      checked.fault?.field == "body"
      ? Ed25519.isValid(
        checked.batch.signature, of: checked.batch.header.id,
        by: service.context.genesis.execution.object)
      : checked.fault?.field != "signature"
    if isSigned, let first = firstBatch(number), first.id != checked.batch.header.id {
      contradict(
        .execution, number, first.encoded, checked.encoded, refused: checked.batch.header.id)
      return
    }
    // What came again after a reconnection is dropped.
    guard number >= book.replay.batch else { return }
    batches[number.raw] = checked
    if isSigned { service.pending.batches.put(number.raw, checked.encoded) }
  }

  /// What execution signed as this number before, if we have seen it.
  private func firstBatch(_ number: BatchNumber) -> (id: Digest, encoded: [UInt8])? {
    if let held = batches[number.raw], held.fault?.field != "signature" {
      return (held.batch.header.id, held.encoded)
    }
    guard number < book.replay.batch,
      let bytes = service.pending.batches[number.raw] ?? first(.events, number)
    else { return nil }
    do { return (try SignedBatch(encoded: bytes.rawSpan).header.id, bytes) } catch { return nil }
  }

  private func firstClearance(_ number: BatchNumber) -> (id: Digest, encoded: [UInt8])? {
    if let held = clearances[number.raw], held.fault == nil {
      return (held.clearance.header.id, held.encoded)
    }
    guard number < book.replay.batch,
      let bytes = service.pending.clearances[number.raw] ?? first(.clearance, number)
    else { return nil }
    do {
      return (try SignedClearance(encoded: bytes.rawSpan).header.id, bytes)
    } catch {
      return nil
    }
  }

  /// What is stored of a batch: it left `pending` only after it was.
  private func first(_ kind: RecordKind, _ number: BatchNumber) -> [UInt8]? {
    do {
      return try service.keeper.store.value(kind, number.raw)
    } catch {
      service.context.log.error("cannot read", metadata: ["error": "\(error)"])
      return nil
    }
  }

  /// One layer signed two contents for one number: nothing is settled after that, and both are kept.
  private func contradict(
    _ layer: Difference.Layer, _ number: BatchNumber, _ first: [UInt8], _ second: [UInt8],
    refused: Digest
  ) {
    let difference = Difference(
      layer, number, field: StoredRefusal.equivocation, expected: "one for batch \(number)",
      found: "\(refused)")
    refuse(
      StoredRefusal(
        difference, book.replay.batch, network: service.context.network, refused: refused,
        batch: first, clearance: second))
  }

  private func take(_ clearance: SignedClearance, _ encoded: [UInt8]) {
    let number = clearance.header.batch
    guard book.refusal == nil else { return }
    let fault = Signatures.fault(clearance, genesis: service.context.genesis)
    if fault == nil, let first = firstClearance(number), first.id != clearance.header.id {
      contradict(.clearing, number, first.encoded, encoded, refused: clearance.header.id)
      return
    }
    guard number >= book.replay.batch else { return }
    clearances[number.raw] = CheckedClearance(
      clearance: clearance, encoded: encoded, fault: fault)
    if fault == nil { service.pending.clearances.put(number.raw, encoded) }
  }

  private func settle() {
    while book.refusal == nil, let checked = batches[book.replay.batch.raw],
      let claim = clearances[book.replay.batch.raw]
    {
      let number = book.replay.batch
      batches[number.raw] = nil
      clearances[number.raw] = nil
      do throws(Difference) {
        // Execution's faults come first: what clearing made of a bad batch is no fault of clearing.
        if checked.fault == nil, let fault = claim.fault { throw fault }
        let settled = try book.settle(checked, claim.clearance, claim.encoded)
        service.wanted.set(number.raw + 1)
        service.commit(settled)
      } catch {
        freeze(error, number, checked, claim)
      }
    }
  }

  /// Refuses a batch: the first difference and what it was found in become durable, then the refusal
  /// is signed and told. Nothing is settled from here on, after a restart neither.
  private func freeze(
    _ difference: Difference, _ number: BatchNumber, _ checked: CheckedBatch,
    _ claim: CheckedClearance
  ) {
    let refusal = StoredRefusal(
      difference, number, network: service.context.network,
      refused: difference.layer == .execution
        ? checked.batch.header.id : claim.clearance.header.id,
      batch: checked.encoded, clearance: claim.encoded)
    refuse(refusal)
  }

  private func refuse(_ refusal: StoredRefusal) {
    book.refusal = refusal
    batches = [:]
    clearances = [:]
    service.commit(
      SettledBatch(
        durable: refusal.durable, batch: [], clearance: [], checkpoint: [], refusal: refusal))
  }

  // MARK: - Cosignatures

  /// Keeps a witness's cosignature of a checkpoint we signed: u64 batch, then the line. One line a
  /// witness; lines of others are dropped.
  private func keep(cosignature bytes: [UInt8]) {
    do {
      var reader = ByteReader(bytes.rawSpan)
      let batch: UInt64 = try reader.read()
      let text = try reader.array(reader.remaining)
      guard let checkpoint = try service.keeper.store.value(.checkpoint, batch),
        let own = service.keys.note(checkpoint)
      else { return }
      let note = try SignedNote(parsing: own + text)
      let verifiers = try service.context.genesis.witnesses.map {
        try NoteVerifier(name: $0.name, algorithm: .cosignature, key: $0.key)
      }
      let held = try service.keeper.store.value(.cosignature, batch) ?? []
      let known = try SignedNote(parsing: own + held).signatures
      var lines = try SignedNote(text: note.text)
      for witness in try note.verified(by: verifiers) {
        func isIts(_ line: NoteSignature) -> Bool {
          line.name == witness.name && line.keyID == witness.keyID
        }
        guard !known.contains(where: isIts), let line = note.signatures.first(where: isIts) else {
          continue
        }
        lines.append(line)
      }
      guard !lines.signatures.isEmpty else { return }
      let added = Array(lines.serialized.utf8.dropFirst(note.text.utf8.count + 1))
      try service.keeper.store.commit { (transaction) throws(StorageFailure) in
        try transaction.put(.cosignature, batch, held + added)
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
    let refusal = book.refusal?.reason ?? service.witness?.refusal
    let status = JSONValue.object([
      ("role", .string("\(service.context.role)")),
      ("network", .string("\(service.context.network)")),
      ("batch", .integer(book.replay.batch.raw)),
      ("time_ms", .integer(book.replay.clearing.time.raw)),
      ("execution_root", .string("\(book.replay.execution.root)")),
      ("root", .string("\(book.replay.clearing.root)")),
      ("log_size", .integer(book.log.count)),
      ("log_root", .string("\(book.log.root)")),
      ("bundles", .integer(book.replay.bundleCount)),
      ("trades", .integer(book.replay.clearing.tradeCount)),
      ("degraded", .bool(service.degraded.isSet)),
      ("cosigned", service.witness.map { .integer($0.count) } ?? .null),
      ("state", .string(refusal == nil ? "serving" : "frozen")),
      ("reason", refusal.map { .string($0) } ?? .null),
      ("frozen", book.refusal.map { $0.json(service.refusalSignature) } ?? .null),
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
    guard book.log.count > 0 else { return nil }
    let last = UInt64(book.log.count - 1)
    let number: UInt64
    switch question.kind {
    case .account: number = last
    case .trade:
      guard let place = book.tradeEnds.firstIndex(where: { $0 > question.subject }),
        question.subject >= 1
      else { return nil }
      number = UInt64(place)
    case .range, .evidence: return nil
    }
    guard let batchBytes = try stored(.events, number),
      let clearanceBytes = try stored(.clearance, number),
      try stored(.checkpoint, last) != nil, let text = try service.note(last)
    else { return nil }
    let path = book.log.inclusionProof(of: Int(number), size: book.log.count)
    let logProof = LogProof(index: number, size: UInt64(book.log.count), path: path)
    let batch = try SignedBatch(encoded: batchBytes.rawSpan)
    let clearance = try SignedClearance(encoded: clearanceBytes.rawSpan)
    let checkpoint = try SignedNote(parsing: text)
    let genesis = service.context.genesis
    if question.kind == .account {
      let proof = book.replay.clearing.accountProof(AccountID(UInt32(clamping: question.subject)))
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

  /// A stored value; the newest batches may still be on their way.
  private func stored(_ kind: RecordKind, _ batch: UInt64) throws -> [UInt8]? {
    for _ in 0..<200 {
      if batch < service.published.raw, let value = try service.keeper.store.value(kind, batch) {
        return value
      }
      sleepMilliseconds(5)
    }
    return nil
  }
}
