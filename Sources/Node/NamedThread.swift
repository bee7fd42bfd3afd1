import CThreads
import Glibc
import Synchronization

/// How much of the machine a thread may ask for.
public enum ThreadPriority: Sendable, Hashable {
  case normal
  /// Works little and often, and somebody waits for it: when it wakes it goes before threads that
  /// compute without end. In a process that is `realtime`, before all that are not.
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
      if priority == .prompt { Promptness.ask() }
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

/// How the threads that somebody waits for go before others.
public enum Promptness {
  private static let isRealtime = Atomic(false)

  /// Nanoseconds: what such a thread works for at a stretch.
  private static let slice: UInt64 = 100_000

  /// From now on the process's prompt threads ask for real-time scheduling (`SCHED_RR` at the lowest
  /// priority): the kernel then gives them the first processor that does anything else, where a
  /// short slice only puts them ahead in one processor's queue.
  /// - Returns: false where the system does not allow it (it takes `CAP_SYS_NICE` or a limit for
  ///   `RLIMIT_RTPRIO`); they then have their short slice.
  public static func askForRealtime() -> Bool {
    let isAllowed = isRealtimeAllowed
    isRealtime.store(isAllowed, ordering: .relaxed)
    return isAllowed
  }

  /// Whether the system allows it: tried by a thread that ends at once.
  static var isRealtimeAllowed: Bool {
    let answer = Mutex(false)
    NamedThread("realtime") { answer.withLock { $0 = enterRealtime() } }.join()
    return answer.withLock { $0 }
  }

  private static func enterRealtime() -> Bool {
    var parameter = sched_param()
    parameter.sched_priority = sched_get_priority_min(SCHED_RR)
    return unsafe sched_setscheduler(0, SCHED_RR, &parameter) == 0
  }

  /// A prompt thread's standing, kept by the thread itself. Who is behind with its work leaves
  /// real-time scheduling until it has caught up: the other layers need their share to take over
  /// what it makes, and those who wait for it wait for a queue, not for a processor.
  public struct Standing {
    private var isBehind = false

    public init() {}

    /// Called again and again by the thread it is for; changes something at a change only.
    public mutating func mind(isBehind now: Bool) {
      guard now != isBehind, isRealtime.load(ordering: .relaxed) else { return }
      isBehind = now
      if now || !enterRealtime() { _ = novate_thread_slice(slice) }
    }
  }

  /// Makes the calling thread prompt. What old kernels and some sandboxes refuse is done without.
  static func ask() {
    if isRealtime.load(ordering: .relaxed), enterRealtime() { return }
    _ = novate_thread_slice(slice)
  }
}
