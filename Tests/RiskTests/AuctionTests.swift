import Primitives
import Testing

@testable import Risk

@Suite("Price curves of lot auctions") struct PriceCurveTests {
  /// top·(1 − t ÷ tau), field.md 2.6; top 100, tau 3600 s: seconds, price in 1e-8.
  @Test(
    "linear",
    arguments: [
      (0, 10_000_000_000), (900, 7_500_000_000), (1_800, 5_000_000_000), (3_599, 2_777_777),
      (3_600, 0), (9_999, 0),
    ])
  func linear(row: (Int64, Int64)) {
    let curve = PriceCurve.linear(tau: 3_600_000)
    #expect(curve.price(top: price(100), elapsed: row.0 * 1_000).raw == row.1)
  }

  /// top·0.99^⌊t ÷ 90⌋ of 100 (Maker's ETH-A), exact by hand: 0.99^n in decimals.
  @Test(
    "staircase",
    arguments: [
      (0, 10_000_000_000), (89, 10_000_000_000), (90, 9_900_000_000), (180, 9_801_000_000),
      (270, 9_702_990_000), (450, 9_509_900_499), (8_400, 3_927_110_283),
    ])
  func staircase(row: (Int64, Int64)) {
    let curve = PriceCurve.staircase(cut: Ratio(raw: 990_000_000), step: 90_000)
    #expect(curve.price(top: price(100), elapsed: row.0 * 1_000).raw == row.1)
  }

  /// top·cut^t with cut = 0.9999 a second, of 100.
  @Test(
    "exponential",
    arguments: [
      (0, 10_000_000_000), (1, 9_999_000_000), (2, 9_998_000_100), (3, 9_997_000_299),
      (1_000, 9_048_328_935), (6_931, 5_000_062_616),
    ])
  func exponential(row: (Int64, Int64)) {
    let curve = PriceCurve.exponential(cut: Ratio(raw: 999_900_000))
    #expect(curve.price(top: price(100), elapsed: row.0 * 1_000 + 999).raw == row.1)
  }

  @Test("prices never rise, and never pass the exact one", arguments: 1...3)
  func falling(seed: Int) {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<300 {
      let top = Price(raw: generator.within(0...(.max - 1)))
      let cut = Ratio(raw: generator.within(0...Ratio.scale))
      let curves = [
        PriceCurve.linear(tau: generator.within(1...10_000_000)), .exponential(cut: cut),
        .staircase(cut: cut, step: generator.within(1...1_000_000)),
      ]
      for curve in curves {
        var last = top
        var time: Int64 = 0
        for _ in 0..<20 {
          let price = curve.price(top: top, elapsed: time)
          #expect(price <= last && price.raw >= 0, "seed \(seed): \(curve) at \(time)")
          last = price
          time += generator.within(0...100_000)
        }
      }
      // Up to the fourth power exactly, in 36 decimals.
      let c = Int128(cut.raw)
      let square = c * c
      let exact = [1_000_000_000_000_000_000, c * 1_000_000_000, square]
      for (count, value) in exact.enumerated() {
        #expect(PriceCurve.power(cut, Int64(count)) == value, "seed \(seed)")
      }
      let fourth = square * square / 1_000_000_000_000_000_000
      let error = fourth - PriceCurve.power(cut, 4)
      #expect(error >= 0 && error < 16, "seed \(seed)")
    }
  }
}

@Suite("Lots under the hammer") struct LotAuctionTests {
  let terms = LotAuction.Terms(
    curve: .staircase(cut: percent(99), step: 90_000), markup: percent(130), tail: 8_400_000,
    cusp: percent(40), debtMin: money(100), tip: money(3), chip: Ratio(raw: 1_000_000))

  func auction() throws -> LotAuction {
    try LotAuction(
      debt: money(1_000), lot: contracts(20), oracle: price(100), terms: terms,
      at: Timestamp(raw: 0))
  }

  @Test("top is oracle × markup, the reward tip + chip × debt")
  func start() throws {
    let auction = try auction()
    #expect(auction.top == price(130))
    #expect(try auction.reward(oracle: price(100), terms) == money(4))
    #expect(try auction.reward(oracle: price(4), terms) == .zero, "the lot is dust")
  }

