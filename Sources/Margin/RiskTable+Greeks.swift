public import Primitives

extension RiskTable {
  /// What one contract moves by, read off the unit vectors that margin is made from, so that nothing
  /// else need be priced (Protocol 8.10): its value's slope in the index, in contracts of the
  /// underlying, and its change for one point of volatility, between the scan's volatilities. Zeros
  /// where there is no mark or the scan does not move.
  public func greeks(_ instrument: InstrumentID, index: Price) -> (delta: Ratio, vega: Price) {
    guard isPriced(instrument) else { return (.zero, .zero) }
    func unit(_ scenario: Int) -> Int128 { Int128(self.unit(instrument, scenario).raw) }
    let (rise, run, wilder): (Int128, Int128, Int128)
    if let range = grid.span {
      // A third of the range up less a third down, the mean of the two volatilities; volatility alone.
      rise = unit(2) + unit(3) - unit(4) - unit(5)
      run = 4 * Int128(Span16.moves(range, spot: index)[2])
      wilder = unit(0) - unit(1)
    } else {
      rise = (unit(ScenarioSet.fourUp) - unit(ScenarioSet.fourDown)) * 100
      run = 8 * Int128(index.raw)
      wilder = unit(ScenarioSet.wilder) - unit(ScenarioSet.calmer)
    }
    func quotient(_ value: Int128, _ divisor: Int128) -> Int64 {
      divisor == 0 ? 0 : Int64(clamping: value.divided(by: divisor, rounding: .down))
    }
    let span = Int128(volatilitySpan(instrument).raw)
    return (
      Ratio(raw: quotient(rise * Int128(Ratio.scale), run)),
      Price(raw: quotient(wilder * 10_000_000, span))
    )
  }
}
