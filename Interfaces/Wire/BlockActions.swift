public import Commitments
public import Primitives

/// What one leg of a block trade is.
public struct BlockLeg: Sendable, Equatable {
  public var instrument: InstrumentID
  /// The side of the account whose bundle carries the trade.
  public var side: Side
  public var price: Price
  public var quantity: Quantity

  public init(instrument: InstrumentID, side: Side, price: Price, quantity: Quantity) {
    self.instrument = instrument
    self.side = side
    self.price = price
    self.quantity = quantity
  }

  init(_ record: ActionRecord) {
    self.init(
      instrument: record.instrument, side: record.side, price: record.price,
      quantity: record.quantity)
  }

  func record(_ kind: ActionKind, reference: UInt64 = 0) -> ActionRecord {
    ActionRecord(
      kindCode: kind.rawValue, a: side.rawValue, id: instrument.raw, x: price.raw,
      y: quantity.raw, z: reference)
  }
}

/// A trade two accounts agreed on elsewhere: the terms, and inside them the counterparty's own
/// header and signature. Four records; five with a second leg, which hedges the first.
public struct BlockTrade: Sendable, Equatable {
  public static let tag: ObjectTag = "novate/block/1"
  public static let byteCount = 256

  public var leg: BlockLeg
  /// In a future or perpetual of the same underlying: both trade, or neither.
  public var hedge: BlockLeg?
  /// The two parties' own number for the trade.
  public var reference: UInt64
  /// The counterparty's bundle header; its `actionsHash` is the SHA-256 of the terms: 64 bytes, with a
  /// hedge 128.
  public var counterparty: BundleHeader
  public var signature: Signature

  /// Reads the records at `offset`; the bundle they come from has been checked.
  public init(_ bytes: RawSpan, at offset: Int) {
    let head = ActionRecord(bytes, at: offset)
    leg = BlockLeg(head)
    reference = head.z
    var rest = offset + ActionRecord.byteCount
    if head.kind == .hedgedBlock {
      hedge = BlockLeg(ActionRecord(bytes, at: rest))
      rest += ActionRecord.byteCount
    }
    counterparty = BundleHeader(bytes, at: rest)
    signature = Signature(bytes, at: rest + BundleHeader.byteCount)
  }

  /// - Parameter counterparty: its record count and hash become those of the terms.
  public init(
    _ leg: BlockLeg, hedge: BlockLeg?, reference: UInt64, counterparty: BundleHeader,
    signature: Signature
  ) {
    self.leg = leg
    self.hedge = hedge
    self.reference = reference
    self.counterparty = counterparty
    self.signature = signature
    self.counterparty.recordCount = UInt16(legs.count)
    self.counterparty.actionsHash = SHA256.digest(terms)
  }

  public var kind: ActionKind { hedge == nil ? .block : .hedgedBlock }
  /// Its own and, if there is one, its hedge.
  public var legs: [BlockLeg] { [leg] + (hedge.map { [$0] } ?? []) }

  /// What both parties sign: a record a leg.
  public var terms: [UInt8] {
    var out = ByteWriter(capacity: 2 * ActionRecord.byteCount)
    out.write(record: leg.record(kind, reference: reference))
    if let hedge { out.write(record: hedge.record(kind)) }
    return out.bytes
  }

  func write(to out: inout ByteWriter) {
    out.write(terms)
    counterparty.write(to: &out)
    out.write(signature)
    out.pad(32)
  }

  /// Whether the counterparty signed exactly these terms for `network`.
  public func isSigned(network: Digest) -> Bool {
    guard SHA256.digest(terms) == counterparty.actionsHash, counterparty.flags == 0,
      counterparty.actionCount == 1, Int(counterparty.recordCount) == legs.count
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
    instrument: InstrumentID, side: Side, price: Price, quantity: Quantity,
    hedge: BlockLeg? = nil, reference: UInt64, counterparty: AccountID, nonce: UInt64,
    expiry: Timestamp, network: Digest, by key: borrowing SigningKey
  ) -> BlockTrade {
    let header = BundleHeader(
      account: counterparty, key: key.publicKey, nonce: nonce, expiry: expiry, actionCount: 1,
      recordCount: 1, actionsHash: .zero)
    var trade = BlockTrade(
      BlockLeg(instrument: instrument, side: side, price: price, quantity: quantity),
      hedge: hedge, reference: reference, counterparty: header, signature: .zero)
    trade.signature = key.sign(trade.id(network: network))
    return trade
  }
}

extension ActionRecord {
  /// Whether a hedged block's second record is a leg, and nothing else.
  var isHedge: Bool {
    kindCode == ActionKind.hedgedBlock.rawValue && a <= 1 && b == 0 && c == 0 && x > 0 && y > 0
      && z == 0 && tail.isZero
  }
}
