public import Instruments
import Primitives

/// Why JSON is no terms of the margin method.
public enum MarginTermsFailure: Error, Hashable, Sendable {
  case json(JSONFailure, at: String)
  /// The first rule the terms break.
  case fault(String)
}

extension MarginTermsFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .json(let failure, let at): at.isEmpty ? "\(failure)" : "\(at): \(failure)"
    case .fault(let text): "expected terms within their domains, found a fault in \(text)"
    }
  }
}

/// The terms as JSON, in the words of `novate margin`: every ratio a decimal string, every group and
/// every field that the method reads there, in one order.
extension MarginTerms {
  private static let volatilities = ["up", "none", "down"]
  private var groups: [String] {
    var groups: [String] = []
    for field in ownFields where !field.group.isEmpty && !groups.contains(field.group) {
      groups.append(field.group)
    }
    return groups
  }

  public var jsonValue: JSONValue {
    typealias Members = [(key: String, value: JSONValue)]
    func members(_ group: String) -> Members {
      ownFields.filter { $0.group == group }
        .map { (key: $0.name, value: .string(self[keyPath: $0.path].decimal)) }
    }
    var scenarios: [JSONValue] = []
    for place in 0..<Int(scenarioCount) {
      let scenario = self.scenarios[place]
      scenarios.append([
        "spot": .string(scenario.spot.decimal),
        "vol": .string(MarginTerms.volatilities[Int(scenario.volatilityCode) - 1]),
        "dampening": .string(Ratio(raw: Int64(scenario.cover)).decimal),
      ])
    }
    var slopes: [JSONValue] = []
    for place in 0..<3 where self.slopes[place] != .empty {
      slopes.append([
        "from": .string(self.slopes[place].from.decimal),
        "rate": .string(self.slopes[place].rate.decimal),
      ])
    }
    let name = MarginTerms.methodNames[methodCode] ?? "\(methodCode)"
    let own: Members =
      isSpan
      ? [(key: "lookahead_ms", value: .string("\(lookahead)"))]
      : [(key: "scenarios", value: .array(scenarios))]
    return .object(
      [(key: "method", value: .string(name))] + own
        + groups.map { (key: $0, value: .object(members($0))) } + members("")
        + [
          (key: "concentration", value: .array(slopes)),
          (key: "collateral", value: .array(collateralValues)),
        ] + (pegUnderlying.map { [(key: "peg", value: .string("\($0.raw)"))] } ?? []))
  }

  /// The method alone, as `novate margin` takes it: there a market says what collateral counts, and
  /// nothing runs over time.
  public var methodValue: JSONValue {
    guard case .object(let members) = jsonValue else { return .null }
    return .object(members.filter { !["collateral", "interest", "peg"].contains($0.key) })
  }

  private var collateralValues: [JSONValue] {
    var values: [JSONValue] = []
    for place in 0..<MarginTerms.collateralCount {
      let terms = collaterals[place]
      guard let underlying = terms.underlying else { continue }
      func share(_ raw: UInt32) -> JSONValue { .string(Ratio(raw: Int64(raw)).decimal) }
      func whole(_ value: Int64) -> JSONValue { .string(String(value)) }
      values.append([
        "asset": whole(Int64(place)), "underlying": whole(Int64(underlying.raw)),
        "haircut": share(terms.haircut), "initial_haircut_add": share(terms.initialHaircut),
        "account_max": whole(terms.accountMax.raw), "cap_start": whole(terms.capStart.raw),
        "cap_end": whole(terms.capEnd.raw), "listed_ms": whole(terms.listed.raw),
        "ageing_s": whole(Int64(terms.ageing)),
      ])
    }
    return values
  }

  /// - Throws: `.json` for a key that is missing, unknown or mistyped, `.fault` for terms that no
  ///   machine runs.
  public init(_ value: JSONValue) throws(MarginTermsFailure) {
    self = .empty
    try MarginTerms.reading(value, "") { (value) throws(JSONFailure) in
      let name = try value.string(at: "method")
      guard let method = MarginTerms.methodNames.first(where: { $0.value == name }) else {
        throw .mistyped("method", expected: "novate-32 or span-16", found: name)
      }
      methodCode = method.key
      let alone = ownFields.filter { $0.group.isEmpty }.map(\.name)
      let keys = [
        "method", "concentration", "collateral", "peg", isSpan ? "lookahead_ms" : "scenarios",
      ]
      _ = try value.object(allowing: Set(keys + groups + alone))
    }
    for group in [""] + groups { try read(group, of: value) }
    try MarginTerms.reading(value, isSpan ? "lookahead_ms" : "scenarios") {
      (value) throws(JSONFailure) in
      guard isSpan else { return try readScenarios(value) }
      lookahead = try MarginTerms.whole(value, "lookahead_ms", 0...Int64.max)
    }
    try MarginTerms.reading(value, "concentration") { (value) throws(JSONFailure) in
      try readSlopes(value)
    }
    try MarginTerms.reading(value, "collateral") { (value) throws(JSONFailure) in
      try readCollaterals(value)
    }
    try MarginTerms.reading(value, "") { (value) throws(JSONFailure) in
      guard try value.optionalMember(at: "peg") != nil else { return }
      peg = UInt64(try MarginTerms.whole(value, "peg", 0...65_534)) + 1
    }
    if let fault { throw .fault(fault.description) }
  }

