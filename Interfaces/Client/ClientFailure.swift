public import Wire

/// Why a client got no answer, in one line each.
public enum ClientFailure: Error, Hashable, Sendable {
  case nobodyListens(Address)
  case unknownHost(Address, reason: String)
  /// The system's words.
  case transport(Address, reason: String)
  case timeout(Address, awaited: String, milliseconds: Int)
  case handshake(Address, HandshakeFailure)
  case frame(Address, FrameFailure)
  /// The other side ended the connection without a word.
  case closed(Address)
  /// The other side said no, to one request or, with request id 0, to all.
  case refused(Address, ErrorMessage)
  /// The body is longer than the other side takes.
  case tooLong(Address, found: Int, limit: Int)
  /// The answer is not what such a layer may answer.
  case answer(Address, expected: String, found: String)

  /// Whether the same may succeed on another try.
  public var isRetryable: Bool {
    switch self {
    case .nobodyListens, .transport, .timeout, .closed: true
    case .refused(_, let message): message.isRetryable
    case .handshake(_, .refused(let message)): message.isRetryable
    case .unknownHost, .handshake, .frame, .tooLong, .answer: false
    }
  }
}

extension ClientFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .nobodyListens(let address): "nobody listens at \(address)"
    case .unknownHost(let address, let reason): "cannot find \(address): \(reason)"
    case .transport(let address, let reason): "connection to \(address): \(reason)"
    case .timeout(let address, let awaited, let milliseconds):
      "\(address): expected \(awaited) within \(milliseconds) ms"
    case .handshake(let address, let failure): "\(address): \(failure)"
    case .frame(let address, let failure): "\(address): \(failure)"
    case .closed(let address): "\(address) closed the connection"
    case .refused(let address, let message): "\(address) refused: \(message)"
    case .tooLong(let address, let found, let limit):
      "\(address): expected a body of at most \(limit) bytes, found \(found)"
    case .answer(let address, let expected, let found):
      "\(address): expected \(expected), found \(found)"
    }
  }
}
