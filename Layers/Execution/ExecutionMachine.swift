import Commitments
public import Instruments
import Margin
public import Primitives
public import Wire

/// The execution sequencer's rules: one deterministic machine. Same genesis and same inputs give
/// the same headers and bodies on every machine.
///
/// A batch is `openBatch`, any number of `apply`, `closeBatch`. Facts live in pools, which are
/// hashed and stored; books, indexes and risk sums are derived from them.
public struct ExecutionMachine: ~Copyable {
  public let genesis: Genesis
  public let network: Digest
  let inPlace = InPlace()

  // Facts.
  var keys = Pool<KeyRecord>(capacity: 1024)
  var credits = Pool<CreditRecord>(capacity: 1024)
  var holdings = Pool<HoldingRecord>(capacity: 1024)
  var balances = Pool<BalanceRecord>()
  var since = Pool<SinceRecord>(capacity: 4096)
  var instruments = Pool<Instrument>()
  var indices = Pool<IndexEntry>()
  var slices = Pool<SliceEntry>()
  var status = Pool<StatusRecord>(capacity: 1)
  var extras = Pool<OrderExtra>()
  var timers = Pool<TimerRecord>()
  var protections = Pool<ProtectionRecord>()
  var triggers = Pool<TriggerRecord>()
  var calls = Pool<CallRecord>()
  /// The terms of the margin method, one record.
  var margin = Pool<MarginTerms>(capacity: 1)
  var sessions = Pool<SessionRecord>()

  /// Resting orders: facts, and what follows from them.
  var books: OrderBooks

  // Derived from the facts.
  var freeHoldings = SlotBitmap()
  /// Slots of extras by order. Nothing iterates it where order matters.
  var extraSlots: [UInt64: Int] = [:]
  var freeExtras = SlotBitmap()
  var expiries = ExpiryQueue()
  /// Orders that expire.
  var timedOrders = 0
  /// Slots of timers by account, of protections by account and underlying.
  var timerSlots: [UInt32: Int] = [:]
  var freeTimers = SlotBitmap()
  /// When timers run out; its entries name accounts.
  var deadlines = ExpiryQueue()
  var protectionSlots: [UInt64: Int] = [:]
  var freeProtections = SlotBitmap()
  /// Empty between actions.
  var heldFills: [QuoteFill] = []
  /// What follows from the orders that wait for a price.
  var waiting = TriggerIndex()
  var freeTriggers = SlotBitmap()
  var sessionIndex = SessionIndex()
  var groups = OwnerGroups()
  /// How low a sell and how high a buy may be priced, by instrument.
  var bands: [(low: Int64, high: Int64)] = []
  /// What a contract moves by, for the protection of quotes, by instrument.
  var greeks: [(delta: Ratio, vega: Price)] = []
  /// Contracts of the resting orders of each holding, bids and asks.
  var resting: [(bids: Int64, asks: Int64)] = []
  /// By instrument: contracts open, as granted.
  var openInterest: [Int128] = []
  var risk: RiskBook
  var table = RiskTable()
  var collaterals: CollateralTable
  var trees = ExecutionTrees()

  // The batch being made.
  var events = EventBuffer(capacity: 4096)
  var bundles: [Bundle] = []
  var bundleLeaves: [Digest] = []
  var bodyByteCount = 8
  var isOpen = false

  /// Id of the last header; the network id before the first.
  public internal(set) var previousID: Digest
  /// Which pages the store has still to take.
  public var pageRound = PageRound()
  /// Root after the last closed batch.
  public internal(set) var root: Digest = .zero

  /// The state at genesis.
  /// - Parameter indexKey: any number, best a secret one; see `OrderBooks`.
  public init(genesis: Genesis, indexKey: UInt64 = 0x9E37_79B9_7F4A_7C15) {
    self.genesis = genesis
    books = OrderBooks(indexKey: indexKey)
    network = genesis.networkID
    previousID = network
    risk = RiskBook(underlyingCount: genesis.underlyings.count)
    collaterals = CollateralTable(decimals: genesis.assets.map(\.scale))
    status.append(StatusRecord())
    for underlying in genesis.underlyings.indices {
      indices.append(
        IndexEntry(
          underlying: UnderlyingID(UInt16(underlying)), price: .zero, time: .zero))
    }
    status[0].time = genesis.startTime
    for owner in genesis.accounts { open(owner: owner, at: 0) }
    for instrument in genesis.instruments { list(instrument) }
    margin.append(genesis.margin)
    table.use(genesis.margin)
    reprice()
    root = trees.rebuiltRoot(
      keys, credits, holdings, balances, since, books.orders, instruments, indices, slices, status,
      extras, timers, protections, triggers, calls, margin, sessions)
    seal()
  }

