import Commitments
import Instruments
import Primitives
import Wire

/// Reads the action of a line. Every action has `id`, `account` and `action`, may have `expires_ms`,
/// and has the keys named beside it here.
struct ActionReader: Sendable {
  typealias Reason = SubmissionFailure.Reason
  let assets: [Genesis.Asset]
  let directory: InstrumentDirectory

  static let common = ["id", "account", "action", "expires_ms"]
  static let keysOfAction: [(action: String, keys: [String])] = [
    (
      "limit",
      [
        "instrument", "side", "price", "volatility", "quantity", "tif", "good_till_ms", "post_only",
        "slide", "reduce_only", "display_quantity", "self_trade", "client_id",
      ]
    ),
    (
      "market",
      [
        "instrument", "side", "quantity", "protection_price", "tif", "reduce_only", "self_trade",
        "client_id",
      ]
    ),
    ("stop", triggerKeys),
    ("take_profit", triggerKeys),
    (
      "replace",
      [
        "instrument", "order", "client_id", "price", "quantity", "post_only", "slide",
        "self_trade", "new_client_id", "if_left",
      ]
    ),
    ("cancel", ["instrument", "order", "client_id"]),
    ("cancel_all", ["instrument", "underlying", "side"]),
    ("cancel_after", ["after_ms"]),
    (
      "mass_quote",
      ["underlying", "quotes", "pull_others", "post_only", "slide", "self_trade"]
    ),
    (
      "protect",
      [
        "underlying", "window_ms", "frozen_ms", "fill_limit", "quantity_limit", "delta_limit",
        "vega_limit",
      ]
    ),
    ("reset_protection", ["underlying"]),
    ("combination", ["legs", "net_limit", "self_trade"]),
    ("session", ["instrument", "underlying"]),
    ("end_session", ["session"]),
    ("bid", ["auction", "stake", "worst", "part"]),
    ("withdraw", ["asset", "amount", "destination"]),
    ("open", ["mode"]),
    ("transfer", ["asset", "amount", "to"]),
    ("deposit", ["asset", "amount", "owner", "reference"]),
    ("release", ["withdrawal", "reference"]),
    ("add_key", ["key", "instrument", "underlying", "key_expires_ms"]),
    ("revoke_key", ["key"]),
    ("index", ["underlying", "price", "time_ms", "sequence"]),
    ("impact", ["instrument", "price", "time_ms", "sequence"]),
    (
      "surface",
      [
        "underlying", "expiry_ms", "forward", "a", "b", "rho", "m", "sigma", "time_ms", "sequence",
      ]
    ),
    (
      "list",
      [
        "instrument", "tick", "lot", "order_quantity_max", "price_max", "maker_fee", "taker_fee",
        "price_band", "fee_tiers", "fee_tier_volume", "fee_tier_maker_step",
        "fee_tier_taker_step", "settlement_samples", "call_ms", "auction_interval_ms",
        "daily_volume",
      ]
    ),
    ("halt", ["instrument", "halted"]),
    ("margin", ["terms"]),
    (
      "block",
      [
        "instrument", "side", "price", "quantity", "hedge_instrument", "hedge_side",
        "hedge_price", "hedge_quantity", "reference", "counterparty", "counterparty_key",
        "counterparty_nonce", "counterparty_expires_ms", "signature",
      ]
    ),
  ]
  static let triggerKeys = [
    "instrument", "side", "quantity", "trigger_price", "trigger_by", "price", "protection_price",
    "tif", "good_till_ms", "post_only", "slide", "reduce_only", "display_quantity", "self_trade",
    "client_id",
  ]
  static let booleanKeys: Set<String> = [
    "post_only", "slide", "reduce_only", "halted", "pull_others",
  ]
  /// Every key there is.
  static let keys: Set<String> = Set(common + ["signed"] + keysOfAction.flatMap(\.keys))

  func content(_ fields: Fields) throws(Reason) -> Submission.Content {
    if fields.value["signed"] != nil { return .signed(try signed(fields)) }
    let name = try fields.string("action")
    guard let (_, keys) = ActionReader.keysOfAction.first(where: { $0.action == name }) else {
      let names = ActionReader.keysOfAction.map(\.action).joined(separator: ", ")
      throw .value("action", expected: "one of \(names)", found: name)
    }
    try fields.allow(ActionReader.common + keys)
    let account = AccountID(try fields.integer("account"))
    let expires: Int64? = try fields.optionalInteger("expires_ms")
    let action = try action(name, fields)
    do throws(DecodingFailure) {
      try action.validate()
    } catch {
      throw .domain(error)
    }
    return .action(action, account: account, expires: expires.map { Timestamp(raw: $0) })
  }

