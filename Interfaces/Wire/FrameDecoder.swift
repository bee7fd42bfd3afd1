import Commitments
public import Primitives

/// Turns the bytes of a connection back into frames, however they were cut on the way.
///
/// It holds one frame at most, and of that only the bytes that came: a header that announces a long
/// body costs its sender the body before it costs us the memory. After the first failure every
/// further push fails alike.
public struct FrameDecoder: Sendable {
  /// The longest body accepted; may change between frames, when a session is agreed on.
  public var bodyLimit: Int
  /// The versions accepted.
  public var versions: VersionRange
  public let network: UInt64
  private var sequence: UInt64 = 0
  private var partialHeader: [UInt8] = []
  private var header: FrameHeader?
  private var body: [UInt8] = []
  private var failure: FrameFailure?

  /// Memory first set aside for a body that is not yet all here.
  private static let firstReservation = 64 << 10

  public init(
    network: Digest, bodyLimit: Int = FrameHeader.bodyByteCountDefaultMax,
    versions: VersionRange = .current
  ) {
    self.network = network.words.0
    self.bodyLimit = bodyLimit
    self.versions = versions
    partialHeader.reserveCapacity(FrameHeader.byteCount)
  }

  /// Whether a frame has begun and not ended.
  public var isMidFrame: Bool { header != nil || !partialHeader.isEmpty }

  /// Bytes held of the frame that has begun.
  public var heldByteCount: Int {
    header == nil ? partialHeader.count : FrameHeader.byteCount + body.count
  }

  /// Frames completed.
  public var frameCount: UInt64 { sequence }

  /// Takes the next bytes of the stream and appends the frames they complete.
  /// - Throws: `FrameFailure` for the first frame refused; those before it were appended.
  public mutating func push(_ chunk: RawSpan, into frames: inout [Frame]) throws(FrameFailure) {
    var offset = 0
    while let frame = try next(chunk, from: &offset) { frames.append(frame) }
  }

  /// Takes bytes from `offset` on until a frame is complete, and moves `offset` behind them.
  /// - Returns: nil when the chunk is used up.
  /// - Throws: `FrameFailure`.
  public mutating func next(_ chunk: RawSpan, from offset: inout Int) throws(FrameFailure)
    -> Frame?
  {
    if let failure { throw failure }
    do throws(FrameFailure) {
      guard let header = try takeHeader(chunk, from: &offset) else { return nil }
      return try takeBody(header, chunk, from: &offset)
    } catch {
      failure = error
      body = []
      throw error
    }
  }

  private mutating func takeHeader(_ chunk: RawSpan, from offset: inout Int)
    throws(FrameFailure) -> FrameHeader?
  {
    if let header { return header }
    let available = chunk.byteCount - offset
    if available == 0 { return nil }
    let found: FrameHeader
    if partialHeader.isEmpty && available >= FrameHeader.byteCount {
      found = FrameHeader(chunk, at: offset)
      offset += FrameHeader.byteCount
    } else {
      let count = min(available, FrameHeader.byteCount - partialHeader.count)
      partialHeader.append(contentsOf: chunk.extracting(offset..<(offset + count)).array)
      offset += count
      guard partialHeader.count == FrameHeader.byteCount else { return nil }
      found = FrameHeader(partialHeader.rawSpan)
      partialHeader.removeAll(keepingCapacity: true)
    }
    try found.check(
      network: network, versions: versions, bodyLimit: bodyLimit, sequence: sequence)
    header = found
    return found
  }

  private mutating func takeBody(_ header: FrameHeader, _ chunk: RawSpan, from offset: inout Int)
    throws(FrameFailure) -> Frame?
  {
    let length = Int(header.bodyLength)
    let count = min(chunk.byteCount - offset, length - body.count)
    let piece = chunk.extracting(offset..<(offset + count))
    offset += count
    if body.isEmpty && count == length {
      body = piece.array
    } else {
      if body.isEmpty { body.reserveCapacity(min(length, FrameDecoder.firstReservation)) }
      unsafe piece.withUnsafeBytes { unsafe body.append(contentsOf: $0) }
      guard body.count == length else { return nil }
    }
    guard header.bodyChecksum == SipHash.checksum(body.rawSpan) else { throw .bodyChecksum }
    defer {
      self.header = nil
      body = []
      sequence &+= 1
    }
    return Frame(header, body: body)
  }
}
