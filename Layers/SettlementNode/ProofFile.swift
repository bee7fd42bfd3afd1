import Commitments
import Primitives
import Wire

/// Makes the small files that prove one account or one trade.
enum ProofFile {
  /// - Returns: nil when the trade is not in the batch.
  static func make(
    _ question: ProveMessage, genesis: Genesis, batch: SignedBatch, clearance: SignedClearance,
    receipts: [UInt8], logProof: LogProof, checkpoint: [UInt8], account: AccountProof?
  ) throws -> [UInt8]? {
    var sections: [(type: SectionType, bytes: [UInt8])] = [(.genesis, genesis.encoded)]
    func list(_ object: [UInt8]) -> [UInt8] {
      var out = ByteWriter(capacity: object.count + 4)
      ObjectList.append(object, to: &out)
      return out.bytes
    }
    sections.append((.batches, list(batch.encoded)))
    sections.append((.clearances, list(clearance.encoded)))
    sections.append((.checkpoints, list(checkpoint)))
    if let account {
      sections.append((.accountProof, account.encoded))
    } else {
      guard let trade = try trade(TradeID(question.subject), batch, clearance, receipts) else {
        return nil
      }
      sections.append((.tradeProof, trade.encoded))
    }
    sections.append((.logProof, logProof.encoded))
    return BundleFile.encoded(
      BundleFile.Manifest(
        kind: question.kind, network: clearance.header.network, first: clearance.header.batch,
        last: clearance.header.batch, subject: question.subject), sections)
  }

  private static func trade(
    _ id: TradeID, _ batch: SignedBatch, _ clearance: SignedClearance, _ receipts: [UInt8]
  ) throws -> TradeProof? {
    let body = try BatchBody(batch.body)
    let events = body.events.array
    let count = receipts.count / Receipt.byteCount
    let fillPlace = (0..<body.eventCount).first {
      body.eventKind($0) == .fill && body.event($0, as: Fill.self).trade == id
    }
    let receiptPlace = (0..<count).first {
      let receipt = Receipt(receipts.rawSpan, at: $0 * Receipt.byteCount)
      return receipt.kind == .trade && receipt.id == id.raw
    }
    guard let fillPlace, let receiptPlace else { return nil }
    return TradeProof(
      fill: body.event(fillPlace, as: Fill.self), fillIndex: UInt64(fillPlace),
      fillPath: MerkleLog.branch(
        ofLeafHashes: leaves(events, size: EventBuffer.recordByteCount), index: fillPlace),
      receipt: Receipt(receipts.rawSpan, at: receiptPlace * Receipt.byteCount),
      receiptIndex: UInt64(receiptPlace),
      receiptPath: MerkleLog.branch(
        ofLeafHashes: leaves(receipts, size: Receipt.byteCount), index: receiptPlace))
  }

  private static func leaves(_ bytes: [UInt8], size: Int) -> [Digest] {
    let span = bytes.rawSpan
    return stride(from: 0, to: span.byteCount, by: size).map {
      MerkleLog.leafHash(span.extracting($0..<($0 + size)))
    }
  }
}
