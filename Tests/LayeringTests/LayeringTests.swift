import Foundation
import Testing

/// The package's root, found from this file.
private let root = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// The whole tree, read once.
private struct Tree: Sendable {
  let manifest: Manifest
  var files: [SourceFile] = []
  var sources: [(path: String, source: String)] = []

  init() throws {
    let package = try String(
      contentsOf: root.appendingPathComponent("Package.swift"), encoding: .utf8)
    manifest = Manifest(package)
    for folder in ["Sources", "Layers", "Interfaces", "Tests"] {
      let start = root.appendingPathComponent(folder)
      for path in try FileManager.default.subpathsOfDirectory(atPath: start.path).sorted()
      where path.hasSuffix(".swift") {
        let source = try String(contentsOf: start.appendingPathComponent(path), encoding: .utf8)
        let place = "\(folder)/\(path)"
        let module = String(path.prefix { $0 != "/" })
        files.append(
          SourceFile(module: module, path: place, source: source, isTest: folder == "Tests"))
        sources.append((place, source))
      }
    }
  }
}

@Suite("The house") struct LayeringTests {
  private static let shared = Result { try Tree() }
  private let tree: Tree
  init() throws { tree = try LayeringTests.shared.get() }

  @Test("imports go one way, cores are functions of their inputs, files are short")
  func rules() {
    for violation in Rules.all(tree.files, tree.manifest) { Issue.record("\(violation)") }
  }

  @Test("nothing is left open in a comment")
  func openEnds() {
    for (path, source) in tree.sources {
      for violation in Rules.openEnds(path, source) { Issue.record("\(violation)") }
    }
  }

  @Test("every module in the tree is a target of its own name and folder")
  func rooms() {
    for file in tree.files where !file.isTest {
      let target = tree.manifest[file.module]
      #expect(target != nil, "\(file.path): Package.swift has no target \(file.module)")
      if let target { #expect(file.path.hasPrefix(target.path + "/")) }
    }
    #expect(tree.manifest.targets.count > 20 && tree.files.count > 100)
  }

  @Test("settlement, and with it the verifier, is linked from the house's own rooms alone")
  func settlement() {
    let reached = tree.manifest.closure(of: "Settlement")
    let allowed = House.cores.union(["CSodium", "CCrypto", "CDigest", "CMemory"])
    #expect(reached.subtracting(allowed).sorted() == [])
    #expect(reached.contains("Execution") && reached.contains("Clearing"))
  }
}
