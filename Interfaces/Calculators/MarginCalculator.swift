import Margin
import Pricing
import Primitives
public import Wire

/// `novate margin`: what an account needs by a method, and every figure on the way.
public enum MarginCalculator: Calculator {
  private typealias Results = [(key: String, value: JSONValue)]

  static let known: Set<String> = ["id", "method", "market", "account", "what_if", "risk_arrays"]

  public static func results(_ line: JSONValue) throws(CalculatorError) -> [(
    key: String, value: JSONValue
  )] {
    try results(line, method: MarginMethod.novate32.name)
  }

  /// The answer to one line; `method` stands in where a line names none.
  public static func respond(line: String, method: String) -> CalculatorResponse {
    respond(line: line) { (value) throws(CalculatorError) in try results(value, method: method) }
  }

  private static func results(_ line: JSONValue, method: String) throws(CalculatorError) -> [(
    key: String, value: JSONValue
  )] {
    do throws(CalculatorFailure) {
      return try margin(line, method)
    } catch {
      throw CalculatorError(code: error.code, message: error.message)
    }
  }

  /// The declared defaults of a preset, one JSON object; nil for a name that is none.
  public static func defaults(of method: String) -> String? {
    MarginMethod(name: method).map { MarginParametersJSON.object(.preset($0)).text() }
  }

  public static var methodNames: [String] { MarginMethod.allCases.map(\.name) }

  private static func margin(_ line: JSONValue, _ method: String) throws(CalculatorFailure)
    -> Results
  {
    let fields = try Fields(line, known: known)
    let given = fields.has("method") ? line["method"] ?? .null : .string(method)
    let parameters = try MarginParametersJSON.parameters(given)
    let overrides = given["overrides"]
    for holder in [line, given, overrides] {
      guard let arrays = holder?["risk_arrays"], arrays != .null else { continue }
      guard parameters.method == .span16 else {
        throw CalculatorFailure("invalid_field", "\"risk_arrays\": only span-16 takes them")
      }
      return try span(arrays)
    }
    let input = try MarginLine(line)
    let report = try margined { () throws(MarginFailure) in
      try MarginEngine(parameters, markets: input.markets).report(input.account)
    }
    return try results(report, parameters, input)
  }

  // MARK: - Risk arrays

  private static func span(_ value: JSONValue) throws(CalculatorFailure) -> Results {
    guard case .array(let entries) = value else {
      throw CalculatorFailure(
        "invalid_field", "\"risk_arrays\": expected a list, found \(value.kind)")
    }
    var positions: [Span16.ArrayPosition] = []
    for entry in entries {
      let f = try Fields(
        entry, known: ["quantity", "losses", "option_value", "short_option_charge"])
      var position = Span16.ArrayPosition(
        quantity: try f.quantity("quantity"), losses: try f.prices("losses"))
      if f.has("option_value") { position.optionValue = try f.price("option_value") }
      if f.has("short_option_charge") {
        position.shortOptionCharge = try f.price("short_option_charge")
        if position.optionValue == nil { position.optionValue = .zero }
      }
      positions.append(position)
    }
    let result = try margined { () throws(MarginFailure) in try Span16.risk(positions) }
    let worst = result.losses.indices.max { a, b in
      (result.losses[a], b) < (result.losses[b], a)
    }
    return [
      (key: "scan_risk", value: owed(result.scanRisk)),
      (key: "short_option_minimum", value: owed(result.shortOptionMinimum)),
      (key: "net_option_value", value: owned(result.netOptionValue)),
      (key: "total", value: owed(result.total)),
      (
        key: "worst",
        value: worst.map { place in
          .object([
            (key: "scenario", value: .number(String(place))),
            (key: "pnl", value: owned(-result.losses[place])),
          ])
        } ?? .null
      ),
      (key: "losses", value: .array(result.losses.map(owed))),
    ]
  }

  // MARK: - Report

