import Primitives
import Testing

@testable import Commitments

@Suite("the append-only log") struct MerkleLogTests {
  static let leafData = (try? Fixture.rows("rfc6962.txt", kind: "leaf")) ?? []
  static let leaves = leafData.map { MerkleLog.leafHash(Fixture.bytes($0[0])) }

  @Test("the test tree of Certificate Transparency has its roots at every size")
  func roots() {
    #expect(Self.leaves.count == 8)
    let log = MerkleLog(leafHashes: Self.leaves)
    for size in 1...8 {
      let root = Fixture.digest(Self.leafData[size - 1][1])
      #expect(log.rootAt(size: size) == root)
      #expect(MerkleLog.root(ofLeafHashes: Array(Self.leaves[..<size])) == root)
    }
    #expect(log.root == log.rootAt(size: 8))
    #expect(MerkleLog().root == SHA256.digest([]))
    #expect(MerkleLog.root(ofLeafHashes: []) == SHA256.digest([]))
  }

  @Test("its inclusion and consistency proofs are the published ones")
  func publishedProofs() throws {
    let log = MerkleLog(leafHashes: Self.leaves)
    let inclusions = try Fixture.rows("rfc6962.txt", kind: "inclusion")
    #expect(inclusions.count == 5)
    for row in inclusions {
      let (index, size) = (try #require(Int(row[0])), try #require(Int(row[1])))
      let proof = row[2...].map(Fixture.digest)
      #expect(log.inclusionProof(of: index, size: size) == proof)
      #expect(
        MerkleLog.branch(ofLeafHashes: Array(Self.leaves[..<size]), index: index) == proof)
    }
    let consistencies = try Fixture.rows("rfc6962.txt", kind: "consistency")
    #expect(consistencies.count == 4)
    for row in consistencies {
      let (from, to) = (try #require(Int(row[0])), try #require(Int(row[1])))
      #expect(log.consistencyProof(from: from, to: to) == row[2...].map(Fixture.digest))
    }
  }

  @Test("a leaf hashed in pieces is the leaf hashed whole")
  func pieces() {
    let (a, b, c): ([UInt8], [UInt8], [UInt8]) = ([1, 2], [3], [4, 5, 6])
    #expect(MerkleLog.leafHash(a + b) == SHA256.digest([0] + a + b))
    #expect(MerkleLog.leafHash(a.rawSpan, b.rawSpan) == SHA256.digest([0] + a + b))
    #expect(MerkleLog.leafHash(a.rawSpan, b.rawSpan, c.rawSpan) == SHA256.digest([0] + a + b + c))
  }

  @Test("at every size from 0 to 70 roots and proofs are the slow twin's, and verify")
  func everySize() {
    let leaves = (0..<70).map { Digest(UInt64($0) + 1) }
    let log = MerkleLog(leafHashes: leaves)
    var frontier = LogFrontier()
    for size in 0...70 {
      let head = leaves[..<size]
      let root = Twin.logRoot(head)
      #expect(log.rootAt(size: size) == root && frontier.root == root)
      #expect(frontier == log.frontierAt(size: size))
      for index in 0..<size {
        let proof = log.inclusionProof(of: index, size: size)
        #expect(proof == Twin.path(index, head), "\(index) of \(size)")
        #expect(
          MerkleLog.isIncluded(
            leaf: leaves[index], index: index, size: size, proof: proof, root: root))
      }
      for old in 0...size {
        let proof = log.consistencyProof(from: old, to: size)
        if old > 0 { #expect(proof == Twin.subproof(old, head, true), "\(old) to \(size)") }
        #expect(
          MerkleLog.isConsistent(
            oldSize: old, oldRoot: log.rootAt(size: old), newSize: size, newRoot: root,
            proof: proof))
      }
      if size < 70 { frontier.append(leafHash: leaves[size]) }
    }
  }

  @Test("an inclusion proof proves no other leaf, place, size or root")
  func wrongInclusion() {
    let leaves = (0..<13).map { Digest(UInt64($0) + 1) }
    let log = MerkleLog(leafHashes: leaves)
    for index in 0..<13 {
      let proof = log.inclusionProof(of: index, size: 13)
      func holds(_ leaf: Digest, _ index: Int, _ size: Int, _ proof: [Digest]) -> Bool {
        MerkleLog.isIncluded(leaf: leaf, index: index, size: size, proof: proof, root: log.root)
      }
      #expect(holds(leaves[index], index, 13, proof))
      #expect(!holds(Digest(99), index, 13, proof))
      for other in -1...14 where other != index { #expect(!holds(leaves[index], other, 13, proof)) }
      #expect(!holds(leaves[index], index, 0, proof))
      #expect(!holds(leaves[index], index, 13, proof + [Digest(1)]))
      #expect(!holds(leaves[index], index, 13, proof.dropLast()))
      for position in proof.indices {
        var flipped = proof
        flipped[position] = flipped[position].flipped(bit: 8 * index)
        #expect(!holds(leaves[index], index, 13, flipped))
      }
    }
  }

  @Test("a consistency proof fits no other pair of trees")
  func wrongConsistency() {
    let log = MerkleLog(leafHashes: (0..<23).map { Digest(UInt64($0) + 1) })
    var fork = MerkleLog(leafHashes: (0..<10).map { Digest(UInt64($0) + 1) })
    for number in 10..<23 { fork.append(leafHash: Digest(UInt64(number) + 100)) }
    for old in 1..<23 {
      let proof = log.consistencyProof(from: old, to: 23)
      func holds(_ oldRoot: Digest, _ newRoot: Digest, _ proof: [Digest]) -> Bool {
        MerkleLog.isConsistent(
          oldSize: old, oldRoot: oldRoot, newSize: 23, newRoot: newRoot, proof: proof)
      }
      let (oldRoot, newRoot) = (log.rootAt(size: old), log.root)
      #expect(holds(oldRoot, newRoot, proof))
      #expect(!holds(oldRoot, fork.root, proof))
      #expect(!holds(newRoot, newRoot, proof))
      #expect(!holds(oldRoot, newRoot, proof + [Digest(1)]))
      #expect(!holds(oldRoot, newRoot, proof.dropLast()))
      if old > 10 { #expect(!holds(fork.rootAt(size: old), newRoot, proof)) }
    }
    let root = log.root
    #expect(
      !MerkleLog.isConsistent(oldSize: 24, oldRoot: root, newSize: 23, newRoot: root, proof: []))
    #expect(
      !MerkleLog.isConsistent(oldSize: 0, oldRoot: .zero, newSize: 23, newRoot: root, proof: []))
  }

  @Test("a frontier survives its encoding, and one with the wrong peaks is refused")
  func frontierEncoding() throws {
    let frontier = MerkleLog(leafHashes: (0..<21).map { Digest(UInt64($0)) }).frontier
    var writer = ByteWriter()
    frontier.encode(into: &writer)
    #expect(writer.bytes.count == 8 + 32 * 3)
    var reader = ByteReader(writer.bytes.rawSpan)
    #expect(try LogFrontier(&reader) == frontier)
    try reader.finish()
    #expect(throws: ProofFailure.siblingCount(expected: 3, found: 2)) {
      try LogFrontier(size: 21, peaks: Array(frontier.peaks.dropLast()))
    }
    #expect(throws: DecodingFailure.self) {
      var reader = ByteReader([UInt8](repeating: 0xFF, count: 3000).rawSpan)
      _ = try LogFrontier(&reader)
    }
  }
}
