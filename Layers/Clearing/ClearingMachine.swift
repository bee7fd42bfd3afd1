public import Commitments
public import Instruments
import Margin
public import Primitives
public import Wire

/// Why a batch cannot be cleared. Nothing has changed when it is thrown.
public enum ClearingFailure: Error, Hashable, Sendable {
  /// The header does not continue the chain: which field, at which batch.
  case header(field: String, batch: BatchNumber)
  /// An event that execution could not have made.
  case event(index: Int, reason: String)
  /// A posting left the ledger's range.
  case ledger(ArithmeticFailure)
  /// Stored state does not decode or does not give its root.
  case state(String)
}

/// What clearing made of a batch, before it is stored and signed.
public struct ClearingResult: Sendable {
  public var header: ClearingHeader
  public var body: ClearanceBody
  public var bodyBytes: [UInt8]
  /// Receipts, 128 bytes each.
  public var receipts: [UInt8]
}

/// The clearing house's rules: one deterministic machine. It novates every fill, nets positions,
/// applies oracle prices, moves deposits and withdrawals, settles expiries, and watches margin.
public struct ClearingMachine: ~Copyable {
  public let genesis: Genesis
  public let network: Digest
  let inPlace = InPlace()

  // Facts.
  var accounts = Pool<AccountRecord>(capacity: 1024)
  var positions = Pool<PositionRecord>(capacity: 1024)
  var balances = Pool<BalanceRecord>()
  var funds = Pool<FundRecord>(capacity: 4)
  var instruments = Pool<Instrument>()
  var submissions = Pool<SubmissionRecord>()
  var indices = Pool<IndexEntry>()
  var slices = Pool<SliceEntry>()
  var withdrawals = Pool<WithdrawalRecord>()
  var proposals = Pool<ProposalRecord>()
  var status = Pool<StatusRecord>(capacity: 1)
  var perpetuals = Pool<PerpetualRecord>()
  var minutes = Pool<MinuteRecord>()
  var auctions = Pool<AuctionRecord>()
  var locks = Pool<LockRecord>()
  var payouts = Pool<PayoutRecord>()
  /// Terms of the margin method: those of genesis, and all that were ever proposed.
  var margins = Pool<MarginTerms>(capacity: 1)
  /// Losses that others bore, and what each of them did.
  var epochs = Pool<EpochRecord>()
  var shares = Pool<ShareRecord>()

  // Derived from the facts.
  var groups = OwnerGroups()
  var freePositions = SlotBitmap()
  var freeShares = SlotBitmap()
  /// Shares in use.
  var shareCount = 0
  /// By instrument: its slot among the perpetuals, or −1.
  var perpetualSlots: [Int] = []
  /// By instrument: contracts open, as many held as owed.
  var openInterest: [Int128] = []
  var table = RiskTable()
  /// What other assets count, at the marks in force.
  var collaterals: CollateralTable
  var accountTree = AccountTree()
  var trees = ClearingTrees()
  /// Accounts with the reduce-only flag, ascending.
  var restricted: [AccountID] = []
  /// The auction of an account that has one.
  var auctionSlots: [AccountID: Int] = [:]
  /// The margin of the account being weighed.
  var sheet: MarginSheet
  /// Which accounts no change of prices since they were weighed can have brought into need.
  var skipping = Skipping()
  /// Of the margin terms in force.
  var factors = MarginFactors()
  /// Changes of the market in this batch that the marks know.
  var pricedChanges = 0

  // The batch being cleared.
  var touched = Touched()
  var receipts = ByteWriter()
  var directives: [Directive] = []
  var opened: [OpenedAccount] = []
  /// What execution had adopted when it made the batch.
  var adopted = BatchNumber(.max)
  /// Bids to be answered at its end, in their order.
  var bids: [PendingBid] = []
  /// Auctions that began in it.
  var startCount = 0
  /// Notional under auction by underlying, and in all; empty until somebody asks.
  var underAuction: [Int128] = []
  /// What accounts bore of the step of deleveraging that goes on.
  var borne: [BorneLoss] = []
  /// What the insurance fund held before it.
  var fundBefore: Int64 = 0

  /// Id of the last header; the network id before the first.
  public internal(set) var previousID: Digest
  /// Which pages the store has still to take.
  public var pageRound = PageRound()
  /// Id of the last execution header cleared.
  public internal(set) var previousExecutionID: Digest
  /// State root after the last batch.
  public internal(set) var root: Digest = .zero
  /// The log of clearing headers.
  public internal(set) var log = LogFrontier()

