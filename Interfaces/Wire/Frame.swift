import Commitments
public import Primitives

/// What a frame's header flags say. Any bit not named here is refused.
@frozen public struct FrameFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt16
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// Answers the request whose id the frame bears.
  public static let response = FrameFlags(rawValue: 1)
  /// The body is an `ErrorMessage`.
  public static let error = FrameFlags(rawValue: 2)
  /// More frames of the same request follow.
  public static let more = FrameFlags(rawValue: 4)
  /// Every bit that has a meaning.
  public static let known: FrameFlags = [.response, .error, .more]
}

/// The message types of the session itself, 1…15; all above belong to the application.
public enum SessionMessage {
  public static let hello: UInt16 = 1
  public static let helloAck: UInt16 = 2
  public static let helloProof: UInt16 = 3
  public static let error: UInt16 = 4
  public static let ping: UInt16 = 5
  public static let pong: UInt16 = 6
  public static let credit: UInt16 = 7
  /// Types kept for the session.
  public static let reserved: ClosedRange<UInt16> = 0...15
}

/// The wire versions one side speaks: one major, a range of minors.
public struct VersionRange: Hashable, Sendable, CustomStringConvertible {
  public let major: UInt8
  public let lowestMinor: UInt8
  public let highestMinor: UInt8

  /// - Precondition: `lowestMinor <= highestMinor`.
  public init(major: UInt8, minors: ClosedRange<UInt8>) {
    self.major = major
    lowestMinor = minors.lowerBound
    highestMinor = minors.upperBound
  }

  /// What this build speaks.
  public static let current = VersionRange(major: 1, minors: 0...0)

  /// The range in one integer, as an error's figure carries it: major, lowest, highest, a byte each.
  public var packed: Int64 {
    Int64(major) << 16 | Int64(lowestMinor) << 8 | Int64(highestMinor)
  }

  public var description: String { "\(major).\(lowestMinor)-\(major).\(highestMinor)" }
}

/// Why a frame was refused. The connection that brought it is closed; nothing else changes.
public enum FrameFailure: Error, Hashable, Sendable {
  /// The first four bytes are not `NVT1`.
  case badMagic(found: UInt32)
  /// The header was damaged on the way.
  case headerChecksum
  /// The other side speaks only versions older than ours.
  case versionTooOld(ours: VersionRange, theirs: VersionRange)
  /// The other side speaks only versions newer than ours.
  case versionTooNew(ours: VersionRange, theirs: VersionRange)
  /// The frame belongs to another network; first eight bytes of each id.
  case wrongNetwork(expected: UInt64, found: UInt64)
  /// A reserved flag bit is set.
  case unknownFlags(UInt16)
  /// Message type 0 stands for nothing.
  case reservedType
  /// The fixed part is said to be longer than the body.
  case blockTooLong(block: Int, body: Int)
  /// The body passes what was agreed.
  case bodyTooLong(limit: Int, found: Int)
  /// A frame was lost, repeated or moved.
  case sequenceGap(expected: UInt64, found: UInt64)
  /// The body was damaged on the way.
  case bodyChecksum
}

