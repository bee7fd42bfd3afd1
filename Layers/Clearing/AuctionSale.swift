import Instruments
import Margin
import Primitives
import Risk
import Wire

// The bids of one batch for one auction, cleared together at one price.

/// What is offered of an account in a batch.
private struct AuctionOffering {
  /// Positions before the sale, by instrument.
  var positions: [(instrument: InstrumentID, quantity: Quantity)]
  /// Collateral that counts before the sale, by asset.
  var collaterals: [Leaving]
  /// Value of the whole, without what earlier bidders paid.
  var value: Money
  /// What the whole costs a bidder; negative: what the insurance fund pays with it.
  var price: Money
  /// Of it, what makes a debt good.
  var debt: Money
  var available: Ratio
  /// Underlyings whose tranches pay of it before the common one.
  var tranches: [TranchePart] = []

  /// Of the positions, what goes with the part from `from` to `to`: bidders together take at least
  /// their part of every position, rounded up to the lot, so no part is sold that carries no risk.
  func moves(from: Int64, to: Int64, lots: [Int64]) -> [AuctionMove] {
    var moves: [AuctionMove] = []
    for (place, position) in positions.enumerated() {
      let size = Int128(position.quantity.raw.magnitude)
      func until(_ part: Int64) -> Int128 {
        guard part < Ratio.scale else { return size }
        // 2^62 × 2^30 fits.
        let lot = Int128(lots[place])
        let whole = (size * Int128(part)).divided(by: lot * Int128(Ratio.scale), rounding: .up)
        return min(size, whole * lot)
      }
      let moved = Int64(until(to) - until(from))
      guard moved > 0 else { continue }
      let signed = position.quantity.raw > 0 ? moved : 0 - moved
      moves.append(
        AuctionMove(instrument: position.instrument, quantity: Quantity(raw: signed)))
    }
    return moves
  }

  /// Of the collateral, what goes with the part from `from` to `to`, rounded up to the unit.
  func parts(from: Int64, to: Int64) -> [Leaving] {
    var parts: [Leaving] = []
    for collateral in collaterals {
      func until(_ part: Int64) -> Int64 {
        Int64(MarginSheet.share(Int128(collateral.amount.raw), Ratio(raw: part)))
      }
      let moved = until(to) - until(from)
      if moved > 0 { parts.append(Leaving(asset: collateral.asset, amount: Amount(raw: moved))) }
    }
    return parts
  }

  /// Value and price of a part, each rounded against the bidder.
  func terms(_ part: Int64) throws(ArithmeticFailure) -> (value: Money, price: Money) {
    let share = Ratio(raw: part)
    return (
      try value.share(share, rounding: .down), try price.share(share, rounding: .up)
    )
  }
}

/// What one bidder takes over of one position.
struct AuctionMove {
  var instrument: InstrumentID
  var quantity: Quantity
}

extension ClearingMachine {
  /// Answers the bids for an auction: one price, pro rata, nobody beyond what it can carry.
  mutating func sell(
    _ slot: Int, _ figures: PortfolioAuction.Figures, to offers: [PendingBid]
  ) throws(ArithmeticFailure) {
    var offering = try offering(slot, figures)
    report(slot, figures, available: offering.available, price: offering.price)
    let lots = offering.positions.map { instruments[$0.instrument.index].lot.raw }
    var good: [(bid: PendingBid, entry: AuctionBid)] = []
    var last: AccountID?
    for bid in ClearingMachine.ordered(offers) {
      let wanted = min(bid.offer.part, offering.available).raw
      if let code = try fault(bid, offering, wanted, isRepeated: bid.bidder == last, lots) {
        refuse(bid.offer, of: bid.bidder, code)
      } else {
        let entry = AuctionBid(
          account: bid.bidder, group: groups.main(of: bid.bidder).raw, wanted: wanted,
          worst: bid.offer.worst,
          netAfter: .zero)
        good.append((bid, entry))
      }
      last = bid.bidder
    }
    let outcomes = try BatchClearing.outcomes(
      of: good.map(\.entry), available: offering.available.raw, price: offering.price,
      owner: groups.main(of: auctions[slot].account).raw)
    var sold: Int64 = 0
    for (place, outcome) in outcomes.enumerated() {
      let bid = good[place].bid
      guard case .filled(let part) = outcome, part > 0 else {
        refuse(bid.offer, of: bid.bidder, .nothingLeft)
        continue
      }
      let moves = offering.moves(from: sold, to: sold + part, lots: lots)
      let parts = offering.parts(from: sold, to: sold + part)
      let (value, price) = try offering.terms(part)
      if let code = try fault(bid, moves, parts, value: value, price: price) {
        refuse(bid.offer, of: bid.bidder, code)
        continue
      }
      sold += part
      try hand(over: moves, parts, part, of: slot, to: bid, &offering)
    }
  }