  private static func reading(
    _ value: JSONValue, _ at: String, _ body: (JSONValue) throws(JSONFailure) -> Void
  ) throws(MarginTermsFailure) {
    do throws(JSONFailure) { try body(value) } catch { throw .json(error, at: at) }
  }

  private mutating func read(_ group: String, of value: JSONValue) throws(MarginTermsFailure) {
    let fields = ownFields.filter { $0.group == group }
    try MarginTerms.reading(value, group) { (value) throws(JSONFailure) in
      var holder = value
      if !group.isEmpty {
        holder = try value.member(at: group)
        _ = try holder.object(allowing: Set(fields.map(\.name)))
      }
      for field in fields {
        self[keyPath: field.path] = try MarginTerms.ratio(holder, field.name)
      }
    }
  }

  private static func ratio(_ value: JSONValue, _ key: String) throws(JSONFailure) -> Ratio {
    let text = try value.string(at: key)
    do throws(DecimalFailure) { return try Ratio(decimal: text) } catch {
      throw .invalid(key, error)
    }
  }

  private mutating func readScenarios(_ value: JSONValue) throws(JSONFailure) {
    let items = try value.array(at: "scenarios")
    guard (1...MarginTerms.scenarioCountMax).contains(items.count) else {
      throw .mistyped("scenarios", expected: "1 to 32 scenarios", found: "\(items.count)")
    }
    for (place, item) in items.enumerated() {
      _ = try item.object(allowing: ["spot", "vol", "dampening"])
      let word = try item.string(at: "vol")
      guard let code = MarginTerms.volatilities.firstIndex(of: word) else {
        throw .mistyped("vol", expected: "up, none or down", found: "another word")
      }
      let cover = try MarginTerms.ratio(item, "dampening")
      scenarios[place] = ScenarioTerms(
        spot: try MarginTerms.ratio(item, "spot"),
        cover: UInt32(clamping: cover.isNegative ? Int64.max : cover.raw),
        volatilityCode: UInt8(code + 1))
    }
    scenarioCount = UInt8(items.count)
  }

  private mutating func readSlopes(_ value: JSONValue) throws(JSONFailure) {
    let items = try value.array(at: "concentration")
    guard items.count <= 3 else {
      throw .mistyped("concentration", expected: "at most 3 slopes", found: "\(items.count)")
    }
    for (place, item) in items.enumerated() {
      _ = try item.object(allowing: ["from", "rate"])
      slopes[place] = SlopeTerms(
        from: try MarginTerms.ratio(item, "from"), rate: try MarginTerms.ratio(item, "rate"))
    }
  }

  /// Assets rise, so that terms have one text.
  private mutating func readCollaterals(_ value: JSONValue) throws(JSONFailure) {
    var last: Int64 = 0
    for item in try value.array(at: "collateral") {
      _ = try item.object(allowing: [
        "asset", "underlying", "haircut", "initial_haircut_add", "account_max", "cap_start",
        "cap_end", "listed_ms", "ageing_s",
      ])
      let asset = try MarginTerms.whole(item, "asset", 1...15)
      guard asset > last else {
        throw .mistyped("asset", expected: "a number above \(last)", found: "\(asset)")
      }
      last = asset
      func share(_ key: String) throws(JSONFailure) -> Ratio {
        let share = try MarginTerms.ratio(item, key)
        guard (0...Ratio.scale).contains(share.raw) else {
          throw .mistyped(key, expected: "0 to 1", found: share.decimal)
        }
        return share
      }
      func amount(_ key: String) throws(JSONFailure) -> Amount {
        Amount(raw: try MarginTerms.whole(item, key, 0...Int64.max))
      }
      collaterals[Int(asset)] = CollateralTerms(
        underlying: UnderlyingID(UInt16(try MarginTerms.whole(item, "underlying", 0...65_534))),
        haircut: try share("haircut"), initialHaircut: try share("initial_haircut_add"),
        accountMax: try amount("account_max"), capStart: try amount("cap_start"),
        capEnd: try amount("cap_end"),
        listed: Timestamp(raw: try MarginTerms.whole(item, "listed_ms", 0...Int64.max)),
        ageingSeconds: UInt32(
          try MarginTerms.whole(item, "ageing_s", 0...Int64(UInt32.max))))
    }
  }

  /// A whole number in the one way it is written.
  private static func whole(
    _ value: JSONValue, _ key: String, _ range: ClosedRange<Int64>
  ) throws(JSONFailure) -> Int64 {
    let text = try value.string(at: key)
    guard let number = Int64(text), String(number) == text, range.contains(number) else {
      throw .mistyped(key, expected: "a whole number of its range", found: text)
    }
    return number
  }
}
