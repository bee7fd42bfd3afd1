import Primitives
import Testing

@testable import Risk

@Suite("Loss epochs") struct LossTests {
  @Test(
    "parts sum to the whole, within one unit of their share, none beyond its weight",
    arguments: 1...3)
  func apportionment(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<2_000 {
      let weights = (0..<1 + generator.below(9)).map { _ in
        generator.chance(20) ? 0 : generator.within(0...1_000_000_000_000_000)
      }
      let all = weights.reduce(0, +)
      let total = all == 0 ? 0 : generator.within(0...all)
      let parts = try Apportionment.parts(of: total, by: weights)
      #expect(parts.reduce(0, +) == total, "seed \(seed)")
      for (part, weight) in zip(parts, weights) {
        let error = Int128(part) * Int128(all) - Int128(total) * Int128(weight)
        #expect(part <= weight && (all == 0 || error.magnitude < all.magnitude), "seed \(seed)")
      }
    }
  }

  @Test("a loss is borne by gain, and what comes back goes to those who bore it")
  func worked() throws {
    var epochs = LossEpochs()
    let gain = { LossEpochs.Gain(account: AccountID($0), amount: money($1)) }
    let first = try epochs.spread(money(100), over: [gain(1, 300), gain(2, 100)])
    #expect(first.parts == [gain(1, 75), gain(2, 25)] && first.uncovered == .zero)
    // Account 3 comes later and bears a part of another loss, more than there are gains.
    let second = try epochs.spread(money(50), over: [gain(2, 10), gain(3, 30)])
    #expect(second.parts == [gain(2, 10), gain(3, 30)] && second.uncovered == money(10))
    // 60 come back of the first: three quarters to 1, one quarter to 2, nothing to 3.
    #expect(try epochs.recover(money(60), of: first.epoch) == .zero)
    #expect(try epochs.repay(AccountID(3)) == .zero)
    #expect(try epochs.repay(AccountID(1)) == money(45))
    #expect(try epochs.repay(AccountID(1)) == .zero)
    // Anonymous money heals the oldest first; beyond all losses it is the fund's.
    #expect(try epochs.recover(money(100), of: nil) == money(20))
    #expect(try epochs.repay(AccountID(1)) == money(30))
    #expect(try epochs.repay(AccountID(2)) == money(35))
    #expect(try epochs.repay(AccountID(3)) == money(30))
    #expect(epochs.held == .zero && epochs.open.isEmpty)
    #expect(try epochs.recover(money(5), of: first.epoch) == money(5), "closed epochs take nothing")
  }

  @Test("nothing is made or lost, whatever the order and count of touches", arguments: 1...4)
  func conservation(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<60 {
      var often = LossEpochs()
      var once = LossEpochs()
      var borne = [Int64](repeating: 0, count: 6)
      var back = borne
      var (recovered, returned): (Int64, Int64) = (0, 0)
      for _ in 0..<40 {
        if generator.chance(30) {
          let gains = (0..<6).filter { _ in generator.chance(60) }.map {
            LossEpochs.Gain(
              account: AccountID(UInt32($0)), amount: Money(raw: generator.within(0...1_000)))
          }
          let loss = Money(raw: generator.within(0...4_000))
          let levy = try often.spread(loss, over: gains)
          let same = try once.spread(loss, over: gains)
          #expect(levy == same)
          for part in levy.parts { borne[part.account.index] += part.amount.raw }
          #expect(levy.parts.reduce(0) { $0 + $1.amount.raw } + levy.uncovered.raw == loss.raw)
        } else {
          let amount = Money(raw: generator.within(0...700))
          let epoch = generator.chance(50) ? UInt64(generator.below(8)) : nil
          let rest = try often.recover(amount, of: epoch)
          // Money for a closed epoch is refused by both, though `once` still has it open, full.
          #expect(try once.recover(amount, of: epoch) == rest, "seed \(seed)")
          recovered += amount.raw
          returned += rest.raw
        }
        if generator.chance(70) {
          let account = generator.below(6)
          back[account] += try often.repay(AccountID(UInt32(account))).raw
        }
        #expect(often.held.raw == recovered - returned - back.reduce(0, +), "seed \(seed)")
      }
      for account in generator.shuffled(Array(0..<6)) {
        back[account] += try often.repay(AccountID(UInt32(account))).raw
      }
      for account in 0..<6 {
        #expect(try once.repay(AccountID(UInt32(account))).raw == back[account], "seed \(seed)")
        #expect(back[account] <= borne[account], "seed \(seed)")
      }
      // What all recovered and none may have yet is less than a unit for each share.
      #expect(often.held.raw < 6 * max(1, often.open.count), "seed \(seed)")
      let missing = borne.reduce(0, +) - back.reduce(0, +) - often.held.raw
      let rest = try often.recover(Money(raw: missing), of: nil)
      #expect(rest == .zero)
      for account in 0..<6 {
        back[account] += try often.repay(AccountID(UInt32(account))).raw
      }
      #expect(back == borne && often.held == .zero && often.open.isEmpty, "seed \(seed)")
    }
  }
}
