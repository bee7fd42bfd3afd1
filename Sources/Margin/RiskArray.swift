public import Primitives

/// All that one contract, or one unit of an asset, puts into an account's margin: after SPAN's risk
/// array, with the charges. From these and the rules of Protocol 9.11 anyone computes a requirement.
public struct RiskArray: Sendable {
  public var mark: Price
  /// When the oldest word behind the mark was true.
  public var time: Timestamp
  /// Covered change of value under each scenario.
  public var scenarios: [Price]
  /// The delta minimum on the heavier side of its book and, beyond that, on the lighter one.
  public var lead: Price
  public var trail: Price
  /// Whether it loses when the underlying rises.
  public var falls: Bool
  /// Of an option, short.
  public var short: Price
  /// What the tilt of its expiry's forward moves; nothing at the front.
  public var basis: Price
  /// Of a doubtful price, on initial margin alone.
  public var doubt: Price
}

extension RiskTable {
  /// Nil for what is not priced.
  public func array(_ instrument: InstrumentID) -> RiskArray? {
    guard isPriced(instrument) else { return nil }
    let charges = charges(instrument)
    return RiskArray(
      mark: mark(instrument), time: time(instrument),
      scenarios: (0..<ScenarioSet.count).map { unit(instrument, $0) },
      lead: Price(raw: charges.lead), trail: Price(raw: charges.trail), falls: charges.falls,
      short: Price(raw: charges.short), basis: Price(raw: charges.basis),
      doubt: Price(raw: charges.doubt))
  }
}

extension CollateralTable {
  /// Of one whole unit of an asset; nil for one that counts nothing.
  public func array(_ asset: AssetID) -> RiskArray? {
    guard counts(asset), var array = legs.array(InstrumentID(UInt32(asset.raw))) else { return nil }
    array.time = time(asset)
    return array
  }
}
