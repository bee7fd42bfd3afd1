import Calculators
import Testing
import Wire

@Suite("Calculators")
struct CalculatorTests {
  private func price(_ line: String) -> CalculatorResponse { PriceCalculator.respond(line: line) }
  private func surface(_ line: String) -> CalculatorResponse {
    SurfaceCalculator.respond(line: line)
  }

  @Test("a European option answers with price and Greeks as decimal strings")
  func european() throws {
    let response = price(
      #"{"id":"a","kind":"european","type":"call","spot":"60","strike":"65","rate":"0.08","#
        + #""yield":"0","vol":"0.3","time_ms":"7884000000"}"#)
    #expect(!response.isFailure)
    let value = try JSONValue.parse(response.line)
    #expect(try value.string(at: "id") == "a")
    #expect(try value.string(at: "price") == "2.13336844491620")
    for key in ["delta", "gamma", "vega", "theta", "rho"] {
      #expect(try value.string(at: key).contains("."))
    }
  }

  @Test(
    "a bad line is an error of its own, with its id",
    arguments: [
      (#"{"id":"1","kind":"nothing"}"#, "unknown_kind"),
      (#"{"id":"1","kind":"function","name":"ln","x":"-1"}"#, "outside_domain"),
      (#"{"id":"1","kind":"function","name":"ln","x":2}"#, "invalid_field"),
      (#"{"id":"1","kind":"function","name":"ln"}"#, "missing_field"),
      (#"{"id":"1","kind":"function","name":"ln","x":"1","y":"1"}"#, "unknown_field"),
      (#"{"id":"1","id":"2"}"#, "invalid_json"), ("", "invalid_json"), ("[]", "invalid_json"),
      (#"{"id":"1","kind":"function","name":"exp","x":"3999"}"#, "overflow"),
    ])
  func errors(line: String, code: String) throws {
    let response = price(line)
    #expect(response.isFailure)
    let error = try JSONValue.parse(response.line).member(at: "error")
    #expect(try error.string(at: "code") == code)
    #expect(try error.string(at: "message").isEmpty == false)
  }

  @Test("parameters known to admit arbitrage are refused with reason and place")
  func surfaces() throws {
    let vogt = try JSONValue.parse(
      surface(
        #"{"id":"v","a":"-0.041","b":"0.1331","rho":"0.306","m":"0.3586","sigma":"0.4153","k":["0"]}"#
      ).line)
    #expect(try vogt.bool(at: "arbitrage_free") == false)
    #expect(try vogt.string(at: "reason") == "butterfly")
    #expect(try vogt.string(at: "at_k").hasPrefix("0.87"))
    let kink = try JSONValue.parse(
      surface(
        #"{"a":"2.28e-5","b":"0.012","rho":"-0.368","m":"-8.4e-5","sigma":"1.04e-4","k":["0"]}"#
      ).line)
    #expect(try kink.bool(at: "arbitrage_free") == false)
    #expect(try kink.array(at: "w").count == 1)
  }

  @Test("strikes add volatilities, and a result that does not exist is null")
  func strikes() throws {
    let value = try JSONValue.parse(
      surface(
        #"{"id":"s","a":"0.04","b":"0","rho":"0","m":"0","sigma":"0","forward":"100","#
          + #""time_ms":"31536000000","strikes":["50","200"]}"#
      ).line)
    #expect(
      try value.array(at: "vol").map { try $0.asString() } == [
        "0.200000000000000", "0.200000000000000",
      ])
    #expect(try value.bool(at: "arbitrage_free"))
    let power = try JSONValue.parse(
      price(
        #"{"id":"p","kind":"power_perpetual","power":"2","spot":"10","rate":"0","vol":"5","#
          + #""funding_days":"365"}"#
      ).line)
    #expect(power["mark_strip"] == .null)
  }
}
