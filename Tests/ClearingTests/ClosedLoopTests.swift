import Commitments
import Foundation
import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

/// Execution and clearing in one loop, fed by random clients; clearing's word comes back late.
struct Loop: ~Copyable {
  let genesis: Genesis
  var execution: ExecutionMachine
  var clearing: ClearingMachine
  var maker: BundleMaker
  var generator: Generator
  /// Cleared, not adopted.
  var pending: [(header: ClearingHeader, body: ClearanceBody)] = []
  /// Everything that replays the run.
  var record: [Batch] = []
  var time = TestWorld.start
  var price: [Int64] = [1_000, 100]
  var sequence: UInt64 = 0
  var reference: UInt64 = 0
  let crashes: Bool
  let hasAuctions: Bool
  let hasCollateral: Bool
  /// Some are long the perpetual, and those against them hedge it with the future.
  let hasHedges: Bool
  private var outgoing: [Wire.Bundle] = []
  var fills = 0
  var closes = 0
  var insured = 0
  var restrictions = 0
  var auctions = 0
  var sales = 0
  var deleveragings = 0
  var hedges = 0
  var recoveries = 0
  var repayments = 0
  /// Fees that went into tranches, and payments out of them.
  var tranched = 0
  var tranches = 0
  /// Epochs of losses that closed before all was recovered.
  var ended = 0
  var interests = 0
  var collateralSales = 0

  struct Batch {
    var time: Timestamp
    var adopted: Int
    var bundles: [Wire.Bundle]
    var header: ExecutionHeader
    var body: [UInt8]
    var cleared: ClearingHeader
    var receipts: [UInt8]
    var result: ClearingResult
    /// What its closes went by.
    var decisions: DecisionRecords?
  }

  init(
    seed: UInt64, crashes: Bool, auctions: Bool = false, collateral: Bool = false,
    hedges: Bool = false, sized: Bool = false, method: MarginTerms = .novate32
  ) {
    var constants = Constants()
    if auctions {
      constants.auctionFast = 3_000
      constants.auctionSlow = 12_000
      constants.auctionInsolvent = 8_000
      constants.auctionFee = 10_000_000
      constants.auctionCutoff = 5_000_000
      constants.auctionStartsMax = 2
      constants.auctionUnderlyingNotionalMax = 20_000_000_000
      constants.auctionPayoutMax = 20_000_000
      constants.auctionPayoutDailyMax = 30_000_000
      constants.lossEpochsMax = 3
      constants.lossRecovery = 500_000_000
      constants.insuranceTarget = 10_000_000
      constants.insuranceTrancheMax = 3_000_000
    }
    hasAuctions = auctions
    hasCollateral = collateral
    hasHedges = hedges
    var instruments = TestWorld.instruments(expiry: 100_000)
    var margin = collateral ? TestWorld.collateral(method: method) : method
    if sized {
      TestWorld.size(&instruments)
      margin.openInterestLower = Ratio(raw: Ratio.scale / 4)
      margin.openInterestUpper = Ratio(raw: 6 * Ratio.scale)
    }
    genesis = TestWorld.genesis(
      clients: 8, instruments: instruments, constants: constants, margin: margin)
    execution = ExecutionMachine(genesis: genesis)
    clearing = ClearingMachine(genesis: genesis)
    maker = BundleMaker(genesis: genesis)
    generator = Generator(seed: seed)
    self.crashes = crashes
  }

  private func client(_ number: Int) -> AccountID {
    AccountID(UInt32(TestWorld.firstClient + number))
  }

