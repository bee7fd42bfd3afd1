import Commitments
import Logging
import Node
import Primitives
import Storage
import Wire

/// What the apply thread hands over in one go: journal entries, answers that may leave once the
/// entries are durable, and a closed batch if one was closed.
struct JournalGroup: Sendable {
  /// The batch the first entry opens, if it opens one.
  var opens: BatchNumber?
  var entries: [UInt8] = []
  var accepted: [(ticket: Ticket, place: UInt32, leaf: Acknowledgement)] = []
  var refused: [(ticket: Ticket, item: SubmittedMessage.Refused)] = []
  var closed: ClosedBatch?
  /// Batches whose groups the database holds: their segments may go.
  var trimBefore: UInt64?

  var isEmpty: Bool {
    entries.isEmpty && accepted.isEmpty && refused.isEmpty && closed == nil && trimBefore == nil
  }
}

/// A closed batch on its way to the database.
struct ClosedBatch: Sendable {
  var durable: DurableBatch
  var header: ExecutionHeader
  var body: [UInt8]
  /// What it did to the markets and accounts that are followed.
  var market: MarketBatch?
  /// The journal group that opened it.
  var journalIndex: UInt64 = 0
}

/// Writes groups to the journal, syncs once for all that gathered, signs their acknowledgements
/// once, and lets the answers leave.
final class JournalThread: @unchecked Sendable {
  // Sound to share: `journal`, `openings` and `term` belong to its own thread.
  private let box = MailBox<JournalGroup>(capacity: 4_096)
  private let journal: Journal
  private let network: Digest
  private let key: SigningKey
  private let commits: MailBox<ClosedBatch>
  private let log: Logger
  private let metrics: ExecutionMetrics
  let degraded: DegradedFlag
  private var thread: NamedThread?
  /// Whether bundles come faster than their signatures are checked.
  private let isBehind: @Sendable () -> Bool
  private var startedAt: UInt64 = 0
  /// The group that opened each batch not yet closed.
  private var openings: [BatchNumber: UInt64]

  init(
    journal: Journal, network: Digest, key: consuming SigningKey,
    openings: [BatchNumber: UInt64],
    commits: MailBox<ClosedBatch>, degraded: DegradedFlag, log: Logger,
    metrics: ExecutionMetrics, isBehind: @escaping @Sendable () -> Bool
  ) {
    self.journal = journal
    self.network = network
    self.key = key
    self.openings = openings
    self.commits = commits
    self.degraded = degraded
    self.log = log
    self.metrics = metrics
    self.isBehind = isBehind
    thread = NamedThread("journal", priority: .prompt) { [unowned self] in self.run() }
  }

  func put(_ group: JournalGroup) { box.put(group) }
  func waitForRoom() { box.waitForRoom() }

  /// Writes what was put before, then ends.
  func stop() {
    box.close()
    thread?.join()
  }

  private func run() {
    var standing = Promptness.Standing()
    while true {
      standing.mind(isBehind: isBehind())
      let groups = gather()
      if groups.isEmpty { return }
      let start = Clock.monotonicNanoseconds
      startedAt = start
      let number = append(groups)
      Fault.reach("journal.appended", number != 0)
      sync()
      metrics.synced(groups, since: start)
      Fault.reach("journal.synced", number != 0)
      answer(groups, number: number)
      for group in groups {
        if let index = group.trimBefore { trim(index) }
        guard var closed = group.closed else { continue }
        closed.journalIndex = openings.removeValue(forKey: closed.header.batch) ?? 0
        closed.durable.head?.extra += closed.journalIndex.littleEndianBytes
        commits.put(closed)
      }
    }
  }

  /// The groups of the next round; none when the box is closed and empty. While bundles wait for the
  /// workers, more of them share a round: who waits longest there gains what waits a little here.
  private func gather() -> [JournalGroup] {
    var groups = box.takeAll()
    let moment = startedAt + JournalThread.pace
    if !groups.isEmpty, isBehind(), Clock.monotonicNanoseconds < moment {
      Clock.sleep(until: moment)
      groups += box.takeAll(until: 0)
    }
    return groups
  }

