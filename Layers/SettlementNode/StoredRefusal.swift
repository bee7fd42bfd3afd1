import Node
import Primitives
import Settlement
import Storage
import Wire

/// The first difference as settlement keeps it: the statement it signs, the words that name the
/// place, and the two objects it was shown.
///
/// frozen (96) || field, expected, found (length u32, UTF-8, at most 4 096 bytes each) || batch ||
/// Clearance (length u32, bytes).
struct StoredRefusal: Sendable, Equatable {
  private static let textByteCountMax = 4_096
  /// The field's name where a layer signed two headers for one number; the two objects then stand in
  /// place of a batch and its Clearance.
  static let equivocation = "a second header"
  /// The field's name where a batch does not keep what execution acknowledged; the two objects are then
  /// those of the evidence: the acknowledgement, and the place of the batch.
  static let brokenPromise = "kept promises"

  let frozen: Frozen
  let field: String
  let expected: String
  let found: String
  let batch: [UInt8]
  let clearance: [UInt8]

  init(
    _ difference: Difference, _ number: BatchNumber, network: Digest, refused: Digest,
    batch: [UInt8], clearance: [UInt8]
  ) {
    frozen = Frozen(
      layer: difference.layer.rawValue, field: UInt32(difference.offset), network: network,
      lastGood: number.raw == 0 ? BatchNumber(.max) : BatchNumber(number.raw - 1), batch: number,
      refused: refused)
    field = StoredRefusal.short(difference.field)
    expected = StoredRefusal.short(difference.expected)
    found = StoredRefusal.short(difference.found)
    self.batch = batch
    self.clearance = clearance
  }

  private static func short(_ text: String) -> String {
    String(decoding: text.utf8.prefix(textByteCountMax / 2), as: UTF8.self)
  }

  var encoded: [UInt8] {
    var out = ByteWriter(capacity: 256 + batch.count + clearance.count)
    out.write(record: frozen)
    for text in [field, expected, found] { ObjectList.append(Array(text.utf8), to: &out) }
    ObjectList.append(batch, to: &out)
    ObjectList.append(clearance, to: &out)
    return out.bytes
  }

  init(encoded bytes: [UInt8]) throws(DecodingFailure) {
    var reader = ByteReader(bytes.rawSpan)
    frozen = try reader.read(record: Frozen.self)
    guard frozen.isCanonical else { throw .invalid(field: "frozen", offset: 0) }
    field = try StoredRefusal.text(&reader)
    expected = try StoredRefusal.text(&reader)
    found = try StoredRefusal.text(&reader)
    batch = try reader.array(try reader.count("batch", maximum: FrameHeader.bodyByteCountHardMax))
    clearance = try reader.array(
      try reader.count("Clearance", maximum: FrameHeader.bodyByteCountHardMax))
    try reader.finish()
  }

  private static func text(_ reader: inout ByteReader) throws(DecodingFailure) -> String {
    let count = try reader.count("text", maximum: textByteCountMax)
    return String(decoding: try reader.array(count), as: UTF8.self)
  }

  /// What makes the refusal durable; the head stays where it was.
  var durable: DurableBatch {
    DurableBatch(batch: frozen.batch, values: [(.evidence, encoded)], head: nil, id: frozen.id)
  }

  /// Whether two words of one layer contradict each other, in place of a batch and its Clearance.
  var isEquivocation: Bool {
    field == StoredRefusal.equivocation || field == StoredRefusal.brokenPromise
  }

  var layer: String { frozen.layer == 1 ? "execution" : "clearing" }

  /// One line: batch, record or field, what was expected and found.
  var reason: String {
    "batch \(frozen.batch): \(layer) claims \(field) \(found), expected \(expected)"
  }

  func json(_ signature: Signature?) -> JSONValue {
    .object([
      ("batch", .integer(frozen.batch.raw)),
      (
        "last_good", frozen.lastGood == BatchNumber(.max) ? .null : .integer(frozen.lastGood.raw)
      ),
      ("layer", .string(layer)),
      ("field", .string(field)),
      ("expected", .string(expected)),
      ("found", .string(found)),
      ("refused", .string("\(frozen.refused)")),
      ("statement", .string(frozen.withBytes { Hexadecimal.text($0) })),
      (
        "signature",
        signature.map { .string(Hexadecimal.text($0.bytes.rawSpan)) } ?? .null
      ),
    ])
  }
}
