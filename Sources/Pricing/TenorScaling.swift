public import Primitives

/// How volatility shocks shrink with time to expiry.
public enum TenorScaling {
  public static let day: Int64 = 86_400_000
  static let month = 30 * day

  /// (30 / max(1, days))^power in units of 1e-9, to nearest: `short` up to 30 days, `long` beyond.
  ///
  /// Source: the public shape of Deribit's and Paradex's portfolio margin, powers 0.30 and 0.13.
  /// - Parameters:
  ///   - time: milliseconds to expiry; taken as at least `floor` and at most ten years.
  ///   - floor: a day unless another is governed.
  public static func factor(time: Int64, floor: Int64 = day, short: Ratio, long: Ratio) -> Ratio {
    let held = min(max(time, max(floor, 1)), 10 * Timestamp.millisecondsPerYear)
    let power = held <= month ? short : long
    let logarithm = Kernel.logarithm(
      of: UInt64(bitPattern: month), over: UInt64(bitPattern: held))
    // |ln| < 5 and the power at most 1 in 1e-9 steps: the product has under 90 bits.
    let exponent = (Int128(logarithm.q57) * Int128(min(max(power.raw, 0), Ratio.scale)))
      .divided(by: Int128(Ratio.scale), rounding: .nearestEven)
    let result = Kernel.exponential(Int64(truncatingIfNeeded: exponent))
    // mantissa is Q62 and the exponent lies in -8...3.
    let scaled = UInt128(result.mantissa) &* UInt128(UInt64(Ratio.scale))
    let shift = UInt128(62 &- result.exponent)
    return Ratio(raw: Int64(truncatingIfNeeded: (scaled &+ (1 &<< (shift &- 1))) &>> shift))
  }

  /// The same, not rounded to 1e-9 and for any power: a time of `month` or less, before it is
  /// floored, takes the short one.
  public static func fineFactor(time: Int64, floor: Int64, short: Ratio, long: Ratio) -> Real {
    let held = max(max(time, floor), 1)
    let power = Real(time <= month ? short : long)
    return (power * (Real(month) / Real(held)).logarithm).exponential
  }
}
