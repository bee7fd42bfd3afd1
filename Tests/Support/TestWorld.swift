public import Commitments
import Glibc
public import Instruments
public import Primitives
public import Wire

/// SplitMix64 (Steele, Lea, Flood 2014): ours, so that a seed means the same for ever.
public struct Generator: Sendable {
  public var state: UInt64
  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number from 0 up to `bound`.
  public mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  public mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(below(Int(range.upperBound - range.lowerBound) + 1))
  }

  /// True in `percent` of a hundred calls.
  public mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  public mutating func pick<Element>(_ items: [Element]) -> Element { items[below(items.count)] }
}

/// A small network to test with: fixed keys, two underlyings, a perpetual, a future, two options
/// and a perpetual on the second underlying.
public enum TestWorld {
  public static let start = Timestamp(raw: 1_700_000_040_000)
  public static let day: Int64 = 86_400_000
  /// Account 0 is the custodian, 1…3 publish, 4…6 govern, clients follow.
  public static let custodian = AccountID(0)
  public static let publishers = [AccountID(1), AccountID(2), AccountID(3)]
  public static let governance = [AccountID(4), AccountID(5), AccountID(6)]
  public static let firstClient = 7

  public static func key(_ number: Int) -> SigningKey {
    var seed = [UInt8](repeating: 0, count: 32)
    for place in 0..<8 { seed[place] = UInt8(truncatingIfNeeded: number >> (8 * place)) }
    seed[31] = 0x4E
    do { return try SigningKey(seed: seed) } catch { preconditionFailure("\(error)") }
  }

  /// The owner key of a genesis account.
  public static func ownerKey(_ account: AccountID) -> SigningKey { key(1_000 + account.index) }

  public static let tick: Int64 = 1_000_000
  public static let lot: Int64 = 1_000_000

  /// - Parameter expiry: of the future and the options, after the start.
  public static func instruments(
    expiry: Int64 = 10 * day, fees: Bool = true, priceBand: Int64 = 0, tiers: FeeTiers = .none,
    samples: UInt16 = 0
  ) -> [Instrument] {
    func make(
      _ id: UInt32, _ underlying: UInt16, _ kind: InstrumentKind, _ type: UInt8 = 0,
      strike: Int64 = 0
    ) -> Instrument {
      Instrument(
        id: InstrumentID(id), underlying: UnderlyingID(underlying), kind: kind,
        optionTypeCode: type, strike: Price(raw: strike * Price.scale),
        expiry: kind == .perpetual ? .zero : Timestamp(raw: start.raw + expiry),
        tick: Price(raw: tick), lot: Quantity(raw: lot),
        orderQuantityMax: Quantity(raw: 1_000 * Quantity.scale),
        priceMax: Price(raw: 100_000 * Price.scale),
        makerFee: Ratio(raw: fees ? 100_000 : 0), takerFee: Ratio(raw: fees ? 500_000 : 0),
        priceBand: Ratio(raw: priceBand), tiers: tiers,
        settlementSamples: kind == .perpetual ? 0 : samples)
    }
    return [
      make(0, 0, .perpetual), make(1, 0, .future), make(2, 0, .option, 1, strike: 1_000),
      make(3, 0, .option, 2, strike: 950), make(4, 1, .perpetual),
    ]
  }

  /// Gives contracts a daily volume small enough that size costs something.
  public static func size(_ instruments: inout [Instrument], contracts: Int64 = 10) {
    for place in instruments.indices where place != 1 {
      let share = instruments[place].isOption ? 2 : 1 as Int64
      instruments[place].dailyVolume = Quantity(raw: contracts * Quantity.scale / share)
    }
  }

