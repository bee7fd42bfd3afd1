import Pricing
import Primitives

/// What a method finds out about one book before underlyings are put together.
struct BookRisk {
  /// PnL of every scenario, dampened.
  var scenarios: [Worth] = []
  /// At most zero.
  var basis = Worth.zero
  var optionMark = Worth.zero
  var collateralMark = Worth.zero
  /// At most zero, these three.
  var confidence = Worth.zero
  var staticMaintenance = Worth.zero
  var staticInitial = Worth.zero
  /// What the scan is at least, whatever the scenarios say; `novate-32`.
  var least = Worth.zero
  /// Never below zero, on initial margin alone: the owner's size, and everybody's.
  var concentration = Worth.zero
  var crowding = Worth.zero
  /// Before what is held is let go.
  var deltaTerm = Worth.zero
  var deltaMinimum = Worth.zero
  var shortMinimum = Worth.zero
  /// The most a book can lose that owes nothing; nil where it owes.
  var cap: Worth?

  /// The worst of the scenarios and the forward contingency, at most zero.
  var worst: Worth { min(scenarios.min() ?? .zero, basis, .zero) }
}

/// Derive's PMRM_2: scenarios with static discounts, skew rotations, a forward contingency, static
/// contingencies. Written from the formulas of its published contracts (`PMRMLib_2`).
struct PMRM2 {
  let parameters: MarginParameters

  /// - Precondition: the book is canonical and checked.
  func risk(_ book: MarginBook, _ market: MarginMarket) throws(MarginFailure) -> BookRisk {
    var risk = BookRisk()
    risk.scenarios = try linear(book, market)
    let perpetualNotional = try Worth(market.spot, book.perpetual).magnitude
    try charge(&risk, perpetualNotional, parameters.contingency.perpetual)
    try doubt(
      &risk, perpetualNotional, min(market.spotConfidence, market.perpetualConfidence))
    var first = 0
    while first < book.options.count {
      let place = book.options[first].expiry
      var end = first
      while end < book.options.count, book.options[end].expiry == place { end += 1 }
      let holding = try ExpiryHolding(
        legs: book.options[first..<end], expiry: market.expiries[place], parameters)
      try add(holding, book, market, to: &risk)
      first = end
    }
    for place in market.collaterals.indices where book.collaterals[place].raw != 0 {
      let collateral = market.collaterals[place]
      let value = try market.value(place, book.collaterals[place])
      risk.collateralMark = try risk.collateralMark + value
      try charge(&risk, value, (collateral.maintenanceHaircut, collateral.initialHaircutAdd))
      try doubt(&risk, value, min(market.spotConfidence, collateral.confidence))
    }
    return risk
  }

  /// Perpetuals, and collateral that cancels risk, in every scenario.
  private func linear(_ book: MarginBook, _ market: MarginMarket) throws(MarginFailure)
    -> [Worth]
  {
    var value = try Worth(market.perpetualPrice, book.perpetual)
    for place in market.collaterals.indices where market.collaterals[place].isRiskCancelling {
      value = try value + market.value(place, book.collaterals[place])
    }
    var result: [Worth] = []
    for scenario in parameters.scenarios {
      let change = Ratio(raw: scenario.spot.raw - Ratio.scale)
      result.append(try value.times(change, .down).times(scenario.dampening, .down))
    }
    return result
  }

