import Commitments
import Primitives
import Wire

/// The global tree of accounts: leaf = hash_tree_root of the account's eight fields.
///
/// Fields 0–3 change with fills and stand in one subtree; 4–7 are fixed at opening and their root
/// is kept: a touched account costs its two digests and four pair hashes. Accounts are hashed many
/// at a time, so that two digests are always on their way together.
struct AccountTree: ~Copyable {
  static let positionsTag = AccountProof.positionsTag
  static let balancesTag = AccountProof.balancesTag

  private var tree = IndexedTree()
  private var fixed = FlatArray<Digest>()

  /// The eight leaves of an account: cash with its debt's interest, balances, positions, flags; id,
  /// owner, opened, zero.
  static func fields(
    _ account: AccountID, _ record: AccountRecord, balances: Digest, positions: Digest
  ) -> [Digest] {
    var fields: [Digest] = []
    append(changing: record, balances: balances, positions: positions, to: &fields)
    return fields + fixed(account, record)
  }

  @inline(__always)
  private static func append(
    changing record: AccountRecord, balances: Digest, positions: Digest, to fields: inout [Digest]
  ) {
    fields.append(
      chunk(
        UInt64(bitPattern: record.cash.raw), record.debtIndexLow,
        UInt64(bitPattern: record.debtIndexHigh), UInt64(bitPattern: record.debtBooked.raw)))
    fields.append(balances)
    fields.append(positions)
    fields.append(
      chunk(
        UInt64(record.flags), record.closing, UInt64(bitPattern: record.volume.raw),
        UInt64(bitPattern: record.volumeDay)))
  }

  private static func fixed(_ account: AccountID, _ record: AccountRecord) -> [Digest] {
    [chunk(UInt64(account.raw)), record.owner, chunk(record.opened), .zero]
  }

  private static func chunk(
    _ first: UInt64, _ second: UInt64 = 0, _ third: UInt64 = 0, _ fourth: UInt64 = 0
  ) -> Digest {
    Bytes32(
      (first.littleEndian, second.littleEndian, third.littleEndian, fourth.littleEndian))
  }

  /// Takes over accounts whose balances and positions have these digests.
  mutating func set(
    _ accounts: ArraySlice<AccountID>, _ records: borrowing Pool<AccountRecord>,
    balances: [Digest], positions: [Digest]
  ) {
    var changing: [Digest] = []
    changing.reserveCapacity(4 * accounts.count)
    let first = accounts.startIndex
    for (place, account) in accounts.enumerated() {
      if place + 8 < accounts.count {
        let ahead = accounts[first + place + 8].index
        if ahead < fixed.count { fixed.prefetch(ahead) }
        tree.prefetch(ahead)
      }
      let record = records[account.index]
      AccountTree.append(
        changing: record, balances: balances[place], positions: positions[place], to: &changing)
      while fixed.count <= account.index { fixed.append(.zero) }
      if fixed[account.index].isZero {
        fixed[account.index] = Merkle.root(of: AccountTree.fixed(account, record), width: 4)
      }
    }
    var halves: [Digest] = []
    halves.reserveCapacity(2 * accounts.count)
    for (account, half) in zip(accounts, SHA256.pairs(SHA256.pairs(changing))) {
      halves.append(half)
      halves.append(fixed[account.index])
    }
    for (account, leaf) in zip(accounts, SHA256.pairs(halves)) { tree.set(account.index, leaf) }
  }

  mutating func root() -> Digest { tree.root() }
  func leaf(_ account: AccountID) -> Digest { tree.leaf(account.index) }
  mutating func proof(of account: AccountID) -> IndexedProof { tree.proof(of: account.index) }
}
