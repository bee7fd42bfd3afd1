public import Clearing
public import Commitments
import Execution
public import Primitives
public import Wire

/// Makes bundle files.
public enum BundleFileBuilder {
  /// Batches one after the other, whole, with their Clearances and the checkpoints over them.
  ///
  /// - Parameters:
  ///   - preState: `Replay.preState()` before the first batch; needed unless that is batch 0.
  ///   - checkpoints: serialized notes.
  /// - Precondition: as many Clearances as batches, at least one.
  public static func range(
    genesis: Genesis, preState: [UInt8]? = nil, batches: [SignedBatch],
    clearances: [SignedClearance], checkpoints: [SignedNote]
  ) -> [UInt8] {
    precondition(!batches.isEmpty && batches.count == clearances.count)
    var sections: [(type: SectionType, bytes: [UInt8])] = [(.genesis, genesis.encoded)]
    if let preState { sections.append((.preState, preState)) }
    sections.append((.batches, list(batches.map(\.encoded))))
    sections.append((.clearances, list(clearances.map(\.encoded))))
    if !checkpoints.isEmpty { sections.append((.checkpoints, notes(checkpoints))) }
    return BundleFile.encoded(
      BundleFile.Manifest(
        kind: .range, network: genesis.networkID, first: batches[0].header.batch,
        last: batches[batches.count - 1].header.batch), sections)
  }

  /// One account, or its absence, under one clearing header.
  public static func account(
    genesis: Genesis, proof: AccountProof, clearance: SignedClearance, log: LogProof?,
    checkpoint: SignedNote?
  ) -> [UInt8] {
    var sections: [(type: SectionType, bytes: [UInt8])] = [
      (.genesis, genesis.encoded), (.clearances, list([head(clearance)])),
      (.accountProof, proof.encoded),
    ]
    append(log, checkpoint, to: &sections)
    return BundleFile.encoded(
      BundleFile.Manifest(
        kind: .account, network: genesis.networkID, first: clearance.header.batch,
        last: clearance.header.batch, subject: UInt64(proof.account.raw)), sections)
  }

  /// One trade under the headers of its batch.
  /// - Parameter decision: of a close that clearing directed.
  public static func trade(
    genesis: Genesis, proof: TradeProof, decision: DecisionProof? = nil, batch: SignedBatch,
    clearance: SignedClearance, log: LogProof?, checkpoint: SignedNote?
  ) -> [UInt8] {
    var sections: [(type: SectionType, bytes: [UInt8])] = [
      (.genesis, genesis.encoded), (.batches, list([head(batch)])),
      (.clearances, list([head(clearance)])), (.tradeProof, proof.encoded),
    ]
    if let decision { sections.append((.decisionProof, decision.encoded)) }
    append(log, checkpoint, to: &sections)
    return BundleFile.encoded(
      BundleFile.Manifest(
        kind: .trade, network: genesis.networkID, first: batch.header.batch,
        last: batch.header.batch, subject: proof.fill.trade.raw), sections)
  }

  /// Why an auction began, under the headers of that batch.
  public static func auctionStart(
    genesis: Genesis, proof: AuctionProof, batch: SignedBatch, clearance: SignedClearance,
    log: LogProof?, checkpoint: SignedNote?
  ) -> [UInt8] {
    var sections: [(type: SectionType, bytes: [UInt8])] = [
      (.genesis, genesis.encoded), (.batches, list([head(batch)])),
      (.clearances, list([head(clearance)])), (.auctionProof, proof.encoded),
    ]
    append(log, checkpoint, to: &sections)
    return BundleFile.encoded(
      BundleFile.Manifest(
        kind: .trade, network: genesis.networkID, first: batch.header.batch,
        last: batch.header.batch, subject: DecisionID.auctionStart(proof.receipt.id).subject),
      sections)
  }

  /// Two headers of one role for one batch.
  public static func evidence(
    genesis: Genesis, _ evidence: EquivocationEvidence, batch: BatchNumber
  ) -> [UInt8] {
    BundleFile.encoded(
      BundleFile.Manifest(
        kind: .evidence, network: genesis.networkID, first: batch, last: batch,
        subject: UInt64(evidence.layer)),
      [(.genesis, genesis.encoded), (.evidence, evidence.encoded)])
  }

  /// header || signature, as proofs and evidence carry them.
  public static func head(_ batch: SignedBatch) -> [UInt8] {
    var out = ByteWriter(capacity: ExecutionHeader.byteCount + Signature.byteCount)
    out.write(record: batch.header)
    out.write(batch.signature)
    return out.bytes
  }

