/// Threads that take jobs in arrays from one bounded queue.
///
/// Small arrays are taken together and large ones cut, so that the threads share what waits evenly
/// and a job never travels alone while others wait beside it.
public final class WorkerPool<Job: Sendable>: @unchecked Sendable {
  // Sound to share: every field that changes is read and written under a monitor.
  private let work = Monitor()
  private let room = Monitor()
  private var queue: [ArraySlice<Job>] = []
  private var head = 0
  private var waiting = 0
  private var ticket = 0
  private var sleepers = 0
  private var blocked = 0
  private var isShut = false
  private var threads: [NamedThread] = []
  private let threadCount: Int
  private let capacity: Int
  private let chunk: Int

  /// Starts the threads.
  /// - Parameters:
  ///   - threads: how many, at least one.
  ///   - capacity: jobs that may wait before `submit` does.
  ///   - chunk: the most jobs a thread takes at once.
  ///   - ready: called by a thread before it takes jobs; may wait.
  ///   - body: called with a chunk and its number; numbers count from 0 in order of submission.
  public init(
    _ name: String, threads count: Int, capacity: Int = 65_536, chunk: Int = 64,
    priority: ThreadPriority = .normal, ready: @escaping @Sendable () -> Void = {},
    body: @escaping @Sendable (_ ticket: Int, _ jobs: [Job]) -> Void
  ) {
    precondition(count > 0 && capacity > 0 && chunk > 0)
    threadCount = count
    self.capacity = capacity
    self.chunk = chunk
    threads = (0..<count).map { index in
      NamedThread("\(name)-\(index)", priority: priority) { [self] in
        var standing = Promptness.Standing()
        while true {
          ready()
          guard let (ticket, jobs) = take() else { return }
          if priority == .prompt { standing.mind(isBehind: isBehind) }
          body(ticket, jobs)
        }
      }
    }
  }

  /// Whether more jobs wait than the threads are about to take.
  public var isBehind: Bool { count >= 4 * threadCount }

  /// Jobs not yet taken.
  public var count: Int { work.locked { waiting } }

  /// Adds jobs behind all others; waits while the queue is full.
  /// - Returns: false when the pool is closed and the jobs dropped.
  @discardableResult public func submit(_ jobs: [Job]) -> Bool {
    if jobs.isEmpty { return true }
    room.lock()
    while true {
      work.lock()
      if isShut {
        work.unlock()
        room.unlock()
        return false
      }
      if waiting < capacity { break }
      blocked += 1
      work.unlock()
      room.wait()
      work.locked { blocked -= 1 }
    }
    room.unlock()
    add(jobs)
    return true
  }

  /// Adds jobs if the queue has room for any; never waits.
  /// - Returns: false when it is full or closed, and nothing was added.
  public func trySubmit(_ jobs: [Job]) -> Bool {
    if jobs.isEmpty { return true }
    work.lock()
    guard waiting < capacity && !isShut else {
      work.unlock()
      return false
    }
    add(jobs)
    return true
  }

  /// Appends under the lock, unlocks, and wakes as many threads as have something to do.
  private func add(_ jobs: [Job]) {
    queue.append(jobs[...])
    waiting += jobs.count
    // A job is worth more than a wakeup: two that come together are done side by side.
    let needed = min(sleepers, waiting)
    work.unlock()
    for _ in 0..<needed { work.signal() }
  }

  private func take() -> (ticket: Int, jobs: [Job])? {
    work.lock()
    while waiting == 0 {
      if isShut {
        work.unlock()
        return nil
      }
      sleepers += 1
      work.wait()
      sleepers -= 1
    }
    let jobs = cut(min(chunk, max(1, (waiting + threadCount - 1) / threadCount)))
    let number = ticket
    ticket += 1
    let isAnyoneBlocked = blocked > 0 && waiting < capacity
    work.unlock()
    if isAnyoneBlocked { room.locked { room.broadcast() } }
    return (number, jobs)
  }

  /// The first `count` jobs of the queue.
  private func cut(_ count: Int) -> [Job] {
    waiting -= count
    var jobs: [Job] = []
    jobs.reserveCapacity(count)
    while jobs.count < count {
      let needed = count - jobs.count
      if queue[head].count <= needed {
        jobs.append(contentsOf: queue[head])
        queue[head] = []
        head += 1
      } else {
        jobs.append(contentsOf: queue[head].prefix(needed))
        queue[head].removeFirst(needed)
      }
    }
    if head == queue.count {
      queue.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 1024 && head * 2 > queue.count {
      queue.removeFirst(head)
      head = 0
    }
    return jobs
  }

  /// Refuses further jobs, lets the threads finish what waits, and joins them.
  public func close() {
    work.locked {
      isShut = true
      work.broadcast()
    }
    room.locked { room.broadcast() }
    for thread in threads where !thread.isCurrent { thread.join() }
  }
}
