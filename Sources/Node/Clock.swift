import Glibc
public import Primitives

/// The only clock. Nothing that reaches a root asks it: machines get their time inside inputs.
public enum Clock {
  /// Wall time, milliseconds UTC. May jump.
  public static var now: Timestamp {
    let time = read(CLOCK_REALTIME)
    return Timestamp(raw: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  /// Nanoseconds since some fixed moment; never falls.
  public static var monotonicNanoseconds: UInt64 {
    let time = read(CLOCK_MONOTONIC)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Waits until a moment of `monotonicNanoseconds`.
  public static func sleep(until moment: UInt64) {
    var time = timespec()
    time.tv_sec = Int(moment / 1_000_000_000)
    time.tv_nsec = Int(moment % 1_000_000_000)
    while unsafe clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
  }

  private static func read(_ clock: clockid_t) -> timespec {
    var time = timespec()
    let status = unsafe clock_gettime(clock, &time)
    precondition(status == 0, "the system has no clock \(clock)")
    return time
  }
}