  public static func head(_ clearance: SignedClearance) -> [UInt8] {
    var out = ByteWriter(capacity: ClearingHeader.byteCount + Signature.byteCount)
    out.write(record: clearance.header)
    out.write(clearance.signature)
    return out.bytes
  }

  private static func list(_ objects: [[UInt8]]) -> [UInt8] {
    var out = ByteWriter(capacity: objects.reduce(0) { $0 + $1.count + 4 })
    for object in objects { ObjectList.append(object, to: &out) }
    return out.bytes
  }

  private static func notes(_ checkpoints: [SignedNote]) -> [UInt8] {
    list(checkpoints.map { Array($0.serialized.utf8) })
  }

  private static func append(
    _ log: LogProof?, _ checkpoint: SignedNote?,
    to sections: inout [(type: SectionType, bytes: [UInt8])]
  ) {
    if let checkpoint { sections.append((.checkpoints, notes([checkpoint]))) }
    if let log { sections.append((.logProof, log.encoded)) }
  }
}

extension DecisionProof {
  /// The proof of a decision from its batch's receipts, each 128 bytes.
  public init(
    executionBefore: ExecutionHeader, clearings: [ClearingHeader], receipts: [UInt8], place: Int,
    witness: MarginWitness
  ) {
    let packed = receipts
    self.init(
      executionBefore: executionBefore, clearings: clearings,
      receipt: Receipt(packed.rawSpan, at: place * Receipt.byteCount),
      receiptIndex: UInt64(place),
      receiptPath: MerkleLog.branch(
        ofLeafHashes: ClearingMachine.receiptLeaves(packed), index: place),
      witness: witness)
  }

  /// The place among packed receipts of the decision that a directed close carries out.
  public static func place(in receipts: [UInt8], behind fill: Fill) -> Int? {
    let packed = receipts
    return (0..<packed.count / Receipt.byteCount).first {
      let receipt = Receipt(packed.rawSpan, at: $0 * Receipt.byteCount)
      return receipt.kind == .close && receipt.buyer == fill.taker
        && receipt.instrument == fill.instrument
    }
  }
}

extension AuctionProof {
  /// The proof from the receipts of the auction's first batch, and what its decisions went by; nil where
  /// the auction did not begin there, or the account was repaid of a loss after it.
  public init?(ofStart number: UInt64, in receipts: [UInt8], _ records: DecisionRecords) {
    let packed = receipts
    let found = stride(from: 0, to: packed.count, by: Receipt.byteCount).first {
      let receipt = Receipt(packed.rawSpan, at: $0)
      return receipt.kind == .auctionStart && receipt.id == number
    }
    guard let found else { return nil }
    let receipt = Receipt(packed.rawSpan, at: found)
    let place = found / Receipt.byteCount
    guard !ClearingMachine.isRepaid(receipt.buyer, in: packed, after: place),
      let witness = records.witness(of: receipt.buyer)
    else { return nil }
    self.init(
      receipt: receipt, receiptIndex: UInt64(place),
      receiptPath: MerkleLog.branch(
        ofLeafHashes: ClearingMachine.receiptLeaves(packed), index: place), witness: witness)
  }
}

extension TradeProof {
  /// The proof of a trade from its batch and that batch's receipts; nil where it is not in there.
  public init?(of trade: TradeID, in body: BatchBody, receipts: [UInt8]) {
    let receipts = receipts
    let fills = (0..<body.eventCount).first {
      body.eventKind($0) == .fill && body.event($0, as: Fill.self).trade == trade
    }
    let booked = stride(from: 0, to: receipts.count, by: Receipt.byteCount).first {
      let receipt = Receipt(receipts.rawSpan, at: $0)
      return receipt.kind == .trade && receipt.id == trade.raw
    }
    guard let fills, let booked else { return nil }
    let leaves = ExecutionMachine.eventLeaves(body.events.array)
    let receiptIndex = booked / Receipt.byteCount
    self.init(
      fill: body.event(fills, as: Fill.self), fillIndex: UInt64(fills),
      fillPath: MerkleLog.branch(ofLeafHashes: leaves, index: fills),
      receipt: Receipt(receipts.rawSpan, at: booked), receiptIndex: UInt64(receiptIndex),
      receiptPath: MerkleLog.branch(
        ofLeafHashes: ClearingMachine.receiptLeaves(receipts), index: receiptIndex))
  }
}
