import Primitives
import Testing

@testable import Commitments

@Suite("indexed trees") struct IndexedTreeTests {
  @Test("empty subtrees have the published roots")
  func zeroHashes() throws {
    for row in try Fixture.rows("ssz.txt", kind: "zero") {
      #expect(ZeroHashes.at(try #require(Int(row[0]))) == Fixture.digest(row[1]))
    }
    var tree = IndexedTree()
    #expect(tree.root() == ZeroHashes.at(32))
  }

  @Test("small containers have the roots another implementation gives")
  func containers() throws {
    let rows = try Fixture.rows("ssz.txt", kind: "container")
    #expect(rows.count == 5)
    for row in rows {
      let count = try #require(UInt64(row[0]))
      let width = try #require(Int(row[1]))
      let chunks = (1...count).map { Digest($0) }
      let root = Fixture.digest(row[2])
      #expect(Merkle.root(of: chunks, width: width) == root)
      for index in 0..<width {
        let branch = Merkle.branch(of: chunks, width: width, index: index)
        let leaf = index < chunks.count ? chunks[index] : .zero
        #expect(Merkle.root(leaf: leaf, index: index, branch: branch) == root)
        #expect(Merkle.root(leaf: Digest(99), index: index, branch: branch) != root)
        #expect(Merkle.root(leaf: leaf, index: index + width, branch: branch) == nil)
      }
    }
    #expect(Merkle.root(of: [], width: 16) == ZeroHashes.at(4))
  }

