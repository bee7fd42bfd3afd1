import Client
import Commitments
import Glibc
import Primitives
import Wire

/// A signed bundle ready to be sent.
struct ReadyBundle {
  let bytes: [UInt8]
  let orderCount: Int
}

/// What one phase of a run gave.
struct PipelinePhase {
  var orderCount = 0
  var bundleCount = 0
  /// Outcomes that rejected an action, by code; and bundles that execution put off.
  var rejected: [UInt16: Int] = [:]
  var deferred = 0
  /// Seconds from the first order sent to the last acknowledged, and to the last settled.
  var acknowledgedSeconds = 0.0
  var settledSeconds = 0.0
  /// Seconds of each bundle from sending to its acknowledgement, and to its checkpoint.
  var acknowledgement: [Double] = []
  var settlement: [Double] = []

  /// Adds a part that came after.
  mutating func append(_ part: PipelinePhase) {
    orderCount += part.orderCount
    bundleCount += part.bundleCount
    rejected.merge(part.rejected, uniquingKeysWith: +)
    deferred += part.deferred
    acknowledgedSeconds += part.acknowledgedSeconds
    settledSeconds += part.settledSeconds
    acknowledgement += part.acknowledgement
    settlement += part.settlement
  }
}

/// Sends bundles and hears of their acknowledgements and checkpoints, in one thread.
final class PipelineDriver {
  private let network: PipelineNetwork
  private let execution: BlockingConnection
  private let settlement: BlockingConnection
  /// Sent bundles by request, and when.
  private var requests: [UInt64: (first: Int, count: Int, time: Int64)] = [:]
  private var tickRequests: Set<UInt64> = []
  /// When settlement signed each batch, as heard here.
  private var checkpointTimes: [Int64] = []
  private var nextTick: Int64
  private var answerCount = 0
  /// Takes the unit of a phase at full rate; at half rate it would hold answers up.
  private var meter: BenchCalibration.Meter?

  init(_ network: PipelineNetwork) throws {
    self.network = network
    execution = network.execution.connection
    settlement = network.settlement.connection
    nextTick = SystemClock.monotonicNanoseconds + 1_000_000_000
    try settlement.send(
      type: MessageType.follow,
      body: FollowMessage(.checkpoints, from: BatchNumber(0)).encoded)
    try settlement.flush()
  }

  /// Nanoseconds between two sendings of a paced phase.
  private static let quantum: Int64 = 500_000

  /// How a phase offers its bundles.
  enum Pace {
    /// As many under way as this, packed into requests of so many.
    case window(bundles: Int, request: Int)
    /// So many bundles a second, each a request.
    case rate(Double)
  }

  /// Sends all bundles and waits until the last one is settled.
  func run(
    _ bundles: [ReadyBundle], _ pace: Pace, meter: BenchCalibration.Meter? = nil
  ) throws -> PipelinePhase {
    self.meter = meter
    var phase = PipelinePhase()
    var open = Work(bundles.count)
    let start = SystemClock.monotonicNanoseconds
    phase.bundleCount = bundles.count
    phase.orderCount = bundles.reduce(0) { $0 + $1.orderCount }
    while open.answered < bundles.count {
      let now = SystemClock.monotonicNanoseconds
      meter?.sample(now)
      try tickIfDue(now)
      try send(bundles, pace, since: start, now, &open)
      try wait(until: due(pace, open, since: start))
      try hear(&phase, &open)
    }
    let answered = SystemClock.monotonicNanoseconds
    phase.acknowledgedSeconds = Double(answered - start) / 1e9
    let last = open.batches.max() ?? 0
    while checkpointTimes.count <= Int(last) {
      let now = SystemClock.monotonicNanoseconds
      meter?.sample(now)
      try tickIfDue(now)
      try wait(until: nextTick)
      try hear(&phase, &open)
      guard SystemClock.monotonicNanoseconds - answered < 120_000_000_000 else {
        throw CommandFailure("settlement did not reach batch \(last) within 120 s")
      }
    }
    phase.settledSeconds = Double(checkpointTimes[Int(last)] - start) / 1e9
    phase.settlement = zip(open.batches, open.times).map {
      Double(checkpointTimes[Int($0)] - $1) / 1e9
    }
    return phase
  }

