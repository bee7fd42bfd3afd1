import Instruments
import Pricing
import Primitives
import TestSupport
import Wire

@testable import Margin

/// The execution rules by arrays and linear search: slow, and plain to read beside the protocol.
///
/// It takes marks and unit vectors from a risk table of its own; equity, sums and room are summed
/// from scratch at every question.
struct BookTwin: ~Copyable {
  struct Order: Equatable {
    var id: UInt64
    var clientID: UInt64
    var account: Int
    var instrument: Int
    var side: Side
    var price: Int64
    var remaining: Int64
    var isReduceOnly: Bool
    var expiry: Int64 = 0
    var display: Int64 = 0
    var hidden: Int64 = 0
    var fingerprint: UInt32 = 0
    var isQuote = false
    /// Shown and hidden.
    var left: Int64 { remaining + hidden }
  }

  struct Trade: Equatable {
    var batch: UInt64
    var instrument: Int
    var maker: Int
    var taker: Int
    var takerSide: Side
    var price: Int64
    var quantity: Int64
    var makerOrder: UInt64
    var takerOrder: UInt64
    var makerFee: Int64
    var takerFee: Int64
  }

  /// What clearing has granted, in money and contracts.
  struct Account {
    var cash: Int64 = 0
    /// The owner's first account.
    var main: Int
    var isIsolated = false
    var isApart = false
    var isRestricted = false
    var granted: [Int: (quantity: Int64, cost: Int64)] = [:]
    /// Withdrawals not yet adopted.
    var outflows: [(batch: UInt64, amount: Int64)] = []
  }

  let constants: Constants
  let margin: MarginTerms
  let sequencer: PublicKey
  var instruments: [Instrument]
  var accounts: [Account]
  /// In order of arrival, where a replenished order arrives anew.
  var orders: [Order] = []
  /// Trades no adopted Clearance holds.
  var since: [Trade] = []
  var trades: [Trade] = []
  var timers: [(account: Int, deadline: Int64)] = []
  var protections: [Protection] = []
  var triggers: [Trigger] = []
  var calls: [Call]
  /// Auctions at which something crossed.
  var auctions = 0
  /// What was placed, and what came of it.
  var triggered: [(trigger: UInt64, outcome: Outcome)] = []
  /// Fills of quotes that count when the whole they belong to has filled; nil outside of one.
  var held: [(maker: Order, size: Int64)]?
  var sessions: [(number: UInt64, account: Int, record: ActionRecord)] = []
  /// Sessions that were lost.
  var losses = 0
  /// Combinations that filled.
  var combinations = 0
  /// Orders quoted in volatility that got a price.
  var volatilityOrders = 0
  /// Block trades with a hedge that traded.
  var hedgedBlocks = 0
  /// Owner keys, by account.
  var owners: [PublicKey]
  /// Money that went between accounts of one owner.
  var transfers = 0
  /// Refusals of a second contract in an isolated account.
  var isolations = 0
  /// How often a protection pulled quotes.
  var trips = 0
  var time: Int64
  var oracleTime: Int64 = 0
  var batch: UInt64 = 0
  var nextOrder: UInt64 = 1
  var table = RiskTable()
  var market: [UnderlyingMarket]

  init(genesis: Genesis) {
    constants = genesis.constants
    margin = genesis.margin
    sequencer = genesis.execution.object
    owners = genesis.accounts
    instruments = genesis.instruments
    calls = genesis.instruments.map {
      Call(gathers: $0.callDuration > 0 || $0.auctionInterval > 0, end: 0)
    }
    accounts = genesis.accounts.indices.map { Account(main: $0) }
    time = genesis.startTime.raw
    market = genesis.underlyings.map { _ in UnderlyingMarket(index: .zero, time: .zero) }
    table.use(genesis.margin)
  }

  /// Its number above the lowest place where no order rests.
  mutating func newOrderID() -> UInt64 {
    let places = Set(orders.map { $0.id % (1 << 20) })
    let free = (0...).first { !places.contains($0) } ?? 0
    nextOrder += 1
    return (nextOrder - 1) << 20 + free
  }