  /// Nanoseconds between the starts of two rounds while bundles wait for the workers.
  private static let pace: UInt64 = 2_000_000

  /// Appends what the groups hold, in one piece from an opening to the next.
  ///
  /// A round with acknowledgements, even of duplicates alone, appends a journal group of its own, and
  /// signs under its index, after the sync: no number is ever signed twice.
  /// - Returns: the index of the last; 0 when there was nothing to append.
  private func append(_ groups: [JournalGroup]) -> UInt64 {
    var number: UInt64 = 0
    var piece: [UInt8]?
    var opened: BatchNumber?
    func write() {
      guard let entries = piece else { return }
      number = append(entries)
      if let opened { openings[opened] = number }
      (piece, opened) = (nil, nil)
    }
    for group in groups where !group.entries.isEmpty || !group.accepted.isEmpty {
      if group.opens != nil {
        write()
        opened = group.opens
      }
      piece = (piece ?? []) + group.entries
    }
    write()
    return number
  }

  private func append(_ entries: [UInt8]) -> UInt64 {
    while true {
      do {
        return try journal.append(entries)
      } catch {
        wait(error)
      }
    }
  }

  private func sync() {
    do {
      try journal.sync()
      degraded.clear(.journal, log)
    } catch {
      fatal(error)
    }
  }

  private func trim(_ index: UInt64) {
    do {
      try journal.trim(before: index)
    } catch {
      log.warning("journal segments stay", metadata: ["error": "\(error)"])
    }
  }

  /// A full disk is waited for, with every answer held back; anything else stops the process.
  private func wait(_ error: StorageFailure) {
    guard case .diskFull = error else { fatal(error) }
    degraded.set(.journal, error, log)
    sleepMilliseconds(500)
  }

  private func fatal(_ error: StorageFailure) -> Never {
    log.critical("journal failed", metadata: ["error": "\(error)"])
    exitAfterFatal()
  }

  // MARK: - Answers

  private func answer(_ groups: [JournalGroup], number: UInt64) {
    var leaves: [Digest] = []
    for group in groups {
      for item in group.accepted {
        leaves.append(MerkleLog.leafHash(item.leaf.encoded.rawSpan))
      }
    }
    var head = AcknowledgementGroup(
      term: 1, network: network, number: number, count: UInt64(leaves.count), root: .zero)
    var signature = Signature.zero
    let tree = MerkleLog(leafHashes: leaves)
    if !leaves.isEmpty {
      head.root = tree.root
      signature = key.sign(head.id)
    }
    Fault.reach("journal.signed", !leaves.isEmpty)
    var messages: [ObjectIdentifier: Int] = [:]
    var answers: [(ticket: Ticket, message: SubmittedMessage)] = []
    func message(_ ticket: Ticket) -> Int {
      if let place = messages[ObjectIdentifier(ticket)] { return place }
      messages[ObjectIdentifier(ticket)] = answers.count
      answers.append(
        (ticket, SubmittedMessage(group: head, signature: signature, accepted: [], refused: [])))
      return answers.count - 1
    }
    var place = 0
    for group in groups {
      for item in group.accepted {
        let path = tree.inclusionProof(of: place, size: leaves.count)
        answers[message(item.ticket)].message.accepted.append(
          SubmittedMessage.Accepted(
            submission: item.place, place: UInt32(place), path: path, leaf: item.leaf))
        place += 1
      }
      for item in group.refused {
        answers[message(item.ticket)].message.refused.append(item.item)
      }
    }
    for (ticket, message) in answers {
      ticket.remaining -= message.accepted.count + message.refused.count
      ticket.connection.send(
        type: MessageType.submitted, flags: ticket.remaining > 0 ? [.response, .more] : .response,
        requestID: ticket.requestID, body: message.encoded)
    }
    Fault.reach("journal.answered", !leaves.isEmpty)
  }
}

extension UInt64 {
  var littleEndianBytes: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: self >> UInt64($0 * 8)) }
  }
}
