import Commitments
import Execution
import Node
import Primitives
import Storage
import Wire

/// What execution starts from: the machine at its last durable moment, journal included.
struct ExecutionStart: ~Copyable {
  var machine: ExecutionMachine
  let journal: Journal
  var openings: [BatchNumber: UInt64] = [:]
  /// Acknowledgements of the batch the journal left open.
  var openAcknowledgements: [Acknowledgement] = []
  /// Batches the journal closed and the database does not hold yet.
  var leftOver: [JournalGroup] = []
  /// Newest Clearances known: they are adopted from here on.
  var outcomes = OutcomeMemory()

  /// Loads pages and deltas, checks the root, then re-applies the journal in the same order under
  /// the same batch numbers.
  static func load(context: LayerContext, keeper: StateKeeper) throws -> ExecutionStart {
    var machine = ExecutionMachine(genesis: context.genesis, indexKey: .random(in: 0 ... .max))
    let head = try keeper.load(&machine)
    var first: UInt64 = 0
    if let head { first = try rebuild(&machine, head) }
    var groups: [(index: UInt64, bytes: [UInt8])] = []
    let journal = try Journal(
      folder: context.folder, network: context.network,
      segmentByteCount: context.settings.journalSegmentByteCount, replayingFrom: first
    ) { (index, bytes) throws(StorageFailure) in
      groups.append((index, bytes.array))
    }
    var outcomes = OutcomeMemory()
    try outcomes.load(from: keeper.store, before: machine.batch)
    var start = ExecutionStart(machine: machine, journal: journal, outcomes: outcomes)
    start.headBatch = head.map { BatchNumber($0.seq) }
    for group in groups { try start.replay(group.index, group.bytes) }
    // What a batch was made of is synced before the batch is stored: a journal that ends before it
    // has lost groups whose acknowledgements are out.
    if let head, isJournaled(head), !start.hasHead {
      throw NodeFailure.state(
        "the journal ends before batch \(head.seq) was closed: groups that were acknowledged are lost"
      )
    }
    return start
  }

  /// Set beside the journal group in a head that peers gave back: no journal holds its batch.
  static let recovered: UInt64 = 1 << 63

  /// Whether the journal must hold the close of the head's batch.
  private static func isJournaled(_ head: Head) -> Bool {
    let extra = head.extra
    let index: UInt64 = extra.rawSpan.load(at: 32)
    return index & recovered == 0
  }

  /// Rebuilds a loaded machine and checks it against the head.
  /// - Returns: the journal group to replay from.
  static func rebuild(_ machine: inout ExecutionMachine, _ head: Head) throws -> UInt64 {
    guard head.roots.count == 1, head.extra.count == 40 else {
      throw NodeFailure.state("the head record is not execution's")
    }
    let extra = head.extra
    try machine.rebuild(expecting: head.roots[0], previous: Bytes32(extra.rawSpan))
    return extra.rawSpan.load(at: 32) & ~recovered
  }

  private init(
    machine: consuming ExecutionMachine, journal: Journal, outcomes: OutcomeMemory
  ) {
    self.machine = machine
    self.journal = journal
    self.outcomes = outcomes
  }

  /// Re-applies one journal group; entries of batches the database holds are skipped.
  private mutating func replay(_ index: UInt64, _ bytes: [UInt8]) throws {
    for entry in try JournalEntry.entries(bytes.rawSpan) {
      switch entry {
      case .open(let batch, let time, let clearances):
        isSkipping = batch < machine.batch
        if isSkipping { continue }
        guard batch == machine.batch else {
          throw NodeFailure.state("journal: expected batch \(machine.batch), found \(batch)")
        }
        openings[batch] = index
        try machine.openBatch(time: time, adopting: try clearances.map(ExecutionStart.grant))
      case .bundle(let bytes):
        if isSkipping { continue }
        let bundle = try Bundle(bytes)
        var made: [Outcome] = []
        let place = try machine.apply(bundle, into: &made)
        let leaf = Acknowledgement(
          account: bundle.header.account, key: bundle.header.key, nonce: bundle.header.nonce,
          bundle: bundle.id(network: machine.network), batch: machine.batch,
          index: UInt32(place), outcomes: made)
        openAcknowledgements.append(leaf)
        outcomes.remember(leaf)
      case .close(let batch):
        if batch == headBatch { hasHead = true }
        if isSkipping { continue }
        guard batch == machine.batch else {
          throw NodeFailure.state("journal: expected close of \(machine.batch), found \(batch)")
        }
        let closed = ClosedBatch(closing: &machine, openAcknowledgements)
        openAcknowledgements = []
        leftOver.append(JournalGroup(closed: closed))
      }
    }
  }
  private var isSkipping = false
  /// The newest batch the database holds, and whether the journal closes it.
  private var headBatch: BatchNumber?
  private var hasHead = false

