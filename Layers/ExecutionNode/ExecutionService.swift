import Commitments
import Execution
import Logging
import Node
import Primitives
import Storage
import Synchronization
import Wire

/// The sequencer as a service. Bundles come in on event loops, signatures are checked on worker
/// threads, one apply thread owns the machine, a journal thread makes what it did durable and
/// answers, a commit thread stores, signs and publishes batches.
final class ExecutionService: ServerHandler, @unchecked Sendable {
  // Sound to share: `state` belongs to the apply thread; the rest is set in `init` or thread-safe.

  /// What reaches the apply thread.
  enum Letter: Sendable {
    case bundle(CheckedBundle)
    case clearance(SignedClearance, bytes: [UInt8])
    case query(QueryMessage, Connection, requestID: UInt64)
    case stored(BatchNumber, journalIndex: UInt64)
    /// A connection with this number has gone.
    case disconnected(UInt64)
    case stop
  }

  let context: LayerContext
  let keeper: StateKeeper
  let box = MailBox<Letter>(capacity: 65_536)
  let degraded = DegradedFlag()
  let known = KnownKeys()
  let queries = WaitingRequests()
  /// Settlement's refusal, if there is one.
  let frozen: FrozenNotice
  let feed: LogFeed
  /// Books and accounts' orders for whoever follows them.
  let market = MarketFeed()
  /// Signs batches, and that sessions are lost.
  let key: SharedKey
  private let pipeline: OrderedPipeline<Submission, Letter>
  private let journal: JournalThread
  private let commits: CommitThread<ClosedBatch>
  private var applyThread: NamedThread?
  let state: SequencerState
  /// The first batch this process signs: of those the journal closed, or the open one.
  let first: BatchNumber

  init(context: LayerContext, keeper: StateKeeper, start: consuming ExecutionStart) throws {
    self.context = context
    self.keeper = keeper
    let first = start.leftOver.first?.closed?.header.batch ?? start.machine.batch
    self.first = first
    frozen = try FrozenNotice(context, keeper.store)
    let network = context.network
    let known = self.known
    let box = self.box
    let log = context.log
    key = SharedKey(try context.key("execution", expecting: context.genesis.execution.object))
    let key = self.key
    let store = keeper.store
    feed = LogFeed(
      "feed", messageType: MessageType.batch, end: first.raw
    ) { batch in ExecutionService.object(batch, store: store, key: key, log: log) }
    let feed = self.feed
    let market = self.market
    pipeline = OrderedPipeline(
      "verify", workers: context.workerCount, capacity: 65_536, chunk: 32,
      priority: .prompt, output: box,
      transform: { .bundle(CheckedBundle($0, network: network, known: known)) })
    let commitBox = MailBox<ClosedBatch>(capacity: 256)
    commits = CommitThread(
      commitBox, keeper: keeper, degraded: degraded, log: log,
      metrics: context.metrics, durable: { $0.durable },
      publish: { closed in
        let signed = SignedBatch(
          header: closed.header, signature: key.sign(closed.durable.id), body: closed.body)
        feed.publish(closed.header.batch.raw, signed.encoded)
        if let news = closed.market { market.publish(news, body: closed.body) }
        box.put(.stored(closed.header.batch, journalIndex: closed.journalIndex))
      })
    journal = JournalThread(
      journal: start.journal, network: network,
      key: try context.key("execution", expecting: context.genesis.execution.object),
      openings: start.openings, commits: commitBox, degraded: degraded, log: log,
      metrics: ExecutionMetrics(context.metrics.registry, waiting: { box.count }),
      isBehind: { [pipeline] in pipeline.isBehind })
    state = SequencerState(start)
    for account in 0..<state.machine.accountCount {
      for key in state.machine.keys(of: AccountID(UInt32(account))) {
        known.insert(AccountID(UInt32(account)), key)
      }
    }
    for group in state.leftOver { journal.put(group) }
    state.leftOver = []
    applyThread = NamedThread("apply", priority: .prompt) { [unowned self] in
      var sequencer = Sequencer(service: self, journal: self.journal)
      sequencer.run()
    }
  }

