import Glibc
import Primitives
import Testing

@testable import Wire

private let network = Bytes32((0x0807_0605_0403_0201, 2, 3, 4))

/// Our own seeded generator (SplitMix64).
private struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

private func encoded(_ frames: [Frame]) -> [UInt8] {
  var encoder = FrameEncoder(network: network)
  var writer = ByteWriter()
  for frame in frames { encoder.encode(frame, into: &writer) }
  return writer.bytes
}

private func decoded(_ bytes: [UInt8], limit: Int = FrameHeader.bodyByteCountDefaultMax)
  throws(FrameFailure) -> [Frame]
{
  var decoder = FrameDecoder(network: network, bodyLimit: limit)
  var frames: [Frame] = []
  try decoder.push(bytes.rawSpan, into: &frames)
  return frames
}

private func failure(_ bytes: [UInt8], limit: Int = FrameHeader.bodyByteCountDefaultMax)
  -> FrameFailure?
{
  do throws(FrameFailure) {
    _ = try decoded(bytes, limit: limit)
    return nil
  } catch {
    return error
  }
}

/// The bytes with a field changed and the header checksum made to fit again.
private func patched(_ bytes: [UInt8], at offset: Int, _ values: [UInt8]) -> [UInt8] {
  var copy = bytes
  copy.replaceSubrange(offset..<(offset + values.count), with: values)
  let sum = FrameHeader(copy.rawSpan).checksum
  var writer = ByteWriter()
  writer.write(sum)
  copy.replaceSubrange(56..<64, with: writer.bytes)
  return copy
}

/// Frames whose bytes may never change.
private let golden: [(name: String, frame: Frame)] = [
  ("frame-empty", Frame(type: SessionMessage.ping, requestID: 1)),
  (
    "frame-request",
    Frame(
      type: 0x0102, blockLength: 4, requestID: 0x1122_3344_5566_7788, budget: 250,
      body: Array(0..<16))
  ),
  (
    "frame-error",
    Frame(
      type: SessionMessage.error, flags: [.response, .error], requestID: 7,
      body: ErrorMessage(.busy, requestID: 7, figures: (-1, 1024), "too much at once").bytes)
  ),
]

@Suite("Frames") struct FrameTests {
  @Test("the header is 64 bytes without padding") func layout() {
    #expect(MemoryLayout<FrameHeader>.size == 64)
    #expect(MemoryLayout<FrameHeader>.stride == 64)
    #expect(FrameHeader.bodyByteCountDefaultMax <= FrameHeader.bodyByteCountHardMax)
  }

  @Test("the bytes of a frame never change", arguments: golden.indices)
  func goldenBytes(index: Int) throws {
    let (name, frame) = golden[index]
    let bytes = encoded([frame])
    try Golden.check("Wire/\(name).txt", Hexadecimal.text(bytes.rawSpan))
    #expect(try decoded(bytes) == [frame])
  }

  @Test("header fields lie where the specification puts them") func offsets() {
    let frame = Frame(
      type: 0x0102, flags: [.response, .more], blockLength: 3, requestID: 9, budget: 11,
      body: [1, 2, 3, 4])
    let bytes = encoded([frame])
    #expect(Array(bytes[0..<4]) == Array("NVT1".utf8))
    #expect(Array(bytes[4..<16]) == [1, 0, 2, 1, 5, 0, 3, 0, 4, 0, 0, 0])
    #expect(Array(bytes[16..<24]) == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(Array(bytes[24..<48]) == [9] + zeros(7) + zeros(8) + [11] + zeros(7))
    #expect(Array(bytes[64...]) == [1, 2, 3, 4])
  }

  private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

