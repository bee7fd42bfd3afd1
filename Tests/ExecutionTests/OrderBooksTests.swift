import Benchmarks
import Primitives
import TestSupport
import Testing
import Wire
import Workloads

@testable import Execution

@Suite("The order books") struct OrderBooksTests {
  static let lengths = NM1.expected.filter { $0.count <= 100_000 }.map(\.count)

  @Test(
    "NM-1 gives the published stream, trades and fold, as both calibrators do", arguments: lengths)
  func standardWorkload(count: Int) throws {
    let expected = try #require(NM1.expected.first { $0.count == count })
    let stream = NM1(count: count)
    #expect(stream.streamDigest.description == expected.stream)
    let figures = MatchingBenchmark.run(stream, rounds: 1) { _ in }
    #expect(NM1.digest(figures.trades).description == expected.tradesDigest)
    for row in [figures.textbook, figures.ladder, figures.book] {
      #expect(row.fold == expected.fold && row.trades == expected.trades, "\(row.name)")
    }
    #expect(figures.liveMax == expected.liveMax)
  }

  /// Eight seeds share the operations; `NOVATE_FUZZ` asks for more, as does
  /// `novate bench matching --fuzz`.
  @Test("the book does what sorted arrays do")
  func fuzz() {
    var (trades, selfTrades, levelMax) = (0, 0, 0)
    for seed in 301...308 as ClosedRange<UInt64> {
      var fuzz = BookFuzz(seed: seed)
      let report = fuzz.run(max(300_000, fuzzCount) / 8)
      #expect(report.difference == nil, "seed \(seed): \(report.difference ?? "")")
      #expect(report.rebuilds > 0, "seed \(seed)")
      trades += report.trades
      selfTrades += report.selfTrades
      levelMax = max(levelMax, report.levelMax)
    }
    // A fuzz in which nothing trades, or no side outgrows its row, proves little.
    #expect(trades > 4_000 && selfTrades > 400 && levelMax > PriceLevels.nearMax)
  }

  // MARK: - Prices chosen to hurt

  private static func books() -> OrderBooks {
    var books = OrderBooks(indexKey: 7)
    books.addInstrument()
    books.addAccount()
    return books
  }

  private static func order(_ id: OrderID, _ side: Side, _ price: Int64) -> BookOrder {
    BookOrder(
      id: id, clientID: id.number << 32, account: AccountID(0),
      instrument: InstrumentID(0), side: side, price: Price(raw: price),
      quantity: Quantity(raw: 1), isImmediate: false)
  }

  enum Shape: CaseIterable { case rising, falling, outwards, inwards }

  @Test(
    "a level for every order, in any order of prices, stays small and shallow",
    arguments: Shape.allCases)
  func levelFlood(shape: Shape) {
    let count = 20_000
    var books = Self.books()
    var events = EventBuffer()
    var trade: UInt64 = 1
    for index in 0..<count {
      let place: Int
      switch shape {
      case .rising: place = index
      case .falling: place = count - 1 - index
      case .outwards: place = index % 2 == 0 ? count / 2 + index / 2 : count / 2 - 1 - index / 2
      case .inwards: place = index % 2 == 0 ? index / 2 : count - 1 - index / 2
      }
      // Far apart, so that nothing dense could hold them.
      let price = 1 + Int64(place) * 100_000_000_007
      let id = books.id(number: UInt64(index) + 1)
      books.submit(Self.order(id, .buy, price), trade: &trade, into: &events)
    }
    let levels = books.levelCount(InstrumentID(0), .buy)
    let (depth, far) = books.levels.farShape(0)
    #expect(levels == count && far == count - PriceLevels.nearMax)
    // A balanced tree of twenty thousand is 15 deep.
    #expect(depth <= 60, "\(depth) deep")
    let memory = books.memory
    let bytes = (memory.book + memory.clients) / count
    #expect(bytes <= 160, "\(bytes) bytes an order, each with a level of its own")
    let fault = books.fault()
    #expect(fault == nil)
    // One seller takes them all, best first; the row is filled from the tree again and again.
    books.addAccount()
    var sell = Self.order(books.id(number: UInt64(count) + 1), .sell, 1)
    sell.account = AccountID(1)
    sell.quantity = Quantity(raw: Int64(count) + 5)
    let left = books.submit(sell, trade: &trade, into: &events)
    let (fills, resting) = (events.count, books.count)
    #expect(left.raw == 5 && fills == count && resting == 1)
    for place in 1..<count {
      let (before, after) = (
        events.record(place - 1, as: Fill.self).price, events.record(place, as: Fill.self).price
      )
      if after >= before {
        Issue.record("fill \(place) at \(after), after one at \(before)")
        return
      }
    }
  }

  @Test("the ends of what a price can be are prices like others")
  func extremePrices() {
    var books = Self.books()
    var events = EventBuffer()
    var trade: UInt64 = 1
    let low = books.id(number: 1)
    books.submit(Self.order(low, .buy, 1), trade: &trade, into: &events)
    let high = books.id(number: 2)
    books.submit(Self.order(high, .sell, .max), trade: &trade, into: &events)
    let prices = [books.bestPrice(InstrumentID(0), .buy), books.bestPrice(InstrumentID(0), .sell)]
    #expect(prices == [Price(raw: 1), Price(raw: .max)])
    let cancelled = books.cancel(low) && books.cancel(AccountID(0), clientID: 2 << 32)
    let (count, fault, emitted) = (books.count, books.fault(), events.count)
    #expect(cancelled && count == 0 && fault == nil && emitted == 0)
  }

  @Test("a slot that freed while an order matched is not taken by it: its id says where it rests")
  func placeOfATaker() {
    var books = Self.books()
    books.addAccount()
    var events = EventBuffer()
    var trade: UInt64 = 1
    let maker = books.id(number: 1)
    books.submit(Self.order(maker, .sell, 100), trade: &trade, into: &events)
    let taker = books.id(number: 2)
    var order = Self.order(taker, .buy, 100)
    order.account = AccountID(1)
    order.quantity = Quantity(raw: 3)
    let left = books.submit(order, trade: &trade, into: &events)
    let (makerSlot, takerSlot, lowest) = (
      books.slot(of: maker), books.slot(of: taker), books.id(number: 3).place
    )
    #expect(left.raw == 2 && makerSlot == nil && takerSlot == 1 && lowest == 0)
    // A number that was never given, in a place where an order rests.
    let unknown = books.slot(of: OrderID(number: 9, slot: 1))
    let none = books.slot(of: OrderID(0))
    #expect(unknown == nil && none == nil)
  }

  @Test("slots are given lowest first, whatever was freed before")
  func lowestSlot() {
    var books = Self.books()
    var events = EventBuffer()
    var trade: UInt64 = 1
    var ids: [OrderID] = []
    func enter(_ count: Int, _ books: inout OrderBooks) {
      for _ in 0..<count {
        ids.append(books.id(number: UInt64(ids.count) + 1))
        books.submit(Self.order(ids[ids.count - 1], .buy, 100), trade: &trade, into: &events)
      }
    }
    enter(200, &books)
    for number in [150, 3, 77, 78] { _ = books.cancel(ids[number - 1]) }
    enter(5, &books)
    let numbers = [2, 76, 77, 149, 200].map { books.orders[$0].id.number }
    #expect(numbers == [201, 202, 203, 204, 205])
    #expect(ids.suffix(5).map(\.place) == [2, 76, 77, 149, 200])
    // Time priority is by arrival, not by slot.
    let queue = books.resting(InstrumentID(0), .buy).map(\.id.raw)
    #expect(queue == queue.sorted() && queue.count == 201)
  }
}
