/// Where a process listens: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`.
public enum Address: Hashable, Sendable {
  case tcp(host: String, port: UInt16)
  case unix(path: String)

  /// The longest path a socket address holds (`sun_path` without its final zero).
  public static let pathByteCountMax = 107

  /// - Throws: `AddressFailure`.
  public init(_ text: String) throws(AddressFailure) {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      guard (1...Address.pathByteCountMax).contains(path.utf8.count), !path.utf8.contains(0) else {
        throw .path(text)
      }
      self = .unix(path: path)
      return
    }
    guard let colon = text.lastIndex(of: ":") else { throw .form(text) }
    var host = String(text[..<colon])
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = UInt16(digits)
    else { throw .port(text) }
    if host.hasPrefix("[") && host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      guard host.contains(":") else { throw .form(text) }
    } else if host.contains(":") {
      throw .form(text)
    }
    guard !host.isEmpty,
      host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x5B && $0 != 0x5D })
    else { throw .form(text) }
    self = .tcp(host: host, port: port)
  }
}

extension Address: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// Why a text is no address.
public enum AddressFailure: Error, Hashable, Sendable, CustomStringConvertible {
  case form(String)
  case port(String)
  case path(String)

  public var description: String {
    switch self {
    case .form(let text): "address: expected HOST:PORT or unix:PATH, found “\(text)”"
    case .port(let text): "address: expected a port of 0 to 65535, found “\(text)”"
    case .path(let text):
      "address: expected a path of 1 to \(Address.pathByteCountMax) bytes, found “\(text)”"
    }
  }
}
