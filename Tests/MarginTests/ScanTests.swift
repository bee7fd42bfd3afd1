import Instruments
import Pricing
import Primitives
import Testing

@testable import Margin

/// SplitMix64 (Steele, Lea, Flood 2014): ours, so that a seed means the same for ever.
struct Generator {
  var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(below(Int(range.upperBound - range.lowerBound) + 1))
  }
}

/// Contracts on one underlying with their marks and units: options of several strikes and two
/// expiries, their futures, and a perpetual.
struct Shelf: ~Copyable {
  static let now: Int64 = 1_700_000_000_000
  static let day: Int64 = 86_400_000
  var table: RiskTable
  var instruments: [Instrument] = []
  private(set) var market = UnderlyingMarket(index: .zero, time: .zero)

  init(seed: UInt64, _ terms: MarginTerms = .novate32) {
    table = RiskTable(terms)
    var generator = Generator(seed: seed)
    let index = Price(raw: generator.within(500...2_000) * Price.scale + 7)
    market = UnderlyingMarket(index: index, time: Timestamp(raw: Shelf.now))
    add(.perpetual, 0, 0, 0)
    for days in [3, 45] as [Int64] {
      let expiry = Timestamp(raw: Shelf.now + days * Shelf.day)
      let volatility = Ratio(raw: generator.within(200_000_000...1_500_000_000))
      market.slices.append(
        ExpirySlice(
          expiry: expiry, forward: Price(raw: index.raw + generator.within(-900...900) * 10_007),
          surface: SurfaceSlice(flat: volatility, time: days * Shelf.day), time: market.time))
      add(.future, 0, 0, expiry.raw)
      for percent in [70, 95, 100, 110, 160] as [Int64] {
        for type in [1, 2] as [UInt8] { add(.option, type, index.raw / 100 * percent, expiry.raw) }
      }
    }
    for instrument in instruments { table.update(instrument, market: market) }
  }

  private mutating func add(
    _ kind: InstrumentKind, _ type: UInt8, _ strike: Int64, _ expiry: Int64
  ) {
    instruments.append(
      Instrument(
        id: InstrumentID(UInt32(instruments.count)), underlying: UnderlyingID(0), kind: kind,
        optionTypeCode: type, strike: Price(raw: strike), expiry: Timestamp(raw: expiry),
        tick: Price(raw: 1), lot: Quantity(raw: 1), orderQuantityMax: Quantity(raw: 1 << 40),
        priceMax: Price(raw: 1 << 50)))
  }

  typealias Leg = (instrument: InstrumentID, quantity: Quantity)

  func legs(_ count: Int, _ generator: inout Generator, onlyLongOptions: Bool = false) -> [Leg] {
    let choice = instruments.filter { !onlyLongOptions || $0.isOption }
    return (0..<count).map { _ in
      let quantity = generator.within(
        onlyLongOptions ? 1...1_000_000_000 : -1_000_000_000...1_000_000_000)
      return (choice[generator.below(choice.count)].id, Quantity(raw: quantity))
    }
  }

  /// The scan requirement of a portfolio, exact, at least zero.
  func scan(_ legs: [Leg]) -> Int128 {
    var sums = ScenarioSums(capacity: 1)
    let slot = sums.append()
    for leg in legs { table.add(leg.instrument, leg.quantity, to: &sums, slot) }
    return 0 - sums.worst(slot).loss.raw
  }

  /// The same by its definition over some of the scenarios.
  func scan(_ legs: [Leg], over scenarios: Range<Int>) -> Int128 {
    var worst: Int128 = 0
    for scenario in scenarios {
      var sum: Int128 = 0
      for leg in legs {
        sum += Int128(leg.quantity.raw) * Int128(table.unit(leg.instrument, scenario).raw)
      }
      worst = min(worst, sum)
    }
    return 0 - worst
  }

  func mark(_ instrument: InstrumentID) -> Price { table.mark(instrument) }

