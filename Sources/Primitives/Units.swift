/// One integer with a unit: the base of every ledger quantity.
///
/// Arithmetic between values of one unit is checked and throws; nothing converts silently.
public protocol Unit: Hashable, Comparable, Sendable, BitwiseCopyable {
  associatedtype Raw: FixedWidthInteger & SignedInteger & Sendable & BitwiseCopyable
  /// The integer count of the smallest step of the unit.
  var raw: Raw { get }
  init(raw: Raw)
}

extension Unit {
  /// Nothing of the unit.
  @inlinable public static var zero: Self { Self(raw: 0) }
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.raw < b.raw }
  @inlinable public var isNegative: Bool { raw < 0 }

  /// The sum.
  /// - Throws: `.overflow` when it does not fit the unit.
  @inlinable public func adding(_ other: Self) throws(ArithmeticFailure) -> Self {
    let (sum, overflow) = raw.addingReportingOverflow(other.raw)
    if overflow { throw .overflow("addition") }
    return Self(raw: sum)
  }

  /// The difference.
  /// - Throws: `.overflow` when it does not fit the unit.
  @inlinable public func subtracting(_ other: Self) throws(ArithmeticFailure) -> Self {
    let (difference, overflow) = raw.subtractingReportingOverflow(other.raw)
    if overflow { throw .overflow("subtraction") }
    return Self(raw: difference)
  }
}

/// A price in units of 1e-8 of the quote asset for one contract.
@frozen public struct Price: Unit {
  public let raw: Int64
  @inlinable public init(raw: Int64) { self.raw = raw }
  public static let scale: Int64 = 100_000_000
}

/// A signed number of contracts in units of 1e-8; negative is short.
@frozen public struct Quantity: Unit {
  public let raw: Int64
  @inlinable public init(raw: Int64) { self.raw = raw }
  public static let scale: Int64 = 100_000_000
}

/// Quote money in units of 1e-6, as balances hold it.
@frozen public struct Money: Unit {
  public let raw: Int64
  @inlinable public init(raw: Int64) { self.raw = raw }
  public static let scale: Int64 = 1_000_000
}

/// A balance of an asset in that asset's own genesis scale (0…8 decimals).
@frozen public struct Amount: Unit {
  public let raw: Int64
  @inlinable public init(raw: Int64) { self.raw = raw }
}

/// A ratio, volatility or rate in units of 1e-9.
@frozen public struct Ratio: Unit {
  public let raw: Int64
  @inlinable public init(raw: Int64) { self.raw = raw }
  public static let scale: Int64 = 1_000_000_000
}

/// Protocol time: milliseconds since 1970-01-01 UTC.
@frozen public struct Timestamp: Unit {
  public let raw: Int64
  @inlinable public init(raw: Int64) { self.raw = raw }
  /// The product's year: 365 days.
  public static let millisecondsPerYear: Int64 = 31_536_000_000
  /// The last instant a header may name: the end of the year 9999.
  public static let latest = Timestamp(raw: 253_402_300_799_999)
}

/// Price × quantity, exact: units of 1e-16 of the quote asset.
@frozen public struct Notional: Unit {
  public let raw: Int128
  @inlinable public init(raw: Int128) { self.raw = raw }
  /// Notional units in one money unit.
  public static let perMoney: Int128 = 10_000_000_000

  /// Exact widening of money.
  @inlinable public init(_ money: Money) { raw = Int128(money.raw) &* Notional.perMoney }

  /// The nearest money in the named direction.
  /// - Throws: `.overflow` beyond ±9.2e12 of the quote asset.
  @inlinable
  public func money(rounding: Rounding) throws(ArithmeticFailure) -> Money {
    let units = raw.divided(by: Notional.perMoney, rounding: rounding)
    guard let narrow = Int64(exactly: units) else { throw .overflow("notional to money") }
    return Money(raw: narrow)
  }
}

/// Exact: |Int64| × |Int64| fits Int128.
@inlinable public func * (price: Price, quantity: Quantity) -> Notional {
  Notional(raw: Int128(price.raw) &* Int128(quantity.raw))
}
