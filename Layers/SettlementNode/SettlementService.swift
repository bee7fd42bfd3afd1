import Commitments
import Logging
import Node
import Primitives
import Settlement
import Storage
import Wire

/// A batch whose client signatures have been checked.
struct CheckedBatch: Sendable {
  let batch: SignedBatch
  let encoded: [UInt8]
  /// Nil when it does not decode.
  let body: BatchBody?
  /// The first signature that fails, or why the body does not decode.
  let fault: Difference?

  init(_ batch: SignedBatch, _ encoded: [UInt8], genesis: Genesis, network: Digest) {
    self.batch = batch
    self.encoded = encoded
    do {
      let body = try BatchBody(batch.body)
      self.body = body
      fault = Signatures.fault(batch, bundles: body.bundles, genesis: genesis, network: network)
    } catch {
      body = nil
      fault = Difference(
        .execution, batch.header.batch, field: "body", expected: "a canonical body",
        found: "\(error)")
    }
  }
}

/// A settled batch on its way to the database.
struct SettledBatch: Sendable {
  var durable: DurableBatch
  var batch: [UInt8]
  var clearance: [UInt8]
  var checkpoint: [UInt8]
}

/// Settlement as a service: it follows both logs, checks every signature, replays both machines and
/// signs a checkpoint only over what it recomputed. At the first difference it signs `Frozen`,
/// names the place, and stops.
final class SettlementService: ServerHandler, @unchecked Sendable {
  // Sound to share: `book` belongs to the replay thread; the rest is set in `init` or thread-safe.

  enum Letter: Sendable {
    case batch(CheckedBatch)
    case clearance(SignedClearance, encoded: [UInt8])
    case query(QueryMessage, Connection, requestID: UInt64)
    case prove(ProveMessage, Connection, requestID: UInt64)
    case cosignature([UInt8])
    case stop
  }

  let context: LayerContext
  let keeper: StateKeeper
  let box = MailBox<Letter>(capacity: 256)
  let degraded = DegradedFlag()
  let batches: LogFeed
  let clearances: LogFeed
  let checkpoints: LogFeed
  let wanted: NextBatch
  private let commits: CommitThread<SettledBatch>
  private let verify: OrderedPipeline<(SignedBatch, [UInt8]), Letter>
  private var replayThread: NamedThread?

  init(context: LayerContext, keeper: StateKeeper, start: consuming SettlementStart) throws {
    self.context = context
    self.keeper = keeper
    let next = start.replay.batch.raw
    wanted = NextBatch(next)
    let store = keeper.store
    let log = context.log
    func reader(_ kind: RecordKind) -> @Sendable (UInt64) -> [UInt8]? {
      { batch in
        do {
          return try store.value(kind, batch)
        } catch {
          log.error("cannot read", metadata: ["batch": "\(batch)", "error": "\(error)"])
          return nil
        }
      }
    }
    batches = LogFeed("batches", messageType: MessageType.batch, end: next, read: reader(.events))
    clearances = LogFeed(
      "clearances", messageType: MessageType.clearance, end: next, read: reader(.clearance))
    let note = reader(.checkpoint)
    let cosignatures = reader(.cosignature)
    checkpoints = LogFeed(
      "checkpoints", messageType: MessageType.checkpoint, end: next, keepsRecent: false
    ) { batch in note(batch).map { $0 + (cosignatures(batch) ?? []) } }
    let (batches, clearances, checkpoints) = (self.batches, self.clearances, self.checkpoints)
    commits = CommitThread(
      MailBox<SettledBatch>(capacity: 64), keeper: keeper, degraded: degraded, log: log,
      durable: { $0.durable },
      publish: { settled in
        let number = settled.durable.batch.raw
        batches.publish(number, settled.batch)
        clearances.publish(number, settled.clearance)
        checkpoints.publish(number, settled.checkpoint)
      })
    let genesis = context.genesis
    let network = context.network
    verify = OrderedPipeline(
      "verify", workers: context.workerCount, capacity: 64, chunk: 1, priority: .idle, output: box,
      transform: { .batch(CheckedBatch($0.0, $0.1, genesis: genesis, network: network)) })
    let keys = try SettlementKeys(context)
    let desk = ReplayDesk(service: self, start: start, keys: keys)
    replayThread = NamedThread("replay") { desk.run() }
  }

  func commit(_ settled: SettledBatch) {
    commits.box.waitForRoom()
    commits.box.put(settled)
  }

  func stop() {
    verify.close()
    box.put(.stop)
    replayThread?.join()
    commits.stop()
    batches.stop()
    clearances.stop()
    checkpoints.stop()
  }

  /// Takes a batch from execution; waits while too many are being checked.
  func take(_ batch: SignedBatch, _ encoded: [UInt8]) {
    verify.submit([(batch, encoded)])
  }

  // MARK: - ServerHandler

  func connected(_ connection: Connection) {}
  func disconnected(_ connection: Connection) {
    batches.forget(connection)
    clearances.forget(connection)
    checkpoints.forget(connection)
  }

  func received(_ frame: Frame, from connection: Connection) {
    do {
      switch frame.type {
      case MessageType.follow:
        let message = try FollowMessage(decoding: frame.body.rawSpan)
        switch message.log {
        case .batches: batches.follow(message, connection, requestID: frame.requestID)
        case .clearances: clearances.follow(message, connection, requestID: frame.requestID)
        case .checkpoints: checkpoints.follow(message, connection, requestID: frame.requestID)
        }
      case MessageType.query:
        let query = try QueryMessage(decoding: frame.body.rawSpan)
        box.put(.query(query, connection, requestID: frame.requestID))
      case MessageType.prove:
        let question = try ProveMessage(decoding: frame.body.rawSpan)
        box.put(.prove(question, connection, requestID: frame.requestID))
      case MessageType.cosignature:
        guard frame.body.count <= 4_096 else {
          throw DecodingFailure.tooMany(
            field: "cosignature", count: frame.body.count, maximum: 4_096)
        }
        box.put(.cosignature(frame.body))
      case SessionMessage.error:
        break
      default:
        connection.refuse(
          frame.requestID,
          ErrorMessage(.unknownType, "settlement has no message type \(frame.type)"))
      }
    } catch {
      connection.refuse(frame.requestID, ErrorMessage(.malformed, "\(error)"))
    }
  }
}

/// What settlement signs with.
struct SettlementKeys: Sendable {
  let object: SharedKey
  let note: SharedKey
  /// The name and algorithm its notes are signed under.
  let noteVerifier: NoteVerifier

  init(_ context: LayerContext) throws {
    object = SharedKey(try context.key("settlement", expecting: context.genesis.settlement.object))
    let name = context.genesis.settlementNote.name
    note = SharedKey(
      try context.key("settlement-note", expecting: context.genesis.settlementNote.key))
    noteVerifier = try NoteVerifier(
      name: name, algorithm: .ed25519, key: context.genesis.settlementNote.key)
  }
}
