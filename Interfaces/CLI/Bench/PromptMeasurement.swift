import Glibc

/// The thread that takes the times of answers, put before the layers it measures.
///
/// A client has a machine of its own. Here it shares the processors with the three layers, and an
/// answer that lay ready until a processor was free for its reader would count as late.
enum PromptMeasurement {
  /// Runs `body` in real-time scheduling (`SCHED_RR` at the lowest priority), where the system
  /// allows it, and returns to the ordinary one. What the thread starts meanwhile does not inherit
  /// it.
  static func run<Result>(_ body: () throws -> Result) rethrows -> Result {
    // Glibc's header has it as a macro that Swift does not see.
    let resetOnFork: Int32 = 0x4000_0000
    var parameter = sched_param()
    parameter.sched_priority = sched_get_priority_min(SCHED_RR)
    let isPrompt = unsafe sched_setscheduler(0, SCHED_RR | resetOnFork, &parameter) == 0
    defer {
      parameter.sched_priority = 0
      if isPrompt { _ = unsafe sched_setscheduler(0, SCHED_OTHER | resetOnFork, &parameter) }
    }
    return try body()
  }
}
