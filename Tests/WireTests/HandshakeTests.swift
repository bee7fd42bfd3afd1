import Commitments
import Primitives
import Testing

@testable import Wire

private let network = Bytes32((1, 2, 3, 4))
private let otherNetwork = Bytes32((1, 2, 3, 5))

private func key(_ number: UInt8) throws -> HandshakeKey {
  HandshakeKey(try SigningKey(seed: [UInt8](repeating: number, count: 32)))
}

private func nonce(_ number: UInt64) -> Bytes32 { Bytes32((number, 0, 0, 0)) }

/// Two sides, and what they say to each other.
private struct Meeting {
  var connector: SessionOffer
  var listener: SessionOffer
  var admits: @Sendable (Role, PublicKey) -> Bool = { _, _ in true }

  init(service: Bool = true) throws {
    connector = SessionOffer(
      network: network, role: service ? .clearing : .client, key: service ? try key(1) : nil,
      features: 0b110, rules: [Bytes32((9, 0, 0, 0)), Bytes32((8, 0, 0, 0))])
    listener = SessionOffer(network: network, role: .execution, key: try key(2), features: 0b011)
    listener.serviceFrameLimit = 16 << 20
  }

  func answer(to hello: [UInt8]) throws(HandshakeFailure) -> ListeningHandshake {
    try ListeningHandshake(
      Frame(type: SessionMessage.hello, body: hello), offer: listener, nonce: nonce(2),
      admits: admits)
  }

  func failure() -> HandshakeFailure? {
    do throws(HandshakeFailure) {
      _ = try answer(to: ConnectingHandshake(connector, nonce: nonce(1)).hello)
      return nil
    } catch {
      return error
    }
  }
}

private func ackFrame(_ body: [UInt8]) -> Frame { Frame(type: SessionMessage.helloAck, body: body) }

@Suite("Handshake") struct HandshakeTests {
  @Test("two services agree and prove their keys to each other") func services() throws {
    let meeting = try Meeting()
    let connecting = ConnectingHandshake(meeting.connector, nonce: nonce(1))
    let listening = try meeting.answer(to: connecting.hello)
    #expect(listening.needsProof)
    #expect(listening.frameLimit == 16 << 20)
    let (session, proof) = try connecting.receive(
      ackFrame(listening.ack), role: .execution, key: try key(2).publicKey)
    try listening.receive(
      Frame(type: SessionMessage.helloProof, body: try #require(proof)))
    #expect(session.role == .execution)
    #expect(session.frameLimit == 16 << 20)
    #expect(session.features == 0b010)
    #expect(listening.session.role == .clearing)
    #expect(listening.session.key == (try key(1).publicKey))
    #expect(listening.session.rules == [Bytes32((8, 0, 0, 0)), Bytes32((9, 0, 0, 0))])
  }

  @Test("a client is anonymous and needs no proof") func client() throws {
    let meeting = try Meeting(service: false)
    let connecting = ConnectingHandshake(meeting.connector, nonce: nonce(1))
    let listening = try meeting.answer(to: connecting.hello)
    #expect(!listening.needsProof)
    #expect(listening.frameLimit == 1 << 20)
    let (_, proof) = try connecting.receive(ackFrame(listening.ack))
    #expect(proof == nil)
  }

  @Test("a forged answer is refused, whichever bit is changed") func forgedAnswer() throws {
    let meeting = try Meeting()
    let connecting = ConnectingHandshake(meeting.connector, nonce: nonce(1))
    let ack = try meeting.answer(to: connecting.hello).ack
    for bit in 0..<(ack.count * 8) {
      var bad = ack
      bad[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: HandshakeFailure.self, "bit \(bit)") {
        _ = try connecting.receive(ackFrame(bad))
      }
    }
  }

  @Test("a forged proof is refused, whichever bit is changed") func forgedProof() throws {
    let meeting = try Meeting()
    let connecting = ConnectingHandshake(meeting.connector, nonce: nonce(1))
    let listening = try meeting.answer(to: connecting.hello)
    let proof = try #require(try connecting.receive(ackFrame(listening.ack)).proof)
    for bit in 0..<(proof.count * 8) {
      var bad = proof
      bad[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: HandshakeFailure.badSignature(by: try key(1).publicKey), "bit \(bit)") {
        try listening.receive(Frame(type: SessionMessage.helloProof, body: bad))
      }
    }
  }

  @Test("a proof is good for one meeting only") func replayedProof() throws {
    let meeting = try Meeting()
    let connecting = ConnectingHandshake(meeting.connector, nonce: nonce(1))
    let first = try meeting.answer(to: connecting.hello)
    let proof = try #require(try connecting.receive(ackFrame(first.ack)).proof)
    let second = try ListeningHandshake(
      Frame(type: SessionMessage.hello, body: connecting.hello), offer: meeting.listener,
      nonce: nonce(3), admits: { _, _ in true })
    #expect(throws: HandshakeFailure.badSignature(by: try key(1).publicKey)) {
      try second.receive(Frame(type: SessionMessage.helloProof, body: proof))
    }
  }

  @Test("our own signature cannot be sent back to us as a proof") func reflection() throws {
    var meeting = try Meeting()
    meeting.connector.key = try key(2)
    #expect(meeting.failure() == .ownKey)
    // Nor may the listener's signature serve under another key that signs alike.
    let honest = try Meeting()
    let connecting = ConnectingHandshake(honest.connector, nonce: nonce(1))
    let listening = try honest.answer(to: connecting.hello)
    let signature = try HelloAck(listening.ack.rawSpan).signature
    #expect(throws: HandshakeFailure.self) {
      try listening.receive(Frame(type: SessionMessage.helloProof, body: signature.bytes))
    }
  }

