import Instruments
import Primitives
import Risk
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Hedges in deleveraging") struct HedgeClosingTests {
  /// Client 0 is long ten of the perpetual of client 1, who hedges them with ten of the future, of
  /// client 2; the index falls to 780, where client 0 lacks 200 and the fund has 50.
  @inline(never)
  private func fallen() throws -> House {
    var house = House.auctions()
    house.surface(1_000 * Price.scale)
    try house.openLong(fund: 50)
    house.fill(buyer: 1, seller: 2, 1, price: 1_000 * Price.scale, quantity: 10 * Quantity.scale)
    try house.mark(1_000)
    for _ in 0..<2 { try both(780, &house) }
    return house
  }

  @inline(never)
  @discardableResult
  private func both(_ price: Int64, _ house: inout House) throws -> [Receipt] {
    house.surface(price * Price.scale)
    return House.receipts(try house.mark(price))
  }

  @Test("the hedge of who is deleveraged closes at its mark, and nobody asks for more margin")
  func closes() throws {
    var house = try fallen()
    #expect(house.machine.auctions[0].phase == AuctionRecord.deleveraging)
    let before = [1, 2].map { house.machine.margin(House.client($0)) }
    let receipts = try both(780, &house)
    let taken = receipts.filter { $0.kind == .deleveraging }
    #expect(taken.map(\.code) == [0, ReceiptCode.hedgeLeg.rawValue])
    #expect(taken[0].buyer == House.client(1) && taken[0].price.raw == 795 * Price.scale)
    #expect(taken[1].buyer == House.client(2) && taken[1].seller == House.client(1))
    #expect(taken[1].instrument.raw == 1 && taken[1].quantity.raw == 10 * Quantity.scale)
    for client in 0...2 {
      #expect(house.position(client, 0) == 0 && house.position(client, 1) == 0)
    }
    let after = [1, 2].map { house.machine.margin(House.client($0)) }
    for (old, new) in zip(before, after) { #expect(new.maintenance <= old.maintenance) }
    // The taker gained and lost nothing, but for a rounding.
    #expect((before[1].equity.raw - after[1].equity.raw).magnitude <= 1)
    #expect(house.imbalances == [0, 0] && house.cash(0) == 0)
    let levels = receipts.filter { $0.kind == .deleveragingLevel }
    let lots = 10 * Quantity.scale / TestWorld.lot
    #expect(levels.map(\.code) == [0, ReceiptCode.hedgeLeg.rawValue])
    for (level, fill) in zip(levels, taken) {
      #expect(level.instrument == fill.instrument && level.price == fill.price)
      #expect(level.buyer == House.client(0) && level.seller.raw == 1 && level.id == 1)
      #expect(level.quantity.raw == lots && level.paid.raw + level.received.raw == lots)
      #expect(level.buyerPosition.raw == 0 && level.sellerPosition.raw == 1)
    }
    #expect(levels[0].received.raw > 0 && levels[0].sellerFee == taken[0].buyerFee)
    #expect(levels[1].received.raw == 0 && levels[1].buyerFee == taken[1].buyerFee)
  }

  @Test("a hedge that nobody can take stays open, and the receipt says so")
  func stays() throws {
    var house = try fallen()
    // Execution has not yet adopted what client 2 did last.
    house.machine.accounts[House.client(2).index].closing = house.number
    let receipts = try both(780, &house)
    let taken = receipts.filter { $0.kind == .deleveraging }
    #expect(taken.map(\.code) == [0])
    #expect(house.position(1, 0) == 0 && house.position(1, 1) == 10 * Quantity.scale)
    let level = try #require(receipts.last { $0.kind == .deleveragingLevel })
    #expect(level.code == ReceiptCode.hedgeLeg.rawValue && level.seller.raw == 0)
    #expect(level.buyerPosition == level.quantity && level.buyerPosition.raw > 0)
  }

  @Test("a taker who would be left with more risk takes no more than lowers his own")
  func partly() throws {
    var house = House.auctions()
    house.surface(1_000 * Price.scale)
    try house.openLong(fund: 50)
    house.fill(buyer: 1, seller: 2, 1, price: 1_000 * Price.scale, quantity: 10 * Quantity.scale)
    // Client 2 is short ten of the future, and long seven of the perpetual.
    house.fill(buyer: 2, seller: 1, 0, price: 1_000 * Price.scale, quantity: 7 * Quantity.scale)
    house.fill(buyer: 1, seller: 3, 1, price: 1_000 * Price.scale, quantity: 7 * Quantity.scale)
    // Client 3 is short seven of the future and long them in the perpetual: his are hard lots.
    house.fill(buyer: 3, seller: 1, 0, price: 1_000 * Price.scale, quantity: 7 * Quantity.scale)
    house.fill(buyer: 1, seller: 4, 1, price: 1_000 * Price.scale, quantity: 7 * Quantity.scale)
    try house.mark(1_000)
    for _ in 0..<2 { try both(780, &house) }
    let before = (0..<6).map { house.machine.margin(House.client($0)) }
    let receipts = try both(780, &house)
    let hedges = receipts.filter {
      $0.kind == .deleveraging && $0.code == ReceiptCode.hedgeLeg.rawValue
    }
    #expect(!hedges.isEmpty && hedges.allSatisfy { $0.seller == House.client(1) })
    #expect(!hedges.contains { $0.buyer == House.client(3) })
    for client in 2..<5 {
      let after = house.machine.margin(House.client(client))
      #expect(after.maintenance <= before[client].maintenance, "client \(client)")
      #expect((after.equity.raw - before[client].equity.raw).magnitude <= 1, "client \(client)")
    }
    #expect(house.imbalances == [0, 0])
  }
}
