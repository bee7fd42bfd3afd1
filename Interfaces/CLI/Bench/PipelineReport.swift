import Primitives
import Wire
import Workloads

/// What `bench pipeline` shows, for people and for programs.
struct PipelineReport {
  let calibration: BenchCalibration
  var runs: [PipelineFigures] = []
  var batches: [BatchFigures] = []

  init(_ calibration: BenchCalibration) { self.calibration = calibration }

  private var unit: Double { calibration.verification }

  // MARK: - For people

  var head: String {
    """
    NP-1        one perpetual, \(NP1.makerCount) makers; durable, three processes, Unix sockets
    calibrators verification \(micro(unit)) us (\(whole(1 / unit))/s on one core), loopback round trip \
    p50 \(micro(calibration.roundTrip)) us, fdatasync of 4 KiB p50 \(micro(calibration.sync)) us
    """
  }

  func text(of run: PipelineFigures) -> String {
    let layers = run.layers.map { "\($0.name) \(fixed($0.seconds, 2))" }.joined(separator: ", ")
    let shares = run.layers.map { "\($0.name) \(fixed(inUnits($0.seconds, run), 3))" }
      .joined(separator: ", ")
    let full = run.full
    let rejected = full.rejected.values.reduce(0, +)
    return """

      B = \(run.bundleSize)
        orders      \(full.orderCount) in \(full.bundleCount) bundles, \(run.batchCount) batches; \
      \(rejected) rejected (\(codes(full.rejected))), \(full.deferred) put off
        wall        \(fixed(full.acknowledgedSeconds, 2)) s to the last acknowledgement, \
      \(fixed(full.settledSeconds, 2)) s to the last settlement: \(whole(run.rate)) orders/s
        processor   \(layers) s; generator \(fixed(run.generatorSeconds, 2)) s
        per order   \(micro(run.secondsPerOrder)) us = \
      \(fixed(run.unitsPerOrder, 3)) verifications of \(micro(run.verification)) us (\(shares)), \
      \(fixed(run.secondsPerOrder / run.verificationAlone, 3)) of \(micro(run.verificationAlone)) us alone
        half load   \(whole(run.halfRate)) orders/s: acknowledged \(latency(run.half.acknowledgement)) \
      (p50 \(fixed(Percentile(run.answerRatios).p50, 2)) x round trip + fdatasync, the median of \
      \(run.answerRatios.count) parts\(run.isRealtime ? "" : "; real-time scheduling refused")), \
      settled \(latency(run.half.settlement))
        memory      \(whole(run.bytesPerRestingOrder)) bytes a resting order; resident \
      \(run.residentBytes.map { "\($0 >> 20)" }.joined(separator: ", ")) MiB
        exec root   \(run.executionRoot)
        state root  \(run.stateRoot)
      """
  }

  func text(of batch: BatchFigures) -> String {
    """
    batch       \(BatchFigures.orderCount) orders at \(batch.accounts) accounts: \
    \(micro(batch.seconds)) us of processor, \(micro(batch.tickSeconds)) us with an oracle tick; \
    \(whole(batch.bytesPerAccount)) bytes an account
    """
  }

  private func codes(_ rejected: [UInt16: Int]) -> String {
    if rejected.isEmpty { return "none" }
    return rejected.sorted { $0.key < $1.key }.map { code, count in
      "\(OutcomeCode(rawValue: code).map { "\($0)" } ?? "\(code)") \(count)"
    }.joined(separator: ", ")
  }

  private func latency(_ values: [Double]) -> String {
    let figures = Percentile(values)
    return "p50 \(fixed(figures.p50 * 1e3, 2)) ms, p99 \(fixed(figures.p99 * 1e3, 2)) ms"
  }

  private func inUnits(_ seconds: Double, _ run: PipelineFigures) -> Double {
    seconds / Double(max(1, run.full.orderCount)) / run.verification
  }

  // MARK: - For programs

  var json: JSONValue {
    .object([
      ("schema", "novate.bench.pipeline/1"),
      ("workload", "NP-1"),
      ("makers", .integer(NP1.makerCount)),
      (
        "calibrators",
        .object([
          ("verifications_per_second", number(1 / unit, 1)),
          ("verification_us", number(unit * 1e6, 3)),
          ("loopback_round_trip_p50_us", number(calibration.roundTrip * 1e6, 3)),
          ("fdatasync_4k_p50_us", number(calibration.sync * 1e6, 3)),
        ])
      ),
      ("runs", .array(runs.map(json))),
      ("batches", .array(batches.map(json))),
    ])
  }

  private func json(_ run: PipelineFigures) -> JSONValue {
    let full = run.full
    let ack = Percentile(run.half.acknowledgement)
    let settled = Percentile(run.half.settlement)
    return .object([
      ("bundle", .integer(run.bundleSize)),
      ("orders", .integer(full.orderCount)),
      ("bundles", .integer(full.bundleCount)),
      ("batches", .integer(run.batchCount)),
      ("rejected", .integer(full.rejected.values.reduce(0, +))),
      ("put_off", .integer(full.deferred)),
      ("execution_root", .string(run.executionRoot)),
      ("state_root", .string(run.stateRoot)),
      ("acknowledged_wall_s", number(full.acknowledgedSeconds, 4)),
      ("settled_wall_s", number(full.settledSeconds, 4)),
      ("orders_per_second", number(run.rate, 1)),
      (
        "cpu_s",
        .object(run.layers.map { ($0.name, number($0.seconds, 4)) })
      ),
      ("generator_cpu_s", number(run.generatorSeconds, 4)),
      ("cpu_per_order_us", number(run.secondsPerOrder * 1e6, 4)),
      ("cpu_per_order_in_verifications", number(run.unitsPerOrder, 4)),
      ("verification_us", number(run.verification * 1e6, 3)),
      ("verification_alone_us", number(run.verificationAlone * 1e6, 3)),
      (
        "half_load",
        .object([
          ("orders_per_second", number(run.halfRate, 1)),
          ("orders", .integer(run.half.orderCount)),
          ("ack_p50_ms", number(ack.p50 * 1e3, 4)),
          ("ack_p99_ms", number(ack.p99 * 1e3, 4)),
          ("ack_p50_over_round_trip_and_fdatasync", number(Percentile(run.answerRatios).p50, 3)),
          (
            "ack_p50_over_round_trip_and_fdatasync_of_parts",
            .array(run.answerRatios.map { number($0, 2) })
          ),
          ("realtime", .bool(run.isRealtime)),
          ("round_trip_and_fdatasync_ms", number(run.answerFloor * 1e3, 4)),
          ("settled_p50_ms", number(settled.p50 * 1e3, 4)),
          ("settled_p99_ms", number(settled.p99 * 1e3, 4)),
        ])
      ),
      ("open_orders_end", .integer(run.openOrders)),
      ("bytes_per_resting_order", number(run.bytesPerRestingOrder, 1)),
      (
        "resident_bytes",
        .object(zip(run.layers, run.residentBytes).map { ($0.name, .integer($1)) })
      ),
    ])
  }

  private func json(_ batch: BatchFigures) -> JSONValue {
    .object([
      ("accounts", .integer(batch.accounts)),
      ("orders", .integer(BatchFigures.orderCount)),
      ("cpu_us", number(batch.seconds * 1e6, 1)),
      ("cpu_with_tick_us", number(batch.tickSeconds * 1e6, 1)),
      ("bytes_per_account", number(batch.bytesPerAccount, 1)),
    ])
  }

  private func micro(_ seconds: Double) -> String { fixed(seconds * 1e6, 1) }
  private func whole(_ value: Double) -> String { fixed(value, 0) }
}
