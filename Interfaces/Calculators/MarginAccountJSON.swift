import Margin
import Pricing
import Primitives
import Wire

/// Markets and account of one line of `novate margin`.
struct MarginLine {
  var markets: [MarginMarket] = []
  /// A name for every market; one without a name has none.
  var names: [String] = []
  /// Collateral ids of every market, in its order.
  private var collateralIDs: [[String]] = []
  private(set) var account = MarginAccount(books: [])
  /// The markets came as a list, and so do answers by underlying.
  private(set) var isList = false

  init(_ line: JSONValue) throws(CalculatorFailure) {
    guard let market = line["market"], let account = line["account"] else {
      throw CalculatorFailure(
        "missing_field",
        "expected keys \"market\" and \"account\", found \(line["market"] == nil ? "no market" : "no account")"
      )
    }
    if case .array(let entries) = market {
      isList = true
      for entry in entries { try addMarket(entry) }
    } else {
      try addMarket(market)
    }
    self.account.books = markets.map { market in
      var book = MarginBook()
      book.collaterals = market.collaterals.map { _ in .zero }
      return book
    }
    let fields = try Fields(
      account, known: ["cash", "perps", "futures", "collateral", "options", "what_if", "mode"])
    if fields.has("mode") {
      self.account.isApart = try fields.word("mode", [("portfolio", false), ("cross", true)])
    }
    try add(fields)
    for holder in [account, line] {
      if let value = holder["what_if"], value != .null { try addWhatIf(value) }
    }
  }

  // MARK: - Markets

  private mutating func addMarket(_ value: JSONValue) throws(CalculatorFailure) {
    let f = try Fields(
      value,
      known: [
        "underlying", "spot", "stable", "peg", "perp_price", "confidence", "expiries",
        "collaterals",
        "perp_adv", "perp_open_interest",
      ])
    var market = MarginMarket(
      spot: try f.price("spot"),
      perpetualPrice: f.has("perp_price") ? try f.price("perp_price") : nil)
    if f.has("stable") { market.stable = try f.price("stable") }
    if f.has("peg") { market.peg = try f.price("peg") }
    if f.has("perp_adv") { market.perpetualVolume = try f.quantity("perp_adv") }
    if f.has("perp_open_interest") {
      market.perpetualInterest = try f.quantity("perp_open_interest")
    }
    if let confidence = value["confidence"], confidence != .null {
      let c = try Fields(confidence, known: ["spot", "perp"])
      market.spotConfidence = try c.ratio("spot", default: 1)
      market.perpetualConfidence = try c.ratio("perp", default: 1)
    }
    for entry in f.has("expiries") ? try f.list("expiries") : [] {
      let expiry = try self.expiry(entry)
      if market.expiries.contains(where: { $0.time == expiry.time }) {
        throw CalculatorFailure(
          "invalid_field", "\"expiries\": time_ms \(expiry.time) stands twice")
      }
      market.expiries.append(expiry)
    }
    var ids: [String] = []
    for entry in f.has("collaterals") ? try f.list("collaterals") : [] {
      let c = try Fields(
        entry,
        known: ["id", "price", "confidence", "mm_haircut", "im_haircut_add", "risk_cancelling"])
      let id = try c.text("id")
      if ids.contains(where: { $0.utf8.elementsEqual(id.utf8) }) {
        throw CalculatorFailure("invalid_field", "\"collaterals\": id \"\(id)\" stands twice")
      }
      var collateral = MarginCollateral(price: try c.price("price"))
      collateral.confidence = try c.ratio("confidence", default: 1)
      collateral.maintenanceHaircut = try c.ratio("mm_haircut", default: 0)
      collateral.initialHaircutAdd = try c.ratio("im_haircut_add", default: 0)
      collateral.isRiskCancelling = try c.flag("risk_cancelling")
      market.collaterals.append(collateral)
      ids.append(id)
    }
    let name = f.has("underlying") ? try f.text("underlying") : ""
    if names.contains(where: { $0.utf8.elementsEqual(name.utf8) }) {
      throw CalculatorFailure("invalid_field", "\"market\": underlying \"\(name)\" stands twice")
    }
    markets.append(market)
    names.append(name)
    collateralIDs.append(ids)
  }

