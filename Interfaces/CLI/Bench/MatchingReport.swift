import Benchmarks
import Primitives
import Wire
import Workloads

/// What `bench matching` shows of one stream.
struct MatchingReport {
  private let count: Int
  private let figures: MatchingBenchmark.Figures
  private let expected: NM1.Expected?
  private let streamDigest: String
  private let tradeDigest: String

  init(_ stream: NM1, _ figures: MatchingBenchmark.Figures) {
    count = stream.operations.count
    self.figures = figures
    expected = NM1.expected.first { $0.count == stream.operations.count }
    streamDigest = stream.streamDigest.description
    tradeDigest = NM1.digest(figures.trades).description
  }

  private var rows: [MatchingBenchmark.Row] { [figures.textbook, figures.ladder, figures.book] }

  var isExact: Bool {
    guard let expected else { return false }
    return streamDigest == expected.stream && tradeDigest == expected.tradesDigest
      && rows.allSatisfy { $0.fold == expected.fold && $0.trades == expected.trades }
  }

  private func nanoseconds(_ row: MatchingBenchmark.Row) -> Double {
    row.processorSeconds * 1e9 / Double(count)
  }

  private var bytesPerOrder: Double {
    Double(figures.bookBytes + figures.clientIndexBytes)
      / Double(figures.liveMax)
  }

  private var overTextbook: Double {
    figures.textbook.processorSeconds / figures.book.processorSeconds
  }
  private var overLadder: Double {
    figures.ladder.processorSeconds / figures.book.processorSeconds
  }

  /// Time of an operation in the longest stream over that in the shortest.
  static func growth(_ reports: [MatchingReport]) -> Double? {
    guard let short = reports.min(by: { $0.count < $1.count }),
      let long = reports.max(by: { $0.count < $1.count }), short.count < long.count
    else { return nil }
    return long.nanoseconds(long.figures.book) / short.nanoseconds(short.figures.book)
  }

  // MARK: - For people

  var text: String {
    let lines = rows.map { row in
      "  \(MatchingReport.padded(row.name, 10))\(fixed(nanoseconds(row), 1)) ns of processor, "
        + "\(fixed(row.wallSeconds * 1e9 / Double(count), 1)) ns wall an operation: "
        + "\(fixed(Double(count) / row.processorSeconds / 1e6, 2)) M operations/s, "
        + "\(fixed(Double(row.trades) / row.processorSeconds / 1e6, 2)) M trades/s, "
        + "fold \(MatchingReport.hex(row.fold))"
    }
    let latency = figures.latency
    return """
      NM-1        \(count) operations, \(figures.book.trades) trades, expected fold \
      \(expected.map { MatchingReport.hex($0.fold) } ?? "unknown"): \(isExact ? "all equal" : "DIFFERENT")
      \(lines.joined(separator: "\n"))
        ratio     \(fixed(overTextbook, 2)) x TEXTBOOK, \
      \(fixed(overLadder, 2)) x LADDER
        each      p50 \(fixed(latency.p50, 0)), p99 \(fixed(latency.p99, 0)), \
      p99.9 \(fixed(latency.p999, 0)) ns, \
      \(fixed(latency.clock, 0)) of them the clock's
        memory    \(fixed(bytesPerOrder, 1)) bytes a resting order: book \(figures.bookBytes), \
      client ids \(figures.clientIndexBytes) over \(figures.liveMax) orders; \
      a batch's own \(figures.batchBytes)
        stream    \(streamDigest)
        trades    \(tradeDigest)
      """
  }

  // MARK: - For programs

  var json: JSONValue {
    let latency = figures.latency
    return .object([
      ("operations", .number(String(count))), ("is_exact", .bool(isExact)),
      ("stream_digest", .string(streamDigest)),
      ("stream_digest_expected", .string(expected?.stream ?? "")),
      ("trade_digest", .string(tradeDigest)),
      ("trade_digest_expected", .string(expected?.tradesDigest ?? "")),
      ("fold_expected", .string(expected.map { MatchingReport.hex($0.fold) } ?? "")),
      ("engines", .array(rows.map(json))),
      ("book_over_textbook", number(overTextbook, 4)), ("book_over_ladder", number(overLadder, 4)),
      (
        "operation_ns",
        .object([
          ("p50", number(latency.p50, 1)), ("p99", number(latency.p99, 1)),
          ("p999", number(latency.p999, 1)), ("max", number(latency.max, 0)),
          ("clock", number(latency.clock, 2)),
        ])
      ),
      ("live_max", .number(String(figures.liveMax))),
      ("bytes_per_order", number(bytesPerOrder, 2)),
      ("book_bytes", .number(String(figures.bookBytes))),
      ("client_index_bytes", .number(String(figures.clientIndexBytes))),
      ("batch_bytes", .number(String(figures.batchBytes))),
    ])
  }

  private func json(_ row: MatchingBenchmark.Row) -> JSONValue {
    .object([
      ("name", .string(row.name)), ("processor_seconds", number(row.processorSeconds, 6)),
      ("wall_seconds", number(row.wallSeconds, 6)),
      ("operations_per_second", number(Double(count) / row.processorSeconds, 0)),
      ("trades", .number(String(row.trades))),
      ("trades_per_second", number(Double(row.trades) / row.processorSeconds, 0)),
      ("fold", .string(MatchingReport.hex(row.fold))),
    ])
  }

  static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }

  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.utf8.count))
  }
}
