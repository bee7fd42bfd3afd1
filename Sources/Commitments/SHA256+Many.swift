import CCrypto
import CDigest
public import Primitives

/// Many messages at once: two side by side where the processor has SHA instructions, else one after
/// the other through libcrypto. The digests are the same; `alone` asks for the second way.
extension SHA256 {
  /// `parents[i] = pair(children[2i], children[2i + 1])` for every `i` of `indices`. Cost: about
  /// 0.05 µs each.
  /// - Precondition: `children` and `parents` reach so far.
  static func level(
    _ children: [Digest], into parents: inout [Digest], at indices: [UInt32], alone: Bool = false
  ) {
    let last = indices.max().map { Int($0) } ?? -1
    precondition(2 * last + 1 < children.count && last < parents.count)
    let done = unsafe children.withUnsafeBytes { from in
      unsafe parents.withUnsafeMutableBytes { to in
        unsafe indices.withUnsafeBufferPointer {
          let (from, to) = (from.baseAddress, to.baseAddress)
          return unsafe !alone && novate_lanes_level(from, to, $0.baseAddress, $0.count) == 1
            || novate_sha256_level(from, to, $0.baseAddress, $0.count) == 1
        }
      }
    }
    precondition(done, "libcrypto refused to hash")
  }

  /// `pair(nodes[0], nodes[1])`, `pair(nodes[2], nodes[3])`, …
  /// - Precondition: an even number of nodes.
  public static func pairs(_ nodes: [Digest]) -> [Digest] {
    precondition(nodes.count.isMultiple(of: 2), "nodes come in pairs")
    var parents = [Digest](repeating: .zero, count: nodes.count / 2)
    level(nodes, into: &parents, at: parents.indices.map { UInt32(truncatingIfNeeded: $0) })
    return parents
  }

  /// SHA-256(0x01 || nodes[0] || nodes[1]), …: a level of a log.
  /// - Precondition: an even number of nodes.
  static func logNodes(_ nodes: [Digest]) -> [Digest] {
    unsafe nodes.withUnsafeBytes {
      unsafe digests(ofRecords: RawSpan(_unsafeBytes: $0), size: 64, prefix: 1)
    }
  }

  /// The digest of `bytes[bounds[0]..<bounds[1]]`, of `bytes[bounds[2]..<bounds[3]]`, …
  /// - Precondition: the ranges lie in `bytes`.
  public static func digests(of bytes: RawSpan, _ bounds: [Int]) -> [Digest] {
    digests(of: bytes, bounds, alone: false)
  }

  static func digests(of bytes: RawSpan, _ bounds: [Int], alone: Bool) -> [Digest] {
    let count = bounds.count / 2
    for place in 0..<count {
      let (start, end) = (bounds[2 * place], bounds[2 * place + 1])
      precondition(0 <= start && start <= end && end <= bytes.byteCount)
    }
    var digests = [Digest](repeating: .zero, count: count)
    let done = unsafe bytes.withUnsafeBytes { from in
      unsafe digests.withUnsafeMutableBytes { to in
        unsafe bounds.withUnsafeBytes {
          let ends = unsafe $0.baseAddress?.assumingMemoryBound(to: Int.self)
          return unsafe !alone
            && novate_lanes_messages(from.baseAddress, ends, count, to.baseAddress) == 1
        }
      }
    }
    if !done {
      for place in 0..<count {
        digests[place] = digest(bytes.extracting(bounds[2 * place]..<bounds[2 * place + 1]))
      }
    }
    return digests
  }

  /// SHA-256(prefix || record) of records of `size` bytes that lie one after the other.
  static func digests(
    ofRecords bytes: RawSpan, size: Int, prefix: UInt8, alone: Bool = false
  ) -> [Digest] {
    precondition(size > 0 && bytes.byteCount.isMultiple(of: size), "whole records")
    let count = bytes.byteCount / size
    var digests = [Digest](repeating: .zero, count: count)
    let done = unsafe bytes.withUnsafeBytes { from in
      unsafe digests.withUnsafeMutableBytes {
        unsafe !alone
          && novate_lanes_records(from.baseAddress, size, count, prefix, $0.baseAddress) == 1
      }
    }
    if !done {
      var stream = SHA256Stream()
      for place in 0..<count {
        stream.update(prefix)
        stream.update(bytes.extracting((place * size)..<((place + 1) * size)))
        digests[place] = stream.finish()
      }
    }
    return digests
  }
}