  /// A stored batch with its signature, made again: the id it signs has been durable ever since.
  private static func object(_ batch: UInt64, store: Store, key: SharedKey, log: Logger)
    -> [UInt8]?
  {
    do {
      guard let bytes = try store.value(.header, batch), let body = try store.value(.body, batch)
      else { return nil }
      let header = ExecutionHeader(bytes.rawSpan)
      return SignedBatch(header: header, signature: key.sign(header.id), body: body).encoded
    } catch {
      log.error("cannot read batch", metadata: ["batch": "\(batch)", "error": "\(error)"])
      return nil
    }
  }

  /// Whether bundles come faster than their signatures are checked.
  var isBehind: Bool { pipeline.isBehind }

  /// Finishes what was taken on and stops.
  func stop() {
    pipeline.close()
    box.put(.stop)
    applyThread?.join()
    journal.stop()
    commits.stop()
    feed.stop()
    market.stop()
  }

  // MARK: - ServerHandler

  func connected(_ connection: Connection) {}
  func disconnected(_ connection: Connection) {
    feed.forget(connection)
    market.forget(connection)
    box.put(.disconnected(connection.id))
  }

  func received(_ frame: Frame, from connection: Connection) { received([frame], from: connection) }

  func received(_ frames: [Frame], from connection: Connection) {
    var submissions: [Submission] = []
    for frame in frames {
      do {
        switch frame.type {
        case MessageType.submit:
          try submissions += self.submissions(frame, connection)
        case MessageType.follow:
          try follow(frame, connection)
        case MessageType.followMarket:
          market.follow(
            try FollowMarketMessage(decoding: frame.body.rawSpan), connection,
            requestID: frame.requestID)
        case MessageType.query:
          let query = try QueryMessage(decoding: frame.body.rawSpan)
          if queries.enter(connection, frame.requestID) {
            box.put(.query(query, connection, requestID: frame.requestID))
          }
        case MessageType.frozen:
          try frozen.take(frame, from: connection)
        case SessionMessage.error:
          break
        default:
          connection.refuse(
            frame.requestID,
            ErrorMessage(.unknownType, "execution has no message type \(frame.type)"))
        }
      } catch {
        connection.refuse(frame.requestID, ErrorMessage(.malformed, "\(error)"))
      }
    }
    if !submissions.isEmpty { submit(submissions) }
  }

  private func submissions(_ frame: Frame, _ connection: Connection) throws(DecodingFailure)
    -> [Submission]
  {
    let message = try SubmitMessage(decoding: frame.body.rawSpan)
    guard !message.bundles.isEmpty else { throw .invalid(field: "bundles", offset: 0) }
    let ticket = Ticket(connection, frame.requestID, count: message.bundles.count)
    return message.bundles.enumerated().map {
      Submission(ticket: ticket, place: UInt32($0.offset), bytes: $0.element)
    }
  }

  /// Hands bundles to the workers; when those are full, says *busy* rather than hold them.
  private func submit(_ submissions: [Submission]) {
    if !degraded.isSet && !frozen.isSet && pipeline.trySubmit(submissions) { return }
    let reason = degraded.isSet ? "the disk is full" : frozen.reason
    let code: ErrorCode = reason == nil ? .busy : .degraded
    var told: Set<ObjectIdentifier> = []
    for submission in submissions
    where told.insert(ObjectIdentifier(submission.ticket)).inserted {
      submission.ticket.connection.refuse(
        submission.ticket.requestID,
        ErrorMessage(code, reason ?? "too many bundles wait"))
    }
  }

  private func follow(_ frame: Frame, _ connection: Connection) throws(DecodingFailure) {
    let message = try FollowMessage(decoding: frame.body.rawSpan)
    guard message.log == .batches else {
      connection.refuse(frame.requestID, ErrorMessage(.notFound, "execution keeps batches only"))
      return
    }
    feed.follow(message, connection, requestID: frame.requestID)
  }
}
