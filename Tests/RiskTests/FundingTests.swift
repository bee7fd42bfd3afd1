import Primitives
import Testing

@testable import Risk

@Suite("Funding, interest and fees") struct FundingTests {
  @Test("a long of 2 pays 0.01 % of 50 000 a period")
  func worked() throws {
    var index = CumulativeIndex.funding
    var long = IndexedHolding(at: index)
    var short = IndexedHolding(at: index)
    try index.grow(
      rate: Ratio(raw: 100_000), price: price(50_000), elapsed: CumulativeIndex.fundingPeriod)
    #expect(index.value == 5_000_000_000_000_000_000, "5 a contract")
    #expect(try long.touch(contracts(2), index) == money(10))
    #expect(try short.touch(contracts(-2), index) == money(-10))
    #expect(try long.touch(contracts(2), index) == .zero)
  }

  @Test("steps of any length come to the same index", arguments: 1...3)
  func steps(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<300 {
      let rate = Ratio(raw: generator.within(-4_000_000...4_000_000))
      let at = Price(raw: generator.within(1...1_000_000_000_000_000))
      let all = generator.within(1...100_000_000)
      var (once, often, debt, debts) = (
        CumulativeIndex.funding, CumulativeIndex.funding, CumulativeIndex.interest,
        CumulativeIndex.interest
      )
      try once.grow(rate: rate, price: at, elapsed: all)
      try debt.grow(rate: rate, elapsed: all)
      var left = all
      while left > 0 {
        let step = min(left, generator.within(1...all / 3 + 1))
        try often.grow(rate: rate, price: at, elapsed: step)
        try debts.grow(rate: rate, elapsed: step)
        left -= step
      }
      #expect(once == often && debt == debts, "seed \(seed)")
      let exact = Int128(rate.raw) * Int128(at.raw) * Int128(all)
      #expect(once.value == exact.divided(by: 2_880_000, rounding: .down), "seed \(seed)")
    }
  }

  @Test(
    "neither order nor count of touches matters, and dust makes the sum nothing", arguments: 1...5)
  func touches(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    let count = 7
    var index = CumulativeIndex.funding
    var quantities = [Int64](repeating: 0, count: count)
    var lazy = quantities.map { _ in IndexedHolding(at: index) }
    var eager = lazy
    var (lazyCash, eagerCash) = (quantities, quantities)
    var (dust, changes): (Int64, Int64) = (0, 0)
    func pay(_ who: Int, isEager: Bool) throws {
      let quantity = Quantity(raw: quantities[who])
      if isEager {
        eagerCash[who] -= try eager[who].touch(quantity, index).raw
      } else {
        let due = try lazy[who].touch(quantity, index).raw
        lazyCash[who] -= due
        dust += due
      }
    }
    for _ in 0..<2_000 {
      try index.grow(
        rate: Ratio(raw: generator.within(-4_000_000...4_000_000)),
        price: Price(raw: generator.within(1...10_000_000_000_000)),
        elapsed: generator.within(0...60_000))
      for _ in 0..<generator.below(6) { try pay(generator.below(count), isEager: true) }
      if generator.chance(10) {
        let (buyer, seller) = (generator.below(count), generator.below(count))
        guard buyer != seller else { continue }
        let size = generator.within(1...500_000_000)
        for who in generator.shuffled([buyer, seller]) {
          try pay(who, isEager: true)
          try pay(who, isEager: false)
          quantities[who] += who == buyer ? size : -size
          lazy[who].restart(at: index)
          eager[who].restart(at: index)
          changes += 1
        }
      }
    }
    for who in generator.shuffled(Array(0..<count)) {
      try pay(who, isEager: true)
      try pay(who, isEager: false)
    }
    #expect(lazyCash == eagerCash, "seed \(seed)")
    #expect(quantities.reduce(0, +) == 0)
    #expect(lazyCash.reduce(0, +) + dust == 0)
    // The house never pays for rounding, and takes less than a unit a settlement.
    #expect(dust >= 0 && dust < changes + Int64(count), "seed \(seed): \(dust) of \(changes)")
  }

