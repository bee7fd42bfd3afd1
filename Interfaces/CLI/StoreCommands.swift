import ArgumentParser
import Storage

/// `novate backup DIR OUT`: a copy of a layer's database beside the running layer.
struct BackupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "Copy a layer's database while it runs.",
    discussion: """
      OUT gets data.mdb and SHA256SUMS. Journal and highwater stay behind: they belong to one \
      machine's one history. Prints the copy's SHA-256.
      """)

  @Argument(help: "The layer's folder.")
  var folder: String

  @Argument(help: "The folder to write; it must be empty or new.")
  var out: String

  @Flag(help: "Leave free pages out; slower, smaller.")
  var compact = false

  func run() throws {
    let digest = try Backup.copy(from: folder, to: out, isCompact: compact)
    Screen.say("\(digest)  \(out)/data.mdb")
  }
}

/// `novate restore IN DIR`: a backup becomes a folder that starts *recovering*.
struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Put a backup into a new folder; the layer starts recovering.",
    discussion: """
      The copy is checked against its SHA256SUMS. A restored layer signs nothing before it has seen \
      again what it signed after the backup was made.
      """)

  @Argument(help: "The backup.")
  var backup: String

  @Argument(help: "The folder to make; it must be empty or new.")
  var folder: String

  func run() throws {
    try Backup.restore(backup, to: folder)
    Screen.say("\(folder): restored, recovering")
  }
}

/// `novate scrub DIR`: a walk over everything a layer stored.
struct ScrubCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scrub",
    abstract: "Check everything a layer has stored, by hash, beside the running layer.",
    discussion: """
      Names each damage on a line of stdout. Exit code 1 when there is one, 5 when something could \
      not be read at all.
      """)

  @Argument(help: "The layer's folder.")
  var folder: String

  func run() throws {
    let report = try Scrub.run(folder)
    for damage in report.damages { Screen.say("\(folder): \(damage)") }
    let head = report.head.map { "batch \($0.seq)" } ?? "no batch"
    Screen.say(
      """
      \(folder): \(report.isSound ? "sound" : "\(report.damages.count) damaged"), \(head); \
      \(report.valueCount) values of \(report.valueByteCount) bytes, \(report.pageCount) pages in \
      use, \(report.freePageCount) free, \(report.journalGroupCount) journal groups
      """)
    if !report.isSound { throw ExitCode(Exit.failed) }
  }
}