  /// The state at genesis.
  public init(genesis: Genesis) {
    self.genesis = genesis
    network = genesis.networkID
    sheet = MarginSheet(underlyings: genesis.underlyings.count)
    collaterals = CollateralTable(decimals: genesis.assets.map(\.scale))
    previousID = network
    previousExecutionID = network
    status.append(StatusRecord())
    status[0].time = genesis.startTime
    margins.append(genesis.margin)
    takeTerms()
    for owner in genesis.accounts { openAccount(owner) }
    opened = []
    for _ in genesis.assets { funds.append(FundRecord()) }
    for instrument in genesis.instruments {
      instruments.append(instrument)
      openPerpetual(instrument)
    }
    for underlying in genesis.underlyings.indices {
      indices.append(
        IndexEntry(
          underlying: UnderlyingID(UInt16(underlying)), price: .zero, time: .zero))
      minutes.append(MinuteRecord())
      payouts.append(PayoutRecord())
    }
    reprice()
    rebuildTrees()
    seal()
    touched.clear()
  }

  /// The batch to be cleared next.
  public var batch: BatchNumber { BatchNumber(status[0].batch) }
  public var time: Timestamp { status[0].time }
  public var accountCount: Int { accounts.count }
  public var instrumentCount: Int { instruments.count }
  public func instrument(_ id: InstrumentID) -> Instrument? {
    id.index < instruments.count ? instruments[id.index] : nil
  }

  /// Clears one batch of execution.
  ///
  /// - Parameters:
  ///   - header: execution's header; its signature has been checked.
  ///   - body: its body, decoded; its hash has been compared.
  /// - Throws: when the header does not continue the chain or the body cannot be booked.
  public mutating func apply(_ header: ExecutionHeader, _ body: BatchBody)
    throws(ClearingFailure) -> ClearingResult
  {
    precondition(status.touchedCount == 0, "a cleared batch is sealed before the next")
    try check(header, body)
    try check(events: body, at: header.time)
    let sizeBefore = log.size
    let rootBefore = log.root
    do {
      let last = status[0].time
      status[0].time = header.time
      adopted = header.creditBatch
      fundBefore = funds[0].insurance
      freeLocks()
      try runInterest(since: last)
      activateProposals()
      closeMinutes()
      try runFunding(since: last)
      try book(body)
      samplePremiums()
      noteDoubt()
      try settleExpiries()
      if touched.marketMoved { reprice() }
      try runAuctions()
      try watchMargin()
      try runRecoveries()
      lockWithdrawals()
    } catch {
      undo()
      throw .ledger(error)
    }
    checkConservation()
    return close(header, sizeBefore, rootBefore)
  }

  // MARK: - Checks before any change

  private func check(_ header: ExecutionHeader, _ body: BatchBody) throws(ClearingFailure) {
    func require(_ condition: Bool, _ field: String) throws(ClearingFailure) {
      if !condition { throw .header(field: field, batch: header.batch) }
    }
    try require(header.isCanonical, "version or reserved field")
    try require(header.network == network, "network")
    try require(header.batch == batch, "batch (expected \(batch), found \(header.batch))")
    try require(header.previous == previousExecutionID, "previous")
    try require(header.time >= status[0].time && header.time <= .latest, "time")
    try require(header.ruleSet == genesis.ruleSet, "rule set")
    try require(Int(header.bodyByteCount) == body.bytes.count, "body length")
    try require(Int(header.bundleCount) == body.bundles.count, "bundle count")
    try require(Int(header.eventCount) == body.eventCount, "event count")
    try require(header.bodyHash == SHA256.digest(body.bytes), "body hash")
  }

  /// Every event must be one execution could have made of this state: it is not trusted to.
  private func check(events body: BatchBody, at time: Timestamp) throws(ClearingFailure) {
    var trade = status[0].trades
    var instructions = InstructionCursor()
    for index in 0..<body.eventCount {
      let reason: String?
      switch body.eventKind(index) {
      case .fill:
        trade += 1
        reason = fault(body.event(index, as: Fill.self), trade: trade, at: time)
      case .instruction:
        reason = fault(body.event(index, as: Instruction.self), of: body, &instructions)
      case .triggered:
        reason = fault(body.event(index, as: Triggered.self), at: index)
      case nil:
        reason = "unknown kind"
      }
      if let reason { throw .event(index: index, reason: reason) }
    }
  }

