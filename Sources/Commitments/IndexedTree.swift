public import Primitives

/// A binary Merkle tree of fixed depth whose leaves are found by a dense index; an empty leaf is 32
/// zero bytes, an inner node SHA-256(left || right) (the SSZ merkleize rule).
///
/// Setting a leaf only marks it; `root` then hashes each inner node above a changed leaf once, one
/// call of the library a level. Memory: 64 bytes for each index up to the highest.
public struct IndexedTree: ~Copyable, Sendable {
  /// Levels between a leaf and the root.
  public let depth: Int
  /// One more than the highest index ever set.
  public private(set) var count = 0

  /// Nodes of each level from the leaves up, always an even number of them: those past the last
  /// leaf are empty subtrees.
  private var levels: [[Digest]]
  /// Which pairs of leaves have changed: a bit a pair, and a bit for each word that is not zero.
  private var dirtyPairs: [UInt64] = []
  private var dirtyWords: [UInt64] = []
  private var isDirty = false

  /// An empty tree of 2^depth leaves.
  /// - Precondition: `depth` is 1 to 32.
  public init(depth: Int = 32) {
    precondition((1...32).contains(depth), "a tree is 1 to 32 levels deep")
    self.depth = depth
    levels = (0..<depth).map { Array(repeating: ZeroHashes.at($0), count: 2) }
    levels.append([ZeroHashes.at(depth)])
    extendDirt()
  }

  /// Makes room for `count` leaves, so that setting them does not grow arrays step by step.
  public mutating func reserve(_ count: Int) {
    for level in 0..<depth {
      levels[level].reserveCapacity((count >> level) + 2)
      HugePages.ask(&levels[level])
    }
  }

  /// The leaf at `index`, zero where none was set.
  public func leaf(_ index: Int) -> Digest {
    precondition(index >= 0 && index >> depth == 0, "an index lies inside the tree")
    return index < count ? levels[0][index] : .zero
  }

  /// Asks the processor for a leaf that will be set soon.
  public func prefetch(_ index: Int) {
    if index < count { levels[0].prefetch(index) }
  }

  /// Replaces the leaf at `index`. Zero takes it away.
  /// - Precondition: `0 ≤ index < 2^depth`.
  public mutating func set(_ index: Int, _ leaf: Digest) {
    precondition(index >= 0 && index >> depth == 0, "an index lies inside the tree")
    if index >= count { grow(to: index + 1) }
    guard levels[0][index] != leaf else { return }
    levels[0][index] = leaf
    let pair = index >> 1
    dirtyPairs[pair >> 6] |= 1 << UInt64(pair & 63)
    dirtyWords[pair >> 12] |= 1 << UInt64(pair >> 6 & 63)
    isDirty = true
  }

  private mutating func grow(to newCount: Int) {
    count = newCount
    for level in 0..<depth {
      let needed = ((newCount - 1) >> level | 1) + 1
      let missing = needed - levels[level].count
      // Higher levels are shorter still, so none of them can want for nodes.
      guard missing > 0 else { break }
      if needed > levels[level].capacity {
        levels[level].reserveCapacity(max(needed, 2 * levels[level].count))
        HugePages.ask(&levels[level])
      }
      levels[level].append(contentsOf: repeatElement(ZeroHashes.at(level), count: missing))
    }
    extendDirt()
  }

  private mutating func extendDirt() {
    let words = (levels[0].count / 2 + 63) >> 6
    guard words > dirtyPairs.count else { return }
    dirtyPairs.append(contentsOf: repeatElement(0, count: words - dirtyPairs.count))
    let summary = (words + 63) >> 6
    dirtyWords.append(contentsOf: repeatElement(0, count: summary - dirtyWords.count))
  }

  /// The root. Cost: one hash for each inner node above a leaf changed since the last call.
  public mutating func root() -> Digest {
    guard isDirty else { return levels[depth][0] }
    var indices = takeDirtyPairs()
    for level in 0..<depth {
      // Lift the parents out, so that the two arrays are never one exclusive access.
      var parents: [Digest] = []
      swap(&parents, &levels[level + 1])
      SHA256.level(levels[level], into: &parents, at: indices)
      swap(&parents, &levels[level + 1])
      IndexedTree.ascend(&indices)
    }
    isDirty = false
    return levels[depth][0]
  }

  /// The changed pairs in rising order; they count as unchanged from now on.
  private mutating func takeDirtyPairs() -> [UInt32] {
    var pairs: [UInt32] = []
    for summary in dirtyWords.indices where dirtyWords[summary] != 0 {
      var words = dirtyWords[summary]
      dirtyWords[summary] = 0
      while words != 0 {
        let word = summary << 6 | words.trailingZeroBitCount
        words &= words - 1
        var bits = dirtyPairs[word]
        dirtyPairs[word] = 0
        while bits != 0 {
          pairs.append(UInt32(truncatingIfNeeded: word << 6 | bits.trailingZeroBitCount))
          bits &= bits - 1
        }
      }
    }
    return pairs
  }

