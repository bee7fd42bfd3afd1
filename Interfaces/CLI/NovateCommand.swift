import ArgumentParser
import Primitives

/// `novate`, for people.
@main struct NovateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "novate",
    abstract: "A derivatives clearing stack that nobody has to trust.",
    discussion: """
      Exit codes: 0 done, 1 failed, 2 usage, 5 a file could not be read or written. 'verify' and \
      'compare' have codes of their own.
      """,
    version: "novate \(Version.text)",
    subcommands: [
      DemoCommand.self, InitCommand.self, KeyCommand.self, SubmitCommand.self, AccountCommand.self,
      BookCommand.self, StatusCommand.self, WatchCommand.self, ExportCommand.self,
      VerifyCommand.self, CompareCommand.self, ProveCommand.self, BackupCommand.self,
      RestoreCommand.self, ScrubCommand.self, PriceCommand.self, SurfaceCommand.self,
      MarginCommand.self, BenchCommand.self, DoctorCommand.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Exit.with(error)
    }
  }
}
