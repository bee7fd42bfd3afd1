import Client
import Commitments
import Primitives
import Wire
import Workloads

/// Figures of NP-1 with one size of bundles.
struct PipelineFigures {
  let bundleSize: Int
  var full = PipelinePhase()
  var half = PipelinePhase()
  /// Orders a second offered in the second phase.
  var halfRate = 0.0
  /// Seconds of a loopback round trip and an `fdatasync` between the parts of the second phase: the
  /// median.
  var answerFloor = 0.0
  /// Of each part of the second phase, its p50 from sending to acknowledgement over the mean of the
  /// floor before and after it: what the machine's neighbours take, they take from both.
  var answerRatios: [Double] = []
  /// Processor seconds of the first phase, a layer each, and the generator's.
  var layers: [(name: String, seconds: Double)] = []
  var generatorSeconds = 0.0
  /// Processor seconds of one verification while the first phase ran, and the mean of before and
  /// after, with nothing else to do.
  var verification = 0.0
  var verificationAlone = 0.0
  /// Whether execution's threads had real-time scheduling.
  var isRealtime = false
  var executionRoot = ""
  var stateRoot = ""
  var batchCount: UInt64 = 0
  var openOrders = 0
  /// Bytes execution holds for its orders, over the most orders that rested at once.
  var bytesPerRestingOrder = 0.0
  /// Resident bytes of each layer at the end.
  var residentBytes: [Int] = []

  /// Processor seconds of the three layers for one order.
  var secondsPerOrder: Double {
    layers.reduce(0) { $0 + $1.seconds } / Double(max(1, full.orderCount))
  }
  /// The same in verifications: the figure that compares machines.
  var unitsPerOrder: Double { secondsPerOrder / verification }
  /// Orders a second until all were settled.
  var rate: Double { Double(full.orderCount) / full.settledSeconds }
}

/// One run of NP-1: a network of its own, all bundles signed beforehand, the timed part, then a
/// quarter as many orders at half the rate.
struct PipelineRun {
  let folder: String
  let orderCount: Int
  let bundleSize: Int

  /// Bundles under way, and in one request: what keeps the layers busy without a queue of seconds.
  private var window: PipelineDriver.Pace {
    let request = max(1, 32 / bundleSize)
    return .window(bundles: max(request, 8_192 / bundleSize), request: request)
  }

  func measured() throws -> PipelineFigures {
    Screen.note("B = \(bundleSize): making and signing \(orderCount + orderCount / 4) orders")
    let stream = NM1(count: orderCount + orderCount / 4)
    let network = try PipelineNetwork(folder: folder)
    let (full, half) = sign(stream, network)
    try network.fund()
    let driver = try PipelineDriver(network)
    var figures = PipelineFigures(bundleSize: bundleSize)
    figures.isRealtime = try network.isRealtime()
    Screen.note("B = \(bundleSize): \(orderCount) orders through three processes")
    let unit = BenchCalibration.verificationSeconds()
    let before = network.processorSeconds
    let own = ProcessorTime.ofProcess
    let meter = BenchCalibration.Meter()
    figures.full = try driver.run(full, window, meter: meter)
    figures.generatorSeconds = ProcessorTime.ofProcess - own
    let after = network.processorSeconds
    figures.verification = meter.mean
    figures.verificationAlone = (unit + BenchCalibration.verificationSeconds()) / 2
    figures.layers = zip(network.layers.all, zip(before, after)).map { layer, times in
      (layer.name, times.1 - times.0)
    }
    figures.halfRate = figures.rate / 2
    Screen.note("B = \(bundleSize): a quarter as many at half the rate")
    try PromptMeasurement.run { try runParts(half, driver, &figures) }
    try finish(&figures, network)
    try network.layers.stop()
    return figures
  }

  /// Parts of the second phase.
  private static let partCount = 11

  private func runParts(
    _ bundles: [ReadyBundle], _ driver: PipelineDriver, _ figures: inout PipelineFigures
  ) throws {
    let floor = try BenchCalibration.AnswerFloor(folder: folder)
    var floors = [try floor.sample()]
    let size = max(1, (bundles.count + PipelineRun.partCount - 1) / PipelineRun.partCount)
    for start in stride(from: 0, to: bundles.count, by: size) {
      let part = try driver.run(
        Array(bundles[start..<min(start + size, bundles.count)]),
        .rate(figures.halfRate / Double(bundleSize)))
      let before = floors[floors.count - 1]
      floors.append(try floor.sample())
      figures.answerRatios.append(
        Percentile(part.acknowledgement).p50 / ((before + floors[floors.count - 1]) / 2))
      figures.half.append(part)
    }
    figures.answerFloor = Percentile(floors).p50
  }

  private func sign(_ stream: NM1, _ network: PipelineNetwork) -> (
    full: [ReadyBundle], half: [ReadyBundle]
  ) {
    let expiry = Timestamp(raw: SystemClock.now.raw + 6 * 3_600_000)
    let networkID = network.genesis.networkID
    let turns =
      NP1.turns(stream.operations, in: 0..<orderCount, size: bundleSize)
      + NP1.turns(stream.operations, in: orderCount..<stream.operations.count, size: bundleSize)
    var ready: [ReadyBundle?] = Array(repeating: nil, count: turns.count)
    var places: [[Int]] = Array(repeating: [], count: NP1.makerCount)
    for (place, turn) in turns.enumerated() { places[turn.maker].append(place) }
    for maker in places.indices where !places[maker].isEmpty {
      let key = network.key(maker)
      for (nonce, place) in places[maker].enumerated() {
        let actions = turns[place].operations.map {
          NP1.action(stream.operations[$0], on: PipelineNetwork.instrument)
        }
        let bundle = Bundle.signed(
          actions, account: network.builder.traders[maker], nonce: UInt64(nonce + 1),
          expiry: expiry, network: networkID, by: key)
        ready[place] = ReadyBundle(bytes: bundle.bytes, orderCount: actions.count)
      }
    }
    let all = ready.compactMap { $0 }
    var count = 0
    var split = 0
    while count < orderCount {
      count += all[split].orderCount
      split += 1
    }
    return (Array(all[..<split]), Array(all[split...]))
  }

  private func finish(_ figures: inout PipelineFigures, _ network: PipelineNetwork) throws {
    let execution = try network.execution.status()
    let target = try execution.integer(at: "batch", as: UInt64.self)
    let observer = try LayerClient(
      to: network.settlement.address, .settlement, genesis: network.genesis)
    var settled = try observer.status()
    for _ in 0..<3_000 {
      if try settled.integer(at: "batch", as: UInt64.self) >= target { break }
      guard settled.word("state") == "serving" else {
        throw CommandFailure("settlement refused: \(settled.text())")
      }
      DemoQuery.pause(milliseconds: 10)
      settled = try observer.status()
    }
    figures.executionRoot = settled.word("execution_root")
    figures.stateRoot = settled.word("root")
    figures.batchCount = try settled.integer(at: "batch", as: UInt64.self)
    figures.openOrders = try execution.integer(at: "open_orders", as: Int.self)
    let bytes = try execution.integer(at: "memory_bytes_orders", as: Int.self)
    let most = try execution.integer(at: "open_orders_max", as: Int.self)
    figures.bytesPerRestingOrder = Double(bytes) / Double(max(1, most))
    figures.residentBytes = network.layers.all.map { $0.process.residentByteCount }
  }
}