  mutating func reprice() {
    for instrument in instruments {
      table.update(instrument, market: market[instrument.underlying.index])
    }
  }

  // MARK: - Sums from scratch

  func position(_ account: Int, _ instrument: Int) -> Int64 {
    var total = accounts[account].granted[instrument]?.quantity ?? 0
    for trade in since where trade.instrument == instrument {
      if trade.taker == account { total += trade.takerSide.sign * trade.quantity }
      if trade.maker == account { total -= trade.takerSide.sign * trade.quantity }
    }
    return total
  }

  private func mark(_ instrument: Int) -> Int64 {
    table.mark(InstrumentID(UInt32(instrument))).raw
  }

  /// min(0, what a fill won or lost against the mark, less its fee).
  private func loss(_ trade: Trade, _ account: Int) -> Int128 {
    let isTaker = trade.taker == account
    let sign = isTaker ? trade.takerSide.sign : -trade.takerSide.sign
    let gain = Int128(sign) * Int128(trade.quantity) * Int128(mark(trade.instrument) - trade.price)
    let fee = Int128(isTaker ? trade.takerFee : trade.makerFee) * Notional.perMoney
    return min(0, gain - fee)
  }

  @inline(never)
  func equity(_ account: Int) -> Int128 {
    let record = accounts[account]
    var total = Int128(record.cash) * Notional.perMoney
    for outflow in record.outflows { total -= Int128(outflow.amount) * Notional.perMoney }
    for (instrument, entry) in record.granted {
      total += Int128(entry.quantity) * Int128(mark(instrument))
      total -= Int128(entry.cost) * Notional.perMoney
    }
    for trade in since where trade.maker == account || trade.taker == account {
      total += loss(trade, account)
    }
    return total
  }

  /// What an order sets aside when it trades at its limit: the loss against the mark, the highest
  /// fee, and three money units for roundings.
  func entry(_ order: Order) -> Int128 {
    let instrument = instruments[order.instrument]
    let quantity = Int128(order.side.sign) * Int128(order.left)
    let gap = quantity * Int128(mark(order.instrument) - order.price)
    let rate = Int128(max(instrument.makerFee.raw, instrument.takerFee.raw))
    let notional = Int128(order.left) * Int128(order.price)
    let fee = (notional * rate + 999_999_999) / 1_000_000_000
    return min(0, gap) - fee - 3 * Notional.perMoney
  }

  /// Equity and the worst of each page, over 32 scenarios, the market standing still, and the
  /// charges beside the scan: longs' delta leading, shorts' delta leading, options short.
  @inline(never)
  func room(
    _ account: Int, with extra: Order? = nil, without old: UInt64? = nil,
    holding more: [Int: Int64] = [:]
  ) -> Int128 {
    var asked: Int128 = 0
    var open = orders.filter { $0.account == account && $0.id != old }
    if let extra { open.append(extra) }
    for mine in pages(account) {
      let entries = open.filter { mine.contains($0.instrument) }.map { ($0, entry($0)) }
      var worst = entries.reduce(Int128(0)) { $0 + $1.1 }
      let held = mine.map { ($0, position(account, $0) + (more[$0] ?? 0)) }.filter { $0.1 != 0 }
      if held.isEmpty && entries.isEmpty { continue }
      for scenario in 0..<32 {
        var sum: Int128 = 0
        for (instrument, quantity) in held {
          sum += Int128(quantity) * unit(instrument, scenario) - tilt(instrument, quantity)
        }
        for (order, entry) in entries {
          let quantity = order.side.sign * order.left
          let gain = Int128(quantity) * unit(order.instrument, scenario)
          sum += min(0, gain + entry - tilt(order.instrument, quantity))
        }
        worst = min(worst, sum)
      }
      for charge in Charge.allCases {
        var sum: Int128 = 0
        for (instrument, quantity) in held {
          sum -= self.charge(charge, instrument, quantity) + tilt(instrument, quantity)
        }
        for (order, entry) in entries {
          let (id, quantity) = (order.instrument, order.side.sign * order.left)
          sum += min(0, entry - self.charge(charge, id, quantity) - tilt(id, quantity))
        }
        worst = min(worst, sum)
      }
      asked -= worst
    }
    return equity(account) - asked - pegCharge(on: asked) - sizes(account, open, more)
  }

