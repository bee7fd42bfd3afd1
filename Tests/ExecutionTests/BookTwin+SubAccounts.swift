import Instruments
import Primitives
import Wire

/// Further accounts of one owner, by their owner keys.
extension BookTwin {
  /// An account clearing opened: its owner's key is one that is known.
  mutating func note(_ opened: OpenedAccount) {
    let main = owners.firstIndex(of: opened.owner) ?? accounts.count
    owners.append(opened.owner)
    accounts.append(
      Account(main: main, isIsolated: opened.flags == 8, isApart: opened.flags == 4))
  }

  /// What nets in an account: the contracts of an underlying, or in cross mode each alone.
  func pages(_ account: Int) -> [[Int]] {
    if accounts[account].isApart { return instruments.indices.map { [$0] } }
    return market.indices.map { underlying in
      instruments.indices.filter { instruments[$0].underlying.index == underlying }
    }
  }

  @inline(never)
  mutating func openAccount(_ account: Int) -> Outcome {
    if accounts[account].main != account { return .rejected(.outOfScope) }
    let owned = Int64(accounts.count { $0.main == account })
    return owned < 64 ? Outcome(.accepted) : .rejected(.tooManySubAccounts, owned, 64)
  }

  @inline(never)
  mutating func transfer(_ record: ActionRecord, _ account: Int) -> Outcome {
    if record.id > 1 { return .rejected(.unknownAsset) }
    if record.z >= UInt64(accounts.count) { return .rejected(.unknownAccount) }
    let other = Int(record.z)
    if other == account { return .rejected(.selfTrade) }
    if accounts[other].main != accounts[account].main { return .rejected(.notAuthorised) }
    // Nobody has any of the other asset here.
    if record.id == 1 { return .rejected(.insufficientBalance, record.x, 0) }
    let outcome = takeOut(record, account)
    if outcome.status == .accepted { transfers += 1 }
    return outcome
  }

  /// Why the last of these orders of one account, each of a contract of its own, would stand in one
  /// contract too many, the others being there already.
  @inline(never)
  func tooManyPositions(_ legs: [Order]) -> Outcome? {
    guard let last = legs.last else { return nil }
    let account = last.account
    var held = Set(accounts[account].granted.keys)
    held.formUnion(orders.filter { $0.account == account }.map(\.instrument))
    held.formUnion(
      since.filter { $0.maker == account || $0.taker == account }.map(\.instrument))
    held.formUnion(legs.dropLast().map(\.instrument))
    let most = accounts[account].isIsolated ? 1 : constants.positionsPerAccountMax
    if held.contains(last.instrument) || held.count < most { return nil }
    return .rejected(.tooManyPositions, Int64(held.count), most)
  }
}
