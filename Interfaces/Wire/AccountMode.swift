public import Primitives

/// How an account's positions are margined. It is chosen when the account is opened and never
/// changes: who wants another mode trades in another account of the same owner.
@frozen public enum AccountMode: UInt8, Sendable, CaseIterable {
  /// Everything nets as the margin method in force says.
  case portfolio = 0
  /// All cash stands behind all positions, and nothing nets across contracts.
  case cross = 1
  /// One contract at a time.
  case isolated = 2

  public var flags: AccountFlags {
    switch self {
    case .portfolio: []
    case .cross: .cross
    case .isolated: .isolated
    }
  }
}

extension AccountFlags {
  public var accountMode: AccountMode {
    contains(.isolated) ? .isolated : contains(.cross) ? .cross : .portfolio
  }
}

extension Limits {
  /// Accounts of one owner, the main one among them.
  public static let accountsPerOwnerMax = 64
}

/// Which accounts bear one owner key. The lowest is the owner's *main* account, the others its
/// sub-accounts; most owners have one account alone.
public struct OwnerGroups: Sendable {
  private var mains: [PublicKey: AccountID] = [:]
  /// Of owners with more than one account: all of them, ascending, by the main one.
  private var groups: [AccountID: [AccountID]] = [:]
  /// Of a sub-account.
  private var mainOf: [AccountID: AccountID] = [:]

  public init() {}

  /// Notes the next account.
  public mutating func note(_ account: AccountID, owner: PublicKey) {
    guard let main = mains[owner] else {
      mains[owner] = account
      return
    }
    mainOf[account] = main
    groups[main, default: [main]].append(account)
  }

  /// The main account of an owner, if there is any.
  public func main(of owner: PublicKey) -> AccountID? { mains[owner] }

  public func main(of account: AccountID) -> AccountID { mainOf[account] ?? account }

  public func isMain(_ account: AccountID) -> Bool { mainOf[account] == nil }

  /// Whether two accounts are of one owner.
  public func areOne(_ a: AccountID, _ b: AccountID) -> Bool { main(of: a) == main(of: b) }

  /// All accounts of the owner of this one, ascending.
  public func group(of account: AccountID) -> [AccountID] {
    groups[main(of: account)] ?? [account]
  }
}
