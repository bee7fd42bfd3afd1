import Glibc

/// Turns the signals that ask a process to stop into a call.
public enum Shutdown {
  /// Ignores SIGPIPE, and calls `handler` on a thread of its own at the first SIGTERM or SIGINT.
  /// A second one ends the process at once with status 130.
  ///
  /// Call it first in `main`: threads made earlier would still receive the signals.
  public static func install(_ handler: @escaping @Sendable () -> Void) {
    _ = signal(SIGPIPE, SIG_IGN)
    let signals = set()
    precondition(unsafe pthread_sigmask(SIG_BLOCK, [signals], nil) == 0)
    // The thread lives as long as the process.
    _ = NamedThread("shutdown") {
      wait()
      handler()
      wait()
      _exit(130)
    }
  }

  private static func set() -> sigset_t {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGTERM)
    unsafe sigaddset(&signals, SIGINT)
    return signals
  }

  private static func wait() {
    var signals = set()
    var number: Int32 = 0
    while unsafe sigwait(&signals, &number) != 0 {}
  }
}