  /// What is wrong with a fill, or nil.
  private func fault(_ fill: Fill, trade: UInt64, at time: Timestamp) -> String? {
    guard fill.isCanonical else { return "encoding of a fill" }
    guard fill.trade.raw == trade else { return "number of a trade" }
    guard fill.maker.index < accounts.count, fill.taker.index < accounts.count,
      fill.maker != fill.taker
    else { return "accounts of a fill" }
    guard fill.instrument.index < instruments.count else { return "instrument of a fill" }
    let instrument = instruments[fill.instrument.index]
    guard instrument.status != .settled, !(instrument.expires && instrument.expiry <= time) else {
      return "fill after expiry"
    }
    guard fill.price.raw > 0, fill.price <= instrument.priceMax,
      fill.price.raw % instrument.tick.raw == 0, fill.quantity.raw > 0,
      fill.quantity <= instrument.orderQuantityMax, fill.quantity.raw % instrument.lot.raw == 0
    else { return "price or quantity of a fill" }
    return nil
  }

  /// What is wrong with word of a triggered order, or nil. It books nothing: its fills do.
  private func fault(_ word: Triggered, at index: Int) -> String? {
    word.isCanonical && Int(word.index) == index && word.account.index < accounts.count
      && word.instrument.index < instruments.count ? nil : "a triggered order"
  }

  /// What is wrong with an instruction, or nil. Instructions stand in the order of the actions
  /// they name, each once.
  private func fault(
    _ instruction: Instruction, of body: BatchBody, _ cursor: inout InstructionCursor
  ) -> String? {
    guard instruction.isCanonical else { return "encoding of an instruction" }
    guard Int(instruction.bundle) < body.bundles.count,
      instruction.account.index < accounts.count,
      body.bundles[Int(instruction.bundle)].header.account == instruction.account,
      let record = cursor.record(of: instruction, in: body.bundles[Int(instruction.bundle)])
    else { return "reference of an instruction" }
    guard let kind = record.kind, kind.rawValue == instruction.actionKindCode else {
      return "kind of an instruction"
    }
    return isAdmissible(record, kind, by: instruction.account)
      ? nil : "subject or signer of an instruction"
  }

  /// What execution checks before it lets an action through.
  private func isAdmissible(_ record: ActionRecord, _ kind: ActionKind, by account: AccountID)
    -> Bool
  {
    switch kind {
    case .withdraw: record.id < genesis.assets.count
    case .open: groups.isMain(account)
    case .transfer: isOwnTransfer(record, by: account)
    case .deposit:
      record.id < genesis.assets.count && genesis.assets[Int(record.id)].custodian == account
    case .release: genesis.assets.contains { $0.custodian == account }
    case .index where record.a == 1:
      record.id < instruments.count && instruments[Int(record.id)].kind == .perpetual
        && genesis.publishers.contains(account)
    case .index, .surface:
      record.id < genesis.underlyings.count && genesis.publishers.contains(account)
    case .list, .halt, .margin: genesis.governance.contains(account)
    case .bid: record.id < accounts.count
    case .place, .cancel, .cancelAll, .addKey, .revokeKey, .block, .replace, .timer, .protect,
      .massQuote, .trigger, .combination, .session, .disconnect, .volatility, .hedgedBlock:
      false
    }
  }

  // MARK: - Booking

  private mutating func book(_ body: BatchBody) throws(ArithmeticFailure) {
    for index in 0..<body.eventCount {
      lookAhead(body, from: index)
      switch body.eventKind(index) {
      case .fill:
        try novate(body.event(index, as: Fill.self))
      case .triggered:
        continue
      case .instruction:
        let instruction = body.event(index, as: Instruction.self)
        try carryOut(
          instruction, in: body.bundles[Int(instruction.bundle)], at: Int(instruction.record))
      case nil:
        preconditionFailure("events are checked before they are booked")
      }
    }
  }

