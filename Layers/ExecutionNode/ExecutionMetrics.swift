import Node

/// What execution shows its operator beside what every layer does.
struct ExecutionMetrics: Sendable {
  private let accepted: Metrics.Counter
  private let refused: Metrics.Counter
  private let sync: Metrics.Histogram
  private let group: Metrics.Histogram

  /// - Parameter waiting: letters the apply thread has not taken yet.
  init(_ registry: Metrics, waiting: @escaping @Sendable () -> Int) {
    let name = "novate_bundles_total"
    let help = "Bundles answered: in the log, or refused at the door."
    accepted = registry.counter(name, help, labels: [("answer", "accepted")])
    refused = registry.counter(name, help, labels: [("answer", "refused")])
    sync = registry.histogram(
      "novate_journal_microseconds", "Writing and syncing one group of the journal.")
    group = registry.histogram(
      "novate_journal_bundles", "Bundles that shared a sync and a signature.")
    registry.gauge("novate_apply_waiting", "Letters the apply thread has yet to take.") {
      Int64(waiting())
    }
  }

  /// Counts groups that became durable together.
  func synced(_ groups: [JournalGroup], since start: UInt64) {
    let count = groups.reduce(0) { $0 + $1.accepted.count }
    accepted.add(UInt64(count))
    refused.add(UInt64(groups.reduce(0) { $0 + $1.refused.count }))
    guard count > 0 else { return }
    sync.record(Int((Clock.monotonicNanoseconds &- start) / 1_000))
    group.record(count)
  }
}
