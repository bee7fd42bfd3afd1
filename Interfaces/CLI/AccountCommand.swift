import ArgumentParser
import Client
import Primitives
import Wire

/// `novate account ID`: an account as clearing keeps it, and its orders as execution does.
struct AccountCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "account",
    abstract: "Show an account: cash, margin, positions, balances and open orders.",
    discussion: """
      'novate prove account ID' gives the same with a proof. With --margin it is a line for 'novate \
      margin', whose answer is then clearing's own to the unit, and to which what_if may be added.
      """)

  @Argument(help: "The account's number.")
  var id: UInt32

  @Option(
    name: [.customLong("to"), .customLong("clearing")],
    help: ArgumentHelp(
      "Clearing's address; default: \(LayerAddress.clearing).", valueName: "address"),
    transform: LayerAddress.parse)
  var to: Address?

  @Option(
    help: ArgumentHelp(
      "Execution's address, for open orders; default: \(LayerAddress.execution).",
      valueName: "address"),
    transform: LayerAddress.parse)
  var execution: Address?

  @Flag(help: "As one JSON object.")
  var json = false

  @Flag(help: "The account and its market as a line for 'novate margin'.")
  var margin = false

  @OptionGroup var network: NetworkOptions

  func run() throws {
    let (genesis, _) = try network.load()
    let clearing = try LayerClient(
      to: try to ?? LayerAddress.parse(LayerAddress.clearing), .clearing, genesis: genesis)
    if margin {
      return Screen.write(try clearing.marginLine(AccountID(id)).text() + "\n", to: 1)
    }
    let account = try clearing.account(AccountID(id))
    let orders = orders(
      try execution ?? LayerAddress.parse(LayerAddress.execution), genesis)
    Screen.write(
      json ? joined(account, orders).text() + "\n" : text(account, orders), to: 1)
  }

  /// Open orders are execution's: without it the rest is still worth showing.
  private func orders(_ address: Address, _ genesis: Genesis) -> Result<JSONValue, ClientFailure> {
    do throws(ClientFailure) {
      return .success(
        try LayerClient(to: address, .execution, genesis: genesis).orders(AccountID(id)))
    } catch {
      return .failure(error)
    }
  }

  private func joined(_ account: JSONValue, _ orders: Result<JSONValue, ClientFailure>)
    -> JSONValue
  {
    guard case .object(var members) = account else { return account }
    switch orders {
    case .success(let value):
      members.append(("orders", .array(value.list("orders"))))
      members.append(("waiting", .array(value.list("waiting"))))
      members.append(("orders_batch", value["batch"] ?? .null))
    case .failure:
      members.append(("orders", .null))
      members.append(("waiting", .null))
    }
    return .object(members)
  }

  private func text(_ account: JSONValue, _ orders: Result<JSONValue, ClientFailure>) -> String {
    var head = TextTable()
    head.add("account", account.word("account"))
    head.add("owner", account.word("owner"))
    let group = account.list("accounts").compactMap { element -> String? in
      if case .number(let text) = element { text } else { nil }
    }
    if group.count > 1 { head.add("accounts", group.joined(separator: " ")) }
    head.add("batch", account.word("batch"))
    head.add("root", account.word("root"))
    var money = TextTable(right: [1])
    for key in ["cash", "equity", "initial_margin", "maintenance_margin"] {
      money.add(key.replacing("_", with: " "), account.word(key))
    }
    money.add("mode", account.word("mode"))
    money.add("reduce only", account.word("reduce_only"))
    if let auction = account["auction"], auction["phase"] != nil {
      money.add("under auction", "\(auction.word("number")), \(auction.word("phase"))")
    }
    var text = head.text + "\n" + money.text
    let positions = account.list("positions")
    if !positions.isEmpty {
      var table = TextTable(right: [1, 2, 3])
      table.add("position", "quantity", "cost", "mark")
      for position in positions {
        table.add(
          position.word("instrument"), position.word("quantity"), position.word("cost"),
          position.word("mark"))
      }
      text += "\n" + table.text
    }
    let balances = account.list("balances")
    if !balances.isEmpty {
      var table = TextTable(right: [1])
      table.add("asset", "amount")
      for balance in balances { table.add(balance.word("asset"), balance.word("amount")) }
      text += "\n" + table.text
    }
    return text + "\n" + self.text(orders)
  }

  private func text(_ orders: Result<JSONValue, ClientFailure>) -> String {
    switch orders {
    case .failure(let failure): return "open orders unknown: \(failure)\n"
    case .success(let value):
      let list = value.list("orders")
      guard !list.isEmpty else { return "no open orders\n" + waiting(value.list("waiting")) }
      var table = TextTable(right: [3, 4, 5])
      table.add("order", "instrument", "side", "price", "quantity", "client id")
      for order in list {
        table.add(
          order.word("order"), order.word("instrument"), order.word("side"), order.word("price"),
          order.word("quantity"), order.word("client_id"))
      }
      return table.text + waiting(value.list("waiting"))
    }
  }

  /// Orders that wait for mark or index to reach a price.
  private func waiting(_ list: [JSONValue]) -> String {
    guard !list.isEmpty else { return "" }
    var table = TextTable(right: [3, 4, 5])
    table.add("waiting", "instrument", "side", "price", "quantity", "client id", "until")
    for order in list {
      table.add(
        order.word("order"), order.word("instrument"), order.word("side"), order.word("price"),
        order.word("quantity"), order.word("client_id"),
        "\(order.word("trigger_by")) \(order.word("trigger")) to \(order.word("trigger_price"))")
    }
    return "\n" + table.text
  }
}
