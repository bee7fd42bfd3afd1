import Client
import Commitments
import Glibc
import Instruments
import Primitives
import Wire

/// What happened in a demo, from the layers' own words and the exported file.
struct DemoStory {
  private let genesis: Genesis
  private let layers: LayerGroup
  private var ledger = DemoLedger()
  private let settlement: JSONValue
  private let clearing: JSONValue
  private let last: BatchNumber

  /// Waits until settlement has caught up with all that was acknowledged, then asks.
  init(layers: LayerGroup, genesis: Genesis) throws {
    self.genesis = genesis
    self.layers = layers
    let network = genesis.networkID
    func connect(_ address: String) throws -> BlockingConnection {
      try BlockingConnection(to: try Address(address), network: network)
    }
    let execution = try connect(layers.execution.address)
    let connection = try connect(layers.settlement.address)
    let target = try DemoQuery.status(execution).integer(at: "batch", as: UInt64.self)
    var settled = try DemoQuery.status(connection)
    for _ in 0..<6_000 {
      if try settled.integer(at: "batch", as: UInt64.self) >= target { break }
      guard try settled.string(at: "state") == "serving" else {
        throw DemoFailure("settlement refused: \(settled.text())")
      }
      DemoQuery.pause(milliseconds: 10)
      settled = try DemoQuery.status(connection)
    }
    guard try settled.integer(at: "batch", as: UInt64.self) >= target else {
      throw DemoFailure("settlement did not reach batch \(target) within 60 s")
    }
    settlement = settled
    clearing = try DemoQuery.status(try connect(layers.clearing.address))
    last = BatchNumber(try settled.integer(at: "batch", as: UInt64.self) - 1)
  }

  /// Fetches everything from settlement and writes the bundle file, as `novate export` does.
  mutating func export(to path: String) throws {
    let client = try LayerClient(
      to: try Address(layers.settlement.address), .settlement, genesis: genesis)
    let range = SettledRange(client, first: 0, last: last.raw)
    var ledger = DemoLedger()
    let byteCount = try range.write(
      to: path, batch: { try ledger.add($0) }, clearance: { try ledger.add($0) })
    self.ledger = ledger
    Screen.say("exported   \(path), \(Figures.mebibytes(byteCount)) MiB")
  }

  /// Runs `novate verify` on the file, as an auditor would.
  func verify(programs: String, file: String) throws -> Bool {
    Screen.say("verifying  novate verify \(file) --genesis \(genesis.networkID)")
    return try Command.run(
      "\(programs)/novate", ["verify", file, "--genesis", "\(genesis.networkID)"]) == 0
  }

  // MARK: - Telling

  func tell(
    _ tape: any MarketTape, _ tally: DemoDesk.Tally, _ risk: DemoRisk, _ marks: MarksCheck
  ) {
    Screen.say("")
    Screen.say("the market   \(DemoStory.market(tape))")
    Screen.say(
      "batches      \(Figures.grouped(last.raw + 1)), of \(Figures.grouped(ledger.bundles)) "
        + "signed bundles")
    Screen.say(
      "orders       \(Figures.grouped(tally.orders)) placed in \(Figures.grouped(tally.actions)) "
        + "actions; \(DemoStory.refusals(tally))")
    Screen.say(
      "fills        \(Figures.grouped(ledger.fills)), worth \(Figures.dollars(ledger.volume)) "
        + "USDC; \(Figures.count(ledger.blocks, "block trade")), "
        + "\(Figures.count(ledger.closingFills, "fill")) by directed closes")
    Screen.say("accounts     \(text(clearing, "accounts"))")
    tell(risk)
    Screen.say("expired      \(Figures.count(ledger.expired, "contract")) settled in cash")
    marks.tell()
    Screen.say(
      "house        fees \(units(clearing, "fees")) USDC, rounding \(text(clearing, "rounding")), "
        + "imbalance \(text(clearing, "imbalance"))")
    Screen.say("exec root    \(text(settlement, "execution_root"))")
    Screen.say("state root   \(text(settlement, "root"))")
    Screen.say(
      "log root     \(text(settlement, "log_root")) of size \(text(settlement, "log_size"))")
  }

  private func tell(_ risk: DemoRisk) {
    guard let (before, worst, after) = risk.moments else { return }
    func used(_ sample: DemoRisk.Sample) -> String {
      "\(Figures.money(sample.all.initial)) of \(Figures.money(sample.all.equity)) USDC"
    }
    func margined(_ use: DemoRisk.Use) -> String {
      let percent = use.equity > 0 ? "\(use.initial * 100 / use.equity) %" : "more than all"
      return "those on margin \(percent)"
    }
    Screen.say("margin used  \(used(before)) while all was calm, \(margined(before.margined))")
    Screen.say(
      "             \(used(worst)) at the worst, \(margined(worst.margined)), "
        + "\(Figures.moment(worst.time))")
    Screen.say("             \(used(after)) at the end, \(margined(after.margined))")
    let closings = ledger.closings
    guard !closings.isEmpty else {
      return Screen.say("closed       nobody: no account fell below maintenance")
    }
    Screen.say(
      "closed       \(Figures.count(closings.count, "account")) below maintenance, by "
        + "\(Figures.count(ledger.directives, "directive")) against the book")
    for closing in closings.prefix(DemoStory.closingsShown) { Screen.say(line(closing)) }
    let more = closings.count - DemoStory.closingsShown
    if more > 0 { Screen.say("             and \(Figures.count(more, "other"))") }
    Screen.say(
      "fund         \(Figures.grouped(DemoCast.insurance)) USDC before, "
        + "\(units(clearing, "insurance")) after")
  }