  private func signed(_ fields: Fields) throws(Reason) -> Bundle {
    try fields.allow(["id", "signed"])
    let bytes = try fields.bytes("signed", expected: "a bundle in hexadecimal")
    do throws(DecodingFailure) {
      return try Bundle(bytes)
    } catch {
      throw .domain(error)
    }
  }

  private func action(_ name: String, _ fields: Fields) throws(Reason) -> Action {
    switch name {
    case "limit": return try limit(fields)
    case "cancel": return try cancel(fields)
    case "market": return try market(fields)
    case "stop", "take_profit": return try trigger(name, fields)
    case "replace": return try replacement(fields)
    case "cancel_all": return try cancelAll(fields)
    case "cancel_after": return .timer(milliseconds: try fields.integer("after_ms"))
    case "mass_quote": return try massQuote(fields)
    case "protect": return try protection(fields)
    case "reset_protection": return .resetProtection(try underlying(fields))
    case "withdraw":
      let (asset, amount) = try amount(fields)
      return .withdraw(asset: asset, amount: amount, destination: try fields.hex("destination"))
    case "open": return .open(try accountMode(fields))
    case "transfer":
      let (asset, amount) = try amount(fields)
      return .transfer(asset: asset, amount: amount, to: AccountID(try fields.integer("to")))
    case "deposit":
      let (asset, amount) = try amount(fields)
      return .deposit(
        asset: asset, amount: amount, owner: try fields.hex("owner"),
        reference: try fields.integer("reference"))
    case "release":
      return .release(
        withdrawal: try fields.integer("withdrawal"), reference: try fields.hex("reference"))
    case "add_key":
      return .addKey(
        key: try fields.hex("key"), markets: try scope(fields),
        expiry: Timestamp(raw: try fields.integer("key_expires_ms")))
    case "revoke_key": return .revokeKey(key: try fields.hex("key"))
    case "index":
      return .index(
        underlying: try underlying(fields), price: try fields.unit("price"),
        time: Timestamp(raw: try fields.integer("time_ms")),
        sequence: try fields.integer("sequence"))
    case "impact":
      return .impact(
        instrument: try instrument(fields), price: try fields.unit("price"),
        time: Timestamp(raw: try fields.integer("time_ms")),
        sequence: try fields.integer("sequence"))
    case "surface": return try surface(fields)
    case "list": return .list(try listing(fields))
    case "halt":
      return .halt(
        instrument: try instrument(fields), halted: try fields.flag("halted", default: true))
    case "margin": return .margin(try margin(fields))
    case "block": return .block(try block(fields))
    case "combination": return try combination(fields)
    case "session": return .openSession(try cancelScope(fields))
    case "end_session": return .endSession(number: try fields.integer("session"))
    case "bid": return .bid(try bid(fields))
    case let name: preconditionFailure("action \(name) is in the table and has no reader")
    }
  }
}

// MARK: - Accounts

extension ActionReader {
  /// How a new account is margined; portfolio where nothing is said.
  private func accountMode(_ fields: Fields) throws(Reason) -> AccountMode {
    guard let name = try fields.optionalString("mode") else { return .portfolio }
    guard let mode = AccountMode.allCases.first(where: { "\($0)" == name }) else {
      let names = AccountMode.allCases.map { "\($0)" }.joined(separator: ", ")
      throw .value("mode", expected: "one of \(names)", found: name)
    }
    return mode
  }
}

// MARK: - Blocks

extension ActionReader {
  /// Terms the counterparty has signed; the client's own side is `side`.
  private func block(_ fields: Fields) throws(Reason) -> BlockTrade {
    let leg = BlockLeg(
      instrument: try instrument(fields), side: try fields.side(),
      price: try fields.unit("price"), quantity: try fields.unit("quantity"))
    let header = BundleHeader(
      account: AccountID(try fields.integer("counterparty")),
      key: try fields.hex("counterparty_key"), nonce: try fields.integer("counterparty_nonce"),
      expiry: Timestamp(raw: try fields.integer("counterparty_expires_ms")), actionCount: 1,
      recordCount: 1, actionsHash: .zero)
    let signature = try fields.bytes("signature", expected: "128 hexadecimal digits")
    guard signature.count == Signature.byteCount else {
      throw .value(
        "signature", expected: "128 hexadecimal digits", found: "\(signature.count * 2) digits")
    }
    return BlockTrade(
      leg, hedge: try hedge(fields), reference: try fields.integer("reference"),
      counterparty: header, signature: Signature(signature.rawSpan, at: 0))
  }

  /// Its four fields stand together.
  private func hedge(_ fields: Fields) throws(Reason) -> BlockLeg? {
    guard try fields.optionalString("hedge_instrument") != nil else {
      for key in ["hedge_side", "hedge_price", "hedge_quantity"] {
        if let found = try fields.optionalString(key) {
          throw .value(key, expected: "hedge_instrument beside it", found: found)
        }
      }
      return nil
    }
    return BlockLeg(
      instrument: try instrument(fields, at: "hedge_instrument"),
      side: try fields.side(at: "hedge_side"), price: try fields.unit("hedge_price"),
      quantity: try fields.unit("hedge_quantity"))
  }
}

