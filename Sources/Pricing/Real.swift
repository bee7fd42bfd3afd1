/// A real number by integers: a 64-bit mantissa with its own exponent.
///
/// value = ±magnitude · 2^exponent, the magnitude's top bit set, or all zero. Each operation truncates
/// to 63 or 64 bits: relative error 2^-62. The exponent has room for every product of this module's
/// domain, so nothing overflows; results leave through `nearest` or a checked conversion.
struct Real: Sendable, BitwiseCopyable {
  var magnitude: UInt64
  var exponent: Int
  var isNegative: Bool

  static let zero = Real(normalised: 0, exponent: 0)
  static let one = Real(normalised: 1 &<< 63, exponent: -63)
  /// √(2^-57 · ms a year) · 1e9, from √w and √T to a ratio.
  static let volatilityScale = Real(normalised: 0xE469_699A_9564_3261, exponent: -45)
  /// 1e20, from gamma a raw price unit to 1e-12 a quote unit.
  static let gammaScale = Real(normalised: 0xAD78_EBC5_AC62_0000, exponent: 3)
  /// 1e-9 a year in milliseconds.
  static let vegaScale = Real(normalised: 0x95BE_C948_954D_B8ED, exponent: -128)
  /// 1e-18/2.
  static let thetaScale = Real(normalised: 0x9392_EE8E_921D_5D07, exponent: -124)

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

  /// An integer.
  @inline(__always)
  init(_ value: Int64) {
    self.init(value.magnitude, exponent: 0, isNegative: value < 0)
  }

  @inline(__always) var isZero: Bool { magnitude == 0 }

  @inline(__always)
  static func * (a: Real, b: Real) -> Real {
    let product = Kernel.high(a.magnitude, b.magnitude)
    // Two mantissas in [1,2) give [1,4): one bit at most to take up. Zero stays zero.
    let lift = product &>> 63 ^ 1
    return Real(
      normalised: product &<< lift,
      exponent: a.exponent &+ b.exponent &+ 64 &- Int(truncatingIfNeeded: lift),
      isNegative: a.isNegative != b.isNegative)
  }

  /// - Precondition: `b` is not zero; a zero divisor gives zero.
  @inline(__always)
  static func / (a: Real, b: Real) -> Real {
    if b.magnitude == 0 || a.magnitude == 0 { return .zero }
    let below = a.magnitude < b.magnitude
    let upper = below ? a.magnitude : a.magnitude &>> 1
    let lower = below ? 0 : a.magnitude &<< 63
    let (quotient, _) = b.magnitude.dividingFullWidth((upper, lower))
    return Real(
      normalised: quotient, exponent: a.exponent &- b.exponent &- (below ? 64 : 63),
      isNegative: a.isNegative != b.isNegative)
  }

  /// The nearest integer, ties to even, held to Int64.
  @inline(__always)
  var nearest: Int64 {
    let whole: Int64
    if exponent >= 0 {
      whole = magnitude == 0 ? 0 : .max
    } else if exponent < -64 {
      whole = 0
    } else {
      whole = Contract.nearest(
        UInt128(magnitude), bits: UInt128(truncatingIfNeeded: 0 &- exponent))
    }
    return isNegative ? 0 &- whole : whole
  }
}
