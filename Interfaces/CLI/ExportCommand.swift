import ArgumentParser
import Client
import Commitments
import Primitives
import Wire

/// `novate export --out FILE`: a range of settled batches in one file.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write settled batches, their Clearances and checkpoint into one offline file.",
    discussion: """
      Without --to the file ends at settlement's newest checkpoint. 'novate verify FILE --genesis \
      HASH' judges it offline.
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
    guard from == 0 else {
      throw ValidationError("--from: expected 0, the only first batch this build can export")
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
    let file = range.file(genesis)
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
  /// The note over all batches up to the last.
  private var note: [UInt8] = []

  init(_ client: LayerClient, first: UInt64, last: UInt64) {
    self.client = client
    self.first = first
    self.last = last
  }

  mutating func read(patienceMilliseconds: Int) throws {
    let (from, through) = (BatchNumber(first), BatchNumber(last))
    let progress = Screen.isTerminal ? Progress("export", total: Int(last - first) + 1) : nil
    var (batches, clearances, note) = (batches, clearances, note)
    let (client, first) = (client, first)
    try client.follow(
      [
        FollowMessage(.batches, from: from, through: through),
        FollowMessage(.clearances, from: from, through: through),
        FollowMessage(.checkpoints, from: through, through: through),
      ], patienceMilliseconds: patienceMilliseconds
    ) { log, bytes in
      switch log {
      case .batches:
        let batch = try client.batch(bytes)
        try expect(batch.header.batch, first + UInt64(batches.count))
        batches.append(batch)
      case .clearances:
        let clearance = try client.clearance(bytes)
        try expect(clearance.header.batch, first + UInt64(clearances.count))
        clearances.append(clearance)
        progress?.show(clearances.count)
      case .checkpoints: note = bytes
      }
      return true
    }
    progress?.finish()
    self.batches = batches
    self.clearances = clearances
    self.note = note
    try check()
  }

  private func expect(_ found: BatchNumber, _ expected: UInt64) throws {
    guard found.raw == expected else {
      throw ClientFailure.answer(
        client.address, expected: "batch \(expected)", found: "batch \(found)")
    }
  }

  /// The pairs belong together, and the checkpoint is settlement's, over exactly these.
  private func check() throws {
    for (batch, clearance) in zip(batches, clearances)
    where clearance.header.execution != batch.header.id {
      throw ClientFailure.answer(
        client.address, expected: "the Clearance of batch \(batch.header.batch)",
        found: "one of another batch of that number")
    }
    let genesis = client.genesis
    let signed: SignedNote
    let checkpoint: Checkpoint
    do throws(NoteFailure) {
      signed = try SignedNote(parsing: note)
      checkpoint = try Checkpoint(parsing: signed.text)
      let verifier = try NoteVerifier(
        name: genesis.settlementNote.name, key: genesis.settlementNote.key)
      _ = try signed.verified(by: [verifier])
    } catch {
      throw ClientFailure.answer(
        client.address, expected: "a checkpoint that settlement signed", found: "\(error)")
    }
    guard checkpoint.size == Int(last) + 1 else {
      throw ClientFailure.answer(
        client.address, expected: "the checkpoint of \(last + 1) batches",
        found: "that of \(checkpoint.size)")
    }
  }

  func file(_ genesis: Genesis) -> [UInt8] {
    func list(_ objects: [[UInt8]]) -> [UInt8] {
      var out = ByteWriter(capacity: objects.reduce(0) { $0 + $1.count + 4 })
      for object in objects { ObjectList.append(object, to: &out) }
      return out.bytes
    }
    return BundleFile.encoded(
      BundleFile.Manifest(
        kind: .range, network: client.network, first: BatchNumber(first), last: BatchNumber(last)),
      [
        (.genesis, genesis.encoded), (.batches, list(batches.map(\.encoded))),
        (.clearances, list(clearances.map(\.encoded))), (.checkpoints, list([note])),
      ])
  }
}
