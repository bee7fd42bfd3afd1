public import Primitives

/// Fixed small trees by the SSZ merkleize rule: chunks padded with zero chunks to a power of two,
/// inner node = SHA-256(left || right). https://ethereum.github.io/consensus-specs/ssz/simple-serialize/
public enum Merkle {
  /// The root of `chunks` in a tree of `width` leaves. Cost: about one hash a chunk.
  /// - Precondition: `width` is a power of two and holds the chunks.
  public static func root(of chunks: [Digest], width: Int) -> Digest {
    var nodes = chunks
    for level in 0..<depth(of: chunks, width: width) { nodes = parents(of: nodes, level: level) }
    return nodes.first ?? ZeroHashes.at(depth(of: chunks, width: width))
  }

  /// The siblings on the way from leaf `index` to the root, lowest first.
  /// - Precondition: as for `root(of:width:)`, and `index` lies inside `width`.
  public static func branch(of chunks: [Digest], width: Int, index: Int) -> [Digest] {
    precondition((0..<width).contains(index))
    var nodes = chunks
    var siblings: [Digest] = []
    for level in 0..<depth(of: chunks, width: width) {
      let sibling = index >> level ^ 1
      siblings.append(sibling < nodes.count ? nodes[sibling] : ZeroHashes.at(level))
      nodes = parents(of: nodes, level: level)
    }
    return siblings
  }

  /// The root that `leaf` at `index` and its siblings give. `index` beyond the branch's width
  /// gives nil: there is no such leaf.
  public static func root(leaf: Digest, index: Int, branch: [Digest]) -> Digest? {
    guard index >= 0, branch.count >= 63 || index >> branch.count == 0 else { return nil }
    var node = leaf
    for (level, sibling) in branch.enumerated() {
      let isRight = level < 63 && index >> level & 1 == 1
      node = isRight ? SHA256.pair(sibling, node) : SHA256.pair(node, sibling)
    }
    return node
  }

  private static func depth(of chunks: [Digest], width: Int) -> Int {
    precondition(width > 0 && width & (width - 1) == 0, "a width is a power of two")
    precondition(chunks.count <= width, "more chunks than the tree is wide")
    return width.trailingZeroBitCount
  }

  private static func parents(of nodes: [Digest], level: Int) -> [Digest] {
    var parents: [Digest] = []
    parents.reserveCapacity((nodes.count + 1) / 2)
    for left in stride(from: 0, to: nodes.count, by: 2) {
      let right = left + 1 < nodes.count ? nodes[left + 1] : ZeroHashes.at(level)
      parents.append(SHA256.pair(nodes[left], right))
    }
    return parents
  }
}

/// The roots of empty subtrees: 32 zero bytes at level 0, then the pair of the level below.
public enum ZeroHashes {
  private static let table: [Digest] = {
    var table = [Digest.zero]
    for level in 0..<63 { table.append(SHA256.pair(table[level], table[level])) }
    return table
  }()

  /// The root of an empty tree of 2^level leaves.
  /// - Precondition: `level` is 0 to 63.
  public static func at(_ level: Int) -> Digest { table[level] }
}
