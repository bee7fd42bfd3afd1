import Clearing
import Commitments
import Node
import Primitives
import Storage
import Wire

/// Clearing's recovery: execution's batches are cleared again, and each header must be the one that
/// settlement keeps as signed by clearing, or that execution adopted.
final class ClearingRecovery: RecoveringLayer {
  private let keeper: StateKeeper
  private let genesis: Genesis
  private var machine: ClearingMachine

  let ownLog = FollowMessage.Log.clearances
  var next: UInt64 { machine.batch.raw }
  var nextClearance: UInt64 { machine.batch.raw }

  init(context: LayerContext, keeper: StateKeeper) throws {
    self.keeper = keeper
    genesis = context.genesis
    machine = try ClearingService.load(context, keeper)
  }

  func replay(_ shelf: inout RecoveryShelf) throws -> Bool {
    guard let (batch, encoded) = shelf.batches[next] else { return false }
    let shown = shelf.clearances[next]?.clearance.header
    // Only past the end of all that anybody was shown there is nothing to compare with.
    if shown == nil {
      guard let end = shelf.shownEnd, next >= end else { return false }
    }
    let header = batch.header
    if header.creditBatch != ExecutionHeader.noCredit,
      let own = try keeper.signedID(header.creditBatch.raw), own != header.creditID
    {
      throw NodeFailure.state(
        "batch \(header.creditBatch): the folder holds \(own), and execution adopted "
          + "\(header.creditID)")
    }
    let result = try machine.apply(header, try BatchBody(batch.body))
    if let shown, shown.id != machine.previousID {
      throw NodeFailure.state(
        "batch \(header.batch) clears to \(machine.previousID), and what was signed is \(shown.id)")
    }
    try keeper.commit([ClearedBatch(sealing: &machine, result, batch: encoded).durable])
    return true
  }

  func finish() throws -> (batch: BatchNumber, id: Digest) {
    guard let head = try keeper.store.head() else {
      throw NodeFailure.state("nothing was ever signed: begin with an empty folder")
    }
    return (BatchNumber(head.seq), machine.previousID)
  }

  func answer(_ query: QueryMessage) -> [UInt8]? {
    guard query.kind == .account else { return nil }
    return ClearingService.account(
      AccountID(UInt32(clamping: query.subject)), in: machine, genesis: genesis)?.bytes()
  }

  var figures: [(key: String, value: JSONValue)] {
    [
      ("time_ms", .integer(machine.time.raw)),
      ("root", .string("\(machine.root)")),
      ("accounts", .integer(machine.accountCount)),
      ("trades", .integer(machine.tradeCount)),
    ]
  }
}
