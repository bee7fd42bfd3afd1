import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Wire

/// What happened in a demo, from the layers' own words and the exported file.
struct DemoStory {
  private let genesis: Genesis
  private let tally: DemoDesk.Tally
  private let status: [(name: String, value: JSONValue)]
  private let margins: (used: Int64, equity: Int64, restricted: Int)
  private let last: BatchNumber
  private var fills = 0
  private var closes = 0
  private var volume: Int128 = 0
  private var bundles = 0
  private var expired = 0
  private var byteCount = 0

  /// Waits until settlement has caught up with all that was acknowledged, then asks everybody.
  init(
    layers: LayerGroup, genesis: Genesis, traders: [AccountID], tally: DemoDesk.Tally
  ) throws {
    self.genesis = genesis
    self.tally = tally
    let network = genesis.networkID
    func connect(_ address: String) throws -> BlockingConnection {
      try BlockingConnection(to: try Address(address), network: network)
    }
    let execution = try connect(layers.execution.address)
    let clearing = try connect(layers.clearing.address)
    let settlement = try connect(layers.settlement.address)
    let target = try DemoQuery.status(execution).integer(at: "batch", as: UInt64.self)
    var settled = try DemoQuery.status(settlement)
    for _ in 0..<6_000 {
      if try settled.integer(at: "batch", as: UInt64.self) >= target { break }
      guard try settled.string(at: "state") == "serving" else {
        throw DemoFailure("settlement refused: \(settled.text())")
      }
      DemoQuery.pause(milliseconds: 10)
      settled = try DemoQuery.status(settlement)
    }
    guard try settled.integer(at: "batch", as: UInt64.self) >= target else {
      throw DemoFailure("settlement did not reach batch \(target) within 60 s")
    }
    var used: Int64 = 0
    var equity: Int64 = 0
    var restricted = 0
    for account in traders {
      let view = try DemoQuery.account(clearing, account)
      used += try view.decimal(at: "initial_margin", digits: 6)
      equity += try view.decimal(at: "equity", digits: 6)
      if try view.bool(at: "reduce_only") { restricted += 1 }
    }
    margins = (used, equity, restricted)
    status = [
      ("execution", try DemoQuery.status(execution)), ("clearing", try DemoQuery.status(clearing)),
      ("settlement", settled),
    ]
    last = BatchNumber(try settled.integer(at: "batch", as: UInt64.self) - 1)
  }

  /// Fetches everything from settlement and writes the bundle file.
  mutating func export(to path: String, from address: String) throws {
    let connection = try BlockingConnection(
      to: try Address(address), network: genesis.networkID, role: .settlement)
    var batches = ByteWriter()
    var clearances = ByteWriter()
    var note: [UInt8] = []
    var counted: (fills: Int, closes: Int, volume: Int128, bundles: Int) = (0, 0, 0, 0)
    var settledContracts = 0
    try DemoQuery.log(connection, .batches, through: last) { object in
      ObjectList.append(object, to: &batches)
      let signed = try SignedBatch(encoded: object.rawSpan)
      let body = try BatchBody(signed.body)
      counted.bundles += body.bundles.count
      for index in 0..<body.eventCount where body.eventKind(index) == .fill {
        let fill = body.event(index, as: Fill.self)
        counted.fills += 1
        if fill.causeCode == FillCause.close.rawValue { counted.closes += 1 }
        counted.volume += (fill.price * fill.quantity).raw
      }
    }
    try DemoQuery.log(connection, .clearances, through: last) { object in
      ObjectList.append(object, to: &clearances)
      let signed = try SignedClearance(encoded: object.rawSpan)
      let body = signed.body
      let decoded = try ClearanceBody(encoded: body.rawSpan)
      settledContracts += decoded.instruments.count { $0.status == .settled }
    }
    try DemoQuery.log(connection, .checkpoints, through: last) { note = $0 }
    var notes = ByteWriter()
    ObjectList.append(note, to: &notes)
    let file = BundleFile.encoded(
      BundleFile.Manifest(
        kind: .range, network: genesis.networkID, first: BatchNumber(0), last: last),
      [
        (.genesis, genesis.encoded), (.batches, batches.bytes), (.clearances, clearances.bytes),
        (.checkpoints, notes.bytes),
      ])
    try Files.create(path, file)
    byteCount = file.count
    (fills, closes, volume, bundles) = counted
    expired = settledContracts
    Screen.say("exported   \(path), \(DemoStory.mebibytes(byteCount)) MiB")
  }

  /// Runs `novate verify` on the file, as an auditor would.
  func verify(programs: String, file: String, _ genesis: Genesis) throws -> Bool {
    Screen.say("verifying  novate verify \(file) --genesis \(genesis.networkID)")
    return try Command.run(
      "\(programs)/novate", ["verify", file, "--genesis", "\(genesis.networkID)"]) == 0
  }

  func tell(folder: String, isVerified: Bool) {
    let rejected = tally.rejected.values.reduce(0, +)
    let refused = tally.refused.values.reduce(0, +)
    let text: (String, String) -> String = { name, key in
      let value = self.status.first { $0.name == name }?.value[key]
      switch value {
      case .string(let text): return text
      case .number(let text): return text
      default: return "-"
      }
    }
    Screen.say("")
    Screen.say("batches    \(last.raw + 1), of \(bundles) signed bundles")
    Screen.say(
      "orders     \(tally.orders) placed in \(tally.actions) actions; \(rejected) rejected, "
        + "\(refused) bundles refused")
    Screen.say(
      "fills      \(fills), of them \(closes) by directed closes; volume \(dollars(volume)) USDC")
    Screen.say("expired    \(expired) contracts settled in cash")
    Screen.say(
      "accounts   \(text("clearing", "accounts")); equity \(money(margins.equity)), initial margin "
        + "\(money(margins.used)) USDC; \(margins.restricted) may only reduce")
    Screen.say(
      "house      insurance \(text("clearing", "insurance")), fees \(text("clearing", "fees")), "
        + "rounding \(text("clearing", "rounding")); imbalance \(text("clearing", "imbalance"))")
    Screen.say("exec root  \(text("settlement", "execution_root"))")
    Screen.say("state root \(text("settlement", "root"))")
    Screen.say("log root   \(text("settlement", "log_root")) of size \(text("settlement", "log_size"))")
    Screen.say("files      \(folder)/genesis.json, \(folder)/demo.nvb, \(folder)/*.log")
    Screen.say("verdict    \(isVerified ? "VERIFIED" : "NOT VERIFIED")")
  }

  private func money(_ raw: Int64) -> String { DecimalText.format(raw / 1_000_000, digits: 0) }
  private func dollars(_ notional: Int128) -> String {
    DecimalText.format(
      Int64(clamping: notional / (Notional.perMoney * Int128(Money.scale))), digits: 0)
  }
  static func mebibytes(_ count: Int) -> String {
    DecimalText.format(Int64(count) * 10 / 1_048_576, digits: 1, minimumFraction: 1)
  }
}

/// Another program, run to its end with our own output.
enum Command {
  static func run(_ path: String, _ arguments: [String]) throws -> Int32 {
    var words = unsafe ([path] + arguments).map { unsafe strdup($0) }
    unsafe words.append(nil)
    defer { unsafe words.forEach { unsafe free($0) } }
    var child: pid_t = 0
    var attributes = CleanSignals.attributes()
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    let code = unsafe posix_spawn(&child, path, nil, &attributes, words, environ)
    guard code == 0 else { throw ProcessFailure.spawn(program: path, code: code) }
    var status: Int32 = 0
    _ = unsafe waitpid(child, &status, 0)
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128
  }
}
