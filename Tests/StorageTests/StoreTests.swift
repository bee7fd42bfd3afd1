import Commitments
import Glibc
import Primitives
import Testing

@testable import Storage

@Suite struct StoreTests {
  @Test("what a batch put is there, and there again after reopening")
  func roundTrip() throws {
    let scratch = try Scratch()
    var random = Seeded(11)
    let bodies = (0..<20).map { _ in random.bytes(10_000) }
    let head = Head(
      seq: 19, term: 4, roots: [network, otherNetwork], logSize: 20, logRoot: network,
      extra: [1, 2, 3])
    do {
      let store = try open(scratch.path)
      #expect(try store.head() == nil)
      #expect(try store.lastSeq(.body) == nil)
      for (seq, body) in bodies.enumerated() {
        try store.commit { (batch) throws(StorageFailure) in
          try batch.put(.body, UInt64(seq), body)
          try batch.put(.header, UInt64(seq), [])
        }
      }
      try store.commit { (batch) throws(StorageFailure) in try batch.putHead(head) }
    }
    let store = try open(scratch.path)
    for (seq, body) in bodies.enumerated() {
      #expect(try store.value(.body, UInt64(seq)) == body)
      #expect(try store.value(.header, UInt64(seq)) == [])
    }
    #expect(try store.value(.body, 20) == nil)
    #expect(try store.value(.receipts, 0) == nil)
    #expect(try store.head() == head)
    #expect(try store.lastSeq(.body) == 19)
    #expect(try store.scrub().damages == [])
  }

