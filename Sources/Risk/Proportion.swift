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

/// The division of a whole number of units among many by weight, without remainder.
public enum Apportionment {
  /// Parts of `total` in proportion to `weights`, in their order: part i is the growth of
  /// ⌊total × (weights up to i) ÷ all weights⌋. The parts sum to `total` exactly, each is within
  /// one unit of its share, and none exceeds its weight while `total` is at most their sum.
  ///
  /// - Precondition: no weight is negative, and neither is `total`.
  /// - Throws: `.divisionByZero` when `total` is positive and every weight is zero; `.overflow`.
  public static func parts(of total: Int64, by weights: [Int64]) throws(ArithmeticFailure)
    -> [Int64]
  {
    precondition(total >= 0, "there is nothing negative to divide")
    var all: Int128 = 0
    for weight in weights {
      precondition(weight >= 0, "a weight is at least zero")
      all += Int128(weight)
    }
    guard total > 0 else { return weights.map { _ in 0 } }
    var parts: [Int64] = []
    var (sum, given): (Int128, Int128) = (0, 0)
    for weight in weights {
      sum += Int128(weight)
      let until = try Int128(total).scaled(by: sum, over: all, rounding: .down)
      parts.append(Int64(until - given))
      given = until
    }
    return parts
  }
}
