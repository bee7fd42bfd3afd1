import Commitments
import Glibc
import Primitives
import Testing

@testable import Storage

/// A folder that goes when its owner does.
final class Scratch: Sendable {
  let path: String

  init(in parent: String? = nil) throws {
    let root = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent ?? root)/storage-tests-XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) }
    try #require(unsafe made != nil)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Scratch.remove(path) }

  static func remove(_ path: String) {
    if let names = try? Folder.names(path) {
      for name in names { remove(path + "/" + name) }
      _ = unsafe rmdir(path)
    } else {
      _ = unsafe unlink(path)
    }
  }

  static func contents(_ path: String) throws -> [UInt8] {
    let file = try File(path, .read)
    return try file.read(try file.byteCount(), at: 0)
  }

  static func write(_ bytes: [UInt8], to path: String) throws {
    _ = unsafe unlink(path)
    let file = try File(path, .createNew)
    try file.write(bytes.rawSpan, at: 0)
  }
}

/// Our own generator: SplitMix64, so that a printed seed means the same for ever.
struct Seeded {
  private var state: UInt64
  let seed: UInt64

  init(_ seed: UInt64) {
    self.seed = seed
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A number below `bound`.
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }
}

let network = SHA256.digest(Array("a test network".utf8))
let otherNetwork = SHA256.digest(Array("another network".utf8))

func options(map: Int = 1 << 20, mapMax: Int = 1 << 30, reserve: Int = 1 << 20) -> Store.Options {
  var options = Store.Options()
  options.mapByteCount = map
  options.mapByteCountMax = mapMax
  options.reserveByteCount = reserve
  return options
}

func open(_ folder: String, role: UInt8 = 1, _ chosen: Store.Options = options()) throws -> Store {
  try Store(folder: folder, role: role, network: network, options: chosen)
}

/// The failure that `body` throws; nil where it throws none.
func failure(_ body: () throws -> Void) -> StorageFailure? {
  do {
    try body()
    return nil
  } catch { return error as? StorageFailure }
}

/// A store with `count` batches of a few kinds, some values larger than a page.
func fill(_ store: Store, _ numbers: Range<UInt64>, _ random: inout Seeded) throws {
  for seq in numbers {
    let body = random.bytes(seq % 5 == 0 ? 9000 : 700)
    let header = random.bytes(200)
    try store.commit { (batch) throws(StorageFailure) in
      try batch.put(.header, seq, header)
      try batch.put(.body, seq, body)
      try batch.put(.delta, seq, header + body.prefix(100))
      try batch.putSigned(role: store.role, seq: seq, id: SHA256.digest(body))
      try batch.putHead(
        Head(seq: seq, term: 3, roots: [SHA256.digest(body)], logSize: seq + 1, extra: [7, 8]))
    }
  }
}
