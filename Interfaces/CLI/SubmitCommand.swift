import ArgumentParser
import Client
import Commitments
import Glibc
import Primitives
import Wire

/// `novate submit FILE`: signs a file's lines and sends them to execution.
struct SubmitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit",
    abstract: "Submit orders, other actions, or signed bundles to execution.",
    discussion: """
      FILE holds JSON Lines, or CSV with the same names in its header; '-' is the standard input. \
      A line has an id, an account and an action: limit, market, stop, take_profit, replace, \
      cancel, cancel_all, cancel_after, combination, session, end_session, mass_quote, protect, \
      reset_protection, bid, withdraw, open, transfer, deposit, release, add_key, revoke_key, \
      index, surface, list, halt, margin or block; or an id and a bundle signed elsewhere. \
      Docs/Guides/Orders.md has the fields of orders. Prints one outcome a line, in the same \
      order, and a summary on stderr. Execution's signature on every acknowledgement is checked. \
      Exit code 1 if any line failed. A line refused with code 199 was sent and got no answer: \
      it may be in the log.
      """)

  @Argument(help: "The file of submissions; '-' for the standard input.")
  var file: String

  @Option(
    help: ArgumentHelp(
      "The key to sign with; default: each account's in the keys folder beside the manifest.",
      valueName: "file"))
  var key: String?

  @Option(
    help: ArgumentHelp(
      "Execution's address; default: \(LayerAddress.execution).", valueName: "address"),
    transform: LayerAddress.parse)
  var to: Address?

  @Option(
    help: ArgumentHelp(
      "Sign up to this many successive lines of one account together, 1 to 256.",
      valueName: "count"))
  var bundle = 1

  @Option(
    help: ArgumentHelp(
      "Write execution's signed acknowledgements here, for 'novate compare'; it must not be there yet.",
      valueName: "file"))
  var keep: String?

  @OptionGroup var network: NetworkOptions

  /// Longer files are better cut.
  private static let fileByteCountMax = 1 << 30

  func validate() throws {
    guard (1...Limits.actionsPerBundleMax).contains(bundle) else {
      throw ValidationError(
        "--bundle: expected 1 to \(Limits.actionsPerBundleMax), found \(bundle)")
    }
  }

  func run() throws {
    let (genesis, folder) = try network.load()
    let bytes =
      file == "-"
      ? try Screen.input() : try Files.read(file, byteCountMax: SubmitCommand.fileByteCountMax)
    let keys = try AccountKeys(folder, genesis: genesis, path: key)
    let client = try LayerClient(
      to: try to ?? LayerAddress.parse(LayerAddress.execution), .execution, genesis: genesis)
    let status = try client.status()
    let time: Int64
    do throws(JSONFailure) {
      time = try status.integer(at: "time_ms")
    } catch {
      throw CommandFailure("\(client.address): status: \(error)")
    }
    let submitting = Submitting(
      SubmissionReader(bytes, genesis: genesis, directory: try client.instruments()),
      lineCount: bytes.count { $0 == UInt8(ascii: "\n") }, actionsMax: bundle,
      expiry: Timestamp(raw: time + min(3_600_000, genesis.constants.bundleLifeMax)), keys: keys,
      client: client)
    // Made first: what is promised and cannot be kept would be no promise to show.
    if let keep { try Files.create(keep, KeptAcknowledgements.encoded([])) }
    submitting.isKeeping = keep != nil
    let ending = Result { try submitting.run() }
    // What was acknowledged before a failure is promised all the same.
    if let keep { try Files.replace(keep, KeptAcknowledgements.encoded(submitting.kept)) }
    try ending.get()
    if submitting.hasFailure { throw ExitCode(Exit.failed) }
  }
}

/// A file on its way: lines become groups, groups become signed bundles, results become outcomes,
/// in the order of the lines.
final class Submitting {
  /// A group under way, or a line that needs no answer any more.
  private enum Item {
    case group(SubmissionGroup)
    case outcomes([SubmissionOutcome])
  }

