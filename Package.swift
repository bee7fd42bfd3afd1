// swift-tools-version: 6.2
import PackageDescription

/// `make test` alone sets it: internal names become visible to the tests of a release build.
let testing: [SwiftSetting] =
  Context.environment["NOVATE_TESTING"] == nil ? [] : [.unsafeFlags(["-enable-testing"])]

/// One language mode for the whole house: Swift 6, strict memory safety, every warning an error.
let settings: [SwiftSetting] =
  [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
  ] + testing

/// Places where a test may kill a layer; no other build has them.
let faults: [SwiftSetting] =
  Context.environment["NOVATE_TESTING"] == nil ? [] : [.define("NOVATE_TESTING")]

func room(
  _ name: String, in folder: String, _ dependencies: [Target.Dependency] = [],
  _ more: [SwiftSetting] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: "\(folder)/\(name)",
    swiftSettings: settings + more)
}

func program(_ name: String, in folder: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, path: "\(folder)/\(name)", swiftSettings: settings)
}

/// What is tested is optimised; the tests of the two machines are not: the optimiser takes minutes
/// over each. `make fuzz` has execution's so: there the slow twin decides how long it takes.
let unoptimised =
  Context.environment["NOVATE_FUZZ"] == nil
  ? ["ExecutionTests", "ClearingTests"] : ["ClearingTests"]

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude,
    swiftSettings: settings
      + (unoptimised.contains(name) ? [.unsafeFlags(["-Onone"])] : []))
}

