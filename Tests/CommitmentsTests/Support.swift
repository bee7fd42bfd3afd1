import Foundation
import Primitives

@testable import Commitments

/// Plain-text fixtures: one row a line, fields apart by spaces, `#` begins a comment.
enum Fixture {
  static func text(_ name: String) throws -> String {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let file = folder.appending(path: "Fixtures/Commitments/\(name)")
    return try String(contentsOf: file, encoding: .utf8)
  }

  static func rows(_ name: String, kind: String? = nil) throws -> [[String]] {
    let lines = try text(name).split(separator: "\n").filter { !$0.hasPrefix("#") }
    let rows = lines.map { $0.split(separator: " ").map(String.init) }
    guard let kind else { return rows }
    return rows.filter { $0[0] == kind }.map { Array($0.dropFirst()) }
  }

  static func bytes(_ hex: String) -> [UInt8] { hex == "-" ? [] : Hexadecimal.bytes(hex)! }
  static func digest(_ hex: String) -> Digest { Digest(hex: hex)! }
}

/// SplitMix64 (Steele, Lea, Flood 2014): ours, so that a seed means the same for ever.
struct Generator {
  var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  mutating func digest() -> Digest { Digest((next(), next(), next(), next())) }
}

extension Bytes32 {
  var array: [UInt8] { withBytes { $0.array } }

  /// A little-endian uint64 in 32 bytes: an SSZ chunk.
  init(_ number: UInt64) { self.init((number, 0, 0, 0)) }

  func flipped(bit: Int) -> Bytes32 {
    var bytes = array
    bytes[bit >> 3] ^= 1 << UInt8(bit & 7)
    return Bytes32(bytes.rawSpan)
  }
}

extension Signature {
  func flipped(bit: Int) -> Signature {
    bit < 256
      ? Signature(r: r.flipped(bit: bit), s: s)
      : Signature(r: r, s: s.flipped(bit: bit - 256))
  }
}

/// The definitions, word for word and slow.
enum Twin {
  static func node(_ left: Digest, _ right: Digest) -> Digest {
    SHA256.digest(left.array + right.array)
  }

  /// The root of a sparse tree of 2^depth leaves.
  static func root(_ leaves: [Int: Digest], depth: Int, from start: Int = 0) -> Digest {
    let inside = leaves.filter { $0.key >= start && $0.key < start + 1 << depth }
    if depth == 0 { return inside[start] ?? .zero }
    if inside.isEmpty {
      let empty = root([:], depth: depth - 1)
      return node(empty, empty)
    }
    let middle = start + 1 << (depth - 1)
    return node(
      root(inside, depth: depth - 1, from: start), root(inside, depth: depth - 1, from: middle))
  }

  /// MTH (RFC 6962 §2.1).
  static func logRoot(_ leaves: ArraySlice<Digest>) -> Digest {
    if leaves.isEmpty { return SHA256.digest([]) }
    if leaves.count == 1 { return leaves[leaves.startIndex] }
    let middle = leaves.startIndex + split(leaves.count)
    return SHA256.digest(
      [1] + logRoot(leaves[..<middle]).array + logRoot(leaves[middle...]).array)
  }

  /// PATH (RFC 6962 §2.1.1).
  static func path(_ index: Int, _ leaves: ArraySlice<Digest>) -> [Digest] {
    guard leaves.count > 1 else { return [] }
    let k = split(leaves.count)
    let (left, right) = (leaves.prefix(k), leaves.dropFirst(k))
    return index < k
      ? path(index, left) + [logRoot(right)] : path(index - k, right) + [logRoot(left)]
  }

  /// SUBPROOF (RFC 6962 §2.1.2).
  static func subproof(_ m: Int, _ leaves: ArraySlice<Digest>, _ isWhole: Bool) -> [Digest] {
    if m == leaves.count { return isWhole ? [] : [logRoot(leaves)] }
    let k = split(leaves.count)
    let (left, right) = (leaves.prefix(k), leaves.dropFirst(k))
    return m <= k
      ? subproof(m, left, isWhole) + [logRoot(right)]
      : subproof(m - k, right, false) + [logRoot(left)]
  }

  /// The largest power of two below `n`.
  static func split(_ n: Int) -> Int {
    var k = 1
    while k * 2 < n { k *= 2 }
    return k
  }
}
