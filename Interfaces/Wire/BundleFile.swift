import Commitments
public import Primitives

/// What a bundle file is about; it must fit the question asked of it.
public enum BundleFileKind: UInt8, Sendable {
  case range = 1
  case account = 2
  case trade = 3
  case evidence = 4
}

/// A part of a bundle file.
public enum SectionType: UInt16, Sendable, CaseIterable {
  case manifest = 1
  case genesis = 2
  /// Pools of execution and clearing before the first batch, when it is not batch 0.
  case preState = 3
  /// Signed batches: length u32, then header, signature, body, one after the other.
  case batches = 4
  /// Signed Clearances, likewise.
  case clearances = 5
  /// Checkpoint notes with cosignatures: length u32, then text, one after the other.
  case checkpoints = 6
  case accountProof = 7
  case tradeProof = 8
  case logProof = 9
  /// Two signed objects that contradict each other.
  case evidence = 10
  /// Why a trade was a close that clearing directed.
  case decisionProof = 11
  /// Why an auction began.
  case auctionProof = 12
}

/// Why bytes are no bundle file. All are *proved false* (exit 1) but `.version`, which this build
/// cannot judge.
public enum BundleFileFailure: Error, Hashable, Sendable {
  case magic
  case version(UInt16)
  case truncated(offset: Int)
  case sectionHash(SectionType, offset: Int)
  case unknownSection(UInt16, offset: Int)
  case duplicateSection(SectionType, offset: Int)
  case reserved(offset: Int)
  case tableOfContents(offset: Int)
  case fileHash(offset: Int)
  case manifest(DecodingFailure)
}

extension BundleFileFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .magic: "expected a bundle file, found other bytes"
    case .version(let version):
      "bundle file version \(version) is newer than this build, which reads \(BundleFile.version)"
    case .truncated: "the file is cut short, or bytes were added to it"
    case .sectionHash(let type, _): "the hash of section \(type)"
    case .unknownSection(let code, _): "unknown section \(code)"
    case .duplicateSection(let type, _): "section \(type) stands twice"
    case .reserved: "reserved bytes are not zero"
    case .tableOfContents: "the table of contents"
    case .fileHash: "the hash of the whole file"
    case .manifest(let failure): "the manifest: \(failure)"
    }
  }

  /// Where in the file; nil for a version this build does not know.
  public var offset: Int? {
    switch self {
    case .magic: 0
    case .version: nil
    case .truncated(let offset), .sectionHash(_, let offset), .unknownSection(_, let offset),
      .duplicateSection(_, let offset), .reserved(let offset), .tableOfContents(let offset),
      .fileHash(let offset):
      offset
    case .manifest: BundleFile.sectionHeadByteCount + 8
    }
  }
}

/// The offline file: magic, version, sections with their hashes, a table of contents and the hash
/// of the whole file. Any flipped bit and any missing byte is found.
///
/// | bytes | field |
/// |---|---|
/// | 4 | `NVB1` |
/// | 2, 2 | format version, number of sections |
/// | a section | type u16, flags u16 (0), reserved u32 (0), length u64, SHA-256, payload |
/// | table | per section: type u16, reserved u16, reserved u32, offset u64, length u64 |
/// | 32 | SHA-256 of everything before |
public struct BundleFile: Sendable {
  public static let version: UInt16 = 1
  static let magic: [UInt8] = Array("NVB1".utf8)
  public static let sectionHeadByteCount = 48
  static let entryByteCount = 24

  public struct Manifest: Sendable, Equatable {
    public var kind: BundleFileKind
    public var network: Digest
    public var first: BatchNumber
    public var last: BatchNumber
    /// The account or trade asked for; zero for a range.
    public var subject: UInt64

    public init(
      kind: BundleFileKind, network: Digest, first: BatchNumber, last: BatchNumber,
      subject: UInt64 = 0
    ) {
      self.kind = kind
      self.network = network
      self.first = first
      self.last = last
      self.subject = subject
    }
  }

  public let manifest: Manifest
  /// In file order; the manifest is the first.
  public let sections: [(type: SectionType, offset: Int, bytes: [UInt8])]

  public subscript(type: SectionType) -> [UInt8]? {
    sections.first { $0.type == type }?.bytes
  }

  /// File offset of a section's payload.
  public func offset(of type: SectionType) -> Int? {
    sections.first { $0.type == type }?.offset
  }

  // MARK: - Writing

  /// The file of a manifest and the other sections.
  public static func encoded(
    _ manifest: Manifest, _ sections: [(type: SectionType, bytes: [UInt8])]
  ) -> [UInt8] {
    let all = [(type: SectionType.manifest, bytes: manifest.encoded)] + sections
    var out = ByteWriter(capacity: all.reduce(128) { $0 + $1.bytes.count + 80 })
    out.write(start(sectionCount: all.count))
    var table = ByteWriter()
    for section in all {
      out.write(
        sectionHead(section.type, byteCount: section.bytes.count, SHA256.digest(section.bytes)))
      table.write(
        tableEntry(section.type, offset: out.bytes.count, byteCount: section.bytes.count))
      out.write(section.bytes)
    }
    out.write(table.bytes)
    out.write(SHA256.digest(out.bytes))
    return out.bytes
  }

  // The pieces, for whoever writes a file that does not fit memory.

  /// What stands before the first section.
  public static func start(sectionCount: Int) -> [UInt8] {
    var out = ByteWriter(capacity: 8)
    out.write(magic)
    out.write(version)
    out.write(UInt16(sectionCount))
    return out.bytes
  }

