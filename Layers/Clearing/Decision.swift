import Commitments
import Instruments
import Margin
import Primitives
public import Wire

/// Why a decision cannot be taken again from what is shown, or came out otherwise.
public enum DecisionFailure: Error, Hashable, Sendable {
  /// Something the decision goes by is not shown.
  case missing(String)
  /// What is shown is no state of clearing's.
  case unsound(String)
  /// The rules close nothing here.
  case notDue(String)
}

extension ClearingMachine {
  /// Takes the decision to close part of an account again, by the code that took it, from nothing
  /// but the account and its market as the deciding batch left them. What that batch did after the
  /// decision changed nothing that the figures go by.
  ///
  /// Whether execution had by then adopted an earlier close of the account, only a replay can tell.
  /// - Parameter witness: its state root has been compared with the deciding header's.
  /// - Returns: the receipt that the rules give.
  public static func close(_ witness: MarginWitness, _ genesis: Genesis)
    throws(DecisionFailure) -> Receipt
  {
    let state = try ShownState(witness, genesis)
    guard !state.positions.isEmpty else { throw .notDue("the account has no position") }
    guard state.account.isRestricted, !state.account.isFrozen,
      state.account.closing == state.status.batch
    else { throw .notDue("the account was not told to close in this batch") }
    if genesis.constants.auctionFast > 0 {
      guard let auction = state.auction, auction.account == witness.account.account,
        auction.phase == AuctionRecord.overdue
      else { throw .notDue("the account has no overdue auction") }
    }
    var machine = ClearingMachine(showing: state, genesis)
    var receipt = try machine.closeShown()
    receipt.buyer = witness.account.account
    return receipt
  }

  /// The one account shown, as number 0, goes through the watch.
  private mutating func closeShown() throws(DecisionFailure) -> Receipt {
    let shown = AccountID(0)
    let standing = try shortfall(of: shown)
    guard let directive = close(shown, standing) else {
      throw .notDue("no position may be closed")
    }
    return receipt(of: directive, standing)
  }

  /// The standing of an account below maintenance, which nothing holds back.
  mutating func shortfall(of shown: AccountID) throws(DecisionFailure) -> Standing {
    guard isPriceable(shown) else { throw .notDue("no position has a fresh mark") }
    let standing = weigh(shown)
    let maintenance = standing.maintenance
    guard standing.equity < maintenance else {
      throw .notDue(
        "equity \(standing.held(standing.equity, .down).decimal) is not below maintenance "
          + "\(standing.held(maintenance, .up).decimal)")
    }
    guard !isHeldBack(shown, lacking: maintenance - standing.equity) else {
      throw .notDue("an index is in doubt, and the account held back")
    }
    return standing
  }

  /// A machine that knows one account and the records it goes by.
  init(showing state: ShownState, _ genesis: Genesis) {
    self.genesis = genesis
    network = genesis.networkID
    sheet = MarginSheet(underlyings: genesis.underlyings.count)
    collaterals = CollateralTable(decimals: genesis.assets.map(\.scale))
    previousID = network
    previousExecutionID = network
    status.append(state.status)
    status[0].margin = 0
    margins.append(state.terms)
    accounts.append(state.account)
    for position in state.positions { positions.append(position) }
    for balance in state.balances { balances.append(balance) }
    funds.append(state.fund)
    for underlying in genesis.underlyings.indices {
      indices.append(
        state.indices[underlying]
          ?? IndexEntry(underlying: UnderlyingID(UInt16(underlying)), price: .zero, time: .zero))
      minutes.append(state.minutes[underlying] ?? .empty)
    }
    for slice in state.slices { slices.append(slice) }
    for instrument in state.instruments {
      instruments.reserve(through: instrument.id.index)
      instruments[instrument.id.index] = instrument
    }
    for perpetual in state.perpetuals {
      notePerpetual(perpetual.instrument, perpetuals.append(perpetual))
    }
    takeTerms()
    reprice(state.instruments.map(\.id.index))
  }
}

