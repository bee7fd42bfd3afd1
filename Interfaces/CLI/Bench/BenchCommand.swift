import ArgumentParser
import Client
import Wire

/// `novate bench`: figures on this machine, with calibrators of the same run.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure on this machine, beside calibrators of the same run.",
    subcommands: [
      PipelineCommand.self, BenchPricing.self, BenchMatching.self, BenchMargin.self,
      BenchClearing.self, BenchTree.self, BenchSignatures.self, BenchCascade.self,
    ])
}

/// `novate bench pipeline`: workload NP-1 through three real processes.
struct PipelineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pipeline",
    abstract: "Workload NP-1 through three processes: processor time of an order, latency, memory.",
    discussion: """
      Processor time, user and system, of the three layers together is given for each order in units \
      of one signature verification of the same run, so that figures of different machines compare. \
      Latency is taken at half of the rate measured before. With --json the last line of stdout is \
      one JSON object.
      """)

  @Option(
    help: ArgumentHelp(
      "Orders of the timed part; default: 100 000 for bundles of 1, 1 000 000 for larger ones.",
      valueName: "n"))
  var orders: Int?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Operations a bundle holds.", valueName: "n"))
  var bundle: [Int] = [1, 64]

  @Option(help: "Where the layers keep their data: the disk that is measured.")
  var data = "novate-data/bench"

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Account counts a single batch is measured at; 0 leaves it out.", valueName: "n"))
  var accounts: [Int] = [1_000, 10_000, 100_000]

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  func validate() throws {
    if let orders, !(1_000...10_000_000).contains(orders) {
      throw ValidationError("--orders: expected 1000 to 10000000, found \(orders)")
    }
    for size in bundle where !(1...256).contains(size) {
      throw ValidationError("--bundle: expected 1 to 256, found \(size)")
    }
    for count in accounts where count != 0 && !(1_000...1_000_000).contains(count) {
      throw ValidationError("--accounts: expected 1000 to 1000000, found \(count)")
    }
  }

  func run() throws {
    for size in bundle { try LayerGroup.check("\(data)/bundles-of-\(size)") }
    Children.endWithSignals()
    try Files.makeFolder(data)
    let calibration = try BenchCalibration(folder: data)
    var report = PipelineReport(calibration)
    if !json { Screen.say(report.head) }
    for size in bundle {
      let count = orders ?? (size == 1 ? 100_000 : 1_000_000)
      let folder = "\(data)/bundles-of-\(size)"
      try DemoFolder.clear(folder, of: PipelineNetwork.name)
      let run = try PipelineRun(folder: folder, orderCount: count, bundleSize: size).measured()
      report.runs.append(run)
      if !json { Screen.say(report.text(of: run)) }
    }
    for count in accounts where count > 0 {
      let figures = try BatchFigures(accounts: count)
      report.batches.append(figures)
      if !json { Screen.say(report.text(of: figures)) }
    }
    if json { Screen.say(report.json.text()) }
  }
}
