import Commitments
public import Primitives

/// Acknowledgements a client kept, in a file: `NVA1`, then each as an object (u32 length, bytes).
public enum KeptAcknowledgements {
  static let magic: [UInt8] = Array("NVA1".utf8)

  public static func isOne(_ file: [UInt8]) -> Bool { file.starts(with: magic) }

  public static func encoded(_ acknowledgements: [SignedAcknowledgement]) -> [UInt8] {
    var out = ByteWriter()
    out.write(magic)
    for acknowledgement in acknowledgements { ObjectList.append(acknowledgement.encoded, to: &out) }
    return out.bytes
  }

  public static func decoded(_ file: [UInt8]) throws(DecodingFailure) -> [SignedAcknowledgement] {
    guard isOne(file) else { throw .invalid(field: "magic of kept acknowledgements", offset: 0) }
    let list = try ObjectList(Array(file.dropFirst(magic.count)))
    var out: [SignedAcknowledgement] = []
    for index in 0..<list.count {
      let bytes = list.object(index)
      out.append(try SignedAcknowledgement(decoding: bytes.rawSpan))
    }
    return out
  }
}

extension SignedAcknowledgement {
  public var encoded: [UInt8] {
    var out = ByteWriter()
    write(to: &out)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    try self.init(reading: &reader)
    try reader.finish()
  }
}

/// JUDGED: settlement's answer to an acknowledgement shown to it: batch u64, index u32, kept u8, zero
/// (3).
public struct JudgedMessage: Sendable, Equatable {
  public var batch: BatchNumber
  public var index: UInt32
  /// Whether the batch holds what was promised, where it was promised.
  public var isKept: Bool

  public init(batch: BatchNumber, index: UInt32, isKept: Bool) {
    self.batch = batch
    self.index = index
    self.isKept = isKept
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 16)
    out.write(batch)
    out.write(index)
    out.write(isKept)
    out.pad(3)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    batch = try reader.read()
    index = try reader.read()
    isKept = try reader.read(Bool.self, field: "kept")
    try reader.zeros(3, field: "judged")
    try reader.finish()
  }
}

/// What stands at one place of a batch, under the header execution signed: a bundle with its path to
/// the header's transaction root, or nothing, where the batch ends before.
public struct BatchPlace: Sendable, Equatable {
  public var header: ExecutionHeader
  public var signature: Signature
  /// Header, actions and signature of the bundle; empty where there is none.
  public var bundle: [UInt8]
  public var path: [Digest]

  public init(header: ExecutionHeader, signature: Signature, bundle: [UInt8], path: [Digest]) {
    self.header = header
    self.signature = signature
    self.bundle = bundle
    self.path = path
  }

  /// The place of a whole batch.
  /// - Throws: `DecodingFailure` for a body that does not decode.
  public init(_ index: UInt32, of batch: SignedBatch) throws(DecodingFailure) {
    let body = try BatchBody(batch.body)
    let isThere = Int(index) < body.bundles.count
    self.init(
      header: batch.header, signature: batch.signature,
      bundle: isThere ? body.bundles[Int(index)].bytes : [],
      path: isThere
        ? MerkleLog(leafHashes: body.bundles.map(\.leafHash))
          .inclusionProof(of: Int(index), size: body.bundles.count)
        : [])
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    out.write(record: header)
    out.write(signature)
    ObjectList.append(bundle, to: &out)
    out.write(UInt32(path.count))
    for node in path { out.write(node) }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    header = try reader.read(canonical: ExecutionHeader.self)
    signature = try reader.read()
    bundle = try reader.array(
      try reader.count("bundle", maximum: Limits.bundleByteCountMax))
    path = try reader.path()
    try reader.finish()
  }
}