  @Test("interest runs on the debt as it stood, rounded up")
  func interest() throws {
    var index = CumulativeIndex.interest
    var debt = IndexedHolding(at: index)
    try index.grow(rate: percent(10), elapsed: Timestamp.millisecondsPerYear / 2)
    #expect(try debt.touch(debt: money(1_000), index) == money(50))
    try index.grow(rate: percent(10), elapsed: Timestamp.millisecondsPerYear / 2)
    #expect(try debt.touch(debt: money(1_000), index) == money(50), "touching does not compound")
    debt.restart(at: index)
    try index.grow(rate: percent(10), elapsed: 1)
    #expect(try debt.touch(debt: money(1_100), index) == Money(raw: 1))
    // Derive's kink.
    let rate = {
      RunningRate.interest(
        base: percent(2), slope: percent(8), kink: percent(85), steep: percent(90), use: percent($0)
      )
    }
    #expect(rate(0) == percent(2) && rate(50) == percent(6))
    #expect(rate(85).raw == 88_000_000 && rate(95).raw == 178_000_000 && rate(400) == rate(100))
  }

  @Test("premium and rate by hand")
  func premium() {
    let premium = { (bid: Int64?, ask: Int64?) in
      RunningRate.premium(bid: bid.map(price), ask: ask.map(price), index: price(1_000))
    }
    #expect(premium(1_010, 1_020) == percent(1))
    #expect(premium(980, 990) == percent(-1))
    #expect(premium(990, 1_010) == .zero)
    #expect(premium(nil, 990) == .zero)
    #expect(premium(1_010, nil) == .zero)
    // The same as publishers say it: the index held between the two.
    #expect(RunningRate.premium(impact: price(1_010), index: price(1_000)) == percent(1))
    #expect(RunningRate.premium(impact: price(990), index: price(1_000)) == percent(-1))
    #expect(
      RunningRate.premium(impact: Price(raw: .max), index: Price(raw: 1)).raw == .max, "held")
    let flat = [Ratio](repeating: percent(1), count: 29)
    #expect(RunningRate.funding(of: flat, trim: 10, cap: percent(2)) == .zero, "one too few")
    #expect(RunningRate.funding(of: flat + [percent(1)], trim: 10, cap: percent(2)) == percent(1))
    // Three liars of thirty are trimmed.
    let spoofed =
      [Ratio](repeating: percent(1), count: 27) + [Ratio](repeating: percent(90), count: 3)
    #expect(RunningRate.funding(of: spoofed, trim: 10, cap: percent(2)) == percent(1))
    #expect(RunningRate.funding(of: spoofed, trim: 0, cap: percent(2)) == percent(2))
  }

  @Test("a schedule in which washing pays is refused, and in others it loses", arguments: 1...4)
  func fees(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var (made, refused) = (0, 0)
    for _ in 0..<400 {
      var volume: Int64 = 0
      var tiers: [FeeSchedule.Tier] = []
      for _ in 0..<1 + generator.below(4) {
        tiers.append(
          .init(
            volume: Money(raw: volume), maker: Ratio(raw: generator.within(-400_000...300_000)),
            taker: Ratio(raw: generator.within(100_000...800_000))))
        volume += generator.within(1...1_000_000)
      }
      let referral = Ratio(raw: generator.within(0...100_000))
      let pays = tiers.contains { a in
        tiers.contains { b in max(0, -a.maker.raw) + referral.raw >= b.taker.raw }
      }
      guard let schedule = try? FeeSchedule(tiers: tiers, referral: referral) else {
        #expect(pays, "seed \(seed): \(tiers)")
        refused += 1
        continue
      }
      #expect(!pays, "seed \(seed): \(tiers)")
      made += 1
      for _ in 0..<20 {
        let maker = schedule.tier(Money(raw: generator.within(0...volume)))
        let taker = schedule.tier(Money(raw: generator.within(0...volume)))
        let notional = Notional(raw: Int128(generator.within(1...(.max - 1))) * 1_000)
        let given = try schedule.referralShare(notional).raw
        let cost =
          try FeeSchedule.fee(notional, rate: maker.maker).raw
          + FeeSchedule.fee(notional, rate: taker.taker).raw - given
        #expect(cost > 0, "seed \(seed): washing gave \(-cost)")
      }
    }
    #expect(made > 50 && refused > 50, "seed \(seed): \(made) made, \(refused) refused")
    #expect(throws: FeeSchedule.Fault.volumes(tier: 0)) {
      try FeeSchedule(tiers: [], referral: .zero)
    }
  }
}
