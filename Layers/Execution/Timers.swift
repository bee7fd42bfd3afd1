import Primitives
import Wire

/// When an account's orders are to be cancelled unless it says otherwise: 16 bytes.
struct TimerRecord: FlatRecord {
  /// Zero in an empty slot.
  var deadline: Timestamp = .zero
  var account = AccountID(0)
  var reserved: UInt32 = 0

  static let empty = TimerRecord()
}

extension ExecutionMachine {
  /// Arms an account's timer anew, or takes it away.
  @inline(never)
  mutating func setTimer(_ record: ActionRecord, account: AccountID) -> Outcome {
    let known = timerSlots[account.raw]
    guard record.x > 0 else {
      if let known { removeTimer(known) }
      return Outcome(.accepted)
    }
    let deadline = Timestamp(raw: time.raw + record.x)
    if let known {
      timers[known].deadline = deadline
    } else {
      let slot = freeTimers.take()
      timers.reserve(through: slot)
      timers[slot] = TimerRecord(deadline: deadline, account: account)
      timerSlots[account.raw] = slot
    }
    deadlines.insert(OrderID(UInt64(account.raw)), expiry: deadline)
    if deadlines.count > 4 * timerSlots.count + 64 { rebuildDeadlines() }
    return Outcome(.accepted, .done, deadline.raw, 0)
  }

  private mutating func removeTimer(_ slot: Int) {
    timerSlots[timers[slot].account.raw] = nil
    timers[slot] = .empty
    freeTimers.free(slot)
  }

  /// The queue as the timers have it, without what they had before.
  mutating func rebuildDeadlines() {
    deadlines = ExpiryQueue()
    for slot in 0..<timers.count where timers[slot].deadline.raw != 0 {
      deadlines.insert(OrderID(UInt64(timers[slot].account.raw)), expiry: timers[slot].deadline)
    }
  }

  /// Cancels the orders of accounts whose time has run out: the soonest first, then the lowest
  /// account, so many a batch.
  mutating func runOutTimers() {
    var count = 0
    while count < Limits.timersPerBatchMax, let (id, deadline) = deadlines.pop(at: time) {
      let account = AccountID(UInt32(truncatingIfNeeded: id.raw))
      // Set anew or taken away since, perhaps: then another entry names it, or none. What the queue
      // still holds of the past must not matter, a restart does not know it.
      guard let slot = timerSlots[account.raw], timers[slot].deadline == deadline else { continue }
      cancelAll(of: account, .instrument(.all))
      removeTimer(slot)
      count += 1
    }
  }
}
