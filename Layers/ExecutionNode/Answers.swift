import Execution
import Instruments
import Node
import Primitives
import Storage
import Wire

/// What execution says when asked.
enum Answers {
  static func answer(_ query: QueryMessage, _ service: ExecutionService, _ state: SequencerState)
    -> [UInt8]?
  {
    query.kind == .status
      ? status(service, state).bytes()
      : answer(query, genesis: service.context.genesis, state)
  }

  /// Answers about state; nil for what is not known.
  static func answer(_ query: QueryMessage, genesis: Genesis, _ state: SequencerState) -> [UInt8]? {
    switch query.kind {
    case .status: return nil
    case .instruments: return instruments(state)
    case .book:
      return book(InstrumentID(UInt32(truncatingIfNeeded: query.subject)), genesis, state)
    case .nonce:
      return state.machine.nonces(
        of: AccountID(UInt32(truncatingIfNeeded: query.subject)), query.key
      ).map { NonceAnswer(top: $0.top, window: $0.bits).encoded }
    case .orders:
      return orders(AccountID(UInt32(truncatingIfNeeded: query.subject)), genesis, state)
    case .account, .risk, .margin: return nil
    }
  }

  private static func status(_ service: ExecutionService, _ state: SequencerState) -> JSONValue {
    let machine = state
    return .object([
      ("role", .string("execution")),
      ("network", .string("\(service.context.network)")),
      ("batch", .integer(machine.machine.batch.raw)),
      ("time_ms", .integer(machine.machine.time.raw)),
      ("root", .string("\(machine.machine.root)")),
      ("credit_batch", machine.machine.creditBatch.map { .integer($0.raw) } ?? .null),
      ("accounts", .integer(machine.machine.accountCount)),
      ("instruments", .integer(machine.machine.instrumentCount)),
      ("open_orders", .integer(machine.machine.openOrderCount)),
      ("open_orders_max", .integer(machine.machine.restingOrderMax)),
      ("memory_bytes_orders", .integer(machine.machine.memory.orderBytes)),
      ("memory_bytes_risk", .integer(machine.machine.memory.riskBytes)),
      ("degraded", .bool(service.degraded.isSet)),
      ("state", .string(service.frozen.batch == nil ? "serving" : "frozen")),
      ("reason", service.frozen.reason.map { .string($0) } ?? .null),
    ])
  }

  private static func instruments(_ state: SequencerState) -> [UInt8] {
    var out = ByteWriter()
    for index in 0..<state.machine.instrumentCount {
      if let instrument = state.machine.instrument(InstrumentID(UInt32(index))) {
        out.write(record: instrument)
      }
    }
    return out.bytes
  }

  private static func book(
    _ id: InstrumentID, _ genesis: Genesis, _ state: SequencerState
  ) -> [UInt8]? {
    guard let instrument = state.machine.instrument(id) else { return nil }
    func side(_ side: Side) -> JSONValue {
      .array(
        state.machine.levels(id, side, limit: 20).map { level in
          .array([
            .string(level.price.decimal), .string(level.quantity.decimal), .integer(level.orders),
          ])
        })
    }
    return JSONValue.object([
      ("instrument", .string(instrument.label(underlyings: genesis.underlyings))),
      ("batch", .integer(state.machine.batch.raw)),
      ("root", .string("\(state.machine.root)")),
      ("mark", state.machine.mark(id).map { .string($0.decimal) } ?? .null),
      ("bids", side(.buy)),
      ("asks", side(.sell)),
    ]).bytes()
  }

  private static func orders(
    _ account: AccountID, _ genesis: Genesis, _ state: SequencerState
  ) -> [UInt8]? {
    guard account.index < state.machine.accountCount else { return nil }
    func terms(
      _ id: OrderID, _ clientID: UInt64, _ instrument: InstrumentID, _ side: Side, _ price: Price,
      _ quantity: Quantity
    ) -> [(key: String, value: JSONValue)] {
      let label = state.machine.instrument(instrument)
        .map { $0.label(underlyings: genesis.underlyings) }
      return [
        ("order", .integer(id.raw)), ("client_id", .integer(clientID)),
        ("instrument", .string(label ?? "\(instrument)")),
        ("side", .string(side == .buy ? "buy" : "sell")), ("price", .string(price.decimal)),
        ("quantity", .string(quantity.decimal)),
      ]
    }
    let resting = state.machine.openOrders(of: account).map { order in
      JSONValue.object(
        terms(
          order.id, order.clientID, order.instrument, order.side, order.price, order.quantity))
    }
    let waiting = state.machine.waitingOrders(of: account).map { id, order in
      JSONValue.object(
        terms(id, order.z, order.instrument, order.side, order.price, order.quantity) + [
          ("trigger_by", order.triggerSource == .mark ? "mark" : "index"),
          ("trigger", order.triggerDirection == .rises ? "rises" : "falls"),
          ("trigger_price", .string(order.triggerPrice.decimal)),
        ])
    }
    return JSONValue.object([
      ("account", .integer(account.raw)),
      ("batch", .integer(state.machine.batch.raw)),
      ("orders", .array(resting)),
      ("waiting", .array(waiting)),
    ]).bytes()
  }
}
