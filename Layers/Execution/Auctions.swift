import Instruments
import Margin
import Primitives
import Wire

/// Whether orders of an instrument match as they come, or gather for a call: 16 bytes, in the slot of
/// the instrument.
struct CallRecord: FlatRecord {
  /// Batch time of the next auction; zero until the instrument has a mark.
  var end: Timestamp = .zero
  /// 1 while orders gather.
  var gathers: UInt32 = 0
  var reserved: UInt32 = 0

  static let empty = CallRecord()
}

extension ExecutionMachine {
  /// Whether orders of an instrument gather. The terms are in the line of memory that an order's
  /// checks have just read: markets without calls pay for nothing else.
  @inline(__always)
  func gathers(_ instrument: InstrumentID) -> Bool {
    instruments[instrument.index].hasCalls && calls[instrument.index].gathers != 0
  }

  /// Lets an instrument's orders gather from now on, if its terms have calls.
  mutating func beginCall(_ instrument: Instrument) {
    guard instrument.hasCalls else { return }
    calls[instrument.id.index] = CallRecord(gathers: 1)
  }

  // MARK: - Gathering

  /// Takes an order into a book that gathers: it meets nothing but orders of its own account, which
  /// it must not come to trade with.
  mutating func gather(_ order: NewOrder, replacing old: Int?) -> Outcome {
    guard order.timeInForce == .gtc || order.timeInForce == .gtt else {
      return .rejected(.gathering, calls[order.instrument.index].end.raw, time.raw)
    }
    if let refusal = admissionRefusal(order, replacing: old) { return refusal }
    if let old { removeOrder(old) }
    let id = nextOrderID()
    let result = meetOwnOrders(order, id)
    let code: OutcomeCode = result.metItself ? .selfTrade : .done
    if result.left.raw == 0 || result.isStopped {
      release(order.account, order.instrument)
      return Outcome(.accepted, code, 0, 0, order: id)
    }
    rest(order, id, left: result.left)
    return Outcome(.accepted, code, 0, result.left.raw, order: id)
  }

  /// Deals with the account's own orders that the new one crosses, oldest first, as it asks.
  private mutating func meetOwnOrders(_ order: NewOrder, _ id: OrderID) -> MatchResult {
    var result = MatchResult(left: order.quantity)
    let terms = terms(order.instrument)
    let taker = Taker(
      account: order.account, instrument: order.instrument, side: order.side, price: order.price,
      order: id, cause: .auction, selfTrade: order.selfTrade)
    var meetings = books.slots(of: order.account)[...]
    while let slot = meetings.first, result.left.raw > 0, !result.isStopped {
      let own = orders[slot]
      meetings.removeFirst()
      guard own.instrument == order.instrument, own.isBuy != (order.side == .buy),
        order.side == .buy ? own.price <= order.price : own.price >= order.price
      else { continue }
      if isExpired(own) {
        removeOrder(slot)
        continue
      }
      meetOwn(slot, own, taker, terms, &result)
      // Decremented by what it showed, it shows its next slice.
      if orders[slot].id == own.id { meetings = [slot] + meetings }
    }
    return result
  }

  // MARK: - Auctions

  /// At an opening: starts the clock of calls whose instruments have got a mark, and holds the
  /// auctions whose time has come, by instrument.
  mutating func holdAuctions() {
    for place in 0..<instruments.count
    where calls[place].gathers != 0 && instruments[place].trades(at: time) {
      let instrument = instruments[place]
      if calls[place].end.raw == 0 {
        guard table.isPriced(instrument.id) else { continue }
        calls[place].end = Timestamp(raw: time.raw + instrument.firstCall)
      } else if calls[place].end <= time, uncross(instrument) {
        let interval = Int64(instrument.auctionInterval)
        calls[place] =
          interval == 0
          ? .empty : CallRecord(end: Timestamp(raw: time.raw + interval), gathers: 1)
      }
    }
  }

  /// Trades what crosses at one price. Where reduce-only orders gave way, what still crosses is
  /// auctioned again; false when the batch's body has no room to go on.
  private mutating func uncross(_ instrument: Instrument) -> Bool {
    removeExpired(instrument.id)
    while let price = auctionPrice(instrument) {
      guard trade(instrument.id, at: price) else { return false }
    }
    return true
  }

  /// Takes out what no longer stands and would count otherwise.
  private mutating func removeExpired(_ instrument: InstrumentID) {
    guard let (lowest, highest) = crossing(instrument) else { return }
    var found: [Int] = []
    for side in [Side.buy, .sell] {
      books.forEachLevel(instrument, side) { price, oldest in
        guard side == .buy ? price >= lowest : price <= highest else { return false }
        var slot: Int? = oldest
        while let here = slot {
          if orders[here].hasExtra, isExpired(orders[here]) { found.append(here) }
          slot = books.next(atPriceAfter: here)
        }
        return true
      }
    }
    for slot in found { removeOrder(slot) }
  }

  /// Best ask and best bid of a book in which they cross.
  private func crossing(_ instrument: InstrumentID) -> (lowest: Price, highest: Price)? {
    guard let bid = books.best(instrument, .buy), let ask = books.best(instrument, .sell),
      ask <= bid
    else { return nil }
    return (ask, bid)
  }

