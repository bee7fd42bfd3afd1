public import Commitments
public import Primitives

/// What a side of a connection is.
public enum Role: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
  case client = 0
  case execution = 1
  case clearing = 2
  case settlement = 3
  case witness = 4

  public var description: String {
    switch self {
    case .client: "client"
    case .execution: "execution"
    case .clearing: "clearing"
    case .settlement: "settlement"
    case .witness: "witness"
    }
  }
}

/// The first message of whoever connects.
///
/// 112 bytes: major u8, lowest minor u8, highest minor u8, role u8, frame limit u32, features u64,
/// network 32, key 32, nonce 32; then a u32 count of at most 16 rule-set ids, ascending, 32 bytes
/// each. The key is zero for an anonymous client, and for nobody else.
public struct Hello: Hashable, Sendable {
  public static let rulesCountMax = 16
  public static let byteCountMax = 116 + rulesCountMax * 32

  public var versions: VersionRange
  public var role: Role
  /// The longest body the sender accepts.
  public var frameLimit: UInt32
  public var features: UInt64
  public var network: Digest
  public var key: PublicKey
  public var nonce: Bytes32
  /// Rule sets (`stf_id`) the sender can replay, ascending.
  public let rules: [Digest]

  /// - Parameter rules: at most 16; put in order here.
  /// - Precondition: a service has a key.
  public init(
    versions: VersionRange = .current, role: Role, frameLimit: UInt32, features: UInt64 = 0,
    network: Digest, key: PublicKey, nonce: Bytes32, rules: [Digest] = []
  ) {
    precondition(role == .client || !key.isZero, "a service says its key")
    self.versions = versions
    self.role = role
    self.frameLimit = frameLimit
    self.features = features
    self.network = network
    self.key = key
    self.nonce = nonce
    self.rules = Set(rules).sorted()
    precondition(self.rules.count <= Hello.rulesCountMax, "at most 16 rule sets")
  }

  /// The canonical bytes.
  public var bytes: [UInt8] {
    var writer = ByteWriter(capacity: Hello.byteCountMax)
    writer.write(versions.major)
    writer.write(versions.lowestMinor)
    writer.write(versions.highestMinor)
    writer.write(role.rawValue)
    writer.write(frameLimit)
    writer.write(features)
    writer.write(network)
    writer.write(key)
    writer.write(nonce)
    writer.write(UInt32(rules.count))
    for rule in rules { writer.write(rule) }
    return writer.bytes
  }

  /// - Throws: `DecodingFailure` for any but the canonical bytes.
  public init(_ bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let major: UInt8 = try reader.read()
    let lowest: UInt8 = try reader.read()
    let highest: UInt8 = try reader.read()
    guard lowest <= highest else { throw .invalid(field: "minor range", offset: 1) }
    versions = VersionRange(major: major, minors: lowest...highest)
    role = try reader.readRole()
    frameLimit = try reader.read()
    features = try reader.read()
    network = try reader.read()
    key = try reader.read()
    guard role == .client || !key.isZero else { throw .invalid(field: "key", offset: 48) }
    nonce = try reader.read()
    var rules: [Digest] = []
    for _ in 0..<(try reader.count("rules", maximum: Hello.rulesCountMax)) {
      let rule: Digest = try reader.read()
      if let last = rules.last, last >= rule {
        throw .invalid(field: "order of rules", offset: reader.offset - 32)
      }
      rules.append(rule)
    }
    self.rules = rules
    try reader.finish()
  }
}

/// The answer of whoever listens.
///
/// 144 bytes: minor u8, role u8, zero u16, frame limit u32, features u64, key 32, nonce 32,
/// signature 64.
public struct HelloAck: Hashable, Sendable {
  public static let byteCount = 144
  /// The bytes before the signature.
  static let signedByteCount = 80

  /// The minor both will speak.
  public var minor: UInt8
  public var role: Role
  /// The longest body the sender accepts.
  public var frameLimit: UInt32
  /// The features both have.
  public var features: UInt64
  public var key: PublicKey
  public var nonce: Bytes32
  /// Over the transcript, by `key`.
  public var signature: Signature

  public init(
    minor: UInt8, role: Role, frameLimit: UInt32, features: UInt64, key: PublicKey, nonce: Bytes32,
    signature: Signature = .zero
  ) {
    self.minor = minor
    self.role = role
    self.frameLimit = frameLimit
    self.features = features
    self.key = key
    self.nonce = nonce
    self.signature = signature
  }

