public import Instruments
import Pricing
public import Primitives

/// Mark and unit risk vector of every instrument, from one market record.
///
/// A unit vector holds, for each scenario, the covered change of value of one contract in price
/// units (1e-8). It is computed once per instrument and market change; portfolios are sums.
@safe public struct RiskTable: ~Copyable {
  private var units: UnsafeMutablePointer<Int64>
  private var capacity = 64
  private var marks: [Price] = []
  private var priced: [Bool] = []

  public init() {
    unsafe units = .allocate(capacity: capacity * ScenarioSet.count)
    unsafe units.initialize(repeating: 0, count: capacity * ScenarioSet.count)
  }

  deinit { unsafe units.deallocate() }

  /// Whether the instrument has a mark.
  @inline(__always) public func isPriced(_ instrument: InstrumentID) -> Bool {
    instrument.index < priced.count && priced[instrument.index]
  }

  /// The mark in force; zero while there is none.
  @inline(__always) public func mark(_ instrument: InstrumentID) -> Price {
    instrument.index < marks.count ? marks[instrument.index] : .zero
  }

  /// The covered change of one contract's value under `scenario`.
  public func unit(_ instrument: InstrumentID, _ scenario: Int) -> Price {
    precondition(instrument.index < marks.count && scenario >= 0 && scenario < ScenarioSet.count)
    return Price(raw: unsafe units[instrument.index * ScenarioSet.count + scenario])
  }

  /// Prices one instrument from its underlying's market; a settled instrument has no mark.
  public mutating func update(_ instrument: Instrument, market: UnderlyingMarket) {
    reserve(instrument.id.index)
    let place = instrument.id.index
    guard instrument.status != .settled,
      let valuation = Valuation.of(instrument, market: market)
    else {
      marks[place] = .zero
      priced[place] = false
      unsafe (units + place * ScenarioSet.count).update(repeating: 0, count: ScenarioSet.count)
      return
    }
    marks[place] = valuation.mark
    priced[place] = true
    valuation.writeUnits { scenario, change in
      unsafe units[place * ScenarioSet.count + scenario] = change.raw
    }
  }

  private mutating func reserve(_ index: Int) {
    while marks.count <= index {
      marks.append(.zero)
      priced.append(false)
    }
    guard marks.count > capacity else { return }
    let larger = UnsafeMutablePointer<Int64>.allocate(capacity: capacity * 2 * ScenarioSet.count)
    unsafe larger.update(from: units, count: capacity * ScenarioSet.count)
    unsafe (larger + capacity * ScenarioSet.count).initialize(
      repeating: 0, count: capacity * ScenarioSet.count)
    unsafe units.deallocate()
    unsafe units = larger
    capacity *= 2
  }

  // MARK: Sums

  /// Adds `quantity` contracts to the sums of `slot`.
  public func add(_ instrument: InstrumentID, _ quantity: Quantity, to sums: inout ScenarioSums, _ slot: Int) {
    let (unit, sum) = unsafe pointers(instrument, &sums, slot)
    let q = Int128(quantity.raw)
    for s in 0..<ScenarioSet.count { unsafe sum[s] = sum[s] &+ q &* Int128(unit[s]) }
  }

  /// Adds an open order's worst contribution to the sums of `slot`: in each scenario the loss it
  /// would bring if it filled, never a gain. Any subset of fills is covered by the sum.
  public func add(_ order: OrderExposure, _ instrument: InstrumentID, to sums: inout ScenarioSums, _ slot: Int) {
    let (unit, sum) = unsafe pointers(instrument, &sums, slot)
    let q = Int128(order.quantity)
    for s in 0..<ScenarioSet.count {
      unsafe sum[s] = sum[s] &+ min(0, q &* Int128(unit[s]) &+ order.entry)
    }
    unsafe sum[ScenarioSet.count] = sum[ScenarioSet.count] &+ order.entry
  }

  /// Takes an open order's contribution back.
  public func remove(_ order: OrderExposure, _ instrument: InstrumentID, from sums: inout ScenarioSums, _ slot: Int) {
    let (unit, sum) = unsafe pointers(instrument, &sums, slot)
    let q = Int128(order.quantity)
    for s in 0..<ScenarioSet.count {
      unsafe sum[s] = sum[s] &- min(0, q &* Int128(unit[s]) &+ order.entry)
    }
    unsafe sum[ScenarioSet.count] = sum[ScenarioSet.count] &- order.entry
  }

  /// The least sum `slot` would have with the order, at most zero. Changes nothing.
  public func worst(with order: OrderExposure, _ instrument: InstrumentID, in sums: borrowing ScenarioSums, _ slot: Int)
    -> Notional
  {
    precondition(isPriced(instrument) && slot >= 0 && slot < sums.count)
    let unit = unsafe units + instrument.index * ScenarioSet.count
    let sum = unsafe sums.base + slot * ScenarioSums.wordCount
    let q = Int128(order.quantity)
    var least = unsafe sum[ScenarioSet.count] &+ order.entry
    for s in 0..<ScenarioSet.count {
      least = unsafe min(least, sum[s] &+ min(0, q &* Int128(unit[s]) &+ order.entry))
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
