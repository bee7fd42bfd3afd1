public import Primitives

/// An append-only log in the manner of RFC 6962 §2.1, in memory: leaf = SHA-256(0x00 || data), node
/// = SHA-256(0x01 || left || right). Keeps every full subtree, so it proves for any size it ever
/// had. Memory: 64 bytes a leaf.
public struct MerkleLog: Sendable {
  /// `levels[k][i]` is the root of the full subtree of leaves `i·2^k ..< (i + 1)·2^k`.
  private var levels: [[Digest]] = [[]]

  /// The empty log.
  public init() {}

  /// The log of these leaf hashes.
  public init(leafHashes: [Digest]) {
    for leaf in leafHashes { append(leafHash: leaf) }
  }

  /// Leaves appended.
  public var count: Int { levels[0].count }
  /// The root at the present size.
  public var root: Digest { rootAt(size: count) }
  /// The hash of the leaf at `index`.
  public func leafHash(at index: Int) -> Digest { levels[0][index] }
  /// The right edge at the present size.
  public var frontier: LogFrontier { frontierAt(size: count) }

  /// Appends a leaf. Cost: one hash, amortized.
  public mutating func append(leafHash leaf: Digest) {
    var node = leaf
    var level = 0
    while true {
      levels[level].append(node)
      let length = levels[level].count
      guard length & 1 == 0 else { return }
      node = SHA256.logNode(levels[level][length - 2], node)
      level += 1
      if level == levels.count { levels.append([]) }
    }
  }

  /// The root of the first `size` leaves. Cost: log₂(size) hashes.
  /// - Precondition: `0 ≤ size ≤ count`.
  public func rootAt(size: Int) -> Digest { frontierAt(size: size).root }

  /// The right edge of the first `size` leaves.
  /// - Precondition: `0 ≤ size ≤ count`.
  public func frontierAt(size: Int) -> LogFrontier {
    precondition(size >= 0 && size <= count, "a log proves only sizes it has had")
    var peaks: [Digest] = []
    var start = 0
    for level in levels.indices.reversed() where size >> level & 1 == 1 {
      peaks.append(levels[level][start >> level])
      start += 1 << level
    }
    return LogFrontier(trusted: size, peaks: peaks)
  }

  /// MTH(D[start ..< start + length]); `start` is a multiple of the power of two ≥ `length`.
  private func subtree(_ start: Int, _ length: Int) -> Digest {
    if length & (length - 1) == 0 {
      let level = length.trailingZeroBitCount
      return levels[level][start >> level]
    }
    let split = MerkleLog.split(length)
    return SHA256.logNode(subtree(start, split), subtree(start + split, length - split))
  }

  /// The largest power of two below `length`.
  /// - Precondition: `length > 1`.
  static func split(_ length: Int) -> Int { 1 << (63 - (length - 1).leadingZeroBitCount) }

  /// PATH(index, D[size]), lowest sibling first (RFC 9162 §2.1.3.1).
  /// - Precondition: `0 ≤ index < size ≤ count`.
  public func inclusionProof(of index: Int, size: Int) -> [Digest] {
    precondition(index >= 0 && index < size && size <= count, "no such leaf at this size")
    var proof: [Digest] = []
    var (start, length) = (0, size)
    while length > 1 {
      let split = MerkleLog.split(length)
      if index - start < split {
        proof.append(subtree(start + split, length - split))
        length = split
      } else {
        proof.append(subtree(start, split))
        start += split
        length -= split
      }
    }
    return proof.reversed()
  }

  /// PROOF(from, D[to]) (RFC 9162 §2.1.4.1); empty when nothing need be shown: `from` is 0 or `to`.
  /// - Precondition: `0 ≤ from ≤ to ≤ count`.
  public func consistencyProof(from: Int, to: Int) -> [Digest] {
    precondition(from >= 0 && from <= to && to <= count, "a log proves only sizes it has had")
    guard from > 0, from < to else { return [] }
    var proof: [Digest] = []
    var (start, length) = (0, to)
    var isWhole = true
    while from - start != length {
      let split = MerkleLog.split(length)
      if from - start <= split {
        proof.append(subtree(start + split, length - split))
        length = split
      } else {
        proof.append(subtree(start, split))
        start += split
        length -= split
        isWhole = false
      }
    }
    if !isWhole { proof.append(subtree(start, length)) }
    return proof.reversed()
  }
}

// MARK: - Leaves, one-shot roots, verification

extension MerkleLog {
  /// SHA-256(0x00 || bytes).
  public static func leafHash(_ bytes: RawSpan) -> Digest {
    var stream = LogLeafStream()
    stream.update(bytes)
    return stream.finish()
  }

  /// SHA-256(0x00 || bytes).
  public static func leafHash(_ bytes: [UInt8]) -> Digest { leafHash(bytes.rawSpan) }

  /// SHA-256(0x00 || first || second), without joining them.
  public static func leafHash(_ first: RawSpan, _ second: RawSpan) -> Digest {
    var stream = LogLeafStream()
    stream.update(first)
    stream.update(second)
    return stream.finish()
  }

  /// SHA-256(0x00 || first || second || third), without joining them.
  public static func leafHash(_ first: RawSpan, _ second: RawSpan, _ third: RawSpan) -> Digest {
    var stream = LogLeafStream()
    stream.update(first)
    stream.update(second)
    stream.update(third)
    return stream.finish()
  }

  /// SHA-256(0x00 || record) of records of `size` bytes that lie one after the other.
  public static func leafHashes(ofRecords bytes: RawSpan, size: Int) -> [Digest] {
    SHA256.digests(ofRecords: bytes, size: size, prefix: 0)
  }