  private var reader: SubmissionReader
  private var grouping: SubmissionGrouping
  private let expiry: Timestamp
  private let keys: AccountKeys
  private let client: LayerClient
  /// Complete groups and failed lines, not yet looked at.
  private var ready: [Item] = []
  private var readyNext = 0
  private var isRead = false
  /// What has been looked at and not yet printed.
  private var waiting: [Item] = []
  private var waitingNext = 0
  private var nonces: [NonceName: UInt64] = [:]
  private var counts: [SubmissionOutcome.Status: Int] = [:]
  private var firstBatch: BatchNumber?
  private var lastBatch: BatchNumber?
  private var bundleCount = 0
  private var progress: ProgressBar
  private let start = SystemClock.monotonicNanoseconds
  private var printed = ""
  /// Whether acknowledgements are kept, and those kept so far.
  var isKeeping = false
  private(set) var kept: [SignedAcknowledgement] = []

  private struct NonceName: Hashable {
    let account: AccountID
    let key: PublicKey
  }

  init(
    _ reader: SubmissionReader, lineCount: Int, actionsMax: Int, expiry: Timestamp,
    keys: AccountKeys, client: LayerClient
  ) {
    self.reader = reader
    grouping = SubmissionGrouping(actionsMax: actionsMax)
    self.expiry = expiry
    self.keys = keys
    self.client = client
    progress = ProgressBar("submitted", total: lineCount)
  }

  var hasFailure: Bool {
    [.rejected, .refused].contains { (counts[$0] ?? 0) > 0 }
  }

  func run() throws {
    do {
      try BundleSender(client).run(next: nextBundle, result: take)
      try printLocal()
    } catch {
      // What is known is said, whatever happened.
      flush()
      progress.end()
      throw error
    }
    flush()
    progress.end()
    Screen.write(summary + "\n", to: 2)
  }

  // MARK: - Sending

  private func nextBundle() throws -> Bundle? {
    while let item = nextItem() {
      waiting.append(item)
      guard case .group(let group) = item else { continue }
      do {
        let bundle = try signed(group)
        bundleCount += 1
        return bundle
      } catch let error as FileFailure {
        // A line without a key fails alone.
        waiting[waiting.count - 1] = .outcomes(
          group.submissions.map {
            SubmissionOutcome(
              id: $0.id, status: .refused, code: Refusal.unknownKey.rawValue,
              message: "account \(group.account): \(error)")
          })
      }
    }
    return nil
  }

  private func nextItem() -> Item? {
    while readyNext == ready.count {
      ready.removeAll(keepingCapacity: true)
      readyNext = 0
      if isRead { return nil }
      switch reader.next() {
      case .success(let submission)?:
        ready += grouping.add(submission).map(Item.group)
      case .failure(let failure)?:
        if let group = grouping.finish() { ready.append(.group(group)) }
        ready.append(.outcomes([SubmissionOutcome(failure)]))
      case nil:
        isRead = true
        if let group = grouping.finish() { ready.append(.group(group)) }
      }
    }
    readyNext += 1
    return ready[readyNext - 1]
  }

  private func signed(_ group: SubmissionGroup) throws -> Bundle {
    if case .signed(let bundle) = group.content { return bundle }
    let held = try keys.key(of: group.account)
    let name = NonceName(account: group.account, key: held.key.publicKey)
    let nonce = try nonces[name] ?? (client.nonces(name.account, name.key)?.top ?? 0) + 1
    nonces[name] = nonce + 1
    return group.bundle(
      nonce: nonce, expiry: expiry, network: client.network, by: held.key)
  }

  // MARK: - Outcomes

