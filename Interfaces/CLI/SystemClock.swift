import Glibc
import Primitives

/// The system's clocks, for commands.
enum SystemClock {
  /// Milliseconds since 1970, UTC.
  static var now: Timestamp { Timestamp(raw: realNanoseconds / 1_000_000) }
  static var realNanoseconds: Int64 { nanoseconds(CLOCK_REALTIME) }
  static var monotonicNanoseconds: Int64 { nanoseconds(CLOCK_MONOTONIC) }

  private static func nanoseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    precondition(unsafe clock_gettime(clock, &time) == 0, "the system has no such clock")
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
