import Commitments
import Execution
import Logging
import Node
import Primitives
import Storage
import Synchronization
import Wire

/// What the apply thread owns.
final class SequencerState: @unchecked Sendable {
  // Sound to share: used by one thread at a time; see `ExecutionService`.
  var machine: ExecutionMachine
  var outcomes: OutcomeMemory
  /// Acknowledgements of the open batch.
  var acknowledgements: [Acknowledgement]
  var leftOver: [JournalGroup]

  /// Clearances adopted so far, plus one: where to follow clearing's log from.
  private let adopted: Atomic<UInt64>
  var adoptedEnd: UInt64 { adopted.load(ordering: .relaxed) }
  func noteAdoption() {
    adopted.store(machine.creditBatch.map { $0.raw + 1 } ?? 0, ordering: .relaxed)
  }

  init(_ start: consuming ExecutionStart) {
    acknowledgements = start.openAcknowledgements
    leftOver = start.leftOver
    outcomes = start.outcomes
    machine = start.machine
    adopted = Atomic(machine.creditBatch.map { $0.raw + 1 } ?? 0)
  }

  /// A machine that sequences nothing: for a recovery's reads.
  init(_ machine: consuming ExecutionMachine) {
    acknowledgements = []
    leftOver = []
    outcomes = OutcomeMemory()
    self.machine = machine
    adopted = Atomic(0)
  }
}

/// The apply thread's loop: gather letters, apply them in order, hand the group to the journal,
/// close the batch when it is time.
struct Sequencer: ~Copyable {
  private let service: ExecutionService
  private let state: SequencerState
  private let journal: JournalThread
  private var group = JournalGroup()
  private var entries = ByteWriter()
  /// Clearances received and not yet adopted.
  private var grants: [(header: ClearingHeader, body: ClearanceBody, bytes: [UInt8])] = []
  private var openedAt: UInt64 = 0
  private var closedAt: UInt64 = 0
  /// Newest oracle time seen in a publisher's signed bundle.
  private var oracleTime = Timestamp.zero
  private let clock: BatchClock
  /// Keys the open batch revokes: good to its end.
  private var revoked: [(account: AccountID, key: PublicKey)] = []
  /// Whether the open batch carries directives out.
  private var isDirected = false
  /// Whether the last directives changed nothing, and no bundle has come since.
  private var isFutile = false
  private var connections = SessionsByConnection()
  private let interval: UInt64
  private let heartbeat: UInt64

  init(service: ExecutionService, journal: JournalThread) {
    self.service = service
    state = service.state
    self.journal = journal
    interval = UInt64(service.context.settings.batchIntervalMilliseconds) * 1_000_000
    heartbeat = UInt64(service.context.genesis.constants.heartbeat) * 1_000_000
    openedAt = Clock.monotonicNanoseconds
    closedAt = openedAt
    clock = BatchClock(
      time: Clock.now, monotonic: openedAt, margin: service.context.genesis.constants.driftMax)
    // Whatever was connected to the process before this one no longer is.
    for (number, account) in state.machine.openSessions {
      connections.lose(SessionsByConnection.Session(number: number, account: account))
    }
  }

  mutating func run() {
    var standing = Promptness.Standing()
    while true {
      standing.mind(isBehind: service.isBehind)
      let isFrozen = service.frozen.isSet
      let deadline =
        isFrozen
        ? Clock.monotonicNanoseconds + heartbeat
        : state.machine.isBatchOpen ? openedAt + interval : closedAt + heartbeat
      let letters = service.box.takeAll(until: deadline)
      for letter in letters {
        if case .stop = letter {
          flush()
          return
        }
        take(letter)
      }
      if !isFrozen && !service.degraded.isSet { cutLostSessions() }
      let now = Clock.monotonicNanoseconds
      if isFrozen {
        // Nothing more is signed: an open batch stays in the journal.
      } else if state.machine.isBatchOpen {
        if now >= openedAt + interval { close() }
      } else if now >= closedAt + heartbeat || mustOpen {
        open()
        close()
      }
      flush()
      journal.waitForRoom()
    }
  }

  private var isDirecting: Bool { grants.contains { !$0.body.directives.isEmpty } }

  /// Whether a Clearance waits that directs something: it takes effect at an opening. A close that
  /// found nobody is directed again at once; against the same book it waits for the heartbeat.
  private var mustOpen: Bool { !isFutile && isDirecting }

  private mutating func take(_ letter: ExecutionService.Letter) {
    switch letter {
    case .bundle(let checked):
      sequence(checked)
    case .clearance(let clearance, let bytes):
      receive(clearance, bytes)
    case .query(let query, let connection, let requestID):
      answer(query, connection, requestID)
      service.queries.leave()
    case .stored(let batch, let journalIndex):
      state.outcomes.stored(batch)
      group.trimBefore = journalIndex
    case .disconnected(let connection):
      connections.lose(connection)
    case .stop:
      break
    }
  }

  // MARK: - Batches

  private var batchTime: Timestamp {
    switch service.context.settings.timeSource {
    case .wall:
      max(
        clock.time(Clock.now, monotonic: Clock.monotonicNanoseconds), state.machine.time)
    case .oracle: max(oracleTime, state.machine.time)
    }
  }

