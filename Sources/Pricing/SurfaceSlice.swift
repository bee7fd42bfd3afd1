public import Primitives

/// Total variance σ²T in units of 2^-57, below 64.
@frozen public struct TotalVariance: Hashable, Comparable, Sendable, BitwiseCopyable {
  public let raw: Int64
  @inlinable public init(raw: Int64) { self.raw = raw }
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.raw < b.raw }
}

/// The smile of one expiry: raw SVI in total variance, w(k) = a + b(ρ(k-m) + √((k-m)² + σ²)) with
/// k = ln(K/F); Gatheral and Jacquier 2014, §3.1. All five parameters in units of 1e-12.
///
/// 40 bytes: five Int64 in the order a, b, ρ, m, σ.
@frozen public struct SurfaceSlice: FlatRecord, Hashable {
  public let a: Int64
  public let b: Int64
  public let rho: Int64
  public let m: Int64
  public let sigma: Int64

  public static let scale: Int64 = 1_000_000_000_000
  public static let empty = SurfaceSlice(a: 0, b: 0, rho: 0, m: 0, sigma: 0)

  @inlinable public init(a: Int64, b: Int64, rho: Int64, m: Int64, sigma: Int64) {
    self.a = a
    self.b = b
    self.rho = rho
    self.m = m
    self.sigma = sigma
  }

  /// A flat smile: a = σ²T to the nearest 1e-12, below 63; nothing else.
  public init(flat volatility: Ratio, time: Int64) {
    let sigma = Int128(min(max(volatility.raw, 0), 1_000_000_000_000_000))
    let clock = Int128(min(max(time, 0), 10 &* Timestamp.millisecondsPerYear))
    // σ² in 1e-18 is under 2^100; it is cut to 63/T years before T multiplies it.
    let bound = Int128(63) &* 1_000_000_000_000_000_000 &* Int128(Timestamp.millisecondsPerYear)
    let square = sigma &* sigma
    let total = clock == 0 || square <= bound / clock ? square &* clock : bound
    let unit = Int128(1_000_000) &* Int128(Timestamp.millisecondsPerYear)
    self.init(
      a: Int64(truncatingIfNeeded: total.divided(by: unit, rounding: .nearestEven)), b: 0, rho: 0,
      m: 0, sigma: 0)
  }

  /// The slice made ready for many strikes.
  @inline(__always) public var curve: SurfaceCurve { SurfaceCurve(self) }

  /// w(k) for k in Q57, held to [0, 63]. For many strikes make a `curve` once.
  ///
  /// Absolute error 6e-17 in a market: |k - m| < 3.9, b < 2, σ ≤ 0.8; 4e-16 inside the domain: |k - m| < 31,
  /// |ρ| ≤ 1, b < 31, 0 ≤ σ < 31.
  @inline(__always)
  public func totalVariance(logMoneyness k: Int64) -> TotalVariance {
    curve.totalVariance(logMoneyness: k)
  }

  /// w at a strike; 0-strike or 0-forward stand at k = ∓63.
  @inline(__always)
  public func totalVariance(strike: Price, forward: Price) -> TotalVariance {
    totalVariance(logMoneyness: SurfaceSlice.logMoneyness(strike: strike, forward: forward))
  }

  /// ln(K/F) in Q57.
  @inline(__always)
  public static func logMoneyness(strike: Price, forward: Price) -> Int64 {
    guard strike.raw > 0 else { return -63 &<< 57 }
    guard forward.raw > 0 else { return 63 &<< 57 }
    return Kernel.logarithm(
      of: UInt64(bitPattern: strike.raw), over: UInt64(bitPattern: forward.raw)
    ).q57
  }

  /// √(w/T) to the nearest 1e-9, at most 1e6; 0 without time. Error: half a unit and 1e-15 of it.
  public func volatility(strike: Price, forward: Price, time: Int64) -> Ratio {
    totalVariance(strike: strike, forward: forward).volatility(time: time)
  }
}

/// A slice with its parameters in the kernel's units: what is priced from, made once a slice.
public struct SurfaceCurve: Sendable, BitwiseCopyable {
  private let level: Int64
  private let slope: Int64
  private let tilt: Int64
  private let middle: Int64
  private let squaredWidth: Int128
  /// b and bρ in Q62 for the short way.
  private let steepness: Int64
  private let lean: Int64
  /// The largest |k - m| of the short way, in Q57: 3.9; nothing where the slice is none of a market.
  private let reach: Int64

  /// The largest total variance given, in Q57: 63.
  static let ceiling: Int64 = 63 &<< 57
  /// The largest |k - m|, b and σ, in Q57: 31.
  private static let bound: Int64 = 31 &<< 57
  /// 2^57/1e12 in Q47: from 1e-12 to Q57 when multiplied and the 47 bits dropped.
  private static let binary: Int128 = 20_282_409_603_651_670_424

  /// A parameter in Q57, held to the limits in 1e-12.
  @inline(__always)
  private static func q57(_ value: Int64, from low: Int64, to high: Int64) -> Int64 {
    let held = min(max(value, low &* SurfaceSlice.scale), high &* SurfaceSlice.scale)
    return Int64(truncatingIfNeeded: (Int128(held) &* binary &+ (1 &<< 46)) &>> 47)
  }

