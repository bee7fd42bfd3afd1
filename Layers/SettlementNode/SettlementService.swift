import Commitments
import Logging
import Node
import Primitives
import Settlement
import Storage
import Synchronization
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
  /// The checkpoint's text, not signed yet.
  var checkpoint: [UInt8]
  /// In place of all that: the refusal of the batch.
  var refusal: StoredRefusal?
}

/// Settlement as a service: it follows both logs, checks every signature, replays both machines and
/// signs a checkpoint only over what it recomputed. At the first difference it signs `Frozen`,
/// names the place, tells the other layers, and stops for good.
final class SettlementService: ServerHandler, @unchecked Sendable {
  // Sound to share: `book` belongs to the replay thread; the rest is set in `init` or thread-safe.

  enum Letter: Sendable {
    case batch(CheckedBatch)
    case clearance(SignedClearance, encoded: [UInt8])
    /// A batch of execution as clearing was shown it.
    case shown(SignedBatch, encoded: [UInt8])
    case query(QueryMessage, Connection, requestID: UInt64)
    case prove(ProveMessage, Connection, requestID: UInt64)
    /// An acknowledgement that execution signed.
    case promise(SignedAcknowledgement, Connection, requestID: UInt64)
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
  /// The number after the last batch whose checkpoint may be signed: its id is under the mark.
  let published: NextBatch
  /// Batches and Clearances received and not settled yet.
  let pending = (batches: PendingObjects(), clearances: PendingObjects())
  let keys: SettlementKeys
  /// Set in a node that cosigns another's checkpoints.
  let witness: Witness?
  private let announcements: Announcements
  private let commits: CommitThread<SettledBatch>
  private let verify: OrderedPipeline<(SignedBatch, [UInt8]), Letter>
  private var replayThread: NamedThread?
  private var proofDesk: ProofDesk?
  let queries = WaitingRequests()
  /// Those who follow the two logs for us.
  private let followers = Mutex<[LogFollower]>([])

  init(
    context: LayerContext, keeper: StateKeeper, book: consuming SettlementBook,
    keys: SettlementKeys
  ) throws {
    self.context = context
    self.keeper = keeper
    self.keys = keys
    let next = book.replay.batch.raw
    if case .witness(let key, let verifier) = keys {
      witness = try Witness(context, keeper, key: key, verifier: verifier, end: next)
    } else {
      witness = nil
    }
    let witness = self.witness
    let announcements = Announcements(book.refusal, keys)
    self.announcements = announcements
    if let refusal = book.refusal, !refusal.isEquivocation {
      pending.batches.put(next, refusal.batch)
      pending.clearances.put(next, refusal.clearance)
    }
    wanted = NextBatch(next)
    published = NextBatch(next)
    let published = self.published
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
    let pending = self.pending
    batches = LogFeed(
      "batches", messageType: MessageType.batch, end: next, read: reader(.events),
      unpublished: { pending.batches.list(from: $0) })
    clearances = LogFeed(
      "clearances", messageType: MessageType.clearance, end: next, read: reader(.clearance),
      unpublished: { pending.clearances.list(from: $0) })
    let text = reader(.checkpoint)
    let cosignatures = reader(.cosignature)
    checkpoints = LogFeed(
      "checkpoints", messageType: MessageType.checkpoint, end: next, keepsRecent: false
    ) { batch in
      text(batch).flatMap { keys.note($0) }.map { $0 + (cosignatures(batch) ?? []) }
    }
    let (batches, clearances, checkpoints) = (self.batches, self.clearances, self.checkpoints)
    commits = CommitThread(
      MailBox<SettledBatch>(capacity: 64), keeper: keeper, degraded: degraded, log: log,
      metrics: context.metrics,
      durable: { $0.durable },
      publish: { settled in
        if let refusal = settled.refusal {
          announcements.announce(refusal, keys, log)
          return
        }
        let number = settled.durable.batch.raw
        batches.publish(number, settled.batch)
        pending.batches.remove(number)
        clearances.publish(number, settled.clearance)
        pending.clearances.remove(number)
        published.set(number + 1)
        // The feed reads it back and signs it for whoever follows.
        checkpoints.publish(number, settled.checkpoint)
        witness?.stored(number)
      })
    let genesis = context.genesis
    let network = context.network
    verify = OrderedPipeline(
      "verify", workers: context.workerCount, capacity: 64, chunk: 1, priority: .idle, output: box,
      transform: { .batch(CheckedBatch($0.0, $0.1, genesis: genesis, network: network)) })
    proofDesk = ProofDesk(service: self)
    let desk = ReplayDesk(service: self, book: book)
    replayThread = NamedThread("replay") { desk.run() }
  }

  /// Set before the replay thread starts, and for good.
  var proofs: ProofDesk {
    guard let proofDesk else { preconditionFailure("the proof desk is set in init") }
    return proofDesk
  }

  /// The two that follow execution's and clearing's logs for us.
  func follow(by more: [LogFollower]) { followers.withLock { $0 = more } }

  /// A batch has been replayed and will be stored: the logs may bring more.
  func settled(through number: BatchNumber) {
    wanted.set(number.raw + 1)
    for follower in followers.withLock({ $0 }) { follower.advance(to: number.raw + 1) }
  }

  /// Asks clearing to show the batch it cleared under a number.
  func showBatch(_ number: BatchNumber) {
    for follower in followers.withLock({ $0 }) where follower.log == .clearances {
      follower.showBatch(number)
    }
  }

  func commit(_ settled: SettledBatch) {
    commits.box.waitForRoom()
    commits.box.put(settled)
  }