  private mutating func open() {
    let time = batchTime
    let adopted = grants.prefix(adoptionCount)
    isDirected = adopted.contains { !$0.body.directives.isEmpty }
    do {
      try state.machine.openBatch(
        time: time, adopting: adopted.map { (header: $0.header, body: $0.body) })
    } catch {
      service.context.log.critical("cannot open a batch", metadata: ["error": "\(error)"])
      exitAfterFatal()
    }
    for (_, body, _) in adopted {
      for opened in body.opened { service.known.insert(opened.account, opened.owner) }
    }
    // A group holds at most one opening, at its start.
    if !entries.bytes.isEmpty || group.closed != nil { flush() }
    group.opens = state.machine.batch
    JournalEntry.open(
      batch: state.machine.batch, time: time, clearances: adopted.map(\.bytes)
    ).write(to: &entries)
    grants.removeFirst(adopted.count)
    state.noteAdoption()
    openedAt = Clock.monotonicNanoseconds
  }

  /// Clearances that take effect at the next opening: those whose bytes fit the journal's entry, and
  /// at least the first. What is left takes effect at the opening after.
  private var adoptionCount: Int {
    var byteCount = 0
    for (place, grant) in grants.enumerated() {
      byteCount += grant.bytes.count
      if byteCount > JournalEntry.adoptedByteCountMax { return max(1, place) }
    }
    return grants.count
  }

  private mutating func close() {
    JournalEntry.close(batch: state.machine.batch).write(to: &entries)
    let closed = ClosedBatch(
      closing: &state.machine, state.acknowledgements, followed: service.market.followed)
    let isEmpty = closed.header.bundleCount == 0 && closed.header.eventCount == 0
    isFutile = isEmpty && (isFutile || isDirected)
    group.closed = closed
    state.acknowledgements.removeAll(keepingCapacity: true)
    for (account, key) in revoked { service.known.remove(account, key) }
    revoked.removeAll()
    closedAt = Clock.monotonicNanoseconds
    flush()
  }

  /// Hands what was done to the journal thread.
  private mutating func flush() {
    group.entries = entries.bytes
    guard !group.isEmpty else { return }
    journal.put(group)
    group = JournalGroup()
    entries = ByteWriter(capacity: entries.bytes.count)
  }

  // MARK: - Bundles

  private mutating func sequence(_ checked: CheckedBundle) {
    guard let bundle = checked.bundle else { return refuse(checked, .malformed) }
    guard !service.degraded.isSet && !service.frozen.isSet else {
      return refuse(checked, .degraded)
    }
    followOracle(checked, bundle)
    if !state.machine.isBatchOpen {
      // Whoever holds no key here makes nothing happen, not even an empty batch.
      if let refusal = strangerRefusal(checked, bundle) { return refuse(checked, refusal) }
      open()
    }
    if let refusal = state.machine.door(bundle) {
      if refusal == .batchFull {
        close()
        open()
        return sequence(checked)
      }
      // Looking an outcome up costs more than a signature: only the signer is told.
      if refusal == .nonceUsed || refusal == .nonceTooOld, isSigned(checked, bundle),
        let first = state.outcomes.find(checked.id, store: service.keeper.store)
      {
        group.accepted.append((checked.ticket, checked.place, first))
        return
      }
      return refuse(checked, refusal)
    }
    guard isSigned(checked, bundle) else { return refuse(checked, .badSignature) }
    var outcomes: [Outcome] = []
    outcomes.reserveCapacity(Int(bundle.header.actionCount))
    let place: Int
    do {
      place = try state.machine.apply(
        bundle, counterparties: checked.counterparties, into: &outcomes)
    } catch {
      if case .refused(let refusal) = error { return refuse(checked, refusal) }
      return refuse(checked, .malformed)
    }
    note(bundle, outcomes, from: checked.ticket.connection)
    JournalEntry.bundle(bundle.bytes).write(to: &entries)
    let leaf = Acknowledgement(
      account: bundle.header.account, key: bundle.header.key, nonce: bundle.header.nonce,
      bundle: checked.id, batch: state.machine.batch, index: UInt32(place), outcomes: outcomes)
    state.acknowledgements.append(leaf)
    state.outcomes.remember(leaf)
    group.accepted.append((checked.ticket, checked.place, leaf))
  }

  /// Sequences execution's own word, which the accounts consented to, that their connections are lost.
  private mutating func cutLostSessions() {
    while let session = connections.nextLost() {
      guard state.machine.isOpen(session: session.number) else { continue }
      if !state.machine.isBatchOpen { open() }
      let life = min(1_000, service.context.genesis.constants.bundleLifeMax)
      let bundle = service.key.withKey {
        Bundle.signed(
          [.disconnect(session: session.number)], account: session.account,
          nonce: session.number, expiry: Timestamp(raw: state.machine.time.raw + life),
          network: service.context.network, by: $0)
      }
      if state.machine.door(bundle) == .batchFull {
        close()
        open()
      }
      var outcomes: [Outcome] = []
      do {
        let place = try state.machine.apply(bundle, into: &outcomes)
        JournalEntry.bundle(bundle.bytes).write(to: &entries)
        let leaf = Acknowledgement(
          account: session.account, key: bundle.header.key, nonce: session.number,
          bundle: bundle.id(network: service.context.network), batch: state.machine.batch,
          index: UInt32(place), outcomes: outcomes)
        state.acknowledgements.append(leaf)
        state.outcomes.remember(leaf)
      } catch {
        service.context.log.error(
          "cannot cut a session",
          metadata: ["session": "\(session.number)", "error": "\(error)"])
      }
    }
  }

