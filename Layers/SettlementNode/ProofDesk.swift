import Clearing
import Commitments
import Logging
import Node
import Primitives
import Settlement
import Storage
import Wire

/// What takes long and needs nothing of the replayed state but what the replay thread gave it: proof
/// files, and witnesses' lines. A thread of its own, so that nobody's questions hold the replay back.
final class ProofDesk: @unchecked Sendable {
  // Sound to share: set in `init` or thread-safe.

  /// A proof asked for, and what of it only the replay thread knows.
  struct Question: Sendable {
    enum Subject: Sendable {
      case account(AccountProof)
      case decision(DecisionID)
    }
    let connection: Connection
    let requestID: UInt64
    let subject: Subject
    /// The place of the subject's batch in the log as it stands.
    let log: LogProof
  }

  enum Letter: Sendable {
    case proof(Question)
    case cosignature([UInt8], Connection)
  }

  private unowned let service: SettlementService
  private let box = MailBox<Letter>()
  private var thread: NamedThread?
  private var keeper: StateKeeper { service.keeper }
  /// Proofs asked for and not answered; both the replay thread's and this one's.
  let waiting = WaitingRequests(maximum: 64)
  /// A line is at most `cosignatureByteCountMax` long.
  private let cosignatures = WaitingRequests(maximum: 4_096)
  static let cosignatureByteCountMax = 4_096

  init(service: SettlementService) {
    self.service = service
    thread = NamedThread("proofs") { [unowned self] in self.run() }
  }

  func put(_ question: Question) { box.put(.proof(question)) }

  /// Takes a witness's line. One that finds no room is lost, as one on its way may be.
  func put(cosignature bytes: [UInt8], from connection: Connection) {
    if cosignatures.tryEnter() { box.put(.cosignature(bytes, connection)) }
  }

  func stop() {
    box.close()
    thread?.join()
  }

  private func run() {
    while true {
      let letters = box.takeAll()
      if letters.isEmpty { return }
      var lines: [(bytes: [UInt8], connection: Connection)] = []
      for letter in letters {
        switch letter {
        case .proof(let question):
          answer(question)
          waiting.leave()
        case .cosignature(let bytes, let connection): lines.append((bytes, connection))
        }
      }
      keep(lines)
      for _ in lines { cosignatures.leave() }
    }
  }

  // MARK: - Cosignatures

  /// Keeps witnesses' cosignatures of checkpoints we signed, in one transaction. A line that adds
  /// nothing is charged to its connection like a bad signature: looking at it cost as much.
  private func keep(_ lines: [(bytes: [UInt8], connection: Connection)]) {
    var held: [UInt64: [UInt8]] = [:]
    for (bytes, connection) in lines where !connection.isOvercharged {
      do {
        guard let (batch, after) = try added(bytes, held) else {
          connection.charge(badSignatures: 1)
          continue
        }
        held[batch] = after
      } catch {
        service.context.log.warning("refused a cosignature", metadata: ["error": "\(error)"])
        connection.charge(badSignatures: 1)
      }
    }
    guard !held.isEmpty else { return }
    let kept = held.sorted { $0.key < $1.key }
    do {
      try keeper.store.commit { (transaction) throws(StorageFailure) in
        for (batch, bytes) in kept { try transaction.put(.cosignature, batch, bytes) }
      }
    } catch {
      service.context.log.warning("cosignatures are not kept", metadata: ["error": "\(error)"])
    }
  }

  /// A batch's lines with those that are new in a message: one of each
  /// witness of genesis, over the checkpoint we signed. Nil if none is.
  private func added(_ bytes: [UInt8], _ held: [UInt64: [UInt8]]) throws
    -> (batch: UInt64, lines: [UInt8])?
  {
    let message = try CosignatureMessage(decoding: bytes.rawSpan)
    let (batch, text) = (message.batch.raw, message.lines)
    guard batch < service.published.raw,
      let checkpoint = try keeper.store.value(.checkpoint, batch),
      let own = service.keys.note(checkpoint)
    else { return nil }
    let note = try SignedNote(parsing: own + text)
    let verifiers = try service.context.genesis.witnesses.map {
      try NoteVerifier(name: $0.name, algorithm: .cosignature, key: $0.key)
    }
    let before = try held[batch] ?? keeper.store.value(.cosignature, batch) ?? []
    let known = try SignedNote(parsing: own + before).signatures
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
    guard !lines.signatures.isEmpty else { return nil }
    return (batch, before + Array(lines.serialized.utf8.dropFirst(note.text.utf8.count + 1)))
  }