  /// A phase's bundles on their way.
  private struct Work {
    /// The next never sent.
    var next = 0
    /// Put off by execution, to be sent again, and not before when.
    var again: [Int] = []
    var pause: Int64 = 0
    var underWay = 0
    /// When a paced phase last sent.
    var sentAt: Int64 = 0
    var answered = 0
    var times: [Int64]
    var batches: [UInt64]

    init(_ count: Int) {
      times = Array(repeating: 0, count: count)
      batches = Array(repeating: 0, count: count)
    }
  }

  // MARK: - Sending

  private func tickIfDue(_ now: Int64) throws {
    guard now >= nextTick else { return }
    nextTick += 1_000_000_000
    let id = try execution.send(
      type: MessageType.submit, body: SubmitMessage(bundles: network.tick()).encoded)
    tickRequests.insert(id)
  }

  private func send(
    _ bundles: [ReadyBundle], _ pace: Pace, since start: Int64, _ now: Int64, _ open: inout Work
  ) throws {
    if !open.again.isEmpty, now >= open.pause {
      let places = open.again.sorted()
      open.again = []
      for place in places { try send(bundles, place, 1, now, &open) }
    }
    switch pace {
    case .window(let window, let request):
      while open.next < bundles.count, open.underWay + request <= window, open.again.isEmpty {
        let count = min(request, bundles.count - open.next)
        try send(bundles, open.next, count, SystemClock.monotonicNanoseconds, &open)
        open.next += count
      }
    case .rate(let rate):
      guard now >= open.sentAt + PipelineDriver.quantum else { return }
      let wanted = min(bundles.count, Int(Double(now - start) / 1e9 * rate) + 1)
      if open.next < wanted { open.sentAt = now }
      while open.next < wanted {
        try send(bundles, open.next, 1, now, &open)
        open.next += 1
      }
    }
  }

  private func send(
    _ bundles: [ReadyBundle], _ first: Int, _ count: Int, _ now: Int64, _ open: inout Work
  ) throws {
    let message = SubmitMessage(bundles: bundles[first..<(first + count)].map(\.bytes))
    let id = try execution.send(type: MessageType.submit, body: message.encoded)
    requests[id] = (first, count, now)
    for place in first..<(first + count) where open.times[place] == 0 { open.times[place] = now }
    open.underWay += count
  }

  /// When there is something to do even if nobody says anything.
  private func due(_ pace: Pace, _ open: Work, since start: Int64) -> Int64 {
    var moment = nextTick
    if !open.again.isEmpty { moment = min(moment, open.pause) }
    if case .rate(let rate) = pace, open.next < open.times.count {
      // What falls due within a quantum leaves together, as from a gateway.
      let next = start + Int64(Double(open.next) / rate * 1e9)
      moment = min(moment, max(next, open.sentAt + PipelineDriver.quantum))
    }
    return moment
  }

  // MARK: - Hearing

  /// Sends what has gathered, then waits for something to come, for room, or for the moment.
  private func wait(until moment: Int64) throws {
    try execution.push()
    // `poll` counts in milliseconds, too coarse for the pace.
    var (readable, writable) = (fd_set(), fd_set())
    set(execution.descriptor, in: &readable)
    set(settlement.descriptor, in: &readable)
    if execution.hasUnsent { set(execution.descriptor, in: &writable) }
    let rest = max(0, moment - SystemClock.monotonicNanoseconds)
    var time = timespec(tv_sec: Int(rest / 1_000_000_000), tv_nsec: Int(rest % 1_000_000_000))
    let highest = max(execution.descriptor, settlement.descriptor)
    let status = unsafe pselect(highest + 1, &readable, &writable, nil, &time, nil)
    guard status >= 0 || errno == EINTR else {
      throw CommandFailure("waiting failed with error \(errno)")
    }
    isExecutionReady = status > 0 && isSet(execution.descriptor, in: &readable)
    isSettlementReady = status > 0 && isSet(settlement.descriptor, in: &readable)
  }
  private var isExecutionReady = false
  private var isSettlementReady = false

