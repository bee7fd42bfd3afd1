public import Primitives

/// Why a signing key could not be made.
public enum SignatureFailure: Error, Hashable, Sendable {
  /// A seed is 32 bytes; names what was given.
  case seedByteCount(Int)
  /// libsodium could not start or had no guarded memory left.
  case libraryUnavailable
}

/// Why a proof or a frontier is not one.
public enum ProofFailure: Error, Hashable, Sendable {
  /// The bitmap or the size calls for another number of digests.
  case siblingCount(expected: Int, found: Int)
  /// A sibling that is an empty subtree was given; it should have been left out.
  case defaultSibling(level: Int)
}

/// Why a text is not a signed note, a checkpoint or a note key, or why a note does not verify.
public enum NoteFailure: Error, Hashable, Sendable {
  /// The note is not: text, blank line, signature lines, in plain UTF-8.
  case malformed(MalformedNote)
  /// A key's text is not `name+keyid+base64`, or its id is not that of its name and key.
  case verifierKey(String)
  /// The line of a known key does not verify: the whole note is refused.
  case badSignature(name: String)
  /// No known key has signed.
  case unsigned

  /// What is wrong with a note's form.
  public enum MalformedNote: Hashable, Sendable {
    /// The note passes `SignedNote.byteCountMax`.
    case tooLong(byteCount: Int)
    case notUTF8
    /// A byte below 0x20 other than a newline.
    case controlCharacter
    /// No blank line before the signatures, or no newline at an end.
    case noSignatureBlock
    /// A signature line is not dash, name, base 64; counted from 1.
    case signatureLine(number: Int)
    /// The note passes `SignedNote.signatureCountMax`.
    case tooManySignatures(count: Int)
    /// A checkpoint is three lines or more, none of them empty.
    case checkpointLines
    /// A tree size is a decimal number below 2⁶³ without leading zeroes.
    case treeSize
    /// A root hash is the base 64 of 32 bytes.
    case rootHash
  }
}

/// Why a policy file is refused: what, and on which line.
public struct PolicyFailure: Error, Hashable, Sendable {
  /// Counted from 1.
  public let line: Int
  /// What is wrong there.
  public let reason: Reason

  /// What is wrong with a line.
  public enum Reason: Hashable, Sendable {
    /// Not `log`, `witness`, `group` or `quorum`.
    case unknownKeyword(String)
    /// The line has another number of items than its keyword takes.
    case itemCount(keyword: String, found: Int)
    /// Not 64 hexadecimal digits, or not a key that can verify anything.
    case publicKey(String)
    /// A witness or group has the name of another, or `none`.
    case duplicateName(String)
    /// A log's or a witness's key is listed again.
    case duplicateKey(PublicKey)
    /// A name is used before the line that defines it.
    case undefinedName(String)
    /// A group names one member twice.
    case repeatedMember(String)
    /// Not `any`, `all`, or a number from 1 to the number of members.
    case threshold(String, memberCount: Int)
    /// A policy has exactly one quorum.
    case secondQuorum
    /// The file ends, at the line named, without a `quorum` line.
    case noQuorum
  }
}

// MARK: - What people read

extension SignatureFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .seedByteCount(let count): "expected a seed of 32 bytes, found \(count)"
    case .libraryUnavailable: "libsodium could not start or had no guarded memory left"
    }
  }
}

extension ProofFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .siblingCount(let expected, let found): "expected \(expected) digests, found \(found)"
    case .defaultSibling(let level): "expected no sibling at level \(level), found an empty subtree"
    }
  }
}

extension NoteFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .malformed(let what): "malformed note: \(what)"
    case .verifierKey(let text): "expected a verifier key name+keyid+base64, found \(text)"
    case .badSignature(let name): "the signature line of \(name) does not verify"
    case .unsigned: "no known key has signed the note"
    }
  }
}

extension NoteFailure.MalformedNote: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tooLong(let count):
      "expected at most \(SignedNote.byteCountMax) bytes, found \(count)"
    case .notUTF8: "expected UTF-8"
    case .controlCharacter: "found a control character"
    case .noSignatureBlock: "expected text, a blank line and signature lines, each with a newline"
    case .signatureLine(let number):
      "signature line \(number): expected a dash, a name and base 64"
    case .tooManySignatures(let count):
      "expected at most \(SignedNote.signatureCountMax) signature lines, found \(count)"
    case .checkpointLines: "expected an origin, a size and a root, one a line"
    case .treeSize: "expected a tree size in decimal"
    case .rootHash: "expected a root of 32 bytes in base 64"
    }
  }
}

extension PolicyFailure: CustomStringConvertible {
  public var description: String { "line \(line): \(reason)" }
}

extension PolicyFailure.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unknownKeyword(let word): "expected log, witness, group or quorum, found \(word)"
    case .itemCount(let keyword, let found): "\(keyword) does not take \(found) items"
    case .publicKey(let text): "expected a public key in hexadecimal, found \(text)"
    case .duplicateName(let name): "\(name) is defined twice"
    case .duplicateKey(let key): "key \(key) is listed twice"
    case .undefinedName(let name): "\(name) is not defined on a line before"
    case .repeatedMember(let name): "group member \(name) is named twice"
    case .threshold(let text, let count):
      "expected any, all or a number from 1 to \(count), found \(text)"
    case .secondQuorum: "a policy has one quorum line, found a second"
    case .noQuorum: "expected a quorum line, found none"
    }
  }
}
