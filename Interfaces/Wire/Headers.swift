public import Commitments
public import Primitives

/// What execution signs for a batch: 352 bytes.
@frozen public struct ExecutionHeader: CanonicalRecord, Hashable {
  public static let tag: ObjectTag = "novate/exec-header/1"
  public static let byteCount = 352

  public var version: UInt16 = 1
  private var reserved0: UInt16 = 0
  /// Rises when the writer changes; a stale writer is refused by it.
  public var term: UInt32
  public var network: Digest
  public var batch: BatchNumber
  /// Batch time; never falls.
  public var time: Timestamp
  /// Id of the header before; the network id for batch 0.
  public var previous: Digest
  public var preRoot: Digest
  public var postRoot: Digest
  /// The newest Clearance adopted when the batch opened; all ones before the first.
  public var creditBatch: BatchNumber
  /// Its id; zero before the first.
  public var creditID: Digest
  /// RFC 6962 root over the bundles.
  public var transactionRoot: Digest
  /// RFC 6962 root over the events (fills and instructions).
  public var eventRoot: Digest
  public var bundleCount: UInt32
  public var eventCount: UInt32
  public var bodyByteCount: UInt32
  /// 0: verified by replay.
  public var proofSystem: UInt32 = 0
  public var bodyHash: Digest
  public var ruleSet: Digest
  /// Range of the forced inbox carried; zero in version 1.
  private var inboxFirst: UInt64 = 0
  private var inboxNext: UInt64 = 0

  public static let noCredit = BatchNumber(.max)
  public static let empty = ExecutionHeader()

  public init() {
    term = 0
    network = .zero
    batch = BatchNumber(0)
    time = .zero
    previous = .zero
    preRoot = .zero
    postRoot = .zero
    creditBatch = ExecutionHeader.noCredit
    creditID = .zero
    transactionRoot = .zero
    eventRoot = .zero
    bundleCount = 0
    eventCount = 0
    bodyByteCount = 0
    bodyHash = .zero
    ruleSet = .zero
  }

  public var isCanonical: Bool {
    version == 1 && reserved0 == 0 && proofSystem == 0 && inboxFirst == 0 && inboxNext == 0
  }

  public var id: Digest {
    withBytes { ObjectID.of(tag: ExecutionHeader.tag, network: network, bytes: $0) }
  }
}

/// What clearing signs for a batch: 408 bytes.
@frozen public struct ClearingHeader: CanonicalRecord, Hashable {
  public static let tag: ObjectTag = "novate/clear-header/1"
  public static let byteCount = 408

  public var version: UInt16 = 1
  private var reserved0: UInt16 = 0
  public var term: UInt32
  public var network: Digest
  public var batch: BatchNumber
  /// The batch's time.
  public var time: Timestamp
  /// Id of the execution header it clears.
  public var execution: Digest
  /// Id of the clearing header before; the network id for batch 0.
  public var previous: Digest
  public var preRoot: Digest
  public var postRoot: Digest
  /// RFC 6962 root over the receipts.
  public var receiptsRoot: Digest
  public var bodyHash: Digest
  public var oracleRoot: Digest
  public var parametersRoot: Digest
  public var ruleSet: Digest
  public var receiptCount: UInt32
  public var accountCount: UInt32
  public var positionCount: UInt32
  public var directiveCount: UInt32
  public var bodyByteCount: UInt32
  private var reserved1: UInt32 = 0
  /// The log of clearing headers before this one.
  public var logSizeBefore: UInt64
  public var logRootBefore: Digest

  public static let empty = ClearingHeader()

  public init() {
    term = 0
    network = .zero
    batch = BatchNumber(0)
    time = .zero
    execution = .zero
    previous = .zero
    preRoot = .zero
    postRoot = .zero
    receiptsRoot = .zero
    bodyHash = .zero
    oracleRoot = .zero
    parametersRoot = .zero
    ruleSet = .zero
    receiptCount = 0
    accountCount = 0
    positionCount = 0
    directiveCount = 0
    bodyByteCount = 0
    logSizeBefore = 0
    logRootBefore = .zero
  }

  public var isCanonical: Bool { version == 1 && reserved0 == 0 && reserved1 == 0 }

