import Instruments
import Primitives
import Wire

extension ClearingMachine {
  /// The first thing in loaded pools that a walk over them would stumble on: a link that leads
  /// nowhere, a list that is no list. Bytes from a file are checked before they are hashed.
  func structureFault() -> String? {
    guard status.count == 1 else { return "expected one status record, found \(status.count)" }
    guard funds.count == genesis.assets.count else { return "funds do not fit the assets" }
    guard indices.count == genesis.underlyings.count else {
      return "indices do not fit the underlyings"
    }
    for slot in 0..<instruments.count {
      guard instruments[slot].id.index == slot,
        instruments[slot].underlying.index < genesis.underlyings.count,
        instruments[slot].fault == nil
      else { return "instrument \(slot)" }
    }
    for slot in 0..<slices.count
    where slices[slot].underlying.index >= genesis.underlyings.count {
      return "underlying of slice \(slot)"
    }
    for index in 0..<accounts.count {
      guard hasSoundPositions(index) else { return "positions of account \(index)" }
      guard hasSoundBalances(index) else { return "balances of account \(index)" }
    }
    return nil
  }

  /// Instruments rise along the list, so it cannot run in a circle.
  private func hasSoundPositions(_ account: Int) -> Bool {
    var next = Int(accounts[account].firstPosition)
    var last = -1
    var count: UInt32 = 0
    while next != 0 {
      guard next <= positions.count else { return false }
      let record = positions[next - 1]
      guard record.account.index == account, record.isUsed == 1, record.instrument.index > last,
        record.instrument.index < instruments.count
      else { return false }
      last = record.instrument.index
      count += 1
      next = Int(record.next)
    }
    return count == accounts[account].positionCount
  }

  private func hasSoundBalances(_ account: Int) -> Bool {
    var next = Int(accounts[account].firstBalance)
    var last = -1
    while next != 0 {
      guard next <= balances.count else { return false }
      let record = balances[next - 1]
      guard record.account.index == account, record.asset.index > last,
        record.asset.index < genesis.assets.count
      else { return false }
      last = record.asset.index
      next = Int(record.next)
    }
    return true
  }
}
