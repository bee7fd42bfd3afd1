public import Commitments
public import Primitives

/// A publisher's forward and surface of one expiry: two records.
public struct SurfaceUpdate: Sendable, Equatable {
  public var underlying: UnderlyingID
  public var expiry: Timestamp
  public var forward: Price
  public var parameters: SurfaceParameters
  public var time: Timestamp
  public var sequence: UInt64

  public init(
    underlying: UnderlyingID, expiry: Timestamp, forward: Price, parameters: SurfaceParameters,
    time: Timestamp, sequence: UInt64
  ) {
    self.underlying = underlying
    self.expiry = expiry
    self.forward = forward
    self.parameters = parameters
    self.time = time
    self.sequence = sequence
  }

  /// Reads the records at `offset`; the bundle they come from has been checked.
  public init(_ bytes: RawSpan, at offset: Int) {
    let head = ActionRecord(bytes, at: offset)
    underlying = UnderlyingID(UInt16(truncatingIfNeeded: head.id))
    expiry = Timestamp(raw: head.x)
    time = Timestamp(raw: head.y)
    sequence = head.z
    forward = Price(raw: bytes.load(at: offset + 32))
    parameters = SurfaceParameters(
      a: bytes.load(at: offset + 40), b: bytes.load(at: offset + 48),
      rho: bytes.load(at: offset + 56), m: bytes.load(at: offset + 64),
      sigma: bytes.load(at: offset + 72))
  }

  func write(to out: inout ByteWriter) {
    out.write(ActionKind.surface.rawValue)
    out.pad(3)
    out.write(UInt32(underlying.raw))
    out.write(expiry)
    out.write(time)
    out.write(sequence)
    out.write(forward)
    out.write(record: parameters)
    out.pad(48)
  }

  /// Whether the numbers are those of a surface at all: a positive forward, |rho| < 1, b ≥ 0,
  /// sigma of at least 1e-6, wings within Lee's bound b(1+|rho|) ≤ 2, |m| ≤ 4 and |a| ≤ 4.
  /// Static arbitrage is clearing's to judge.
  public var isInDomain: Bool {
    let one: Int64 = 1_000_000_000_000
    let p = parameters
    guard forward.raw > 0, p.b >= 0, p.b <= 2 * one, p.rho > -one, p.rho < one,
      p.sigma >= 1_000_000, p.sigma <= 4 * one, p.m >= -4 * one, p.m <= 4 * one, p.a >= -4 * one,
      p.a <= 4 * one
    else { return false }
    let steepness = Int128(p.b) * Int128(one + (p.rho < 0 ? -p.rho : p.rho))
    return steepness <= 2 * Int128(one) * Int128(one)
  }
}

/// A trade two accounts agreed on elsewhere: the terms, and inside them the counterparty's own
/// header and signature. Four records.
public struct BlockTrade: Sendable, Equatable {
  public static let tag: ObjectTag = "novate/block/1"
  public static let byteCount = 256

  public var instrument: InstrumentID
  /// The side of the account whose bundle carries the trade.
  public var side: Side
  public var price: Price
  public var quantity: Quantity
  /// The two parties' own number for the trade.
  public var reference: UInt64
  /// The counterparty's bundle header; its `actionsHash` is the SHA-256 of the 64 bytes of terms.
  public var counterparty: BundleHeader
  public var signature: Signature

  /// Reads the records at `offset`; the bundle they come from has been checked.
  public init(_ bytes: RawSpan, at offset: Int) {
    let head = ActionRecord(bytes, at: offset)
    instrument = head.instrument
    side = head.side
    price = head.price
    quantity = head.quantity
    reference = head.z
    counterparty = BundleHeader(bytes, at: offset + 64)
    signature = Signature(bytes, at: offset + 160)
  }

  private init(
    instrument: InstrumentID, side: Side, price: Price, quantity: Quantity, reference: UInt64,
    counterparty: BundleHeader
  ) {
    self.instrument = instrument
    self.side = side
    self.price = price
    self.quantity = quantity
    self.reference = reference
    self.counterparty = counterparty
    signature = .zero
  }

  var terms: ActionRecord {
    ActionRecord(
      kindCode: ActionKind.block.rawValue, a: side.rawValue, id: instrument.raw, x: price.raw,
      y: quantity.raw, z: reference)
  }

  func write(to out: inout ByteWriter) {
    out.write(record: terms)
    counterparty.write(to: &out)
    out.write(signature)
    out.pad(32)
  }

  /// Whether the counterparty signed exactly these terms for `network`.
  public func isSigned(network: Digest) -> Bool {
    guard terms.withBytes({ SHA256.digest($0) }) == counterparty.actionsHash,
      counterparty.flags == 0, counterparty.actionCount == 1, counterparty.recordCount == 1
    else { return false }
    return Ed25519.isValid(signature, of: id(network: network), by: counterparty.key)
  }

  func id(network: Digest) -> Digest {
    var out = ByteWriter(capacity: BundleHeader.byteCount)
    counterparty.write(to: &out)
    return ObjectID.of(tag: BlockTrade.tag, network: network, bytes: out.bytes.rawSpan)
  }

  /// The terms as the counterparty signs them.
  public static func signed(
    instrument: InstrumentID, side: Side, price: Price, quantity: Quantity, reference: UInt64,
    counterparty: AccountID, nonce: UInt64, expiry: Timestamp, network: Digest,
    by key: borrowing SigningKey
  ) -> BlockTrade {
    let header = BundleHeader(
      account: counterparty, key: key.publicKey, nonce: nonce, expiry: expiry, actionCount: 1,
      recordCount: 1, actionsHash: .zero)
    var trade = BlockTrade(
      instrument: instrument, side: side, price: price, quantity: quantity, reference: reference,
      counterparty: header)
    trade.counterparty.actionsHash = trade.terms.withBytes { SHA256.digest($0) }
    trade.signature = key.sign(trade.id(network: network))
    return trade
  }
}
