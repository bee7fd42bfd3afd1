public import Primitives

/// The body of a batch: the bundles as received, in intake order, then the events they caused.
///
/// u32 bundle count || u32 event count || bundles || events (64 bytes each).
public struct BatchBody: Sendable {
  public let bytes: [UInt8]
  public let bundles: [Bundle]
  public let eventCount: Int
  private let eventsOffset: Int

  /// Decodes; every bundle is checked as at the door, signatures aside.
  public init(_ bytes: [UInt8]) throws(DecodingFailure) {
    var reader = ByteReader(bytes.rawSpan)
    let count = try reader.count("bundles", maximum: Limits.bundlesPerBatchMax)
    let events = Int(try reader.read(UInt32.self))
    var bundles: [Bundle] = []
    bundles.reserveCapacity(count)
    for _ in 0..<count {
      let place = reader.offset
      guard reader.remaining >= BundleHeader.byteCount else {
        throw .truncated(offset: place, needed: BundleHeader.byteCount - reader.remaining)
      }
      let header = BundleHeader(bytes.rawSpan, at: place)
      bundles.append(
        try Bundle(try reader.array(Bundle.byteCount(records: Int(header.recordCount)))))
    }
    guard reader.remaining == events * EventBuffer.recordByteCount else {
      throw .invalid(field: "event count", offset: reader.offset)
    }
    self.bytes = bytes
    self.bundles = bundles
    eventCount = events
    eventsOffset = reader.offset
  }

  /// The kind byte of the event at `index`.
  public func eventKind(_ index: Int) -> EventKind? {
    EventKind(rawValue: bytes[eventsOffset + index * EventBuffer.recordByteCount])
  }

  /// The event at `index` read as the named type.
  public func event<Record: FlatRecord>(_ index: Int, as: Record.Type) -> Record {
    Record(bytes.rawSpan, at: eventsOffset + index * EventBuffer.recordByteCount)
  }

  /// The bytes of the events, packed.
  public var events: RawSpan {
    @_lifetime(borrow self) get { bytes.rawSpan.extracting(eventsOffset..<bytes.count) }
  }

  /// The body of these bundles and events.
  public static func encoded(bundles: [Bundle], events: [UInt8]) -> [UInt8] {
    var size = 8 + events.count
    for bundle in bundles { size += bundle.bytes.count }
    var out = ByteWriter(capacity: size)
    out.write(UInt32(bundles.count))
    out.write(UInt32(events.count / EventBuffer.recordByteCount))
    for bundle in bundles { out.write(bundle.bytes) }
    out.write(events)
    return out.bytes
  }
}
