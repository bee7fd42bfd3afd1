import Primitives
import Wire

/// Why a line is no row of the table.
public enum CSVFailure: Error, Hashable, Sendable {
  /// The header names a column nobody knows.
  case column(String)
  case columnTwice(String)
  /// A row has another number of cells than the header.
  case cellCount(expected: Int, found: Int)
  /// A quotation mark stands inside a cell, or is not closed on the line.
  case quotation(cell: Int)
  /// A cell is not UTF-8.
  case encoding(cell: Int)
}

extension CSVFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .column(let name): "found unknown column \"\(name)\""
    case .columnTwice(let name): "found column \"\(name)\" twice"
    case .cellCount(let expected, let found): "expected \(expected) cells, found \(found)"
    case .quotation(let cell): "cell \(cell): found a stray or open quotation mark"
    case .encoding(let cell): "cell \(cell): expected UTF-8"
    }
  }
}

/// Comma-separated cells (RFC 4180) of one line; a quoted cell holds no line end.
enum CSV {
  static func cells(_ line: ArraySlice<UInt8>) throws(CSVFailure) -> [String] {
    let (comma, mark) = (UInt8(ascii: ","), UInt8(ascii: "\""))
    var cells: [String] = []
    var index = line.startIndex
    while true {
      var cell: [UInt8] = []
      let number = cells.count + 1
      if index < line.endIndex, line[index] == mark {
        index += 1
        while true {
          guard index < line.endIndex else { throw .quotation(cell: number) }
          defer { index += 1 }
          if line[index] != mark {
            cell.append(line[index])
          } else if index + 1 < line.endIndex, line[index + 1] == mark {
            cell.append(mark)
            index += 1
          } else {
            break
          }
        }
        guard index == line.endIndex || line[index] == comma else {
          throw .quotation(cell: number)
        }
      } else {
        let end = line[index...].firstIndex(of: comma) ?? line.endIndex
        cell = Array(line[index..<end])
        guard !cell.contains(mark) else { throw .quotation(cell: number) }
        index = end
      }
      guard let text = String(validating: cell, as: UTF8.self) else {
        throw .encoding(cell: number)
      }
      cells.append(text)
      if index == line.endIndex { return cells }
      index += 1
    }
  }

  /// The row as the object that JSON Lines would hold: an empty cell is an absent key, `true` and
  /// `false` in the columns `booleans` are booleans, everything else is a string.
  static func object(_ line: ArraySlice<UInt8>, columns: [String], booleans: Set<String>)
    throws(CSVFailure) -> JSONValue
  {
    let cells = try cells(line)
    guard cells.count == columns.count else {
      throw .cellCount(expected: columns.count, found: cells.count)
    }
    var members: [(key: String, value: JSONValue)] = []
    for (column, cell) in zip(columns, cells) where !cell.isEmpty {
      let isBoolean = booleans.contains(column) && (cell == "true" || cell == "false")
      members.append((column, isBoolean ? .bool(cell == "true") : .string(cell)))
    }
    return .object(members)
  }
}
