public import Commitments
public import Instruments
public import Primitives
public import Wire

/// Whose key it is: the name of its file, and its place in genesis.
public enum KeyRole: Hashable, Sendable {
  case execution, executionHandshake
  case clearing, clearingHandshake
  case settlement, settlementNote, settlementHandshake
  case custodian
  /// Counted from 1, all four.
  case publisher(Int)
  case governance(Int)
  case witness(Int)
  /// By account id: `account-7.key` signs for account 7.
  case account(AccountID)

  /// The file's name inside the folder `keys`.
  public var fileName: String { "\(name).key" }

  public var name: String {
    switch self {
    case .execution: "execution"
    case .executionHandshake: "execution-handshake"
    case .clearing: "clearing"
    case .clearingHandshake: "clearing-handshake"
    case .settlement: "settlement"
    case .settlementNote: "settlement-note"
    case .settlementHandshake: "settlement-handshake"
    case .custodian: "custodian"
    case .publisher(let number): "publisher-\(number)"
    case .governance(let number): "governance-\(number)"
    case .witness(let number): "witness-\(number)"
    case .account(let id): "account-\(id)"
    }
  }

  /// The role's key made from a seed: the same for the same seed, for tests, demonstrations and
  /// benchmarks. Whoever knows the seed knows the key.
  public func key(seed: UInt64) -> SigningKey {
    var stream = SHA256Stream()
    var out = ByteWriter(capacity: 64)
    out.write(Array("novate/seeded-key/1".utf8))
    out.write(seed)
    out.write(Array(name.utf8))
    stream.update(out.bytes.rawSpan)
    do throws(SignatureFailure) {
      return try SigningKey(seed: stream.finish().withBytes { $0.array })
    } catch {
      preconditionFailure("a seed of 32 bytes made no key: \(error)")
    }
  }
}

/// A contract to list: its name, steps, limits and fees.
public struct Listing: Sendable, Hashable {
  public var name: InstrumentName
  public var tick: Price
  public var lot: Quantity
  public var orderQuantityMax: Quantity
  public var priceMax: Price
  public var makerFee: Ratio
  public var takerFee: Ratio
  public var priceBand: Ratio
  public var tiers: FeeTiers = .none
  public var settlementSamples: UInt16
  /// Milliseconds; 0 for continuous trading from the first.
  public var callDuration: UInt32 = 0
  public var auctionInterval: UInt32 = 0
  /// Contracts a day; zero for no charge on size.
  public var dailyVolume = Quantity.zero

  /// The defaults: tick 0.1, lot 0.001, orders up to 10 000 contracts at up to 10 000 000, together
  /// a tenth of `Instrument.orderNotionalMax`; fees of 0.01 % and 0.03 %; a price band of half the
  /// index.
  public init(
    _ name: InstrumentName, tick: Price = Price(raw: Price.scale / 10),
    lot: Quantity = Quantity(raw: Quantity.scale / 1_000),
    orderQuantityMax: Quantity = Quantity(raw: 10_000 * Quantity.scale),
    priceMax: Price = Price(raw: 10_000_000 * Price.scale),
    makerFee: Ratio = Ratio(raw: Ratio.scale / 10_000),
    takerFee: Ratio = Ratio(raw: 3 * Ratio.scale / 10_000),
    priceBand: Ratio = Listing.defaultPriceBand
  ) {
    self.name = name
    self.tick = tick
    self.lot = lot
    self.orderQuantityMax = orderQuantityMax
    self.priceMax = priceMax
    self.makerFee = makerFee
    self.takerFee = takerFee
    self.priceBand = priceBand
    settlementSamples = Listing.settlementSamples(of: name)
  }

  /// 24 of thirty minutes for what expires: names name whole minutes.
  public static func settlementSamples(of name: InstrumentName) -> UInt16 {
    switch name.form {
    case .option, .future: 24
    case .perpetual: 0
    }
  }

  /// Half the index: wide enough for a crash between two marks, too narrow for a slip of a digit.
  public static let defaultPriceBand = Ratio(raw: Ratio.scale / 2)
}

/// What a network starts from, before its keys are known. Its members stand in the order of
/// accounts: custodian 0, publishers from 1, then governance, then traders.
public struct GenesisBuilder: Sendable {
  /// At most 24 of letters, digits, `.`, `_` and `-`, so that it can stand in note key names.
  public var name = "novate"
  public var startTime: Timestamp
  public var underlyings = ["BTC", "ETH"]
  public var publisherCount = 3
  public var governanceCount = 3
  public var governanceThreshold: UInt16 = 2
  public var witnessCount = 1
  /// Trader accounts that exist from the start.
  public var accountCount = 8
  public var listings: [Listing]
  /// Other assets than the quote asset, by name and scale; the custodian keeps them all.
  public var otherAssets: [(name: String, scale: UInt8)] = []
  public var constants = Constants()

