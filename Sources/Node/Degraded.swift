import Glibc
public import Logging
import Synchronization

/// Whether a layer has stopped taking new work because the disk is full. Reads go on.
public final class DegradedFlag: Sendable {
  /// Who found the disk full.
  public enum Part: UInt8, Sendable {
    case journal = 1
    case store = 2
  }

  private let parts = Atomic<UInt8>(0)

  public init() {}

  public var isSet: Bool { parts.load(ordering: .relaxed) != 0 }

  public func set(_ part: Part, _ error: any Error, _ log: Logger) {
    let old = parts.bitwiseOr(part.rawValue, ordering: .relaxed).oldValue
    if old & part.rawValue == 0 {
      log.error("degraded: no new work until there is space", metadata: ["error": "\(error)"])
    }
  }

  public func clear(_ part: Part, _ log: Logger) {
    let old = parts.bitwiseAnd(~part.rawValue, ordering: .relaxed).oldValue
    if old & part.rawValue != 0 { log.notice("space is back: taking new work") }
  }
}

/// Stops the process at once, without running what could write or sign anything more.
public func exitAfterFatal() -> Never { _exit(70) }

/// Waits; for threads that have nothing better to do.
public func sleepMilliseconds(_ milliseconds: UInt32) { usleep(milliseconds * 1_000) }
