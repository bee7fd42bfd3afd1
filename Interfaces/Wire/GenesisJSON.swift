public import Instruments
public import Primitives

/// Why bytes are no `genesis.json`. `at` says where, as in `instruments[2]`; empty at the top.
public enum GenesisFailure: Error, Hashable, Sendable {
  /// Not strict JSON, or a key that is missing, unknown, given twice or of another type.
  case json(JSONFailure, at: String)
  /// Another format than `Genesis.formatVersion`.
  case format(found: UInt16)
  /// Not 64 lower-case hexadecimal digits.
  case key(String, at: String)
  /// A decimal string that would be written otherwise: spare zeros, or more digits than the unit.
  case decimal(expected: String, found: String, at: String)
  /// A name that is no instrument's.
  case instrumentName(InstrumentNameFailure, at: String)
  /// An instrument on an underlying that is not among the underlyings.
  case underlying(String, at: String)
  /// Terms of the margin method that are none.
  case margin(MarginTermsFailure)
  /// The manifest contradicts itself or passes a limit.
  case fault(String)
  /// The same manifest is written otherwise: the first line that differs, counted from 1.
  case layout(line: Int, expected: String, found: String)
}

extension GenesisFailure: CustomStringConvertible {
  public var description: String {
    func place(_ at: String) -> String { at.isEmpty ? "genesis" : "genesis \(at)" }
    switch self {
    case .json(let failure, let at): return "\(place(at)): \(failure)"
    case .format(let found):
      return "genesis: expected format \(Genesis.formatVersion), found \(found)"
    case .key(let text, let at):
      return "\(place(at)): expected 64 lower-case hexadecimal digits, found \"\(text)\""
    case .decimal(let expected, let found, let at):
      return "\(place(at)): expected \"\(expected)\", found \"\(found)\""
    case .instrumentName(let failure, let at): return "\(place(at)): \(failure)"
    case .underlying(let name, let at):
      return "\(place(at)): expected one of the underlyings, found \"\(name)\""
    case .margin(let failure): return "genesis margin: \(failure)"
    case .fault(let text): return "genesis: \(text)"
    case .layout(let line, let expected, let found):
      return "genesis line \(line): expected \"\(expected)\", found \"\(found)\""
    }
  }
}

// MARK: - Writing

extension Genesis {
  /// The strict rendering of the manifest, `genesis.json`: one text for one manifest.
  /// - Precondition: `fault` is nil, so that every instrument has a name.
  public var json: String { jsonValue.prettyText() }

  private var jsonValue: JSONValue {
    [
      "format": .integer(Genesis.formatVersion),
      "name": .string(name),
      "start_time_ms": .integer(startTime.raw),
      "rule_set": .hex(ruleSet),
      "execution": execution.jsonValue,
      "clearing": clearing.jsonValue,
      "settlement": settlement.jsonValue,
      "settlement_note": settlementNote.jsonValue,
      "witnesses": .array(witnesses.map(\.jsonValue)),
      "accounts": .array(accounts.map(JSONValue.hex)),
      "assets": .array(
        assets.map {
          [
            "name": .string($0.name), "scale": .integer($0.scale),
            "custodian": .integer($0.custodian.raw),
          ]
        }),
      "underlyings": .array(underlyings.map(JSONValue.string)),
      "publishers": .array(publishers.map { .integer($0.raw) }),
      "governance": [
        "threshold": .integer(governanceThreshold),
        "members": .array(governance.map { .integer($0.raw) }),
      ],
      "instruments": .array(instruments.map(jsonValue)),
      "constants": .object(
        Constants.fields.map { (key: $0.name, value: .integer(constants[keyPath: $0.path])) }),
      "margin": margin.jsonValue,
    ]
  }

