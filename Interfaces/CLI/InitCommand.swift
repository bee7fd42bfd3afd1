import ArgumentParser
import Client
import Instruments
import Primitives
import Wire

/// `novate init DIR`: keys of all roles and the genesis manifest.
struct InitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init",
    abstract: "Make the keys of all roles and the genesis manifest of a new network.",
    discussion: """
      Writes DIR/genesis.json and DIR/keys/*.key, and prints the genesis hash, which is the network \
      id to pin, alone on stdout. Account 0 is the custodian; publishers, governance members and \
      traders follow. What the network's constants are, and why: Docs/Guides/Operating.md.
      """)

  @Argument(help: "The folder to make the network in.")
  var folder: String

  @Option(help: "The network's name: letters, digits, '.', '_' and '-'.")
  var name = "novate"

  @Option(help: "Trader accounts that exist from the start.")
  var accounts = 8

  @Option(
    help: ArgumentHelp(
      "Another contract to list, such as BTC-27MAR26-60000-C; may stand several times.",
      valueName: "name"))
  var instrument: [String] = []

  @Option(
    help: ArgumentHelp(
      "A constant of the network, such as auction_fast_ms=0; may stand several times.",
      valueName: "name=integer"))
  var set: [String] = []

  @Option(help: "Start time in ms since 1970 UTC; default: now.")
  var startTime: Int64?

  func validate() throws {
    guard (0...60_000).contains(accounts) else {
      throw ValidationError("--accounts: expected 0 to 60000, found \(accounts)")
    }
    guard GenesisBuilder.isName(name) else {
      throw ValidationError(
        "--name: expected 1 to 24 letters, digits, '.', '_' and '-', found \"\(name)\"")
    }
    for text in instrument {
      do { _ = try InstrumentName(text) } catch {
        throw ValidationError("--instrument: \(error)")
      }
    }
    _ = try constants()
  }

  func run() throws {
    var builder = GenesisBuilder(
      startTime: startTime.map { Timestamp(raw: $0) } ?? SystemClock.now)
    builder.name = name
    builder.accountCount = accounts
    builder.constants = try constants()
    for text in instrument { builder.list(Listing(try InstrumentName(text))) }
    let network = NetworkFolder(folder)
    let genesis = try network.make(builder)
    Screen.write(explanation(builder, genesis, network), to: 2)
    Screen.say("\(genesis.networkID)")
  }

  /// The house's, with what `--set` says instead; genesis judges whether they may stand together.
  private func constants() throws -> Constants {
    var constants = Constants.house
    for text in set {
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let field = Constants.fields.first(where: { $0.name == parts[0] })
      else {
        throw ValidationError(
          "--set: expected NAME=INTEGER with a constant's name, found \"\(text)\"")
      }
      guard let value = Int64(parts[1]) else {
        throw ValidationError("--set: \(field.name): expected an integer, found \"\(parts[1])\"")
      }
      constants[keyPath: field.path] = value
    }
    return constants
  }

  private func explanation(
    _ builder: GenesisBuilder, _ genesis: Genesis, _ network: NetworkFolder
  ) -> String {
    func ids(_ accounts: [AccountID]) -> String {
      guard let first = accounts.first, let last = accounts.last else { return "none" }
      return first == last ? "\(first)" : "\(first) to \(last)"
    }
    let listed = genesis.instruments.compactMap { genesis.instrumentName($0.id)?.description }
    return """
      \(network.genesisPath)  the manifest; pin its hash, below
      \(network.keysPath)/  \(builder.roles.count) key files, for their owner alone
      custodian    account 0
      publishers   accounts \(ids(builder.publishers)), \(genesis.constants.oracleQuorum) make a price
      governance   accounts \(ids(builder.governance)), \(genesis.governanceThreshold) decide
      traders      accounts \(ids(builder.traders)), keys account-N.key
      listed       \(listed.joined(separator: ", "))

      """
  }
}
