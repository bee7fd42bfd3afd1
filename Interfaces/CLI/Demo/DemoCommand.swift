import ArgumentParser
import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Wire

/// `novate demo`: three processes trade, clear and settle before one's eyes, and the exported file
/// is verified offline.
struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Trade a crash through three processes and verify it offline.",
    usage: "novate demo [--chain FILE] [--data DIR] [--seed N]",
    discussion: """
      Exit code 0 only if the exported file was VERIFIED. A chain file is CSV, plain or gzip: \
      snapshots of options on one or more underlyings, quoted in coin.
      """)

  @Option(
    help: ArgumentHelp(
      "Play an option chain file (CSV, plain or gzip) instead of the built-in tape.",
      valueName: "file"))
  var chain: String?

  @Option(
    help: ArgumentHelp("Where to put genesis.json, demo.nvb and the logs.", valueName: "dir"))
  var data = "novate-data/demo"

  @Option(help: "Seed of the takers' choices.")
  var seed: UInt64 = 42

  func run() throws {
    let isVerified: Bool
    do {
      isVerified = try play()
    } catch let failure as ChainFileFailure {
      let isUnreadable = failure.isUnreadable
      Screen.note("novate: \(isUnreadable ? "" : "\(chain ?? ""): ")\(failure)")
      throw ExitCode(isUnreadable ? Exit.inputOutput : Exit.failed)
    } catch let failure as ProcessFailure {
      throw CommandFailure("\(failure)")
    } catch let failure as DemoFailure {
      throw CommandFailure("\(failure)")
    }
    if !isVerified { throw ExitCode(Exit.failed) }
  }

  private func play() throws -> Bool {
    let start = SystemClock.monotonicNanoseconds
    try LayerGroup.check(data)
    Children.endWithSignals()
    let programs = LayerGroup.programsFolder()
    let tape: any MarketTape = try chain.map { try ChainTape($0) } ?? CrashTape()
    try DemoFolder.clear(data)
    let folder = NetworkFolder(data)
    // First, so that an interrupted demo is known for one.
    try Files.create(DemoFolder.configPath(data), DemoFolder.config)
    let builder = genesisBuilder(tape)
    let genesis = try folder.make(builder)
    Screen.say("tape       \(tape.title); seed \(seed)")
    Screen.say("genesis    \(genesis.networkID)")
    Screen.say("contracts  \(tape.listings.count) on \(tape.underlyings.joined(separator: ", "))")

    let layers = try LayerGroup(
      programs: programs, genesis: folder.genesisPath, folder: data,
      config: DemoFolder.configPath(data))
    for (name, process) in layers.all {
      Screen.say("process    novate-\(name), pid \(process.pid), ready at \(process.address)")
    }
    var desk = try DemoDesk(genesis: genesis, folder: folder, execution: layers.execution.address)
    var play = DemoPlay(tape: tape, builder: builder, seed: seed)
    var risk = try DemoRisk(
      genesis: genesis, cast: play.cast, clearing: layers.clearing.address)
    var marks = MarksCheck(tape)
    let progress = Progress("trading", total: tape.stepCount)
    var time = tape.startTime
    for number in 0..<tape.stepCount {
      let step = tape.step(number)
      try self.step(number, step, before: time, &desk, &play, genesis) { batch in
        try risk.sample(batch, at: step.time)
      }
      marks.add(step, number: number)
      time = step.time
      progress.show(number + 1)
    }
    progress.finish()
    try risk.sample(desk.newestBatch, at: time)
    try marks.confirm(
      with: try LayerClient(
        to: try Address(layers.execution.address), .execution, genesis: genesis))
    var story = try DemoStory(layers: layers, genesis: genesis)
    try story.export(to: "\(data)/demo.nvb")
    try layers.stop()
    Screen.say("stopped    all three processes ended cleanly")
    let isVerified = try story.verify(programs: programs, file: "\(data)/demo.nvb")
    story.tell(tape, desk.tally, risk, marks)
    let milliseconds = (SystemClock.monotonicNanoseconds - start) / 1_000_000
    Screen.say("files        \(data)/genesis.json, \(data)/demo.nvb, \(data)/*.log")
    Screen.say(
      "verdict      \(isVerified ? "VERIFIED" : "NOT VERIFIED"), "
        + "\(DecimalText.format(milliseconds / 100, digits: 1, minimumFraction: 1)) s in all")
    return isVerified
  }

  /// One step of the tape. Makers see a move first and quote anew; then the oracle says it, and what
  /// fell below maintenance is closed against those quotes; then everybody trades.
  private func step(
    _ number: Int, _ step: MarketStep, before: Timestamp, _ desk: inout DemoDesk,
    _ play: inout DemoPlay, _ genesis: Genesis, sample: (BatchNumber) throws -> Void
  ) throws {
    if number > 0 { try desk.send(play.quotes(step, number: number), at: before) }
    try desk.send(play.oracle(step, number: number), at: step.time)
    if number == 0 {
      try desk.send([(AccountID(0), play.cast.deposits(genesis))], at: step.time)
    }
    try sample(desk.newestBatch)
    try desk.waitForCredit(of: desk.newestBatch)
    if number == 0 { try desk.send(play.quotes(step, number: number), at: step.time) }
    if let block = play.block(step, number: number) {
      let trade = try desk.trade(block, at: step.time)
      try desk.send([(block.buyer, [trade])], at: step.time)
    }
    try desk.send(play.openings(step, number: number), at: step.time)
    try desk.send(play.takes(step), at: step.time)
  }

  private func genesisBuilder(_ tape: any MarketTape) -> GenesisBuilder {
    var builder = GenesisBuilder(startTime: tape.startTime)
    builder.name = DemoFolder.networkName
    builder.underlyings = tape.underlyings
    builder.listings = tape.listings.map {
      // Its minutes pass between two steps: no settlement price can be sampled.
      var listing = Listing($0.name, tick: $0.tick, lot: $0.lot)
      listing.settlementSamples = 0
      return listing
    }
    builder.accountCount = DemoCast.accountCount(tape)
    builder.witnessCount = 1
    // The tape's hours pass in seconds: grants are as old as a step is long, and nobody waits a
    // second for the batch in which clearing's word takes effect.
    builder.constants.grantAgeMax = 86_400_000
    builder.constants.heartbeat = 40
    return builder
  }
}

