import Execution
import Primitives
import Wire

/// The production book against a slow, obvious twin: sorted arrays, searched from the front.
public struct BookFuzz: ~Copyable {
  private var books: OrderBooks
  private var events = EventBuffer()
  private var twin = SortedBook()
  private var state: UInt64
  private var nextID: UInt64 = 1
  private var trade: UInt64 = 1
  private var touch: [Int64] = [1_000_000, 5_000_000_000, 40]
  /// What the walk through kinds of traffic is at.
  private var phase = Phase.near

  private enum Phase: UInt64 {
    /// Around the touch, as almost all traffic is.
    case near
    /// A flood of levels, more than the row of near levels holds.
    case flood
    /// Prices as far apart as prices can be.
    case far
    /// Cancels, until little is left.
    case drain
  }

  public static let instrumentCount = 3
  private static let accountCount = 6

  /// - Parameter seed: of every choice; the book's secret key is drawn from it too.
  public init(seed: UInt64) {
    state = seed
    books = OrderBooks(indexKey: SlotTable.mixed(seed))
    for _ in 0..<BookFuzz.instrumentCount { books.addInstrument() }
    for _ in 0..<BookFuzz.accountCount { books.addAccount() }
  }

  /// What a run has seen.
  public struct Report: Sendable {
    public var operations = 0
    public var trades = 0
    public var selfTrades = 0
    public var cancels = 0
    public var levelMax = 0
    public var restingMax = 0
    public var rebuilds = 0
    /// The first difference.
    public var difference: String?
  }

  /// Applies random operations to both until they differ.
  public mutating func run(_ count: Int) -> Report {
    var report = Report()
    while report.operations < count {
      if report.operations % 8_192 == 0 { phase = Phase(rawValue: below(4)) ?? .near }
      report.operations += 1
      if let difference = step(&report) {
        report.difference = "operation \(report.operations): \(difference)"
        return report
      }
      guard report.operations % 4_096 == 0 || report.operations == count else { continue }
      report.restingMax = max(report.restingMax, books.count)
      for place in 0..<BookFuzz.instrumentCount {
        let instrument = InstrumentID(UInt32(place))
        for side in [Side.buy, .sell] {
          report.levelMax = max(report.levelMax, books.levelCount(instrument, side))
        }
      }
      if let difference = wholeDiffers() {
        report.difference = "after operation \(report.operations): \(difference)"
        return report
      }
      if below(4) == 0 {
        // As after a restart: all but the orders is made anew.
        books = books.rebuilt()
        report.rebuilds += 1
      }
      books.seal()
      events.removeAll()
    }
    return report
  }

  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return SlotTable.mixed(state)
  }

  private mutating func below(_ bound: UInt64) -> UInt64 {
    next().multipliedFullWidth(by: bound).high
  }

  private mutating func step(_ report: inout Report) -> String? {
    let cancelShare: UInt64 = phase == .drain ? 85 : twin.count > 3_000 ? 60 : 35
    if below(100) < cancelShare, twin.count > 0 {
      report.cancels += 1
      return cancel()
    }
    let instrument = Int(below(UInt64(BookFuzz.instrumentCount)))
    if below(256) == 0 { touch[instrument] = max(20, touch[instrument] - 3 + Int64(below(7))) }
    let side: Side = below(2) == 0 ? .buy : .sell
    let id = books.id(number: nextID)
    nextID += 1 + below(3)
    let order = BookOrder(
      id: id, clientID: below(4) == 0 ? 0 : id.raw ^ below(2) << 63,
      account: AccountID(UInt32(below(UInt64(BookFuzz.accountCount)))),
      instrument: InstrumentID(UInt32(instrument)), side: side,
      price: Price(raw: price(instrument, side)), quantity: Quantity(raw: Int64(1 + below(100))),
      isImmediate: below(10) == 0)
    let seen = events.count
    let left = books.submit(order, trade: &trade, into: &events)
    let (expected, fills, own) = twin.submit(order)
    report.trades += fills.count
    report.selfTrades += own
    guard left.raw == expected else { return "\(order): left \(left.raw), twin \(expected)" }
    guard events.count - seen == fills.count else {
      return "\(order): \(events.count - seen) fills, twin \(fills.count)"
    }
    for (place, fill) in fills.enumerated() {
      let event = events.record(seen + place, as: Fill.self)
      let isSame =
        event.makerOrder.raw == fill.maker && event.takerOrder == id
        && event.price.raw == fill.price && event.quantity.raw == fill.quantity
        && event.maker == fill.account && event.taker == order.account && event.takerSide == side
        && event.instrument == order.instrument
      if !isSame { return "\(order): fill \(event), twin \(fill)" }
    }
    return touchDiffers(instrument)
  }

  private mutating func price(_ instrument: Int, _ side: Side) -> Int64 {
    let middle = touch[instrument]
    let sign: Int64 = side == .buy ? -1 : 1
    switch phase {
    case .near, .drain:
      return max(1, middle + sign * (Int64(below(24)) - 4))
    case .flood:
      return max(1, middle + sign * (Int64(below(2_000)) - 1))
    case .far:
      // Any power of two, a little off, on the side where it rests or, seldom, across.
      let off = Int64(1) << Int64(below(61))
      let away = below(64) == 0 ? -sign : sign
      return min(1 << 62, max(1, middle &+ away &* (off + Int64(below(3)))))
    }
  }

  private mutating func cancel() -> String? {
    let order = twin.pick(below(UInt64(twin.count)))
    switch below(8) {
    case 0:
      // One that does not rest, in a place where perhaps another does.
      let known = books.cancel(OrderID(number: nextID + 1 + below(1_000), slot: order.id.place))
      return known ? "an order that never was has been cancelled" : nil
    case 1..<4 where order.clientID != 0:
      guard books.cancel(order.account, clientID: order.clientID) else {
        return "client id \(order.clientID) of \(order.account) is not known"
      }
    default:
      guard books.cancel(order.id) else { return "order \(order.id) is not known" }
    }
    twin.remove(order)
    if books.cancel(order.id) { return "order \(order.id) has been cancelled twice" }
    return touchDiffers(order.instrument.index)
  }

  private func touchDiffers(_ instrument: Int) -> String? {
    for side in [Side.buy, .sell] {
      let found = books.bestPrice(InstrumentID(UInt32(instrument)), side)?.raw
      let expected = twin.best(instrument, side)
      if found != expected {
        return "best of \(instrument) \(side): \(found ?? 0), twin \(expected ?? 0)"
      }
    }
    return books.count == twin.count ? nil : "\(books.count) orders, twin \(twin.count)"
  }

  /// Every order of every book in its order of priority, and all that follows from them.
  private func wholeDiffers() -> String? {
    for instrument in 0..<BookFuzz.instrumentCount {
      for side in [Side.buy, .sell] {
        let found = books.resting(InstrumentID(UInt32(instrument)), side)
        let expected = twin.resting(instrument, side)
        guard found.count == expected.count else {
          return "\(instrument) \(side): \(found.count) orders, twin \(expected.count)"
        }
        for (a, b) in zip(found, expected)
        where a.id != b.id || a.price != b.price || a.quantity != b.quantity
          || a.account != b.account || a.clientID != b.clientID
        {
          return "\(instrument) \(side): \(a), twin \(b)"
        }
      }
    }
    return books.fault()
  }
}