  private func add(
    _ holding: ExpiryHolding, _ book: MarginBook, _ market: MarginMarket, to risk: inout BookRisk
  ) throws(MarginFailure) {
    let mark = try holding.value(spot: .one, .same)
    risk.optionMark = try risk.optionMark + mark
    for (place, scenario) in parameters.scenarios.enumerated() {
      // Skew modes leave the forward where it is.
      let spot = scenario.volatility.isSkew ? Ratio.one : scenario.spot
      let shocked = try holding.discounted(holding.value(spot: spot, scenario.volatility))
      var pnl = try (shocked - mark).times(scenario.dampening, .down)
      // The loss of the opposite rotation is taken to be the gain of this one.
      if scenario.volatility.isSkew { pnl = -pnl.magnitude }
      risk.scenarios[place] = try risk.scenarios[place] + pnl
    }
    let up = try holding.value(spot: parameters.basis.spotUp, .same) - mark
    let down = try holding.value(spot: parameters.basis.spotDown, .same) - mark
    risk.basis =
      try risk.basis
      + min(up, down, .zero)
      .times(parameters.basis.factor(time: holding.expiry.time), .down)

    var (gross, short) = (Worth.zero, Worth.zero)
    var open: (strike: Price, net: Worth)?
    func close(_ open: (strike: Price, net: Worth)?) throws(MarginFailure) {
      guard let open, open.net.isNegative else { return }
      short = try short - open.net
    }
    for leg in holding.legs {
      let notional = try Worth(market.spot, leg.quantity)
      gross = try gross + notional.magnitude
      if let last = open, last.strike == leg.strike {
        open = (leg.strike, try last.net + notional)
      } else {
        try close(open)
        open = (leg.strike, notional)
      }
    }
    try close(open)
    try charge(&risk, short, parameters.contingency.option)
    let expiry = holding.expiry
    var confidence = min(
      market.spotConfidence, expiry.forwardConfidence, expiry.rateConfidence,
      expiry.volatilityConfidence)
    if book.perpetual.raw != 0 { confidence = min(confidence, market.perpetualConfidence) }
    try doubt(&risk, gross, confidence)
  }

  private func charge(
    _ risk: inout BookRisk, _ notional: Worth, _ rates: (maintenance: Ratio, initialAdd: Ratio)
  ) throws(MarginFailure) {
    risk.staticMaintenance = try risk.staticMaintenance - notional.times(rates.maintenance, .up)
    risk.staticInitial = try risk.staticInitial - notional.times(rates.initialAdd, .up)
  }

  private func doubt(_ risk: inout BookRisk, _ notional: Worth, _ confidence: Ratio)
    throws(MarginFailure)
  {
    guard confidence < parameters.confidence.threshold else { return }
    let gap = Ratio(raw: Ratio.scale - confidence.raw)
    risk.confidence =
      try risk.confidence
      - notional.times(gap, .up).times(parameters.confidence.factor, .up)
  }
}

extension Contingency {
  var perpetual: (maintenance: Ratio, initialAdd: Ratio) {
    (perpetualMaintenance, perpetualInitialAdd)
  }
  var option: (maintenance: Ratio, initialAdd: Ratio) { (optionMaintenance, optionInitialAdd) }
}

extension Ratio {
  static let one = Ratio(raw: Ratio.scale)
}

extension Worth {
  var magnitude: Worth { isNegative ? -self : self }
}

/// The options an account holds in one expiry, with all that their shocks share.
struct ExpiryHolding {
  let legs: ArraySlice<OptionLeg>
  let expiry: MarginExpiry
  private let parameters: MarginParameters
  private let kernel: FineBlack76
  private let discount: Real
  private let shockUp: Real
  private let shockDown: Real
  private let root: Real
  /// What a held and what an owed value is multiplied by.
  private let long: FineFactor
  private let short: FineFactor

  /// - Throws: `.overflow` where a static discount passes 100.
  init(legs: ArraySlice<OptionLeg>, expiry: MarginExpiry, _ parameters: MarginParameters)
    throws(MarginFailure)
  {
    self.legs = legs
    self.expiry = expiry
    self.parameters = parameters
    discount = expiry.fineDiscount
    kernel = FineBlack76(time: expiry.time, discount: discount)
    root = Real(milliseconds: expiry.time).squareRoot
    let shock = parameters.volatilityShock
    let factor = TenorScaling.fineFactor(
      time: expiry.time, floor: shock.floor, short: shock.shortPower, long: shock.longPower)
    shockUp = .one + Real(shock.up) * factor
    let down = Real.one - Real(shock.down) * factor
    shockDown = down.isNegative ? .zero : down

    let terms = parameters.discount
    let years = Real(milliseconds: expiry.time)
    let rate = Real(max(expiry.rate, .zero))
    let decay = years * (rate * Real(terms.longRateFactor) + Real(terms.longRateAdd))
    let growth = years * (rate * Real(terms.shortRateFactor) + Real(terms.shortRateAdd))
    long = try FineFactor(Real(terms.long) * (-decay).exponential, "a long discount")
    let own = Real(terms.short) * growth.exponential
    let bound = Real.one / discount
    short = try FineFactor(bound < own ? bound : own, "a short discount")
  }