  private static let closingsShown = 8

  private func line(_ closing: DemoLedger.Closing) -> String {
    let closed = closing.closed.map { part in
      let name = genesis.instrumentName(part.instrument)?.description ?? "#\(part.instrument)"
      let word = part.quantity.raw < 0 ? "long" : "short"
      let size = Quantity(raw: Int64(clamping: part.quantity.raw.magnitude)).decimal
      return "\(word) \(size) \(name) in \(Figures.count(part.fills, "fill"))"
    }
    let left =
      !closing.isOver
      ? "still below"
      : closing.cash.raw > 0
        ? "\(Figures.money(closing.cash.raw)) left" : "nothing left, the fund paid"
    return "             account \(closing.account), \(Figures.moment(closing.time)): "
      + "\(closed.isEmpty ? "nothing closed" : closed.joined(separator: ", ")); \(left)"
  }

  /// Each index at the start, at its lowest and at the end.
  private static func market(_ tape: any MarketTape) -> String {
    let steps = (0..<tape.stepCount).map { tape.step($0).indices }
    return tape.underlyings.enumerated().compactMap { place, name in
      let prices = steps.compactMap { step in
        step.first { $0.underlying.index == place }?.price
      }
      guard let first = prices.first, let last = prices.last, let low = prices.min() else {
        return nil
      }
      return "\(name) \([first, low, last].map(Figures.price).joined(separator: " → "))"
    }.joined(separator: ", ")
  }

  private static func refusals(_ tally: DemoDesk.Tally) -> String {
    let rejected = tally.rejected.values.reduce(0, +)
    let refused = tally.refused.values.reduce(0, +)
    let reasons = tally.rejected.sorted { $0.key < $1.key }.map { code, count in
      "\(OutcomeCode(rawValue: code).map { Figures.words("\($0)") } ?? "code \(code)") \(count)"
    }
    return "\(Figures.grouped(rejected)) rejected"
      + (reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))")
      + ", \(Figures.count(refused, "bundle")) refused"
  }

  private func text(_ value: JSONValue, _ key: String) -> String { value.word(key) }

  /// An amount of money, in whole units.
  private func units(_ value: JSONValue, _ key: String) -> String {
    do throws(DecimalFailure) {
      return Figures.money(try Money(decimal: value.word(key)).raw)
    } catch {
      return value.word(key)
    }
  }
}

/// Figures as a story prints them.
enum Figures {
  /// `1,234,567`.
  static func grouped(_ value: some BinaryInteger) -> String {
    var digits = String(value.magnitude)
    var text = ""
    while digits.count > 3 {
      text = "," + digits.suffix(3) + text
      digits.removeLast(3)
    }
    return (value < 0 ? "-" : "") + digits + text
  }

  /// Whole units of money.
  static func money(_ raw: Int64) -> String { grouped(raw / Money.scale) }

  /// Whole units of the quote asset.
  static func dollars(_ notional: Int128) -> String {
    grouped(notional / (Notional.perMoney * Int128(Money.scale)))
  }

  static func price(_ price: Price) -> String {
    let cents = price.raw / (Price.scale / 100)
    let rest = cents % 100
    return "\(grouped(cents / 100)).\(rest < 10 ? "0" : "")\(rest)"
  }

  static func count(_ count: Int, _ noun: String) -> String {
    "\(grouped(count)) \(noun)\(count == 1 ? "" : "s")"
  }

  /// `insufficientMargin` as `insufficient margin`.
  static func words(_ name: String) -> String {
    name.reduce(into: "") { text, letter in
      text += letter.isUppercase ? " \(letter.lowercased())" : String(letter)
    }
  }

  /// `5 Feb 02:24`, in UTC.
  static func moment(_ time: Timestamp) -> String {
    guard let (date, milliseconds) = CivilDate.split(time) else { return "\(time.raw) ms" }
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    let minutes = milliseconds / 60_000
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(date.day) \(months[date.month - 1]) \(two(minutes / 60)):\(two(minutes % 60))"
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
    let code = Children.start(&child) {
      unsafe posix_spawn(&$0, path, nil, &attributes, words, environ)
    }
    guard code == 0 else { throw ProcessFailure.spawn(program: path, code: code) }
    var status: Int32 = 0
    _ = unsafe waitpid(child, &status, 0)
    Children.forget(child)
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128
  }
}
