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

extension DecisionID {
  /// From the command line.
  static func parse(_ text: String) throws -> DecisionID {
    guard let id = DecisionID(text) else {
      throw ValidationError("expected a number, or a7 for auction 7, found \"\(text)\"")
    }
    return id
  }
}

/// `novate prove account N|trade ID --out FILE`: a small file that proves one thing.
struct ProveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prove",
    abstract: "Get a small file that proves an account, a trade or why an auction began.",
    discussion: """
      The file holds the headers, the checkpoint and the paths between; of a close that clearing \
      directed, and of an auction's start, also the account and market the decision went by. \
      'novate verify FILE --genesis HASH' judges it offline, and takes the decision again.
      """)

  @Argument(help: "account or trade.")
  var subject: ProofSubject

  @Argument(
    help: "The account's or the trade's number; a7 for the start of auction 7.",
    transform: DecisionID.parse)
  var id: DecisionID

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
    _ subject: ProofSubject, _ id: DecisionID, to out: String, from address: Address,
    _ genesis: Genesis
  ) throws {
    if subject == .account, id.subject >= UInt64(Limits.accountsMax) {
      throw ValidationError("expected an account below \(Limits.accountsMax), found \(id)")
    }
    let client = try LayerClient(to: address, .settlement, genesis: genesis)
    let file = try client.prove(ProveMessage(subject.kind, subject: id.subject))
    try Files.replace(out, file)
    Screen.say("\(out): proof of \(subject) \(id), \(file.count) bytes")
  }
}
