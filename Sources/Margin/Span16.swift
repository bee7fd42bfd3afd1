import Pricing
public import Primitives

/// One of SPAN's sixteen: a move of the underlying's price in money, and one of its volatility.
public struct SpanScenario: Sendable, Hashable {
  public let move: Price
  public let volatility: VolatilityMove
  public let cover: Ratio
}

/// SPAN's outcome for one combined commodity.
public struct SpanResult: Sendable, Hashable {
  /// Σ quantity × loss of each scenario; a loss is positive.
  public var losses: [Worth]
  /// The largest, at least zero.
  public var scanRisk: Worth
  public var shortOptionMinimum: Worth
  public var netOptionValue: Worth
  /// max(scan, short option minimum) − net option value.
  public var total: Worth
}

/// CME's Standard Portfolio Analysis of Risk over one combined commodity, in its sixteen scenarios.
///
/// Risk arrays are of one long unit, a loss positive.
public enum Span16 {
  public static let count = 16

  /// A position with the array its clearing house published.
  public struct ArrayPosition: Sendable {
    public var quantity: Quantity
    /// Money lost by one long unit.
    public var losses: [Price]
    /// What one unit of an option is worth; nil for a future.
    public var optionValue: Price?
    /// Money asked for one short unit of an option at the least.
    public var shortOptionCharge = Price.zero

    public init(quantity: Quantity, losses: [Price]) {
      self.quantity = quantity
      self.losses = losses
    }
  }

  /// From published arrays.
  /// - Throws: `.outsideDomain` for an array that is not of sixteen; `.overflow`.
  public static func risk(_ positions: [ArrayPosition]) throws(MarginFailure) -> SpanResult {
    var losses = [Worth](repeating: .zero, count: count)
    var (minimum, value) = (Worth.zero, Worth.zero)
    for position in positions {
      guard position.losses.count == count else { throw .outsideDomain(.riskArrays) }
      for place in 0..<count {
        losses[place] = try losses[place] + Worth(position.losses[place], position.quantity)
      }
      guard let price = position.optionValue else { continue }
      value = try value + Worth(price, position.quantity)
      if position.quantity.isNegative {
        minimum = try minimum - Worth(position.shortOptionCharge, position.quantity)
      }
    }
    return try result(losses, minimum, value)
  }

  static func result(_ losses: [Worth], _ minimum: Worth, _ value: Worth) throws(MarginFailure)
    -> SpanResult
  {
    let scan = max(losses.max() ?? .zero, .zero)
    return SpanResult(
      losses: losses, scanRisk: scan, shortOptionMinimum: minimum, netOptionValue: value,
      total: try max(scan, minimum) - value)
  }

  /// The sixteen in CME's order: for each of 0, +⅓, −⅓, +⅔, −⅔, +1, −1 ranges volatility up, then down;
  /// then up and down by the extreme multiple, covered in part. A move is to the nearest 1e-8.
  static func scenarios(_ range: SpanRange, spot: Price) -> [SpanScenario] {
    let whole = range.price?.raw ?? scaled(spot.raw, range.priceRatio)
    var result: [SpanScenario] = []
    for thirds: Int128 in [0, 1, -1, 2, -2, 3, -3] {
      let move = (Int128(whole) * thirds).divided(by: 3, rounding: .nearestEven)
      for volatility in [VolatilityMove.up, .down] {
        result.append(
          SpanScenario(
            move: Price(raw: Int64(clamping: move)), volatility: volatility, cover: .one))
      }
    }
    let extreme = scaled(whole, range.extremeMultiple)
    for move in [extreme, 0 - max(extreme, -Int64.max)] {
      result.append(
        SpanScenario(move: Price(raw: move), volatility: .same, cover: range.extremeCover))
    }
    return result
  }

  private static func scaled(_ value: Int64, _ ratio: Ratio) -> Int64 {
    Int64(
      clamping: (Int128(value) * Int128(ratio.raw))
        .divided(by: Int128(Ratio.scale), rounding: .nearestEven))
  }
}

/// The method over an account: arrays made by Black-76 a look-ahead later.
struct SpanMethod {
  let parameters: MarginParameters

  func scenarios(_ market: MarginMarket) -> [SpanScenario] {
    Span16.scenarios(parameters.span, spot: market.spot)
  }

  /// - Precondition: the book is canonical and checked.
  func risk(_ book: MarginBook, _ market: MarginMarket) throws(MarginFailure) -> BookRisk {
    var risk = BookRisk()
    let scenarios = scenarios(market)
    for scenario in scenarios {
      let move = try Worth(scenario.move, book.perpetual)
      risk.scenarios.append(try move.times(scenario.cover, .down))
    }
    for leg in book.options {
      let expiry = market.expiries[leg.expiry]
      let discount = expiry.fineDiscount
      let now = FineBlack76(time: expiry.time, discount: discount)
      let mark = try fine(
        now.price(
          leg.type, forward: Real(expiry.forward), strike: leg.strike,
          volatility: Real(leg.volatility)))
      risk.optionMark = try risk.optionMark + Worth(mark, leg.quantity)
      let later = FineBlack76(
        time: max(0, expiry.time - parameters.span.lookahead), discount: discount)
      for (place, scenario) in scenarios.enumerated() {
        let shift = Int128(scenario.volatility.rawValue) * Int128(parameters.span.volatility.raw)
        let volatility = Ratio(
          raw: Int64(clamping: max(0, Int128(leg.volatility.raw) + shift)))
        let value = try fine(
          later.price(
            leg.type, forward: Real(expiry.forward) + Real(scenario.move), strike: leg.strike,
            volatility: Real(volatility)))
        let gain = try Worth(FineValue(raw: value.raw - mark.raw), leg.quantity)
          .times(scenario.cover, .down)
        risk.scenarios[place] = try risk.scenarios[place] + gain
      }
      if leg.quantity.isNegative {
        let notional = -(try Worth(market.spot, leg.quantity))
        risk.shortMinimum =
          try risk.shortMinimum
          + notional.times(parameters.minimum.shortOption, .up)
      }
    }
    risk.least = risk.shortMinimum
    for place in market.collaterals.indices where book.collaterals[place].raw != 0 {
      let collateral = market.collaterals[place]
      let value = try market.value(place, book.collaterals[place])
      risk.collateralMark = try risk.collateralMark + value
      risk.staticMaintenance =
        try risk.staticMaintenance
        - value.times(collateral.maintenanceHaircut, .up)
      risk.staticInitial = try risk.staticInitial - value.times(collateral.initialHaircutAdd, .up)
    }
    return risk
  }

  private func fine(_ value: Real) throws(MarginFailure) -> FineValue {
    guard let units = value.scaled(digits: FineValue.digits), units.magnitude < 1 << 100 else {
      throw .overflow("an option's value")
    }
    return FineValue(raw: units)
  }
}