  /// Asks for the accounts of a fill some events ahead, and for the positions of one less far, whose
  /// accounts are there by now: of a million, none is in the cache.
  @inline(__always)
  private func lookAhead(_ body: BatchBody, from index: Int) {
    if index + 8 < body.eventCount, body.eventKind(index + 8) == .fill {
      let fill = body.event(index + 8, as: Fill.self)
      accounts.prefetch(fill.maker.index)
      accounts.prefetch(fill.taker.index)
      touched.prefetch(fill.maker)
      touched.prefetch(fill.taker)
    }
    if index + 4 < body.eventCount, body.eventKind(index + 4) == .fill {
      let fill = body.event(index + 4, as: Fill.self)
      lookAheadToPosition(of: fill.maker)
      lookAheadToPosition(of: fill.taker)
    }
  }

  @inline(__always)
  func lookAheadToPosition(of account: AccountID) {
    let first = accounts[account.index].firstPosition
    if first != 0 { positions.prefetch(Int(first) - 1) }
  }

  /// The same on a walk over accounts in order: of many, few were neighbours of another.
  @inline(__always)
  func askAhead(_ order: ArraySlice<AccountID>, _ place: Int) {
    if place + 12 < order.endIndex { accounts.prefetch(order[place + 12].index) }
    if place + 6 < order.endIndex { lookAheadToPosition(of: order[place + 6]) }
  }

  // MARK: - Closing

  private mutating func close(
    _ header: ExecutionHeader, _ sizeBefore: Int, _ rootBefore: Digest
  ) -> ClearingResult {
    touched.sortAccounts()
    let body = clearanceBody()
    let bytes = body.encoded
    precondition(
      bytes.count <= Limits.batchBodyByteCountMax,
      "batch \(batch): a Clearance of \(bytes.count) bytes can be read by nobody")
    var cleared = ClearingHeader()
    cleared.term = status[0].term
    cleared.network = network
    cleared.batch = batch
    cleared.time = header.time
    cleared.execution = header.id
    cleared.previous = previousID
    cleared.preRoot = root
    status[0].batch += 1
    hashTouched(body)
    root = stateRoot()
    cleared.postRoot = root
    cleared.receiptsRoot = MerkleLog.root(
      ofLeafHashes: ClearingMachine.receiptLeaves(receipts.bytes))
    cleared.bodyHash = SHA256.digest(bytes)
    cleared.oracleRoot = trees.oracleRoot()
    cleared.parametersRoot = trees.parametersRoot()
    cleared.ruleSet = genesis.ruleSet
    cleared.receiptCount = UInt32(receipts.bytes.count / Receipt.byteCount)
    cleared.accountCount = UInt32(body.accounts.count)
    cleared.positionCount = UInt32(body.positions.count)
    cleared.directiveCount = UInt32(body.directives.count)
    cleared.bodyByteCount = UInt32(bytes.count)
    cleared.logSizeBefore = UInt64(sizeBefore)
    cleared.logRootBefore = rootBefore
    previousID = cleared.id
    previousExecutionID = header.id
    log.append(leafHash: cleared.logLeaf)
    let result = ClearingResult(
      header: cleared, body: body, bodyBytes: bytes, receipts: receipts.bytes)
    forgetBatch()
    return result
  }

  private mutating func forgetBatch() {
    touched.clear()
    receipts = ByteWriter(capacity: receipts.bytes.count)
    directives = []
    opened = []
    bids = []
    startCount = 0
    underAuction = []
    borne = []
    pricedChanges = 0
  }

  private mutating func undo() {
    rollback()
    forgetBatch()
    rebuildDerived()
  }

  /// The RFC 6962 leaves of packed receipts.
  public static func receiptLeaves(_ bytes: [UInt8]) -> [Digest] {
    MerkleLog.leafHashes(ofRecords: bytes.rawSpan, size: Receipt.byteCount)
  }
}

/// Walks the actions of bundles in step with the instructions that name them.
struct InstructionCursor {
  private var bundle: UInt32?
  /// The first record that the next instruction of `bundle` may name.
  private var next = 0

  /// The action's first record; nil when there is no action, or it does not come after the last.
  mutating func record(of instruction: Instruction, in bundle: Bundle) -> ActionRecord? {
    if let last = self.bundle, instruction.bundle < last { return nil }
    if instruction.bundle != self.bundle {
      self.bundle = instruction.bundle
      next = 0
    }
    while next < bundle.recordCount, next <= Int(instruction.record) {
      let record = bundle.record(next)
      let isThere = next == Int(instruction.record)
      // A bundle is checked on decoding.
      next += record.recordCount
      if isThere { return record }
    }
    return nil
  }
}
