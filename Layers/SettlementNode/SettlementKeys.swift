import Client
import Commitments
import Node
import Primitives
import Wire

/// What a settlement node signs with: its own checkpoints and refusals, or, as a witness, lines under
/// another's checkpoints.
enum SettlementKeys: Sendable {
  case settlement(object: SharedKey, note: SharedKey, NoteVerifier)
  case witness(SharedKey, NoteVerifier)

  init(_ context: LayerContext) throws {
    if let path = context.settings.witnessKey {
      let key = try KeyFile.read(path)
      guard
        let witness = context.genesis.witnesses.first(where: { $0.key == key.publicKey }),
        context.settings.witnessName ?? witness.name == witness.name
      else {
        throw NodeFailure.configuration(
          "\(path): expected the key of a witness that genesis names, found \(key.publicKey)")
      }
      let verifier = try NoteVerifier(
        name: witness.name, algorithm: .cosignature, key: witness.key)
      self = .witness(SharedKey(key), verifier)
      return
    }
    let note = context.genesis.settlementNote
    self = .settlement(
      object: SharedKey(
        try context.key("settlement", expecting: context.genesis.settlement.object)),
      note: SharedKey(try context.key("settlement-note", expecting: note.key)),
      try NoteVerifier(name: note.name, algorithm: .ed25519, key: note.key))
  }

  /// The signed note of a checkpoint's text; nil from a witness. Ed25519 gives the same bytes each
  /// time, so notes are stored without their signature.
  func note(_ text: [UInt8]) -> [UInt8]? {
    guard case .settlement(_, let key, let verifier) = self else { return nil }
    do {
      var note = try SignedNote(text: String(decoding: text, as: UTF8.self))
      key.withKey { note.sign(with: $0, as: verifier) }
      return Array(note.serialized.utf8)
    } catch {
      return nil
    }
  }

  /// Settlement's signature under a refusal; a witness has none.
  func signature(_ frozen: Frozen) -> Signature? {
    guard case .settlement(let key, _, _) = self else { return nil }
    return key.sign(frozen.id)
  }

  /// The handshake key: a layer's is in genesis, a witness's is of no account.
  static func handshake(_ context: LayerContext) throws -> HandshakeKey {
    if context.role == .witness { return HandshakeKey(SigningKey.random()) }
    return HandshakeKey(
      try context.key("settlement-handshake", expecting: context.genesis.settlement.handshake))
  }
}
