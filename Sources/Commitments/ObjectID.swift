public import Primitives

/// The name of a signed or hashed type, zero-padded ASCII: `novate/exec-header/1`. One tag a type,
/// so that no signature of one type can be shown as another's.
public struct ObjectTag: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The 32 bytes that are hashed.
  public let bytes: Bytes32

  /// - Precondition: 1 to 32 bytes of printable ASCII.
  public init(stringLiteral name: StaticString) {
    precondition((1...32).contains(name.utf8CodeUnitCount), "an object tag is 1 to 32 characters")
    var words: [4 of UInt64] = .init(repeating: 0)
    name.withUTF8Buffer { characters in
      for offset in 0..<characters.count {
        let character = unsafe characters[offset]
        precondition((0x21...0x7E).contains(character), "an object tag is printable ASCII")
        words[offset >> 3] |= UInt64(character) << UInt64(8 * (offset & 7))
      }
    }
    bytes = Bytes32((words[0], words[1], words[2], words[3]))
  }

  /// The name without its padding.
  public var description: String {
    bytes.withBytes { String(decoding: $0.array.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// What Ed25519 signs and what other objects name: an object's bytes under its type and network.
public enum ObjectID {
  /// SHA-256(tag || network || bytes), the tag and the network 32 bytes each.
  public static func of(tag: ObjectTag, network: Digest, bytes: RawSpan) -> Digest {
    var stream = SHA256Stream()
    stream.update(tag.bytes)
    stream.update(network)
    stream.update(bytes)
    return stream.finish()
  }

  /// The network id: SHA-256(`novate/genesis/1` || bytes), before there is a network to name.
  public static func genesis(_ bytes: RawSpan) -> Digest {
    var stream = SHA256Stream()
    stream.update(genesisTag.bytes)
    stream.update(bytes)
    return stream.finish()
  }

  /// The tag of the canonical genesis bytes.
  public static let genesisTag: ObjectTag = "novate/genesis/1"
}
