import Primitives
import Wire

extension ActionReader {
  static let quoteKeys = ["instrument", "bid", "bid_quantity", "ask", "ask_quantity"]

  func protection(_ fields: Fields) throws(Reason) -> Action {
    .protect(
      QuoteProtection(
        underlying: try underlying(fields), window: try fields.integer("window_ms"),
        frozen: try fields.optionalInteger("frozen_ms") ?? 0,
        fills: try fields.optionalInteger("fill_limit") ?? 0,
        quantity: try fields.optionalUnit("quantity_limit") ?? .zero,
        delta: try fields.optionalUnit("delta_limit") ?? .zero,
        vega: try fields.optionalUnit("vega_limit") ?? .zero))
  }

  static let legKeys = ["instrument", "side", "quantity", "price"]

  /// Legs that fill together; the reader puts them in the order of instruments.
  func combination(_ fields: Fields) throws(Reason) -> Action {
    var legs: [CombinationLeg] = []
    for element in try fields.array("legs") {
      let leg = Fields(value: element)
      try leg.allow(ActionReader.legKeys)
      legs.append(
        CombinationLeg(
          instrument: try instrument(leg), side: try leg.side(),
          quantity: try leg.unit("quantity"), price: try leg.optionalUnit("price") ?? .zero))
    }
    guard Limits.combinationLegs.contains(legs.count) else {
      throw .value("legs", expected: "2 to 8", found: "\(legs.count)")
    }
    legs.sort { $0.instrument.raw < $1.instrument.raw }
    return .combination(
      Combination(
        legs: legs, netLimit: try fields.unit("net_limit"), selfTrade: try selfTrade(fields)))
  }

  /// A bid for a part of an account under auction.
  func bid(_ fields: Fields) throws(Reason) -> AuctionOffer {
    AuctionOffer(
      account: AccountID(try fields.integer("auction")), stake: try fields.unit("stake"),
      worst: try fields.unit("worst"), part: try fields.unit("part"))
  }

  /// The quotes of an underlying; the reader puts them in the order of instruments.
  func massQuote(_ fields: Fields) throws(Reason) -> Action {
    var entries: [QuoteEntry] = []
    for element in try fields.array("quotes") {
      let quote = Fields(value: element)
      try quote.allow(ActionReader.quoteKeys)
      entries.append(
        QuoteEntry(
          instrument: try instrument(quote), bid: try quote.optionalUnit("bid") ?? .zero,
          bidQuantity: try quote.optionalUnit("bid_quantity") ?? .zero,
          ask: try quote.optionalUnit("ask") ?? .zero,
          askQuantity: try quote.optionalUnit("ask_quantity") ?? .zero))
    }
    guard entries.count <= Limits.quoteEntriesMax else {
      throw .value(
        "quotes", expected: "at most \(Limits.quoteEntriesMax)", found: "\(entries.count)")
    }
    entries.sort { $0.instrument.raw < $1.instrument.raw }
    return .massQuote(
      MassQuote(
        underlying: try underlying(fields), entries: entries,
        pullsOthers: try fields.flag("pull_others"), postOnly: try postOnly(fields),
        selfTrade: try selfTrade(fields)))
  }
}