  public static func genesis(
    clients: Int, instruments: [Instrument] = instruments(), constants: Constants = Constants(),
    assets: [(name: String, scale: UInt8)] = [("USDC", 6), ("BTC", 8)],
    margin: MarginTerms = .novate32
  ) -> Genesis {
    let owners = (0..<(firstClient + clients)).map {
      ownerKey(AccountID(UInt32($0))).publicKey
    }
    func role(_ number: Int) -> Genesis.RoleKeys {
      Genesis.RoleKeys(object: key(number).publicKey, handshake: key(number + 100).publicKey)
    }
    let genesis = Genesis(
      name: "test", startTime: start, execution: role(1), clearing: role(2), settlement: role(3),
      settlementNote: Genesis.NoteKey(name: "test/log", key: key(4).publicKey), witnesses: [],
      accounts: owners,
      assets: assets.map { Genesis.Asset(name: $0.name, scale: $0.scale, custodian: custodian) },
      underlyings: ["BTC", "ETH"] + (margin.peg == pegged ? ["USDC"] : []), publishers: publishers,
      governance: governance,
      governanceThreshold: 2, instruments: instruments, constants: constants, margin: margin)
    precondition(genesis.fault == nil, "the test network is well-formed: \(genesis.fault!)")
    return genesis
  }

  /// `peg` of terms that go by the worth of the quote asset, a third underlying then.
  public static let pegged: UInt64 = 3

  /// Terms by which BTC counts, and debts cost what they owe in a year.
  public static func collateral(
    haircut: Int64 = 50_000_000, initial: Int64 = 30_000_000, accountMax: Int64 = 400_000_000,
    interest: Int64 = Ratio.scale, method: MarginTerms = .novate32
  ) -> MarginTerms {
    var terms = method
    terms.interest = Ratio(raw: interest)
    terms.collaterals[1] = CollateralTerms(
      underlying: UnderlyingID(0), haircut: Ratio(raw: haircut),
      initialHaircut: Ratio(raw: initial), accountMax: Amount(raw: accountMax),
      capStart: Amount(raw: 6_000_000_000), capEnd: Amount(raw: 90_000_000_000), listed: start,
      ageingSeconds: 100)
    return terms
  }

  /// A bundle with a zero signature: machines take bundles whose signature has been checked.
  public static func bundle(
    _ actions: [Action], account: AccountID, key: PublicKey, nonce: UInt64, expiry: Timestamp
  ) -> Bundle {
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
    do { return try Bundle(out.bytes) } catch { preconditionFailure("\(error)") }
  }

  /// A flat smile of 60 %, in the domain publishers may sign.
  public static func smile(time: Int64) -> SurfaceParameters {
    let flat = 360_000_000_000 * Int128(max(time, 60_000)) / Int128(Timestamp.millisecondsPerYear)
    return SurfaceParameters(
      a: Int64(flat), b: 1_000_000_000, rho: -100_000_000_000, m: 0, sigma: 50_000_000_000)
  }
}

/// Makes bundles of accounts by their owners, numbering their nonces.
public struct BundleMaker: Sendable {
  public let genesis: Genesis
  /// By account.
  public private(set) var owners: [PublicKey]
  private var nonces: [UInt64]

  public init(genesis: Genesis) {
    self.genesis = genesis
    owners = genesis.accounts
    nonces = Array(repeating: 0, count: genesis.accounts.count)
  }

  /// Notes the next account, opened since genesis.
  public mutating func open(owner: PublicKey) {
    owners.append(owner)
    nonces.append(0)
  }

  public mutating func bundle(_ account: AccountID, _ actions: [Action], at time: Timestamp)
    -> Bundle
  {
    TestWorld.bundle(
      actions, account: account, key: owners[account.index], nonce: nonce(of: account),
      expiry: Timestamp(raw: time.raw + 60_000))
  }

  /// The account's next nonce, for what it signs itself.
  public mutating func nonce(of account: AccountID) -> UInt64 {
    nonces[account.index] += 1
    return nonces[account.index]
  }
}

/// Seconds of processor time this thread has used.
public func threadSeconds() -> Double {
  var now = timespec()
  precondition(unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
