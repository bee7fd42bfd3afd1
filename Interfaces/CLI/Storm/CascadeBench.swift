import ArgumentParser
import Client
import Primitives
import Wire

/// `novate bench cascade`: crashes played through the real stack with leveraged accounts, price
/// impact and bidders with capital.
struct BenchCascade: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cascade",
    abstract: "Crashes with leverage, impact and bidders: auctions beside market orders.",
    discussion: """
      Signed bundles of seeded agents go through the real machines, in this process, once with \
      auctions and once with directed closes against the book; the multiplier is the forced volume \
      over that of market orders without impact. With --processes the first seed is played through \
      three processes as well, which must end with the same roots, and the exported file is \
      verified. --steps plays single steps instead, in per cent. Docs/Stress.md has the parameters. With \
      --json the last line of stdout is one JSON object.
        novate bench cascade --file crash.csv.gz --seeds 30 --json
        novate bench cascade --shock 2020-03-12 --processes
      """)

  @Option(
    help: ArgumentHelp(
      "An option chain or bars with btc_close (CSV, plain or gzip).", valueName: "file"))
  var file: String?

  @Option(
    help: ArgumentHelp(
      "A row of the shock library: \(StormPath.shocks.map(\.name).joined(separator: ", ")).",
      valueName: "day"))
  var shock = "2025-10-10"

  @Flag(help: "Single steps of 2 to 24 per cent either way instead of a path.")
  var steps = false

  @Option(help: ArgumentHelp("How many seeds.", valueName: "n"))
  var seeds = 30

  @Option(help: ArgumentHelp("The first seed.", valueName: "n"))
  var seed: UInt64 = 1

  @Flag(help: "Without auctions, let bidders rest their capital in the book.")
  var bidsInBook = false

  @Option(help: ArgumentHelp("A day's volume, in what is open at the start.", valueName: "n"))
  var volume: Int64 = 1

  @Flag(help: "Play the first seed through three processes too.")
  var processes = false

  @Option(help: "Where the processes keep their data.")
  var data = "novate-data/storm"

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  func validate() throws {
    guard (1...10_000).contains(seeds) else {
      throw ValidationError("--seeds: expected 1 to 10000, found \(seeds)")
    }
    guard seed <= .max - 10_000 else {
      throw ValidationError("--seed: expected at most \(UInt64.max - 10_000), found \(seed)")
    }
    guard file == nil || !steps else { throw ValidationError("--steps plays no file") }
    guard (1...1_000).contains(volume) else {
      throw ValidationError("--volume: expected 1 to 1000, found \(volume)")
    }
    guard StormPath.shocks.contains(where: { $0.name == shock }) else {
      throw ValidationError("--shock: no day \(shock) in the library")
    }
  }

  func run() throws {
    var parameters = StormParameters()
    parameters.botsInBook = bidsInBook
    parameters.volumePerInterest = volume
    if steps { return try runSteps(parameters) }
    let path = try path(parameters)
    var report = CascadeReport(path: path)
    if !json { Screen.say(CascadeReport.head) }
    for seed in seed..<(seed + UInt64(seeds)) {
      let played = try CascadeSeed(path, seed: seed, parameters)
      report.seeds.append(played)
      if !json { Screen.say(CascadeReport.text(of: played)) }
    }
    if !json { Screen.say(report.text) }
    if processes { try runProcesses(path, report.seeds[0], parameters) }
    if json { Screen.say(report.json.text()) }
    if !report.holds { throw ExitCode(Exit.failed) }
  }

  private func runSteps(_ parameters: StormParameters) throws {
    if !json { Screen.say(StepRow.head) }
    var rows: [StepRow] = []
    for move in StepRow.moves {
      let row = try StepRow(move, seeds: seed..<(seed + UInt64(seeds)), parameters)
      rows.append(row)
      if !json { Screen.say(row.text) }
    }
    if json { Screen.say(StepRow.json(rows).text()) }
    if !rows.allSatisfy(\.holds) { throw ExitCode(Exit.failed) }
  }

  /// The first seed again, both methods, through three processes.
  private func runProcesses(
    _ path: StormPath, _ seed: CascadeSeed, _ parameters: StormParameters
  ) throws {
    try LayerGroup.check(data)
    Children.endWithSignals()
    for (method, looped) in [
      (StormMethod.market, seed.market.moved), (.auction, seed.auction.moved),
    ] {
      let run = StormRun(path: path, seed: seed.seed, method: method, parameters: parameters)
      let (outcome, isVerified) = try ProcessStage.played(
        run, folder: data, programs: LayerGroup.programsFolder())
      guard isVerified, outcome == looped else {
        throw CommandFailure("\(method): the processes do not end as the machines did")
      }
      Screen.note(
        "three processes, \(method): \(outcome.batches) batches, verified, state root "
          + "\(outcome.clearingRoot) as in one process")
    }
  }

  private func path(_ parameters: StormParameters) throws -> StormPath {
    if let file { return try StormPath(file: file, parameters) }
    guard let row = StormPath.shocks.first(where: { $0.name == shock }) else {
      throw CommandFailure("--shock: no day \(shock) in the library")
    }
    return StormPath(row, parameters)
  }
}