  @Test("a kind is walked in the order of batches, across every byte of the number")
  func order() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    let numbers: [UInt64] = [0, 1, 255, 256, 65_535, 1 << 32, .max - 1, .max]
    try store.commit { (batch) throws(StorageFailure) in
      for number in numbers.reversed() { try batch.put(.events, number, [UInt8(number & 0xff)]) }
      try batch.put(.evidence, 3, [1])
    }
    var walked: [UInt64] = []
    try store.read { (reader) throws(StorageFailure) in
      try reader.forEach(.events) { (seq, bytes) throws(StorageFailure) in
        walked.append(seq)
        return bytes.array == [UInt8(seq & 0xff)]
      }
    }
    #expect(walked == numbers)
    var middle: [UInt64] = []
    try store.read { (reader) throws(StorageFailure) in
      try reader.forEach(.events, from: 2, through: 65_535) { (seq, _) throws(StorageFailure) in
        middle.append(seq)
        return true
      }
    }
    #expect(middle == [255, 256, 65_535])
  }

  @Test("a body that throws leaves nothing of its batch")
  func abort() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    let thrown = failure {
      try store.commit { (batch) throws(StorageFailure) in
        try batch.put(.body, 0, [1])
        throw .poisoned
      }
    }
    #expect(thrown == .poisoned)
    #expect(try store.value(.body, 0) == nil)
    try store.commit { (batch) throws(StorageFailure) in try batch.put(.body, 0, [2]) }
    #expect(try store.value(.body, 0) == [2])
    #expect(try store.scrub().damages == [])
  }

  @Test("a folder of another network, role or format is refused, each by its own error")
  func refusals() throws {
    let scratch = try Scratch()
    _ = try open(scratch.path)
    #expect(
      failure { _ = try Store(folder: scratch.path, role: 1, network: otherNetwork) }
        == .otherNetwork(expected: otherNetwork, found: network))
    #expect(
      failure { _ = try Store(folder: scratch.path, role: 2, network: network) }
        == .otherRole(expected: 2, found: 1))
    #expect(
      failure { _ = try Store(folder: scratch.path, role: 1, network: network, formatVersion: 3) }
        == .olderFormat(supported: 3, found: 2))
    #expect(
      failure { _ = try Store(reading: scratch.path, network: otherNetwork) }
        == .otherNetwork(expected: otherNetwork, found: network))
    let newer = try Scratch()
    _ = try Store(folder: newer.path, role: 1, network: network, formatVersion: 9)
    #expect(
      failure { _ = try open(newer.path) } == .newerFormat(supported: 2, found: 9))
    #expect(
      failure { _ = try Store(reading: newer.path) } == .newerFormat(supported: 2, found: 9))
    let empty = try Scratch()
    #expect(
      failure { _ = try Store(reading: empty.path) } == .notAStore(folder: empty.path))
    // The refusals left the folder as it was.
    #expect(try open(scratch.path).head() == nil)
  }

  @Test("a folder is held by one opening of one process")
  func lock() async throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    let path = scratch.path
    #expect(failure { _ = try open(path) } == .folderInUse(folder: path))
    #expect(failure { _ = try Store(reading: path) } == .folderInUse(folder: path))
    await #expect(processExitsWith: .exitCode(7)) { [path = path as String] in
      // Another process: a writer is refused, a reader is not.
      let refused = failure { _ = try open(path) } == .folderInUse(folder: path)
      let read = failure { _ = try Store(reading: path).head() }
      exit(refused && read == nil ? 7 : 1)
    }
    #expect(try store.head() == nil)
  }

  @Test("the folder is readable by its owner alone")
  func permissions() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/layer"
    _ = try open(path)
    #expect(try File(path, .read).status().st_mode & 0o777 == 0o700)
    #expect(try File(path + "/data.mdb", .read).status().st_mode & 0o777 == 0o600)
  }

  @Test("another id for a sequence once signed is refused, the same one is not")
  func signOnce() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    let sign = { (id: Digest) in
      try store.commit { (batch) throws(StorageFailure) in
        try batch.putSigned(role: 1, seq: 5, id: id)
      }
    }
    try sign(network)
    try sign(network)
    #expect(
      failure { try sign(otherNetwork) } == .alreadySigned(role: 1, seq: 5, id: network))
    // Within one transaction too.
    let twice = failure {
      try store.commit { (batch) throws(StorageFailure) in
        try batch.putSigned(role: 1, seq: 6, id: network)
        try batch.putSigned(role: 1, seq: 6, id: otherNetwork)
      }
    }
    #expect(twice == .alreadySigned(role: 1, seq: 6, id: network))
    #expect(try store.read { (r) throws(StorageFailure) in try r.signed(role: 1, 6) } == nil)
    // A Resume makes it void.
    try store.commit { (batch) throws(StorageFailure) in
      try batch.voidSigned(role: 1, above: 4)
    }
    try sign(otherNetwork)
    #expect(
      try store.read { (r) throws(StorageFailure) in try r.signed(role: 1, 5) } == otherNetwork)
    #expect(try store.scrub().damages == [])
  }

  @Test("the map grows under a batch larger than it, up to its maximum")
  func growth() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path, options(map: 1 << 17, mapMax: 8 << 20))
    var random = Seeded(12)
    let value = random.bytes(1 << 20)
    var runs = 0
    try store.commit { (batch) throws(StorageFailure) in
      runs += 1
      try batch.put(.body, 0, value)
      try batch.put(.receipts, 0, value)
    }
    #expect(runs > 1, "the first map cannot have held the batch")
    #expect(try store.value(.receipts, 0) == value)
    var last: StorageFailure?
    for seq in 1..<20 as Range<UInt64> {
      last = failure {
        try store.commit { (batch) throws(StorageFailure) in try batch.put(.body, seq, value) }
      }
      if last != nil { break }
    }
    guard case .diskFull = last else {
      Issue.record("expected a full map, found \(String(describing: last))")
      return
    }
    // Readable, and usable for what fits.
    #expect(try store.value(.body, 0) == value)
    try store.commit { (batch) throws(StorageFailure) in try batch.put(.header, 0, [1]) }
    #expect(try store.scrub().damages == [])
  }

  @Test("values are removed from either end, and the inventory follows")
  func removal() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    var random = Seeded(13)
    try fill(store, 0..<30, &random)
    try store.commit { (batch) throws(StorageFailure) in
      try batch.removeValues(.body, below: 10)
      try batch.removeValues(.body, above: 20)
      try batch.removeValues(.header, below: 100)
    }
    let ranges = try store.read { (reader) throws(StorageFailure) in
      (try reader.range(.body), try reader.range(.header), try reader.range(.delta))
    }
    #expect(ranges == (10...20, nil, 0...29))
    #expect(try store.value(.body, 9) == nil)
    #expect(try store.scrub().damages == [])
  }

  @Test("readers see one commit while the writer goes on")
  func isolation() throws {
    let scratch = try Scratch()
    let store = try open(scratch.path)
    var random = Seeded(14)
    try fill(store, 0..<3, &random)
    try store.read { (reader) throws(StorageFailure) in
      let before = try reader.head()
      // A small batch: the map does not grow under an open reader.
      try store.commit { (batch) throws(StorageFailure) in try batch.putHead(Head(seq: 99)) }
      #expect(try reader.head() == before)
    }
    #expect(try store.head()?.seq == 99)
  }
}
