/// Work done by many threads and handed on strictly in the order of its submission: the core of the
/// sequencer, where signatures are checked side by side and applied one after another.
///
/// No thread of its own stands between: the worker that finishes the oldest open chunk hands on all
/// that is ready, as one array.
public final class OrderedPipeline<Input: Sendable, Output: Sendable>: @unchecked Sendable {
  // Sound to share: `ready`, `base` and `done` are read and written under the monitor, the rest is
  // written in `init` alone.
  private let pool: WorkerPool<Input>
  private let reorder: Reorder
  private let box: MailBox<Output>?
  private var consumer: NamedThread?

  /// Finished chunks that may wait for an older one; a worker further ahead waits itself.
  public static var aheadMax: Int { 64 }

  /// Chunks that wait for an older one.
  private final class Reorder: @unchecked Sendable {
    private let monitor = Monitor()
    private var base = 0
    private var done: [[Output]?] = []

    /// Keeps a chunk and hands on, in order, what no older chunk holds back.
    /// - Parameter deliver: called under the lock, which is what keeps two deliveries in order.
    func finish(_ ticket: Int, _ outputs: [Output], deliver: ([Output]) -> Void) {
      monitor.lock()
      defer { monitor.unlock() }
      // The worker with the oldest chunk never waits here, so the others wait for work, not for ever.
      while ticket - base > OrderedPipeline.aheadMax { monitor.wait() }
      guard ticket == base else {
        let place = ticket - base
        while done.count <= place { done.append(nil) }
        done[place] = outputs
        return
      }
      var gathered = outputs
      var count = 1
      while count < done.count, let next = done[count] {
        gathered.append(contentsOf: next)
        count += 1
      }
      done.removeFirst(min(count, done.count))
      base += count
      monitor.broadcast()
      deliver(gathered)
    }
  }

  /// Hands results to `output`, beside whatever else is put there. Workers take nothing new while
  /// it is full.
  public init(
    _ name: String, workers: Int, capacity: Int = 65_536, chunk: Int = 64,
    priority: ThreadPriority = .normal, output: MailBox<Output>,
    transform: @escaping @Sendable (Input) -> Output
  ) {
    let reorder = Reorder()
    self.reorder = reorder
    box = nil
    pool = OrderedPipeline.pool(
      name, workers, capacity, chunk, priority, reorder, transform,
      ready: { output.waitForRoom() }, deliver: { output.put(contentsOf: $0) })
  }

  /// Hands results to `deliver`, called on worker threads, one call at a time; it must be short.
  public init(
    _ name: String, workers: Int, capacity: Int = 65_536, chunk: Int = 64,
    priority: ThreadPriority = .normal, ready: @escaping @Sendable () -> Void = {},
    transform: @escaping @Sendable (Input) -> Output,
    deliver: @escaping @Sendable ([Output]) -> Void
  ) {
    let reorder = Reorder()
    self.reorder = reorder
    box = nil
    pool = OrderedPipeline.pool(
      name, workers, capacity, chunk, priority, reorder, transform, ready: ready, deliver: deliver)
  }

  /// Hands results to `consume` on one thread made for it, in arrays as large as have gathered.
  public init(
    _ name: String, workers: Int, capacity: Int = 65_536, chunk: Int = 64,
    priority: ThreadPriority = .normal, transform: @escaping @Sendable (Input) -> Output,
    consume: @escaping @Sendable ([Output]) -> Void
  ) {
    let reorder = Reorder()
    self.reorder = reorder
    let box = MailBox<Output>(capacity: capacity)
    self.box = box
    pool = OrderedPipeline.pool(
      name, workers, capacity, chunk, priority, reorder, transform,
      ready: { box.waitForRoom() }, deliver: { box.put(contentsOf: $0) })
    consumer = NamedThread("\(name)-out") {
      while true {
        let results = box.takeAll()
        if results.isEmpty { return }
        consume(results)
      }
    }
  }

  private static func pool(
    _ name: String, _ workers: Int, _ capacity: Int, _ chunk: Int, _ priority: ThreadPriority,
    _ reorder: Reorder, _ transform: @escaping @Sendable (Input) -> Output,
    ready: @escaping @Sendable () -> Void, deliver: @escaping @Sendable ([Output]) -> Void
  ) -> WorkerPool<Input> {
    WorkerPool(
      name, threads: workers, capacity: capacity, chunk: chunk, priority: priority, ready: ready
    ) { ticket, inputs in
      reorder.finish(ticket, inputs.map(transform), deliver: deliver)
    }
  }

  /// Whether more inputs wait than the workers are about to take.
  public var isBehind: Bool { pool.isBehind }

  /// Inputs no worker has taken.
  public var count: Int { pool.count }

  /// Adds inputs behind all others; waits while the queue is full.
  /// - Returns: false when the pipeline is closed and the inputs dropped.
  @discardableResult public func submit(_ inputs: [Input]) -> Bool { pool.submit(inputs) }

  /// Adds inputs if there is room; never waits.
  /// - Returns: false when the queue is full or closed, and nothing was added.
  public func trySubmit(_ inputs: [Input]) -> Bool { pool.trySubmit(inputs) }

  /// Refuses further inputs, finishes and hands on what was submitted, then stops its threads.
  public func close() {
    pool.close()
    box?.close()
    if let consumer, !consumer.isCurrent { consumer.join() }
  }
}
