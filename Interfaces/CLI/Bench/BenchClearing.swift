import ArgumentParser
import Client
import Primitives
import Wire

/// `novate bench clearing`: what a fill costs the clearing layer.
struct BenchClearing: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "clearing",
    abstract: "Processor time of a fill in clearing, durable, at growing numbers of accounts.",
    discussion: """
      Batches of 8 190 fills between accounts drawn at random, each with a position, go through the \
      production machine and its store: novated, netted, charged, margin rechecked, roots computed, \
      committed with an fsync, signed; at an oracle tick every 32 batches all accounts that may \
      have come into need are weighed anew, as they all were once before. \
      A fill's processor time is given in units of one signature verification of the same run: at \
      most 0.08 at 10 000 accounts is asked, and at most 1.6 times that at 1 000 000. With --json \
      the last line of stdout is one JSON object.
        novate bench clearing --json
      """)

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Account counts, one run each.", valueName: "n"))
  var accounts: [Int] = [10_000, 1_000_000]

  @Option(help: ArgumentHelp("Batches of a run.", valueName: "n"))
  var batches = 96

  @Option(help: "Where the store is made: the disk that is measured.")
  var data = "novate-data/bench"

  @Flag(help: "As JSON: the last line of stdout is one object.")
  var json = false

  static let fillCount = 8_190

  func validate() throws {
    for count in accounts where !(1_000...2_000_000).contains(count) {
      throw ValidationError("--accounts: expected 1000 to 2000000, found \(count)")
    }
    guard (8...10_000).contains(batches) else {
      throw ValidationError("--batches: expected 8 to 10000, found \(batches)")
    }
  }

  func run() throws {
    try Files.makeFolder(data)
    var runs: [Run] = []
    for count in accounts {
      let run = try measured(accounts: count)
      runs.append(run)
      if !json { Screen.say(run.text(over: runs[0])) }
    }
    if json { Screen.say(object(runs).text()) }
  }

  /// One run: processor seconds.
  private struct Run {
    let accounts: Int
    var fillCount = 0
    var seconds: [Double] = []
    var verification = 0.0
    var bytesPerFill = 0.0

    /// Verifications a fill: of all batches, ticks and checkpoints included.
    var units: Double { seconds.reduce(0, +) / Double(fillCount) / verification }
    var batch: Percentile { Percentile(seconds) }

    func text(over first: Run) -> String {
      """
      \(accounts) accounts
        a fill         \(fixed(units, 4)) verifications, \
      \(fixed(seconds.reduce(0, +) / Double(fillCount) * 1e9, 0)) ns; \
      \(fixed(units / first.units, 2)) times that of \(first.accounts) accounts
        a batch        p50 \(fixed(batch.p50 * 1e3, 2)) ms, p99 \
      \(fixed(batch.p99 * 1e3, 2)) ms of \(BenchClearing.fillCount) fills
        stored         \(fixed(bytesPerFill, 0)) bytes a fill
      """
    }
  }

  private func measured(accounts: Int) throws -> Run {
    Screen.note("\(accounts) accounts: paying them and giving each a position")
    var house = try BatchHouse(accounts: accounts)
    try house.settleIn()
    let store = try DurableClearing(
      folder: "\(data)/clearing-\(SystemClock.monotonicNanoseconds)",
      network: house.genesis.networkID)
    Screen.note("\(accounts) accounts: \(batches) batches of \(BenchClearing.fillCount) fills")
    var run = Run(accounts: accounts)
    let before = BenchCalibration.verificationSeconds()
    for round in 0..<batches {
      let cost = try house.batch(
        orders: 2 * BenchClearing.fillCount, tick: round % 32 == 31, keeping: store.keep)
      run.seconds.append(cost.clearing)
      run.fillCount += cost.fillCount
    }
    run.verification = (before + BenchCalibration.verificationSeconds()) / 2
    run.bytesPerFill = Double(store.byteCount) / Double(run.fillCount)
    guard run.fillCount >= batches * BenchClearing.fillCount * 99 / 100 else {
      throw CommandFailure("only \(run.fillCount) fills of \(batches * BenchClearing.fillCount)")
    }
    return run
  }

  /// `{"schema","version","fills_per_batch","batches","units_max","loss_max","runs":[{"accounts",
  /// "fills","fill_in_verifications","fill_ns","loss","verification_us","batch_p50_ms",
  /// "batch_p99_ms","stored_bytes_per_fill"}]}`; `loss` is over the first run.
  private func object(_ runs: [Run]) -> JSONValue {
    .object([
      ("schema", "novate.bench.clearing/1"), ("version", .string(Version.text)),
      ("fills_per_batch", .number(String(BenchClearing.fillCount))),
      ("batches", .number(String(batches))), ("units_max", number(0.08, 2)),
      ("loss_max", number(1.6, 1)),
      (
        "runs",
        .array(
          runs.map { run in
            .object([
              ("accounts", .number(String(run.accounts))),
              ("fills", .number(String(run.fillCount))),
              ("fill_in_verifications", number(run.units, 5)),
              (
                "fill_ns",
                number(run.seconds.reduce(0, +) / Double(run.fillCount) * 1e9, 1)
              ),
              ("loss", number(run.units / runs[0].units, 3)),
              ("verification_us", number(run.verification * 1e6, 2)),
              ("batch_p50_ms", number(run.batch.p50 * 1e3, 3)),
              ("batch_p99_ms", number(run.batch.p99 * 1e3, 3)),
              ("stored_bytes_per_fill", number(run.bytesPerFill, 1)),
            ])
          })
      ),
    ])
  }
}
