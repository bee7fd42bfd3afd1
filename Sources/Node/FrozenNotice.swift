import Commitments
import Logging
public import Primitives
public import Storage
import Synchronization
public import Wire

/// Settlement's refusal as it reached another layer: kept in the folder, and in force from then on.
public final class FrozenNotice: Sendable {
  private let held: Mutex<SignedFrozen?>
  private let flag: Atomic<Bool>
  private let genesis: Genesis
  private let store: Store
  private let log: Logger

  /// - Throws: when the folder cannot be read.
  public init(_ context: LayerContext, _ store: Store) throws {
    var known: SignedFrozen?
    if let batch = try store.lastSeq(.evidence), let bytes = try store.value(.evidence, batch) {
      known = try SignedFrozen(encoded: bytes.rawSpan)
    }
    held = Mutex(known)
    flag = Atomic(known != nil)
    genesis = context.genesis
    self.store = store
    log = context.log
  }

  /// Whether nothing new may be signed.
  public var isSet: Bool { flag.load(ordering: .acquiring) }
  /// The refused batch.
  public var batch: BatchNumber? { held.withLock { $0?.frozen.batch } }

  public var reason: String? {
    held.withLock { $0 }.map {
      "settlement refused batch \($0.frozen.batch): "
        + "\($0.frozen.layer == 1 ? "execution" : "clearing")'s header \($0.frozen.refused)"
    }
  }

  /// Takes a FROZEN message. One that settlement did not sign is refused.
  /// - Throws: `DecodingFailure`; `StorageFailure` when it cannot be kept.
  public func take(_ frame: Frame, from connection: Connection) throws {
    let message = try SignedFrozen(encoded: frame.body.rawSpan)
    guard
      message.isValid(by: genesis.settlement.object, network: genesis.networkID)
    else {
      connection.refuse(
        frame.requestID, ErrorMessage(.malformed, "the statement is not settlement's"))
      return
    }
    guard !isSet else { return }
    // In force at once; a disk that is full must not keep the layer signing.
    held.withLock { $0 = message }
    flag.store(true, ordering: .releasing)
    log.critical(
      "frozen by settlement: nothing more is signed",
      metadata: [
        "batch": "\(message.frozen.batch)",
        "layer": "\(message.frozen.layer == 1 ? "execution" : "clearing")",
        "refused": "\(message.frozen.refused)",
      ])
    try store.commit { (transaction) throws(StorageFailure) in
      try transaction.put(.evidence, message.frozen.batch.raw, message.encoded)
    }
  }
}