  /// Rising indices of nodes to the rising indices of their parents, each once.
  private static func ascend(_ indices: inout [UInt32]) {
    var kept = 0
    for position in indices.indices {
      let parent = indices[position] >> 1
      if kept == 0 || indices[kept - 1] != parent {
        indices[kept] = parent
        kept += 1
      }
    }
    indices.removeLast(indices.count - kept)
  }

  /// The proof that the leaf at `index`, or its absence, is under the root.
  public mutating func proof(of index: Int) -> IndexedProof {
    precondition(index >= 0 && index >> depth == 0, "an index lies inside the tree")
    _ = root()
    var bitmap: UInt32 = 0
    var siblings: [Digest] = []
    for level in 0..<depth {
      let sibling = index >> level ^ 1
      guard sibling < levels[level].count else { continue }
      let node = levels[level][sibling]
      if node != ZeroHashes.at(level) {
        bitmap |= 1 << UInt32(level)
        siblings.append(node)
      }
    }
    return IndexedProof(trusted: bitmap, siblings)
  }
}

/// A proof that an indexed tree holds a leaf, or the zero leaf, at an index: the siblings that are
/// not empty subtrees, lowest level first. There is exactly one encoding of a proof.
public struct IndexedProof: Hashable, Sendable {
  /// Bit n set = the sibling at level n is not an empty subtree.
  public let bitmap: UInt32
  /// One sibling a set bit, lowest level first.
  public let siblings: [Digest]

  init(trusted bitmap: UInt32, _ siblings: [Digest]) {
    self.bitmap = bitmap
    self.siblings = siblings
  }

  /// - Throws: `.siblingCount` when bitmap and siblings disagree, `.defaultSibling` when a sibling
  ///   is an empty subtree and should have been left out.
  public init(bitmap: UInt32, siblings: [Digest]) throws(ProofFailure) {
    guard siblings.count == bitmap.nonzeroBitCount else {
      throw .siblingCount(expected: bitmap.nonzeroBitCount, found: siblings.count)
    }
    var position = 0
    for level in 0..<32 where bitmap >> UInt32(level) & 1 == 1 {
      if siblings[position] == ZeroHashes.at(level) { throw .defaultSibling(level: level) }
      position += 1
    }
    self.init(trusted: bitmap, siblings)
  }

  /// Reads a proof: u32 bitmap, then 32 bytes a set bit.
  /// - Throws: `.truncated`, `.invalid` for a sibling that is an empty subtree.
  public init(_ reader: inout ByteReader) throws(DecodingFailure) {
    let bitmap: UInt32 = try reader.read()
    var siblings: [Digest] = []
    for level in 0..<32 where bitmap >> UInt32(level) & 1 == 1 {
      let sibling = try reader.read(Bytes32.self)
      guard sibling != ZeroHashes.at(level) else {
        throw .invalid(field: "default sibling of an indexed proof", offset: reader.offset - 32)
      }
      siblings.append(sibling)
    }
    self.init(trusted: bitmap, siblings)
  }

  /// Reads a proof that fills `bytes`.
  /// - Throws: as `init(_ reader:)`, and `.trailing`.
  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    try self.init(&reader)
    try reader.finish()
  }

  /// Writes the proof: 4 + 32 × siblings bytes.
  public func encode(into writer: inout ByteWriter) {
    writer.write(bitmap)
    for sibling in siblings { writer.write(sibling) }
  }

  /// The encoding as an array.
  public var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 4 + 32 * siblings.count)
    encode(into: &writer)
    return writer.bytes
  }

  /// The root that `leaf` at `index` gives; the zero leaf asks for absence. Nil where the index or
  /// the bitmap does not fit a tree of `depth` levels. Cost: `depth` hashes.
  public func root(leaf: Digest, index: UInt32, depth: Int) -> Digest? {
    precondition((1...32).contains(depth), "a tree is 1 to 32 levels deep")
    guard UInt64(index) >> UInt64(depth) == 0, UInt64(bitmap) >> UInt64(depth) == 0 else {
      return nil
    }
    return fold(leaf: leaf, index: index, depth: depth)
  }

  /// The root that `leaf` at `index` gives in a tree of 32 levels; the zero leaf asks for absence.
  public func root(leaf: Digest, index: UInt32) -> Digest {
    fold(leaf: leaf, index: index, depth: 32)
  }

  private func fold(leaf: Digest, index: UInt32, depth: Int) -> Digest {
    var node = leaf
    var position = 0
    for level in 0..<depth {
      var sibling = ZeroHashes.at(level)
      if bitmap >> UInt32(level) & 1 == 1 {
        sibling = siblings[position]
        position += 1
      }
      let isRight = index >> UInt32(level) & 1 == 1
      node = isRight ? SHA256.pair(sibling, node) : SHA256.pair(node, sibling)
    }
    return node
  }
}
