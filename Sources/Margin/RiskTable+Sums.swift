public import Primitives

/// Sums of positions and open orders over the scenarios, and over what execution holds beside them so
/// that its bound covers the charges: the market standing still, longs' or shorts' delta leading,
/// options short.
extension RiskTable {
  /// Adds `quantity` contracts to the scenario sums of `slot`, without charges.
  @inline(__always)
  public func add(
    _ instrument: InstrumentID, _ quantity: Quantity, to sums: inout ScenarioSums, _ slot: Int
  ) {
    let (unit, sum) = unsafe pointers(instrument, &sums, slot)
    let q = Int128(quantity.raw)
    for s in 0..<ScenarioSet.count { unsafe sum[s] = sum[s] &+ q &* Int128(unit[s]) }
  }

  /// Takes a position from `before` to `after` in the sums of `slot`, with its charges, and gives the
  /// least of them, as `ScenarioSums.worst`.
  @discardableResult
  public func move(
    _ instrument: InstrumentID, from before: Quantity, to after: Quantity,
    in sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    let charges = self.charges(instrument)
    let change = Int128(after.raw) &- Int128(before.raw)
    let gross = charges.gross(after.raw) &- charges.gross(before.raw)
    let beside = Beside(charges, after) - Beside(charges, before)
    return sweep(instrument, &sums, slot, still: 0, beside) { unit in change &* unit &- gross }
  }

  /// Adds an open order's worst contribution to the sums of `slot`: in each the loss it would bring if
  /// it filled, never a gain. Any subset of fills is covered by the sum.
  @discardableResult
  public func add(
    _ order: OrderExposure, _ instrument: InstrumentID, to sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    let charges = self.charges(instrument)
    let charged = order.charged(charges)
    return sweep(instrument, &sums, slot, still: order.entry, Beside(charges, order)) { unit in
      order.loss(unit, charged)
    }
  }

  /// Takes an open order's contribution back.
  @discardableResult
  public func remove(
    _ order: OrderExposure, _ instrument: InstrumentID, from sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    let charges = self.charges(instrument)
    let charged = order.charged(charges)
    let beside = Beside() - Beside(charges, order)
    return sweep(instrument, &sums, slot, still: 0 &- order.entry, beside) { unit in
      0 &- order.loss(unit, charged)
    }
  }

  /// Turns what `order` had filled into a position that grew by `quantity` to `after`: takes the order's
  /// contribution back, adds that of what is left of it, if anything, and the contracts, in one pass.
  @discardableResult
  public func fill(
    _ order: OrderExposure, leaving rest: OrderExposure?, _ quantity: Quantity,
    after: Quantity, _ instrument: InstrumentID, in sums: inout ScenarioSums, _ slot: Int
  ) -> Notional {
    let charges = self.charges(instrument)
    let before = Quantity(raw: after.raw &- quantity.raw)
    let q = Int128(quantity.raw)
    let gross = charges.gross(after.raw) &- charges.gross(before.raw)
    let charged = order.charged(charges)
    var beside = Beside(charges, after) - Beside(charges, before) - Beside(charges, order)
    guard let rest else {
      return sweep(instrument, &sums, slot, still: 0 &- order.entry, beside) { unit in
        q &* unit &- gross &- order.loss(unit, charged)
      }
    }
    beside = beside + Beside(charges, rest)
    let restCharged = rest.charged(charges)
    return sweep(instrument, &sums, slot, still: rest.entry &- order.entry, beside) { unit in
      q &* unit &- gross &- order.loss(unit, charged) &+ rest.loss(unit, restCharged)
    }
  }

  /// Moves every sum of a slot by what `change` makes of the scenario's unit, the others by `still` and
  /// `beside`; gives the least after. The bound on `ScenarioSums` excludes overflow.
  @inline(__always)
  private func sweep(
    _ instrument: InstrumentID, _ sums: inout ScenarioSums, _ slot: Int, still: Int128,
    _ beside: Beside, _ change: (Int128) -> Int128
  ) -> Notional {
    let (unit, sum) = unsafe pointers(instrument, &sums, slot)
    var least = unsafe sum[ScenarioSet.count] &+ still
    unsafe sum[ScenarioSet.count] = least
    for s in 0..<ScenarioSet.count {
      let now = unsafe sum[s] &+ change(Int128(unit[s]))
      unsafe sum[s] = now
      least = min(least, now)
    }
    for place in 0..<Beside.count {
      let word = ScenarioSet.count + 1 + place
      let now = unsafe sum[word] &+ beside.words[place]
      unsafe sum[word] = now
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
    let charges = self.charges(instrument)
    let charged = order.charged(charges)
    var least = unsafe sum[ScenarioSet.count] &+ order.entry
    for s in 0..<ScenarioSet.count {
      least = unsafe min(least, sum[s] &+ order.loss(Int128(unit[s]), charged))
    }
    let beside = Beside(charges, order)
    for place in 0..<Beside.count {
      least = unsafe min(least, sum[ScenarioSet.count + 1 + place] &+ beside.words[place])
    }
    return Notional(raw: min(0, least))
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

/// What something adds to the four sums that are no scenarios: the market standing still with its
/// charges, longs' delta leading, shorts' delta leading, options short.
private struct Beside {
  static let count = 4
  var words = InlineArray<4, Int128>(repeating: 0)

  init() {}

  @inline(__always)
  init(_ charges: UnitCharges, _ position: Quantity) {
    let gross = 0 &- charges.gross(position.raw)
    let delta = charges.delta(position.raw)
    words[0] = gross
    words[1] = gross &- delta.rising
    words[2] = gross &- delta.falling
    words[3] = gross &- charges.short(position.raw)
  }

  @inline(__always)
  init(_ charges: UnitCharges, _ order: OrderExposure) {
    let charged = order.charged(charges)
    let delta = charges.delta(order.quantity)
    words[0] = charged
    words[1] = min(0, charged &- delta.rising)
    words[2] = min(0, charged &- delta.falling)
    words[3] = min(0, charged &- charges.short(order.quantity))
  }

  @inline(__always)
  static func + (a: Beside, b: Beside) -> Beside {
    var sum = a
    for place in 0..<count { sum.words[place] = a.words[place] &+ b.words[place] }
    return sum
  }

  @inline(__always)
  static func - (a: Beside, b: Beside) -> Beside {
    var difference = a
    for place in 0..<count { difference.words[place] = a.words[place] &- b.words[place] }
    return difference
  }
}
