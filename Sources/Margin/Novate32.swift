import Pricing
import Primitives

/// `novate-32` and `span-16`: unit vectors and sums of the production scan, and the charges beside
/// them. The methods differ in how a vector is made, and in the numbers.
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
    var sheet = MarginSheet(underlyings: 1)
    var next: UInt32 = 0
    let isSpan = grid.span != nil
    func add(_ valuation: Valuation, _ charges: UnitCharges, _ quantity: Quantity)
      throws(MarginFailure)
    {
      try ScenarioSums.check(quantity, valuation.mark)
      for unit in charges.all { try ScenarioSums.check(quantity, Price(raw: unit)) }
      table.update(InstrumentID(next), valuation, charges)
      // Ranges of an account's own asking know no bound.
      for place in 0..<(isSpan ? grid.count : 0) {
        try ScenarioSums.check(quantity, table.unit(InstrumentID(next), place))
      }
      sheet.add(InstrumentID(next), quantity, 0, table)
      next += 1
    }

    if book.perpetual.raw != 0 {
      let valuation = Valuation.linear(market.perpetualPrice, spot: market.spot, grid, .zero)
      var charges = charges(.contract, valuation, market)
      charges.doubt(
        parameters.confidence, confidence: min(market.spotConfidence, market.perpetualConfidence),
        spot: market.spot)
      try add(valuation, charges, book.perpetual)
      let size = table.sizeCharge(
        InstrumentID(next - 1), isOption: false, strike: nil, spot: market.spot,
        dailyVolume: market.perpetualVolume ?? .zero, parameters)
      try weigh(
        &risk, size, book.perpetual, open: market.perpetualInterest, beside: book.perpetualBeside)
    }
    let front = market.expiries.map(\.time).filter { $0 > 0 }.min()
    for leg in book.futures {
      let expiry = market.expiries[leg.expiry]
      // What is fixed of a forward no scenario moves.
      let valuation = Valuation.linear(expiry.forwardVariable, spot: market.spot, grid, .zero)
      var charges = charges(.contract, valuation, market)
      if expiry.time != front {
        charges.tilt(
          parameters.basis, delta: valuation.delta, forward: expiry.forwardVariable,
          time: expiry.time, expiry: Int64(leg.expiry))
      }
      charges.doubt(
        parameters.confidence,
        confidence: min(market.spotConfidence, expiry.forwardConfidence), spot: market.spot)
      try add(valuation, charges, leg.quantity)
      let size = table.sizeCharge(
        InstrumentID(next - 1), isOption: false, strike: nil, spot: market.spot,
        dailyVolume: leg.volume, parameters)
      try weigh(&risk, size, leg.quantity, open: leg.interest, beside: leg.beside)
    }
    let firstOption = next
    for leg in book.options {
      let expiry = market.expiries[leg.expiry]
      let discount = try expiry.kernelDiscount()
      let valuation = Valuation.option(
        Valuation.OptionTerms(
          type: leg.type, strike: leg.strike, volatility: leg.volatility, forward: expiry.forward,
          time: expiry.time, fixed: expiry.forwardFixed, discount: discount,
          isFront: expiry.time == front), spot: market.spot, grid, .zero)
      var charges = charges(.option, valuation, market)
      if expiry.time != front {
        _ = try parameters.basis.factor(time: expiry.time)
        charges.tilt(
          parameters.basis, delta: valuation.delta, forward: expiry.forwardVariable,
          time: expiry.time, expiry: Int64(leg.expiry))
      }
      charges.doubt(
        parameters.confidence, confidence: confidence(expiry, book, market), spot: market.spot)
      try add(valuation, charges, leg.quantity)
      risk.optionMark = try risk.optionMark + Worth(valuation.mark, leg.quantity)
    }
    for place in market.collaterals.indices where book.collaterals[place].raw != 0 {
      let value = try market.value(place, book.collaterals[place])
      try take(&risk, value, market.collaterals[place], market)
      guard market.collaterals[place].isRiskCancelling else { continue }
      let price = market.stablePrice(place)
      let charges = UnitCharges(
        .collateral, delta: 1_000_000_000_000, spot: price, parameters.minimum)
      try add(
        .collateral(price, spot: market.spot, grid), charges, book.collaterals[place])
    }
    for place in 0..<grid.count {
      risk.scenarios.append(next == 0 ? .zero : try Worth(sheet.sums[0, place]))
    }
    if next > 0 {
      let totals = sheet.totals(0)
      risk.deltaTerm = try Worth(Notional(raw: totals.deltaTerm))
      risk.deltaMinimum = try Worth(Notional(raw: totals.deltaMinimum))
      risk.cap = totals.owes ? nil : try Worth(Notional(raw: totals.held))
      risk.basis = -(try Worth(Notional(raw: sheet.tilt(0))))
      risk.confidence = try risk.confidence - Worth(Notional(raw: totals.doubt))
    } else {
      risk.cap = .zero
    }
    let sizes = book.options.indices.map { place in
      let leg = book.options[place]
      return table.sizeCharge(
        InstrumentID(firstOption + UInt32(place)), isOption: true,
        strike: leg.type == .put ? leg.strike : nil, spot: market.spot,
        dailyVolume: leg.volume ?? market.expiries[leg.expiry].optionVolume ?? .zero, parameters)
    }
    try charge(&risk, book, market, sizes)
    return risk
  }

  private func charges(
    _ kind: UnitCharges.Kind, _ valuation: Valuation, _ market: MarginMarket
  ) -> UnitCharges {
    UnitCharges(kind, delta: valuation.delta, spot: market.spot, parameters.minimum)
  }

  // MARK: - Beside the scan

  private func charge(
    _ risk: inout BookRisk, _ book: MarginBook, _ market: MarginMarket, _ sizes: [SizeCharge]
  ) throws(MarginFailure) {
    // Short options net in their instrument; several marks of one contract are one instrument, and
    // the first of them that says so says what its size costs.
    let unit = UnitCharges(.option, delta: 0, spot: market.spot, parameters.minimum)
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
        risk.shortMinimum =
          try risk.shortMinimum + Worth(Notional(raw: unit.short(net.raw)))
        let said = (first..<end).first { sizes[$0].isOn } ?? first
        try weigh(
          &risk, sizes[said], net, open: book.options[said].interest,
          beside: book.options[said].beside)
      }
      first = end
    }
    risk.least = max(risk.deltaMinimum, risk.shortMinimum)
  }

  /// What is asked on entry for the size of one position.
  private func weigh(
    _ risk: inout BookRisk, _ size: SizeCharge, _ quantity: Quantity, open: Quantity,
    beside: Quantity
  ) throws(MarginFailure) {
    let crowding = size.crowding(Int128(quantity.raw), openInterest: Int128(open.raw))
    let concentration = size.concentration(
      size.counted(Int128(quantity.raw)), beside: Int128(beside.raw))
    risk.crowding = try risk.crowding + Worth(Notional(raw: crowding))
    risk.concentration = try risk.concentration + Worth(Notional(raw: concentration))
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

  /// Of an option's words, as Derive's method takes them together.
  private func confidence(_ expiry: MarginExpiry, _ book: MarginBook, _ market: MarginMarket)
    -> Ratio
  {
    let own = min(
      market.spotConfidence, expiry.forwardConfidence, expiry.rateConfidence,
      expiry.volatilityConfidence)
    return book.perpetual.raw == 0 ? own : min(own, market.perpetualConfidence)
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
