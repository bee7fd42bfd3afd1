public import Commitments
public import Primitives
public import Wire

/// The folder `novate init` makes: `genesis.json`, and the key files in `keys/`.
public struct NetworkFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  public var genesisPath: String { "\(path)/genesis.json" }
  public var keysPath: String { "\(path)/keys" }
  public func keyPath(_ role: KeyRole) -> String { "\(keysPath)/\(role.fileName)" }

  /// No `genesis.json` is larger; 65 536 accounts take a twelfth of it.
  public static let genesisByteCountMax = 64 << 20

  /// Makes fresh keys for all roles, then the manifest, last, so that a folder with a manifest is
  /// whole.
  /// - Throws: `FileFailure`, with `EEXIST` where a file is in the way; `GenesisFailure`.
  public func make(_ builder: GenesisBuilder) throws -> Genesis {
    guard !Files.exists(genesisPath) else { throw FolderFailure.exists(genesisPath) }
    // A builder at fault must not leave keys behind.
    _ = try builder.genesis(seed: 0)
    try Files.makeFolder(path)
    try Files.makeFolder(keysPath, mode: 0o700)
    let genesis = try builder.genesis { role in
      let key = SigningKey.random()
      try KeyFile.write(key, to: keyPath(role))
      return key.publicKey
    }
    try Files.create(genesisPath, Array(genesis.json.utf8))
    return genesis
  }

  /// The manifest of the folder.
  /// - Throws: `FileFailure`, `GenesisFailure`.
  public func genesis() throws -> Genesis { try NetworkFolder.genesis(at: genesisPath) }

  /// The manifest in a file.
  /// - Throws: `FileFailure`, `GenesisFailure`.
  public static func genesis(at path: String) throws -> Genesis {
    try Genesis(json: try Files.read(path, byteCountMax: genesisByteCountMax))
  }

  /// The key of a role, which must be `expected` when that is given.
  /// - Throws: `FileFailure`, `FolderFailure.key`.
  public func key(_ role: KeyRole, expecting expected: PublicKey? = nil) throws -> SigningKey {
    let key = try KeyFile.read(keyPath(role))
    if let expected, key.publicKey != expected {
      throw FolderFailure.key(path: keyPath(role), expected: expected, found: key.publicKey)
    }
    return key
  }
}

/// Why a network's folder is not as it should be.
public enum FolderFailure: Error, Hashable, Sendable {
  /// A network is there already.
  case exists(String)
  /// The key file holds another key than genesis lists.
  case key(path: String, expected: PublicKey, found: PublicKey)
}

extension FolderFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .exists(let path): "\(path): expected no network here, found one"
    case .key(let path, let expected, let found):
      "\(path): expected the key of \(expected), found that of \(found)"
    }
  }
}
