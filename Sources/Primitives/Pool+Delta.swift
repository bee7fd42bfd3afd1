/// What a batch changed in a pool, as it is stored: it redoes the batch.
///
/// u32 count before, u32 count after, u32 entries; where there are any a u64 check of what stood
/// there before; then each entry in the order of first touch: u32 slot, a bit for each eight bytes of
/// the record that changed, and each of those, old and new XORed. A batch changes two or three words
/// of a record of eleven.
extension Pool {
  private static var words: Int { (MemoryLayout<Record>.size + 7) / 8 }
  private static var maskByteCount: Int { (words + 7) / 8 }
  /// How many entries on a record is asked for: it lies where no neighbour of it was read.
  private static var ahead: Int { 12 }

  /// Eight bytes of a record; the last may be fewer.
  @inline(__always)
  private static func word(_ record: UnsafeRawPointer, _ place: Int, _ size: Int) -> UInt64 {
    if place &* 8 &+ 8 <= size {
      return unsafe record.loadUnaligned(fromByteOffset: place &* 8, as: UInt64.self)
    }
    var word: UInt64 = 0
    for byte in place &* 8..<size {
      word |=
        unsafe UInt64(record.load(fromByteOffset: byte, as: UInt8.self)) << UInt64(byte % 8 * 8)
    }
    return word
  }

  /// Not for enemies: it tells one history from another, and the root tells everything.
  @inline(__always)
  private static func mixed(_ check: UInt64, _ word: UInt64) -> UInt64 {
    let product = (check ^ word) &* 0x9E37_79B9_7F4A_7C15
    return product ^ product &>> 29
  }

  /// Appends the batch's delta.
  public func writeDelta(into writer: inout ByteWriter) {
    writer.write(UInt32(sealedCount))
    writer.write(UInt32(count))
    writer.write(UInt32(touchedCount))
    guard touchedCount > 0 else { return }
    // One piece of memory for all entries, filled byte by byte: a batch touches thousands, and a
    // store of a generic record asks for its type each time.
    let size = MemoryLayout<Record>.size
    let stride = MemoryLayout<Touch>.stride
    let oldOffset = MemoryLayout<Touch>.size - size
    let (words, masks) = (Pool.words, Pool.maskByteCount)
    let (touches, records) = unsafe (UnsafeRawPointer(undo), UnsafeRawPointer(base))
    var check: UInt64 = 0
    let capacity = touchedCount * (4 + masks + 8 * words)
    let entries = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { (buffer, count) in
      guard let start = UnsafeMutableRawPointer(buffer.baseAddress) else { return }
      var target = unsafe start
      for index in 0..<touchedCount {
        if index &+ Pool.ahead < touchedCount {
          prefetch(Int(unsafe (touches + (index &+ Pool.ahead) * stride).load(as: UInt32.self)))
        }
        let touch = unsafe touches + index * stride
        let slot = unsafe touch.load(as: UInt32.self)
        let (old, new) = unsafe (touch + oldOffset, records + Int(slot) * size)
        unsafe target.storeBytes(of: slot.littleEndian, as: UInt32.self)
        let mask = unsafe target + 4
        unsafe mask.initializeMemory(as: UInt8.self, repeating: 0, count: masks)
        unsafe target = mask + masks
        for place in 0..<words {
          let before = unsafe Pool.word(old, place, size)
          check = Pool.mixed(check, before)
          let change = unsafe before ^ Pool.word(new, place, size)
          // Written in any case, and kept where something changed: no branch to guess.
          unsafe target.storeBytes(of: change.littleEndian, as: UInt64.self)
          let isChanged: UInt8 = change == 0 ? 0 : 1
          unsafe target += 8 &* Int(isChanged)
          let bits = unsafe mask.load(fromByteOffset: place &>> 3, as: UInt8.self)
          unsafe mask.storeBytes(
            of: bits | isChanged &<< UInt8(place & 7), toByteOffset: place &>> 3, as: UInt8.self)
        }
      }
      count = unsafe target - start
    }
    writer.write(check)
    writer.write(entries)
  }

  /// Applies a delta forwards; what it changes must be what stood there. The batch stays open, for
  /// the caller to seal once every pool has taken its part, or to roll back.
  /// - Throws: `.invalid` when it is not: delta and pages belong to different histories.
  public mutating func applyDelta(_ reader: inout ByteReader) throws(DecodingFailure) {
    _ = try redo(&reader, from: count) { _ in false }
  }

  /// The same of a pool of `standing` slots, leaving out the slots that have the batch already; gives
  /// its count after it. Where any slot is left out, nothing tells what stood there before.
  mutating func redo(
    _ reader: inout ByteReader, from standing: Int, _ isAhead: (Int) -> Bool
  ) throws(DecodingFailure) -> Int {
    let before = Int(try reader.read(UInt32.self))
    let after = Int(try reader.read(UInt32.self))
    guard before == standing, after >= before else {
      throw .invalid(field: "delta slot count", offset: reader.offset)
    }
    let entries = Int(try reader.read(UInt32.self))
    // Every new slot is an entry, so that no count takes memory its bytes do not stand for.
    guard after - before <= entries, reader.remaining / (4 + Pool.maskByteCount) >= entries else {
      throw .invalid(field: "delta entry count", offset: reader.offset)
    }
    guard entries > 0 else { return after }
    if after > 0 { reserve(through: after - 1) }
    let expected: UInt64 = try reader.read()
    var check: UInt64 = 0
    var isWhole = true
    for _ in 0..<entries {
      let slot = Int(try reader.read(UInt32.self))
      guard slot < after else { throw .invalid(field: "delta slot", offset: reader.offset) }
      var record = self[slot]
      try Pool.change(&record, &check, &reader)
      if isAhead(slot) { isWhole = false } else { self[slot] = record }
    }
    guard check == expected || !isWhole else {
      throw .invalid(field: "delta old bytes", offset: reader.offset)
    }
    return after
  }

  private static func change(
    _ record: inout Record, _ check: inout UInt64, _ reader: inout ByteReader
  )
    throws(DecodingFailure)
  {
    let size = MemoryLayout<Record>.size
    var bytes = record.withBytes { $0.array }
    let mask = try reader.array(maskByteCount)
    for place in 0..<(maskByteCount * 8) {
      let isChanged = mask[place >> 3] >> UInt8(place & 7) & 1 == 1
      guard place < words else {
        guard !isChanged else { throw .invalid(field: "delta mask", offset: reader.offset) }
        continue
      }
      var word: UInt64 = 0
      for byte in place * 8..<min(size, place * 8 + 8) {
        word |= UInt64(bytes[byte]) << UInt64(byte % 8 * 8)
      }
      check = mixed(check, word)
      guard isChanged else { continue }
      word ^= try reader.read(UInt64.self)
      for byte in place * 8..<min(size, place * 8 + 8) {
        bytes[byte] = UInt8(truncatingIfNeeded: word >> UInt64(byte % 8 * 8))
      }
    }
    record = Record(bytes.rawSpan)
  }
}
