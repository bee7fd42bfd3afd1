import Primitives

/// One option on one forward, as the kernel sees it: non-negative integers of 1e-8.
struct Contract {
  let isCall: Bool
  let forward: UInt64
  let strike: UInt64

  @inline(__always)
  init(_ type: OptionType, forward: Price, strike: Price) {
    isCall = type == .call
    self.forward = UInt64(bitPattern: max(forward.raw, 0))
    self.strike = UInt64(bitPattern: max(strike.raw, 0))
  }

  /// Inside the range of `isQuick`.
  @inline(__always)
  init(quick type: OptionType, _ forward: Price, _ strike: Price) {
    isCall = type == .call
    self.forward = UInt64(bitPattern: forward.raw)
    self.strike = UInt64(bitPattern: strike.raw)
  }

  @inline(__always) var isRegular: Bool { forward != 0 && strike != 0 }

  // MARK: - Limits

  /// The price where the formula has no place: see `Black76`.
  func limit(_ kind: Deviation.Kind, _ discount: Discount) -> Price {
    let value: UInt64
    if strike == 0 || forward == 0 || kind == .saturated {
      value = isCall ? forward : strike
    } else if isCall {
      value = forward > strike ? forward &- strike : 0
    } else {
      value = strike > forward ? strike &- forward : 0
    }
    return Contract.rounded(UInt128(value) &<< 63, discount)
  }

  /// Its delta in 1e-12.
  func limitDelta(_ kind: Deviation.Kind, _ discount: Discount) -> Int64 {
    let half = discount.raw &>> 1
    let probability: UInt64  // Q62, discounted, of a call.
    if forward == 0 && strike != 0 {
      probability = 0
    } else if strike == 0 || kind == .saturated || forward > strike {
      probability = discount.raw
    } else {
      probability = forward == strike ? half : 0
    }
    return Contract.delta(isCall, Int64(bitPattern: probability), discount)
  }

  // MARK: - The formula

  /// d1 in Q58, within ±27.
  @inline(__always)
  func d1(_ moneyness: Kernel.Logarithm, _ deviation: Deviation) -> Int64 {
    let product = Int128(moneyness.mantissa) &* Int128(deviation.reciprocal)
    // half lies in 12...63, so the shift lies in 13...76.
    let shift = Int128(truncatingIfNeeded: moneyness.bits &+ 19 &- deviation.half)
    let bound: Int128 = 15 &<< 58
    let ratio = min(max(product &>> shift, 0 &- bound), bound)
    return Int64(truncatingIfNeeded: ratio) &+ (deviation.s &>> 1)
  }

  /// All ones for a put.
  @inline(__always) var mirror: Int64 { isCall ? 0 : -1 }

  /// F N(d1) - K N(d2), or the put's mirror from its own tails, in Q63 of 1e-8.
  @inline(__always)
  func value(_ n1: UInt64, _ n2: UInt64) -> UInt128 {
    // Both factors are at most 2^63: products up to 2^126, differences fit.
    let own = Int128(truncatingIfNeeded: UInt128(forward) &* UInt128(n1))
    let owed = Int128(truncatingIfNeeded: UInt128(strike) &* UInt128(n2))
    let mask: Int128 = isCall ? 0 : -1
    let difference = ((own &- owed) ^ mask) &- mask
    return UInt128(truncatingIfNeeded: max(difference, 0))
  }

  @inline(__always)
  func price(moneyness: Kernel.Logarithm, _ deviation: Deviation, _ discount: Discount) -> Price {
    let d1 = d1(moneyness, deviation)
    let (n1, _) = Kernel.normal(d1, mirrored: mirror)
    let (n2, _) = Kernel.normal(d1 &- deviation.s, mirrored: mirror)
    return Contract.rounded(value(n1, n2), discount)
  }

  /// A discounted value in Q63 of 1e-8 to the nearest unit, ties to even, held to Int64.
  @inline(__always)
  static func rounded(_ value: UInt128, _ discount: Discount) -> Price {
    if discount == .one { return Price(raw: nearest(value, bits: 63)) }
    // Q63 times Q62, its low 64 bits dropped: Q61, below 2^127.
    let factor = UInt128(discount.raw)
    let high = (value &>> 64) &* factor
    let low = ((value & 0xFFFF_FFFF_FFFF_FFFF) &* factor) &>> 64
    return Price(raw: nearest(high &+ low, bits: 61))
  }

  @inline(__always)
  static func nearest(_ value: UInt128, bits: UInt128) -> Int64 {
    let whole = value &>> bits
    let half: UInt128 = 1 &<< (bits &- 1)
    // Adding a half less one, plus the whole's parity, leaves ties at the even neighbour.
    let sum = value &+ half &- 1 &+ (whole & 1)
    let result = sum &>> bits
    return result > UInt128(Int64.max) ? .max : Int64(truncatingIfNeeded: result)
  }

  /// A call's discounted probability in Q62 as the delta of either type, in 1e-12.
  @inline(__always)
  static func delta(_ isCall: Bool, _ probability: Int64, _ discount: Discount) -> Int64 {
    let signed = isCall ? probability : probability &- Int64(bitPattern: discount.raw)
    // |delta| ≤ 2 and 1e12 < 2^40: the product has under 104 bits.
    let scaled = Int128(signed) &* 1_000_000_000_000
    return Int64(truncatingIfNeeded: (scaled &+ (1 &<< 61)) &>> 62)
  }

  /// The type's own probability, discounted, in 1e-12; a put's delta is its negative.
  func delta(d1: Int64, _ discount: Discount) -> Int64 {
    let (n1, _) = Kernel.normal(d1, mirrored: mirror)
    let chance = Kernel.high(n1, discount.raw) &<< 1
    let scaled = (UInt128(chance) &* 1_000_000_000_000 &+ (1 &<< 61)) &>> 62
    let magnitude = Int64(truncatingIfNeeded: scaled)
    return isCall ? magnitude : 0 &- magnitude
  }

  @inline(__always)
  func greeks(
    moneyness: Kernel.Logarithm, _ deviation: Deviation, volatility: Ratio, time: Int64,
    _ discount: Discount
  ) -> Greeks {
    let d1 = d1(moneyness, deviation)
    let (n1, density) = Kernel.normal(d1, mirrored: mirror)
    let (n2, _) = Kernel.normal(d1 &- deviation.s, mirrored: mirror)
    // The type's own probability, discounted, in Q62; a put's delta is its negative.
    let chance = Kernel.high(n1, discount.raw) &<< 1
    let scaled = (UInt128(chance) &* 1_000_000_000_000 &+ (1 &<< 61)) &>> 62
    let magnitude = Int64(truncatingIfNeeded: scaled)

    // D n(d1)/s carries the other three: gamma over F, vega by F σ T, theta by -F σ²/2.
    var slope =
      Real(density, exponent: -63)
      * Real(UInt64(bitPattern: deviation.reciprocal), exponent: deviation.half &- 77)
    if discount != .one { slope = slope * Real(discount) }
    let future = Real(forward, exponent: 0)
    let sigma = Real(UInt64(bitPattern: volatility.raw), exponent: 0)
    let moved = slope * future * sigma
    return Greeks(
      price: Contract.rounded(value(n1, n2), discount),
      delta: isCall ? magnitude : 0 &- magnitude,
      gamma: (slope / future * .gammaScale).nearest,
      vega: Price(raw: (moved * Real(UInt64(bitPattern: time), exponent: 0) * .vegaScale).nearest),
      theta: Price(raw: 0 &- (moved * sigma * .thetaScale).nearest))
  }
}
