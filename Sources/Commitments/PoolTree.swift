public import Primitives

/// The Merkle root over a pool: one leaf a page of records, SHA-256 of the page's bytes.
///
/// A page is `recordsPerPage` slots; the last one ends at the pool's count. With one record a page
/// every record can be proved alone.
public struct PoolTree: ~Copyable {
  @usableFromInline let recordsPerPage: Int
  @usableFromInline var tree = IndexedTree()
  /// Which pages this refresh has hashed: the round's number.
  @usableFromInline var seen: [UInt32] = []
  @usableFromInline var round: UInt32 = 0

  public init(recordsPerPage: Int) { self.recordsPerPage = recordsPerPage }

  /// Hashes the pages touched since the pool was last sealed, each once. Compiled for each kind of
  /// record by its user: generic code looks its types up at every slot.
  @inlinable public mutating func refresh<Record: FlatRecord>(_ pool: borrowing Pool<Record>) {
    if round == .max { for page in seen.indices { seen[page] = 0 } }
    round = round == .max ? 1 : round + 1
    for index in 0..<pool.touchedCount {
      let page = pool.touchedSlot(index) / recordsPerPage
      while seen.count <= page { seen.append(0) }
      guard seen[page] != round else { continue }
      seen[page] = round
      hash(page, of: pool)
    }
  }

  /// Hashes every page, as after loading.
  @inlinable public mutating func rebuild<Record: FlatRecord>(_ pool: borrowing Pool<Record>) {
    tree = IndexedTree()
    for page in 0..<((pool.count + recordsPerPage - 1) / recordsPerPage) { hash(page, of: pool) }
  }

  @inlinable mutating func hash<Record: FlatRecord>(_ page: Int, of pool: borrowing Pool<Record>) {
    let first = page * recordsPerPage
    let slots = first..<min(first + recordsPerPage, pool.count)
    tree.set(page, SHA256.digest(pool.bytes(of: slots)))
  }

  public mutating func root() -> Digest { tree.root() }

  /// The path of the page that holds `slot`.
  public mutating func proof(ofSlot slot: Int) -> IndexedProof {
    tree.proof(of: slot / recordsPerPage)
  }
}
