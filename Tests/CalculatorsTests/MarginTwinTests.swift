import Calculators
import Foundation
import Testing
import Wire

/// SplitMix64: ours, so that a seed means the same for ever.
struct Lot {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func below(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ (z >> 31)).multipliedFullWidth(by: UInt64(bound)).high)
  }

  mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.upperBound - range.lowerBound + 1)
  }

  /// A decimal with so many digits after the point.
  mutating func decimal(_ range: ClosedRange<Int>, digits: Int) -> String {
    DecimalText.format(Int64(within(range)), digits: digits)
  }

  mutating func chance(_ oneIn: Int) -> Bool { below(oneIn) == 0 }
}

/// Random lines of `novate margin`, with everything the contract has.
enum MarginLines {
  private static func text(_ text: String) -> JSONValue { .string(text) }

  static func line(_ id: Int, method: String, _ lot: inout Lot) throws -> JSONValue {
    let many = lot.chance(4)
    var markets: [JSONValue] = []
    var (options, collateral, perps): ([JSONValue], [JSONValue], [JSONValue]) = ([], [], [])
    var futures: [JSONValue] = []
    let takesFutures = method == "novate-32" || method == "span-16"
    for place in 0..<(many ? lot.within(1...3) : 1) {
      let name: [(key: String, value: JSONValue)] = many ? [("underlying", text("U\(place)"))] : []
      let spot = lot.within(200...90_000)
      var expiries: [JSONValue] = []
      var times: [Int] = []
      for _ in 0..<lot.within(0...3) {
        let time = lot.chance(12) ? 0 : lot.within(60_000...50_000_000_000)
        guard !times.contains(time) else { continue }
        times.append(time)
        let forward = spot * 1_000 + lot.within(-spot * 20...spot * 20)
        let fixed = time < 1_800_000 ? forward / 3 : 0
        var members: [(key: String, value: JSONValue)] = [
          ("time_ms", text("\(time)")),
          ("forward_fixed", text(DecimalText.format(Int64(fixed), digits: 3))),
          ("forward_variable", text(DecimalText.format(Int64(forward - fixed), digits: 3))),
          ("rate", text(lot.decimal(-50...200, digits: 3))),
          ("forward_confidence", text(lot.decimal(30...100, digits: 2))),
          ("rate_confidence", text(lot.decimal(30...100, digits: 2))),
          ("vol_confidence", text(lot.decimal(30...100, digits: 2))),
        ]
        if lot.chance(2) { members.append(("option_adv", text(lot.decimal(1...900, digits: 1)))) }
        if lot.chance(3) { members.append(("discount", text(lot.decimal(850...1_000, digits: 3)))) }
        expiries.append(.object(members))
        // Two of one expiry net.
        for _ in 0..<(takesFutures ? lot.within(0...2) : 0) {
          var future: [(key: String, value: JSONValue)] =
            name + [
              ("time_ms", text("\(time)")),
              ("quantity", text(lot.decimal(-5_000...5_000, digits: 2))),
              ("unrealised", text(lot.decimal(-90_000...90_000, digits: 2))),
            ]
          if lot.chance(2) {
            future += [
              ("adv", text(lot.decimal(1...900, digits: 1))),
              ("open_interest", text(lot.decimal(1...6_000, digits: 1))),
              ("owner_others", text(lot.decimal(0...90, digits: 2))),
            ]
          }
          futures.append(.object(future))
        }
        for _ in 0..<lot.within(0...5) {
          // Repeated strikes make nets and naked shorts.
          let strike = spot * lot.within(6...16) / 10
          options.append(
            .object(
              name + [
                ("time_ms", text("\(time)")), ("strike", text("\(strike)")),
                ("type", text(lot.chance(2) ? "call" : "put")),
                ("vol", text(lot.decimal(15...180, digits: 2))),
                ("quantity", text(lot.decimal(-5_000...5_000, digits: 2))),
              ]))
        }
      }
      var listed: [JSONValue] = []
      for coin in 0..<lot.within(0...2) {
        listed.append(
          .object([
            ("id", text("C\(place)-\(coin)")),
            ("price", text(lot.decimal(spot * 95...spot * 105, digits: 2))),
            ("confidence", text(lot.decimal(30...100, digits: 2))),
            ("mm_haircut", text(lot.decimal(0...40, digits: 2))),
            ("im_haircut_add", text(lot.decimal(0...20, digits: 2))),
            ("risk_cancelling", .bool(lot.chance(2))),
          ]))
        collateral.append(
          .object([
            ("id", text("C\(place)-\(coin)")),
            ("quantity", text(lot.decimal(0...3_000, digits: 2))),
          ]))
      }
      var market: [(key: String, value: JSONValue)] =
        name + [
          ("spot", text("\(spot)")),
          ("stable", text(lot.chance(3) ? lot.decimal(900...1_010, digits: 3) : "1")),
          ("perp_price", text(lot.decimal(spot * 98...spot * 102, digits: 2))),
          (
            "confidence",
            .object([
              ("spot", text(lot.decimal(30...100, digits: 2))),
              ("perp", text(lot.decimal(30...100, digits: 2))),
            ])
          ),
          ("expiries", .array(expiries)), ("collaterals", .array(listed)),
        ]
      if lot.chance(2) { market.append(("perp_adv", text(lot.decimal(1...900, digits: 1)))) }
      if lot.chance(2) {
        market.append(("perp_open_interest", text(lot.decimal(1...6_000, digits: 1))))
      }
      markets.append(.object(market))
      if !lot.chance(3) {
        perps.append(
          .object(
            name + [
              ("quantity", text(lot.decimal(-900...900, digits: 2))),
              ("unrealised", text(lot.decimal(-90_000...90_000, digits: 2))),
              ("owner_others", text(lot.decimal(0...90, digits: 2))),
            ]))
      }
    }
    return .object([
      ("id", text("\(id)")), ("method", try parameters(method, &lot)),
      ("market", many ? .array(markets) : markets[0]),
      (
        "account",
        .object([
          ("cash", text(lot.decimal(-500_000...5_000_000, digits: 2))), ("perps", .array(perps)),
          ("collateral", .array(collateral)), ("options", .array(options)),
          ("futures", .array(futures)),
        ])
      ),
    ])
  }

