import Instruments
import Margin
import Primitives
import Wire

/// Calls and auctions, by trying every price there is.
extension BookTwin {
  struct Call: Equatable {
    var gathers: Bool
    var end: Int64
  }

  /// An order into a book that gathers.
  @inline(never)
  mutating func gather(
    _ new: Order, _ force: TimeInForce, _ mode: SelfTradeMode, replacing old: UInt64?
  ) -> Outcome {
    if force == .ioc || force == .fok {
      return .rejected(.gathering, calls[new.instrument].end, time)
    }
    if let refusal = credit(new, replacing: old) { return refusal }
    if let old { orders.removeAll { $0.id == old } }
    var order = new
    order.id = newOrderID()
    order.isReduceOnly = new.isReduceOnly || accounts[new.account].isRestricted
    var (left, met, stopped) = (new.remaining, false, false)
    let own = orders.filter {
      $0.account == new.account && $0.instrument == new.instrument && $0.side != new.side
        && crosses($0.price, new.side, new.price)
    }.sorted { $0.id < $1.id }
    for old in own where left > 0 && !stopped {
      guard !isOver(old) else {
        orders.removeAll { $0.id == old.id }
        continue
      }
      met = mode != .cancelResting
      if mode == .cancelResting || mode == .cancelBoth { orders.removeAll { $0.id == old.id } }
      if mode == .cancelTaker || mode == .cancelBoth { stopped = true }
      while mode == .decrementBoth, left > 0,
        let place = orders.firstIndex(where: { $0.id == old.id })
      {
        let size = min(left, orders[place].remaining)
        left -= size
        take(size, at: place)
      }
    }
    let code: OutcomeCode = met ? .selfTrade : .done
    if left == 0 || stopped { return Outcome(.accepted, code, 0, 0, order: OrderID(order.id)) }
    order.remaining = new.display == 0 ? left : min(new.display, left)
    order.hidden = left - order.remaining
    if order.hidden == 0 { order.display = 0 }
    orders.append(order)
    return Outcome(.accepted, code, 0, left, order: OrderID(order.id))
  }

  @inline(never)
  mutating func holdAuctions() {
    for place in instruments.indices
    where calls[place].gathers && instruments[place].trades(at: Timestamp(raw: time)) {
      let terms = instruments[place]
      if calls[place].end == 0 {
        if table.isPriced(terms.id) {
          let wait = terms.callDuration > 0 ? terms.callDuration : terms.auctionInterval
          calls[place].end = time + Int64(wait)
        }
      } else if calls[place].end <= time {
        uncross(place)
        calls[place] =
          terms.auctionInterval > 0
          ? Call(gathers: true, end: time + Int64(terms.auctionInterval))
          : Call(gathers: false, end: 0)
      }
    }
  }

  @inline(never)
  private mutating func uncross(_ place: Int) {
    func book(_ side: Side) -> [Order] {
      orders.filter { $0.instrument == place && $0.side == side }
    }
    guard let high = book(.buy).map(\.price).max(), let low = book(.sell).map(\.price).min(),
      low <= high
    else { return }
    let now = time
    orders.removeAll {
      $0.instrument == place && $0.expiry != 0 && $0.expiry <= now
        && ($0.side == .buy ? $0.price >= low : $0.price <= high)
    }
    while let high = book(.buy).map(\.price).max(), let low = book(.sell).map(\.price).min(),
      low <= high
    {
      let mark = table.mark(InstrumentID(UInt32(place))).raw
      let (bids, asks) = (book(.buy), book(.sell))
      var best: (price: Int64, key: [Int64])?
      for price in stride(from: low, through: high, by: Int(instruments[place].tick.raw)) {
        let bid = bids.filter { $0.price >= price }.reduce(0) { $0 + $1.left }
        let ask = asks.filter { $0.price <= price }.reduce(0) { $0 + $1.left }
        let key = [-min(bid, ask), abs(bid - ask), abs(price - mark), price]
        if best.map({ key.lexicographicallyPrecedes($0.key) }) ?? true { best = (price, key) }
      }
      auctions += 1
      trade(place, at: best?.price ?? 0)
    }
  }

  @inline(never)
  private mutating func trade(_ place: Int, at price: Int64) {
    func first(_ side: Side) -> Int? {
      var found: Int?
      for (index, order) in orders.enumerated()
      where order.instrument == place && order.side == side
        && (side == .buy ? order.price >= price : order.price <= price)
      {
        guard let known = found else {
          found = index
          continue
        }
        let better =
          side == .buy ? order.price > orders[known].price : order.price < orders[known].price
        if better { found = index }
      }
      return found
    }
    while let bid = first(.buy), let ask = first(.sell) {
      // Earlier in the list is earlier in time.
      let (maker, taker) = bid < ask ? (orders[bid], orders[ask]) : (orders[ask], orders[bid])
      let sizes = [maker, taker].map { order in
        guard order.isReduceOnly else { return order.remaining }
        let held = position(order.account, place)
        return held != 0 && (held > 0) == (order.side == .sell)
          ? min(order.remaining, Int64(held.magnitude)) : 0
      }
      if sizes[0] == 0 { orders.removeAll { $0.id == maker.id } }
      if sizes[1] == 0 { orders.removeAll { $0.id == taker.id } }
      let size = min(sizes[0], sizes[1])
      if size == 0 { continue }
      let terms = instruments[place]
      func fee(_ rate: Ratio) -> Int64 {
        Fees.fee(Price(raw: price), Quantity(raw: size), rate: rate).raw
      }
      let trade = Trade(
        batch: batch, instrument: place, maker: maker.account, taker: taker.account,
        takerSide: taker.side, price: price, quantity: size, makerOrder: maker.id,
        takerOrder: taker.id, makerFee: fee(terms.makerFee), takerFee: fee(terms.takerFee))
      trades.append(trade)
      since.append(trade)
      for order in [maker, taker] {
        take(size, at: orders.firstIndex { $0.id == order.id } ?? 0)
      }
      countFill(of: maker, size)
      countFill(of: taker, size)
    }
  }
}