  /// The volatility an option is marked at.
  func volatility(_ instrument: Instrument) -> Ratio {
    guard let slice = market.slice(instrument.expiry) else { return .zero }
    return slice.surface.volatility(
      strike: instrument.strike, forward: slice.forward,
      time: instrument.expiry.raw - slice.time.raw)
  }
}

@Suite("The scan") struct ScanTests {
  @Test("span-16 moves a linear contract by its sixteen in money, and says what it moves by")
  func span() throws {
    let shelf = Shelf(seed: 501, .span16)
    let index = shelf.mark(InstrumentID(0))
    let scenarios = Span16.scenarios(MarginParameters(MarginTerms.span16).span, spot: index)
    #expect(scenarios.count == 16)
    let range = (Int128(index.raw) * 15).divided(by: 100, rounding: .nearestEven)
    #expect(
      Int128(scenarios[10].move.raw) == range
        && scenarios[14].move.raw == 3 * scenarios[10].move.raw)
    for instrument in shelf.instruments {
      for (place, scenario) in scenarios.enumerated() where !instrument.isOption {
        let covered = (Int128(scenario.move.raw) * Int128(scenario.cover.raw))
          .divided(by: 1_000_000_000, rounding: .down)
        #expect(Int128(shelf.table.unit(instrument.id, place).raw) == covered)
      }
      for place in 16..<32 { #expect(shelf.table.unit(instrument.id, place) == .zero) }
      let (delta, vega) = shelf.table.greeks(instrument.id, index: index)
      guard instrument.isOption else {
        #expect(delta == .one && vega == .zero)
        continue
      }
      // By parity a call moves by one more contract than the put of its strike.
      let put = shelf.table.greeks(InstrumentID(instrument.id.raw + 1), index: index)
      guard instrument.isCall else { continue }
      #expect((delta.raw - put.delta.raw - Ratio.scale).magnitude < 10, "\(instrument.id)")
      #expect((vega.raw - put.vega.raw).magnitude < 10 && vega.raw > -10)
      #expect((0...Ratio.scale + 10).contains(delta.raw))
    }
  }

  static let seeds: [UInt64] = Array(501...512)