  /// Resting orders by slot.
  var orders: Pool<OrderRecord> {
    _read { yield books.orders }
    _modify { yield &books.orders }
  }
  /// The batch being made, or the next one.
  public var batch: BatchNumber { BatchNumber(status[0].batch) }
  /// The time of the batch being made, or of the last one.
  public var time: Timestamp { status[0].time }
  public var accountCount: Int { credits.count }
  public var instrumentCount: Int { instruments.count }
  public var openOrderCount: Int { books.count }
  public var bundleCount: Int { bundles.count }
  /// Newest Clearance adopted, if any.
  public var creditBatch: BatchNumber? {
    status[0].creditBatch == .max ? nil : BatchNumber(status[0].creditBatch)
  }
  /// Its id, zero before the first.
  public var creditID: Digest { status[0].creditID }
  /// Newest quorum oracle time adopted.
  public var oracleTime: Timestamp { status[0].oracleTime }
  public func instrument(_ id: InstrumentID) -> Instrument? {
    id.index < instruments.count ? instruments[id.index] : nil
  }
  public func mark(_ id: InstrumentID) -> Price? { table.isPriced(id) ? table.mark(id) : nil }

  // MARK: - Opening

  /// Opens the next batch at `time` and adopts Clearances in order: credit first, then directives.
  ///
  /// - Parameters:
  ///   - time: batch time; not before the last batch's.
  ///   - clearances: the Clearances of the batches after the last adopted one, without gap; their
  ///     signatures and body hashes have been checked.
  /// - Throws: `.timeFalls`, `.clearance` when the list does not continue what was adopted,
  ///   `.clearanceBody` when one names what cannot be. Nothing has changed then.
  public mutating func openBatch(
    time: Timestamp, adopting clearances: [(header: ClearingHeader, body: ClearanceBody)]
  ) throws(ExecutionFailure) {
    precondition(!isOpen, "a batch is closed before the next one opens")
    guard time >= status[0].time, time <= .latest else {
      throw .timeFalls(from: status[0].time, to: time)
    }
    try check(clearances)
    isOpen = true
    status[0].time = time
    var directives: [Directive] = []
    for (header, body) in clearances {
      adopt(header, body)
      status[0].creditBatch = header.batch.raw
      status[0].creditID = header.id
      directives += body.directives
    }
    cancelExpired()
    expireOrders()
    runOutTimers()
    for directive in directives { carryOut(directive) }
    holdAuctions()
    reachTriggers()
    placeReached()
  }

  /// Whether bundles with more than cancels must wait for clearing.
  public var isAheadOfClearing: Bool {
    let adopted = status[0].creditBatch == .max ? 0 : status[0].creditBatch + 1
    return status[0].batch - adopted >= UInt64(genesis.constants.runAheadMax)
  }

  // MARK: - Closing

  /// Closes the batch: recomputes the root and forms header and body. The header still has to be
  /// stored, then signed.
  public mutating func closeBatch() -> (header: ExecutionHeader, body: [UInt8]) {
    precondition(isOpen, "a batch is opened before it is closed")
    isOpen = false
    let eventBytes = events.bytes
    let body = BatchBody.encoded(bundles: bundles, events: eventBytes)
    var header = ExecutionHeader()
    header.term = status[0].term
    header.network = network
    header.batch = batch
    header.time = time
    header.previous = previousID
    header.preRoot = root
    header.creditBatch = BatchNumber(status[0].creditBatch)
    header.creditID = status[0].creditID
    header.transactionRoot = MerkleLog.root(ofLeafHashes: bundleLeaves)
    header.eventRoot = MerkleLog.root(ofLeafHashes: ExecutionMachine.eventLeaves(eventBytes))
    header.bundleCount = UInt32(bundles.count)
    header.eventCount = UInt32(events.count)
    header.bodyByteCount = UInt32(body.count)
    header.bodyHash = SHA256.digest(body)
    header.ruleSet = genesis.ruleSet
    status[0].batch += 1
    root = trees.root(
      keys, credits, holdings, balances, since, books.orders, instruments, indices, slices, status,
      extras, timers, protections, triggers, calls, margin, sessions)
    header.postRoot = root
    previousID = header.id
    bundles.removeAll(keepingCapacity: true)
    bundleLeaves.removeAll(keepingCapacity: true)
    events.removeAll()
    bodyByteCount = 8
    return (header, body)
  }

  /// The RFC 6962 leaves of packed events.
  public static func eventLeaves(_ bytes: [UInt8]) -> [Digest] {
    MerkleLog.leafHashes(ofRecords: bytes.rawSpan, size: EventBuffer.recordByteCount)
  }
}

/// Why an input cannot be part of a valid batch. Nothing has changed when it is thrown.
public enum ExecutionFailure: Error, Hashable, Sendable {
  case timeFalls(from: Timestamp, to: Timestamp)
  case clearance(expected: BatchNumber, found: BatchNumber)
  /// A Clearance that does not follow the last, or names an account, asset, underlying or
  /// instrument there cannot be.
  case clearanceBody(batch: BatchNumber, field: String)
  /// A bundle that the door refuses cannot be in a batch.
  case refused(Refusal)
  /// Stored state does not decode or does not give its root.
  case state(String)
}
