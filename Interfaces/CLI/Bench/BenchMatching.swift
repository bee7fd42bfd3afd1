import ArgumentParser
import Benchmarks
import Client
import Primitives
import Wire
import Workloads

/// `novate bench matching`: workload NM-1 through the production book, beside a textbook's book and a
/// ladder of prices in the same process.
struct BenchMatching: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "matching",
    abstract: "Workload NM-1 through the production book, beside two calibrators.",
    discussion: """
      The book is the one the execution machine runs: every fill is a 64-byte event in its buffer, \
      every match is checked for self-trades, both indexes are kept, and old bytes are kept for the \
      batch's delta. TEXTBOOK is std::map, std::list and std::unordered_map; LADDER is an array of \
      prices in C that knows its window. The row `machine` is the whole machine: door, admission, \
      matching, positions and margin sums. Ends with 1 if a digest or a fold is not the published one. \
      With --json the last line of stdout is one JSON object. With --fuzz nothing is measured: the \
      book is compared with sorted arrays, operation by operation.
        novate bench matching --json
        novate bench matching --fuzz 10000000 --seed 1
      """)

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Operations: 1000, 10000, 100000, 1000000 or 10000000.", valueName: "n"))
  var operations: [Int] = [1_000_000, 10_000_000]

  @Option(help: ArgumentHelp("Runs of each engine; figures are medians.", valueName: "n"))
  var rounds = 3

  @Option(
    help: ArgumentHelp(
      "Operations the whole machine is measured on; 0 leaves it out.", valueName: "n"))
  var machine = 100_000

  @Option(
    help: ArgumentHelp("Random operations to compare book and twin on.", valueName: "n"))
  var fuzz: Int?

  @Option(help: ArgumentHelp("What the random operations are drawn with.", valueName: "n"))
  var seed: UInt64 = 1

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  func validate() throws {
    for count in operations + (machine == 0 ? [] : [machine])
    where !NM1.expected.contains(where: { $0.count == count }) {
      let known = NM1.expected.map { String($0.count) }.joined(separator: ", ")
      throw ValidationError("expected one of \(known) operations, found \(count)")
    }
    guard (1...101).contains(rounds) else {
      throw ValidationError("--rounds: expected 1 to 101, found \(rounds)")
    }
    if let fuzz, !(1...1_000_000_000).contains(fuzz) {
      throw ValidationError("--fuzz: expected 1 to 1000000000, found \(fuzz)")
    }
  }

  func run() throws {
    if let fuzz { return try compare(fuzz) }
    var reports: [MatchingReport] = []
    for count in operations {
      Screen.note("NM-1 of \(count): making the stream")
      let stream = NM1(count: count)
      let report = MatchingReport(
        stream,
        MatchingBenchmark.run(stream, rounds: rounds) { Screen.note("NM-1 of \(count): \($0)") })
      reports.append(report)
      if !json { Screen.say(report.text) }
    }
    var whole: MatchingHouse.Figures?
    if machine > 0 {
      Screen.note("NM-1 of \(machine): the whole machine")
      let figures = try MatchingHouse.measured(NM1(count: machine), rounds: rounds)
      whole = figures
      if !json { Screen.say(figures.text) }
    }
    let growth = MatchingReport.growth(reports)
    if json {
      Screen.say(
        JSONValue.object([
          ("schema", .string("novate.bench.matching/1")), ("version", .string(Version.text)),
          ("rounds", .number(String(rounds))), ("runs", .array(reports.map(\.json))),
          ("growth", growth.map { .number(fixed($0, 3)) } ?? .null),
          ("machine", whole?.json ?? .null),
        ]).text())
    } else if let growth {
      Screen.say(
        "growth      \(fixed(growth, 3)): an operation of the longest stream over one of the shortest"
      )
    }
    guard reports.allSatisfy(\.isExact), whole?.isExact ?? true else {
      Screen.error("a digest or a fold is not the published one")
      throw ExitCode(1)
    }
  }

  private func compare(_ count: Int) throws {
    var fuzz = BookFuzz(seed: seed)
    let report = fuzz.run(count)
    let result: JSONValue = .object([
      ("schema", .string("novate.bench.matching.fuzz/1")), ("version", .string(Version.text)),
      ("seed", .number(String(seed))), ("operations", .number(String(report.operations))),
      ("trades", .number(String(report.trades))),
      ("self_trades", .number(String(report.selfTrades))),
      ("cancels", .number(String(report.cancels))),
      ("levels_max", .number(String(report.levelMax))),
      ("resting_max", .number(String(report.restingMax))),
      ("rebuilds", .number(String(report.rebuilds))),
      ("difference", report.difference.map { .string($0) } ?? .null),
    ])
    if json {
      Screen.say(result.text())
    } else {
      Screen.say(
        """
        seed \(seed): \(report.operations) operations, \(report.trades) trades, \(report.selfTrades) \
        self-trades, \(report.cancels) cancels, up to \(report.restingMax) orders and \
        \(report.levelMax) levels of a side, \(report.rebuilds) rebuilds: \
        \(report.difference ?? "book and twin agree")
        """)
    }
    if report.difference != nil { throw ExitCode(1) }
  }
}