  @Test("any flipped bit is refused") func bitFlips() {
    let good = encoded([golden[1].frame])
    for bit in 0..<(good.count * 8) {
      var bad = good
      bad[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(failure(bad) != nil, "bit \(bit)")
    }
  }

  @Test("a frame cut anywhere is no frame yet, and never a failure") func truncations() throws {
    let good = encoded([golden[2].frame])
    for count in 0..<good.count {
      #expect(try decoded(Array(good[..<count])).isEmpty, "\(count) bytes")
    }
  }

  @Test("frames come out however the stream is cut", arguments: [1, 2, 3, 4, 5])
  func chunks(seed: UInt64) throws {
    var random = Seeded(state: seed)
    let frames = (0..<200).map { index in
      Frame(
        type: UInt16(16 + index), requestID: random.next(),
        body: (0..<random.below(300)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }
    let bytes = encoded(frames)
    var decoder = FrameDecoder(network: network)
    var found: [Frame] = []
    var offset = 0
    while offset < bytes.count {
      let count = min(bytes.count - offset, 1 + random.below(random.below(2) == 0 ? 7 : 900))
      try decoder.push(bytes.rawSpan.extracting(offset..<(offset + count)), into: &found)
      offset += count
    }
    #expect(found == frames, "seed \(seed)")
    #expect(!decoder.isMidFrame && decoder.heldByteCount == 0)
  }

  @Test("an oversized body is refused by its header, before memory is set aside") func oversized() {
    let good = encoded([golden[1].frame])
    let huge = patched(good, at: 12, [0xFF, 0xFF, 0xFF, 0xFF])
    #expect(
      failure(Array(huge[..<64])) == .bodyTooLong(limit: 1 << 20, found: Int(UInt32.max)))
    #expect(failure(Array(good[..<64]), limit: 15) == .bodyTooLong(limit: 15, found: 16))
    #expect(failure(Array(good[..<64]), limit: 16) == nil)
  }

  @Test("an announced body costs memory only as it comes") func boundedMemory() throws {
    let header = Array(
      encoded([Frame(type: 99, body: [UInt8](repeating: 1, count: 1 << 20))])[..<64])
    var decoder = FrameDecoder(network: network)
    var frames: [Frame] = []
    try decoder.push(header.rawSpan, into: &frames)
    #expect(decoder.isMidFrame)
    #expect(decoder.heldByteCount == 64)
  }

  @Test("each fault of a header has its own name") func distinctFailures() {
    let good = encoded([golden[1].frame])
    #expect(failure(patched(good, at: 0, [0])) == .badMagic(found: 0x3154_5600))
    let ours = VersionRange.current
    #expect(
      failure(patched(good, at: 4, [0]))
        == .versionTooOld(ours: ours, theirs: VersionRange(major: 0, minors: 0...0)))
    #expect(
      failure(patched(good, at: 4, [2]))
        == .versionTooNew(ours: ours, theirs: VersionRange(major: 2, minors: 0...0)))
    #expect(
      failure(patched(good, at: 5, [3]))
        == .versionTooNew(ours: ours, theirs: VersionRange(major: 1, minors: 3...3)))
    #expect(
      failure(patched(good, at: 16, [9]))
        == .wrongNetwork(expected: 0x0807_0605_0403_0201, found: 0x0807_0605_0403_0209))
    #expect(failure(patched(good, at: 8, [8])) == .unknownFlags(8))
    #expect(failure(patched(good, at: 6, [0, 0])) == .reservedType)
    #expect(failure(patched(good, at: 10, [17])) == .blockTooLong(block: 17, body: 16))
    #expect(failure(patched(good, at: 32, [1])) == .sequenceGap(expected: 0, found: 1))
    var damaged = good
    damaged[64] ^= 1
    #expect(failure(damaged) == .bodyChecksum)
    damaged = good
    damaged[40] ^= 1
    #expect(failure(damaged) == .headerChecksum)
  }

  @Test("a lost or repeated frame is a gap") func gaps() throws {
    let one = golden[0].frame
    let bytes = encoded([one, one, one])
    #expect(failure(Array(bytes[..<64] + bytes[128...])) == .sequenceGap(expected: 1, found: 2))
    #expect(failure(Array(bytes[..<64] + bytes)) == .sequenceGap(expected: 1, found: 0))
  }

  @Test("frames before a bad one are kept, and nothing comes after it") func poisoned() {
    var bytes = encoded([golden[0].frame, golden[1].frame, golden[0].frame])
    bytes[64] ^= 1
    var decoder = FrameDecoder(network: network)
    var frames: [Frame] = []
    for _ in 0..<2 {
      do throws(FrameFailure) {
        try decoder.push(bytes.rawSpan, into: &frames)
        Issue.record("a bad frame was accepted")
      } catch {
        #expect(error == .badMagic(found: 0x3154_564F))
      }
    }
    #expect(frames == [golden[0].frame])
  }

  @Test("noise is refused and never stops the process", arguments: [11, 12, 13])
  func noise(seed: UInt64) {
    var random = Seeded(state: seed)
    for _ in 0..<2_000 {
      let bytes = (0..<random.below(200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let refused = failure(bytes) != nil
      #expect(refused == (bytes.count >= 64), "seed \(seed)")
    }
  }
}

/// Plain-text vectors under `Tests/Fixtures`, rewritten only with `NOVATE_WRITE_FIXTURES=1`.
enum Golden {
  static func check(_ name: String, _ text: String) throws {
    let path = folder + name
    if unsafe getenv("NOVATE_REGENERATE") != nil {
      let file = unsafe fopen(path, "w")
      _ = unsafe fputs(text + "\n", file)
      _ = unsafe fclose(file)
      return
    }
    #expect(read(path) == text + "\n", "\(name)")
  }

  private static var folder: String {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(2)
    return parts.joined(separator: "/") + "/Fixtures/"
  }

  private static func read(_ path: String) -> String? {
    guard let file = unsafe fopen(path, "r") else { return nil }
    defer { _ = unsafe fclose(file) }
    var bytes: [UInt8] = []
    while true {
      let byte = unsafe fgetc(file)
      if byte == EOF { break }
      bytes.append(UInt8(byte))
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
