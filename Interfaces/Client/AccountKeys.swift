public import Commitments
public import Primitives
public import Wire

/// The keys a client signs with: one for every account, or one file for each in the folder of keys
/// that `novate init` made. Each is read once.
public final class AccountKeys {
  /// A key held for as long as somebody signs with it.
  public final class Held {
    public let key: SigningKey
    init(_ key: consuming SigningKey) { self.key = key }
  }

  private let folder: NetworkFolder
  private let genesis: Genesis
  private let shared: Held?
  private var held: [AccountID: Held] = [:]

  /// - Parameter path: the key for every account; nil looks in the folder.
  /// - Throws: `FileFailure`.
  public init(_ folder: NetworkFolder, genesis: Genesis, path: String? = nil) throws(FileFailure) {
    self.folder = folder
    self.genesis = genesis
    if let path { shared = Held(try KeyFile.read(path)) } else { shared = nil }
  }

  /// The key of an account.
  /// - Throws: `FileFailure`.
  public func key(of account: AccountID) throws(FileFailure) -> Held {
    if let shared { return shared }
    if let key = held[account] { return key }
    let key = Held(try KeyFile.read(path(of: account)))
    held[account] = key
    return key
  }

  /// The file of an account's key: that of its role in genesis, or `account-N.key`.
  public func path(of account: AccountID) -> String {
    let own = folder.keyPath(.account(account))
    if Files.exists(own) { return own }
    return genesis.role(of: account).map(folder.keyPath) ?? own
  }
}

extension Genesis {
  /// The role an account plays from the start, if it has one of its own.
  public func role(of account: AccountID) -> KeyRole? {
    if assets.contains(where: { $0.custodian == account }) { return .custodian }
    if let place = publishers.firstIndex(of: account) { return .publisher(place + 1) }
    if let place = governance.firstIndex(of: account) { return .governance(place + 1) }
    return nil
  }
}