  /// ⌈asked × ⌈gap × factor⌉⌉ while the quote asset stands below its peg.
  private func pegCharge(on asked: Int128) -> Int128 {
    guard let peg = margin.pegUnderlying, market[peg.index].index.raw > 0 else { return 0 }
    let billion: Int128 = 1_000_000_000
    let gap = max(0, Int128(margin.depegThreshold.raw) - Int128(market[peg.index].index.raw) * 10)
    let share = (gap * Int128(margin.depegFactor.raw) + billion - 1) / billion
    return (asked * share + billion - 1) / billion
  }

  private enum Charge: CaseIterable { case still, longsLead, shortsLead, shortOptions }

  private func charge(_ charge: Charge, _ instrument: Int, _ quantity: Int64) -> Int128 {
    let unit = table.charges(InstrumentID(UInt32(instrument)))
    let size = Int128(quantity.magnitude)
    let isLong = (quantity > 0) != unit.falls
    return switch charge {
    case .still: 0
    case .longsLead: size * Int128(isLong ? unit.lead : unit.trail)
    case .shortsLead: size * Int128(isLong ? unit.trail : unit.lead)
    case .shortOptions: quantity < 0 ? size * Int128(unit.short) : 0
    }
  }

  /// The tilt of its forward, which knows no netting here.
  private func tilt(_ instrument: Int, _ quantity: Int64) -> Int128 {
    let unit = table.charges(InstrumentID(UInt32(instrument)))
    return Int128(quantity.magnitude) * Int128(unit.basis.magnitude)
  }

  private func unit(_ instrument: Int, _ scenario: Int) -> Int128 {
    Int128(table.unit(InstrumentID(UInt32(instrument)), scenario).raw)
  }

  func money(_ notional: Int128) -> Int64 {
    Int64(clamping: notional.divided(by: Notional.perMoney, rounding: .down))
  }

  // MARK: - Orders

  @inline(never)
  mutating func place(_ record: ActionRecord, _ account: Int, fingerprint: UInt32? = nil)
    -> Outcome
  {
    if let known = clientAnswer(record, account) { return known }
    if let refusal = terms(record) { return refusal }
    let instrument = Int(record.id)
    var price = record.x
    let (low, high) = band(instrument)
    if record.isMarket {
      let asked = price == 0 ? (record.side == .buy ? Int64.max : 0) : price
      price = record.side == .buy ? min(asked, high) : max(asked, low)
    } else if record.side == .buy ? price > high : price < low {
      return .rejected(.priceOutsideBand, price, record.side == .buy ? high : low)
    }
    if record.timeInForce == .gtt, record.orderExpiry.raw <= time {
      return .rejected(.orderExpired, record.orderExpiry.raw, time)
    }
    if let refusal = slice(instrument, record.display.raw, record.y) { return refusal }
    if let refusal = slide(record, record.side, &price) { return refusal }
    return enter(
      Order(
        id: 0, clientID: record.z, account: account, instrument: instrument, side: record.side,
        price: price, remaining: record.y, isReduceOnly: record.isReduceOnly,
        expiry: record.orderExpiry.raw, display: record.display.raw,
        fingerprint: fingerprint ?? (record.z == 0 ? 0 : record.fingerprint)),
      record.timeInForce, record.selfTrade, replacing: nil)
  }

  /// High and low edge: prices past them are for nobody.
  func band(_ instrument: Int) -> (low: Int64, high: Int64) {
    let terms = instruments[instrument]
    let (tick, most) = (terms.tick.raw, terms.priceMax.raw)
    if terms.priceBand.raw == 0 { return (tick, most) }
    let index = market[terms.underlying.index].index.raw
    let width = Int64(Int128(index) * Int128(terms.priceBand.raw) / 1_000_000_000)
    let lowest = max(0, mark(instrument) - width)
    let low = (lowest + tick - 1) / tick * tick
    let high = (mark(instrument) + width) / tick * tick
    return (min(most, max(tick, low)), min(most, max(tick, high)))
  }

