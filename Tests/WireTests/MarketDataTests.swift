import Commitments
import Instruments
import Primitives
import Testing
import Wire

@Suite("Market data") struct MarketDataTests {
  private static let instrument = InstrumentID(3)

  private static func level(_ side: Side, _ price: Int64, _ quantity: Int64) -> BookLevel {
    BookLevel(
      side, Price(raw: price), Quantity(raw: quantity), orders: quantity == 0 ? 0 : 1)
  }

  private static func update(
    _ batch: UInt64, after previous: UInt64, _ levels: [BookLevel], of book: MarketBook
  ) -> MarketUpdate {
    MarketUpdate(
      instrument, isSnapshot: false, batch: BatchNumber(batch), previous: BatchNumber(previous),
      time: .zero, mark: .zero, checksum: book.checksum(with: levels), levels: levels, trades: [])
  }

  /// Bids at 100 and 90, an ask at 110, as of batch 5.
  private static func book() throws -> MarketBook {
    var book = MarketBook(instrument)
    let levels = [level(.buy, 100, 1), level(.buy, 90, 2), level(.sell, 110, 3)]
    try book.take(
      MarketUpdate(
        instrument, isSnapshot: true, batch: BatchNumber(5), previous: BatchNumber(.max),
        time: .zero, mark: .zero, checksum: book.checksum(with: levels), levels: levels,
        trades: []))
    return book
  }

  @Test("updates lead from one book to the next, best price first")
  func updates() throws {
    var book = try Self.book()
    #expect(book.levels(.buy).map(\.price.raw) == [100, 90])
    let changes = [Self.level(.buy, 100, 0), Self.level(.sell, 105, 4)]
    try book.take(Self.update(8, after: 5, changes, of: book))
    #expect(book.batch == BatchNumber(8))
    #expect(book.levels(.buy).map(\.price.raw) == [90])
    #expect(book.levels(.sell).map(\.price.raw) == [105, 110])
    #expect(book.levels(.sell, limit: 1).map(\.quantity.raw) == [4])
  }

  @Test("a missing update is a gap, and changes nothing")
  func gap() throws {
    var book = try Self.book()
    let held = book
    let late = Self.update(8, after: 6, [Self.level(.buy, 100, 0)], of: book)
    #expect(throws: MarketDataFailure.gap(held: BatchNumber(5), previous: BatchNumber(6))) {
      try book.take(late)
    }
    #expect(book.levels(.buy) == held.levels(.buy) && book.batch == held.batch)
  }

  @Test("a book that differs anywhere has another checksum")
  func checksum() throws {
    let book = try Self.book()
    for wrong in [
      Self.level(.buy, 90, 3), Self.level(.sell, 110, 0), Self.level(.sell, 90, 2),
      BookLevel(.buy, Price(raw: 90), Quantity(raw: 2), orders: 2),
    ] {
      var other = book
      other.set(wrong)
      let update = Self.update(8, after: 5, [], of: book)
      #expect(throws: MarketDataFailure.self) { try other.take(update) }
    }
  }

  @Test("the checksum is the sum of the levels' hashes, whatever the order they came in")
  func checksumIsASum() throws {
    let book = try Self.book()
    var expected: UInt64 = 0
    for level in book.levels(.sell) + book.levels(.buy) {
      expected &+= UInt64(littleEndian: level.withBytes { SHA256.digest($0) }.words.0)
    }
    #expect(book.checksum == expected)
  }

  @Test("a book in parts counts once the last has come")
  func parts() throws {
    let whole = try Self.book()
    var book = try Self.book()
    for (isPartial, levels) in [(true, whole.levels(.buy)), (false, whole.levels(.sell))] {
      var part = MarketUpdate(
        Self.instrument, isSnapshot: true, batch: BatchNumber(9), previous: BatchNumber(.max),
        time: .zero, mark: .zero, checksum: whole.checksum, levels: levels, trades: [])
      part.isPartial = isPartial
      try book.take(part)
      #expect(book.batch == BatchNumber(isPartial ? 5 : 9))
    }
    #expect(book.levels(.buy) == whole.levels(.buy) && book.levels(.sell) == whole.levels(.sell))
  }
}
