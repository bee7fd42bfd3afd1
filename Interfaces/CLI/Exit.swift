import ArgumentParser
import Client
import Glibc
import Instruments
import Primitives
import Storage
import Wire

/// How a command ends that does not end well: one line on stderr and a code.
enum Exit {
  static let failed: Int32 = 1
  static let usage: Int32 = 2
  static let equivocation: Int32 = 4
  static let inputOutput: Int32 = 5

  static func with(_ error: any Error) -> Never {
    Children.yieldToSignal()
    if let code = code(error) {
      Screen.note("novate: \(error)")
      exit(code)
    }
    // The parser's own: help, version, completions and usage faults.
    let code = NovateCommand.exitCode(for: error)
    if code == .validationFailure {
      Screen.note("novate: \(NovateCommand.message(for: error)); see 'novate --help'")
      exit(usage)
    }
    NovateCommand.exit(withError: error)
  }

  /// The code of an error of our own; nil for the parser's.
  static func code(_ error: any Error) -> Int32? {
    switch error {
    case is FileFailure: inputOutput
    case let failure as StorageFailure: failure.isInputOutput ? inputOutput : failed
    case let failure as ChainFileFailure: failure.isUnreadable ? inputOutput : failed
    case is ClientFailure, is FolderFailure, is GenesisFailure, is InstrumentNameFailure,
      is CommandFailure:
      failed
    default: nil
    }
  }
}

extension StorageFailure {
  /// Whether the disk, a path or a right stood in the way, and not what is stored.
  var isInputOutput: Bool {
    switch self {
    case .diskFull, .fatalInputOutput, .system, .notAStore, .folderInUse, .database, .poisoned,
      .readersFull:
      true
    case .notEmpty, .otherNetwork, .otherRole, .newerFormat, .olderFormat, .alreadySigned,
      .recovering, .damaged, .missing, .readOnly, .journalDamaged, .journalGap, .groupTooLarge,
      .backupDamaged:
      false
    }
  }
}

/// A fault a command found itself, in one line.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