  /// The canonical bytes.
  public var bytes: [UInt8] {
    var writer = ByteWriter(capacity: HelloAck.byteCount)
    writer.write(minor)
    writer.write(role.rawValue)
    writer.pad(2)
    writer.write(frameLimit)
    writer.write(features)
    writer.write(key)
    writer.write(nonce)
    writer.write(signature)
    return writer.bytes
  }

  /// - Throws: `DecodingFailure` for any but the canonical bytes.
  public init(_ bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    minor = try reader.read()
    role = try reader.readRole()
    try reader.zeros(2, field: "reserved")
    frameLimit = try reader.read()
    features = try reader.read()
    key = try reader.read()
    guard !key.isZero else { throw .invalid(field: "key", offset: 16) }
    nonce = try reader.read()
    signature = try reader.read()
    try reader.finish()
  }
}

extension ByteReader {
  fileprivate mutating func readRole() throws(DecodingFailure) -> Role {
    let value: UInt8 = try read()
    guard let role = Role(rawValue: value) else {
      throw .invalid(field: "role", offset: offset - 1)
    }
    return role
  }
}

/// Why two sides did not come to an agreement.
public enum HandshakeFailure: Error, Hashable, Sendable {
  case malformed(DecodingFailure)
  /// Another message came than the one whose turn it was.
  case unexpectedMessage(expected: UInt16, found: UInt16)
  case versionTooOld(ours: VersionRange, theirs: VersionRange)
  case versionTooNew(ours: VersionRange, theirs: VersionRange)
  case wrongNetwork(expected: Digest, found: Digest)
  case wrongRole(expected: Role, found: Role)
  case wrongKey(expected: PublicKey, found: PublicKey)
  /// The other side does not hold the key it names.
  case badSignature(by: PublicKey)
  /// The other side names our own key.
  case ownKey
  /// The key may not act in this role here.
  case unauthorised(Role, PublicKey)
  /// The answer chose what was not offered.
  case notOffered
  /// The other side refused.
  case refused(ErrorMessage)

  /// What to tell the other side; nil when it is the one that refused.
  public var message: ErrorMessage? {
    switch self {
    case .malformed, .unexpectedMessage, .notOffered: ErrorMessage(.badFrame, description)
    case .versionTooOld(let ours, let theirs):
      ErrorMessage(.versionTooOld, figures: (ours.packed, theirs.packed), description)
    case .versionTooNew(let ours, let theirs):
      ErrorMessage(.versionTooNew, figures: (ours.packed, theirs.packed), description)
    case .wrongNetwork: ErrorMessage(.wrongNetwork, description)
    case .wrongRole, .wrongKey, .badSignature, .ownKey, .unauthorised:
      ErrorMessage(.unauthorised, description)
    case .refused: nil
    }
  }
}

extension HandshakeFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .malformed(let failure): "handshake: \(failure)"
    case .unexpectedMessage(let expected, let found):
      "handshake: expected message \(expected), found \(found)"
    case .versionTooOld(let ours, let theirs):
      "handshake: the other side is too old, expected version \(ours), found \(theirs)"
    case .versionTooNew(let ours, let theirs):
      "handshake: the other side is too new, expected version \(ours), found \(theirs)"
    case .wrongNetwork(let expected, let found):
      "handshake: expected network \(expected), found \(found)"
    case .wrongRole(let expected, let found):
      "handshake: expected role \(expected), found \(found)"
    case .wrongKey(let expected, let found): "handshake: expected key \(expected), found \(found)"
    case .badSignature(let key): "handshake: the signature is not by key \(key)"
    case .ownKey: "handshake: the other side names our own key"
    case .unauthorised(let role, let key): "handshake: key \(key) may not act as \(role) here"
    case .notOffered: "handshake: the answer chose what was not offered"
    case .refused(let message): "refused by the other side: \(message)"
    }
  }
}

extension FrameFailure {
  /// What to tell the sender of the frame.
  public var message: ErrorMessage {
    switch self {
    case .badMagic, .headerChecksum, .unknownFlags, .reservedType, .blockTooLong, .sequenceGap,
      .bodyChecksum:
      ErrorMessage(.badFrame, description)
    case .versionTooOld(let ours, let theirs):
      ErrorMessage(.versionTooOld, figures: (ours.packed, theirs.packed), description)
    case .versionTooNew(let ours, let theirs):
      ErrorMessage(.versionTooNew, figures: (ours.packed, theirs.packed), description)
    case .wrongNetwork: ErrorMessage(.wrongNetwork, description)
    case .bodyTooLong(let limit, let found):
      ErrorMessage(.tooLarge, figures: (Int64(limit), Int64(found)), description)
    }
  }
}

/// A signing key several connections share.
public final class HandshakeKey: Sendable {
  private let key: SigningKey

  public init(_ key: consuming SigningKey) { self.key = key }

