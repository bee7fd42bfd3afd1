import Instruments
import Margin
import Primitives
import Risk
import Wire

/// Which accounts need not be weighed when prices move: what was left of equity over initial margin
/// when an account was last weighed, less all that any of its positions may have lost since. While
/// that is above zero nothing of the watch would come of weighing it. Derived, never hashed: it
/// decides what is computed, never a result.
struct Skipping {
  /// By account; zero or less for one to be weighed.
  private var slacks: [Int128] = []
  /// Of each instrument, in price units: what a contract may have lost since accounts were looked at.
  fileprivate var drifts: [Int128] = []
  /// The same of one contract that stands for an asset's collateral.
  fileprivate var collateral: [Int128] = []
  /// Cumulative interest when accounts were last looked at, and its growth since the time before.
  fileprivate var interest: Int128 = 0
  fileprivate var interestGrown: Int128 = 0
  /// What funding moved by since accounts were last looked at, both ways, by slot of the perpetual: an
  /// account may have been weighed between, when it stood elsewhere.
  fileprivate var funding: [Int128] = []
  /// False makes every account be weighed: for a test that compares.
  var isOn = true
  /// Accounts weighed, and left out, since the machine was made.
  var weighed = 0
  var left = 0

  mutating func forgetAll() {
    slacks.removeAll(keepingCapacity: true)
    funding.removeAll(keepingCapacity: true)
    interest = 0
  }

  @inline(__always)
  mutating func forget(_ account: AccountID) {
    if account.index < slacks.count { slacks[account.index] = 0 }
  }

  mutating func noteFunding(_ slot: Int, grown: Int128) {
    while funding.count <= slot { funding.append(0) }
    funding[slot] += Int128(grown.magnitude)
  }

  @inline(__always)
  mutating func note(_ account: AccountID, slack: Int128) {
    while slacks.count <= account.index { slacks.append(0) }
    slacks[account.index] = slack
  }

  @inline(__always)
  fileprivate func slack(_ account: Int) -> Int128 { account < slacks.count ? slacks[account] : 0 }
}

extension ClearingMachine {
  /// What a contract of each instrument may have lost since accounts were last looked at: the drift
  /// of its mark, scenarios and charges, and the growth of its funding; and of each collateral and of
  /// a debt.
  mutating func noteDrift() {
    skipping.drifts.removeAll(keepingCapacity: true)
    for slot in 0..<instruments.count { skipping.drifts.append(table.drift(instruments[slot].id)) }
    table.forgetDrift()
    skipping.collateral.removeAll(keepingCapacity: true)
    for asset in genesis.assets.indices {
      skipping.collateral.append(collaterals.drift(AssetID(UInt16(asset))))
    }
    collaterals.forgetDrift()
    let interest = funds[0].interest.value
    // It grew from nothing: too much for those it finds weighed, never too little.
    skipping.interestGrown = interest - skipping.interest
    skipping.interest = interest
    for slot in skipping.funding.indices {
      // 1e-18 to price units of 1e-8.
      skipping.drifts[perpetuals[slot].instrument.index] +=
        skipping.funding[slot].divided(by: 10_000_000_000, rounding: .up)
      skipping.funding[slot] = 0
    }
  }

  /// Whether an account surely meets initial margin still, so that the watch has nothing to do; takes
  /// what it may have lost from its slack. Restricted accounts and those touched are always weighed.
  @inline(__always)
  mutating func canSkip(_ index: Int) -> Bool {
    let record = accounts[index]
    var slack = skipping.slack(index)
    guard skipping.isOn, slack > 0, record.firstPosition != 0, !record.isRestricted,
      !touched.isTouched(AccountID(UInt32(index)))
    else {
      skipping.weighed += 1
      return false
    }
    var next = record.firstPosition
    while next != 0 {
      let position = positions[Int(next) - 1]
      next = position.next
      let drift = skipping.drifts[position.instrument.index]
      // Beyond this no account has so much slack, and the product would leave its word.
      guard drift < 1 << 56 else { slack = 0; break }
      // Funding is rounded up to money once for every look.
      slack -= Int128(position.quantity.raw.magnitude) &* drift &+ Notional.perMoney
    }
    if record.firstBalance != 0 || record.cash.raw < 0 { slack -= lostBeside(index) }
    // The mix between underlyings is rounded up twice.
    slack -= 4
    skipping.note(AccountID(UInt32(index)), slack: max(0, slack))
    skipping.left += slack > 0 ? 1 : 0
    skipping.weighed += slack > 0 ? 0 : 1
    return slack > 0
  }
  /// What an account may have lost of collateral and in interest since accounts were last looked at;
  /// beyond all slack where that is too much to say.
  private func lostBeside(_ index: Int) -> Int128 {
    let beyond: Int128 = 1 << 120
    let record = accounts[index]
    var lost: Int128 = 0
    if record.cash.raw < 0 {
      guard skipping.interestGrown < 1 << 62 else { return beyond }
      // A debt below 2^63; rounded up to money once for every look.
      let owed = Int128(record.principal.raw) &* skipping.interestGrown / 1_000_000_000_000_000_000
      lost += (owed + 2) &* Notional.perMoney
    }
    var next = record.firstBalance
    while next != 0 {
      let balance = balances[Int(next) - 1]
      next = balance.next
      let drift = skipping.collateral[balance.asset.index]
      guard drift < 1 << 56 else { return beyond }
      guard collaterals.counts(balance.asset) else { continue }
      // Haircuts and doubt are rounded up each, before and after: less than fourteen units.
      lost += Int128(collaterals.quantity(balance.asset, balance.amount).raw) &* drift &+ 32
    }
    return lost
  }
}
