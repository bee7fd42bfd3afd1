import CReference
import Execution
import Glibc
import Primitives
import Wire
public import Workloads

/// Workload NM-1 through the production book and, in the same process, through the two calibrators of
/// the workload: a textbook's map and lists, and a ladder of prices that knows its window.
public enum MatchingBenchmark {
  /// One engine over the whole stream; medians of the runs.
  public struct Row: Sendable {
    public let name: String
    public let processorSeconds: Double
    public let wallSeconds: Double
    public let trades: Int
    public let fold: UInt64
  }

  /// Nanoseconds of one operation, from a run that reads the processor's counter around each.
  public struct Latency: Sendable {
    public let p50: Double
    public let p99: Double
    public let p999: Double
    public let max: Double
    /// What one reading costs; it is in the figures.
    public let clock: Double
  }

  public struct Figures: Sendable {
    public let textbook: Row
    public let ladder: Row
    public let book: Row
    public let latency: Latency
    /// At the peak: records, links and levels; the index by client id. None is by order id, which says
    /// itself where the order rests.
    public let bookBytes: Int
    public let clientIndexBytes: Int
    /// Old bytes of what a batch touched, and the events of one: the same whatever rests.
    public let batchBytes: Int
    public let liveMax: Int
    /// What the production book traded, in a run of its own.
    public let trades: [NM1.Trade]
  }

  /// Operations between two seals: what a batch of 20 ms holds at 100 000 orders a second.
  public static let batchSize = 2_048

  /// - Parameters:
  ///   - rounds: how often each engine runs; at least three for a median worth the name.
  ///   - progress: told what begins.
  public static func run(_ stream: NM1, rounds: Int, progress: (String) -> Void) -> Figures {
    precondition(MemoryLayout<NM1.Operation>.stride == MemoryLayout<reference_operation>.stride)
    var runs: [String: [Row]] = [:]
    let sent = sent(stream.operations)
    for round in 1...max(rounds, 1) {
      // In turn, so that a neighbour on the machine slows all of them alike.
      for engine in [textbook, ladder, { _ in book(sent) }] {
        let row = engine(stream)
        progress("round \(round): \(row.name)")
        runs[row.name, default: []].append(row)
      }
    }
    progress("each operation by itself")
    let latency = latency(sent)
    progress("trades")
    var desk = BookDesk()
    var trades: [NM1.Trade] = []
    trades.reserveCapacity(stream.trades.count)
    for operation in sent {
      desk.apply(operation) { fill in
        trades.append(
          NM1.Trade(
            maker: fill.makerOrder.number, taker: fill.takerOrder.number, price: fill.price.raw,
            quantity: UInt32(fill.quantity.raw)))
      }
    }
    let memory = desk.books.memory
    return Figures(
      textbook: median(runs["textbook"] ?? []), ladder: median(runs["ladder"] ?? []),
      book: median(runs["book"] ?? []), latency: latency, bookBytes: memory.book,
      clientIndexBytes: memory.clients,
      batchBytes: memory.undo + desk.events.memoryByteCount, liveMax: stream.liveMax,
      trades: trades)
  }

  private static func median(_ rows: [Row]) -> Row {
    let cpu = rows.map(\.processorSeconds).sorted()
    let wall = rows.map(\.wallSeconds).sorted()
    guard let first = rows.first else { preconditionFailure("every engine has run") }
    // A fold that differs in one run must not hide behind the others.
    let odd = rows.first { $0.fold != first.fold || $0.trades != first.trades }
    return Row(
      name: first.name, processorSeconds: cpu[cpu.count / 2], wallSeconds: wall[wall.count / 2],
      trades: (odd ?? first).trades, fold: odd == nil ? first.fold : ~first.fold)
  }

  // MARK: - Engines

  private static func timed(_ name: String, _ body: () -> (trades: UInt64, fold: UInt64)) -> Row {
    let (cpu, wall) = (seconds(CLOCK_THREAD_CPUTIME_ID), seconds(CLOCK_MONOTONIC))
    let result = body()
    return Row(
      name: name, processorSeconds: seconds(CLOCK_THREAD_CPUTIME_ID) - cpu,
      wallSeconds: seconds(CLOCK_MONOTONIC) - wall, trades: Int(result.trades), fold: result.fold)
  }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    precondition(unsafe clock_gettime(clock, &time) == 0, "the system has no such clock")
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func textbook(_ stream: NM1) -> Row {
    unsafe stream.operations.withUnsafeBytes { bytes in
      let operations = unsafe bytes.bindMemory(to: reference_operation.self)
      return timed("textbook") {
        let result = unsafe reference_textbook(operations.baseAddress, operations.count)
        return (result.trades, result.fold)
      }
    }
  }

  private static func ladder(_ stream: NM1) -> Row {
    // The window and the number of ids are the workload's; the ladder may know them.
    guard
      let ladder = unsafe reference_ladder_make(
        UInt64(stream.operations.count), 1_000_000 - 1 << 17)
    else { preconditionFailure("no memory for the ladder") }
    defer { unsafe reference_ladder_free(ladder) }
    return unsafe stream.operations.withUnsafeBytes { bytes in
      let operations = unsafe bytes.bindMemory(to: reference_operation.self)
      return timed("ladder") {
        let result = unsafe reference_ladder_run(
          ladder, operations.baseAddress, operations.count)
        return (result.trades, result.fold)
      }
    }
  }

