public import Primitives
import Wire

extension ClearingMachine {
  /// Stops the process unless the batch moved value without making or losing any: per asset, the
  /// change of balances (a position's cost counts against its owner's cash), insurance, fees,
  /// rounding, funding and recoveries not yet repaid equals deposits less withdrawals. Costs one pass over what was touched.
  func checkConservation() {
    var change = Array(repeating: Int128(0), count: genesis.assets.count)
    for index in 0..<accounts.touchedCount {
      let now = accounts[accounts.touchedSlot(index)].cash.raw
      change[0] += Int128(now) - Int128(accounts.touchedOld(index).cash.raw)
    }
    for index in 0..<positions.touchedCount {
      let now = positions[positions.touchedSlot(index)].cost.raw
      change[0] -= Int128(now) - Int128(positions.touchedOld(index).cost.raw)
    }
    for index in 0..<balances.touchedCount {
      let record = balances[balances.touchedSlot(index)]
      change[record.asset.index] +=
        Int128(record.amount.raw) - Int128(balances.touchedOld(index).amount.raw)
    }
    for index in 0..<funds.touchedCount {
      let asset = funds.touchedSlot(index)
      change[asset] += funds[asset].held - funds.touchedOld(index).held
    }
    for index in 0..<payouts.touchedCount {
      let now = payouts[payouts.touchedSlot(index)].tranche.raw
      change[0] += Int128(now) - Int128(payouts.touchedOld(index).tranche.raw)
    }
    for index in 0..<epochs.touchedCount {
      change[0] += epochs[epochs.touchedSlot(index)].held - epochs.touchedOld(index).held
    }
    for asset in change.indices {
      precondition(
        change[asset] == 0,
        "batch \(status[0].batch): asset \(asset) is off by \(change[asset]) units")
    }
  }

  /// The same over the whole state: what all accounts, insurance, fees, rounding, funding and
  /// recoveries hold, less deposits plus withdrawals. Zero, always.
  public func imbalance(_ asset: AssetID) -> Int128 {
    var total = funds[asset.index].held
    if asset == .quote {
      for index in 0..<accounts.count { total += Int128(accounts[index].cash.raw) }
      for index in 0..<payouts.count { total += Int128(payouts[index].tranche.raw) }
      for index in 0..<epochs.count { total += epochs[index].held }
      for index in 0..<positions.count { total -= Int128(positions[index].cost.raw) }
    } else {
      for index in 0..<balances.count where balances[index].asset == asset {
        total += Int128(balances[index].amount.raw)
      }
    }
    return total
  }
}

extension EpochRecord {
  /// Recovered, and not yet with those it is owed to.
  fileprivate var held: Int128 { Int128(recovered.raw) - Int128(repaid.raw) }
}

extension FundRecord {
  /// The house's own share less what users brought and not yet took.
  fileprivate var held: Int128 {
    Int128(insurance) + Int128(fees) + Int128(rounding) + Int128(funding) - Int128(deposits)
      + Int128(withdrawals)
  }
}
