import Commitments
public import Primitives
public import Storage

/// One batch ready to be made durable: its values, the head after it, and the id to be signed.
public struct DurableBatch: Sendable {
  public var batch: BatchNumber
  public var values: [(kind: RecordKind, bytes: [UInt8])]
  /// The state after it; nil where it changes none: a refusal before the first batch.
  public var head: Head?
  /// What this role signs for the batch.
  public var id: Digest
  /// Pages as the batch left them.
  public var pages: PageShare?

  public init(
    batch: BatchNumber, values: [(kind: RecordKind, bytes: [UInt8])], head: Head?, id: Digest,
    pages: PageShare? = nil
  ) {
    self.batch = batch
    self.values = values
    self.head = head
    self.id = id
    self.pages = pages
  }
}

/// A layer's durable state: one transaction a group of batches, with some pages of the state as each
/// left them, and the highwater mark before each signature.
///
/// One thread at a time uses it: the opening thread first, the commit thread after.
public final class StateKeeper: @unchecked Sendable {
  public let store: Store
  private let highwater: Highwater

  /// Opens a layer's folder.
  public init(folder: String, role: UInt8, network: Digest, options: Store.Options = .init())
    throws(StorageFailure)
  {
    store = try Store(folder: folder, role: role, network: network, options: options)
    highwater = try Highwater(store)
  }

  public var standing: Standing { highwater.standing }

  /// Whether nothing may be signed before the peers have shown what was signed already.
  public var isRecovering: Bool {
    if case .recovering = standing { true } else { false }
  }

  /// Raises the highwater mark to the last id committed: a crash may have come between the two, and
  /// from now on its signature is given to whoever asks.
  public func permitCommitted() throws(StorageFailure) {
    let role = store.role
    let last = try store.read {
      (reader) throws(StorageFailure) -> (seq: UInt64, id: Digest)? in
      guard let seq = try reader.signedRange(role: role)?.upperBound,
        let id = try reader.signed(role: role, seq)
      else { return nil }
      return (seq, id)
    }
    if let last { try highwater.raise(seq: last.seq, id: last.id) }
  }

  /// The id this role stands for as batch `seq`; nil where the folder holds none.
  public func signedID(_ seq: UInt64) throws(StorageFailure) -> Digest? {
    let role = store.role
    return try store.read { (reader) throws(StorageFailure) in
      try reader.signed(role: role, seq)
    }
  }

  /// The least batch that a recovery has to reach; nil where none is needed.
  public var recoversThrough: UInt64? {
    if case .recovering(let least, _) = standing { least } else { nil }
  }

  // MARK: - Loading

  /// Loads a machine: its pages, then every delta since the page head that they do not hold.
  ///
  /// - Returns: the head the machine now stands at; nil for a folder that never committed.
  /// - Throws: `.damaged` and the like when something stored does not match its hash; the machine's
  ///   `rebuild` then checks the root.
  public func load<Machine: PooledState & ~Copyable>(_ machine: inout Machine)
    throws -> Head?
  {
    guard let head = try store.head() else { return nil }
    var (next, ahead): (UInt64, [PagesAhead]) = (0, [])
    let stored = try store.read { (reader) throws(StorageFailure) -> [StoredPool] in
      guard let pageHead = try reader.pageHead() else { return [] }
      next = pageHead.seq + 1
      var pools: [StoredPool] = []
      for shape in pageHead.pools { pools.append(try reader.pool(shape, through: head.seq)) }
      return pools
    }
    if !stored.isEmpty {
      try machine.load(pools: stored.map { ($0.count, $0.bytes) })
      ahead = stored.map(\.ahead)
    }
    let furthest = ahead.compactMap { $0.batches.max() }.max()
    while next <= head.seq {
      guard let delta = try store.value(.delta, next) else {
        throw NodeFailure.state("the delta of batch \(next) is missing")
      }
      if let furthest, next <= furthest {
        try machine.applyDelta(delta, of: next, past: &ahead)
      } else {
        try machine.applyDelta(delta)
      }
      next += 1
    }
    return head
  }

  // MARK: - Committing

  /// Makes batches durable in one transaction, in order: values, deltas, what will be signed, head.
  /// - Throws: `.diskFull` (nothing changed; try again), `.alreadySigned`, `.fatalInputOutput`.
  public func commit(_ batches: [DurableBatch]) throws(StorageFailure) {
    guard !batches.isEmpty else { return }
    try store.commit { (transaction) throws(StorageFailure) in
      for batch in batches {
        for (kind, bytes) in batch.values {
          try transaction.put(kind, batch.batch.raw, bytes)
        }
        try transaction.putSigned(role: store.role, seq: batch.batch.raw, id: batch.id)
        if let pages = batch.pages { try transaction.put(pages, batch.batch.raw) }
      }
      // A refusal, which leaves the head where it was, may come last.
      if let head = batches.last(where: { $0.head != nil })?.head {
        try transaction.putHead(head)
      }
    }
    Fault.reach("page.shared", batches.contains { $0.pages != nil })
  }

  /// Raises the highwater mark; only then may the signature of `id` leave.
  /// - Throws: `.recovering` while the folder may not sign.
  public func permitSignature(_ batch: BatchNumber, _ id: Digest) throws(StorageFailure) {
    try highwater.raise(seq: batch.raw, id: id)
  }

  /// Ends recovery: replay has reached what the peers show as signed.
  public func finishRecovery(_ batch: BatchNumber, _ id: Digest) throws(StorageFailure) {
    try highwater.finishRecovery(at: Highwater.Mark(seq: batch.raw, id: id))
  }
}
