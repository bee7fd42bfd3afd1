import Primitives
import TestSupport
import Wire

@testable import Execution

/// Accounts of one owner, and money between them.
extension BookFuzzTests.Run {
  /// Clients and what they opened, as far as execution knows.
  var traders: [AccountID] {
    (TestWorld.firstClient..<machine.accountCount).map { AccountID(UInt32($0)) }
  }

  @inline(never)
  mutating func subAccount() -> Action {
    if generator.chance(machine.accountCount < TestWorld.firstClient + 20 ? 30 : 2) {
      return .open(AccountMode.allCases[generator.below(3)])
    }
    let account = generator.pick(traders)
    return .transfer(
      asset: AssetID(UInt16(generator.chance(95) ? 0 : 1 + generator.below(2))),
      amount: Amount(raw: generator.within(1...(isFunded ? 900_000_000 : 200_000_000))),
      to: generator.chance(95) ? account : AccountID(9_999))
  }

  /// A main account for an opening; another of the owner for a transfer.
  func sender(_ action: Action) -> AccountID? {
    switch action {
    case .open: traders.first { twin.accounts[$0.index].main == $0.index }
    case .transfer(_, _, let other) where other.index < twin.accounts.count:
      traders.last {
        $0 != other && twin.accounts[$0.index].main == twin.accounts[other.index].main
      }
    default: nil
    }
  }
}
