import Client
import Commitments
import Glibc
import Primitives

/// What this machine can do, measured in the run whose figures are divided by it.
struct BenchCalibration {
  /// Processor seconds of one libsodium verification of a 32-byte id, one thread, one core, as it
  /// was first measured, with nothing else to do; every run measures it again meanwhile (`Meter`).
  let verification: Double
  /// Half of the round trips of 64 bytes over a loopback TCP connection took less; seconds.
  let roundTrip: Double
  /// Half of the `fdatasync`s after overwriting 4 KiB of a preallocated file took less; seconds.
  let sync: Double

  /// - Parameter folder: on the disk to measure.
  init(folder: String) throws {
    verification = BenchCalibration.verificationSeconds()
    roundTrip = Percentile(try EchoedConnection().seconds(count: 4_000)).p50
    sync = Percentile(try SyncedFile(folder).seconds(count: 400)).p50
  }

  static func verificationSeconds() -> Double {
    let key = SigningKey.random()
    let ids = (0..<32).map { SHA256.digest([UInt8($0)]) }
    let signatures = ids.map { key.sign($0) }
    var rounds: [Double] = []
    for _ in 0..<128 {
      let start = ProcessorTime.ofThread
      for (id, signature) in zip(ids, signatures) {
        precondition(Ed25519.isValid(signature, of: id, by: key.publicKey), "a signature holds")
      }
      rounds.append((ProcessorTime.ofThread - start) / Double(ids.count))
    }
    return Percentile(rounds).p50
  }

  /// One verification now and then while a phase runs: what one costs on cores as busy, as warm and
  /// as much disturbed by their neighbours as those the layers run on. Two hardware threads of one
  /// core verify a third slower side by side than one alone.
  final class Meter {
    private static let period: Int64 = 10_000_000
    private let key = SigningKey.random()
    private let id = SHA256.digest([])
    private let signature: Signature
    private var seconds: [Double] = []
    private var next: Int64 = 0

    init() { signature = key.sign(id) }

    /// Verifies once if the last time is long ago.
    func sample(_ now: Int64) {
      guard now >= next else { return }
      next = now + Meter.period
      let start = ProcessorTime.ofThread
      precondition(Ed25519.isValid(signature, of: id, by: key.publicKey), "a signature holds")
      seconds.append(ProcessorTime.ofThread - start)
    }

    /// Processor seconds of one verification: the mean, as the layers pay for the slow ones too.
    var mean: Double { seconds.reduce(0, +) / Double(max(1, seconds.count)) }
  }

  /// What a durable answer cannot be faster than by much: a round trip and an `fdatasync`, with
  /// nothing else to do, measured again and again between the parts of a phase.
  final class AnswerFloor {
    private let connection: EchoedConnection
    private let file: SyncedFile

    /// - Parameter folder: on the disk to measure.
    init(folder: String) throws {
      connection = try EchoedConnection()
      file = try SyncedFile(folder)
    }

    /// The p50 of some round trips and that of some syncs, together; seconds.
    func sample() throws -> Double {
      Percentile(try connection.seconds(count: 500)).p50
        + Percentile(try file.seconds(count: 100)).p50
    }
  }

  // MARK: - Loopback

  /// A loopback connection with an echo at its other end.
  private final class EchoedConnection {
    private let client: Int32
    private let served: Int32
    private let echo: BenchThread

    init() throws {
      let listener = try loopbackListener()
      defer { close(listener.descriptor) }
      client = try connected(to: listener.port)
      let served = accept(listener.descriptor, nil, nil)
      guard served >= 0 else { throw fault("accept") }
      noDelay(client)
      noDelay(served)
      self.served = served
      // The echo has its own thread, as the other side of a connection has its own process.
      echo = BenchThread { BenchCalibration.echo(served) }
    }

    func seconds(count: Int) throws -> [Double] {
      let message = [UInt8](repeating: 0x4E, count: 64)
      return try (0..<count).map { _ in
        let start = SystemClock.monotonicNanoseconds
        guard exchange(client, message) else { throw fault("send") }
        return Double(SystemClock.monotonicNanoseconds - start) / 1e9
      }
    }

