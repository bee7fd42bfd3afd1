import Pricing
import Primitives
import Wire

/// Why a line has no result: a code for programs, a sentence for people.
struct CalculatorFailure: Error {
  let code: String
  let message: String

  init(_ code: String, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ failure: JSONFailure) {
    switch failure {
    case .missing: code = "missing_field"
    case .unexpected: code = "unknown_field"
    case .mistyped, .invalid: code = "invalid_field"
    case .truncated, .unexpectedByte, .trailing, .invalidNumber, .invalidUTF8, .controlCharacter,
      .invalidEscape, .loneSurrogate, .duplicateKey, .tooDeep:
      code = "invalid_json"
    }
    message = failure.description
  }

  init(_ failure: PricingFailure) {
    switch failure {
    case .outsideDomain: code = "outside_domain"
    case .rateTooNegative: code = "rate_too_negative"
    case .powerTooLarge: code = "power_too_large"
    case .malformedList: code = "malformed_list"
    }
    message = failure.description
  }
}

/// The fields of one line, read by name in the ledger's units.
struct Fields {
  let value: JSONValue

  /// - Throws: `unknown_field` for a key no calculator of the family knows, so that a slip of the pen
  ///   never prices something else.
  init(_ value: JSONValue, known: Set<String>) throws(CalculatorFailure) {
    self.value = value
    do throws(JSONFailure) {
      try value.object(allowing: known, name: "line")
    } catch {
      throw CalculatorFailure(error)
    }
  }

  private func read<T>(_ body: () throws(JSONFailure) -> T) throws(CalculatorFailure) -> T {
    do throws(JSONFailure) { return try body() } catch { throw CalculatorFailure(error) }
  }

  func has(_ key: String) -> Bool {
    switch value[key] {
    case nil, .null: false
    case .bool, .number, .string, .array, .object: true
    }
  }

  func text(_ key: String) throws(CalculatorFailure) -> String {
    try read { () throws(JSONFailure) in try value.string(at: key) }
  }

  func list(_ key: String) throws(CalculatorFailure) -> [JSONValue] {
    try read { () throws(JSONFailure) in try value.array(at: key) }
  }

  func flag(_ key: String) throws(CalculatorFailure) -> Bool {
    guard has(key) else { return false }
    return try read { () throws(JSONFailure) in try value.bool(at: key) }
  }

  func integer(_ key: String) throws(CalculatorFailure) -> Int64 {
    try read { () throws(JSONFailure) in try value.decimal(at: key, digits: 0) }
  }

  func units(_ key: String, digits: Int) throws(CalculatorFailure) -> Int64 {
    try read { () throws(JSONFailure) in try value.decimal(at: key, digits: digits) }
  }

  func wide(_ key: String) throws(CalculatorFailure) -> Int128 {
    try read { () throws(JSONFailure) in try value.decimal(at: key, digits: 18) }
  }

  func price(_ key: String) throws(CalculatorFailure) -> Price {
    Price(raw: try units(key, digits: Price.fractionDigits))
  }

  func ratio(_ key: String) throws(CalculatorFailure) -> Ratio {
    Ratio(raw: try units(key, digits: Ratio.fractionDigits))
  }

  func real(_ key: String) throws(CalculatorFailure) -> Real {
    Real(try wide(key), digits: 18)
  }

  func prices(_ key: String) throws(CalculatorFailure) -> [Price] {
    let units: [Int64] = try read { () throws(JSONFailure) in
      try value.decimals(at: key, digits: Price.fractionDigits)
    }
    return units.map { Price(raw: $0) }
  }

  func reals(_ key: String) throws(CalculatorFailure) -> [Real] {
    let units: [Int128] = try read { () throws(JSONFailure) in
      try value.decimals(at: key, digits: 18)
    }
    return units.map { Real($0, digits: 18) }
  }

  /// One of a few words.
  func word<Choice>(_ key: String, _ choices: [(String, Choice)]) throws(CalculatorFailure)
    -> Choice
  {
    let found = try text(key)
    for (name, choice) in choices where name.utf8.elementsEqual(found.utf8) { return choice }
    let names = choices.map(\.0).joined(separator: "|")
    throw CalculatorFailure("invalid_field", "\"\(key)\": expected \(names), found \"\(found)\"")
  }

  var type: OptionType {
    get throws(CalculatorFailure) { try word("type", [("call", .call), ("put", .put)]) }
  }

  var barrierType: BarrierType {
    get throws(CalculatorFailure) {
      try word("barrier_type", BarrierType.allCases.map { ($0.rawValue, $0) })
    }
  }

  /// Spot, rate and yield, or forward and discount.
  func market(volatility: Ratio? = nil) throws(CalculatorFailure) -> Market {
    let vol = if let volatility { volatility } else { try ratio("vol") }
    let time = try integer("time_ms")
    if has("forward") && has("spot") {
      throw CalculatorFailure("invalid_field", "expected spot or forward, found both")
    }
    if has("forward") {
      let (forward, discount) = (try price("forward"), try wide("discount"))
      return try priced { () throws(PricingFailure) in
        try Market(forward: forward, discount: discount, volatility: vol, time: time)
      }
    }
    let (spot, rate, yield) = (try price("spot"), try ratio("rate"), try ratio("yield"))
    return try priced { () throws(PricingFailure) in
      try Market(spot: spot, rate: rate, yield: yield, volatility: vol, time: time)
    }
  }
}

/// Runs a calculation, its failure turned into a line's.
func priced<T>(_ body: () throws(PricingFailure) -> T) throws(CalculatorFailure) -> T {
  do throws(PricingFailure) { return try body() } catch { throw CalculatorFailure(error) }
}

extension Real {
  /// At least `fraction` digits after the point and 15 significant ones, to nearest-even; never more
  /// than 30 after the point.
  func text(fraction: Int = 8) throws(CalculatorFailure) -> String {
    var digits = fraction
    if let probe = scaled(digits: 30), probe != 0 {
      // 10^(places-1) ≤ |value|·10^30 < 10^places.
      let places = String(probe.magnitude).count
      digits = max(fraction, min(30, 15 + 30 - places))
    }
    guard let value = scaled(digits: digits) else {
      throw CalculatorFailure("overflow", "a result does not fit 38 digits")
    }
    return DecimalText.format(value, digits: digits, minimumFraction: digits)
  }

  func json(fraction: Int = 8) throws(CalculatorFailure) -> JSONValue {
    .string(try text(fraction: fraction))
  }
}

extension Optional where Wrapped == Real {
  func json(fraction: Int = 8) throws(CalculatorFailure) -> JSONValue {
    if let self { return try self.json(fraction: fraction) }
    return .null
  }
}
