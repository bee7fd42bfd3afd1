public import Wire

/// What one line gave.
public struct CalculatorResponse: Sendable {
  /// One JSON object, without a line end.
  public let line: String
  /// The line held an error; the run goes on and ends with exit code 1.
  public let isFailure: Bool
}

/// A function from one JSON line to one JSON line: the same on every machine, holding nothing.
public protocol Calculator {
  /// Results in order, besides the id.
  static func results(_ line: JSONValue) throws(CalculatorError) -> [(
    key: String, value: JSONValue
  )]
}

/// An error as a line reports it.
public struct CalculatorError: Error, Sendable {
  public let code: String
  public let message: String
}

extension Calculator {
  /// The answer to one line. Errors become `{"id":…,"error":{"code":…,"message":…}}`; nothing traps.
  public static func respond(line: String) -> CalculatorResponse {
    respond(line: line) { (value) throws(CalculatorError) in try results(value) }
  }

  static func respond(
    line: String,
    _ results: (JSONValue) throws(CalculatorError) -> [(key: String, value: JSONValue)]
  ) -> CalculatorResponse {
    let parsed: JSONValue
    do throws(JSONFailure) {
      parsed = try JSONValue.parse(line)
    } catch {
      return failure(.null, CalculatorFailure(error))
    }
    let id = parsed["id"] ?? .null
    guard case .object = parsed else {
      return failure(
        .null, CalculatorFailure("invalid_json", "expected an object, found \(parsed.kind)"))
    }
    do throws(CalculatorError) {
      return CalculatorResponse(
        line: JSONValue.object([(key: "id", value: id)] + (try results(parsed))).text(),
        isFailure: false)
    } catch {
      return failure(id, CalculatorFailure(error.code, error.message))
    }
  }

  private static func failure(_ id: JSONValue, _ failure: CalculatorFailure) -> CalculatorResponse {
    let error: JSONValue = .object([
      (key: "code", value: .string(failure.code)),
      (key: "message", value: .string(failure.message)),
    ])
    return CalculatorResponse(
      line: JSONValue.object([(key: "id", value: id), (key: "error", value: error)]).text(),
      isFailure: true)
  }
}
