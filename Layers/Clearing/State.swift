public import Commitments
public import Instruments
import Margin
import Pricing
public import Primitives
public import Wire

extension ClearingMachine: PooledState {
  /// Every pool, in the order they are stored.
  public mutating func visitPools<Visitor: PoolVisitor>(_ visitor: inout Visitor)
    throws(Visitor.Failure)
  {
    try visitor.visit(&accounts)
    try visitor.visit(&positions)
    try visitor.visit(&balances)
    try visitor.visit(&funds)
    try visitor.visit(&instruments)
    try visitor.visit(&submissions)
    try visitor.visit(&indices)
    try visitor.visit(&slices)
    try visitor.visit(&withdrawals)
    try visitor.visit(&proposals)
    try visitor.visit(&status)
    try visitor.visit(&perpetuals)
    try visitor.visit(&minutes)
    try visitor.visit(&auctions)
    try visitor.visit(&locks)
    try visitor.visit(&payouts)
    try visitor.visit(&margins)
    try visitor.visit(&epochs)
    try visitor.visit(&shares)
  }

  /// Rebuilds all derived state after the pools were loaded, and checks the root.
  /// - Throws: `.state` when the facts do not hash to `expected`.
  public mutating func rebuild(
    expecting expected: Digest, previous: Digest, previousExecution: Digest, log: LogFrontier
  ) throws(ClearingFailure) {
    if let fault = structureFault() { throw .state("stored state is out of shape: \(fault)") }
    rebuildTrees()
    guard root == expected else {
      throw .state("stored state has root \(root), expected \(expected)")
    }
    // What the root vouches for may be walked without further questions.
    rebuildDerived()
    previousID = previous
    previousExecutionID = previousExecution
    self.log = log
  }

  /// Everything derived from the facts but the trees.
  mutating func rebuildDerived() {
    groups = OwnerGroups()
    for index in 0..<accounts.count {
      groups.note(AccountID(UInt32(index)), owner: accounts[index].owner)
    }
    freePositions = SlotBitmap(count: positions.count) { _ in true }
    for slot in 0..<positions.count where positions[slot].isUsed == 0 { freePositions.free(slot) }
    freeShares = SlotBitmap(count: shares.count) { _ in true }
    shareCount = shares.count
    for slot in 0..<shares.count where shares[slot].epoch == 0 {
      freeShares.free(slot)
      shareCount -= 1
    }
    openInterest = countOpenInterest()
    restricted = (0..<accounts.count).filter { accounts[$0].isRestricted }
      .map { AccountID(UInt32($0)) }
    auctionSlots = [:]
    for slot in 0..<auctions.count where auctions[slot].phase != 0 {
      auctionSlots[auctions[slot].account] = slot
    }
    perpetualSlots = []
    for slot in 0..<perpetuals.count { notePerpetual(perpetuals[slot].instrument, slot) }
    takeTerms()
    reprice()
    skipping.forgetAll()
  }

  /// What the batch tells execution: each list sorted by ids. The touched accounts are sorted.
  func clearanceBody() -> ClearanceBody {
    var body = ClearanceBody()
    body.opened = opened
    let order = touched.accounts[...]
    body.accounts.reserveCapacity(order.count)
    for place in order.indices {
      askAhead(order, place)
      let account = order[place]
      let record = accounts[account.index]
      body.accounts.append(
        AccountEntry(
          account: account, flags: AccountFlags(rawValue: record.flags), cash: record.cash))
    }
    for key in touched.balances.sortedOnce() {
      let account = AccountID(UInt32(key >> 32))
      let asset = AssetID(UInt16(truncatingIfNeeded: key))
      body.balances.append(
        BalanceEntry(
          account: account, asset: asset, amount: Amount(raw: balance(account, asset))))
    }
    for key in touched.positions.sortedOnce() {
      let account = AccountID(UInt32(key >> 32))
      let instrument = InstrumentID(UInt32(truncatingIfNeeded: key))
      let record = positionSlot(account, instrument).map { positions[$0] } ?? .empty
      body.positions.append(
        PositionEntry(
          account: account, instrument: instrument, quantity: record.quantity, cost: record.cost))
    }
    body.indices = touched.indices.sortedOnce().map { indices[$0] }
    body.slices = touched.slices.sortedOnce().map { slices[$0] }
      .sorted { ($0.underlying, $0.expiry) < ($1.underlying, $1.expiry) }
    body.instruments = touched.instruments.sortedOnce().map { instruments[$0] }
    body.directives = directives
    if touched.margin { body.margin = [margins[Int(status[0].margin)]] }
    return body
  }

  // MARK: - Views