// MARK: - Oracle and governance

extension ActionReader {
  private func surface(_ fields: Fields) throws(Reason) -> Action {
    func parameter(_ key: String) throws(Reason) -> Int64 { try fields.decimal(key, digits: 12) }
    return .surface(
      underlying: try underlying(fields),
      expiry: Timestamp(raw: try fields.integer("expiry_ms")),
      forward: try fields.unit("forward"),
      parameters: SurfaceParameters(
        a: try parameter("a"), b: try parameter("b"), rho: try parameter("rho"),
        m: try parameter("m"), sigma: try parameter("sigma")),
      time: Timestamp(raw: try fields.integer("time_ms")),
      sequence: try fields.integer("sequence"))
  }

  /// Terms of the margin method: the object `genesis.json` holds under `margin`.
  private func margin(_ fields: Fields) throws(Reason) -> MarginTerms {
    guard let value = fields.value["terms"] else {
      throw .value("terms", expected: "an object", found: "none")
    }
    do throws(MarginTermsFailure) {
      return try MarginTerms(value)
    } catch {
      throw .value("terms", expected: "terms of a margin method", found: "\(error)")
    }
  }

  /// The terms of a contract. Its id is zero: clearing gives the next one when it is listed, and
  /// members who approve the same terms approve the same bytes.
  private func listing(_ fields: Fields) throws(Reason) -> Instrument {
    let name = try instrumentName(fields)
    guard let underlying = directory.underlying(named: name.underlying) else {
      throw .value("instrument", expected: "a known underlying", found: name.underlying)
    }
    let terms = Instrument(
      id: InstrumentID(0), underlying: underlying, name: name, tick: try fields.unit("tick"),
      lot: try fields.unit("lot"), orderQuantityMax: try fields.unit("order_quantity_max"),
      priceMax: try fields.unit("price_max"), makerFee: try fields.unit("maker_fee"),
      takerFee: try fields.unit("taker_fee"),
      priceBand: try fields.optionalUnit("price_band") ?? Listing.defaultPriceBand,
      tiers: FeeTiers(
        count: try fields.optionalInteger("fee_tiers") ?? 0,
        volume: try fields.optionalUnit("fee_tier_volume") ?? .zero,
        makerStep: try fields.optionalInteger("fee_tier_maker_step") ?? 0,
        takerStep: try fields.optionalInteger("fee_tier_taker_step") ?? 0),
      settlementSamples: try fields.optionalInteger("settlement_samples")
        ?? Listing.settlementSamples(of: name),
      callDuration: try fields.optionalInteger("call_ms") ?? 0,
      auctionInterval: try fields.optionalInteger("auction_interval_ms") ?? 0,
      dailyVolume: try fields.optionalUnit("daily_volume") ?? .zero)
    if let fault = terms.fault {
      throw .value("list", expected: "terms that can be listed", found: "\(fault)")
    }
    return terms
  }
}

// MARK: - Names

extension ActionReader {
  private func instrumentName(_ fields: Fields, at key: String = "instrument") throws(Reason)
    -> InstrumentName
  {
    let text = try fields.string(key)
    do throws(InstrumentNameFailure) {
      return try InstrumentName(text)
    } catch {
      throw .instrumentName(error)
    }
  }

  func instrument(_ fields: Fields, at key: String = "instrument") throws(Reason) -> InstrumentID {
    let name = try instrumentName(fields, at: key)
    guard let id = directory.id(of: name) else {
      throw .value(key, expected: "a listed instrument", found: name.description)
    }
    return id
  }

  /// `all`, or no instrument at all, stands for every one.
  func instrumentOrAll(_ fields: Fields) throws(Reason) -> InstrumentID {
    let text = try fields.optionalString("instrument")
    return text == nil || text == "all" ? .all : try instrument(fields)
  }

  func underlying(_ fields: Fields) throws(Reason) -> UnderlyingID {
    let name = try fields.string("underlying")
    guard let id = directory.underlying(named: name) else {
      throw .value(
        "underlying", expected: "one of \(directory.underlyings.joined(separator: ", "))",
        found: name)
    }
    return id
  }

  /// An amount in its asset's own scale.
  private func amount(_ fields: Fields) throws(Reason) -> (AssetID, Amount) {
    let name = try fields.string("asset")
    guard let place = assets.firstIndex(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
      throw .value(
        "asset", expected: "one of \(assets.map(\.name).joined(separator: ", "))", found: name)
    }
    let raw = try fields.decimal("amount", digits: Int(assets[place].scale))
    return (AssetID(UInt16(place)), Amount(raw: raw))
  }
}
