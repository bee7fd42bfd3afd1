import Primitives
import Wire

/// Sessions, by search.
extension BookTwin {
  mutating func session(_ record: ActionRecord, _ account: Int) -> Outcome {
    if record.a == 1 {
      guard
        let place = sessions.firstIndex(where: { $0.number == record.z && $0.account == account })
      else { return .rejected(.unknownSession) }
      sessions.remove(at: place)
      return Outcome(.accepted, .done, 0, 0, order: OrderID(record.z))
    }
    let open = Int64(sessions.count { $0.account == account })
    if open >= 16 { return .rejected(.tooManySessions, open, 16) }
    sessions.append((nextOrder, account, record))
    nextOrder += 1
    return Outcome(.accepted, .done, 0, 0, order: OrderID(nextOrder - 1))
  }

  /// The sequencer's word; an account's own is for nothing.
  mutating func lose(_ record: ActionRecord, _ account: Int, _ key: PublicKey) -> Outcome {
    guard key == sequencer else { return .rejected(.outOfScope) }
    guard let place = sessions.firstIndex(where: { $0.number == record.z && $0.account == account })
    else { preconditionFailure("the machine took the loss of session \(record.z)") }
    var all = sessions.remove(at: place).record
    all.a = 0
    losses += 1
    return cancelAll(all, account)
  }
}