/// What is shown of clearing's state, checked as stored state is before anything is computed from
/// it: the bytes come from a file.
struct ShownState {
  var status = StatusRecord.empty
  var terms = MarginTerms.novate32
  var account = AccountRecord()
  var positions: [PositionRecord] = []
  var balances: [BalanceRecord] = []
  /// Of the quote asset.
  var fund = FundRecord()
  var instruments: [Instrument] = []
  /// By underlying.
  var indices: [IndexEntry?]
  var minutes: [MinuteRecord?]
  var slices: [SliceEntry]
  var perpetuals: [PerpetualRecord] = []
  var auction: AuctionRecord?

  init(_ witness: MarginWitness, _ genesis: Genesis) throws(DecisionFailure) {
    guard witness.roots.parameters.first == genesis.constantsDigest else {
      throw .unsound("the constants under the state root are not genesis'")
    }
    slices = witness.slices
    indices = Array(repeating: nil, count: genesis.underlyings.count)
    minutes = Array(repeating: nil, count: genesis.underlyings.count)
    var termsSlot: UInt32?
    var (hasStatus, hasFund) = (false, false)
    for shown in witness.records {
      func record<Record: FlatRecord>(_: Record.Type) -> Record {
        let bytes = shown.bytes
        return Record(bytes.rawSpan, at: 0)
      }
      let slot = Int(shown.slot)
      guard shown.pool != .indices && shown.pool != .minutes || slot < indices.count else {
        throw .unsound("underlying \(slot)")
      }
      switch shown.pool {
      case .status:
        status = record(StatusRecord.self)
        hasStatus = slot == 0
      case .funds:
        fund = record(FundRecord.self)
        hasFund = slot == 0
      case .margins:
        terms = record(MarginTerms.self)
        termsSlot = shown.slot
      case .instruments:
        let instrument = record(Instrument.self)
        guard instrument.id.index == slot else { throw .unsound("instrument \(slot)") }
        instruments.append(instrument)
      case .indices: indices[slot] = record(IndexEntry.self)
      case .minutes: minutes[slot] = record(MinuteRecord.self)
      case .perpetuals: perpetuals.append(record(PerpetualRecord.self))
      case .auctions: auction = record(AuctionRecord.self)
      }
    }
    guard hasStatus, hasFund, let termsSlot else {
      throw .missing("the status, the fund or the margin terms")
    }
    guard status.margin == UInt64(termsSlot) else {
      throw .missing("the margin terms in force, number \(status.margin)")
    }
    // The status tells the batch to come; the decision was taken in the one before.
    guard (1..<UInt64(1 << 62)).contains(status.batch), status.time.raw > 0,
      status.time <= .latest, terms.fault == nil,
      terms.fits(assets: genesis.assets.count, underlyings: genesis.underlyings.count)
    else { throw .unsound("status or margin terms") }
    status.batch -= 1
    try takeAccount(witness.account)
    try takeBalances(witness.account, genesis)
    try checkMarket(genesis)
    for position in positions { try checkParts(of: position) }
  }

