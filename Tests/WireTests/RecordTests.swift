import Commitments
import Foundation
import Primitives
import TestSupport
import Testing

@testable import Wire

/// Records by themselves, requests, answers, proofs and files: as `MessageTests` has the rest.
@Suite("Records and proofs", .serialized) struct RecordTests {
  static let file = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/Wire/records.txt")

  @Test("every record, request and proof is its golden vector")
  func golden() throws {
    let rows = Sample.more.map { "\($0.name) \(Hexadecimal.text($0.bytes.rawSpan))" }
    if Vectors.regenerates {
      let text = """
        # Golden vectors of records, requests, answers and proofs: name and bytes. Kept for ever;
        # regenerated only by NOVATE_REGENERATE=1 swift test --filter WireTests

        """
      try (text + rows.joined(separator: "\n") + "\n").write(
        to: Self.file, atomically: true, encoding: .utf8)
    }
    let lines = try String(contentsOf: Self.file, encoding: .utf8).split(separator: "\n")
    let stored = lines.filter { !$0.hasPrefix("#") }.map(String.init)
    #expect(stored.count == rows.count)
    for (found, expected) in zip(rows, stored) {
      let same = found == expected
      #expect(same, "\(found.prefix { $0 != " " })")
    }
  }

  @Test("it decodes to itself", arguments: Sample.more)
  func roundTrip(sample: Sample) throws {
    #expect(try sample.again(sample.bytes) == sample.bytes)
  }

  @Test("cut at any byte, or with one more, it is refused", arguments: Sample.more)
  func truncation(sample: Sample) {
    for count in 0..<sample.bytes.count {
      let cut = try? sample.again(Array(sample.bytes.prefix(count)))
      if cut != nil {
        Issue.record("\(sample.name) cut at \(count) was read")
        return
      }
    }
    #expect(throws: DecodingFailure.self) { try sample.again(sample.bytes + [0]) }
  }

  @Test("with a bit changed it decodes to what it says, or not at all", arguments: Sample.more)
  func oneEncoding(sample: Sample) {
    for bit in 0..<(sample.bytes.count * 8) {
      var bytes = sample.bytes
      bytes[bit >> 3] ^= 1 << UInt8(bit & 7)
      if let again = try? sample.again(bytes), again != bytes {
        Issue.record("\(sample.name), bit \(bit): read and written otherwise")
        return
      }
    }
  }
}
