import Commitments
import Primitives

/// Published vectors, run on the linked libraries: a library that was swapped or miscompiled shows
/// here before it signs anything.
enum KnownAnswers {
  /// RFC 8032 §7.1: seed, public key, message, signature.
  static let signatures: [(seed: String, key: String, message: String, signature: String)] = [
    (
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ),
    (
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ),
    (
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    ),
  ]

  /// FIPS 180-4 examples: message, digest.
  static let hashes: [(message: String, digest: String)] = [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("616263", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "6162636462636465636465666465666765666768666768696768696a68696a6b"
        + "696a6b6c6a6b6c6d6b6c6d6e6c6d6e6f6d6e6f706e6f7071",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ]

  /// The first vector the linked libsodium gets wrong.
  static func signatureFault() -> String? {
    for (number, vector) in signatures.enumerated() {
      guard let seed = Hexadecimal.bytes(vector.seed),
        let message = Hexadecimal.bytes(vector.message)
      else { return "vector \(number + 1) is not hexadecimal" }
      do throws(SignatureFailure) {
        let key = try SigningKey(seed: seed)
        let signature = key.sign(message.rawSpan)
        guard "\(key.publicKey)" == vector.key else {
          return "vector \(number + 1): expected key \(vector.key), found \(key.publicKey)"
        }
        guard "\(signature)" == vector.signature else {
          return "vector \(number + 1): expected signature \(vector.signature), found \(signature)"
        }
        guard Ed25519.isValid(signature, of: message.rawSpan, by: key.publicKey) else {
          return "vector \(number + 1): the signature does not verify"
        }
        guard !Ed25519.isValid(signature, of: (message + [0]).rawSpan, by: key.publicKey) else {
          return "vector \(number + 1): the signature verifies another message"
        }
      } catch {
        return "\(error)"
      }
    }
    return nil
  }

  /// The first vector the linked libcrypto gets wrong.
  static func hashFault() -> String? {
    for (number, vector) in hashes.enumerated() {
      guard let message = Hexadecimal.bytes(vector.message) else {
        return "vector \(number + 1) is not hexadecimal"
      }
      let digest = SHA256.digest(message)
      guard "\(digest)" == vector.digest else {
        return "vector \(number + 1): expected \(vector.digest), found \(digest)"
      }
    }
    return nil
  }
}
