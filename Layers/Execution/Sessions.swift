public import Primitives
import Wire

/// An account's consent that its orders be cancelled when the connection it was given on is lost: 32
/// bytes.
struct SessionRecord: FlatRecord {
  /// Drawn from the numbers of orders; zero in an empty slot.
  var number: UInt64 = 0
  var account = AccountID(0)
  /// Of a cancel of all: instrument or `all`, or underlying.
  var scope: UInt32 = 0
  var scopeBy: UInt32 = 0
  var reserved: (UInt32, UInt32, UInt32) = (0, 0, 0)

  static let empty = SessionRecord()
}

/// What is derived from open sessions. Nothing iterates it where order matters.
struct SessionIndex: ~Copyable {
  var slots: [UInt64: Int] = [:]
  var counts: [UInt32: Int] = [:]
  var free = SlotBitmap()
}

extension ExecutionMachine {
  /// Opens or ends a session.
  @inline(never)
  mutating func session(_ record: ActionRecord, account: AccountID) -> Outcome {
    if record.endsSession {
      guard let slot = sessionIndex.slots[record.z], sessions[slot].account == account else {
        return .rejected(.unknownSession)
      }
      removeSession(slot)
      return Outcome(.accepted, .done, 0, 0, order: OrderID(record.z))
    }
    let count = sessionIndex.counts[account.raw] ?? 0
    guard count < Limits.sessionsPerAccountMax else {
      return .rejected(.tooManySessions, Int64(count), Int64(Limits.sessionsPerAccountMax))
    }
    let number = status[0].nextOrder
    status[0].nextOrder += 1
    let slot = sessionIndex.free.take()
    sessions.reserve(through: slot)
    sessions[slot] = SessionRecord(
      number: number, account: account, scope: record.id, scopeBy: UInt32(record.b))
    link(sessions[slot], slot)
    return Outcome(.accepted, .done, 0, 0, order: OrderID(number))
  }

  private mutating func link(_ record: SessionRecord, _ slot: Int) {
    sessionIndex.slots[record.number] = slot
    sessionIndex.counts[record.account.raw, default: 0] += 1
  }

  private mutating func removeSession(_ slot: Int) {
    let record = sessions[slot]
    sessions[slot] = .empty
    sessionIndex.free.free(slot)
    sessionIndex.slots[record.number] = nil
    let count = (sessionIndex.counts[record.account.raw] ?? 1) - 1
    sessionIndex.counts[record.account.raw] = count == 0 ? nil : count
  }

  mutating func rebuildSessions() {
    sessionIndex = SessionIndex()
    sessionIndex.free = SlotBitmap(count: sessions.count) { sessions[$0].number != 0 }
    for slot in 0..<sessions.count where sessions[slot].number != 0 { link(sessions[slot], slot) }
  }

  // MARK: - Losing one

  /// Whether the bundle is the sequencer's own word that a session is lost, and the account has
  /// consented to it: then, and only then, it needs no key of the account. The session's number is its
  /// nonce: it ends but once.
  @inline(__always)
  func isConsented(_ bundle: borrowing Bundle) -> Bool {
    bundle.header.key == genesis.execution.object && isLoss(bundle)
  }

  @inline(never)
  private func isLoss(_ bundle: borrowing Bundle) -> Bool {
    let (header, record) = (bundle.header, bundle.record(0))
    guard bundle.recordCount == 1, record.kind == .disconnect, header.nonce == record.z,
      let slot = sessionIndex.slots[record.z]
    else { return false }
    return sessions[slot].account == header.account
  }

  /// Cancels what the session's consent is about, and ends it.
  mutating func disconnect(_ number: UInt64) -> Outcome {
    guard let slot = sessionIndex.slots[number] else {
      preconditionFailure("the door has found the session")
    }
    let record = sessions[slot]
    removeSession(slot)
    let scope: CancelScope =
      record.scopeBy == 0
      ? .instrument(InstrumentID(record.scope))
      : .underlying(UnderlyingID(UInt16(truncatingIfNeeded: record.scope)))
    return cancelAll(of: record.account, scope)
  }

  /// Sessions that are open, oldest first.
  public var openSessions: [(number: UInt64, account: AccountID)] {
    (0..<sessions.count).filter { sessions[$0].number != 0 }
      .map { (sessions[$0].number, sessions[$0].account) }.sorted { $0.0 < $1.0 }
  }

  /// Whether a session is open.
  public func isOpen(session number: UInt64) -> Bool { sessionIndex.slots[number] != nil }

  /// What is wrong with stored sessions, or nil.
  func sessionStructureFault() -> String? {
    var numbers: Set<UInt64> = []
    var counts: [UInt32: Int] = [:]
    for slot in 0..<sessions.count where sessions[slot].number != 0 {
      let record = sessions[slot]
      counts[record.account.raw, default: 0] += 1
      guard record.number < status[0].nextOrder, numbers.insert(record.number).inserted,
        record.account.index < credits.count, record.scopeBy <= 1,
        record.scopeBy == 0 || record.scope <= UInt16.max,
        counts[record.account.raw] ?? 0 <= Limits.sessionsPerAccountMax
      else { return "session in slot \(slot)" }
    }
    return nil
  }
}
