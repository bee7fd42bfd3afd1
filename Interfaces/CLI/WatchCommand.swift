import ArgumentParser
import Client
import Instruments
import Primitives
import Wire

/// What there is to watch.
enum WatchSubject: String, ExpressibleByArgument, CaseIterable {
  case fills, risk, batches, market, orders
}

/// `novate watch fills|risk|batches`: what happens, as it happens.
struct WatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Stream fills, risk, batches, a market or an account's orders as JSON Lines.",
    discussion: """
      fills: every match, from execution's batches. risk: touched accounts, restrictions and \
      directives, from clearing's Clearances. batches: what settlement has replayed. The layers' \
      signatures are checked. Begins with the next batch, or at --from.

      market --instrument NAME: the order book, whole and then what each batch changed, with its \
      trades; each update's checksum of the whole book is checked. orders --account N: the account's \
      resting orders, fills, and what became of each action.
      """)

  @Argument(help: "fills, risk, batches, market or orders.")
  var subject: WatchSubject

  @Option(help: "market: the instrument's name.")
  var instrument: String?

  @Option(help: "orders: the account's number.")
  var account: UInt32?

  @Option(help: "End after this many lines.")
  var count: Int?

  @Option(help: "Begin at this batch; default: the next.")
  var from: UInt64?

  @Option(
    help: ArgumentHelp(
      "The layer's address; default: that of execution, clearing or settlement.",
      valueName: "address"),
    transform: LayerAddress.parse)
  var to: Address?

  @OptionGroup var network: NetworkOptions

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count: expected 1 or more, found \(count)") }
    guard (subject == .market) == (instrument != nil), (subject == .orders) == (account != nil)
    else { throw ValidationError("market takes --instrument, orders takes --account") }
    if subject == .market || subject == .orders, from != nil {
      throw ValidationError("--from: \(subject) begins with what is there now")
    }
  }

  func run() throws {
    let (genesis, _) = try network.load()
    let (role, address): (Role, String) =
      switch subject {
      case .fills, .market, .orders: (.execution, LayerAddress.execution)
      case .risk: (.clearing, LayerAddress.clearing)
      case .batches: (.settlement, LayerAddress.settlement)
      }
    let client = try LayerClient(
      to: try to ?? LayerAddress.parse(address), role, genesis: genesis)
    let start = from.map { BatchNumber($0) } ?? FollowMessage.next
    var left = count ?? .max
    func say(_ lines: [JSONValue]) -> Bool {
      for line in lines.prefix(left) { Screen.say(line.text()) }
      left -= min(left, lines.count)
      return left > 0
    }
    switch subject {
    case .fills:
      var fills = FillLines(try client.instruments())
      try client.follow([FollowMessage(.batches, from: start)]) { _, bytes in
        say(try fills.lines(try client.batch(bytes), client))
      }
    case .risk:
      var risk = RiskLines(InstrumentDirectory(genesis))
      try client.follow([FollowMessage(.clearances, from: start)]) { _, bytes in
        say(try risk.lines(try client.clearance(bytes), client))
      }
    case .market:
      let directory = try client.instruments()
      let id = try MarketLines.instrument(instrument ?? "", directory)
      try MarketStream(client, id).run { update, _ in
        say([MarketLines.line(update, instrument ?? "")])
      }
    case .orders:
      var directory = try client.instruments()
      let stream = AccountStream(client, AccountID(account ?? 0))
      try stream.run { update in
        if update.orders.contains(where: { directory[$0.instrument] == nil }) {
          directory = try LayerClient(to: client.address, role, genesis: genesis).instruments()
        }
        return say(MarketLines.lines(update, directory))
      }
    case .batches:
      var batches = BatchLines()
      try client.follow([
        FollowMessage(.batches, from: start), FollowMessage(.clearances, from: start),
      ]) { log, bytes in
        switch log {
        case .batches: say(batches.lines(try client.batch(bytes).header))
        case .clearances: say(batches.lines(try client.clearance(bytes).header))
        case .checkpoints: true
        }
      }
    }
  }
}

/// Fills as lines.
struct FillLines {
  private var directory: InstrumentDirectory

  init(_ directory: InstrumentDirectory) { self.directory = directory }

  mutating func lines(_ batch: SignedBatch, _ client: LayerClient) throws -> [JSONValue] {
    let body: BatchBody
    do throws(DecodingFailure) {
      body = try BatchBody(batch.body)
    } catch {
      throw ClientFailure.answer(client.address, expected: "a batch body", found: "\(error)")
    }
    var lines: [JSONValue] = []
    for index in 0..<body.eventCount where body.eventKind(index) == .fill {
      let fill = body.event(index, as: Fill.self)
      if directory[fill.instrument] == nil { directory = try client.instruments() }
      lines.append(line(fill, batch.header))
    }
    return lines
  }