  @Test("another network, version, role or key has its own error") func distinct() throws {
    var meeting = try Meeting()
    meeting.connector.network = otherNetwork
    #expect(meeting.failure() == .wrongNetwork(expected: network, found: otherNetwork))

    meeting = try Meeting()
    meeting.listener.versions = VersionRange(major: 1, minors: 2...4)
    meeting.connector.versions = VersionRange(major: 1, minors: 0...1)
    #expect(
      meeting.failure()
        == .versionTooOld(ours: meeting.listener.versions, theirs: meeting.connector.versions))
    #expect(meeting.failure()?.message?.code == .versionTooOld)
    #expect(
      meeting.failure()?.message?.figures ?? (0, 0) == (0x0001_0204, 0x0001_0001))

    meeting.connector.versions = VersionRange(major: 1, minors: 5...6)
    #expect(
      meeting.failure()
        == .versionTooNew(ours: meeting.listener.versions, theirs: meeting.connector.versions))
    meeting.connector.versions = VersionRange(major: 1, minors: 3...6)
    #expect(meeting.failure() == nil)

    meeting = try Meeting()
    meeting.admits = { _, _ in false }
    #expect(meeting.failure() == .unauthorised(.clearing, try key(1).publicKey))

    meeting = try Meeting()
    let connecting = ConnectingHandshake(meeting.connector, nonce: nonce(1))
    let ack = try meeting.answer(to: connecting.hello).ack
    #expect(throws: HandshakeFailure.wrongRole(expected: .settlement, found: .execution)) {
      _ = try connecting.receive(ackFrame(ack), role: .settlement)
    }
    #expect(
      throws: HandshakeFailure.wrongKey(
        expected: try key(3).publicKey, found: try key(2).publicKey)
    ) { _ = try connecting.receive(ackFrame(ack), key: try key(3).publicKey) }
    let refusal = ErrorMessage(.tooManyConnections, "full")
    #expect(throws: HandshakeFailure.refused(refusal)) {
      _ = try connecting.receive(Frame(type: SessionMessage.error, body: refusal.bytes))
    }
    #expect(throws: HandshakeFailure.unexpectedMessage(expected: 2, found: 77)) {
      _ = try connecting.receive(Frame(type: 77))
    }
  }

  @Test("the bytes of the session's messages never change") func goldenBytes() throws {
    let meeting = try Meeting()
    let connecting = ConnectingHandshake(meeting.connector, nonce: nonce(1))
    let listening = try meeting.answer(to: connecting.hello)
    let proof = try #require(try connecting.receive(ackFrame(listening.ack)).proof)
    try Golden.check("Wire/frame-hello.txt", Hexadecimal.text(connecting.hello.rawSpan))
    try Golden.check("Wire/frame-hello-ack.txt", Hexadecimal.text(listening.ack.rawSpan))
    try Golden.check("Wire/frame-hello-proof.txt", Hexadecimal.text(proof.rawSpan))
    #expect(connecting.hello.count == 116 + 64)
    #expect(listening.ack.count == HelloAck.byteCount)
    #expect(Hello.byteCountMax <= 1024)
  }

  @Test("decoding refuses what is short, long or not canonical") func canonical() throws {
    let hello = ConnectingHandshake(try Meeting().connector, nonce: nonce(1)).hello
    #expect(try Hello(hello.rawSpan).bytes == hello)
    for count in 0..<hello.count {
      #expect(throws: DecodingFailure.self) { _ = try Hello(Array(hello[..<count]).rawSpan) }
    }
    #expect(throws: DecodingFailure.self) { _ = try Hello((hello + [0]).rawSpan) }
    var bad = hello
    bad[3] = 5
    #expect(throws: DecodingFailure.invalid(field: "role", offset: 3)) {
      _ = try Hello(bad.rawSpan)
    }
    bad = hello
    bad[1] = 1
    #expect(throws: DecodingFailure.invalid(field: "minor range", offset: 1)) {
      _ = try Hello(bad.rawSpan)
    }
    bad = hello
    bad[112] = 17
    #expect(throws: DecodingFailure.tooMany(field: "rules", count: 17, maximum: 16)) {
      _ = try Hello(bad.rawSpan)
    }
    bad = hello
    bad.replaceSubrange(116..<148, with: hello[148..<180])
    #expect(throws: DecodingFailure.invalid(field: "order of rules", offset: 148)) {
      _ = try Hello(bad.rawSpan)
    }
  }

  @Test("an error message survives the wire", arguments: ErrorCode.allCases)
  func errors(code: ErrorCode) throws {
    let message = ErrorMessage(code, requestID: 3, figures: (.min, .max), "grün 🟢")
    #expect(try ErrorMessage(message.bytes.rawSpan) == message)
    #expect(message.about(4).requestID == 4)
    let long = ErrorMessage(code, String(repeating: "é", count: 400))
    #expect(long.text.utf8.count == 512)
    #expect(long.bytes.count == ErrorMessage.byteCountMax)
    #expect(try ErrorMessage(long.bytes.rawSpan) == long)
    var bad = message.bytes
    bad[32] = 0xFF
    #expect(throws: DecodingFailure.self) { _ = try ErrorMessage(bad.rawSpan) }
    bad = message.bytes
    bad[2] = 2
    #expect(throws: DecodingFailure.self) { _ = try ErrorMessage(bad.rawSpan) }
  }
}

@Suite("Addresses") struct AddressTests {
  @Test(
    "an address reads and writes the same",
    arguments: ["127.0.0.1:7701", "localhost:0", "[::1]:65535", "unix:/tmp/a b.sock"])
  func good(text: String) throws { #expect(try Address(text).description == text) }

  @Test("what is no address says why") func bad() {
    for text in ["", "host", "a:b:1", "[1.2.3.4]:1", ":1", "a b:1", "[::1:1"] {
      #expect(throws: AddressFailure.form(text)) { _ = try Address(text) }
    }
    for text in ["host:", "host:65536", "host:+1", "host:1x", "[::1]"] {
      #expect(throws: AddressFailure.port(text)) { _ = try Address(text) }
    }
    let long = "unix:" + String(repeating: "x", count: 108)
    for text in ["unix:", long] {
      #expect(throws: AddressFailure.path(text)) { _ = try Address(text) }
    }
  }
}
