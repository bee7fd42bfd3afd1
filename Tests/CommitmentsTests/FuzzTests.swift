import Primitives
import Testing

@testable import Commitments

/// Text and proofs as enemies write them: refused, or read and written back as they came.
@Suite("Fuzz") struct FuzzTests {
  private static func damaged(_ bytes: [UInt8], _ random: inout Generator) -> [UInt8] {
    var bytes = bytes
    for _ in 0...random.below(3) {
      guard !bytes.isEmpty else { return bytes }
      let place = random.below(bytes.count)
      let length = min(1 + random.below(40), bytes.count - place)
      switch random.below(5) {
      case 0: bytes[place] ^= 1 << UInt8(random.below(8))
      case 1: bytes[place] = UInt8(truncatingIfNeeded: random.next())
      case 2: bytes.removeSubrange(place..<(place + length))
      case 3: bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
      default:
        bytes[place] =
          [UInt8(ascii: "\n"), UInt8(ascii: " "), UInt8(ascii: "+"), 0xE2][random.below(4)]
      }
    }
    return bytes
  }

  static let seeds: [UInt64] = [0xC0_01, 0xC0_02, 0xC0_03]

  @Test(
    "a damaged note is refused or written back as it came; a changed text has no signer",
    arguments: seeds)
  func notes(seed: UInt64) throws {
    var random = Generator(seed: seed)
    let good = Array(try Fixture.text("checkpoint.txt").utf8)
    let note = try SignedNote(parsing: good)
    let names = try note.signatures.map {
      try NoteVerifier(
        name: $0.name, key: SigningKey(seed: [UInt8](repeating: 9, count: 32)).publicKey)
    }
    for round in 0..<4_000 {
      let bytes = Self.damaged(good, &random)
      guard let read = try? SignedNote(parsing: bytes) else { continue }
      #expect(Array(read.serialized.utf8) == bytes, "seed \(seed), round \(round)")
      #expect(throws: NoteFailure.self, "seed \(seed), round \(round)") {
        try read.verified(by: names)
      }
      if let checkpoint = try? Checkpoint(parsing: read.text) {
        #expect(checkpoint.text == read.text, "seed \(seed), round \(round)")
      }
    }
  }

  @Test("a damaged policy is refused, or asks for a quorum it knows", arguments: seeds)
  func policies(seed: UInt64) throws {
    var random = Generator(seed: seed)
    let good = Array(try Fixture.text("policy.txt").utf8)
    let whole = try WitnessPolicy(parsing: String(decoding: good, as: UTF8.self))
    var read = 0
    for round in 0..<4_000 {
      let text = String(decoding: Self.damaged(good, &random), as: UTF8.self)
      guard let policy = try? WitnessPolicy(parsing: text) else { continue }
      read += 1
      // Nobody's signatures meet a quorum that names anybody.
      let isEmpty = policy.satisfied(by: [PublicKey]())
      #expect(!isEmpty || policy.quorumName == "none", "seed \(seed), round \(round): \(text)")
      #expect(policy.witnesses.count <= whole.witnesses.count + 8)
    }
    #expect(read > 100, "seed \(seed): \(read) were read")
  }

  @Test(
    "damaged keys, base 64 and proofs are refused, or written back as they came", arguments: seeds)
  func encodings(seed: UInt64) throws {
    var random = Generator(seed: seed)
    let key = try SigningKey(seed: [UInt8](repeating: 5, count: 32)).publicKey
    let verifier = Array(try NoteVerifier(name: "log.example/x", key: key).description.utf8)
    var tree = IndexedTree()
    for place in [0, 1, 7, 40] { tree.set(place, random.digest()) }
    let proof = tree.proof(of: 7).encoded
    var frontier = LogFrontier()
    for _ in 0..<11 { frontier.append(leafHash: random.digest()) }
    var writer = ByteWriter()
    frontier.encode(into: &writer)
    for round in 0..<4_000 {
      let text = String(decoding: Self.damaged(verifier, &random), as: UTF8.self)
      if let read = try? NoteVerifier(text) {
        #expect(read.description == text, "seed \(seed), round \(round)")
      }
      let letters = String(
        decoding: Self.damaged(Array("c3Rvbmluc3Rvbg==".utf8), &random), as: UTF8.self)
      if let bytes = Base64.bytes(letters) {
        #expect(Base64.text(bytes) == letters, "seed \(seed), round \(round)")
      }
      let changed = Self.damaged(proof, &random)
      if let read = try? IndexedProof(decoding: changed.rawSpan) {
        #expect(read.encoded == changed, "seed \(seed), round \(round)")
      }
      let edge = Self.damaged(writer.bytes, &random)
      var reader = ByteReader(edge.rawSpan)
      if let read = try? LogFrontier(&reader), reader.remaining == 0 {
        var again = ByteWriter()
        read.encode(into: &again)
        #expect(again.bytes == edge, "seed \(seed), round \(round)")
        _ = read.root
      }
    }
  }
}
