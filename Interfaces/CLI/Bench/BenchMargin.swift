import ArgumentParser
import Benchmarks
import Primitives
import Wire

/// `novate bench margin`: every account after an oracle tick, against the same grid in C doubles.
struct BenchMargin: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "margin",
    abstract: "All accounts rechecked after an oracle tick, beside C doubles.",
    discussion: """
      A tick prices 400 contracts anew in 32 scenarios and finds the worst scenario of every account, \
      exactly; C does the same in doubles. The speed is C's time over ours, the median of paired rounds; \
      at least 0.5 is asked. With --json the last line of stdout is one JSON object.
        novate bench margin --json
      """)

  @Option(help: ArgumentHelp("Accounts.", valueName: "n"))
  var accounts = 10_000

  @Option(help: ArgumentHelp("Positions an account holds.", valueName: "n"))
  var positions = 20

  @Option(help: ArgumentHelp("Paired rounds.", valueName: "n"))
  var rounds = 60

  @Option(help: ArgumentHelp("What the positions are drawn with.", valueName: "n"))
  var seed: UInt64 = 1

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  func validate() throws {
    for (name, value, range) in [
      ("accounts", accounts, 1...1_000_000), ("positions", positions, 1...128),
      ("rounds", rounds, 1...100_000),
    ] where !range.contains(value) {
      throw ValidationError(
        "--\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
    }
  }

  func run() throws {
    let figure = MarginBenchmark.run(
      accounts: accounts, positions: positions, rounds: rounds, seed: seed)
    Screen.say(json ? object(figure).text() : text(figure))
  }

  private func text(_ f: MarginBenchmark.Figure) -> String {
    """
    \(f.accounts) accounts of \(f.positions) positions in \(f.contracts) contracts, 32 scenarios
    a tick           \(fixed(f.nanoseconds / 1e6, 3)) ms, in C doubles \(fixed(f.doubleNanoseconds / 1e6, 3)) ms
      of which prices  \(fixed(f.pricingNanoseconds / 1e6, 3)) ms
    an account       \(fixed(f.nanoseconds / Double(f.accounts), 1)) ns
    speed            \(fixed(f.speed, 3)) of C, at least 0.5
    """
  }

  /// `{"schema","version","accounts","positions","scenarios","contracts","rounds","seed","tick_ns",
  /// "double_tick_ns","pricing_ns","account_ns","speed","speed_min","difference"}`: medians.
  private func object(_ f: MarginBenchmark.Figure) -> JSONValue {
    .object([
      ("schema", "novate.bench.margin/1"), ("version", .string(Version.text)),
      ("accounts", .number(String(f.accounts))), ("positions", .number(String(f.positions))),
      ("scenarios", .number("32")), ("contracts", .number(String(f.contracts))),
      ("rounds", .number(String(rounds))), ("seed", .number(String(seed))),
      ("tick_ns", number(f.nanoseconds, 0)),
      ("double_tick_ns", number(f.doubleNanoseconds, 0)),
      ("pricing_ns", number(f.pricingNanoseconds, 0)),
      ("account_ns", number(f.nanoseconds / Double(f.accounts), 1)),
      ("speed", number(f.speed, 4)), ("speed_min", number(0.5, 1)),
      ("difference", number(f.difference, 12)),
    ])
  }
}