  private func expiry(_ value: JSONValue) throws(CalculatorFailure) -> MarginExpiry {
    let f = try Fields(
      value,
      known: [
        "time_ms", "forward_fixed", "forward_variable", "rate", "discount",
        "forward_confidence", "rate_confidence", "vol_confidence", "option_adv",
      ])
    var expiry = MarginExpiry(
      time: try f.integer("time_ms"),
      forward: f.has("forward_variable") || !f.has("forward_fixed")
        ? try f.price("forward_variable") : .zero)
    if f.has("forward_fixed") { expiry.forwardFixed = try f.price("forward_fixed") }
    if f.has("option_adv") { expiry.optionVolume = try f.quantity("option_adv") }
    expiry.rate = try f.ratio("rate", default: 0)
    if f.has("discount") { expiry.discount = try f.wide("discount") }
    expiry.forwardConfidence = try f.ratio("forward_confidence", default: 1)
    expiry.rateConfidence = try f.ratio("rate_confidence", default: 1)
    expiry.volatilityConfidence = try f.ratio("vol_confidence", default: 1)
    return expiry
  }

  // MARK: - Account

  private mutating func add(_ f: Fields) throws(CalculatorFailure) {
    if f.has("cash") { try addCash(try f.worth("cash")) }
    if f.has("perps"), let perps = f.value["perps"] {
      for entry in try MarginLine.one(perps, orListOf: "perps") {
        try addPerpetual(
          entry,
          try Fields(
            entry, known: ["underlying", "quantity", "unrealised", "price", "owner_others"]))
      }
    }
    for entry in f.has("futures") ? try f.list("futures") : [] { try addFuture(entry) }
    for entry in f.has("collateral") ? try f.list("collateral") : [] {
      try addCollateral(entry)
    }
    for entry in f.has("options") ? try f.list("options") : [] { try addOption(entry) }
  }

  /// An object like an account, or a list of legs: with a strike an option, with a time alone a future,
  /// with an id collateral, else a perpetual.
  private mutating func addWhatIf(_ value: JSONValue) throws(CalculatorFailure) {
    guard case .array(let legs) = value else {
      return try add(Fields(value, known: ["cash", "perps", "futures", "collateral", "options"]))
    }
    for leg in legs {
      if leg["strike"] != nil {
        try addOption(leg)
      } else if leg["time_ms"] != nil {
        try addFuture(leg)
      } else if leg["id"] != nil {
        try addCollateral(leg)
      } else {
        try addPerpetual(
          leg,
          try Fields(
            leg, known: ["underlying", "quantity", "unrealised", "price", "owner_others"]))
      }
    }
  }

  private static func one(_ value: JSONValue, orListOf name: String) throws(CalculatorFailure)
    -> [JSONValue]
  {
    switch value {
    case .object: return [value]
    case .array(let list): return list
    case .null, .bool, .number, .string:
      throw CalculatorFailure(
        "invalid_field", "\"\(name)\": expected an object or a list, found \(value.kind)")
    }
  }

  private mutating func addCash(_ cash: Worth) throws(CalculatorFailure) {
    account.cash = try margined { () throws(MarginFailure) in try account.cash + cash }
  }

  /// The market a leg belongs to.
  private func place(_ f: Fields) throws(CalculatorFailure) -> Int {
    guard f.has("underlying") else {
      guard markets.count == 1 else {
        throw CalculatorFailure(
          "missing_field", "expected key \"underlying\" beside \(markets.count) markets, found none"
        )
      }
      return 0
    }
    let name = try f.text("underlying")
    guard let place = names.firstIndex(where: { $0.utf8.elementsEqual(name.utf8) }) else {
      throw CalculatorFailure("unknown_underlying", "no market is named \"\(name)\"")
    }
    return place
  }

  private mutating func addPerpetual(_ value: JSONValue, _ f: Fields) throws(CalculatorFailure) {
    let place = try place(f)
    let quantity = try f.quantity("quantity")
    account.books[place].perpetual = try sum(account.books[place].perpetual, quantity)
    if f.has("owner_others") {
      account.books[place].perpetualBeside = try f.quantity("owner_others")
    }
    try addGain(of: quantity, f, mark: markets[place].perpetualPrice, place)
  }

  /// What a position has gained that is not in cash.
  private mutating func addGain(
    of quantity: Quantity, _ f: Fields, mark: Price, _ place: Int
  ) throws(CalculatorFailure) {
    var gain = f.has("unrealised") ? try f.worth("unrealised") : .zero
    if f.has("price") {
      // Bought at another price than the mark: the difference is unrealised.
      let price = try f.price("price")
      gain = try margined { () throws(MarginFailure) in
        try gain + Worth(mark, quantity) - Worth(price, quantity)
      }
    }
    account.books[place].unrealised = try margined { () throws(MarginFailure) in
      try account.books[place].unrealised + gain
    }
  }