  @Test("it is over by tail or by cusp, and then only restarts")
  func over() throws {
    var auction = try auction()
    // 0.99^91 = 0.4006 ≥ 0.40 > 0.99^92 = 0.3966, at 8 280 s; the tail is at 8 400 s.
    #expect(!auction.isOver(terms, at: Timestamp(raw: 8_279_999)))
    #expect(auction.isOver(terms, at: Timestamp(raw: 8_280_000)))
    #expect(
      try auction.take(contracts(1), worst: price(900), terms, at: Timestamp(raw: 8_280_000)) == nil
    )
    let early = try auction.restart(oracle: price(50), terms, at: Timestamp(raw: 8_279_999))
    #expect(!early)
    let late = try auction.restart(oracle: price(50), terms, at: Timestamp(raw: 8_280_000))
    #expect(late && auction.top == price(65) && auction.start.raw == 8_280_000)
    #expect(!auction.isOver(terms, at: Timestamp(raw: 8_280_000)))
  }

  @Test("a sale stops at the debt, and leaves none or at least the minimum")
  func take() throws {
    var auction = try auction()
    let now = Timestamp(raw: 0)
    #expect(try auction.take(contracts(1), worst: price(129), terms, at: now) == nil)
    // 7 × 130 = 910 would leave 90 < 100: 900 ÷ 130 = 6.92307692 are sold.
    let first = try #require(try auction.take(contracts(7), worst: price(130), terms, at: now))
    #expect(first.quantity == Quantity(raw: 692_307_692))
    #expect(first.raised == Money(raw: 899_999_999) && first.paid == Money(raw: 900_000_000))
    #expect(auction.debt == Money(raw: 100_000_001))
    let rest = try #require(try auction.take(contracts(9), worst: price(130), terms, at: now))
    #expect(rest.raised == Money(raw: 100_000_001) && auction.debt == .zero)
    #expect(rest.paid.raw - rest.raised.raw <= 2)
    #expect(try auction.take(contracts(1), worst: price(130), terms, at: now) == nil)
  }
}

@Suite("Portfolio auction") struct PortfolioAuctionTests {
  let terms = PortfolioAuction.Terms.reference

  /// 0.95 → 0.70 in 15 minutes, → 0 in 12 hours (field.md 2.5): seconds, 1e-9.
  @Test(
    "the discount falls fast, then slowly",
    arguments: [
      (0, 950_000_000), (450, 825_000_000), (899, 700_277_777), (900, 700_000_000),
      (22_500, 350_000_000), (44_099, 16_203), (44_100, 0), (99_999, 0),
    ])
  func discount(row: (Int64, Int64)) {
    let found = PortfolioAuction.discount(terms, elapsed: row.0 * 1_000)
    #expect(found.raw == row.1)
  }

  @Test("phases begin and end where the rule says")
  func phases() throws {
    func phase(_ marked: Int64, _ net: Int64, _ reserved: Int64, _ elapsed: Int64) throws
      -> PortfolioAuction.Phase
    {
      try PortfolioAuction.Figures(
        marked: money(marked), net: money(net), reserved: money(reserved)
      ).phase(terms, elapsed: elapsed)
    }
    #expect(try phase(100, -20, 0, 899_999) == .fast)
    #expect(try phase(100, -20, 0, 900_000) == .slow)
    #expect(try phase(-1, -20, 0, 0) == .insolvent)
    #expect(try phase(100, -20, 100, 0) == .over)
    // BM = MM + 0.15 (MM − MtM): at MM 15 of MtM 115 it is 0, at 14 it is not.
    #expect(try phase(115, 15, 0, 0) == .over)
    #expect(try phase(115, 14, 0, 0) == .fast)
  }

