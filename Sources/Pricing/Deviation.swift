public import Primitives

/// The side of an option.
@frozen public enum OptionType: UInt8, Sendable, BitwiseCopyable {
  /// The right to buy.
  case call = 1
  /// The right to sell.
  case put = 2
}

/// A discount factor in units of 2^-62, between 0 and 2.
@frozen public struct Discount: Hashable, Sendable, BitwiseCopyable {
  public let raw: UInt64
  /// - Precondition: at most 2 in Q62; larger values are held there.
  @inlinable public init(raw: UInt64) { self.raw = raw < 1 &<< 63 ? raw : 1 &<< 63 }
  /// Money now.
  public static let one = Discount(raw: 1 &<< 62)

  /// exp(-rate · time), held to [0, 2]. Relative error 4e-18 and 2^-63 absolute.
  public init(rate: Ratio, time: Int64) {
    // Within ±64 the exponent fits Q57; beyond, the factor is 0 or its ceiling.
    let bound = Int128(Ratio.scale) &* Int128(Timestamp.millisecondsPerYear) &* 43
    let product = Int128(rate.raw) &* Int128(max(time, 0))
    if product >= bound {
      self.init(raw: 0)
    } else if product <= 0 &- bound / 43 {
      self.init(raw: 1 &<< 63)
    } else {
      let unit = Int128(Ratio.scale) &* Int128(Timestamp.millisecondsPerYear)
      let (whole, part) = product.quotientAndRemainder(dividingBy: unit)
      // |part| < 2^65, so 62 further bits fit.
      let q68 = (whole &<< 68) &+ (((part &<< 61) / unit) &<< 7)
      let x = 0 &- q68
      let power = Kernel.exponential(
        Int64(truncatingIfNeeded: x &>> 11), fine: Int64(truncatingIfNeeded: x & 2047))
      let shift = 0 &- power.exponent
      if shift < 0 {
        self.init(raw: power.mantissa &<< 1)
      } else if shift >= 63 {
        self.init(raw: 0)
      } else {
        self.init(raw: power.mantissa &>> UInt64(truncatingIfNeeded: shift))
      }
    }
  }
}

/// σ√T and its reciprocal: all that a scenario needs of volatility and time, made once for each
/// pair and used for every forward.
public struct Deviation: Sendable, BitwiseCopyable {
  /// σ√T in Q58, at most 24.
  let s: Int64
  /// 1/(σ√T) = reciprocal · 2^(half - 77).
  let reciprocal: Int64
  let half: Int
  let kind: Kind

  enum Kind: UInt8 {
    /// σ√T is zero: the payoff.
    case zero
    case regular
    /// σ√T passes 24: a call is worth its forward, a put its strike.
    case saturated
  }

  init(kind: Kind) {
    self.init(s: kind == .zero ? 0 : 24 &<< 58, reciprocal: 0, half: 0, kind: kind)
  }

  @inline(__always)
  private init(s: Int64, reciprocal: Int64, half: Int, kind: Kind) {
    self.s = s
    self.reciprocal = reciprocal
    self.half = half
    self.kind = kind
  }

  /// From σ in [0, 1e6] (1e-9) and T in [0, 10 years] (ms); values outside are held there.
  @inline(__always)
  public init(volatility: Ratio, time: Int64) {
    let sigma = UInt64(bitPattern: min(max(volatility.raw, 0), 1_000_000_000_000_000))
    let clock = UInt64(bitPattern: min(max(time, 0), 10 &* Timestamp.millisecondsPerYear))
    if sigma == 0 || clock == 0 {
      self.init(kind: .zero)
      return
    }
    // σ below 4.29 for ten years stays below 24, and its square fits a word.
    if sigma < 1 &<< 32 {
      let (top, bottom) = (sigma &* sigma).multipliedFullWidth(by: clock)
      self.init(regular: UInt128(_low: bottom, _high: top))
      return
    }
    // σ < 2^44 and T < 2^39 give a variance below 2^127; a larger σ is compared first.
    let square = UInt128(sigma) &* UInt128(sigma)
    if sigma >= 1 &<< 44, square > Deviation.varianceMax / UInt128(clock) {
      self.init(kind: .saturated)
      return
    }
    self.init(variance: square &* UInt128(clock))
  }

  /// 24² in the unit of the variance, 1e-18 ms.
  static let varianceMax: UInt128 = 576 &* 1_000_000_000_000_000_000 &* 31_536_000_000

  /// From σ²T in 1e-18 · ms.
  @inline(__always)
  init(variance: UInt128) {
    if variance == 0 {
      self.init(kind: .zero)
      return
    }
    if variance > Deviation.varianceMax {
      self.init(kind: .saturated)
      return
    }
    self.init(regular: variance)
  }

  /// - Precondition: 0 < variance ≤ varianceMax.
  @inline(__always)
  private init(regular variance: UInt128) {
    let roots = Kernel.roots(of: variance)
    let half = roots.zeros &>> 1
    // √w/C is high(root, 1/C in Q111) · 2^(11-half); variance < 2^104 keeps half at 12 or more.
    let wide = Kernel.high(roots.root, deviationInverseQ111)
    let drop = UInt64(truncatingIfNeeded: half &- 11)
    self.init(
      s: Int64(truncatingIfNeeded: (wide &+ ((1 &<< drop) &>> 1)) &>> drop),
      reciprocal: Int64(truncatingIfNeeded: Kernel.high(roots.reciprocal, deviationQ15)),
      half: half, kind: .regular)
  }
}
