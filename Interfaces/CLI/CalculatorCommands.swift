import ArgumentParser
import Calculators
import Client
import Glibc

/// `novate price`: one JSON object a line in, one a line out, by the production engine.
struct PriceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "price",
    abstract: "Prices and Greeks: JSON Lines from stdin to stdout, in order.",
    // A usage is not broken into lines, so that what it shows can be pasted.
    usage: #"""
      novate price < LINES
      echo '{"id":"1","kind":"black76","type":"call","forward":"60000","discount":"1","strike":"62000","vol":"0.55","time_ms":"604800000"}' | novate price
      """#,
    discussion: """
      Kinds: european, black76, digital, asset_digital, gap, barrier, binary_barrier, touch, \
      asset_touch, power_perpetual, everlasting, normalisation, realised_variance, variance_strip, \
      implied_vol, function. Every number is a decimal string; a year has 31536000000 ms. A bad line \
      gives an error line and the rest goes on; exit code 1 if any failed. The guide is \
      Docs/Guides/Pricing.md.
      """)

  func run() throws { try CalculatorLoop.run { PriceCalculator.respond(line: $0) } }
}

/// `novate surface`: total variance and static arbitrage of raw SVI, or SVI through a chain's quotes.
struct SurfaceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "surface",
    abstract: "Raw SVI total variance and arbitrage: JSON Lines from stdin to stdout, in order.",
    usage: #"""
      novate surface < LINES
      novate surface --fit FILE [--snapshot N] [--picture FILE]
      echo '{"id":"1","a":"0.04","b":"0.1","rho":"-0.4","m":"0","sigma":"0.2","k":["-0.1","0"]}' | novate surface
      """#,
    discussion: """
      With --fit nothing is read from stdin: SVI is laid through the quotes of an option chain, a line an \
      expiry, in floating point; what admits arbitrage is refused by the exact tests, with reason and \
      place. Exit code 1 if any line failed.
      """)

  @Option(
    help: ArgumentHelp(
      "Fit the quotes of an option chain: CSV, plain or gzip, in the columns 'demo --chain' reads.",
      valueName: "file"))
  var fit: String?

  @Option(help: ArgumentHelp("Fit this snapshot alone, counted from 0.", valueName: "n"))
  var snapshot: Int?

  @Option(help: ArgumentHelp("Draw the last fitted snapshot as an SVG.", valueName: "file"))
  var picture: String?

  func validate() throws {
    if fit == nil, snapshot != nil || picture != nil {
      throw ValidationError("expected --fit beside --snapshot and --picture")
    }
  }

  func run() throws {
    guard let fit else {
      return try CalculatorLoop.run { SurfaceCalculator.respond(line: $0) }
    }
    let snapshots = try ChainFile(path: fit).snapshots
    if let snapshot, !snapshots.indices.contains(snapshot) {
      throw ValidationError("--snapshot: expected 0 to \(snapshots.count - 1), found \(snapshot)")
    }
    var surface = SurfaceFit()
    for (index, chain) in snapshots.enumerated() where index == snapshot ?? index {
      for line in surface.fit(chain) { Screen.say(line) }
    }
    if let picture { try Files.replace(picture, Array(surface.svg.utf8)) }
    if surface.hasRefused { throw ExitCode(Exit.failed) }
  }
}

/// `novate margin`: one account a line in, its margin by a method out, by the production engine.
struct MarginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "margin",
    abstract: "What an account needs, by any method: JSON Lines from stdin to stdout, in order.",
    usage: #"""
      novate margin [--method NAME] < LINES
      novate margin --method NAME --show
      echo '{"id":"1","method":"novate-32","market":{"spot":"60000","expiries":[{"time_ms":"604800000","forward_variable":"60100"}]},"account":{"cash":"5000","options":[{"time_ms":"604800000","strike":"65000","type":"call","vol":"0.55","quantity":"-1"}]}}' | novate margin
      """#,
    discussion: """
      Methods: novate-32 (default), derive-pmrm2, span-16, cross; a line may carry overrides or a whole \
      parameter object, and what_if legs that are added to the account. Net margins are fine while \
      they are not below zero. Every number is a decimal string. A bad line gives an error line and the \
      rest goes on; exit code 1 if any failed. The methods are told in Docs/Margin.md.
      """)

  @Option(help: ArgumentHelp("The method of lines that name none.", valueName: "name"))
  var method = "novate-32"

  @Flag(help: "Print the method's declared parameters and read nothing.")
  var show = false

  func validate() throws {
    guard MarginCalculator.methodNames.contains(method) else {
      let known = MarginCalculator.methodNames.joined(separator: ", ")
      throw ValidationError("--method: expected \(known), found \(method)")
    }
  }

  func run() throws {
    if show, let defaults = MarginCalculator.defaults(of: method) { return Screen.say(defaults) }
    try CalculatorLoop.run { MarginCalculator.respond(line: $0, method: method) }
  }
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
