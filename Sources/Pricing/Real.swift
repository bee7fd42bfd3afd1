public import Primitives

/// A real number by integers: a 64-bit mantissa with its own exponent.
///
/// value = ±magnitude · 2^exponent, the magnitude's top bit set, or all zero. Each operation truncates
/// to 64 bits: relative error 2^-63, the same bits on every machine. The exponent has room for
/// every product of this module's domain, so nothing overflows; results leave through `nearest` or
/// `scaled`.
public struct Real: Sendable, BitwiseCopyable {
  var magnitude: UInt64
  var exponent: Int
  /// Below zero; a zero has no sign that matters.
  public var isNegative: Bool

  public static let zero = Real(normalised: 0, exponent: 0)
  public static let one = Real(normalised: 1 &<< 63, exponent: -63)
  static let two = Real(normalised: 1 &<< 63, exponent: -62)
  static let half = Real(normalised: 1 &<< 63, exponent: -64)
  /// - Precondition: the top bit of `magnitude` is set, or it is 0.
  @inline(__always)
  init(normalised magnitude: UInt64, exponent: Int, isNegative: Bool = false) {
    self.magnitude = magnitude
    self.exponent = exponent
    self.isNegative = isNegative
  }

  @inline(__always)
  init(_ magnitude: UInt64, exponent: Int, isNegative: Bool = false) {
    let zeros = magnitude.leadingZeroBitCount
    self.magnitude = magnitude &<< UInt64(truncatingIfNeeded: zeros)
    self.exponent = exponent &- zeros
    self.isNegative = isNegative
  }

  /// A 128-bit magnitude, truncated to 64 bits.
  @inline(__always)
  init(wide magnitude: UInt128, exponent: Int, isNegative: Bool = false) {
    let zeros = magnitude.leadingZeroBitCount
    let top = (magnitude &<< UInt128(truncatingIfNeeded: zeros)) &>> 64
    self.magnitude = zeros == 128 ? 0 : UInt64(truncatingIfNeeded: top)
    self.exponent = exponent &+ 64 &- zeros
    self.isNegative = isNegative
  }

  /// An integer.
  @inline(__always)
  public init(_ value: Int64) {
    self.init(value.magnitude, exponent: 0, isNegative: value < 0)
  }

  /// A fixed-point integer with so many fraction bits.
  @inline(__always)
  init(_ value: Int64, fractionBits: Int) {
    self.init(value.magnitude, exponent: 0 &- fractionBits, isNegative: value < 0)
  }

  /// A price in the quote asset.
  @inline(__always) public init(_ price: Price) { self = Real(price.raw) * .priceStep }
  /// A ratio.
  @inline(__always) public init(_ ratio: Ratio) { self = Real(ratio.raw) * .ratioStep }
  /// Milliseconds in years of 365 days.
  @inline(__always) public init(milliseconds: Int64) { self = Real(milliseconds) * .millisecond }
  /// A discount factor.
  @inline(__always) public init(_ discount: Discount) {
    self.init(discount.raw, exponent: -62)
  }

  /// An integer of a decimal unit, as 1e-18, exact to the 64 bits.
  public init(_ value: Int128, digits: Int) {
    var result = Real(wide: value.magnitude, exponent: 0, isNegative: value < 0)
    var left = digits
    while left > 0 {
      let step = min(left, 27)
      var five: UInt64 = 1
      for _ in 0..<step { five &*= 5 }
      result = result / Real(five, exponent: step)
      left &-= step
    }
    self = result
  }

  @inline(__always) public var isZero: Bool { magnitude == 0 }
  @inline(__always) var isPositive: Bool { magnitude != 0 && !isNegative }
  @inline(__always) var absolute: Real { Real(normalised: magnitude, exponent: exponent) }
}

// MARK: - Arithmetic

extension Real {
  @inline(__always)
  public static func * (a: Real, b: Real) -> Real {
    let (top, bottom) = a.magnitude.multipliedFullWidth(by: b.magnitude)
    // Two mantissas in [1,2) give [1,4): one bit at most to take up. Zero stays zero.
    let isFull = top &>> 63 == 1
    return Real(
      normalised: isFull ? top : (top &<< 1) | (bottom &>> 63),
      exponent: a.exponent &+ b.exponent &+ (isFull ? 64 : 63),
      isNegative: a.isNegative != b.isNegative)
  }

  /// - Precondition: `b` is not zero; a zero divisor gives zero.
  @inline(__always)
  public static func / (a: Real, b: Real) -> Real {
    if b.magnitude == 0 || a.magnitude == 0 { return .zero }
    let below = a.magnitude < b.magnitude
    let upper = below ? a.magnitude : a.magnitude &>> 1
    let lower = below ? 0 : a.magnitude &<< 63
    let (quotient, _) = b.magnitude.dividingFullWidth((upper, lower))
    return Real(
      normalised: quotient, exponent: a.exponent &- b.exponent &- (below ? 64 : 63),
      isNegative: a.isNegative != b.isNegative)
  }

