/// A source file and the module it belongs to.
struct SourceFile: Sendable {
  let module: String
  let path: String
  let text: SwiftText
  let isTest: Bool

  init(module: String, path: String, source: String, isTest: Bool = false) {
    self.module = module
    self.path = path
    self.isTest = isTest
    text = SwiftText(source)
  }

  /// Modules imported, with their line numbers.
  var imports: [(module: String, line: Int)] {
    text.lines.enumerated().compactMap { number, line in
      let words = line.split(separator: " ")
      guard let place = words.firstIndex(of: "import"), place + 1 < words.count,
        words[..<place].allSatisfy({ $0.hasPrefix("@") || SourceFile.accesses.contains($0) })
      else { return nil }
      // `import struct Module.Name` names a kind first.
      let last = words[words.count - 1]
      return (String(last.prefix { $0 != "." }), number + 1)
    }
  }

  private static let accesses: Set<Substring> = ["public", "package", "internal", "private"]
}

/// A broken rule: where, and which.
struct Violation: CustomStringConvertible, Equatable {
  let place: String
  let rule: String
  var description: String { "\(place): \(rule)" }
}

/// The rules, each from sources to violations, so that each can be shown a bad example.
enum Rules {
  static func all(_ files: [SourceFile], _ manifest: Manifest) -> [Violation] {
    files.flatMap { file in
      file.isTest
        ? forbiddenPhrases(file)
        : imports(file, manifest) + determinism(file) + floatingPoint(file) + unordered(file)
          + length(file) + forbiddenPhrases(file)
    } + targets(manifest)
  }

  // MARK: - Imports

  static func imports(_ file: SourceFile, _ manifest: Manifest) -> [Violation] {
    guard let floor = House.floors[file.module] else {
      return [Violation(place: file.path, rule: "module \(file.module) has no floor in the house")]
    }
    var found: [Violation] = []
    var layers: Set<String> = []
    for (module, line) in file.imports {
      func broken(_ rule: String) {
        found.append(Violation(place: "\(file.path):\(line)", rule: rule))
      }
      if let wrapper = House.wrappers[module] {
        if wrapper != file.module { broken("only \(wrapper) imports \(module)") }
      } else if let other = House.floors[module] {
        if other >= floor { broken("\(file.module) stands below or beside \(module)") }
        if House.layers.contains(module) { layers.insert(module) }
      } else if House.cores.contains(file.module) {
        broken("a core imports no \(module)")
      }
      let isOurs = House.floors[module] != nil || House.wrappers[module] != nil
      if isOurs, manifest[file.module]?.dependencies.contains(module) != true {
        broken("Package.swift does not let \(file.module) import \(module)")
      }
    }
    if layers == House.layers, !House.replayers.contains(file.module) {
      found.append(Violation(place: file.path, rule: "only those who replay know both layers"))
    }
    return found
  }

  /// The same on the target graph: what a target is allowed to import.
  static func targets(_ manifest: Manifest) -> [Violation] {
    var found: [Violation] = []
    for target in manifest.targets where !target.isTest {
      func broken(_ rule: String) {
        found.append(Violation(place: "Package.swift \(target.name)", rule: rule))
      }
      if target.isSystemLibrary {
        if House.wrappers[target.name] == nil { broken("a C module needs one wrapper") }
        continue
      }
      guard let floor = House.floors[target.name] else {
        broken("module has no floor in the house")
        continue
      }
      for dependency in target.dependencies {
        if let wrapper = House.wrappers[dependency], wrapper != target.name {
          broken("only \(wrapper) may depend on \(dependency)")
        }
        if let other = House.floors[dependency], other >= floor {
          broken("stands below or beside \(dependency)")
        }
      }
      if target.dependencies.contains("Execution"), target.dependencies.contains("Clearing"),
        !House.replayers.contains(target.name)
      {
        broken("only those who replay know both layers")
      }
    }
    for core in House.cores.sorted() where manifest[core] != nil {
      let reached = manifest.closure(of: core).intersection(House.socketTargets).sorted()
      if !reached.isEmpty {
        found.append(
          Violation(
            place: "Package.swift \(core)",
            rule: "is linked with socket code: \(reached.joined(separator: ", "))"))
      }
    }
    return found
  }

  // MARK: - Cores

