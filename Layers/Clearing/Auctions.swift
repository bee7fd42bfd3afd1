import Instruments
import Margin
import Primitives
import Risk
import Wire

// Liquidation by auction (field.md 2.5, 5): an account below maintenance is frozen, and all of it,
// or the part that restores its buffer, goes to whoever can carry it, at a price that falls.

/// A bid that its batch's end answers.
struct PendingBid {
  var bidder: AccountID
  /// Slot of the auction.
  var slot: Int
  var offer: AuctionOffer
}

extension ClearingMachine {
  var auctionTerms: PortfolioAuction.Terms {
    let constants = genesis.constants
    return PortfolioAuction.Terms(
      buffer: Ratio(raw: constants.auctionBuffer),
      startDiscount: Ratio(raw: constants.auctionStartDiscount),
      slowDiscount: Ratio(raw: constants.auctionSlowDiscount), fast: constants.auctionFast,
      slow: constants.auctionSlow, insolvent: constants.auctionInsolvent,
      cutoff: Money(raw: constants.auctionCutoff), fee: Ratio(raw: constants.auctionFee))
  }

  // MARK: - Start

  /// Freezes an account below maintenance and opens its auction, where there is room for another:
  /// so many a batch, and so much notional at once. What finds no room waits, reduce-only. The
  /// first of an underlying finds room however large it is.
  ///
  /// - Parameter isCancelled: whether this Clearance directs already that its orders are cancelled.
  mutating func startAuction(of account: AccountID, _ standing: Standing, isCancelled: Bool)
    throws(ArithmeticFailure)
  {
    guard startCount < genesis.constants.auctionStartsMax else { return }
    let notional = notionals(of: account)
    guard hasRoom(for: notional) else { return }
    startCount += 1
    if !isCancelled { directives.append(Directive(cancelAllOf: account)) }
    for place in notional.indices { underAuction[place] += notional[place] }
    let figures = figures(standing, reserved: .zero)
    let fee = try PortfolioAuction.startFee(figures, auctionTerms)
    let tranched = try putIntoFund(fee, by: notional)
    let cash = try credit(account, .quote, 0 - fee.raw)
    status[0].auctions += 1
    let auction = AuctionRecord(
      account: account,
      phase: ClearingMachine.phase(figures),
      number: status[0].auctions, batch: status[0].batch, started: time, phaseStarted: time,
      notional: Money(raw: Int64(clamping: notional[notional.count - 1])))
    let slot = (0..<auctions.count).first { auctions[$0].phase == 0 } ?? auctions.append(.empty)
    auctions[slot] = auction
    auctionSlots[account] = slot
    setStanding(of: account, to: [.reduceOnly, .frozen])
    var receipt = Receipt(.auctionStart)
    receipt.instrument = InstrumentID(auction.phase)
    receipt.buyer = account
    receipt.id = auction.number
    receipt.quantity = Quantity(raw: Int64(status[0].margin))
    receipt.paid = fee
    receipt.received = figures.marked
    receipt.buyerFee = figures.net
    receipt.sellerFee = auction.notional
    receipt.sellerPosition = Quantity(raw: tranched.raw)
    receipt.buyerCash = cash
    receipts.write(record: receipt)
  }

