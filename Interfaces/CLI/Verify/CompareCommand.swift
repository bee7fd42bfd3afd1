import ArgumentParser
import Client
import Glibc
import Primitives
import Settlement
import Wire

/// `novate compare A [B]`: looks for two signed headers of one role for one batch, for two signed
/// checkpoints of one size, and for acknowledgements that a batch does not keep.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Look for equivocation between two bundle files, or for a broken promise.",
    discussion: """
      One of the two may be acknowledgements kept by 'novate submit --keep': each must stand in the \
      other's batches where execution promised it. Without a second file they are shown to \
      settlement, which judges each and signs nothing more if one is broken. \
      Exit codes: 4 equivocation proved and the evidence written, 0 none found, 1 a file that is no \
      bundle file, 2 usage, 3 cannot decide, 5 a file could not be read or written.
      """)

  @Argument(help: "A bundle file, or kept acknowledgements.")
  var a: String

  @Argument(help: "Another one; without it settlement judges the acknowledgements.")
  var b: String?

  @Option(
    name: [.customLong("to"), .customLong("settlement")],
    help: ArgumentHelp(
      "Settlement's address; default: \(LayerAddress.settlement).", valueName: "address"),
    transform: LayerAddress.parse)
  var to: Address?

  @OptionGroup var network: NetworkOptions

  @Option(help: "Where to write the evidence; it must not be there yet.")
  var out = "equivocation.nve"

  private func write(_ evidence: [UInt8]) {
    do {
      try Files.create(out, evidence)
      Screen.say("evidence    \(out)")
    } catch {
      // The proof stands, written or not.
      Screen.error("\(error)")
    }
  }

  func run() throws {
    guard let b else { return try show() }
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
    case .kept(let count):
      Screen.say("NO PROMISE BROKEN: \(count) acknowledged bundles stand where they were promised.")
    case .undecided(let reason): Screen.say("CANNOT DECIDE: \(reason).")
    case .failed(let reason): Screen.say("FAILED: \(reason).")
    case .equivocation(let role, let batch, let evidence):
      let objects =
        role == "settlement"
        ? "two checkpoints of size \(batch.raw + 1)" : "two headers for batch \(batch)"
      Screen.say("EQUIVOCATION PROVED: \(role) signed \(objects).")
      write(evidence)
    case .brokenPromise(let bundle, let batch, let index, let evidence):
      Screen.say(
        "PROMISE BROKEN: execution acknowledged bundle \(bundle) at place \(index) of batch \(batch), and signed a batch without it there."
      )
      write(evidence)
    }
    Glibc.exit(outcome.exitCode)
  }

  /// Shows the acknowledgements to settlement.
  private func show() throws {
    let file = try Files.read(a, byteCountMax: VerifyCommand.byteCountMax)
    let kept: [SignedAcknowledgement]
    do throws(DecodingFailure) {
      kept = try KeptAcknowledgements.decoded(file)
    } catch {
      throw ValidationError("\(a): expected kept acknowledgements or a second file, found \(error)")
    }
    let client = try LayerClient(
      to: try to ?? LayerAddress.parse(LayerAddress.settlement), .settlement,
      genesis: try network.load().genesis)
    for promise in kept where try !client.judge(promise) {
      Screen.say(
        "PROMISE BROKEN: execution acknowledged bundle \(promise.leaf.bundle) at place \(promise.leaf.index) of batch \(promise.leaf.batch); settlement says so too, and is frozen."
      )
      Glibc.exit(Exit.equivocation)
    }
    Screen.say(
      "NO PROMISE BROKEN: \(kept.count) acknowledged bundles stand where they were promised.")
  }
}