  /// By account; of one account the bid that wants least and offers least first, so that order of
  /// arrival is nothing.
  private static func ordered(_ bids: [PendingBid]) -> [PendingBid] {
    bids.sorted { a, b in
      if a.bidder != b.bidder { return a.bidder < b.bidder }
      if a.offer.part != b.offer.part { return a.offer.part < b.offer.part }
      if a.offer.worst != b.offer.worst { return a.offer.worst < b.offer.worst }
      return a.offer.stake < b.offer.stake
    }
  }

  private func offering(_ slot: Int, _ figures: PortfolioAuction.Figures)
    throws(ArithmeticFailure) -> AuctionOffering
  {
    let auction = auctions[slot]
    let elapsed = time.raw - auction.phaseStarted.raw
    let terms = auctionTerms
    var offering = AuctionOffering(
      positions: [], collaterals: countedCollateral(of: auction.account),
      value: try figures.marked.subtracting(figures.reserved), price: .zero,
      debt: Money(raw: max(0, 0 - figures.marked.raw)), available: .one)
    forEachPosition(auction.account) { _, position in
      offering.positions.append((position.instrument, position.quantity))
    }
    if auction.phase == AuctionRecord.solvent {
      let discount = PortfolioAuction.discount(terms, elapsed: elapsed)
      offering.available = try PortfolioAuction.fractionMax(figures, discount: discount, terms)
      offering.price = try PortfolioAuction.cost(figures, discount: discount, fraction: .one).paid
      return offering
    }
    let whole = try PortfolioAuction.payout(figures, elapsed: elapsed, terms)
    let above = try whole.subtracting(offering.debt)
    let payout = try offering.debt.adding(min(above, payoutRoom(auction)))
    offering.price = try Money.zero.subtracting(payout)
    if payout.raw > 0 {
      // No more of it than the fund can pay for.
      offering.tranches = try tranches(of: auction.account, for: payout.raw)
      let reach = min(fundReach(offering.tranches), Int128(payout.raw))
      let part = reach * Int128(Ratio.scale) / Int128(payout.raw)
      offering.available = Ratio(raw: Int64(min(part, Int128(Ratio.scale))))
    }
    return offering
  }

  /// Why a bid takes no part in the batch; nil where it does.
  private mutating func fault(
    _ bid: PendingBid, _ offering: AuctionOffering, _ wanted: Int64, isRepeated: Bool,
    _ lots: [Int64]
  ) throws(ArithmeticFailure) -> ReceiptCode? {
    if isRepeated { return .repeatedBid }
    let record = accounts[bid.bidder.index]
    if record.isRestricted || !hasAdopted(record.closing) { return .bidderBusy }
    if wanted == 0 { return .nothingLeft }
    if offering.price > bid.offer.worst { return .priceBeyondWorst }
    let (value, price) = try offering.terms(wanted)
    let moves = offering.moves(from: 0, to: wanted, lots: lots)
    return try fault(
      bid, moves, offering.parts(from: 0, to: wanted), value: value, price: price)
  }

