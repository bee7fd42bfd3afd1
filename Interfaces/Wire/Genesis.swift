import Commitments
public import Instruments
public import Primitives

/// Everything the network starts from. Its hash is the network id: whoever pins that hash has
/// pinned every rule, key and constant below.
public struct Genesis: Sendable, Equatable {
  /// What one role signs with.
  public struct RoleKeys: Sendable, Equatable {
    /// Signs headers and acknowledgements (execution, clearing), `Frozen` (settlement).
    public var object: PublicKey
    /// Signs handshakes alone.
    public var handshake: PublicKey

    public init(object: PublicKey, handshake: PublicKey) {
      self.object = object
      self.handshake = handshake
    }
  }

  /// A named key that signs C2SP notes and nothing else.
  public struct NoteKey: Sendable, Equatable {
    /// At most 32 ASCII bytes.
    public var name: String
    public var key: PublicKey

    public init(name: String, key: PublicKey) {
      self.name = name
      self.key = key
    }
  }

  public struct Asset: Sendable, Equatable {
    /// At most 16 ASCII bytes.
    public var name: String
    /// Decimals of one unit, 0…8.
    public var scale: UInt8
    /// The account that credits deposits and releases withdrawals.
    public var custodian: AccountID

    public init(name: String, scale: UInt8, custodian: AccountID) {
      self.name = name
      self.scale = scale
      self.custodian = custodian
    }
  }

  public static let formatVersion: UInt16 = 1
  /// Accounts and instruments that may exist from the start.
  public static let accountsMax = 65_536
  public static let instrumentsMax = 4_096

  public var name: String
  public var startTime: Timestamp
  public var execution: RoleKeys
  public var clearing: RoleKeys
  public var settlement: RoleKeys
  /// The log's origin and the key that signs its checkpoints.
  public var settlementNote: NoteKey
  public var witnesses: [NoteKey]
  /// Owner keys of the accounts that exist from the start; their ids are their places.
  public var accounts: [PublicKey]
  public var assets: [Asset]
  /// Names of the indices, at most 16 ASCII bytes each.
  public var underlyings: [String]
  public var publishers: [AccountID]
  public var governance: [AccountID]
  /// Members whose approvals decide.
  public var governanceThreshold: UInt16
  public var instruments: [Instrument]
  public var constants: Constants
  /// The terms of the margin method until governance sets others.
  public var margin: MarginTerms
  /// The rule set the first batch is made under.
  public var ruleSet: Digest

  public init(
    name: String, startTime: Timestamp, execution: RoleKeys, clearing: RoleKeys,
    settlement: RoleKeys, settlementNote: NoteKey, witnesses: [NoteKey], accounts: [PublicKey],
    assets: [Asset], underlyings: [String], publishers: [AccountID], governance: [AccountID],
    governanceThreshold: UInt16, instruments: [Instrument], constants: Constants = Constants(),
    margin: MarginTerms = .novate32, ruleSet: Digest = RuleSet.current
  ) {
    self.name = name
    self.startTime = startTime
    self.execution = execution
    self.clearing = clearing
    self.settlement = settlement
    self.settlementNote = settlementNote
    self.witnesses = witnesses
    self.accounts = accounts
    self.assets = assets
    self.underlyings = underlyings
    self.publishers = publishers
    self.governance = governance
    self.governanceThreshold = governanceThreshold
    self.instruments = instruments
    self.constants = constants
    self.margin = margin
    self.ruleSet = ruleSet
  }

  /// The genesis hash: what an auditor pins.
  public var networkID: Digest { ObjectID.genesis(encoded.rawSpan) }
}