  func slice(_ instrument: Int, _ display: Int64, _ quantity: Int64) -> Outcome? {
    let lot = instruments[instrument].lot.raw
    if display % lot != 0 { return .rejected(.quantityOffLot, display, lot) }
    if display != 0, display * 64 < quantity {
      return .rejected(.displayTooSmall, display, (quantity + 63) / 64)
    }
    return nil
  }

  func slide(_ record: ActionRecord, _ side: Side, _ price: inout Int64) -> Outcome? {
    guard record.isPostOnly, let best = best(Int(record.id), against: side),
      crosses(best.price, side, price)
    else { return nil }
    let terms = instruments[Int(record.id)]
    let slid = best.price - side.sign * terms.tick.raw
    if !record.isSliding || slid <= 0 || slid > terms.priceMax.raw {
      return .rejected(.wouldCross, price, best.price)
    }
    price = slid
    return nil
  }

  @inline(never)
  mutating func enter(
    _ new: Order, _ force: TimeInForce, _ mode: SelfTradeMode, replacing old: UInt64?
  ) -> Outcome {
    if calls[new.instrument].gathers { return gather(new, force, mode, replacing: old) }
    if let refusal = credit(new, replacing: old) { return refusal }
    if force == .fok {
      let available = available(new, mode).quantity
      if available < new.remaining {
        return .rejected(.notFillable, new.remaining, available)
      }
      held = []
    }
    if let old { orders.removeAll { $0.id == old } }
    var order = new
    order.id = newOrderID()
    order.isReduceOnly = new.isReduceOnly || accounts[new.account].isRestricted
    let result = match(
      new.account, new.instrument, new.side, new.price, new.remaining, order: order.id, mode)
    countHeld()
    let code: OutcomeCode = result.met ? .selfTrade : .done
    if result.left == 0 || result.stopped || force == .ioc || force == .fok {
      return Outcome(
        result.filled > 0 ? .filled : .accepted, code, result.filled, 0, order: OrderID(order.id))
    }
    order.remaining = new.display == 0 ? result.left : min(new.display, result.left)
    order.hidden = result.left - order.remaining
    if order.hidden == 0 { order.display = 0 }
    orders.append(order)
    return Outcome(.accepted, code, result.filled, result.left, order: OrderID(order.id))
  }

  /// What a fill-or-kill order would surely find: level by level, what is shown, then what hides; in
  /// how many fills at most, and what its quantity of that costs, up to which price.
  func available(_ new: Order, _ mode: SelfTradeMode)
    -> (quantity: Int64, fills: Int, cost: Int128, worst: Int64)
  {
    var (sum, fills, cost, worst) = (Int64(0), 0, Int128(0), Int64(0))
    func take(_ size: Int64, _ price: Int64) {
      let wanted = min(size, max(0, new.remaining - sum))
      sum += size
      cost += Int128(wanted) * Int128(price)
      if wanted > 0 { worst = price }
    }
    let opposite = orders.filter {
      $0.instrument == new.instrument && $0.side != new.side && !isOver($0)
        && crosses($0.price, new.side, new.price)
    }
    let prices = Set(opposite.map(\.price)).sorted { new.side == .buy ? $0 < $1 : $0 > $1 }
    for price in prices {
      let level = opposite.filter { $0.price == price }
      for order in level {
        if order.account == new.account {
          if mode == .cancelTaker || mode == .cancelBoth { return (sum, fills, cost, worst) }
          continue
        }
        fills += 1
        if !order.isReduceOnly { take(order.remaining, price) }
        if sum >= new.remaining { return (sum, fills, cost, worst) }
      }
      for order in level where order.account != new.account && order.hidden > 0 {
        fills += Int((order.hidden + order.display - 1) / order.display)
        if !order.isReduceOnly { take(order.hidden, price) }
      }
      if sum >= new.remaining { return (sum, fills, cost, worst) }
    }
    return (sum, fills, cost, worst)
  }

  func isOver(_ order: Order) -> Bool { order.expiry != 0 && order.expiry <= time }

