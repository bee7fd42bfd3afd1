import ArgumentParser
import Client
import Primitives
import Wire

/// `novate status`: what the three layers say of themselves.
struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Say how far the three layers are.",
    discussion: """
      'batch' is the next batch of a layer, 'root' its state root after the last. Exit code 1 if a \
      layer is down or does not serve.
      """)

  @Option(
    help: ArgumentHelp("Default: \(LayerAddress.execution).", valueName: "address"),
    transform: LayerAddress.parse)
  var execution: Address?
  @Option(
    help: ArgumentHelp("Default: \(LayerAddress.clearing).", valueName: "address"),
    transform: LayerAddress.parse)
  var clearing: Address?
  @Option(
    help: ArgumentHelp("Default: \(LayerAddress.settlement).", valueName: "address"),
    transform: LayerAddress.parse)
  var settlement: Address?

  @Flag(help: "As one JSON object, a member a layer.")
  var json = false

  @OptionGroup var network: NetworkOptions

  func run() throws {
    let (genesis, _) = try network.load()
    let layers: [(role: Role, address: Address)] = [
      (.execution, try execution ?? LayerAddress.parse(LayerAddress.execution)),
      (.clearing, try clearing ?? LayerAddress.parse(LayerAddress.clearing)),
      (.settlement, try settlement ?? LayerAddress.parse(LayerAddress.settlement)),
    ]
    var answers: [(role: Role, address: Address, answer: Result<JSONValue, ClientFailure>)] = []
    for (role, address) in layers {
      answers.append((role, address, StatusCommand.ask(address, role, genesis)))
    }
    Screen.write(
      json
        ? StatusCommand.object(answers).text() + "\n"
        : "network \(genesis.name) \(genesis.networkID)\n\n" + StatusCommand.text(answers), to: 1)
    let isWell = answers.allSatisfy {
      if case .success(let status) = $0.answer { status.word("state") == "serving" } else { false }
    }
    if !isWell { throw ExitCode(Exit.failed) }
  }

  private static func ask(_ address: Address, _ role: Role, _ genesis: Genesis)
    -> Result<JSONValue, ClientFailure>
  {
    do throws(ClientFailure) {
      let client = try LayerClient(to: address, role, genesis: genesis, timeoutMilliseconds: 3_000)
      return .success(try client.status())
    } catch {
      return .failure(error)
    }
  }

  private static func object(
    _ answers: [(role: Role, address: Address, answer: Result<JSONValue, ClientFailure>)]
  ) -> JSONValue {
    .object(
      answers.map { role, address, answer in
        switch answer {
        case .success(let status): ("\(role)", status)
        case .failure(let failure):
          (
            "\(role)",
            [
              "role": .string("\(role)"), "state": "down", "address": .string("\(address)"),
              "reason": .string("\(failure)"),
            ]
          )
        }
      })
  }

  private static func text(
    _ answers: [(role: Role, address: Address, answer: Result<JSONValue, ClientFailure>)]
  ) -> String {
    var table = TextTable(right: [2])
    table.add("layer", "state", "batch", "root")
    var more = TextTable()
    for (role, _, answer) in answers {
      switch answer {
      case .success(let status):
        table.add("\(role)", status.word("state"), status.word("batch"), status.word("root"))
        more.add("\(role)", figures(status, role))
        if let reason = status["reason"], case .string(let text) = reason {
          more.add("", "reason: \(text)")
        }
      case .failure(let failure):
        table.add("\(role)", "down", "-", "-")
        more.add("\(role)", "\(failure)")
      }
    }
    return table.text + "\n" + more.text
  }

  private static func figures(_ status: JSONValue, _ role: Role) -> String {
    let keys: [String] =
      switch role {
      case .execution: ["time_ms", "accounts", "instruments", "open_orders", "credit_batch"]
      case .clearing: ["time_ms", "accounts", "trades", "insurance", "fees", "imbalance"]
      case .settlement: ["time_ms", "bundles", "trades", "log_size", "log_root"]
      case .client, .witness: []
      }
    let degraded = status.word("degraded") == "yes" ? "; degraded" : ""
    return keys.map { "\($0) \(status.word($0))" }.joined(separator: ", ") + degraded
  }
}
