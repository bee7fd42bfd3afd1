import Client
import Instruments
import Primitives
import Wire

/// A market's and an account's updates as lines.
enum MarketLines {
  static func instrument(_ name: String, _ directory: InstrumentDirectory) throws -> InstrumentID {
    guard
      let found = directory.instruments.first(where: {
        $0.label(underlyings: directory.underlyings) == name
      })
    else {
      throw CommandFailure("--instrument: expected one that is listed, found \(name)")
    }
    return found.id
  }

  static func line(_ update: MarketUpdate, _ name: String) -> JSONValue {
    func side(_ side: Side) -> JSONValue {
      .array(
        update.levels.filter { $0.side == side }.map {
          .array([
            .string($0.price.decimal), .string($0.quantity.decimal), .integer(Int64($0.orders)),
          ])
        })
    }
    return [
      "event": update.isSnapshot ? "snapshot" : "update", "instrument": .string(name),
      "batch": .integer(update.batch.raw),
      "previous": update.previous == FollowMarketMessage.nothing
        ? .null : .integer(update.previous.raw),
      "time_ms": .integer(update.time.raw),
      "mark": update.mark.raw == 0 ? .null : .string(update.mark.decimal),
      "bids": side(.buy), "asks": side(.sell),
      "trades": .array(update.trades.map(trade)),
      "checksum": .string(String(update.checksum, radix: 16)),
    ]
  }

  private static func trade(_ fill: Fill) -> JSONValue {
    [
      "trade": .integer(fill.trade.raw), "price": .string(fill.price.decimal),
      "quantity": .string(fill.quantity.decimal),
      "taker_side": fill.takerSide == .buy ? "buy" : "sell",
    ]
  }

  /// One line an order, a fill, and an action's outcome.
  static func lines(_ update: AccountUpdate, _ directory: InstrumentDirectory) -> [JSONValue] {
    let start: [(key: String, value: JSONValue)] = [
      ("batch", .integer(update.batch.raw)), ("time_ms", .integer(update.time.raw)),
      ("account", .integer(update.account.raw)),
    ]
    var lines: [JSONValue] = []
    for leaf in update.acknowledgements {
      for (place, outcome) in leaf.outcomes.enumerated() {
        lines.append(
          .object(
            start + [
              ("event", "outcome"), ("index", .integer(leaf.index)), ("action", .integer(place)),
              ("bundle", .string("\(leaf.bundle)")), ("code", .integer(outcome.code)),
              ("order", .integer(outcome.order.raw)), ("figure1", .integer(outcome.figure1)),
              ("figure2", .integer(outcome.figure2)),
            ]))
      }
    }
    for fill in update.fills {
      let isTaker = fill.taker == update.account
      let side = isTaker ? fill.takerSide : fill.takerSide.opposite
      lines.append(
        .object(
          start + [
            ("event", "fill"), ("trade", .integer(fill.trade.raw)),
            ("order", .integer((isTaker ? fill.takerOrder : fill.makerOrder).raw)),
            ("instrument", .string(directory.label(fill.instrument))),
            ("side", side == .buy ? "buy" : "sell"), ("price", .string(fill.price.decimal)),
            ("quantity", .string(fill.quantity.decimal)),
            ("liquidity", isTaker ? "taker" : "maker"),
          ]))
    }
    for word in update.triggered {
      let outcome = word.outcome
      lines.append(
        .object(
          start + [
            ("event", "triggered"), ("index", .integer(word.index)),
            ("trigger", .integer(word.trigger.raw)), ("order", .integer(word.order.raw)),
            ("client_id", .integer(word.clientID)),
            ("instrument", .string(directory.label(word.instrument))),
            ("status", .string("\(outcome.status)")), ("code", .integer(outcome.code)),
            ("figure1", .integer(outcome.figure1)), ("figure2", .integer(outcome.figure2)),
          ]))
    }
    for order in update.orders {
      lines.append(
        .object(
          start + [
            (
              "event",
              order.quantity.raw == 0 ? "gone" : order.isWaiting ? "waiting" : "resting"
            ),
            ("order", .integer(order.id.raw)), ("client_id", .integer(order.clientID)),
            ("instrument", .string(directory.label(order.instrument))),
            ("side", order.side == .buy ? "buy" : "sell"), ("price", .string(order.price.decimal)),
            ("quantity", .string(order.quantity.decimal)),
          ]))
    }
    return lines
  }
}