  @inline(never)
  mutating func replace(_ record: ActionRecord, _ account: Int) -> Outcome {
    guard let place = named(record, account), !isOver(orders[place]) else {
      return .rejected(.unknownOrder)
    }
    let old = orders[place]
    if record.expectedLeft != 0, record.expectedLeft != old.left {
      return .rejected(.orderChanged, old.left, record.expectedLeft)
    }
    if let refusal = terms(record) { return refusal }
    let clientID = record.newClientID == 0 ? old.clientID : record.newClientID
    if clientID != old.clientID,
      orders.contains(where: { $0.account == account && $0.clientID == clientID })
        || triggers.contains(where: { $0.account == account && $0.record.z == clientID })
    {
      return .rejected(.duplicateClientID)
    }
    let fingerprint = clientID == 0 ? 0 : record.fingerprint
    if record.x == old.price, record.y <= old.left {
      orders[place].remaining = min(old.remaining, record.y)
      orders[place].hidden = record.y - orders[place].remaining
      orders[place].clientID = clientID
      orders[place].fingerprint = fingerprint
      return Outcome(.accepted, .done, 0, record.y, order: OrderID(old.id))
    }
    let (low, high) = band(old.instrument)
    if old.side == .buy ? record.x > high : record.x < low {
      return .rejected(.priceOutsideBand, record.x, old.side == .buy ? high : low)
    }
    if let refusal = slice(old.instrument, old.display, record.y) { return refusal }
    var price = record.x
    if let refusal = slide(record, old.side, &price) { return refusal }
    var new = old
    (new.price, new.remaining, new.hidden) = (price, record.y, 0)
    (new.clientID, new.fingerprint) = (clientID, fingerprint)
    return enter(new, old.expiry == 0 ? .gtc : .gtt, record.selfTrade, replacing: old.id)
  }

  private func named(_ record: ActionRecord, _ account: Int) -> Int? {
    orders.firstIndex {
      $0.account == account && $0.instrument == Int(record.id)
        && (record.a == 0 ? $0.id == record.z : $0.clientID == record.z && record.z != 0)
    }
  }

  @inline(never)
  func terms(_ record: ActionRecord) -> Outcome? {
    guard Int(record.id) < instruments.count else { return .rejected(.unknownInstrument) }
    let instrument = instruments[Int(record.id)]
    if instrument.expires && instrument.expiry.raw <= time || instrument.status == .settled {
      return .rejected(.instrumentExpired)
    }
    if instrument.status != .active { return .rejected(.instrumentHalted) }
    if record.x % instrument.tick.raw != 0 {
      return .rejected(.priceOffTick, record.x, instrument.tick.raw)
    }
    if record.x > instrument.priceMax.raw {
      return .rejected(.priceTooHigh, record.x, instrument.priceMax.raw)
    }
    if record.y % instrument.lot.raw != 0 {
      return .rejected(.quantityOffLot, record.y, instrument.lot.raw)
    }
    if record.y > instrument.orderQuantityMax.raw {
      return .rejected(.quantityTooLarge, record.y, instrument.orderQuantityMax.raw)
    }
    if !table.isPriced(record.instrument) { return .rejected(.noMarketData) }
    return nil
  }

  @inline(never)
  func credit(_ order: Order, replacing old: UInt64?) -> Outcome? {
    let (account, instrument) = (order.account, order.instrument)
    let others = orders.filter { $0.account == account && $0.id != old }
    let open = openCount(account)
    if open - (old == nil ? 0 : 1) >= constants.openOrdersPerAccountMax {
      return .rejected(.tooManyOrders, open, constants.openOrdersPerAccountMax)
    }
    if let refusal = tooManyPositions([order]) ?? size(order, others) { return refusal }
    let before = room(account)
    let after = room(account, with: order, without: old)
    if after >= before {
      let still = others.reduce(equity(account) + entry(order)) { $0 + entry($1) }
      if after >= 0 || still >= 0 { return nil }
      return .rejected(.insufficientMargin, money(still), money(before))
    }
    let age = time - table.time(InstrumentID(UInt32(instrument))).raw
    if age > constants.grantAgeMax {
      return .rejected(.marketDataStale, age, constants.grantAgeMax)
    }
    if after < 0 { return .rejected(.insufficientMargin, money(after), money(before)) }
    return nil
  }