  /// Two underlyings, a perpetual on each, three publishers of which two make a price, two of three
  /// governance members, and eight traders.
  public init(startTime: Timestamp) {
    self.startTime = startTime
    listings = underlyings.map { Listing(GenesisBuilder.perpetual($0)) }
  }

  private static func perpetual(_ underlying: String) -> InstrumentName {
    do throws(InstrumentNameFailure) {
      return try InstrumentName(underlying: underlying, form: .perpetual)
    } catch {
      preconditionFailure("\(error)")
    }
  }

  /// Lists one more contract, and its underlying if it is new.
  public mutating func list(_ listing: Listing) {
    if !underlyings.contains(listing.name.underlying) {
      underlyings.append(listing.name.underlying)
    }
    listings.append(listing)
  }

  public var custodian: AccountID { AccountID(0) }
  public var publishers: [AccountID] { ids(from: 1, count: publisherCount) }
  public var governance: [AccountID] { ids(from: 1 + publisherCount, count: governanceCount) }
  /// The traders' accounts.
  public var traders: [AccountID] {
    ids(from: 1 + publisherCount + governanceCount, count: accountCount)
  }

  private func ids(from start: Int, count: Int) -> [AccountID] {
    (start..<(start + count)).map { AccountID(UInt32($0)) }
  }

  /// The roles whose keys own the accounts, in the order of their ids.
  public var accountRoles: [KeyRole] {
    [.custodian] + (0..<publisherCount).map { .publisher($0 + 1) }
      + (0..<governanceCount).map { .governance($0 + 1) } + traders.map(KeyRole.account)
  }

  /// Every key the network starts with.
  public var roles: [KeyRole] {
    [
      .execution, .executionHandshake, .clearing, .clearingHandshake, .settlement,
      .settlementNote, .settlementHandshake,
    ] + accountRoles + (0..<witnessCount).map { .witness($0 + 1) }
  }

  /// The manifest.
  /// - Parameter publicKey: gives each role's key; called once for each of `roles`.
  /// - Throws: what `publicKey` throws, or the manifest's fault.
  public func genesis(publicKey: (KeyRole) throws -> PublicKey) throws -> Genesis {
    guard GenesisBuilder.isName(name) else {
      throw GenesisFailure.fault("network name \"\(name)\"")
    }
    var instruments: [Instrument] = []
    for listing in listings {
      instruments.append(try instrument(listing, InstrumentID(UInt32(instruments.count))))
    }
    let genesis = Genesis(
      name: name, startTime: startTime,
      execution: Genesis.RoleKeys(
        object: try publicKey(.execution), handshake: try publicKey(.executionHandshake)),
      clearing: Genesis.RoleKeys(
        object: try publicKey(.clearing), handshake: try publicKey(.clearingHandshake)),
      settlement: Genesis.RoleKeys(
        object: try publicKey(.settlement), handshake: try publicKey(.settlementHandshake)),
      settlementNote: Genesis.NoteKey(name: "\(name)/log", key: try publicKey(.settlementNote)),
      witnesses: try (0..<witnessCount).map {
        Genesis.NoteKey(name: "\(name)/w\($0 + 1)", key: try publicKey(.witness($0 + 1)))
      },
      accounts: try accountRoles.map(publicKey), assets: assets, underlyings: underlyings,
      publishers: publishers, governance: governance, governanceThreshold: governanceThreshold,
      instruments: instruments, constants: constants)
    if let fault = genesis.fault { throw GenesisFailure.fault(fault.description) }
    return genesis
  }

  /// The manifest of keys made from a seed.
  /// - Throws: the manifest's fault.
  public func genesis(seed: UInt64) throws -> Genesis {
    try genesis { $0.key(seed: seed).publicKey }
  }

  private var assets: [Genesis.Asset] {
    [Genesis.Asset(name: "USDC", scale: 6, custodian: custodian)]
      + otherAssets.map { Genesis.Asset(name: $0.name, scale: $0.scale, custodian: custodian) }
  }

  private func instrument(_ listing: Listing, _ id: InstrumentID) throws -> Instrument {
    guard let underlying = underlyings.firstIndex(of: listing.name.underlying) else {
      throw GenesisFailure.underlying(listing.name.underlying, at: "instruments[\(id)].name")
    }
    return Instrument(
      id: id, underlying: UnderlyingID(UInt16(underlying)), name: listing.name,
      tick: listing.tick, lot: listing.lot, orderQuantityMax: listing.orderQuantityMax,
      priceMax: listing.priceMax, makerFee: listing.makerFee, takerFee: listing.takerFee,
      priceBand: listing.priceBand, tiers: listing.tiers,
      settlementSamples: listing.settlementSamples, callDuration: listing.callDuration,
      auctionInterval: listing.auctionInterval, dailyVolume: listing.dailyVolume)
  }

  /// Whether a network may bear the name.
  public static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 24
      && name.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}
