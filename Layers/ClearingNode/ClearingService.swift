import Clearing
import Commitments
import Instruments
import Logging
import Node
import Primitives
import Storage
import Wire

/// A cleared batch on its way to the database.
struct ClearedBatch: Sendable {
  var durable: DurableBatch
  var header: ClearingHeader
  var body: [UInt8]

  /// Gathers all that must become durable with a batch, and seals the machine.
  init(sealing machine: inout ClearingMachine, _ result: ClearingResult, batch encoded: [UInt8]) {
    let delta = machine.delta()
    machine.seal()
    var extra = ByteWriter(capacity: 128)
    extra.write(machine.previousID)
    extra.write(machine.previousExecutionID)
    machine.log.encode(into: &extra)
    let number = result.header.batch
    durable = DurableBatch(
      batch: number,
      values: [
        (.header, result.header.withBytes { $0.array }), (.body, result.bodyBytes),
        (.delta, delta), (.events, encoded),
      ],
      head: Head(
        seq: number.raw, term: UInt64(result.header.term), roots: [result.header.postRoot],
        logSize: UInt64(machine.log.size), logRoot: machine.log.root, extra: extra.bytes),
      id: machine.previousID, pages: machine.pageShare(after: number.raw))
    header = result.header
    body = result.bodyBytes
  }
}

/// Clearing as a service: batches come in from execution, one apply thread owns the machine, a
/// commit thread stores, signs and publishes Clearances. Applying the next batch overlaps storing
/// the last.
final class ClearingService: ServerHandler, @unchecked Sendable {
  // Sound to share: `machine` belongs to the apply thread; the rest is set in `init` or thread-safe.

  enum Letter: Sendable {
    case batch(SignedBatch, encoded: [UInt8])
    case query(QueryMessage, Connection, requestID: UInt64)
    case stop
  }

  let context: LayerContext
  let keeper: StateKeeper
  let box = MailBox<Letter>(capacity: 64)
  let degraded = DegradedFlag()
  let feed: LogFeed
  /// The batches execution signed, as received: execution can come back from them.
  let received: LogFeed
  private let commits: CommitThread<ClearedBatch>
  private var applyThread: NamedThread?
  private var machine: ClearingMachine
  /// Why clearing stopped going on, if it did.
  private var refusal: String?
  /// Settlement's refusal, if there is one.
  let frozen: FrozenNotice
  /// Batches received and not stored yet.
  let pending = PendingObjects()
  /// The next batch wanted from execution.
  let wanted: NextBatch
  private let queries = WaitingRequests()

  init(context: LayerContext, keeper: StateKeeper, machine: consuming ClearingMachine) throws {
    self.context = context
    self.keeper = keeper
    let next = machine.batch.raw
    self.machine = machine
    frozen = try FrozenNotice(context, keeper.store)
    wanted = NextBatch(next)
    let key = SharedKey(try context.key("clearing", expecting: context.genesis.clearing.object))
    let store = keeper.store
    let log = context.log
    feed = LogFeed("feed", messageType: MessageType.clearance, end: next) { batch in
      ClearingService.object(batch, store: store, key: key, log: log)
    }
    let pending = self.pending
    received = LogFeed(
      "received", messageType: MessageType.batch, end: next,
      read: { batch in
        do {
          return try store.value(.events, batch)
        } catch {
          log.error("cannot read batch", metadata: ["batch": "\(batch)", "error": "\(error)"])
          return nil
        }
      }, unpublished: { pending.list(from: $0) })
    let feed = self.feed
    let received = self.received
    commits = CommitThread(
      MailBox<ClearedBatch>(capacity: 64), keeper: keeper, degraded: degraded, log: log,
      metrics: context.metrics,
      durable: { $0.durable },
      publish: { cleared in
        let signed = SignedClearance(
          header: cleared.header, signature: key.sign(cleared.durable.id), body: cleared.body)
        feed.publish(cleared.header.batch.raw, signed.encoded)
        for (kind, bytes) in cleared.durable.values where kind == .events {
          received.publish(cleared.header.batch.raw, bytes)
        }
        pending.remove(cleared.header.batch.raw)
      })
    applyThread = NamedThread("apply", priority: .prompt) { [unowned self] in self.run() }
  }

