public import Logging
import Primitives
import Storage

/// Makes batches durable, gathered ones in one transaction; then raises the highwater mark; only
/// then calls `publish`, which signs and sends.
public final class CommitThread<Job: Sendable>: @unchecked Sendable {
  // Sound to share: the thread alone touches what it owns; the box is thread-safe.
  public let box: MailBox<Job>
  private let keeper: StateKeeper
  private let degraded: DegradedFlag
  private let log: Logger
  private let metrics: LayerMetrics
  private let durable: @Sendable (Job) -> DurableBatch
  private let publish: @Sendable (Job) -> Void
  private var thread: NamedThread?
  private var hasSigned: Bool

  public init(
    _ box: MailBox<Job>, keeper: StateKeeper, degraded: DegradedFlag, log: Logger,
    metrics: LayerMetrics, durable: @escaping @Sendable (Job) -> DurableBatch,
    publish: @escaping @Sendable (Job) -> Void
  ) {
    self.box = box
    self.keeper = keeper
    self.degraded = degraded
    self.log = log
    self.metrics = metrics
    self.durable = durable
    self.publish = publish
    hasSigned = false
    thread = NamedThread("commit") { [unowned self] in self.run() }
  }

  /// Commits what was put before, then ends.
  public func stop() {
    box.close()
    thread?.join()
  }

  private func run() {
    while true {
      var jobs = box.takeAll()
      if jobs.isEmpty { return }
      while !jobs.isEmpty {
        // The very first signature of a folder stands alone: highwater allows one commit before it.
        let count = hasSigned ? min(jobs.count, 64) : 1
        let group = Array(jobs.prefix(count))
        jobs.removeFirst(count)
        commit(group)
        hasSigned = true
        for job in group { publish(job) }
        Fault.reach("commit.published")
      }
    }
  }

  private func commit(_ group: [Job]) {
    let batches = group.map(durable)
    guard let last = batches.last else { return }
    while true {
      let start = Clock.monotonicNanoseconds
      do {
        Fault.reach("commit.before")
        try keeper.commit(batches)
        Fault.reach("commit.after")
        try keeper.permitSignature(last.batch, last.id)
        metrics.committed(batches.count, through: last.batch.raw, since: start)
        Fault.reach("commit.permitted")
        degraded.clear(.store, log)
        return
      } catch {
        guard case .diskFull = error else {
          log.critical("commit failed", metadata: ["error": "\(error)"])
          exitAfterFatal()
        }
        degraded.set(.store, error, log)
        sleepMilliseconds(500)
      }
    }
  }
}
