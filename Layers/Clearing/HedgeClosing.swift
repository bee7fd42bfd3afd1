import Instruments
import Margin
import Primitives
import Risk
import Wire

// Who closed lots that hedged another position of his closes that one too, in the same step and at
// its mark: against accounts whose requirement falls by it or stays, so that nobody is worse off.

/// A contract that hedges lost what they hedged in.
private struct HedgeGroup {
  var instrument: InstrumentID
  /// Whether those who close it hold it.
  var isLong: Bool
  /// Who closes, in order, and how many lots.
  var wanted: [(account: AccountID, lots: Int64)] = []
  /// Accounts on the other side, in order.
  var holders: [AccountID] = []
}

extension ClearingMachine {
  /// Positions that may close beside one on the same underlying, in the order of instruments: at marks
  /// that stand on fresh words.
  func legs(of account: AccountID, beside id: InstrumentID) -> [Deleveraging.Leg] {
    var legs: [Deleveraging.Leg] = []
    let underlying = instruments[id.index].underlying
    forEachPosition(account) { _, position in
      let instrument = instruments[position.instrument.index]
      guard instrument.id != id, instrument.underlying == underlying, isMarkFresh(instrument.id),
        instrument.status != .settling, !(instrument.expires && instrument.expiry <= time)
      else { return }
      let lots = closableLots(position)
      guard lots > 0 else { return }
      legs.append(
        Deleveraging.Leg(
          instrument: instrument.id, lots: lots,
          unit: unit(of: instrument.id, isLong: position.quantity.raw > 0)))
    }
    return legs
  }

  /// Closes the legs of a plan at their marks, contract after contract, as far as others can take them
  /// without a higher requirement. The account under auction is none of them: its own positions
  /// close at its own price.
  mutating func closeHedges(_ plan: Deleveraging.Plan, of slot: Int) throws(ArithmeticFailure) {
    var groups: [HedgeGroup] = []
    for part in plan.parts {
      guard let id = part.paired, let place = positionSlot(part.account, id) else { continue }
      let isLong = positions[place].quantity.raw > 0
      let wanted = (account: part.account, lots: part.pairedLots)
      if let known = groups.firstIndex(where: { $0.instrument == id && $0.isLong == isLong }) {
        groups[known].wanted.append(wanted)
      } else {
        groups.append(HedgeGroup(instrument: id, isLong: isLong, wanted: [wanted]))
      }
    }
    guard !groups.isEmpty else { return }
    groups.sort { a, b in
      a.instrument == b.instrument ? !a.isLong && b.isLong : a.instrument < b.instrument
    }
    gather(&groups, without: auctions[slot].account)
    for group in groups { try close(group, of: slot) }
  }

  /// Finds who holds the other side of each contract, in one walk over all accounts.
  private func gather(_ groups: inout [HedgeGroup], without account: AccountID) {
    for index in 0..<accounts.count where index != account.index {
      let other = AccountID(UInt32(index))
      guard hasAdopted(accounts[index].closing) else { continue }
      // Both rise by instrument.
      var first = 0
      forEachPosition(other) { _, position in
        while first < groups.count, groups[first].instrument < position.instrument { first += 1 }
        var place = first
        while place < groups.count, groups[place].instrument == position.instrument {
          if groups[place].isLong != (position.quantity.raw > 0) {
            groups[place].holders.append(other)
          }
          place += 1
        }
      }
    }
  }

  private mutating func close(_ group: HedgeGroup, of slot: Int) throws(ArithmeticFailure) {
    let (id, mark) = (group.instrument, table.mark(group.instrument))
    let lot = instruments[id.index].lot.raw
    let asked = Int64(clamping: group.wanted.reduce(Int128(0)) { $0 + Int128($1.lots) })
    let plan: Deleveraging.Plan
    var others: [Deleveraging.Candidate] = []
    for holder in group.holders {
      guard let other = candidate(holder, id, isLong: !group.isLong, loss: 0) else { continue }
      others.append(other)
    }
    do throws(ArithmeticFailure) {
      plan = try Deleveraging.plan(
        others, closing: asked, factor: factors.maintenance, sparing: true)
    } catch {
      return report(nil, of: slot, id, at: mark, asked: asked, among: 0, .beyondFigures)
    }
    report(plan, of: slot, id, at: mark, asked: asked, among: others.count, .hedgeLeg)
    var wanted = group.wanted[...]
    for part in plan.parts where part.lots > 0 {
      accounts[part.account.index].closing = status[0].batch
      var left = part.lots
      while left > 0, let next = wanted.first {
        let lots = min(left, next.lots)
        try exchange(
          .deleveraging, id, Quantity(raw: lots * lot), at: mark,
          buyer: group.isLong ? part.account : next.account,
          seller: group.isLong ? next.account : part.account, auctions[slot].number,
          code: .hedgeLeg, level: Money(raw: plan.first.level))
        left -= lots
        wanted[wanted.startIndex].lots -= lots
        if lots == next.lots { wanted.removeFirst() }
      }
    }
  }
}
