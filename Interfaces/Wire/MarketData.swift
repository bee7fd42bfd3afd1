import Commitments
public import Primitives

/// FOLLOW_MARKET: an instrument's order book and trades, or an account's orders, fills and
/// acknowledgements, batch by batch.
public struct FollowMarketMessage: Sendable, Equatable {
  public enum Subject: Sendable, Hashable {
    case market(InstrumentID)
    case account(AccountID)
  }

  public var subject: Subject
  /// The last batch whose update the follower holds: it is sent what changed since, if that is still
  /// at hand. Otherwise, and for all ones, it is sent all of it first.
  public var after: BatchNumber
  public static let nothing = BatchNumber(.max)

  public init(_ subject: Subject, after: BatchNumber = FollowMarketMessage.nothing) {
    self.subject = subject
    self.after = after
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 16)
    switch subject {
    case .market(let instrument):
      out.write(UInt32(1))
      out.write(instrument)
    case .account(let account):
      out.write(UInt32(2))
      out.write(account)
    }
    out.write(after)
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    switch try reader.read(UInt32.self) {
    case 1: subject = .market(try reader.read())
    case 2: subject = .account(try reader.read())
    default: throw .invalid(field: "market subject", offset: 0)
    }
    after = try reader.read()
    try reader.finish()
  }
}

/// One price of one side of a book, all its orders together: 24 bytes.
@frozen public struct BookLevel: CanonicalRecord, Hashable {
  public var price: Price
  /// What is shown of all orders there; zero: the price has none any more.
  public var quantity: Quantity
  public var orders: UInt32
  public var sideCode: UInt8
  private var reserved0: UInt8 = 0
  private var reserved1: UInt16 = 0

  public static let empty = BookLevel(.buy, .zero, .zero, orders: 0)

  public init(_ side: Side, _ price: Price, _ quantity: Quantity, orders: UInt32) {
    self.price = price
    self.quantity = quantity
    self.orders = orders
    sideCode = side.rawValue
  }

  public var side: Side { sideCode == 0 ? .buy : .sell }
  public var isCanonical: Bool {
    sideCode <= 1 && reserved0 == 0 && reserved1 == 0 && price.raw > 0 && quantity.raw >= 0
      && (quantity.raw == 0) == (orders == 0)
  }

  /// What the level adds to its book's checksum: the first eight bytes of its SHA-256, little-endian;
  /// nothing if it is empty.
  var checksum: UInt64 {
    quantity.raw == 0 ? 0 : UInt64(littleEndian: withBytes { SHA256.digest($0) }.words.0)
  }
}

/// MARKET: a book as it was after a batch, or what the batch did to it. It is sent once the batch is
/// durable, so nothing in it is ever taken back.
public struct MarketUpdate: Sendable, Equatable {
  public static let levelsMax = 65_536
  public static let tradesMax = 131_072

  public var instrument: InstrumentID
  /// Whether the levels are the whole book, in place of all before; else those that changed.
  public var isSnapshot: Bool
  /// Whether more levels of the same batch follow in another message.
  public var isPartial: Bool
  public var batch: BatchNumber
  /// The batch of the update before this one: a follower who holds another has missed something.
  public var previous: BatchNumber
  public var time: Timestamp
  /// The adopted mark; zero for none.
  public var mark: Price
  /// Sum, modulo 2^64, of what every level of the book adds once the update is done.
  public var checksum: UInt64
  public var levels: [BookLevel]
  public var trades: [Fill]