  /// One batch through both machines; the first broken property, or nil.
  mutating func step(_ number: Int) throws -> String? {
    let lag = generator.below(6)
    var adopted = 0
    while pending.count - adopted > lag { adopted += 1 }
    let taken = Array(pending.prefix(adopted))
    pending.removeFirst(adopted)
    try execution.openBatch(time: time, adopting: taken)
    if adopted > 0, let fault = difference(taken) { return fault }
    var bundles: [Wire.Bundle] = []
    for bundle in traffic(number) {
      var outcomes: [Outcome] = []
      try execution.apply(bundle, into: &outcomes)
      bundles.append(bundle)
    }
    if let fault = execution.selfCheck() { return fault }
    let (header, bytes) = execution.closeBatch()
    execution.seal()
    let body = try BatchBody(bytes)
    for index in 0..<body.eventCount where body.eventKind(index) == .fill {
      fills += 1
      let fill = body.event(index, as: Fill.self)
      if fill.causeCode == FillCause.close.rawValue { closes += 1 }
    }
    let result = try clearing.apply(header, body)
    clearing.seal()
    for asset in genesis.assets.indices {
      let off = clearing.imbalance(AssetID(UInt16(asset)))
      if off != 0 { return "asset \(asset) is off by \(off)" }
    }
    for receipt in receipts(result) {
      if receipt.kind == .insurance { insured += 1 }
      if receipt.kind == .restriction { restrictions += 1 }
      if receipt.kind == .auctionStart { auctions += 1 }
      if receipt.kind == .deleveraging {
        if receipt.code == 0 { deleveragings += 1 } else { hedges += 1 }
      }
      if receipt.kind == .interest { interests += 1 }
      if receipt.kind == .auctionStart, receipt.sellerPosition.raw > 0 { tranched += 1 }
      if receipt.kind == .insurance, receipt.received.raw > 0 { tranches += 1 }
      if receipt.kind == .bid, receipt.sellerRealised.raw > 0 { tranches += 1 }
      if receipt.kind == .recovery {
        if receipt.code != ReceiptCode.epochClosed.rawValue { recoveries += 1 } else { ended += 1 }
      }
      if receipt.kind == .repayment { repayments += 1 }
      if receipt.kind == .collateral { collateralSales += 1 }
      if receipt.kind == .bid, receipt.code == 0 { sales += 1 }
    }
    pending.append((result.header, result.body))
    let decided = ClearingMachine.decided(in: result.receipts)
    record.append(
      Batch(
        time: time, adopted: adopted, bundles: bundles, header: header, body: bytes,
        cleared: result.header, receipts: result.receipts, result: result,
        decisions: decided.isEmpty ? nil : clearing.decisionRecords(of: decided)))
    time = Timestamp(raw: time.raw + 200 + Int64(generator.below(2_000)))
    return nil
  }

  private func receipts(_ result: ClearingResult) -> [Receipt] {
    stride(from: 0, to: result.receipts.count, by: Receipt.byteCount).map {
      Receipt(result.receipts.rawSpan, at: $0)
    }
  }

  /// What the last adopted Clearance said must be what execution holds as granted.
  private func difference(_ taken: [(header: ClearingHeader, body: ClearanceBody)]) -> String? {
    var last: [UInt64: PositionEntry] = [:]
    for (_, body) in taken {
      for entry in body.positions {
        last[UInt64(entry.account.raw) << 32 | UInt64(entry.instrument.raw)] = entry
      }
    }
    for key in last.keys.sorted() {
      guard let entry = last[key] else { continue }
      let slot = execution.holdingSlot(entry.account, entry.instrument)
      let granted = slot.map { execution.holdings[$0].granted.raw } ?? 0
      if granted != entry.quantity.raw {
        return "account \(entry.account), instrument \(entry.instrument): granted \(granted), "
          + "cleared \(entry.quantity.raw)"
      }
    }
    return nil
  }

  /// With everything adopted both machines hold the same positions and cash.
  mutating func settleUp() throws -> String? {
    try execution.openBatch(time: time, adopting: pending)
    pending = []
    for account in 0..<clearing.accountCount {
      let id = AccountID(UInt32(account))
      guard let view = clearing.view(id) else { return "account \(account) is not there" }
      if execution.credits[account].cash != view.cash { return "cash of account \(account)" }
      for instrument in 0..<clearing.instrumentCount {
        let here =
          execution.holdingSlot(id, InstrumentID(UInt32(instrument)))
          .map { execution.holdings[$0].granted.raw } ?? 0
        let there = view.positions.first { $0.instrument.id.index == instrument }?.quantity.raw ?? 0
        if here != there { return "position of account \(account) in \(instrument)" }
      }
    }
    // Directives of the last Clearances may have traded at the opening; all else is adopted.
    for place in 0..<Int(execution.status[0].sinceCount)
    where execution.since[place].batch != execution.batch.raw {
      return "a fill of batch \(execution.since[place].batch) is left that no Clearance holds"
    }
    return execution.selfCheck()
  }

  // MARK: - Traffic