  /// Loads the machine from the folder and checks its root.
  static func load(_ context: LayerContext, _ keeper: StateKeeper) throws -> ClearingMachine {
    var machine = ClearingMachine(genesis: context.genesis)
    guard let head = try keeper.load(&machine) else { return machine }
    guard head.roots.count == 1 else {
      throw NodeFailure.state("the head record is not clearing's")
    }
    let extra = head.extra
    var reader = ByteReader(extra.rawSpan)
    let previous: Digest = try reader.read()
    let previousExecution: Digest = try reader.read()
    let log = try LogFrontier(&reader)
    try machine.rebuild(
      expecting: head.roots[0], previous: previous, previousExecution: previousExecution, log: log)
    return machine
  }

  private static func object(_ batch: UInt64, store: Store, key: SharedKey, log: Logger)
    -> [UInt8]?
  {
    do {
      guard let bytes = try store.value(.header, batch), let body = try store.value(.body, batch)
      else { return nil }
      let header = ClearingHeader(bytes.rawSpan)
      return SignedClearance(header: header, signature: key.sign(header.id), body: body).encoded
    } catch {
      log.error("cannot read Clearance", metadata: ["batch": "\(batch)", "error": "\(error)"])
      return nil
    }
  }

  func stop() {
    box.put(.stop)
    applyThread?.join()
    commits.stop()
    feed.stop()
    received.stop()
  }

  // MARK: - Applying

  private func run() {
    while true {
      for letter in box.takeAll() {
        switch letter {
        case .batch(let batch, let encoded): clear(batch, encoded)
        case .query(let query, let connection, let requestID):
          answer(query, connection, requestID)
          queries.leave()
        case .stop: return
        }
      }
    }
  }

  private func clear(_ batch: SignedBatch, _ encoded: [UInt8]) {
    // After a reconnection the log may begin earlier than we stand.
    guard refusal == nil, !frozen.isSet, batch.header.batch == machine.batch else { return }
    let result: ClearingResult
    do {
      result = try machine.apply(batch.header, try BatchBody(batch.body))
    } catch {
      refusal = "\(error)"
      context.log.critical(
        "refused a batch of execution: nothing more is cleared",
        metadata: ["batch": "\(batch.header.batch)", "reason": "\(error)"])
      return
    }
    let cleared = ClearedBatch(sealing: &machine, result, batch: encoded)
    wanted.set(result.header.batch.raw + 1)
    commits.box.waitForRoom()
    commits.box.put(cleared)
  }

  // MARK: - ServerHandler

  func connected(_ connection: Connection) {}
  func disconnected(_ connection: Connection) {
    feed.forget(connection)
    received.forget(connection)
  }

