import Glibc
import Primitives
import Testing

@testable import Storage

@Suite struct JournalTests {
  static let segment = 1 << 16

  /// What a replay hands out, and the failure that ended it.
  private func replay(_ folder: String, from first: UInt64 = 0)
    -> (groups: [UInt64: [UInt8]], failure: StorageFailure?)
  {
    var groups: [UInt64: [UInt8]] = [:]
    let thrown = failure {
      _ = try Journal(
        folder: folder, network: network, segmentByteCount: JournalTests.segment,
        replayingFrom: first
      ) { (index, payload) throws(StorageFailure) in groups[index] = payload.array }
    }
    return (groups, thrown)
  }

  private func journal(_ folder: String, from first: UInt64 = 0) throws -> Journal {
    try Journal(
      folder: folder, network: network, segmentByteCount: JournalTests.segment,
      replayingFrom: first
    ) { (_, _) throws(StorageFailure) in }
  }

  /// Writes payloads, each synced before the next, and answers their offsets in segment 0.
  private func write(_ payloads: [[UInt8]], _ folder: String) throws {
    let journal = try journal(folder)
    for payload in payloads {
      try journal.append(payload)
      try journal.sync()
    }
  }

  @Test("groups come back in order over many segments, appended across reopenings")
  func roundTrip() throws {
    let scratch = try Scratch()
    var random = Seeded(21)
    var payloads: [[UInt8]] = []
    for run in 0..<5 {
      let journal = try journal(scratch.path)
      #expect(journal.nextIndex == UInt64(run * 20))
      for _ in 0..<20 {
        payloads.append(random.bytes(random.below(9000)))
        #expect(try journal.append(payloads.last!) == UInt64(payloads.count - 1))
        if random.below(3) == 0 { try journal.sync() }
      }
    }
    let (groups, thrown) = replay(scratch.path)
    #expect(thrown == nil)
    #expect(groups.count == 100)
    for (index, payload) in payloads.enumerated() { #expect(groups[UInt64(index)] == payload) }
    #expect(try JournalScan.numbers(scratch.path + "/journal").count > 4)
    #expect(replay(scratch.path, from: 60).groups.count == 40)
    #expect(replay(scratch.path, from: 101).failure == .journalGap(expected: 101, found: 100))
  }

  @Test("a group too large for a segment is refused, the largest is not")
  func limits() throws {
    let scratch = try Scratch()
    let journal = try journal(scratch.path)
    let maximum = JournalTests.segment - 4096 - 96
    #expect(
      failure { try journal.append([UInt8](repeating: 1, count: maximum + 1)) }
        == .groupTooLarge(byteCount: maximum + 1, maximum: maximum))
    try journal.append([UInt8](repeating: 1, count: maximum))
    try journal.append([])
    try journal.sync()
    let (groups, thrown) = replay(scratch.path)
    #expect(thrown == nil && groups[0]?.count == maximum && groups[1] == [])
  }

  @Test("a journal torn at any byte of its last group keeps every group before it")
  func tornTail() throws {
    let scratch = try Scratch()
    var random = Seeded(22)
    let payloads = [random.bytes(300), random.bytes(1000), random.bytes(333)]
    try write(payloads, scratch.path)
    let path = Journal.path(scratch.path + "/journal", 0)
    let whole = try Scratch.contents(path)
    let start = 4096 + JournalGroup.byteCount(payload: 300) + JournalGroup.byteCount(payload: 1000)
    let end = start + 96 + 333
    for cut in start..<end {
      var bytes = whole
      // Zeros, as a preallocated file holds beyond what reached the disk.
      for index in cut..<end { bytes[index] = 0 }
      try Scratch.write(bytes, to: path)
      let (groups, thrown) = replay(scratch.path)
      #expect(thrown == nil, "cut at \(cut)")
      // A cut of zero bytes alone cuts nothing.
      let isWhole = bytes == whole
      #expect(groups.count == (isWhole ? 3 : 2), "cut at \(cut)")
      #expect(groups[0] == payloads[0] && groups[1] == payloads[1], "cut at \(cut)")
      // The middle of the group alone may have reached the disk too.
      if cut > start + 8, cut % 7 == 0 {
        bytes = whole
        for index in start..<cut { bytes[index] = 0 }
        try Scratch.write(bytes, to: path)
        #expect(replay(scratch.path).groups.count == 2, "head cut before \(cut)")
      }
    }
    // Writing goes on after a torn tail.
    var bytes = whole
    bytes[end - 1] ^= 1
    try Scratch.write(bytes, to: path)
    do {
      let journal = try journal(scratch.path)
      #expect(try journal.append([9]) == 2)
      try journal.sync()
    }
    #expect(replay(scratch.path).groups[2] == [9])
  }

