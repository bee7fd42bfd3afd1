import Instruments
import Primitives
import Wire

/// What the exported batches and Clearances say happened, gathered while they are written.
struct DemoLedger {
  /// One account's time below maintenance.
  struct Closing {
    let account: AccountID
    let time: Timestamp
    /// Signed sums of what was closed, in order of instruments' first close.
    var closed: [(instrument: InstrumentID, quantity: Quantity, fills: Int)] = []
    /// As the newest Clearance within this time has it.
    var cash = Money.zero
    var isOver = false
  }

  private(set) var bundles = 0
  private(set) var fills = 0
  private(set) var blocks = 0
  private(set) var closingFills = 0
  private(set) var directives = 0
  /// In notional units.
  private(set) var volume: Int128 = 0
  private(set) var expired = 0
  private(set) var closings: [Closing] = []
  /// Directed closes of a batch, until its Clearance says whose they were.
  private var pending: [UInt64: [Fill]] = [:]
  /// Places in `closings` of accounts that are below maintenance now.
  private var open: [AccountID: Int] = [:]

  mutating func add(_ batch: SignedBatch) throws {
    let body = try BatchBody(batch.body)
    bundles += body.bundles.count
    for index in 0..<body.eventCount where body.eventKind(index) == .fill {
      let fill = body.event(index, as: Fill.self)
      fills += 1
      volume += (fill.price * fill.quantity).raw
      switch FillCause(rawValue: fill.causeCode) {
      case .block: blocks += 1
      case .close:
        closingFills += 1
        pending[batch.header.batch.raw, default: []].append(fill)
      case .match, .auction, nil: break
      }
    }
  }

  mutating func add(_ clearance: SignedClearance) throws {
    let bytes = clearance.body
    let body = try ClearanceBody(encoded: bytes.rawSpan)
    expired += body.instruments.count { $0.status == .settled }
    directives += body.directives.count { $0.kindCode == DirectiveKind.close.rawValue }
    for fill in pending.removeValue(forKey: clearance.header.batch.raw) ?? [] { close(fill) }
    for entry in body.accounts {
      let isRestricted = AccountFlags(rawValue: entry.flags).contains(.reduceOnly)
      if let place = open[entry.account] {
        closings[place].cash = entry.cash
        closings[place].isOver = !isRestricted
        if !isRestricted { open[entry.account] = nil }
      } else if isRestricted {
        open[entry.account] = closings.count
        var closing = Closing(account: entry.account, time: clearance.header.time)
        closing.cash = entry.cash
        closings.append(closing)
      }
    }
  }

  private mutating func close(_ fill: Fill) {
    guard let place = open[fill.taker] else { return }
    let signed = Quantity(
      raw: fill.takerSide == .buy ? fill.quantity.raw : 0 - fill.quantity.raw)
    if let entry = closings[place].closed.firstIndex(where: { $0.instrument == fill.instrument }) {
      closings[place].closed[entry].quantity = Quantity(
        raw: closings[place].closed[entry].quantity.raw + signed.raw)
      closings[place].closed[entry].fills += 1
    } else {
      closings[place].closed.append((fill.instrument, signed, 1))
    }
  }
}