  /// Notional of an account by underlying, and in all, in money rounded up for each position and each
  /// collateral.
  func notionals(of account: AccountID) -> [Int128] {
    var sums = [Int128](repeating: 0, count: genesis.underlyings.count + 1)
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let position = positions[Int(next) - 1]
      next = position.next
      let underlying = instruments[position.instrument.index].underlying.index
      let size = Int128(position.quantity.raw.magnitude) * Int128(indices[underlying].price.raw)
      let notional = size.divided(by: Notional.perMoney, rounding: .up)
      sums[underlying] += notional
      sums[sums.count - 1] += notional
    }
    for part in countedCollateral(of: account) {
      guard let underlying = collaterals.underlying(part.asset)?.index else { continue }
      let value = collaterals.price(part.asset) * collaterals.quantity(part.asset, part.amount)
      let notional = value.raw.divided(by: Notional.perMoney, rounding: .up)
      sums[underlying] += notional
      sums[sums.count - 1] += notional
    }
    return sums
  }

  private mutating func hasRoom(for notional: [Int128]) -> Bool {
    if underAuction.isEmpty {
      underAuction = [Int128](repeating: 0, count: notional.count)
      for slot in 0..<auctions.count where auctions[slot].isOffered {
        let own = notionals(of: auctions[slot].account)
        for place in own.indices { underAuction[place] += own[place] }
      }
    }
    let constants = genesis.constants
    return notional.indices.allSatisfy { place in
      let limit =
        place == notional.count - 1
        ? constants.auctionNotionalMax : constants.auctionUnderlyingNotionalMax
      return notional[place] == 0 || underAuction[place] == 0
        || underAuction[place] + notional[place] <= Int128(limit)
    }
  }

  /// Marked value and net maintenance margin, rounded down; held to ±2^61, far beyond all money
  /// there is, so that no sum of them overflows.
  func figures(_ standing: Standing, reserved: Money) -> PortfolioAuction.Figures {
    func money(_ notional: Int128) -> Money {
      let units = notional.divided(by: Notional.perMoney, rounding: .down)
      return Money(raw: Int64(max(-1 << 61, min(units, 1 << 61))))
    }
    let net = standing.equity - standing.maintenance
    return PortfolioAuction.Figures(
      marked: money(standing.equity), net: money(net), reserved: reserved)
  }

  private static func phase(_ figures: PortfolioAuction.Figures) -> UInt32 {
    figures.marked.raw > 0 ? AuctionRecord.solvent : AuctionRecord.insolvent
  }

  // MARK: - Bids

  /// Keeps a bid for the batch's end, or says why not: bids count once execution has adopted the
  /// freeze, when no fill can change what is sold.
  mutating func hear(_ offer: AuctionOffer, of bidder: AccountID) {
    // Execution takes the stake back with the account's entry.
    touched.touch(bidder)
    guard !groups.areOne(bidder, offer.account) else {
      return refuse(offer, of: bidder, .ownAuction)
    }
    guard let slot = auctionSlots[offer.account], auctions[slot].isOffered,
      hasAdopted(auctions[slot].batch)
    else { return refuse(offer, of: bidder, .notForSale) }
    bids.append(PendingBid(bidder: bidder, slot: slot, offer: offer))
  }

  mutating func refuse(_ offer: AuctionOffer, of bidder: AccountID, _ code: ReceiptCode) {
    var receipt = Receipt(.bid, code)
    receipt.buyer = bidder
    receipt.seller = offer.account
    if let slot = auctionSlots[offer.account] { receipt.id = auctions[slot].number }
    receipt.buyerFee = offer.stake
    receipt.sellerFee = offer.worst
    receipt.buyerPosition = Quantity(raw: offer.part.raw)
    receipts.write(record: receipt)
  }

  // MARK: - Phases

  /// Carries every auction through the batch: its phase, its bids, its end.
  mutating func runAuctions() throws(ArithmeticFailure) {
    for slot in 0..<auctions.count where auctions[slot].phase != 0 {
      let offers = bids.filter { $0.slot == slot }
      if !offers.isEmpty { try bookFunding(auctions[slot].account) }
      guard let figures = try advance(slot), auctions[slot].isOffered else {
        for bid in offers { refuse(bid.offer, of: bid.bidder, .notForSale) }
        continue
      }
      if !offers.isEmpty { try sell(slot, figures, to: offers) }
      try conclude(slot)
    }
  }

  /// Ends an auction or moves it to another phase, as its figures ask; nil where nothing can be
  /// sold in this batch.
  private mutating func advance(_ slot: Int) throws(ArithmeticFailure)
    -> PortfolioAuction.Figures?
  {
    let auction = auctions[slot]
    guard isExposed(auction.account) else {
      end(slot)
      return nil
    }
    guard canBeSold(auction.account) else { return nil }
    let standing = weigh(auction.account)
    if auction.phase == AuctionRecord.overdue {
      // Without a position the book can do nothing more: another auction may.
      let isFlat = accounts[auction.account.index].firstPosition == 0
      if isFlat || standing.equity >= standing.requirement { end(slot) }
      return nil
    }
    var figures = figures(standing, reserved: auction.reserved)
    // Before the fund makes any of a debt good, its owner does.
    if figures.marked.raw < 0,
      try callOwner(of: auction.account, for: 0 - figures.marked.raw) > 0
    {
      figures = self.figures(weigh(auction.account), reserved: auction.reserved)
    }
    if try figures.buffered(auctionTerms).raw >= 0 {
      end(slot)
      return nil
    }
    if auction.phase == AuctionRecord.deleveraging {
      try deleverage(slot)
      if accounts[auction.account.index].firstPosition == 0 { end(slot) }
      return nil
    }
    if auction.phase == AuctionRecord.solvent, figures.reserved >= figures.marked {
      // Insolvent; or all it is worth is what bidders paid, and the auction begins again with that.
      figures.reserved = .zero
      enter(slot, ClearingMachine.phase(figures))
      report(slot, figures)
    }
    return figures
  }

  private mutating func enter(_ slot: Int, _ phase: UInt32) {
    auctions[slot].phase = phase
    auctions[slot].phaseStarted = time
    auctions[slot].reserved = .zero
  }

  /// Ends an auction whose sale was enough. One that nobody finished in time goes to the book, or,
  /// insolvent, to the other side; so does at once what the fund could not make good.
  private mutating func conclude(_ slot: Int) throws(ArithmeticFailure) {
    let auction = auctions[slot]
    guard isExposed(auction.account) else { return end(slot) }
    let figures = figures(weigh(auction.account), reserved: auction.reserved)
    if try figures.buffered(auctionTerms).raw >= 0 { return end(slot) }
    let constants = genesis.constants
    let life =
      auction.phase == AuctionRecord.insolvent
      ? constants.auctionInsolvent : constants.auctionFast + constants.auctionSlow
    guard hasAdopted(auction.batch) else { return }
    let isOver = time.raw - auction.phaseStarted.raw >= life
    if auction.phase == AuctionRecord.insolvent {
      let debt = max(0, 0 - figures.marked.raw)
      let reach = fundReach(try tranches(of: auction.account, for: debt))
      guard isOver || Int128(debt) > reach else { return }
      enter(slot, AuctionRecord.deleveraging)
    } else {
      guard isOver else { return }
      enter(slot, AuctionRecord.overdue)
      thaw(auction.account)
    }
    report(slot, figures)
  }

  /// Says at what figures an auction stands, and what is offered of it at what price of the whole.
  mutating func report(
    _ slot: Int, _ figures: PortfolioAuction.Figures, available: Ratio = .zero,
    price: Money = .zero
  ) {
    let auction = auctions[slot]
    var receipt = Receipt(.auctionOffer)
    receipt.instrument = InstrumentID(auction.phase)
    receipt.buyer = auction.account
    receipt.id = auction.number
    receipt.price = Price(raw: time.raw - auction.phaseStarted.raw)
    receipt.quantity = Quantity(raw: available.raw)
    receipt.paid = price
    receipt.received = figures.marked
    receipt.buyerFee = figures.net
    receipt.sellerFee = figures.reserved
    receipt.buyerCash = accounts[auction.account.index].cash
    receipts.write(record: receipt)
  }

  private mutating func end(_ slot: Int) {
    let auction = auctions[slot]
    var receipt = Receipt(.auctionEnd)
    receipt.instrument = InstrumentID(auction.phase)
    receipt.buyer = auction.account
    receipt.id = auction.number
    receipt.paid = auction.paid
    receipt.received = auction.reserved
    receipt.buyerCash = accounts[auction.account.index].cash
    receipts.write(record: receipt)
    auctions[slot] = .empty
    auctionSlots[auction.account] = nil
    thaw(auction.account)
  }

  /// An account that is no longer under auction may reduce by orders again.
  private mutating func thaw(_ account: AccountID) {
    setStanding(of: account, to: .reduceOnly)
    touched.touch(account)
  }

  /// Whether nothing of an account, collateral included, stands on old words, so that no bidder picks off a stale mark, nor
  /// is being paid out at expiry.
  private func canBeSold(_ account: AccountID) -> Bool {
    var next = accounts[account.index].firstPosition
    while next != 0 {
      let id = positions[Int(next) - 1].instrument
      guard table.isPriced(id), isMarkFresh(id), instruments[id.index].status != .settling else {
        return false
      }
      next = positions[Int(next) - 1].next
    }
    return !holdsCollateral(account) { !isPriceFresh($0) }
  }
}
