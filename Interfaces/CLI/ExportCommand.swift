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
      """)

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
  var out: String

  @Option(help: "The first batch.")
  var from: UInt64 = 0

  @Option(help: "The last batch; default: the newest with a checkpoint.")
  var to: UInt64?

  @Option(help: "A proof of this account instead, as 'novate prove account'.")
  var account: UInt32?

  @Option(
    help: ArgumentHelp(
      "Settlement's address; default: \(LayerAddress.settlement).", valueName: "address"),
    transform: LayerAddress.parse)
  var settlement: Address?

  @OptionGroup var network: NetworkOptions

  /// Settlement is silent no longer than this while it has something to send.
  private static let patienceMilliseconds = 30_000

  func validate() throws {
    if let to, to < from {
      throw ValidationError("--to: expected a batch from \(from) on, found \(to)")
    }
    if account != nil, from != 0 || to != nil {
      throw ValidationError("--account: expected no --from and no --to beside it")
    }
  }

  func run() throws {
    let (genesis, _) = try network.load()
    let address = try settlement ?? LayerAddress.parse(LayerAddress.settlement)
    if let account {
      return try ProveCommand.write(.account, UInt64(account), to: out, from: address, genesis)
    }
    let client = try LayerClient(to: address, .settlement, genesis: genesis)
    let last = try lastBatch(client)
    var range = SettledRange(client, first: from, last: last)
    try range.read(patienceMilliseconds: ExportCommand.patienceMilliseconds)
    let file = try range.file()
    try Files.replace(out, file)
    Screen.say("\(out): batches \(from) to \(last), \(file.count) bytes, network \(client.network)")
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

/// What settlement keeps of a range of batches, each signature and the checkpoint checked.
struct SettledRange {
  private let client: LayerClient
  private let first: UInt64
  private let last: UInt64
  private var batches: [SignedBatch] = []
  private var clearances: [SignedClearance] = []
  /// The note over all batches up to the last; nil before it has been read.
  private var note: SignedNote?
  /// The state before the first batch; nil when that is batch 0.
  private var preState: [UInt8]?

  init(_ client: LayerClient, first: UInt64, last: UInt64) {
    self.client = client
    self.first = first
    self.last = last
  }

  /// Reads the range, and replays what comes before it.
  mutating func read(patienceMilliseconds: Int) throws {
    if first > 0 { preState = try replayed(patienceMilliseconds) }
    var batches: [SignedBatch] = []
    var clearances: [SignedClearance] = []
    var note: [UInt8] = []
    let progress = Screen.isTerminal ? Progress("export", total: Int(last - first) + 1) : nil
    try client.follow(
      pairs(from: first, through: last)
        + [FollowMessage(.checkpoints, from: BatchNumber(last), through: BatchNumber(last))],
      patienceMilliseconds: patienceMilliseconds
    ) { log, bytes in
      switch log {
      case .batches:
        batches.append(try client.batch(bytes))
        try expect(batches[batches.count - 1].header.batch, first + UInt64(batches.count) - 1)
      case .clearances:
        clearances.append(try client.clearance(bytes))
        try expect(
          clearances[clearances.count - 1].header.batch, first + UInt64(clearances.count) - 1)
        progress?.show(clearances.count)
      case .checkpoints: note = bytes
      }
      return true
    }
    progress?.finish()
    self.batches = batches
    self.clearances = clearances
    self.note = try checked(note)
    for (batch, clearance) in zip(batches, clearances)
    where clearance.header.execution != batch.header.id {
      throw ClientFailure.answer(
        client.address, expected: "the Clearance of batch \(batch.header.batch)",
        found: "one of another batch of that number")
    }
  }

  private func pairs(from: UInt64, through: UInt64) -> [FollowMessage] {
    [.batches, .clearances].map {
      FollowMessage($0, from: BatchNumber(from), through: BatchNumber(through))
    }
  }

  /// The state after the batches before the range.
  private func replayed(_ patienceMilliseconds: Int) throws -> [UInt8] {
    var replay = Replay(genesis: client.genesis)
    // The two logs come side by side: what is ahead waits.
    var batches: [UInt64: SignedBatch] = [:]
    var clearances: [UInt64: SignedClearance] = [:]
    let progress = Screen.isTerminal ? Progress("replay", total: Int(first)) : nil
    try client.follow(
      pairs(from: 0, through: first - 1), patienceMilliseconds: patienceMilliseconds
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
      while let batch = batches.removeValue(forKey: replay.batch.raw) {
        guard let clearance = clearances.removeValue(forKey: replay.batch.raw) else {
          batches[replay.batch.raw] = batch
          break
        }
        do throws(Difference) {
          try replay.apply(batch, clearance)
        } catch {
          throw CommandFailure("\(client.address): replay: \(error)")
        }
        progress?.show(Int(replay.batch.raw))
      }
      return true
    }
    progress?.finish()
    try expect(replay.batch, first)
    return replay.snapshot()
  }

  private func expect(_ found: BatchNumber, _ expected: UInt64) throws {
    guard found.raw == expected else {
      throw ClientFailure.answer(
        client.address, expected: "batch \(expected)", found: "batch \(found)")
    }
  }

  /// The note, if it is settlement's checkpoint over exactly the batches up to the last.
  private func checked(_ bytes: [UInt8]) throws -> SignedNote {
    let genesis = client.genesis
    let note: SignedNote
    let checkpoint: Checkpoint
    do throws(NoteFailure) {
      note = try SignedNote(parsing: bytes)
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
    return note
  }

  /// The bundle file.
  func file() throws -> [UInt8] {
    guard let note else { throw CommandFailure("the range has not been read") }
    return BundleFileBuilder.range(
      genesis: client.genesis, preState: preState, batches: batches, clearances: clearances,
      checkpoints: [note])
  }
}
