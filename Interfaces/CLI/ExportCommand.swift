import ArgumentParser
import Client
import Commitments
import Primitives
import Settlement
import Wire

/// `novate export --out FILE`: a range of settled batches in one file.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write settled batches, their Clearances and checkpoint into one offline file.",
    discussion: """
      Without --to the file ends at settlement's newest checkpoint. With --from, the batches before \
      are replayed here, so that the file holds the state to begin from. 'novate verify FILE \
      --genesis HASH' judges it offline.

      With --risk, what margin goes by now instead, as JSON Lines, one an underlying: terms, index, \
      surfaces, and a risk array of every instrument, from which anyone computes margin.
      """)

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var out: String

  @Option(help: "The first batch.")
  var from: UInt64 = 0

  @Option(help: "The last batch; default: the newest with a checkpoint.")
  var to: UInt64?

  @Option(help: "A proof of this account instead, as 'novate prove account'.")
  var account: UInt32?

  @Flag(help: "Risk arrays and surfaces instead, from clearing.")
  var risk = false

  @Option(
    help: ArgumentHelp(
      "Clearing's address, for --risk; default: \(LayerAddress.clearing).", valueName: "address"),
    transform: LayerAddress.parse)
  var clearing: Address?

  @Option(
    help: ArgumentHelp(
      "Settlement's address; default: \(LayerAddress.settlement).", valueName: "address"),
    transform: LayerAddress.parse)
  var settlement: Address?

  @OptionGroup var network: NetworkOptions

  func validate() throws {
    if let to, to < from {
      throw ValidationError("--to: expected a batch from \(from) on, found \(to)")
    }
    if account != nil, from != 0 || to != nil {
      throw ValidationError("--account: expected no --from and no --to beside it")
    }
    if risk, from != 0 || to != nil || account != nil {
      throw ValidationError("--risk: expected no --from, --to or --account beside it")
    }
  }

  func run() throws {
    let (genesis, _) = try network.load()
    if risk { return try writeRisk(genesis) }
    let address = try settlement ?? LayerAddress.parse(LayerAddress.settlement)
    if let account {
      return try ProveCommand.write(
        .account, DecisionID(subject: UInt64(account)), to: out, from: address, genesis)
    }
    let client = try LayerClient(to: address, .settlement, genesis: genesis)
    let last = try lastBatch(client)
    let byteCount = try SettledRange(client, first: from, last: last).write(to: out)
    Screen.say("\(out): batches \(from) to \(last), \(byteCount) bytes, network \(client.network)")
  }

  /// One line an underlying, all of one batch: clearing is asked again when one came between.
  private func writeRisk(_ genesis: Genesis) throws {
    let client = try LayerClient(
      to: try clearing ?? LayerAddress.parse(LayerAddress.clearing), .clearing, genesis: genesis)
    for _ in 0..<10 {
      let lines = try genesis.underlyings.indices.map {
        try client.risk(UnderlyingID(UInt16($0)))
      }
      let batches = try lines.map { try $0.integer(at: "batch") as UInt64 }
      guard let batch = batches.first, batches.allSatisfy({ $0 == batch }) else { continue }
      let bytes = Array(lines.map { $0.text() + "\n" }.joined().utf8)
      try Files.replace(out, bytes)
      return Screen.say(
        "\(out): risk arrays of \(lines.count) underlyings after batch \(batch), "
          + "\(bytes.count) bytes")
    }
    throw CommandFailure(
      "\(client.address): expected an answer of one batch, found new ones each time")
  }

  private func lastBatch(_ client: LayerClient) throws -> UInt64 {
    let status = try client.status()
    let size: UInt64
    do throws(JSONFailure) {
      size = try status.integer(at: "log_size")
    } catch {
      throw CommandFailure("\(client.address): status: \(error)")
    }
    guard size > 0 else {
      throw CommandFailure("\(client.address): expected a settled batch, found none yet")
    }
    let last = to ?? size - 1
    guard last < size, from <= last else {
      throw CommandFailure(
        "\(client.address): expected batches up to \(size - 1), the newest settled, found \(max(last, from))"
      )
    }
    return last
  }
}

/// What settlement keeps of a range of batches, on its way into a file: each signature and the
/// checkpoint is checked as it passes, and memory holds one batch at a time.
struct SettledRange {
  private let client: LayerClient
  private let first: UInt64
  private let last: UInt64

  /// Settlement is silent no longer than this while it has something to send.
  private static let patienceMilliseconds = 30_000

  init(_ client: LayerClient, first: UInt64, last: UInt64) {
    self.client = client
    self.first = first
    self.last = last
  }

