import Pricing
import Primitives

/// Position-netted margin without scenarios: Derive's standard manager with a parameter object.
///
/// Long options give nothing; an expiry needs the better of its shorts one by one and the most it can lose
/// at settlement. Isolated margin is this on one instrument's own balance.
struct CrossMargin {
  let parameters: MarginParameters
  private var rates: CrossRates { parameters.cross }

  /// What one book adds to the net margins, beside its marks.
  struct Net {
    var optionMark = Worth.zero
    var collateralMark = Worth.zero
    /// Net, at most zero: what options need, their own marks included.
    var optionMaintenance = Worth.zero
    var optionInitial = Worth.zero
    /// At most zero: perpetuals and haircuts.
    var staticMaintenance = Worth.zero
    var staticInitial = Worth.zero
    /// At most zero: doubtful prices and the peg.
    var doubt = Worth.zero
  }

  /// - Precondition: the book is canonical and checked.
  func net(_ book: MarginBook, _ market: MarginMarket) throws(MarginFailure) -> Net {
    var net = Net()
    let notional = try Worth(market.perpetualPrice, book.perpetual).magnitude
    net.staticMaintenance =
      try net.staticMaintenance
      - notional.times(rates.perpetualMaintenance, .up)
    net.staticInitial = try net.staticInitial - notional.times(rates.perpetualInitial, .up)
    let atSpot = try Worth(market.spot, book.perpetual).magnitude
    try doubt(&net, atSpot, min(market.spotConfidence, market.perpetualConfidence))
    var depegged = atSpot

    var first = 0
    while first < book.options.count {
      let place = book.options[first].expiry
      var end = first
      while end < book.options.count, book.options[end].expiry == place { end += 1 }
      let short = try add(
        book.options[first..<end], market.expiries[place], market, to: &net)
      let expiry = market.expiries[place]
      try doubt(
        &net, short,
        min(market.spotConfidence, expiry.forwardConfidence, expiry.volatilityConfidence))
      depegged = try depegged + short
      first = end
    }
    if let gap = parameters.depeg.gap(market) {
      net.doubt = try net.doubt - depegged.times(gap, .up).times(parameters.depeg.factor, .up)
    }
    for place in market.collaterals.indices where book.collaterals[place].raw != 0 {
      let collateral = market.collaterals[place]
      let value = try market.value(place, book.collaterals[place])
      net.collateralMark = try net.collateralMark + value
      let haircut = try value.times(collateral.maintenanceHaircut, .up)
      net.staticMaintenance = try net.staticMaintenance - haircut
      net.staticInitial =
        try net.staticInitial - haircut
        - value.times(collateral.initialHaircutAdd, .up)
      try doubt(&net, value, min(market.spotConfidence, collateral.confidence))
    }
    return net
  }

  /// Adds one expiry; gives the notional of its shorts at spot.
  private func add(
    _ legs: ArraySlice<OptionLeg>, _ expiry: MarginExpiry, _ market: MarginMarket,
    to net: inout Net
  ) throws(MarginFailure) -> Worth {
    let kernel = FineBlack76(time: expiry.time, discount: expiry.fineDiscount)
    var isolated = (maintenance: Worth.zero, initial: Worth.zero)
    var short = Worth.zero
    var calls: Int128 = 0
    for leg in legs {
      let price = kernel.price(
        leg.type, forward: Real(expiry.forward), strike: leg.strike,
        volatility: Real(leg.volatility))
      guard let units = price.scaled(digits: FineValue.digits) else {
        throw .overflow("an option's value")
      }
      let mark = try Worth(FineValue(raw: units), leg.quantity)
      net.optionMark = try net.optionMark + mark
      if leg.type == .call { calls += Int128(leg.quantity.raw) }
      guard leg.quantity.isNegative else { continue }
      let notional = -(try Worth(market.spot, leg.quantity))
      short = try short + notional
      let own = try isolatedMargin(leg, mark, notional, market.spot)
      isolated.maintenance = try isolated.maintenance + own.maintenance
      isolated.initial = try isolated.initial + own.initial
    }
    var loss = try settled(legs, at: .zero)
    for leg in legs { loss = min(loss, try settled(legs, at: leg.strike)) }
    loss = min(loss, .zero)
    var (maintenance, initial) = (loss, loss)
    if calls < 0 {
      let unpaired = try Worth(Notional(raw: calls * Int128(expiry.forward.raw)))
      maintenance = try maintenance + unpaired.times(rates.unpairedMaintenance, .down)
      initial = try initial + unpaired.times(rates.unpairedInitial, .down)
    }
    net.optionMaintenance = try net.optionMaintenance + max(isolated.maintenance, maintenance)
    net.optionInitial = try net.optionInitial + max(isolated.initial, initial)
    return short
  }

  /// What one short option needs by itself, its mark included; at most zero.
  private func isolatedMargin(
    _ leg: OptionLeg, _ mark: Worth, _ notional: Worth, _ spot: Price
  ) throws(MarginFailure) -> (maintenance: Worth, initial: Worth) {
    let gap = leg.type == .call ? leg.strike.raw - spot.raw : spot.raw - leg.strike.raw
    // How far out of the money, in favour of the user to the unit: less is asked further out.
    let distance = (Int128(max(gap, 0)) * Int128(Ratio.scale))
      .divided(by: Int128(spot.raw), rounding: .down)
    let share = max(Int128(rates.spotMin.raw), Int128(rates.spotMax.raw) - distance)
    let initial = try mark - notional.times(Ratio(raw: Int64(clamping: share)), .up)
    switch leg.type {
    case .call: return (try mark - notional.times(rates.callMaintenance, .up), initial)
    case .put:
      let atSpot = -(try notional.times(rates.putMaintenance, .up))
      let maintenance = try mark + min(atSpot, mark.times(rates.putMarkMaintenance, .down))
      return (maintenance, min(initial, try maintenance.times(rates.offset, .down)))
    }
  }

  /// Σ quantity × payoff at one settlement price.
  private func settled(_ legs: ArraySlice<OptionLeg>, at price: Price) throws(MarginFailure)
    -> Worth
  {
    var sum = Worth.zero
    for leg in legs {
      let gap = leg.type == .call ? price.raw - leg.strike.raw : leg.strike.raw - price.raw
      sum = try sum + Worth(Price(raw: max(gap, 0)), leg.quantity)
    }
    return sum
  }

  private func doubt(_ net: inout Net, _ notional: Worth, _ confidence: Ratio)
    throws(MarginFailure)
  {
    guard confidence < parameters.confidence.threshold else { return }
    let gap = Ratio(raw: Ratio.scale - confidence.raw)
    net.doubt =
      try net.doubt
      - notional.times(gap, .up).times(parameters.confidence.factor, .up)
  }
}

extension DepegCharge {
  /// How far the quote asset stands below the threshold; nil where it does not.
  func gap(_ market: MarginMarket) -> Ratio? { gap(worth: market.peg ?? market.stable) }

  private func gap(worth price: Price) -> Ratio? {
    let gap = Int128(threshold.raw) - Int128(price.raw) * 10
    return gap > 0 ? Ratio(raw: Int64(clamping: gap)) : nil
  }

  /// What is asked on entry beside a requirement, as a share of it, while the quote asset is worth
  /// `price`: gap × factor, rounded up.
  func share(worth price: Price) -> Ratio {
    guard let gap = gap(worth: price) else { return .zero }
    return Ratio(
      raw: Int64(
        clamping: (Int128(gap.raw) * Int128(factor.raw))
          .divided(by: Int128(Ratio.scale), rounding: .up)))
  }
}
