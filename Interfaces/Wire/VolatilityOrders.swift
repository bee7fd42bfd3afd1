public import Primitives

/// A limit order quoted in volatility: one record. Execution finds its price when it is placed, and
/// from then on it is a limit order with that price.
public struct VolatilityOrder: Sendable, Equatable {
  /// What it shall be; its price is not asked for.
  public var terms: OrderTerms
  public var volatility: Ratio

  /// The most there is, a million times the forward a year: what the pricing kernel takes.
  public static let volatilityMax = Ratio(raw: 1_000_000 * Ratio.scale)

  public init(_ terms: OrderTerms, volatility: Ratio) {
    self.terms = terms
    self.volatility = volatility
  }

  var record: ActionRecord {
    var record = terms.record
    record.kindCode = ActionKind.volatility.rawValue
    record.x = volatility.raw
    return record
  }
}

extension ActionRecord {
  /// Of a volatility order.
  @inlinable public var volatility: Ratio { Ratio(raw: x) }

  /// The limit order it is at a price.
  public func order(at price: Price) -> ActionRecord {
    var order = self
    order.kindCode = ActionKind.place.rawValue
    order.x = price.raw
    return order
  }

  /// Whether a volatility order's fields go together. Its outcome has the price where others have
  /// what is left, which must follow from what filled: none takes contracts off both orders.
  var volatilityFault: StaticString? {
    if isMarket { return "market order in volatility" }
    if volatility > VolatilityOrder.volatilityMax { return "volatility" }
    if selfTrade == .decrementBoth { return "volatility order that decrements both" }
    return orderFault
  }
}