  public var id: Digest {
    withBytes { ObjectID.of(tag: ClearingHeader.tag, network: network, bytes: $0) }
  }

  /// The header's leaf in the batch log: SHA-256(0x00 || header).
  public var logLeaf: Digest { withBytes { MerkleLog.leafHash($0) } }
}

/// Settlement's refusal to go on: 96 bytes, signed with its object key.
@frozen public struct Frozen: CanonicalRecord, Hashable {
  public static let tag: ObjectTag = "novate/frozen/1"

  public var version: UInt16 = 1
  /// Which layer's claim differs: 1 execution, 2 clearing.
  public var layer: UInt16
  /// Place of the field in its header, in bytes; `FieldName` spells it.
  public var field: UInt32
  public var network: Digest
  /// The last batch whose roots were recomputed and agreed; all ones for none.
  public var lastGood: BatchNumber
  /// The batch that was refused.
  public var batch: BatchNumber
  /// The refused header's id.
  public var refused: Digest
  private var reserved: UInt64 = 0

  public static let empty = Frozen(
    layer: 0, field: 0, network: .zero, lastGood: BatchNumber(0), batch: BatchNumber(0),
    refused: .zero)

  public init(
    layer: UInt16, field: UInt32, network: Digest, lastGood: BatchNumber, batch: BatchNumber,
    refused: Digest
  ) {
    self.layer = layer
    self.field = field
    self.network = network
    self.lastGood = lastGood
    self.batch = batch
    self.refused = refused
  }

  public var isCanonical: Bool { version == 1 && (1...2).contains(layer) && reserved == 0 }

  public var id: Digest { withBytes { ObjectID.of(tag: Frozen.tag, network: network, bytes: $0) } }
}

/// FROZEN: the statement and settlement's signature, 160 bytes.
public struct SignedFrozen: Sendable, Hashable {
  public static let byteCount = 160

  public var frozen: Frozen
  public var signature: Signature

  public init(_ frozen: Frozen, signature: Signature) {
    self.frozen = frozen
    self.signature = signature
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: SignedFrozen.byteCount)
    out.write(record: frozen)
    out.write(signature)
    return out.bytes
  }

  public init(encoded bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    frozen = try reader.read(canonical: Frozen.self)
    signature = try reader.read()
    try reader.finish()
  }

  /// Whether settlement signed it, on this network.
  public func isValid(by settlement: PublicKey, network: Digest) -> Bool {
    frozen.network == network && Ed25519.isValid(signature, of: frozen.id, by: settlement)
  }
}

/// A batch as execution publishes it.
public struct SignedBatch: Sendable {
  public var header: ExecutionHeader
  public var signature: Signature
  public var body: [UInt8]

  public init(header: ExecutionHeader, signature: Signature, body: [UInt8]) {
    self.header = header
    self.signature = signature
    self.body = body
  }
}

/// A Clearance as clearing publishes it.
public struct SignedClearance: Sendable {
  public var header: ClearingHeader
  public var signature: Signature
  public var body: [UInt8]

  public init(header: ClearingHeader, signature: Signature, body: [UInt8]) {
    self.header = header
    self.signature = signature
    self.body = body
  }
}

extension SignedBatch {
  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: ExecutionHeader.byteCount + 64 + body.count)
    out.write(record: header)
    out.write(signature)
    out.write(body)
    return out.bytes
  }

  public init(encoded bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    header = try reader.read(canonical: ExecutionHeader.self)
    signature = try reader.read()
    guard Int(header.bodyByteCount) == reader.remaining,
      reader.remaining <= Limits.batchBodyByteCountMax
    else { throw .invalid(field: "body length", offset: reader.offset) }
    body = try reader.array(reader.remaining)
  }
}

extension SignedClearance {
  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: ClearingHeader.byteCount + 64 + body.count)
    out.write(record: header)
    out.write(signature)
    out.write(body)
    return out.bytes
  }

  public init(encoded bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    header = try reader.read(canonical: ClearingHeader.self)
    signature = try reader.read()
    guard Int(header.bodyByteCount) == reader.remaining,
      reader.remaining <= Limits.batchBodyByteCountMax
    else { throw .invalid(field: "body length", offset: reader.offset) }
    body = try reader.array(reader.remaining)
  }
}