extension FrameFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .badMagic(let found):
      "frame: expected magic 0x\(String(FrameHeader.magic, radix: 16)), "
        + "found 0x\(String(found, radix: 16))"
    case .headerChecksum: "frame: the header does not match its checksum"
    case .versionTooOld(let ours, let theirs):
      "frame: the other side is too old, expected version \(ours), found \(theirs)"
    case .versionTooNew(let ours, let theirs):
      "frame: the other side is too new, expected version \(ours), found \(theirs)"
    case .wrongNetwork(let expected, let found):
      "frame: expected network \(FrameFailure.prefix(expected)), found "
        + FrameFailure.prefix(found)
    case .unknownFlags(let bits): "frame: unknown flags 0x\(String(bits, radix: 16))"
    case .reservedType: "frame: message type 0 is reserved"
    case .blockTooLong(let block, let body):
      "frame: expected a block of at most \(body) bytes, found \(block)"
    case .bodyTooLong(let limit, let found):
      "frame: expected a body of at most \(limit) bytes, found \(found)"
    case .sequenceGap(let expected, let found):
      "frame: expected stream sequence \(expected), found \(found)"
    case .bodyChecksum: "frame: the body does not match its checksum"
    }
  }

  /// The eight bytes in network order, as the genesis hash begins.
  private static func prefix(_ value: UInt64) -> String {
    let digits = String(value.byteSwapped, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// The 64 bytes before every body, in the order they travel. Its memory is its encoding.
///
/// The checksum is SipHash-2-4 under a published key: against accidents alone. Magic, major and
/// header checksum keep their places in every later version, so that a stranger can be told apart
/// from noise.
@frozen public struct FrameHeader: FlatRecord, Hashable {
  /// `NVT1` read as a little-endian integer.
  public static let magic: UInt32 = 0x3154_564E
  public static let byteCount = 64
  /// The longest body anyone may agree on.
  public static let bodyByteCountHardMax = 16 << 20
  /// The longest body towards and from clients.
  public static let bodyByteCountDefaultMax = 1 << 20
  /// The checksum covers the bytes before it.
  static let checkedByteCount = 56

  public let magic: UInt32
  public let major: UInt8
  public let minor: UInt8
  public let type: UInt16
  public let flags: FrameFlags
  /// Length of the fixed part of the body; what follows it are the message's variable parts.
  public let blockLength: UInt16
  public let bodyLength: UInt32
  /// First eight bytes of the network id.
  public let network: UInt64
  public let requestID: UInt64
  public let sequence: UInt64
  /// Milliseconds the asker still waits; 0 = no limit.
  public let budget: UInt64
  public let bodyChecksum: UInt64
  public let headerChecksum: UInt64

  public static let empty = FrameHeader(
    magic: 0, major: 0, minor: 0, type: 0, flags: [], blockLength: 0, bodyLength: 0, network: 0,
    requestID: 0, sequence: 0, budget: 0, bodyChecksum: 0, headerChecksum: 0)

  private init(
    magic: UInt32, major: UInt8, minor: UInt8, type: UInt16, flags: FrameFlags,
    blockLength: UInt16, bodyLength: UInt32, network: UInt64, requestID: UInt64, sequence: UInt64,
    budget: UInt64, bodyChecksum: UInt64, headerChecksum: UInt64
  ) {
    self.magic = magic
    self.major = major
    self.minor = minor
    self.type = type
    self.flags = flags
    self.blockLength = blockLength
    self.bodyLength = bodyLength
    self.network = network
    self.requestID = requestID
    self.sequence = sequence
    self.budget = budget
    self.bodyChecksum = bodyChecksum
    self.headerChecksum = headerChecksum
  }

  /// The header of a frame that bears `body`, both checksums included.
  /// - Precondition: the body is within the hard maximum and holds the block.
  public init(
    type: UInt16, flags: FrameFlags = [], blockLength: UInt16 = 0, requestID: UInt64 = 0,
    sequence: UInt64, budget: UInt64 = 0, network: UInt64, minor: UInt8 = 0, body: RawSpan
  ) {
    precondition(body.byteCount <= FrameHeader.bodyByteCountHardMax, "a body is at most 16 MiB")
    precondition(Int(blockLength) <= body.byteCount, "the block is a part of the body")
    let unchecked = FrameHeader(
      magic: FrameHeader.magic, major: VersionRange.current.major, minor: minor, type: type,
      flags: flags, blockLength: blockLength, bodyLength: UInt32(body.byteCount), network: network,
      requestID: requestID, sequence: sequence, budget: budget,
      bodyChecksum: SipHash.checksum(body), headerChecksum: 0)
    self.init(unchecked, headerChecksum: unchecked.checksum)
  }

  private init(_ other: FrameHeader, headerChecksum: UInt64) {
    self.init(
      magic: other.magic, major: other.major, minor: other.minor, type: other.type,
      flags: other.flags, blockLength: other.blockLength, bodyLength: other.bodyLength,
      network: other.network, requestID: other.requestID, sequence: other.sequence,
      budget: other.budget, bodyChecksum: other.bodyChecksum, headerChecksum: headerChecksum)
  }

  /// What the last eight bytes must be.
  var checksum: UInt64 {
    withBytes { SipHash.checksum($0.extracting(0..<FrameHeader.checkedByteCount)) }
  }

  /// Refuses a header that may not be followed, before anything is allocated for its body.
  /// - Throws: `FrameFailure`, in the order magic, checksum, version, network, flags, lengths,
  ///   sequence.
  public func check(
    network expected: UInt64, versions: VersionRange, bodyLimit: Int, sequence next: UInt64
  ) throws(FrameFailure) {
    guard magic == FrameHeader.magic else { throw .badMagic(found: magic) }
    guard headerChecksum == checksum else { throw .headerChecksum }
    // A major alone cannot show the other side's minors; its header's minor stands for both ends.
    let theirs = VersionRange(major: major, minors: minor...minor)
    guard major >= versions.major else { throw .versionTooOld(ours: versions, theirs: theirs) }
    guard major == versions.major, minor <= versions.highestMinor else {
      throw .versionTooNew(ours: versions, theirs: theirs)
    }
    guard network == expected else { throw .wrongNetwork(expected: expected, found: network) }
    guard flags.isSubset(of: .known) else {
      throw .unknownFlags(flags.subtracting(.known).rawValue)
    }
    guard type != 0 else { throw .reservedType }
    guard UInt64(bodyLength) <= UInt64(bodyLimit) else {
      throw .bodyTooLong(limit: bodyLimit, found: Int(bodyLength))
    }
    guard UInt32(blockLength) <= bodyLength else {
      throw .blockTooLong(block: Int(blockLength), body: Int(bodyLength))
    }
    guard sequence == next else { throw .sequenceGap(expected: next, found: sequence) }
  }
}

/// One message as it travels: what the header says of it, and its body.
public struct Frame: Hashable, Sendable {
  public var type: UInt16
  public var flags: FrameFlags
  public var blockLength: UInt16
  /// Chosen by whoever asks, echoed by whoever answers; 0 = nobody waits.
  public var requestID: UInt64
  /// Milliseconds the asker still waits; 0 = no limit.
  public var budget: UInt64
  public var body: [UInt8]

  public init(
    type: UInt16, flags: FrameFlags = [], blockLength: UInt16 = 0, requestID: UInt64 = 0,
    budget: UInt64 = 0, body: [UInt8] = []
  ) {
    self.type = type
    self.flags = flags
    self.blockLength = blockLength
    self.requestID = requestID
    self.budget = budget
    self.body = body
  }

  init(_ header: FrameHeader, body: [UInt8]) {
    self.init(
      type: header.type, flags: header.flags, blockLength: header.blockLength,
      requestID: header.requestID, budget: header.budget, body: body)
  }
}

/// Turns frames into bytes and numbers them: one encoder for each direction of a connection.
public struct FrameEncoder: Sendable {
  public let network: UInt64
  /// The minor every header names: the lowest one spoken until one is agreed on.
  public var minor: UInt8 = VersionRange.current.lowestMinor
  /// The number of the next frame.
  public private(set) var sequence: UInt64 = 0

  /// - Parameter network: the whole network id; frames bear its first eight bytes.
  public init(network: Digest) { self.network = network.words.0 }

  /// The header of the next frame; its bytes go out before the body's.
  public mutating func header(
    type: UInt16, flags: FrameFlags = [], blockLength: UInt16 = 0, requestID: UInt64 = 0,
    budget: UInt64 = 0, body: RawSpan
  ) -> FrameHeader {
    defer { sequence &+= 1 }
    return FrameHeader(
      type: type, flags: flags, blockLength: blockLength, requestID: requestID, sequence: sequence,
      budget: budget, network: network, minor: minor, body: body)
  }

  /// Appends the next frame.
  public mutating func encode(_ frame: Frame, into writer: inout ByteWriter) {
    let header = header(
      type: frame.type, flags: frame.flags, blockLength: frame.blockLength,
      requestID: frame.requestID, budget: frame.budget, body: frame.body.rawSpan)
    writer.write(record: header)
    writer.write(frame.body)
  }
}
