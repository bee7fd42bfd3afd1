/// The plan of the house: which module may stand on which.
enum House {
  /// A module imports only modules of a lower floor. A new module gets its floor here, and its room
  /// in Docs/Architecture.md.
  static let floors: [String: Int] = [
    "CDigest": 0, "Primitives": 0,
    "Instruments": 1, "Commitments": 1,
    "Pricing": 2, "Proofs": 2,
    "Margin": 3, "Risk": 3,
    "Wire": 4,
    "Execution": 5, "Clearing": 5, "Calculators": 5, "Calibration": 5, "Workloads": 5,
    "Settlement": 6,
    "Storage": 7, "Client": 7, "Dashboard": 7,
    "Node": 8, "Simulation": 8, "Benchmarks": 8,
    "ExecutionNode": 9, "ClearingNode": 9, "SettlementNode": 9, "CLI": 9,
  ]

  /// Modules that are functions of their inputs.
  static let cores: Set<String> = [
    "Primitives", "Instruments", "Pricing", "Margin", "Risk", "Commitments", "Proofs", "Wire",
    "Execution", "Clearing", "Settlement",
  ]

  /// A C module and the Swift module that wraps it.
  static let wrappers = [
    "CSodium": "Commitments", "CCrypto": "Commitments", "CDigest": "Commitments",
    "CLMDB": "Storage", "CZlib": "CLI",
    "CReference": "Benchmarks", "CSandbox": "EndToEndTests", "CThreads": "Node",
    "CMemory": "Primitives",
  ]

  /// The two layers that meet in Wire alone, and who may know both: whoever replays.
  static let layers: Set<String> = ["Execution", "Clearing"]
  static let replayers: Set<String> = ["Settlement", "SettlementNode", "CLI", "Simulation"]

  /// What a core's code may not say.
  static let forbiddenWords = [
    "Double", "Float", "Float16", "Float32", "Float64", "Foundation", "Glibc", "Dispatch", "Task",
    "async", "await", "actor", "hashValue", "ContinuousClock", "SuspendingClock", "Date",
    "SystemRandomNumberGenerator", "randomElement", "shuffled", "shuffle", "ProcessInfo",
    "CommandLine", "getenv",
  ]

  /// Where numbers may be floating: tools that people look at. What is signed, stored or replayed is
  /// made elsewhere.
  static let floatingPoint: Set<String> = ["Calibration", "CLI", "Benchmarks"]
  static let floatingPointWords = [
    "Double", "Float", "Float16", "Float32", "Float64", "Float80", "CGFloat",
  ]

  /// Targets and products that open sockets.
  static let socketTargets: Set<String> = [
    "Node", "Client", "nio", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOWebSocket",
  ]

  /// Lines of the longest source file; generated tables aside.
  static let lineCountMax = 600
}
