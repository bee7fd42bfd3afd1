import Primitives
import Testing

@testable import Commitments

@Suite("notes, checkpoints and cosignatures") struct NoteTests {
  static func verifiers() throws -> [NoteVerifier] {
    try Fixture.rows("note-keys.txt").map { try NoteVerifier($0[0]) }
  }

  @Test("base 64 gives the vectors of RFC 4648 §10 and refuses every other spelling")
  func base64() {
    let table = [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
      ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ]
    for (plain, text) in table {
      #expect(Base64.text(Array(plain.utf8)) == text)
      #expect(Base64.bytes(text) == Array(plain.utf8))
    }
    for bad in ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v ", "Zm-_", "Zm8=\n"]
    {
      #expect(Base64.bytes(bad) == nil, "\(bad)")
    }
  }

  @Test("the note of golang.org/x/mod is parsed, verified and written back")
  func publishedNote() throws {
    let text = try Fixture.text("note.txt")
    let note = try SignedNote(parsing: text)
    let verifier = try Self.verifiers()[0]
    #expect(verifier.keyID == 0xC74F_20A3 && verifier.name == "PeterNeumann")
    #expect(note.serialized == text)
    #expect(note.text.hasSuffix("what your problem is.\n"))
    #expect(try note.verified(by: [verifier]) == [verifier])
    let other = try Self.verifiers()[1]
    #expect(throws: NoteFailure.unsigned) { try note.verified(by: [other]) }
  }

  @Test("a public log's checkpoint verifies with the log's and four witnesses' signatures")
  func publishedCheckpoint() throws {
    let text = try Fixture.text("checkpoint.txt")
    let note = try SignedNote(parsing: text)
    let verifiers = try Self.verifiers()
    #expect(note.serialized == text && note.signatures.count == 6)
    #expect(try note.verified(by: verifiers) == Array(verifiers[1...]))
    let checkpoint = try Checkpoint(parsing: note.text)
    #expect(checkpoint.origin == "arche2025h1.staging.ct.transparency.dev")
    #expect(checkpoint.size == 1_432_088_532 && checkpoint.text == note.text)
    for witness in verifiers[2...] {
      #expect(note.cosignatureTime(by: witness) == 1_779_573_024)
    }
    #expect(note.cosignatureTime(by: verifiers[1]) == nil)
  }

