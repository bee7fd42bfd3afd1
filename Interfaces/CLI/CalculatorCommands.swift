import ArgumentParser
import Calculators
import Glibc

/// `novate price`: one JSON object a line in, one a line out, by the production engine.
struct PriceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "price",
    abstract: "Prices and Greeks: JSON Lines from stdin to stdout, in order.",
    discussion: """
      echo '{"id":"1","kind":"black76","type":"call","forward":"60000","discount":"1",\
      "strike":"62000","vol":"0.55","time_ms":"604800000"}' | novate price
      """)

  func run() throws { try CalculatorLoop.run { PriceCalculator.respond(line: $0) } }
}

/// `novate surface`: total variance and static arbitrage of raw SVI.
struct SurfaceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "surface",
    abstract: "Raw SVI total variance and arbitrage: JSON Lines from stdin to stdout, in order.",
    discussion: """
      echo '{"id":"1","a":"0.04","b":"0.1","rho":"-0.4","m":"0","sigma":"0.2","k":["-0.1","0"]}' \
      | novate surface
      """)

  func run() throws { try CalculatorLoop.run { SurfaceCalculator.respond(line: $0) } }
}

/// A bad line gives an error line, and the rest goes on; exit 1 if any failed.
enum CalculatorLoop {
  static func run(_ respond: (String) -> CalculatorResponse) throws {
    var hasFailed = false
    while let line = readLine() {
      if line.allSatisfy(\.isWhitespace) { continue }
      let response = respond(line)
      hasFailed = hasFailed || response.isFailure
      Screen.say(response.line)
    }
    if hasFailed { throw ExitCode(1) }
  }
}
