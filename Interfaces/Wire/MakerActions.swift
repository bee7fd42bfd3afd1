public import Primitives

/// Both sides of one instrument in a mass quote: the record behind the action's first, 64 bytes.
@frozen public struct QuoteEntry: FlatRecord, Hashable {
  public var instrument: InstrumentID
  private var reserved: UInt32 = 0
  /// Zero, with its quantity, where a side is not quoted.
  public var bid: Price
  public var bidQuantity: Quantity
  public var ask: Price
  public var askQuantity: Quantity
  private var reserved1: UInt64 = 0
  private var reserved2: UInt64 = 0
  private var reserved3: UInt64 = 0

  public static let byteCount = 64
  public static let empty = QuoteEntry(instrument: InstrumentID(0))

  public init(
    instrument: InstrumentID, bid: Price = .zero, bidQuantity: Quantity = .zero,
    ask: Price = .zero, askQuantity: Quantity = .zero
  ) {
    self.instrument = instrument
    self.bid = bid
    self.bidQuantity = bidQuantity
    self.ask = ask
    self.askQuantity = askQuantity
  }

  /// Whether each side is a whole one or none, and they do not meet.
  var isQuote: Bool {
    let (bids, asks) = (bidQuantity.raw > 0, askQuantity.raw > 0)
    return reserved == 0 && reserved1 == 0 && reserved2 == 0 && reserved3 == 0
      && bidQuantity.raw >= 0 && askQuantity.raw >= 0 && bid.raw >= 0 && ask.raw >= 0
      && bids == (bid.raw > 0) && asks == (ask.raw > 0) && !(bids && asks && bid >= ask)
  }

  /// Neither side: it pulls what is there.
  var isEmpty: Bool { bidQuantity.raw == 0 && askQuantity.raw == 0 }

  public func price(_ side: Side) -> Price { side == .buy ? bid : ask }
  public func quantity(_ side: Side) -> Quantity { side == .buy ? bidQuantity : askQuantity }
}

/// Quotes of an account in instruments of an underlying, in the place of those before.
public struct MassQuote: Sendable, Equatable {
  public var underlying: UnderlyingID
  /// Rising by instrument.
  public var entries: [QuoteEntry]
  /// Whether quotes in other instruments of the underlying go.
  public var pullsOthers: Bool
  public var postOnly: PostOnly
  public var selfTrade: SelfTradeMode

  public init(
    underlying: UnderlyingID, entries: [QuoteEntry], pullsOthers: Bool = false,
    postOnly: PostOnly = .no, selfTrade: SelfTradeMode = .cancelResting
  ) {
    self.underlying = underlying
    self.entries = entries
    self.pullsOthers = pullsOthers
    self.postOnly = postOnly
    self.selfTrade = selfTrade
  }

  /// Reads the records behind `head` at `offset`; they are there.
  public init(_ head: ActionRecord, _ bytes: RawSpan, at offset: Int) {
    underlying = UnderlyingID(UInt16(truncatingIfNeeded: head.id))
    pullsOthers = head.a & 1 != 0
    postOnly = head.a & 2 == 0 ? .no : head.a & 4 == 0 ? .reject : .slide
    selfTrade = SelfTradeMode(rawValue: head.b) ?? .cancelResting
    entries = (0..<Int(head.c)).map { place in
      QuoteEntry(bytes, at: offset + (place + 1) * QuoteEntry.byteCount)
    }
  }

  /// The entry of an instrument, found by halving.
  public func entry(of instrument: InstrumentID) -> Int? {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].instrument.raw < instrument.raw { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low].instrument == instrument ? low : nil
  }

  func write(to out: inout ByteWriter) {
    out.write(
      record: ActionRecord(
        kindCode: ActionKind.massQuote.rawValue,
        a: (pullsOthers ? 1 : 0) | (postOnly == .no ? 0 : postOnly == .reject ? 2 : 6),
        b: selfTrade.rawValue, c: UInt8(clamping: entries.count), id: UInt32(underlying.raw)))
    for entry in entries { out.write(record: entry) }
  }
}

/// What an account's quotes in an underlying may lose to others within a window of batch time
/// before they are pulled.
public struct QuoteProtection: Sendable, Equatable {
  public var underlying: UnderlyingID
  /// Milliseconds; zero for no protection.
  public var window: Int64
  /// Milliseconds during which no new quote is taken; zero for as long as nobody resets it.
  public var frozen: Int64
  /// Limits; zero for none. The figure that reaches one pulls the quotes.
  public var fills: Int64
  public var quantity: Quantity
  /// In contracts of the underlying.
  public var delta: Quantity
  /// Money for one point of volatility.
  public var vega: Money

  public init(
    underlying: UnderlyingID, window: Int64, frozen: Int64, fills: Int64 = 0,
    quantity: Quantity = .zero, delta: Quantity = .zero, vega: Money = .zero
  ) {
    self.underlying = underlying
    self.window = window
    self.frozen = frozen
    self.fills = fills
    self.quantity = quantity
    self.delta = delta
    self.vega = vega
  }

  var record: ActionRecord {
    ActionRecord(
      kindCode: ActionKind.protect.rawValue, id: UInt32(underlying.raw), x: window, y: frozen,
      z: UInt64(bitPattern: fills),
      tail: Bytes32(
        (
          UInt64(bitPattern: quantity.raw), UInt64(bitPattern: delta.raw),
          UInt64(bitPattern: vega.raw), 0
        )))
  }
}

extension ActionRecord {
  /// 64-byte records of the action this one begins; one where it begins none.
  @inlinable public var recordCount: Int {
    guard let kind else { return 1 }
    return kind == .massQuote || kind == .combination ? 1 + Int(c) : kind.recordCount
  }

  /// Whether a mass quote's own fields and its entries go together.
  func massQuoteFault(_ entries: [QuoteEntry]) -> StaticString? {
    if a > 7 || a & 6 == 4 { return "quote flags" }
    if b > SelfTradeMode.decrementBoth.rawValue { return "self-trade mode" }
    if id > UInt16.max { return "underlying" }
    if Int(c) > Limits.quoteEntriesMax || c == 0 && a & 1 == 0 { return "number of quotes" }
    if !entries.allSatisfy(\.isQuote) { return "quote" }
    if a & 1 != 0 && entries.contains(where: \.isEmpty) { return "quote without a side" }
    let pairs = zip(entries, entries.dropFirst())
    return pairs.allSatisfy { $0.instrument.raw < $1.instrument.raw } ? nil : "order of quotes"
  }

  /// Whether a protection's figures go together.
  var protectionFault: StaticString? {
    if a > 1 || b != 0 || c != 0 || id > UInt16.max { return "protection" }
    let limits = [
      Int64(bitPattern: z), Int64(bitPattern: tail.words.0), Int64(bitPattern: tail.words.1),
      Int64(bitPattern: tail.words.2),
    ]
    if limits.contains(where: { $0 < 0 }) || tail.words.3 != 0 { return "protection limit" }
    let isNothing = x == 0 && y == 0 && limits.allSatisfy { $0 == 0 }
    if a == 1 || x == 0 { return isNothing ? nil : "protection without a window" }
    if !(1...Limits.protectionTimeMax).contains(x) || !(0...Limits.protectionTimeMax).contains(y) {
      return "protection time"
    }
    return limits.allSatisfy { $0 == 0 } ? "protection without a limit" : nil
  }
}