  /// A Clearance as the journal keeps it.
  static func grant(_ bytes: [UInt8]) throws -> (header: ClearingHeader, body: ClearanceBody) {
    let clearance = try SignedClearance(encoded: bytes.rawSpan)
    return (clearance.header, try ClearanceBody(encoded: clearance.body.rawSpan))
  }
}

extension ClosedBatch {
  /// Closes the machine's batch and gathers all that must become durable with it.
  /// - Parameter followed: the markets and accounts whose news go with it.
  init(
    closing machine: inout ExecutionMachine, _ acknowledgements: [Acknowledgement],
    followed: FollowedSubjects? = nil
  ) {
    let (header, body) = machine.closeBatch()
    let delta = machine.delta()
    market = followed?.taken(from: machine, header, acknowledgements)
    machine.seal()
    var leaves = ByteWriter(capacity: acknowledgements.count * 160)
    for leaf in acknowledgements { leaf.write(to: &leaves) }
    var idBytes = ByteWriter(capacity: 40)
    let id = header.id
    idBytes.write(id)
    durable = DurableBatch(
      batch: header.batch,
      values: [
        (.header, header.withBytes { $0.array }), (.body, body), (.delta, delta),
        (.acknowledgements, leaves.bytes),
      ],
      head: Head(
        seq: header.batch.raw, term: UInt64(header.term), roots: [header.postRoot],
        extra: idBytes.bytes),
      id: id, pages: machine.pageShare(after: header.batch.raw))
    self.header = header
    self.body = body
  }
}

/// Which bundle got which place, so that the same bundle sent again gets its first outcome. Holds
/// the newest million; older ones are answered *nonce used*.
struct OutcomeMemory: Sendable {
  static let capacity = 1_000_000
  private var places: [Digest: (batch: UInt64, index: UInt32)] = [:]
  private var order: [Digest] = []
  private var oldest = 0
  /// Acknowledgements of batches the database may not hold yet.
  private var recent: [UInt64: [Acknowledgement]] = [:]

  mutating func remember(_ leaf: Acknowledgement) {
    recent[leaf.batch.raw, default: []].append(leaf)
    note(leaf)
  }

  private mutating func note(_ leaf: Acknowledgement) {
    places[leaf.bundle] = (leaf.batch.raw, leaf.index)
    order.append(leaf.bundle)
    if order.count - oldest > OutcomeMemory.capacity {
      places[order[oldest]] = nil
      oldest += 1
      if oldest > OutcomeMemory.capacity {
        order.removeFirst(oldest)
        oldest = 0
      }
    }
  }

  /// The database holds the batch: its acknowledgements can be read there.
  mutating func stored(_ batch: BatchNumber) {
    if batch.raw >= 8 { recent[batch.raw - 8] = nil }
  }

  /// The first outcome of a bundle, from memory or the database.
  func find(_ bundle: Digest, store: Store) -> Acknowledgement? {
    guard let (batch, index) = places[bundle] else { return nil }
    if let leaves = recent[batch] { return leaves.first { $0.index == index } }
    do {
      guard let bytes = try store.value(.acknowledgements, batch) else { return nil }
      return try OutcomeMemory.leaves(bytes).first { $0.index == index }
    } catch {
      return nil
    }
  }

  static func leaves(_ bytes: [UInt8]) throws(DecodingFailure) -> [Acknowledgement] {
    var reader = ByteReader(bytes.rawSpan)
    var leaves: [Acknowledgement] = []
    while reader.remaining > 0 { leaves.append(try Acknowledgement(reading: &reader)) }
    return leaves
  }

  /// Fills itself from the newest stored batches.
  mutating func load(from store: Store, before batch: BatchNumber) throws {
    var found: [[Acknowledgement]] = []
    var count = 0
    var next = batch.raw
    while next > 0, count < OutcomeMemory.capacity {
      next -= 1
      guard let bytes = try store.value(.acknowledgements, next) else { break }
      let leaves = try OutcomeMemory.leaves(bytes)
      count += leaves.count
      found.append(leaves)
    }
    for leaves in found.reversed() { for leaf in leaves { note(leaf) } }
  }
}
