import Instruments
import Pricing
import Primitives
import Testing

@testable import Margin

extension Shelf {
  /// What a portfolio of this shelf requires, by the code of clearing and calculator.
  func requirement(_ legs: [Leg], lambda: Ratio = .zero) -> Int128 {
    var whole: [(instrument: InstrumentID, quantity: Int64)] = []
    for leg in legs {
      if let place = whole.firstIndex(where: { $0.instrument == leg.instrument }) {
        whole[place].quantity += leg.quantity.raw
      } else {
        whole.append((leg.instrument, leg.quantity.raw))
      }
    }
    var sheet = MarginSheet(underlyings: 1)
    for leg in whole { sheet.add(leg.instrument, Quantity(raw: leg.quantity), 0, table) }
    return sheet.requirement(lambda: lambda).initial
  }
}

@Suite("Charges beside the scan") struct ChargeTests {
  static let seeds: [UInt64] = [81, 82, 83, 84]

  @Test("genesis' declared terms are the production grid, within their domain")
  func declared() {
    let terms = MarginTerms.novate32
    #expect(terms.fault == nil)
    #expect(MemoryLayout<MarginTerms>.size == MarginTerms.byteCount)
    let parameters = MarginParameters(terms)
    #expect(parameters.scenarios.count == ScenarioSet.count)
    for (given, scenario) in zip(parameters.scenarios, ScenarioSet.novate32) {
      #expect(given.spot.raw == Ratio.scale + scenario.move.raw)
      #expect(given.dampening == scenario.cover)
    }
    #expect(parameters.concentration.slopes.count == 3)
  }

