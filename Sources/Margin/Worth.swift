import Pricing
public import Primitives

/// Why a margin has no number.
public enum MarginFailure: Error, Hashable, Sendable {
  /// A sum or product passes ±1.7e18 of the quote asset; names the operation.
  case overflow(ArithmeticFailure.StaticName)
  /// A field is outside its domain.
  case outsideDomain(Field)
  /// The method has a limit of its own: more scenarios, or a volatility mode it does not know.
  case unsupported(ArithmeticFailure.StaticName)

  public enum Field: String, Sendable {
    case spot, stable, forward, strike, vol, discount, rate, scenarios, dampening, haircut, lambda
    case time = "time_ms"
    case perpetualPrice = "perp_price"
    case collateralQuantity = "collateral quantity"
    case volume = "daily volume, open interest or the owner's others"
    case collateralPrice = "collateral price"
    case confidence, powers
    case riskArrays = "risk_arrays"
    case scanRange = "price_scan_range"
    case lookahead = "lookahead_ms"
    case market
  }
}

extension MarginFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .overflow(let operation): "\(operation) passes 1.7e18 of the quote asset"
    case .outsideDomain(let field): "\(field.rawValue) is outside its domain"
    case .unsupported(let what): "\(what)"
    }
  }
}

/// An amount of the quote asset inside a margin calculation, in units of 1e-20.
///
/// A contract's value in 1e-12 times a quantity in 1e-8 is exact in it, so sums of legs do not depend
/// on their order; it is rounded against the user once, where it leaves. ±1.7e18 of the quote asset.
@frozen public struct Worth: Unit {
  public let raw: Int128
  @inlinable public init(raw: Int128) { self.raw = raw }
  public static let digits = 20
  static let perNotional: Int128 = 10_000
  static let perMoney: Int128 = 100_000_000_000_000

  /// - Throws: `.overflow` beyond ±1.7e18 of the quote asset.
  @inlinable public static func + (a: Worth, b: Worth) throws(MarginFailure) -> Worth {
    let (sum, overflow) = a.raw.addingReportingOverflow(b.raw)
    if overflow { throw .overflow("a sum") }
    return Worth(raw: sum)
  }

  /// - Throws: `.overflow` beyond ±1.7e18 of the quote asset.
  @inlinable public static func - (a: Worth, b: Worth) throws(MarginFailure) -> Worth {
    let (difference, overflow) = a.raw.subtractingReportingOverflow(b.raw)
    if overflow { throw .overflow("a difference") }
    return Worth(raw: difference)
  }

  /// The other sign. The least Int128 has none; no sum of checked parts within the domain is it.
  @inlinable public static prefix func - (a: Worth) -> Worth {
    Worth(raw: 0 - max(a.raw, -Int128.max))
  }

  /// - Throws: `.overflow`.
  public init(_ notional: Notional) throws(MarginFailure) {
    let (product, overflow) = notional.raw.multipliedReportingOverflow(by: Worth.perNotional)
    if overflow { throw .overflow("a notional") }
    raw = product
  }

  /// Money, exactly.
  public init(_ money: Money) { raw = Int128(money.raw) &* Worth.perMoney }

  /// Price × quantity, exactly.
  /// - Throws: `.overflow`.
  public init(_ price: Price, _ quantity: Quantity) throws(MarginFailure) {
    try self.init(price * quantity)
  }

  /// A contract's value in units of 1e-12 × quantity, exactly.
  /// - Throws: `.overflow`.
  init(_ value: FineValue, _ quantity: Quantity) throws(MarginFailure) {
    let (product, overflow) = value.raw.multipliedReportingOverflow(by: Int128(quantity.raw))
    if overflow { throw .overflow("value × quantity") }
    raw = product
  }

  /// worth × numerator / denominator.
  ///
  /// - Precondition: 0 < denominator ≤ 1e18, and numerator × denominator fits Int128.
  /// - Throws: `.overflow`.
  func scaled(by numerator: Int128, over denominator: Int128, _ rounding: Rounding)
    throws(MarginFailure) -> Worth
  {
    // Whole and rest apart, so that the product is not formed in full: rest < denominator.
    let whole = raw.divided(by: denominator, rounding: .down)
    let rest = raw &- whole &* denominator
    let (product, overflow) = whole.multipliedReportingOverflow(by: numerator)
    let (partial, excess) = rest.multipliedReportingOverflow(by: numerator)
    if overflow || excess { throw .overflow("a product") }
    return try Worth(raw: product)
      + Worth(raw: partial.divided(by: denominator, rounding: rounding))
  }

  /// worth × ratio.
  /// - Throws: `.overflow`.
  func times(_ ratio: Ratio, _ rounding: Rounding) throws(MarginFailure) -> Worth {
    try scaled(by: Int128(ratio.raw), over: Int128(Ratio.scale), rounding)
  }

  /// worth × factor.
  /// - Throws: `.overflow`.
  func times(_ factor: FineFactor, _ rounding: Rounding) throws(MarginFailure) -> Worth {
    try scaled(by: factor.raw, over: FineFactor.scale, rounding)
  }

  /// The nearest money in the named direction.
  /// - Throws: `.overflow` beyond ±9.2e12 of the quote asset.
  public func money(rounding: Rounding) throws(MarginFailure) -> Money {
    let units = raw.divided(by: Worth.perMoney, rounding: rounding)
    guard let narrow = Int64(exactly: units) else { throw .overflow("worth to money") }
    return Money(raw: narrow)
  }
}

/// A contract's value in units of 1e-12 of the quote asset.
@frozen public struct FineValue: Unit {
  public let raw: Int128
  @inlinable public init(raw: Int128) { self.raw = raw }
  public static let digits = 12

  /// Exact widening.
  init(_ price: Price) { raw = Int128(price.raw) &* 10_000 }
}

/// A factor in units of 1e-18, at most 1e20 of them (100).
struct FineFactor: Hashable {
  let raw: Int128

  init(raw: Int128) { self.raw = raw }

  /// To the nearest 1e-18.
  /// - Throws: `.overflow` beyond ±100.
  init(_ value: Real, _ name: ArithmeticFailure.StaticName) throws(MarginFailure) {
    guard let units = value.scaled(digits: 18), units.magnitude <= FineFactor.bound.magnitude
    else { throw .overflow(name) }
    raw = units
  }
  static let scale: Int128 = 1_000_000_000_000_000_000
  static let bound: Int128 = 100 * scale
}