  /// The root of a whole list; of none, SHA-256 of nothing. Level by level: what has no neighbour
  /// goes up as it is.
  public static func root(ofLeafHashes leaves: [Digest]) -> Digest {
    guard leaves.count > 1 else { return leaves.first ?? LogFrontier().root }
    var nodes = leaves
    while nodes.count > 1 {
      let last = nodes.count.isMultiple(of: 2) ? nil : nodes.removeLast()
      nodes = SHA256.logNodes(nodes)
      if let last { nodes.append(last) }
    }
    return nodes[0]
  }

  /// The inclusion proof of one leaf in a whole list.
  /// - Precondition: `index` is one of the list's.
  public static func branch(ofLeafHashes leaves: [Digest], index: Int) -> [Digest] {
    MerkleLog(leafHashes: leaves).inclusionProof(of: index, size: leaves.count)
  }

  /// Whether `leaf` is leaf `index` of the log of `size` leaves under `root` (RFC 9162 §2.1.3.2).
  public static func isIncluded(
    leaf: Digest, index: Int, size: Int, proof: [Digest], root: Digest
  ) -> Bool {
    guard index >= 0, index < size else { return false }
    var (position, last) = (index, size - 1)
    var node = leaf
    for sibling in proof {
      guard last != 0 else { return false }
      if position & 1 == 1 || position == last {
        node = SHA256.logNode(sibling, node)
        while position & 1 == 0 && position != 0 {
          position >>= 1
          last >>= 1
        }
      } else {
        node = SHA256.logNode(node, sibling)
      }
      position >>= 1
      last >>= 1
    }
    return last == 0 && node == root
  }

  /// Whether the log of `newSize` leaves under `newRoot` begins with that of `oldSize` under
  /// `oldRoot` (RFC 9162 §2.1.4.2). The empty log begins every log; its root is SHA-256 of nothing.
  public static func isConsistent(
    oldSize: Int, oldRoot: Digest, newSize: Int, newRoot: Digest, proof: [Digest]
  ) -> Bool {
    guard oldSize >= 0, oldSize <= newSize else { return false }
    if oldSize == newSize { return proof.isEmpty && oldRoot == newRoot }
    if oldSize == 0 { return proof.isEmpty && oldRoot == LogFrontier().root }
    var path = proof
    if oldSize & (oldSize - 1) == 0 { path.insert(oldRoot, at: 0) }
    guard let first = path.first else { return false }
    let shift = (~(oldSize - 1)).trailingZeroBitCount
    var (position, last) = ((oldSize - 1) >> shift, (newSize - 1) >> shift)
    var (old, new) = (first, first)
    for node in path.dropFirst() {
      guard last != 0 else { return false }
      if position & 1 == 1 || position == last {
        old = SHA256.logNode(node, old)
        new = SHA256.logNode(node, new)
        while position & 1 == 0 && position != 0 {
          position >>= 1
          last >>= 1
        }
      } else {
        new = SHA256.logNode(new, node)
      }
      position >>= 1
      last >>= 1
    }
    return last == 0 && old == oldRoot && new == newRoot
  }
}

/// A log leaf hashed piece by piece: begins with the byte 0x00.
public struct LogLeafStream: ~Copyable {
  private var stream = SHA256Stream()

  /// Nothing of the leaf hashed yet.
  public init() { stream.update(0 as UInt8) }
  /// Hashes the next bytes.
  public mutating func update(_ bytes: RawSpan) { stream.update(bytes) }
  /// The leaf hash. The stream must not be used again.
  public consuming func finish() -> Digest { stream.finish() }
}

/// The right edge of a log: enough to append and to give the root, without the tree.
public struct LogFrontier: Hashable, Sendable {
  /// Leaves appended.
  public private(set) var size: Int
  /// The roots of the full subtrees, largest first: one for each set bit of `size`.
  public private(set) var peaks: [Digest]

  /// The empty log.
  public init() { self.init(trusted: 0, peaks: []) }

  init(trusted size: Int, peaks: [Digest]) {
    self.size = size
    self.peaks = peaks
  }

  /// - Throws: `.siblingCount` unless there is one peak for each set bit of `size`.
  public init(size: Int, peaks: [Digest]) throws(ProofFailure) {
    guard size >= 0, peaks.count == size.nonzeroBitCount else {
      throw .siblingCount(expected: size.nonzeroBitCount, found: peaks.count)
    }
    self.init(trusted: size, peaks: peaks)
  }

  /// Appends a leaf. Cost: one hash, amortized.
  public mutating func append(leafHash leaf: Digest) {
    var node = leaf
    for _ in 0..<(~size).trailingZeroBitCount { node = SHA256.logNode(peaks.removeLast(), node) }
    peaks.append(node)
    size += 1
  }

  /// The root; of the empty log, SHA-256 of nothing. Cost: one hash a peak.
  public var root: Digest {
    guard var node = peaks.last else { return SHA256.digest([]) }
    for peak in peaks.dropLast().reversed() { node = SHA256.logNode(peak, node) }
    return node
  }

  /// Reads a frontier: u64 size, then 32 bytes a peak.
  /// - Throws: `.truncated`, `.invalid` for a size above Int64.
  public init(_ reader: inout ByteReader) throws(DecodingFailure) {
    let start = reader.offset
    guard let size = Int(exactly: try reader.read(UInt64.self)) else {
      throw .invalid(field: "log size", offset: start)
    }
    var peaks: [Digest] = []
    for _ in 0..<size.nonzeroBitCount { peaks.append(try reader.read(Bytes32.self)) }
    self.init(trusted: size, peaks: peaks)
  }

  /// Writes the frontier: 8 + 32 × peaks bytes.
  public func encode(into writer: inout ByteWriter) {
    writer.write(UInt64(size))
    for peak in peaks { writer.write(peak) }
  }
}