  @Test("a torn group among writes that no sync covered is a tail, though later ones stand")
  func tornUnsynced() throws {
    let scratch = try Scratch()
    var random = Seeded(23)
    do {
      let journal = try journal(scratch.path)
      try journal.append(random.bytes(100))
      try journal.sync()
      for _ in 0..<3 { try journal.append(random.bytes(100)) }
    }
    let path = Journal.path(scratch.path + "/journal", 0)
    var bytes = try Scratch.contents(path)
    bytes[4096 + JournalGroup.byteCount(payload: 100) + 120] ^= 0x10
    try Scratch.write(bytes, to: path)
    let (groups, thrown) = replay(scratch.path)
    #expect(thrown == nil)
    #expect(groups.count == 1)
  }

  @Test("any flipped bit before the last group is a named error, in it at most a torn tail")
  func bitFlips() throws {
    let scratch = try Scratch()
    var random = Seeded(24)
    let payloads = (0..<4).map { _ in random.bytes(40) }
    try write(payloads, scratch.path)
    let path = Journal.path(scratch.path + "/journal", 0)
    let whole = try Scratch.contents(path)
    let group = JournalGroup.byteCount(payload: 40)
    let last = 4096 + 3 * group
    var flips = 0
    for offset in Array(0..<128) + Array(4096..<(4096 + 4 * group)) {
      let isPadding = offset >= 4096 && (offset - 4096) % group >= 96 + 40
      if isPadding { continue }
      var bytes = whole
      bytes[offset] ^= 1 << UInt8(random.below(8))
      try Scratch.write(bytes, to: path)
      let (groups, thrown) = replay(scratch.path)
      flips += 1
      if offset < last {
        guard case .journalDamaged(0, let place, let index) = thrown else {
          Issue.record("offset \(offset): \(String(describing: thrown)), seed \(random.seed)")
          continue
        }
        if offset >= 4096 {
          #expect(Int(place) == 4096 + (offset - 4096) / group * group, "offset \(offset)")
          #expect(Int(index) == (offset - 4096) / group, "offset \(offset)")
        }
      } else {
        #expect(thrown == nil && groups.count == 3, "offset \(offset), seed \(random.seed)")
      }
      for (index, bytes) in groups { #expect(bytes == payloads[Int(index)], "offset \(offset)") }
    }
    #expect(flips == 128 + 4 * 136)
  }

  @Test("a missing or damaged segment in the middle is a named error")
  func missingSegment() throws {
    let scratch = try Scratch()
    var random = Seeded(25)
    let payloads = (0..<30).map { _ in random.bytes(8000) }
    try write(payloads, scratch.path)
    let folder = scratch.path + "/journal"
    let numbers = try JournalScan.numbers(folder)
    #expect(numbers.count >= 4)
    let middle = Journal.path(folder, numbers[1])
    let bytes = try Scratch.contents(middle)
    // The segment's last group: a header after it promised that it was durable.
    var torn = bytes
    torn[4096 + 6 * JournalGroup.byteCount(payload: 8000) + 200] ^= 1
    try Scratch.write(torn, to: middle)
    guard case .journalDamaged(numbers[1], _, 13) = replay(scratch.path).failure else {
      Issue.record("found \(String(describing: replay(scratch.path).failure))")
      return
    }
    try Folder.remove(middle)
    guard case .journalDamaged(numbers[0], _, 7) = replay(scratch.path).failure else {
      Issue.record("found \(String(describing: replay(scratch.path).failure))")
      return
    }
  }

  private func writeTrimming(_ payloads: [[UInt8]], _ folder: String) throws {
    let journal = try journal(folder)
    for (round, payload) in payloads.enumerated() {
      try journal.append(payload)
      try journal.sync()
      if round % 10 == 9 { try journal.trim(before: UInt64(round - 4)) }
    }
  }

  @Test("trimmed segments are recycled, and their stale groups are never read again")
  func recycling() throws {
    let scratch = try Scratch()
    var random = Seeded(26)
    let payloads = (0..<120).map { _ in random.bytes(4000) }
    try writeTrimming(payloads, scratch.path)
    let folder = scratch.path + "/journal"
    #expect(try Folder.names(folder).count < 6)
    let bytes = try Scratch.contents(Journal.path(folder, JournalScan.numbers(folder)[0]))
    let first = JournalSegmentHeader(bytes.rawSpan)
    let begin = try #require(first?.firstIndex)
    #expect(begin <= 115 && begin > 80)
    let (groups, thrown) = replay(scratch.path, from: 115)
    #expect(thrown == nil)
    #expect(groups.count == 5)
    for index in 115..<120 { #expect(groups[UInt64(index)] == payloads[index]) }
    #expect(replay(scratch.path, from: 3).failure == .journalGap(expected: 3, found: begin))
  }

  @Test("a journal of another network is refused")
  func otherNetworkRefused() throws {
    let scratch = try Scratch()
    try write([[1]], scratch.path)
    let thrown = failure {
      _ = try Journal(folder: scratch.path, network: otherNetwork) {
        (_, _) throws(StorageFailure) in
      }
    }
    #expect(thrown == .otherNetwork(expected: otherNetwork, found: network))
  }
}
