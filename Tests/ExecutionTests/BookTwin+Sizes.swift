import Instruments
import Margin
import Primitives
import Wire

/// What is asked on entry for size, from the page: Protocol 10.8.
extension BookTwin {
  /// Of an account with these orders resting, and with more held.
  func sizes(_ account: Int, _ open: [Order], _ more: [Int: Int64]) -> Int128 {
    var total: Int128 = 0
    for instrument in instruments.indices where isSized(instrument) {
      func ends(_ account: Int, _ open: [Order], _ more: Int64) -> [Int64] {
        let held = position(account, instrument) + more
        let mine = open.filter { $0.account == account && $0.instrument == instrument }
        return [Side.buy, .sell].map { side in
          held + side.sign * mine.filter { $0.side == side }.reduce(0) { $0 + $1.left }
        }
      }
      let own = ends(account, open, more[instrument] ?? 0)
      var others: Int128 = 0
      for other in accounts.indices
      where other != account && accounts[other].main == accounts[account].main {
        others += ends(other, orders, 0).map { counted(instrument, $0) }.max() ?? 0
      }
      total += own.map { crowding(instrument, $0) }.max() ?? 0
      total += concentration(
        instrument, own.map { counted(instrument, $0) }.max() ?? 0, beside: others)
    }
    return total
  }

  /// Of an account that has exactly so many, its owner's others as they stand.
  func sizes(_ account: Int, _ held: [Int64]) -> Int128 {
    var total: Int128 = 0
    for instrument in instruments.indices where isSized(instrument) {
      var others: Int128 = 0
      for other in accounts.indices
      where other != account && accounts[other].main == accounts[account].main {
        others += counted(instrument, position(other, instrument))
      }
      total += crowding(instrument, held[instrument])
      total += concentration(instrument, counted(instrument, held[instrument]), beside: others)
    }
    return total
  }

  private func isSized(_ instrument: Int) -> Bool {
    let terms = instruments[instrument]
    return terms.dailyVolume.raw > 0 && terms.isListed
      && table.isPriced(InstrumentID(UInt32(instrument)))
  }

  private func spot(_ instrument: Int) -> Int128 {
    Int128(market[instruments[instrument].underlying.index].index.raw)
  }

  private func volumes(_ instrument: Int, _ ratio: Ratio) -> Int128 {
    Int128(instruments[instrument].dailyVolume.raw) * Int128(ratio.raw) / 1_000_000_000
  }

  private func up(_ a: Int128, _ b: Int128) -> Int128 { (a + b - 1) / b }

  private func counted(_ instrument: Int, _ quantity: Int64) -> Int128 {
    instruments[instrument].isOption
      ? Int128(max(0, 0 - quantity)) : Int128(quantity.magnitude)
  }

  private func crowding(_ instrument: Int, _ quantity: Int64) -> Int128 {
    let terms = instruments[instrument]
    var open: Int128 = 0
    for account in accounts { open += Int128(max(0, account.granted[instrument]?.quantity ?? 0)) }
    let (lower, upper) = (
      volumes(instrument, margin.openInterestLower), volumes(instrument, margin.openInterestUpper)
    )
    let share = min(1_000_000_000, up(max(0, open - lower) * 1_000_000_000, upper - lower))
    let id = InstrumentID(UInt32(instrument))
    let units = (0..<32).map { Int128(table.unit(id, $0).raw) }
    var most = spot(instrument)
    if quantity < 0, terms.isOption, !terms.isCall { most = Int128(terms.strike.raw) }
    if quantity > 0, terms.isOption { most = 0 }
    let loss = max(0, quantity > 0 ? 0 - (units.min() ?? 0) : units.max() ?? 0)
    return Int128(quantity.magnitude) * up(max(0, most - loss) * share, 1_000_000_000)
  }

  private func concentration(_ instrument: Int, _ own: Int128, beside others: Int128) -> Int128 {
    var weight: Int128 = 0
    for place in 0..<3 {
      let from = volumes(instrument, margin.slopes[place].from)
      let added = max(0, own + others - from) - max(0, others - from)
      weight += added * Int128(margin.slopes[place].rate.raw)
    }
    return up(weight * spot(instrument), 1_000_000_000)
  }
}