  public init(
    _ instrument: InstrumentID, isSnapshot: Bool, batch: BatchNumber, previous: BatchNumber,
    time: Timestamp, mark: Price, checksum: UInt64, levels: [BookLevel], trades: [Fill]
  ) {
    self.instrument = instrument
    self.isSnapshot = isSnapshot
    isPartial = false
    self.batch = batch
    self.previous = previous
    self.time = time
    self.mark = mark
    self.checksum = checksum
    self.levels = levels
    self.trades = trades
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 56 + levels.count * 24 + trades.count * 64)
    out.write(instrument)
    out.write(isSnapshot)
    out.write(isPartial)
    out.pad(2)
    out.write(batch)
    out.write(previous)
    out.write(time)
    out.write(mark)
    out.write(checksum)
    out.write(UInt32(levels.count))
    out.write(UInt32(trades.count))
    for level in levels { out.write(record: level) }
    for trade in trades { out.write(record: trade) }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    instrument = try reader.read()
    isSnapshot = try reader.read(Bool.self, field: "market snapshot")
    isPartial = try reader.read(Bool.self, field: "market partial")
    try reader.zeros(2, field: "market reserved")
    batch = try reader.read()
    previous = try reader.read()
    time = try reader.read()
    mark = try reader.read()
    checksum = try reader.read()
    let levelCount = try reader.count("levels", maximum: MarketUpdate.levelsMax)
    let tradeCount = try reader.count("trades", maximum: MarketUpdate.tradesMax)
    levels = try reader.records(levelCount)
    trades = try reader.records(tradeCount)
    try reader.finish()
  }
}

/// Why an update cannot be taken.
public enum MarketDataFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// An update is missing: follow again, after the batch held.
  case gap(held: BatchNumber, previous: BatchNumber)
  /// The book is not what execution has: follow again from nothing.
  case checksum(expected: UInt64, found: UInt64)

  public var description: String {
    switch self {
    case .gap(let held, let previous):
      "expected the update after batch \(held), found the one after batch \(previous)"
    case .checksum(let expected, let found):
      "expected a book of checksum \(String(expected, radix: 16)), found "
        + String(found, radix: 16)
    }
  }
}

/// An instrument's book by price, kept up by updates: of either end of a feed.
public struct MarketBook: Sendable {
  public let instrument: InstrumentID
  /// The batch of the newest update taken.
  public private(set) var batch = FollowMarketMessage.nothing
  public private(set) var checksum: UInt64 = 0
  public private(set) var mark = Price.zero
  private var bids: [Price: BookLevel] = [:]
  private var asks: [Price: BookLevel] = [:]
  /// Whether a part of a snapshot waits for the rest.
  private var isPartial = false

  public init(_ instrument: InstrumentID) { self.instrument = instrument }

  /// What stands at a price.
  public subscript(side: Side, price: Price) -> BookLevel {
    (side == .buy ? bids[price] : asks[price]) ?? BookLevel(side, price, .zero, orders: 0)
  }

  /// Puts a level in place of what stood there.
  public mutating func set(_ level: BookLevel) {
    checksum = checksum &- self[level.side, level.price].checksum &+ level.checksum
    let held = level.quantity.raw == 0 ? nil : level
    if level.side == .buy { bids[level.price] = held } else { asks[level.price] = held }
  }

  /// Says which batch the levels that were set belong to.
  public mutating func note(_ batch: BatchNumber, mark: Price) {
    self.batch = batch
    self.mark = mark
  }

  /// The checksum with these levels in place of what stands at their prices.
  public func checksum(with levels: [BookLevel]) -> UInt64 {
    levels.reduce(checksum) { $0 &- self[$1.side, $1.price].checksum &+ $1.checksum }
  }

  /// Takes an update.
  /// - Throws: `.gap` and nothing has changed, or `.checksum` and the book is worth nothing.
  public mutating func take(_ update: MarketUpdate) throws(MarketDataFailure) {
    if update.isSnapshot {
      if !isPartial {
        bids = [:]
        asks = [:]
        checksum = 0
      }
    } else if update.previous != batch {
      throw .gap(held: batch, previous: update.previous)
    }
    for level in update.levels { set(level) }
    mark = update.mark
    isPartial = update.isPartial
    if isPartial { return }
    batch = update.batch
    guard checksum == update.checksum else {
      throw .checksum(expected: update.checksum, found: checksum)
    }
  }

  /// Levels of a side, best first.
  public func levels(_ side: Side, limit: Int = .max) -> [BookLevel] {
    let sorted =
      side == .buy
      ? bids.values.sorted { $0.price > $1.price } : asks.values.sorted { $0.price < $1.price }
    return Array(sorted.prefix(limit))
  }
}
