public import Commitments
public import Primitives

/// An account, or its absence, under a clearing state root.
public struct AccountProof: Sendable, Equatable {
  /// What the two disclosed lists begin with.
  public static let positionsTag: ObjectTag = "novate/positions/1"
  public static let balancesTag: ObjectTag = "novate/balances/1"
  /// Bytes of one entry: instrument, quantity, cost, funding index (16) and funding booked; asset, amount.
  static let positionByteCount = 44
  static let balanceByteCount = 10
  private static let listHeadByteCount = 36

  public var account: AccountID
  /// The eight leaves of the account's container; none proves absence.
  public var fields: [Digest]
  /// What the positions field hashes; empty for no position.
  public var positions: [UInt8]
  public var balances: [UInt8]
  /// From the account's leaf to the root of accounts.
  public var path: IndexedProof
  /// The sixteen roots under the state root; accounts are the first.
  public var roots: [Digest]

  public init(
    account: AccountID, fields: [Digest], positions: [UInt8], balances: [UInt8],
    path: IndexedProof, roots: [Digest]
  ) {
    self.account = account
    self.fields = fields
    self.positions = positions
    self.balances = balances
    self.path = path
    self.roots = roots
  }

  /// The state root the proof leads to; nil when its parts contradict each other.
  public var stateRoot: Digest? {
    guard fields.isEmpty || fields.count == 8, roots.count == 16 else { return nil }
    // An absent account has nothing to disclose.
    guard !fields.isEmpty || positions.isEmpty && balances.isEmpty else { return nil }
    if !fields.isEmpty {
      // A digest alone would let any bytes pass for a list that somebody hashed elsewhere.
      guard AccountProof.isPositionList(positions), AccountProof.isBalanceList(balances) else {
        return nil
      }
      let disclosed = [balances, positions].map { $0.isEmpty ? .zero : SHA256.digest($0) }
      guard fields[1] == disclosed[0], fields[2] == disclosed[1],
        fields[4].words.0 == UInt64(account.raw)
      else { return nil }
    }
    let leaf = fields.isEmpty ? .zero : Merkle.root(of: fields, width: 8)
    guard path.root(leaf: leaf, index: account.raw) == roots[0] else { return nil }
    return Merkle.root(of: roots, width: 16)
  }

  /// Empty, or the tag, a count above zero, and so many entries that rise by instrument.
  static func isPositionList(_ bytes: [UInt8]) -> Bool {
    isList(bytes, positionsTag, entryByteCount: positionByteCount) { entry in
      UInt64(entry.load(at: 0, as: UInt32.self))
    }
  }

  /// Empty, or the tag, a count above zero, and so many entries that rise by asset.
  static func isBalanceList(_ bytes: [UInt8]) -> Bool {
    isList(bytes, balancesTag, entryByteCount: balanceByteCount) { entry in
      UInt64(entry.load(at: 0, as: UInt16.self))
    }
  }

  private static func isList(
    _ bytes: [UInt8], _ tag: ObjectTag, entryByteCount: Int, id: (RawSpan) -> UInt64
  ) -> Bool {
    if bytes.isEmpty { return true }
    let span = bytes.rawSpan
    guard span.byteCount > listHeadByteCount, Bytes32(span) == tag.bytes else { return false }
    let count = Int(span.load(at: 32, as: UInt32.self))
    guard span.byteCount == listHeadByteCount + count * entryByteCount else { return false }
    var last: UInt64?
    for place in 0..<count {
      let start = listHeadByteCount + place * entryByteCount
      let next = id(span.extracting(start..<(start + entryByteCount)))
      if let last, next <= last { return false }
      last = next
    }
    return true
  }

  /// A position as the disclosed list has it: 44 bytes.
  public struct PositionEntry: Sendable, Equatable {
    public var instrument: InstrumentID
    public var quantity: Quantity
    public var cost: Money
    public var fundingIndexLow: UInt64
    public var fundingIndexHigh: Int64
    public var fundingBooked: Money
  }

  /// What the disclosed list of positions says.
  public func positionEntries() throws(DecodingFailure) -> [PositionEntry] {
    guard !positions.isEmpty else { return [] }
    let bytes = positions
    var reader = ByteReader(bytes.rawSpan)
    _ = try reader.read(Bytes32.self)
    var entries: [PositionEntry] = []
    for _ in 0..<(try reader.read(UInt32.self)) {
      entries.append(
        PositionEntry(
          instrument: InstrumentID(try reader.read(UInt32.self)),
          quantity: Quantity(raw: try reader.read()), cost: Money(raw: try reader.read()),
          fundingIndexLow: try reader.read(), fundingIndexHigh: try reader.read(),
          fundingBooked: Money(raw: try reader.read())))
    }
    try reader.finish()
    return entries
  }

  /// A balance as the disclosed list has it: 10 bytes.
  public struct BalanceEntry: Sendable, Equatable {
    public var asset: AssetID
    public var amount: Amount
  }

  /// What the disclosed list of balances says.
  public func balanceEntries() throws(DecodingFailure) -> [BalanceEntry] {
    guard !balances.isEmpty else { return [] }
    let bytes = balances
    var reader = ByteReader(bytes.rawSpan)
    _ = try reader.read(Bytes32.self)
    var entries: [BalanceEntry] = []
    for _ in 0..<(try reader.read(UInt32.self)) {
      entries.append(
        BalanceEntry(
          asset: AssetID(try reader.read(UInt16.self)), amount: Amount(raw: try reader.read())))
    }
    try reader.finish()
    return entries
  }

  public var encoded: [UInt8] {
    var out = ByteWriter()
    out.write(account)
    out.write(UInt32(fields.count))
    for field in fields { out.write(field) }
    out.write(UInt32(positions.count))
    out.write(positions)
    out.write(UInt32(balances.count))
    out.write(balances)
    path.encode(into: &out)
    for root in roots { out.write(root) }
    return out.bytes
  }

  public init(reading reader: inout ByteReader) throws(DecodingFailure) {
    account = try reader.read()
    let count = try reader.count("account fields", maximum: 8)
    guard count == 0 || count == 8 else {
      throw .invalid(field: "account fields", offset: reader.offset)
    }
    fields = []
    for _ in 0..<count { fields.append(try reader.read()) }
    positions = try reader.array(try reader.count("positions", maximum: 65_536))
    balances = try reader.array(try reader.count("balances", maximum: 65_536))
    path = try IndexedProof(&reader)
    roots = []
    for _ in 0..<16 { roots.append(try reader.read()) }
  }
}