/// The rules a batch is made under, named by the hash of their manifest.
public enum RuleSet {
  /// The manifest of the first rule set; a change of any rule changes a line here. The last line is
  /// the hash of the pricing kernel's tables: an integer there moves marks, and so roots.
  public static let manifest = """
    novate rule set 1
    protocol 1
    matching price-time, self-trade by mode, iceberg to the back, calls and auctions at one price
    orders gtc gtt ioc fok, market, post-only, replace, price band, trigger on mark or index, combination of legs, in volatility, block with hedge
    makers timer, mass quote, protection by fills quantity delta vega, sessions by consent
    owners sub-accounts in portfolio, cross or isolated mode, transfers at initial margin
    margin novate-32 or span-16 with charges, method and terms by governance, collateral as a leg, interest on debt
    size concentration of an owner and open interest, on initial margin alone
    netting proportional cost release
    liquidation auction of a portfolio where constants ask for it, else close by book with a receipt of its figures
    deleveraging by water-filling with its level, hedges close at their marks, recoveries to those who bore the loss, fund in tranches
    oracle quorum median
    settlement-price index at first fresh batch after expiry
    pricing-tables 9dc8b70a91aee4d13993b98002c60407e11b538b225ecd40c7554917d35753f0

    """

  public static let current = ObjectID.of(
    tag: "novate/stf/1", network: .zero, bytes: Array(manifest.utf8).rawSpan)
}

// MARK: - Canonical bytes

extension ByteWriter {
  /// ASCII text in a fixed field, zero-padded. Longer text is cut; `validate` refuses it before.
  mutating func write(text: String, byteCount: Int) {
    let utf8 = Array(text.utf8.prefix(byteCount))
    write(utf8)
    pad(byteCount - utf8.count)
  }
}

extension ByteReader {
  /// Printable ASCII from a zero-padded field; zeros may stand only at the end.
  mutating func text(byteCount: Int, field: StaticString) throws(DecodingFailure) -> String {
    let start = offset
    let bytes = try array(byteCount)
    let used = bytes.firstIndex(of: 0) ?? bytes.count
    guard bytes[used...].allSatisfy({ $0 == 0 }),
      bytes[..<used].allSatisfy({ 0x20 < $0 && $0 < 0x7f })
    else { throw .invalid(field: field, offset: start) }
    return String(decoding: bytes[..<used], as: UTF8.self)
  }
}

