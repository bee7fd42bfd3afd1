public import Primitives

/// Why a product has no price.
public enum PricingFailure: Error, Hashable, Sendable {
  /// A field is outside its domain.
  case outsideDomain(Field)
  /// μ² + 2r/σ² is negative: the rebate paid at the hit has no closed form.
  case rateTooNegative
  /// A power of barrier over spot passes e^±20, where it would multiply the error of N.
  case powerTooLarge
  /// The list is too short, or its strikes do not rise.
  case malformedList(Field)

  public enum Field: String, Sendable {
    case spot, strike, barrier, vol, time, rate, yield, forward, discount, power, prices
    case rebate, cash, monitors, mark, index, norm, k0, strip, x, price
    case fundingDays = "funding_days"
    case period = "period_ms"
    case periodsPerYear = "periods_per_year"
  }
}

extension PricingFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .outsideDomain(let field): "\(field.rawValue) is outside its domain"
    case .rateTooNegative: "expected mu^2 + 2r/vol^2 of at least 0, found less: no rebate at hit"
    case .powerTooLarge: "a power of barrier/spot passes e^20"
    case .malformedList(let field): "\(field.rawValue) is too short or not in order"
    }
  }
}

/// What the world says of one underlying to one expiry.
public struct Market: Sendable {
  let spot: Real
  let rate: Real
  /// Cost of carry b: rate less yield, or 0 on a forward.
  let carry: Real
  let volatility: Real
  let time: Real
  /// Set when the forward and its discount factor were given: the carry is zero.
  let discount: Real?
  /// Discount, growth and σ√T, made once for every option of the expiry.
  let terms: Terms<Real>

  /// Volatility in [0, 1e6], at most ten years.
  private static func check(_ volatility: Ratio, _ time: Int64) throws(PricingFailure) {
    guard volatility.raw >= 0, volatility.raw <= 1_000_000_000_000_000 else {
      throw .outsideDomain(.vol)
    }
    guard time >= 0, time <= 10 * Timestamp.millisecondsPerYear else {
      throw .outsideDomain(.time)
    }
  }

  /// A spot with continuous rate and yield; Greeks are by the spot, the yield held.
  /// - Parameter time: milliseconds to expiry.
  /// - Throws: `.outsideDomain`: spot < 0, volatility outside [0, 1e6], time outside [0, 10 years],
  ///   |rate| or |yield| over 100.
  public init(spot: Price, rate: Ratio, yield: Ratio, volatility: Ratio, time: Int64)
    throws(PricingFailure)
  {
    try Market.check(volatility, time)
    guard spot.raw >= 0 else { throw .outsideDomain(.spot) }
    guard rate.raw.magnitude <= 100_000_000_000 else { throw .outsideDomain(.rate) }
    guard yield.raw.magnitude <= 100_000_000_000 else { throw .outsideDomain(.yield) }
    self.spot = Real(spot)
    self.rate = Real(rate)
    carry = Real(rate.raw &- yield.raw) * .ratioStep
    self.volatility = Real(volatility)
    self.time = Real(milliseconds: time)
    discount = nil
    terms = Terms(
      spot: self.spot, rate: self.rate, carry: carry, volatility: self.volatility,
      time: self.time, discount: nil)
  }

  /// A forward with a discount factor: Greeks are by the forward, the rate is -ln D/T.
  /// - Parameter discount: in 1e-18, above zero.
  /// - Throws: `.outsideDomain`: forward < 0, discount not in (0, 1e9], volatility, time as above.
  public init(forward: Price, discount: Int128, volatility: Ratio, time: Int64)
    throws(PricingFailure)
  {
    try Market.check(volatility, time)
    guard forward.raw >= 0 else { throw .outsideDomain(.forward) }
    guard discount > 0, discount <= 1_000_000_000_000_000_000_000_000_000 else {
      throw .outsideDomain(.discount)
    }
    let factor = Real(discount, digits: 18)
    spot = Real(forward)
    self.time = Real(milliseconds: time)
    rate = time == 0 ? .zero : -(factor.logarithm / self.time)
    carry = .zero
    self.volatility = Real(volatility)
    self.discount = factor
    terms = Terms(
      spot: spot, rate: rate, carry: carry, volatility: self.volatility, time: self.time,
      discount: factor)
  }
}

/// A market as the numbers a formula runs on.
struct Terms<Number: Scalar>: Sendable {
  let spot: Number
  let rate: Number
  let carry: Number
  let volatility: Number
  let time: Number
  /// σ√T.
  let deviation: Number
  /// Its reciprocal, 0 where it is 0.
  let inverseDeviation: Number
  /// e^(-rT).
  let discount: Number
  /// e^((b-r)T).
  let growth: Number

  @inline(__always)
  init(
    spot: Number, rate: Number, carry: Number, volatility: Number, time: Number,
    discount given: Real?
  ) {
    self.spot = spot
    self.rate = rate
    self.carry = carry
    self.volatility = volatility
    self.time = time
    let isCertain = time.value.isZero || volatility.value.isZero
    let spread = isCertain ? Number(.zero) : volatility * time.squareRoot
    deviation = spread
    inverseDeviation = isCertain ? Number(.zero) : Number(.one) / spread
    var factor = (-(rate * time)).exponential
    if let given { factor = factor.times(given / factor.value) }
    discount = factor
    growth = given == nil ? ((carry - rate) * time).exponential : factor
  }

  /// σ√T is zero: the path is certain.
  var isCertain: Bool { deviation.value.isZero }
  /// σ√T passes 24.
  var isSaturated: Bool { deviation.value > Real(24) }
}

extension Market {
  var jets: Terms<Jet> {
    Terms(
      spot: Jet(spot, spot: .one), rate: Jet(rate, rate: .one),
      carry: Jet(carry, rate: discount == nil ? .one : .zero),
      volatility: Jet(volatility, volatility: .one), time: Jet(time, time: .one),
      discount: discount)
  }
}

/// A price with its Greeks, each a real number.
public struct Valuation: Sendable {
  public let price: Real
  /// ∂V/∂S, or ∂V/∂F where the forward was given.
  public let delta: Real
  public let gamma: Real
  /// For 1.00 of volatility.
  public let vega: Real
  /// ∂V/∂t per year of calendar time, carry included.
  public let theta: Real
  /// ∂V/∂r, yield held; for a forward -T V.
  public let rho: Real

  init(_ jet: Jet) {
    price = jet.value
    delta = jet.spot
    gamma = jet.spotTwice
    vega = jet.volatility
    theta = -jet.time
    rho = jet.rate
  }
}
