/// Swift source with comments and the text of strings blanked out, line for line: what is left is
/// code. Code inside string interpolations stays.
struct SwiftText: Sendable {
  let lines: [String]

  init(_ source: String) {
    var scanner = Scanner(bytes: Array(source.utf8))
    scanner.code(until: nil)
    lines = String(decoding: scanner.out, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private struct Scanner {
    let bytes: [UInt8]
    var out: [UInt8] = []
    var place = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    func at(_ text: String, _ offset: Int = 0) -> Bool {
      var index = place + offset
      for byte in text.utf8 {
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
      }
      return true
    }

    mutating func keep(_ count: Int = 1) {
      out += bytes[place..<min(place + count, bytes.count)]
      place += count
    }

    /// Newlines stay, so that line numbers do.
    mutating func blank(_ count: Int = 1) {
      for byte in bytes[place..<min(place + count, bytes.count)] {
        out.append(byte == UInt8(ascii: "\n") ? byte : UInt8(ascii: " "))
      }
      place += count
    }

    /// Copies code; with an end, until the parenthesis that closes an interpolation.
    mutating func code(until end: UInt8?) {
      var depth = 0
      while place < bytes.count {
        let byte = bytes[place]
        if at("//") {
          while place < bytes.count, bytes[place] != UInt8(ascii: "\n") { blank() }
        } else if at("/*") {
          comment()
        } else if byte == UInt8(ascii: "\"") {
          string(hashes: 0)
        } else if byte == UInt8(ascii: "#"), let hashes = rawStringHashes() {
          string(hashes: hashes)
        } else {
          if byte == UInt8(ascii: "(") { depth += 1 }
          if byte == end {
            if depth == 0 { return }
            depth -= 1
          }
          keep()
        }
      }
    }

    mutating func comment() {
      var depth = 0
      while place < bytes.count {
        if at("/*") {
          depth += 1
          blank(2)
        } else if at("*/") {
          depth -= 1
          blank(2)
          if depth == 0 { return }
        } else {
          blank()
        }
      }
    }

    func rawStringHashes() -> Int? {
      let count = bytes[place...].prefix { $0 == UInt8(ascii: "#") }.count
      return at("\"", count) ? count : nil
    }

    mutating func string(hashes: Int) {
      let fence = String(repeating: "#", count: hashes)
      let quote = at(fence + "\"\"\"") ? "\"\"\"" : "\""
      keep(hashes + quote.utf8.count)
      while place < bytes.count {
        if at(quote + fence) {
          keep(hashes + quote.utf8.count)
          return
        }
        if at("\\" + fence + "(") {
          blank(hashes + 2)
          code(until: UInt8(ascii: ")"))
          blank()
        } else if at("\\" + fence) {
          blank(hashes + 2)
        } else {
          blank()
        }
      }
    }
  }
}

extension StringProtocol {
  /// Whether `word` stands here with no letter, digit or underscore on either side.
  func hasWord(_ word: String) -> Bool { words.contains(Substring(word)) }

  /// The words of letters, digits and underscores.
  var words: [Substring] {
    Substring(self).split { !$0.isNamePart }
  }
}

extension Character {
  var isNamePart: Bool { isLetter || isNumber || self == "_" }
}