  @Test("the grid is the published one")
  func grid() {
    let grid = ScenarioSet.novate32
    #expect(grid.count == 32 && ScenarioSet.count == 32)
    let inner = grid.filter { $0.move.raw != 0 && $0.move.raw.magnitude <= 160_000_000 }
    #expect(inner.count == 24 && inner.allSatisfy { $0.cover.raw == Ratio.scale })
    for percent in [-16, -12, -8, -4, 4, 8, 12, 16] as [Int64] {
      let moves = inner.filter { $0.move.raw == percent * 10_000_000 }.map(\.volatility)
      #expect(moves == [.down, .same, .up])
    }
    #expect(grid.filter { $0.move.raw == 0 }.map(\.volatility) == [.down, .up])
    let outer = grid.filter { $0.move.raw.magnitude > 160_000_000 }
    #expect(outer.map { $0.move.raw / 10_000_000 } == [-66, -33, 50, 100, 300, 500])
    #expect(
      outer.map(\.cover.raw) == [
        240_000_000, 480_000_000, 320_000_000, 160_000_000, 53_300_000, 32_000_000,
      ])
    #expect(outer.allSatisfy { $0.volatility == .up } && Set(grid).count == 32)
  }

  @Test("a linear contract's units are its mark times move times cover, rounded down")
  func linear() {
    var table = RiskTable()
    let market = UnderlyingMarket(index: Price(raw: 123_456_789_011), time: Timestamp(raw: 1))
    let perpetual = Instrument(
      id: InstrumentID(0), underlying: UnderlyingID(0), kind: .perpetual, tick: Price(raw: 1),
      lot: Quantity(raw: 1), orderQuantityMax: Quantity(raw: 1), priceMax: Price(raw: 1))
    table.update(perpetual, market: market)
    for (place, scenario) in ScenarioSet.novate32.enumerated() {
      let change = (Int128(market.index.raw) * Int128(scenario.move.raw))
        .divided(by: 1_000_000_000, rounding: .down)
      let covered = (change * Int128(scenario.cover.raw))
        .divided(by: 1_000_000_000, rounding: .down)
      #expect(table.unit(InstrumentID(0), place).raw == Int64(covered))
    }
    // −66 % at 24 % is −15.84 %: the inner −16 % binds a long, +16 % a short.
    let shortWorst = (0..<32).map { table.unit(InstrumentID(0), $0).raw }.max()
    let sixteen: Int64 = 123_456_789_011 * 16 / 100
    #expect(shortWorst == sixteen)
  }

  @Test("1: nothing needs nothing; 2: the order of legs does not matter", arguments: seeds)
  func order(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    let empty = shelf.scan([])
    #expect(empty == 0)
    for _ in 0..<50 {
      var legs = shelf.legs(1 + generator.below(12), &generator)
      let before = shelf.scan(legs)
      for place in legs.indices.reversed() { legs.swapAt(place, generator.below(place + 1)) }
      let after = shelf.scan(legs)
      let defined = shelf.scan(legs, over: 0..<32)
      #expect(before == after && before == defined, "seed \(seed)")
    }
  }

  @Test(
    "3, 4, 10: together never needs more than apart, and never less than nothing; 5: twice is double",
    arguments: seeds)
  func additivity(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    for _ in 0..<100 {
      let a = shelf.legs(1 + generator.below(6), &generator)
      let b = shelf.legs(1 + generator.below(6), &generator)
      let (ma, mb, mab) = (shelf.scan(a), shelf.scan(b), shelf.scan(a + b))
      #expect(mab <= ma + mb && ma + mb - mab <= ma + mb && mab >= 0, "seed \(seed)")
      let factor = generator.within(2...9)
      let multiple = shelf.scan(
        a.map { ($0.instrument, Quantity(raw: $0.quantity.raw * factor)) })
      #expect(multiple == Int128(factor) * ma, "seed \(seed)")
    }
  }

  @Test("6: another scenario never lowers the scan", arguments: seeds)
  func scenarios(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    for _ in 0..<50 {
      let legs = shelf.legs(1 + generator.below(8), &generator)
      var last: Int128 = 0
      for count in 1...32 {
        let now = shelf.scan(legs, over: 0..<count)
        #expect(now >= last, "seed \(seed)")
        last = now
      }
    }
  }

  @Test(
    "7: a call less a put less a future of one strike and expiry needs nothing", arguments: seeds)
  func parity(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    let calls = shelf.instruments.filter { $0.isOption && $0.isCall }
    for call in calls {
      let put = shelf.instruments.first {
        $0.isOption && !$0.isCall && $0.strike == call.strike && $0.expiry == call.expiry
      }
      let future = shelf.instruments.first { $0.kind == .future && $0.expiry == call.expiry }
      guard let put, let future else {
        Issue.record("no put or future beside \(call)")
        return
      }
      let quantity: Int64 = 100_000_000
      for sign in [1, -1] as [Int64] {
        let need = shelf.scan([
          (call.id, Quantity(raw: sign * quantity)), (put.id, Quantity(raw: -sign * quantity)),
          (future.id, Quantity(raw: -sign * quantity)),
        ])
        // Three legs, each rounded to a unit of price at the mark and in the scenario.
        #expect(need <= 6 * Int128(quantity), "seed \(seed), strike \(call.strike.raw)")
      }
    }
  }

  @Test("8: long options never need more than they are worth", arguments: seeds)
  func longOptions(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    for _ in 0..<100 {
      let legs = shelf.legs(1 + generator.below(8), &generator, onlyLongOptions: true)
      let worth = legs.reduce(Int128(0)) { $0 + (shelf.mark($1.instrument) * $1.quantity).raw }
      let need = shelf.scan(legs)
      #expect(need <= worth, "seed \(seed)")
    }
  }

  @Test("every subset of open orders is covered by the sums, exactly", arguments: seeds)
  func subsets(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    for _ in 0..<10 {
      let held = shelf.legs(generator.below(5), &generator)
      let orders = shelf.legs(1 + generator.below(7), &generator)
      var sums = ScenarioSums(capacity: 1)
      let slot = sums.append()
      for leg in held { shelf.table.add(leg.instrument, leg.quantity, to: &sums, slot) }
      var exposures: [OrderExposure] = []
      for order in orders {
        let mark = shelf.mark(order.instrument)
        let exposure = OrderExposure(
          quantity: order.quantity, mark: mark,
          limit: Price(raw: max(1, mark.raw + generator.within(-2_000_000_000...2_000_000_000))),
          feeRate: Ratio(raw: generator.within(0...50_000_000)))
        let told = shelf.table.worst(with: exposure, order.instrument, in: sums, slot)
        let given = shelf.table.add(exposure, order.instrument, to: &sums, slot)
        let kept = sums.worst(slot).loss
        #expect(told == given && given == kept, "seed \(seed)")
        exposures.append(exposure)
      }
      let bound = sums.worst(slot).loss.raw
      for subset in 0..<(1 << orders.count) {
        let filled = orders.indices.filter { subset >> $0 & 1 == 1 }
        let entries = filled.reduce(Int128(0)) { $0 + exposures[$1].entry }
        let left = entries - shelf.scan(held + filled.map { orders[$0] })
        if left < bound {
          Issue.record("seed \(seed): subset \(subset) leaves \(left), bound \(bound)")
          return
        }
      }
    }
  }

  @Test("a fill in one pass is the removal, the rest and the position one by one", arguments: seeds)
  func fusion(seed: UInt64) {
    let shelf = Shelf(seed: seed)
    var generator = Generator(seed: seed)
    var one = ScenarioSums(capacity: 1)
    var many = ScenarioSums(capacity: 1)
    let slots = (one.append(), many.append())
    for _ in 0..<300 {
      let leg = shelf.legs(1, &generator)[0]
      guard leg.quantity.raw.magnitude > 1 else { continue }
      func exposure(_ quantity: Int64) -> OrderExposure {
        OrderExposure(
          quantity: Quantity(raw: quantity), mark: shelf.mark(leg.instrument),
          limit: Price(raw: 1_000 * Price.scale), feeRate: Ratio(raw: 500_000))
      }
      let filled =
        generator.within(1...Int64(leg.quantity.raw.magnitude)) * leg.quantity.raw.signum()
      let rest = leg.quantity.raw - filled
      let whole = exposure(leg.quantity.raw)
      shelf.table.add(whole, leg.instrument, to: &one, slots.0)
      shelf.table.add(whole, leg.instrument, to: &many, slots.1)
      let worst = shelf.table.fill(
        whole, leaving: rest == 0 ? nil : exposure(rest), Quantity(raw: filled),
        after: Quantity(raw: filled), leg.instrument, in: &one, slots.0)
      shelf.table.remove(whole, leg.instrument, from: &many, slots.1)
      if rest != 0 { shelf.table.add(exposure(rest), leg.instrument, to: &many, slots.1) }
      shelf.table.move(
        leg.instrument, from: .zero, to: Quantity(raw: filled), in: &many, slots.1)
      for scenario in 0..<ScenarioSums.wordCount {
        let (a, b) = (one[slots.0, scenario], many[slots.1, scenario])
        #expect(a == b, "seed \(seed)")
      }
      let (a, b) = (one.worst(slots.0).loss, many.worst(slots.1).loss)
      #expect(a == b && a == worst, "seed \(seed)")
      if rest != 0 {
        shelf.table.remove(exposure(rest), leg.instrument, from: &one, slots.0)
        shelf.table.remove(exposure(rest), leg.instrument, from: &many, slots.1)
      }
    }
  }

  @Test("sums grow without losing any, and clear to nothing")
  func growth() {
    let shelf = Shelf(seed: 1)
    var sums = ScenarioSums(capacity: 1)
    for count in 0..<100 {
      let slot = sums.append()
      #expect(slot == count)
      shelf.table.add(InstrumentID(0), Quantity(raw: Int64(count)), to: &sums, slot)
    }
    for slot in 0..<100 {
      let (sum, unit) = (sums[slot, 3].raw, shelf.table.unit(InstrumentID(0), 3).raw)
      #expect(sum == Int128(slot) * Int128(unit))
    }
    sums.clear(99)
    let (cleared, kept) = (sums.worst(99).loss.raw, sums.worst(98).loss.raw)
    #expect(cleared == 0 && kept < 0)
  }

  @Test("a contract without its market, or settled, has no mark and no risk")
  func unpriced() {
    let shelf = Shelf(seed: 3)
    var table = RiskTable()
    let option = shelf.instruments[2]
    var market = UnderlyingMarket(index: .zero, time: .zero)
    table.update(option, market: market)
    #expect(table.isPriced(option.id) == false)
    market.index = Price(raw: 1_000 * Price.scale)
    table.update(option, market: market)
    #expect(table.isPriced(option.id) == false)
    market.slices = [
      ExpirySlice(
        expiry: option.expiry, forward: market.index,
        surface: SurfaceSlice(flat: Ratio(raw: 500_000_000), time: Shelf.day),
        time: Timestamp(raw: option.expiry.raw - Shelf.day))
    ]
    table.update(option, market: market)
    #expect(table.isPriced(option.id) == true)
    #expect(table.mark(option.id).raw > 0)
    var settled = option
    settled.statusCode = InstrumentStatus.settled.rawValue
    table.update(settled, market: market)
    #expect(table.isPriced(option.id) == false)
    #expect(table.mark(option.id) == .zero && table.unit(option.id, 0) == .zero)
  }

  @Test("the far ends of time, strike and index are priced without a trap")
  func extremes() {
    var table = RiskTable()
    for index in [1, Price.scale, 1 << 62] as [Int64] {
      for strike in [1, Price.scale, .max] as [Int64] {
        for time in [0, 1, Shelf.day, 11 * 365 * Shelf.day, .max - Shelf.now] as [Int64] {
          for type in [1, 2] as [UInt8] {
            let expiry = Timestamp(raw: Shelf.now + time)
            let option = Instrument(
              id: InstrumentID(0), underlying: UnderlyingID(0), kind: .option,
              optionTypeCode: type, strike: Price(raw: strike), expiry: expiry,
              tick: Price(raw: 1), lot: Quantity(raw: 1), orderQuantityMax: Quantity(raw: 1),
              priceMax: Price(raw: 1))
            var market = UnderlyingMarket(index: Price(raw: index), time: Timestamp(raw: Shelf.now))
            market.slices = [
              ExpirySlice(
                expiry: expiry, forward: market.index,
                surface: SurfaceSlice(
                  a: 4_000_000_000_000, b: 1_000_000_000_000, rho: 999_999_999_999,
                  m: -4_000_000_000_000, sigma: 4_000_000_000_000),
                time: market.time)
            ]
            table.update(option, market: market)
            let mark = table.mark(option.id).raw
            #expect(mark >= 0)
          }
        }
      }
    }
  }

  struct FeeRow: Sendable {
    let price: Int64, quantity: Int64, rate: Int64, fee: Int64
  }

  @Test(
    "12: a fee is rounded up, twice, and free is free",
    arguments: [
      FeeRow(price: 1, quantity: 1, rate: 0, fee: 0),
      FeeRow(price: 1, quantity: 1, rate: 1, fee: 1),
      FeeRow(price: 1, quantity: -1, rate: 1, fee: 1),
      FeeRow(price: 100_000_000_000, quantity: 100_000_000, rate: 500_000, fee: 500_000),
      FeeRow(price: 100_000_000_001, quantity: 100_000_000, rate: 500_000, fee: 500_001),
      FeeRow(price: 100_000_000_000, quantity: -250_000_000, rate: 100_000, fee: 250_000),
      FeeRow(
        price: 1 << 43, quantity: 1 << 50, rate: 50_000_000, fee: 49_517_601_571_415_211),
    ])
  func fees(row: FeeRow) {
    let fee = Fees.fee(
      Price(raw: row.price), Quantity(raw: row.quantity), rate: Ratio(raw: row.rate))
    #expect(fee.raw == row.fee)
  }
}
