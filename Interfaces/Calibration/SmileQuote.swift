import Glibc
public import Pricing
public import Primitives

/// One strike's quoted volatilities.
public struct SmileQuote: Sendable {
  /// ln(K/F).
  public let logMoneyness: Double
  /// Volatilities, 1.00 = 100 %, that the bid and the ask imply.
  public let bid: Double
  public let ask: Double

  public var middle: Double { (bid + ask) / 2 }

  public init(logMoneyness: Double, bid: Double, ask: Double) {
    self.logMoneyness = logMoneyness
    self.bid = bid
    self.ask = ask
  }

  /// From a bid and an ask in the quote asset, not discounted; nil where one of them implies no
  /// volatility, or they cross.
  ///
  /// - Parameter time: milliseconds to expiry.
  public init?(
    _ type: OptionType, forward: Price, strike: Price, bid: Price, ask: Price, time: Int64
  ) {
    guard forward.raw > 0, strike.raw > 0, bid <= ask,
      let low = SmileQuote.volatility(type, forward, strike, bid, time),
      let high = SmileQuote.volatility(type, forward, strike, ask, time), low > 0
    else { return nil }
    self.init(
      logMoneyness: log(Double(strike.raw) / Double(forward.raw)), bid: low, ask: high)
  }

  private static func volatility(
    _ type: OptionType, _ forward: Price, _ strike: Price, _ price: Price, _ time: Int64
  ) -> Double? {
    do throws(PricingFailure) {
      let market = try Market(
        forward: forward, discount: 1_000_000_000_000_000_000, volatility: .zero, time: time)
      let volatility = try ImpliedVolatility.solve(market, type, strike: strike, price: price)
      guard let units = volatility?.scaled(digits: 12) else { return nil }
      return Double(units) * 1e-12
    } catch {
      return nil
    }
  }
}
