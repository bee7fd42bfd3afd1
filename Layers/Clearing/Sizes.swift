import Margin
public import Primitives
import Wire

// What is asked on entry for size (Protocol 10.8): by how much of a contract is open, and by how much of
// it one owner has. It holds back money that would leave; no account is closed by it, so the watch,
// auctions and the proof of a close know nothing of it.

extension ClearingMachine {
  /// Open interest of every instrument, counted anew.
  func countOpenInterest() -> [Int128] {
    var open = [Int128](repeating: 0, count: instruments.count)
    for slot in 0..<positions.count where positions[slot].isUsed == 1 {
      open[positions[slot].instrument.index] += Int128(max(0, positions[slot].quantity.raw))
    }
    return open
  }

  /// Keeps the open interest of a position that changes.
  @inline(__always)
  mutating func noteInterest(
    _ instrument: InstrumentID, from before: Quantity, to after: Quantity
  ) {
    while openInterest.count <= instrument.index { openInterest.append(0) }
    openInterest[instrument.index] &+= Int128(max(0, after.raw)) &- Int128(max(0, before.raw))
  }

  /// Contracts of an instrument that are open, 1e-8: the sum of all that are held.
  public func openInterest(_ instrument: InstrumentID) -> Int128 {
    instrument.index < openInterest.count ? openInterest[instrument.index] : 0
  }

  /// What an account's sizes ask beside its requirement, in notional units.
  func sizeCharge(_ account: AccountID) -> Int128 {
    guard table.asksForSize else { return 0 }
    let beside = countedBeside(account)
    var charge: Int128 = 0
    forEachPosition(account) { _, position in
      let size = table.size(position.instrument)
      guard size.isOn else { return }
      let quantity = Int128(position.quantity.raw)
      charge += size.crowding(quantity, openInterest: openInterest(position.instrument))
      charge += size.concentration(
        size.counted(quantity), beside: beside.isEmpty ? 0 : beside[position.instrument.index])
    }
    return charge
  }

  /// By instrument, what the owner's other accounts have that counts; nothing where there are none.
  func countedBeside(_ account: AccountID) -> [Int128] {
    let group = groups.group(of: account)
    guard group.count > 1 else { return [] }
    var sums = [Int128](repeating: 0, count: instruments.count)
    for other in group where other != account {
      forEachPosition(other) { _, position in
        let size = table.size(position.instrument)
        sums[position.instrument.index] += size.counted(Int128(position.quantity.raw))
      }
    }
    return sums
  }
}