  /// Σ quantity × Black-76 under one shock, each contract to the nearest 1e-12.
  func value(spot: Ratio, _ mode: VolatilityMode) throws(MarginFailure) -> Worth {
    // Exact: both are integers below 2^63.
    let moved = Int128(expiry.forwardVariable.raw) * Int128(spot.raw)
    let fixed = Int128(expiry.forwardFixed.raw) * Int128(Ratio.scale)
    let forward = Real(fixed + moved, digits: 17)
    var sum = Worth.zero
    for leg in legs {
      let price = kernel.price(
        leg.type, forward: forward, strike: leg.strike, volatility: volatility(leg, mode))
      guard let units = price.scaled(digits: FineValue.digits) else {
        throw .overflow("an option's value")
      }
      sum = try sum + Worth(FineValue(raw: units), leg.quantity)
    }
    return sum
  }

  private func volatility(_ leg: OptionLeg, _ mode: VolatilityMode) -> Real {
    let mark = Real(leg.volatility)
    switch mode {
    case .same: return mark
    case .up:
      let shocked = mark * shockUp
      let least = Real(parameters.volatilityShock.leastUp)
      return shocked < least ? least : shocked
    case .down: return mark * shockDown
    case .linear, .absolute: return mark * skewMultiplier(leg, mode)
    }
  }

  /// 1 + min(c, k·c/k*) above the forward, 1 + max(−c, k·c/k*) below it; not below zero.
  private func skewMultiplier(_ leg: OptionLeg, _ mode: VolatilityMode) -> Real {
    let skew = parameters.skew
    let isLinear = mode == .linear
    let base = isLinear ? skew.linearBase : skew.absoluteBase
    let cap = Real(base) * root + Real(isLinear ? skew.linearCap : skew.absoluteCap)
    guard leg.strike.raw > 0, expiry.forward.raw > 0 else { return .one }
    var k = (Real(leg.strike) / Real(expiry.forward)).logarithm
    if !isLinear, k.isNegative { k = -k }
    let width =
      root * Real(skew.width)
      * (Real(skew.volatilityStatic) + root * Real(skew.volatilityScale))
    let least = Real(skew.least)
    let star = width < least ? least : width
    let limit = k.isNegative && !k.isZero ? -cap : cap
    var change = limit
    if k.isZero {
      change = cap < .zero ? cap : .zero
    } else if !star.isZero {
      let slope = k * cap / star
      if k.isNegative ? limit < slope : slope < limit { change = slope }
    }
    let multiplier = Real.one + change
    return multiplier.isNegative ? .zero : multiplier
  }

  /// A shocked value as it counts: less where it is held, more where it is owed.
  func discounted(_ value: Worth) throws(MarginFailure) -> Worth {
    try value.times(value.isNegative ? short : long, .down)
  }
}

extension BasisShock {
  /// add + multiple·τ, rounded up.
  /// - Throws: `.overflow` beyond 100.
  func factor(time: Int64) throws(MarginFailure) -> FineFactor {
    guard multiple.raw.magnitude <= 1_000 * UInt64(Ratio.scale), add.raw.magnitude <= 1 << 60
    else { throw .overflow("a basis factor") }
    // Below 1e12 · 1e9 · 3.2e11.
    let grown = (Int128(multiple.raw) * Int128(Ratio.scale) * Int128(time))
      .divided(by: Int128(Timestamp.millisecondsPerYear), rounding: .up)
    let raw = Int128(add.raw) * Int128(Ratio.scale) + grown
    guard raw.magnitude <= FineFactor.bound.magnitude else { throw .overflow("a basis factor") }
    return FineFactor(raw: raw)
  }
}