  @inline(__always)
  public static prefix func - (a: Real) -> Real {
    Real(normalised: a.magnitude, exponent: a.exponent, isNegative: !a.isNegative)
  }

  @inline(__always)
  public static func - (a: Real, b: Real) -> Real { a + -b }

  /// Selections, no branches: which operand is larger is as good as random.
  @inline(__always)
  public static func + (a: Real, b: Real) -> Real {
    // A zero stands below everything.
    let left = a.magnitude == 0 ? Real.exponentMin : a.exponent
    let right = b.magnitude == 0 ? Real.exponentMin : b.exponent
    let isSwapped = left < right
    let exponent = isSwapped ? right : left
    let large = isSwapped ? b.magnitude : a.magnitude
    let small = isSwapped ? a.magnitude : b.magnitude
    let isNegative = isSwapped ? b.isNegative : a.isNegative
    // One bit of room above; the lowest bit of each is given up.
    let gap = UInt64(bitPattern: Int64(exponent &- (isSwapped ? left : right)))
    let rest = gap > 62 ? 0 : small &>> (gap &+ 1)
    let mask: UInt64 = a.isNegative == b.isNegative ? 0 : .max
    let sum = Int64(bitPattern: (large &>> 1) &+ ((rest ^ mask) &- mask))
    // Of two of one exponent the second may be the larger; like signs may fill the top bit.
    let isTurned = mask != 0 && sum < 0
    return Real(
      UInt64(bitPattern: isTurned ? 0 &- sum : sum), exponent: exponent &+ 1,
      isNegative: isNegative != isTurned)
  }

  /// Below every exponent that a number has.
  private static let exponentMin = -(1 << 60)

  @inline(__always)
  public static func < (a: Real, b: Real) -> Bool {
    if a.magnitude == 0 { return b.isPositive }
    if b.magnitude == 0 || a.isNegative != b.isNegative { return a.isNegative }
    let (small, large) = a.isNegative ? (b, a) : (a, b)
    if small.exponent != large.exponent { return small.exponent < large.exponent }
    return small.magnitude < large.magnitude
  }

  @inline(__always)
  public static func > (a: Real, b: Real) -> Bool { b < a }

  /// Times 2^bits.
  @inline(__always)
  func shifted(_ bits: Int) -> Real {
    Real(normalised: magnitude, exponent: exponent &+ bits, isNegative: isNegative)
  }
}

// MARK: - Functions

extension Real {
  /// Beyond this exp is refused as too large, or is nothing.
  static let exponentialMax = Real(normalised: 0xFA00_0000_0000_0000, exponent: -52)

  /// e^x; 0 below -4 000 and e^4000 above 4 000. Relative error 4e-18 + 2^-62·|x|.
  @inline(__always)
  public var exponential: Real {
    if magnitude == 0 { return .one }
    if exponent <= -59 && exponent > -120 {  // 2^-56 ≤ |x| < 32.
      // To the nearest in Q57: 4e-18 of the result.
      let drop = UInt64(truncatingIfNeeded: -58 &- exponent)
      let size = Int64(truncatingIfNeeded: ((magnitude &>> drop) &+ 1) &>> 1)
      let power = Kernel.exponential(isNegative ? 0 &- size : size)
      return Real(normalised: power.mantissa &<< 1, exponent: power.exponent &- 63)
    }
    if exponent > -52 {  // |x| ≥ 4 096.
      return isNegative ? .zero : Real.exponentialMax.exponential
    }
    // Q68 of |x| < 2^12 fits 80 bits; n ln 2 in Q80, n < 2^13, keeps the residue good to 2^-68.
    let fixed = Int128(truncatingIfNeeded: fixed(fractionBits: 80))
    let twos = Int64(truncatingIfNeeded: ((fixed &>> 30) &* 6_196_328_019) &>> 82)  // Q50 · Q32.
    let residue = fixed &- Int128(twos) &* ln2Q80
    let q68 = residue &>> 12
    let power = Kernel.exponential(
      Int64(truncatingIfNeeded: q68 &>> 11), fine: Int64(truncatingIfNeeded: q68 & 2047))
    return Real(
      normalised: power.mantissa &<< 1,
      exponent: power.exponent &+ Int(truncatingIfNeeded: twos) &- 63)
  }

