import Glibc
import Logging
import Primitives
import Synchronization
import Testing

@testable import Node

/// A strict reader of one JSON value, small enough to trust.
private struct JSONReader {
  private var rest: Substring.UnicodeScalarView
  init(_ text: String) { rest = text[...].unicodeScalars }

  mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard rest.first == scalar else { return false }
    rest.removeFirst()
    return true
  }

  /// A string with its escapes undone; nil when it is none.
  mutating func string() -> String? {
    guard take("\"") else { return nil }
    var out = String.UnicodeScalarView()
    while let scalar = rest.popFirst() {
      if scalar == "\"" { return String(out) }
      guard scalar.value >= 0x20 else { return nil }
      guard scalar == "\\" else {
        out.append(scalar)
        continue
      }
      guard let escape = rest.popFirst() else { return nil }
      switch escape {
      case "\"", "\\": out.append(escape)
      case "n": out.append("\n")
      case "r": out.append("\r")
      case "t": out.append("\t")
      case "u":
        guard let code = UInt32(String(rest.prefix(4)), radix: 16),
          let decoded = Unicode.Scalar(code)
        else { return nil }
        rest.removeFirst(4)
        out.append(decoded)
      default: return nil
      }
    }
    return nil
  }

  /// An object of strings and objects, flattened to dotted names; nil when it is none.
  mutating func object(_ prefix: String = "") -> [String: String]? {
    guard take("{") else { return nil }
    var out: [String: String] = [:]
    repeat {
      guard let name = string(), take(":") else { return nil }
      if rest.first == "{" {
        guard let inner = object(prefix + name + ".") else { return nil }
        out.merge(inner) { $1 }
      } else {
        guard let text = string() else { return nil }
        out[prefix + name] = text
      }
    } while take(",")
    return take("}") ? out : nil
  }

  var isAtEnd: Bool { rest.isEmpty }
}

private final class Lines: Sendable {
  let all = Mutex<[String]>([])
  var sink: LogSink {
    LogSink { [self] line in
      all.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
    }
  }
}

@Suite("Logs and metrics") struct ObservationTests {
  @Test("a log line is one JSON object, whatever is in it") func jsonLine() throws {
    let lines = Lines()
    var logger = Logger(label: "a\"b") { label in
      JSONLogHandler(label: label, level: .debug, sink: lines.sink)
    }
    logger[metadataKey: "batch"] = "41"
    let odd = "quote \" back \\ line\nreturn\r tab\t nul\0 bell\u{7} del\u{7F} grün 🟢 \u{2028}"
    logger.warning("\(odd)", metadata: ["nested": ["k\n": "\(odd)"], "batch": "42"])
    logger.trace("not written")
    let line = try #require(lines.all.withLock { $0.first })
    #expect(lines.all.withLock { $0.count } == 1)
    #expect(line.hasSuffix("}\n"))
    #expect(line.utf8.filter { $0 < 0x20 }.count == 1)
    var reader = JSONReader(String(line.dropLast()))
    let parsed = reader.object()
    let fields = try #require(parsed)
    #expect(reader.isAtEnd)
    #expect(fields["level"] == "warning")
    #expect(fields["label"] == "a\"b")
    #expect(fields["message"] == odd)
    #expect(fields["metadata.batch"] == "42")
    #expect(fields["metadata.nested.k\n"] == odd)
    #expect(fields["time"]?.count == 24)
  }

  @Test("a text line stays one line") func textLine() throws {
    let lines = Lines()
    let logger = Logger(label: "x") { JSONLogHandler(label: $0, format: .text, sink: lines.sink) }
    logger.info("two\nlines", metadata: ["b": "2", "a": "1"])
    let line = try #require(lines.all.withLock { $0.first })
    #expect(line.hasSuffix("Z info x: two lines a=1 b=2\n"))
  }

  @Test(
    "moments are written in the calendar",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (1_709_251_199_999, "2024-02-29T23:59:59.999Z"), (-1, "1969-12-31T23:59:59.999Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ])
  func calendar(milliseconds: Int, text: String) {
    #expect(CalendarTime(Timestamp(raw: Int64(milliseconds))).text == text)
  }

  @Test("the exposition is what Prometheus reads") func exposition() {
    let metrics = Metrics()
    let bundles = metrics.counter("bundles_total", "Bundles.", labels: [("outcome", "a\"b\\")])
    let depth = metrics.gauge("queue_depth", "Jobs\nwaiting.")
    metrics.gauge("asked", "Asked.") { -3 }
    let times = metrics.histogram("apply_ns", "Time.")
    bundles.add(3)
    depth.add(5)
    depth.add(-7)
    for value in [0, 3, 4, 100, 100] { times.record(value) }
    #expect(
      metrics.exposition == """
        # HELP bundles_total Bundles.
        # TYPE bundles_total counter
        bundles_total{outcome="a\\"b\\\\"} 3
        # HELP queue_depth Jobs\\nwaiting.
        # TYPE queue_depth gauge
        queue_depth -2
        # HELP asked Asked.
        # TYPE asked gauge
        asked -3
        # HELP apply_ns Time.
        # TYPE apply_ns histogram
        apply_ns_bucket{le="0"} 1
        apply_ns_bucket{le="3"} 2
        apply_ns_bucket{le="4"} 3
        apply_ns_bucket{le="111"} 5
        apply_ns_bucket{le="+Inf"} 5
        apply_ns_sum 207
        apply_ns_count 5

        """)
    #expect(times.quantile(perMille: 500) == 4)
    #expect(times.quantile(perMille: 990) == 111)
  }

  @Test("every value lies in its bucket, within a quarter") func buckets() {
    var random = Seeded(state: 7)
    for _ in 0..<10_000 {
      let value = random.next() >> UInt64(random.below(64))
      let bucket = Metrics.Histogram.bucket(of: value)
      let upper = Metrics.Histogram.upperBound(of: bucket)
      #expect(value <= upper)
      #expect(bucket == 0 || value > Metrics.Histogram.upperBound(of: bucket - 1))
      #expect(upper - value <= max(value / 4, 0))
    }
    #expect(
      Metrics.Histogram.upperBound(of: Metrics.Histogram.bucketCount - 1) == UInt64.max)
  }

  @Test("the monotonic clock never falls and the wall clock is of this century") func clock() {
    var last = Clock.monotonicNanoseconds
    for _ in 0..<1_000 {
      let now = Clock.monotonicNanoseconds
      #expect(now >= last)
      last = now
    }
    #expect(Clock.now.raw > 1_700_000_000_000)
  }

  @Test("SIGTERM calls the handler, and a second one ends the process") func shutdown() async {
    let result = await #expect(
      processExitsWith: .exitCode(130), observing: [\.standardOutputContent]
    ) {
      Shutdown.install {
        _ = unsafe write(STDOUT_FILENO, "stopping", 8)
      }
      kill(getpid(), SIGTERM)
      usleep(200_000)
      kill(getpid(), SIGTERM)
      sleep(10)
    }
    let output = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self)
    #expect(output.contains("stopping"))
  }
}
