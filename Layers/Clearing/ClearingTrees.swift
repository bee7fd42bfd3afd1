import Commitments
import Instruments
import Primitives
import Wire

/// The Merkle trees over clearing's pools other than accounts. Every record is a leaf of its own,
/// so that each can be proved alone.
struct ClearingTrees: ~Copyable {
  var funds = PoolTree(recordsPerPage: 1)
  var instruments = PoolTree(recordsPerPage: 1)
  var submissions = PoolTree(recordsPerPage: 1)
  var indices = PoolTree(recordsPerPage: 1)
  var slices = PoolTree(recordsPerPage: 1)
  var withdrawals = PoolTree(recordsPerPage: 1)
  var proposals = PoolTree(recordsPerPage: 1)
  var status = PoolTree(recordsPerPage: 1)
  var perpetuals = PoolTree(recordsPerPage: 1)
  var minutes = PoolTree(recordsPerPage: 1)
  var auctions = PoolTree(recordsPerPage: 1)
  var locks = PoolTree(recordsPerPage: 1)
  var payouts = PoolTree(recordsPerPage: 1)
  var margins = PoolTree(recordsPerPage: 1)
  var constants: Digest = .zero

  mutating func oracleRoot() -> Digest {
    Merkle.root(of: [indices.root(), slices.root(), submissions.root(), minutes.root()], width: 4)
  }

  mutating func liquidationRoot() -> Digest {
    Merkle.root(of: [auctions.root(), locks.root(), payouts.root()], width: 4)
  }

  mutating func parametersRoot() -> Digest {
    Merkle.root(of: [constants, proposals.root(), margins.root()], width: 4)
  }
}

extension ClearingMachine {
  /// Places of the sixteen roots under the state root; the others are zero in version 1.
  enum RootPlace {
    static let accounts = 0
    static let instruments = 1
    static let oracle = 2
    static let parameters = 3
    static let perpetuals = 4
    static let funds = 5
    static let liquidation = 6
    static let withdrawals = 7
    static let status = 15
  }

  /// The sixteen roots, as they stand.
  mutating func stateRoots() -> [Digest] {
    var roots = Array(repeating: Digest.zero, count: 16)
    roots[RootPlace.accounts] = accountTree.root()
    roots[RootPlace.instruments] = trees.instruments.root()
    roots[RootPlace.oracle] = trees.oracleRoot()
    roots[RootPlace.parameters] = trees.parametersRoot()
    roots[RootPlace.perpetuals] = trees.perpetuals.root()
    roots[RootPlace.funds] = trees.funds.root()
    roots[RootPlace.liquidation] = trees.liquidationRoot()
    roots[RootPlace.withdrawals] = trees.withdrawals.root()
    roots[RootPlace.status] = trees.status.root()
    return roots
  }

  mutating func stateRoot() -> Digest { Merkle.root(of: stateRoots(), width: 16) }

  /// Hashes what the batch touched.
  mutating func hashTouched(_ body: ClearanceBody) {
    trees.funds.refresh(funds)
    trees.instruments.refresh(instruments)
    trees.submissions.refresh(submissions)
    trees.indices.refresh(indices)
    trees.slices.refresh(slices)
    trees.withdrawals.refresh(withdrawals)
    trees.proposals.refresh(proposals)
    trees.status.refresh(status)
    trees.perpetuals.refresh(perpetuals)
    trees.minutes.refresh(minutes)
    trees.auctions.refresh(auctions)
    trees.locks.refresh(locks)
    trees.payouts.refresh(payouts)
    trees.margins.refresh(margins)
    for entry in body.accounts { hash(entry.account) }
  }

  /// Hashes everything, as after loading.
  mutating func rebuildTrees() {
    trees = ClearingTrees()
    trees.constants = genesis.constantsDigest
    trees.funds.rebuild(funds)
    trees.instruments.rebuild(instruments)
    trees.submissions.rebuild(submissions)
    trees.indices.rebuild(indices)
    trees.slices.rebuild(slices)
    trees.withdrawals.rebuild(withdrawals)
    trees.proposals.rebuild(proposals)
    trees.status.rebuild(status)
    trees.perpetuals.rebuild(perpetuals)
    trees.minutes.rebuild(minutes)
    trees.auctions.rebuild(auctions)
    trees.locks.rebuild(locks)
    trees.payouts.rebuild(payouts)
    trees.margins.rebuild(margins)
    accountTree = AccountTree()
    for index in 0..<accounts.count { hash(AccountID(UInt32(index))) }
    root = stateRoot()
  }

  private mutating func hash(_ account: AccountID) {
    accountTree.set(
      account, accounts[account.index], balances: balancesDigest(account),
      positions: positionsDigest(account))
  }

  /// SHA-256 of tag, count and the packed positions sorted by instrument; zero for none.
  @inline(__always)
  func positionsDigest(_ account: AccountID) -> Digest {
    guard accounts[account.index].firstPosition != 0 else { return .zero }
    return SHA256.digest(positionsBytes(account))
  }

  /// What `positionsDigest` hashes: 44 bytes a position.
  @inline(__always)
  func positionsBytes(_ account: AccountID) -> [UInt8] {
    var out = ByteWriter(capacity: 36 + 44 * 4)
    out.write(AccountTree.positionsTag.bytes)
    out.write(accounts[account.index].positionCount)
    forEachPosition(account) { _, position in
      out.write(position.instrument)
      out.write(position.quantity)
      out.write(position.cost)
      out.write(position.fundingIndexLow)
      out.write(position.fundingIndexHigh)
      out.write(position.fundingBooked)
    }
    return out.bytes
  }

  /// SHA-256 of tag, count and the packed balances sorted by asset; zero for none.
  @inline(__always)
  func balancesDigest(_ account: AccountID) -> Digest {
    guard accounts[account.index].firstBalance != 0 else { return .zero }
    return SHA256.digest(balancesBytes(account))
  }

  /// What `balancesDigest` hashes: 10 bytes a balance.
  @inline(__always)
  func balancesBytes(_ account: AccountID) -> [UInt8] {
    var entries = ByteWriter()
    var count: UInt32 = 0
    var next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      entries.write(record.asset)
      entries.write(record.amount)
      count += 1
      next = record.next
    }
    var out = ByteWriter(capacity: 36 + entries.bytes.count)
    out.write(AccountTree.balancesTag.bytes)
    out.write(count)
    out.write(entries.bytes)
    return out.bytes
  }
}

extension Genesis {
  /// SHA-256 of the constants and the rule set: the first leaf under the parameters root.
  var constantsDigest: Digest {
    constants.withBytes { bytes in
      var stream = SHA256Stream()
      stream.update(bytes)
      stream.update(ruleSet)
      return stream.finish()
    }
  }
}