/// Two sorted arrays an instrument, best first, and at one price oldest first.
private struct SortedBook {
  struct Trade {
    let maker: UInt64
    let account: AccountID
    let price: Int64
    let quantity: Int64
  }

  private var sides: [[BookOrder]] = Array(repeating: [], count: 2 * BookFuzz.instrumentCount)
  private(set) var count = 0

  private func place(_ instrument: Int, _ side: Side) -> Int { instrument * 2 + Int(side.rawValue) }

  func best(_ instrument: Int, _ side: Side) -> Int64? {
    sides[place(instrument, side)].first?.price.raw
  }

  func resting(_ instrument: Int, _ side: Side) -> [BookOrder] { sides[place(instrument, side)] }

  /// The order that many places into all books.
  func pick(_ place: UInt64) -> BookOrder {
    var place = Int(place)
    for side in sides {
      if place < side.count { return side[place] }
      place -= side.count
    }
    preconditionFailure("an order is picked from those there are")
  }

  mutating func remove(_ order: BookOrder) {
    sides[place(order.instrument.index, order.side)].removeAll { $0.id == order.id }
    count -= 1
  }

  mutating func submit(_ order: BookOrder) -> (left: Int64, fills: [Trade], own: Int) {
    var left = order.quantity.raw
    var fills: [Trade] = []
    var own = 0
    let opposite = place(order.instrument.index, order.side.opposite)
    while left > 0, let maker = sides[opposite].first,
      order.side == .buy ? maker.price <= order.price : maker.price >= order.price
    {
      if maker.account == order.account {
        sides[opposite].removeFirst()
        count -= 1
        own += 1
        continue
      }
      let size = min(left, maker.quantity.raw)
      fills.append(
        Trade(
          maker: maker.id.raw, account: maker.account, price: maker.price.raw, quantity: size))
      left -= size
      if size == maker.quantity.raw {
        sides[opposite].removeFirst()
        count -= 1
      } else {
        sides[opposite][0].quantity = Quantity(raw: maker.quantity.raw - size)
      }
    }
    if left > 0, !order.isImmediate {
      var rest = order
      rest.quantity = Quantity(raw: left)
      let side = place(order.instrument.index, order.side)
      let at =
        sides[side].firstIndex {
          order.side == .buy ? $0.price < order.price : $0.price > order.price
        } ?? sides[side].count
      sides[side].insert(rest, at: at)
      count += 1
    }
    return (left, fills, own)
  }
}
