public import Primitives

/// What an asset counts in margin, as it is stored among the margin terms: 48 bytes.
@frozen public struct CollateralTerms: FlatRecord, Hashable {
  /// The underlying whose index is the price of one whole unit, plus one; zero for an asset that
  /// counts nothing.
  public var underlyingPlace: UInt16 = 0
  private var reserved: UInt16 = 0
  /// Share of the value that never counts, 1e-9, and what initial margin takes on top.
  public var haircut: UInt32 = 0
  public var initialHaircut: UInt32 = 0
  /// Seconds from listing in which the cap of all accounts grows from its start to its end.
  public var ageing: UInt32 = 0
  /// Units that count of one account.
  public var accountMax = Amount(raw: 0)
  /// Units that all accounts and the house together may hold: deposits beyond it are refused.
  public var capStart = Amount(raw: 0)
  public var capEnd = Amount(raw: 0)
  public var listed: Timestamp = .zero

  public static let empty = CollateralTerms()
  /// An asset that deserves more haircut is none.
  public static let haircutMax = UInt32(Ratio.scale / 2)

  public init() {}

  public init(
    underlying: UnderlyingID, haircut: Ratio, initialHaircut: Ratio, accountMax: Amount,
    capStart: Amount, capEnd: Amount, listed: Timestamp, ageingSeconds: UInt32
  ) {
    underlyingPlace = underlying.raw + 1
    self.haircut = UInt32(clamping: haircut.raw)
    self.initialHaircut = UInt32(clamping: initialHaircut.raw)
    ageing = ageingSeconds
    self.accountMax = accountMax
    self.capStart = capStart
    self.capEnd = capEnd
    self.listed = listed
  }

  /// Nil for an asset that counts nothing.
  @inlinable public var underlying: UnderlyingID? {
    underlyingPlace == 0 ? nil : UnderlyingID(underlyingPlace - 1)
  }

  var isSound: Bool {
    guard underlyingPlace > 0 else { return self == .empty }
    return reserved == 0 && haircut <= CollateralTerms.haircutMax
      && initialHaircut <= CollateralTerms.haircutMax - haircut && ageing > 0
      && accountMax.raw >= 0 && capStart.raw >= 0 && capStart <= capEnd
      && (0...Timestamp.latest.raw).contains(listed.raw)
  }

  /// What all may hold at `time`: from the start to the end linearly, rounded down.
  public func cap(at time: Timestamp) -> Amount {
    let whole = Int128(ageing) * 1_000
    let age = min(max(0, Int128(time.raw) - Int128(listed.raw)), whole)
    let growth = (Int128(capEnd.raw) - Int128(capStart.raw)) * age / whole
    return Amount(raw: capStart.raw + Int64(growth))
  }
}