  @inline(__always)
  public init(_ slice: SurfaceSlice) {
    level = SurfaceCurve.q57(slice.a, from: -63, to: 63)
    slope = SurfaceCurve.q57(slice.b, from: 0, to: 31)
    tilt = SurfaceCurve.q57(slice.rho, from: -1, to: 1) &<< 5  // Q62.
    middle = SurfaceCurve.q57(slice.m, from: -63, to: 63)
    let width = SurfaceCurve.q57(slice.sigma, from: 0, to: 31)
    squaredWidth = max(Int128(width) &* Int128(width), 1)
    // Inside: √(3.9² + 0.8²) < 4, so that w lies below 40 + 2 · 8 and the root's zeros are ten at least;
    // beyond: 2^34 in Q57 keeps the square's high word above zero.
    let isShort =
      level.magnitude <= 40 &<< 57 && slope < 2 &<< 57 && middle.magnitude <= 31 &<< 57
      && width >= 1 &<< 34 && width <= (4 &<< 57) / 5
    steepness = isShort ? slope &<< 5 : 0
    lean = isShort ? Kernel.high(slope &<< 5, tilt) &<< 2 : 0
    reach = isShort ? (39 &<< 57) / 10 : 0
  }

  /// w(k) for k in Q57, |k| ≤ 63, held to [0, 63].
  ///
  /// Two tests that pass in every market send the rest to `heldVariance`. Error of the short way: 6e-17.
  @inline(__always)
  public func totalVariance(logMoneyness k: Int64) -> TotalVariance {
    // |k| ≤ 63 and |m| ≤ 31: where the difference wraps, it lands beyond ±31.
    let distance = k &- middle
    guard UInt64(bitPattern: distance &+ reach) < UInt64(bitPattern: reach &<< 1) else {
      return heldVariance(k)
    }
    let square = UInt128(truncatingIfNeeded: Int128(distance) &* Int128(distance) &+ squaredWidth)
    let (root, half) = Kernel.quickRoot(
      UInt64(truncatingIfNeeded: square &>> 64), UInt64(truncatingIfNeeded: square))
    // Q62 times a root in Q57 of 2^(1-half) is Q57 after half - 3 more bits.
    let rise = Kernel.high(UInt64(bitPattern: steepness), root) &>> (half &- 3)
    let total = level &+ (Kernel.high(lean, distance) &<< 2) &+ Int64(bitPattern: rise)
    guard total >= 0 else { return heldVariance(k) }
    return TotalVariance(raw: total)
  }

  /// w at a strike from 2^55 units on; below zero it counts as none.
  @inline(never)
  private func farVariance(_ strike: Price, _ logForward: Int64) -> TotalVariance {
    let value = UInt64(bitPattern: max(strike.raw, 0))
    return heldVariance(Kernel.logarithm(of: value) &- logForward)
  }

  /// As `totalVariance`, holding every step to its bounds.
  @inline(never)
  private func heldVariance(_ k: Int64) -> TotalVariance {
    // |k|, |m| ≤ 63: the halves do not overflow, nor the square of the held distance.
    let far = (k &>> 1) &- (middle &>> 1)
    let distance =
      far > SurfaceCurve.bound &>> 1
      ? SurfaceCurve.bound
      : far < 0 &- SurfaceCurve.bound &>> 1 ? 0 &- SurfaceCurve.bound : k &- middle
    let square = Int128(distance) &* Int128(distance) &+ squaredWidth
    let roots = Kernel.roots(of: UInt128(truncatingIfNeeded: square))
    // √(v·2^(126-z)) = root in Q63 · 2^(63 - z/2): the Q57 integer after z/2 more bits.
    let root = Int64(
      truncatingIfNeeded: roots.root &>> UInt64(truncatingIfNeeded: roots.zeros &>> 1))
    let skew = Kernel.high(distance, tilt) &<< 2
    // |skew| ≤ root up to a few steps, their sum below 2^63; b·bend below 2^126.
    let bend = max(root &+ skew, 0)
    let wing = (Int128(slope) &* Int128(bend)) &>> 57
    let total = min(max(wing &+ Int128(level), 0), Int128(SurfaceCurve.ceiling))
    return TotalVariance(raw: Int64(truncatingIfNeeded: total))
  }

  /// w at a strike; 0-strike or 0-forward stand at k = ∓63.
  @inline(__always)
  public func totalVariance(strike: Price, forward: Price) -> TotalVariance {
    totalVariance(logMoneyness: SurfaceSlice.logMoneyness(strike: strike, forward: forward))
  }

  /// w at a positive strike, ln F in Q57 taken once for the expiry (`SurfaceCurve.logarithm`).
  @inline(__always)
  public func totalVariance(strike: Price, logForward: Int64) -> TotalVariance {
    let value = UInt64(bitPattern: strike.raw)
    guard value &>> 55 == 0 else { return farVariance(strike, logForward) }
    return totalVariance(logMoneyness: Kernel.quickLogarithm(of: value) &- logForward)
  }

  /// ln of a positive price's integer in Q57.
  public static func logarithm(_ price: Price) -> Int64 {
    Kernel.logarithm(of: UInt64(bitPattern: max(price.raw, 1)))
  }
}

extension TotalVariance {
  /// √(w/T) to the nearest 1e-9, held to [0, 1e6]; 0 without time.
  public func volatility(time: Int64) -> Ratio {
    let clock = UInt64(bitPattern: min(max(time, 0), 10 &* Timestamp.millisecondsPerYear))
    guard clock > 0, raw > 0 else { return .zero }
    // σ = √w · √(1/T): the roots of w in Q57 and of T, then the constant √(ms a year) · 1e9.
    let w = Kernel.roots(of: UInt128(UInt64(bitPattern: raw)))
    let t = Kernel.roots(of: UInt128(clock))
    // √(v·2^(126-z)) = root·2^(-z/2) and its inverse is reciprocal·2^(z/2-126).
    let ratio =
      Real(w.root, exponent: 0 &- w.zeros &>> 1)
      * Real(t.reciprocal, exponent: (t.zeros &>> 1) &- 126) * .volatilityScale
    let value = ratio.nearest
    return Ratio(raw: min(value, 1_000_000_000_000_000))
  }
}
