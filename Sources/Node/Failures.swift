public import Wire

/// What keeps a process from listening.
public enum NodeFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// Somebody listens there already.
  case addressInUse(Address)
  /// The system refused, in its words.
  case cannotListen(Address, reason: String)
  /// It was started before.
  case alreadyStarted
  /// Stored state cannot be loaded.
  case state(String)
  /// A configuration that cannot be used.
  case configuration(String)

  public var description: String {
    switch self {
    case .addressInUse(let address): "cannot listen at \(address): somebody listens there already"
    case .cannotListen(let address, let reason): "cannot listen at \(address): \(reason)"
    case .alreadyStarted: "the server was started before"
    case .state(let reason): "stored state: \(reason)"
    case .configuration(let reason): reason
    }
  }
}

/// Why a connection ended.
public enum ConnectionFailure: Error, Hashable, Sendable, CustomStringConvertible {
  case frame(FrameFailure)
  case handshake(HandshakeFailure)
  /// The other side ended it, with an error or without.
  case closed(by: ErrorMessage?)
  /// We ended it.
  case refused(ErrorMessage)
  /// The other side took its time: for what, and how long it had.
  case timeout(StaticName, milliseconds: Int)
  /// More was waiting to be sent than a slow reader may leave.
  case slowReader(pending: Int, limit: Int)
  /// The system's words.
  case transport(String)

  /// A name known when compiled.
  public struct StaticName: Hashable, Sendable, ExpressibleByStringLiteral,
    CustomStringConvertible
  {
    public let description: String
    public init(stringLiteral value: StaticString) { description = value.description }
  }

  public var description: String {
    switch self {
    case .frame(let failure): "\(failure)"
    case .handshake(let failure): "\(failure)"
    case .closed(let message):
      if let message { "closed by the other side: \(message)" } else { "closed by the other side" }
    case .refused(let message): "closed: \(message)"
    case .timeout(let what, let milliseconds):
      "timeout: expected \(what) within \(milliseconds) ms"
    case .slowReader(let pending, let limit):
      "the other side reads too slowly: \(pending) bytes wait, at most \(limit) may"
    case .transport(let reason): reason
    }
  }

  /// What to tell the other side, if anything.
  var message: ErrorMessage? {
    switch self {
    case .frame(let failure): failure.message
    case .handshake(let failure): failure.message
    case .refused(let message): message
    case .timeout: ErrorMessage(.timeout, description)
    case .slowReader: ErrorMessage(.busy, description)
    case .closed, .transport: nil
    }
  }
}
