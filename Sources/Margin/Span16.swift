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
    let moves = moves(range, spot: spot)
    return (0..<count).map { place in
      guard place < 14 else {
        return SpanScenario(
          move: Price(raw: moves[place]), volatility: .same, cover: range.extremeCover)
      }
      return SpanScenario(
        move: Price(raw: moves[place]), volatility: place % 2 == 0 ? .up : .down, cover: .one)
    }
  }

  /// What each of the sixteen adds to the underlying's price.
  static func moves(_ range: SpanRange, spot: Price) -> InlineArray<16, Int64> {
    let whole = range.price?.raw ?? scaled(spot.raw, range.priceRatio)
    var moves = InlineArray<16, Int64>(repeating: 0)
    for third in 1...3 {
      let move = Int64(
        clamping: (Int128(whole) * Int128(third)).divided(by: 3, rounding: .nearestEven))
      for place in [4 * third - 2, 4 * third - 1] {
        moves[place] = move
        moves[place + 2] = 0 - move
      }
    }
    moves[14] = scaled(whole, range.extremeMultiple)
    moves[15] = 0 - max(moves[14], -Int64.max)
    return moves
  }

  /// An option's value in each of the sixteen, a look-ahead later, and how far the volatilities up
  /// and down lie apart. Below zero a forward counts as zero, a volatility too.
  static func values(_ terms: Valuation.OptionTerms, _ range: SpanRange, spot: Price) -> (
    prices: InlineArray<16, Price>, span: Ratio
  ) {
    func volatility(_ way: Int128) -> Ratio {
      let moved = Int128(terms.volatility.raw) + way * Int128(range.volatility.raw)
      return Ratio(raw: Int64(clamping: max(0, moved)))
    }
    let (up, down) = (volatility(1), volatility(-1))
    let moves = moves(range, spot: spot)
    var prices = InlineArray<16, Price>(repeating: .zero)
    for place in 0..<count {
      let forward = max(0, Int128(terms.forward.raw) + Int128(moves[place]))
      prices[place] = Black76.price(
        terms.type, forward: Price(raw: Int64(clamping: forward)), strike: terms.strike,
        volatility: place >= 14 ? terms.volatility : place % 2 == 0 ? up : down,
        time: max(0, terms.time - range.lookahead), discount: terms.discount)
    }
    return (prices, Ratio(raw: Int64(clamping: Int128(up.raw) - Int128(down.raw))))
  }

  private static func scaled(_ value: Int64, _ ratio: Ratio) -> Int64 {
    Int64(
      clamping: (Int128(value) * Int128(ratio.raw))
        .divided(by: Int128(Ratio.scale), rounding: .nearestEven))
  }
}
