import Synchronization
import Wire

/// Counts requests that wait for a layer's one thread, so that nobody piles them up: beyond the
/// limit they are refused *busy*.
public final class WaitingRequests: Sendable {
  /// Requests of one kind that may wait at once.
  public static let standardMax = 256

  private let waiting = Atomic<Int>(0)
  private let maximum: Int

  public init(maximum: Int = WaitingRequests.standardMax) { self.maximum = maximum }

  /// Counts a request; the one who answers it calls `leave`.
  /// - Returns: false when too many wait; the request has been refused then.
  public func enter(_ connection: Connection, _ requestID: UInt64) -> Bool {
    guard tryEnter() else {
      connection.refuse(
        requestID, ErrorMessage(.busy, figures: (Int64(maximum), 0), "too many requests wait"))
      return false
    }
    return true
  }

  /// - Returns: false when too many wait.
  public func tryEnter() -> Bool {
    guard waiting.add(1, ordering: .relaxed).newValue > maximum else { return true }
    leave()
    return false
  }

  public func leave() { waiting.subtract(1, ordering: .relaxed) }
}
