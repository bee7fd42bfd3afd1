import Commitments
import Logging
import Node
import Primitives
import Storage
import Synchronization
import Wire

/// A witness: it has replayed both logs itself, and cosigns settlement's checkpoint of a batch when
/// that says what its own replay says. In order, each once.
final class Witness: PeerHandler, Sendable {
  private struct State {
    /// Batches we hold durably, and may stand for.
    var end: UInt64
    /// The next checkpoint to cosign.
    var next: UInt64
    /// Checkpoints that settlement signed and we have not reached.
    var waiting: [UInt64: SignedNote] = [:]
    var connection: Connection?
    /// Why we cosign no more, if we do not.
    var refusal: String?
  }

  private let state: Mutex<State>
  private let key: SharedKey
  private let verifier: NoteVerifier
  private let settlement: NoteVerifier
  private let store: Store
  private let log: Logger
  private let window = LogWindow(.checkpoints)

  init(
    _ context: LayerContext, _ keeper: StateKeeper, key: SharedKey, verifier: NoteVerifier,
    end: UInt64
  ) throws {
    self.key = key
    self.verifier = verifier
    let note = context.genesis.settlementNote
    settlement = try NoteVerifier(name: note.name, key: note.key)
    store = keeper.store
    log = context.log
    let next = try keeper.store.lastSeq(.cosignature).map { $0 + 1 } ?? 0
    state = Mutex(State(end: end, next: next))
  }

  var refusal: String? { state.withLock { $0.refusal } }
  /// Checkpoints cosigned.
  var count: UInt64 { state.withLock { $0.next } }

  // MARK: - Settlement's checkpoints

  func connected(_ connection: Connection) {
    let next = state.withLock { state in
      state.connection = connection
      state.waiting = [:]
      return state.next
    }
    // The last line may have been lost on its way.
    do {
      if next > 0, let line = try store.value(.cosignature, next - 1) {
        send(next - 1, line, connection)
      }
    } catch {
      log.error("cannot read a cosignature", metadata: ["error": "\(error)"])
    }
    window.begin(connection, from: next)
  }

  func disconnected(_ connection: Connection) {
    window.end(connection)
    state.withLock { $0.connection = nil }
  }

  func received(_ frame: Frame, from connection: Connection) {
    guard frame.type == MessageType.checkpoint else { return }
    do {
      let note = try SignedNote(parsing: frame.body)
      let checkpoint = try Checkpoint(parsing: note.text)
      _ = try note.verified(by: [settlement])
      guard checkpoint.origin == settlement.name, checkpoint.size > 0 else { return }
      let batch = UInt64(checkpoint.size - 1)
      state.withLock { state in
        guard batch >= state.next, batch - state.next < LogWindow.batchCount else { return }
        state.waiting[batch] = note
      }
    } catch {
      connection.close(error: ErrorMessage(.malformed, "\(error)"))
      return
    }
    cosign()
  }

  /// Our own replay of a batch is durable, and its id under the highwater mark.
  func stored(_ batch: UInt64) {
    state.withLock { $0.end = batch + 1 }
    cosign()
  }

  // MARK: - Cosigning

  private func cosign() {
    state.withLock { state in
      while state.refusal == nil, state.next < state.end,
        let note = state.waiting.removeValue(forKey: state.next)
      {
        do {
          try cosign(state.next, note, &state)
        } catch {
          state.refusal = "\(error)"
          log.critical("no more cosignatures", metadata: ["reason": "\(error)"])
        }
      }
    }
  }

  private func cosign(_ batch: UInt64, _ note: SignedNote, _ state: inout State) throws {
    let own = String(decoding: try store.value(.checkpoint, batch) ?? [], as: UTF8.self)
    guard own == note.text else {
      throw NodeFailure.state(
        "batch \(batch): settlement signed \(note.text.split(separator: "\n")), and its replay "
          + "gives \(own.split(separator: "\n"))")
    }
    var signed = try SignedNote(text: own)
    let seconds = Clock.now.raw / 1_000
    key.withKey { signed.cosign(with: $0, as: verifier, at: seconds) }
    let line = Array(signed.serialized.utf8.dropFirst(own.utf8.count + 1))
    try store.commit { (transaction) throws(StorageFailure) in
      try transaction.put(.cosignature, batch, line)
    }
    state.next = batch + 1
    window.advance(to: batch + 1)
    if let connection = state.connection { send(batch, line, connection) }
  }

  private func send(_ batch: UInt64, _ line: [UInt8], _ connection: Connection) {
    let message = CosignatureMessage(batch: BatchNumber(batch), lines: line)
    connection.send(type: MessageType.cosignature, body: message.encoded)
  }
}
