public import Primitives

/// A log's size and root at one moment, as a note's text (https://c2sp.org/tlog-checkpoint).
public struct Checkpoint: Hashable, Sendable {
  /// The log's name: the first line.
  public let origin: String
  /// Leaves.
  public let size: Int
  /// The RFC 6962 root at that size.
  public let root: Digest
  /// Further lines, signed but opaque; ours have none.
  public let extensions: [String]

  /// - Precondition: `origin` is one line that is not empty, `size ≥ 0`.
  public init(origin: String, size: Int, root: Digest) {
    precondition(Checkpoint.isLine(origin) && size >= 0, "a checkpoint needs an origin and a size")
    self.origin = origin
    self.size = size
    self.root = root
    extensions = []
  }

  /// Parses a note's text.
  /// - Throws: `.malformed`, naming the line that is wrong.
  public init(parsing text: String) throws(NoteFailure) {
    let bytes = Array(text.utf8)
    guard bytes.last == UInt8(ascii: "\n") else { throw .malformed(.checkpointLines) }
    let lines = bytes.dropLast()
      .split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    guard lines.count >= 3, lines.allSatisfy(Checkpoint.isLine) else {
      throw .malformed(.checkpointLines)
    }
    // The number's own text must come back: that refuses signs and leading zeroes.
    guard let size = Int(lines[1]), size >= 0, String(size) == lines[1] else {
      throw .malformed(.treeSize)
    }
    guard let root = Base64.bytes(lines[2]), root.count == 32 else { throw .malformed(.rootHash) }
    origin = lines[0]
    self.size = size
    self.root = Digest(root.rawSpan)
    extensions = Array(lines[3...])
  }

  /// The text that is signed, its last newline included.
  public var text: String {
    ([origin, String(size), Base64.text(root)] + extensions).map { $0 + "\n" }.joined()
  }

  /// The checkpoint as a note nobody has signed yet.
  public var note: SignedNote {
    // Every line was checked, so the text cannot be malformed.
    do { return try SignedNote(text: text) } catch { preconditionFailure("\(error)") }
  }

  private static func isLine(_ line: String) -> Bool {
    !line.isEmpty && line.utf8.allSatisfy { $0 >= 0x20 }
  }
}
