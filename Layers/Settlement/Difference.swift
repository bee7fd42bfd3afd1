public import Primitives
import Wire

/// The first place where a layer's claim and the replay part: batch, record, field.
public struct Difference: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Layer: UInt16, Sendable {
    case execution = 1
    case clearing = 2
  }

  public var layer: Layer
  public var batch: BatchNumber
  /// Which header field, or which record of which list of the body.
  public var field: String
  /// Byte offset of the field in the header.
  public var offset: Int
  public var expected: String
  public var found: String

  public init(
    _ layer: Layer, _ batch: BatchNumber, field: String, offset: Int = 0, expected: String,
    found: String
  ) {
    self.layer = layer
    self.batch = batch
    self.field = field
    self.offset = offset
    self.expected = expected
    self.found = found
  }

  public var description: String {
    "batch \(batch): \(layer == .execution ? "execution" : "clearing") claims \(field) \(found), "
      + "expected \(expected)"
  }
}

/// Names and places of header fields, in order.
enum HeaderFields {
  static let execution: [(name: String, size: Int)] = [
    ("version", 2), ("reserved", 2), ("term", 4), ("network", 32), ("batch", 8), ("time", 8),
    ("previous", 32), ("pre_exec_root", 32), ("post_exec_root", 32), ("credit_seq", 8),
    ("credit_clear_id", 32), ("tx_root", 32), ("fills_root", 32), ("bundle_count", 4),
    ("event_count", 4), ("body_len", 4), ("proof_system", 4), ("body_hash", 32), ("stf_id", 32),
    ("inbox", 16),
  ]

  static let clearing: [(name: String, size: Int)] = [
    ("version", 2), ("reserved", 2), ("term", 4), ("network", 32), ("batch", 8), ("time", 8),
    ("exec_id", 32), ("previous", 32), ("pre_state_root", 32), ("post_state_root", 32),
    ("receipts_root", 32), ("clearance_body_hash", 32), ("oracle_root", 32), ("params_root", 32),
    ("stf_id", 32), ("receipt_count", 4), ("account_count", 4), ("position_count", 4),
    ("directive_count", 4), ("body_len", 4), ("reserved", 4), ("log_size_before", 8),
    ("log_root_before", 32),
  ]

  /// The first field in which two encodings differ.
  static func difference(
    _ layer: Difference.Layer, _ batch: BatchNumber, expected: RawSpan, found: RawSpan
  ) -> Difference? {
    var offset = 0
    for field in layer == .execution ? execution : clearing {
      let range = offset..<(offset + field.size)
      let a = expected.extracting(range)
      let b = found.extracting(range)
      if !a.elementsEqual(b) {
        return Difference(
          layer, batch, field: field.name, offset: offset, expected: Hexadecimal.text(a),
          found: Hexadecimal.text(b))
      }
      offset += field.size
    }
    return nil
  }

  /// The first record in which two Clearance bodies differ.
  static func difference(_ batch: BatchNumber, expected: ClearanceBody, found: ClearanceBody)
    -> Difference?
  {
    func first<Record: Equatable>(_ list: String, _ a: [Record], _ b: [Record]) -> Difference? {
      for index in 0..<max(a.count, b.count) {
        let left = index < a.count ? a[index] : nil
        let right = index < b.count ? b[index] : nil
        if left != right {
          return Difference(
            .clearing, batch, field: "\(list)[\(index)]",
            expected: left.map { "\($0)" } ?? "none", found: right.map { "\($0)" } ?? "none")
        }
      }
      return nil
    }
    return first("opened", expected.opened, found.opened)
      ?? first("accounts", expected.accounts, found.accounts)
      ?? first("balances", expected.balances, found.balances)
      ?? first("positions", expected.positions, found.positions)
      ?? first("indices", expected.indices, found.indices)
      ?? first("slices", expected.slices, found.slices)
      ?? first("instruments", expected.instruments, found.instruments)
      ?? first("directives", expected.directives, found.directives)
      ?? first("margin", expected.margin, found.margin)
  }

  /// The first event in which two batch bodies differ.
  static func difference(_ batch: BatchNumber, expected: [UInt8], found: BatchBody) -> Difference? {
    // Text is for people: it costs more than the replay, and is made of what differs alone.
    if expected == found.bytes { return nil }
    let size = EventBuffer.recordByteCount
    let count = Int(expected.rawSpan.load(at: 4, as: UInt32.self))
    let start = expected.count - count * size
    for index in 0..<max(count, found.eventCount) {
      let a =
        index < count
        ? Hexadecimal.text(
          expected.rawSpan.extracting((start + index * size)..<(start + (index + 1) * size)))
        : "none"
      let b =
        index < found.eventCount
        ? Hexadecimal.text(found.events.extracting((index * size)..<((index + 1) * size))) : "none"
      if a != b {
        return Difference(.execution, batch, field: "events[\(index)]", expected: a, found: b)
      }
    }
    return nil
  }
}
