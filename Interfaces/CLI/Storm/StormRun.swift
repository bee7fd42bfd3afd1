import Clearing
import Commitments
import Instruments
import Primitives
import Wire

/// What one storm did.
struct StormOutcome: Hashable, Sendable {
  /// Contracts closed by force, 1e-8: against the book, to bidders, against the other side.
  var closed: Int64 = 0
  var transferred: Int64 = 0
  var deleveraged: Int64 = 0
  /// Of it, contracts of bots who took too much.
  var ofBots: Int64 = 0
  var restricted = 0
  /// Of those with a perpetual alone: how many would have met maintenance again a step later.
  var needless = 0
  var closes = 0
  var auctions = 0
  var bidsFilled = 0
  /// Value that solvent accounts sold in auctions, and what was paid for it, in money.
  var soldValue: Int64 = 0
  var soldPrice: Int64 = 0
  /// Money the fund paid, and what accounts owe at the end after it.
  var fundUse: Int64 = 0
  var badDebt: Int64 = 0
  /// The largest imbalance any batch had: zero.
  var imbalance: Int128 = 0
  /// Dollars open at the start, in money, and the deepest fall and highest rise of the index, millionths.
  var open: Int64 = 0
  var lowest: Int64 = .max
  var highest: Int64 = 0
  var first: Int64 = 1
  var makersLeft = 0
  var batches = 0
  var executionRoot = Digest.zero
  var clearingRoot = Digest.zero

  var forced: Int64 { closed + transferred + deleveraged }
  /// Where the index was farthest from its start, millionths.
  var farthest: Int64 {
    let end = highest - first > first - lowest ? highest : lowest
    return Int64(Int128(end - first) * Int128(Share.whole) / Int128(first))
  }
}

/// One seed, one path, one method.
struct StormRun {
  let path: StormPath
  let seed: UInt64
  let method: StormMethod
  var hasImpact = true
  var parameters = StormParameters()

  /// Plays it on the stage made for its genesis.
  func played(
    on stage: (StormCast, Genesis) throws -> any StormStage = { LoopStage($1) }
  ) throws -> StormOutcome {
    let cast = try StormCast(seed: seed, path, method, parameters)
    let genesis = try cast.genesis()
    let market = StormMarket(
      path.points[0], open: cast.open, hasImpact: hasImpact, parameters)
    var play = StormPlay(cast, try stage(cast, genesis), seed: seed, market, parameters)
    try play.begin(at: path.start)
    for (number, point) in path.points.enumerated().dropFirst() {
      try play.step(point, at: Timestamp(raw: path.start.raw + Int64(number) * parameters.step))
    }
    return try play.end()
  }
}

/// A storm under way.
private struct StormPlay {
  private let stage: any StormStage
  private let parameters: StormParameters
  private var agents: StormAgents
  private var outcome = StormOutcome()
  private var isOpening = true
  /// Who fell below maintenance in this step, with what they had then.
  private var fallen: [StormLedger.Holding] = []
  private var fundStart: Int64 = 0

  init(
    _ cast: StormCast, _ stage: any StormStage, seed: UInt64, _ market: StormMarket,
    _ parameters: StormParameters
  ) {
    self.stage = stage
    self.parameters = parameters
    agents = StormAgents(cast, stage.house, seed: seed, market, parameters)
    outcome.open = cast.open
    outcome.first = market.price
    fundStart = Share.of(cast.open, parameters.fund)
  }

  // MARK: - Time

  /// Money, then a batch until it is granted, then everybody's first position.
  mutating func begin(at start: Timestamp) throws {
    agents.time = start
    var bundles: [Bundle] = []
    agents.words(into: &bundles)
    agents.deposits(into: &bundles)
    try play(bundles)
    try pass()
    try advance()
    bundles = []
    agents.words(into: &bundles)
    agents.openings(into: &bundles)
    try play(bundles)
    try pass()
    try pass()
    isOpening = false
  }

