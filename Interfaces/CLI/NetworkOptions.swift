import ArgumentParser
import Client
import Glibc
import Primitives
import Wire

/// Which network a command talks about.
struct NetworkOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The network's manifest; default: genesis.json here, or in novate-data/demo.",
      valueName: "file"))
  var genesis: String?

  private static let places = ["genesis.json", "novate-data/demo/genesis.json"]

  /// The manifest's path.
  func path() throws -> String {
    if let genesis { return genesis }
    guard let path = NetworkOptions.places.first(where: Files.exists) else {
      throw ValidationError(
        "--genesis: expected a file, found neither \(NetworkOptions.places.joined(separator: " nor "))"
      )
    }
    return path
  }

  /// The manifest, and the folder its keys stand beside it in.
  func load() throws -> (genesis: Genesis, folder: NetworkFolder) {
    let path = try path()
    return (try NetworkFolder.genesis(at: path), NetworkFolder(Files.parent(of: path)))
  }
}

/// The addresses layers listen at.
enum LayerAddress {
  static let execution = "127.0.0.1:7701"
  static let clearing = "127.0.0.1:7702"
  static let settlement = "127.0.0.1:7703"

  static func parse(_ text: String) throws -> Address {
    do throws(AddressFailure) {
      return try Address(text)
    } catch {
      throw ValidationError("\(error)")
    }
  }
}

/// Text in columns: the last stands free, the others are as wide as their widest cell.
struct TextTable {
  private var rows: [[String]] = []
  /// Columns that stand to the right.
  let right: Set<Int>

  init(right: Set<Int> = []) { self.right = right }

  mutating func add(_ cells: String...) { rows.append(cells) }

  var text: String {
    let columnCount = rows.map(\.count).max() ?? 0
    let widths = (0..<columnCount).map { column in
      rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0
    }
    var text = ""
    for row in rows {
      var line = ""
      for (column, cell) in row.enumerated() {
        let space = String(repeating: " ", count: widths[column] - cell.count)
        let isLast = column == row.count - 1
        if right.contains(column) {
          line += space + cell
        } else {
          line += cell + (isLast ? "" : space)
        }
        if !isLast { line += "  " }
      }
      text += line + "\n"
    }
    return text
  }
}

extension JSONValue {
  /// A member as people read it; `-` where there is none.
  func word(_ key: String) -> String {
    switch self[key] {
    case .string(let text)?: text
    case .number(let text)?: text
    case .bool(let value)?: value ? "yes" : "no"
    case .null?, .array?, .object?, nil: "-"
    }
  }

  /// The elements of a member that is a list; none otherwise.
  func list(_ key: String) -> [JSONValue] {
    if case .array(let elements)? = self[key] { elements } else { [] }
  }
}
