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
    guard pool.touchedCount > 0 else { return }
    if round == .max { for page in seen.indices { seen[page] = 0 } }
    round = round == .max ? 1 : round + 1
    var pages: [Int] = []
    for index in 0..<pool.touchedCount {
      let page = pool.touchedSlot(index) / recordsPerPage
      while seen.count <= page { seen.append(0) }
      guard seen[page] != round else { continue }
      seen[page] = round
      pages.append(page)
    }
    hash(pages, recordByteCount: Pool<Record>.recordByteCount, pool.bytes(of: 0..<pool.count))
  }

  /// Hashes every page, as after loading.
  @inlinable public mutating func rebuild<Record: FlatRecord>(_ pool: borrowing Pool<Record>) {
    tree = IndexedTree()
    let pages = Array(0..<((pool.count + recordsPerPage - 1) / recordsPerPage))
    hash(pages, recordByteCount: Pool<Record>.recordByteCount, pool.bytes(of: 0..<pool.count))
  }

  @usableFromInline mutating func hash(_ pages: [Int], recordByteCount: Int, _ bytes: RawSpan) {
    let size = recordByteCount * recordsPerPage
    var bounds: [Int] = []
    bounds.reserveCapacity(2 * pages.count)
    for page in pages {
      bounds.append(page * size)
      bounds.append(min(page * size + size, bytes.byteCount))
    }
    for (page, digest) in zip(pages, SHA256.digests(of: bytes, bounds)) { tree.set(page, digest) }
  }

  public mutating func root() -> Digest { tree.root() }

  /// The path of the page that holds `slot`.
  public mutating func proof(ofSlot slot: Int) -> IndexedProof {
    tree.proof(of: slot / recordsPerPage)
  }
}
