import Pricing
import Primitives
import Testing

@testable import Margin

/// Whole amounts of the quote asset as `Worth`.
private func whole(_ value: Int64) -> Worth { Worth(Money(raw: value * Money.scale)) }
private func cents(_ value: Int64) -> Worth { Worth(Money(raw: value * 10_000)) }
private func price(_ value: Int64) -> Price { Price(raw: value * Price.scale) }
private func contracts(_ value: Int64) -> Quantity { Quantity(raw: value * Quantity.scale) }
private func thousandths(_ value: Int64) -> Ratio { Ratio(raw: value * 1_000_000) }

/// One underlying at 60 000, and a book in it.
private struct Case {
  var market = MarginMarket(spot: price(60_000))
  var book = MarginBook()
  var cash = Worth.zero

  /// An option without volatility, so that its value is its payoff.
  mutating func add(
    _ type: OptionType, _ strike: Int64, _ quantity: Int64, days: Int64 = 365,
    forward: Int64 = 60_000, fixed: Int64 = 0
  ) {
    let time = days * 86_400_000
    let place = market.expiries.firstIndex { $0.time == time } ?? market.expiries.count
    if place == market.expiries.count {
      var expiry = MarginExpiry(time: time, forward: price(forward - fixed))
      expiry.forwardFixed = price(fixed)
      market.expiries.append(expiry)
    }
    book.options.append(
      OptionLeg(
        expiry: place, type: type, strike: price(strike), volatility: .zero,
        quantity: contracts(quantity)))
  }

  mutating func add(collateral quantity: Int64, _ maintenance: Ratio, _ initialAdd: Ratio) {
    var collateral = MarginCollateral(price: price(60_000))
    collateral.isRiskCancelling = true
    collateral.maintenanceHaircut = maintenance
    collateral.initialHaircutAdd = initialAdd
    market.collaterals.append(collateral)
    book.collaterals.append(contracts(quantity))
  }

  func report(_ parameters: MarginParameters) throws -> MarginReport {
    var account = MarginAccount(books: [book])
    account.cash = cash
    return try MarginEngine(parameters, markets: [market]).report(account)
  }

  func report(_ method: MarginMethod) throws -> MarginReport { try report(.preset(method)) }
}

@Suite("Margin methods by hand") struct MethodTests {
  // MARK: - Presets

