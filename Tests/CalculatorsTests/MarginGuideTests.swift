import Calculators
import Foundation
import Testing
import Wire

/// Docs/Margin.md shows what the calculator says: each command in it is run, its answer compared.
@Suite("The margin page") struct MarginGuideTests {
  struct Example: Sendable, CustomTestStringConvertible {
    let line: String
    let answer: String
    var testDescription: String { String(line.prefix(60)) }
  }

  /// Lines `echo '…' | novate margin` and the line under each.
  static let examples: [Example] = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let file = root.appendingPathComponent("Docs/Margin.md")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return lines.indices.compactMap { index in
      guard let match = lines[index].wholeMatch(of: /echo '(.*)' \| novate margin/),
        index + 1 < lines.count
      else { return nil }
      return Example(line: String(match.output.1), answer: lines[index + 1])
    }
  }()

  @Test(
    "every example prints what the page says, a line that ends in … begins so", arguments: examples)
  func example(_ example: Example) {
    let found = MarginCalculator.respond(line: example.line, method: "novate-32").line
    if example.answer.hasSuffix("…") {
      let start = example.answer.dropLast()
      #expect(found.hasPrefix(start) && found.utf8.count > start.utf8.count)
    } else {
      #expect(found == example.answer)
    }
  }

  @Test("the page has an example of every method and of an error")
  func coverage() throws {
    #expect(Self.examples.count >= 9)
    for word in MarginCalculator.methodNames + [
      "what_if", "overrides", "risk_arrays", "underlying",
    ] {
      #expect(Self.examples.contains { $0.line.contains(word) }, "\(word)")
    }
    #expect(Self.examples.contains { $0.answer.contains("\"error\"") })
  }
}

@Suite("The margin calculator") struct MarginCalculatorTests {
  private func answer(_ line: String, method: String = "novate-32") throws -> JSONValue {
    try JSONValue.parse(MarginCalculator.respond(line: line, method: method).line)
  }

  private static let market =
    #""market":{"spot":"60000","expiries":[{"time_ms":"604800000","forward_variable":"60100"}],"#
    + #""collaterals":[{"id":"BTC","price":"60000"}]}"#