  private static func results(
    _ r: MarginReport, _ p: MarginParameters, _ input: MarginLine
  ) throws(CalculatorFailure) -> Results {
    var results: Results = [
      (key: "method", value: .string(p.method.name)),
      (key: "initial_margin", value: owned(r.initialMargin)),
      (key: "maintenance_margin", value: owned(r.maintenanceMargin)),
      (key: "initial_requirement", value: owed(r.initialRequirement)),
      (key: "maintenance_requirement", value: owed(r.maintenanceRequirement)),
      (key: "mark_to_market", value: owned(r.markToMarket)),
      (key: "option_mark_to_market", value: owned(r.optionMarkToMarket)),
      (key: "collateral_mark_to_market", value: owned(r.collateralMarkToMarket)),
      (key: "basis_contingency", value: owned(r.basisContingency)),
      (key: "confidence_contingency", value: owned(r.confidenceContingency)),
      (key: "static_contingency_mm", value: owned(r.staticContingencyMaintenance)),
      (key: "static_contingency_im", value: owned(r.staticContingencyInitial)),
      (key: "worst_regular", value: r.worstRegular.map(owned) ?? .null),
      (key: "worst_tail", value: r.worstTail.map(owned) ?? .null),
      (key: "worst_skew", value: r.worstSkew.map(owned) ?? .null),
      (key: "worst", value: worst(r.worst)),
    ]
    for part in r.parts { results.append((key: part.name, value: owed(part.value))) }
    results.append((key: "scenarios", value: .array(scenarios(r, p, input))))
    var greeks: [JSONValue] = []
    var liquidation: [JSONValue] = []
    for place in input.markets.indices {
      let name: Results =
        input.isList ? [(key: "underlying", value: .string(input.names[place]))] : []
      for entry in r.greeks[place] {
        greeks.append(try .object(name + self.greeks(entry, input.markets[place])))
      }
      let found = r.liquidation[place]
      liquidation.append(
        .object(
          name + [
            (key: "up", value: found.up.map { .string(text($0)) } ?? .null),
            (key: "down", value: found.down.map { .string(text($0)) } ?? .null),
          ]))
    }
    results.append((key: "greeks", value: .array(greeks)))
    results.append(
      (key: "liquidation_price", value: input.isList ? .array(liquidation) : liquidation[0]))
    return results
  }

  private static func worst(_ worst: MarginReport.Worst?) -> JSONValue {
    guard let worst else { return .null }
    return .object([
      (
        key: "scenario",
        value: worst.scenario.map { .number(String($0)) } ?? .string("basis")
      ),
      (key: "pnl", value: owned(worst.pnl)),
    ])
  }

  private static func scenarios(
    _ r: MarginReport, _ p: MarginParameters, _ input: MarginLine
  ) -> [JSONValue] {
    if p.method == .span16 {
      return zip(r.spanScenarios, r.scenarios).map { scenario, pnl in
        let vol = [VolatilityMode.down, .same, .up][scenario.volatility.rawValue + 1]
        return .object([
          // Every market has its own range.
          (key: "move", value: input.isList ? .null : .string(text(scenario.move))),
          (key: "vol", value: .string(MarginParametersJSON.word(vol))),
          (key: "dampening", value: MarginParametersJSON.text(scenario.cover)),
          (key: "pnl", value: owned(pnl)),
        ])
      }
    }
    return zip(p.scenarios, r.scenarios).map { scenario, pnl in
      .object([
        (key: "spot", value: MarginParametersJSON.text(scenario.spot)),
        (key: "vol", value: .string(MarginParametersJSON.word(scenario.volatility))),
        (key: "dampening", value: MarginParametersJSON.text(scenario.dampening)),
        (key: "pnl", value: owned(pnl)),
      ])
    }
  }

  private static func greeks(_ g: ExpiryGreeks, _ market: MarginMarket) throws(CalculatorFailure)
    -> Results
  {
    [
      (key: "time_ms", value: .string(String(market.expiries[g.expiry].time))),
      (key: "delta", value: try g.delta.json()), (key: "gamma", value: try g.gamma.json()),
      (key: "vega", value: try g.vega.json()), (key: "theta", value: try g.theta.json()),
      (key: "rho", value: try g.rho.json()),
    ]
  }

  // MARK: - Figures

  private static func text(_ price: Price) -> String {
    DecimalText.format(price.raw, digits: 8, minimumFraction: 8)
  }

  /// What the user has: rounded down to 1e-12.
  private static func owned(_ worth: Worth) -> JSONValue { figure(worth, .down) }
  /// What is asked of him: rounded up.
  private static func owed(_ worth: Worth) -> JSONValue { figure(worth, .up) }

  private static func figure(_ worth: Worth, _ rounding: Rounding) -> JSONValue {
    let units = worth.raw.divided(by: 100_000_000, rounding: rounding)
    return .string(DecimalText.format(units, digits: 12, minimumFraction: 8))
  }
}
