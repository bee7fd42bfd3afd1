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
    for index in 0..<32 {
      let (left, right) = (children[2 * index], children[2 * index + 1])
      #expect(SHA256.pair(left, right) == Twin.node(left, right))
      #expect(parents[index] == Twin.node(left, right))
      #expect(SHA256.logNode(left, right) == SHA256.digest([1] + left.array + right.array))
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
