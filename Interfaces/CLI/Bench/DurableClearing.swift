import Clearing
import Client
import Commitments
import Glibc
import Primitives
import Storage
import Wire

/// Clearing's store as the layer keeps it: each batch one transaction with its header, Clearance,
/// receipts, delta and the batch it came from, then the highwater mark, then the signature; every
/// 64th begins a page checkpoint, written with the eight batches that follow it.
final class DurableClearing {
  private let folder: String
  private let store: Store
  private let highwater: Highwater
  private var checkpoint = PageCheckpoint()
  private let key = SigningKey.random()
  private(set) var byteCount = 0

  /// - Parameter folder: is made, and removed with the object.
  init(folder: String, network: Digest) throws {
    self.folder = folder
    try Files.makeFolder(folder)
    store = try Store(folder: folder, role: Role.clearing.rawValue, network: network)
    highwater = try Highwater(store)
  }

  func keep(_ machine: inout ClearingMachine, _ result: ClearingResult, _ batch: [UInt8]) throws {
    let delta = machine.delta()
    machine.seal()
    let number = result.header.batch.raw
    let values: [(RecordKind, [UInt8])] = [
      (.header, result.header.withBytes { $0.array }), (.body, result.bodyBytes),
      (.delta, delta), (.events, batch),
    ]
    byteCount += values.reduce(0) { $0 + $1.1.count }
    let head = Head(
      seq: number, roots: [result.header.postRoot], logSize: UInt64(machine.log.size),
      logRoot: machine.log.root)
    let share = checkpoint.share(of: 8)
    try store.commit { (transaction) throws(StorageFailure) in
      for (kind, bytes) in values { try transaction.put(kind, number, bytes) }
      try transaction.putSigned(role: store.role, seq: number, id: result.header.id)
      try transaction.putHead(head)
      if let share { try checkpoint.write(share, into: &transaction) }
    }
    if let share { checkpoint.advance(share) }
    try highwater.raise(seq: number, id: result.header.id)
    _ = key.sign(result.header.id)
    if (number + 1) % 64 == 0 { begin(machine.takeDirtyPages(), after: number) }
  }

  private func begin(_ dirty: (pages: [StoredPage], shapes: [StoredShape]), after batch: UInt64) {
    precondition(!checkpoint.isRunning, "a page checkpoint takes eight batches")
    checkpoint.begin(
      PageHead(
        seq: batch,
        pools: dirty.shapes.enumerated().map { pool, shape in
          PoolShape(
            pool: UInt8(pool), recordByteCount: UInt32(shape.recordByteCount),
            recordCount: UInt32(shape.count),
            recordsPerPage: UInt32(max(1, 4096 / shape.recordByteCount)))
        }))
    for page in dirty.pages {
      checkpoint.stage(pool: page.pool, page: page.page, bytes: page.bytes.rawSpan)
    }
  }

  deinit {
    // What cannot be removed is left: it is the bench's own folder.
    for name in ["data.mdb", "lock.mdb", "highwater", "novate.lock"] {
      _ = unsafe unlink("\(folder)/\(name)")
    }
    _ = unsafe rmdir(folder)
  }
}
