import Clearing
import Commitments
import Execution
import Node
import Primitives
import Settlement
import Storage
import Wire

/// Settlement's recovery. A checkpoint is a function of the two logs, and clearing's holds whatever
/// was under one: who has replayed it to its end has passed everything settlement signed.
final class SettlementRecovery: RecoveringLayer {
  private let context: LayerContext
  private let keeper: StateKeeper
  private var book: SettlementBook

  let ownLog = FollowMessage.Log.clearances
  var next: UInt64 { book.replay.batch.raw }
  var nextClearance: UInt64 { next }

  init(context: LayerContext, keeper: StateKeeper) throws {
    self.context = context
    self.keeper = keeper
    book = try SettlementBook.load(context, keeper)
  }

  func replay(_ shelf: inout RecoveryShelf) throws -> Bool {
    guard let (batch, encoded) = shelf.batches[next],
      let (clearance, clearanceBytes) = shelf.clearances[next]
    else { return false }
    let checked = CheckedBatch(
      batch, encoded, genesis: context.genesis, network: context.network)
    // A difference is not signed as a refusal here: what was signed before is not known yet.
    let settled = try book.settle(checked, clearance, clearanceBytes)
    try keeper.commit([settled.durable])
    return true
  }

  func finish() throws -> (batch: BatchNumber, id: Digest) {
    guard next > 0, let id = try keeper.signedID(next - 1) else {
      throw NodeFailure.state("nothing was ever signed: begin with an empty folder")
    }
    return (BatchNumber(next - 1), id)
  }

  func answer(_ query: QueryMessage) -> [UInt8]? { nil }

  var figures: [(key: String, value: JSONValue)] {
    [
      ("time_ms", .integer(book.replay.clearing.time.raw)),
      ("execution_root", .string("\(book.replay.execution.root)")),
      ("root", .string("\(book.replay.clearing.root)")),
      ("log_size", .integer(book.log.count)),
      ("log_root", .string("\(book.log.root)")),
      ("trades", .integer(book.replay.clearing.tradeCount)),
    ]
  }
}
