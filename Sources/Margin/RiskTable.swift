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
  private(set) var marks: [Price] = []
  private var priced: [Bool] = []
  private var times: [Timestamp] = []
  private var spans: [Ratio] = []

  public init() {
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
  @inline(__always) public func isPriced(_ instrument: InstrumentID) -> Bool {
    instrument.index < priced.count && priced[instrument.index]
  }

  /// The mark in force; zero while there is none.
  @inline(__always) public func mark(_ instrument: InstrumentID) -> Price {
    instrument.index < marks.count ? marks[instrument.index] : .zero
  }

  /// When the oldest oracle word behind the mark was true; `.latest` for a fixed settlement price.
  @inline(__always) public func time(_ instrument: InstrumentID) -> Timestamp {
    instrument.index < times.count ? times[instrument.index] : .zero
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
    let isOver = instrument.status == .settled
    update(instrument.id, isOver ? nil : Valuation.of(instrument, market: market))
  }

  /// Sets one contract's mark and units; nil takes them away.
  mutating func update(_ instrument: InstrumentID, _ valuation: Valuation?) {
    reserve(instrument.index)
    let place = instrument.index
    guard let valuation else {
      marks[place] = .zero
      priced[place] = false
      times[place] = .zero
      spans[place] = .zero
      unsafe (units + place * ScenarioSet.count).update(repeating: 0, count: ScenarioSet.count)
      shorten(place)
      return
    }
    marks[place] = valuation.mark
    priced[place] = true
    times[place] = valuation.time
    spans[place] = valuation.volatilitySpan
    valuation.writeUnits { scenario, change in
      unsafe units[place * ScenarioSet.count + scenario] = change.raw
    }
    shorten(place)
  }

  private mutating func reserve(_ index: Int) {
    while marks.count <= index {
      marks.append(.zero)
      priced.append(false)
      times.append(.zero)
      spans.append(.zero)
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

  // MARK: Sums

  /// Adds `quantity` contracts to the sums of `slot` and gives the least of them, as
  /// `ScenarioSums.worst`.
  @discardableResult
  public func add(
    _ instrument: InstrumentID, _ quantity: Quantity, to sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    let q = Int128(quantity.raw)
    return sweep(instrument, &sums, slot, still: 0) { unit in q &* unit }
  }

  /// Adds an open order's worst contribution to the sums of `slot`: in each scenario the loss it
  /// would bring if it filled, never a gain. Any subset of fills is covered by the sum.
  @discardableResult
  public func add(
    _ order: OrderExposure, _ instrument: InstrumentID, to sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    sweep(instrument, &sums, slot, still: order.entry) { unit in order.loss(unit) }
  }

  /// Takes an open order's contribution back.
  @discardableResult
  public func remove(
    _ order: OrderExposure, _ instrument: InstrumentID, from sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    sweep(instrument, &sums, slot, still: 0 &- order.entry) { unit in 0 &- order.loss(unit) }
  }

  /// Turns what `order` had filled into a position: takes its contribution back, adds that of what
  /// is left of it, if anything, and the contracts, in one pass.
  @discardableResult
  public func fill(
    _ order: OrderExposure, leaving rest: OrderExposure?, _ quantity: Quantity,
    _ instrument: InstrumentID, in sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    let q = Int128(quantity.raw)
    guard let rest else {
      return sweep(instrument, &sums, slot, still: 0 &- order.entry) { unit in
        q &* unit &- order.loss(unit)
      }
    }
    return sweep(instrument, &sums, slot, still: rest.entry &- order.entry) { unit in
      q &* unit &- order.loss(unit) &+ rest.loss(unit)
    }
  }

  /// Moves every sum of a slot by what `change` makes of the scenario's unit, and the last one by
  /// `still`; gives the least after. The bound on `ScenarioSums` excludes overflow.
  @inline(__always)
  private func sweep(
    _ instrument: InstrumentID, _ sums: inout ScenarioSums, _ slot: Int, still: Int128,
    _ change: (Int128) -> Int128
  ) -> Notional {
    let (unit, sum) = unsafe pointers(instrument, &sums, slot)
    var least = unsafe sum[ScenarioSet.count] &+ still
    unsafe sum[ScenarioSet.count] = least
    for s in 0..<ScenarioSet.count {
      let now = unsafe sum[s] &+ change(Int128(unit[s]))
      unsafe sum[s] = now
      least = min(least, now)
    }
    return Notional(raw: min(0, least))
  }

  /// The least sum `slot` would have with the order, at most zero. Changes nothing.
  public func worst(
    with order: OrderExposure, _ instrument: InstrumentID, in sums: borrowing ScenarioSums,
    _ slot: Int
  ) -> Notional {
    precondition(isPriced(instrument) && slot >= 0 && slot < sums.count)
    let unit = unsafe units + instrument.index * ScenarioSet.count
    let sum = unsafe sums.base + slot * ScenarioSums.wordCount
    var least = unsafe sum[ScenarioSet.count] &+ order.entry
    for s in 0..<ScenarioSet.count {
      least = unsafe min(least, sum[s] &+ order.loss(Int128(unit[s])))
    }
    return Notional(raw: least)
  }

  private func pointers(_ instrument: InstrumentID, _ sums: inout ScenarioSums, _ slot: Int)
    -> (UnsafeMutablePointer<Int64>, UnsafeMutablePointer<Int128>)
  {
    precondition(instrument.index < marks.count && slot >= 0 && slot < sums.count)
    return unsafe (
      units + instrument.index * ScenarioSet.count, sums.base + slot * ScenarioSums.wordCount
    )
  }
}