let nio: [Target.Dependency] = [
  .product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
  .product(name: "NIOHTTP1", package: "swift-nio"),
]
let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "novate",
  products: [
    .executable(name: "novate", targets: ["CLI"]),
    .executable(name: "novate-execution", targets: ["ExecutionNode"]),
    .executable(name: "novate-clearing", targets: ["ClearingNode"]),
    .executable(name: "novate-settlement", targets: ["SettlementNode"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    // The outside world, behind one Swift module each.
    .systemLibrary(
      name: "CSodium", path: "Sources/CSodium", pkgConfig: "libsodium",
      providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CLMDB", path: "Sources/CLMDB", providers: [.apt(["liblmdb-dev"])]),
    .systemLibrary(
      name: "CCrypto", path: "Sources/CCrypto", pkgConfig: "libcrypto",
      providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
      name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CThreads", path: "Sources/CThreads"),
    .systemLibrary(name: "CMemory", path: "Sources/CMemory"),
    .target(name: "CDigest", path: "Sources/CDigest"),

    // What is true.
    room("Primitives", in: "Sources", ["CMemory"]),
    room("Instruments", in: "Sources", ["Primitives"]),
    room("Pricing", in: "Sources", ["Primitives", "Instruments"]),
    room("Margin", in: "Sources", ["Primitives", "Instruments", "Pricing"]),
    room("Risk", in: "Sources", ["Primitives"]),
    room("Commitments", in: "Sources", ["Primitives", "CSodium", "CCrypto", "CDigest"]),

    // What is said.
    room("Wire", in: "Interfaces", ["Primitives", "Instruments", "Commitments"]),
    room("Calculators", in: "Interfaces", ["Primitives", "Pricing", "Margin", "Wire"]),
    room("Calibration", in: "Interfaces", ["Primitives", "Pricing"]),
    room("Workloads", in: "Interfaces", ["Primitives", "Commitments", "Wire"]),

    // What decides.
    room(
      "Execution", in: "Layers",
      ["Primitives", "Instruments", "Pricing", "Margin", "Commitments", "Wire"]),
    room(
      "Clearing", in: "Layers",
      ["Primitives", "Instruments", "Pricing", "Margin", "Risk", "Commitments", "Wire"]),
    room(
      "Settlement", in: "Layers",
      ["Primitives", "Instruments", "Commitments", "Wire", "Execution", "Clearing"]),

    // The outside world.
    room("Storage", in: "Sources", ["Primitives", "Commitments", "CLMDB"]),
    room(
      "Node", in: "Sources",
      ["Primitives", "Commitments", "Wire", "Storage", "Client", "CThreads", log, arguments] + nio,
      faults),
    room("Client", in: "Interfaces", ["Primitives", "Instruments", "Commitments", "Wire"]),

    // What runs.
    program(
      "ExecutionNode", in: "Layers",
      [
        "Primitives", "Instruments", "Commitments", "Wire", "Execution", "Storage", "Node",
        "Client", log, arguments,
      ]),
    program(
      "ClearingNode", in: "Layers",
      [
        "Primitives", "Instruments", "Commitments", "Wire", "Clearing", "Storage", "Node", "Client",
        log, arguments,
      ]),
    program(
      "SettlementNode", in: "Layers",
      [
        "Primitives", "Instruments", "Commitments", "Wire", "Execution", "Clearing", "Settlement",
        "Storage", "Node", "Client", log, arguments,
      ]),
    program(
      "CLI", in: "Interfaces",
      [
        "Primitives", "Instruments", "Pricing", "Margin", "Commitments", "Wire", "Execution",
        "Clearing", "Settlement", "Storage", "Client", "Calculators", "Calibration", "Benchmarks",
        "Workloads", "CZlib", arguments,
      ]),

    // What tests and benchmarks share, and the plain C that benchmarks divide by.
    .target(
      name: "CReference", path: "Tests/Benchmarks/CReference",
      linkerSettings: [.linkedLibrary("m")]),
    .target(
      name: "Benchmarks",
      dependencies: [
        "Primitives", "Instruments", "Pricing", "Margin", "Wire", "Workloads", "Execution",
        "CReference",
      ],
      path: "Tests/Benchmarks", exclude: ["CReference"], swiftSettings: settings),
    .target(
      name: "TestSupport", dependencies: ["Primitives", "Instruments", "Commitments", "Wire"],
      path: "Tests/Support", swiftSettings: settings),
    // Plain C, since it must live between fork and exec: a program under a rule of the kernel.
    .target(name: "CSandbox", path: "Tests/CSandbox"),

    tests("PrimitivesTests", ["Primitives", "CMemory"]),
    tests("CommitmentsTests", ["Primitives", "Commitments"]),
    tests("InstrumentsTests", ["Primitives", "Instruments"]),
    tests("PricingTests", ["Primitives", "Instruments", "Pricing"]),
    tests("CalculatorsTests", ["Primitives", "Pricing", "Wire", "Calculators"]),
    tests("CalibrationTests", ["Primitives", "Pricing", "Calibration"]),
    tests("MarginTests", ["Primitives", "Instruments", "Pricing", "Margin"]),
    tests("RiskTests", ["Primitives", "Risk"]),
    tests("ClientTests", ["Primitives", "Instruments", "Commitments", "Wire", "Client"]),
    tests("WireTests", ["Primitives", "Instruments", "Commitments", "Wire", "TestSupport"]),
    tests("StorageTests", ["Primitives", "Commitments", "Storage"]),
    tests("NodeTests", [log, "Primitives", "Commitments", "Wire", "Node", "Client"]),
    tests(
      "ExecutionTests",
      [
        "Primitives", "Instruments", "Pricing", "Margin", "Commitments", "Wire", "Execution",
        "Workloads", "Benchmarks", "TestSupport",
      ]),
    tests(
      "ClearingTests",
      [
        "Primitives", "Instruments", "Pricing", "Margin", "Risk", "Commitments", "Wire",
        "Calculators", "Clearing", "Execution", "Settlement", "TestSupport",
      ]),
    tests(
      "SettlementTests",
      [
        "Primitives", "Instruments", "Commitments", "Wire", "Execution", "Clearing", "Settlement",
        "TestSupport",
      ]),
    tests(
      "CLITests",
      ["Primitives", "Instruments", "Pricing", "Wire", "Client", "Workloads", "CLI", arguments]),
    tests("LayeringTests", []),
    tests(
      "EndToEndTests",
      [
        "Primitives", "Instruments", "Commitments", "Wire", "Settlement", "Storage", "Client",
        "Node", "CLI", "CSandbox",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
