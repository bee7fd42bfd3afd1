import Pricing
public import Primitives

/// Where the search for a liquidation price looks.
public enum LiquidationSearch {
  /// Up to ten times the price, down to nothing.
  public static let factorMax = Ratio(raw: 10 * Ratio.scale)
  static let stepCount: Int64 = 45
}

extension MarginEngine {
  /// The whole report.
  /// - Throws: as `assess`.
  public func report(_ account: MarginAccount) throws(MarginFailure) -> MarginReport {
    let ready = try ready(account)
    var report = try assess(ready, markets)
    for place in markets.indices {
      report.greeks.append(try greeks(ready.books[place], markets[place]))
      report.liquidation.append(try liquidation(ready, place, report))
    }
    return report
  }

  // MARK: - Greeks

  private func greeks(_ book: MarginBook, _ market: MarginMarket) throws(MarginFailure)
    -> [ExpiryGreeks]
  {
    var result: [ExpiryGreeks] = []
    for leg in book.options {
      let expiry = market.expiries[leg.expiry]
      if result.last?.expiry != leg.expiry { result.append(ExpiryGreeks(expiry: leg.expiry)) }
      guard let discount = expiry.fineDiscount.scaled(digits: 18), discount > 0 else {
        throw .outsideDomain(.discount)
      }
      let unit: Pricing.Valuation
      do throws(PricingFailure) {
        unit = try European.vanilla(
          Pricing.Market(
            forward: expiry.forward, discount: discount, volatility: leg.volatility,
            time: expiry.time), leg.type, strike: leg.strike)
      } catch {
        throw .outsideDomain(.vol)
      }
      let quantity = Real(Int128(leg.quantity.raw), digits: 8)
      let last = result.count - 1
      result[last].delta = result[last].delta + unit.delta * quantity
      result[last].gamma = result[last].gamma + unit.gamma * quantity
      result[last].vega = result[last].vega + unit.vega * quantity
      result[last].theta = result[last].theta + unit.theta * quantity
      result[last].rho = result[last].rho + unit.rho * quantity
    }
    for leg in book.futures {
      let place = result.firstIndex { $0.expiry >= leg.expiry } ?? result.count
      if place == result.count || result[place].expiry != leg.expiry {
        result.insert(ExpiryGreeks(expiry: leg.expiry), at: place)
      }
      result[place].delta = result[place].delta + Real(Int128(leg.quantity.raw), digits: 8)
    }
    return result
  }

  // MARK: - Liquidation price

  /// The nearest prices of one underlying at which maintenance is not met, found on a grid of moves and
  /// narrowed to 1e-9 of spot; a place between two grid points that is left again is not seen. An account
  /// already below stands at spot.
  private func liquidation(
    _ account: MarginAccount, _ place: Int, _ report: MarginReport
  ) throws(MarginFailure) -> LiquidationPrice {
    let spot = markets[place].spot
    if report.maintenanceMargin.isNegative { return LiquidationPrice(up: spot, down: spot) }
    let book = account.books[place]
    let hasLegs =
      book.perpetual.raw != 0 || !book.options.isEmpty || !book.futures.isEmpty
      || zip(book.collaterals, markets[place].collaterals).contains {
        $0.raw != 0 && $1.isRiskCancelling
      }
    guard hasLegs else { return LiquidationPrice(up: nil, down: nil) }
    let one = Ratio.scale
    let span = LiquidationSearch.factorMax.raw - one
    var result = LiquidationPrice()
    // Steps widen with the square of their number: fine near spot, coarse far away.
    func far(_ step: Int64, _ whole: Int64) -> Int64 {
      let count = Int128(LiquidationSearch.stepCount)
      return Int64(Int128(whole) * Int128(step) * Int128(step) / (count * count))
    }
    for (isUp, whole) in [(true, span), (false, one)] {
      var inside = one
      for step in 1...LiquidationSearch.stepCount {
        let outside = isUp ? one + far(step, whole) : one - far(step, whole)
        guard try isBelow(account, place, Ratio(raw: outside)) else {
          inside = outside
          continue
        }
        let factor = try narrowed(account, place, inside, outside)
        let price = markets[place].moved(by: Ratio(raw: factor)).spot
        if isUp { result.up = price } else { result.down = price }
        break
      }
    }
    return result
  }

  /// The first factor below maintenance between one that is not and one that is.
  private func narrowed(_ account: MarginAccount, _ place: Int, _ inside: Int64, _ outside: Int64)
    throws(MarginFailure) -> Int64
  {
    var (good, bad) = (inside, outside)
    while (good - bad).magnitude > 1 {
      let middle = good + (bad - good) / 2
      if try isBelow(account, place, Ratio(raw: middle)) { bad = middle } else { good = middle }
    }
    return bad
  }

  private func isBelow(_ account: MarginAccount, _ place: Int, _ factor: Ratio)
    throws(MarginFailure) -> Bool
  {
    var moved = markets
    moved[place] = markets[place].moved(by: factor)
    var changed = account
    // The gain of perpetual and futures is not in cash yet.
    var gain =
      try Worth(moved[place].perpetualPrice, account.books[place].perpetual)
      - Worth(markets[place].perpetualPrice, account.books[place].perpetual)
    for leg in account.books[place].futures {
      gain =
        try gain + Worth(moved[place].expiries[leg.expiry].forward, leg.quantity)
        - Worth(markets[place].expiries[leg.expiry].forward, leg.quantity)
    }
    changed.books[place].unrealised = try account.books[place].unrealised + gain
    return try assess(changed, moved).maintenanceMargin.isNegative
  }
}
