public import Primitives

/// What an `ErrorMessage` says went wrong. Numbers are for ever.
public enum ErrorCode: UInt16, Hashable, Sendable, CaseIterable {
  case versionTooOld = 1
  case versionTooNew = 2
  case wrongNetwork = 3
  case unknownType = 4
  case badFrame = 5
  case tooLarge = 6
  case tooManyConnections = 7
  case timeout = 8
  case busy = 9
  case degraded = 10
  case notReady = 11
  case unauthorised = 12
  case internalError = 13
  case malformed = 14
  case notFound = 15

  /// Whether the same request may succeed later without being changed.
  public var isRetryable: Bool {
    switch self {
    case .tooManyConnections, .timeout, .busy, .degraded, .notReady: true
    case .versionTooOld, .versionTooNew, .wrongNetwork, .unknownType, .badFrame, .tooLarge,
      .unauthorised, .internalError, .malformed, .notFound:
      false
    }
  }
}

/// Why a request or a connection was refused.
///
/// code u16, retryable u8, zero u8, text length u32, request id u64, two figures i64, then at most
/// 512 bytes of UTF-8. For the version codes the figures are the sender's and the other's range.
public struct ErrorMessage: Error, Hashable, Sendable {
  public static let textByteCountMax = 512
  public static let byteCountMax = 32 + textByteCountMax

  public let code: ErrorCode
  public let isRetryable: Bool
  /// 0 when the connection, not one request, is meant.
  public let requestID: UInt64
  public let figures: (Int64, Int64)
  public let text: String

  /// - Parameter text: cut to whole characters within 512 bytes.
  public init(
    _ code: ErrorCode, requestID: UInt64 = 0, figures: (Int64, Int64) = (0, 0),
    isRetryable: Bool? = nil, _ text: String = ""
  ) {
    self.code = code
    self.isRetryable = isRetryable ?? code.isRetryable
    self.requestID = requestID
    self.figures = figures
    self.text = ErrorMessage.cut(text)
  }

  private static func cut(_ text: String) -> String {
    guard text.utf8.count > textByteCountMax else { return text }
    var kept = ""
    var count = 0
    for character in text {
      count += character.utf8.count
      if count > textByteCountMax { break }
      kept.append(character)
    }
    return kept
  }

  /// The same error about another request.
  public func about(_ requestID: UInt64) -> ErrorMessage {
    ErrorMessage(code, requestID: requestID, figures: figures, isRetryable: isRetryable, text)
  }

  /// The canonical bytes.
  public var bytes: [UInt8] {
    let characters = Array(text.utf8)
    var writer = ByteWriter(capacity: 32 + characters.count)
    writer.write(code.rawValue)
    writer.write(isRetryable)
    writer.pad(1)
    writer.write(UInt32(characters.count))
    writer.write(requestID)
    writer.write(figures.0)
    writer.write(figures.1)
    writer.write(characters)
    return writer.bytes
  }

  /// - Throws: `DecodingFailure` for any but the canonical bytes.
  public init(_ bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    let number: UInt16 = try reader.read()
    guard let code = ErrorCode(rawValue: number) else {
      throw .invalid(field: "error code", offset: 0)
    }
    self.code = code
    isRetryable = try reader.read(Bool.self, field: "retryable")
    try reader.zeros(1, field: "reserved")
    let count = try reader.count("error text", maximum: ErrorMessage.textByteCountMax)
    requestID = try reader.read()
    figures = (try reader.read(), try reader.read())
    let characters = try reader.array(count)
    guard let text = String(validating: characters, as: UTF8.self) else {
      throw .invalid(field: "error text", offset: 32)
    }
    self.text = text
    try reader.finish()
  }

  public static func == (a: ErrorMessage, b: ErrorMessage) -> Bool {
    a.code == b.code && a.isRetryable == b.isRetryable && a.requestID == b.requestID
      && a.figures == b.figures && a.text.utf8.elementsEqual(b.text.utf8)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(code)
    hasher.combine(requestID)
  }
}

extension ErrorMessage: CustomStringConvertible {
  public var description: String { text.isEmpty ? "\(code)" : "\(code): \(text)" }
}
