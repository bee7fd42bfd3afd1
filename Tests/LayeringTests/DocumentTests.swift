import Foundation
import Testing

/// What documents say of the tree: names that would otherwise rot.
@Suite("Documents") struct DocumentTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static func texts() throws -> [(name: String, text: String)] {
    var names = ["README.md", "CONTRIBUTING.md", "COMPATIBILITY.md"]
    let docs = root.appendingPathComponent("Docs")
    for path in try FileManager.default.subpathsOfDirectory(atPath: docs.path).sorted()
    where path.hasSuffix(".md") && !path.hasPrefix("Decisions") {
      names.append("Docs/\(path)")
    }
    return try names.map {
      ($0, try String(contentsOf: root.appendingPathComponent($0), encoding: .utf8))
    }
  }

  /// Everything between single backquotes.
  private static func quoted(_ text: String) -> [String] {
    text.split(separator: "\n").flatMap { line in
      line.split(separator: "`", omittingEmptySubsequences: false).enumerated()
        .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }
  }

  private static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
  }

  /// Whether a target, or a suite in it, is there.
  private static func isSuite(_ name: String) throws -> Bool {
    let parts = name.split(separator: "/").map(String.init)
    let folder = root.appendingPathComponent("Tests/\(parts[0])")
    guard exists("Tests/\(parts[0])") else { return false }
    guard parts.count > 1 else { return true }
    for file in try FileManager.default.contentsOfDirectory(atPath: folder.path)
    where file.hasSuffix(".swift") {
      let source = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
      if source.contains("struct \(parts[1]) {") { return true }
    }
    return false
  }

  @Test("every suite, file and folder that a document names is there")
  func names() throws {
    var suites = 0
    var paths = 0
    for (name, text) in try Self.texts() {
      for word in Self.quoted(text) {
        let first = String(word.prefix { $0 != "/" })
        if first.hasSuffix("Tests"), first != "Tests", !first.contains(" ") {
          suites += 1
          let isThere = try Self.isSuite(word)
          #expect(isThere, "\(name) names \(word)")
        }
        let isPath = ["Sources", "Layers", "Interfaces", "Tests", "Docs"].contains(first)
        if isPath, word.contains("/"), !word.contains(where: { " *…<".contains($0) }) {
          paths += 1
          #expect(Self.exists(word), "\(name) names \(word)")
        }
      }
    }
    #expect(suites > 20 && paths > 5, "found \(suites) suites and \(paths) paths")
  }

  @Test("every link between documents leads somewhere")
  func links() throws {
    for (name, text) in try Self.texts() {
      let folder = name.split(separator: "/").dropLast().joined(separator: "/")
      for part in text.components(separatedBy: "](").dropFirst() {
        let target = part.prefix { $0 != ")" && $0 != "#" }
        guard !target.isEmpty, !target.contains(":") else { continue }
        let path = folder.isEmpty ? String(target) : "\(folder)/\(target)"
        #expect(Self.exists(path), "\(name) links to \(target)")
      }
    }
  }
}
