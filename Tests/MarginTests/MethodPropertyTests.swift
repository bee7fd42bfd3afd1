import Instruments
import Pricing
import Primitives
import Testing

@testable import Margin

/// A market and books drawn from a seed.
struct MethodWorld {
  var market: MarginMarket
  static let day: Int64 = 86_400_000

  init(_ generator: inout Generator) {
    let spot = Price(raw: generator.within(500...90_000) * Price.scale)
    market = MarginMarket(
      spot: spot, perpetualPrice: Price(raw: spot.raw / 1_000 * generator.within(990...1_010)))
    for days in [3, 20, 90] as [Int64] {
      var expiry = MarginExpiry(
        time: days * MethodWorld.day + generator.within(0...MethodWorld.day),
        forward: Price(raw: spot.raw / 1_000 * generator.within(985...1_030)))
      expiry.rate = Ratio(raw: generator.within(-50_000_000...200_000_000))
      expiry.optionVolume = Quantity(raw: generator.within(1...50) * Quantity.scale)
      market.expiries.append(expiry)
    }
    market.perpetualVolume = Quantity(raw: generator.within(1...50) * Quantity.scale)
    for place in 0..<2 {
      var collateral = MarginCollateral(
        price: Price(raw: spot.raw / 100 * generator.within(95...105)))
      collateral.isRiskCancelling = place == 0
      collateral.maintenanceHaircut = Ratio(raw: generator.within(0...200_000_000))
      collateral.initialHaircutAdd = Ratio(raw: generator.within(0...100_000_000))
      market.collaterals.append(collateral)
    }
  }

  var empty: MarginBook {
    var book = MarginBook()
    book.collaterals = market.collaterals.map { _ in .zero }
    return book
  }

  func options(_ count: Int, _ generator: inout Generator, onlyLong: Bool = false) -> [OptionLeg] {
    (0..<count).map { _ in
      // Strikes on a coarse grid and one volatility a strike, so that contracts meet and net.
      let percent = Int64(60 + 10 * generator.below(9))
      let quantity = generator.within(onlyLong ? 1...2_000_000_000 : -2_000_000_000...2_000_000_000)
      return OptionLeg(
        expiry: generator.below(market.expiries.count),
        type: generator.below(2) == 0 ? .call : .put,
        strike: Price(raw: market.spot.raw / 100 * percent),
        volatility: Ratio(raw: 400_000_000 + percent * 3_000_000), quantity: Quantity(raw: quantity)
      )
    }
  }

  func book(_ generator: inout Generator) -> MarginBook {
    var book = empty
    if generator.below(3) > 0 {
      book.perpetual = Quantity(raw: generator.within(-2_000_000_000...2_000_000_000))
    }
    book.options = options(generator.below(7), &generator)
    if generator.below(3) == 0 {
      book.collaterals = book.collaterals.map { _ in
        Quantity(raw: generator.within(0...1_000_000_000))
      }
    }
    return book
  }
}

func together(_ a: MarginBook, _ b: MarginBook) -> MarginBook {
  var sum = a
  sum.perpetual = Quantity(raw: a.perpetual.raw + b.perpetual.raw)
  sum.options += b.options
  sum.collaterals = zip(a.collaterals, b.collaterals).map { Quantity(raw: $0.raw + $1.raw) }
  return sum
}

extension MarginReport {
  func part(_ name: String) -> Int128 { parts.first { $0.name == name }?.value.raw ?? .min }
}

@Suite("Properties of the methods") struct MethodPropertyTests {
  static let seeds: [UInt64] = Array(701...708)
  /// Of 1e-20: what the roundings of a hundred charges may add.
  static let dust: Int128 = 10_000

  private func assess(
    _ parameters: MarginParameters, _ markets: [MarginMarket], _ books: [MarginBook],
    cash: Int64 = 0
  ) throws -> MarginReport {
    var account = MarginAccount(books: books)
    account.cash = Worth(Money(raw: cash))
    return try MarginEngine(parameters, markets: markets).assess(account)
  }

  @Test("1: nothing needs nothing, and cash is its own margin", arguments: MarginMethod.allCases)
  func empty(method: MarginMethod) throws {
    var generator = Generator(seed: 1)
    let world = MethodWorld(&generator)
    let report = try assess(
      .preset(method), [world.market, world.market], [world.empty, world.empty], cash: 77)
    #expect(report.initialRequirement == .zero && report.maintenanceRequirement == .zero)
    #expect(report.initialMargin == Worth(Money(raw: 77)))
    #expect(report.maintenanceMargin == Worth(Money(raw: 77)))
  }

