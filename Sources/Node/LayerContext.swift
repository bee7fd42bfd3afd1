import Client
public import Commitments
import Glibc
public import Logging
public import Primitives
import Storage
import Synchronization
public import Wire

/// What an operator may set beside the command line.
public struct OperatorSettings: Sendable {
  /// Where batch time comes from.
  public enum TimeSource: String, Sendable {
    case wall
    /// The newest oracle time sequenced: for replaying recorded markets.
    case oracle
  }

  /// Folder of the key files; nil: `keys` beside the genesis file.
  public var keys: String?
  public var timeSource = TimeSource.wall
  public var batchIntervalMilliseconds = 20
  /// Whether the threads an order passes go before all others of the host (`SCHED_RR`), where the
  /// system allows it: for a host that execution shares.
  public var isRealtime = false
  /// Threads that check signatures; 0: as many as there are processors.
  public var workers = 0
  /// A segment holds the longest group: an opening with the Clearances it adopts, and all bundles of
  /// its batch, each as long as a batch's body at most.
  public static let journalSegmentByteCountMin = 20 << 20
  public var journalSegmentByteCount = Journal.segmentByteCount
  /// Free space every commit must leave.
  public var reserveByteCount = 64 << 20
  /// Settlement: cosign another's checkpoints with this key file instead of signing one's own.
  public var witnessKey: String?
  public var witnessName: String?

  public init() {}

  /// Reads the settings file; an unknown key is an error.
  public init(json bytes: [UInt8]) throws {
    let value = try JSONValue.parse(bytes)
    let object = try value.object(
      allowing: [
        "keys", "clock", "batch_interval_ms", "realtime", "workers", "journal_segment_bytes",
        "reserve_bytes",
        "witness_key", "witness_name",
      ], name: "config")
    _ = object
    keys = try value.optionalString(at: "keys")
    if let clock = try value.optionalString(at: "clock") {
      guard let source = TimeSource(rawValue: clock) else {
        throw NodeFailure.configuration("config: clock is wall or oracle, found \(clock)")
      }
      timeSource = source
    }
    func number(_ key: String, _ domain: ClosedRange<Int>) throws -> Int? {
      guard let count = try value.optionalInteger(at: key, as: Int.self) else { return nil }
      guard domain.contains(count) else {
        throw NodeFailure.configuration(
          "config: \(key): expected \(domain.lowerBound) to \(domain.upperBound), found \(count)")
      }
      return count
    }
    batchIntervalMilliseconds =
      try number("batch_interval_ms", 1...1_000) ?? batchIntervalMilliseconds
    isRealtime = try value.optionalBool(at: "realtime") ?? false
    workers = try number("workers", 0...64) ?? workers
    if let count = try value.optionalInteger(at: "journal_segment_bytes", as: Int.self) {
      guard count >= OperatorSettings.journalSegmentByteCountMin, count % 4_096 == 0 else {
        throw NodeFailure.configuration(
          "config: journal_segment_bytes: expected a multiple of 4096 from "
            + "\(OperatorSettings.journalSegmentByteCountMin) on, found \(count)")
      }
      journalSegmentByteCount = count
    }
    reserveByteCount = try number("reserve_bytes", 0...(1 << 50)) ?? reserveByteCount
    witnessKey = try value.optionalString(at: "witness_key")
    witnessName = try value.optionalString(at: "witness_name")
  }
}

/// Whether this process has said that it serves.
private let isAnnounced = Atomic(false)

/// Everything a layer starts from.
public struct LayerContext: Sendable {
  public let role: Role
  public let genesis: Genesis
  public let network: Digest
  public let settings: OperatorSettings
  public let folder: String
  public let listen: Address
  public let peers: [Address]
  public let keyFolder: String
  /// Where a recovery learns what was signed.
  let recoverySources: [RecoverySource]
  public let log: Logger
  public let metrics = LayerMetrics()
  private let metricsAddress: Address?

