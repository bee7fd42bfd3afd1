import Commitments
import Instruments
import Primitives
import Wire

/// The Merkle trees over execution's pools. The exec root is the root of eight: keys with nonce
/// windows, credit, holdings, fills since the adopted Clearance, order book, market, status, and what only
/// some orders have, and some accounts have.
struct ExecutionTrees: ~Copyable {
  private var keys = PoolTree(recordsPerPage: 16)
  private var credits = PoolTree(recordsPerPage: 16)
  private var holdings = PoolTree(recordsPerPage: 16)
  private var balances = PoolTree(recordsPerPage: 16)
  private var since = PoolTree(recordsPerPage: 16)
  private var orders = PoolTree(recordsPerPage: 16)
  private var instruments = PoolTree(recordsPerPage: 1)
  private var indices = PoolTree(recordsPerPage: 1)
  private var slices = PoolTree(recordsPerPage: 1)
  private var status = PoolTree(recordsPerPage: 1)
  private var extras = PoolTree(recordsPerPage: 16)
  private var timers = PoolTree(recordsPerPage: 16)
  private var protections = PoolTree(recordsPerPage: 16)
  private var triggers = PoolTree(recordsPerPage: 16)
  private var calls = PoolTree(recordsPerPage: 16)
  private var margin = PoolTree(recordsPerPage: 1)
  private var sessions = PoolTree(recordsPerPage: 16)

  /// Hashes what the batch touched and gives the root.
  mutating func root(
    _ keyPool: borrowing Pool<KeyRecord>, _ creditPool: borrowing Pool<CreditRecord>,
    _ holdingPool: borrowing Pool<HoldingRecord>, _ balancePool: borrowing Pool<BalanceRecord>,
    _ sincePool: borrowing Pool<SinceRecord>, _ orderPool: borrowing Pool<OrderRecord>,
    _ instrumentPool: borrowing Pool<Instrument>, _ indexPool: borrowing Pool<IndexEntry>,
    _ slicePool: borrowing Pool<SliceEntry>, _ statusPool: borrowing Pool<StatusRecord>,
    _ extraPool: borrowing Pool<OrderExtra>, _ timerPool: borrowing Pool<TimerRecord>,
    _ protectionPool: borrowing Pool<ProtectionRecord>,
    _ triggerPool: borrowing Pool<TriggerRecord>, _ callPool: borrowing Pool<CallRecord>,
    _ marginPool: borrowing Pool<MarginTerms>,
    _ sessionPool: borrowing Pool<SessionRecord>
  ) -> Digest {
    keys.refresh(keyPool)
    credits.refresh(creditPool)
    holdings.refresh(holdingPool)
    balances.refresh(balancePool)
    since.refresh(sincePool)
    orders.refresh(orderPool)
    instruments.refresh(instrumentPool)
    indices.refresh(indexPool)
    slices.refresh(slicePool)
    status.refresh(statusPool)
    extras.refresh(extraPool)
    timers.refresh(timerPool)
    protections.refresh(protectionPool)
    triggers.refresh(triggerPool)
    calls.refresh(callPool)
    margin.refresh(marginPool)
    sessions.refresh(sessionPool)
    return combined()
  }

  /// Hashes everything and gives the root.
  mutating func rebuiltRoot(
    _ keyPool: borrowing Pool<KeyRecord>, _ creditPool: borrowing Pool<CreditRecord>,
    _ holdingPool: borrowing Pool<HoldingRecord>, _ balancePool: borrowing Pool<BalanceRecord>,
    _ sincePool: borrowing Pool<SinceRecord>, _ orderPool: borrowing Pool<OrderRecord>,
    _ instrumentPool: borrowing Pool<Instrument>, _ indexPool: borrowing Pool<IndexEntry>,
    _ slicePool: borrowing Pool<SliceEntry>, _ statusPool: borrowing Pool<StatusRecord>,
    _ extraPool: borrowing Pool<OrderExtra>, _ timerPool: borrowing Pool<TimerRecord>,
    _ protectionPool: borrowing Pool<ProtectionRecord>,
    _ triggerPool: borrowing Pool<TriggerRecord>, _ callPool: borrowing Pool<CallRecord>,
    _ marginPool: borrowing Pool<MarginTerms>,
    _ sessionPool: borrowing Pool<SessionRecord>
  ) -> Digest {
    keys.rebuild(keyPool)
    credits.rebuild(creditPool)
    holdings.rebuild(holdingPool)
    balances.rebuild(balancePool)
    since.rebuild(sincePool)
    orders.rebuild(orderPool)
    instruments.rebuild(instrumentPool)
    indices.rebuild(indexPool)
    slices.rebuild(slicePool)
    status.rebuild(statusPool)
    extras.rebuild(extraPool)
    timers.rebuild(timerPool)
    protections.rebuild(protectionPool)
    triggers.rebuild(triggerPool)
    calls.rebuild(callPool)
    margin.rebuild(marginPool)
    sessions.rebuild(sessionPool)
    return combined()
  }

  private mutating func combined() -> Digest {
    Merkle.root(
      of: [
        keys.root(), SHA256.pair(credits.root(), balances.root()), holdings.root(), since.root(),
        orders.root(),
        Merkle.root(
          of: [instruments.root(), indices.root(), slices.root(), calls.root()], width: 4),
        status.root(),
        Merkle.root(
          of: [
            extras.root(), timers.root(), protections.root(), triggers.root(), margin.root(),
            sessions.root(),
          ], width: 8),
      ], width: 8)
  }
}