  @Test("2: the order of legs and expiries changes no unit", arguments: seeds)
  func order(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    for _ in 0..<12 {
      let world = MethodWorld(&generator)
      let book = world.book(&generator)
      var market = world.market
      var shuffled = book
      for place in shuffled.options.indices.reversed() {
        shuffled.options.swapAt(place, generator.below(place + 1))
      }
      market.expiries.reverse()
      for place in shuffled.options.indices {
        shuffled.options[place].expiry = market.expiries.count - 1 - shuffled.options[place].expiry
      }
      for method in MarginMethod.allCases {
        let one = try assess(.preset(method), [world.market], [book])
        let other = try assess(.preset(method), [market], [shuffled])
        #expect(one.initialMargin == other.initialMargin, "\(method.name), seed \(seed)")
        #expect(one.maintenanceMargin == other.maintenanceMargin, "\(method.name), seed \(seed)")
        #expect(one.scenarios == other.scenarios, "\(method.name), seed \(seed)")
      }
    }
  }

  @Test(
    "3, 4, 10: every term of novate-32 needs no more together than apart; 5: twice is double",
    arguments: seeds)
  func additivity(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    for round in 0..<20 {
      let (first, second) = (MethodWorld(&generator), MethodWorld(&generator))
      var p = MarginParameters.preset(.novate32)
      p.lambda = Ratio(raw: [0, 400_000_000, Ratio.scale][round % 3])
      let markets = [first.market, second.market]
      let a = [first.book(&generator), second.book(&generator)]
      let b = [first.book(&generator), second.book(&generator)]
      let (ra, rb) = (try assess(p, markets, a), try assess(p, markets, b))
      let both = try assess(p, markets, zip(a, b).map { together($0, $1) })
      let method = try Novate32(p)
      for (place, market) in markets.enumerated() {
        func term(_ book: MarginBook) throws -> Int128 {
          try method.risk(book.canonical(), market).deltaTerm.raw
        }
        let (x, y) = (try term(a[place]), try term(b[place]))
        let sum = try term(together(a[place], b[place]))
        #expect(sum >= 0 && sum <= x + y + Self.dust, "delta, seed \(seed)")
      }
      for name in ["scan", "short_option_minimum"] {
        let (x, y, sum) = (ra.part(name), rb.part(name), both.part(name))
        #expect(sum >= 0 && sum <= x + y + Self.dust, "\(name), seed \(seed)")
      }
      let (x, y, sum) = (ra.basisContingency, rb.basisContingency, both.basisContingency)
      #expect(sum.raw <= 0 && -sum.raw <= -x.raw - y.raw + Self.dust, "basis, seed \(seed)")
      // Concentration is convex: it asks more of one owner than of his parts.
      let (cx, cy, crowd) = (
        ra.part("concentration"), rb.part("concentration"), both.part("concentration")
      )
      let isOneSided = zip(a, b).allSatisfy {
        $0.options.isEmpty && $1.options.isEmpty
          && $0.perpetual.raw.signum() * $1.perpetual.raw.signum() >= 0
      }
      if isOneSided { #expect(crowd >= cx + cy - Self.dust, "seed \(seed)") }

      let factor = generator.within(2...9)
      let multiple = a.map { book in
        var book = book
        book.perpetual = Quantity(raw: book.perpetual.raw * factor)
        book.options = book.options.map { leg in
          var leg = leg
          leg.quantity = Quantity(raw: leg.quantity.raw * factor)
          return leg
        }
        book.collaterals = book.collaterals.map { Quantity(raw: $0.raw * factor) }
        return book
      }
      let many = try assess(p, markets, multiple).part("scan")
      let expected = ra.part("scan") * Int128(factor)
      // The mix is rounded up twice, to 1e-16, at either size.
      let mixed: Int128 = p.lambda.raw % Ratio.scale == 0 ? 0 : 20_000 * Int128(factor + 1)
      #expect((many - expected).magnitude <= Self.dust + mixed, "seed \(seed)")
    }
  }

  @Test("3: initial is not below maintenance, and both are what equity lacks", arguments: seeds)
  func sides(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    for _ in 0..<20 {
      let world = MethodWorld(&generator)
      let book = world.book(&generator)
      for method in MarginMethod.allCases {
        let r = try assess(.preset(method), [world.market], [book], cash: 1_000_000)
        #expect(r.initialRequirement >= r.maintenanceRequirement, "\(method.name), seed \(seed)")
        let (im, mm) = (
          try r.markToMarket - r.initialRequirement, try r.markToMarket - r.maintenanceRequirement
        )
        #expect(im == r.initialMargin && mm == r.maintenanceMargin, "\(method.name), seed \(seed)")
        for contingency in [
          r.basisContingency, r.confidenceContingency, r.staticContingencyMaintenance,
          r.staticContingencyInitial,
        ] { #expect(contingency.raw <= 0, "\(method.name), seed \(seed)") }
      }
    }
  }

  @Test("6: another scenario, or a wider one beside the old, never lowers margin", arguments: seeds)
  func scenarios(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    for method in [MarginMethod.novate32, .derivePMRM2] {
      for _ in 0..<4 {
        let world = MethodWorld(&generator)
        let book = world.book(&generator)
        let all = MarginParameters.preset(method)
        var last: Worth?
        for count in stride(from: 1, through: all.scenarios.count, by: 3) {
          var p = all
          p.scenarios = Array(all.scenarios.prefix(count))
          let need = try assess(p, [world.market], [book]).initialRequirement
          if let last { #expect(need >= last, "\(method.name), seed \(seed)") }
          last = need
        }
      }
    }
  }

  @Test("7: a call less a put less the forward at one strike needs no scan", arguments: seeds)
  func parity(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    for _ in 0..<10 {
      var world = MethodWorld(&generator)
      world.market.expiries[1].rate = .zero
      world.market.perpetualPrice = world.market.expiries[1].forwardVariable
      for sign in [1, -1] as [Int64] {
        let quantity = sign * generator.within(1...2_000_000_000)
        let strike = Price(raw: world.market.spot.raw / 100 * generator.within(60...150))
        var book = world.empty
        book.perpetual = Quantity(raw: -quantity)
        for (type, side) in [(OptionType.call, quantity), (.put, -quantity)] {
          book.options.append(
            OptionLeg(
              expiry: 1, type: type, strike: strike, volatility: Ratio(raw: 700_000_000),
              quantity: Quantity(raw: side)))
        }
        let scan = try assess(.preset(.novate32), [world.market], [book]).part("scan")
        // Three legs, each rounded to a unit of price at the mark and in the scenario.
        #expect(scan <= 6 * Int128(quantity.magnitude) * 10_000, "seed \(seed)")
      }
    }
  }

  @Test(
    "8: an account of long options alone never needs more than they are worth", arguments: seeds)
  func longOptions(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    for round in 0..<25 {
      let world = MethodWorld(&generator)
      var book = world.empty
      book.options = world.options(1 + generator.below(8), &generator, onlyLong: true)
      var p = MarginParameters.preset(.novate32)
      // Far heavier charges than declared, so that the cap has something to do.
      if round % 2 == 1 {
        p.basis.add = Ratio(raw: 3 * Ratio.scale)
        p.minimum.netDelta = Ratio(raw: Ratio.scale)
        p.concentration.slopes = [.init(from: .zero, rate: Ratio(raw: Ratio.scale))]
        p.openInterest = OpenInterestScale(lower: .zero, upper: Ratio(raw: 1))
      }
      let r = try assess(p, [world.market], [book])
      #expect(r.initialRequirement <= r.optionMarkToMarket, "seed \(seed)")
      #expect(r.maintenanceMargin.raw >= 0, "seed \(seed)")
    }
  }

  @Test("9: a deposit raises every margin by itself", arguments: MarginMethod.allCases)
  func deposits(method: MarginMethod) throws {
    var generator = Generator(seed: 9)
    for _ in 0..<10 {
      let world = MethodWorld(&generator)
      let book = world.book(&generator)
      let before = try assess(.preset(method), [world.market], [book])
      let after = try assess(.preset(method), [world.market], [book], cash: 123_456)
      let deposit = Worth(Money(raw: 123_456))
      #expect(try after.initialMargin - before.initialMargin == deposit)
      #expect(try after.maintenanceMargin - before.maintenanceMargin == deposit)
    }
  }

  @Test("12: what leaves is rounded against the user")
  func rounding() throws {
    let odd = Worth(raw: 1)
    #expect(try odd.money(rounding: .up).raw == 1 && odd.money(rounding: .down).raw == 0)
    #expect(try (-odd).money(rounding: .up).raw == 0 && (-odd).money(rounding: .down).raw == -1)
    #expect(try odd.times(Ratio(raw: 1), .up).raw == 1 && odd.times(Ratio(raw: 1), .down).raw == 0)
    let large = Worth(raw: Int128.max / 3)
    #expect(try large.times(.one, .down) == large)
    #expect(throws: MarginFailure.overflow("a product")) {
      try large.times(Ratio(raw: 4 * Ratio.scale), .down)
    }
  }

  @Test(
    "the scan is the production scan, bit for bit", arguments: seeds,
    [MarginMethod.novate32, .span16])
  func production(seed: UInt64, method: MarginMethod) throws {
    let shelf = Shelf(seed: seed, method == .span16 ? .span16 : .novate32)
    var generator = Generator(seed: seed)
    var market = MarginMarket(spot: shelf.mark(InstrumentID(0)))
    for days in [3, 45] as [Int64] {
      let future = shelf.instruments.first {
        $0.kind == .future && $0.expiry.raw == Shelf.now + days * Shelf.day
      }
      market.expiries.append(
        MarginExpiry(
          time: days * Shelf.day, forward: shelf.mark(try #require(future).id)))
    }
    for _ in 0..<40 {
      let legs = shelf.legs(1 + generator.below(10), &generator).filter {
        shelf.instruments[$0.instrument.index].kind != .future
      }
      var book = MarginBook()
      for leg in legs {
        let instrument = shelf.instruments[leg.instrument.index]
        guard instrument.isOption else {
          book.perpetual = Quantity(raw: book.perpetual.raw + leg.quantity.raw)
          continue
        }
        let place = instrument.expiry.raw == Shelf.now + 3 * Shelf.day ? 0 : 1
        book.options.append(
          OptionLeg(
            expiry: place, type: instrument.isCall ? .call : .put, strike: instrument.strike,
            volatility: shelf.volatility(instrument), quantity: leg.quantity))
      }
      let report = try assess(.preset(method), [market], [book])
      let scan = report.part(method == .span16 ? "scan_risk" : "scan")
      #expect(scan == shelf.scan(legs) * 10_000, "seed \(seed)")
    }
  }

  @Test("one sweep over an account finds what the kept sums find", arguments: seeds)
  func sweep(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    // Beyond 64 positions there is no bound to go by; large and small ones meet in between.
    for count in 0..<80 {
      let legs = shelf.legs(count, &generator).map { leg -> Shelf.Leg in
        let factor: Int64 = generator.below(4) == 0 ? 1 << Int64(generator.below(31)) : 1
        return (leg.instrument, Quantity(raw: leg.quantity.raw / 3 * factor))
      }
      let exposures = legs.map { PositionExposure($0.instrument, $0.quantity) }
      let worst = shelf.table.worst(of: exposures.span).raw
      let kept = shelf.scan(legs)
      #expect(worst == 0 - kept, "seed \(seed), \(count) positions")
    }
  }

  @Test("whatever is asked, the answer is a number or a typed refusal", arguments: seeds)
  func extremes(seed: UInt64) {
    var generator = Generator(seed: seed)
    func any() -> Int64 {
      let choices: [Int64] = [
        0, 1, -1, .max, .min, 1 << 62, Price.scale, generator.within(0...Int64.max / 4),
      ]
      return choices[generator.below(choices.count)]
    }
    var answered = 0
    for _ in 0..<400 {
      var world = MethodWorld(&generator)
      var book = world.book(&generator)
      var p = MarginParameters.preset(MarginMethod.allCases[generator.below(4)])
      switch generator.below(10) {
      case 0: world.market.spot = Price(raw: any())
      case 1: world.market.expiries[0].forwardVariable = Price(raw: any())
      case 2: world.market.expiries[1].time = any()
      case 3: world.market.expiries[2].rate = Ratio(raw: any())
      case 4: book.perpetual = Quantity(raw: any())
      case 5:
        book.options.append(
          OptionLeg(
            expiry: generator.below(4), type: .put, strike: Price(raw: any()),
            volatility: Ratio(raw: any()), quantity: Quantity(raw: any())))
      case 6:
        p.scenarios = p.scenarios.map { s in
          MarginScenario(
            spot: Ratio(raw: any()), volatility: s.volatility, dampening: Ratio(raw: any()),
            kind: s.kind)
        }
      case 7: p.maintenanceFactor = Ratio(raw: any())
      case 8: world.market.stable = Price(raw: any())
      default: p.discount.longRateAdd = Ratio(raw: any())
      }
      do throws(MarginFailure) {
        _ = try MarginEngine(p, markets: [world.market]).assess(MarginAccount(books: [book]))
        answered += 1
      } catch {
        #expect(error.description.isEmpty == false)
      }
    }
    #expect(answered > 50 && answered < 400, "seed \(seed): \(answered) answered")
  }
}
