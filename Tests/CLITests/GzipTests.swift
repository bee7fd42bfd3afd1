import Primitives
import Testing

@testable import CLI

/// Members made by another gzip (Python's, without a time in the header).
enum GzipSample {
  static func bytes(_ hex: String) -> [UInt8] { Hexadecimal.bytes(hex) ?? [] }

  /// `timestamp_ms,x` and 40 times `1,2`, each with its line end.
  static let repeated = bytes(
    "1f8b08000000000002032bc9cc4d2d2e49cc2d88cf2dd6a9e032d4311ad41800b56801e0af000000")
  static let repeatedText = Array(
    ("timestamp_ms,x\n" + String(repeating: "1,2\n", count: 40)).utf8)
  static let hollow = bytes("1f8b080000000000020303000000000000000000")
  /// `end` and its line end.
  static let tail = bytes("1f8b08000000000002034bcd4be10200ba79b18e04000000")
  /// 300,000 zero bytes in 325.
  static let zeros = bytes(
    "1f8b0800000000000203edc1010d000000c2a0f74f6d0f0714" + String(repeating: "00", count: 290)
      + "fc18fbe2b2f6e0930400")
}

@Suite("Gzip") struct GzipTests {
  private func contents(_ bytes: [UInt8], byteCountMax: Int = 1 << 20) throws(GzipFailure)
    -> [UInt8]
  {
    try Gzip.contents(of: bytes, byteCountMax: byteCountMax)
  }

  @Test("members of another gzip are read, one behind the other")
  func accepted() throws {
    #expect(try contents(GzipSample.repeated) == GzipSample.repeatedText)
    #expect(try contents(GzipSample.hollow) == [])
    #expect(
      try contents(GzipSample.repeated + GzipSample.hollow + GzipSample.tail)
        == GzipSample.repeatedText + Array("end\n".utf8))
    #expect(try contents(GzipSample.zeros) == [UInt8](repeating: 0, count: 300_000))
    #expect(Gzip.isCompressed(GzipSample.tail) && !Gzip.isCompressed(GzipSample.repeatedText))
  }

  @Test("a file cut anywhere is truncated")
  func truncated() {
    let bytes = GzipSample.repeated
    for count in 0..<bytes.count {
      #expect(throws: GzipFailure.truncated) { try contents(Array(bytes[..<count])) }
    }
    #expect(throws: GzipFailure.truncated) { try contents(GzipSample.zeros.dropLast(4) + []) }
  }

  @Test("a flipped bit never changes what is read: it is refused, or pads the last byte of data")
  func flipped() {
    var accepted = 0
    for index in 10..<GzipSample.repeated.count {
      for bit in 0..<8 {
        var bytes = GzipSample.repeated
        bytes[index] ^= 1 << bit
        guard let found = try? contents(bytes) else { continue }
        #expect(found == GzipSample.repeatedText && index == GzipSample.repeated.count - 9)
        accepted += 1
      }
    }
    #expect(accepted < 8)
  }

  @Test("what follows the last member is refused, with its place")
  func trailing() {
    let bytes = GzipSample.tail + GzipSample.tail
    #expect(throws: GzipFailure.damaged(offset: 48)) { try contents(bytes + [0, 0, 0]) }
    #expect(throws: GzipFailure.damaged(offset: 0)) { try contents(Array("plain text".utf8)) }
  }

  @Test("contents up to the maximum are read and no byte more")
  func bomb() throws {
    #expect(try contents(GzipSample.zeros, byteCountMax: 300_000).count == 300_000)
    for maximum in [0, 65_535, 299_999] {
      #expect(throws: GzipFailure.tooLarge(maximum: maximum)) {
        try contents(GzipSample.zeros, byteCountMax: maximum)
      }
    }
  }
}
