import Instruments
import Margin
import Primitives
import Risk
import Wire

/// Which accounts need not be weighed when prices move. One clock runs with the market: at each look
/// it goes on by the largest drift of any contract over its underlying's price, and by a tick more. An
/// account that was weighed knows how far the clock may run before what was left of its equity over
/// initial margin can be gone; until then nothing of the watch would come of weighing it. So a look
/// at a million accounts compares a million words. Derived, never hashed: it decides what is
/// computed, never a result.
struct Skipping {
  /// By account: how far the clock may run; −1 for one to be weighed.
  private var dues: [Int64] = []
  /// In 2^−32 of a price.
  private var clock: Int64 = 0
  /// By instrument and by asset: the price that a drift is measured in, in 2^16 price units, rounded
  /// up.
  fileprivate var scales: [Int64] = []
  fileprivate var collateral: [Int64] = []
  /// The prices scales were taken from, by underlying and by asset.
  fileprivate var prices: [Int64] = []
  fileprivate var collateralPrices: [Int64] = []
  /// Cumulative interest when accounts were last looked at.
  fileprivate var interest: Int128 = 0
  /// Cumulative funding when accounts were last looked at, by slot of the perpetual.
  fileprivate var funding: [Int128] = []
  /// False makes every account be weighed: for a test that compares.
  var isOn = true
  /// Accounts weighed, and left out, since the machine was made.
  var weighed = 0
  var left = 0

  /// Every account is to be weighed.
  mutating func forgetAll() {
    dues.removeAll(keepingCapacity: true)
    clock = 0
  }

  /// As after a start: nothing is known of the market either.
  mutating func restart() {
    forgetAll()
    (scales, collateral, prices, collateralPrices, funding) = ([], [], [], [], [])
    interest = 0
  }

  @inline(__always)
  mutating func forget(_ account: AccountID) {
    if account.index < dues.count { dues[account.index] = -1 }
  }

  /// - Parameter rate: the most of `slack` that goes while the clock goes on by one; above zero.
  @inline(__always)
  fileprivate mutating func note(_ account: AccountID, slack: Int128, rate: Int128) {
    guard slack > 0 else { return }
    while dues.count <= account.index { dues.append(-1) }
    // Both in 62 bits, so that the quotient is one of words; rounded down.
    let shift = Int128(max(0, 66 - min(slack.leadingZeroBitCount, rate.leadingZeroBitCount)))
    let most = (slack &- 1) &>> shift
    let each = rate &>> shift &+ (shift > 0 ? 1 : 0)
    let span = Int64(truncatingIfNeeded: most) / Int64(truncatingIfNeeded: each)
    dues[account.index] = clock &+ min(span, Skipping.clockMax)
  }

  /// The clock stays below this, so that a due is a word.
  private static let clockMax: Int64 = 1 << 61

  /// Lets the clock run; where that leads too far every account is to be weighed.
  fileprivate mutating func run(_ share: Int128) {
    if share >= Int128(Skipping.clockMax - clock) { return forgetAll() }
    clock += Int64(truncatingIfNeeded: share)
  }

  @inline(__always)
  fileprivate func isDue(_ account: Int) -> Bool {
    !isOn || account >= dues.count || dues[account] < clock
  }
}

extension ClearingMachine {
  /// Lets the clock run by what a contract of any instrument may have lost since accounts were last
  /// looked at: the drift of its mark, scenarios and charges, and the growth of its funding; by that
  /// of any collateral, and by what a debt has cost.
  mutating func noteDrift() {
    takeScales()
    var drifts: [Int128] = []
    for slot in 0..<instruments.count { drifts.append(table.drift(instruments[slot].id)) }
    table.forgetDrift()
    for slot in 0..<perpetuals.count {
      let now = perpetuals[slot].index.value
      // It grew from nothing: too much for those it finds weighed, never too little.
      let before = slot < skipping.funding.count ? skipping.funding[slot] : 0
      if slot < skipping.funding.count {
        skipping.funding[slot] = now
      } else {
        skipping.funding.append(now)
      }
      // 1e-18 to price units of 1e-8.
      let grown = Int128((now - before).magnitude).divided(by: 10_000_000_000, rounding: .up)
      drifts[perpetuals[slot].instrument.index] += grown
    }
    var share: Int128 = 0
    for (drift, scale) in zip(drifts, skipping.scales) {
      share = max(share, ClearingMachine.share(drift, of: scale))
    }
    for (asset, scale) in skipping.collateral.enumerated() {
      share = max(
        share, ClearingMachine.share(collaterals.drift(AssetID(UInt16(asset))), of: scale))
    }
    collaterals.forgetDrift()
    let interest = funds[0].interest.value
    // From nothing too much, as funding above.
    let grown = interest - skipping.interest
    skipping.interest = interest
    share = max(
      share,
      grown < 1 << 62
        ? (grown &<< 32).divided(by: 1_000_000_000_000_000_000, rounding: .up) : 1 << 100)
    // One more: what is rounded at each look.
    skipping.run(share + 1)
  }

