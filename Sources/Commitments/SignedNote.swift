public import Primitives

/// What a note key signs (https://c2sp.org/signed-note, signature types).
public enum NoteAlgorithm: UInt8, Hashable, Sendable {
  /// Ed25519 over the note's text.
  case ed25519 = 0x01
  /// Ed25519 over a time and the text (https://c2sp.org/tlog-cosignature).
  case cosignature = 0x04
}

/// The name and public half of a note key.
public struct NoteVerifier: Hashable, Sendable, CustomStringConvertible {
  /// A URL without its scheme, by custom; neither spaces nor plus.
  public let name: String
  /// What the key signs.
  public let algorithm: NoteAlgorithm
  /// The Ed25519 key, 32 bytes.
  public let key: PublicKey
  /// The first four bytes, big-endian, of SHA-256(name || 0x0A || algorithm || key).
  public let keyID: UInt32

  /// - Throws: `.verifierKey` for a name that is empty or holds a space, a plus or a control
  ///   character, and for a key that verifies nothing.
  public init(name: String, algorithm: NoteAlgorithm = .ed25519, key: PublicKey)
    throws(NoteFailure)
  {
    guard NoteVerifier.isName(name), Ed25519.isAcceptableKey(key) else { throw .verifierKey(name) }
    self.name = name
    self.algorithm = algorithm
    self.key = key
    var stream = SHA256Stream()
    stream.update(Array(name.utf8).rawSpan)
    stream.update([0x0A, algorithm.rawValue].rawSpan)
    stream.update(key)
    keyID = UInt32(truncatingIfNeeded: stream.finish().words.0).byteSwapped
  }

  /// Parses `name+keyid+base64(algorithm || key)`, the key id in eight hexadecimal digits.
  /// - Throws: `.verifierKey` for any other text, and where the key id is not the computed one.
  public init(_ text: String) throws(NoteFailure) {
    // The base 64 part may itself hold a plus, so only the first two separate.
    let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[1].utf8.count == 8,
      let bytes = Base64.bytes(parts[2]), bytes.count == 33,
      let algorithm = NoteAlgorithm(rawValue: bytes[0])
    else { throw .verifierKey(text) }
    let key = PublicKey(bytes.rawSpan, at: 1)
    try self.init(name: String(parts[0]), algorithm: algorithm, key: key)
    guard description == text else { throw .verifierKey(text) }
  }

  /// `name+keyid+base64(algorithm || key)`.
  public var description: String {
    var id = ByteWriter()
    id.write(keyID.bigEndian)
    let material = [algorithm.rawValue] + key.withBytes { $0.array }
    return "\(name)+\(Hexadecimal.text(id.bytes.rawSpan))+\(Base64.text(material))"
  }

  static func isName(_ name: String) -> Bool {
    !name.isEmpty
      && name.unicodeScalars.allSatisfy {
        $0 != "+" && !$0.properties.isWhitespace && $0.value >= 0x20 && $0.value != 0x7F
      }
  }
}

/// One signature line of a note, by a key known or unknown.
public struct NoteSignature: Hashable, Sendable {
  /// The key's name.
  public let name: String
  /// The key's short id: a hint, not a proof.
  public let keyID: UInt32
  /// 64 bytes for Ed25519, 72 for a cosignature; any number for an unknown kind.
  public let bytes: [UInt8]

  /// A line made elsewhere.
  public init(name: String, keyID: UInt32, bytes: [UInt8]) {
    self.name = name
    self.keyID = keyID
    self.bytes = bytes
  }

  /// The line, with its newline.
  var line: String {
    var writer = ByteWriter(capacity: 4 + bytes.count)
    writer.write(keyID.bigEndian)
    writer.write(bytes)
    return "\u{2014} \(name) \(Base64.text(writer.bytes))\n"
  }
}

/// Text signed by one or more keys (https://c2sp.org/signed-note).
public struct SignedNote: Hashable, Sendable {
  /// What is signed, its last newline included.
  public let text: String
  /// The signature lines in their order.
  public private(set) var signatures: [NoteSignature]

  /// Bytes of the largest note that is read.
  public static let byteCountMax = 1 << 20
  /// Signature lines of the largest note that is read; the standard asks for 16 at least.
  public static let signatureCountMax = 100

  /// A note nobody has signed yet.
  /// - Throws: `.malformed` for a text that does not end in a newline or holds control characters.
  public init(text: String) throws(NoteFailure) {
    try SignedNote.checkCharacters(Array(text.utf8))
    guard text.utf8.last == SignedNote.newline else { throw .malformed(.noSignatureBlock) }
    self.text = text
    signatures = []
  }

  /// Parses a note; the text ends at the last blank line.
  /// - Throws: `.malformed`, naming what.
  public init(parsing bytes: [UInt8]) throws(NoteFailure) {
    guard bytes.count <= SignedNote.byteCountMax else {
      throw .malformed(.tooLong(byteCount: bytes.count))
    }
    try SignedNote.checkCharacters(bytes)
    guard bytes.last == SignedNote.newline, let split = SignedNote.lastBlankLine(bytes),
      let text = String(validating: bytes[...split], as: UTF8.self)
    else { throw .malformed(.noSignatureBlock) }
    self.text = text
    let block = bytes[(split + 2)...].dropLast()
    let lines = block.split(separator: SignedNote.newline, omittingEmptySubsequences: false)
    guard lines.count <= SignedNote.signatureCountMax else {
      throw .malformed(.tooManySignatures(count: lines.count))
    }
    signatures = []
    for (position, line) in lines.enumerated() {
      guard let signature = SignedNote.signature(line) else {
        throw .malformed(.signatureLine(number: position + 1))
      }
      signatures.append(signature)
    }
  }