  private func line(_ fill: Fill, _ header: ExecutionHeader) -> JSONValue {
    let cause =
      switch FillCause(rawValue: fill.causeCode) {
      case .match: "match"
      case .block: "block"
      case .close: "close"
      case .auction: "auction"
      case nil: "unknown"
      }
    return [
      "batch": .integer(header.batch.raw), "time_ms": .integer(header.time.raw),
      "trade": .integer(fill.trade.raw), "instrument": .string(directory.label(fill.instrument)),
      "price": .string(fill.price.decimal), "quantity": .string(fill.quantity.decimal),
      "taker_side": fill.takerSide == .buy ? "buy" : "sell", "buyer": .integer(fill.buyer.raw),
      "seller": .integer(fill.seller.raw), "maker_order": .integer(fill.makerOrder.raw),
      "taker_order": .integer(fill.takerOrder.raw), "cause": .string(cause),
    ]
  }
}

/// What a Clearance says of risk, as lines: accounts touched, restrictions that began or ended,
/// directives.
struct RiskLines {
  private var directory: InstrumentDirectory
  /// Accounts seen restricted.
  private var restricted: Set<AccountID> = []

  init(_ directory: InstrumentDirectory) { self.directory = directory }

  mutating func lines(_ clearance: SignedClearance, _ client: LayerClient) throws -> [JSONValue] {
    let body: ClearanceBody
    do throws(DecodingFailure) {
      body = try ClearanceBody(encoded: clearance.body.rawSpan)
    } catch {
      throw ClientFailure.answer(client.address, expected: "a Clearance", found: "\(error)")
    }
    // Whole records come of instruments listed, halted or settled.
    for instrument in body.instruments where instrument.id.index == directory.instruments.count {
      directory.append(instrument)
    }
    let header = clearance.header
    let start: [(key: String, value: JSONValue)] = [
      ("batch", .integer(header.batch.raw)), ("time_ms", .integer(header.time.raw)),
    ]
    var lines: [JSONValue] = []
    for entry in body.accounts { lines += self.lines(entry, start) }
    for directive in body.directives { lines.append(line(directive, start)) }
    return lines
  }

  private mutating func lines(
    _ entry: AccountEntry, _ start: [(key: String, value: JSONValue)]
  ) -> [JSONValue] {
    let isRestricted = AccountFlags(rawValue: entry.flags).contains(.reduceOnly)
    let account: (key: String, value: JSONValue) = ("account", .integer(entry.account.raw))
    var lines: [JSONValue] = [
      .object(
        start + [
          ("event", "account"), account, ("cash", .string(entry.cash.decimal)),
          ("reduce_only", .bool(isRestricted)),
        ])
    ]
    let wasRestricted = restricted.contains(entry.account)
    if isRestricted && !wasRestricted {
      restricted.insert(entry.account)
      lines.append(.object(start + [("event", "restricted"), account]))
    } else if !isRestricted && wasRestricted {
      restricted.remove(entry.account)
      lines.append(.object(start + [("event", "released"), account]))
    }
    return lines
  }

  private func line(_ directive: Directive, _ start: [(key: String, value: JSONValue)])
    -> JSONValue
  {
    let account: (key: String, value: JSONValue) = ("account", .integer(directive.account.raw))
    guard directive.kindCode == DirectiveKind.close.rawValue else {
      return .object(start + [("event", "cancel_all"), account])
    }
    return .object(
      start + [
        ("event", "close"), account,
        ("instrument", .string(directory.label(directive.instrument))),
        ("side", directive.sideCode == Side.buy.rawValue ? "buy" : "sell"),
        ("quantity", .string(directive.quantity.decimal)),
        ("worst_price", .string(directive.price.decimal)),
      ])
  }
}

/// Both headers of a settled batch as one line.
struct BatchLines {
  private var executions: [ExecutionHeader] = []
  private var clearings: [ClearingHeader] = []

  mutating func lines(_ header: ExecutionHeader) -> [JSONValue] {
    executions.append(header)
    return pairs()
  }

  mutating func lines(_ header: ClearingHeader) -> [JSONValue] {
    clearings.append(header)
    return pairs()
  }

  /// Heads that have found each other; the logs may have begun a batch apart.
  private mutating func pairs() -> [JSONValue] {
    var lines: [JSONValue] = []
    while let execution = executions.first, let clearing = clearings.first {
      if execution.batch < clearing.batch {
        executions.removeFirst()
      } else if clearing.batch < execution.batch {
        clearings.removeFirst()
      } else {
        lines.append(BatchLines.line(executions.removeFirst(), clearings.removeFirst()))
      }
    }
    return lines
  }

  private static func line(_ execution: ExecutionHeader, _ clearing: ClearingHeader) -> JSONValue {
    [
      "batch": .integer(execution.batch.raw), "time_ms": .integer(execution.time.raw),
      "bundles": .integer(execution.bundleCount), "events": .integer(execution.eventCount),
      "receipts": .integer(clearing.receiptCount), "directives": .integer(clearing.directiveCount),
      "bytes": .integer(execution.bodyByteCount + clearing.bodyByteCount),
      "credit_batch": execution.creditBatch == ExecutionHeader.noCredit
        ? .null : .integer(execution.creditBatch.raw),
      "execution_id": .string("\(execution.id)"),
      "execution_root": .string("\(execution.postRoot)"),
      "clearing_id": .string("\(clearing.id)"), "clearing_root": .string("\(clearing.postRoot)"),
    ]
  }
}

extension InstrumentDirectory {
  /// The instrument's name, or its number where it has none.
  func label(_ id: InstrumentID) -> String {
    self[id]?.label(underlyings: underlyings) ?? "#\(id)"
  }
}