  /// What stands before a section's payload.
  public static func sectionHead(_ type: SectionType, byteCount: Int, _ digest: Digest) -> [UInt8] {
    var out = ByteWriter(capacity: sectionHeadByteCount)
    out.write(type.rawValue)
    out.write(UInt16(0))
    out.write(UInt32(0))
    out.write(UInt64(byteCount))
    out.write(digest)
    return out.bytes
  }

  /// A section's line in the table behind the last one.
  /// - Parameter offset: of the payload.
  public static func tableEntry(_ type: SectionType, offset: Int, byteCount: Int) -> [UInt8] {
    var out = ByteWriter(capacity: entryByteCount)
    out.write(type.rawValue)
    out.pad(6)
    out.write(UInt64(offset))
    out.write(UInt64(byteCount))
    return out.bytes
  }

  // MARK: - Reading

  /// Parses strictly; every byte is accounted for.
  public init(_ file: [UInt8]) throws(BundleFileFailure) {
    let bytes = file.rawSpan
    guard bytes.byteCount >= 8 else { throw .truncated(offset: bytes.byteCount) }
    guard Array(file[0..<4]) == BundleFile.magic else { throw .magic }
    let version: UInt16 = bytes.load(at: 4)
    // A damaged version field is damage, not a newer format: the file hash tells them apart.
    let hashOffset = bytes.byteCount - 32
    let isWhole =
      hashOffset >= 8
      && SHA256.digest(bytes.extracting(0..<hashOffset)) == Bytes32(bytes, at: hashOffset)
    guard version == BundleFile.version else {
      if isWhole { throw .version(version) }
      throw .fileHash(offset: 4)
    }
    let count = Int(bytes.load(at: 6, as: UInt16.self))
    var sections: [(type: SectionType, offset: Int, bytes: [UInt8])] = []
    var offset = 8
    for _ in 0..<count {
      let section = try BundleFile.section(bytes, at: offset, limit: hashOffset)
      guard !sections.contains(where: { $0.type == section.type }) else {
        throw .duplicateSection(section.type, offset: offset)
      }
      sections.append(section)
      offset = section.offset + section.bytes.count
    }
    guard offset + count * BundleFile.entryByteCount == hashOffset else {
      throw .truncated(offset: offset)
    }
    for section in sections {
      guard bytes.load(at: offset, as: UInt16.self) == section.type.rawValue,
        bytes.extracting((offset + 2)..<(offset + 8)).isZero,
        bytes.load(at: offset + 8, as: UInt64.self) == UInt64(section.offset),
        bytes.load(at: offset + 16, as: UInt64.self) == UInt64(section.bytes.count)
      else { throw .tableOfContents(offset: offset) }
      offset += BundleFile.entryByteCount
    }
    guard isWhole else { throw .fileHash(offset: hashOffset) }
    guard let head = sections.first, head.type == .manifest else {
      throw .tableOfContents(offset: 8)
    }
    do {
      manifest = try Manifest(decoding: head.bytes.rawSpan)
    } catch {
      throw .manifest(error)
    }
    self.sections = sections
  }

  private static func section(_ bytes: RawSpan, at offset: Int, limit: Int)
    throws(BundleFileFailure) -> (type: SectionType, offset: Int, bytes: [UInt8])
  {
    let start = offset + sectionHeadByteCount
    guard start <= limit else { throw .truncated(offset: offset) }
    let code: UInt16 = bytes.load(at: offset)
    guard let type = SectionType(rawValue: code) else {
      throw .unknownSection(code, offset: offset)
    }
    guard bytes.extracting((offset + 2)..<(offset + 8)).isZero else {
      throw .reserved(offset: offset + 2)
    }
    let length: UInt64 = bytes.load(at: offset + 8)
    guard length <= UInt64(limit - start) else { throw .truncated(offset: start) }
    let payload = bytes.extracting(start..<(start + Int(length)))
    guard SHA256.digest(payload) == Bytes32(bytes, at: offset + 16) else {
      throw .sectionHash(type, offset: offset)
    }
    return (type, start, payload.array)
  }
}

extension BundleFile.Manifest {
  /// 64 bytes, the payload of the first section.
  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 64)
    out.write(kind.rawValue)
    out.pad(7)
    out.write(network)
    out.write(first)
    out.write(last)
    out.write(subject)
    return out.bytes
  }

  init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    guard let kind = BundleFileKind(rawValue: try reader.read()) else {
      throw .invalid(field: "bundle file kind", offset: 0)
    }
    self.kind = kind
    try reader.zeros(7, field: "manifest reserved")
    network = try reader.read()
    first = try reader.read()
    last = try reader.read()
    subject = try reader.read()
    try reader.finish()
    guard first <= last else { throw .invalid(field: "batch range", offset: 40) }
  }
}

// MARK: - Lists of objects inside a section

/// Objects one after the other, each with its length before it.
public struct ObjectList: Sendable {
  /// Place and length of each object in the section.
  public let ranges: [Range<Int>]
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) throws(DecodingFailure) {
    var reader = ByteReader(bytes.rawSpan)
    var ranges: [Range<Int>] = []
    while reader.remaining > 0 {
      let length = Int(try reader.read(UInt32.self))
      let start = reader.offset
      _ = try reader.span(length)
      ranges.append(start..<(start + length))
    }
    self.ranges = ranges
    self.bytes = bytes
  }

  public var count: Int { ranges.count }
  public func object(_ index: Int) -> [UInt8] { Array(bytes[ranges[index]]) }

  public static func append(_ object: [UInt8], to out: inout ByteWriter) {
    out.write(UInt32(object.count))
    out.write(object)
  }
}