  /// A step: makers see the move first and quote anew; a second later the oracle says it, and what
  /// fell below maintenance is closed against those quotes, or auctioned; then time to answer.
  mutating func step(_ point: StormPath.Point, at time: Timestamp) throws {
    agents.step(to: point)
    judgeFallen()
    agents.time = time
    var bundles: [Bundle] = []
    agents.tick(into: &bundles)
    agents.trades(into: &bundles)
    try play(bundles)
    for batch in 1..<parameters.batches {
      try advance()
      bundles = []
      if batch == 1 { agents.words(into: &bundles) } else { agents.tick(into: &bundles) }
      if batch % 2 == 1 { agents.bids(into: &bundles) }
      try play(bundles)
    }
    let price = agents.market.price
    outcome.lowest = min(outcome.lowest, price)
    outcome.highest = max(outcome.highest, price)
  }

  mutating func end() throws -> StormOutcome {
    try pass()
    for account in 0..<stage.house.accountCount {
      let equity = stage.house.margin(AccountID(UInt32(account))).equity.raw
      if equity < 0 { outcome.badDebt -= equity }
    }
    outcome.fundUse = fundStart - stage.house.insurance
    outcome.makersLeft = agents.withdrawn.count
    return outcome
  }

  private mutating func advance() throws {
    agents.time = Timestamp(raw: agents.time.raw + parameters.batchTime)
  }

  /// A batch in which nothing happens but time.
  private mutating func pass() throws {
    try advance()
    var bundles: [Bundle] = []
    agents.tick(into: &bundles)
    try play(bundles)
  }

  private mutating func play(_ bundles: [Bundle]) throws {
    guard let batch = try stage.play(bundles, at: agents.time) else { return }
    outcome.batches += 1
    outcome.executionRoot = batch.header.postRoot
    outcome.clearingRoot = batch.cleared.postRoot
    if batch.imbalance.magnitude > outcome.imbalance.magnitude {
      outcome.imbalance = batch.imbalance
    }
    for index in 0..<batch.body.eventCount where batch.body.eventKind(index) == .fill {
      let fill = batch.body.event(index, as: Fill.self)
      guard fill.causeCode == FillCause.close.rawValue else { continue }
      outcome.closed += fill.quantity.raw
      count(fill.quantity.raw, of: fill.taker)
    }
    for receipt in batch.receipts { take(receipt) }
    agents.take(batch, isOpening: isOpening)
  }

  // MARK: - Counting

  private mutating func count(_ quantity: Int64, of account: AccountID) {
    if agents.cast.bots.contains(where: { $0.account == account }) { outcome.ofBots += quantity }
  }

  private mutating func take(_ receipt: Receipt) {
    switch receipt.kind {
    case .restriction:
      guard receipt.id == 1 else { return }
      outcome.restricted += 1
      fallen.append(agents.ledger.holdings[receipt.buyer.index])
    case .close: outcome.closes += 1
    case .auctionStart: outcome.auctions += 1
    case .transfer, .deleveraging:
      let quantity = Int64(receipt.quantity.raw.magnitude)
      guard receipt.code != ReceiptCode.hedgeLeg.rawValue else {
        // Of two who are not in need.
        outcome.deleveraged += quantity
        return
      }
      let isBuyer = agents.ledger.isFlagged(receipt.buyer)
      count(quantity, of: isBuyer ? receipt.buyer : receipt.seller)
      if receipt.kind == .transfer {
        outcome.transferred += quantity
      } else {
        outcome.deleveraged += quantity
      }
    case .bid:
      guard receipt.code == ReceiptCode.done.rawValue else { return }
      outcome.bidsFilled += 1
      guard receipt.received.raw > 0 else { return }
      outcome.soldValue += receipt.received.raw
      outcome.soldPrice += receipt.paid.raw
    case .trade, .deposit, .withdrawal, .release, .oracle, .governance, .expiry, .insurance,
      .funding, .auctionOffer, .auctionEnd, .interest, .collateral, .opened, .ownerTransfer,
      .deleveragingLevel, .recovery, .repayment, nil:
      return
    }
  }

  /// Whether those who fell a step ago would stand again now.
  private mutating func judgeFallen() {
    for holding in fallen {
      guard let standing = agents.standing(of: holding) else { continue }
      if standing.equity >= standing.maintenance { outcome.needless += 1 }
    }
    fallen = []
  }
}