  @Test("the worked case: half an account sold brings its buffer to nothing")
  func worked() throws {
    // BM = −20 + 0.15·(−20 − 100) = −38; at 0.95: 38 ÷ (38 + 95) = 0.285714286 (2 ÷ 7, up).
    let figures = PortfolioAuction.Figures(marked: money(100), net: money(-20), reserved: .zero)
    #expect(try figures.buffered(terms) == money(-38))
    let discount = PortfolioAuction.discount(terms, elapsed: 0)
    let fraction = try PortfolioAuction.fractionMax(figures, discount: discount, terms)
    #expect(fraction.raw == 285_714_286)
    let cost = try PortfolioAuction.cost(figures, discount: discount, fraction: fraction)
    #expect(cost.paid == Money(raw: 27_142_858) && cost.received == Money(raw: 27_142_857))
    let cash = try PortfolioAuction.cashNeeded(figures, paid: cost.paid, fraction: fraction, terms)
    #expect(cash.raw == 27_142_858 + 10_857_143, "price + 38 × fraction")
    var charged = terms
    charged.fee = percent(1)
    // 38 ÷ 138 × 100 × 1 %
    #expect(try PortfolioAuction.startFee(figures, charged) == Money(raw: 275_363))
    charged.cutoff = money(101)
    #expect(try PortfolioAuction.fractionMax(figures, discount: discount, charged) == .one)
  }

  @Test("an insolvent portfolio pays from −MtM to −MM, above the debt no more than the cap")
  func insolvent() throws {
    let figures = PortfolioAuction.Figures(marked: money(-40), net: money(-100), reserved: .zero)
    for (minutes, whole) in [(0, 40), (30, 70), (60, 100), (90, 100)] as [(Int64, Int64)] {
      let payout = try PortfolioAuction.payout(figures, elapsed: minutes * 60_000, terms)
      #expect(payout == money(whole))
    }
    let half = percent(50)
    let free = try PortfolioAuction.insolventCost(
      figures, elapsed: 1_800_000, fraction: half, aboveMax: money(1_000), terms)
    #expect(free.paid == money(-35) && free.fund == money(35) && free.received == .zero)
    let capped = try PortfolioAuction.insolventCost(
      figures, elapsed: 1_800_000, fraction: half, aboveMax: money(4), terms)
    #expect(capped.fund == money(24))
  }

  @Test(
    "selling the fraction brings the buffer to nothing or above, a unit less does not",
    arguments: 1...5)
  func closes(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<4_000 {
      let marked = generator.within(1...1_000_000_000_000)
      let reserved = generator.chance(50) ? 0 : generator.within(0...marked)
      let net = generator.within(-1_000_000_000_000...min(marked, 1_000_000) / 8)
      let figures = PortfolioAuction.Figures(
        marked: Money(raw: marked), net: Money(raw: net), reserved: Money(raw: reserved))
      let discount = PortfolioAuction.discount(terms, elapsed: generator.within(0...45_000_000))
      let f = Int128(try PortfolioAuction.fractionMax(figures, discount: discount, terms).raw)
      let b = Int128(try figures.buffered(terms).raw)
      // (1 − f)(BM − R) + R + f·d·(MtM − R), times 1e18.
      func after(_ f: Int128) -> Int128 {
        let scale = Int128(Ratio.scale)
        return (scale - f) * (b - Int128(reserved)) * scale + Int128(reserved) * scale * scale
          + f * Int128(discount.raw) * Int128(marked - reserved)
      }
      if b >= 0 {
        #expect(f == 0, "seed \(seed)")
      } else if f < Int128(Ratio.scale) {
        #expect(after(f) >= 0 && after(f - 1) < 0, "seed \(seed)")
      } else {
        #expect(after(f - 1) < 0, "seed \(seed)")
      }
    }
  }
}

@Suite("Bids and caps") struct BidTests {
  func bid(
    _ account: UInt32, group: UInt32? = nil, _ wanted: Int64, worst: Int64 = 100, net: Int64 = 1
  ) -> AuctionBid {
    AuctionBid(
      account: AccountID(account), group: group ?? account, wanted: wanted, worst: money(worst),
      netAfter: money(net))
  }

