import ArgumentParser
import Benchmarks
import Primitives
import Wire

/// `novate bench pricing`: the integer core against the same formulas in C doubles.
struct BenchPricing: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pricing",
    abstract:
      "Integer prices, Greeks, barriers, SVI and margin grids beside C doubles.",
    discussion: """
      Every ratio is the median of paired rounds of one run; a ratio of 2 is twice the time of C. With \
      --json the last line of stdout is one JSON object.
        novate bench pricing --json
      """)

  @Option(help: ArgumentHelp("Paired rounds of each figure.", valueName: "n"))
  var rounds = 400

  @Option(help: ArgumentHelp("What the options are drawn with.", valueName: "n"))
  var seed: UInt64 = 1

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  func validate() throws {
    guard (1...1_000_000).contains(rounds) else {
      throw ValidationError("--rounds: expected 1 to 1000000, found \(rounds)")
    }
  }

  func run() throws {
    let figures = PricingBenchmark.run(rounds: rounds, seed: seed)
    Screen.say(json ? json(figures).text() : text(figures))
  }

  private func text(_ figures: [PricingBenchmark.Figure]) -> String {
    func column(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.utf8.count)) + text
    }
    let head = "what is priced      ours ns      C ns   ratio  at most"
    let rows = figures.map { figure in
      let name = figure.name + String(repeating: " ", count: max(0, 16 - figure.name.utf8.count))
      return name + column(fixed(figure.nanoseconds, 1), 11)
        + column(fixed(figure.doubleNanoseconds, 1), 10) + column(fixed(figure.ratio, 3), 8)
        + column(fixed(figure.ratioMax, 1), 9)
    }
    return ([head] + rows).joined(separator: "\n")
  }

  /// `{"schema","version","rounds","seed","figures":[{"name","ns","double_ns","ratio","ratio_max"}],
  /// "grid_speed"}`: times are the least of all rounds, of one price, point or account; `grid_speed` is
  /// double's time over ours.
  private func json(_ figures: [PricingBenchmark.Figure]) -> JSONValue {
    let rows: [JSONValue] = figures.map { figure in
      .object([
        ("name", .string(figure.name)), ("ns", number(figure.nanoseconds, 3)),
        ("double_ns", number(figure.doubleNanoseconds, 3)), ("ratio", number(figure.ratio, 4)),
        ("ratio_max", number(figure.ratioMax, 1)),
      ])
    }
    let grid = figures.first { $0.name == "grid_account" }
    return .object([
      ("schema", "novate.bench.pricing/1"), ("version", .string(Version.text)),
      ("rounds", .number(String(rounds))), ("seed", .number(String(seed))),
      ("figures", .array(rows)), ("grid_speed", grid.map { number(1 / $0.ratio, 4) } ?? .null),
    ])
  }
}
