public import Primitives

/// A position as a recheck of a whole account sees it.
@frozen public struct PositionExposure: Sendable, BitwiseCopyable {
  public let instrument: InstrumentID
  public let quantity: Quantity

  @inlinable public init(_ instrument: InstrumentID, _ quantity: Quantity) {
    self.instrument = instrument
    self.quantity = quantity
  }
}

/// The worst scenario of many accounts after a change of prices.
///
/// Thirty-two exact sums of 128-bit products an account cost more than the same in floating point. So the
/// sums are first formed from 16-bit units and weights, whose error is bounded; only scenarios that
/// could be the least are then summed exactly. The bound decides what is computed, never the result.
extension RiskTable {
  /// More positions than this are summed exactly at once.
  static let briefCountMax = 64

  /// Makes an instrument's 16-bit units: the largest keeps fifteen bits beside its sign.
  mutating func shorten(_ place: Int) {
    let unit = unsafe units + place * ScenarioSet.count
    var largest: UInt64 = 0
    for scenario in 0..<ScenarioSet.count { largest |= unsafe unit[scenario].magnitude }
    let exponent = max(0, 64 - largest.leadingZeroBitCount - 14)
    // At most 2^14 after rounding: |error| ≤ half a step.
    let half: Int64 = exponent == 0 ? 0 : 1 << Int64(exponent - 1)
    for scenario in 0..<ScenarioSet.count {
      let (sum, overflow) = unsafe unit[scenario].addingReportingOverflow(half)
      let rounded = overflow ? 1 << 14 : sum >> Int64(exponent)
      unsafe briefs[place * ScenarioSet.count + scenario] = Int16(truncatingIfNeeded: rounded)
    }
    exponents[place] = Int8(truncatingIfNeeded: exponent)
  }

  /// The least scenario sum of positions alone, at most zero: what `add` for each and `worst` would
  /// give, without keeping sums.
  ///
  /// - Precondition: all stand in this table, within the bound on `ScenarioSums`.
  public func worst(of positions: Span<PositionExposure>) -> Notional {
    for place in positions.indices {
      precondition(positions[place].instrument.index < marks.count, "a position has units")
    }
    guard positions.count > 1, positions.count <= RiskTable.briefCountMax else {
      var least: Int128 = 0
      for scenario in 0..<ScenarioSet.count { least = min(least, sum(positions, scenario)) }
      return Notional(raw: least)
    }
    var sums = InlineArray<32, Int32>(repeating: 0)
    let bound = briefSums(positions, &sums)
    var lowest = Int32.max
    for scenario in 0..<ScenarioSet.count { lowest = min(lowest, sums[scenario]) }
    // Each sum is off by less than `bound`: a scenario above `reach` cannot be the least, and none above
    // `bound` is below zero.
    let reach = min(Int64(lowest) &+ 2 &* bound, bound)
    var least: Int128 = 0
    for scenario in 0..<ScenarioSet.count where Int64(sums[scenario]) <= reach {
      least = min(least, sum(positions, scenario))
    }
    return Notional(raw: least)
  }

  /// One scenario's sum, exactly; wraps never by the bound on `ScenarioSums`.
  @inline(__always)
  private func sum(_ positions: Span<PositionExposure>, _ scenario: Int) -> Int128 {
    var total: Int128 = 0
    for place in positions.indices {
      let position = unsafe positions[unchecked: place]
      let unit = unsafe units[position.instrument.index &* ScenarioSet.count &+ scenario]
      total &+= Int128(position.quantity.raw) &* Int128(unit)
    }
    return total
  }

  /// Adds brief × weight of every position, all in one unit of 2^E, and gives what any of the sums may be
  /// off by.
  ///
  /// With q = 2^(E−e)(w + δ) and u = 2^e(v + ε), |δ|, |ε| ≤ ½, the product is off by at most |w|/2 +
  /// |v|/2 + ¼. |v| ≤ 2^14, and |w| ≤ 2^(16−k) for up to 2^k positions: sums stay below 2^30.
  @inline(__always)
  private func briefSums(
    _ positions: Span<PositionExposure>, _ sums: inout InlineArray<32, Int32>
  ) -> Int64 {
    let count = positions.count
    // A weight of 14 bits or less fits a word of 16, which multiplies eight at a time.
    let weightBits = min(14, 16 &- (64 &- UInt64(count &- 1).leadingZeroBitCount))
    var top = 0
    for place in positions.indices {
      let position = unsafe positions[unchecked: place]
      let bits = 64 &- position.quantity.raw.magnitude.leadingZeroBitCount
      top = max(top, bits &+ Int(unsafe exponents.span[unchecked: position.instrument.index]))
    }
    let unitBits = top &- weightBits
    var bound = Int64(count) &* ((1 &<< 13) &+ 1)
    for place in positions.indices {
      let position = unsafe positions[unchecked: place]
      let index = position.instrument.index
      let shift = unitBits &- Int(unsafe exponents.span[unchecked: index])
      let weight = Int16(truncatingIfNeeded: shifted(position.quantity.raw, shift))
      bound &+= Int64(weight.magnitude &>> 1) &+ 1
      let brief = unsafe briefs + index &* ScenarioSet.count
      for scenario in 0..<ScenarioSet.count {
        sums[scenario] &+= unsafe Int32(weight) &* Int32(brief[scenario])
      }
    }
    return bound
  }

  /// value / 2^shift to nearest; a negative shift multiplies, which fits by the choice of the unit.
  @inline(__always)
  private func shifted(_ value: Int64, _ shift: Int) -> Int64 {
    if shift <= 0 { return value &<< Int64(0 &- shift) }
    if shift > 63 { return 0 }
    // |value| < 2^63 and half ≤ 2^61: the sum is formed on the halves.
    return ((value &>> Int64(shift &- 1)) &+ 1) &>> 1
  }
}
