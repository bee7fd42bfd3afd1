import Pricing
import Primitives

/// `novate-32`: unit vectors and sums of the production scan, and the charges beside them.
///
/// Every contract has one vector of 32 values, made by `Valuation` as execution and clearing make it;
/// a book's scenario is Σ quantity × unit, by `RiskTable` and `ScenarioSums`. Collateral that moves
/// with the underlying is a linear leg like any other.
struct Novate32 {
  let parameters: MarginParameters
  private let grid: UnitGrid

  init(_ parameters: MarginParameters) throws(MarginFailure) {
    self.parameters = parameters
    grid = try UnitGrid(parameters)
  }

  /// - Precondition: the book is canonical and checked.
  func risk(_ book: MarginBook, _ market: MarginMarket) throws(MarginFailure) -> BookRisk {
    var risk = BookRisk()
    var table = RiskTable()
    var sums = ScenarioSums(capacity: 1)
    let slot = sums.append()
    var next: UInt32 = 0
    func add(_ valuation: Valuation, _ quantity: Quantity) throws(MarginFailure) {
      try ScenarioSums.check(quantity, valuation.mark)
      table.update(InstrumentID(next), valuation)
      table.add(InstrumentID(next), quantity, to: &sums, slot)
      next += 1
    }
    var delta = DeltaBook()
    var held = Worth.zero

    if book.perpetual.raw != 0 {
      try add(.linear(market.perpetualPrice, grid, .zero), book.perpetual)
      try delta.add(Worth(FineValue(raw: 1_000_000_000_000), book.perpetual), isOwed: true)
      try crowd(&risk, book.perpetual, market.perpetualVolume, market)
    }
    let front = market.expiries.map(\.time).filter { $0 > 0 }.min()
    for leg in book.options {
      let expiry = market.expiries[leg.expiry]
      let discount = try expiry.kernelDiscount()
      let valuation = Valuation.option(
        Valuation.OptionTerms(
          type: leg.type, strike: leg.strike, volatility: leg.volatility, forward: expiry.forward,
          time: expiry.time, fixed: expiry.forwardFixed, discount: discount,
          isFront: expiry.time == front), grid, .zero)
      try add(valuation, leg.quantity)
      let mark = try Worth(valuation.mark, leg.quantity)
      risk.optionMark = try risk.optionMark + mark
      let unit = Black76.greeks(
        leg.type, forward: expiry.forward, strike: leg.strike, volatility: leg.volatility,
        time: expiry.time, discount: discount
      ).delta
      let exposure = try Worth(FineValue(raw: Int128(unit)), leg.quantity)
      if !leg.quantity.isNegative { held = try held + mark }
      try delta.add(exposure, isOwed: leg.quantity.isNegative)
      try delta.add(exposure, ofExpiry: leg.expiry)
    }
    for place in market.collaterals.indices where book.collaterals[place].raw != 0 {
      let value = try market.value(place, book.collaterals[place])
      try take(&risk, value, market.collaterals[place], market)
      guard market.collaterals[place].isRiskCancelling else { continue }
      try add(.linear(market.stablePrice(place), grid, .zero), book.collaterals[place])
      held = try held + value
      try delta.add(
        value.scaled(by: Int128(Price.scale), over: Int128(market.spot.raw), .down),
        isOwed: false)
    }
    for place in parameters.scenarios.indices {
      risk.scenarios.append(try Worth(sums[slot, place]))
    }
    try charge(&risk, book, market, delta, held: held, front: front)
    let owes = book.perpetual.raw != 0 || book.options.contains { $0.quantity.isNegative }
    risk.cap = owes ? nil : held
    return risk
  }

  // MARK: - Beside the scan

  private func charge(
    _ risk: inout BookRisk, _ book: MarginBook, _ market: MarginMarket, _ delta: DeltaBook,
    held: Worth, front: Int64?
  ) throws(MarginFailure) {
    let minimum = parameters.minimum
    risk.deltaTerm = try delta.all.charge(minimum, spot: market.spot)
    // Who holds may let go: what is held adds no more to the charge than it is worth.
    let without = try delta.owed.charge(minimum, spot: market.spot) + held
    risk.deltaMinimum = min(risk.deltaTerm, without)

    // Short options net in their instrument; several marks of one contract are one instrument.
    var first = 0
    while first < book.options.count {
      let leg = book.options[first]
      var (net, end) = (leg.quantity, first + 1)
      while end < book.options.count, book.options[end].isSameContract(as: leg) {
        let (sum, overflow) = net.raw.addingReportingOverflow(book.options[end].quantity.raw)
        if overflow { throw .overflow("a quantity") }
        net = Quantity(raw: sum)
        end += 1
      }
      if net.isNegative {
        let notional = -(try Worth(market.spot, net))
        risk.shortMinimum = try risk.shortMinimum + notional.times(minimum.shortOption, .up)
        try crowd(&risk, net, market.expiries[leg.expiry].optionVolume, market)
      }
      first = end
    }
    risk.least = max(risk.deltaMinimum, risk.shortMinimum)

    for (place, exposure) in delta.expiries where market.expiries[place].time != front {
      let expiry = market.expiries[place]
      let tilt = try parameters.basis.factor(time: expiry.time)
      let move = try exposure.magnitude
        .scaled(by: Int128(expiry.forwardVariable.raw), over: Int128(Price.scale), .up)
        .times(tilt, .up)
      risk.basis = try risk.basis - move
    }
    try doubt(&risk, book, market)
  }

  /// The convex charge on one instrument of one owner.
  private func crowd(
    _ risk: inout BookRisk, _ quantity: Quantity, _ volume: Quantity?, _ market: MarginMarket
  ) throws(MarginFailure) {
    guard let volume else { return }
    risk.concentration =
      try risk.concentration
      + parameters.concentration.charge(quantity, volume: volume, spot: market.spot)
  }