  /// Two's complement fixed point, truncated; the caller knows it fits.
  @inline(__always)
  func fixed(fractionBits: Int) -> Int128 {
    let shift = exponent &+ fractionBits
    let value = Int128(magnitude)
    let moved =
      shift >= 0
      ? value &<< Int128(truncatingIfNeeded: shift)
      : shift < -64 ? 0 : value &>> Int128(truncatingIfNeeded: 0 &- shift)
    return isNegative ? 0 &- moved : moved
  }

  /// ln x for x > 0; absolute error 3e-19 + 2^-62 of the result.
  @inline(__always)
  public var logarithm: Real {
    let (fold, base, fine) = Kernel.logarithmParts(magnitude)
    let twos = exponent &+ 63 &+ fold
    if Int64(truncatingIfNeeded: twos) | base == 0 { return Real(fine, fractionBits: 71) }
    let inside = Real(base &+ ((fine &+ 256) &>> 9), fractionBits: 62)
    return twos == 0 ? inside : Real(Int64(truncatingIfNeeded: twos)) * .ln2 + inside
  }

  /// √x for x ≥ 0.
  @inline(__always)
  public var squareRoot: Real {
    if magnitude == 0 { return .zero }
    let isOdd = exponent & 1
    let roots = Kernel.roots(of: UInt128(magnitude) &<< (isOdd == 1 ? 63 : 64))
    // value·2^e with an even e: the root of the 128-bit integer, e halved.
    let even = exponent &+ isOdd &- 64
    return Real(roots.root, exponent: even / 2 &- roots.zeros &>> 1)
  }

  /// d in Q58; beyond ±16 just ±15, where the tail is nothing as well.
  @inline(__always)
  var deviate: Int64 {
    if exponent >= -59 {  // |d| ≥ 16, or a zero.
      return magnitude == 0 ? 0 : isNegative ? -15 &<< 58 : 15 &<< 58
    }
    let shift = 0 &- (exponent &+ 58)
    if shift > 63 { return 0 }
    let value = Int64(truncatingIfNeeded: magnitude &>> UInt64(truncatingIfNeeded: shift))
    return isNegative ? 0 &- value : value
  }

  /// N(x); absolute error 5e-19, from 9 deviations on as at 9.
  @inline(__always)
  var normal: Real {
    let (probability, _) = Kernel.normal(deviate)
    return Real(probability, exponent: -63)
  }

  /// n(x) beside it.
  @inline(__always)
  var normalAndDensity: (Real, Real) {
    let (probability, density) = Kernel.normal(deviate)
    return (Real(probability, exponent: -63), Real(density, exponent: -63))
  }
}

// MARK: - Leaving

extension Real {
  /// The nearest integer, ties to even, held to Int64.
  @inline(__always)
  var nearest: Int64 {
    let whole: Int64
    if exponent >= 0 {
      whole = magnitude == 0 ? 0 : .max
    } else if exponent < -64 {
      whole = 0
    } else {
      // One bit more than the integer, then whatever lies below it.
      let drop = UInt64(truncatingIfNeeded: 0 &- exponent &- 1)
      let twice = magnitude &>> drop
      let rest: UInt64 = twice &<< drop == magnitude ? 0 : 1
      let sum = (twice &>> 1) &+ (twice & (rest | (twice &>> 1)) & 1)
      whole = Int64(truncatingIfNeeded: min(sum, UInt64(Int64.max)))
    }
    return isNegative ? 0 &- whole : whole
  }

  /// The nearest price, ties to even, held to Int64.
  public var price: Price { Price(raw: (self * .priceScale).nearest) }

  /// The nearest integer to value · 10^digits, ties to even; nil beyond Int128.
  public func scaled(digits: Int) -> Int128? {
    if magnitude == 0 { return 0 }
    // 10^digits = 5^digits · 2^digits; 5^27 < 2^63 is exact in a word, larger powers truncate once.
    var product = self
    var left = digits
    while left > 0 {
      let step = min(left, 27)
      var five: UInt64 = 1
      for _ in 0..<step { five &*= 5 }
      product = product * Real(five, exponent: step)
      left &-= step
    }
    let shift = product.exponent
    let value: UInt128
    if shift >= 0 {
      guard shift < 63 else { return nil }
      value = UInt128(product.magnitude) &<< UInt128(truncatingIfNeeded: shift)
    } else if shift < -64 {
      value = 0
    } else {
      let bits = UInt128(truncatingIfNeeded: 0 &- shift)
      let whole = UInt128(product.magnitude) &>> bits
      let half: UInt128 = 1 &<< (bits &- 1)
      value = (UInt128(product.magnitude) &+ half &- 1 &+ (whole & 1)) &>> bits
    }
    let signed = Int128(truncatingIfNeeded: value)
    return isNegative ? 0 &- signed : signed
  }
}
