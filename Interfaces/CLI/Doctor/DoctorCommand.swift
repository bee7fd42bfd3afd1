import ArgumentParser
import Primitives
import Wire

/// `novate doctor`: whether this machine can run the stack.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check libraries, disk, clock, signatures, keys and the machines themselves.",
    discussion: "Exit code 0 when nothing failed, 1 otherwise; a warning is no failure.")

  @Option(help: "A network's folder, as 'init' made it: check its manifest, keys and disk.")
  var dir: String?

  @Flag(help: "As one JSON object.")
  var json = false

  func run() throws {
    let checks = Examination(folder: dir).checks()
    let hasFailed = checks.contains { $0.status == .fail }
    Screen.write(json ? DoctorCommand.json(checks) : DoctorCommand.text(checks), to: 1)
    if hasFailed { throw ExitCode(Exit.failed) }
  }

  static func text(_ checks: [Check]) -> String {
    let width = checks.map(\.name.utf8.count).max() ?? 0
    return checks.map { check in
      let padding = String(repeating: " ", count: width - check.name.utf8.count)
      return "\(check.status.rawValue.uppercased())  \(check.name)\(padding)  \(check.detail)\n"
    }.joined()
  }

  /// `{"schema","version","status","checks":[{"name","status","detail"}]}`.
  static func json(_ checks: [Check]) -> String {
    let worst: Check.Status =
      checks.contains { $0.status == .fail }
      ? .fail : checks.contains { $0.status == .warn } ? .warn : .pass
    let value: JSONValue = [
      "schema": "novate.doctor/1", "version": .string(Version.text),
      "status": .string(worst.rawValue),
      "checks": .array(
        checks.map {
          [
            "name": .string($0.name), "status": .string($0.status.rawValue),
            "detail": .string($0.detail),
          ]
        }),
    ]
    return value.text() + "\n"
  }
}

/// One thing looked at.
struct Check: Hashable {
  enum Status: String {
    case pass, warn, fail
  }

  let name: String
  let status: Status
  let detail: String

  init(_ name: String, _ status: Status, _ detail: String) {
    self.name = name
    self.status = status
    self.detail = detail
  }
}
