import Clearing
import Commitments
import Execution
import Node
import Primitives
import Settlement
import Storage
import Wire

/// What settlement has replayed: both machines, the log's leaves, and where it refused, if it did.
struct SettlementBook: ~Copyable {
  var replay: Replay
  var log = MerkleLog()
  /// The first trade id after each batch: finds the batch of a trade.
  var tradeEnds: [UInt64] = []
  /// Auctions that had begun after each batch: finds the batch in which one did.
  var auctionCounts: [UInt64] = []
  /// The batch that was refused, and why; nothing is settled after it.
  var refusal: StoredRefusal?
  /// The log's name: the first line of its checkpoints.
  private let origin: String

  private init(_ replay: consuming Replay, origin: String) {
    self.replay = replay
    self.origin = origin
  }

  /// The book at its last durable moment.
  static func load(_ context: LayerContext, _ keeper: StateKeeper) throws -> SettlementBook {
    var replay = Replay(genesis: context.genesis, indexKey: .random(in: 0 ... .max))
    let head = try keeper.load(&replay)
    if let head { try rebuild(&replay, head, keeper.store) }
    var book = SettlementBook(replay, origin: context.genesis.settlementNote.name)
    let end = book.replay.batch.raw
    for batch in 0..<end {
      // Folders of before auctions' proofs know no counts: zero finds none.
      guard let bytes = try keeper.store.value(.logNodes, batch), [40, 48].contains(bytes.count)
      else { throw NodeFailure.state("log leaf \(batch) is missing") }
      book.log.append(leafHash: Bytes32(bytes.rawSpan))
      book.tradeEnds.append(bytes.rawSpan.load(at: 32))
      book.auctionCounts.append(bytes.count == 48 ? bytes.rawSpan.load(at: 40) : 0)
    }
    if let head {
      guard book.log.root == head.logRoot else {
        throw NodeFailure.state("the stored log does not give its root")
      }
    }
    if let bytes = try keeper.store.value(.evidence, end) {
      book.refusal = try StoredRefusal(encoded: bytes)
    }
    return book
  }

  private static func rebuild(_ replay: inout Replay, _ head: Head, _ store: Store) throws {
    let extra = head.extra
    guard head.roots.count == 2 else {
      throw NodeFailure.state("the head record is not settlement's")
    }
    var reader = ByteReader(extra.rawSpan)
    let execution: Digest = try reader.read()
    let clearing: Digest = try reader.read()
    let frontier = try LogFrontier(&reader)
    try replay.execution.rebuild(expecting: head.roots[0], previous: execution)
    try replay.clearing.rebuild(
      expecting: head.roots[1], previous: clearing, previousExecution: execution, log: frontier)
    var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
    for batch in (replay.execution.creditBatch.map { $0.raw + 1 } ?? 0)..<replay.batch.raw {
      guard let bytes = try store.value(.clearance, batch) else {
        throw NodeFailure.state("Clearance \(batch) is missing")
      }
      let clearance = try SignedClearance(encoded: bytes.rawSpan)
      grants.append((clearance.header, try ClearanceBody(encoded: clearance.body.rawSpan)))
    }
    // Folders of before have no count: theirs begins here.
    let bundleCount: UInt64 = reader.remaining > 0 ? try reader.read() : 0
    replay.restore(grants: grants, bundleCount: bundleCount)
  }

  /// The place of the batch a trade is in.
  func batch(ofTrade trade: UInt64) -> Int? { SettlementBook.firstAbove(trade, tradeEnds) }

  /// The place of the batch an auction began in.
  func batch(ofAuction number: UInt64) -> Int? {
    number == 0 ? nil : SettlementBook.firstAbove(number - 1, auctionCounts)
  }

  private static func firstAbove(_ value: UInt64, _ rising: [UInt64]) -> Int? {
    var (low, high) = (0, rising.count)
    while low < high {
      let middle = (low + high) / 2
      if rising[middle] > value { high = middle } else { low = middle + 1 }
    }
    return low < rising.count ? low : nil
  }

  /// Replays a batch and its Clearance.
  /// - Returns: all that must become durable with them; nothing has been signed.
  /// - Throws: the first difference.
  mutating func settle(
    _ checked: CheckedBatch, _ clearance: SignedClearance, _ encoded: [UInt8]
  ) throws(Difference) -> SettledBatch {
    if let fault = checked.fault { throw fault }
    guard let body = checked.body else {
      preconditionFailure("a batch without a fault has a body")
    }
    try replay.replayExecution(checked.batch, body)
    let clearingID = try replay.replayClearing(checked.batch, body, clearance)
    let delta = replay.delta()
    replay.seal()
    let leaf = clearance.header.logLeaf
    log.append(leafHash: leaf)
    tradeEnds.append(replay.execution.nextTrade.raw)
    auctionCounts.append(replay.clearing.auctionCount)
    let text = Array(Checkpoint(origin: origin, size: log.count, root: log.root).text.utf8)
    let number = clearance.header.batch
    var node = ByteWriter(capacity: 48)
    node.write(leaf)
    node.write(replay.execution.nextTrade)
    node.write(replay.clearing.auctionCount)
    var extra = ByteWriter(capacity: 256)
    extra.write(checked.batch.header.id)
    extra.write(clearingID)
    replay.clearing.log.encode(into: &extra)
    extra.write(replay.bundleCount)
    var values: [(kind: RecordKind, bytes: [UInt8])] = [
      (.events, checked.encoded), (.clearance, encoded), (.receipts, replay.receipts),
      (.delta, delta), (.checkpoint, text), (.logNodes, node.bytes),
    ]
    if let decisions = replay.decisions() { values.append((.decisions, decisions.encoded)) }
    let durable = DurableBatch(
      batch: number, values: values,
      head: Head(
        seq: number.raw, term: UInt64(clearance.header.term),
        roots: [checked.batch.header.postRoot, clearance.header.postRoot],
        logSize: UInt64(log.count), logRoot: log.root, extra: extra.bytes),
      id: SHA256.digest(text), pages: replay.pageShare(after: number.raw))
    return SettledBatch(
      durable: durable, batch: checked.encoded, clearance: encoded, checkpoint: text)
  }
}
