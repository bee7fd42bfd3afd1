import Commitments
import Execution
import Logging
import Node
import Primitives
import Storage
import Wire

/// Execution's recovery: the batches it signed come back from its peers, are replayed and compared
/// header by header. Where the folder still has a journal that continues them, what was acknowledged
/// there comes back too, as a batch of its own.
final class ExecutionRecovery: RecoveringLayer {
  private let context: LayerContext
  private let keeper: StateKeeper
  private let state: SequencerState
  /// Where the last head says that the journal is to be replayed from.
  private var journalIndex: UInt64 = 0

  let ownLog = FollowMessage.Log.batches
  var next: UInt64 { state.machine.batch.raw }
  var nextClearance: UInt64 { state.machine.creditBatch.map { $0.raw + 1 } ?? 0 }

  init(context: LayerContext, keeper: StateKeeper) throws {
    self.context = context
    self.keeper = keeper
    var machine = ExecutionMachine(genesis: context.genesis, indexKey: .random(in: 0 ... .max))
    if let head = try keeper.load(&machine) {
      journalIndex = try ExecutionStart.rebuild(&machine, head)
    }
    state = SequencerState(machine)
  }

  // MARK: - What peers show

  func replay(_ shelf: inout RecoveryShelf) throws -> Bool {
    guard let (batch, _) = shelf.batches[next] else { return false }
    let header = batch.header
    var adopted: [(header: ClearingHeader, body: ClearanceBody)] = []
    if header.creditBatch != ExecutionHeader.noCredit, header.creditBatch.raw >= nextClearance {
      for number in nextClearance...header.creditBatch.raw {
        guard let (clearance, _) = shelf.clearances[number] else { return false }
        adopted.append(
          (clearance.header, try ClearanceBody(encoded: clearance.body.rawSpan)))
      }
    }
    let body = try BatchBody(batch.body)
    try state.machine.openBatch(time: header.time, adopting: adopted)
    var leaves: [Acknowledgement] = []
    for bundle in body.bundles { leaves.append(try apply(bundle)) }
    let closed = ClosedBatch(closing: &state.machine, leaves)
    guard closed.header.id == header.id else {
      throw NodeFailure.state(
        "batch \(header.batch) replays to \(closed.header.id), and what was signed is \(header.id)")
    }
    try commit(closed)
    return true
  }

  private func apply(_ bundle: Bundle) throws -> Acknowledgement {
    var outcomes: [Outcome] = []
    let place = try state.machine.apply(bundle, into: &outcomes)
    return Acknowledgement(
      account: bundle.header.account, key: bundle.header.key, nonce: bundle.header.nonce,
      bundle: bundle.id(network: context.network), batch: state.machine.batch,
      index: UInt32(place), outcomes: outcomes)
  }

  private func commit(_ closed: ClosedBatch) throws {
    var durable = closed.durable
    durable.head?.extra += journalIndex.littleEndianBytes
    try keeper.commit([durable])
    state.outcomes.stored(durable.batch)
  }

  // MARK: - What the journal still has

  /// Applies the journal's batches that nobody was shown, closing the last: its orders were
  /// acknowledged. A journal that contradicts what was signed is another history's, and is dropped.
  private func replayJournal() throws {
    var groups: [(index: UInt64, bytes: [UInt8])] = []
    try Journal.read(folder: context.folder, network: context.network) {
      (index, bytes) throws(StorageFailure) in
      groups.append((index, bytes.array))
    }
    if let last = groups.last { journalIndex = max(journalIndex, last.index + 1) }
    var check: JournalCheck?
    var leaves: [Acknowledgement] = []
    do {
      for group in groups {
        for entry in try JournalEntry.entries(group.bytes.rawSpan) {
          switch entry {
          case .open(let batch, let time, let clearances):
            check = nil
            if batch < state.machine.batch {
              check = try JournalCheck(batch, keeper.store)
              try check?.open(time)
            } else if batch == state.machine.batch {
              try state.machine.openBatch(
                time: time, adopting: try clearances.map(ExecutionStart.grant))
            } else {
              throw NodeFailure.state("expected batch \(state.machine.batch), found \(batch)")
            }
          case .bundle(let bytes):
            if check != nil {
              try check?.bundle(bytes)
            } else {
              leaves.append(try apply(try Bundle(bytes)))
            }
          case .close:
            if check != nil {
              try check?.close()
            } else {
              try commit(ClosedBatch(closing: &state.machine, leaves))
              leaves = []
            }
          }
        }
      }
    } catch let error as StorageFailure {
      throw error
    } catch {
      context.log.error(
        "the journal is not of this history: its orders are dropped",
        metadata: ["reason": "\(error)"])
    }
    if state.machine.isBatchOpen { try commit(ClosedBatch(closing: &state.machine, leaves)) }
  }

  func finish() throws -> (batch: BatchNumber, id: Digest) {
    try replayJournal()
    guard var head = try keeper.store.head() else {
      throw NodeFailure.state("nothing was ever signed: begin with an empty folder")
    }
    // Group numbers signed after the backup are not known. Those to come begin where no clock of
    // this role has been: 2^20 groups a millisecond are more than any journal syncs.
    let fresh = UInt64(max(0, Clock.now.raw)) << 20
    journalIndex = max(journalIndex, fresh)
    head.extra =
      Array(head.extra.prefix(32)) + (journalIndex | ExecutionStart.recovered).littleEndianBytes
    let last = head
    try keeper.store.commit { (transaction) throws(StorageFailure) in
      try transaction.putHead(last)
    }
    try Journal.discard(folder: context.folder)
    return (BatchNumber(head.seq), state.machine.previousID)
  }

  // MARK: - Reads

  func answer(_ query: QueryMessage) -> [UInt8]? {
    Answers.answer(query, genesis: context.genesis, state)
  }

  var figures: [(key: String, value: JSONValue)] {
    [
      ("time_ms", .integer(state.machine.time.raw)),
      ("root", .string("\(state.machine.root)")),
      ("credit_batch", state.machine.creditBatch.map { .integer($0.raw) } ?? .null),
      ("accounts", .integer(state.machine.accountCount)),
      ("instruments", .integer(state.machine.instrumentCount)),
      ("open_orders", .integer(state.machine.openOrderCount)),
    ]
  }
}

/// Holds a journal's batch against the stored one: same time, same bundles in the same places.
private struct JournalCheck {
  private let header: ExecutionHeader
  private let body: BatchBody
  private var place = 0

  init(_ batch: BatchNumber, _ store: Store) throws {
    guard let bytes = try store.value(.header, batch.raw),
      let body = try store.value(.body, batch.raw)
    else { throw NodeFailure.state("batch \(batch) is not stored") }
    header = ExecutionHeader(bytes.rawSpan)
    self.body = try BatchBody(body)
  }

  func open(_ time: Timestamp) throws {
    guard time == header.time else {
      throw NodeFailure.state("batch \(header.batch) opened at \(header.time), not at \(time)")
    }
  }

  mutating func bundle(_ bytes: [UInt8]) throws {
    guard place < body.bundles.count, body.bundles[place].bytes == bytes else {
      throw NodeFailure.state("batch \(header.batch) holds another bundle at \(place)")
    }
    place += 1
  }

  func close() throws {
    guard place == body.bundles.count else {
      throw NodeFailure.state(
        "batch \(header.batch) holds \(body.bundles.count) bundles, not \(place)")
    }
  }
}
