import Execution
import Node
import Primitives
import Synchronization
import Wire

typealias Subject = FollowMarketMessage.Subject

/// What one closed batch did to the books and accounts somebody follows.
struct MarketBatch: Sendable {
  var batch: BatchNumber
  var time: Timestamp
  var marks: [InstrumentID: Price] = [:]
  /// Whole books and order lists of what nobody followed before this batch; nil for what execution
  /// does not know.
  var books: [InstrumentID: [BookLevel]?] = [:]
  var orders: [AccountID: [RestingOrder]?] = [:]
  /// What became of resting orders of all else that is followed, in the order of first change.
  var changes: [OrderChange] = []
  /// Leaves of followed accounts.
  var acknowledgements: [Acknowledgement] = []
}

/// Which markets and accounts are followed, as the apply thread asks at the end of each batch.
final class FollowedSubjects: Sendable {
  private struct State {
    var wanted: Set<Subject> = []
    /// Wanted ones whose state the feed has been given.
    var known: Set<Subject> = []
  }
  private let state = Mutex(State())
  private let isAny = Atomic<Bool>(false)

  func want(_ subject: Subject) {
    state.withLock { _ = $0.wanted.insert(subject) }
    isAny.store(true, ordering: .releasing)
  }

  func drop(_ subject: Subject) {
    state.withLock { state in
      state.wanted.remove(subject)
      state.known.remove(subject)
      isAny.store(!state.wanted.isEmpty, ordering: .releasing)
    }
  }

  /// What the feed needs of a batch that `machine` has just closed and not sealed; nil while nobody
  /// follows anything.
  func taken(
    from machine: borrowing ExecutionMachine, _ header: ExecutionHeader,
    _ acknowledgements: [Acknowledgement]
  ) -> MarketBatch? {
    guard isAny.load(ordering: .acquiring) else { return nil }
    var taken = MarketBatch(batch: header.batch, time: header.time)
    let (known, new) = state.withLock { state in
      let known = state.known
      let new = state.wanted.subtracting(known)
      state.known = state.wanted
      return (known, new)
    }
    for subject in new {
      switch subject {
      case .market(let id): taken.books[id] = .some(FollowedSubjects.book(id, machine))
      case .account(let id): taken.orders[id] = .some(FollowedSubjects.orders(id, machine))
      }
    }
    for case .market(let id) in known.union(new) { taken.marks[id] = machine.mark(id) ?? .zero }
    guard !known.isEmpty else { return taken }
    machine.forEachOrderChange { change in
      if known.contains(.market(change.instrument)) || known.contains(.account(change.account)) {
        taken.changes.append(change)
      }
    }
    taken.acknowledgements = acknowledgements.filter { known.contains(.account($0.account)) }
    return taken
  }

  private static func book(_ id: InstrumentID, _ machine: borrowing ExecutionMachine)
    -> [BookLevel]?
  {
    guard machine.instrument(id) != nil else { return nil }
    var levels: [BookLevel] = []
    for side in [Side.buy, .sell] {
      for level in machine.levels(id, side, limit: .max) {
        levels.append(
          BookLevel(side, level.price, level.quantity, orders: UInt32(clamping: level.orders)))
      }
    }
    return levels
  }

  private static func orders(_ id: AccountID, _ machine: borrowing ExecutionMachine)
    -> [RestingOrder]?
  {
    guard id.index < machine.accountCount else { return nil }
    return machine.restingOrders(of: id)
  }
}
