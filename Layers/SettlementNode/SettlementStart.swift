import Clearing
import Commitments
import Execution
import Node
import Primitives
import Settlement
import Storage
import Wire

/// What settlement starts from: the replay at its last durable moment and the log's leaves.
struct SettlementStart: ~Copyable {
  var replay: Replay
  var log = MerkleLog()
  /// The first trade id after each batch: finds the batch of a trade.
  var tradeEnds: [UInt64] = []

  static func load(_ context: LayerContext, _ keeper: StateKeeper) throws -> SettlementStart {
    var replay = Replay(genesis: context.genesis)
    guard let head = try keeper.load(&replay) else { return SettlementStart(replay: replay) }
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
    let end = replay.batch.raw
    var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
    for batch in (replay.execution.creditBatch.map { $0.raw + 1 } ?? 0)..<end {
      guard let bytes = try keeper.store.value(.clearance, batch) else {
        throw NodeFailure.state("Clearance \(batch) is missing")
      }
      let clearance = try SignedClearance(encoded: bytes.rawSpan)
      grants.append((clearance.header, try ClearanceBody(encoded: clearance.body.rawSpan)))
    }
    replay.restore(grants: grants)
    var start = SettlementStart(replay: replay)
    for batch in 0..<end {
      guard let bytes = try keeper.store.value(.logNodes, batch), bytes.count == 40 else {
        throw NodeFailure.state("log leaf \(batch) is missing")
      }
      start.log.append(leafHash: Bytes32(bytes.rawSpan))
      start.tradeEnds.append(bytes.rawSpan.load(at: 32))
    }
    guard start.log.root == frontier.root else {
      throw NodeFailure.state("the stored log does not give its root")
    }
    return start
  }

  private init(replay: consuming Replay) { self.replay = replay }
}
