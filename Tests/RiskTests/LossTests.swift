import Primitives
import Testing

@testable import Risk

@Suite("Loss epochs") struct LossTests {
  @Test("what comes back goes to those who bore the loss, in proportion")
  func worked() {
    var epoch = LossEpoch(loss: money(100))
    #expect(epoch.recover(money(60)) == money(60) && epoch.held == money(60))
    #expect(epoch.repay(money(75), paid: .zero) == money(45))
    #expect(epoch.repay(money(75), paid: money(45)) == .zero)
    #expect(epoch.recover(money(100)) == money(40), "no more than was lost")
    #expect(epoch.repay(money(25), paid: .zero) == money(25))
    #expect(epoch.repay(money(75), paid: money(45)) == money(30))
    #expect(epoch.held == .zero && epoch.owed == .zero && epoch.repaid == money(100))
    #expect(epoch.recover(money(5)) == .zero)
  }

  @Test(
    "nothing is made or lost, whatever the order and count of recoveries and payments",
    arguments: 1...4)
  func conservation(seed: Int) {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<200 {
      let losses = (0..<1 + generator.below(8)).map { _ in generator.within(1...1_000_000_007) }
      let whole = Money(raw: losses.reduce(0, +))
      var often = LossEpoch(loss: whole)
      var once = often
      var back = [Int64](repeating: 0, count: losses.count)
      func pay(_ place: Int, _ epoch: inout LossEpoch, _ back: inout [Int64]) {
        back[place] +=
          epoch.repay(Money(raw: losses[place]), paid: Money(raw: back[place])).raw
      }
      var taken: Int64 = 0
      for _ in 0..<generator.below(30) {
        if generator.chance(40) {
          let amount = Money(raw: generator.within(0...whole.raw / 6))
          let part = often.recover(amount)
          #expect(once.recover(amount) == part && part <= amount)
          taken += part.raw
        } else {
          pay(generator.below(losses.count), &often, &back)
        }
        #expect(often.held.raw == taken - back.reduce(0, +), "seed \(seed)")
      }
      for place in generator.shuffled(Array(losses.indices)) { pay(place, &often, &back) }
      var other = [Int64](repeating: 0, count: losses.count)
      for place in losses.indices { pay(place, &once, &other) }
      #expect(back == other && often == once, "seed \(seed)")
      #expect(zip(back, losses).allSatisfy { $0 <= $1 })
      // Less than a unit for each share is held for nobody yet.
      #expect(often.held.raw >= 0 && often.held.raw < losses.count, "seed \(seed)")
      _ = often.recover(often.owed)
      for place in losses.indices { pay(place, &often, &back) }
      #expect(back == losses && often.held == .zero, "seed \(seed)")
    }
  }
}