  /// Reads genesis and settings and installs logging.
  ///
  /// - Throws: one clear line for whatever is missing or wrong.
  public init(role: Role, options: LayerOptions, defaultPort: UInt16, defaultPeers: [UInt16])
    throws
  {
    guard let format = LogFormat(rawValue: options.logFormat) else {
      throw NodeFailure.configuration(
        "--log-format: expected json or text, found \(options.logFormat)")
    }
    JSONLogHandler.install(format: format)
    genesis = try NetworkFolder.genesis(at: options.genesis)
    network = genesis.networkID
    if let path = options.config {
      do {
        settings = try OperatorSettings(json: try Files.read(path, byteCountMax: 1 << 20))
      } catch {
        throw NodeFailure.configuration("\(path): \(error)")
      }
    } else {
      settings = OperatorSettings()
    }
    // A witness is no party to the network: it has a folder, and a role, of its own.
    let role = settings.witnessKey != nil && role == .settlement ? Role.witness : role
    self.role = role
    folder = options.data
    listen =
      try options.listen.map { try Address($0) } ?? .tcp(host: "127.0.0.1", port: defaultPort)
    peers =
      options.peer.isEmpty
      ? defaultPeers.map { .tcp(host: "127.0.0.1", port: $0) }
      : try options.peer.map { try Address($0) }
    metricsAddress = try options.metrics.map { try Address($0) }
    recoverySources =
      options.recoverFrom.isEmpty
      ? (options.peer.isEmpty
        ? [7701, 7702, 7703].filter { $0 != defaultPort }.map {
          .address(.tcp(host: "127.0.0.1", port: $0))
        } : peers.map { .address($0) })
      : try options.recoverFrom.map { try RecoverySource($0) }
    keyFolder = settings.keys ?? Files.parent(of: options.genesis) + "/keys"
    log = Logger(label: "novate-\(role)")
    // Before any thread that it is for.
    if settings.isRealtime, !Promptness.askForRealtime() {
      log.warning("config: realtime: the system refuses it; threads have short slices instead")
    }
  }

  /// The layer's key of a name, which must be the one genesis lists.
  public func key(_ name: String, expecting expected: PublicKey) throws -> SigningKey {
    let path = "\(keyFolder)/\(name).key"
    let key = try KeyFile.read(path)
    guard key.publicKey == expected else {
      throw NodeFailure.configuration(
        "\(path): expected the key of \(expected), found \(key.publicKey)")
    }
    return key
  }

  public var workerCount: Int {
    settings.workers > 0 ? settings.workers : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
  }

  /// Opens the layer's store with the operator's limits.
  public func openState() throws -> StateKeeper {
    var options = Store.Options()
    options.reserveByteCount = settings.reserveByteCount
    let keeper = try StateKeeper(
      folder: folder, role: role.rawValue, network: network, options: options)
    if !keeper.isRecovering { try keeper.permitCommitted() }
    return keeper
  }

  /// Serves `/metrics` and `/health` if the operator asked for it.
  /// - Parameter trouble: why the layer takes no new work; nil while it does.
  public func servePage(_ server: Server, trouble: @escaping @Sendable () -> String?)
    throws -> MetricsPage?
  {
    guard let metricsAddress else { return nil }
    metrics.registry.gauge("novate_connections", "Connections open.") {
      Int64(server.connectionCount)
    }
    metrics.registry.gauge("novate_degraded", "1 while no new work is taken.") {
      trouble() == nil ? 0 : 1
    }
    let page = MetricsPage(metrics.registry, trouble: trouble)
    try page.start(at: metricsAddress)
    log.notice("metrics", metadata: ["address": "\(page.address ?? metricsAddress)"])
    return page
  }

  /// Ends the process at once if its disk is full: nothing more can be stored, and what waits to be
  /// is in the journal or with the peers, as after a kill.
  public func endIfDegraded(_ degraded: DegradedFlag) {
    guard degraded.isSet else { return }
    log.notice("stopped with the disk full: what was not stored comes again")
    exit(0)
  }

  /// A server configuration that lets services in by the keys of genesis.
  public func serverConfiguration(_ handshake: HandshakeKey) -> ServerConfiguration {
    var configuration = ServerConfiguration(
      address: listen, network: network, role: role, key: handshake)
    let genesis = self.genesis
    configuration.admits = { role, key in
      switch role {
      case .client: true
      case .execution: key == genesis.execution.handshake
      case .clearing: key == genesis.clearing.handshake
      case .settlement: key == genesis.settlement.handshake
      case .witness: genesis.witnesses.contains { $0.key == key }
      }
    }
    return configuration
  }

  /// A connection to another layer, proved by its handshake key.
  public func peerConfiguration(_ address: Address, _ expected: Role, _ key: HandshakeKey)
    -> PeerConfiguration
  {
    let keys: PublicKey =
      switch expected {
      case .execution: genesis.execution.handshake
      case .clearing: genesis.clearing.handshake
      case .settlement, .witness, .client: genesis.settlement.handshake
      }
    return PeerConfiguration(
      address: address, network: network, role: role, key: key, expectedRole: expected,
      expectedKey: keys)
  }

  /// Says on stdout that the layer serves.
  ///
  /// Once: a layer that recovers first serves all the while.
  public static func announce(_ address: Address) {
    guard !isAnnounced.exchange(true, ordering: .relaxed) else { return }
    // Unbuffered: whoever started the layer waits for this line.
    let line = Array("ready \(address)\n".utf8)
    _ = unsafe line.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
  }
}

/// Ends a process that could not start: one line, exit 1.
public func startFailed(_ error: any Error) -> Never {
  var text = "\(error)"
  if let newline = text.firstIndex(of: "\n") { text = String(text[..<newline]) }
  let line = Array("error: \(text)\n".utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  exit(1)
}
