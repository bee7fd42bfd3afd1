import Margin
import Primitives
import Wire

/// The parameter object of a method as JSON: shown, overridden, given whole.
enum MarginParametersJSON {
  typealias Entry = (key: String, path: WritableKeyPath<MarginParameters, Ratio>)

  /// Every group of ratios by its key.
  private static var groups: [(key: String, entries: [Entry])] {
    [
      (
        "vol_shock",
        [
          ("range_up", \.volatilityShock.up), ("range_down", \.volatilityShock.down),
          ("min_vol_up", \.volatilityShock.leastUp),
          ("short_power", \.volatilityShock.shortPower),
          ("long_power", \.volatilityShock.longPower),
          ("dte_floor_days", \.volatilityShock.daysFloor),
        ]
      ),
      (
        "skew",
        [
          ("linear_base", \.skew.linearBase), ("linear_cap", \.skew.linearCap),
          ("abs_base", \.skew.absoluteBase), ("abs_cap", \.skew.absoluteCap),
          ("min_k_star", \.skew.least), ("width_scale", \.skew.width),
          ("vol_static", \.skew.volatilityStatic), ("vol_scale", \.skew.volatilityScale),
        ]
      ),
      (
        "discount",
        [
          ("long_static", \.discount.long), ("short_static", \.discount.short),
          ("long_rate_mult", \.discount.longRateFactor),
          ("long_rate_add", \.discount.longRateAdd),
          ("short_rate_mult", \.discount.shortRateFactor),
          ("short_rate_add", \.discount.shortRateAdd),
        ]
      ),
      (
        "basis",
        [
          ("spot_up", \.basis.spotUp), ("spot_down", \.basis.spotDown), ("add", \.basis.add),
          ("mult", \.basis.multiple),
        ]
      ),
      (
        "contingency",
        [
          ("perp_mm", \.contingency.perpetualMaintenance),
          ("perp_im_add", \.contingency.perpetualInitialAdd),
          ("option_mm", \.contingency.optionMaintenance),
          ("option_im_add", \.contingency.optionInitialAdd),
        ]
      ),
      (
        "confidence",
        [("threshold", \.confidence.threshold), ("factor", \.confidence.factor)]
      ),
      ("depeg", [("threshold", \.depeg.threshold), ("factor", \.depeg.factor)]),
      (
        "minimum",
        [
          ("net_delta", \.minimum.netDelta), ("hedged_delta", \.minimum.hedgedDelta),
          ("short_option", \.minimum.shortOption),
        ]
      ),
      ("tilt", [("skew", \.tilt.skew), ("term", \.tilt.term)]),
      (
        "open_interest",
        [("lower", \.openInterest.lower), ("upper", \.openInterest.upper)]
      ),
      (
        "cross",
        [
          ("perp_mm", \.cross.perpetualMaintenance), ("perp_im", \.cross.perpetualInitial),
          ("call_mm", \.cross.callMaintenance), ("put_mm", \.cross.putMaintenance),
          ("put_mm_mark", \.cross.putMarkMaintenance), ("max_spot", \.cross.spotMax),
          ("min_spot", \.cross.spotMin), ("unpaired_mm", \.cross.unpairedMaintenance),
          ("unpaired_im", \.cross.unpairedInitial), ("offset", \.cross.offset),
        ]
      ),
    ]
  }

  private static var singles: [Entry] {
    [
      ("mm_factor", \.maintenanceFactor), ("im_factor", \.initialFactor), ("lambda", \.lambda),
      ("price_scan_ratio", \.span.priceRatio), ("vol_scan_range", \.span.volatility),
      ("extreme_multiple", \.span.extremeMultiple), ("extreme_cover", \.span.extremeCover),
      ("short_option_minimum", \.minimum.shortOption),
    ]
  }

  /// What a method reads, and so what it shows.
  private static func keys(_ method: MarginMethod) -> [String] {
    switch method {
    case .novate32:
      [
        "scenarios", "vol_shock", "tilt", "basis", "minimum", "concentration",
        "open_interest", "confidence", "depeg", "mm_factor", "im_factor", "lambda",
      ]
    case .derivePMRM2:
      [
        "scenarios", "vol_shock", "skew", "discount", "basis", "contingency", "confidence",
        "depeg", "mm_factor", "im_factor", "lambda",
      ]
    case .span16:
      [
        "price_scan_range", "price_scan_ratio", "vol_scan_range", "extreme_multiple",
        "extreme_cover", "lookahead_ms", "short_option_minimum", "concentration",
        "open_interest", "confidence", "depeg", "mm_factor", "im_factor", "lambda",
      ]
    case .cross: ["cross", "confidence", "depeg"]
    }
  }

  // MARK: - Out

  static func text(_ ratio: Ratio) -> JSONValue { .string(ratio.decimal) }