  func received(_ frame: Frame, from connection: Connection) {
    do {
      switch frame.type {
      case MessageType.follow:
        let message = try FollowMessage(decoding: frame.body.rawSpan)
        switch message.log {
        case .clearances: feed.follow(message, connection, requestID: frame.requestID)
        case .batches: received.follow(message, connection, requestID: frame.requestID)
        case .checkpoints:
          connection.refuse(
            frame.requestID, ErrorMessage(.notFound, "checkpoints are settlement's"))
        }
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
          ErrorMessage(.unknownType, "clearing has no message type \(frame.type)"))
      }
    } catch {
      connection.refuse(frame.requestID, ErrorMessage(.malformed, "\(error)"))
    }
  }

  // MARK: - Queries

  private func answer(_ query: QueryMessage, _ connection: Connection, _ requestID: UInt64) {
    let body: [UInt8]?
    switch query.kind {
    case .status: body = status().bytes()
    case .account:
      body = ClearingService.account(
        AccountID(UInt32(clamping: query.subject)), in: machine, genesis: context.genesis)?.bytes()
    case .risk: body = machine.riskFile(UnderlyingID(UInt16(clamping: query.subject)))?.bytes()
    case .margin: body = machine.marginLine(AccountID(UInt32(clamping: query.subject)))?.bytes()
    case .instruments, .book, .nonce, .orders: body = nil
    }
    guard let body else {
      connection.refuse(
        requestID, ErrorMessage(.notFound, "clearing does not know subject \(query.subject)"))
      return
    }
    connection.send(
      type: MessageType.answer, flags: .response, requestID: requestID, body: body)
  }

  private func status() -> JSONValue {
    let quote = machine.fund(.quote)
    return .object([
      ("role", .string("clearing")),
      ("network", .string("\(context.network)")),
      ("batch", .integer(machine.batch.raw)),
      ("time_ms", .integer(machine.time.raw)),
      ("oracle_time_ms", .integer(machine.oracleTime.raw)),
      ("root", .string("\(machine.root)")),
      ("accounts", .integer(machine.accountCount)),
      ("instruments", .integer(machine.instrumentCount)),
      ("trades", .integer(machine.tradeCount)),
      ("insurance", .string(Money(raw: quote.insurance).decimal)),
      ("fees", .string(Money(raw: quote.fees).decimal)),
      ("rounding", .string(Money(raw: quote.rounding).decimal)),
      ("deposits", .string(Money(raw: quote.deposits).decimal)),
      ("withdrawals", .string(Money(raw: quote.withdrawals).decimal)),
      ("imbalance", .string("\(machine.imbalance(.quote))")),
      ("degraded", .bool(degraded.isSet)),
      ("state", .string(frozen.isSet ? "frozen" : refusal == nil ? "serving" : "refusing")),
      ("reason", (frozen.reason ?? refusal).map { .string($0) } ?? .null),
    ])
  }

  /// An account's auction; null where it has none.
  private static func auction(_ view: ClearingMachine.AuctionView?) -> JSONValue {
    guard let view else { return .null }
    return .object([
      ("number", .integer(view.number)),
      ("phase", .string(view.phaseName)),
      ("started_ms", .integer(view.started.raw)),
      ("phase_started_ms", .integer(view.phaseStarted.raw)),
      ("reserved", .string(view.reserved.decimal)),
    ])
  }

  static func account(
    _ id: AccountID, in machine: borrowing ClearingMachine, genesis: Genesis
  ) -> JSONValue? {
    guard let view = machine.view(id) else { return nil }
    return .object([
      ("account", .integer(id.raw)),
      ("owner", .string("\(view.owner)")),
      ("batch", .integer(machine.batch.raw)),
      ("root", .string("\(machine.root)")),
      ("cash", .string(view.cash.decimal)),
      ("equity", .string(view.margin.equity.decimal)),
      ("initial_margin", .string(view.margin.initial.decimal)),
      ("maintenance_margin", .string(view.margin.maintenance.decimal)),
      ("mode", .string("\(view.flags.accountMode)")),
      ("accounts", .array(view.group.map { .integer($0.raw) })),
      ("reduce_only", .bool(view.flags.contains(.reduceOnly))),
      ("frozen", .bool(view.flags.contains(.frozen))),
      ("auction", auction(view.auction)),
      (
        "positions",
        .array(
          view.positions.map { position in
            .object([
              (
                "instrument",
                .string(position.instrument.label(underlyings: genesis.underlyings))
              ),
              ("quantity", .string(position.quantity.decimal)),
              ("cost", .string(position.cost.decimal)),
              ("mark", .string(position.mark.decimal)),
            ])
          })
      ),
      (
        "balances",
        .array(
          view.balances.map { balance in
            let asset = genesis.assets[balance.asset.index]
            return .object([
              ("asset", .string(asset.name)),
              (
                "amount",
                .string(DecimalText.format(balance.amount.raw, digits: Int(asset.scale)))
              ),
            ])
          })
      ),
    ])
  }
}
