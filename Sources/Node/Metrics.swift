import Synchronization

/// What a process counts, for Prometheus (text exposition format 0.0.4).
///
/// Make instruments once, at the start, and keep them: recording is one or two atomic additions.
public final class Metrics: Sendable {
  /// A number that only grows.
  public final class Counter: Sendable {
    private let total = Atomic<UInt64>(0)
    fileprivate init() {}
    public func add(_ count: UInt64 = 1) { total.add(count, ordering: .relaxed) }
    public var value: UInt64 { total.load(ordering: .relaxed) }
  }

  /// A number that moves.
  public final class Gauge: Sendable {
    private let current = Atomic<Int64>(0)
    fileprivate init() {}
    public func set(_ value: Int64) { current.store(value, ordering: .relaxed) }
    public func add(_ change: Int64) { current.add(change, ordering: .relaxed) }
    public var value: Int64 { current.load(ordering: .relaxed) }
  }

  /// How often which sizes came: log-linear buckets, four to each power of two, so that a quantile
  /// is known to within a quarter.
  public final class Histogram: Sendable {
    static let bucketCount = 4 + 62 * 4
    private let counts: [AtomicCount]
    private let sum = Atomic<UInt64>(0)

    fileprivate final class AtomicCount: Sendable {
      let value = Atomic<UInt64>(0)
    }

    fileprivate init() { counts = (0..<Histogram.bucketCount).map { _ in AtomicCount() } }

    /// Counts a value; negative ones count as 0.
    public func record(_ value: Int) {
      let size = UInt64(max(0, value))
      counts[Histogram.bucket(of: size)].value.add(1, ordering: .relaxed)
      sum.add(size, ordering: .relaxed)
    }

    public var count: UInt64 { counts.reduce(0) { $0 + $1.value.load(ordering: .relaxed) } }

    /// The upper bound of the bucket that holds the quantile; 0 when nothing was recorded.
    /// - Parameter perMille: 500 for the median, 990 for p99.
    public func quantile(perMille: UInt64) -> UInt64 {
      let all = counts.map { $0.value.load(ordering: .relaxed) }
      let total = all.reduce(0, +)
      let rank = (total * perMille + 999) / 1000
      var seen: UInt64 = 0
      for (index, count) in all.enumerated() where count > 0 {
        seen += count
        if seen >= rank { return Histogram.upperBound(of: index) }
      }
      return 0
    }

    static func bucket(of value: UInt64) -> Int {
      if value < 4 { return Int(value) }
      let exponent = 63 - value.leadingZeroBitCount
      return 4 + (exponent - 2) * 4 + Int(value >> UInt64(exponent - 2) & 3)
    }

    /// The largest value in a bucket.
    static func upperBound(of bucket: Int) -> UInt64 {
      if bucket < 4 { return UInt64(bucket) }
      let exponent = UInt64((bucket - 4) / 4 + 2)
      let step = UInt64((bucket - 4) % 4 + 1)
      // The last bucket ends at the largest value there is: 8 << 61 wraps to 0, less 1.
      return ((4 + step) << (exponent - 2)) &- 1
    }

    /// Cumulative counts at the bounds that are in use.
    fileprivate func write(_ name: String, _ labels: String, into text: inout String) {
      var seen: UInt64 = 0
      let inner = labels.isEmpty ? "" : labels + ","
      for (index, count) in counts.enumerated() {
        let here = count.value.load(ordering: .relaxed)
        if here == 0 { continue }
        seen += here
        text += "\(name)_bucket{\(inner)le=\"\(Histogram.upperBound(of: index))\"} \(seen)\n"
      }
      text += "\(name)_bucket{\(inner)le=\"+Inf\"} \(seen)\n"
      let outer = labels.isEmpty ? "" : "{\(labels)}"
      text += "\(name)_sum\(outer) \(sum.load(ordering: .relaxed))\n"
      text += "\(name)_count\(outer) \(seen)\n"
    }
  }

  private enum Instrument: Sendable {
    case counter(Counter)
    case gauge(Gauge)
    case histogram(Histogram)
    /// Asked when the page is made.
    case asked(@Sendable () -> Int64)
  }

  private struct Family: Sendable {
    let name: String
    let help: String
    let kind: String
    var members: [(labels: String, instrument: Instrument)]
  }

  private let families = Mutex<[Family]>([])

  public init() {}

  /// A new counter; its name should end in `_total`.
  /// - Precondition: the name with these labels is new.
  public func counter(_ name: String, _ help: String, labels: [(String, String)] = []) -> Counter {
    let counter = Counter()
    register(name, help, "counter", labels, .counter(counter))
    return counter
  }

  /// A new gauge.
  /// - Precondition: the name with these labels is new.
  public func gauge(_ name: String, _ help: String, labels: [(String, String)] = []) -> Gauge {
    let gauge = Gauge()
    register(name, help, "gauge", labels, .gauge(gauge))
    return gauge
  }

  /// A gauge whose value is asked for when the page is made.
  /// - Precondition: the name with these labels is new.
  public func gauge(
    _ name: String, _ help: String, labels: [(String, String)] = [],
    value: @escaping @Sendable () -> Int64
  ) {
    register(name, help, "gauge", labels, .asked(value))
  }

  /// A new histogram; its name should end in the unit of what is recorded.
  /// - Precondition: the name with these labels is new.
  public func histogram(_ name: String, _ help: String, labels: [(String, String)] = [])
    -> Histogram
  {
    let histogram = Histogram()
    register(name, help, "histogram", labels, .histogram(histogram))
    return histogram
  }

  private func register(
    _ name: String, _ help: String, _ kind: String, _ labels: [(String, String)],
    _ instrument: Instrument
  ) {
    let text = labels.map { "\($0.0)=\"\(Metrics.escaped($0.1))\"" }.joined(separator: ",")
    families.withLock { families in
      guard let index = families.firstIndex(where: { $0.name == name }) else {
        families.append(Family(name: name, help: help, kind: kind, members: [(text, instrument)]))
        return
      }
      precondition(families[index].kind == kind, "\(name) is a \(families[index].kind)")
      precondition(
        !families[index].members.contains { $0.labels == text }, "\(name) is registered twice")
      families[index].members.append((text, instrument))
    }
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      case "\n": out += "\\n"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  /// The page Prometheus reads.
  public var exposition: String {
    var text = ""
    for family in families.withLock({ $0 }) {
      text += "# HELP \(family.name) \(Metrics.escaped(family.help))\n"
      text += "# TYPE \(family.name) \(family.kind)\n"
      for (labels, instrument) in family.members {
        let outer = labels.isEmpty ? "" : "{\(labels)}"
        switch instrument {
        case .counter(let counter): text += "\(family.name)\(outer) \(counter.value)\n"
        case .gauge(let gauge): text += "\(family.name)\(outer) \(gauge.value)\n"
        case .asked(let value): text += "\(family.name)\(outer) \(value())\n"
        case .histogram(let histogram): histogram.write(family.name, labels, into: &text)
        }
      }
    }
    return text
  }
}
