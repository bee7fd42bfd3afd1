import Glibc

/// Turns the signals that ask a process to stop into a call.
public enum Shutdown {
  /// Where the signal handler writes; a handler may do little else.
  nonisolated(unsafe) private static var bell: Int32 = -1

  /// Ignores SIGPIPE, and calls `handler` on a thread of its own at the first SIGTERM or SIGINT.
  /// A second one ends the process at once with status 130. Call it once, first in `main`.
  public static func install(_ handler: @escaping @Sendable () -> Void) {
    var ends: [Int32] = [-1, -1]
    let status = unsafe pipe(&ends)
    precondition(status == 0, "no pipe for signals: errno \(errno)")
    let (listening, ringing) = (ends[0], ends[1])
    unsafe bell = ringing
    // The thread lives as long as the process.
    _ = NamedThread("shutdown") {
      wait(listening)
      handler()
      wait(listening)
      _exit(130)
    }
    _ = signal(SIGPIPE, SIG_IGN)
    for number in [SIGTERM, SIGINT] {
      _ = signal(number) { _ in
        let code = errno
        var byte: UInt8 = 0
        _ = unsafe write(Shutdown.bell, &byte, 1)
        errno = code
      }
    }
  }

  private static func wait(_ descriptor: Int32) {
    var byte: UInt8 = 0
    while unsafe read(descriptor, &byte, 1) != 1 {}
  }
}
