import Clearing
import Commitments
import Execution
import Primitives
import Wire

/// A batch that has been cleared, and what clearing said of it.
struct StormBatch {
  let header: ExecutionHeader
  let cleared: ClearingHeader
  let body: BatchBody
  let clearance: ClearanceBody
  let receipts: [Receipt]
  /// What clearing holds of the quote asset less what was paid in: zero, always.
  let imbalance: Int128
}

/// Where the agents' bundles are played: machines of this process, or three processes. Both keep to
/// one clock: the bundles of a batch open it, those of the next close it, and a batch adopts the
/// Clearance of the batch before the last. So the same bundles make the same batches on both.
protocol StormStage: AnyObject {
  var house: StormHouse { get }
  /// Plays the bundles of the next batch; the first is a publisher's, with a newer time than the
  /// last batch's.
  /// - Returns: the batch before, which this one closed.
  func play(_ bundles: [Bundle], at time: Timestamp) throws -> StormBatch?
}

/// Clearing's machine, as anybody may run it beside clearing: who asks it sees what clearing says.
final class StormHouse {
  let genesis: Genesis
  private var machine: ClearingMachine

  init(_ genesis: Genesis) {
    self.genesis = genesis
    machine = ClearingMachine(genesis: genesis)
  }

  func clear(_ header: ExecutionHeader, _ bytes: [UInt8]) throws -> StormBatch {
    let body = try BatchBody(bytes)
    let result = try machine.apply(header, body)
    machine.seal()
    let receipts = stride(from: 0, to: result.receipts.count, by: Receipt.byteCount).map {
      Receipt(result.receipts.rawSpan, at: $0)
    }
    return StormBatch(
      header: header, cleared: result.header, body: body, clearance: result.body,
      receipts: receipts, imbalance: machine.imbalance(.quote))
  }

  func margin(_ account: AccountID) -> MarginFigures { machine.margin(account) }
  func auction(_ account: AccountID) -> ClearingMachine.AuctionView? {
    machine.view(account)?.auction
  }
  var insurance: Int64 { machine.fund(.quote).insurance }
  var accountCount: Int { machine.accountCount }
}

/// The real machines in one process.
final class LoopStage: StormStage {
  let house: StormHouse
  private var execution: ExecutionMachine
  private var isOpen = false
  private var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
  /// Actions that execution rejected, by code.
  private(set) var rejected: [UInt16: Int] = [:]

  init(_ genesis: Genesis) {
    house = StormHouse(genesis)
    execution = ExecutionMachine(genesis: genesis)
  }

  func play(_ bundles: [Bundle], at time: Timestamp) throws -> StormBatch? {
    let adopted = grants
    grants = []
    var last: StormBatch?
    if isOpen {
      let (header, body) = execution.closeBatch()
      execution.seal()
      let batch = try house.clear(header, body)
      grants = [(batch.cleared, batch.clearance)]
      last = batch
    }
    try execution.openBatch(time: time, adopting: adopted)
    isOpen = true
    for bundle in bundles {
      var outcomes: [Outcome] = []
      try execution.apply(bundle, into: &outcomes)
      for outcome in outcomes where outcome.status == .rejected {
        rejected[outcome.code, default: 0] += 1
      }
    }
    return last
  }
}