  private func take(
    _ risk: inout BookRisk, _ value: Worth, _ collateral: MarginCollateral,
    _ market: MarginMarket
  ) throws(MarginFailure) {
    risk.collateralMark = try risk.collateralMark + value
    risk.staticMaintenance =
      try risk.staticMaintenance
      - value.times(collateral.maintenanceHaircut, .up)
    risk.staticInitial = try risk.staticInitial - value.times(collateral.initialHaircutAdd, .up)
    try doubt(&risk, value, min(market.spotConfidence, collateral.confidence))
  }

  /// max(0, c* − c)·k of the notionals that Derive's method looks at.
  private func doubt(_ risk: inout BookRisk, _ book: MarginBook, _ market: MarginMarket)
    throws(MarginFailure)
  {
    try doubt(
      &risk, Worth(market.spot, book.perpetual).magnitude,
      min(market.spotConfidence, market.perpetualConfidence))
    for leg in book.options {
      let expiry = market.expiries[leg.expiry]
      var confidence = min(
        market.spotConfidence, expiry.forwardConfidence, expiry.rateConfidence,
        expiry.volatilityConfidence)
      if book.perpetual.raw != 0 { confidence = min(confidence, market.perpetualConfidence) }
      try doubt(&risk, Worth(market.spot, leg.quantity).magnitude, confidence)
    }
  }

  private func doubt(_ risk: inout BookRisk, _ notional: Worth, _ confidence: Ratio)
    throws(MarginFailure)
  {
    let gap = parameters.confidence.threshold.raw - confidence.raw
    guard gap > 0 else { return }
    risk.confidence =
      try risk.confidence
      - notional.times(Ratio(raw: gap), .up).times(parameters.confidence.factor, .up)
  }
}

/// Deltas of a book in contracts of the underlying, 1e-20.
struct DeltaBook {
  /// Apart by sign.
  struct Sides {
    private var long = Worth.zero
    private var short = Worth.zero

    mutating func add(_ delta: Worth) throws(MarginFailure) {
      if delta.isNegative { short = try short - delta } else { long = try long + delta }
    }

    /// netDelta·|net| + hedgedDelta·hedged, times spot, hedged half of all that is offset: a maximum of
    /// linear terms while hedgedDelta is at most twice netDelta, so together is never more than apart.
    func charge(_ minimum: MinimumCharge, spot: Price) throws(MarginFailure) -> Worth {
      func money(_ contracts: Worth) throws(MarginFailure) -> Worth {
        try contracts.scaled(by: Int128(spot.raw), over: Int128(Price.scale), .up)
      }
      let net = try (long - short).magnitude
      let hedged = min(long, short)
      return try money(net).times(minimum.netDelta, .up)
        + money(hedged).times(minimum.hedgedDelta, .up)
    }
  }

  private(set) var all = Sides()
  /// Of perpetuals and short options alone.
  private(set) var owed = Sides()
  /// Of options by expiry, in the order of their first leg.
  private(set) var expiries: [(place: Int, delta: Worth)] = []

  mutating func add(_ delta: Worth, isOwed: Bool) throws(MarginFailure) {
    try all.add(delta)
    if isOwed { try owed.add(delta) }
  }

  mutating func add(_ delta: Worth, ofExpiry place: Int) throws(MarginFailure) {
    if expiries.last?.place != place { expiries.append((place, .zero)) }
    expiries[expiries.count - 1].delta = try expiries[expiries.count - 1].delta + delta
  }
}

extension Concentration {
  /// Σ rate·max(0, |quantity| − from·volume)·spot, rounded up: convex in the quantity, so it is asked of
  /// an owner's total, never of his accounts one by one.
  func charge(_ quantity: Quantity, volume: Quantity, spot: Price) throws(MarginFailure) -> Worth {
    var sum = Worth.zero
    for slope in slopes {
      let threshold = (Int128(volume.raw) * Int128(slope.from.raw))
        .divided(by: Int128(Ratio.scale), rounding: .down)
      let excess = Int128(quantity.raw.magnitude) - threshold
      guard excess > 0 else { continue }
      let notional = try Worth(Notional(raw: excess * Int128(spot.raw)))
      sum = try sum + notional.times(slope.rate, .up)
    }
    return sum
  }
}

extension MarginMarket {
  /// A collateral's price in the quote asset, rounded down.
  func stablePrice(_ place: Int) -> Price {
    Price(
      raw: Int64(
        clamping: (Int128(collaterals[place].price.raw) * Int128(Price.scale))
          .divided(by: Int128(stable.raw), rounding: .down)))
  }
}

extension MarginExpiry {
  /// D for the kernel.
  func kernelDiscount() throws(MarginFailure) -> Discount {
    guard let discount else { return Discount(rate: max(rate, .zero), time: time) }
    // Q62 of 1e-18, to nearest: discount ≤ 2e18 < 2^61, times 2^62 fits.
    let raw = (discount &<< 62).divided(by: FineFactor.scale, rounding: .nearestEven)
    guard let narrow = UInt64(exactly: raw) else { throw .outsideDomain(.discount) }
    return Discount(raw: narrow)
  }
}

extension ScenarioSums {
  /// Sums wrap: what a caller adds must stay inside their bound by far.
  /// - Throws: `.overflow` for a leg whose value passes 1e17 of the quote asset.
  static func check(_ quantity: Quantity, _ mark: Price) throws(MarginFailure) {
    // 1e33 units of 1e-16, sixfold moved and a thousand times added, stay below 2^127.
    guard (mark * quantity).raw.magnitude <= 1_000_000_000_000_000_000_000_000_000_000_000 else {
      throw .overflow("a leg")
    }
  }
}