  private mutating func traffic(_ number: Int) -> [Wire.Bundle] {
    outgoing = []
    if number == 0 {
      for number in 0..<8 {
        let owner = genesis.accounts[client(number).index]
        deposit(owner, hasCollateral ? 600_000_000 : 3_000_000_000)
        if hasCollateral { deposit(owner, 500_000_000, asset: AssetID(1)) }
      }
      deposit(.zero, 400_000_000)
    }
    if number % 11 == 5 {
      deposit(TestWorld.key(7_000 + number).publicKey, 1_500_000)
      deposit(genesis.accounts[client(generator.below(8)).index], 60_000_000)
    }
    if number == 0 || generator.chance(60) { oracle() }
    guard number > 0, !execution.isAheadOfClearing else { return outgoing }
    for _ in 0..<(hasHedges ? 2 : 5 + generator.below(25)) {
      let account = client(generator.below(8))
      let count = 1 + generator.below(3)
      var actions: [Action] = []
      for _ in 0..<count { actions.append(action()) }
      send(account, actions)
    }
    if hasHedges { spread() }
    if hasAuctions, !hasHedges { bid() }
    return outgoing
  }

  /// Clients 0 and 1 buy the perpetual of clients 2 to 4, who buy the future of the others.
  private mutating func spread() {
    for number in 0..<8 {
      func order(_ instrument: UInt32, _ side: Side) -> Action {
        let base = price[0] * Price.scale
        return .place(
          instrument: InstrumentID(instrument), side: side,
          price: Price(raw: side == .buy ? base + base / 100 : base - base / 100),
          quantity: Quantity(raw: TestWorld.lot * generator.within(100...400)),
          timeInForce: .gtc, postOnly: false, reduceOnly: false, clientID: 0)
      }
      let actions =
        number < 2
        ? [order(0, .buy)] : number < 5 ? [order(0, .sell), order(1, .buy)] : [order(1, .sell)]
      send(client(number), actions)
    }
  }

  /// Somebody wants a part of every account under auction that execution knows of.
  private mutating func bid() {
    for number in 0..<execution.credits.count where execution.isFrozen(AccountID(UInt32(number))) {
      for _ in 0..<generator.below(4) {
        let offer = AuctionOffer(
          account: AccountID(UInt32(number)),
          stake: Money(raw: generator.within(1...900_000_000)),
          worst: Money(raw: generator.within(-20_000_000...900_000_000)),
          part: Ratio(raw: generator.within(1...Ratio.scale)))
        send(client(generator.below(8)), [.bid(offer)])
      }
    }
  }

  private mutating func send(_ account: AccountID, _ actions: [Action]) {
    outgoing.append(maker.bundle(account, actions, at: time))
  }

  private mutating func deposit(
    _ owner: PublicKey, _ amount: Int64, asset: AssetID = .quote
  ) {
    reference += 1
    send(
      TestWorld.custodian,
      [.deposit(asset: asset, amount: Amount(raw: amount), owner: owner, reference: reference)])
  }

  private mutating func oracle() {
    let isCrash = crashes && generator.chance(6)
    for underlying in 0..<2 {
      let step = max(1, price[underlying] / (isCrash ? 4 : 60))
      let move = isCrash ? -generator.within(0...step) : generator.within(-step...step)
      price[underlying] = min(3_000, max(20, price[underlying] + move))
    }
    sequence += 1
    let expiry = genesis.instruments[2].expiry
    for publisher in TestWorld.publishers {
      var actions: [Action] = []
      for underlying in 0..<2 {
        actions.append(
          .index(
            underlying: UnderlyingID(UInt16(underlying)),
            price: Price(raw: price[underlying] * Price.scale + generator.within(0...999)),
            time: time, sequence: sequence))
      }
      if expiry > time {
        actions.append(
          .surface(
            underlying: UnderlyingID(0), expiry: expiry,
            forward: Price(raw: (price[0] + 1) * Price.scale),
            parameters: TestWorld.smile(time: expiry.raw - time.raw), time: time,
            sequence: sequence))
      }
      send(publisher, actions)
    }
  }

  private mutating func action() -> Action {
    let instrument = InstrumentID(UInt32(generator.below(5)))
    switch generator.below(100) {
    case 0..<80:
      let base: Int64 =
        switch instrument.raw {
        case 4: price[1] * Price.scale
        case 2, 3: (execution.mark(instrument)?.raw ?? 0) / TestWorld.tick * TestWorld.tick
        default: price[0] * Price.scale
        }
      let step = max(TestWorld.tick, base / 2_000 / TestWorld.tick * TestWorld.tick)
      return .place(
        instrument: instrument, side: generator.chance(50) ? .buy : .sell,
        price: Price(raw: max(TestWorld.tick, base + generator.within(-12...12) * step)),
        quantity: Quantity(raw: TestWorld.lot * generator.within(1...400)),
        timeInForce: generator.chance(20) ? .ioc : generator.chance(5) ? .fok : .gtc,
        postOnly: false, reduceOnly: generator.chance(8), clientID: 0)
    case 80..<92: return .cancelAll(instrument: generator.chance(30) ? .all : instrument)
    case 92..<98:
      return .withdraw(
        asset: hasCollateral && generator.chance(60) ? AssetID(1) : .quote,
        amount: Amount(raw: generator.within(1...100_000_000)), destination: .zero)
    default: return .halt(instrument: instrument, halted: true)
    }
  }
}