  private func isSet(_ descriptor: Int32, in set: inout fd_set) -> Bool {
    unsafe withUnsafeMutableBytes(of: &set) {
      unsafe $0[Int(descriptor) / 8] >> (UInt8(descriptor) % 8) & 1 == 1
    }
  }

  private func set(_ descriptor: Int32, in set: inout fd_set) {
    precondition(descriptor >= 0 && descriptor < 1_024, "a descriptor fits the set")
    unsafe withUnsafeMutableBytes(of: &set) {
      unsafe $0[Int(descriptor) / 8] |= 1 << (UInt8(descriptor) % 8)
    }
  }
  private func hear(_ phase: inout PipelinePhase, _ open: inout Work) throws {
    if isExecutionReady {
      let frames = try execution.exchange()
      let now = SystemClock.monotonicNanoseconds
      for frame in frames { try take(frame, now, &phase, &open) }
    }
    if isSettlementReady {
      let frames = try settlement.exchange()
      let now = SystemClock.monotonicNanoseconds
      for frame in frames where frame.type == MessageType.checkpoint { checkpointTimes.append(now) }
    }
  }

  private func take(
    _ frame: Frame, _ now: Int64, _ phase: inout PipelinePhase, _ open: inout Work
  ) throws {
    if tickRequests.contains(frame.requestID) {
      if !frame.flags.contains(.more) { tickRequests.remove(frame.requestID) }
      return
    }
    guard let request = requests[frame.requestID] else { return }
    if frame.type == SessionMessage.error {
      let message = try execution.message(frame)
      guard message.isRetryable else { throw CommandFailure("execution: \(message)") }
      requests[frame.requestID] = nil
      for place in request.first..<(request.first + request.count) {
        putOff(place, now, &phase, &open)
      }
      return
    }
    guard frame.type == MessageType.submitted else { return }
    let body = frame.body
    let answer = try SubmittedMessage(decoding: body.rawSpan)
    if !frame.flags.contains(.more) { requests[frame.requestID] = nil }
    try check(answer)
    for item in answer.accepted {
      let place = request.first + Int(item.submission)
      open.batches[place] = item.leaf.batch.raw
      open.answered += 1
      open.underWay -= 1
      phase.acknowledgement.append(Double(now - open.times[place]) / 1e9)
      for outcome in item.leaf.outcomes where outcome.status == .rejected {
        phase.rejected[outcome.code, default: 0] += 1
      }
    }
    for item in answer.refused {
      guard let refusal = item.refusal, refusal.isRetryable else {
        throw CommandFailure("execution refused a bundle with code \(item.code)")
      }
      putOff(request.first + Int(item.submission), now, &phase, &open)
    }
  }

  private func putOff(
    _ place: Int, _ now: Int64, _ phase: inout PipelinePhase, _ open: inout Work
  ) {
    phase.deferred += 1
    open.underWay -= 1
    open.again.append(place)
    open.pause = now + 10_000_000
  }

  /// One answer in sixty-four is checked to the signature: the generator must stay cheap.
  private func check(_ answer: SubmittedMessage) throws {
    answerCount += 1
    guard answerCount % 64 == 1, let first = answer.accepted.first else { return }
    let signed = SignedAcknowledgement(answer, first)
    guard signed.isValid(by: network.genesis.execution.object, network: network.genesis.networkID)
    else { throw CommandFailure("an acknowledgement is not execution's") }
  }
}
