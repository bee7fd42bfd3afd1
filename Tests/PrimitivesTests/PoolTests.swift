import Testing

@testable import Primitives

/// Two pools, as a machine has them.
private struct State: ~Copyable, PooledState {
  var cells = Pool<Cell>(capacity: 1)
  var coins = Pool<Coin>(capacity: 1)
  var pageRound = PageRound()

  mutating func visitPools<Visitor: PoolVisitor>(_ visitor: inout Visitor)
    throws(Visitor.Failure)
  {
    try visitor.visit(&cells)
    try visitor.visit(&coins)
  }
}

/// The same by plain arrays.
private struct Twin: Equatable {
  var cells: [Cell] = []
  var coins: [Coin] = []
}

/// Deltas and pages, as a store keeps them.
private struct Kept {
  var deltas: [[UInt8]] = []
  var pages: [[UInt32: (batch: UInt64, bytes: [UInt8])]] = [[:], [:]]
  var finished: FinishedRound?
  var (finishedCount, shares) = (0, 0)

  mutating func keep(_ state: inout State, _ delta: [UInt8]) {
    let batch = UInt64(deltas.count)
    deltas.append(delta)
    guard let share = state.pageShare(after: batch) else { return }
    shares += 1
    var rest = share.bytes[...]
    for page in share.pages {
      pages[Int(page.pool)][page.page] = (batch, Array(rest.prefix(page.byteCount)))
      rest = rest.dropFirst(page.byteCount)
    }
    guard let round = share.finished else { return }
    finished = round
    finishedCount += 1
  }

  /// Pages in order, packed, then the deltas since the round began.
  func load(_ state: inout State) throws {
    guard let finished else {
      for delta in deltas { try state.applyDelta(delta) }
      return
    }
    let stored = finished.shapes.enumerated().map { pool, shape in
      let found = pages[pool].sorted { $0.key < $1.key }
      let bytes = found.flatMap { $0.value.bytes }
      let ahead = PagesAhead(count: shape.count, batches: found.map { $0.value.batch })
      return (count: bytes.count / shape.recordByteCount, bytes: bytes, ahead: ahead)
    }
    try state.load(pools: stored.map { ($0.count, $0.bytes) })
    var ahead = stored.map(\.ahead)
    let furthest = ahead.compactMap { $0.batches.max() }.max() ?? 0
    for batch in Int(finished.batch) + 1..<deltas.count {
      if batch <= furthest {
        try state.applyDelta(deltas[batch], of: UInt64(batch), past: &ahead)
      } else {
        try state.applyDelta(deltas[batch])
      }
    }
  }
}

@Suite("Pools") struct PoolTests {
  private static func change(_ state: inout State, _ twin: inout Twin, _ generator: inout Generator)
  {
    for _ in 0..<generator.below(40) {
      let cell = Cell(a: generator.next(), b: 0, c: UInt32(generator.below(9)), d: 0)
      switch generator.below(5) {
      case 0:
        state.cells.append(cell)
        twin.cells.append(cell)
      case 1:
        let coin = Coin(value: UInt16(generator.below(65_536)))
        state.coins.append(coin)
        twin.coins.append(coin)
      case 2 where !twin.cells.isEmpty:
        let slot = generator.below(twin.cells.count)
        state.cells[slot] = cell
        twin.cells[slot] = cell
      case 3 where !twin.cells.isEmpty:
        let slot = generator.below(twin.cells.count)
        state.cells[slot].b += 1
        twin.cells[slot].b += 1
      case 4 where !twin.coins.isEmpty:
        let slot = generator.below(twin.coins.count)
        state.coins[slot].value &+= 1
        twin.coins[slot].value &+= 1
      default: break
      }
    }
  }

  private static func facts(_ state: borrowing State) -> Twin {
    Twin(
      cells: (0..<state.cells.count).map { state.cells[$0] },
      coins: (0..<state.coins.count).map { state.coins[$0] })
  }

  @Test(
    "deltas, roll-backs, snapshots and pages all give what plain arrays give",
    arguments: [41, 42, 43, 44] as [UInt64])
  func twins(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var state = State()
    var follower = State()
    var twin = Twin()
    var kept = Kept()
    for round in 0..<700 {
      let before = twin
      Self.change(&state, &twin, &generator)
      #expect(Self.facts(state) == twin, "seed \(seed), round \(round)")
      if generator.below(4) == 0 {
        state.rollback()
        twin = before
        #expect(Self.facts(state) == twin, "seed \(seed), round \(round): roll-back")
        continue
      }
      let delta = state.delta()
      state.seal()
      // Nothing is left open: an empty delta says counts alone.
      #expect(state.delta().count == 24)
      try follower.applyDelta(delta)
      #expect(Self.facts(follower) == twin, "seed \(seed), round \(round): delta")
      kept.keep(&state, delta)
      if generator.below(25) == 0 { try Self.check(&state, twin, kept, "seed \(seed)") }
    }
    // Several rounds ended, and most loads met pages that were ahead.
    #expect(kept.finishedCount > 3 && kept.shares > 20, "seed \(seed)")
  }

