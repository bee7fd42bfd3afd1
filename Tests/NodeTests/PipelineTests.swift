import Glibc
import Node
import Primitives
import Synchronization
import Testing

@Suite("Threads and queues") struct PipelineTests {
  @Test("results come in the order of submission, whatever each takes", arguments: [1, 2, 3, 4])
  func order(seed: UInt64) {
    let found = Mutex<[Int]>([])
    let pipeline = OrderedPipeline<Int, Int>(
      "test", workers: 4, capacity: 512, chunk: 1 + Int(seed) * 5,
      transform: { item in
        var random = Seeded(state: seed &* 1_000_003 &+ UInt64(item))
        if random.below(50) == 0 { usleep(UInt32(random.below(500))) }
        return item * 2
      },
      consume: { results in found.withLock { $0 += results } })
    var random = Seeded(state: seed)
    var next = 0
    while next < 20_000 {
      let count = random.below(random.below(3) == 0 ? 900 : 20)
      pipeline.submit(Array(next..<(next + count)))
      next += count
    }
    pipeline.close()
    #expect(found.withLock { $0 } == (0..<next).map { $0 * 2 }, "seed \(seed)")
    #expect(!pipeline.submit([1]))
  }

  @Test("a full pipeline refuses, and holds its submitter back") func bounded() {
    let gate = Mutex(false)
    let pipeline = OrderedPipeline<Int, Int>(
      "test", workers: 1, capacity: 100, chunk: 10,
      transform: { item in
        while !gate.withLock({ $0 }) { usleep(200) }
        return item
      }, consume: { _ in })
    var accepted = 0
    for _ in 0..<2 {
      while pipeline.trySubmit(Array(0..<10)) && accepted < 1_000 { accepted += 10 }
      // The worker takes its first chunk, and there is room once more.
      usleep(50_000)
    }
    #expect((100...120).contains(accepted))
    let isThrough = Atomic(false)
    let submitter = NamedThread("submitter") {
      pipeline.submit([1])
      isThrough.store(true, ordering: .relaxed)
    }
    usleep(20_000)
    let wasThrough = isThrough.load(ordering: .relaxed)
    #expect(!wasThrough)
    gate.withLock { $0 = true }
    submitter.join()
    pipeline.close()
  }

  @Test("a consumer that stands still holds the workers back") func slowConsumer() {
    let done = Atomic(0)
    let box = MailBox<Int>(capacity: 50)
    let pipeline = OrderedPipeline<Int, Int>("test", workers: 2, chunk: 10, output: box) { item in
      done.add(1, ordering: .relaxed)
      return item
    }
    pipeline.submit(Array(0..<10_000))
    usleep(50_000)
    let doneCount = done.load(ordering: .relaxed)
    // The box, what both workers hold, and what waits for a worker that is behind.
    #expect(doneCount <= 50 + 40 + OrderedPipeline<Int, Int>.aheadMax * 10)
    var found: [Int] = []
    while found.count < 10_000 { found += box.takeAll() }
    #expect(found == Array(0..<10_000))
    pipeline.close()
  }

  @Test("small submissions travel together") func gathering() {
    let sizes = Mutex<[Int]>([])
    let pool = WorkerPool<Int>("test", threads: 1, chunk: 64) { _, jobs in
      sizes.withLock { $0.append(jobs.count) }
      usleep(2_000)
    }
    for item in 0..<640 { pool.submit([item]) }
    pool.close()
    #expect(sizes.withLock { $0.reduce(0, +) } == 640)
    #expect(sizes.withLock { $0.count } < 40)
  }

  @Test("an idle pool works too") func idlePriority() {
    let found = Mutex<[Int]>([])
    let pipeline = OrderedPipeline<Int, Int>(
      "idle", workers: 2, priority: .idle, transform: { $0 + 1 },
      consume: { results in found.withLock { $0 += results } })
    pipeline.submit(Array(0..<1_000))
    pipeline.close()
    #expect(found.withLock { $0 } == Array(1...1_000))
  }

  @Test("a mail box loses nothing and keeps each sender's order") func mailBox() {
    let box = MailBox<(Int, Int)>()
    let senders = (0..<4).map { sender in
      NamedThread("sender-\(sender)") {
        for index in 0..<5_000 {
          if index % 2 == 0 {
            box.put((sender, index))
          } else {
            box.put(contentsOf: [(sender, index)])
          }
        }
      }
    }
    var next = [0, 0, 0, 0]
    var count = 0
    while count < 20_000 {
      for (sender, index) in box.takeAll() {
        #expect(index == next[sender])
        next[sender] += 1
        count += 1
      }
    }
    for sender in senders { sender.join() }
    #expect(box.count == 0)
  }

  @Test("taking mail waits until its deadline and no longer") func deadline() {
    let box = MailBox<Int>()
    let start = Clock.monotonicNanoseconds
    #expect(box.takeAll(until: start + 30_000_000).isEmpty)
    let waited = Clock.monotonicNanoseconds - start
    #expect(waited >= 30_000_000 && waited < 2_000_000_000)
    #expect(box.takeAll(until: 0).isEmpty)
    box.put(contentsOf: [])
    box.put(1)
    #expect(box.takeAll(until: 0) == [1])
  }

  @Test("closing wakes the reader and keeps what was put before") func closing() {
    let box = MailBox<Int>()
    box.put(1)
    let closer = NamedThread("closer") {
      usleep(20_000)
      box.close()
    }
    #expect(box.takeAll() == [1])
    #expect(box.takeAll().isEmpty)
    #expect(box.isClosed)
    #expect(!box.put(2))
    closer.join()
  }
}
