import Glibc
import Wire

/// A moment on the monotonic clock to give up at.
struct Deadline {
  let milliseconds: Int
  private let end: Int

  init(milliseconds: Int) {
    self.milliseconds = milliseconds
    end = Deadline.now + milliseconds
  }

  /// Milliseconds on the monotonic clock.
  static var now: Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int(time.tv_sec) * 1000 + time.tv_nsec / 1_000_000
  }

  /// Milliseconds left, 0 when it has passed.
  var rest: Int32 { Int32(clamping: max(0, end - Deadline.now)) }
}

/// A stream socket that never waits by itself: `wait` does.
struct Socket: ~Copyable {
  let descriptor: Int32
  private let address: Address

  /// Connects.
  /// - Throws: `ClientFailure`.
  init(to address: Address, _ deadline: Deadline) throws(ClientFailure) {
    let descriptor =
      switch address {
      case .unix(let path): try Socket.connect(path: path, address)
      case .tcp(let host, let port):
        try Socket.connect(host: host, port: port, address, deadline)
      }
    self.init(adopting: descriptor, address)
  }

  private init(adopting descriptor: Int32, _ address: Address) {
    self.descriptor = descriptor
    self.address = address
  }

  deinit { Glibc.close(descriptor) }

  private static func open(_ family: Int32, _ address: Address) throws(ClientFailure) -> Int32 {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw failure(address, errno) }
    let flags = fcntl(descriptor, F_GETFL)
    guard fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 else {
      let code = errno
      Glibc.close(descriptor)
      throw failure(address, code)
    }
    return descriptor
  }

  private static func connect(path: String, _ address: Address) throws(ClientFailure) -> Int32 {
    let descriptor = try open(AF_UNIX, address)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &name.sun_path) { field in
      unsafe field.copyBytes(from: path.utf8)
    }
    let status = unsafe withUnsafePointer(to: name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard status == 0 else {
      let code = errno
      Glibc.close(descriptor)
      throw failure(address, code)
    }
    return descriptor
  }

  /// Tries every address the host has, and keeps the last refusal.
  private static func connect(host: String, port: UInt16, _ address: Address, _ deadline: Deadline)
    throws(ClientFailure) -> Int32
  {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let status = unsafe getaddrinfo(host, "\(port)", &hints, &list)
    guard status == 0 else {
      throw .unknownHost(address, reason: unsafe String(cString: gai_strerror(status)))
    }
    defer { unsafe freeaddrinfo(list) }
    var last = ClientFailure.nobodyListens(address)
    var next = unsafe list
    while let entry = unsafe next {
      unsafe next = entry.pointee.ai_next
      do throws(ClientFailure) {
        return unsafe try connect(entry.pointee, address, deadline)
      } catch {
        last = error
      }
    }
    throw last
  }

  private static func connect(_ entry: addrinfo, _ address: Address, _ deadline: Deadline)
    throws(ClientFailure) -> Int32
  {
    let candidate = Socket(adopting: unsafe try open(entry.ai_family, address), address)
    if unsafe Glibc.connect(candidate.descriptor, entry.ai_addr, entry.ai_addrlen) != 0 {
      guard errno == EINPROGRESS else { throw failure(address, errno) }
      _ = try candidate.wait(forRoom: true, deadline, awaited: "a connection")
      var code: Int32 = 0
      var size = socklen_t(MemoryLayout<Int32>.size)
      unsafe getsockopt(candidate.descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
      guard code == 0 else { throw failure(address, code) }
    }
    var one: Int32 = 1
    unsafe setsockopt(
      candidate.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one,
      socklen_t(MemoryLayout<Int32>.size))
    // The candidate closes its own descriptor.
    let kept = dup(candidate.descriptor)
    guard kept >= 0 else { throw failure(address, errno) }
    return kept
  }

  private static func failure(_ address: Address, _ code: Int32) -> ClientFailure {
    switch code {
    case ECONNREFUSED, ENOENT: .nobodyListens(address)
    case EPIPE, ECONNRESET: .closed(address)
    default: .transport(address, reason: unsafe String(cString: strerror(code)))
    }
  }

  /// Waits until there is something to read, or room to write.
  /// - Throws: `.timeout`.
  func wait(forRoom: Bool, _ deadline: Deadline, awaited: String) throws(ClientFailure)
    -> (canRead: Bool, canWrite: Bool)
  {
    while true {
      var entry = pollfd()
      entry.fd = descriptor
      entry.events = Int16(POLLIN) | (forRoom ? Int16(POLLOUT) : 0)
      let count = unsafe poll(&entry, 1, deadline.rest)
      if count > 0 {
        // An error or a hang-up shows when reading.
        return (entry.revents & ~Int16(POLLOUT) != 0, entry.revents & Int16(POLLOUT) != 0)
      }
      if count == 0 {
        throw .timeout(address, awaited: awaited, milliseconds: deadline.milliseconds)
      }
      guard errno == EINTR else { throw Socket.failure(address, errno) }
    }
  }

  /// Reads what is there into `buffer`.
  /// - Returns: the byte count; 0 when nothing is there now.
  /// - Throws: `.closed`, `.transport`.
  func read(into buffer: inout [UInt8]) throws(ClientFailure) -> Int {
    let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
    if count > 0 { return count }
    if count == 0 { throw .closed(address) }
    guard errno == EAGAIN || errno == EINTR else { throw Socket.failure(address, errno) }
    return 0
  }

  /// Writes what there is room for of the bytes from `start` on.
  /// - Returns: the byte count.
  /// - Throws: `.closed`, `.transport`.
  func write(_ bytes: [UInt8], from start: Int) throws(ClientFailure) -> Int {
    let count = unsafe bytes[start...].withUnsafeBytes {
      unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count >= 0 { return count }
    guard errno == EAGAIN || errno == EINTR else { throw Socket.failure(address, errno) }
    return 0
  }
}
