public import Commitments
public import Primitives

/// The signed head of a client transaction: 96 bytes.
@frozen public struct BundleHeader: Hashable, Sendable {
  public static let byteCount = 96

  public var account: AccountID
  public var key: PublicKey
  public var nonce: UInt64
  /// Last batch time the bundle may be sequenced at.
  public var expiry: Timestamp
  /// No flag is defined yet; any bit set is refused.
  public var flags: UInt16
  public var actionCount: UInt16
  /// SHA-256 of the action records.
  public var actionsHash: Digest
  /// 64-byte records the actions take.
  public var recordCount: UInt16

  public init(
    account: AccountID, key: PublicKey, nonce: UInt64, expiry: Timestamp, actionCount: UInt16,
    recordCount: UInt16, actionsHash: Digest
  ) {
    self.account = account
    self.key = key
    self.nonce = nonce
    self.expiry = expiry
    flags = 0
    self.actionCount = actionCount
    self.recordCount = recordCount
    self.actionsHash = actionsHash
  }

  /// Reads the fields at `offset`. Domains are checked by `Bundle`.
  @inlinable public init(_ bytes: RawSpan, at offset: Int = 0) {
    account = AccountID(bytes.load(at: offset))
    key = Bytes32(bytes, at: offset + 4)
    nonce = bytes.load(at: offset + 36)
    expiry = Timestamp(raw: bytes.load(at: offset + 44))
    flags = bytes.load(at: offset + 52)
    actionCount = bytes.load(at: offset + 54)
    actionsHash = Bytes32(bytes, at: offset + 56)
    recordCount = bytes.load(at: offset + 88)
  }

  public func write(to out: inout ByteWriter) {
    out.write(account)
    out.write(key)
    out.write(nonce)
    out.write(expiry)
    out.write(flags)
    out.write(actionCount)
    out.write(actionsHash)
    out.write(recordCount)
    out.pad(6)
  }
}

/// A client transaction as received: header, 1…256 actions, one signature. It is never re-encoded:
/// what was signed is what is stored, hashed and sent.
public struct Bundle: Sendable {
  public static let tag: ObjectTag = "novate/bundle/1"

  /// header (96) || records (64 each) || signature (64).
  public let bytes: [UInt8]
  public let header: BundleHeader

  public var recordCount: Int { Int(header.recordCount) }

  /// Checks sizes, counts, reserved bytes and the hash of the actions; not the signature.
  ///
  /// Actions are checked one by one against their own domains too, so that a sequenced bundle never
  /// holds an undecodable record.
  /// - Throws: the first fault, with its offset.
  public init(_ bytes: [UInt8]) throws(DecodingFailure) {
    let span = bytes.rawSpan
    guard span.byteCount >= BundleHeader.byteCount else {
      throw .truncated(offset: span.byteCount, needed: BundleHeader.byteCount - span.byteCount)
    }
    let header = BundleHeader(span)
    guard header.flags == 0 else { throw .invalid(field: "bundle flags", offset: 52) }
    guard (1...Limits.actionsPerBundleMax).contains(Int(header.actionCount)) else {
      throw .tooMany(
        field: "actions", count: Int(header.actionCount), maximum: Limits.actionsPerBundleMax)
    }
    let records = Int(header.recordCount)
    guard records >= Int(header.actionCount), records <= Limits.recordsPerBundleMax else {
      throw .tooMany(field: "records", count: records, maximum: Limits.recordsPerBundleMax)
    }
    guard span.extracting(90..<96).isZero else {
      throw .invalid(field: "bundle reserved", offset: 90)
    }
    let expected = Bundle.byteCount(records: records)
    if span.byteCount < expected {
      throw .truncated(offset: span.byteCount, needed: expected - span.byteCount)
    }
    if span.byteCount > expected {
      throw .trailing(offset: expected, count: span.byteCount - expected)
    }
    try Action.check(
      span, at: BundleHeader.byteCount, records: records, actions: Int(header.actionCount))
    let body = span.extracting(BundleHeader.byteCount..<(expected - Signature.byteCount))
    guard SHA256.digest(body) == header.actionsHash else {
      throw .invalid(field: "actions hash", offset: 56)
    }
    self.bytes = bytes
    self.header = header
  }

  public static func byteCount(records: Int) -> Int {
    BundleHeader.byteCount + records * ActionRecord.byteCount + Signature.byteCount
  }

  /// What the key signs: SHA-256(tag || network || header).
  public func id(network: Digest) -> Digest {
    ObjectID.of(
      tag: Bundle.tag, network: network,
      bytes: bytes.rawSpan.extracting(0..<BundleHeader.byteCount))
  }

  public var signature: Signature {
    Signature(bytes.rawSpan, at: bytes.count - Signature.byteCount)
  }

  /// Whether the header's key signed the bundle for `network`.
  public func isSigned(network: Digest) -> Bool {
    Ed25519.isValid(signature, of: id(network: network), by: header.key)
  }

  /// The `tx_root` leaf: header || actions || signature.
  public var leafHash: Digest { MerkleLog.leafHash(bytes.rawSpan) }

  /// The record at `index`.
  @inlinable public func record(_ index: Int) -> ActionRecord {
    ActionRecord(bytes.rawSpan, at: BundleHeader.byteCount + index * ActionRecord.byteCount)
  }

  /// Signs actions into a bundle.
  public static func signed(
    _ actions: [Action], account: AccountID, nonce: UInt64, expiry: Timestamp, network: Digest,
    by key: borrowing SigningKey
  ) -> Bundle {
    var records = ByteWriter(capacity: actions.count * ActionRecord.byteCount)
    for action in actions { action.write(to: &records) }
    let header = BundleHeader(
      account: account, key: key.publicKey, nonce: nonce, expiry: expiry,
      actionCount: UInt16(actions.count),
      recordCount: UInt16(records.bytes.count / ActionRecord.byteCount),
      actionsHash: SHA256.digest(records.bytes))
    var out = ByteWriter(capacity: 160 + records.bytes.count)
    header.write(to: &out)
    let id = ObjectID.of(tag: Bundle.tag, network: network, bytes: out.bytes.rawSpan)
    out.write(records.bytes)
    out.write(key.sign(id))
    return Bundle(trusted: out.bytes, header: header)
  }

  /// Actions in a bundle with a zero signature, for machines fed without a door.
  /// - Throws: the first fault, as when decoding.
  public static func unsigned(
    _ actions: [Action], account: AccountID, key: PublicKey, nonce: UInt64, expiry: Timestamp
  ) throws(DecodingFailure) -> Bundle {
    var records = ByteWriter(capacity: actions.count * ActionRecord.byteCount)
    for action in actions { action.write(to: &records) }
    let header = BundleHeader(
      account: account, key: key, nonce: nonce, expiry: expiry,
      actionCount: UInt16(actions.count),
      recordCount: UInt16(records.bytes.count / ActionRecord.byteCount),
      actionsHash: SHA256.digest(records.bytes))
    var out = ByteWriter(capacity: 160 + records.bytes.count)
    header.write(to: &out)
    out.write(records.bytes)
    out.write(Signature.zero)
    return try Bundle(out.bytes)
  }

  /// Bytes this process made or has already checked.
  init(trusted bytes: [UInt8], header: BundleHeader) {
    self.bytes = bytes
    self.header = header
  }
}
