public import Primitives

/// How a barrier is watched, and whether it was crossed before now.
public struct Monitoring: Sendable {
  /// Equally spaced observations to expiry; nil is continuous.
  public let observations: Int?
  public let isHit: Bool

  public init(observations: Int? = nil, isHit: Bool = false) {
    self.observations = observations
    self.isHit = isHit
  }
}

/// What stands before the closed form: the path may be past the barrier, or certain.
private enum Crossing<Number> {
  /// Already crossed.
  case past
  /// Will be crossed, at this time in years, without doubt.
  case certain(Number)
  /// Will not be crossed.
  case never
  /// The closed form decides, with this barrier.
  case open(Number)
}

extension Terms {
  /// - Throws: `.outsideDomain` for a barrier ≤ 0 or an observation count outside 1...1e9.
  @inline(__always)
  fileprivate func crossing(_ level: Real, isDown: Bool, _ monitoring: Monitoring)
    throws(PricingFailure) -> Crossing<Number>
  {
    guard level.isPositive else { throw .outsideDomain(.barrier) }
    var barrier = Number(level)
    if let count = monitoring.observations {
      guard count >= 1, count <= 1_000_000_000 else { throw .outsideDomain(.monitors) }
      if !isCertain {
        let step = deviation.times(.monitoringShift / Real(Int64(count)).squareRoot)
        barrier = barrier * (isDown ? -step : step).exponential
      }
    }
    if monitoring.isHit { return .past }
    let gap = spot.value - barrier.value
    if isDown ? !gap.isPositive : !(gap.isNegative && !gap.isZero) { return .past }
    if spot.value.isZero || time.value.isZero { return .never }
    guard isCertain else { return .open(barrier) }
    guard !carry.value.isZero, carry.value.isNegative == isDown else { return .never }
    let when = (barrier / spot).logarithm / carry
    return when.value > time.value ? .never : .certain(when)
  }

  /// Haug 1998 pp. 70-72; discrete monitoring by Broadie, Glasserman and Kou 1997.
  func barrier(
    _ kind: BarrierType, _ type: OptionType, strike: Real, barrier level: Real, rebate: Real,
    _ monitoring: Monitoring
  ) throws(PricingFailure) -> Number {
    let level = level
    let number: Number
    switch try crossing(level, isDown: kind.isDown, monitoring) {
    case .past: return kind.isIn ? european(type, strike: strike) : Number(rebate)
    case .certain(let when):
      if kind.isIn { return european(type, strike: strike) }
      return (-(rate * when)).exponential.times(rebate)
    case .never:
      return kind.isIn ? discount.times(rebate) : european(type, strike: strike)
    case .open(let moved): number = moved
    }
    let t = try BarrierTerms(
      self, strike: strike, barrier: number, isDown: kind.isDown, isCall: type == .call)
    let isAbove = !(strike - number.value).isNegative
    let option: Number
    // Beyond the barrier for the side that needs it, an option out is worthless and one in vanilla.
    if kind.isDown == isAbove {
      // The strike lies on the live side.
      let isNear = (type == .call) == kind.isDown
      if kind.isIn {
        option = isNear ? t.c : t.b - t.c + t.d
      } else {
        option = isNear ? t.a - t.c : t.a - t.b + t.c - t.d
      }
    } else {
      let isNear = (type == .call) == kind.isDown
      if kind.isIn {
        option = isNear ? t.a - t.b + t.d : t.a
      } else {
        option = isNear ? t.b - t.d : Number(.zero)
      }
    }
    if rebate.isZero { return option }
    return option
      + (kind.isIn ? t.untouched(Number(rebate)) : try t.atHit(Number(rebate)))
  }

  /// Reiner and Rubinstein 1991b; Haug 1998 pp. 92-95, types 13-14, 17-18, 21-22, 25-26.
  func binaryBarrier(
    _ kind: BarrierType, _ type: OptionType, strike: Real, barrier level: Real, cash: Real,
    _ monitoring: Monitoring
  ) throws(PricingFailure) -> Number {
    let number: Number
    switch try crossing(level, isDown: kind.isDown, monitoring) {
    case .past, .certain:
      return kind.isIn ? cashDigital(type, strike: strike, cash: cash) : Number(.zero)
    case .never:
      return kind.isIn ? Number(.zero) : cashDigital(type, strike: strike, cash: cash)
    case .open(let moved): number = moved
    }
    let t = try BarrierTerms(
      self, strike: strike, barrier: number, isDown: kind.isDown, isCall: type == .call)
    let isAbove = !(strike - number.value).isNegative
    let isNear = (type == .call) == kind.isDown
    let b1 = t.cash1(cash)
    if kind.isDown == isAbove {
      if isNear {
        let b3 = t.cash3(cash)
        return kind.isIn ? b3 : b1 - b3
      }
      let rest = t.cash2(cash) - t.cash3(cash) + t.cash4(cash)
      return kind.isIn ? rest : b1 - rest
    }
    if isNear {
      let rest = t.cash2(cash) - t.cash4(cash)
      return kind.isIn ? b1 - rest : rest
    }
    return kind.isIn ? b1 : Number(.zero)
  }