extension Genesis {
  /// The canonical bytes that are hashed.
  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 4096)
    out.write(Genesis.formatVersion)
    out.write(UInt16(0))
    out.write(governanceThreshold)
    out.write(UInt16(0))
    out.write(text: name, byteCount: 32)
    out.write(startTime)
    for role in [execution, clearing, settlement] {
      out.write(role.object)
      out.write(role.handshake)
    }
    out.write(settlementNote)
    out.write(list: witnesses) { $0.write($1) }
    out.write(list: accounts) { $0.write($1) }
    out.write(list: assets) { out, asset in
      out.write(text: asset.name, byteCount: 16)
      out.write(asset.scale)
      out.pad(3)
      out.write(asset.custodian)
    }
    out.write(list: underlyings) { $0.write(text: $1, byteCount: 16) }
    out.write(list: publishers) { $0.write($1) }
    out.write(list: governance) { $0.write($1) }
    out.write(list: instruments) { $0.write(record: $1) }
    out.write(record: constants)
    out.write(record: margin)
    out.write(ruleSet)
    return out.bytes
  }

  /// Decodes and validates canonical bytes.
  /// - Throws: the first fault, with its offset.
  public init(encoded bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard try reader.read(UInt16.self) == Genesis.formatVersion else {
      throw .invalid(field: "genesis format version", offset: 0)
    }
    try reader.zeros(2, field: "genesis reserved")
    governanceThreshold = try reader.read()
    try reader.zeros(2, field: "genesis reserved")
    name = try reader.text(byteCount: 32, field: "network name")
    startTime = try reader.read()
    execution = try reader.roleKeys()
    clearing = try reader.roleKeys()
    settlement = try reader.roleKeys()
    settlementNote = try reader.noteKey()
    witnesses = try reader.list("witnesses", maximum: Limits.witnessesMax) {
      (reader) throws(DecodingFailure) in try reader.noteKey()
    }
    accounts = try reader.list("accounts", maximum: Genesis.accountsMax) {
      (reader) throws(DecodingFailure) in try reader.read()
    }
    assets = try reader.list("assets", maximum: Limits.assetsMax) {
      (reader) throws(DecodingFailure) in
      let name = try reader.text(byteCount: 16, field: "asset name")
      let scale: UInt8 = try reader.read()
      try reader.zeros(3, field: "asset reserved")
      return Asset(name: name, scale: scale, custodian: try reader.read())
    }
    underlyings = try reader.list("underlyings", maximum: Limits.underlyingsMax) {
      (reader) throws(DecodingFailure) in
      try reader.text(byteCount: 16, field: "underlying name")
    }
    publishers = try reader.list("publishers", maximum: Limits.publishersMax) {
      (reader) throws(DecodingFailure) in try reader.read()
    }
    governance = try reader.list("governance", maximum: Limits.governanceMembersMax) {
      (reader) throws(DecodingFailure) in try reader.read()
    }
    instruments = try reader.list("instruments", maximum: Genesis.instrumentsMax) {
      (reader) throws(DecodingFailure) in try reader.read(record: Instrument.self)
    }
    constants = try reader.read(record: Constants.self)
    margin = try reader.read(record: MarginTerms.self)
    ruleSet = try reader.read()
    try reader.finish()
    if let fault = fault { throw .invalid(field: fault, offset: 0) }
    // One encoding per value: what was read must be what would be written.
    let same = encoded.rawSpan.elementsEqual(bytes)
    guard same else { throw .invalid(field: "genesis encoding", offset: 0) }
  }

  /// The first rule the manifest breaks, or nil.
  public var fault: StaticString? {
    func isName(_ text: String, _ limit: Int) -> Bool {
      !text.isEmpty && text.utf8.count <= limit && text.utf8.allSatisfy { 0x20 < $0 && $0 < 0x7f }
    }
    guard isName(name, 32) else { return "network name" }
    guard startTime.raw > 0, startTime <= .latest else { return "start time" }
    if let fault = countFault { return fault }
    guard isName(settlementNote.name, 32), witnesses.allSatisfy({ isName($0.name, 32) }) else {
      return "note key name"
    }
    let keys =
      accounts + [execution, clearing, settlement].flatMap { [$0.object, $0.handshake] }
      + witnesses.map(\.key) + [settlementNote.key]
    guard Set(keys).count == keys.count else { return "a key stands twice" }
    guard keys.allSatisfy(Ed25519.isAcceptableKey) else { return "key encoding" }
    guard !assets.isEmpty, assets.allSatisfy({ isName($0.name, 16) && $0.scale <= 8 }),
      assets[0].scale == 6
    else { return "assets (the first is the quote asset, scale 6)" }
    guard !underlyings.isEmpty, underlyings.allSatisfy({ isName($0, 16) }),
      Set(underlyings).count == underlyings.count
    else { return "underlyings" }
    let roles = assets.map(\.custodian) + publishers + governance
    guard roles.allSatisfy({ $0.index < accounts.count }) else { return "account of a role" }
    guard Set(publishers).count == publishers.count, Set(governance).count == governance.count
    else { return "a member stands twice" }
    guard constants.oracleQuorum >= 1, constants.oracleQuorum <= publishers.count else {
      return "oracle quorum"
    }
    guard governanceThreshold >= 1, Int(governanceThreshold) <= governance.count else {
      return "governance threshold"
    }
    guard constants.witnessQuorum >= 0, constants.witnessQuorum <= witnesses.count else {
      return "witness quorum"
    }
    if let fault = instrumentFault { return fault }
    return constants.fault ?? margin.fault ?? collateralFault
  }

  /// Collateral is of assets and underlyings there are, and only auctions sell it.
  private var collateralFault: StaticString? {
    guard margin.fits(assets: assets.count, underlyings: underlyings.count) else {
      return "an asset or underlying of collateral"
    }
    return margin.takesCollateral && constants.auctionFast == 0
      ? "collateral without auctions" : nil
  }
}

extension Genesis {
  private var countFault: StaticString? {
    guard witnesses.count <= Limits.witnessesMax else { return "too many witnesses" }
    guard accounts.count <= Genesis.accountsMax else { return "too many accounts" }
    guard assets.count <= Limits.assetsMax else { return "too many assets" }
    guard underlyings.count <= Limits.underlyingsMax else { return "too many underlyings" }
    guard publishers.count <= Limits.publishersMax else { return "too many publishers" }
    guard governance.count <= Limits.governanceMembersMax else {
      return "too many governance members"
    }
    guard instruments.count <= Genesis.instrumentsMax else { return "too many instruments" }
    return nil
  }

