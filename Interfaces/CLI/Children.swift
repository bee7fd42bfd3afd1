import Glibc
import Synchronization

/// The processes a command has started: a signal that ends the command ends them too.
enum Children {
  private struct State {
    var running: Set<pid_t> = []
    var isEnding = false
  }
  private static let state = Mutex(State())
  /// How long they have to end by themselves.
  private static let patienceMilliseconds = 10_000

  /// Starts a process and remembers it until `forget`.
  ///
  /// - Parameter spawn: sets the process's id; returns an error number or 0.
  /// - Returns: what `spawn` did, or that the command is ending.
  static func start(_ child: inout pid_t, _ spawn: (inout pid_t) -> Int32) -> Int32 {
    var found: pid_t = 0
    let code = state.withLock { state in
      guard !state.isEnding else { return ECANCELED }
      let code = spawn(&found)
      if code == 0 { state.running.insert(found) }
      return code
    }
    child = found
    return code
  }

  /// The process has been waited for.
  static func forget(_ child: pid_t) { state.withLock { _ = $0.running.remove(child) } }

  /// From here on SIGINT, SIGTERM and SIGHUP stop the processes and then this one. Call it before
  /// other threads are made: they must not take the signals.
  static func endWithSignals() {
    var signals = signalSet()
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    var thread = pthread_t()
    let status = unsafe pthread_create(
      &thread, nil,
      { _ in
        var signals = Children.signalSet()
        var number: Int32 = 0
        while unsafe sigwait(&signals, &number) != 0 {}
        Children.end(number)
      }, nil)
    precondition(status == 0, "no thread for signals: error \(status)")
  }

  /// Waits for ever once a signal ends the command: what failed because its processes went away is
  /// no news.
  static func yieldToSignal() {
    while state.withLock({ $0.isEnding }) { sleep(1) }
  }

  private static func signalSet() -> sigset_t {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, number) }
    return signals
  }

  private static func end(_ number: Int32) -> Never {
    var left = state.withLock { state in
      state.isEnding = true
      return state.running.sorted()
    }
    for child in left { kill(child, SIGTERM) }
    for _ in 0..<(patienceMilliseconds / 10) where !left.isEmpty {
      // Whoever started it may have waited for it already.
      left.removeAll { waitpid($0, nil, WNOHANG) != 0 }
      if !left.isEmpty { usleep(10_000) }
    }
    for child in left {
      kill(child, SIGKILL)
      _ = waitpid(child, nil, 0)
    }
    Screen.note("novate: ended by signal \(number); no process is left running")
    _exit(128 + number)
  }
}