  // MARK: - Proofs

  private func answer(_ question: Question) {
    do {
      guard let file = try file(question) else {
        question.connection.refuse(
          question.requestID, ErrorMessage(.notFound, "settlement does not know the subject"))
        return
      }
      question.connection.send(
        type: MessageType.proof, flags: .response, requestID: question.requestID, body: file)
    } catch {
      question.connection.refuse(question.requestID, ErrorMessage(.internalError, "\(error)"))
    }
  }

  private func file(_ question: Question) throws -> [UInt8]? {
    let (number, last) = (question.log.index, question.log.size - 1)
    guard let batchBytes = try stored(.events, number),
      let clearanceBytes = try stored(.clearance, number),
      try stored(.checkpoint, last) != nil, let text = try service.note(last)
    else { return nil }
    let batch = try SignedBatch(encoded: batchBytes.rawSpan)
    let clearance = try SignedClearance(encoded: clearanceBytes.rawSpan)
    let checkpoint = try SignedNote(parsing: text)
    let genesis = service.context.genesis
    switch question.subject {
    case .account(let proof):
      return BundleFileBuilder.account(
        genesis: genesis, proof: proof, clearance: clearance, log: question.log,
        checkpoint: checkpoint)
    case .decision(.auctionStart(let auction)):
      guard let receipts = try stored(.receipts, number),
        let kept = try keeper.store.value(.decisions, number),
        let proof = AuctionProof(
          ofStart: auction, in: receipts, try DecisionRecords(decoding: kept.rawSpan))
      else { return nil }
      return BundleFileBuilder.auctionStart(
        genesis: genesis, proof: proof, batch: batch, clearance: clearance, log: question.log,
        checkpoint: checkpoint)
    case .decision(.trade(let trade)):
      let receipts = try stored(.receipts, number) ?? []
      guard let proof = TradeProof(of: trade, in: try BatchBody(batch.body), receipts: receipts)
      else { return nil }
      return BundleFileBuilder.trade(
        genesis: genesis, proof: proof, decision: try decision(behind: proof.fill, batch.header),
        batch: batch, clearance: clearance, log: question.log, checkpoint: checkpoint)
    }
  }

  /// What directed a close; nil for any other fill, where the folder is older than the keeping of
  /// decisions, and where the account was repaid of a loss after the decision.
  private func decision(behind fill: Fill, _ header: ExecutionHeader) throws -> DecisionProof? {
    guard fill.causeCode == FillCause.close.rawValue, header.batch.raw > 0,
      header.creditBatch != ExecutionHeader.noCredit,
      let bytes = try stored(.events, header.batch.raw - 1)
    else { return nil }
    let before = try SignedBatch(encoded: bytes.rawSpan).header
    let first = before.creditBatch == ExecutionHeader.noCredit ? 0 : before.creditBatch.raw + 1
    var clearings: [ClearingHeader] = []
    for number in (first...max(first, header.creditBatch.raw)).reversed() {
      guard let clearance = try stored(.clearance, number),
        let receipts = try stored(.receipts, number)
      else { return nil }
      clearings.append(try SignedClearance(encoded: clearance.rawSpan).header)
      guard let place = DecisionProof.place(in: receipts, behind: fill) else { continue }
      guard !ClearingMachine.isRepaid(fill.taker, in: receipts, after: place),
        let kept = try keeper.store.value(.decisions, number),
        let witness = try DecisionRecords(decoding: kept.rawSpan).witness(of: fill.taker)
      else { return nil }
      return DecisionProof(
        executionBefore: before, clearings: clearings, receipts: receipts, place: place,
        witness: witness)
    }
    return nil
  }

  /// A stored value; the newest batches may still be on their way.
  private func stored(_ kind: RecordKind, _ batch: UInt64) throws -> [UInt8]? {
    for _ in 0..<200 {
      if batch < service.published.raw, let value = try keeper.store.value(kind, batch) {
        return value
      }
      sleepMilliseconds(5)
    }
    return nil
  }
}