  /// Writes the bundle file.
  /// - Parameters:
  ///   - batch: gets each batch as it passes.
  ///   - clearance: gets each Clearance as it passes, after all batches.
  /// - Returns: bytes of the file.
  func write(
    to path: String, batch: (SignedBatch) throws -> Void = { _ in },
    clearance: (SignedClearance) throws -> Void = { _ in }
  ) throws -> Int {
    let genesis = client.genesis
    let note = try checkpoint()
    let preState = first > 0 ? try replayed() : nil
    var writer = try BundleFileWriter.begin(
      path,
      BundleFile.Manifest(
        kind: .range, network: client.network, first: BatchNumber(first), last: BatchNumber(last)),
      sectionCount: preState == nil ? 4 : 5)
    try writer.write(.genesis, genesis.encoded)
    if let preState { try writer.write(.preState, preState) }
    let progress = Screen.isTerminal ? Progress("export", total: 2 * Int(last - first + 1)) : nil
    // What each Clearance must name.
    var ids: [Digest] = []
    try writer.begin(.batches)
    try follow(.batches) { bytes in
      let signed = try client.batch(bytes)
      try expect(signed.header.batch, first + UInt64(ids.count))
      ids.append(signed.header.id)
      try writer.add(object: bytes)
      try batch(signed)
      progress?.show(ids.count)
    }
    try writer.end()
    var count = 0
    try writer.begin(.clearances)
    try follow(.clearances) { bytes in
      let signed = try client.clearance(bytes)
      try expect(signed.header.batch, first + UInt64(count))
      guard signed.header.execution == ids[count] else {
        throw ClientFailure.answer(
          client.address, expected: "the Clearance of batch \(signed.header.batch)",
          found: "one of another batch of that number")
      }
      count += 1
      try writer.add(object: bytes)
      try clearance(signed)
      progress?.show(ids.count + count)
    }
    try writer.end()
    try writer.begin(.checkpoints)
    try writer.add(object: note)
    try writer.end()
    progress?.finish()
    return try writer.finish()
  }

  /// Every object of the range in one log.
  private func follow(_ log: FollowMessage.Log, _ object: ([UInt8]) throws -> Void) throws {
    try client.follow(
      [FollowMessage(log, from: BatchNumber(first), through: BatchNumber(last))],
      patienceMilliseconds: SettledRange.patienceMilliseconds
    ) { _, bytes in
      try object(bytes)
      return true
    }
  }

  /// The state after the batches before the range.
  private func replayed() throws -> [UInt8] {
    var replay = Replay(genesis: client.genesis)
    let progress = Screen.isTerminal ? Progress("replay", total: Int(first)) : nil
    while replay.batch.raw < first {
      let end = min(replay.batch.raw + SettledRange.replayedCount, first) - 1
      try go(on: &replay, through: end)
      progress?.show(Int(replay.batch.raw))
    }
    progress?.finish()
    return replay.preState()
  }

  /// Batches asked for at once: the two logs come side by side, and what is ahead waits here.
  private static let replayedCount: UInt64 = 256

  /// Replays what comes next, through `end`.
  private func go(on replay: inout Replay, through end: UInt64) throws {
    let start = replay.batch.raw
    var batches: [UInt64: SignedBatch] = [:]
    var clearances: [UInt64: SignedClearance] = [:]
    try client.follow(
      [.batches, .clearances].map {
        FollowMessage($0, from: BatchNumber(start), through: BatchNumber(end))
      }, patienceMilliseconds: SettledRange.patienceMilliseconds
    ) { log, bytes in
      switch log {
      case .batches:
        let batch = try client.batch(bytes)
        batches[batch.header.batch.raw] = batch
      case .clearances:
        let clearance = try client.clearance(bytes)
        clearances[clearance.header.batch.raw] = clearance
      case .checkpoints: break
      }
      while let batch = batches[replay.batch.raw], let clearance = clearances[replay.batch.raw] {
        let number = replay.batch.raw
        batches[number] = nil
        clearances[number] = nil
        do throws(Difference) {
          try replay.apply(batch, clearance)
        } catch {
          throw CommandFailure("\(client.address): replay: \(error)")
        }
      }
      return true
    }
    try expect(replay.batch, end + 1)
  }

  private func expect(_ found: BatchNumber, _ expected: UInt64) throws {
    guard found.raw == expected else {
      throw ClientFailure.answer(
        client.address, expected: "batch \(expected)", found: "batch \(found)")
    }
  }

  /// Settlement's note over exactly the batches up to the last, cosignatures and all.
  private func checkpoint() throws -> [UInt8] {
    var bytes: [UInt8] = []
    try client.follow(
      [FollowMessage(.checkpoints, from: BatchNumber(last), through: BatchNumber(last))],
      patienceMilliseconds: SettledRange.patienceMilliseconds
    ) { _, note in
      bytes = note
      return true
    }
    let genesis = client.genesis
    let checkpoint: Checkpoint
    do throws(NoteFailure) {
      let note = try SignedNote(parsing: bytes)
      checkpoint = try Checkpoint(parsing: note.text)
      let verifier = try NoteVerifier(
        name: genesis.settlementNote.name, key: genesis.settlementNote.key)
      _ = try note.verified(by: [verifier])
    } catch {
      throw ClientFailure.answer(
        client.address, expected: "a checkpoint that settlement signed", found: "\(error)")
    }
    guard checkpoint.size == Int(last) + 1 else {
      throw ClientFailure.answer(
        client.address, expected: "the checkpoint of \(last + 1) batches",
        found: "that of \(checkpoint.size)")
    }
    return bytes
  }
}
