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
  var epochs = PoolTree(recordsPerPage: 1)
  var shares = PoolTree(recordsPerPage: 1)
  var constants: Digest = .zero

  mutating func oracleRoot() -> Digest {
    Merkle.root(of: [indices.root(), slices.root(), submissions.root(), minutes.root()], width: 4)
  }

  mutating func liquidationRoot() -> Digest {
    Merkle.root(of: [auctions.root(), locks.root(), payouts.root()], width: 4)
  }

  mutating func lossRoot() -> Digest {
    Merkle.root(of: [epochs.root(), shares.root()], width: 2)
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
    static let losses = 8
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
    roots[RootPlace.losses] = trees.lossRoot()
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
    trees.epochs.refresh(epochs)
    trees.shares.refresh(shares)
    hash(body.accounts.map(\.account))
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
    trees.epochs.rebuild(epochs)
    trees.shares.rebuild(shares)
    accountTree = AccountTree()
    hash((0..<accounts.count).map { AccountID(UInt32($0)) })
    root = stateRoot()
  }

  /// Hashes accounts, some hundreds at a time: what is hashed stays in the processor's cache.
  private mutating func hash(_ all: [AccountID]) {
    for start in stride(from: 0, to: all.count, by: 512) {
      let part = all[start..<min(start + 512, all.count)]
      accountTree.set(
        part, accounts, balances: balancesDigests(part), positions: positionsDigests(part))
    }
  }

  private func positionsDigests(_ part: ArraySlice<AccountID>) -> [Digest] {
    var out = Messages(count: part.count)
    for place in part.indices {
      askAhead(part, place)
      let account = part[place]
      if accounts[account.index].firstPosition != 0 {
        write(positionsOf: account, into: &out.bytes)
      }
      out.end()
    }
    return out.digests
  }

  private func balancesDigests(_ part: ArraySlice<AccountID>) -> [Digest] {
    var out = Messages(count: part.count)
    for account in part {
      if accounts[account.index].firstBalance != 0 { write(balancesOf: account, into: &out.bytes) }
      out.end()
    }
    return out.digests
  }

  /// Messages to be hashed together.
  private struct Messages {
    var bytes: ByteWriter
    private var bounds: [Int] = []
    private var ends: [Int] = []

    init(count: Int) {
      bytes = ByteWriter(capacity: 96 * count)
      bounds.reserveCapacity(2 * count)
      ends.reserveCapacity(count)
    }

    /// Ends a message; one of no bytes has the digest zero.
    @inline(__always)
    mutating func end() {
      let start = ends.last ?? 0
      ends.append(bytes.bytes.count)
      guard bytes.bytes.count > start else { return }
      bounds.append(start)
      bounds.append(bytes.bytes.count)
    }

    var digests: [Digest] {
      guard !bounds.isEmpty else { return Array(repeating: .zero, count: ends.count) }
      let found = SHA256.digests(of: bytes.bytes.rawSpan, bounds)
      guard found.count < ends.count else { return found }
      var (digests, place, start): ([Digest], Int, Int) = ([], 0, 0)
      for end in ends {
        digests.append(end > start ? found[place] : .zero)
        place += end > start ? 1 : 0
        start = end
      }
      return digests
    }
  }

  /// SHA-256 of tag, count and the packed positions sorted by instrument; zero for none.
  func positionsDigest(_ account: AccountID) -> Digest {
    guard accounts[account.index].firstPosition != 0 else { return .zero }
    return SHA256.digest(positionsBytes(account))
  }

  /// What `positionsDigest` hashes: 44 bytes a position.
  func positionsBytes(_ account: AccountID) -> [UInt8] {
    var out = ByteWriter(capacity: 36 + 44 * 4)
    write(positionsOf: account, into: &out)
    return out.bytes
  }

  @inline(__always)
  private func write(positionsOf account: AccountID, into out: inout ByteWriter) {
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
  }

  /// SHA-256 of tag, count and the packed balances sorted by asset; zero for none.
  func balancesDigest(_ account: AccountID) -> Digest {
    guard accounts[account.index].firstBalance != 0 else { return .zero }
    return SHA256.digest(balancesBytes(account))
  }

  /// What `balancesDigest` hashes: 10 bytes a balance.
  func balancesBytes(_ account: AccountID) -> [UInt8] {
    var out = ByteWriter(capacity: 36 + 10 * 4)
    write(balancesOf: account, into: &out)
    return out.bytes
  }

  @inline(__always)
  private func write(balancesOf account: AccountID, into out: inout ByteWriter) {
    var count: UInt32 = 0
    var next = accounts[account.index].firstBalance
    while next != 0 {
      count += 1
      next = balances[Int(next) - 1].next
    }
    out.write(AccountTree.balancesTag.bytes)
    out.write(count)
    next = accounts[account.index].firstBalance
    while next != 0 {
      let record = balances[Int(next) - 1]
      out.write(record.asset)
      out.write(record.amount)
      next = record.next
    }
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