  private func jsonValue(_ instrument: Instrument) -> JSONValue {
    guard let name = InstrumentName(instrument, underlyings: underlyings) else {
      preconditionFailure("genesis instrument \(instrument.id) has no name")
    }
    return [
      "name": .string(name.description),
      "tick": .string(instrument.tick.decimal),
      "lot": .string(instrument.lot.decimal),
      "order_quantity_max": .string(instrument.orderQuantityMax.decimal),
      "price_max": .string(instrument.priceMax.decimal),
      "maker_fee": .string(instrument.makerFee.decimal),
      "taker_fee": .string(instrument.takerFee.decimal),
      "price_band": .string(instrument.priceBand.decimal),
      "fee_tiers": .integer(instrument.tiers.count),
      "fee_tier_volume": .string(instrument.tiers.volume.decimal),
      "fee_tier_maker_step": .integer(instrument.tiers.makerStep),
      "fee_tier_taker_step": .integer(instrument.tiers.takerStep),
      "settlement_samples": .integer(instrument.settlementSamples),
      "call_ms": .integer(instrument.callDuration),
      "auction_interval_ms": .integer(instrument.auctionInterval),
      "daily_volume": .string(instrument.dailyVolume.decimal),
    ]
  }
}

extension Genesis.RoleKeys {
  fileprivate var jsonValue: JSONValue {
    ["object": .hex(object), "handshake": .hex(handshake)]
  }
}

extension Genesis.NoteKey {
  fileprivate var jsonValue: JSONValue { ["name": .string(name), "key": .hex(key)] }
}

extension JSONValue {
  fileprivate static func hex(_ bytes: Bytes32) -> JSONValue { .string(bytes.description) }
}

// MARK: - Reading

extension Genesis {
  /// The manifest of a `genesis.json`, which is exactly what `json` writes: every key once and in
  /// its place, every number and every line in its one form. So each byte of the file counts, and a
  /// changed one either fails here or changes the hash.
  /// - Throws: the first failure, with its place.
  public init(json bytes: [UInt8]) throws(GenesisFailure) {
    try self.init(draft: bytes)
    if let failure = layoutFailure(bytes) { throw failure }
  }

  /// The manifest of a draft in any order of keys and any white space, as people edit it; `json`
  /// gives its strict rendering. Everything else is as strict as in `init(json:)`.
  /// - Throws: the first failure, with its place; never `.layout`.
  public init(draft bytes: [UInt8]) throws(GenesisFailure) {
    try self.init(JSONReader(bytes))
    if let fault { throw .fault(fault.description) }
  }

  private func layoutFailure(_ bytes: [UInt8]) -> GenesisFailure? {
    let wanted = Array(json.utf8)
    if wanted == bytes { return nil }
    let newline = UInt8(ascii: "\n")
    let wantedLines = wanted.split(separator: newline, omittingEmptySubsequences: false)
    let foundLines = bytes.split(separator: newline, omittingEmptySubsequences: false)
    func text(_ lines: [ArraySlice<UInt8>], _ index: Int) -> String {
      index < lines.count ? String(decoding: lines[index], as: UTF8.self) : "the end of the file"
    }
    let same = zip(wantedLines, foundLines).prefix { $0 == $1 }.count
    return .layout(line: same + 1, expected: text(wantedLines, same), found: text(foundLines, same))
  }

  private init(_ top: JSONReader) throws(GenesisFailure) {
    // The version first: another format has other keys.
    let format: UInt16 = try top.integer("format")
    guard format == Genesis.formatVersion else { throw .format(found: format) }
    try top.allow([
      "format", "name", "start_time_ms", "rule_set", "execution", "clearing", "settlement",
      "settlement_note", "witnesses", "accounts", "assets", "underlyings", "publishers",
      "governance", "instruments", "constants", "margin",
    ])
    name = try top.string("name")
    startTime = Timestamp(raw: try top.integer("start_time_ms"))
    ruleSet = try top.hex("rule_set")
    execution = try top.object("execution").roleKeys()
    clearing = try top.object("clearing").roleKeys()
    settlement = try top.object("settlement").roleKeys()
    settlementNote = try top.object("settlement_note").noteKey()
    witnesses = try top.list("witnesses") { (item) throws(GenesisFailure) in try item.noteKey() }
    accounts = try top.list("accounts") { (item) throws(GenesisFailure) in try item.asHex() }
    assets = try top.list("assets") { (item) throws(GenesisFailure) in
      try item.allow(["name", "scale", "custodian"])
      return Asset(
        name: try item.string("name"), scale: try item.integer("scale"),
        custodian: AccountID(try item.integer("custodian")))
    }
    let underlyings = try top.list("underlyings") { (item) throws(GenesisFailure) in
      try item.asString()
    }
    self.underlyings = underlyings
    publishers = try top.list("publishers") { (item) throws(GenesisFailure) in
      AccountID(try item.asInteger())
    }
    let members = try top.object("governance")
    try members.allow(["threshold", "members"])
    governanceThreshold = try members.integer("threshold")
    governance = try members.list("members") { (item) throws(GenesisFailure) in
      AccountID(try item.asInteger())
    }
    var place: UInt32 = 0
    instruments = try top.list("instruments") { (item) throws(GenesisFailure) in
      defer { place += 1 }
      return try item.instrument(InstrumentID(place), underlyings: underlyings)
    }
    constants = try top.object("constants").constants()
    let terms = try top.object("margin")
    do throws(MarginTermsFailure) {
      margin = try MarginTerms(terms.value)
    } catch {
      throw .margin(error)
    }
  }
}