  /// Instruments stand in the order of their ids, as freshly listed, each with a name of its own.
  private var instrumentFault: StaticString? {
    var names: Set<InstrumentName> = []
    for (place, instrument) in instruments.enumerated() {
      guard instrument.id.index == place, instrument.underlying.index < underlyings.count,
        instrument.fault == nil, instrument.isProposal
      else { return "instrument" }
      // A contract that expires inside a minute has no name; machines need none.
      if let name = InstrumentName(instrument, underlyings: underlyings),
        !names.insert(name).inserted
      {
        return "an instrument stands twice"
      }
    }
    return nil
  }
}

extension Constants {
  /// The first constant outside its domain, or nil.
  var fault: StaticString? {
    guard Constants.fields.allSatisfy({ self[keyPath: $0.path] >= 0 }) else {
      return "a constant is negative"
    }
    guard Constants.fields.allSatisfy({ self[keyPath: $0.path] <= Constants.largest }) else {
      return "a constant is too large"
    }
    guard (1...4_096).contains(runAheadMax), activationNotice >= runAheadMax + 1 else {
      return "activation_notice must pass run_ahead_max"
    }
    guard (1...64).contains(keysPerAccountMax), (1...128).contains(positionsPerAccountMax),
      (1...65_536).contains(openOrdersPerAccountMax)
    else { return "an account limit" }
    guard (1...86_400_000).contains(bundleLifeMax), (1...60_000).contains(heartbeat) else {
      return "bundle_life_max_ms or heartbeat_ms"
    }
    guard (0...1_000_000_000).contains(closeBand) else { return "close_band" }
    guard (0...1_000_000_000).contains(fundingRateMax) else { return "funding_rate_max" }
    guard (0...1_000_000_000).contains(oracleDeviationMax),
      (0...1_000_000_000).contains(confidenceBand)
    else { return "oracle_deviation_max or confidence_band" }
    return auctionFault
  }

  private var auctionFault: StaticString? {
    let whole = Ratio.scale
    guard (0...86_400_000).contains(auctionFast), (1...604_800_000).contains(auctionSlow),
      (1...86_400_000).contains(auctionInsolvent)
    else { return "auction_fast_ms, auction_slow_ms or auction_insolvent_ms" }
    guard auctionBuffer <= whole, auctionFee <= whole, auctionPayoutMax <= whole else {
      return "auction_buffer, auction_fee or auction_payout_max"
    }
    guard auctionSlowDiscount <= auctionStartDiscount, auctionStartDiscount <= whole else {
      return "auction_start_discount or auction_slow_discount"
    }
    guard (1...4_096).contains(auctionStartsMax) else { return "auction_starts_max" }
    guard lossEpochsMax <= 64, lossRecovery <= whole else {
      return "loss_epochs_max or loss_recovery"
    }
    return nil
  }
}

extension ByteWriter {
  mutating func write(_ key: Genesis.NoteKey) {
    write(text: key.name, byteCount: 32)
    write(key.key)
  }

  /// A list at message level: its count, then its elements.
  mutating func write<Element>(
    list: [Element], _ element: (inout ByteWriter, Element) -> Void
  ) {
    write(UInt32(list.count))
    for item in list { element(&self, item) }
  }
}

extension ByteReader {
  mutating func roleKeys() throws(DecodingFailure) -> Genesis.RoleKeys {
    Genesis.RoleKeys(object: try read(), handshake: try read())
  }

  mutating func noteKey() throws(DecodingFailure) -> Genesis.NoteKey {
    Genesis.NoteKey(name: try text(byteCount: 32, field: "note key name"), key: try read())
  }

  mutating func list<Element>(
    _ field: StaticString, maximum: Int,
    _ element: (inout ByteReader) throws(DecodingFailure) -> Element
  ) throws(DecodingFailure) -> [Element] {
    let count = try count(field, maximum: maximum)
    var items: [Element] = []
    for _ in 0..<count { items.append(try element(&self)) }
    return items
  }
}
