import Pricing
import Primitives
public import Wire

/// `novate price`: one product a line, by `kind`.
public enum PriceCalculator: Calculator {
  private typealias Results = [(key: String, value: JSONValue)]

  static let known: Set<String> = [
    "id", "kind", "vol", "time_ms", "spot", "rate", "yield", "forward", "discount", "type",
    "strike",
    "cash", "payoff_strike", "barrier_type", "barrier", "rebate", "monitors", "hit", "side",
    "power",
    "funding_days", "norm", "mark", "index", "elapsed_ms", "period_ms", "prices",
    "periods_per_year",
    "k0", "strip", "price", "name", "x",
  ]

  public static func results(_ line: JSONValue) throws(CalculatorError) -> [(
    key: String, value: JSONValue
  )] {
    do throws(CalculatorFailure) {
      return try dispatch(try Fields(line, known: known))
    } catch {
      throw CalculatorError(code: error.code, message: error.message)
    }
  }

  /// The answer to one line of `novate price`.
  public static func respond(line: String) -> String {
    let response: CalculatorResponse = respond(line: line)
    return response.line
  }

  private enum Kind: String, CaseIterable {
    case european, black76, digital, gap, barrier, touch, everlasting, normalisation, function
    case assetDigital = "asset_digital"
    case assetTouch = "asset_touch"
    case binaryBarrier = "binary_barrier"
    case powerPerpetual = "power_perpetual"
    case realisedVariance = "realised_variance"
    case varianceStrip = "variance_strip"
    case impliedVolatility = "implied_vol"
  }

  private static func dispatch(_ fields: Fields) throws(CalculatorFailure) -> Results {
    let name = try fields.text("kind")
    guard let kind = Kind(rawValue: name) else {
      let known = Kind.allCases.map(\.rawValue).joined(separator: "|")
      throw CalculatorFailure("unknown_kind", "\"kind\": expected \(known), found \"\(name)\"")
    }
    switch kind {
    case .european, .black76: return try european(fields)
    case .digital: return try digital(fields)
    case .assetDigital: return try assetDigital(fields)
    case .gap: return try gap(fields)
    case .barrier: return try barrier(fields)
    case .touch: return try touch(fields)
    case .assetTouch: return try assetTouch(fields)
    case .binaryBarrier: return try binaryBarrier(fields)
    case .powerPerpetual: return try powerPerpetual(fields)
    case .everlasting: return try everlasting(fields)
    case .normalisation: return try normalisation(fields)
    case .realisedVariance: return try realisedVariance(fields)
    case .varianceStrip: return try varianceStrip(fields)
    case .impliedVolatility: return try impliedVolatility(fields)
    case .function: return try function(fields)
    }
  }

  private static func greeks(_ v: Valuation) throws(CalculatorFailure) -> Results {
    [
      (key: "price", value: try v.price.json()), (key: "delta", value: try v.delta.json()),
      (key: "gamma", value: try v.gamma.json()), (key: "vega", value: try v.vega.json()),
      (key: "theta", value: try v.theta.json()), (key: "rho", value: try v.rho.json()),
    ]
  }

  // MARK: - On the settlement price

  private static func european(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (market, type, strike) = (try f.market(), try f.type, try f.price("strike"))
    return try greeks(
      priced { () throws(PricingFailure) in
        try European.vanilla(market, type, strike: strike)
      })
  }

  private static func digital(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (market, type, strike) = (try f.market(), try f.type, try f.price("strike"))
    let cash = try f.price("cash")
    return try greeks(
      priced { () throws(PricingFailure) in
        try European.cashDigital(market, type, strike: strike, cash: cash)
      })
  }

  private static func assetDigital(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (market, type, strike) = (try f.market(), try f.type, try f.price("strike"))
    return try greeks(
      priced { () throws(PricingFailure) in
        try European.assetDigital(market, type, strike: strike)
      })
  }

  private static func gap(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (market, type, strike) = (try f.market(), try f.type, try f.price("strike"))
    let payoff = try f.price("payoff_strike")
    return try greeks(
      priced { () throws(PricingFailure) in
        try European.gap(market, type, strike: strike, payoffStrike: payoff)
      })
  }

  private static func impliedVolatility(_ f: Fields) throws(CalculatorFailure) -> Results {
    let market = try f.market(volatility: .zero)
    let (type, strike, price) = (try f.type, try f.price("strike"), try f.price("price"))
    let vol = try priced { () throws(PricingFailure) in
      try ImpliedVolatility.solve(market, type, strike: strike, price: price)
    }
    return [(key: "vol", value: try vol.json())]
  }

  // MARK: - At a barrier

  private static func monitoring(_ f: Fields) throws(CalculatorFailure) -> Monitoring {
    Monitoring(
      observations: f.has("monitors") ? Int(try f.integer("monitors")) : nil,
      isHit: try f.flag("hit"))
  }

  private static func barrier(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (market, kind, type) = (try f.market(), try f.barrierType, try f.type)
    let (strike, level) = (try f.price("strike"), try f.price("barrier"))
    let rebate = f.has("rebate") ? try f.price("rebate") : .zero
    let monitoring = try monitoring(f)
    return try greeks(
      priced { () throws(PricingFailure) in
        try Barrier.option(
          market, kind, type, strike: strike, barrier: level, rebate: rebate,
          monitoring: monitoring)
      })
  }