  private mutating func takeAccount(_ proof: AccountProof) throws(DecisionFailure) {
    guard proof.fields.count == 8 else { throw .unsound("an account that does not exist") }
    let marks = proof.fields[3].words
    account.owner = proof.fields[5]
    let money = proof.fields[0].words
    account.cash = Money(raw: Int64(bitPattern: UInt64(littleEndian: money.0)))
    account.debtIndexLow = UInt64(littleEndian: money.1)
    account.debtIndexHigh = Int64(bitPattern: UInt64(littleEndian: money.2))
    account.debtBooked = Money(raw: Int64(bitPattern: UInt64(littleEndian: money.3)))
    account.flags = UInt32(truncatingIfNeeded: UInt64(littleEndian: marks.0))
    account.closing = UInt64(littleEndian: marks.1)
    do throws(DecodingFailure) {
      for entry in try proof.positionEntries() {
        var position = PositionRecord()
        position.instrument = entry.instrument
        position.quantity = entry.quantity
        position.cost = entry.cost
        position.fundingIndexLow = entry.fundingIndexLow
        position.fundingIndexHigh = entry.fundingIndexHigh
        position.fundingBooked = entry.fundingBooked
        position.isUsed = 1
        position.next = UInt32(positions.count + 2)
        positions.append(position)
      }
    } catch {
      throw .unsound("the account's positions: \(error)")
    }
    if !positions.isEmpty {
      positions[positions.count - 1].next = 0
      account.firstPosition = 1
      account.positionCount = UInt32(positions.count)
    }
    guard AccountFlags(rawValue: account.flags).isCanonical,
      account.cash.raw.magnitude <= UInt64(Int64.max / 2), fund.isInterestSound(isQuote: true),
      account.hasSoundDebt(upTo: fund.interest)
    else { throw .unsound("the account's cash or flags") }
  }

  private mutating func takeBalances(_ proof: AccountProof, _ genesis: Genesis)
    throws(DecisionFailure)
  {
    do throws(DecodingFailure) {
      for entry in try proof.balanceEntries() {
        guard entry.asset.index < genesis.assets.count,
          entry.amount.raw.magnitude <= UInt64(Int64.max / 2)
        else { throw .invalid(field: "balance", offset: 0) }
        balances.append(
          BalanceRecord(
            asset: entry.asset, amount: entry.amount, next: UInt32(balances.count + 2)))
      }
    } catch {
      throw .unsound("the account's balances: \(error)")
    }
    guard !balances.isEmpty else { return }
    balances[balances.count - 1].next = 0
    account.firstBalance = 1
    for balance in balances where balance.asset.index < MarginTerms.collateralCount {
      guard let underlying = terms.collaterals[balance.asset.index].underlying else { continue }
      guard indices[underlying.index] != nil else {
        throw .missing("the index of underlying \(underlying)")
      }
    }
  }

  private func checkMarket(_ genesis: Genesis) throws(DecisionFailure) {
    for instrument in instruments
    where instrument.fault != nil || instrument.id.index >= Limits.instrumentsMax
      || instrument.underlying.index >= genesis.underlyings.count
    {
      throw .unsound("instrument \(instrument.id)")
    }
    for slot in indices.indices {
      guard indices[slot]?.isSound(at: slot) ?? true, minutes[slot]?.isSound ?? true else {
        throw .unsound("the index of underlying \(slot)")
      }
    }
    for slice in slices where !slice.isSound(underlyings: genesis.underlyings.count) {
      throw .unsound("a slice")
    }
    for perpetual in perpetuals
    where !perpetual.isSound(rateMax: genesis.constants.fundingRateMax) {
      throw .unsound("perpetual \(perpetual.instrument)")
    }
  }

  /// Everything a position is weighed by is there.
  private func checkParts(of position: PositionRecord) throws(DecisionFailure) {
    guard let instrument = instruments.first(where: { $0.id == position.instrument }) else {
      throw .missing("instrument \(position.instrument)")
    }
    let underlying = instrument.underlying.index
    guard indices[underlying] != nil, minutes[underlying] != nil else {
      throw .missing("the index of underlying \(underlying)")
    }
    guard
      instrument.kind != .perpetual
        || perpetuals.contains(where: { $0.instrument == instrument.id })
    else { throw .missing("the funding of instrument \(instrument.id)") }
    // Beyond the limit no sum is sure to fit; a purchase in an auction may pass it by a quarter.
    guard position.quantity.raw != 0,
      position.quantity.raw.magnitude / 80 <= instrument.orderQuantityMax.raw.magnitude,
      position.cost.raw.magnitude <= UInt64(Int64.max / 2)
    else { throw .unsound("the position in instrument \(instrument.id)") }
  }
}