  /// Why a bundle may not even open a batch: its key is not good here, or did not sign it.
  private func strangerRefusal(_ checked: CheckedBundle, _ bundle: Bundle) -> Refusal? {
    let (account, key) = (bundle.header.account, bundle.header.key)
    // Accounts that the next opening adopts are as good as there.
    let isOpening = grants.contains {
      $0.body.opened.contains { $0.account == account && $0.owner == key }
    }
    if !isOpening && !state.machine.isKnown(account, key) {
      return account.index < state.machine.accountCount ? .unknownKey : .unknownAccount
    }
    return isSigned(checked, bundle) ? nil : .badSignature
  }

  /// What the workers found. A key they did not know yet, though the door does, is checked here,
  /// once, and is theirs from then on.
  private func isSigned(_ checked: CheckedBundle, _ bundle: Bundle) -> Bool {
    switch checked.signature {
    case .valid: return true
    case .invalid: return false
    case .unchecked:
      guard Ed25519.isValid(bundle.signature, of: checked.id, by: bundle.header.key) else {
        checked.ticket.connection.charge(badSignatures: 1)
        return false
      }
      service.known.insert(bundle.header.account, bundle.header.key)
      return true
    }
  }

  /// Keys added by the bundle are good from the next batch on; workers may check them already.
  /// Sessions it opened stand on its connection.
  private mutating func note(
    _ bundle: Bundle, _ outcomes: [Outcome], from connection: Connection
  ) {
    let account = bundle.header.account
    var index = 0
    for outcome in outcomes {
      let record = bundle.record(index)
      guard let kind = record.kind else { return }
      if outcome.status == .accepted {
        if kind == .addKey { service.known.insert(account, record.tail) }
        if kind == .revokeKey { revoked.append((account, record.tail)) }
        if kind == .session, !record.endsSession {
          connections.open(
            SessionsByConnection.Session(number: outcome.order.raw, account: account),
            on: connection)
        }
      }
      index += record.recordCount
    }
  }

  /// With the oracle as clock, a publisher's newer time opens a batch of that time. No single
  /// publisher moves it further past what a quorum said than a bundle may live.
  private mutating func followOracle(_ checked: CheckedBundle, _ bundle: Bundle) {
    guard service.context.settings.timeSource == .oracle, checked.signature == .valid,
      service.context.genesis.publishers.contains(bundle.header.account)
    else { return }
    let genesis = service.context.genesis
    let latest =
      max(state.machine.oracleTime, genesis.startTime).raw + genesis.constants.bundleLifeMax
    for index in 0..<bundle.recordCount {
      let record = bundle.record(index)
      if record.kindCode == ActionKind.index.rawValue
        || record.kindCode == ActionKind.surface.rawValue, record.y <= latest
      {
        oracleTime = max(oracleTime, Timestamp(raw: record.y))
      }
    }
    if state.machine.isBatchOpen, oracleTime > state.machine.time { close() }
  }

  private mutating func refuse(_ checked: CheckedBundle, _ refusal: Refusal) {
    var item = SubmittedMessage.Refused(submission: checked.place, refusal)
    if let header = checked.bundle?.header {
      switch refusal {
      case .expired, .expiryTooFar:
        item.figure1 = header.expiry.raw
        item.figure2 = state.machine.time.raw
      case .nonceUsed, .nonceTooOld:
        item.figure1 = Int64(bitPattern: header.nonce)
      default: break
      }
    }
    group.refused.append((checked.ticket, item))
  }

  // MARK: - Clearances

  private mutating func receive(_ clearance: SignedClearance, _ bytes: [UInt8]) {
    let adopted = state.machine.creditBatch.map { $0.raw + 1 } ?? 0
    let expected = adopted + UInt64(grants.count)
    // After a reconnection the log may begin earlier than we stand.
    guard clearance.header.batch.raw == expected else { return }
    do {
      let body = try ClearanceBody(encoded: clearance.body.rawSpan)
      grants.append((clearance.header, body, bytes))
    } catch {
      service.context.log.error(
        "a Clearance does not decode",
        metadata: ["batch": "\(clearance.header.batch)", "error": "\(error)"])
    }
  }

  // MARK: - Queries

  private func answer(_ query: QueryMessage, _ connection: Connection, _ requestID: UInt64) {
    guard let body = Answers.answer(query, service, state) else {
      connection.refuse(
        requestID, ErrorMessage(.notFound, "execution does not know subject \(query.subject)"))
      return
    }
    connection.send(
      type: MessageType.answer, flags: .response, requestID: requestID, body: body)
  }
}
