/// What Package.swift says of targets, read as text: calls of `room`, `program`, `tests`, `.target`
/// and `.systemLibrary`.
struct Manifest: Sendable {
  struct Target: Sendable {
    var name: String
    /// The folder it lives in, from the package's root.
    var path: String
    /// Names of targets and products; a list written as a variable stands under its name.
    var dependencies: [String]
    var isTest: Bool
    var isSystemLibrary: Bool
  }

  let targets: [Target]

  subscript(name: String) -> Target? { targets.first { $0.name == name } }

  init(_ source: String) {
    var found: [Target] = []
    for (helper, isTest) in [("room(", false), ("program(", false), ("tests(", true)] {
      for call in Manifest.calls(helper, in: source) {
        let quoted = Manifest.quoted(call.prefix { $0 != "[" })
        guard let name = quoted.first else { continue }
        let folder = isTest ? "Tests" : quoted.count > 1 ? quoted[1] : ""
        found.append(
          Target(
            name: name, path: "\(folder)/\(name)", dependencies: Manifest.dependencies(call),
            isTest: isTest, isSystemLibrary: false))
      }
    }
    for (helper, isSystem) in [(".target(", false), (".systemLibrary(", true)] {
      for call in Manifest.calls(helper, in: source) {
        guard let name = Manifest.value("name", in: call),
          let path = Manifest.value("path", in: call)
        else { continue }
        found.append(
          Target(
            name: name, path: path, dependencies: isSystem ? [] : Manifest.dependencies(call),
            isTest: path.hasPrefix("Tests/"), isSystemLibrary: isSystem))
      }
    }
    targets = found
  }

  /// Everything `name` is linked from, itself included.
  func closure(of name: String) -> Set<String> {
    var seen: Set<String> = []
    var open = [name]
    while let next = open.popLast() {
      guard seen.insert(next).inserted else { continue }
      open += self[next]?.dependencies ?? []
    }
    return seen
  }

  /// The arguments of each call of `helper`, its definition left out.
  private static func calls(_ helper: String, in source: String) -> [Substring] {
    var calls: [Substring] = []
    var rest = Substring(source)
    while let range = rest.firstRange(of: helper) {
      let before = source[..<range.lowerBound]
      rest = source[range.upperBound...]
      if before.hasSuffix("func ") || before.last?.isNamePart == true { continue }
      var depth = 1
      let end = rest.firstIndex { character in
        if character == "(" { depth += 1 }
        if character == ")" { depth -= 1 }
        return depth == 0
      }
      guard let end else { continue }
      calls.append(rest[..<end])
    }
    return calls
  }

  private static func quoted(_ text: Substring) -> [String] {
    text.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
      .compactMap { $0.offset % 2 == 1 ? String($0.element) : nil }
  }

  private static func value(_ label: String, in call: Substring) -> String? {
    guard let range = call.firstRange(of: "\(label): \"") else { return nil }
    return String(call[range.upperBound...].prefix { $0 != "\"" })
  }

  /// The first list of the call, and what is added to it.
  private static func dependencies(_ call: Substring) -> [String] {
    guard let start = call.firstIndex(of: "["), let end = call[start...].firstIndex(of: "]") else {
      return []
    }
    let list = call[call.index(after: start)..<end]
    let names = list.split(separator: ",").map { item in
      quoted(item).first ?? item.words.first.map(String.init) ?? ""
    }
    let added = call[call.index(after: end)...].prefix { $0 != "," }.words.map(String.init)
    return (names + added).filter { !$0.isEmpty }
  }
}
