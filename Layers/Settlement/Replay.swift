public import Clearing
import Commitments
public import Execution
public import Primitives
public import Wire

/// Settlement's heart, and the offline verifier's: both machines, fed with what the other layers
/// claim, comparing every header with its own.
public struct Replay: ~Copyable {
  public let genesis: Genesis
  public let network: Digest
  public var execution: ExecutionMachine
  public var clearing: ClearingMachine
  /// Clearances replayed and not yet adopted by a batch.
  var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
  /// Receipts of the last batch, 128 bytes each.
  public private(set) var receipts: [UInt8] = []
  /// Client transactions replayed.
  public private(set) var bundleCount: UInt64 = 0
  /// Which pages the store has still to take.
  public var pageRound = PageRound()

  /// Both machines at genesis.
  /// - Parameter indexKey: as `ExecutionMachine` takes it; a service gives a secret one.
  public init(genesis: Genesis, indexKey: UInt64 = 0x9E37_79B9_7F4A_7C15) {
    self.genesis = genesis
    network = genesis.networkID
    execution = ExecutionMachine(genesis: genesis, indexKey: indexKey)
    clearing = ClearingMachine(genesis: genesis)
  }

  /// The batch to be replayed next.
  public var batch: BatchNumber { clearing.batch }

  /// Replays one batch and its Clearance and compares every field of both headers.
  ///
  /// Layer signatures and client signatures are the caller's: `Signatures.check`.
  /// - Returns: the id of the clearing header.
  /// - Throws: the first difference.
  @discardableResult
  public mutating func apply(_ batch: SignedBatch, _ clearance: SignedClearance)
    throws(Difference) -> Digest
  {
    let body = try replayExecution(batch)
    let id = try replayClearing(batch, body, clearance)
    seal()
    return id
  }

  /// Replays execution's half. Like the other half it leaves the pools unsealed, so that the
  /// caller can take the delta; `seal` ends the batch.
  public mutating func replayExecution(_ batch: SignedBatch) throws(Difference) -> BatchBody {
    let body: BatchBody
    do {
      body = try BatchBody(batch.body)
    } catch {
      throw Difference(
        .execution, batch.header.batch, field: "body", expected: "a canonical body",
        found: "\(error)")
    }
    try replayExecution(batch, body)
    return body
  }

  /// The same for a body that has been decoded: whoever checked its signatures did.
  public mutating func replayExecution(_ batch: SignedBatch, _ body: BatchBody)
    throws(Difference)
  {
    let header = batch.header
    guard header.batch == execution.batch else {
      throw Difference(
        .execution, execution.batch, field: "batch", offset: 40,
        expected: "\(execution.batch)", found: "\(header.batch)")
    }
    try open(header)
    var outcomes: [Outcome] = []
    for (index, bundle) in body.bundles.enumerated() {
      outcomes.removeAll(keepingCapacity: true)
      do {
        try execution.apply(bundle, into: &outcomes)
      } catch {
        throw Difference(
          .execution, header.batch, field: "bundles[\(index)]",
          expected: "a bundle the door lets in", found: "\(error)")
      }
    }
    bundleCount += UInt64(body.bundles.count)
    let computed = execution.closeBatch()
    if let difference = HeaderFields.difference(
      header.batch, expected: computed.body, found: body)
    {
      throw difference
    }
    try compare(.execution, header.batch, computed.header, header)
  }

  private mutating func open(_ header: ExecutionHeader) throws(Difference) {
    var adopted: [(header: ClearingHeader, body: ClearanceBody)] = []
    while let next = grants.first, header.creditBatch != ExecutionHeader.noCredit,
      next.header.batch <= header.creditBatch
    {
      adopted.append(next)
      grants.removeFirst()
    }
    do {
      try execution.openBatch(time: header.time, adopting: adopted)
    } catch {
      throw Difference(
        .execution, header.batch, field: "time or credit", offset: 48,
        expected: "a batch that may open", found: "\(error)")
    }
  }

