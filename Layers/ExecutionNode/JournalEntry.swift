import Node
import Primitives
import Wire

/// What the journal keeps: all that influences the outcome, in order.
enum JournalEntry {
  /// A batch opened: number, time, and the Clearances adopted.
  case open(batch: BatchNumber, time: Timestamp, clearances: [[UInt8]])
  case bundle([UInt8])
  case close(batch: BatchNumber)

  /// Bytes of the Clearances one opening adopts, unless the first alone is longer: a group of the
  /// journal then holds an opening and all bundles of its batch, whatever the segment.
  static let adoptedByteCountMax = Limits.batchBodyByteCountMax

  func write(to out: inout ByteWriter) {
    switch self {
    case .open(let batch, let time, let clearances):
      out.write(UInt8(1))
      out.write(batch)
      out.write(time)
      out.write(UInt32(clearances.count))
      for clearance in clearances { ObjectList.append(clearance, to: &out) }
    case .bundle(let bytes):
      out.write(UInt8(2))
      ObjectList.append(bytes, to: &out)
    case .close(let batch):
      out.write(UInt8(3))
      out.write(batch)
    }
  }

  /// The entries of a group.
  static func entries(_ bytes: RawSpan) throws(DecodingFailure) -> [JournalEntry] {
    var reader = ByteReader(bytes)
    var out: [JournalEntry] = []
    while reader.remaining > 0 {
      switch try reader.read(UInt8.self) {
      case 1:
        let batch: BatchNumber = try reader.read()
        let time: Timestamp = try reader.read()
        var clearances: [[UInt8]] = []
        for _ in 0..<(try reader.read(UInt32.self)) {
          clearances.append(try reader.array(Int(try reader.read(UInt32.self))))
        }
        out.append(.open(batch: batch, time: time, clearances: clearances))
      case 2: out.append(.bundle(try reader.array(Int(try reader.read(UInt32.self)))))
      case 3: out.append(.close(batch: try reader.read()))
      default: throw .invalid(field: "journal entry", offset: reader.offset - 1)
      }
    }
    return out
  }
}