  /// Parses a note.
  /// - Throws: `.malformed`, naming what.
  public init(parsing text: String) throws(NoteFailure) { try self.init(parsing: Array(text.utf8)) }

  /// The whole note: text, blank line, signature lines.
  public var serialized: String { text + "\n" + signatures.map(\.line).joined() }

  private static let newline = UInt8(ascii: "\n")

  private static func checkCharacters(_ bytes: [UInt8]) throws(NoteFailure) {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw .malformed(.notUTF8) }
    guard bytes.allSatisfy({ $0 >= 0x20 || $0 == newline }) else {
      throw .malformed(.controlCharacter)
    }
  }

  /// The offset of the newline that ends the text: the first of the last two in a row.
  private static func lastBlankLine(_ bytes: [UInt8]) -> Int? {
    for offset in (0..<max(bytes.count - 2, 0)).reversed()
    where bytes[offset] == newline && bytes[offset + 1] == newline {
      return offset
    }
    return nil
  }

  /// A line without its newline: em dash, space, name, space, base 64 of key id and signature.
  private static func signature(_ line: ArraySlice<UInt8>) -> NoteSignature? {
    let dash = Array("\u{2014} ".utf8)
    guard line.starts(with: dash) else { return nil }
    let words = line.dropFirst(dash.count)
      .split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count == 2, let name = String(validating: words[0], as: UTF8.self),
      NoteVerifier.isName(name), let encoded = String(validating: words[1], as: UTF8.self),
      let bytes = Base64.bytes(encoded), bytes.count > 4
    else { return nil }
    let keyID = bytes.rawSpan.load(at: 0, as: UInt32.self).byteSwapped
    return NoteSignature(name: name, keyID: keyID, bytes: Array(bytes[4...]))
  }
}

// MARK: - Signing and verifying

extension SignedNote {
  /// Adds the signature line of a plain note key.
  /// - Precondition: `verifier` is the public half of `key`, for `.ed25519`.
  public mutating func sign(with key: borrowing SigningKey, as verifier: NoteVerifier) {
    precondition(verifier.algorithm == .ed25519 && verifier.key == key.publicKey)
    let signature = key.sign(Array(text.utf8).rawSpan)
    append(verifier, signature.bytes)
  }

  /// Adds the line of a witness: its statement that at `seconds` (since 1970-01-01 UTC) this was
  /// the largest consistent checkpoint it had seen.
  /// - Precondition: `verifier` is the public half of `key`, for `.cosignature`; `seconds ≥ 0`.
  public mutating func cosign(
    with key: borrowing SigningKey, as verifier: NoteVerifier, at seconds: Int64
  ) {
    precondition(verifier.algorithm == .cosignature && verifier.key == key.publicKey)
    precondition(seconds >= 0, "a cosignature's time is not before 1970")
    let signature = key.sign(cosignedMessage(at: UInt64(seconds)).rawSpan)
    var writer = ByteWriter(capacity: 72)
    writer.write(UInt64(seconds).bigEndian)
    writer.write(signature)
    append(verifier, writer.bytes)
  }

  /// Adds a line made elsewhere, such as a witness's answer.
  public mutating func append(_ signature: NoteSignature) { signatures.append(signature) }

  private mutating func append(_ verifier: NoteVerifier, _ bytes: [UInt8]) {
    append(NoteSignature(name: verifier.name, keyID: verifier.keyID, bytes: bytes))
  }

  private func cosignedMessage(at seconds: UInt64) -> [UInt8] {
    Array("cosignature/v1\ntime \(seconds)\n\(text)".utf8)
  }

  /// The known keys that have signed, each once, in the order of `verifiers`. Lines of unknown
  /// keys are ignored.
  /// - Throws: `.badSignature` when a line of a known key does not verify, `.unsigned` when no
  ///   known key has signed.
  public func verified(by verifiers: [NoteVerifier]) throws(NoteFailure) -> [NoteVerifier] {
    var signers: [NoteVerifier] = []
    for verifier in verifiers {
      let lines = signatures.filter { $0.name == verifier.name && $0.keyID == verifier.keyID }
      for line in lines where !isValid(line, by: verifier) {
        throw .badSignature(name: verifier.name)
      }
      if !lines.isEmpty, !signers.contains(verifier) { signers.append(verifier) }
    }
    if signers.isEmpty { throw .unsigned }
    return signers
  }

  /// The time of a witness's line in seconds since 1970-01-01 UTC; nil where it has none. Means
  /// something only once the note is verified.
  public func cosignatureTime(by verifier: NoteVerifier) -> Int64? {
    guard verifier.algorithm == .cosignature else { return nil }
    for line in signatures where line.name == verifier.name && line.keyID == verifier.keyID {
      guard line.bytes.count == 72 else { return nil }
      return Int64(exactly: line.bytes.rawSpan.load(at: 0, as: UInt64.self).byteSwapped)
    }
    return nil
  }

  private func isValid(_ line: NoteSignature, by verifier: NoteVerifier) -> Bool {
    switch verifier.algorithm {
    case .ed25519:
      guard line.bytes.count == Signature.byteCount else { return false }
      let signature = Signature(line.bytes.rawSpan)
      return Ed25519.isValid(signature, of: Array(text.utf8).rawSpan, by: verifier.key)
    case .cosignature:
      guard line.bytes.count == 8 + Signature.byteCount else { return false }
      let seconds = line.bytes.rawSpan.load(at: 0, as: UInt64.self).byteSwapped
      guard seconds <= UInt64(Int64.max) else { return false }
      let signature = Signature(line.bytes.rawSpan, at: 8)
      let message = cosignedMessage(at: seconds)
      return Ed25519.isValid(signature, of: message.rawSpan, by: verifier.key)
    }
  }
}