  private mutating func addFuture(_ value: JSONValue) throws(CalculatorFailure) {
    let f = try Fields(
      value,
      known: [
        "underlying", "time_ms", "quantity", "unrealised", "price", "adv", "open_interest",
        "owner_others",
      ])
    let place = try place(f)
    let expiry = try expiry(f, of: place)
    let quantity = try f.quantity("quantity")
    var leg = FutureLeg(expiry: expiry, quantity: quantity)
    if f.has("adv") { leg.volume = try f.quantity("adv") }
    if f.has("open_interest") { leg.interest = try f.quantity("open_interest") }
    if f.has("owner_others") { leg.beside = try f.quantity("owner_others") }
    account.books[place].futures.append(leg)
    let listed = markets[place].expiries[expiry]
    let (mark, overflow) = listed.forwardFixed.raw
      .addingReportingOverflow(listed.forwardVariable.raw)
    if overflow { throw CalculatorFailure("outside_domain", "a forward does not fit its unit") }
    try addGain(of: quantity, f, mark: Price(raw: mark), place)
  }

  /// The expiry that a leg's `time_ms` names.
  private func expiry(_ f: Fields, of place: Int) throws(CalculatorFailure) -> Int {
    let time = try f.integer("time_ms")
    guard let expiry = markets[place].expiries.firstIndex(where: { $0.time == time }) else {
      throw CalculatorFailure("unknown_expiry", "no expiry of the market has time_ms \(time)")
    }
    return expiry
  }

  private mutating func addCollateral(_ value: JSONValue) throws(CalculatorFailure) {
    let f = try Fields(value, known: ["id", "quantity", "underlying"])
    let id = try f.text("id")
    let owner = f.has("underlying") ? try place(f) : nil
    var found: [(market: Int, place: Int)] = []
    for market in markets.indices where owner == nil || owner == market {
      if let place = collateralIDs[market].firstIndex(where: { $0.utf8.elementsEqual(id.utf8) }) {
        found.append((market, place))
      }
    }
    guard let only = found.first, found.count == 1 else {
      throw CalculatorFailure(
        "unknown_collateral",
        found.isEmpty
          ? "no market has a collateral \"\(id)\""
          : "\(found.count) markets have a collateral \"\(id)\": name the underlying")
    }
    let held = account.books[only.market].collaterals[only.place]
    account.books[only.market].collaterals[only.place] = try sum(held, try f.quantity("quantity"))
  }

  private mutating func addOption(_ value: JSONValue) throws(CalculatorFailure) {
    let f = try Fields(
      value,
      known: [
        "underlying", "time_ms", "strike", "type", "vol", "quantity", "price", "adv",
        "open_interest", "owner_others",
      ])
    let place = try place(f)
    let quantity = try f.quantity("quantity")
    var leg = OptionLeg(
      expiry: try expiry(f, of: place), type: try f.type, strike: try f.price("strike"),
      volatility: try f.ratio("vol"), quantity: quantity)
    if f.has("adv") { leg.volume = try f.quantity("adv") }
    if f.has("open_interest") { leg.interest = try f.quantity("open_interest") }
    if f.has("owner_others") { leg.beside = try f.quantity("owner_others") }
    account.books[place].options.append(leg)
    guard f.has("price") else { return }
    let price = try f.price("price")
    try addCash(try margined { () throws(MarginFailure) in -(try Worth(price, quantity)) })
  }

  private func sum(_ a: Quantity, _ b: Quantity) throws(CalculatorFailure) -> Quantity {
    do throws(ArithmeticFailure) { return try a.adding(b) } catch {
      throw CalculatorFailure("overflow", "a quantity does not fit its unit")
    }
  }
}

/// Runs a calculation, its failure turned into a line's.
func margined<T>(_ body: () throws(MarginFailure) -> T) throws(CalculatorFailure) -> T {
  do throws(MarginFailure) { return try body() } catch {
    switch error {
    case .overflow: throw CalculatorFailure("overflow", error.description)
    case .outsideDomain: throw CalculatorFailure("outside_domain", error.description)
    case .unsupported: throw CalculatorFailure("unsupported", error.description)
    }
  }
}

extension Fields {
  func quantity(_ key: String) throws(CalculatorFailure) -> Quantity {
    Quantity(raw: try units(key, digits: Quantity.fractionDigits))
  }

  /// Money to 1e-12.
  func worth(_ key: String) throws(CalculatorFailure) -> Worth {
    let units: Int128
    do throws(JSONFailure) {
      units = try value.decimal(at: key, digits: 12)
    } catch {
      throw CalculatorFailure(error)
    }
    let (raw, overflow) = units.multipliedReportingOverflow(by: 100_000_000)
    if overflow { throw CalculatorFailure("overflow", "\"\(key)\" does not fit its unit") }
    return Worth(raw: raw)
  }
}
