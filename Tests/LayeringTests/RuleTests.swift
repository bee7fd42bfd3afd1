import Testing

/// The checker is shown what it must refuse; otherwise its silence would mean nothing.
@Suite("The house's rules") struct RuleTests {
  static let manifest = Manifest(
    """
    func room(_ name: String, in folder: String, _ dependencies: [Target.Dependency] = []) -> Target {
    let package = Package(targets: [
      .systemLibrary(
        name: "CSodium", path: "Sources/CSodium", providers: [.apt(["libsodium-dev"])]),
      room("Primitives", in: "Sources"),
      room("Commitments", in: "Sources", ["Primitives", "CSodium"]),
      room("Wire", in: "Interfaces", ["Primitives", "Commitments"]),
      room("Execution", in: "Layers", ["Primitives", "Wire"]),
      room("Clearing", in: "Layers", ["Primitives", "Wire"]),
      room("Settlement", in: "Layers", ["Primitives", "Wire", "Execution", "Clearing"]),
      room("Node", in: "Sources", ["Primitives", log] + nio),
      program("CLI", in: "Interfaces", ["Settlement"]),
      tests("WireTests", ["Wire"]),
    ])
    """)

  private func file(_ module: String, _ source: String) -> SourceFile {
    SourceFile(module: module, path: "\(module)/A.swift", source: source)
  }

  private func rules(_ module: String, _ source: String) -> [String] {
    Rules.all([file(module, source)], RuleTests.manifest).map(\.rule)
  }

  @Test("a manifest's targets and lists are read")
  func manifestIsRead() {
    #expect(RuleTests.manifest.targets.count == 10)
    #expect(RuleTests.manifest["Node"]?.dependencies == ["Primitives", "log", "nio"])
    #expect(RuleTests.manifest["Settlement"]?.path == "Layers/Settlement")
    #expect(RuleTests.manifest["WireTests"]?.isTest == true)
    #expect(RuleTests.manifest["CSodium"]?.isSystemLibrary == true)
    #expect(RuleTests.manifest.closure(of: "CLI").contains("CSodium"))
    #expect(Rules.targets(RuleTests.manifest) == [])
  }

  @Test("good code passes")
  func good() {
    #expect(
      rules(
        "Execution",
        """
        // No Double here; import Foundation is only said.
        public import Primitives
        import Wire
        let text = "await \\(count) Task"
        var owners: [Key: Int] = [:]
        let known = owners[key]
        let list = owners.keys.sorted()
        let fields: [(name: String, size: Int)] = []
        for field in fields { use(field) }
        """) == [])
  }

  @Test(
    "a broken import is named",
    arguments: [
      ("Primitives", "import Wire", "stands below"),
      ("Execution", "import Clearing", "stands below or beside"),
      ("Clearing", "@testable import Execution", "stands below or beside"),
      ("Wire", "public import Foundation", "imports no Foundation"),
      ("Clearing", "import Glibc", "imports no Glibc"),
      ("Settlement", "import struct NIOCore.ByteBuffer", "imports no NIOCore"),
      ("Wire", "import CSodium", "only Commitments imports CSodium"),
      ("Execution", "import Commitments", "Package.swift does not let"),
      ("Cellar", "import Primitives", "has no floor"),
      ("Node", "import Execution\nimport Clearing", "only those who replay"),
    ])
  func imports(module: String, source: String, rule: String) {
    #expect(rules(module, source).contains { $0.contains(rule) })
  }

  @Test(
    "what a core may not say is found",
    arguments: [
      "let x: Double = 0", "let y = Float(3)", "let now = ContinuousClock.now",
      "func f() async {}", "let n = value.hashValue", "let r = Int.random(in: 0..<3)",
      "let d = Date()", "xs.shuffle()", "Task { }", "print(CommandLine.arguments)",
      "let text = \"\\(Double(3))\"",
    ])
  func determinism(source: String) {
    #expect(!rules("Clearing", source).isEmpty)
    #expect(rules("CLI", source).isEmpty)
  }

  @Test("floating point is found everywhere but in the tools")
  func floatingPoint() {
    let source = "let ratio: Double = 1"
    for module in ["Primitives", "Calculators", "Client", "Node", "Storage", "SettlementNode"] {
      #expect(rules(module, source).contains { $0.contains("says no Double") }, "\(module)")
    }
    for module in ["Calibration", "CLI"] { #expect(rules(module, source).isEmpty, "\(module)") }
  }

  @Test(
    "a walk over a dictionary or a set is found",
    arguments: [
      "var a: [Key: Int] = [:]\nfor (k, v) in a { use(k, v) }",
      "let a = Set(xs)\nlet ys = a.map { $0 + 1 }",
      "let a = Dictionary<Int, Int>()\nlet total = a.values.reduce(0, +)",
      "var a: Set<Int> = []\nfor x in a where x > 0 { use(x) }",
      "func f(_ a: inout [UInt64: Int]) {\n a.forEach { use($0) } }",
    ])
  func unordered(source: String) {
    #expect(rules("Execution", source).contains { $0.contains("no order of ours") })
  }

  @Test("what hides a failure is found", arguments: ["try! f()", "let x = try? f()", "x as! Y"])
  func phrases(source: String) {
    #expect(rules("CLI", source).count == 1)
    #expect(
      Rules.forbiddenPhrases(
        SourceFile(
          module: "T", path: "T", source: source, isTest: true)) == [])
  }

  @Test("a long file is found, a table is not")
  func length() {
    let source = String(repeating: "let a = 1\n", count: 601)
    #expect(Rules.length(file("CLI", source)).count == 1)
    #expect(Rules.length(file("CLI", String(source.dropLast(10)))) == [])
    let table = SourceFile(module: "Pricing", path: "KernelTables.swift", source: source)
    #expect(Rules.length(table) == [])
  }

  @Test("an open end is found in a comment")
  func openEnds() {
    #expect(Rules.openEnds("A.swift", "// TO" + "DO: later").count == 1)
    #expect(Rules.openEnds("A.swift", "// todos and TO" + "DOS are fine") == [])
  }

  @Test(
    "socket code below settlement is found",
    arguments: ["\"Node\"", "nio", ".product(name: \"NIOCore\", package: \"swift-nio\")"])
  func sockets(dependency: String) {
    let manifest = Manifest(
      """
      room("Primitives", in: "Sources"),
      room("Wire", in: "Interfaces", ["Primitives", \(dependency)]),
      room("Settlement", in: "Layers", ["Wire"]),
      """)
    let places = Rules.targets(manifest).filter { $0.rule.contains("socket") }.map(\.place)
    #expect(places == ["Package.swift Settlement", "Package.swift Wire"])
  }

  @Test("a C module without a wrapper, and one wrapped twice, are found")
  func wrappers() {
    let manifest = Manifest(
      """
      .systemLibrary(name: "CMystery", path: "Sources/CMystery"),
      room("Storage", in: "Sources", ["CSodium"]),
      """)
    #expect(Rules.targets(manifest).count == 2)
  }
}