  /// The operations as clients send them: a cancel names its order by the id that the book gave it, as
  /// found by a run that is not timed. A new order's number is the workload's.
  static func sent(_ operations: [NM1.Operation]) -> [NM1.Operation] {
    var desk = BookDesk()
    var sent = operations
    var ids = [UInt64](repeating: 0, count: operations.count + 1)
    for place in sent.indices {
      if sent[place].kind == 1 {
        sent[place].id = ids[Int(operations[place].id)]
      } else {
        ids[Int(operations[place].id)] = desk.books.id(number: operations[place].id).raw
      }
      desk.apply(sent[place]) { _ in }
    }
    return sent
  }

  private static func book(_ sent: [NM1.Operation]) -> Row {
    var desk = BookDesk()
    var fold = NM1.Fold()
    return timed("book") {
      var trades: UInt64 = 0
      for operation in sent {
        desk.apply(operation) { fill in
          trades += 1
          fold.add(
            maker: fill.makerOrder.number, taker: fill.takerOrder.number, price: fill.price.raw,
            quantity: UInt64(fill.quantity.raw))
        }
      }
      return (trades, fold.value)
    }
  }

  // MARK: - Each operation

  private static func latency(_ operations: [NM1.Operation]) -> Latency {
    // How long a tick is, and what reading one costs.
    let readings = 1_000_000
    let (wallStart, tickStart) = (seconds(CLOCK_MONOTONIC), reference_ticks())
    var last: UInt64 = 0
    for _ in 0..<readings { last = max(last, reference_ticks()) }
    let clockTicks = Double(last - tickStart) / Double(readings)
    while seconds(CLOCK_MONOTONIC) - wallStart < 0.05 {}
    let perTick =
      (seconds(CLOCK_MONOTONIC) - wallStart) * 1e9 / Double(reference_ticks() - tickStart)
    // One bin a tick up to 2^16; what takes longer is kept by itself.
    var bins = [UInt32](repeating: 0, count: 1 << 16)
    var long: [UInt64] = []
    var desk = BookDesk()
    var fold = NM1.Fold()
    for operation in operations {
      let start = reference_ticks()
      desk.apply(operation) { fill in
        fold.add(
          maker: fill.makerOrder.number, taker: fill.takerOrder.number, price: fill.price.raw,
          quantity: UInt64(fill.quantity.raw))
      }
      let ticks = reference_ticks() &- start
      if ticks < UInt64(bins.count) { bins[Int(ticks)] += 1 } else { long.append(ticks) }
    }
    precondition(fold.value != 0 || operations.count < 100, "operations trade")
    long.sort()
    func at(_ share: Double) -> Double {
      var left = Int(Double(operations.count) * share)
      for (ticks, count) in bins.enumerated() {
        left -= Int(count)
        if left < 0 { return Double(ticks) * perTick }
      }
      return long.isEmpty ? 0 : Double(long[min(left, long.count - 1)]) * perTick
    }
    return Latency(
      p50: at(0.5), p99: at(0.99), p999: at(0.999),
      max: long.last.map { Double($0) * perTick } ?? at(1 - 1e-12), clock: clockTicks * perTick)
  }
}

/// The production book with what surrounds it in a machine: events, batches, two accounts by side.
struct BookDesk: ~Copyable {
  var books = OrderBooks(indexKey: 0x6E6F_7661_7465_0001)
  var events = EventBuffer(capacity: 8_192)
  private var trade: UInt64 = 1
  private var inBatch = 0
  /// The order to come, of which only fields change.
  private var order = BookOrder(
    id: OrderID(1), clientID: 0, account: AccountID(0), instrument: InstrumentID(0), side: .buy,
    price: .zero, quantity: .zero, isImmediate: false)

  init() {
    books.addInstrument()
    // Numbers 1 and 2 trade, so that self-trade prevention is on and never fires.
    for _ in 0..<3 { books.addAccount() }
  }

  /// One operation, as `MatchingBenchmark.sent` gives it; `body` sees every fill as it stands in the event buffer.
  @inline(__always)
  mutating func apply(_ operation: NM1.Operation, _ body: (Fill) -> Void) {
    if inBatch == MatchingBenchmark.batchSize {
      books.seal()
      events.removeAll()
      inBatch = 0
    }
    inBatch += 1
    if operation.kind == 1 {
      precondition(books.cancel(OrderID(operation.id)), "NM-1 cancels what rests")
      return
    }
    let seen = events.count
    order.clientID = operation.id
    order.account = AccountID(UInt32(operation.side) + 1)
    order.side = operation.side == 0 ? .buy : .sell
    order.price = Price(raw: operation.price)
    order.quantity = Quantity(raw: Int64(operation.quantity))
    order.isImmediate = operation.kind == 2
    books.submit(&order, number: operation.id, trade: &trade, into: &events)
    for place in seen..<events.count { body(events.record(place, as: Fill.self)) }
  }
}