  /// Why a bidder cannot carry what it would take: its stake covers what the part costs beyond its
  /// value and what the part alone requires, whatever its open orders do; and its own initial
  /// margin holds, with the part and without it.
  private mutating func fault(
    _ bid: PendingBid, _ moves: [AuctionMove], _ parts: [Leaving], value: Money, price: Money
  ) throws(ArithmeticFailure) -> ReceiptCode? {
    let bidder = bid.bidder
    // A unit for each position and collateral: what its transfer may lose in rounding.
    let rounding = Notional(Money(raw: Int64(moves.count + parts.count))).raw
    let gain = try Notional(value.subtracting(price)).raw - rounding
    let carried = requirement(of: nil, with: moves, parts)
    if Notional(bid.offer.stake).raw + gain < carried { return .stakeTooSmall }
    if !hasRoom(bidder, for: moves) { return .positionLimit }
    guard !isExposed(bidder) || isPriceable(bidder) else {
      return .marginShort
    }
    let standing = weigh(bidder)
    if standing.equity < standing.requirement { return .marginShort }
    let after = requirement(of: bidder, with: moves, parts)
    return standing.equity + gain < after ? .marginShort : nil
  }

  /// Whether positions stay within their limits, execution's orders of meanwhile included: no more
  /// than a quarter of a position's limit comes at once.
  private func hasRoom(_ bidder: AccountID, for moves: [AuctionMove]) -> Bool {
    var count = Int64(accounts[bidder.index].positionCount)
    for move in moves {
      let limit = instruments[move.instrument.index].positionMax.raw
      var held: Int64 = 0
      if let place = positionSlot(bidder, move.instrument) {
        held = positions[place].quantity.raw
      } else {
        count += 1
      }
      guard move.quantity.raw.magnitude <= (limit / 4).magnitude,
        (held + move.quantity.raw).magnitude <= limit.magnitude
      else { return false }
    }
    let isIsolated = AccountFlags(rawValue: accounts[bidder.index].flags).contains(.isolated)
    return count <= (isIsolated ? 1 : genesis.constants.positionsPerAccountMax)
  }

  /// Initial margin of an account's positions and collateral, if any, with what comes; and what of
  /// the collateral that is paid for does not count beside that which was there.
  private mutating func requirement(
    of account: AccountID?, with moves: [AuctionMove], _ parts: [Leaving]
  ) -> Int128 {
    sheet.clear(apart: account.map { accounts[$0.index].isApart } ?? false)
    var rest = moves
    var next = account.map { accounts[$0.index].firstPosition } ?? 0
    while next != 0 {
      let position = positions[Int(next) - 1]
      next = position.next
      let id = position.instrument
      var quantity = position.quantity.raw
      // Charges know no parts: what moves into a position stands beside it as one.
      if let place = rest.firstIndex(where: { $0.instrument == id }) {
        quantity += rest.remove(at: place).quantity.raw
      }
      sheet.add(id, Quantity(raw: quantity), instruments[id.index].underlying.index, table)
    }
    for move in rest {
      let underlying = instruments[move.instrument.index].underlying.index
      sheet.add(move.instrument, move.quantity, underlying, table)
    }
    let charged = charge(for: parts, beside: account)
    return sheet.requirement(lambda: factors.lambda).initial + charged
  }

  /// Puts an account's collateral, if any, with what comes on the sheet; haircuts and doubt, and what
  /// is paid for and does not count.
  private mutating func charge(for parts: [Leaving], beside account: AccountID?) -> Int128 {
    var charged: Int128 = 0
    var rest = parts
    var next = account.map { accounts[$0.index].firstBalance } ?? 0
    while next != 0 {
      let record = balances[Int(next) - 1]
      next = record.next
      guard collaterals.counts(record.asset) else { continue }
      var added: Int64 = 0
      if let place = rest.firstIndex(where: { $0.asset == record.asset }) {
        added = rest.remove(at: place).amount.raw
      }
      charged += charge(record.asset, from: record.amount.raw, adding: added)
    }
    for part in rest { charged += charge(part.asset, from: 0, adding: part.amount.raw) }
    return charged
  }

