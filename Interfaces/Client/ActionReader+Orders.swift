import Primitives
import Wire

extension ActionReader {
  func limit(_ fields: Fields) throws(Reason) -> Action {
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
    return .order(
      OrderTerms(
        instrument: try instrument(fields), side: try fields.side(),
        price: try fields.unit("price"), quantity: try fields.unit("quantity"),
        timeInForce: timeInForce, postOnly: try postOnly(fields),
        isReduceOnly: try fields.flag("reduce_only"),
        clientID: try fields.optionalInteger("client_id") ?? 0,
        expiry: Timestamp(raw: expiry ?? 0),
        display: try fields.optionalUnit("display_quantity") ?? .zero,
        selfTrade: try selfTrade(fields)))
  }

  func market(_ fields: Fields) throws(Reason) -> Action {
    let timeInForce: TimeInForce
    switch try fields.optionalString("tif") {
    case nil, "ioc": timeInForce = .ioc
    case "fok": timeInForce = .fok
    case let found?: throw .value("tif", expected: "ioc or fok", found: found)
    }
    return .order(
      OrderTerms(
        instrument: try instrument(fields), side: try fields.side(),
        price: try fields.optionalUnit("protection_price") ?? .zero,
        quantity: try fields.unit("quantity"), timeInForce: timeInForce,
        isReduceOnly: try fields.flag("reduce_only"), isMarket: true,
        clientID: try fields.optionalInteger("client_id") ?? 0, selfTrade: try selfTrade(fields)))
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

  func cancelAll(_ fields: Fields) throws(Reason) -> Action {
    let side: Side?
    switch try fields.optionalString("side") {
    case nil: side = nil
    case "buy": side = .buy
    case "sell": side = .sell
    case let found?: throw .value("side", expected: "buy or sell", found: found)
    }
    guard try fields.optionalString("underlying") != nil else {
      return .cancelOrders(.instrument(try instrumentOrAll(fields)), side: side)
    }
    if let found = try fields.optionalString("instrument") {
      throw .value("instrument", expected: "none beside underlying", found: found)
    }
    return .cancelOrders(.underlying(try underlying(fields)), side: side)
  }
}
