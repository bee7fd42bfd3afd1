import Client
import Glibc
import Wire

/// Why a layer did not come up or go down.
enum ProcessFailure: Error, CustomStringConvertible {
  case spawn(program: String, code: Int32)
  case notReady(program: String, log: String)
  case exit(program: String, status: Int32)
  case deaf(program: String, log: String)

  var description: String {
    switch self {
    case .spawn(let program, let code): "cannot start \(program): error \(code)"
    case .notReady(let program, let log): "\(program) did not come up; see \(log)"
    case .exit(let program, let status): "\(program) ended with status \(status)"
    case .deaf(let program, let log): "\(program) did not stop within 30 s; see \(log)"
    }
  }
}

/// One layer running as a process of its own, its log in a file.
final class LayerProcess {
  let program: String
  let address: String
  let logPath: String
  private(set) var pid: pid_t = 0

  /// Starts the program and waits for its `ready` line.
  init(program path: String, arguments: [String], logPath: String) throws {
    program = path
    self.logPath = logPath
    var pipes: [Int32] = [0, 0]
    guard unsafe pipe(&pipes) == 0 else { throw ProcessFailure.spawn(program: path, code: errno) }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
    unsafe posix_spawn_file_actions_addopen(
      &actions, 2, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    unsafe posix_spawn_file_actions_addclose(&actions, pipes[0])
    var words = unsafe ([path] + arguments).map { unsafe strdup($0) }
    unsafe words.append(nil)
    defer { unsafe words.forEach { unsafe free($0) } }
    var child: pid_t = 0
    var attributes = CleanSignals.attributes()
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    let code = Children.start(&child) {
      unsafe posix_spawn(&$0, path, &actions, &attributes, words, environ)
    }
    close(pipes[1])
    guard code == 0 else {
      close(pipes[0])
      address = ""
      throw ProcessFailure.spawn(program: path, code: code)
    }
    pid = child
    let line = LayerProcess.line(from: pipes[0], within: 60_000)
    close(pipes[0])
    guard let line, line.hasPrefix("ready ") else {
      address = ""
      kill(child, SIGKILL)
      var status: Int32 = 0
      _ = unsafe waitpid(child, &status, 0)
      Children.forget(child)
      throw ProcessFailure.notReady(program: path, log: logPath)
    }
    address = String(line.dropFirst(6))
  }

  private static func line(from file: Int32, within milliseconds: Int32) -> String? {
    var text: [UInt8] = []
    while true {
      var wait = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&wait, 1, milliseconds) > 0 else { return nil }
      var byte: UInt8 = 0
      guard unsafe read(file, &byte, 1) == 1 else { return nil }
      if byte == UInt8(ascii: "\n") { return String(decoding: text, as: UTF8.self) }
      text.append(byte)
    }
  }

  /// Asks it to stop and waits for a clean end; what has not ended after 30 s is killed.
  func stop() throws {
    guard pid != 0 else { return }
    kill(pid, SIGTERM)
    var status: Int32 = 0
    for _ in 0..<3_000 {
      if unsafe waitpid(pid, &status, WNOHANG) == pid {
        Children.forget(pid)
        pid = 0
        guard status == 0 else { throw ProcessFailure.exit(program: program, status: status) }
        return
      }
      usleep(10_000)
    }
    throw ProcessFailure.deaf(program: program, log: logPath)
  }

  /// CPU seconds the process has used, user and system.
  var processorSeconds: Double { ProcessorTime.seconds(of: pid) }

  /// Whether a thread of it has real-time scheduling.
  func hasRealtimeThreads() throws -> Bool {
    try Files.names(in: "/proc/\(pid)/task").contains { name in
      pid_t(name).map { sched_getscheduler($0) == SCHED_RR } ?? false
    }
  }

  /// Bytes of it in memory.
  var residentByteCount: Int {
    let file = unsafe open("/proc/\(pid)/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe read(file, &bytes, bytes.count)
    guard count > 0 else { return 0 }
    let fields = String(decoding: bytes[..<count], as: UTF8.self).split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
  }

  deinit {
    if pid != 0 {
      kill(pid, SIGKILL)
      var status: Int32 = 0
      _ = unsafe waitpid(pid, &status, 0)
      Children.forget(pid)
    }
  }
}

/// A child begins with no signal blocked and none ignored, whatever the thread that starts it has.
enum CleanSignals {
  static func attributes() -> posix_spawnattr_t {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    var none = sigset_t()
    unsafe sigemptyset(&none)
    var all = sigset_t()
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    return attributes
  }
}

/// What somebody has used of the processors, user and system, to the nanosecond.
enum ProcessorTime {
  /// Of all threads of another process.
  static func seconds(of pid: pid_t) -> Double {
    var clock = clockid_t()
    guard unsafe clock_getcpuclockid(pid, &clock) == 0 else { return 0 }
    return seconds(on: clock)
  }

  static var ofProcess: Double { seconds(on: CLOCK_PROCESS_CPUTIME_ID) }
  static var ofThread: Double { seconds(on: CLOCK_THREAD_CPUTIME_ID) }

  private static func seconds(on clock: clockid_t) -> Double {
    var time = timespec()
    guard unsafe clock_gettime(clock, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// The three layers of one network on this machine, over Unix sockets.
struct LayerGroup {
  let execution: LayerProcess
  let clearing: LayerProcess
  let settlement: LayerProcess

  /// A folder that holds the three sockets has a path of so many bytes at most.
  static let folderByteCountMax = Address.pathByteCountMax - "/settlement.sock".utf8.count

  /// - Throws: `CommandFailure` for a folder whose path is too long for the sockets in it.
  static func check(_ folder: String) throws {
    let count = folder.utf8.count
    guard count > folderByteCountMax else { return }
    throw CommandFailure(
      "--data: the layers' sockets lie there, so its path may have \(folderByteCountMax) bytes, "
        + "and has \(count); name a shorter one")
  }

  /// Starts all three; data folders, sockets and logs are made under `folder`.
  /// - Parameters:
  ///   - config: the settings file of all.
  ///   - executionConfig: that of execution, if it has one of its own.
  init(
    programs: String, genesis: String, folder: String, config: String?,
    executionConfig: String? = nil
  ) throws {
    func address(_ name: String) -> String { "unix:\(folder)/\(name).sock" }
    func start(_ name: String, peers: [String]) throws -> LayerProcess {
      var arguments = [
        "--genesis", genesis, "--data", "\(folder)/\(name)", "--listen", address(name),
      ]
      for peer in peers { arguments += ["--peer", address(peer)] }
      let config = name == "execution" ? executionConfig ?? config : config
      if let config { arguments += ["--config", config] }
      return try LayerProcess(
        program: "\(programs)/novate-\(name)", arguments: arguments,
        logPath: "\(folder)/\(name).log")
    }
    execution = try start("execution", peers: ["clearing"])
    clearing = try start("clearing", peers: ["execution"])
    settlement = try start("settlement", peers: ["execution", "clearing"])
  }

  func stop() throws {
    try execution.stop()
    try clearing.stop()
    try settlement.stop()
  }

  var all: [(name: String, process: LayerProcess)] {
    [("execution", execution), ("clearing", clearing), ("settlement", settlement)]
  }

  /// The folder this program stands in: its sisters are there.
  static func programsFolder() -> String {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe readlink("/proc/self/exe", $0.bindMemory(to: CChar.self).baseAddress!, $0.count)
    }
    guard count > 0 else { return "." }
    let path = String(decoding: buffer[..<count], as: UTF8.self)
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}
