import Commitments
import Foundation
import Primitives
import Testing

@testable import Storage

/// One fixed value of everything that is stored with a layout of its own.
@Suite("What is stored has golden vectors") struct FormatTests {
  private static func id(_ byte: UInt8) -> Digest { SHA256.digest([byte]) }

  private static var rows: [(name: String, bytes: [UInt8])] {
    let segment = JournalSegmentHeader(number: 3, network: id(1), firstIndex: 9, chain: id(2))
    let group = JournalGroup(index: 9, segment: 3, durable: 8, before: id(2))
    let payload: [UInt8] = Array(0..<37)
    let slot = Highwater.Slot(counter: 6, mark: Highwater.Mark(seq: 5, id: id(3)), node: 77)
    let empty = Highwater.Slot(counter: 1, mark: nil, node: 77)
    let head = Head(
      seq: 5, term: 1, roots: [id(4), id(5)], logSize: 6, logRoot: id(6), extra: [1, 2, 3])
    let pages = PageHead(
      seq: 4,
      pools: [PoolShape(pool: 2, recordByteCount: 64, recordCount: 1_000, recordsPerPage: 63)])
    var inventory = Inventory()
    inventory.insert(.meta(.head), id(7))
    return [
      ("journal-segment", Array(segment.encoded.prefix(128))),
      ("journal-group", group.encoded(payload.rawSpan).bytes),
      ("highwater-slot", Array(slot.encoded(1, id(1)).prefix(160))),
      ("highwater-slot-unsigned", Array(empty.encoded(1, id(1)).prefix(160))),
      ("format", Format(version: 2, role: 1, network: id(1)).encoded),
      ("head", head.encoded), ("page-head", pages.encoded), ("inventory", inventory.encoded),
    ]
  }

  private static let file = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/Storage/records.txt")

  @Test("every stored layout is its golden vector")
  func golden() throws {
    let rows = FormatTests.rows.map { "\($0.name) \(Hexadecimal.text($0.bytes.rawSpan))" }
    if ProcessInfo.processInfo.environment["NOVATE_REGENERATE"] == "1" {
      let head = """
        # Golden vectors of what is stored: name and bytes, zeros behind a page's fields left out.
        # Kept for ever; regenerated only by NOVATE_REGENERATE=1 swift test --filter FormatTests

        """
      try (head + rows.joined(separator: "\n") + "\n").write(
        to: FormatTests.file, atomically: true, encoding: .utf8)
    }
    let lines = try String(contentsOf: FormatTests.file, encoding: .utf8)
      .split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
    #expect(lines == rows)
  }

  @Test("what has a reader is read back as it was written")
  func roundTrip() throws {
    for (name, bytes) in FormatTests.rows {
      switch name {
      case "head": #expect(try Head(bytes.rawSpan).encoded == bytes)
      case "page-head": #expect(try PageHead(bytes.rawSpan).encoded == bytes)
      case "inventory": #expect(try Inventory(bytes.rawSpan).encoded == bytes)
      case "journal-segment":
        let found = JournalSegmentHeader(bytes.rawSpan)
        #expect(found.map { Array($0.encoded.prefix(128)) } == bytes)
      default: break
      }
    }
  }
}