  func stop() {
    verify.close()
    box.put(.stop)
    replayThread?.join()
    proofDesk?.stop()
    commits.stop()
    batches.stop()
    clearances.stop()
    checkpoints.stop()
  }

  /// Takes a batch from execution; waits while too many are being checked.
  func take(_ batch: SignedBatch, _ encoded: [UInt8]) {
    verify.submit([(batch, encoded)])
  }

  /// The signed checkpoint of a batch with its cosignatures; nil where there is none.
  func note(_ batch: UInt64) throws -> [UInt8]? {
    guard batch < published.raw, let text = try keeper.store.value(.checkpoint, batch),
      let note = keys.note(text)
    else {
      return nil
    }
    return note + (try keeper.store.value(.cosignature, batch) ?? [])
  }

  /// Why nothing is settled any more, once that is durable; nil while it is.
  var refusal: String? { announcements.reason }

  /// The signature under the refusal; nil before it is durable, and from a witness.
  var refusalSignature: Signature? { announcements.signature }

  /// Tells a connection of the refusal, now or when it comes.
  /// - Returns: whether there is one.
  func tell(_ connection: Connection) -> Bool { announcements.add(connection) }

  func forget(_ connection: Connection) { announcements.remove(connection) }

  // MARK: - ServerHandler

  func connected(_ connection: Connection) {}
  func disconnected(_ connection: Connection) {
    announcements.remove(connection)
    batches.forget(connection)
    clearances.forget(connection)
    checkpoints.forget(connection)
  }

  func received(_ frame: Frame, from connection: Connection) {
    do {
      switch frame.type {
      case MessageType.follow:
        let message = try FollowMessage(decoding: frame.body.rawSpan)
        _ = tell(connection)
        switch message.log {
        case .checkpoints where witness != nil:
          connection.refuse(
            frame.requestID, ErrorMessage(.notFound, "a witness keeps no checkpoints"))
        case .batches: batches.follow(message, connection, requestID: frame.requestID)
        case .clearances: clearances.follow(message, connection, requestID: frame.requestID)
        case .checkpoints: checkpoints.follow(message, connection, requestID: frame.requestID)
        }
      case MessageType.query:
        let query = try QueryMessage(decoding: frame.body.rawSpan)
        if queries.enter(connection, frame.requestID) {
          box.put(.query(query, connection, requestID: frame.requestID))
        }
      case MessageType.prove:
        let question = try ProveMessage(decoding: frame.body.rawSpan)
        if proofs.waiting.enter(connection, frame.requestID) {
          box.put(.prove(question, connection, requestID: frame.requestID))
        }
      case MessageType.promise: try take(promise: frame, from: connection)
      case MessageType.cosignature:
        guard frame.body.count <= ProofDesk.cosignatureByteCountMax else {
          throw DecodingFailure.tooMany(
            field: "cosignature", count: frame.body.count,
            maximum: ProofDesk.cosignatureByteCountMax)
        }
        proofs.put(cosignature: frame.body, from: connection)
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

  /// Looking at a batch costs more than a signature, so that is checked first: who cannot show what
  /// execution signed cannot make settlement read.
  private func take(promise frame: Frame, from connection: Connection) throws {
    let promise = try SignedAcknowledgement(decoding: frame.body.rawSpan)
    guard promise.isValid(by: context.genesis.execution.object, network: context.network) else {
      connection.refuse(
        frame.requestID, ErrorMessage(.malformed, "execution did not sign this acknowledgement"))
      return
    }
    if queries.enter(connection, frame.requestID) {
      box.put(.promise(promise, connection, requestID: frame.requestID))
    }
  }
}

/// Who is to hear of a refusal: the layers we follow, and whoever follows us.
private final class Announcements: Sendable {
  private struct State {
    var connections: [UInt64: Connection] = [:]
    var statement: SignedFrozen?
    var reason: String?
  }
  private let state: Mutex<State>

  init(_ refusal: StoredRefusal?, _ keys: SettlementKeys) {
    state = Mutex(
      State(
        statement: refusal.flatMap { Announcements.statement($0, keys) }, reason: refusal?.reason))
  }

  private static func statement(_ refusal: StoredRefusal, _ keys: SettlementKeys)
    -> SignedFrozen?
  {
    keys.signature(refusal.frozen).map { SignedFrozen(refusal.frozen, signature: $0) }
  }

  var signature: Signature? { state.withLock { $0.statement?.signature } }
  var reason: String? { state.withLock { $0.reason } }

  func add(_ connection: Connection) -> Bool {
    let statement = state.withLock { state in
      state.connections[connection.id] = connection
      return state.statement
    }
    if let statement { Announcements.send(statement, connection) }
    return statement != nil
  }

  func remove(_ connection: Connection) {
    state.withLock { $0.connections[connection.id] = nil }
  }

  /// The refusal is durable and under the highwater mark: signs it and says so.
  func announce(_ refusal: StoredRefusal, _ keys: SettlementKeys, _ log: Logger) {
    log.critical(
      "frozen",
      metadata: [
        "batch": "\(refusal.frozen.batch)", "difference": "\(refusal.reason)",
        "frozen": "\(refusal.frozen.withBytes { Hexadecimal.text($0) })",
      ])
    state.withLock { $0.reason = refusal.reason }
    guard let statement = Announcements.statement(refusal, keys) else { return }
    let connections = state.withLock { state in
      state.statement = statement
      // No dictionary order on the wire: they are told as they came.
      return state.connections.values.sorted { $0.id < $1.id }
    }
    for connection in connections { Announcements.send(statement, connection) }
  }

  private static func send(_ statement: SignedFrozen, _ connection: Connection) {
    connection.send(type: MessageType.frozen, body: statement.encoded)
  }
}