  /// Whether it reduces where it must, and keeps the position within its limit.
  func size(_ order: Order, _ others: [Order]) -> Outcome? {
    let sameSide = others.filter { $0.instrument == order.instrument && $0.side == order.side }
      .reduce(Int64(0)) { $0 + $1.left }
    let held = position(order.account, order.instrument)
    if order.isReduceOnly || accounts[order.account].isRestricted {
      var reducible: Int64 = 0
      if held != 0, (held > 0) == (order.side == .sell) {
        reducible = max(0, Int64(held.magnitude) - sameSide)
      }
      if order.remaining > reducible { return .rejected(.notReducing, reducible, order.remaining) }
    }
    let size = order.side.sign * held + sameSide
    let limit = instruments[order.instrument].orderQuantityMax.raw * 64
    if size + order.remaining > limit {
      return .rejected(.quantityTooLarge, order.remaining, max(0, limit - size))
    }
    return nil
  }

  func crosses(_ price: Int64, _ side: Side, _ limit: Int64) -> Bool {
    side == .buy ? price <= limit : price >= limit
  }

  /// The first order a taker on `side` would meet: best price, then oldest.
  private func best(_ instrument: Int, against side: Side) -> Order? {
    var best: Order?
    for order in orders where order.instrument == instrument && order.side != side {
      guard let known = best else {
        best = order
        continue
      }
      if side == .buy ? order.price < known.price : order.price > known.price { best = order }
    }
    return best
  }

  @inline(never)
  mutating func match(
    _ account: Int, _ instrument: Int, _ side: Side, _ limit: Int64, _ quantity: Int64,
    order: UInt64, _ mode: SelfTradeMode = .cancelResting
  ) -> (left: Int64, filled: Int64, stopped: Bool, met: Bool) {
    var (left, filled, met) = (quantity, Int64(0), false)
    while left > 0, let maker = best(instrument, against: side), crosses(maker.price, side, limit),
      let place = orders.firstIndex(of: maker)
    {
      if isOver(maker) {
        orders.remove(at: place)
        continue
      }
      if maker.account == account {
        met = mode != .cancelResting
        switch mode {
        case .cancelResting: orders.remove(at: place)
        case .cancelTaker: return (left, filled, true, true)
        case .cancelBoth:
          orders.remove(at: place)
          return (left, filled, true, true)
        case .decrementBoth:
          let size = min(left, maker.remaining)
          left -= size
          take(size, at: place)
        }
        continue
      }
      var size = min(left, maker.remaining)
      if maker.isReduceOnly {
        let held = position(maker.account, instrument)
        size = (held > 0) == (maker.side == .sell) ? min(size, Int64(held.magnitude)) : 0
        if size == 0 {
          orders.remove(at: place)
          continue
        }
      }
      let terms = instruments[instrument]
      func fee(_ rate: Ratio) -> Int64 {
        Fees.fee(Price(raw: maker.price), Quantity(raw: size), rate: rate).raw
      }
      let trade = Trade(
        batch: batch, instrument: instrument, maker: maker.account, taker: account,
        takerSide: side, price: maker.price, quantity: size, makerOrder: maker.id,
        takerOrder: order, makerFee: fee(terms.makerFee), takerFee: fee(terms.takerFee))
      trades.append(trade)
      since.append(trade)
      left -= size
      filled += size
      take(size, at: place)
      if held != nil { held?.append((maker, size)) } else { countFill(of: maker, size) }
    }
    return (left, filled, false, met)
  }

  /// Takes contracts off an order; the next slice goes to the back of everything.
  mutating func take(_ size: Int64, at place: Int) {
    orders[place].remaining -= size
    guard orders[place].remaining == 0 else { return }
    var order = orders.remove(at: place)
    guard order.hidden > 0 else { return }
    order.remaining = min(order.display, order.hidden)
    order.hidden -= order.remaining
    nextOrder += 1
    orders.append(order)
  }

