import ArgumentParser
import Client
import Glibc
import Instruments
import Primitives
import Wire

/// `novate`, for people.
@main struct Novate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "novate",
    abstract: "A derivatives clearing stack that anyone can verify.",
    discussion: """
      Exit codes: 0 done, 1 failed, 2 usage, 5 a file could not be read or written. 'verify' and \
      'compare' have codes of their own.
      """,
    version: "novate \(Version.text)",
    subcommands: [InitCommand.self, KeyCommand.self, DoctorCommand.self])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Exit.with(error)
    }
  }
}

/// How a command ends that does not end well: one line on stderr and a code.
enum Exit {
  static let failed: Int32 = 1
  static let usage: Int32 = 2
  static let inputOutput: Int32 = 5

  static func with(_ error: any Error) -> Never {
    if let code = code(error) {
      Standard.error("novate: \(error)\n")
      exit(code)
    }
    // The parser's own: help, version, completions and usage faults.
    let code = Novate.exitCode(for: error)
    if code == .validationFailure {
      Standard.error("novate: \(Novate.message(for: error)); see 'novate --help'\n")
      exit(usage)
    }
    Novate.exit(withError: error)
  }

  /// The code of an error of our own; nil for the parser's.
  static func code(_ error: any Error) -> Int32? {
    switch error {
    case is FileFailure: inputOutput
    case is FolderFailure, is GenesisFailure, is InstrumentNameFailure, is CommandFailure: failed
    default: nil
    }
  }
}

/// A fault a command found itself, in one line.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Plain bytes to the standard streams.
enum Standard {
  static func output(_ text: String) { write(text, to: STDOUT_FILENO) }
  static func error(_ text: String) { write(text, to: STDERR_FILENO) }

  private static func write(_ text: String, to descriptor: Int32) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress.map { unsafe $0 + done }, $0.count - done)
      }
      if count < 0, errno == EINTR { continue }
      // Nobody reads any more.
      guard count > 0 else { return }
      done += count
    }
  }
}

/// The system's clocks, for commands.
enum SystemClock {
  /// Milliseconds since 1970, UTC.
  static var now: Timestamp { Timestamp(raw: realNanoseconds / 1_000_000) }
  static var realNanoseconds: Int64 { nanoseconds(CLOCK_REALTIME) }
  static var monotonicNanoseconds: Int64 { nanoseconds(CLOCK_MONOTONIC) }

  private static func nanoseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    precondition(unsafe clock_gettime(clock, &time) == 0, "the system has no such clock")
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