  private mutating func charge(_ asset: AssetID, from before: Int64, adding added: Int64) -> Int128
  {
    // Two amounts below 2^62.
    let after = Amount(raw: before + added)
    collaterals.add(asset, after, to: &sheet)
    let worth = collaterals.worth(asset, after)
    let paid = (collaterals.price(asset) * collaterals.quantity(asset, Amount(raw: added))).raw
    let grown = worth.value - collaterals.worth(asset, Amount(raw: before)).value
    return worth.maintenance + worth.initial + paid - grown
  }

  // MARK: - Handing over

  /// Positions go at their marks and collateral at its price, which changes nobody's equity; then cash makes the value that
  /// changed hands the part's, and pays its price: to the account, or out of the insurance fund.
  private mutating func hand(
    over moves: [AuctionMove], _ parts: [Leaving], _ part: Int64, of slot: Int,
    to bid: PendingBid, _ offering: inout AuctionOffering
  ) throws(ArithmeticFailure) {
    let (account, bidder) = (auctions[slot].account, bid.bidder)
    for move in moves { try transfer(move, from: account, to: bidder, auctions[slot].number) }
    for collateral in parts {
      try hand(over: collateral, from: account, to: bidder, auctions[slot].number)
    }
    let (value, price) = try offering.terms(part)
    var receipt = Receipt(.bid)
    receipt.buyerCash = try credit(bidder, .quote, value.subtracting(price).raw)
    if price.raw < 0 {
      let paid = try Money.zero.subtracting(price)
      receipt.sellerRealised = takeFromFund(paid.raw, &offering.tranches)
      receipt.sellerCash = try credit(account, .quote, 0 - value.raw)
      let debt = try offering.debt.share(Ratio(raw: part), rounding: .down)
      try note(payout: paid.subtracting(debt), of: slot, offering, to: bidder)
    } else {
      let received = try offering.price.share(Ratio(raw: part), rounding: .down)
      receipt.sellerCash = try credit(account, .quote, received.subtracting(value).raw)
      funds[0].rounding = try sum(funds[0].rounding, price.raw - received.raw)
      if auctions[slot].phase == AuctionRecord.solvent {
        auctions[slot].reserved = try auctions[slot].reserved.adding(received)
      }
    }
    accounts[bidder.index].closing = status[0].batch
    receipt.buyer = bidder
    receipt.seller = account
    receipt.id = auctions[slot].number
    receipt.quantity = Quantity(raw: part)
    receipt.paid = price
    receipt.received = value
    receipt.buyerFee = bid.offer.stake
    receipt.sellerFee = bid.offer.worst
    receipt.buyerPosition = Quantity(raw: bid.offer.part.raw)
    receipts.write(record: receipt)
  }

  /// One position, or a part of it, at its mark.
  private mutating func transfer(
    _ move: AuctionMove, from account: AccountID, to bidder: AccountID, _ number: UInt64
  ) throws(ArithmeticFailure) {
    let isLong = move.quantity.raw > 0
    try exchange(
      .transfer, move.instrument, Quantity(raw: Int64(move.quantity.raw.magnitude)),
      at: table.mark(move.instrument), buyer: isLong ? bidder : account,
      seller: isLong ? account : bidder, number)
  }