  public var publicKey: PublicKey { key.publicKey }

  func sign(_ id: Digest) -> Signature { key.sign(id) }
}

/// What one side says of itself in every handshake.
public struct SessionOffer: Sendable {
  public var network: Digest
  public var role: Role
  /// nil for an anonymous client.
  public var key: HandshakeKey?
  public var versions: VersionRange
  public var features: UInt64
  /// The longest body accepted from the other side.
  public var frameLimit: UInt32
  /// The longest body accepted from a service, where that differs.
  public var serviceFrameLimit: UInt32?
  /// Rule sets that can be replayed; at most 16.
  public var rules: [Digest]

  public init(
    network: Digest, role: Role = .client, key: HandshakeKey? = nil,
    versions: VersionRange = .current, features: UInt64 = 0,
    frameLimit: UInt32 = UInt32(FrameHeader.bodyByteCountDefaultMax), rules: [Digest] = []
  ) {
    self.network = network
    self.role = role
    self.key = key
    self.versions = versions
    self.features = features
    self.frameLimit = frameLimit
    self.rules = rules
  }
}

/// What two sides agreed on, seen from one of them.
public struct Session: Hashable, Sendable {
  /// The other side's role.
  public let role: Role
  /// The other side's key, proved; zero for an anonymous client.
  public let key: PublicKey
  public let minor: UInt8
  public let features: UInt64
  /// The longest body the other side accepts.
  public let frameLimit: Int
  /// The other side's rule sets; empty when it is the one that listened.
  public let rules: [Digest]

  public init(
    role: Role = .client, key: PublicKey = .zero, minor: UInt8 = 0, features: UInt64 = 0,
    frameLimit: Int, rules: [Digest] = []
  ) {
    self.role = role
    self.key = key
    self.minor = minor
    self.features = features
    self.frameLimit = frameLimit
    self.rules = rules
  }
}

/// What is signed: both sides' words and nonces.
enum Transcript {
  static let tag: ObjectTag = "novate/hello/1"

  /// What the listening side signs: HELLO and HELLO_ACK up to its signature.
  static func listener(_ hello: [UInt8], _ ack: [UInt8], network: Digest) -> Digest {
    let signed = hello + ack.prefix(HelloAck.signedByteCount)
    return ObjectID.of(tag: tag, network: network, bytes: signed.rawSpan)
  }

  /// What the connecting side signs: the same and the listener's signature, so that neither
  /// signature can be shown as the other.
  static func connector(_ hello: [UInt8], _ ack: [UInt8], network: Digest) -> Digest {
    ObjectID.of(tag: tag, network: network, bytes: (hello + ack).rawSpan)
  }
}

/// The handshake as seen by whoever connects: `hello` out, `receive` the answer, send the proof.
public struct ConnectingHandshake: Sendable {
  private let offer: SessionOffer
  /// The body of the HELLO to send.
  public let hello: [UInt8]

  /// - Parameter nonce: fresh randomness.
  public init(_ offer: SessionOffer, nonce: Bytes32) {
    self.offer = offer
    hello =
      Hello(
        versions: offer.versions, role: offer.role, frameLimit: offer.frameLimit,
        features: offer.features, network: offer.network, key: offer.key?.publicKey ?? .zero,
        nonce: nonce, rules: offer.rules
      ).bytes
  }

  /// Judges the answer.
  /// - Parameters:
  ///   - role: who must answer; nil accepts any service.
  ///   - key: the key it must hold; nil accepts any.
  /// - Returns: the session, and the body of the HELLO_PROOF to send if we have a key.
  /// - Throws: `HandshakeFailure`.
  public func receive(_ answer: Frame, role: Role? = nil, key: PublicKey? = nil)
    throws(HandshakeFailure) -> (session: Session, proof: [UInt8]?)
  {
    if answer.type == SessionMessage.error {
      throw .refused(
        try decoding { () throws(DecodingFailure) in try ErrorMessage(answer.body.rawSpan) })
    }
    guard answer.type == SessionMessage.helloAck else {
      throw .unexpectedMessage(expected: SessionMessage.helloAck, found: answer.type)
    }
    let ack = try decoding { () throws(DecodingFailure) in try HelloAck(answer.body.rawSpan) }
    if let role, ack.role != role { throw .wrongRole(expected: role, found: ack.role) }
    if let key, ack.key != key { throw .wrongKey(expected: key, found: ack.key) }
    if let own = offer.key?.publicKey, own == ack.key { throw .ownKey }
    guard (offer.versions.lowestMinor...offer.versions.highestMinor).contains(ack.minor),
      ack.features & ~offer.features == 0
    else { throw .notOffered }
    let id = Transcript.listener(hello, answer.body, network: offer.network)
    guard Ed25519.isValid(ack.signature, of: id, by: ack.key) else {
      throw .badSignature(by: ack.key)
    }
    let session = Session(
      role: ack.role, key: ack.key, minor: ack.minor, features: ack.features,
      frameLimit: min(Int(ack.frameLimit), FrameHeader.bodyByteCountHardMax), rules: [])
    let proof = offer.key.map {
      $0.sign(Transcript.connector(hello, answer.body, network: offer.network)).bytes
    }
    return (session, proof)
  }
}

