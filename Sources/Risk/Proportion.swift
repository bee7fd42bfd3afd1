public import Primitives

extension Int128 {
  /// self × numerator ÷ denominator, the product kept whole (256 bits) and divided once.
  ///
  /// - Throws: `.divisionByZero`; `.overflow` when the quotient leaves 127 bits.
  public func scaled(by numerator: Int128, over denominator: Int128, rounding: Rounding)
    throws(ArithmeticFailure) -> Int128
  {
    guard denominator != 0 else { throw .divisionByZero }
    let isNegative = ((self < 0) != (numerator < 0)) != (denominator < 0)
    let divisor = denominator.magnitude
    let product = magnitude.multipliedFullWidth(by: numerator.magnitude)
    guard product.high < divisor else { throw .overflow("proportion") }
    let (quotient, remainder) =
      product.high == 0
      ? product.low.quotientAndRemainder(dividingBy: divisor)
      : divisor.dividingFullWidth(product)
    guard quotient < Int128.max.magnitude else { throw .overflow("proportion") }
    let isAway: Bool
    switch rounding {
    case .down: isAway = isNegative && remainder != 0
    case .up: isAway = !isNegative && remainder != 0
    case .nearestEven:
      let rest = divisor - remainder
      isAway = remainder > rest || (remainder == rest && quotient & 1 == 1)
    }
    let size = Int128(quotient) + (isAway ? 1 : 0)
    return isNegative ? 0 - size : size
  }

  /// Whether a × b ≤ c × d, the products kept whole.
  static func isProduct(_ a: Int128, _ b: Int128, atMost c: Int128, _ d: Int128) -> Bool {
    let left = a.multipliedFullWidth(by: b)
    let right = c.multipliedFullWidth(by: d)
    return left.high != right.high ? left.high < right.high : left.low <= right.low
  }
}

extension Money {
  /// Money of an exact count of units.
  /// - Throws: `.overflow` beyond ±9.2e12 of the quote asset.
  init(units: Int128) throws(ArithmeticFailure) {
    guard let raw = Int64(exactly: units) else { throw .overflow("money") }
    self.init(raw: raw)
  }

  /// The share `ratio` of it.
  /// - Throws: `.overflow` beyond money.
  public func share(_ ratio: Ratio, rounding: Rounding) throws(ArithmeticFailure) -> Money {
    // |Int64| × |Int64| fits Int128.
    let product = Int128(raw) * Int128(ratio.raw)
    return try Money(units: product.divided(by: Int128(Ratio.scale), rounding: rounding))
  }
}

extension Ratio {
  /// All of it.
  public static let one = Ratio(raw: Ratio.scale)
}