  mutating func cancel(_ record: ActionRecord, _ account: Int) -> Outcome {
    guard let place = named(record, account) else {
      return cancelTrigger(record, account) ?? .rejected(.unknownOrder)
    }
    let order = orders.remove(at: place)
    return Outcome(.accepted, .done, 0, order.left, order: OrderID(order.id))
  }

  @inline(never)
  mutating func cancelAll(_ record: ActionRecord, _ account: Int) -> Outcome {
    let count = orders.count + triggers.count
    let all = instruments
    func isMeant(_ owner: Int, _ instrument: Int, _ side: Side) -> Bool {
      let isThere =
        record.b == 1
        ? all[instrument].underlying.raw == UInt16(record.id)
        : record.instrument == .all || instrument == Int(record.id)
      return owner == account && isThere && (record.a == 0 || (side == .buy) == (record.a == 1))
    }
    orders.removeAll { isMeant($0.account, $0.instrument, $0.side) }
    triggers.removeAll { isMeant($0.account, Int($0.record.id), $0.record.side) }
    return Outcome(.accepted, .done, Int64(count - orders.count - triggers.count), 0)
  }

  private mutating func cancelAll(_ account: Int, _ instrument: InstrumentID) {
    orders.removeAll {
      $0.account == account && (instrument == .all || $0.instrument == instrument.index)
    }
    triggers.removeAll {
      $0.account == account && (instrument == .all || $0.record.instrument == instrument)
    }
  }

  /// Cash less outflows, less what fills since may have taken of it.
  private func freeCash(_ account: Int) -> Int64 {
    let mine = since.filter { $0.maker == account || $0.taker == account }
    var taken: Int128 = 0
    var spent: Int64 = 0
    for trade in mine {
      taken -= loss(trade, account)
      let isTaker = trade.taker == account
      spent += isTaker ? trade.takerFee : trade.makerFee
      if isTaker == (trade.takerSide == .buy), instruments[trade.instrument].isOption {
        let premium = Int128(trade.price) * Int128(trade.quantity)
        spent += Int64((premium + Notional.perMoney - 1) / Notional.perMoney)
      }
    }
    for (instrument, entry) in accounts[account].granted
    where mine.contains(where: { $0.instrument == instrument }) {
      let value = Int128(entry.quantity) * Int128(mark(instrument))
      taken += max(0, Int128(entry.cost) * Notional.perMoney - value)
    }
    let outflows = accounts[account].outflows.reduce(0) { $0 + $1.amount }
    return accounts[account].cash - outflows - spent
      - Int64((taken + Notional.perMoney - 1) / Notional.perMoney)
  }

  @inline(never)
  mutating func withdraw(_ record: ActionRecord, _ account: Int) -> Outcome {
    if record.x < constants.withdrawalMin {
      return .rejected(.amountTooSmall, record.x, constants.withdrawalMin)
    }
    return takeOut(record, account)
  }

  @inline(never)
  mutating func takeOut(_ record: ActionRecord, _ account: Int) -> Outcome {
    for instrument in instruments.indices {
      let isOpen = orders.contains { $0.account == account && $0.instrument == instrument }
      let age = time - table.time(InstrumentID(UInt32(instrument))).raw
      if isOpen || position(account, instrument) != 0, age > constants.grantAgeMax {
        return .rejected(.marketDataStale, age, constants.grantAgeMax)
      }
    }
    let free = freeCash(account)
    if record.x > free { return .rejected(.insufficientBalance, record.x, max(0, free)) }
    let room = room(account)
    let debited = Int128(record.x) * Notional.perMoney
    if room < debited {
      return .rejected(.insufficientMargin, money(room - debited), money(room))
    }
    accounts[account].outflows.append((batch, record.x))
    return Outcome(.accepted)
  }

