import Margin
import Primitives
import Wire

// What is asked on entry for size (Protocol 10.8), whichever orders fill. The open interest is that of
// the Clearances adopted; what an owner has counts with fills since and with every resting order.

/// What an order, or a leg that fills, would make of an account's holding.
struct SizeChange {
  var instrument: InstrumentID
  var position: Int64 = 0
  var bids: Int64 = 0
  var asks: Int64 = 0

  /// An order that rests.
  init(resting order: NewOrder, less going: Int64) {
    instrument = order.instrument
    let change = order.quantity.raw - going
    if order.side == .buy { bids = change } else { asks = change }
  }

  /// A leg that fills.
  init(filled leg: NewOrder) {
    instrument = leg.instrument
    position = leg.side.sign * leg.quantity.raw
  }
}

extension ExecutionMachine {
  /// What an account has left under its worst scenario, and for what its sizes ask.
  @inline(__always)
  func room(left account: AccountID) -> Int128 {
    table.asksForSize ? risk.room(account) - sizeCharge(account) : risk.room(account)
  }

  /// What an account's sizes ask at most, whatever fills, with changes that are only thought of.
  func sizeCharge(_ account: AccountID, with changes: [SizeChange] = []) -> Int128 {
    guard table.asksForSize else { return 0 }
    let beside = countedBeside(account)
    var charge: Int128 = 0
    var next = credits[account.index].firstHolding
    while next != 0 {
      let slot = Int(next) - 1
      next = holdings[slot].next
      charge += sizeCharge(holdings[slot].instrument, reach(slot, with: changes), beside)
    }
    for (place, change) in changes.enumerated()
    where holdingSlot(account, change.instrument) == nil
      && !changes[..<place].contains(where: { $0.instrument == change.instrument })
    {
      let own = changes.filter { $0.instrument == change.instrument }
      charge += sizeCharge(change.instrument, Reached(0, 0, 0, own), beside)
    }
    return charge
  }

  /// The least and the most contracts that a holding may come to.
  struct Reached {
    var low: Int128
    var high: Int128

    init(_ position: Int64, _ bids: Int64, _ asks: Int64, _ changes: [SizeChange]) {
      (low, high) = (Int128(position) - Int128(asks), Int128(position) + Int128(bids))
      for change in changes {
        low += Int128(change.position) - Int128(change.asks)
        high += Int128(change.position) + Int128(change.bids)
      }
    }
  }

  private func reach(_ slot: Int, with changes: [SizeChange]) -> Reached {
    let instrument = holdings[slot].instrument
    let own = changes.isEmpty ? changes : changes.filter { $0.instrument == instrument }
    return Reached(holdings[slot].total.raw, resting[slot].bids, resting[slot].asks, own)
  }

  /// Both charges are convex: they are highest at one end of what may come.
  private func sizeCharge(
    _ instrument: InstrumentID, _ reach: Reached, _ beside: [Int128]
  ) -> Int128 {
    let size = table.size(instrument)
    guard size.isOn else { return 0 }
    let open = instrument.index < openInterest.count ? openInterest[instrument.index] : 0
    let crowding = max(
      size.crowding(reach.low, openInterest: open), size.crowding(reach.high, openInterest: open))
    let counted = max(size.counted(reach.low), size.counted(reach.high))
    return crowding
      + size.concentration(counted, beside: beside.isEmpty ? 0 : beside[instrument.index])
  }

  /// By instrument, what the owner's other accounts may come to have that counts; nothing where there
  /// are none. One walk over them, whatever the account itself holds.
  private func countedBeside(_ account: AccountID) -> [Int128] {
    let group = groups.group(of: account)
    guard group.count > 1 else { return [] }
    var sums = [Int128](repeating: 0, count: instruments.count)
    for other in group where other != account {
      var next = credits[other.index].firstHolding
      while next != 0 {
        let slot = Int(next) - 1
        next = holdings[slot].next
        let instrument = holdings[slot].instrument
        let (size, reach) = (table.size(instrument), reach(slot, with: []))
        sums[instrument.index] += max(size.counted(reach.low), size.counted(reach.high))
      }
    }
    return sums
  }

  // MARK: - Open interest

  /// Sets what clearing granted of a holding, and keeps the open interest.
  @inline(__always)
  mutating func grant(_ slot: Int, _ quantity: Quantity) {
    let instrument = holdings[slot].instrument.index
    while openInterest.count <= instrument { openInterest.append(0) }
    openInterest[instrument] &+=
      Int128(max(0, quantity.raw)) &- Int128(max(0, holdings[slot].granted.raw))
    holdings[slot].granted = quantity
  }

  /// Open interest of every instrument as granted, counted anew.
  func countOpenInterest() -> [Int128] {
    var open = [Int128](repeating: 0, count: instruments.count)
    for slot in 0..<holdings.count where holdings[slot].granted.raw > 0 {
      open[holdings[slot].instrument.index] += Int128(holdings[slot].granted.raw)
    }
    return open
  }
}