  /// No clock, randomness, task, environment or floating point in a core.
  static func determinism(_ file: SourceFile) -> [Violation] {
    guard House.cores.contains(file.module) else { return [] }
    var found: [Violation] = []
    for (number, line) in file.text.lines.enumerated() {
      let words = Set(line.words.map(String.init))
      for word in House.forbiddenWords where words.contains(word) {
        found.append(Violation(place: "\(file.path):\(number + 1)", rule: "a core says no \(word)"))
      }
      if line.contains(".random(in") {
        found.append(Violation(place: "\(file.path):\(number + 1)", rule: "a core draws no lots"))
      }
    }
    return found
  }

  /// Floating point stays in the tools.
  static func floatingPoint(_ file: SourceFile) -> [Violation] {
    guard !House.floatingPoint.contains(file.module) else { return [] }
    return file.text.lines.enumerated().flatMap { number, line in
      let words = Set(line.words.map(String.init))
      return House.floatingPointWords.filter(words.contains).map {
        Violation(place: "\(file.path):\(number + 1)", rule: "\(file.module) says no \($0)")
      }
    }
  }

  /// Dictionaries and sets of a core are looked up, not walked: their order differs per process. A
  /// walk that is sorted on the same line, or only tests, passes.
  static func unordered(_ file: SourceFile) -> [Violation] {
    guard House.cores.contains(file.module) else { return [] }
    let names = unorderedNames(file.text.lines)
    guard !names.isEmpty else { return [] }
    var found: [Violation] = []
    for (number, line) in file.text.lines.enumerated() where !line.contains(".sorted") {
      for name in names where walks(line, name) {
        found.append(
          Violation(
            place: "\(file.path):\(number + 1)", rule: "\(name) is walked in no order of ours"))
      }
    }
    return found
  }

  private static func unorderedNames(_ lines: [String]) -> [String] {
    let declaration =
      #/\b(?:var|let|inout)?\s*(\w+)\s*(?::|=)\s*(?:inout\s+|borrowing\s+)?(?:\[\s*[\w.]+\s*:\s*[\w.(\[]|Set\s*[<(]|Dictionary\s*[<(])/#
    var names: Set<String> = []
    // What is sorted where it is made is an array.
    for line in lines where !line.contains(".sorted") {
      for match in line.matches(of: declaration) { names.insert(String(match.output.1)) }
    }
    return names.sorted()
  }

  private static func walks(_ line: String, _ name: String) -> Bool {
    guard line.hasWord(name) else { return false }
    let calls = [
      "keys", "values", "map", "compactMap", "flatMap", "forEach", "reduce", "first",
      "enumerated", "min", "max", "randomElement", "popFirst",
    ]
    let isCalled = calls.contains { call in
      line.ranges(of: "\(name).\(call)").contains {
        !(line[$0.upperBound...].first?.isNamePart ?? false)
          && !(line[..<$0.lowerBound].last?.isNamePart ?? false)
      }
    }
    if isCalled { return true }
    guard let range = line.firstRange(of: " in ") else { return false }
    return line.hasWord("for") && line[range.upperBound...].words.first.map(String.init) == name
      && !line[range.upperBound...].contains("\(name)[")
  }

  // MARK: - Everywhere

  static func length(_ file: SourceFile) -> [Violation] {
    let count = file.text.lines.count - 1
    guard count > House.lineCountMax, !file.path.hasSuffix("Tables.swift") else { return [] }
    return [
      Violation(
        place: file.path, rule: "\(count) lines, at most \(House.lineCountMax) are allowed")
    ]
  }

  /// Nothing that hides a failure, and no promise left open. Tests may insist.
  static func forbiddenPhrases(_ file: SourceFile) -> [Violation] {
    var found: [Violation] = []
    let phrases = file.isTest ? [] : ["try!", "try?", "as!"]
    for (number, line) in file.text.lines.enumerated() {
      for phrase in phrases where line.contains(phrase) && !line.contains("as!=") {
        let isWord = line.firstRange(of: phrase).map {
          !(line[..<$0.lowerBound].last?.isNamePart ?? false)
        }
        if isWord == true {
          found.append(Violation(place: "\(file.path):\(number + 1)", rule: "no \(phrase)"))
        }
      }
    }
    return found
  }

  /// Words of an unfinished thing, comments included.
  static func openEnds(_ path: String, _ source: String) -> [Violation] {
    source.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap {
      number, line in
      for word in ["TO" + "DO", "FIX" + "ME", "XX" + "X"] where line.hasWord(word) {
        return Violation(place: "\(path):\(number + 1)", rule: "no \(word)")
      }
      return nil
    }
  }
}
