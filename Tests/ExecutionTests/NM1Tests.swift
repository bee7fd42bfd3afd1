import Instruments
import Primitives
import TestSupport
import Testing
import Wire
import Workloads

import class Foundation.ProcessInfo

@testable import Execution

@Suite("Workload NM-1") struct NM1Tests {
  static let lengths = NM1.expected.filter { $0.count <= 100_000 }

  @Test("the generator gives the published stream", arguments: lengths.map(\.count))
  func stream(count: Int) throws {
    let expected = try #require(NM1.expected.first { $0.count == count })
    let stream = NM1(count: count)
    #expect(stream.operations.count { $0.kind == 0 } == expected.new)
    #expect(stream.operations.count { $0.kind == 1 } == expected.cancel)
    #expect(stream.operations.count { $0.kind == 2 } == expected.immediate)
    #expect(stream.trades.count == expected.trades)
    #expect(stream.trades.reduce(0) { $0 + UInt64($1.quantity) } == expected.volume)
    #expect(stream.liveMax == expected.liveMax && stream.liveEnd == expected.liveEnd)
    #expect(NM1.fold(stream.trades) == expected.fold)
    #expect(stream.streamDigest.description == expected.stream)
    #expect(NM1.digest(stream.trades).description == expected.tradesDigest)
  }

  @Test("the machine makes exactly the published trades", arguments: lengths.map(\.count))
  func machine(count: Int) throws {
    let expected = try #require(NM1.expected.first { $0.count == count })
    let stream = NM1(count: count)
    var replay = try NM1Replay(accounts: 2, bySide: true)
    var trades: [NM1.Trade] = []
    for operation in stream.operations { replay.apply(operation, &trades) }
    let rejections = replay.rejections
    #expect(rejections == 0)
    let isSame = trades == stream.trades
    #expect(isSame)
    #expect(NM1.fold(trades) == expected.fold)
    #expect(NM1.digest(trades).description == expected.tradesDigest)
    let (open, fault) = (replay.machine.openOrderCount, replay.machine.selfCheck())
    #expect(open == expected.liveEnd && fault == nil)
  }
}

/// NM-1 through the machine below the door: orders belong to the account of their side, or of
/// their id mod n; a cancel to the owner of its order; the client id carries the workload's id.
struct NM1Replay: ~Copyable {
  var machine: ExecutionMachine
  private let accounts: UInt64
  private let isBySide: Bool
  private var eventsSeen: Int
  private var batch: Int64
  private(set) var rejections: Int
  /// The workload's id of each order id.
  private var ids: [UInt64]

  static func genesis(accounts: Int) -> Genesis {
    var constants = Constants()
    constants.openOrdersPerAccountMax = 65_536
    constants.grantAgeMax = 1_000_000_000
    constants.runAheadMax = 4_096
    constants.activationNotice = 4_097
    let perpetual = Instrument(
      id: InstrumentID(0), underlying: UnderlyingID(0), kind: .perpetual, tick: Price(raw: 1_000),
      lot: Quantity(raw: 1_000), orderQuantityMax: Quantity(raw: 1_000_000_000_000),
      priceMax: Price(raw: 4_000_000_000))
    return TestWorld.genesis(clients: accounts, instruments: [perpetual], constants: constants)
  }

  init(accounts: Int, bySide: Bool) throws {
    let genesis = NM1Replay.genesis(accounts: accounts)
    var machine = ExecutionMachine(genesis: genesis)
    var clearing = FakeClearing(genesis: genesis)
    try machine.openBatch(time: TestWorld.start, adopting: [])
    let (header, body) = machine.closeBatch()
    machine.seal()
    for client in 0..<accounts {
      clearing.credit(AccountID(UInt32(TestWorld.firstClient + client)), 9_000_000_000_000_000)
    }
    let clearance = try clearing.clear(header, body) {
      $0.indices.append(
        IndexEntry(
          underlying: UnderlyingID(0), price: Price(raw: 1_000_000_000), time: TestWorld.start))
    }
    try machine.openBatch(time: TestWorld.start, adopting: [clearance])
    self.accounts = UInt64(accounts)
    isBySide = bySide
    (eventsSeen, batch, rejections, ids) = (0, 0, 0, [0])
    self.machine = machine
  }

  private func owner(_ operation: NM1.Operation) -> AccountID {
    AccountID(
      UInt32(TestWorld.firstClient)
        + (isBySide ? UInt32(operation.side) : UInt32(operation.id % accounts)))
  }

  /// One operation; a batch of at most 2 000 events closes by itself.
  mutating func apply(_ operation: NM1.Operation, _ trades: inout [NM1.Trade]) {
    if machine.events.count > 2_000 { closeBatch() }
    let account = owner(operation)
    let outcome: Outcome
    if operation.kind == 1 {
      outcome = machine.cancel(
        ActionRecord(kindCode: ActionKind.cancel.rawValue, a: 1, z: operation.id),
        account: account)
    } else {
      outcome = machine.placeOrder(
        ActionRecord(
          kindCode: ActionKind.place.rawValue, a: operation.side,
          b: operation.kind == 2 ? TimeInForce.ioc.rawValue : TimeInForce.gtc.rawValue,
          x: operation.price * 1_000, y: Int64(operation.quantity) * 1_000, z: operation.id),
        account: account)
      if outcome.order.number == UInt64(ids.count) { ids.append(operation.id) }
    }
    if outcome.status == .rejected { rejections += 1 }
    while eventsSeen < machine.events.count {
      let fill = machine.events.record(eventsSeen, as: Fill.self)
      trades.append(
        NM1.Trade(
          maker: ids[Int(fill.makerOrder.number)], taker: ids[Int(fill.takerOrder.number)],
          price: fill.price.raw / 1_000, quantity: UInt32(fill.quantity.raw / 1_000)))
      eventsSeen += 1
    }
  }

  mutating func closeBatch() {
    _ = machine.closeBatch()
    machine.seal()
    eventsSeen = 0
    batch += 1
    do {
      try machine.openBatch(time: Timestamp(raw: TestWorld.start.raw + batch), adopting: [])
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

@Suite("Speed", .enabled(if: isMeasuring), .serialized) struct SpeedTests {
  @Test(
    "NM-1 through the machine",
    arguments: [(2, true), (64, false), (1_024, false)] as [(Int, Bool)])
  func matching(accounts: Int, bySide: Bool) throws {
    let stream = NM1(count: 1_000_000)
    var times: [Double] = []
    for _ in 0..<3 {
      var replay = try NM1Replay(accounts: accounts, bySide: bySide)
      var trades: [NM1.Trade] = []
      trades.reserveCapacity(stream.trades.count)
      let start = threadSeconds()
      for operation in stream.operations { replay.apply(operation, &trades) }
      times.append((threadSeconds() - start) * 1_000)
      if bySide { #expect(NM1.fold(trades) == NM1.expected[3].fold) }
    }
    print("NM-1, \(accounts) accounts, by side \(bySide): ns an operation (CPU): \(times)")
  }
}

/// Set `NOVATE_MEASURE` to run measurements.
let isMeasuring = ProcessInfo.processInfo.environment["NOVATE_MEASURE"] != nil