  /// The declared defaults, some of them changed.
  private static func parameters(_ method: String, _ lot: inout Lot) throws -> JSONValue {
    let shown = try JSONValue.parse(try #require(MarginCalculator.defaults(of: method)))
    var members = try shown.asObject()
    for place in members.indices {
      switch members[place].key {
      case "lambda" where lot.chance(2):
        members[place].value = text(lot.decimal(0...100, digits: 2))
      case "tilt" where lot.chance(2):
        members[place].value = .object([("skew", text("0.12")), ("term", text("0.07"))])
      case "skew" where lot.chance(2):
        members[place].value = .object([
          ("linear_base", text(lot.decimal(-50...50, digits: 2))),
          ("linear_cap", text(lot.decimal(0...400, digits: 2))),
          ("abs_base", text("-0.05")), ("abs_cap", text(lot.decimal(0...60, digits: 2))),
          ("min_k_star", text("0.01")), ("width_scale", text("3")),
          ("vol_static", text("2.5")), ("vol_scale", text("-0.9")),
        ])
      case "discount" where lot.chance(2):
        members[place].value = .object([
          ("long_static", text("0.95")), ("short_static", text("1.04")),
          ("long_rate_mult", text("1")), ("long_rate_add", text("0.08")),
          ("short_rate_mult", text("0.5")), ("short_rate_add", text("0.08")),
        ])
      case "price_scan_range" where lot.chance(2):
        members[place].value = text(lot.decimal(1...9_000, digits: 0))
      default: break
      }
    }
    return .object(members)
  }
}

/// `Tests/Independent/margin.py` computes the same margins from the page's formulas, in floating point.
@Suite("A second computation of margin") struct MarginTwinTests {
  private static func twin(_ lines: [String]) throws -> [JSONValue]? {
    let script = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Independent/margin.py")
    let input = FileManager.default.temporaryDirectory
      .appending(path: "margin-\(UUID().uuidString).jsonl")
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: input)
    defer { try? FileManager.default.removeItem(at: input) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-B", script.path]
    process.standardInput = try FileHandle(forReadingFrom: input)
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    // What `env` says where there is no such program.
    if process.terminationStatus == 127 {
      print("skipped: there is no python3 here")
      return nil
    }
    #expect(process.terminationStatus == 0)
    return try text.split(separator: "\n").map { try JSONValue.parse(String($0)) }
  }

