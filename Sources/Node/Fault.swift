#if NOVATE_TESTING
  import Glibc
  import Synchronization
#endif

/// Places where a test may kill the process: `NOVATE_FAULT=NAME@N` ends it by SIGKILL when the place
/// is reached for the N-th time. Empty in every build but the tests'.
public enum Fault {
  @inline(__always)
  public static func reach(_ name: StaticString, _ isReached: Bool = true) {
    #if NOVATE_TESTING
      if isReached, let plan { plan.reach(name) }
    #endif
  }

  #if NOVATE_TESTING
    private static let plan = Plan()

    private final class Plan: Sendable {
      private let name: String
      private let left: Atomic<Int>

      /// Nil without the variable.
      init?() {
        guard let text = unsafe getenv("NOVATE_FAULT").map({ unsafe String(cString: $0) }) else {
          return nil
        }
        let parts = text.split(separator: "@")
        guard parts.count == 2, let count = Int(parts[1]), count > 0 else { return nil }
        name = String(parts[0])
        left = Atomic(count)
      }

      func reach(_ name: StaticString) {
        guard self.name == name.description else { return }
        if left.subtract(1, ordering: .relaxed).newValue == 0 {
          kill(getpid(), SIGKILL)
          // The signal is on its way; nothing may happen meanwhile.
          while true { pause() }
        }
      }
    }
  #endif
}
