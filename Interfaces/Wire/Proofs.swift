import Commitments
public import Primitives

/// That a clearing header is leaf `index` of the log of `size`, under a checkpoint.
public struct LogProof: Sendable, Equatable {
  public var index: UInt64
  public var size: UInt64
  public var path: [Digest]

  public init(index: UInt64, size: UInt64, path: [Digest]) {
    self.index = index
    self.size = size
    self.path = path
  }

  public func holds(leaf: Digest, root: Digest) -> Bool {
    guard let index = Int(exactly: index), let size = Int(exactly: size), index < size else {
      return false
    }
    return MerkleLog.isIncluded(leaf: leaf, index: index, size: size, proof: path, root: root)
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    out.write(index)
    out.write(size)
    out.write(UInt32(path.count))
    for node in path { out.write(node) }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    index = try reader.read()
    size = try reader.read()
    path = try reader.path()
    try reader.finish()
  }
}

/// One trade from execution's event to clearing's receipt.
public struct TradeProof: Sendable, Equatable {
  public var fill: Fill
  public var fillIndex: UInt64
  public var fillPath: [Digest]
  public var receipt: Receipt
  public var receiptIndex: UInt64
  public var receiptPath: [Digest]

  public init(
    fill: Fill, fillIndex: UInt64, fillPath: [Digest], receipt: Receipt, receiptIndex: UInt64,
    receiptPath: [Digest]
  ) {
    self.fill = fill
    self.fillIndex = fillIndex
    self.fillPath = fillPath
    self.receipt = receipt
    self.receiptIndex = receiptIndex
    self.receiptPath = receiptPath
  }

  /// Whether fill and receipt stand under the two headers and say the same trade.
  public func holds(execution: ExecutionHeader, clearing: ClearingHeader) -> Bool {
    guard clearing.execution == execution.id,
      receipt.kind == .trade, receipt.id == fill.trade.raw, receipt.price == fill.price,
      receipt.quantity == fill.quantity, receipt.instrument == fill.instrument,
      receipt.buyer == fill.buyer, receipt.seller == fill.seller,
      let fillPlace = Int(exactly: fillIndex), let receiptPlace = Int(exactly: receiptIndex)
    else { return false }
    return MerkleLog.isIncluded(
      leaf: fill.withBytes { MerkleLog.leafHash($0) }, index: fillPlace,
      size: Int(execution.eventCount), proof: fillPath, root: execution.eventRoot)
      && MerkleLog.isIncluded(
        leaf: receipt.withBytes { MerkleLog.leafHash($0) }, index: receiptPlace,
        size: Int(clearing.receiptCount), proof: receiptPath, root: clearing.receiptsRoot)
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    out.write(record: fill)
    out.write(fillIndex)
    out.write(UInt32(fillPath.count))
    for node in fillPath { out.write(node) }
    out.write(record: receipt)
    out.write(receiptIndex)
    out.write(UInt32(receiptPath.count))
    for node in receiptPath { out.write(node) }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    fill = try reader.read(canonical: Fill.self)
    fillIndex = try reader.read()
    fillPath = try reader.path()
    receipt = try reader.read(canonical: Receipt.self)
    receiptIndex = try reader.read()
    receiptPath = try reader.path()
    try reader.finish()
  }
}

extension ByteReader {
  mutating func path() throws(DecodingFailure) -> [Digest] {
    let count = try count("proof path", maximum: 64)
    var nodes: [Digest] = []
    for _ in 0..<count { nodes.append(try read()) }
    return nodes
  }
}

/// Two objects validly signed by one role for one batch with two ids, two checkpoints of one size with
/// two roots, or an acknowledgement and a batch that does not keep it.
public struct EquivocationEvidence: Sendable, Equatable {
  /// 1 execution headers, 2 clearing headers, 3 settlement's checkpoints, 4 an acknowledgement and
  /// the place of the batch it names.
  public var layer: UInt16
  /// header || signature, or the note with settlement's line alone; twice. Layer 4: a
  /// `SignedAcknowledgement` and a `BatchPlace`.
  public var first: [UInt8]
  public var second: [UInt8]

  /// Bytes of an acknowledgement of the longest bundle, or of its place, at most.
  static let promiseByteCountMax = Limits.bundleByteCountMax + 4_096

  public init(layer: UInt16, first: [UInt8], second: [UInt8]) {
    self.layer = layer
    self.first = first
    self.second = second
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    out.write(layer)
    out.pad(6)
    ObjectList.append(first, to: &out)
    ObjectList.append(second, to: &out)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    layer = try reader.read()
    guard (1...4).contains(layer) else { throw .invalid(field: "layer of evidence", offset: 0) }
    try reader.zeros(6, field: "evidence reserved")
    let maximum = layer == 4 ? EquivocationEvidence.promiseByteCountMax : 4_096
    first = try reader.array(try reader.count("first object", maximum: maximum))
    second = try reader.array(try reader.count("second object", maximum: maximum))
    try reader.finish()
  }
}
