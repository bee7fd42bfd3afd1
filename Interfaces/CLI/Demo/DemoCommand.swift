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
    usage: "novate demo [--chain FILE] [--data DIR] [--seed N]")

  @Option(help: "Play an option chain file (CSV, plain or gzip) instead of the built-in tape.")
  var chain: String?

  @Option(help: "Where to put genesis.json, demo.nvb and the logs.")
  var data = "novate-data/demo"

  @Option(help: "Seed of the takers' choices.")
  var seed: UInt64 = 42

  func run() throws {
    do {
      let isVerified = try play()
      if !isVerified { throw ExitCode(1) }
    } catch let code as ExitCode {
      throw code
    } catch {
      Screen.error("\(error)")
      throw ExitCode(1)
    }
  }

  private func play() throws -> Bool {
    let programs = LayerGroup.programsFolder()
    let tape: any MarketTape = try chain.map { try ChainTape($0) } ?? CrashTape()
    try DemoFolder.clear(data)
    let folder = NetworkFolder(data)
    let builder = try genesisBuilder(tape)
    let genesis = try folder.make(builder)
    try Files.create("\(data)/config.json", Array("{\"clock\":\"oracle\"}\n".utf8))
    Screen.say("tape       \(tape.title); seed \(seed)")
    Screen.say("genesis    \(genesis.networkID)")
    Screen.say("contracts  \(tape.listings.count) on \(tape.underlyings.joined(separator: ", "))")

    let layers = try LayerGroup(
      programs: programs, genesis: folder.genesisPath, folder: data,
      config: "\(data)/config.json")
    for (name, process) in layers.all {
      Screen.say("process    novate-\(name), pid \(process.pid), ready at \(process.address)")
    }
    var desk = try DemoDesk(
      genesis: genesis, builder: builder, folder: folder, execution: layers.execution.address)
    var play = DemoPlay(tape: tape, builder: builder, seed: seed)
    let progress = Progress("trading", total: tape.stepCount)
    for number in 0..<tape.stepCount {
      try step(number, tape.step(number), &desk, &play, genesis)
      progress.show(number + 1)
    }
    progress.finish()
    var story = try DemoStory(
      layers: layers, genesis: genesis, traders: builder.traders, tally: desk.tally)
    try story.export(to: "\(data)/demo.nvb", from: layers.settlement.address)
    try layers.stop()
    Screen.say("stopped    all three processes ended cleanly")
    let isVerified = try story.verify(programs: programs, file: "\(data)/demo.nvb", genesis)
    story.tell(folder: data, isVerified: isVerified)
    return isVerified
  }

  private func step(
    _ number: Int, _ step: MarketStep, _ desk: inout DemoDesk, _ play: inout DemoPlay,
    _ genesis: Genesis
  ) throws {
    if number > 0 { try desk.send(play.withdrawals(), at: step.time) }
    try desk.send(play.oracle(step, number: number), at: step.time)
    if number == 0 {
      try desk.send([(AccountID(0), play.deposits(genesis))], at: step.time)
    }
    try desk.waitForCredit(of: desk.newestBatch)
    try desk.send(play.quotes(step), at: step.time)
    try desk.send(play.takes(step, number: number), at: step.time)
  }

  private func genesisBuilder(_ tape: any MarketTape) throws -> GenesisBuilder {
    var builder = GenesisBuilder(startTime: tape.startTime)
    builder.name = "novate-demo"
    builder.underlyings = tape.underlyings
    builder.listings = tape.listings.map {
      Listing($0.name, tick: $0.tick, lot: $0.lot)
    }
    builder.accountCount = DemoPlay.makerCount(tape) + DemoPlay.takerCount
    builder.witnessCount = 1
    // The tape's hours pass in seconds: grants are as old as a step is long.
    builder.constants.grantAgeMax = 86_400_000
    return builder
  }
}

/// The demo's folder is made anew each time; nothing but an earlier demo is ever removed.
enum DemoFolder {
  static func clear(_ path: String) throws {
    guard Files.exists(path) else { return try Files.makeFolder(path) }
    let names = try Files.names(in: path)
    guard names.isEmpty || names.contains("genesis.json") || names.contains("config.json") else {
      throw DemoFailure("\(path) holds something that is not a demo; name another with --data")
    }
    for name in names { try remove("\(path)/\(name)", depth: 0) }
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
