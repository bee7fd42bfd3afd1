import Glibc
public import Logging
import Primitives
import Synchronization

/// How log lines look.
public enum LogFormat: String, Sendable, CaseIterable {
  /// One JSON object a line.
  case json
  /// For people.
  case text
}

/// Where log lines go: one `write` for each line, so that lines of several threads never mix.
public final class LogSink: Sendable {
  private let writer: @Sendable ([UInt8]) -> Void

  public init(_ writer: @escaping @Sendable ([UInt8]) -> Void) { self.writer = writer }

  /// Standard error.
  public static let standardError: LogSink = {
    let turn = Mutex(())
    return LogSink { line in
      turn.withLock { _ in
        var rest = line[...]
        while !rest.isEmpty {
          let count = unsafe rest.withUnsafeBytes {
            unsafe write(STDERR_FILENO, $0.baseAddress, $0.count)
          }
          // A log that cannot be written is no reason to stop.
          if count < 0 && errno != EINTR { return }
          rest = rest.dropFirst(max(0, count))
        }
      }
    }
  }()

  func put(_ line: [UInt8]) { writer(line) }
}

/// Writes swift-log's events as JSON lines: `time` (UTC, milliseconds), `level`, `label`, `message`,
/// then the metadata, sorted, under `metadata`.
public struct JSONLogHandler: LogHandler {
  public var metadata: Logger.Metadata = [:]
  public var metadataProvider: Logger.MetadataProvider?
  public var logLevel: Logger.Level
  private let label: String
  private let format: LogFormat
  private let sink: LogSink

  public init(
    label: String, format: LogFormat = .json, level: Logger.Level = .info,
    sink: LogSink = .standardError
  ) {
    self.label = label
    self.format = format
    logLevel = level
    self.sink = sink
  }

  /// Makes every `Logger` of the process write so. Once a process, first in `main`.
  public static func install(format: LogFormat = .json, level: Logger.Level = .info) {
    LoggingSystem.bootstrap { JSONLogHandler(label: $0, format: format, level: level) }
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var all = metadata
    if let metadataProvider { all.merge(metadataProvider.get()) { $1 } }
    if let more = event.metadata { all.merge(more) { $1 } }
    if let error = event.error { all["error"] = .string("\(error)") }
    let time = Clock.now
    let line =
      switch format {
      case .json: json(time, event, all)
      case .text: text(time, event, all)
      }
    sink.put(line)
  }

  private func json(_ time: Timestamp, _ event: LogEvent, _ metadata: Logger.Metadata) -> [UInt8] {
    var out = JSONText()
    out.raw("{\"time\":")
    out.string(CalendarTime(time).text)
    out.raw(",\"level\":")
    out.string(event.level.rawValue)
    out.raw(",\"label\":")
    out.string(label)
    out.raw(",\"message\":")
    out.string(event.message.description)
    if !metadata.isEmpty {
      out.raw(",\"metadata\":")
      out.value(.dictionary(metadata))
    }
    out.raw("}\n")
    return out.bytes
  }

  private func text(_ time: Timestamp, _ event: LogEvent, _ metadata: Logger.Metadata) -> [UInt8] {
    var line = "\(CalendarTime(time).text) \(event.level.rawValue) \(label): \(event.message)"
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(value)" }
    // One event, one line.
    var bytes = Array(line.utf8).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 }
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }
}

/// Text of one JSON value.
struct JSONText {
  private(set) var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(256) }

  mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

  mutating func string(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): raw("\\\"")
      case UInt8(ascii: "\\"): raw("\\\\")
      case 0x0A: raw("\\n")
      case 0x0D: raw("\\r")
      case 0x09: raw("\\t")
      case 0..<0x20, 0x7F:
        raw("\\u00")
        raw(byte < 16 ? "0" : "")
        raw(String(byte, radix: 16))
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  mutating func value(_ value: Logger.MetadataValue) {
    switch value {
    case .string(let text): string(text)
    case .stringConvertible(let thing): string("\(thing)")
    case .array(let values):
      raw("[")
      for (index, value) in values.enumerated() {
        if index > 0 { raw(",") }
        self.value(value)
      }
      raw("]")
    case .dictionary(let values):
      raw("{")
      for (index, pair) in values.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { raw(",") }
        string(pair.key)
        raw(":")
        self.value(pair.value)
      }
      raw("}")
    }
  }
}

/// A moment as people write it, in the proleptic Gregorian calendar, UTC.
struct CalendarTime {
  /// `2026-04-17T09:30:00.123Z`.
  let text: String

  init(_ time: Timestamp) {
    let milliseconds = time.raw
    let days = milliseconds.divided(by: 86_400_000, rounding: .down)
    let rest = milliseconds - days * 86_400_000
    // Days since 0000-03-01, in eras of 400 years (Hinnant, civil_from_days).
    let shifted = days + 719_468
    let era = shifted.divided(by: 146_097, rounding: .down)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let calendarMonth = month < 10 ? month + 3 : month - 9
    let year = yearOfEra + era * 400 + (calendarMonth <= 2 ? 1 : 0)
    text =
      "\(CalendarTime.digits(year, 4))-\(CalendarTime.digits(calendarMonth, 2))-"
      + "\(CalendarTime.digits(day, 2))T\(CalendarTime.digits(rest / 3_600_000, 2)):"
      + "\(CalendarTime.digits(rest / 60_000 % 60, 2)):\(CalendarTime.digits(rest / 1000 % 60, 2))."
      + "\(CalendarTime.digits(rest % 1000, 3))Z"
  }

  private static func digits(_ value: Int64, _ count: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, count - text.count)) + text
  }
}