  private static func binaryBarrier(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (market, kind, type) = (try f.market(), try f.barrierType, try f.type)
    let (strike, level, cash) = (
      try f.price("strike"), try f.price("barrier"), try f.price("cash")
    )
    let monitoring = try monitoring(f)
    return try greeks(
      priced { () throws(PricingFailure) in
        try Barrier.binary(
          market, kind, type, strike: strike, barrier: level, cash: cash, monitoring: monitoring)
      })
  }

  private static func touch(_ f: Fields) throws(CalculatorFailure) -> Results {
    try touch(f, cash: try f.price("cash"))
  }

  private static func assetTouch(_ f: Fields) throws(CalculatorFailure) -> Results {
    try touch(f, cash: nil)
  }

  private static func touch(_ f: Fields, cash: Price?) throws(CalculatorFailure) -> Results {
    let (market, level) = (try f.market(), try f.price("barrier"))
    let isUp = try f.word("side", [("up", true), ("down", false)])
    let touch = try priced { () throws(PricingFailure) in
      try Barrier.touch(market, isUp: isUp, barrier: level, cash: cash)
    }
    return [
      (key: "at_hit", value: try touch.atHit.price.json()),
      (key: "at_expiry", value: try touch.atExpiry.price.json()),
      (key: "no_touch", value: try touch.noTouch.price.json()),
    ]
  }

  // MARK: - Without expiry

  private static func powerPerpetual(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (spot, power, rate) = (try f.price("spot"), try f.ratio("power"), try f.ratio("rate"))
    let (vol, days) = (try f.ratio("vol"), try f.ratio("funding_days"))
    let result = try priced { () throws(PricingFailure) in
      try Perpetual.power(spot: spot, power: power, rate: rate, volatility: vol, fundingDays: days)
    }
    return [
      (key: "index", value: try result.index.json()),
      (key: "mark_continuous", value: try result.markContinuous.json()),
      (key: "mark_strip", value: try result.markStrip.json()),
    ]
  }

  private static func everlasting(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (type, spot, strike) = (try f.type, try f.price("spot"), try f.price("strike"))
    let (rate, vol, days) = (try f.ratio("rate"), try f.ratio("vol"), try f.ratio("funding_days"))
    let result = try priced { () throws(PricingFailure) in
      try Perpetual.everlasting(
        type, spot: spot, strike: strike, rate: rate, volatility: vol, fundingDays: days)
    }
    return [
      (key: "mark_continuous", value: try result.markContinuous.json()),
      (key: "mark_strip", value: try result.markStrip.json()),
    ]
  }

  private static func normalisation(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (norm, mark, index) = (try f.real("norm"), try f.real("mark"), try f.real("index"))
    let (elapsed, period) = (try f.integer("elapsed_ms"), try f.integer("period_ms"))
    let result = try priced { () throws(PricingFailure) in
      try Perpetual.normalisation(norm, mark: mark, index: index, elapsed: elapsed, period: period)
    }
    return [(key: "norm", value: try result.json())]
  }

  // MARK: - Variance

  private static func level(_ level: Variance.Level) throws(CalculatorFailure) -> Results {
    [
      (key: "variance", value: try level.variance.json(fraction: 15)),
      (key: "vol", value: try level.volatility.json()),
    ]
  }

  private static func realisedVariance(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (prices, periods) = (try f.prices("prices"), try f.real("periods_per_year"))
    return try level(
      priced { () throws(PricingFailure) in
        try Variance.realised(prices, periodsPerYear: periods)
      })
  }

  private static func varianceStrip(_ f: Fields) throws(CalculatorFailure) -> Results {
    let (forward, rate, time) = (
      try f.price("forward"), try f.ratio("rate"), try f.integer("time_ms")
    )
    let k0 = try f.price("k0")
    var quotes: [Variance.Quote] = []
    for entry in try f.list("strip") {
      guard case .array(let pair) = entry, pair.count == 2 else {
        throw CalculatorFailure(
          "invalid_field", "\"strip\": expected pairs of strike and price, found \(entry.kind)")
      }
      do throws(JSONFailure) {
        let strike: Int64 = try pair[0].asDecimal("strip", digits: Price.fractionDigits)
        let price: Int64 = try pair[1].asDecimal("strip", digits: Price.fractionDigits)
        quotes.append(Variance.Quote(strike: Price(raw: strike), price: Price(raw: price)))
      } catch {
        throw CalculatorFailure(error)
      }
    }
    let sorted = quotes.sorted { $0.strike < $1.strike }
    return try level(
      priced { () throws(PricingFailure) in
        try Variance.strip(sorted, forward: forward, k0: k0, rate: rate, time: time)
      })
  }

  // MARK: - The kernel itself

  private static func function(_ f: Fields) throws(CalculatorFailure) -> Results {
    let function = try f.word("name", Function.allCases.map { ($0.rawValue, $0) })
    let x = try f.real("x")
    return [
      (
        key: "y",
        value: try priced { () throws(PricingFailure) in try function.value(at: x) }.json()
      )
    ]
  }
}
