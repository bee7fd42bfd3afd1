import Primitives
import Wire

extension ActionReader {
  /// A price, or of an option a volatility in its place.
  func limit(_ fields: Fields) throws(Reason) -> Action {
    guard let volatility: Ratio = try fields.optionalUnit("volatility") else {
      return .order(try limitTerms(fields, at: try fields.unit("price")))
    }
    if let found = try fields.optionalString("price") {
      throw .value("price", expected: "none beside volatility", found: found)
    }
    return .volatility(
      VolatilityOrder(try limitTerms(fields, at: .zero), volatility: volatility))
  }

  func market(_ fields: Fields) throws(Reason) -> Action { .order(try marketTerms(fields)) }

  /// A limit order if it has a price, else a market order. A stop waits for the price to go against
  /// what it closes: up for a buy, down for a sell; a take-profit order the other way.
  func trigger(_ name: String, _ fields: Fields) throws(Reason) -> Action {
    let order: OrderTerms
    if try fields.optionalString("price") != nil {
      if let found = try fields.optionalString("protection_price") {
        throw .value("protection_price", expected: "none beside price", found: found)
      }
      order = try limitTerms(fields, at: try fields.unit("price"))
    } else {
      for key in ["post_only", "slide"] where try fields.flag(key) {
        throw .value(key, expected: "a price beside it", found: "none")
      }
      if let found = try fields.optionalString("display_quantity") {
        throw .value("display_quantity", expected: "a price beside it", found: found)
      }
      var terms = try marketTerms(fields)
      terms.expiry = Timestamp(raw: try fields.optionalInteger("good_till_ms") ?? 0)
      order = terms
    }
    let source: TriggerSource
    switch try fields.optionalString("trigger_by") {
    case nil, "mark": source = .mark
    case "index": source = .index
    case let found?: throw .value("trigger_by", expected: "mark or index", found: found)
    }
    return .trigger(
      TriggerTerms(
        order: order, source: source,
        direction: (name == "stop") == (order.side == .buy) ? .rises : .falls,
        price: try fields.unit("trigger_price")))
  }

  private func limitTerms(_ fields: Fields, at price: Price) throws(Reason) -> OrderTerms {
    let expiry: Int64? = try fields.optionalInteger("good_till_ms")
    let timeInForce: TimeInForce
    switch try fields.optionalString("tif") {
    case nil: timeInForce = expiry == nil ? .gtc : .gtt
    case "gtc": timeInForce = .gtc
    case "gtt": timeInForce = .gtt
    case "ioc": timeInForce = .ioc
    case "fok": timeInForce = .fok
    case let found?: throw .value("tif", expected: "gtc, gtt, ioc or fok", found: found)
    }
    return OrderTerms(
      instrument: try instrument(fields), side: try fields.side(),
      price: price, quantity: try fields.unit("quantity"),
      timeInForce: timeInForce, postOnly: try postOnly(fields),
      isReduceOnly: try fields.flag("reduce_only"),
      clientID: try fields.optionalInteger("client_id") ?? 0,
      expiry: Timestamp(raw: expiry ?? 0),
      display: try fields.optionalUnit("display_quantity") ?? .zero,
      selfTrade: try selfTrade(fields))
  }

  private func marketTerms(_ fields: Fields) throws(Reason) -> OrderTerms {
    let timeInForce: TimeInForce
    switch try fields.optionalString("tif") {
    case nil, "ioc": timeInForce = .ioc
    case "fok": timeInForce = .fok
    case let found?: throw .value("tif", expected: "ioc or fok", found: found)
    }
    return OrderTerms(
      instrument: try instrument(fields), side: try fields.side(),
      price: try fields.optionalUnit("protection_price") ?? .zero,
      quantity: try fields.unit("quantity"), timeInForce: timeInForce,
      isReduceOnly: try fields.flag("reduce_only"), isMarket: true,
      clientID: try fields.optionalInteger("client_id") ?? 0, selfTrade: try selfTrade(fields))
  }

  func postOnly(_ fields: Fields) throws(Reason) -> PostOnly {
    let slides = try fields.flag("slide")
    guard try fields.flag("post_only") else {
      if slides { throw .value("slide", expected: "post_only beside it", found: "true alone") }
      return .no
    }
    return slides ? .slide : .reject
  }

  func selfTrade(_ fields: Fields) throws(Reason) -> SelfTradeMode {
    switch try fields.optionalString("self_trade") {
    case nil, "cancel_resting": return .cancelResting
    case "cancel_taker": return .cancelTaker
    case "cancel_both": return .cancelBoth
    case "decrement_both": return .decrementBoth
    case let found?:
      throw .value(
        "self_trade", expected: "cancel_resting, cancel_taker, cancel_both or decrement_both",
        found: found)
    }
  }

  private func orderName(_ fields: Fields) throws(Reason) -> OrderReplacement.Name {
    let order: UInt64? = try fields.optionalInteger("order")
    let client: UInt64? = try fields.optionalInteger("client_id")
    switch (order, client) {
    case (let order?, nil): return .order(OrderID(order))
    case (nil, let client?): return .client(client)
    case (nil, nil): throw .json(.missing("order"))
    case (_?, _?): throw .value("order", expected: "order or client_id", found: "both")
    }
  }

  func replacement(_ fields: Fields) throws(Reason) -> Action {
    .replace(
      OrderReplacement(
        instrument: try instrument(fields), name: try orderName(fields),
        price: try fields.unit("price"), quantity: try fields.unit("quantity"),
        postOnly: try postOnly(fields), selfTrade: try selfTrade(fields),
        newClientID: try fields.optionalInteger("new_client_id") ?? 0,
        expectedLeft: try fields.optionalUnit("if_left") ?? .zero))
  }

  func cancel(_ fields: Fields) throws(Reason) -> Action {
    let instrument = try instrument(fields)
    switch try orderName(fields) {
    case .order(let order): return .cancel(instrument: instrument, order: order)
    case .client(let client): return .cancelClient(instrument: instrument, clientID: client)
    }
  }

  /// What a key may trade: an instrument, those of an underlying, or all.
  func scope(_ fields: Fields) throws(Reason) -> InstrumentID {
    guard try fields.optionalString("underlying") != nil else {
      return try instrumentOrAll(fields)
    }
    if let found = try fields.optionalString("instrument") {
      throw .value("instrument", expected: "none beside underlying", found: found)
    }
    return .all(of: try underlying(fields))
  }

  func cancelAll(_ fields: Fields) throws(Reason) -> Action {
    let side: Side?
    switch try fields.optionalString("side") {
    case nil: side = nil
    case "buy": side = .buy
    case "sell": side = .sell
    case let found?: throw .value("side", expected: "buy or sell", found: found)
    }
    return .cancelOrders(try cancelScope(fields), side: side)
  }

  func cancelScope(_ fields: Fields) throws(Reason) -> CancelScope {
    let scope = try scope(fields)
    return scope.scopeOfUnderlying.map { .underlying($0) } ?? .instrument(scope)
  }
}
