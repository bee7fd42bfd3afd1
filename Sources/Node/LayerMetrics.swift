/// What every layer shows its operator, beside what is its own. Durations are microseconds.
public struct LayerMetrics: Sendable {
  public let registry: Metrics
  /// The newest batch that is durable here.
  public let batch: Metrics.Gauge
  public let batches: Metrics.Counter
  /// One transaction and one highwater mark, whatever gathered.
  public let commit: Metrics.Histogram
  public let commitGroup: Metrics.Histogram

  public init() {
    registry = Metrics()
    batch = registry.gauge("novate_batch", "Newest durable batch.")
    batches = registry.counter("novate_batches_total", "Batches made durable.")
    commit = registry.histogram(
      "novate_commit_microseconds", "Database transaction and highwater mark, together.")
    commitGroup = registry.histogram(
      "novate_commit_batches", "Batches that shared a transaction.")
  }

  /// Counts a group that became durable.
  func committed(_ count: Int, through batch: UInt64, since start: UInt64) {
    self.batch.set(Int64(clamping: batch))
    batches.add(UInt64(count))
    commit.record(Int((Clock.monotonicNanoseconds &- start) / 1_000))
    commitGroup.record(count)
  }
}