/// A JSON value and where it stands, so that every failure says where.
private struct JSONReader {
  let value: JSONValue
  let path: String

  init(_ bytes: [UInt8]) throws(GenesisFailure) {
    do throws(JSONFailure) {
      value = try JSONValue.parse(bytes)
    } catch {
      throw .json(error, at: "")
    }
    path = ""
  }

  private init(_ value: JSONValue, _ path: String) {
    self.value = value
    self.path = path
  }

  private func located<Result>(_ body: (JSONValue) throws(JSONFailure) -> Result)
    throws(GenesisFailure) -> Result
  {
    do throws(JSONFailure) {
      return try body(value)
    } catch {
      throw .json(error, at: path)
    }
  }

  private func inner(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// Refuses a key outside `keys` and, by reading, a missing one.
  func allow(_ keys: Set<String>) throws(GenesisFailure) {
    _ = try located { (value) throws(JSONFailure) in try value.object(allowing: keys) }
  }

  func object(_ key: String) throws(GenesisFailure) -> JSONReader {
    let member = try located { (value) throws(JSONFailure) in try value.member(at: key) }
    return JSONReader(member, inner(key))
  }

  func list<Element>(
    _ key: String, _ element: (JSONReader) throws(GenesisFailure) -> Element
  ) throws(GenesisFailure) -> [Element] {
    let items = try located { (value) throws(JSONFailure) in try value.array(at: key) }
    var elements: [Element] = []
    for (index, item) in items.enumerated() {
      elements.append(try element(JSONReader(item, "\(inner(key))[\(index)]")))
    }
    return elements
  }

  func string(_ key: String) throws(GenesisFailure) -> String {
    try located { (value) throws(JSONFailure) in try value.string(at: key) }
  }

  func asString() throws(GenesisFailure) -> String {
    try located { (value) throws(JSONFailure) in try value.asString() }
  }

  /// An integer written as a JSON number, not as a string.
  func integer<Value: FixedWidthInteger>(_ key: String) throws(GenesisFailure) -> Value {
    try object(key).asInteger()
  }

  func asInteger<Value: FixedWidthInteger>() throws(GenesisFailure) -> Value {
    try located { (value) throws(JSONFailure) in
      guard case .number = value else {
        throw .mistyped("value", expected: "an integer", found: value.kind)
      }
      return try value.asInteger()
    }
  }

  func hex(_ key: String) throws(GenesisFailure) -> Bytes32 { try object(key).asHex() }

  func asHex() throws(GenesisFailure) -> Bytes32 {
    let text = try asString()
    guard let bytes = Bytes32(hex: text), bytes.description == text else {
      throw .key(text, at: path)
    }
    return bytes
  }

  /// A decimal string in the one form `decimal` gives.
  func decimal<Value: DecimalUnit>(_ key: String) throws(GenesisFailure) -> Value {
    let text = try string(key)
    let value: Value
    do throws(DecimalFailure) {
      value = try Value(decimal: text)
    } catch {
      throw .json(.invalid(key, error), at: path)
    }
    guard value.decimal == text else {
      throw .decimal(expected: value.decimal, found: text, at: inner(key))
    }
    return value
  }
}

extension JSONReader {
  func roleKeys() throws(GenesisFailure) -> Genesis.RoleKeys {
    try allow(["object", "handshake"])
    return Genesis.RoleKeys(object: try hex("object"), handshake: try hex("handshake"))
  }

