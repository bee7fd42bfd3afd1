import ArgumentParser
import Client
import Commitments
import Glibc
import Primitives
import Settlement
import Wire

/// `novate verify`: judges bundle files offline, by genesis and policy alone.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Verify bundle files offline.",
    discussion: """
      Opens no connection and reads no clock. Exit codes: 0 verified at the level asked for, \
      1 proved false, 2 usage, 3 cannot decide, 4 equivocation proved, 5 a file could not be read; \
      of several files the worst, in the order 4, 1, 3, 5, 2, 0.
      """)

  @Argument(help: "Bundle files (.nvb, .nve).")
  var files: [String]

  @Option(help: "The genesis hash you pinned, or a genesis file.")
  var genesis: String

  @Option(help: "A witness policy in sigsum's syntax; without it the quorum of genesis.")
  var policy: String?

  @Option(
    help: "framing, chain, inclusion, replay or log; without it all the file's kind requires.")
  var level: String?

  @Option(help: "Answer for this account.")
  var account: UInt32?

  @Option(
    help: "Answer for this trade; a7 for why auction 7 began.", transform: DecisionID.parse)
  var trade: DecisionID?

  @Option(help: "Nothing may be stamped later: milliseconds since 1970, UTC.")
  var at: Int64?

  @Flag(help: "One JSON object a file.")
  var json = false

  @Flag(help: "The verdict's line alone.")
  var quiet = false

  @Flag(help: "Digests in full, signers, rules and anchor.")
  var verbose = false

  /// Larger files are not read: they would not fit a verifier's memory twice.
  static let byteCountMax = 1 << 40

  func validate() throws {
    guard !files.isEmpty else { throw ValidationError("expected at least one file") }
    guard account == nil || trade == nil else {
      throw ValidationError("expected --account or --trade, found both")
    }
    guard level == nil || level.flatMap(VerificationLevel.init(rawValue:)) != nil else {
      throw ValidationError(
        "expected --level framing, chain, inclusion, replay or log, found \(level ?? "")")
    }
  }

  func run() throws {
    let verifier: FileVerifier
    do {
      verifier = try makeVerifier()
    } catch let failure as FileFailure {
      Screen.error("\(failure)")
      Glibc.exit(Exit.inputOutput)
    } catch {
      Screen.error("\(error)")
      Glibc.exit(Exit.usage)
    }
    var codes: [Int32] = []
    for file in files { codes.append(verify(file, verifier)) }
    Glibc.exit(Verdict.worst(codes))
  }

  private func makeVerifier() throws -> FileVerifier {
    let pin: FileVerifier.Pin
    if let hash = Digest(hex: genesis) {
      pin = .hash(hash)
    } else {
      // A hash of the wrong length names no file.
      guard Files.exists(genesis) || !genesis.allSatisfy(\.isHexDigit) else {
        throw CommandFailure(
          "--genesis: expected 64 hexadecimal digits or a file, found \(genesis.count) digits")
      }
      let bytes = try Files.read(genesis, byteCountMax: NetworkFolder.genesisByteCountMax)
      pin = .genesis(
        bytes.first == UInt8(ascii: "{")
          ? try Genesis(json: bytes) : try Genesis(encoded: bytes.rawSpan))
    }
    var verifier = FileVerifier(
      pin: pin, level: level.flatMap(VerificationLevel.init(rawValue:)),
      at: at.map { Timestamp(raw: $0) })
    if let policy {
      let bytes = try Files.read(policy, byteCountMax: 1 << 20)
      verifier.policy = try WitnessPolicy(parsing: String(decoding: bytes, as: UTF8.self))
      verifier.policyName = policy
    }
    if let account { verifier.question = .account(AccountID(account)) }
    if let trade { verifier.question = .init(trade) }
    return verifier
  }

  private func verify(_ file: String, _ verifier: FileVerifier) -> Int32 {
    let bytes: [UInt8]
    do {
      bytes = try Files.read(file, byteCountMax: VerifyCommand.byteCountMax)
    } catch {
      Screen.error("\(error)")
      return Exit.inputOutput
    }
    var bar: Progress?
    let verdict = verifier.verify(bytes, signatures: ParallelSignatures.check) { done, total in
      guard Screen.isTerminal, !quiet else { return }
      if bar == nil { bar = Progress("replay", total: total) }
      bar?.show(done)
    }
    bar?.finish()
    let name = quiet && files.count > 1 ? "\(file): " : ""
    Screen.write(
      json
        ? verdict.json(name: file) + "\n"
        : name + verdict.text(name: file, isQuiet: quiet, isVerbose: verbose), to: 1)
    return verdict.exitCode
  }
}