  private static func check(
    _ state: inout State, _ twin: Twin, _ kept: Kept, _ label: String
  ) throws {
    var copy = State()
    copy.cells.append(Cell(a: 1))
    try copy.load(snapshot: state.snapshot())
    #expect(facts(copy) == twin, "\(label): snapshot")
    #expect(copy.snapshot() == state.snapshot(), "\(label): snapshot again")
    var paged = State()
    // What stood there goes.
    if kept.finished != nil { for _ in 0..<9 { paged.coins.append(Coin(value: 3)) } }
    try kept.load(&paged)
    #expect(facts(paged) == twin, "\(label): pages")
    #expect(paged.snapshot() == state.snapshot(), "\(label): pages, snapshot")
  }

  @Test("a delta of another history is refused and changes nothing", arguments: [51] as [UInt64])
  func foreignDelta(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var state = State()
    var twin = Twin()
    for _ in 0..<3 { Self.change(&state, &twin, &generator) }
    state.seal()
    var other = State()
    try other.load(snapshot: state.snapshot())
    Self.change(&state, &twin, &generator)
    state.cells[0].a &+= 1
    state.coins[0].value &+= 1
    let delta = state.delta()
    for count in 0..<delta.count {
      let before = other.snapshot()
      #expect(throws: DecodingFailure.self) { try other.applyDelta(Array(delta.prefix(count))) }
      #expect(other.snapshot() == before, "seed \(seed), cut at \(count)")
    }
    #expect(throws: DecodingFailure.self) { try other.applyDelta(delta + [0]) }
    // The old bytes of the last pool differ: the first pool must not keep its part either.
    var strange = State()
    try strange.load(snapshot: other.snapshot())
    strange.coins[0].value &+= 7
    strange.seal()
    let before = strange.snapshot()
    #expect(throws: DecodingFailure.self) { try strange.applyDelta(delta) }
    #expect(strange.snapshot() == before)
    try other.applyDelta(delta)
    #expect(other.snapshot() == state.snapshot())
  }

  @Test("a delta's counts take no memory its bytes do not stand for")
  func hugeCounts() {
    var out = ByteWriter()
    out.write(UInt32(0))
    out.write(UInt32.max)
    out.write(UInt32.max)
    var state = State()
    #expect(throws: DecodingFailure.self) { try state.applyDelta(out.bytes) }
    var short = ByteWriter()
    short.write(UInt32.max)
    #expect(throws: DecodingFailure.self) { try state.load(snapshot: short.bytes) }
    #expect(state.cells.count == 0)
  }

  @Test("pages of another number of pools, or missing ones, are refused")
  func strangePages() throws {
    var state = State()
    for _ in 0..<400 { state.cells.append(Cell(a: 9)) }
    state.seal()
    #expect(Pool<Cell>.slotsPerPage == 168 && Pool<Coin>.slotsPerPage == 2020)
    let record = [UInt8](repeating: 0, count: Pool<Cell>.recordByteCount)
    #expect(throws: DecodingFailure.self) { try state.load(pools: [(1, record)]) }
    #expect(throws: DecodingFailure.self) {
      try state.load(pools: [(1, record), (0, []), (0, [])])
    }
    #expect(throws: DecodingFailure.self) { try state.load(pools: [(1, []), (0, [])]) }
    #expect(throws: DecodingFailure.self) { try state.load(pools: [(1, record + [0]), (0, [])]) }
  }

  @Test("a slot beyond the count stops the process")
  func outOfRange() async {
    await #expect(processExitsWith: .failure) {
      let pool = Pool<Cell>()
      _ = pool[0]
    }
    await #expect(processExitsWith: .failure) {
      var pool = Pool<Cell>()
      pool.append(Cell())
      pool[1].a = 1
    }
  }

  @Test("first touches come in order, with what stood before the batch")
  func touches() {
    var pool = Pool<Cell>()
    for value in 0..<4 { pool.append(Cell(a: UInt64(value))) }
    pool.seal()
    pool[2].a = 20
    pool[0].a = 10
    pool[2].a = 30
    #expect(pool.touchedCount == 2)
    #expect(pool.touchedSlot(0) == 2 && pool.touchedOld(0).a == 2)
    #expect(pool.touchedSlot(1) == 0 && pool.touchedOld(1).a == 0)
    #expect(MemoryLayout<Cell>.size == MemoryLayout<Cell>.stride)
  }
}
