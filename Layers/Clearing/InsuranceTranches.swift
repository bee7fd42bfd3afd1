import Primitives
import Risk
import Wire

// The insurance fund in tranches: each underlying has its own, filled by the fees of auctions that
// held it, up to a limit; what an account lacks is paid by the tranches of its underlyings, each for
// its share of the account's notional, and only then by the common one, which all underlyings share.

/// What a tranche can still pay for an account.
struct TranchePart {
  var underlying: Int
  var left: Int64
}

extension ClearingMachine {
  private var hasTranches: Bool { genesis.constants.insuranceTrancheMax > 0 }

  /// What tranches pay of an amount that an account lacks: those of its underlyings that hold
  /// something, where it has most notional first, the lowest on a tie, each no more than its share of
  /// the notional, rounded up. A little of an underlying opens a little of its tranche.
  func tranches(of account: AccountID, for amount: Int64) throws(ArithmeticFailure)
    -> [TranchePart]
  {
    guard hasTranches, amount > 0 else { return [] }
    let notional = notionals(of: account)
    let own = (0..<payouts.count)
      .filter { notional[$0] > 0 && payouts[$0].tranche.raw > 0 }
      .sorted { a, b in notional[a] != notional[b] ? notional[a] > notional[b] : a < b }
    var parts: [TranchePart] = []
    for underlying in own {
      let share = try Int128(amount).scaled(
        by: notional[underlying], over: notional[notional.count - 1], rounding: .up)
      let left = min(Int128(payouts[underlying].tranche.raw), share)
      parts.append(TranchePart(underlying: underlying, left: Int64(left)))
    }
    return parts
  }

  /// What the fund can pay with these parts of tranches.
  func fundReach(_ tranches: [TranchePart]) -> Int128 {
    tranches.reduce(Int128(funds[0].insurance)) { $0 + Int128($1.left) }
  }

  /// All that the fund holds.
  var fundTotal: Int128 {
    (0..<payouts.count).reduce(Int128(funds[0].insurance)) {
      $0 + Int128(payouts[$1].tranche.raw)
    }
  }

  /// Takes an amount that it can pay out of the fund: of the tranches in their order, then of the
  /// common one. What of it tranches gave.
  mutating func takeFromFund(_ amount: Int64, _ tranches: inout [TranchePart]) -> Money {
    var left = amount
    for place in tranches.indices where left > 0 && tranches[place].left > 0 {
      let part = min(left, tranches[place].left)
      let underlying = tranches[place].underlying
      payouts[underlying].tranche = Money(raw: payouts[underlying].tranche.raw - part)
      tranches[place].left -= part
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