  /// The price of an auction, nil where nothing crosses.
  private func auctionPrice(_ instrument: Instrument) -> Price? {
    guard let (lowest, highest) = crossing(instrument.id) else { return nil }
    var bids: [AuctionLevel] = []
    var asks: [AuctionLevel] = []
    books.forEachLevel(instrument.id, .buy) { price, oldest in
      guard price >= lowest else { return false }
      bids.append(AuctionLevel(price: price.raw, quantity: whole(from: oldest)))
      return true
    }
    books.forEachLevel(instrument.id, .sell) { price, oldest in
      guard price <= highest else { return false }
      asks.append(AuctionLevel(price: price.raw, quantity: whole(from: oldest)))
      return true
    }
    return Price(
      raw: UniformPrice.price(
        bids: bids, asks: asks, tick: instrument.tick.raw,
        reference: table.mark(instrument.id).raw))
  }

  /// What is left of a level's orders, shown or not.
  private func whole(from oldest: Int) -> Int128 {
    var sum: Int128 = 0
    var slot: Int? = oldest
    while let here = slot {
      sum += Int128(left(orders[here]).raw)
      slot = books.next(atPriceAfter: here)
    }
    return sum
  }

  /// Matches the best bid with the best ask, the earlier of a price first, while both meet `price`.
  private mutating func trade(_ instrument: InstrumentID, at price: Price) -> Bool {
    let terms = terms(instrument)
    while let bid = books.first(in: instrument, .buy), orders[bid].price >= price,
      let ask = books.first(in: instrument, .sell), orders[ask].price <= price
    {
      guard !hasNoRoomForTrades else { return false }
      let (older, younger) =
        priority(orders[bid]) < priority(orders[ask]) ? (bid, ask) : (ask, bid)
      let (maker, taker) = (orders[older], orders[younger])
      if maker.account == taker.account {
        // Orders meet those of their own account as they come; this is for a state from elsewhere.
        removeOrder(younger)
        continue
      }
      let (makerSize, takerSize) = (auctionSize(maker), auctionSize(taker))
      if makerSize == 0 { removeOrder(older) }
      if takerSize == 0 { removeOrder(younger) }
      guard makerSize > 0, takerSize > 0 else { continue }
      trade(older, younger, terms, size: Quantity(raw: min(makerSize, takerSize)), at: price)
    }
    return true
  }

  /// What an order shows and, if it may only reduce, its owner's position allows.
  private func auctionSize(_ order: OrderRecord) -> Int64 {
    guard order.isReduceOnly else { return order.remaining.raw }
    return min(
      order.remaining.raw, closable(order.account, order.instrument, order.isBuy ? .buy : .sell))
  }

  /// One trade of an auction: the order that came first is the maker.
  private mutating func trade(
    _ older: Int, _ younger: Int, _ terms: Terms, size: Quantity, at price: Price
  ) {
    let (maker, taker) = (orders[older], orders[younger])
    let (makerWhole, takerWhole) = (left(maker), left(taker))
    events.append(
      Fill(
        cause: .auction, takerSide: taker.isBuy ? .buy : .sell, instrument: terms.id,
        trade: TradeID(status[0].nextTrade), maker: maker.account, taker: taker.account,
        price: price, quantity: size, makerOrder: maker.id, takerOrder: taker.id))
    status[0].nextTrade += 1
    lower(older, maker, whole: makerWhole, by: size)
    lower(younger, taker, whole: takerWhole, by: size)
    settleResting(maker, whole: makerWhole, terms, size: size, at: price, feeRate: terms.makerFee)
    settleResting(taker, whole: takerWhole, terms, size: size, at: price, feeRate: terms.takerFee)
    if maker.isQuote { countQuoteFill(maker, terms, size: size) }
    if taker.isQuote { countQuoteFill(taker, terms, size: size) }
  }
}

/// A price with all that stands there.
struct AuctionLevel {
  let price: Int64
  let quantity: Int128
}

/// The price at which most is traded; of several the one that leaves least over; of these the
/// nearest to a reference; of two as near the lower.
enum UniformPrice {
  /// - Parameters:
  ///   - bids: from the best down, those not below the best ask.
  ///   - asks: from the best up, those not above the best bid. Neither is empty; prices are on tick.
  static func price(bids: [AuctionLevel], asks: [AuctionLevel], tick: Int64, reference: Int64)
    -> Int64
  {
    // What is bid at a price or above changes behind a bid, what is offered at it or below changes
    // at an ask: between two neighbours of this list nothing does.
    let (lowest, highest) = (asks[0].price, bids[0].price)
    var prices: [Int64] = []
    for bid in bids {
      prices.append(bid.price)
      if bid.price < highest { prices.append(bid.price + tick) }
    }
    for ask in asks {
      prices.append(ask.price)
      if ask.price > lowest { prices.append(ask.price - tick) }
    }
    prices.sort()
    var demand = bids.reduce(Int128(0)) { $0 + $1.quantity }
    var supply: Int128 = 0
    var (bid, ask) = (bids.count - 1, 0)
    var best: (volume: Int128, surplus: Int128, low: Int64, high: Int64)?
    for price in prices {
      while bid >= 0, bids[bid].price < price {
        demand -= bids[bid].quantity
        bid -= 1
      }
      while ask < asks.count, asks[ask].price <= price {
        supply += asks[ask].quantity
        ask += 1
      }
      let (volume, surplus) = (min(demand, supply), max(demand, supply) - min(demand, supply))
      if let known = best, (known.volume, -known.surplus) >= (volume, -surplus) {
        if known.volume == volume, known.surplus == surplus { best?.high = price }
      } else {
        best = (volume, surplus, price, price)
      }
    }
    guard let (_, _, low, high) = best else { preconditionFailure("an auction has both sides") }
    let below = reference / tick * tick
    let nearest = reference - below <= below + tick - reference ? below : below + tick
    return max(low, min(high, nearest))
  }
}