  func noteKey() throws(GenesisFailure) -> Genesis.NoteKey {
    try allow(["name", "key"])
    return Genesis.NoteKey(name: try string("name"), key: try hex("key"))
  }

  func instrument(_ id: InstrumentID, underlyings: [String]) throws(GenesisFailure) -> Instrument {
    try allow([
      "name", "tick", "lot", "order_quantity_max", "price_max", "maker_fee", "taker_fee",
      "price_band", "fee_tiers", "fee_tier_volume", "fee_tier_maker_step", "fee_tier_taker_step",
      "settlement_samples", "call_ms", "auction_interval_ms", "daily_volume",
    ])
    let text = try string("name")
    let name: InstrumentName
    do throws(InstrumentNameFailure) {
      name = try InstrumentName(text)
    } catch {
      throw .instrumentName(error, at: inner("name"))
    }
    guard name.description == text else {
      throw .decimal(expected: name.description, found: text, at: inner("name"))
    }
    guard let underlying = underlyings.firstIndex(of: name.underlying) else {
      throw .underlying(name.underlying, at: inner("name"))
    }
    return Instrument(
      id: id, underlying: UnderlyingID(UInt16(clamping: underlying)), name: name,
      tick: try decimal("tick"), lot: try decimal("lot"),
      orderQuantityMax: try decimal("order_quantity_max"), priceMax: try decimal("price_max"),
      makerFee: try decimal("maker_fee"), takerFee: try decimal("taker_fee"),
      priceBand: try decimal("price_band"),
      tiers: FeeTiers(
        count: try integer("fee_tiers"), volume: try decimal("fee_tier_volume"),
        makerStep: try integer("fee_tier_maker_step"),
        takerStep: try integer("fee_tier_taker_step")),
      settlementSamples: try integer("settlement_samples"),
      callDuration: try integer("call_ms"), auctionInterval: try integer("auction_interval_ms"),
      dailyVolume: try decimal("daily_volume"))
  }

  func constants() throws(GenesisFailure) -> Constants {
    try allow(Set(Constants.fields.map(\.name)))
    var constants = Constants()
    for field in Constants.fields { constants[keyPath: field.path] = try integer(field.name) }
    return constants
  }
}

extension Instrument {
  /// The contract a name stands for, with its steps, limits and fees.
  /// - Precondition: `underlying` is the id of the name's underlying.
  public init(
    id: InstrumentID, underlying: UnderlyingID, name: InstrumentName, tick: Price, lot: Quantity,
    orderQuantityMax: Quantity, priceMax: Price, makerFee: Ratio = .zero,
    takerFee: Ratio = .zero, priceBand: Ratio = .zero, tiers: FeeTiers = .none,
    settlementSamples: UInt16 = 0, callDuration: UInt32 = 0, auctionInterval: UInt32 = 0,
    dailyVolume: Quantity = .zero
  ) {
    let kind: InstrumentKind
    var (optionTypeCode, strike, expiry) = (UInt8(0), Price.zero, Timestamp.zero)
    switch name.form {
    case .option(let time, let price, let isCall):
      (kind, optionTypeCode, strike, expiry) = (.option, isCall ? 1 : 2, price, time)
    case .future(let time): (kind, expiry) = (.future, time)
    case .perpetual: kind = .perpetual
    }
    self.init(
      id: id, underlying: underlying, kind: kind, optionTypeCode: optionTypeCode, strike: strike,
      expiry: expiry, tick: tick, lot: lot, orderQuantityMax: orderQuantityMax,
      priceMax: priceMax, makerFee: makerFee, takerFee: takerFee,
      priceBand: priceBand, tiers: tiers, settlementSamples: settlementSamples,
      callDuration: callDuration, auctionInterval: auctionInterval, dailyVolume: dailyVolume)
  }
}
