import ArgumentParser

/// The one tool for people.
@main struct NovateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "novate",
    abstract: "A derivatives clearing stack that nobody has to trust.",
    version: "novate 0.1.0",
    subcommands: [DemoCommand.self])
}
