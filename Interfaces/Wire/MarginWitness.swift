public import Commitments
public import Primitives

/// A pool of clearing of which single records may be shown.
public enum WitnessPool: UInt16, Sendable, CaseIterable {
  case instruments = 1
  case indices = 2
  case minutes = 3
  case margins = 4
  case perpetuals = 5
  case auctions = 6
  case status = 7
  case funds = 8

  /// Bytes of a record.
  public var recordByteCount: Int {
    switch self {
    case .instruments: 128
    case .indices: 24
    case .minutes: 528
    case .margins: 2_048
    case .perpetuals: 552
    case .auctions: 64
    case .status: 64
    case .funds: 104
    }
  }
}

/// One record of clearing's state and its path in the tree of its pool.
public struct WitnessedRecord: Sendable, Equatable {
  public var pool: WitnessPool
  public var slot: UInt32
  public var bytes: [UInt8]
  public var path: IndexedProof

  public init(pool: WitnessPool, slot: UInt32, bytes: [UInt8], path: IndexedProof) {
    self.pool = pool
    self.slot = slot
    self.bytes = bytes
    self.path = path
  }

  /// The root of the pool's tree that the record leads to.
  public var root: Digest { path.root(leaf: SHA256.digest(bytes), index: slot) }

  public func encode(into out: inout ByteWriter) {
    out.write(pool.rawValue)
    out.write(UInt16(0))
    out.write(slot)
    out.write(bytes)
    path.encode(into: &out)
  }

  public init(reading reader: inout ByteReader) throws(DecodingFailure) {
    guard let pool = WitnessPool(rawValue: try reader.read()) else {
      throw .invalid(field: "pool of a witnessed record", offset: reader.offset)
    }
    self.pool = pool
    try reader.zeros(2, field: "witnessed record reserved")
    slot = try reader.read()
    bytes = try reader.array(pool.recordByteCount)
    path = try IndexedProof(&reader)
  }
}

/// The roots of the pools under those of the sixteen roots that stand for several.
public struct WitnessRoots: Sendable, Equatable {
  /// Indices, slices, submissions, minutes.
  public var oracle: [Digest]
  /// Constants and rule set, proposals, margin terms.
  public var parameters: [Digest]
  /// Auctions, locks, payouts.
  public var liquidation: [Digest]

  public init(oracle: [Digest], parameters: [Digest], liquidation: [Digest]) {
    self.oracle = oracle
    self.parameters = parameters
    self.liquidation = liquidation
  }

  public func encode(into out: inout ByteWriter) {
    for root in oracle + parameters + liquidation { out.write(root) }
  }

  public init(reading reader: inout ByteReader) throws(DecodingFailure) {
    func roots(_ count: Int) throws(DecodingFailure) -> [Digest] {
      var roots: [Digest] = []
      for _ in 0..<count { roots.append(try reader.read()) }
      return roots
    }
    oracle = try roots(4)
    parameters = try roots(3)
    liquidation = try roots(3)
  }
}

/// An account and all of clearing's state that its margin goes by, under one state root.
public struct MarginWitness: Sendable, Equatable {
  /// An account holds at most 128 positions, each with four records of its own at most.
  static let recordsMax = 1_024
  static let slicesMax = 1 << 20

  public var account: AccountProof
  public var roots: WitnessRoots
  /// Each once.
  public var records: [WitnessedRecord]
  /// The whole pool: a mark goes by which expiry is the nearest, so none may be left out.
  public var slices: [SliceEntry]

  public init(
    account: AccountProof, roots: WitnessRoots, records: [WitnessedRecord], slices: [SliceEntry]
  ) {
    self.account = account
    self.roots = roots
    self.records = records
    self.slices = slices
  }

  /// The state root that every part leads to; nil when parts contradict each other.
  public var stateRoot: Digest? {
    guard roots.oracle.count == 4, roots.parameters.count == 3, roots.liquidation.count == 3,
      let root = account.stateRoot,
      Merkle.root(of: roots.oracle, width: 4) == account.roots[2],
      Merkle.root(of: roots.parameters, width: 4) == account.roots[3],
      Merkle.root(of: roots.liquidation, width: 4) == account.roots[6]
    else { return nil }
    for record in records where record.root != poolRoot(record.pool) { return nil }
    var tree = IndexedTree()
    for (slot, slice) in slices.enumerated() {
      tree.set(slot, slice.withBytes { SHA256.digest($0) })
    }
    return tree.root() == roots.oracle[1] ? root : nil
  }

  private func poolRoot(_ pool: WitnessPool) -> Digest {
    switch pool {
    case .instruments: account.roots[1]
    case .indices: roots.oracle[0]
    case .minutes: roots.oracle[3]
    case .margins: roots.parameters[2]
    case .perpetuals: account.roots[4]
    case .auctions: roots.liquidation[0]
    case .status: account.roots[15]
    case .funds: account.roots[5]
    }
  }

