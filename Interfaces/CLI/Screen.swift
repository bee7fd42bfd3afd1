import Glibc

/// What people see: results on stdout, progress and errors on stderr.
enum Screen {
  static func say(_ line: String) { write(line + "\n", to: 1) }
  static func note(_ line: String) { write(line + "\n", to: 2) }
  static func error(_ line: String) { write("novate: \(line)\n", to: 2) }

  static var isTerminal: Bool { isatty(2) == 1 }

  static func write(_ text: String, to file: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(file, $0.baseAddress, $0.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      bytes = bytes.dropFirst(count)
    }
  }
}

/// A progress bar on a terminal, a line every tenth elsewhere.
final class Progress {
  private let title: String
  private let total: Int
  private var shown = -1

  init(_ title: String, total: Int) {
    self.title = title
    self.total = max(1, total)
  }

  func show(_ done: Int) {
    let tenth = done * (Screen.isTerminal ? 40 : 10) / total
    guard tenth != shown else { return }
    shown = tenth
    if Screen.isTerminal {
      let bar =
        String(repeating: "#", count: tenth) + String(repeating: ".", count: max(0, 40 - tenth))
      Screen.write("\r\(title) [\(bar)] \(done)/\(total)", to: 2)
    } else {
      Screen.note("\(title) \(done)/\(total)")
    }
  }

  func finish() { if Screen.isTerminal { Screen.write("\n", to: 2) } }
}
