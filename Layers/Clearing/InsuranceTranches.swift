import Primitives
import Risk
import Wire

// The insurance fund in tranches: each underlying has its own, filled by the fees of auctions that
// held it, up to a limit; what an account lacks is paid by the tranches of its underlyings, and only
// then by the common one, which all underlyings share.

extension ClearingMachine {
  private var hasTranches: Bool { genesis.constants.insuranceTrancheMax > 0 }

  /// Underlyings of an account whose tranches hold something: where it has most notional first, the
  /// lowest on a tie.
  func tranches(of account: AccountID) -> [Int] {
    guard hasTranches else { return [] }
    let notional = notionals(of: account)
    return (0..<payouts.count)
      .filter { notional[$0] > 0 && payouts[$0].tranche.raw > 0 }
      .sorted { a, b in notional[a] != notional[b] ? notional[a] > notional[b] : a < b }
  }

  /// What the fund can pay for an account with these tranches.
  func fundReach(_ tranches: [Int]) -> Int128 {
    tranches.reduce(Int128(funds[0].insurance)) { $0 + Int128(payouts[$1].tranche.raw) }
  }

  /// All that the fund holds.
  var fundTotal: Int128 {
    (0..<payouts.count).reduce(Int128(funds[0].insurance)) {
      $0 + Int128(payouts[$1].tranche.raw)
    }
  }

  /// Takes an amount that it can pay out of the fund: of the tranches in their order, then of the
  /// common one. What of it tranches gave.
  mutating func takeFromFund(_ amount: Int64, _ tranches: [Int]) -> Money {
    var left = amount
    for underlying in tranches where left > 0 {
      let part = min(left, payouts[underlying].tranche.raw)
      guard part > 0 else { continue }
      payouts[underlying].tranche = Money(raw: payouts[underlying].tranche.raw - part)
      left -= part
    }
    if left != 0 { funds[0].insurance -= left }
    return Money(raw: amount - left)
  }

  /// Puts the fee of an auction's start into the tranches of its underlyings by notional, as far as
  /// they have room, and the rest into the common one. What of it tranches took.
  ///
  /// - Parameter notional: by underlying, and in all.
  mutating func putIntoFund(_ fee: Money, by notional: [Int128]) throws(ArithmeticFailure) -> Money
  {
    var common = fee.raw
    if hasTranches, fee.raw > 0 {
      for underlying in 0..<payouts.count where notional[underlying] > 0 {
        let part = try Int128(fee.raw).scaled(
          by: notional[underlying], over: notional[notional.count - 1], rounding: .down)
        let held = payouts[underlying].tranche.raw
        let room = max(0, genesis.constants.insuranceTrancheMax - held)
        // At most the fee.
        let put = min(Int64(part), room)
        guard put > 0 else { continue }
        payouts[underlying].tranche = Money(raw: held + put)
        common -= put
      }
    }
    funds[0].insurance = try sum(funds[0].insurance, common)
    return Money(raw: fee.raw - common)
  }
}