  @Test("derive-pmrm2 has 33 scenarios in the published order, its tails damped to one linear loss")
  func deriveScenarios() {
    let all = MarginParameters.preset(.derivePMRM2).scenarios
    #expect(all.count == 33)
    #expect(all[0].spot == thousandths(1_180) && all[0].volatility == .up)
    #expect(all[22].spot == thousandths(820) && all[22].volatility == .up)
    let inner: [Int64] = [1_135, 1_090, 1_045, 1_000, 955, 910, 865]
    for (place, spot) in inner.enumerated() {
      let three = all[(1 + 3 * place)..<(4 + 3 * place)]
      #expect(three.allSatisfy { $0.spot == thousandths(spot) && $0.kind == .regular })
      #expect(three.map(\.volatility) == [.up, .same, .down])
    }
    #expect(all[..<23].allSatisfy { $0.dampening == .one })
    let tails = all[23..<31]
    #expect(
      tails.map(\.spot.raw)
        == [340, 670, 1_500, 2_000, 3_000, 4_000, 5_000, 6_000].map {
          $0 * 1_000_000
        })
    for tail in tails {
      let shock = (tail.spot.raw - Ratio.scale).magnitude
      // d = 0.77 · 0.18 / |shock|.
      #expect(UInt64(tail.dampening.raw) * (shock / 1_000_000) == 138_600_000_000)
      #expect(tail.kind == .tail && tail.volatility == .up)
    }
    #expect(all[31...].map(\.volatility) == [.linear, .absolute])
    #expect(all[31...].allSatisfy { $0.kind == .skew && $0.spot == .one })
  }

  @Test("novate-32 shows the production grid, in its order")
  func novateScenarios() {
    let p = MarginParameters.preset(.novate32)
    #expect(p.scenarios.count == 32 && p.lambda == .zero)
    for (shown, run) in zip(p.scenarios, ScenarioSet.novate32) {
      #expect(shown.spot.raw == Ratio.scale + run.move.raw && shown.dampening == run.cover)
    }
    #expect(p.scenarios.filter { $0.kind == .tail }.count == 6)
  }

  // MARK: - derive-pmrm2

  @Test("a perpetual: 18 % scaled, the contingency beside it")
  func perpetual() throws {
    var c = Case()
    c.book.perpetual = contracts(2)
    c.book.unrealised = whole(500)
    c.cash = whole(10_000)
    var r = try c.report(.derivePMRM2)
    #expect(r.worst == .init(scenario: 22, pnl: whole(-21_600)))
    #expect(r.worstRegular == whole(-21_600) && r.worstTail == whole(-16_632))
    #expect(r.worstSkew == .zero && r.markToMarket == whole(10_500))
    // 10 500 − 0.8 · 21 600 − 3 % of 120 000; initial takes 1 % more.
    #expect(r.maintenanceMargin == whole(-10_380) && r.initialMargin == whole(-15_900))
    #expect(r.staticContingencyMaintenance == whole(-3_600))
    #expect(r.staticContingencyInitial == whole(-1_200))
    // Doubt about the price charges initial alone: (1 − 0.5) of 120 000.
    c.market.perpetualConfidence = thousandths(500)
    r = try c.report(.derivePMRM2)
    #expect(r.confidenceContingency == whole(-60_000))
    #expect(r.maintenanceMargin == whole(-10_380) && r.initialMargin == whole(-75_900))
    // At the threshold there is none.
    c.market.perpetualConfidence = thousandths(550)
    #expect(try c.report(.derivePMRM2).confidenceContingency == .zero)
  }

  @Test("collateral that moves with spot, its haircuts, and a quote asset below its peg")
  func collateral() throws {
    var c = Case()
    c.add(collateral: 1, thousandths(30), thousandths(15))
    var r = try c.report(.derivePMRM2)
    #expect(r.maintenanceMargin == whole(49_560) && r.initialMargin == whole(46_500))
    // 60 000 / 0.96 = 62 500; the factor on initial is 1 + 0.03 · 4.
    c.market.stable = Price(raw: 96_000_000)
    r = try c.report(.derivePMRM2)
    #expect(r.collateralMarkToMarket == whole(62_500))
    #expect(r.maintenanceMargin == whole(51_625) && r.initialMargin == cents(4_708_750))
  }

  @Test("an expired option is worth its payoff: less where held, itself where owed")
  func expired() throws {
    var c = Case()
    c.add(.call, 60_000, -1, days: 0, forward: 61_000, fixed: 61_000)
    var r = try c.report(.derivePMRM2)
    #expect(r.worst?.pnl == .zero && r.optionMarkToMarket == whole(-1_000))
    #expect(r.maintenanceMargin == whole(-1_180) && r.initialMargin == whole(-1_300))
    c.book.options[0].quantity = contracts(1)
    r = try c.report(.derivePMRM2)
    #expect(r.maintenanceMargin == whole(960) && r.initialMargin == whole(950))
  }

  @Test("only the part of a forward that is still open moves")
  func split() throws {
    var c = Case()
    c.add(.call, 60_000, -1, days: 0, forward: 60_000, fixed: 45_000)
    let r = try c.report(.derivePMRM2)
    // A quarter of 18 %.
    #expect(r.worstRegular == whole(-2_700))
  }

  @Test("short options are naked where no option of their strike and expiry covers them")
  func naked() throws {
    for (call, put, shorts) in [(-3, 1, 2), (-3, -2, 5), (2, -3, 1), (4, -3, 0)]
      as [(Int64, Int64, Int64)]
    {
      var c = Case()
      c.add(.call, 70_000, call, days: 0, fixed: 60_000)
      c.add(.put, 70_000, put, days: 0, fixed: 60_000)
      c.add(.call, 90_000, 9, days: 0, fixed: 60_000)
      let r = try c.report(.derivePMRM2)
      #expect(r.staticContingencyMaintenance == whole(-180 * shorts))
      #expect(r.staticContingencyInitial == whole(-120 * shorts))
    }
  }

  @Test("the forward contingency grows with time and may be the worst")
  func basis() throws {
    var c = Case()
    c.add(.call, 60_000, -1)
    var p = MarginParameters.preset(.derivePMRM2)
    p.volatilityShock.leastUp = .zero
    var r = try c.report(p)
    // 4.5 % of 60 000 by 0.5 + 2 · one year.
    #expect(r.basisContingency == whole(-6_750))
    #expect(r.worst == .init(scenario: 0, pnl: whole(-10_800)))
    p.basis.add = thousandths(10_000)
    r = try c.report(p)
    #expect(r.worst == .init(scenario: nil, pnl: whole(-32_400)))
    #expect(r.maintenanceMargin == whole(-25_920 - 180))
  }

  @Test("a box costs margin: what is held is discounted, what is owed is not")
  func box() throws {
    var c = Case()
    for (type, strike, quantity) in [
      (OptionType.call, 50_000, 1), (.call, 70_000, -1), (.put, 70_000, 1), (.put, 50_000, -1),
    ] as [(OptionType, Int64, Int64)] { c.add(type, strike, quantity, days: 0, fixed: 60_000) }
    let r = try c.report(.derivePMRM2)
    #expect(r.optionMarkToMarket == whole(20_000) && r.worst?.pnl == whole(-1_000))
  }

  // MARK: - cross

  @Test("cross: shorts by themselves or the most an expiry can lose, whichever is less")
  func cross() throws {
    struct Row {
      let legs: [(OptionType, Int64, Int64)]
      let maintenance: Int64, initial: Int64
    }
    for row in [
      Row(legs: [(.call, 60_000, -1)], maintenance: -5_400, initial: -9_000),
      // 5 % out of the money leaves 10 %, held at 13 %.
      Row(legs: [(.call, 63_000, -1)], maintenance: -5_400, initial: -7_800),
      Row(legs: [(.put, 60_000, -1)], maintenance: -5_400, initial: -9_000),
      Row(legs: [(.put, 54_000, -1)], maintenance: -5_400, initial: -7_800),
      // A mark of 10 000: 9 % of spot is more than 9 % of it; initial 1.05 · 15 400 is more than 19 000.
      Row(legs: [(.put, 70_000, -1)], maintenance: -15_400, initial: -19_000),
      // A spread can lose its width.
      Row(legs: [(.call, 60_000, -1), (.call, 61_000, 1)], maintenance: -1_000, initial: -1_000),
      Row(legs: [(.put, 60_000, -2), (.put, 59_000, 2)], maintenance: -2_000, initial: -2_000),
      // Two short calls over one long: one is unpaired, 1.1 and 1.2 forwards of it are dearer.
      Row(
        legs: [(.call, 60_000, -2), (.call, 61_000, 1)], maintenance: -10_800, initial: -18_000),
      Row(legs: [(.call, 50_000, 3)], maintenance: 0, initial: 0),
    ] {
      var c = Case()
      for (type, strike, quantity) in row.legs { c.add(type, strike, quantity) }
      let r = try c.report(.cross)
      #expect(r.maintenanceMargin == whole(row.maintenance), "\(row)")
      #expect(r.initialMargin == whole(row.initial), "\(row)")
    }
  }

  @Test("cross: perpetuals, haircuts, doubt and the peg")
  func crossCharges() throws {
    var c = Case()
    c.book.perpetual = contracts(-2)
    c.book.unrealised = whole(-100)
    c.add(collateral: 1, thousandths(200), thousandths(50))
    var r = try c.report(.cross)
    // 60 000 · 0.8 − 6.5 % of 120 000 − 100; 0.75 and 10 % for initial.
    #expect(r.maintenanceMargin == whole(40_100) && r.initialMargin == whole(32_900))
    c.market.perpetualConfidence = thousandths(400)
    r = try c.report(.cross)
    #expect(r.confidenceContingency == whole(-72_000) && r.maintenanceMargin == whole(40_100))
    c.market.perpetualConfidence = .one
    c.market.stable = Price(raw: 98_000_000)
    // 0.01 · 2 of 120 000.
    #expect(try c.report(.cross).confidenceContingency == whole(-2_400))
  }

  // MARK: - novate-32

  @Test("novate-32: scan, minimums, concentration, entry charges")
  func novate() throws {
    var c = Case()
    c.book.perpetual = contracts(1)
    c.cash = whole(20_000)
    var r = try c.report(.novate32)
    #expect(r.initialRequirement == whole(9_600) && r.maintenanceRequirement == whole(7_680))
    #expect(r.part("delta_minimum") == whole(1_200).raw)
    #expect(r.worst == .init(scenario: 0, pnl: whole(-9_600)))
    // 0.1 of doubt at a quarter of 60 000, on initial alone.
    c.market.spotConfidence = thousandths(800)
    r = try c.report(.novate32)
    #expect(r.initialRequirement == whole(11_100) && r.maintenanceRequirement == whole(7_680))
    c.market.spotConfidence = .one
    // Ten contracts of a market that trades ten a day: 9.5 · 1 % + 7.5 · 4 %.
    c.book.perpetual = contracts(10)
    c.market.perpetualVolume = contracts(10)
    r = try c.report(.novate32)
    #expect(r.part("concentration") == whole(23_700).raw)
    #expect(r.initialRequirement == whole(96_000 + 23_700))
    #expect(r.maintenanceRequirement == whole(76_800))
    // The owner has as many elsewhere: what these ten add to his total's charge is more.
    c.book.perpetualBeside = contracts(10)
    r = try c.report(.novate32)
    #expect(r.part("concentration") == whole(6_000 + 24_000 + 90_000).raw)
    // Sixty are open, six daily volumes of two to ten: half of what a contract can lose beyond the scan.
    c.book.perpetualBeside = .zero
    c.market.perpetualInterest = contracts(60)
    r = try c.report(.novate32)
    #expect(r.part("open_interest") == whole(252_000).raw)
    #expect(r.initialRequirement == whole(96_000 + 23_700 + 252_000))
    #expect(r.maintenanceRequirement == whole(76_800))
    // A short option that no scenario reaches needs the minimum.
    c = Case()
    c.add(.put, 1, -1)
    #expect(try c.report(.novate32).initialRequirement == whole(300))
  }

  @Test("novate-32: collateral loses with what it secures")
  func wrongWay() throws {
    var c = Case()
    c.add(.put, 60_000, -1)
    let alone = try c.report(.novate32)
    c.add(collateral: 1, .zero, .zero)
    let secured = try c.report(.novate32)
    #expect(alone.part("scan") == whole(9_600).raw && secured.part("scan") == whole(19_200).raw)
    // A short call over the same coin is covered.
    c.book.options[0].type = .call
    #expect(try c.report(.novate32).part("scan") == whole(9_600).raw)
  }

  @Test("λ stands between no netting across underlyings and full netting")
  func netting() throws {
    let market = MarginMarket(spot: price(60_000))
    for (lambda, need) in [(0, 19_200), (500, 10_800), (1_000, 2_400)] as [(Int64, Int64)] {
      var p = MarginParameters.preset(.novate32)
      p.lambda = thousandths(lambda)
      var account = MarginAccount(books: [MarginBook(), MarginBook()])
      account.books[0].perpetual = contracts(1)
      account.books[1].perpetual = contracts(-1)
      let r = try MarginEngine(p, markets: [market, market]).assess(account)
      // Netted, the two delta minimums remain.
      #expect(r.initialRequirement == whole(need))
    }
  }

  @Test("tilts dearer the puts where spot falls, and nothing where it stands")
  func tilts() throws {
    var c = Case()
    c.add(.put, 54_000, -1, days: 30)
    c.book.options[0].volatility = thousandths(600)
    var p = MarginParameters.preset(.novate32)
    let plain = try c.report(p)
    p.tilt.skew = thousandths(100)
    let tilted = try c.report(p)
    for (place, scenario) in p.scenarios.enumerated() {
      let (before, after) = (plain.scenarios[place], tilted.scenarios[place])
      if scenario.volatility == .same || scenario.spot == .one {
        #expect(before == after)
      } else if scenario.spot.raw < Ratio.scale {
        #expect(after < before)
      } else {
        #expect(after >= before)
      }
    }
  }

  @Test("novate-32 refuses what it has no vectors for")
  func refusals() {
    var p = MarginParameters.preset(.novate32)
    p.scenarios.append(p.scenarios[0])
    #expect(throws: MarginFailure.unsupported("novate-32 takes at most 32 scenarios")) {
      try Case().report(p)
    }
    p.scenarios = [
      MarginScenario(spot: .one, volatility: .linear, dampening: .one, kind: .skew)
    ]
    #expect(throws: MarginFailure.self) { try Case().report(p) }
    var c = Case()
    c.market.spot = .zero
    #expect(throws: MarginFailure.outsideDomain(.spot)) { try c.report(.cross) }
  }

  // MARK: - span-16

  /// McMillan, Options as a Strategic Investment, ch. 34: an S&P 500 future of 20 points' range at $500 and
  /// a December 410 call, gains of one long unit.
  static let future: [Int64] = [
    0, 0, 3_330, 3_330, -3_330, -3_330, 6_670, 6_670, -6_670, -6_670, 10_000, 10_000, -10_000,
    -10_000, 7_000, -7_000,
  ]
  static let call: [Int64] = [
    460, -610, 2_640, 1_730, -1_270, -2_340, 5_210, 4_540, -2_540, -3_430, 8_060, 7_640, -3_380,
    -3_990, 3_130, -1_500,
  ]

  @Test("the published arrays add up as published")
  func arrays() throws {
    func position(_ quantity: Int64, _ gains: [Int64]) -> Span16.ArrayPosition {
      Span16.ArrayPosition(quantity: contracts(quantity), losses: gains.map { price(-$0) })
    }
    #expect(try Span16.risk([position(1, Self.future)]).scanRisk == whole(10_000))
    #expect(try Span16.risk([position(1, Self.call)]).scanRisk == whole(3_990))
    let covered = try Span16.risk([position(1, Self.future), position(-1, Self.call)])
    #expect(covered.scanRisk == whole(6_620) && covered.losses[12] == whole(6_620))
    #expect(
      covered.losses.map { (-$0).raw }
        == [
          -460, 610, 690, 1_600, -2_060, -990, 1_460, 2_130, -4_130, -3_240, 1_940, 2_360, -6_620,
          -6_010, 3_870, -5_500,
        ].map { whole($0).raw })
    // Offsetting positions have no scan; a short option still needs its minimum, less its value.
    var short = position(-2, Self.call)
    short.optionValue = price(4_000)
    short.shortOptionCharge = price(50)
    var long = short
    long.quantity = contracts(2)
    let flat = try Span16.risk([short, long])
    #expect(flat.scanRisk == .zero && flat.shortOptionMinimum == whole(100))
    #expect(flat.netOptionValue == .zero && flat.total == whole(100))
    let sold = try Span16.risk([short])
    #expect(sold.scanRisk == whole(16_120) && sold.netOptionValue == whole(-8_000))
    #expect(sold.total == whole(24_120))
    #expect(throws: MarginFailure.outsideDomain(.riskArrays)) {
      try Span16.risk([position(1, [1, 2, 3])])
    }
  }

  @Test("a future's array is its range in CME's order of sixteen")
  func futureArray() throws {
    var p = MarginParameters.preset(.span16)
    p.span.price = price(20)
    p.span.extremeMultiple = thousandths(2_000)
    p.span.extremeCover = thousandths(350)
    var c = Case()
    c.market.spot = price(400)
    c.market.perpetualPrice = price(400)
    c.book.perpetual = contracts(500)
    let r = try c.report(p)
    for (found, published) in zip(r.scenarios, Self.future) {
      // Thirds of 10 000 are printed to ten.
      let gap = try (found - whole(published)).magnitude
      #expect(gap <= whole(5))
    }
    #expect(r.initialRequirement == whole(10_000) && r.maintenanceRequirement == whole(10_000))
    #expect(r.spanScenarios.map(\.volatility).prefix(4) == [.up, .down, .up, .down])
  }

  @Test("an option a look-ahead later, its value beside the scan")
  func spanOption() throws {
    var p = MarginParameters.preset(.span16)
    p.span.price = price(6_000)
    p.span.volatility = .zero
    p.minimum.shortOption = .zero
    var c = Case()
    c.add(.call, 60_000, -1, days: 2)
    var r = try c.report(p)
    // 6 000 up; three times as far, covered by 33 %: 5 940.
    #expect(r.part("scan_risk") == whole(6_000).raw && r.scenarios[14] == whole(-5_940))
    #expect(r.part("net_option_value") == 0 && r.part("total") == whole(6_000).raw)
    c.book.options[0].strike = price(50_000)
    r = try c.report(p)
    #expect(r.part("net_option_value") == whole(-10_000).raw)
    #expect(r.part("total") == whole(16_000).raw && r.initialMargin == whole(-16_000))
  }

  // MARK: - Liquidation price

  @Test("the liquidation price is where the maintenance margin passes zero")
  func liquidation() throws {
    var c = Case()
    c.book.perpetual = contracts(1)
    c.cash = whole(10_000)
    var r = try c.report(.novate32)
    // 10 000 + S − 60 000 = 0.8 · 16 % · S.
    let down = try #require(r.liquidation[0].down)
    #expect((down.raw - 5_733_944_954_128).magnitude < 100_000 && r.liquidation[0].up == nil)
    c.cash = whole(20_000)
    r = try c.report(.derivePMRM2)
    // (1 − 0.8 · 18 % − 3 %) · S = 40 000.
    let other = try #require(r.liquidation[0].down)
    #expect((other.raw - 4_842_615_012_106).magnitude < 100_000)
    c.book.perpetual = contracts(-1)
    r = try c.report(.cross)
    // 80 000 = 1.065 · S.
    let up = try #require(r.liquidation[0].up)
    #expect((up.raw - 7_511_737_089_201).magnitude < 100_000 && r.liquidation[0].down == nil)
    c.cash = .zero
    r = try c.report(.cross)
    #expect(r.liquidation[0] == LiquidationPrice(up: price(60_000), down: price(60_000)))
    c.book.perpetual = .zero
    #expect(try c.report(.cross).liquidation[0] == LiquidationPrice(up: nil, down: nil))
  }

  @Test("Greeks are summed by expiry")
  func greeks() throws {
    var c = Case()
    c.add(.call, 60_000, 2, days: 30)
    c.add(.put, 60_000, 2, days: 30)
    c.add(.call, 60_000, -1, days: 60)
    for place in 0..<3 { c.book.options[place].volatility = thousandths(500) }
    let found = try c.report(.derivePMRM2).greeks[0]
    #expect(found.map(\.expiry) == [0, 1])
    // Delta of a straddle is twice that of its call less one, of the call alone 0.5 and a little.
    let straddle = try #require(found[0].delta.scaled(digits: 9))
    let single = Black76.greeks(
      .call, forward: price(60_000), strike: price(60_000), volatility: thousandths(500),
      time: 30 * 86_400_000)
    #expect((straddle - (4 * Int128(single.delta) / 1_000 - 2_000_000_000)).magnitude <= 4)
    #expect(found[1].vega.isNegative && !found[0].vega.isNegative)
  }
}