  /// An account as people see it.
  public struct AccountView: Sendable {
    public var owner: PublicKey
    public var cash: Money
    public var flags: AccountFlags
    /// All accounts of the owner, the main one first.
    public var group: [AccountID]
    /// What fee tiers go by, as of its last fill.
    public var volume: Money
    public var positions: [(instrument: Instrument, quantity: Quantity, cost: Money, mark: Price)]
    public var balances: [(asset: AssetID, amount: Amount)]
    public var margin: MarginFigures
    public var auction: AuctionView?
  }

  /// An account's auction as people see it.
  public struct AuctionView: Sendable {
    public var number: UInt64 = 0
    /// 1 solvent, 2 insolvent, 3 overdue, 4 deleveraging.
    public var phase: UInt32
    public var started = Timestamp.zero
    public var phaseStarted = Timestamp.zero
    /// What bidders paid in this phase.
    public var reserved = Money.zero

    public var phaseName: String {
      switch phase {
      case AuctionRecord.solvent: "solvent"
      case AuctionRecord.insolvent: "insolvent"
      case AuctionRecord.overdue: "overdue"
      default: "deleveraging"
      }
    }
  }

  public func view(_ account: AccountID) -> AccountView? {
    guard account.index < accounts.count else { return nil }
    let record = accounts[account.index]
    var view = AccountView(
      owner: record.owner, cash: record.cash, flags: AccountFlags(rawValue: record.flags),
      group: groups.group(of: account), volume: record.volume, positions: [], balances: [],
      margin: margin(account))
    if let slot = auctionSlots[account] {
      let auction = auctions[slot]
      view.auction = AuctionView(
        number: auction.number, phase: auction.phase, started: auction.started,
        phaseStarted: auction.phaseStarted, reserved: auction.reserved)
    }
    forEachPosition(account) { _, position in
      view.positions.append(
        (
          instruments[position.instrument.index], position.quantity, position.cost,
          table.mark(position.instrument)
        ))
    }
    var next = record.firstBalance
    while next != 0 {
      view.balances.append((balances[Int(next) - 1].asset, balances[Int(next) - 1].amount))
      next = balances[Int(next) - 1].next
    }
    return view
  }

  /// What the house holds of an asset; insurance with all its tranches.
  public func fund(_ asset: AssetID) -> (
    insurance: Int64, fees: Int64, rounding: Int64, deposits: Int64, withdrawals: Int64
  ) {
    let fund = funds[asset.index]
    let insurance = asset == .quote ? Int64(clamping: fundTotal) : fund.insurance
    return (insurance, fund.fees, fund.rounding, fund.deposits, fund.withdrawals)
  }

  /// Funding booked and not yet passed on, with its dust.
  public var fundingHeld: Int64 { funds[0].funding }

  public var tradeCount: UInt64 { status[0].trades }

  /// Auctions that ever began; their numbers run from 1.
  public var auctionCount: UInt64 { status[0].auctions }

  /// Bytes held for accounts: records, positions, the tree's nodes and the index of owners.
  public var memory: (accountBytes: Int, positionBytes: Int) {
    let positionBytes = positions.count * MemoryLayout<PositionRecord>.stride
    // Two digests a leaf and one kept subtree; an owner takes a key, an id and the table's slack.
    return (
      accounts.count * (MemoryLayout<AccountRecord>.stride + 96 + 60) + positionBytes, positionBytes
    )
  }
  public func index(_ underlying: UnderlyingID) -> (price: Price, time: Timestamp) {
    (indices[underlying.index].price, indices[underlying.index].time)
  }

  /// Newest quorum time of any index.
  public var oracleTime: Timestamp {
    var newest = Timestamp.zero
    for slot in 0..<indices.count { newest = max(newest, indices[slot].time) }
    return newest
  }

  // MARK: - Proofs

  /// Everything that proves an account under the state root: the eight fields, the two disclosed
  /// lists, the path in the accounts tree and the sixteen roots.
  public mutating func accountProof(_ account: AccountID) -> AccountProof {
    let known = account.index < accounts.count
    return AccountProof(
      account: account,
      fields: known
        ? AccountTree.fields(
          account, accounts[account.index], balances: balancesDigest(account),
          positions: positionsDigest(account)) : [],
      positions: known && accounts[account.index].firstPosition != 0
        ? positionsBytes(account) : [],
      balances: known && accounts[account.index].firstBalance != 0 ? balancesBytes(account) : [],
      path: accountTree.proof(of: account), roots: stateRoots())
  }
}

extension SliceEntry {
  var expirySlice: ExpirySlice {
    ExpirySlice(
      expiry: expiry, forward: forward,
      surface: SurfaceSlice(
        a: parameters.a, b: parameters.b, rho: parameters.rho, m: parameters.m,
        sigma: parameters.sigma), time: time)
  }
}