  /// The object; given back as a line's `method` it means the same.
  static func object(_ p: MarginParameters) -> JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "method", value: .string(p.method.name))
    ]
    for key in keys(p.method) { members.append((key: key, value: value(p, key))) }
    return .object(members)
  }

  private static func value(_ p: MarginParameters, _ key: String) -> JSONValue {
    switch key {
    case "scenarios": return .array(p.scenarios.map(scenario))
    case "concentration":
      return .array(
        p.concentration.slopes.map {
          .object([(key: "from", value: text($0.from)), (key: "rate", value: text($0.rate))])
        })
    case "price_scan_range": return p.span.price.map { .string($0.decimal) } ?? .null
    case "lookahead_ms": return .string(String(p.span.lookahead))
    default: break
    }
    if let single = singles.first(where: { $0.key == key }) { return text(p[keyPath: single.path]) }
    let entries = groups.first { $0.key == key }?.entries ?? []
    return .object(entries.map { (key: $0.key, value: text(p[keyPath: $0.path])) })
  }

  private static func scenario(_ s: MarginScenario) -> JSONValue {
    .object([
      (key: "spot", value: text(s.spot)), (key: "vol", value: .string(word(s.volatility))),
      (key: "dampening", value: text(s.dampening)),
      (key: "class", value: .string(word(s.kind))),
    ])
  }

  static func word(_ mode: VolatilityMode) -> String {
    switch mode {
    case .up: "up"
    case .same: "none"
    case .down: "down"
    case .linear: "linear"
    case .absolute: "abs"
    }
  }

  private static func word(_ kind: ScenarioClass) -> String {
    switch kind {
    case .regular: "regular"
    case .tail: "tail"
    case .skew: "skew"
    }
  }

  // MARK: - In

  /// A preset's name, `{"preset":…,"overrides":{…}}`, or the object itself; absent groups of it keep
  /// their declared defaults.
  static func parameters(_ value: JSONValue) throws(CalculatorFailure) -> MarginParameters {
    switch value {
    case .string(let name): return .preset(try method(name))
    case .object:
      if value["preset"] != nil {
        let fields = try Fields(value, known: ["preset", "overrides"])
        var result = MarginParameters.preset(try method(try fields.text("preset")))
        if let overrides = value["overrides"], overrides != .null {
          try apply(overrides, to: &result)
        }
        return result
      }
      var result = MarginParameters.preset(try guessedMethod(value))
      try apply(value, to: &result)
      return result
    case .null, .bool, .number, .array:
      throw CalculatorFailure(
        "invalid_field", "\"method\": expected a name or an object, found \(value.kind)")
    }
  }

  static func method(_ name: String) throws(CalculatorFailure) -> MarginMethod {
    if let method = MarginMethod(name: name) { return method }
    let known = MarginMethod.allCases.map(\.name).joined(separator: "|")
    throw CalculatorFailure("unknown_method", "expected \(known), found \"\(name)\"")
  }

  /// The object's own word, or the first method that reads every one of its keys, Derive's foremost:
  /// the published object has its shape.
  private static func guessedMethod(_ value: JSONValue) throws(CalculatorFailure) -> MarginMethod {
    let fields = try Fields(value, known: known)
    if fields.has("method") { return try method(try fields.text("method")) }
    guard case .object(let members) = value else { return .derivePMRM2 }
    for method in [MarginMethod.derivePMRM2, .novate32, .span16, .cross] {
      let own = keys(method) + ["risk_arrays"]
      if members.allSatisfy({ own.contains($0.key) }) { return method }
    }
    throw CalculatorFailure(
      "invalid_field", "\"method\": no method reads all of its keys; name one under \"method\"")
  }

  private static var known: Set<String> {
    Set(MarginMethod.allCases.flatMap(keys)).union(["method", "risk_arrays"])
  }

  private static func apply(_ value: JSONValue, to p: inout MarginParameters)
    throws(CalculatorFailure)
  {
    let fields = try Fields(value, known: Set(keys(p.method)).union(["method", "risk_arrays"]))
    if fields.has("method"), try method(try fields.text("method")) != p.method {
      throw CalculatorFailure("invalid_field", "\"method\": expected \(p.method.name)")
    }
    for key in keys(p.method) where value[key] != nil {
      switch key {
      case "scenarios": p.scenarios = try scenarios(fields)
      case "concentration": p.concentration.slopes = try slopes(fields)
      case "price_scan_range":
        p.span.price = fields.has(key) ? try fields.price(key) : nil
      case "lookahead_ms": p.span.lookahead = try fields.integer(key)
      default:
        if let single = singles.first(where: { $0.key == key }) {
          p[keyPath: single.path] = try fields.ratio(key)
        } else if let group = value[key] {
          try apply(group, groups.first { $0.key == key }?.entries ?? [], to: &p)
        }
      }
    }
  }

  private static func apply(
    _ group: JSONValue, _ entries: [Entry], to p: inout MarginParameters
  ) throws(CalculatorFailure) {
    let fields = try Fields(group, known: Set(entries.map(\.key)))
    for entry in entries where fields.has(entry.key) {
      p[keyPath: entry.path] = try fields.ratio(entry.key)
    }
  }

  private static func scenarios(_ fields: Fields) throws(CalculatorFailure) -> [MarginScenario] {
    var result: [MarginScenario] = []
    for entry in try fields.list("scenarios") {
      let f = try Fields(entry, known: ["spot", "vol", "dampening", "class"])
      let volatility = try f.word("vol", VolatilityMode.allCases.map { (word($0), $0) })
      let kind =
        f.has("class")
        ? try f.word("class", ScenarioClass.allCases.map { (word($0), $0) })
        : volatility.isSkew ? .skew : .regular
      result.append(
        MarginScenario(
          spot: try f.ratio("spot"), volatility: volatility,
          dampening: try f.ratio("dampening", default: 1), kind: kind))
    }
    return result
  }

  private static func slopes(_ fields: Fields) throws(CalculatorFailure) -> [Concentration.Slope] {
    var result: [Concentration.Slope] = []
    for entry in try fields.list("concentration") {
      let f = try Fields(entry, known: ["from", "rate"])
      result.append(.init(from: try f.ratio("from"), rate: try f.ratio("rate")))
    }
    return result
  }
}

extension Fields {
  /// A ratio that may be absent.
  func ratio(_ key: String, default whole: Int64) throws(CalculatorFailure) -> Ratio {
    has(key) ? try ratio(key) : Ratio(raw: whole * Ratio.scale)
  }
}
