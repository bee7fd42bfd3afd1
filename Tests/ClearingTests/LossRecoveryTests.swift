import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Losses that others bore") struct LossRecoveryTests {
  /// Client 0 lacked 150 that the fund had not; client 3 bore them, at 15 a contract.
  @inline(never)
  private func fallen(_ change: (inout Constants) -> Void = { _ in }) throws -> House {
    var house = House.auctions {
      $0.lossEpochsMax = 2
      $0.lossRecovery = 500_000_000
      change(&$0)
    }
    try house.openLong(fund: 50)
    house.fill(buyer: 4, seller: 3, 0, price: 1_000 * Price.scale, quantity: 300 * Quantity.scale)
    try house.mark(1_000)
    for _ in 0..<3 { try house.mark(780) }
    return house
  }

  private func of(_ kind: ReceiptKind, _ result: ClearingResult) -> [Receipt] {
    House.receipts(result).filter { $0.kind == kind }
  }

  @Test("who was closed at a bankruptcy price has what he lost by it on record")
  func record() throws {
    var house = try fallen()
    let epoch = house.machine.epochs[0]
    #expect(epoch.account == House.client(0) && epoch.number == 1 && epoch.shares == 1)
    #expect(epoch.loss.raw == House.money(150) && epoch.recovered.raw == 0)
    #expect(house.machine.shares[0].account == House.client(3))
    #expect(house.imbalances == [0, 0] && house.machine.structureFault() == nil)
    let cash = house.cash(3)
    // What the debtor brings goes to who bore his loss, and no further than that.
    house.deposit(House.client(0), House.money(100))
    let first = try house.mark(780)
    #expect(of(.recovery, first).map(\.paid.raw) == [House.money(100)])
    #expect(of(.recovery, first).map(\.code) == [ReceiptCode.ownersDebt.rawValue])
    #expect(of(.repayment, first).map(\.buyer) == [House.client(3)])
    #expect(house.cash(0) == 0 && house.cash(3) == cash + House.money(100))
    // Half of what the fund takes in.
    house.deposit(.zero, House.money(60))
    let second = try house.mark(780)
    #expect(of(.recovery, second).map(\.paid.raw) == [House.money(30)])
    #expect(house.machine.fund(.quote).insurance == House.money(30))
    house.deposit(House.client(0), House.money(100))
    let third = try house.mark(780)
    #expect(of(.repayment, third).map(\.paid.raw) == [House.money(20)])
    #expect(house.cash(0) == House.money(80) && house.cash(3) == cash + House.money(150))
    #expect(!house.machine.epochs[0].isOpen && house.machine.shareCount == 0)
    house.deposit(.zero, House.money(60))
    #expect(of(.recovery, try house.mark(780)).isEmpty)
    #expect(house.imbalances == [0, 0] && house.machine.structureFault() == nil)
  }

  @Test("nothing is kept on record where the constants do not ask for it")
  func off() throws {
    var house = try fallen { $0.lossEpochsMax = 0 }
    #expect(house.machine.epochs.count == 0 && house.machine.shares.count == 0)
    house.deposit(House.client(0), House.money(100))
    try house.mark(780)
    #expect(house.cash(0) == House.money(100))
  }

  @Test("the fund keeps its target first")
  func target() throws {
    var house = try fallen { $0.insuranceTarget = House.money(100) }
    house.deposit(.zero, House.money(90))
    #expect(of(.recovery, try house.mark(780)).isEmpty)
    house.deposit(.zero, House.money(30))
    // 120 in the fund: 20 beyond the target, of which half.
    #expect(of(.recovery, try house.mark(780)).map(\.paid.raw) == [House.money(10)])
    #expect(house.machine.fund(.quote).insurance == House.money(110))
  }

  @Test("where there is no room the oldest closes, paid what it is due; the dust is the fund's")
  func oldest() throws {
    var house = try fallen { $0.lossEpochsMax = 1 }
    // Two more who bore a part each, by hand; then a recovery that does not divide.
    let whole = house.machine.epochs[0].loss.raw
    house.machine.shares[0].loss = Money(raw: whole / 3)
    house.machine.shares.append(.empty)
    house.machine.shares[1] = ShareRecord(
      epoch: 1, account: House.client(2), loss: Money(raw: whole - whole / 3))
    house.machine.epochs[0].shares = 2
    house.machine.rebuildDerived()
    house.deposit(House.client(0), 100)
    let repaid = of(.repayment, try house.mark(780)).map(\.paid.raw)
    #expect(repaid == [33, 66])
    #expect(house.imbalances == [0, 0] && house.machine.structureFault() == nil)
    // Another falls: a short, as the index rises.
    house.fill(buyer: 1, seller: 5, 0, price: 780 * Price.scale, quantity: 500 * Quantity.scale)
    try house.mark(780)
    let before = house.machine.fund(.quote).insurance
    var closed: [Receipt] = []
    for _ in 0..<4 {
      closed += of(.recovery, try house.mark(1_000)).filter {
        $0.code == ReceiptCode.epochClosed.rawValue
      }
      #expect(house.imbalances == [0, 0] && house.machine.structureFault() == nil)
    }
    #expect(closed.map(\.id) == [1] && closed.map(\.paid.raw) == [1])
    #expect(closed.map(\.received.raw) == [100] && closed.map(\.buyerFee.raw) == [whole])
    #expect(house.machine.epochs[0].account == House.client(5) && before == 0)
  }

  @Test("so many shares a batch are repaid, the rest in the next; a recovery begins the round anew")
  func round() throws {
    var house = try fallen()
    let count = Limits.repaymentsPerBatchMax + 476
    house.machine.epochs[0].loss = Money(raw: Int64(count) * 1_000)
    house.machine.epochs[0].shares = UInt32(count)
    house.machine.shares.reserve(through: count - 1)
    for place in 0..<count {
      house.machine.shares[place] = ShareRecord(
        epoch: 1, account: House.client(2 + place % 3), loss: Money(raw: 1_000))
    }
    house.machine.rebuildDerived()
    #expect(house.machine.structureFault() == nil)
    house.deposit(House.client(0), Int64(count) * 500)
    #expect(of(.repayment, try house.mark(780)).count == Limits.repaymentsPerBatchMax)
    #expect(house.machine.status[0].repayFrom == Limits.repaymentsPerBatchMax)
    #expect(house.machine.status[0].repayLeft == 476)
    #expect(house.imbalances == [0, 0] && house.machine.structureFault() == nil)
    // More comes while some still wait: they get both at once.
    house.deposit(House.client(0), Int64(count) * 250)
    let next = of(.repayment, try house.mark(780))
    #expect(next.count == Limits.repaymentsPerBatchMax)
    #expect(next.prefix(476).allSatisfy { $0.paid.raw == 750 })
    #expect(next.dropFirst(476).allSatisfy { $0.paid.raw == 250 })
    #expect(of(.repayment, try house.mark(780)).count == 476)
    #expect(of(.repayment, try house.mark(780)).isEmpty)
    #expect(house.machine.status[0].repayLeft == 0 && house.machine.shareCount == count)
    house.deposit(House.client(0), Int64(count) * 1_000)
    for _ in 0..<2 { try house.mark(780) }
    #expect(house.machine.shareCount == 0 && !house.machine.epochs[0].isOpen)
    #expect(house.cash(0) == Int64(count) * 750)
    #expect(house.imbalances == [0, 0] && house.machine.structureFault() == nil)
  }

  @Test("an epoch whose shares do not add up is not loaded")
  func structure() throws {
    var house = try fallen()
    house.machine.epochs[0].repaid = Money(raw: 1)
    house.machine.epochs[0].recovered = Money(raw: 2)
    #expect(house.machine.structureFault() == "shares of epoch 0")
    house.machine.epochs[0].repaid = .zero
    house.machine.epochs[0].recovered = .zero
    house.machine.shares[0].repaid = Money(raw: 1)
    #expect(house.machine.structureFault() == "share 0")
    house.machine.shares[0].repaid = .zero
    house.machine.epochs[0].number = 2
    #expect(house.machine.structureFault() == "epoch 0")
  }
}