@Suite("Execution and clearing in one loop") struct ClosedLoopTests {
  static let batches =
    ProcessInfo.processInfo.environment["NOVATE_LOOP"].flatMap(Int.init) ?? 150

  @Test(
    "random clients, late clearing, crashes: all that must hold holds after every batch",
    arguments: [(401, true), (402, true), (403, false), (404, true), (405, true), (406, true)]
      as [(UInt64, Bool)])
  func loop(seed: UInt64, crashes: Bool) throws {
    var loop = Loop(seed: seed, crashes: crashes)
    for number in 0..<Self.batches {
      if let fault = try loop.step(number) {
        Issue.record("seed \(seed), batch \(number): \(fault)")
        return
      }
    }
    let fault = try loop.settleUp()
    #expect(fault == nil, "seed \(seed): \(fault ?? "")")
    let (fills, closes, restrictions) = (loop.fills, loop.closes, loop.restrictions)
    #expect(fills > Self.batches, "seed \(seed): \(fills) fills")
    if crashes {
      #expect(restrictions > 0, "seed \(seed): nobody was restricted")
      #expect(closes > 0, "seed \(seed): nobody was closed")
    }
    let settled = loop.clearing.instrument(InstrumentID(1))?.status
    #expect(settled == .settled)
  }

  @Test(
    "two runs of a seed agree, and fresh machines make the same chain from the bundles",
    arguments: [411, 412] as [UInt64])
  func replay(seed: UInt64) throws {
    var first = Loop(seed: seed, crashes: true)
    var second = Loop(seed: seed, crashes: true)
    for number in 0..<80 {
      if let fault = try first.step(number) ?? second.step(number) {
        Issue.record("seed \(seed), batch \(number): \(fault)")
        return
      }
      let same =
        first.execution.root == second.execution.root && first.clearing.root == second.clearing.root
      #expect(same, "seed \(seed), batch \(number)")
    }
    var execution = ExecutionMachine(genesis: first.genesis)
    var clearing = ClearingMachine(genesis: first.genesis)
    var pending: [(header: ClearingHeader, body: ClearanceBody)] = []
    for batch in first.record {
      try execution.openBatch(time: batch.time, adopting: Array(pending.prefix(batch.adopted)))
      pending.removeFirst(batch.adopted)
      for bundle in batch.bundles {
        var outcomes: [Outcome] = []
        try execution.apply(bundle, into: &outcomes)
      }
      let (header, body) = execution.closeBatch()
      execution.seal()
      #expect(header == batch.header && body == batch.body, "seed \(seed), batch \(header.batch)")
      let result = try clearing.apply(header, try BatchBody(body))
      clearing.seal()
      #expect(result.header == batch.cleared && result.receipts == batch.receipts)
      pending.append((result.header, result.body))
    }
  }
}

@Suite("Golden roots") struct GoldenRootTests {
  /// The rules, the state format and the hashing together: seed, batches, both header ids.
  /// `NOVATE_REGENERATE=1` writes the file anew, which is a change of rules or of state format.
  static let file = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/Machines/roots.txt")

  @Test("the chain of a seed is the one on file")
  func golden() throws {
    var text = "# seed, batches, id of the last execution and clearing header\n"
    for seed in 421...424 as ClosedRange<UInt64> {
      var loop = Loop(seed: seed, crashes: seed % 2 == 0)
      for number in 0..<100 {
        let fault = try loop.step(number)
        #expect(fault == nil)
      }
      let (execution, clearing) = (loop.execution.previousID, loop.clearing.previousID)
      text += "\(seed) 100 \(execution) \(clearing)\n"
    }
    if ProcessInfo.processInfo.environment["NOVATE_REGENERATE"] == "1" {
      try text.write(to: Self.file, atomically: true, encoding: .utf8)
    }
    let stored = try String(contentsOf: Self.file, encoding: .utf8)
    #expect(text == stored)
  }
}