  /// A drift over a scale, in 2^−32, rounded up; beyond every clock where that is too much to say.
  private static func share(_ drift: Int128, of scale: Int64) -> Int128 {
    guard drift > 0 else { return 0 }
    guard drift < 1 << 100 else { return drift }
    return (drift &<< 16).divided(by: Int128(scale), rounding: .up)
  }

  /// Takes today's prices as scales where there are none yet, or where those there are have become
  /// strange: any scale is sound, one that fits the price is tight.
  private mutating func takeScales() {
    func fits(_ price: Int64, _ scale: Int64) -> Bool { price / 4 <= scale && scale / 4 <= price }
    var prices: [Int64] = []
    for slot in 0..<indices.count { prices.append(max(1, indices[slot].price.raw)) }
    let others = genesis.assets.indices.map { asset in
      max(1, collaterals.price(AssetID(UInt16(asset))).raw)
    }
    if skipping.prices.count != prices.count || !zip(prices, skipping.prices).allSatisfy(fits)
      || skipping.collateralPrices.count != others.count
      || !zip(others, skipping.collateralPrices).allSatisfy(fits)
    {
      skipping.prices = prices
      skipping.collateralPrices = others
      skipping.collateral = others.map { $0 &>> 16 &+ 1 }
      skipping.scales.removeAll()
      skipping.forgetAll()
    }
    // Listed since, too.
    for slot in skipping.scales.count..<instruments.count {
      skipping.scales.append(
        skipping.prices[instruments[slot].underlying.index] &>> 16 &+ 1)
    }
  }

  /// Notes what an account, just weighed, has left over initial margin.
  @inline(__always)
  mutating func noteSlack(of account: AccountID, _ slack: Int128) {
    let record = accounts[account.index]
    guard record.firstPosition != 0, !skipping.scales.isEmpty else { return }
    // Σ contracts × scale, in 2^16 notional units: quantities are below 2^62, scales below 2^48.
    var weight: Int128 = 0
    // What a look may lose in rounding: funding to money for each position, the mix between
    // underlyings twice, and a debt's interest.
    var rounding: Int128 = 4
    var next = record.firstPosition
    while next != 0 {
      let position = positions[Int(next) - 1]
      next = position.next
      guard position.instrument.index < skipping.scales.count else { return }
      weight +=
        Int128(position.quantity.raw.magnitude)
        &* Int128(skipping.scales[position.instrument.index])
      rounding += Notional.perMoney
    }
    if record.firstBalance != 0 || record.cash.raw < 0 {
      addWeight(of: record, to: &weight, &rounding)
    }
    skipping.note(account, slack: slack, rate: weight &>> 16 &+ 1 &+ rounding)
  }

  /// What collateral and a debt add to an account's weight, and lose in rounding.
  private func addWeight(
    of record: AccountRecord, to weight: inout Int128, _ rounding: inout Int128
  ) {
    if record.cash.raw < 0 {
      // In what interest grew by, its scale is one.
      weight += (Int128(record.principal.raw) &* Notional.perMoney) &>> 16 &+ 1
      rounding += 2 * Notional.perMoney
    }
    var next = record.firstBalance
    while next != 0 {
      let balance = balances[Int(next) - 1]
      next = balance.next
      guard collaterals.counts(balance.asset) else { continue }
      weight +=
        Int128(collaterals.quantity(balance.asset, balance.amount).raw)
        &* Int128(skipping.collateral[balance.asset.index])
      // Haircuts and doubt are rounded up each, before and after: less than fourteen units.
      rounding += 32
    }
  }

  /// Whether an account surely meets initial margin still, so that the watch has nothing to do.
  /// Restricted accounts have nothing noted; those touched are always weighed.
  @inline(__always)
  mutating func canSkip(_ index: Int) -> Bool {
    let can = !skipping.isDue(index) && !touched.isTouched(AccountID(UInt32(index)))
    skipping.left += can ? 1 : 0
    skipping.weighed += can ? 0 : 1
    return can
  }
}