  @Test("trees have the roots another implementation gives")
  func goldenTrees() throws {
    let rows = try Fixture.rows("ssz.txt", kind: "tree")
    #expect(rows.count == 4)
    for row in rows {
      var tree = IndexedTree(depth: try #require(Int(row[0])))
      for index in row[2...].compactMap({ Int($0) }) { tree.set(index, Digest(UInt64(index) + 1)) }
      #expect(tree.root() == Fixture.digest(row[1]))
    }
  }

  @Test("random updates give the roots of the slow twin", arguments: [1, 2, 3, 4] as [UInt64])
  func differential(seed: UInt64) {
    var generator = Generator(seed: seed)
    let depth = 1 + generator.below(12)
    var tree = IndexedTree(depth: depth)
    var leaves: [Int: Digest] = [:]
    for round in 0..<12 {
      for _ in 0..<generator.below(20) {
        let index = generator.below(min(1 << depth, 1 << (1 + round)))
        let leaf = generator.below(4) == 0 ? .zero : generator.digest()
        tree.set(index, leaf)
        leaves[index] = leaf
      }
      let expected = Twin.root(leaves.filter { !$0.value.isZero }, depth: depth)
      #expect(tree.root() == expected, "seed \(seed), depth \(depth), round \(round)")
      for (index, leaf) in leaves { #expect(tree.leaf(index) == leaf, "seed \(seed)") }
    }
  }

  @Test("the order of updates and the calls between them do not matter")
  func history() {
    var generator = Generator(seed: 77)
    let changes = (0..<3000).map { _ in (generator.below(5000), generator.digest()) }
    var once = IndexedTree()
    var often = IndexedTree()
    for (position, change) in changes.enumerated() {
      once.set(change.0, change.1)
      often.set(change.0, change.1)
      if position % 100 == 0 { _ = often.root() }
    }
    var last: [Int: Digest] = [:]
    for (index, leaf) in changes { last[index] = leaf }
    var backwards = IndexedTree()
    backwards.reserve(5000)
    for index in (0..<5000).reversed() {
      if let leaf = last[index] { backwards.set(index, leaf) }
    }
    let root = once.root()
    #expect(often.root() == root && backwards.root() == root)
    for index in 0..<5000 { once.set(index, .zero) }
    #expect(once.root() == ZeroHashes.at(32) && once.count == 5000)
  }

  @Test("every leaf and every absence is proved, and nothing else")
  func proofs() throws {
    var generator = Generator(seed: 5)
    var tree = IndexedTree()
    for index in 0..<45 where index % 7 != 3 { tree.set(index, generator.digest()) }
    let root = tree.root()
    for index in [0, 1, 3, 10, 31, 44, 45, 64, 1 << 20, (1 << 32) - 1] {
      let proof = tree.proof(of: index)
      let leaf = tree.leaf(index)
      let place = UInt32(index)
      #expect(proof.root(leaf: leaf, index: place) == root)
      #expect(proof.root(leaf: leaf, index: place, depth: 32) == root)
      #expect(proof.root(leaf: generator.digest(), index: place) != root)
      if !leaf.isZero { #expect(proof.root(leaf: .zero, index: place) != root) }
      #expect(try IndexedProof(decoding: proof.encoded.rawSpan) == proof)
      #expect(proof.encoded.count == 4 + 32 * proof.bitmap.nonzeroBitCount)
      #expect(proof.siblings.count <= 7)
    }
    #expect(tree.proof(of: 0).root(leaf: tree.leaf(0), index: 1) != root)
    #expect(tree.proof(of: 1 << 20).root(leaf: .zero, index: 1 << 20, depth: 20) == nil)
  }

  @Test("a proof deeper than the tree is refused")
  func deepProof() {
    var tree = IndexedTree(depth: 4)
    tree.set(15, Digest(1))
    tree.set(0, Digest(2))
    let proof = tree.proof(of: 0)
    #expect(proof.root(leaf: Digest(2), index: 0, depth: 4) == tree.root())
    #expect(proof.root(leaf: Digest(2), index: 16, depth: 4) == nil)
    #expect(proof.root(leaf: Digest(2), index: 0, depth: 3) == nil)
  }

  @Test("padded, short, long and flipped proofs are refused")
  func tamperedProofs() throws {
    var tree = IndexedTree()
    for index in 0..<6 { tree.set(index, Digest(UInt64(index) + 1)) }
    let root = tree.root()
    let proof = tree.proof(of: 2)
    #expect(proof.bitmap == 0b111)

    let padded = proof.siblings + [ZeroHashes.at(9)]
    let bitmap = proof.bitmap | 1 << 9
    #expect(throws: ProofFailure.defaultSibling(level: 9)) {
      try IndexedProof(bitmap: bitmap, siblings: padded)
    }
    var writer = ByteWriter()
    writer.write(bitmap)
    for sibling in padded { writer.write(sibling) }
    #expect(
      throws: DecodingFailure.invalid(field: "default sibling of an indexed proof", offset: 100)
    ) {
      try IndexedProof(decoding: writer.bytes.rawSpan)
    }
    #expect(throws: ProofFailure.siblingCount(expected: 2, found: 3)) {
      try IndexedProof(bitmap: 0b101, siblings: proof.siblings)
    }
    let encoded = proof.encoded
    for length in 0..<encoded.count {
      #expect(throws: DecodingFailure.self) {
        try IndexedProof(decoding: Array(encoded[..<length]).rawSpan)
      }
    }
    #expect(throws: DecodingFailure.trailing(offset: 100, count: 1)) {
      try IndexedProof(decoding: (encoded + [0]).rawSpan)
    }
    for bit in 0..<(encoded.count * 8) {
      var bytes = encoded
      bytes[bit >> 3] ^= 1 << UInt8(bit & 7)
      // Either it does not decode, or it proves something else.
      if let other = try? IndexedProof(decoding: bytes.rawSpan) {
        #expect(other.root(leaf: Digest(3), index: 2) != root, "bit \(bit)")
      }
    }
  }

  @Test("a leaf outside the tree stops the process")
  func outside() async {
    await #expect(processExitsWith: .failure) {
      var tree = IndexedTree(depth: 3)
      tree.set(8, .zero)
    }
  }
}