extension ChainFileFailure {
  /// Whether the file itself could not be read.
  var isUnreadable: Bool { if case .unreadable = self { true } else { false } }
}

/// The folder of a demo or a benchmark is made anew each time; nothing but an earlier one is ever
/// removed.
enum DemoFolder {
  static let networkName = "novate-demo"
  static let config = Array("{\"clock\":\"oracle\"}\n".utf8)
  static func configPath(_ path: String) -> String { "\(path)/config.json" }

  /// - Parameter network: the name that tells an earlier one.
  static func clear(_ path: String, of network: String = networkName) throws {
    guard Files.exists(path) else { return try Files.makeFolder(path) }
    let names = try Files.names(in: path)
    guard try names.isEmpty || isEarlier(path, names, network) else {
      throw DemoFailure(
        "\(path) holds something that is no earlier \(network); name another with --data")
    }
    for name in names { try remove("\(path)/\(name)", depth: 0) }
  }

  /// Whether an earlier one was there: its network's name says so or, when it was interrupted before, the
  /// file it begins with.
  private static func isEarlier(_ path: String, _ names: [String], _ network: String) throws
    -> Bool
  {
    guard names.contains("genesis.json") else {
      guard names.contains("config.json") else { return false }
      return try Files.read(configPath(path), byteCountMax: 1 << 20) == config
    }
    do {
      return try NetworkFolder(path).genesis().name == network
    } catch is GenesisFailure {
      return false
    }
  }

  private static func remove(_ path: String, depth: Int) throws {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR, depth < 4 {
      for name in try Files.names(in: path) { try remove("\(path)/\(name)", depth: depth + 1) }
      unsafe rmdir(path)
    } else {
      unsafe unlink(path)
    }
  }
}