  /// At hit, at expiry, not at all. Haug 1998 pp. 92-95 types 1-12.
  func touch(isUp: Bool, barrier level: Real, cash: Real?) throws(PricingFailure) -> (
    atHit: Number, atExpiry: Number, never: Number
  ) {
    let whole = cash.map { discount.times($0) } ?? forwardValue
    switch try crossing(level, isDown: !isUp, Monitoring()) {
    case .past: return (cash.map(Number.init) ?? spot, whole, Number(.zero))
    case .certain(let when):
      let now = (-(rate * when)).exponential.times(cash ?? level)
      return (now, whole, Number(.zero))
    case .never: return (Number(.zero), Number(.zero), whole)
    case .open(let barrier):
      let t = try BarrierTerms(
        self, strike: level, barrier: barrier, isDown: !isUp, isCall: true)
      let hit = try t.atHit(Number(cash ?? level))
      let expiry = cash.map { t.touched(Number($0)) } ?? t.touchedAsset
      return (hit, expiry, whole - expiry)
    }
  }
}

/// Options that live or die at a barrier.
///
/// Domain: barrier > 0; each power of barrier/spot within e^±20, else `.powerTooLarge`; a rebate paid
/// at the hit needs μ² + 2r/σ² ≥ 0, else `.rateTooNegative`. Error: below one unit of 1e-8 for spots
/// to 1e7.
public enum Barrier {
  /// The eight single barriers. The rebate of an out option is paid at the hit, of an in option at
  /// expiry. Haug 1998 pp. 70-72; discrete monitoring by Broadie, Glasserman and Kou 1997.
  ///
  /// - Throws: `.outsideDomain` for a strike < 0, a barrier ≤ 0, observations outside 1...1e9;
  ///   `.powerTooLarge`; with a rebate out `.rateTooNegative`.
  public static func option(
    _ market: Market, _ kind: BarrierType, _ type: OptionType, strike: Price, barrier: Price,
    rebate: Price = .zero, monitoring: Monitoring = Monitoring()
  ) throws(PricingFailure) -> Valuation {
    guard strike.raw >= 0 else { throw .outsideDomain(.strike) }
    return Valuation(
      try market.jets.barrier(
        kind, type, strike: Real(strike), barrier: Real(barrier), rebate: Real(rebate), monitoring))
  }

  /// As `option`, the price alone. Cost: 0.4 µs.
  ///
  /// - Throws: as `option`.
  public static func price(
    _ market: Market, _ kind: BarrierType, _ type: OptionType, strike: Price, barrier: Price,
    rebate: Price = .zero, monitoring: Monitoring = Monitoring()
  ) throws(PricingFailure) -> Real {
    guard strike.raw >= 0 else { throw .outsideDomain(.strike) }
    return try market.terms.barrier(
      kind, type, strike: Real(strike), barrier: Real(barrier), rebate: Real(rebate), monitoring)
  }

  /// Pays `cash` at expiry if option and barrier agree. Haug 1998 pp. 92-95.
  ///
  /// - Throws: `.outsideDomain` as `option`; `.powerTooLarge`.
  public static func binary(
    _ market: Market, _ kind: BarrierType, _ type: OptionType, strike: Price, barrier: Price,
    cash: Price, monitoring: Monitoring = Monitoring()
  ) throws(PricingFailure) -> Valuation {
    guard strike.raw >= 0 else { throw .outsideDomain(.strike) }
    return Valuation(
      try market.jets.binaryBarrier(
        kind, type, strike: Real(strike), barrier: Real(barrier), cash: Real(cash), monitoring))
  }

  /// The three ways a touch pays.
  public struct Touch: Sendable {
    public let atHit: Valuation
    public let atExpiry: Valuation
    public let noTouch: Valuation
  }

  /// Pays `cash`, or the asset where it is nil, on touching the barrier. Haug 1998 pp. 92-95.
  ///
  /// - Throws: `.outsideDomain(.barrier)`, `.powerTooLarge`, `.rateTooNegative`.
  public static func touch(_ market: Market, isUp: Bool, barrier: Price, cash: Price?)
    throws(PricingFailure) -> Touch
  {
    let (hit, expiry, never) = try market.jets.touch(
      isUp: isUp, barrier: Real(barrier), cash: cash.map { Real($0) })
    return Touch(
      atHit: Valuation(hit), atExpiry: Valuation(expiry), noTouch: Valuation(never))
  }
}