  /// Replays clearing's half.
  public mutating func replayClearing(
    _ batch: SignedBatch, _ body: BatchBody, _ clearance: SignedClearance
  ) throws(Difference) -> Digest {
    let header = clearance.header
    let result: ClearingResult
    do {
      result = try clearing.apply(batch.header, body)
    } catch {
      throw Difference(
        .clearing, batch.header.batch, field: "batch", expected: "a batch that clears",
        found: "\(error)")
    }
    if result.bodyBytes != clearance.body {
      throw bodyDifference(header.batch, result, clearance.body)
    }
    try compare(.clearing, batch.header.batch, result.header, header)
    receipts = result.receipts
    grants.append((header, result.body))
    return header.id
  }

  /// What a proof of the last batch's decisions to close or to auction off is made from; nil where it
  /// took none. Only now is the state there that they were taken in.
  public mutating func decisions() -> DecisionRecords? {
    let decided = ClearingMachine.decided(in: receipts)
    return decided.isEmpty ? nil : clearing.decisionRecords(of: decided)
  }

  private func bodyDifference(
    _ batch: BatchNumber, _ result: ClearingResult, _ claimed: [UInt8]
  ) -> Difference {
    do {
      let body = try ClearanceBody(encoded: claimed.rawSpan)
      if let difference = HeaderFields.difference(batch, expected: result.body, found: body) {
        return difference
      }
    } catch {
      return Difference(
        .clearing, batch, field: "clearance body", expected: "a canonical body", found: "\(error)")
    }
    return Difference(
      .clearing, batch, field: "clearance body", expected: "\(SHA256.digest(result.bodyBytes))",
      found: "\(SHA256.digest(claimed))")
  }

  private func compare<Header: FlatRecord>(
    _ layer: Difference.Layer, _ batch: BatchNumber, _ expected: Header, _ found: Header
  ) throws(Difference) {
    let difference = expected.withBytes { a in
      found.withBytes { b in
        HeaderFields.difference(layer, batch, expected: a, found: b)
      }
    }
    if let difference { throw difference }
  }
}

/// The signature checks of settlement.
public enum Signatures {
  /// The first signature that fails: a layer's, or a client's.
  public static func fault(
    _ batch: SignedBatch, bundles: [Bundle], genesis: Genesis, network: Digest
  ) -> Difference? {
    guard Ed25519.isValid(batch.signature, of: batch.header.id, by: genesis.execution.object)
    else {
      return Difference(
        .execution, batch.header.batch, field: "signature", expected: "execution's",
        found: "\(batch.signature.r)…")
    }
    for (index, bundle) in bundles.enumerated() where !bundle.isSigned(network: network) {
      return Difference(
        .execution, batch.header.batch, field: "bundles[\(index)].signature",
        expected: "account \(bundle.header.account)'s", found: "\(bundle.signature.r)…")
    }
    return nil
  }

  /// Whether clearing signed its header.
  public static func fault(_ clearance: SignedClearance, genesis: Genesis) -> Difference? {
    guard Ed25519.isValid(clearance.signature, of: clearance.header.id, by: genesis.clearing.object)
    else {
      return Difference(
        .clearing, clearance.header.batch, field: "signature", expected: "clearing's",
        found: "\(clearance.signature.r)…")
    }
    return nil
  }
}

extension Replay: PooledState {
  /// The pools of both machines, execution's first.
  public mutating func visitPools<Visitor: PoolVisitor>(_ visitor: inout Visitor)
    throws(Visitor.Failure)
  {
    try execution.visitPools(&visitor)
    try clearing.visitPools(&visitor)
  }

  /// Clearances replayed and not yet adopted, and transactions replayed, as they have to be known
  /// after loading.
  public mutating func restore(
    grants: [(header: ClearingHeader, body: ClearanceBody)], bundleCount: UInt64
  ) {
    self.grants = grants
    self.bundleCount = bundleCount
  }
}
