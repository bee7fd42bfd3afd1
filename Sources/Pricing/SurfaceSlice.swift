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

  /// The largest total variance given, in Q57: 63.
  @usableFromInline static let ceiling: Int64 = 63 &<< 57

  /// 2^57/1e12 in Q47: from 1e-12 to Q57 when multiplied and the 47 bits dropped.
  private static let binary: Int128 = 20_282_409_603_651_670_424

  /// A parameter in Q57, held to ±63.
  @inline(__always)
  private static func q57(_ value: Int64) -> Int64 {
    let held = min(max(value, -63_000_000_000_000), 63_000_000_000_000)
    return Int64(truncatingIfNeeded: (Int128(held) &* binary &+ (1 &<< 46)) &>> 47)
  }

  /// w(k) for k in Q57, held to [0, 63].
  ///
  /// Absolute error 6e-17 inside the domain: |k - m| < 32, |ρ| ≤ 1, b < 32, 0 ≤ σ < 32.
  @inline(__always)
  public func totalVariance(logMoneyness k: Int64) -> TotalVariance {
    let level = SurfaceSlice.q57(a)
    if b == 0 { return TotalVariance(raw: max(level, 0)) }
    let half: Int64 = (32 &<< 57) - 1
    let distance = min(max(k &- SurfaceSlice.q57(m), 0 &- half), half)
    let width = min(max(SurfaceSlice.q57(sigma), 0), half)
    // Each square is below 2^124.
    let square = Int128(distance) &* Int128(distance) &+ Int128(width) &* Int128(width)
    let roots = Kernel.roots(of: UInt128(truncatingIfNeeded: max(square, 1)))
    // √(v·2^(126-z)) = root in Q63 · 2^(63 - z/2): the Q57 integer after z/2 more bits.
    let root = Int64(
      truncatingIfNeeded: roots.root &>> UInt64(truncatingIfNeeded: roots.zeros &>> 1))
    let slope = min(max(rho, 0 &- SurfaceSlice.scale), SurfaceSlice.scale)
    let tilt = (Int128(distance) &* Int128(SurfaceSlice.q57(slope))) &>> 57
    // |tilt| ≤ root up to a step; their sum is below 2^63.
    let bend = max(root &+ Int64(truncatingIfNeeded: tilt), 0)
    let steep = min(max(SurfaceSlice.q57(b), 0), half)
    let wing = (Int128(steep) &* Int128(bend) &+ (1 &<< 56)) &>> 57
    let total = wing &+ Int128(level)
    return TotalVariance(
      raw: Int64(truncatingIfNeeded: min(max(total, 0), Int128(SurfaceSlice.ceiling))))
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

  /// √(w/T) to the nearest 1e-9, at most 1e6; 0 without time.
  public func volatility(strike: Price, forward: Price, time: Int64) -> Ratio {
    totalVariance(strike: strike, forward: forward).volatility(time: time)
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
