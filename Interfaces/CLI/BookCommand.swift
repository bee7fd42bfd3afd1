import ArgumentParser
import Client
import Instruments
import Primitives
import Wire

/// `novate book INSTRUMENT`: an order book's best levels.
struct BookCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "book", abstract: "Show an instrument's order book.")

  @Argument(help: "The instrument, such as BTC-PERP or BTC-27MAR26-60000-C.")
  var instrument: String

  @Option(
    name: [.customLong("to"), .customLong("execution")],
    help: ArgumentHelp(
      "Execution's address; default: \(LayerAddress.execution).", valueName: "address"),
    transform: LayerAddress.parse)
  var to: Address?

  @Flag(help: "As one JSON object.")
  var json = false

  @OptionGroup var network: NetworkOptions

  func run() throws {
    let name: InstrumentName
    do throws(InstrumentNameFailure) {
      name = try InstrumentName(instrument)
    } catch {
      throw ValidationError("\(error)")
    }
    let (genesis, _) = try network.load()
    let client = try LayerClient(
      to: try to ?? LayerAddress.parse(LayerAddress.execution), .execution, genesis: genesis)
    guard let id = try client.instruments().id(of: name) else {
      throw CommandFailure("\(client.address): expected a listed instrument, found \(name)")
    }
    let book = try client.book(id)
    Screen.write(json ? book.text() + "\n" : BookCommand.text(book), to: 1)
  }

  private static func text(_ book: JSONValue) -> String {
    var head = TextTable()
    for key in ["instrument", "batch", "root", "mark"] { head.add(key, book.word(key)) }
    var table = TextTable(right: [1, 2, 3])
    table.add("", "price", "quantity", "orders")
    func add(_ side: String, _ level: JSONValue) {
      guard case .array(let cells) = level, cells.count == 3 else { return }
      let level = JSONValue.object([
        ("price", cells[0]), ("quantity", cells[1]), ("orders", cells[2]),
      ])
      table.add(side, level.word("price"), level.word("quantity"), level.word("orders"))
    }
    let (asks, bids) = (book.list("asks"), book.list("bids"))
    for level in asks.reversed() { add("ask", level) }
    for level in bids { add("bid", level) }
    return head.text + "\n" + (asks.isEmpty && bids.isEmpty ? "no orders\n" : table.text)
  }
}