  public func encode(into out: inout ByteWriter) {
    out.write(account.encoded)
    roots.encode(into: &out)
    out.write(UInt32(records.count))
    for record in records { record.encode(into: &out) }
    out.write(UInt32(slices.count))
    for slice in slices { out.write(record: slice) }
  }

  public init(reading reader: inout ByteReader) throws(DecodingFailure) {
    account = try AccountProof(reading: &reader)
    roots = try WitnessRoots(reading: &reader)
    records = []
    for _ in 0..<(try reader.count("witnessed records", maximum: MarginWitness.recordsMax)) {
      records.append(try WitnessedRecord(reading: &reader))
    }
    slices = try reader.records(
      try reader.count("witnessed slices", maximum: MarginWitness.slicesMax))
  }
}

/// Why a trade was a close that clearing directed: what the decision went by, so that anyone can
/// take it again.
public struct DecisionProof: Sendable, Equatable {
  /// Clearances that one batch adopts at most: no genesis lets execution run further ahead.
  static let headersMax = 4_096

  /// The header before the trade's: which Clearances had been adopted by then.
  public var executionBefore: ExecutionHeader
  /// From the newest Clearance the trade's batch adopted down to the one that decided.
  public var clearings: [ClearingHeader]
  /// The decision's receipt, and its path under the deciding header.
  public var receipt: Receipt
  public var receiptIndex: UInt64
  public var receiptPath: [Digest]
  /// The account and its market as the deciding batch left them.
  public var witness: MarginWitness

  public init(
    executionBefore: ExecutionHeader, clearings: [ClearingHeader], receipt: Receipt,
    receiptIndex: UInt64, receiptPath: [Digest], witness: MarginWitness
  ) {
    self.executionBefore = executionBefore
    self.clearings = clearings
    self.receipt = receipt
    self.receiptIndex = receiptIndex
    self.receiptPath = receiptPath
    self.witness = witness
  }

  /// The header of the Clearance that decided.
  public var decided: ClearingHeader? { clearings.last }

  /// What does not lead from the decision to the fill; nil when all does. Whether the decision was
  /// right is another question.
  /// - Parameter header: of the fill's batch.
  public func fault(behind fill: Fill, _ header: ExecutionHeader) -> String? {
    guard executionBefore.id == header.previous else { return "the execution header before" }
    var id = header.creditID
    var batch = header.creditBatch
    guard batch != ExecutionHeader.noCredit else { return "a batch that adopted no Clearance" }
    for clearing in clearings {
      guard clearing.id == id, clearing.batch == batch else {
        return "the Clearances adopted (at batch \(clearing.batch))"
      }
      id = clearing.previous
      batch = BatchNumber(batch.raw &- 1)
    }
    let known = executionBefore.creditBatch
    guard let decided, known == ExecutionHeader.noCredit || decided.batch > known else {
      return "a Clearance that was adopted before"
    }
    guard let place = Int(exactly: receiptIndex),
      MerkleLog.isIncluded(
        leaf: receipt.withBytes { MerkleLog.leafHash($0) }, index: place,
        size: Int(decided.receiptCount), proof: receiptPath, root: decided.receiptsRoot)
    else { return "the receipt's path" }
    guard receipt.kind == .close, receipt.buyer == fill.taker,
      receipt.instrument == fill.instrument
    else { return "a receipt of another decision" }
    let isBuy = receipt.quantity.raw > 0
    guard fill.takerSideCode == (isBuy ? Side.buy : .sell).rawValue,
      fill.quantity.raw.magnitude <= receipt.quantity.raw.magnitude,
      isBuy ? fill.price <= receipt.price : fill.price >= receipt.price
    else { return "a fill beyond what was directed" }
    guard witness.account.account == receipt.buyer, witness.stateRoot == decided.postRoot else {
      return "the account and its market under the state root of batch \(decided.batch)"
    }
    return nil
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    out.write(record: executionBefore)
    out.write(UInt32(clearings.count))
    for header in clearings { out.write(record: header) }
    out.write(record: receipt)
    out.write(receiptIndex)
    out.write(UInt32(receiptPath.count))
    for node in receiptPath { out.write(node) }
    witness.encode(into: &out)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    executionBefore = try reader.read(canonical: ExecutionHeader.self)
    clearings = []
    for _ in 0..<(try reader.count("adopted Clearances", maximum: DecisionProof.headersMax)) {
      clearings.append(try reader.read(canonical: ClearingHeader.self))
    }
    receipt = try reader.read(canonical: Receipt.self)
    receiptIndex = try reader.read()
    receiptPath = try reader.path()
    witness = try MarginWitness(reading: &reader)
    try reader.finish()
  }
}
