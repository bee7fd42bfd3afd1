import Commitments
import Primitives
import Wire

/// The global tree of accounts: leaf = hash_tree_root of the account's eight fields.
///
/// Fields 0–3 change with fills and stand in one subtree; 4–7 are fixed at opening and their root
/// is kept: a touched account costs its two digests and four pair hashes.
struct AccountTree: ~Copyable {
  static let positionsTag = AccountProof.positionsTag
  static let balancesTag = AccountProof.balancesTag

  private var tree = IndexedTree()
  private var fixed: [Digest] = []

  /// The eight leaves of an account: cash with its debt's interest, balances, positions, flags; id,
  /// owner, opened, zero.
  static func fields(
    _ account: AccountID, _ record: AccountRecord, balances: Digest, positions: Digest
  ) -> [Digest] {
    [
      chunk(
        UInt64(bitPattern: record.cash.raw), record.debtIndexLow,
        UInt64(bitPattern: record.debtIndexHigh), UInt64(bitPattern: record.debtBooked.raw)),
      balances, positions,
      chunk(
        UInt64(record.flags), record.closing, UInt64(bitPattern: record.volume.raw),
        UInt64(bitPattern: record.volumeDay)), chunk(UInt64(account.raw)), record.owner,
      chunk(record.opened), .zero,
    ]
  }

  private static func chunk(
    _ first: UInt64, _ second: UInt64 = 0, _ third: UInt64 = 0, _ fourth: UInt64 = 0
  ) -> Digest {
    Bytes32(
      (first.littleEndian, second.littleEndian, third.littleEndian, fourth.littleEndian))
  }

  mutating func set(
    _ account: AccountID, _ record: AccountRecord, balances: Digest, positions: Digest
  ) {
    while fixed.count <= account.index { fixed.append(.zero) }
    let fields = AccountTree.fields(account, record, balances: balances, positions: positions)
    if fixed[account.index].isZero {
      fixed[account.index] = SHA256.pair(
        SHA256.pair(fields[4], fields[5]), SHA256.pair(fields[6], fields[7]))
    }
    let moving = SHA256.pair(
      SHA256.pair(fields[0], fields[1]), SHA256.pair(fields[2], fields[3]))
    tree.set(account.index, SHA256.pair(moving, fixed[account.index]))
  }

  mutating func root() -> Digest { tree.root() }
  func leaf(_ account: AccountID) -> Digest { tree.leaf(account.index) }
  mutating func proof(of account: AccountID) -> IndexedProof { tree.proof(of: account.index) }
}
