public import Commitments
public import Primitives

/// The promise about one bundle: it is in batch `batch` at place `index`, and this became of it.
/// It is a leaf of a group's tree; one signature covers the group.
public struct Acknowledgement: Sendable, Equatable {
  public var account: AccountID
  public var key: PublicKey
  public var nonce: UInt64
  public var bundle: Digest
  /// The batch that includes it.
  public var batch: BatchNumber
  /// Its place in the batch.
  public var index: UInt32
  public var outcomes: [Outcome]

  public init(
    account: AccountID, key: PublicKey, nonce: UInt64, bundle: Digest, batch: BatchNumber,
    index: UInt32, outcomes: [Outcome]
  ) {
    self.account = account
    self.key = key
    self.nonce = nonce
    self.bundle = bundle
    self.batch = batch
    self.index = index
    self.outcomes = outcomes
  }

  public func write(to out: inout ByteWriter) {
    out.write(account)
    out.write(index)
    out.write(nonce)
    out.write(batch)
    out.write(key)
    out.write(bundle)
    out.write(UInt32(outcomes.count))
    out.pad(4)
    for outcome in outcomes { out.write(record: outcome) }
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 96 + outcomes.count * Outcome.byteCount)
    write(to: &out)
    return out.bytes
  }

  public init(reading reader: inout ByteReader) throws(DecodingFailure) {
    account = try reader.read()
    index = try reader.read()
    nonce = try reader.read()
    batch = try reader.read()
    key = try reader.read()
    bundle = try reader.read()
    let count = try reader.count("outcomes", maximum: Limits.actionsPerBundleMax)
    try reader.zeros(4, field: "acknowledgement reserved")
    outcomes = try reader.records(count)
  }
}

/// The head of a group of acknowledgements made durable by one sync: 88 bytes, signed once.
@frozen public struct AcknowledgementGroup: CanonicalRecord, Hashable {
  public static let tag: ObjectTag = "novate/ack-group/1"

  public var version: UInt16 = 1
  private var reserved: UInt16 = 0
  public var term: UInt32
  public var network: Digest
  public var number: UInt64
  public var count: UInt64
  public var root: Digest

  public static let empty = AcknowledgementGroup(
    term: 0, network: .zero, number: 0, count: 0, root: .zero)

  public init(term: UInt32, network: Digest, number: UInt64, count: UInt64, root: Digest) {
    self.term = term
    self.network = network
    self.number = number
    self.count = count
    self.root = root
  }

  public var isCanonical: Bool { version == 1 && reserved == 0 }

  public var id: Digest {
    withBytes { ObjectID.of(tag: AcknowledgementGroup.tag, network: network, bytes: $0) }
  }
}

/// An acknowledgement with the path and the signature that make it evidence.
public struct SignedAcknowledgement: Sendable, Equatable {
  public var group: AcknowledgementGroup
  public var signature: Signature
  /// Place of the leaf in the group.
  public var place: UInt32
  public var path: [Digest]
  public var leaf: Acknowledgement

  public init(
    group: AcknowledgementGroup, signature: Signature, place: UInt32, path: [Digest],
    leaf: Acknowledgement
  ) {
    self.group = group
    self.signature = signature
    self.place = place
    self.path = path
    self.leaf = leaf
  }

  /// Whether `execution` signed the group and the leaf is in it.
  public func isValid(by execution: PublicKey, network: Digest) -> Bool {
    group.network == network && Ed25519.isValid(signature, of: group.id, by: execution)
      && MerkleLog.isIncluded(
        leaf: MerkleLog.leafHash(leaf.encoded.rawSpan), index: Int(place),
        size: Int(truncatingIfNeeded: group.count),
        proof: path, root: group.root)
  }

  public func write(to out: inout ByteWriter) {
    out.write(record: group)
    out.write(signature)
    out.write(place)
    out.write(UInt32(path.count))
    for node in path { out.write(node) }
    leaf.write(to: &out)
  }

  public init(reading reader: inout ByteReader) throws(DecodingFailure) {
    group = try reader.read(canonical: AcknowledgementGroup.self)
    signature = try reader.read()
    place = try reader.read()
    let count = try reader.count("acknowledgement path", maximum: 32)
    path = []
    for _ in 0..<count { path.append(try reader.read()) }
    leaf = try Acknowledgement(reading: &reader)
  }
}