  private func take(_ bundle: Bundle, _ result: BundleResult) throws {
    try printLocal()
    guard waitingNext < waiting.count, case .group(let group) = waiting[waitingNext] else {
      preconditionFailure("a result without its group")
    }
    waitingNext += 1
    switch result {
    case .acknowledged(let acknowledgement):
      if isKeeping { kept.append(acknowledgement) }
      tell(
        SubmissionOutcome.outcomes(
          of: group, bundle, acknowledgement.leaf, assets: client.genesis.assets))
    case .refused(let refusal, let figure1, let figure2):
      tell(SubmissionOutcome.outcomes(of: group, refused: refusal, figure1, figure2))
    case .unanswered(let failure, let wasSent):
      tell(
        group.submissions.map { SubmissionOutcome(id: $0.id, failure, wasSent: wasSent) })
    }
    try printLocal()
  }

  /// Prints what stands first and needs no answer.
  private func printLocal() throws {
    while waitingNext < waiting.count, case .outcomes(let outcomes) = waiting[waitingNext] {
      waitingNext += 1
      tell(outcomes)
    }
    if waitingNext == waiting.count {
      waiting.removeAll(keepingCapacity: true)
      waitingNext = 0
      flush()
    }
  }

  private func tell(_ outcomes: [SubmissionOutcome]) {
    for outcome in outcomes {
      printed += outcome.json + "\n"
      counts[outcome.status, default: 0] += 1
      if let batch = outcome.batch {
        firstBatch = min(firstBatch ?? batch, batch)
        lastBatch = max(lastBatch ?? batch, batch)
      }
    }
    if printed.utf8.count > 16 << 10 { flush() }
    progress.advance(outcomes.count)
  }

  private func flush() {
    guard !printed.isEmpty else { return }
    progress.clear()
    Screen.write(printed, to: 1)
    printed = ""
  }

  private var summary: String {
    let total = counts[.accepted, default: 0] + counts[.filled, default: 0]
    let all: [SubmissionOutcome.Status] = [.accepted, .filled, .rejected, .refused]
    let parts = all.compactMap { status in
      counts[status].map { "\($0) \(status.rawValue)" }
    }
    let count = all.reduce(0) { $0 + counts[$1, default: 0] }
    let batches =
      if let firstBatch, let lastBatch {
        firstBatch == lastBatch
          ? ", batch \(firstBatch)" : ", batches \(firstBatch) to \(lastBatch)"
      } else { "" }
    let milliseconds = max(1, (SystemClock.monotonicNanoseconds - start) / 1_000_000)
    let seconds = DecimalText.format(milliseconds, digits: 3, minimumFraction: 3)
    let rate = Int64(total) * 1_000 / milliseconds
    return
      "\(count) submissions in \(bundleCount) bundles: \(parts.isEmpty ? "nothing" : parts.joined(separator: ", "))\(batches); \(seconds) s, \(rate) a second"
  }
}

/// A bar on stderr, for people: nothing where stderr is no terminal.
struct ProgressBar {
  private let label: String
  private let total: Int
  private let isShown = isatty(STDERR_FILENO) == 1
  private var done = 0
  private var shownAt: Int64 = 0

  init(_ label: String, total: Int) {
    self.label = label
    self.total = total
  }

  mutating func advance(_ count: Int) {
    done += count
    let now = SystemClock.monotonicNanoseconds
    guard isShown, now - shownAt > 100_000_000 else { return }
    shownAt = now
    let share = total > 0 ? min(1_000, done * 1_000 / total) : 0
    let filled = share * 30 / 1_000
    let bar =
      String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
    Screen.write("\r\(label) [\(bar)] \(done) of \(max(total, done))", to: 2)
  }

  /// Makes room for a line on the same terminal.
  mutating func clear() {
    guard isShown, shownAt > 0 else { return }
    Screen.write("\r\u{1B}[K", to: 2)
    shownAt = 0
  }

  mutating func end() { clear() }
}

extension Screen {
  /// Everything that comes in.
  /// - Throws: `FileFailure`.
  static func input() throws(FileFailure) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe Glibc.read(STDIN_FILENO, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .call("read", path: "-", code: errno) }
      if count == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<count])
    }
  }
}
