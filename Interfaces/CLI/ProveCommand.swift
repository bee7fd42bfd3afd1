import ArgumentParser
import Client
import Primitives
import Wire

/// What a proof is about.
enum ProofSubject: String, ExpressibleByArgument, CaseIterable {
  case account, trade

  var kind: BundleFileKind {
    switch self {
    case .account: .account
    case .trade: .trade
    }
  }
}

/// `novate prove account N|trade ID --out FILE`: a small file that proves one thing.
struct ProveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prove",
    abstract: "Get a small file that proves an account or a trade.",
    discussion: """
      The file holds the headers, the checkpoint and the paths between; of a close that clearing \
      directed also the account and market the decision went by. 'novate verify FILE \
      --genesis HASH' judges it offline.
      """)

  @Argument(help: "account or trade.")
  var subject: ProofSubject

  @Argument(help: "The account's or the trade's number.")
  var id: UInt64

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var out: String

  @Option(
    name: [.customLong("to"), .customLong("settlement")],
    help: ArgumentHelp(
      "Settlement's address; default: \(LayerAddress.settlement).", valueName: "address"),
    transform: LayerAddress.parse)
  var to: Address?

  @OptionGroup var network: NetworkOptions

  func run() throws {
    let (genesis, _) = try network.load()
    try ProveCommand.write(
      subject, id, to: out, from: try to ?? LayerAddress.parse(LayerAddress.settlement), genesis)
  }

  static func write(
    _ subject: ProofSubject, _ id: UInt64, to out: String, from address: Address,
    _ genesis: Genesis
  ) throws {
    if subject == .account, id >= UInt64(Limits.accountsMax) {
      throw ValidationError("expected an account below \(Limits.accountsMax), found \(id)")
    }
    let client = try LayerClient(to: address, .settlement, genesis: genesis)
    let file = try client.prove(ProveMessage(subject.kind, subject: id))
    try Files.replace(out, file)
    Screen.say("\(out): proof of \(subject) \(id), \(file.count) bytes")
  }
}