  @Test("a changed text is a failure by a known key, and no matter by unknown ones")
  func changedText() throws {
    let text = try Fixture.text("checkpoint.txt")
    let changed = text.replacing("1432088532", with: "1432088533")
    let note = try SignedNote(parsing: changed)
    for verifier in try Self.verifiers()[1...] {
      #expect(throws: NoteFailure.badSignature(name: verifier.name)) {
        try note.verified(by: [verifier])
      }
    }
    #expect(throws: NoteFailure.unsigned) { try note.verified(by: []) }
  }

  @Test("a checkpoint is signed, cosigned, sent, parsed and verified; any flipped bit is refused")
  func roundTrip() throws {
    let logKey = SigningKey.random()
    let witnessKey = SigningKey.random()
    let log = try NoteVerifier(name: "novate.example/log", key: logKey.publicKey)
    let witness = try NoteVerifier(
      name: "w1.example", algorithm: .cosignature, key: witnessKey.publicKey)
    let checkpoint = Checkpoint(origin: "novate.example/log", size: 42, root: Digest(7))
    var note = checkpoint.note
    note.sign(with: logKey, as: log)
    note.cosign(with: witnessKey, as: witness, at: 1_679_315_147)
    let parsed = try SignedNote(parsing: note.serialized)
    #expect(parsed == note)
    #expect(try parsed.verified(by: [log, witness]) == [log, witness])
    #expect(parsed.cosignatureTime(by: witness) == 1_679_315_147)
    #expect(try Checkpoint(parsing: parsed.text) == checkpoint)

    for (position, verifier) in [log, witness].enumerated() {
      let line = note.signatures[position]
      for bit in 0..<(line.bytes.count * 8) {
        var bytes = line.bytes
        bytes[bit >> 3] ^= 1 << UInt8(bit & 7)
        var forged = checkpoint.note
        forged.append(NoteSignature(name: line.name, keyID: line.keyID, bytes: bytes))
        #expect(throws: NoteFailure.badSignature(name: verifier.name)) {
          try forged.verified(by: [verifier])
        }
      }
    }
    // A witness signs the time and the text, so its signature of the plain text does not count.
    var confused = checkpoint.note
    confused.append(
      NoteSignature(
        name: witness.name, keyID: witness.keyID,
        bytes: [UInt8](repeating: 0, count: 8)
          + witnessKey.sign(Array(checkpoint.text.utf8).rawSpan).bytes))
    #expect(throws: NoteFailure.badSignature(name: "w1.example")) {
      try confused.verified(by: [witness])
    }
  }

  @Test("one good and one bad line of a known key refuse the note")
  func mixedLines() throws {
    let key = SigningKey.random()
    let log = try NoteVerifier(name: "log", key: key.publicKey)
    var note = Checkpoint(origin: "log", size: 0, root: Digest(1)).note
    note.sign(with: key, as: log)
    #expect(try note.verified(by: [log]) == [log])
    note.append(NoteSignature(name: "log", keyID: log.keyID &+ 1, bytes: [1, 2, 3]))
    note.append(NoteSignature(name: "other", keyID: log.keyID, bytes: [1, 2, 3]))
    #expect(try note.verified(by: [log]) == [log])
    note.append(NoteSignature(name: "log", keyID: log.keyID, bytes: [1, 2, 3]))
    #expect(throws: NoteFailure.badSignature(name: "log")) { try note.verified(by: [log]) }
  }

  @Test("the text of a note ends at its last blank line")
  func blankLines() throws {
    let note = try SignedNote(parsing: "a\n\nb\n\n\u{2014} k AAAAAAA=\n")
    #expect(note.text == "a\n\nb\n")
    #expect(note.signatures == [NoteSignature(name: "k", keyID: 0, bytes: [0])])
  }

  @Test(
    "a malformed note is refused",
    arguments: [
      "", "\n", "\n\n", "a\n", "a\n\n", "a\n\n\u{2014} k AAAAAAA=", "a\n\u{2014} k AAAAAAA=\n",
      "a\n\n- k AAAAAAA=\n", "a\n\n\u{2014}  AAAAAAA=\n", "a\n\n\u{2014} k AAAA\n",
      "a\n\n\u{2014} k AAAAAAA\n", "a\n\n\u{2014} k  AAAAAAA=\n", "a\n\n\u{2014} k+1 AAAAAAA=\n",
      "a\n\n\u{2014} k AAAAAAA= \n", "a\r\n\n\u{2014} k AAAAAAA=\n", "a\t\n\n\u{2014} k AAAAAAA=\n",
      "a\n\n\u{2014} k\u{2003}k AAAAAAA=\n", "a\n\n\u{2014} k AAAAAAA=\nx\n",
    ])
  func malformedNotes(text: String) {
    #expect(throws: NoteFailure.self) { try SignedNote(parsing: text) }
  }

  @Test("bytes that are not UTF-8, and too many lines, are refused")
  func badBytes() {
    let tail = Array("\n\n\u{2014} k AAAAAAA=\n".utf8)
    #expect(throws: NoteFailure.malformed(.notUTF8)) {
      try SignedNote(parsing: [0x61, 0xFF] + tail)
    }
    let lines = String(repeating: "\u{2014} k AAAAAAA=\n", count: 101)
    #expect(throws: NoteFailure.malformed(.tooManySignatures(count: 101))) {
      try SignedNote(parsing: "a\n\n" + lines)
    }
  }

  @Test(
    "a malformed checkpoint is refused",
    arguments: [
      "", "o\n1\n", "o\n1\nAAAA\n", "\n1\nR\n", "o\n01\nR\n", "o\n+1\nR\n", "o\n-1\nR\n",
      "o\n\nR\n",
      "o\n1\nR", "o\n1\nR\n\n", "o\n1 \nR\n", "o\n9223372036854775808\nR\n", "o\n1\n R\n",
    ])
  func malformedCheckpoints(pattern: String) throws {
    let root = Base64.text(Digest(1))
    #expect(try Checkpoint(parsing: "o\n1\n\(root)\n").size == 1)
    #expect(try Checkpoint(parsing: "o\n0\n\(root)\nmore\n").extensions == ["more"])
    #expect(throws: NoteFailure.self) {
      try Checkpoint(parsing: pattern.replacing("R", with: root))
    }
  }

  @Test("a verifier key with a wrong id, kind, name or length is refused")
  func badVerifierKeys() throws {
    let good = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    #expect(try NoteVerifier(good).description == good)
    for position in good.indices {
      // A key that stops short, and one with a character changed.
      #expect(throws: NoteFailure.self) { try NoteVerifier(String(good[..<position])) }
      var changed = good
      changed.replaceSubrange(position...position, with: good[position] == "B" ? "C" : "B")
      #expect(throws: NoteFailure.self) { try NoteVerifier(changed) }
    }
    for name in ["", "a b", "a+b", "a\u{A0}b", "a\n"] {
      #expect(throws: NoteFailure.self) {
        try NoteVerifier(name: name, key: SigningKey.random().publicKey)
      }
    }
    #expect(throws: NoteFailure.self) { try NoteVerifier(name: "zero", key: .zero) }
  }
}
