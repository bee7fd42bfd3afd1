import CThreads
import Glibc

/// How much of the machine a thread may ask for.
public enum ThreadPriority: Sendable, Hashable {
  case normal
  /// Works little and often, and somebody waits for it: when it wakes it goes before threads that
  /// compute without end.
  case prompt
  /// Runs only when nobody else wants the processor (`SCHED_IDLE`): settlement's signature checks.
  case idle
}

/// An operating-system thread with a name, joined by hand.
@safe public final class NamedThread: @unchecked Sendable {
  // Sound to share: the handle is written once, before anyone else has the object; joining is
  // guarded by the monitor.
  private var handle = pthread_t()
  private let monitor = Monitor()
  private var isJoined = false

  private final class Start {
    let name: String
    let priority: ThreadPriority
    let body: @Sendable () -> Void
    init(name: String, priority: ThreadPriority, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.priority = priority
      self.body = body
    }

    func run() {
      NamedThread.setName(name)
      if priority == .prompt { NamedThread.askForPromptness() }
      if priority == .idle {
        var parameter = sched_param()
        // Refused in some sandboxes; then the thread runs like any other, only less politely.
        _ = unsafe sched_setscheduler(0, NamedThread.idlePolicy, &parameter)
      }
      body()
    }
  }

  /// Starts a thread.
  /// - Parameter name: the first 15 bytes show in process listings.
  public init(
    _ name: String, priority: ThreadPriority = .normal, _ body: @escaping @Sendable () -> Void
  ) {
    let start = Start(name: name, priority: priority, body: body)
    let argument = unsafe Unmanaged.passRetained(start).toOpaque()
    let status = unsafe pthread_create(
      &handle, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run()
        }
        return nil
      }, argument)
    precondition(status == 0, "no thread for \(name): pthread error \(status)")
  }

  /// Nanoseconds: what such a thread works for at a stretch.
  private static let promptSlice: UInt64 = 100_000

  /// Gives the calling thread a short time slice. Refused by old kernels and in some sandboxes;
  /// then it waits its turn like any other.
  static func askForPromptness() { _ = novate_thread_slice(promptSlice) }

  /// `SCHED_IDLE` of linux/sched.h, which the C library shows only to GNU sources.
  private static let idlePolicy: Int32 = 5

  /// Names the calling thread; a name is a convenience, so failing is no fault.
  private static func setName(_ name: String) {
    let file = unsafe open("/proc/thread-self/comm", O_WRONLY)
    guard file >= 0 else { return }
    let bytes = Array(name.utf8.prefix(15))
    _ = unsafe write(file, bytes, bytes.count)
    Glibc.close(file)
  }

  /// Waits for the thread's end; from the second call on does nothing.
  public func join() {
    let isFirst = monitor.locked {
      defer { isJoined = true }
      return !isJoined
    }
    if isFirst { _ = pthread_join(handle, nil) }
  }

  /// Whether this is the calling thread.
  public var isCurrent: Bool { pthread_equal(handle, pthread_self()) != 0 }

  deinit {
    if !isJoined { _ = pthread_detach(handle) }
  }
}
