public import Instruments
import Pricing
public import Primitives

/// Mark and unit risk vector of every instrument, from one market record.
///
/// A unit vector holds, for each scenario, the covered change of value of one contract in price
/// units (1e-8). It is computed once per instrument and market change; portfolios are sums.
@safe public struct RiskTable: ~Copyable {
  var units: UnsafeMutablePointer<Int64>
  /// The same to 16 bits, for `worst(of:)`: unit ≈ brief · 2^exponent.
  var briefs: UnsafeMutablePointer<Int16>
  var exponents: [Int8] = []
  private var capacity = 64
  @usableFromInline var marks: [Price] = []
  @usableFromInline var priced: [Bool] = []
  @usableFromInline var times: [Timestamp] = []
  private var spans: [Ratio] = []
  private var unitCharges: [UnitCharges] = []
  /// What is asked on entry for size, and of how many instruments anything is.
  var sizes: [SizeCharge] = []
  var sizedCount = 0
  /// What is asked on entry beside a requirement's core, as a share of it, while the quote asset
  /// stands below its peg.
  public private(set) var pegShare = Ratio.zero
  /// Since they were last forgotten: see `drift`.
  private var drifts: [Int128] = []
  /// The terms lie apart: they are large, and whoever lends the table copies its own bytes.
  private var method: Method

  private final class Method: Sendable {
    let parameters: MarginParameters
    let grid: UnitGrid

    init(_ terms: MarginTerms) {
      parameters = MarginParameters(terms)
      grid = UnitGrid(terms)
    }
  }

  var parameters: MarginParameters { method.parameters }
  var grid: UnitGrid { method.grid }

  /// Of the method's terms.
  public init(_ terms: MarginTerms = .novate32) {
    method = Method(terms)
    unsafe units = .allocate(capacity: capacity * ScenarioSet.count)
    unsafe units.initialize(repeating: 0, count: capacity * ScenarioSet.count)
    unsafe briefs = .allocate(capacity: capacity * ScenarioSet.count)
    unsafe briefs.initialize(repeating: 0, count: capacity * ScenarioSet.count)
  }

  deinit {
    unsafe units.deallocate()
    unsafe briefs.deallocate()
  }

  /// Whether the instrument has a mark.
  @inlinable @inline(__always) public func isPriced(_ instrument: InstrumentID) -> Bool {
    instrument.index < priced.count && priced[instrument.index]
  }

  /// The mark in force; zero while there is none.
  @inlinable @inline(__always) public func mark(_ instrument: InstrumentID) -> Price {
    instrument.index < marks.count ? marks[instrument.index] : .zero
  }

  /// When the oldest oracle word behind the mark was true; `.latest` for a fixed settlement price.
  @inlinable @inline(__always) public func time(_ instrument: InstrumentID) -> Timestamp {
    instrument.index < times.count ? times[instrument.index] : .zero
  }

  /// Whether any instrument asks anything for size.
  @inline(__always) public var asksForSize: Bool { sizedCount > 0 }

  /// Takes other terms of the method; what was priced is to be priced anew.
  public mutating func use(_ terms: MarginTerms) { method = Method(terms) }

  /// Takes over what the quote asset is worth; nil or zero, no word of it, asks nothing.
  public mutating func setQuoteWorth(_ price: Price?) {
    guard let price, price.raw > 0 else { return pegShare = .zero }
    pegShare = parameters.depeg.share(worth: price)
  }

  @inline(__always) func charges(_ instrument: InstrumentID) -> UnitCharges {
    unitCharges[instrument.index]
  }

  /// How far the scan's two volatilities of an option lie apart, 1e-9; zero for what has none.
  public func volatilitySpan(_ instrument: InstrumentID) -> Ratio {
    instrument.index < spans.count ? spans[instrument.index] : .zero
  }

  /// The covered change of one contract's value under `scenario`.
  public func unit(_ instrument: InstrumentID, _ scenario: Int) -> Price {
    precondition(instrument.index < marks.count && scenario >= 0 && scenario < ScenarioSet.count)
    return Price(raw: unsafe units[instrument.index * ScenarioSet.count + scenario])
  }

