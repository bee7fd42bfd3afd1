import Primitives

/// The same formula where every number is inside a market's range: forward and strike from 1 to 2^55
/// units, their logarithms less than 8 apart, σ√T between 2^-17 and 1.6. Every shift is then known beforehand and no
/// branch is in doubt. The rest goes the wide way.
///
/// Where a number is asked to be positive, it is asked as `value - 1 < bound`: knowing that a word is not
/// zero, the compiler counts its leading zeros with an instruction that waits for what its target
/// register held before.
extension Contract {
  /// Whether forward and strike lie inside the range; the deviation has its own bounds.
  @inline(__always)
  static func isQuick(_ forward: Price, _ strike: Price) -> Bool {
    let (f, k) = (UInt64(bitPattern: forward.raw), UInt64(bitPattern: strike.raw))
    return ((f &- 1) | (k &- 1)) &>> 55 == 0
  }

  /// d1 in Q58 from the logarithms' parts; nil outside the range.
  @inline(__always)
  static func quickD1(_ forward: Kernel.Parts, _ strike: Kernel.Parts, _ deviation: Deviation)
    -> Int64?
  {
    let twos = strike.twos &- forward.twos &+ 11
    guard UInt(bitPattern: twos) < 23, UInt(bitPattern: deviation.half &- 16) < 18 else {
      return nil
    }
    // ln(F/K) in Q60, error 2e-18. At 2^11 apart and more it may pass 8, and the word.
    let (logarithm, isBeyond) = unsafe ln2Differences[unchecked: twos]
      .addingReportingOverflow((forward.tail &- strike.tail &+ 2) &>> 2)
    if isBeyond { return nil }
    // d1 is the product of the mantissas in Q(137 - half), 1/s having 60 to 62 bits: moved up before it
    // is cut to its high word, it is in Q56. What leaves the word on the way is past 16 deviations. A
    // step of d1 moves both deviates alike, which moves delta, and the price not at all.
    let shift = Int64(truncatingIfNeeded: deviation.half &- 16)
    let upper = logarithm &>> 2
    let moved = upper &<< shift
    let whole = moved &+ (((logarithm & 3) &<< shift) &>> 2)
    let held = moved &>> shift == upper ? whole : (logarithm &>> 63) ^ Int64.max
    let bound: Int64 = 15 &<< 56
    let ratio = min(max(Kernel.high(held, deviation.reciprocal &<< 1), 0 &- bound), bound)
    return (ratio &<< 2) &+ (deviation.s &>> 1)
  }

  /// From a d1 in its range.
  @inline(__always)
  func quickPrice(d1: Int64, _ deviation: Deviation, _ discount: Discount) -> Price {
    let (n1, _) = Kernel.normal(d1, mirrored: mirror)
    let (n2, _) = Kernel.normal(d1 &- deviation.s, mirrored: mirror)
    return Contract.rounded(value(n1, n2), discount)
  }

  @inline(__always)
  func quickPrice(_ deviation: Deviation, _ discount: Discount) -> Price? {
    let (top, bottom) = (Kernel.parts(of: forward), Kernel.parts(of: strike))
    guard let d1 = Contract.quickD1(top, bottom, deviation) else { return nil }
    return quickPrice(d1: d1, deviation, discount)
  }

  @inline(__always)
  func quickGreeks(
    _ deviation: Deviation, _ volatility: Ratio, _ time: Int64, _ discount: Discount
  ) -> Greeks? {
    let sigma = UInt64(bitPattern: volatility.raw)
    let clock = UInt64(bitPattern: time)
    let (top, bottom) = (Kernel.parts(of: forward), Kernel.parts(of: strike))
    guard let d1 = Contract.quickD1(top, bottom, deviation) else { return nil }
    let (n1, density) = Kernel.normal(d1, mirrored: mirror)
    let (n2, _) = Kernel.normal(d1 &- deviation.s, mirrored: mirror)
    // The type's own probability, discounted, in Q62; a put's delta is its negative.
    let chance = Kernel.high(n1, discount.raw) &<< 1
    let scaled = (UInt128(chance) &* 1_000_000_000_000 &+ (1 &<< 61)) &>> 62
    let delta = Int64(truncatingIfNeeded: scaled)

    // D n(d1)/s is slope · 2^(half - 76), slope below 2^62: good to 1e-17 of its largest value, which is
    // what the Greeks are good to. Every product below keeps its high word.
    var slope = Kernel.high(density, UInt64(bitPattern: deviation.reciprocal))
    if discount != .one { slope = Kernel.high(slope, discount.raw) &<< 2 }
    let scale = deviation.half &- 76

    // 1/F = reciprocal/(1 + residue) · 2^(zeros - 79), by (1-r)(1+r²) + r⁴.
    let zeros = forward.leadingZeroBitCount
    let share = Kernel.high(Kernel.high(slope, top.reciprocal &<< 46), top.inverse)
    let gamma = Kernel.high(share, Real.gammaScale.magnitude)
    let gammaDrop = 0 &- (scale &+ zeros &+ 5 &+ Real.gammaScale.exponent)

    // Vega is slope F σT, theta slope F σ²/2, each factor with its top bit up.
    let sigmaZeros = sigma.leadingZeroBitCount
    let clockZeros = clock.leadingZeroBitCount
    let volatility = sigma &<< UInt64(truncatingIfNeeded: sigmaZeros)
    let years = clock &<< UInt64(truncatingIfNeeded: clockZeros)
    let weight = Kernel.high(slope, forward &<< UInt64(truncatingIfNeeded: zeros))
    let rise = Kernel.high(Kernel.high(volatility, years), Real.vegaScale.magnitude)
    let vega = Kernel.high(weight, rise)
    let base = scale &- zeros &- sigmaZeros &+ 256
    let vegaDrop = 0 &- (base &- clockZeros &+ Real.vegaScale.exponent)
    let decay = Kernel.high(Kernel.high(volatility, volatility), Real.thetaScale.magnitude)
    let theta = Kernel.high(weight, decay)
    let thetaDrop = 0 &- (base &- sigmaZeros &+ Real.thetaScale.exponent)
    guard
      UInt(bitPattern: gammaDrop &- 1) | UInt(bitPattern: vegaDrop &- 1)
        | UInt(bitPattern: thetaDrop &- 1) < 64
    else { return nil }
    return Greeks(
      price: Contract.rounded(value(n1, n2), discount), delta: isCall ? delta : 0 &- delta,
      gamma: Contract.nearest(gamma, drop: gammaDrop),
      vega: Price(raw: Contract.nearest(vega, drop: vegaDrop)),
      theta: Price(raw: 0 &- Contract.nearest(theta, drop: thetaDrop)))
  }

  /// To the nearest after 1...64 bits less, halves up.
  @inline(__always)
  private static func nearest(_ value: UInt64, drop: Int) -> Int64 {
    Int64(bitPattern: ((value &>> UInt64(truncatingIfNeeded: drop &- 1)) &+ 1) &>> 1)
  }
}

extension Kernel.Parts {
  /// 1/(1 + residue) in Q62 by (1-r)(1+r²) + r⁴; relative error 4e-14.
  @inline(__always) var inverse: UInt64 {
    let linear = UInt64(bitPattern: (1 &<< 62) &- (residue &>> 9))
    let even = UInt64(bitPattern: (1 &<< 62) &+ (square &>> 16))
    let fourth = UInt64(bitPattern: square &>> 40)  // r² in Q38, below 2^20.
    return (Kernel.high(linear, even) &<< 2) &+ ((fourth &* fourth) &>> 14)
  }
}
