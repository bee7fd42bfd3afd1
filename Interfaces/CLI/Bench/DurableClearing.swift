import Clearing
import Client
import Commitments
import Glibc
import Primitives
import Storage
import Wire

/// Clearing's store as the layer keeps it: each batch one transaction with its header, Clearance,
/// receipts, delta, the batch it came from and its share of pages, then the highwater mark, then the
/// signature.
final class DurableClearing {
  private let folder: String
  private let store: Store
  private let highwater: Highwater
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
    let pages = machine.pageShare(after: number)
    try store.commit { (transaction) throws(StorageFailure) in
      for (kind, bytes) in values { try transaction.put(kind, number, bytes) }
      try transaction.putSigned(role: store.role, seq: number, id: result.header.id)
      try transaction.putHead(head)
      if let pages { try transaction.put(pages, number) }
    }
    try highwater.raise(seq: number, id: result.header.id)
    _ = key.sign(result.header.id)
  }

  deinit {
    // What cannot be removed is left: it is the bench's own folder.
    for name in ["data.mdb", "lock.mdb", "highwater", "novate.lock"] {
      _ = unsafe unlink("\(folder)/\(name)")
    }
    _ = unsafe rmdir(folder)
  }
}
