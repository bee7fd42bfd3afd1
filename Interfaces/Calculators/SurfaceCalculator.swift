import Pricing
import Primitives
public import Wire

/// `novate surface`: raw SVI total variance and its static arbitrage.
public enum SurfaceCalculator: Calculator {
  static let known: Set<String> = [
    "id", "a", "b", "rho", "m", "sigma", "k", "forward", "time_ms", "strikes", "clamp",
  ]

  /// The answer to one line of `novate surface`.
  public static func respond(line: String) -> String {
    let response: CalculatorResponse = respond(line: line)
    return response.line
  }

  public static func results(_ line: JSONValue) throws(CalculatorError) -> [(
    key: String, value: JSONValue
  )] {
    do throws(CalculatorFailure) {
      return try surface(try Fields(line, known: known))
    } catch {
      throw CalculatorError(code: error.code, message: error.message)
    }
  }

  private static func surface(_ f: Fields) throws(CalculatorFailure) -> [(
    key: String, value: JSONValue
  )] {
    let slice = SurfaceSlice(
      a: try f.units("a", digits: 12), b: try f.units("b", digits: 12),
      rho: try f.units("rho", digits: 12), m: try f.units("m", digits: 12),
      sigma: try f.units("sigma", digits: 12))
    let isClamped =
      f.has("clamp") ? try f.word("clamp", [("derive", true), ("none", false)]) : false
    var places: [Real]
    var time: Int64?
    if f.has("k") {
      places = try f.reals("k")
    } else {
      places = try strikes(f)
      time = try f.integer("time_ms")
      guard let time, time >= 0, time <= 10 * Timestamp.millisecondsPerYear else {
        throw CalculatorFailure(PricingFailure.outsideDomain(.time))
      }
    }
    var variances: [JSONValue] = []
    var volatilities: [JSONValue] = []
    for k in places {
      let w = isClamped ? slice.clampedTotalVariance(k) : slice.wideTotalVariance(k)
      variances.append(try w.json(fraction: 15))
      if let time {
        volatilities.append(try SurfaceSlice.volatility(of: w, time: time).json())
      }
    }
    var results: [(key: String, value: JSONValue)] = [(key: "w", value: .array(variances))]
    if time != nil { results.append((key: "vol", value: .array(volatilities))) }
    let violation = slice.violation()
    results.append((key: "arbitrage_free", value: .bool(violation == nil)))
    if let violation {
      results.append((key: "reason", value: .string(violation.reason.rawValue)))
      results.append((key: "at_k", value: try violation.logMoneyness.json()))
    }
    return results
  }

  /// ln(K/F) of each strike.
  private static func strikes(_ f: Fields) throws(CalculatorFailure) -> [Real] {
    let forward = try f.price("forward")
    guard forward.raw > 0 else { throw CalculatorFailure(PricingFailure.outsideDomain(.forward)) }
    var places: [Real] = []
    for strike in try f.prices("strikes") {
      guard strike.raw > 0 else { throw CalculatorFailure(PricingFailure.outsideDomain(.strike)) }
      places.append(SurfaceSlice.wideLogMoneyness(strike: strike, forward: forward))
    }
    return places
  }
}