/// The handshake as seen by whoever listens: judge the HELLO, send `ack`, and, if the other side
/// named a key, judge its proof.
public struct ListeningHandshake: Sendable {
  private let hello: [UInt8]
  private let network: Digest
  /// The body of the HELLO_ACK to send.
  public let ack: [UInt8]
  /// The agreement; it holds once the proof was judged, if there has to be one.
  public let session: Session

  /// The longest body we accept from the other side.
  public let frameLimit: Int

  /// Whether the other side still has to prove its key.
  public var needsProof: Bool { !session.key.isZero }

  /// Judges a HELLO.
  /// - Parameters:
  ///   - offer: our side; its key is needed.
  ///   - nonce: fresh randomness.
  ///   - admits: whether a key may act in a role here; asked for whoever names a key.
  /// - Throws: `HandshakeFailure`.
  /// - Precondition: the offer has a key.
  public init(
    _ frame: Frame, offer: SessionOffer, nonce: Bytes32, admits: (Role, PublicKey) -> Bool
  ) throws(HandshakeFailure) {
    guard let key = offer.key else { preconditionFailure("whoever listens has a handshake key") }
    guard frame.type == SessionMessage.hello else {
      throw .unexpectedMessage(expected: SessionMessage.hello, found: frame.type)
    }
    let theirs = try decoding { () throws(DecodingFailure) in try Hello(frame.body.rawSpan) }
    let minor = try ListeningHandshake.minor(ours: offer.versions, theirs: theirs.versions)
    guard theirs.network == offer.network else {
      throw .wrongNetwork(expected: offer.network, found: theirs.network)
    }
    guard theirs.key != key.publicKey else { throw .ownKey }
    if theirs.role != .client || !theirs.key.isZero {
      guard admits(theirs.role, theirs.key) else { throw .unauthorised(theirs.role, theirs.key) }
    }
    let limit = theirs.role == .client ? offer.frameLimit : offer.serviceFrameLimit
    var answer = HelloAck(
      minor: minor, role: offer.role, frameLimit: limit ?? offer.frameLimit,
      features: offer.features & theirs.features, key: key.publicKey, nonce: nonce)
    answer.signature = key.sign(
      Transcript.listener(frame.body, answer.bytes, network: offer.network))
    hello = frame.body
    network = offer.network
    ack = answer.bytes
    frameLimit = Int(answer.frameLimit)
    session = Session(
      role: theirs.role, key: theirs.key, minor: minor, features: answer.features,
      frameLimit: min(Int(theirs.frameLimit), FrameHeader.bodyByteCountHardMax),
      rules: theirs.rules)
  }

  /// Judges the proof.
  /// - Throws: `HandshakeFailure`.
  public func receive(_ frame: Frame) throws(HandshakeFailure) {
    guard frame.type == SessionMessage.helloProof else {
      throw .unexpectedMessage(expected: SessionMessage.helloProof, found: frame.type)
    }
    let signature = try decoding { () throws(DecodingFailure) in
      var reader = ByteReader(frame.body.rawSpan)
      let signature: Signature = try reader.read()
      try reader.finish()
      return signature
    }
    let id = Transcript.connector(hello, ack, network: network)
    guard Ed25519.isValid(signature, of: id, by: session.key) else {
      throw .badSignature(by: session.key)
    }
  }

  /// The highest minor both speak.
  private static func minor(ours: VersionRange, theirs: VersionRange) throws(HandshakeFailure)
    -> UInt8
  {
    let minor = min(ours.highestMinor, theirs.highestMinor)
    if theirs.major < ours.major || (theirs.major == ours.major && minor < ours.lowestMinor) {
      throw .versionTooOld(ours: ours, theirs: theirs)
    }
    if theirs.major > ours.major || minor < theirs.lowestMinor {
      throw .versionTooNew(ours: ours, theirs: theirs)
    }
    return minor
  }
}

private func decoding<T>(_ body: () throws(DecodingFailure) -> T) throws(HandshakeFailure) -> T {
  do { return try body() } catch { throw .malformed(error) }
}
