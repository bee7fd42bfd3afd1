import Testing

@testable import Primitives

@Suite("Canonical bytes") struct EncodingTests {
  @Test("integers are little-endian and come back")
  func integers() throws {
    var out = ByteWriter()
    out.write(0x0102 as UInt16)
    out.write(-2 as Int32)
    out.write(true)
    out.write(false)
    out.write(Price(raw: .min))
    out.write(AccountID(7))
    out.write(record: Cell(a: 1, b: -1, c: 2, d: 3))
    out.pad(3)
    #expect(Array(out.bytes.prefix(8)) == [2, 1, 0xFE, 0xFF, 0xFF, 0xFF, 1, 0])
    var reader = ByteReader(out.bytes.rawSpan)
    let (a, b) = (try reader.read(UInt16.self), try reader.read(Int32.self))
    #expect(a == 0x0102 && b == -2)
    let (c, d) = (try reader.read(Bool.self, field: "c"), try reader.read(Bool.self, field: "d"))
    #expect(c && !d)
    let (price, account) = (try reader.read(Price.self), try reader.read(AccountID.self))
    #expect(price.raw == .min && account.raw == 7)
    let cell = try reader.read(record: Cell.self)
    #expect(cell == Cell(a: 1, b: -1, c: 2, d: 3))
    try reader.zeros(3, field: "pad")
    try reader.finish()
  }

  @Test("a reader refuses what is short, left over, not zero or not a bool, with its offset")
  func refusals() throws {
    let bytes: [UInt8] = [2, 0, 0, 0, 9]
    #expect(throws: DecodingFailure.truncated(offset: 0, needed: 3)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.read(UInt64.self)
    }
    #expect(throws: DecodingFailure.truncated(offset: 1, needed: 28)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.read(UInt8.self)
      _ = try reader.read(Bytes32.self)
    }
    #expect(throws: DecodingFailure.truncated(offset: 0, needed: 59)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.read(Signature.self)
    }
    #expect(throws: DecodingFailure.truncated(offset: 0, needed: 19)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.read(record: Cell.self)
    }
    #expect(throws: DecodingFailure.invalid(field: "flag", offset: 0)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.read(Bool.self, field: "flag")
    }
    #expect(throws: DecodingFailure.invalid(field: "pad", offset: 1)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.read(UInt8.self)
      try reader.zeros(4, field: "pad")
    }
    #expect(throws: DecodingFailure.trailing(offset: 4, count: 1)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.read(UInt32.self)
      try reader.finish()
    }
    #expect(throws: DecodingFailure.tooMany(field: "things", count: 2, maximum: 1)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.count("things", maximum: 1)
    }
    #expect(throws: DecodingFailure.truncated(offset: 0, needed: Int.max - 5)) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.array(.max)
    }
    #expect(throws: DecodingFailure.self) {
      var reader = ByteReader(bytes.rawSpan)
      _ = try reader.array(-1)
    }
  }

  @Test("a refused read consumes nothing")
  func noProgress() throws {
    let bytes: [UInt8] = [1, 2, 3]
    var reader = ByteReader(bytes.rawSpan)
    #expect(throws: DecodingFailure.self) { _ = try reader.read(UInt32.self) }
    #expect(reader.offset == 0 && reader.remaining == 3)
    let first: UInt16 = try reader.read()
    #expect(first == 0x0201)
  }

  @Test("hexadecimal is lower-case, of even length, and every byte comes back")
  func hexadecimal() {
    let all = (0...255).map { UInt8($0) }
    let text = Hexadecimal.text(all.rawSpan)
    #expect(text.hasPrefix("000102") && text.hasSuffix("fdfeff"))
    #expect(Hexadecimal.bytes(text) == all && Hexadecimal.bytes(text.uppercased()) == all)
    #expect(Hexadecimal.bytes("") == [])
    for bad in ["0", "0g", "xx", "0x", " 00", "00 ", "é0", "000"] {
      #expect(Hexadecimal.bytes(bad) == nil, "\(bad)")
    }
  }

  @Test("thirty-two bytes keep memory order and sort by bytes", arguments: [11] as [UInt64])
  func fixedBytes(seed: UInt64) {
    var generator = Generator(seed: seed)
    var previous: [UInt8] = Array(repeating: 0, count: 32)
    for _ in 0..<2_000 {
      var bytes = generator.below(2) == 0 ? generator.bytes(32) : previous
      bytes[generator.below(32)] = UInt8(truncatingIfNeeded: generator.next())
      let (a, b) = (Bytes32(bytes.rawSpan), Bytes32(previous.rawSpan))
      #expect((a < b) == bytes.lexicographicallyPrecedes(previous), "seed \(seed)")
      #expect((a == b) == (bytes == previous), "seed \(seed)")
      #expect(Bytes32(hex: a.description) == a && a.withBytes { $0.array } == bytes)
      previous = bytes
    }
    #expect(Bytes32(hex: String(repeating: "0", count: 62)) == nil)
    #expect(Bytes32(hex: String(repeating: "0", count: 66)) == nil)
    #expect(Bytes32.zero.isZero && !Bytes32((0, 0, 0, 1)).isZero)
  }

  @Test("an event buffer keeps records in order and forgets from where it is told")
  func eventBuffer() {
    struct Event: FlatRecord, Hashable {
      var a: Bytes32 = .zero
      var b: Bytes32 = .zero
      static let empty = Event()
    }
    var buffer = EventBuffer(capacity: 1)
    for value in 0..<10 as Range<UInt64> {
      buffer.append(Event(a: .zero, b: Bytes32((value, 0, 0, 0))))
    }
    #expect(buffer.count == 10 && buffer.byteCount == 640 && buffer.bytes.count == 640)
    #expect(buffer.record(7, as: Event.self).b.words.0 == 7)
    buffer.truncate(to: 3)
    #expect(buffer.count == 3 && buffer.record(2, as: Event.self).b.words.0 == 2)
    buffer.removeAll()
    #expect(buffer.count == 0 && buffer.bytes.isEmpty)
  }
}
