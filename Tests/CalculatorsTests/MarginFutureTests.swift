import Calculators
import Testing
import Wire

@Suite("Dated futures in `novate margin`") struct MarginFutureTests {
  private static func answer(_ account: String, method: String = "novate-32") throws -> JSONValue {
    let line = """
      {"id":"1","method":"\(method)","market":{"spot":"60000","expiries":[\
      {"time_ms":"604800000","forward_variable":"60100"},\
      {"time_ms":"2592000000","forward_variable":"60400"}]},"account":\(account)}
      """
    return try JSONValue.parse(MarginCalculator.respond(line: line, method: "novate-32").line)
  }

  @Test("a month's future against the perpetual: hedged delta and the tilt of its forward")
  func calendar() throws {
    let found = try Self.answer(
      """
      {"cash":"10000","perps":{"quantity":"1","price":"59900"},\
      "futures":[{"time_ms":"2592000000","quantity":"-1","price":"60500"}]}
      """)
    // 1 % of 60 000, more than 16 % of 400; 60 400 · (0.002 + 0.02 · 30/365).
    #expect(try found.string(at: "initial_requirement") == "820.08767127")
    // 100 each way.
    #expect(try found.string(at: "mark_to_market") == "10200.00000000")
    let front = try Self.answer(
      #"{"cash":"10000","futures":[{"time_ms":"604800000","quantity":"1"}]}"#)
    #expect(try front.string(at: "initial_requirement") == "9616.00000000")
    #expect(try front.string(at: "basis_contingency") == "0.00000000")
    // 10 000 more or less than maintenance: (10 000 + q) = 0.8 · 0.16 · (60 100 + q).
    #expect(try front.member(at: "liquidation_price").string(at: "down").hasPrefix("5"))
  }

  @Test("legs of one expiry net, and what-if legs with a time alone are futures")
  func legs() throws {
    let one = try Self.answer(
      #"{"cash":"9","futures":[{"time_ms":"2592000000","quantity":"2","unrealised":"5"}]}"#)
    let parts = try Self.answer(
      """
      {"cash":"9","futures":[{"time_ms":"2592000000","quantity":"3","unrealised":"5"}],\
      "what_if":[{"time_ms":"2592000000","quantity":"-1","price":"60400"}]}
      """)
    #expect(one.text() == parts.text())
    let nothing = try Self.answer(
      """
      {"cash":"9","futures":[{"time_ms":"2592000000","quantity":"3"},\
      {"time_ms":"2592000000","quantity":"-3"}]}
      """)
    #expect(try nothing.string(at: "initial_requirement") == "0.00000000")
  }

  @Test("errors name what is wrong")
  func errors() throws {
    func code(_ account: String, _ method: String = "novate-32") throws -> String {
      try Self.answer(account, method: method).member(at: "error").string(at: "code")
    }
    let leg = #"{"futures":[{"time_ms":"2592000000","quantity":"1"}]}"#
    #expect(try code(leg, "derive-pmrm2") == "unsupported")
    #expect(try code(leg, "cross") == "unsupported")
    #expect(try code(#"{"futures":[{"time_ms":"1","quantity":"1"}]}"#) == "unknown_expiry")
    #expect(try code(#"{"futures":[{"time_ms":"2592000000"}]}"#) == "missing_field")
    #expect(
      try code(#"{"futures":[{"time_ms":"2592000000","quantity":"1","adv":"-1"}]}"#)
        == "outside_domain")
    #expect(
      try code(
        """
        {"futures":[{"time_ms":"2592000000","quantity":"90000000000"},\
        {"time_ms":"2592000000","quantity":"90000000000"}]}
        """) == "overflow")
  }
}