  @Test("the declared span-16 is its preset's ranges within their domain, and the house's charges")
  func span() {
    let terms = MarginTerms.span16
    #expect(terms.fault == nil && terms.isSpan)
    let (parameters, preset) = (MarginParameters(terms), MarginParameters.preset(.span16))
    #expect(parameters.method == .span16 && parameters.scenarios.isEmpty)
    #expect(parameters.span == preset.span && parameters.minimum == preset.minimum)
    let house = MarginParameters(MarginTerms.novate32)
    #expect(
      parameters.confidence == house.confidence && parameters.openInterest == house.openInterest)
    #expect(parameters.concentration == house.concentration)
    typealias Change = (inout MarginTerms) -> Void
    let changes: [Change] = [
      { $0.methodCode = 1 }, { $0.methodCode = 2 }, { $0.methodCode = 4 },
      { $0.spanRange = .zero }, { $0.spanRange = Ratio(raw: Ratio.scale + 1) },
      { $0.spanVolatility = Ratio(raw: -1) }, { $0.extremeCover = Ratio(raw: Ratio.scale + 1) },
      { $0.extremeMultiple = Ratio(raw: 33_333_333_334) },
      { $0.extremeMultiple = Ratio(raw: -1) }, { $0.lookahead = -1 },
      { $0.lookahead = 31_536_000_001 }, { $0.netDelta = Ratio(raw: 1) },
      { $0.volatilityUp = Ratio(raw: 1) }, { $0.tiltTerm = Ratio(raw: 1) },
      { $0.basisAdd = Ratio(raw: 1) }, { $0.scenarioCount = 1 },
      { $0.scenarios[0] = MarginTerms.novate32.scenarios[0] },
      { $0.shortOption = Ratio(raw: -1) }, { $0.maintenanceFactor = .zero },
    ]
    for (place, change) in changes.enumerated() {
      var terms = MarginTerms.span16
      change(&terms)
      #expect(terms.fault != nil, "change \(place)")
    }
    var widest = terms
    widest.extremeMultiple = Ratio(raw: 33_333_333_333)
    #expect(widest.fault == nil)
  }

  @Test("terms outside their domain have a fault")
  func faults() {
    typealias Change = (inout MarginTerms) -> Void
    let changes: [Change] = [
      { $0.methodCode = 2 }, { $0.scenarioCount = 0 }, { $0.scenarioCount = 33 },
      { $0.scenarioCount = 31 }, { $0.scenarios[3].volatilityCode = 4 },
      { $0.scenarios[3].spot = Ratio(raw: 6 * Ratio.scale + 1) }, { $0.scenarios[3].cover += 1 },
      { $0.initialFactor = Ratio(raw: Ratio.scale - 1) }, { $0.maintenanceFactor = .zero },
      { $0.hedgedDelta = Ratio(raw: 2 * $0.netDelta.raw + 1) }, { $0.lambda = Ratio(raw: -1) },
      { $0.basisMultiple = Ratio(raw: Ratio.scale + 1) }, { $0.daysFloor = Ratio(raw: -1) },
      { $0.spanRange = Ratio(raw: 1) }, { $0.extremeCover = Ratio(raw: 1) }, { $0.lookahead = 1 },
      { $0.slopes[2].rate = Ratio(raw: -1) }, { $0.tiltSkew = Ratio(raw: Ratio.scale + 1) },
    ]
    for (place, change) in changes.enumerated() {
      var terms = MarginTerms.novate32
      change(&terms)
      #expect(terms.fault != nil, "change \(place)")
    }
  }

  /// What execution admits by must never be less than what clearing closes by.
  @Test(
    "the bound of open orders covers the charges, whichever of them fill", arguments: seeds,
    [MarginMethod.novate32, .span16])
  func bound(seed: UInt64, method: MarginMethod) {
    // A dear minimum for short options is what `span-16` has beside the scan.
    var terms = method == .span16 ? MarginTerms.span16 : .novate32
    if terms.isSpan { terms.shortOption = Ratio(raw: 200_000_000) }
    let shelf = Shelf(seed: seed, terms)
    var generator = Generator(seed: seed)
    var (charged, rounds) = (0, 0)
    for _ in 0..<40 {
      let held = shelf.legs(generator.below(6), &generator)
      var orders = shelf.legs(1 + generator.below(6), &generator)
      // Some orders close what is held; some books are hedged, so that the scan says little.
      for leg in held where generator.below(3) == 0 {
        orders.append((leg.instrument, Quantity(raw: 0 - leg.quantity.raw)))
      }
      var sums = ScenarioSums(capacity: 1)
      let slot = sums.append()
      var positions: [Int: Int64] = [:]
      for leg in held {
        let before = positions[leg.instrument.index] ?? 0
        positions[leg.instrument.index] = before + leg.quantity.raw
        shelf.table.move(
          leg.instrument, from: Quantity(raw: before),
          to: Quantity(raw: before + leg.quantity.raw), in: &sums, slot)
      }
      let alone = sums.worst(slot).loss.raw
      #expect(0 - alone >= shelf.requirement(held), "seed \(seed): positions alone")
      if 0 - alone > shelf.scan(held) { charged += 1 }
      var exposures: [OrderExposure] = []
      for order in orders {
        let mark = shelf.mark(order.instrument)
        let exposure = OrderExposure(
          quantity: order.quantity, mark: mark,
          limit: Price(raw: max(1, mark.raw + generator.within(-2_000_000_000...2_000_000_000))),
          feeRate: Ratio(raw: generator.within(0...50_000_000)))
        let told = shelf.table.worst(with: exposure, order.instrument, in: sums, slot)
        let given = shelf.table.add(exposure, order.instrument, to: &sums, slot)
        #expect(told == given && given == sums.worst(slot).loss, "seed \(seed)")
        exposures.append(exposure)
      }
      let bound = sums.worst(slot).loss.raw
      for subset in 0..<(1 << orders.count) {
        let filled = orders.indices.filter { subset >> $0 & 1 == 1 }
        let entries = filled.reduce(Int128(0)) { $0 + exposures[$1].entry }
        let need = shelf.requirement(held + filled.map { orders[$0] })
        rounds += 1
        if entries - need < bound {
          Issue.record("seed \(seed): subset \(subset) leaves \(entries - need), bound \(bound)")
          return
        }
      }
    }
    #expect(charged > 5 && rounds > 1_000, "seed \(seed): \(charged) charged, \(rounds) rounds")
  }

  @Test("what an order and a position add is taken back to the unit", arguments: seeds)
  func back(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    var sums = ScenarioSums(capacity: 2)
    let slots = (sums.append(), sums.append())
    for _ in 0..<200 {
      let held = shelf.legs(3, &generator)
      let order = shelf.legs(1, &generator)[0]
      for leg in held.prefix(1) {
        for slot in [slots.0, slots.1] {
          sums.clear(slot)
          shelf.table.move(leg.instrument, from: .zero, to: leg.quantity, in: &sums, slot)
        }
      }
      let id = order.instrument
      let before = id == held[0].instrument ? held[0].quantity.raw : 0
      func exposure(_ quantity: Int64) -> OrderExposure {
        OrderExposure(
          quantity: Quantity(raw: quantity), mark: shelf.mark(id), limit: shelf.mark(id),
          feeRate: Ratio(raw: 1_000_000))
      }
      let (whole, filled) = (order.quantity.raw, order.quantity.raw / 3)
      let after = Quantity(raw: before + filled)
      shelf.table.add(exposure(whole), id, to: &sums, slots.0)
      shelf.table.fill(
        exposure(whole), leaving: exposure(whole - filled), Quantity(raw: filled), after: after, id,
        in: &sums, slots.0)
      shelf.table.add(exposure(whole - filled), id, to: &sums, slots.1)
      shelf.table.move(id, from: Quantity(raw: before), to: after, in: &sums, slots.1)
      let (one, other) = (sums.worst(slots.0).loss, sums.worst(slots.1).loss)
      #expect(one == other, "seed \(seed)")
      shelf.table.remove(exposure(whole - filled), id, from: &sums, slots.0)
      shelf.table.move(id, from: after, to: Quantity(raw: before), in: &sums, slots.0)
      sums.clear(slots.1)
      shelf.table.move(
        held[0].instrument, from: .zero, to: held[0].quantity, in: &sums, slots.1)
      for word in 0..<ScenarioSums.wordCount {
        let (left, right) = (sums[slots.0, word], sums[slots.1, word])
        #expect(left == right, "seed \(seed), word \(word)")
      }
    }
  }

  @Test("a conversion has no scan, and the charges ask for it")
  func conversion() throws {
    let shelf = Shelf(seed: 9)
    let call = try #require(shelf.instruments.first { $0.isOption && $0.isCall })
    let put = try #require(
      shelf.instruments.first {
        $0.isOption && !$0.isCall && $0.strike == call.strike && $0.expiry == call.expiry
      })
    let future = try #require(
      shelf.instruments.first { $0.kind == .future && $0.expiry == call.expiry })
    let one = Quantity.scale
    let legs: [Shelf.Leg] = [
      (call.id, Quantity(raw: one)), (put.id, Quantity(raw: 0 - one)),
      (future.id, Quantity(raw: 0 - one)),
    ]
    let index = Int128(shelf.market.index.raw)
    #expect(shelf.scan(legs) <= 6 * Int128(one))
    // One contract of delta against one: 1 % of it; one option short: 0.5 %.
    let need = shelf.requirement(legs)
    let hedged = index * Int128(one) / 100
    #expect((need - hedged).magnitude <= UInt128(8 * one), "\(need) against \(hedged)")
  }
}
