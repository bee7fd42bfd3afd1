import ArgumentParser
import Client
import Glibc
import Primitives
import Settlement
import Wire

/// `novate compare A B`: looks for two signed headers of one role for one batch, and for two signed
/// checkpoints of one size.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Look for equivocation between two bundle files.",
    discussion: """
      Exit codes: 4 equivocation proved and the evidence written, 0 none found, 1 a file that is no \
      bundle file, 2 usage, 3 cannot decide, 5 a file could not be read or written.
      """)

  @Argument(help: "A bundle file.")
  var a: String

  @Argument(help: "Another one.")
  var b: String

  @Option(help: "Where to write the evidence; it must not be there yet.")
  var out = "equivocation.nve"

  func run() throws {
    let first: [UInt8]
    let second: [UInt8]
    do {
      first = try Files.read(a, byteCountMax: VerifyCommand.byteCountMax)
      second = try Files.read(b, byteCountMax: VerifyCommand.byteCountMax)
    } catch {
      Screen.error("\(error)")
      Glibc.exit(Exit.inputOutput)
    }
    let outcome = Comparison.compare(first, second)
    switch outcome {
    case .none(let common):
      Screen.say("NO EQUIVOCATION in \(common) batches that stand in both files.")
    case .undecided(let reason): Screen.say("CANNOT DECIDE: \(reason).")
    case .failed(let reason): Screen.say("FAILED: \(reason).")
    case .equivocation(let role, let batch, let evidence):
      let objects =
        role == "settlement"
        ? "two checkpoints of size \(batch.raw + 1)" : "two headers for batch \(batch)"
      Screen.say("EQUIVOCATION PROVED: \(role) signed \(objects).")
      do {
        try Files.create(out, evidence)
        Screen.say("evidence    \(out)")
      } catch {
        // The proof stands, written or not.
        Screen.error("\(error)")
      }
    }
    Glibc.exit(outcome.exitCode)
  }
}
