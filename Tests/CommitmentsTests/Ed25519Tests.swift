import Primitives
import Testing

@testable import Commitments

@Suite("Ed25519") struct Ed25519Tests {
  @Test("the vectors of RFC 8032 §7.1 sign and verify")
  func standardVectors() throws {
    let rows = try Fixture.rows("rfc8032.txt")
    #expect(rows.map { $0[0] } == ["1", "2", "3", "1024", "SHA(abc)"])
    for row in rows {
      let key = try SigningKey(seed: Fixture.bytes(row[1]))
      let message = Fixture.bytes(row[3])
      let expected = Signature(Fixture.bytes(row[4]).rawSpan)
      #expect(key.publicKey == Fixture.digest(row[2]))
      #expect(key.sign(message.rawSpan) == expected)
      let isValid = Ed25519.isValid(expected, of: message.rawSpan, by: key.publicKey)
      #expect(isValid)
      #expect(Ed25519.isAcceptableKey(key.publicKey))
      let seed = key.withSeed { $0.array }
      #expect(seed == Fixture.bytes(row[1]))
    }
  }

  @Test("of the twelve edge cases of eprint 2020/1244 only the third is valid")
  func edgeCases() throws {
    let rows = try Fixture.rows("ed25519-edge-cases.txt")
    #expect(rows.map { $0[0] } == (0..<12).map(String.init))
    for row in rows {
      let message = Fixture.bytes(row[1])
      let signature = Signature(Fixture.bytes(row[3]).rawSpan)
      let isValid = Ed25519.isValid(signature, of: message.rawSpan, by: Fixture.digest(row[2]))
      #expect(isValid == (row[0] == "3"), "case \(row[0])")
    }
  }

  @Test("a key of mixed order is acceptable, one of small order or non-canonical is not")
  func acceptableKeys() throws {
    let cases = try Fixture.rows("ed25519-edge-cases.txt")
    #expect(Ed25519.isAcceptableKey(Fixture.digest(cases[3][2])))
    #expect(!Ed25519.isAcceptableKey(Fixture.digest(cases[0][2])))
    let small = try Fixture.rows("ed25519-small-order.txt")
    #expect(small.count == 14)
    for row in small { #expect(!Ed25519.isAcceptableKey(Fixture.digest(row[0])), "\(row[0])") }
    // y = p + 3 is a point of large order, written past p.
    let past = Digest((0xFFFF_FFFF_FFFF_FFF0, .max, .max, .max >> 1))
    #expect(Ed25519.isAcceptableKey(Digest((3, 0, 0, 0))))
    #expect(!Ed25519.isCanonical(past) && !Ed25519.isAcceptableKey(past))
    // y = 2 is on no point of the curve.
    #expect(!Ed25519.isAcceptableKey(Digest((2, 0, 0, 0))))
  }

  @Test("a signature whose R or A is of small order is refused, though its equation holds")
  func smallOrder() throws {
    let encodings = try Fixture.rows("ed25519-small-order.txt").map { Fixture.digest($0[0]) }
    // With S = 0 and A, R among the eight points, the equation R = -kA holds for some messages.
    for a in encodings {
      for r in encodings {
        for message in 0..<8 {
          let signature = Signature(r: r, s: .zero)
          #expect(!Ed25519.isValid(signature, of: Digest(UInt64(message)), by: a))
        }
      }
    }
  }

  @Test("S + L is refused")
  func largeS() throws {
    let key = try SigningKey(seed: [UInt8](repeating: 9, count: 32))
    let id = Digest(5)
    let signature = key.sign(id)
    #expect(Ed25519.isValid(signature, of: id, by: key.publicKey))
    // L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032 §5.1), little-endian words.
    let order: [UInt64] = [0x5812_631A_5CF5_D3ED, 0x14DE_F9DE_A2F7_9CD6, 0, 0x1000_0000_0000_0000]
    let s = signature.s.words
    var carry: UInt64 = 0
    let sum = zip([s.0, s.1, s.2, s.3], order).map { (a, b) -> UInt64 in
      let (low, first) = a.addingReportingOverflow(b)
      let (total, second) = low.addingReportingOverflow(carry)
      carry = first || second ? 1 : 0
      return total
    }
    let shifted = Signature(r: signature.r, s: Digest((sum[0], sum[1], sum[2], sum[3])))
    #expect(carry == 0 && !Ed25519.isValid(shifted, of: id, by: key.publicKey))
  }

  @Test("any flipped bit of signature, message or key is refused")
  func flippedBits() throws {
    let key = try SigningKey(seed: [UInt8](repeating: 3, count: 32))
    let id = SHA256.digest([1, 2, 3])
    let signature = key.sign(id)
    #expect(Ed25519.isValid(signature, of: id, by: key.publicKey))
    for bit in 0..<512 {
      #expect(!Ed25519.isValid(signature.flipped(bit: bit), of: id, by: key.publicKey))
    }
    for bit in 0..<256 {
      #expect(!Ed25519.isValid(signature, of: id.flipped(bit: bit), by: key.publicKey))
      #expect(!Ed25519.isValid(signature, of: id, by: key.publicKey.flipped(bit: bit)))
    }
  }

  @Test("a seed of another length than 32 bytes is refused", arguments: [0, 31, 33, 64])
  func seedLength(count: Int) {
    #expect(throws: SignatureFailure.seedByteCount(count)) {
      _ = try SigningKey(seed: [UInt8](repeating: 1, count: count)).publicKey
    }
  }

  @Test("random keys differ and sign")
  func randomKeys() {
    let a = SigningKey.random()
    let b = SigningKey.random()
    #expect(a.publicKey != b.publicKey)
    #expect(Ed25519.isValid(a.sign(Digest(1)), of: Digest(1), by: a.publicKey))
    #expect(!Ed25519.isValid(a.sign(Digest(1)), of: Digest(1), by: b.publicKey))
  }

  @Test("many threads sign with one key and agree")
  func threads() async {
    final class Shared: Sendable {
      let key = SigningKey.random()
    }
    let shared = Shared()
    let expected = shared.key.sign(Digest(1))
    let agreed = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask { (0..<50).allSatisfy { _ in shared.key.sign(Digest(1)) == expected } }
      }
      return await group.reduce(true) { $0 && $1 }
    }
    #expect(agreed)
  }

  @Test("the libraries name their versions")
  func versions() {
    #expect(Sodium.start() && Sodium.version.contains("."))
    #expect(LibCrypto.version.contains("."))
  }
}