  @Test("what is shown, given back, means the same", arguments: MarginCalculator.methodNames)
  func shown(method: String) throws {
    let shown = try #require(MarginCalculator.defaults(of: method))
    #expect(try JSONValue.parse(shown).string(at: "method") == method)
    let account =
      #""account":{"cash":"9000","perps":{"quantity":"0.5"},"collateral":[{"id":"BTC","quantity":"0.1"}],"#
      + #""options":[{"time_ms":"604800000","strike":"62000","type":"call","vol":"0.55","quantity":"-1"}]}}"#
    let whole = MarginCalculator.respond(
      line: #"{"id":"a","method":\#(shown),\#(Self.market),\#(account)"#, method: "cross")
    let named = MarginCalculator.respond(
      line: #"{"id":"a","method":"\#(method)",\#(Self.market),\#(account)"#, method: "cross")
    let implied = MarginCalculator.respond(
      line: #"{"id":"a",\#(Self.market),\#(account)"#, method: method)
    #expect(!whole.isFailure && whole.line == named.line && named.line == implied.line)
    #expect(MarginCalculator.defaults(of: "nothing") == nil)
  }

  @Test("scenarios come back in the order they are declared")
  func order() throws {
    let found = try answer(
      #"{"method":"derive-pmrm2",\#(Self.market),"account":{"perps":{"quantity":"1"}}}"#)
    let shown = try JSONValue.parse(
      try #require(MarginCalculator.defaults(of: "derive-pmrm2"))
    ).array(at: "scenarios")
    let scenarios = try found.array(at: "scenarios")
    #expect(scenarios.count == 33)
    for (one, other) in zip(scenarios, shown) {
      for key in ["spot", "vol", "dampening"] {
        #expect(try one.string(at: key) == other.string(at: key))
      }
    }
    #expect(try found.member(at: "worst").integer(at: "scenario", as: Int.self) == 22)
  }

  @Test("legs that might be are legs like others")
  func whatIf() throws {
    let option =
      #"{"time_ms":"604800000","strike":"62000","type":"call","vol":"0.55","quantity":"-1"}"#
    let held = try answer(
      #"{\#(Self.market),"account":{"cash":"5","options":[\#(option)],"perps":{"quantity":"1"},"#
        + #""collateral":[{"id":"BTC","quantity":"2"}]}}"#)
    let legs = #"[\#(option),{"quantity":"1"},{"id":"BTC","quantity":"2"}]"#
    for asked in [
      #"{\#(Self.market),"account":{"cash":"5","what_if":\#(legs)}}"#,
      #"{\#(Self.market),"account":{"cash":"5"},"what_if":\#(legs)}"#,
      #"{\#(Self.market),"account":{"what_if":{"cash":"5","options":[\#(option)],"#
        + #""perps":{"quantity":"1"},"collateral":[{"id":"BTC","quantity":"2"}]}}}"#,
    ] { #expect(try answer(asked) == held) }
    let paid = try answer(
      #"{\#(Self.market),"account":{"cash":"5","options":[],"what_if":[{"time_ms":"604800000","#
        + #""strike":"62000","type":"call","vol":"0.55","quantity":"2","price":"10"}]}}"#)
    let mark: Int128 = try paid.decimal(at: "option_mark_to_market", digits: 12)
    let equity: Int128 = try paid.decimal(at: "mark_to_market", digits: 12)
    #expect(equity == mark - 15_000_000_000_000)
  }

  @Test(
    "a bad line says what is wrong with it",
    arguments: [
      (#"{"id":"1"}"#, "missing_field"),
      (#"{"id":"1","method":"portfolio",MARKET,"account":{}}"#, "unknown_method"),
      (#"{"id":"1","method":7,MARKET,"account":{}}"#, "invalid_field"),
      (
        #"{"id":"1","method":{"preset":"cross","overrides":{"scenarios":[]}},MARKET,"account":{}}"#,
        "unknown_field"
      ),
      (
        #"{"id":"1",MARKET,"account":{"options":[{"time_ms":"5","strike":"1","type":"call","vol":"1","quantity":"1"}]}}"#,
        "unknown_expiry"
      ),
      (
        #"{"id":"1",MARKET,"account":{"collateral":[{"id":"ETH","quantity":"1"}]}}"#,
        "unknown_collateral"
      ),
      (
        #"{"id":"1",MARKET,"account":{"perps":{"underlying":"ETH","quantity":"1"}}}"#,
        "unknown_underlying"
      ),
      (
        #"{"id":"1",MARKET,"account":{"collateral":[{"id":"BTC","quantity":"-1"}]}}"#,
        "outside_domain"
      ),
      (#"{"id":"1",MARKET,"account":{"cash":5}}"#, "invalid_field"),
      (#"{"id":"1",MARKET,"account":{},"risk_arrays":[]}"#, "invalid_field"),
      (
        #"{"id":"1","method":"span-16","risk_arrays":[{"quantity":"1","losses":["1"]}]}"#,
        "outside_domain"
      ),
      (
        #"{"id":"1","method":{"preset":"novate-32","overrides":{"scenarios":[{"spot":"1","vol":"abs"}]}},MARKET,"account":{}}"#,
        "unsupported"
      ),
      (
        #"{"id":"1","method":"derive-pmrm2","market":{"spot":"92000000000"},"account":{"perps":{"quantity":"92000000000"}}}"#,
        "overflow"
      ),
      (#"{"id":"1","market":{"spot":"0"},"account":{}}"#, "outside_domain"),
      (#"{"id":"1",MARKET,"account":{},"marget":{}}"#, "unknown_field"),
    ])
  func errors(line: String, code: String) throws {
    let response = MarginCalculator.respond(
      line: line.replacingOccurrences(of: "MARKET", with: Self.market), method: "novate-32")
    #expect(response.isFailure)
    let value = try JSONValue.parse(response.line)
    #expect(try value.string(at: "id") == "1")
    let error = try value.member(at: "error")
    #expect(try error.string(at: "code") == code, "\(response.line)")
    #expect(try error.string(at: "message").isEmpty == false)
  }

  @Test("digits beyond a unit round, and figures have their eight digits")
  func digits() throws {
    let found = try answer(
      #"{"method":"cross",\#(Self.market),"account":{"cash":"0.1234567890123","#
        + #""perps":{"quantity":"0.000000005000000001"}}}"#)
    #expect(try found.string(at: "mark_to_market") == "0.123456789012")
    // 1e-8 of 60 000 at 6.5 %.
    #expect(try found.string(at: "maintenance_requirement") == "0.00003900")
  }
}
