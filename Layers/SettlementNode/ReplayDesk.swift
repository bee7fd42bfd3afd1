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
  /// Until when clearing may show which batch it cleared, where that is not the one we were shown.
  private var doubtEnd: UInt64?
  private static let doubtNanoseconds: UInt64 = 5_000_000_000

  init(service: SettlementService, book: consuming SettlementBook) {
    self.service = service
    self.book = book
  }

  func run() {
    while true {
      let letters = service.box.takeAll(until: doubtEnd)
      if letters.isEmpty { settle() }
      for letter in letters {
        switch letter {
        case .batch(let checked): take(checked)
        case .shown(let batch, let encoded): take(shown: batch, encoded)
        case .clearance(let clearance, let encoded): take(clearance, encoded)
        case .query(let query, let connection, let requestID):
          answer(query, connection, requestID)
          service.queries.leave()
        case .prove(let question, let connection, let requestID):
          prove(question, connection, requestID)
        case .promise(let promise, let connection, let requestID):
          judge(promise, connection, requestID)
          service.queries.leave()
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
    guard isWanted(number) else { return }
    batches[number.raw] = checked
    if isSigned { service.pending.batches.put(number.raw, checked.encoded) }
  }

  /// What came again after a reconnection is dropped, and what nobody asked for yet.
  private func isWanted(_ number: BatchNumber) -> Bool {
    let next = book.replay.batch.raw
    return number.raw >= next && number.raw - next < LogWindow.batchCount
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

  /// Holds an acknowledgement against the batch it names. A broken one is a second word of
  /// execution's as much as a second header is.
  private func judge(
    _ promise: SignedAcknowledgement, _ connection: Connection, _ requestID: UInt64
  ) {
    let (number, index) = (promise.leaf.batch, promise.leaf.index)
    guard number < book.replay.batch, book.refusal == nil,
      let bytes = service.pending.batches[number.raw] ?? first(.events, number)
    else {
      connection.refuse(
        requestID,
        book.refusal == nil
          ? ErrorMessage(.busy, "batch \(number) is not settled yet")
          : ErrorMessage(.notFound, "nothing is judged after a refusal"))
      return
    }
    do throws(DecodingFailure) {
      let batch = try SignedBatch(encoded: bytes.rawSpan)
      let breach = try promise.breach(by: batch, network: service.context.network)
      connection.send(
        type: MessageType.judged, flags: .response, requestID: requestID,
        body: JudgedMessage(batch: number, index: index, isKept: breach == nil).encoded)
      guard let breach else { return }
      let difference = Difference(
        .execution, number, field: StoredRefusal.brokenPromise,
        expected: "bundle \(promise.leaf.bundle) at place \(index) of batch \(number)",
        found: "another or none")
      refuse(
        StoredRefusal(
          difference, book.replay.batch, network: service.context.network,
          refused: batch.header.id, batch: breach.first, clearance: breach.second))
    } catch {
      connection.refuse(requestID, ErrorMessage(.internalError, "\(error)"))
    }
  }

  private func take(_ clearance: SignedClearance, _ encoded: [UInt8]) {
    let number = clearance.header.batch
    guard book.refusal == nil else { return }
    let fault = Signatures.fault(clearance, genesis: service.context.genesis)
    if fault == nil, let first = firstClearance(number), first.id != clearance.header.id {
      contradict(.clearing, number, first.encoded, encoded, refused: clearance.header.id)
      return
    }
    guard isWanted(number) else { return }
    clearances[number.raw] = CheckedClearance(
      clearance: clearance, encoded: encoded, fault: fault)
    if fault == nil { service.pending.clearances.put(number.raw, encoded) }
  }

  private func settle() {
    while book.refusal == nil, let checked = batches[book.replay.batch.raw],
      let claim = clearances[book.replay.batch.raw]
    {
      let number = book.replay.batch
      if isDoubtful(checked, claim) { return }
      doubtEnd = nil
      batches[number.raw] = nil
      clearances[number.raw] = nil
      do throws(Difference) {
        // Execution's faults come first: what clearing made of a bad batch is no fault of clearing.
        if checked.fault == nil, let fault = claim.fault { throw fault }
        let settled = try book.settle(checked, claim.clearance, claim.encoded)
        service.settled(through: number)
        service.commit(settled)
      } catch {
        freeze(error, number, checked, claim)
      }
    }
  }

  /// Whether clearing cleared another batch of this number than execution showed us, and may still
  /// show it. If execution signed both, execution is to blame; if nobody shows one, clearing names
  /// what was never signed.
  private func isDoubtful(_ checked: CheckedBatch, _ claim: CheckedClearance) -> Bool {
    let header = checked.batch.header
    guard checked.fault == nil, claim.fault == nil, claim.clearance.header.execution != header.id
    else { return false }
    if let doubtEnd { return Clock.monotonicNanoseconds < doubtEnd }
    doubtEnd = Clock.monotonicNanoseconds + ReplayDesk.doubtNanoseconds
    service.showBatch(header.batch)
    return true
  }

  /// Takes a batch execution signed, as clearing was shown it.
  private func take(shown batch: SignedBatch, _ encoded: [UInt8]) {
    let number = batch.header.batch
    guard book.refusal == nil, doubtEnd != nil, number == book.replay.batch,
      let first = firstBatch(number)
    else { return }
    if first.id != batch.header.id {
      contradict(.execution, number, first.encoded, encoded, refused: batch.header.id)
    } else {
      // The same as ours: what the Clearance names is of clearing's making.
      doubtEnd = 0
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
    doubtEnd = nil
    service.commit(
      SettledBatch(
        durable: refusal.durable, batch: [], clearance: [], checkpoint: [], refusal: refusal))
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

  /// Takes what a proof needs of the replayed state; the rest is the proof desk's.
  private func prove(_ question: ProveMessage, _ connection: Connection, _ requestID: UInt64) {
    guard let (subject, log) = subject(of: question) else {
      connection.refuse(
        requestID,
        ErrorMessage(.notFound, "settlement does not know subject \(question.subject)"))
      service.proofs.waiting.leave()
      return
    }
    service.proofs.put(
      ProofDesk.Question(connection: connection, requestID: requestID, subject: subject, log: log))
  }

  private func subject(of question: ProveMessage) -> (ProofDesk.Question.Subject, LogProof)? {
    let size = book.log.count
    guard size > 0 else { return nil }
    func place(_ number: Int) -> LogProof {
      LogProof(
        index: UInt64(number), size: UInt64(size),
        path: book.log.inclusionProof(of: number, size: size))
    }
    switch question.kind {
    case .account:
      let account = AccountID(UInt32(clamping: question.subject))
      return (.account(book.replay.clearing.accountProof(account)), place(size - 1))
    case .trade:
      let decision = DecisionID(subject: question.subject)
      let batch =
        switch decision {
        case .trade(let trade): trade.raw >= 1 ? book.batch(ofTrade: trade.raw) : nil
        case .auctionStart(let number): book.batch(ofAuction: number)
        }
      return batch.map { (.decision(decision), place($0)) }
    case .range, .evidence: return nil
    }
  }
}