  /// Books a fill between two accounts that no order made: no fee, no trade number.
  mutating func exchange(
    _ kind: ReceiptKind, _ id: InstrumentID, _ size: Quantity, at price: Price, buyer: AccountID,
    seller: AccountID, _ number: UInt64, code: ReceiptCode = .done, level: Money = .zero
  ) throws(ArithmeticFailure) {
    let instrument = instruments[id.index]
    let paid = try (price * size).money(rounding: .up)
    let received = try (price * size).money(rounding: .down)
    var receipt = Receipt(kind, code)
    receipt.instrument = id
    receipt.buyer = buyer
    receipt.seller = seller
    receipt.id = number
    receipt.price = price
    receipt.quantity = size
    receipt.paid = paid
    receipt.received = received
    receipt.buyerFee = level
    (receipt.buyerPosition, receipt.buyerRealised, receipt.buyerCash) = try post(
      buyer, instrument, size, paid, fee: .zero)
    (receipt.sellerPosition, receipt.sellerRealised, receipt.sellerCash) = try post(
      seller, instrument, Quantity(raw: 0 - size.raw), received, fee: .zero)
    funds[0].rounding = try sum(funds[0].rounding, paid.raw - received.raw)
    receipts.write(record: receipt)
  }

  // MARK: - Payouts beyond a debt

  /// What the fund may still pay beyond a debt: of the auction by its notional, of each of the
  /// account's underlyings by the day.
  private func payoutRoom(_ auction: AuctionRecord) throws(ArithmeticFailure) -> Money {
    let constants = genesis.constants
    let share = try auction.notional.share(
      Ratio(raw: constants.auctionPayoutMax), rounding: .down)
    var room = share.raw - auction.paid.raw
    forEachPosition(auction.account) { _, position in
      let underlying = instruments[position.instrument.index].underlying.index
      room = min(room, constants.auctionPayoutDailyMax - paidToday(underlying))
    }
    for part in countedCollateral(of: auction.account) {
      guard let underlying = collaterals.underlying(part.asset)?.index else { continue }
      room = min(room, constants.auctionPayoutDailyMax - paidToday(underlying))
    }
    return Money(raw: max(0, room))
  }

  private func paidToday(_ underlying: Int) -> Int64 {
    time.raw - payouts[underlying].start.raw >= PayoutCap.day ? 0 : payouts[underlying].paid.raw
  }

  /// Counts a payout beyond a debt against its caps and locks it in the winner: every underlying
  /// the account held bears all of it.
  private mutating func note(
    payout: Money, of slot: Int, _ offering: AuctionOffering, to bidder: AccountID
  ) throws(ArithmeticFailure) {
    guard payout.raw > 0 else { return }
    auctions[slot].paid = try auctions[slot].paid.adding(payout)
    var seen: UInt64 = 0
    let held =
      offering.positions.map { instruments[$0.instrument.index].underlying.index }
      + offering.collaterals.compactMap { collaterals.underlying($0.asset)?.index }
    for underlying in held {
      guard seen >> UInt64(underlying) & 1 == 0 else { continue }
      seen |= 1 << UInt64(underlying)
      let before = paidToday(underlying)
      if before == 0 { payouts[underlying].start = time }
      payouts[underlying].paid = Money(raw: try sum(before, payout.raw))
    }
    let until = Timestamp(raw: time.raw + LockRecord.life)
    if let place = (0..<locks.count).first(where: {
      locks[$0].amount.raw > 0 && locks[$0].account == bidder
    }) {
      locks[place].amount = try locks[place].amount.adding(payout)
      locks[place].until = until
      return
    }
    let lock = LockRecord(account: bidder, amount: payout, until: until)
    let place = (0..<locks.count).first { locks[$0].amount.raw == 0 } ?? locks.append(.empty)
    locks[place] = lock
  }

  /// Frees what has been locked for its time.
  mutating func freeLocks() {
    for slot in 0..<locks.count where locks[slot].amount.raw > 0 && locks[slot].until <= time {
      locks[slot] = .empty
    }
  }

  /// What of an account's cash may not leave: payouts still locked, and stakes of bids that this
  /// batch's end will answer.
  func heldBack(of account: AccountID) -> Int128 {
    var held: Int128 = 0
    for slot in 0..<locks.count where locks[slot].account == account {
      held += Int128(locks[slot].amount.raw)
    }
    for bid in bids where bid.bidder == account { held += Int128(bid.offer.stake.raw) }
    return held
  }
}