  /// Carries the action whose first record stands at `index` out.
  @inline(never)
  mutating func apply(_ bundle: Bundle, at index: Int, _ account: Int) -> Outcome {
    let record = bundle.record(index)
    return switch record.kind {
    case .timer: setTimer(record.x, account)
    case .protect: protect(record, account)
    case .massQuote:
      quote(
        MassQuote(record, bundle.bytes.rawSpan, at: 96 + 64 * index), account)
    case .place: place(record, account)
    case .trigger: trigger(record, account)
    case .volatility: volatility(record, account)
    case .block, .hedgedBlock:
      block(BlockTrade(bundle.bytes.rawSpan, at: 96 + 64 * index), account)
    case .session: session(record, account)
    case .disconnect: lose(record, account, bundle.header.key)
    case .combination:
      combine(Combination(record, bundle.bytes.rawSpan, at: 96 + 64 * index), account)
    case .cancel: cancel(record, account)
    case .replace: replace(record, account)
    case .cancelAll: cancelAll(record, account)
    case .withdraw: withdraw(record, account)
    case .open: openAccount(account)
    case .transfer: transfer(record, account)
    default: preconditionFailure("the twin knows orders and withdrawals")
    }
  }

  // MARK: - Batches

  /// Opens a batch: adopts, then cancels what has expired, then carries directives out.
  @inline(never)
  mutating func open(time: Int64, adopting bodies: [(batch: UInt64, body: ClearanceBody)]) {
    self.time = time
    for (number, body) in bodies {
      for opened in body.opened { note(opened) }
      since.removeAll { $0.batch <= number }
      for account in accounts.indices {
        accounts[account].outflows.removeAll { $0.batch <= number }
      }
      for entry in body.positions {
        accounts[entry.account.index].granted[entry.instrument.index] =
          entry.quantity.raw == 0 ? nil : (entry.quantity.raw, entry.cost.raw)
      }
      for entry in body.accounts {
        accounts[entry.account.index].cash = entry.cash.raw
        accounts[entry.account.index].isRestricted = entry.flags & 1 != 0
      }
      for entry in body.indices {
        market[entry.underlying.index].index = entry.price
        market[entry.underlying.index].time = entry.time
        oracleTime = max(oracleTime, entry.time.raw)
      }
      for entry in body.slices {
        let slice = ExpirySlice(
          expiry: entry.expiry, forward: entry.forward,
          surface: .init(
            a: entry.parameters.a, b: entry.parameters.b, rho: entry.parameters.rho,
            m: entry.parameters.m, sigma: entry.parameters.sigma), time: entry.time)
        market[entry.underlying.index].slices.removeAll { $0.expiry == entry.expiry }
        market[entry.underlying.index].slices.append(slice)
      }
      for instrument in body.instruments {
        let place = instrument.id.index
        let resumes = instruments[place].status == .halted && instrument.status == .active
        instruments[place] = instrument
        if resumes, instrument.callDuration > 0 || instrument.auctionInterval > 0 {
          calls[place] = Call(gathers: true, end: 0)
        }
      }
      if !body.indices.isEmpty || !body.slices.isEmpty || !body.instruments.isEmpty { reprice() }
    }
    orders.removeAll {
      instruments[$0.instrument].expires && instruments[$0.instrument].expiry.raw <= time
    }
    let all = instruments
    triggers.removeAll {
      let terms = all[Int($0.record.id)]
      return terms.expires && terms.expiry.raw <= time
    }
    let now = time
    orders.removeAll { $0.expiry != 0 && $0.expiry <= now }
    triggers.removeAll { $0.record.orderExpiry.raw != 0 && $0.record.orderExpiry.raw <= now }
    runOutTimers()
    for (_, body) in bodies {
      for directive in body.directives { carryOut(directive) }
    }
    holdAuctions()
    fireTriggers()
  }

  @inline(never)
  private mutating func carryOut(_ directive: Directive) {
    let account = directive.account.index
    guard directive.kindCode == DirectiveKind.close.rawValue else {
      cancelAll(account, .all)
      return
    }
    let instrument = directive.instrument.index
    guard instruments[instrument].trades(at: Timestamp(raw: time)) else { return }
    cancelAll(account, directive.instrument)
    let side: Side = directive.sideCode == 0 ? .buy : .sell
    let held = position(account, instrument)
    let closable = (held > 0) == (side == .sell) ? Int64(held.magnitude) : 0
    _ = match(
      account, instrument, side, directive.price.raw, min(directive.quantity.raw, closable),
      order: 0)
  }
}
