import Primitives
import Wire

/// Accounts as the Clearances have them: what any follower of clearing's log knows.
struct StormLedger {
  struct Holding: Hashable {
    var cash: Int64 = 0
    var flags: UInt32 = 0
    /// By instrument.
    var positions: [Position]
  }

  struct Position: Hashable {
    var quantity: Int64 = 0
    var cost: Int64 = 0
  }

  private(set) var holdings: [Holding]

  init(_ cast: StormCast, accounts: Int) {
    holdings = Array(
      repeating: Holding(
        positions: Array(repeating: Position(), count: cast.options.count + 1)),
      count: accounts)
  }

  mutating func take(_ clearance: ClearanceBody) {
    for entry in clearance.accounts {
      holdings[entry.account.index].cash = entry.cash.raw
      holdings[entry.account.index].flags = entry.flags
    }
    for entry in clearance.positions {
      holdings[entry.account.index].positions[entry.instrument.index] = Position(
        quantity: entry.quantity.raw, cost: entry.cost.raw)
    }
  }

  func position(_ account: AccountID, _ instrument: Int) -> Int64 {
    holdings[account.index].positions[instrument].quantity
  }

  /// Below maintenance, or under auction.
  func isFlagged(_ account: AccountID) -> Bool { holdings[account.index].flags != 0 }

  var frozen: [AccountID] {
    holdings.indices.filter {
      AccountFlags(rawValue: holdings[$0].flags).contains(.frozen)
    }.map { AccountID(UInt32($0)) }
  }
}