  @Test("the owner's group, the unwilling, the weak and the second are refused")
  func refusals() throws {
    let outcomes = try BatchClearing.outcomes(
      of: [
        bid(1, group: 9, 5), bid(2, 5, worst: 79), bid(3, 5, net: -1), bid(4, 0), bid(5, 5),
        bid(5, 6), bid(6, 5, worst: 80, net: 0),
      ], available: 100, price: money(80), owner: 9)
    #expect(
      outcomes == [
        .refused(.ownGroup), .refused(.price), .refused(.margin), .refused(.empty), .filled(5),
        .refused(.repeated), .filled(5),
      ])
  }

  @Test("pro rata, and what the floors leave goes by account")
  func proRata() throws {
    let outcomes = try BatchClearing.outcomes(
      of: [bid(7, 10), bid(3, 10), bid(5, 10)], available: 20, price: money(1), owner: 0)
    // 20 × 10 ÷ 30 = 6 each, 2 left for accounts 3 and 5.
    #expect(outcomes == [.filled(6), .filled(7), .filled(7)])
  }

  @Test("all is sold or all wanted is given, whatever the order of arrival", arguments: 1...4)
  func order(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<500 {
      var bids: [AuctionBid] = []
      for account in 0..<UInt32(1 + generator.below(8)) {
        bids.append(
          bid(
            account, group: UInt32(generator.below(4)), generator.within(0...1_000_000_000),
            worst: generator.within(0...100), net: generator.within(-1...3)))
      }
      let available = generator.within(0...Ratio.scale)
      let outcomes = try BatchClearing.outcomes(
        of: bids, available: available, price: money(50), owner: 0)
      let mixed = generator.shuffled(Array(bids.indices))
      let again = try BatchClearing.outcomes(
        of: mixed.map { bids[$0] }, available: available, price: money(50), owner: 0)
      #expect(mixed.map { outcomes[$0] } == again, "seed \(seed)")
      var (sold, wanted): (Int64, Int64) = (0, 0)
      for (bid, outcome) in zip(bids, outcomes) {
        guard case .filled(let part) = outcome else { continue }
        #expect(bid.group != 0 && part >= 0 && part <= bid.wanted, "seed \(seed)")
        sold += part
        wanted += bid.wanted
      }
      #expect(sold == min(available, wanted), "seed \(seed)")
    }
  }

  @Test("no more than the caps is ever under auction, and nothing is lost", arguments: 1...3)
  func caps(seed: Int) {
    var generator = Generator(seed: UInt64(seed))
    var caps = AuctionCaps(
      totalMax: money(1_000), marketMax: [money(700), money(500), money(50)])
    var held = [Int64](repeating: 0, count: 3)
    for _ in 0..<5_000 {
      let place = generator.below(3)
      if generator.chance(60) {
        let wanted = Money(raw: generator.within(0...400 * Money.scale))
        let least = money(generator.within(0...20))
        let part = caps.admit(wanted, to: place, least: least)
        let rest = wanted.raw - part.raw
        #expect(part.raw == 0 || part >= least || part == wanted, "seed \(seed)")
        #expect(part.raw == 0 || rest == 0 || rest >= least.raw, "seed \(seed)")
        held[place] += part.raw
      } else {
        let part = generator.within(0...held[place])
        caps.release(Money(raw: part), from: place)
        held[place] -= part
      }
      #expect(caps.market.map(\.raw) == held && caps.total.raw == held.reduce(0, +))
      #expect(caps.total <= caps.totalMax && zip(caps.market, caps.marketMax).allSatisfy(<=))
    }
  }

  @Test("payouts above the debt end for the day")
  func payouts() throws {
    var cap = PayoutCap(dailyMax: money(100))
    let day = Timestamp(raw: 1_700_000_000_000)
    func room(_ hours: Int64) throws -> Money {
      try cap.room(
        Timestamp(raw: day.raw + hours * 3_600_000), notional: money(2_000), share: percent(4))
    }
    #expect(try room(0) == money(80), "4 % of notional")
    try cap.pay(money(80), at: day)
    #expect(try room(23) == money(20))
    try cap.pay(money(20), at: Timestamp(raw: day.raw + 1))
    #expect(try room(23) == .zero)
    #expect(try room(24) == money(80))
  }
}