  /// Prices one instrument from its underlying's market; a settled instrument has no mark.
  public mutating func update(_ instrument: Instrument, market: UnderlyingMarket) {
    reserve(instrument.id.index)
    defer { updateSize(instrument, spot: market.index) }
    guard instrument.status != .settled,
      let valuation = Valuation.of(instrument, market: market, grid)
    else { return update(instrument.id, nil, .none) }
    var charges = UnitCharges.none
    if instrument.status != .settling {
      charges = UnitCharges(
        instrument.isOption ? .option : .contract, delta: valuation.delta, spot: market.index,
        parameters.minimum)
      if instrument.expires, instrument.expiry != market.front {
        let slice = market.slice(instrument.expiry)
        charges.tilt(
          parameters.basis, delta: valuation.delta, forward: slice?.forward ?? market.index,
          time: max(0, instrument.expiry.raw - (slice?.time ?? market.time).raw),
          expiry: instrument.expiry.raw)
      }
      charges.doubt(
        parameters.confidence, confidence: Ratio(raw: Ratio.scale - market.doubt.raw),
        spot: market.index)
    }
    update(instrument.id, valuation, charges)
  }

  /// At least what equity less initial margin of one contract's holder may have changed by since
  /// `forgetDrift`, in price units: mark in equity and relief, the widest scenario, each charge.
  @inline(__always) public func drift(_ instrument: InstrumentID) -> Int128 {
    drifts[instrument.index]
  }

  public mutating func forgetDrift() {
    for place in drifts.indices { drifts[place] = 0 }
  }

  private mutating func drift(_ place: Int, from mark: Price, _ charges: UnitCharges) {
    let moved = Int128((Int128(marks[place].raw) - Int128(mark.raw)).magnitude)
    drifts[place] += 2 * moved + unitCharges[place].drift(from: charges)
  }

  /// Sets one contract's mark, units and charges; nil takes them away.
  mutating func update(
    _ instrument: InstrumentID, _ valuation: Valuation?, _ charges: UnitCharges
  ) {
    reserve(instrument.index)
    let place = instrument.index
    let old = (mark: marks[place], charges: unitCharges[place])
    defer { drift(place, from: old.mark, old.charges) }
    unitCharges[place] = charges
    guard let valuation else {
      marks[place] = .zero
      priced[place] = false
      times[place] = .zero
      spans[place] = .zero
      unsafe (units + place * ScenarioSet.count).update(repeating: 0, count: ScenarioSet.count)
      drifts[place] += Int128(Int64.max)
      shorten(place)
      return
    }
    marks[place] = valuation.mark
    priced[place] = true
    times[place] = valuation.time
    spans[place] = valuation.volatilitySpan
    var widest: Int128 = 0
    valuation.writeUnits { scenario, change in
      let before = unsafe units[place * ScenarioSet.count + scenario]
      widest = max(widest, Int128((Int128(change.raw) - Int128(before)).magnitude))
      unsafe units[place * ScenarioSet.count + scenario] = change.raw
    }
    drifts[place] += widest
    shorten(place)
  }

  private mutating func reserve(_ index: Int) {
    while marks.count <= index {
      marks.append(.zero)
      priced.append(false)
      times.append(.zero)
      spans.append(.zero)
      unitCharges.append(.none)
      drifts.append(0)
      sizes.append(.none)
      exponents.append(0)
    }
    guard marks.count > capacity else { return }
    let larger = UnsafeMutablePointer<Int64>.allocate(capacity: capacity * 2 * ScenarioSet.count)
    unsafe larger.update(from: units, count: capacity * ScenarioSet.count)
    unsafe (larger + capacity * ScenarioSet.count).initialize(
      repeating: 0, count: capacity * ScenarioSet.count)
    unsafe units.deallocate()
    unsafe units = larger
    let shorter = UnsafeMutablePointer<Int16>.allocate(capacity: capacity * 2 * ScenarioSet.count)
    unsafe shorter.update(from: briefs, count: capacity * ScenarioSet.count)
    unsafe (shorter + capacity * ScenarioSet.count).initialize(
      repeating: 0, count: capacity * ScenarioSet.count)
    unsafe briefs.deallocate()
    unsafe briefs = shorter
    capacity *= 2
  }
}
