import Clearing
public import Commitments
import Execution
public import Primitives
public import Wire

/// Why bytes are no state to begin a replay from.
public enum SnapshotFailure: Error, Hashable, Sendable, CustomStringConvertible {
  case decoding(DecodingFailure)
  /// Decodes, and contradicts itself: what, and how.
  case state(String)

  public var description: String {
    switch self {
    case .decoding(let failure): "\(failure)"
    case .state(let text): text
    }
  }
}

/// The head of a snapshot: what a file's first headers must confirm.
///
/// version u16 || reserved u16 || number of Clearances u32 || log frontier || execution's last id ||
/// clearing's last id || both roots || Clearances (header, length u32, body) || two pools
/// (length u64, bytes).
public struct SnapshotHead: Sendable, Equatable {
  public static let version: UInt16 = 1
  /// The log before the first batch to come.
  public var log: LogFrontier
  public var executionID: Digest
  public var clearingID: Digest
  public var executionRoot: Digest
  public var clearingRoot: Digest
  var grantCount: Int

  public init(_ bytes: [UInt8]) throws(DecodingFailure) {
    let bytes = bytes
    var reader = ByteReader(bytes.rawSpan)
    try self.init(&reader)
  }

  init(_ reader: inout ByteReader) throws(DecodingFailure) {
    guard try reader.read(UInt16.self) == SnapshotHead.version else {
      throw .invalid(field: "snapshot version", offset: 0)
    }
    try reader.zeros(2, field: "snapshot reserved")
    grantCount = try reader.count("Clearances", maximum: 65_536)
    log = try LogFrontier(&reader)
    executionID = try reader.read()
    clearingID = try reader.read()
    executionRoot = try reader.read()
    clearingRoot = try reader.read()
  }
}

extension Replay {
  /// Both machines, the log's edge and the Clearances not yet adopted, between two batches.
  public mutating func preState() -> [UInt8] {
    var out = ByteWriter(capacity: 1 << 16)
    out.write(SnapshotHead.version)
    out.write(UInt16(0))
    out.write(UInt32(grants.count))
    clearing.log.encode(into: &out)
    out.write(execution.previousID)
    out.write(clearing.previousID)
    out.write(execution.root)
    out.write(clearing.root)
    for grant in grants {
      let body = grant.body.encoded
      out.write(record: grant.header)
      out.write(UInt32(body.count))
      out.write(body)
    }
    for pools in [execution.snapshot(), clearing.snapshot()] {
      out.write(UInt64(pools.count))
      out.write(pools)
    }
    return out.bytes
  }

  /// A replay that goes on where the snapshot was taken. What it holds is consistent with its own
  /// head; whether the head is true, the headers of the next batch say.
  public static func resumed(genesis: Genesis, snapshot bytes: [UInt8]) throws(SnapshotFailure)
    -> Replay
  {
    var reader = ByteReader(bytes.rawSpan)
    let head: SnapshotHead
    var grants: [(header: ClearingHeader, body: ClearanceBody)] = []
    var pools: [[UInt8]] = []
    do throws(DecodingFailure) {
      head = try SnapshotHead(&reader)
      for _ in 0..<head.grantCount {
        let header = try reader.read(record: ClearingHeader.self)
        let length = try reader.count("Clearance body", maximum: Limits.batchBodyByteCountMax)
        let body = try reader.array(length)
        guard SHA256.digest(body) == header.bodyHash else {
          throw DecodingFailure.invalid(field: "Clearance body hash", offset: reader.offset)
        }
        grants.append((header, try ClearanceBody(encoded: body.rawSpan)))
      }
      for _ in 0..<2 {
        let length: UInt64 = try reader.read()
        guard length <= UInt64(reader.remaining) else {
          throw DecodingFailure.truncated(offset: reader.offset, needed: Int.max)
        }
        pools.append(try reader.array(Int(length)))
      }
      try reader.finish()
    } catch {
      throw .decoding(error)
    }
    var replay = Replay(genesis: genesis)
    try replay.load(head, pools)
    try replay.adopt(head, grants)
    return replay
  }

  private mutating func load(_ head: SnapshotHead, _ pools: [[UInt8]]) throws(SnapshotFailure) {
    do throws(DecodingFailure) {
      try execution.load(snapshot: pools[0])
      try clearing.load(snapshot: pools[1])
    } catch {
      throw SnapshotFailure.decoding(error)
    }
    do {
      try execution.rebuild(expecting: head.executionRoot, previous: head.executionID)
    } catch {
      throw .state("execution: \(error)")
    }
    do {
      try clearing.rebuild(
        expecting: head.clearingRoot, previous: head.clearingID,
        previousExecution: head.executionID, log: head.log)
    } catch {
      throw .state("clearing: \(error)")
    }
    guard execution.batch == clearing.batch, UInt64(head.log.size) == clearing.batch.raw else {
      throw .state(
        "expected one batch number, found \(execution.batch), \(clearing.batch) and a log of "
          + "\(head.log.size)")
    }
  }

  /// The Clearances not yet adopted hang together, without gap, between the adopted one and the
  /// last header.
  private mutating func adopt(
    _ head: SnapshotHead, _ grants: [(header: ClearingHeader, body: ClearanceBody)]
  ) throws(SnapshotFailure) {
    let first = execution.creditBatch.map { $0.raw + 1 } ?? 0
    guard UInt64(grants.count) == clearing.batch.raw - first else {
      throw .state("expected \(clearing.batch.raw - first) Clearances, found \(grants.count)")
    }
    var next = head.clearingID
    for (place, grant) in grants.enumerated().reversed() {
      guard grant.header.id == next, grant.header.batch.raw == first + UInt64(place) else {
        throw .state("Clearance \(place) does not stand in the chain")
      }
      next = grant.header.previous
    }
    guard first == 0 || next == execution.creditID else {
      throw .state("the first Clearance does not follow the adopted one")
    }
    self.grants = grants
  }
}