    deinit {
      close(client)
      echo.join()
      close(served)
    }
  }

  private static func loopbackListener() throws -> (descriptor: Int32, port: in_port_t) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw fault("socket") }
    var name = loopback(port: 0)
    let bound = unsafe withSocketName(&name) { unsafe Glibc.bind(descriptor, $0, $1) }
    guard bound == 0, listen(descriptor, 1) == 0 else { throw fault("bind") }
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let named = unsafe withSocketName(&name) { pointer, _ in
      unsafe getsockname(descriptor, pointer, &length)
    }
    guard named == 0 else { throw fault("getsockname") }
    return (descriptor, in_port_t(bigEndian: name.sin_port))
  }

  private static func connected(to port: in_port_t) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw fault("socket") }
    var name = loopback(port: port)
    guard unsafe withSocketName(&name, { unsafe Glibc.connect(descriptor, $0, $1) }) == 0 else {
      throw fault("connect")
    }
    return descriptor
  }

  private static func loopback(port: in_port_t) -> sockaddr_in {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    return name
  }

  private static func withSocketName(
    _ name: inout sockaddr_in,
    _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    unsafe withUnsafeMutablePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private static func noDelay(_ descriptor: Int32) {
    var one: Int32 = 1
    unsafe setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func exchange(_ descriptor: Int32, _ message: [UInt8]) -> Bool {
    var answer = [UInt8](repeating: 0, count: message.count)
    let sent = unsafe send(descriptor, message, message.count, Int32(MSG_NOSIGNAL))
    let received = unsafe recv(descriptor, &answer, answer.count, Int32(MSG_WAITALL))
    return sent == message.count && received == message.count
  }

  private static func echo(_ descriptor: Int32) {
    var bytes = [UInt8](repeating: 0, count: 64)
    while true {
      let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
      guard count > 0, unsafe send(descriptor, bytes, count, Int32(MSG_NOSIGNAL)) == count else {
        return
      }
    }
  }

  // MARK: - Disk

  /// A preallocated file, overwritten 4 KiB at a time.
  private final class SyncedFile {
    private let path: String
    private let descriptor: Int32
    private let block = [UInt8](repeating: 0x5A, count: 4096)
    private let blockCount = 4_096
    private var place = 0

    init(_ folder: String) throws {
      path = "\(folder)/calibration"
      descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw FileFailure.call("create", path: path, code: errno) }
      _ = unsafe unlink(path)
      for _ in 0..<blockCount {
        guard unsafe write(descriptor, block, block.count) == block.count else {
          throw FileFailure.call("write", path: path, code: errno)
        }
      }
      guard fsync(descriptor) == 0 else { throw FileFailure.call("fsync", path: path, code: errno) }
    }

    func seconds(count: Int) throws -> [Double] {
      try (0..<count).map { _ in
        let start = SystemClock.monotonicNanoseconds
        let written = unsafe pwrite(descriptor, block, block.count, place * block.count)
        guard written == block.count, fdatasync(descriptor) == 0 else {
          throw FileFailure.call("fdatasync", path: path, code: errno)
        }
        place = (place + 1) % blockCount
        return Double(SystemClock.monotonicNanoseconds - start) / 1e9
      }
    }

    deinit { close(descriptor) }
  }

  private static func fault(_ call: String) -> CommandFailure {
    CommandFailure("calibration: \(call) failed with error \(errno)")
  }
}

/// Half and ninety-nine of a hundred.
struct Percentile {
  let p50: Double
  let p99: Double
  let count: Int

  init(_ values: [Double]) {
    let sorted = values.sorted()
    count = sorted.count
    func at(_ share: Double) -> Double {
      sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
    p50 = at(0.5)
    p99 = at(0.99)
  }
}

/// A thread that is joined.
final class BenchThread {
  private var handle = pthread_t()

  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  init(_ body: @escaping @Sendable () -> Void) {
    let argument = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
    let status = unsafe pthread_create(
      &handle, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        }
        return nil
      }, argument)
    precondition(status == 0, "no thread: pthread error \(status)")
  }

  func join() { _ = pthread_join(handle, nil) }
}
