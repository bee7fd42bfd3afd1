import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Tranches of the insurance fund") struct TrancheTests {
  /// Client 0 falls below maintenance at 900, then below nothing at 780; a tenth of what must be
  /// sold is the fee of the start.
  @inline(never)
  private func started(most: Int64, fund: Int64 = 0) throws -> House {
    var house = House.auctions {
      $0.auctionFee = 100_000_000
      $0.insuranceTrancheMax = most
    }
    try house.openLong(fund: fund)
    try house.mark(900)
    return house
  }

  private func start(_ house: borrowing House) throws -> Receipt {
    let last = house.last
    let result = try #require(last)
    return try #require(House.receipts(result).first { $0.kind == .auctionStart })
  }

  @Test("an auction's fee fills its underlying's tranche, and what passes the limit the common one")
  func fills() throws {
    let free = try started(most: House.money(1_000))
    let first = try start(free)
    #expect(first.paid.raw > House.money(1) && first.sellerPosition.raw == first.paid.raw)
    #expect(free.machine.payouts[0].tranche == first.paid)
    #expect(free.machine.funds[0].insurance == 0 && free.machine.payouts[1].tranche == .zero)
    #expect(free.machine.fund(.quote).insurance == first.paid.raw && free.imbalances == [0, 0])
    let full = try started(most: House.money(1))
    let second = try start(full)
    #expect(second.paid == first.paid && second.sellerPosition.raw == House.money(1))
    #expect(full.machine.payouts[0].tranche.raw == House.money(1))
    #expect(full.machine.funds[0].insurance == second.paid.raw - House.money(1))
    let none = try started(most: 0)
    let third = try start(none)
    #expect(third.paid == first.paid && third.sellerPosition.raw == 0)
    #expect(none.machine.funds[0].insurance == third.paid.raw)
  }

  @Test("a debt is paid by the tranche of its underlying, then by the common one, by no other")
  func pays() throws {
    var house = try started(most: House.money(1_000), fund: 10)
    house.machine.payouts[1].tranche = Money(raw: House.money(500))
    house.machine.funds[0].fees -= House.money(500)
    let own = house.machine.payouts[0].tranche
    var receipts: [Receipt] = []
    for _ in 0..<5 { receipts += House.receipts(try house.mark(780)) }
    let paid = try #require(receipts.first { $0.kind == .insurance })
    #expect(paid.buyer == House.client(0) && paid.received == own)
    #expect(paid.paid.raw == own.raw + House.money(10))
    #expect(house.machine.payouts[0].tranche == .zero && house.machine.funds[0].insurance == 0)
    // What another underlying's auctions brought stays there; who gained gives the rest.
    #expect(house.machine.payouts[1].tranche.raw == House.money(500))
    #expect(receipts.contains { $0.kind == .deleveraging } && house.imbalances == [0, 0])
    #expect(house.machine.structureFault() == nil)
  }

  @Test("a little of an underlying opens a little of its tranche")
  func dust() throws {
    var house = House.auctions { $0.insuranceTrancheMax = House.money(1_000) }
    try house.openLong()
    house.index(1, 10 * Price.scale)
    house.fill(buyer: 0, seller: 1, 4, price: 10 * Price.scale, quantity: Quantity.scale)
    try house.mark(900)
    house.machine.payouts[1].tranche = Money(raw: House.money(500))
    house.machine.funds[0].fees -= House.money(500)
    var receipts: [Receipt] = []
    for _ in 0..<5 {
      house.index(1, 10 * Price.scale)
      receipts += House.receipts(try house.mark(780))
    }
    // 200 are missing; 10 of 7 810 of the notional are the other underlying's.
    let share = (House.money(200) * 10 + 7_809) / 7_810
    let paid = receipts.filter { $0.kind == .insurance }.map(\.received.raw)
    #expect(paid.first == share)
    // Its position closes a batch later, and what stands behind that alone is less than its share.
    #expect(paid.count == 2 && paid.allSatisfy { $0 <= share }, "\(paid)")
    #expect(house.machine.payouts[1].tranche.raw == House.money(500) - paid.reduce(0, +))
    #expect(receipts.contains { $0.kind == .deleveraging } && house.imbalances == [0, 0])
  }

  @Test("an insolvent account is sold as far as tranche and common one reach")
  func sold() throws {
    var house = try started(most: House.money(1_000), fund: 1_000)
    let own = house.machine.payouts[0].tranche.raw
    try house.mark(780)
    house.bid(2, for: 0, worst: -100)
    let bids = House.bids(try house.mark(780))
    let bid = try #require(bids.first)
    #expect(bid.code == 0 && bid.quantity.raw == Ratio.scale && bid.sellerRealised.raw == own)
    #expect(house.machine.payouts[0].tranche == .zero)
    #expect(house.machine.funds[0].insurance == House.money(1_000) + own + bid.paid.raw)
    #expect(house.imbalances == [0, 0])
  }

  @Test("a tranche beyond its limit is not loaded")
  func structure() throws {
    var house = try started(most: House.money(1_000))
    house.machine.payouts[0].tranche = Money(raw: House.money(1_000) + 1)
    #expect(house.machine.structureFault() == "payouts of underlying 0")
  }
}
