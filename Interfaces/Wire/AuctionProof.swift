import Commitments
public import Primitives

/// What `novate prove trade` and `verify --trade` are asked for: a trade by its number, or why an auction
/// began, by `a` and the auction's number.
public enum DecisionID: Hashable, Sendable {
  case trade(TradeID)
  case auctionStart(UInt64)

  private static let auctionBit: UInt64 = 1 << 63

  /// As a manifest and a question to settlement say it: an auction's number has the highest bit beside.
  public var subject: UInt64 {
    switch self {
    case .trade(let trade): trade.raw
    case .auctionStart(let number): DecisionID.auctionBit | number
    }
  }

  public init(subject: UInt64) {
    let number = subject & ~DecisionID.auctionBit
    self = number == subject ? .trade(TradeID(subject)) : .auctionStart(number)
  }

  /// Nil for what is neither a number below 2^63 nor `a` and one.
  public init?(_ text: String) {
    let isAuction = text.hasPrefix("a")
    guard let number = UInt64(isAuction ? String(text.dropFirst()) : text),
      number < DecisionID.auctionBit
    else { return nil }
    self = isAuction ? .auctionStart(number) : .trade(TradeID(number))
  }
}

extension DecisionID: CustomStringConvertible {
  public var description: String {
    switch self {
    case .trade(let trade): "\(trade)"
    case .auctionStart(let number): "a\(number)"
    }
  }
}

/// Why an auction began: its receipt, and the account and its market as that batch left them, so that
/// anyone can take the decision again.
public struct AuctionProof: Sendable, Equatable {
  public var receipt: Receipt
  public var receiptIndex: UInt64
  public var receiptPath: [Digest]
  public var witness: MarginWitness

  public init(
    receipt: Receipt, receiptIndex: UInt64, receiptPath: [Digest], witness: MarginWitness
  ) {
    self.receipt = receipt
    self.receiptIndex = receiptIndex
    self.receiptPath = receiptPath
    self.witness = witness
  }

  /// What does not lead from the parts to the header; nil when all does. Whether the decision was right
  /// is another question.
  /// - Parameter header: of the Clearance in whose batch the auction began.
  public func fault(_ number: UInt64, _ header: ClearingHeader) -> String? {
    guard receipt.kind == .auctionStart, receipt.id == number else {
      return "a receipt of another decision"
    }
    guard let place = Int(exactly: receiptIndex),
      MerkleLog.isIncluded(
        leaf: receipt.withBytes { MerkleLog.leafHash($0) }, index: place,
        size: Int(header.receiptCount), proof: receiptPath, root: header.receiptsRoot)
    else { return "the receipt's path" }
    guard witness.account.account == receipt.buyer, witness.stateRoot == header.postRoot else {
      return "the account and its market under the state root of batch \(header.batch)"
    }
    return nil
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    out.write(record: receipt)
    out.write(receiptIndex)
    out.write(UInt32(receiptPath.count))
    for node in receiptPath { out.write(node) }
    witness.encode(into: &out)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    receipt = try reader.read(canonical: Receipt.self)
    receiptIndex = try reader.read()
    receiptPath = try reader.path()
    witness = try MarginWitness(reading: &reader)
    try reader.finish()
  }
}
