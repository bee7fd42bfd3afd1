import Primitives
import Testing

@testable import Risk

@Suite("Collateral") struct CollateralTests {
  let rule = CollateralRule(
    unit: 100_000_000, haircut: percent(10), initialHaircut: percent(5),
    capStart: Amount(raw: 1_000), capEnd: Amount(raw: 11_000), listed: Timestamp(raw: 50),
    ageing: 1_000, confidenceMin: percent(60), doubt: percent(50), isIssuedHere: false)

  @Test(
    "the cap grows with age",
    arguments: [
      (0, 1_000), (50, 1_000), (51, 1_010), (550, 6_000), (1_050, 11_000), (9_999, 11_000),
    ])
  func cap(row: (Int64, Int64)) {
    #expect(rule.cap(at: Timestamp(raw: row.0)).raw == row.1)
    #expect(
      rule.room(posted: Amount(raw: 6_001), at: Timestamp(raw: row.0)).raw == max(0, row.1 - 6_001))
  }

  @Test("haircuts, and a charge for doubt on initial margin alone")
  func value() throws {
    // Half a unit at 200: 100; 90 and 85 after haircuts; (0.6 − 0.4) × 0.5 × 100 = 10 for doubt.
    let half = Amount(raw: 50_000_000)
    let sure = try rule.value(half, price: price(200), confidence: .one)
    #expect(sure.marked == money(100) && sure.maintenance == money(90) && sure.initial == money(85))
    let doubtful = try rule.value(half, price: price(200), confidence: percent(40))
    #expect(doubtful.maintenance == money(90) && doubtful.initial == money(75))
    var own = rule
    own.isIssuedHere = true
    #expect(try own.value(half, price: price(200), confidence: .one).marked == .zero)
    #expect(own.cap(at: Timestamp(raw: 9_999)) == .zero)
  }

  @Test("depeg raises the factor of initial margin by four for each cent under 0.99")
  func depeg() throws {
    let factor = { (stable: Int64) in
      try Depeg.factor(
        base: .one, stable: Price(raw: stable), threshold: Price(raw: 99_000_000),
        slope: Ratio(raw: 4_000_000_000)
      ).raw
    }
    #expect(try factor(100_000_000) == 1_000_000_000)
    #expect(try factor(99_000_000) == 1_000_000_000)
    #expect(try factor(95_000_000) == 1_160_000_000)
    #expect(try factor(65_000_000) == 2_360_000_000)
  }

  @Test("more is never worth less, parts never worth more than the whole", arguments: 1...3)
  func parts(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<2_000 {
      let at = Price(raw: generator.within(0...10_000_000_000_000))
      let confidence = Ratio(raw: generator.within(0...Ratio.scale))
      let (a, b) = (generator.within(0...1_000_000_000), generator.within(0...1_000_000_000))
      let first = try rule.value(Amount(raw: a), price: at, confidence: confidence)
      let second = try rule.value(Amount(raw: b), price: at, confidence: confidence)
      let both = try rule.value(Amount(raw: a + b), price: at, confidence: confidence)
      #expect(both.initial <= both.maintenance && both.maintenance <= both.marked, "seed \(seed)")
      #expect(
        both.maintenance.raw >= first.maintenance.raw + second.maintenance.raw, "seed \(seed)")
      // Splitting may gain a charge's rounding, never more than two units.
      #expect(first.initial.raw + second.initial.raw <= both.initial.raw + 2, "seed \(seed)")
    }
  }
}

@Suite("Withdrawals") struct WithdrawalTests {
  func rule(_ change: (inout WithdrawalRule) -> Void = { _ in }) -> WithdrawalRule {
    var rule = WithdrawalRule(
      cash: money(1_000), collateral: money(200),
      profits: [
        .init(amount: money(300), countedMax: money(100)),
        .init(amount: money(-50), countedMax: money(100)),
      ], requirement: money(600), reserved: money(20), accrued: money(5), fees: money(1),
      areFeedsFresh: true, isLocked: false)
    change(&rule)
    return rule
  }