  private static func figure(_ value: JSONValue?) throws -> Double {
    switch value {
    case .string(let text), .number(let text): return try #require(Double(text))
    case nil, .null, .bool, .array, .object:
      Issue.record("expected a figure, found \(value?.kind ?? "nothing")")
      return .nan
    }
  }

  struct Run: Sendable, CustomTestStringConvertible {
    let method: String
    let seed: UInt64
    var testDescription: String { "\(method), seed \(seed)" }
  }

  static let runs: [Run] = MarginCalculator.methodNames.flatMap { method in
    [11, 12, 13].map { Run(method: method, seed: $0) }
  }

  @Test(
    "random accounts need the same by both, within 1e-7 of the figure or 4e-6 a leg",
    arguments: runs)
  func agreement(run: Run) throws {
    var lot = Lot(seed: run.seed)
    let lines = try (0..<150).map { try MarginLines.line($0, method: run.method, &lot) }
    guard let expected = try Self.twin(lines.map { $0.text() }) else { return }
    try #require(expected.count == lines.count)
    var nonzero = 0
    for (line, other) in zip(lines, expected) {
      let response = MarginCalculator.respond(line: line.text(), method: "novate-32")
      let found = try JSONValue.parse(response.line)
      guard !response.isFailure else {
        Issue.record("\(run.method), seed \(run.seed): \(response.line)")
        continue
      }
      let account = try line.member(at: "account")
      let legs = try ["options", "collateral", "perps", "futures"].reduce(0) {
        $0 + (try account.array(at: $1)).count
      }
      let notional = try account.array(at: "options").reduce(0.0) {
        let (size, strike) = (try Self.figure($1["quantity"]), try Self.figure($1["strike"]))
        return $0 + abs(size) * strike
      }
      func compare(_ name: String, _ a: Double, _ b: Double) {
        // Shocked volatilities of the production units are whole 1e-9: 1e-9 of the strikes' notional.
        let units = run.method == "novate-32" ? 1e-9 * notional : 0
        let allowance = max(1e-7 * max(abs(b), 1), 4e-6 * Double(max(legs, 1)), units)
        guard abs(a - b) > allowance else { return }
        Issue.record(
          "\(run.method), seed \(run.seed), line \(line["id"] ?? .null): \(name) \(a), \(b)")
      }
      for name in [
        "initial_margin", "maintenance_margin", "mark_to_market", "basis_contingency",
        "confidence_contingency",
      ] {
        let value = try Self.figure(found[name])
        compare(name, value, try Self.figure(other[name]))
        if value != 0 { nonzero += 1 }
      }
      let scenarios = try found.array(at: "scenarios")
      let others = try other.array(at: "pnl")
      try #require(scenarios.count == others.count)
      for (place, scenario) in scenarios.enumerated() {
        compare(
          "scenario \(place)", try Self.figure(scenario["pnl"]), try Self.figure(others[place]))
      }
    }
    #expect(nonzero > 300, "\(run.method), seed \(run.seed): \(nonzero) figures say something")
  }
}
