import Primitives
import Testing

@testable import Commitments

@Suite("SHA-256, object ids and checksums") struct SHA256Tests {
  @Test("the digests of FIPS 180-4 come out, in one piece and in many")
  func standardVectors() throws {
    let rows = try Fixture.rows("sha256.txt")
    #expect(rows.count == 5)
    for row in rows {
      let piece = Fixture.bytes(row[0])
      let times = try #require(Int(row[1]))
      var stream = SHA256Stream()
      for _ in 0..<times { stream.update(piece.rawSpan) }
      #expect(stream.finish() == Fixture.digest(row[2]))
      let whole = [[UInt8]](repeating: piece, count: times).flatMap { $0 }
      #expect(SHA256.digest(whole) == Fixture.digest(row[2]))
    }
  }

  @Test("a finished stream begins anew")
  func streamBeginsAnew() {
    var stream = SHA256Stream()
    stream.update(Digest.zero)
    _ = stream.finish()
    #expect(stream.finish() == SHA256.digest([]))
  }

  @Test("a pair is the digest of 64 bytes, a log node of 65, each pair of a level likewise")
  func nodes() {
    var generator = Generator(seed: 1)
    let children = (0..<64).map { _ in generator.digest() }
    var parents = [Digest](repeating: .zero, count: 32)
    SHA256.level(children, into: &parents, at: (0..<32).map { UInt32($0) })
    var again = [Digest](repeating: .zero, count: 32)
    SHA256.level(children, into: &again, at: (0..<32).map { UInt32($0) }, alone: true)
    #expect(again == parents)
    for index in 0..<32 {
      let (left, right) = (children[2 * index], children[2 * index + 1])
      #expect(SHA256.pair(left, right) == Twin.node(left, right))
      #expect(parents[index] == Twin.node(left, right))
      #expect(SHA256.logNode(left, right) == SHA256.digest([1] + left.array + right.array))
    }
  }

  @Test("many messages at once have the digests they have alone")
  func many() {
    var generator = Generator(seed: 2)
    let bytes = (0..<40_000).map { _ in UInt8(truncatingIfNeeded: generator.below(256)) }
    for count in 0..<7 {
      for _ in 0..<60 {
        // Lengths around one, two and three blocks, and none.
        let bounds = (0..<count).flatMap { _ in
          let start = generator.below(30_000)
          return [start, start + generator.below(260)]
        }
        let expected = (0..<count).map {
          SHA256.digest(Array(bytes[bounds[2 * $0]..<bounds[2 * $0 + 1]]))
        }
        #expect(SHA256.digests(of: bytes.rawSpan, bounds) == expected)
        #expect(SHA256.digests(of: bytes.rawSpan, bounds, alone: true) == expected)
      }
    }
    for size in 1..<200 {
      for count in [1, 2, 5] {
        let records = Array(bytes.prefix(size * count))
        let expected = (0..<count).map { place in
          let record = Array(records[(place * size)..<(place * size + size)])
          return SHA256.digest([UInt8(truncatingIfNeeded: size)] + record)
        }
        let prefix = UInt8(truncatingIfNeeded: size)
        for alone in [false, true] {
          let digests = SHA256.digests(
            ofRecords: records.rawSpan, size: size, prefix: prefix, alone: alone)
          #expect(digests == expected)
        }
      }
    }
  }

  @Test("every pair of a list, and every level of a log, as one by one")
  func pairsAndLogs() {
    var generator = Generator(seed: 3)
    for count in 0..<70 {
      let nodes = (0..<count).map { _ in generator.digest() }
      let even = Array(nodes.prefix(count & ~1))
      #expect(
        SHA256.pairs(even)
          == stride(from: 0, to: even.count, by: 2).map { SHA256.pair(even[$0], even[$0 + 1]) })
      var frontier = LogFrontier()
      for node in nodes { frontier.append(leafHash: node) }
      #expect(MerkleLog.root(ofLeafHashes: nodes) == frontier.root)
    }
  }

  @Test("a level with a gap leaves the other parents alone")
  func levelWithGap() {
    let children = (0..<16).map { Digest(UInt64($0)) }
    var parents = [Digest](repeating: .zero, count: 8)
    SHA256.level(children, into: &parents, at: [1, 6])
    #expect(parents.indices.filter { !parents[$0].isZero } == [1, 6])
  }

  @Test("an object's id is the digest of tag, network and bytes")
  func objectIDs() {
    let network = Digest(7)
    let bytes: [UInt8] = [1, 2, 3]
    let tag: ObjectTag = "novate/exec-header/1"
    let padded = Array("novate/exec-header/1".utf8) + [UInt8](repeating: 0, count: 12)
    let expected = SHA256.digest(padded + network.array + bytes)
    #expect(tag.bytes.array == padded)
    #expect(tag.description == "novate/exec-header/1")
    #expect(ObjectID.of(tag: tag, network: network, bytes: bytes.rawSpan) == expected)
    #expect(ObjectID.of(tag: "novate/ack/1", network: network, bytes: bytes.rawSpan) != expected)
    #expect(ObjectID.of(tag: tag, network: .zero, bytes: bytes.rawSpan) != expected)
    let genesis = Array("novate/genesis/1".utf8) + [UInt8](repeating: 0, count: 16)
    #expect(ObjectID.genesis(bytes.rawSpan) == SHA256.digest(genesis + bytes))
  }

  @Test("a tag that does not fit 32 bytes stops the process")
  func longTag() async {
    await #expect(processExitsWith: .failure) {
      _ = ObjectTag(stringLiteral: "a name of more than thirty-two characters")
    }
  }

  @Test("SipHash-2-4 gives the vector of Aumasson and Bernstein, appendix A")
  func sipHash() {
    let key = (0..<16).map { UInt8($0) }
    let message = (0..<15).map { UInt8($0) }
    #expect(SipHash.hash(message.rawSpan, key: key) == 0xA129_CA61_49BE_45E5)
    let published = Array("novate/checksum1".utf8)
    #expect(SipHash.checksum(message.rawSpan) == SipHash.hash(message.rawSpan, key: published))
  }
}