  @Test("the worked case, and each clause of the rule by itself")
  func clauses() {
    // 1000 + 200 + 100 − 50 − 600 − 20 − 5 − 1 = 624.
    #expect(rule().amountMax == money(624))
    #expect(rule().refusal(of: money(624)) == nil)
    #expect(rule().refusal(of: money(624, 1)) == .margin)
    #expect(
      rule { $0.profits[0] = .init(amount: money(300), countedMax: .zero) }.amountMax == money(524))
    #expect(rule { $0.reserved = money(30) }.amountMax == money(614))
    #expect(rule { $0.accrued = money(-500) }.amountMax == money(629), "nothing for what may come")
    #expect(rule { $0.areFeedsFresh = false }.refusal(of: money(1)) == .stale)
    #expect(rule { $0.isLocked = true }.refusal(of: money(1)) == .locked)
    let rich = rule { $0.collateral = money(9_000) }
    #expect(rich.amountMax == money(980) && rich.refusal(of: money(981)) == .balance)
    #expect(WithdrawalRule.isLocked(missing: money(101), fund: money(100)))
    #expect(!WithdrawalRule.isLocked(missing: money(100), fund: money(100)))
  }

  @Test("prudent prices take the worse of doubt and average")
  func prudent() {
    func low(_ average: Int64, _ confidence: Int64) -> Price {
      PrudentPrice.low(
        spot: price(100), average: price(average), confidence: percent(confidence),
        band: percent(10))
    }
    func high(_ average: Int64, _ confidence: Int64) -> Price {
      PrudentPrice.high(
        spot: price(100), average: price(average), confidence: percent(confidence),
        band: percent(10))
    }
    #expect(low(100, 100) == price(100) && low(90, 100) == price(90) && low(110, 100) == price(100))
    #expect(low(100, 0) == price(90) && low(100, 50) == price(95))
    #expect(
      high(100, 100) == price(100) && high(110, 100) == price(110) && high(90, 50) == price(105))
  }

  @Test("depositing never lowers what may leave; claims never raise it", arguments: 1...3)
  func monotone(seed: Int) {
    var generator = Generator(seed: UInt64(seed))
    func some() -> Money { Money(raw: generator.within(-1_000...1_000)) }
    for _ in 0..<3_000 {
      let start = WithdrawalRule(
        cash: some(), collateral: Money(raw: generator.within(0...500)),
        profits: [.init(amount: some(), countedMax: Money(raw: generator.within(0...300)))],
        requirement: Money(raw: generator.within(0...900)),
        reserved: Money(raw: generator.within(0...100)), accrued: some(),
        fees: Money(raw: generator.within(0...10)), areFeedsFresh: true, isLocked: false)
      var (more, less) = (start, start)
      let step = Money(raw: generator.within(0...100))
      more.cash = Money(raw: more.cash.raw + step.raw)
      switch generator.below(4) {
      case 0: less.requirement = Money(raw: less.requirement.raw + step.raw)
      case 1: less.reserved = Money(raw: less.reserved.raw + step.raw)
      case 2: less.accrued = Money(raw: less.accrued.raw + step.raw)
      default: less.fees = Money(raw: less.fees.raw + step.raw)
      }
      #expect(
        more.amountMax >= start.amountMax && less.amountMax <= start.amountMax, "seed \(seed)")
      // What may leave, and no unit more.
      let most = start.amountMax
      if most.raw > 0 { #expect(start.refusal(of: most) == nil, "seed \(seed)") }
      #expect(start.refusal(of: Money(raw: most.raw + 1)) != nil, "seed \(seed)")
    }
  }

  @Test("no window lets out more than a burst and its share of the day", arguments: 1...4)
  func bucket(seed: Int) {
    var generator = Generator(seed: UInt64(seed))
    var limit = OutflowLimit(daily: money(864), burst: money(100), at: Timestamp(raw: 0))
    var twin = limit
    var time: Int64 = 0
    var left: [(time: Int64, net: Int64)] = []
    for _ in 0..<2_000 {
      let step = generator.within(0...100_000)
      // One refill, or many: the same, while none fills the bucket.
      for _ in 0..<4 { twin.refill(to: Timestamp(raw: time + generator.within(0...step))) }
      time += step
      limit.refill(to: Timestamp(raw: time))
      twin.refill(to: Timestamp(raw: time))
      #expect(limit == twin, "seed \(seed)")
      let out = Money(raw: generator.within(0...3 * Money.scale))
      let inflow = Money(raw: generator.within(0...Money.scale))
      let isTaken = limit.take(out: out, in: inflow)
      let isTwin = twin.take(out: out, in: inflow)
      #expect(isTaken == isTwin)
      if isTaken { left.append((time, max(0, out.raw - inflow.raw))) }
    }
    for start in stride(from: 0, to: left.count, by: 50) {
      var sum: Int64 = 0
      for entry in left[start...] {
        sum += entry.net
        let share = 864 * Money.scale * (entry.time - left[start].time) / 86_400_000
        #expect(sum <= 100 * Money.scale + share + 1, "seed \(seed)")
      }
    }
    let refused = left.count < 2_000
    #expect(refused, "seed \(seed): nothing was ever refused")
  }

  @Test("raised limits give nothing at once, lowered ones hold at once")
  func limits() {
    var limit = OutflowLimit(daily: money(10), burst: money(10), at: Timestamp(raw: 0))
    let first = limit.take(out: money(10), in: .zero)
    limit.limit(daily: money(1_000), burst: money(1_000))
    let second = limit.take(out: money(0, 1), in: .zero)
    #expect(first && !second && limit.level == .zero)
    let netted = limit.take(out: money(5), in: money(5))
    #expect(netted && limit.level == .zero)
    limit.refill(to: Timestamp(raw: 86_400_000))
    #expect(limit.level == money(1_000))
    limit.limit(daily: money(1), burst: money(3))
    #expect(limit.level == money(3))
  }
}
