public import Primitives

/// What becomes of an order that would meet another of its own account.
@frozen public enum SelfTradeMode: UInt8, Sendable, CaseIterable {
  /// The resting order is cancelled, the new one goes on.
  case cancelResting = 0
  /// What is left of the new order is cancelled.
  case cancelTaker = 1
  case cancelBoth = 2
  /// Both lose the smaller size of the two; nothing trades.
  case decrementBoth = 3
}

/// What a post-only order does where it would take.
@frozen public enum PostOnly: UInt8, Sendable {
  case no = 0
  /// It is rejected.
  case reject = 1
  /// It rests one tick off the best opposite price.
  case slide = 2

  /// Bits 0 and 2 of an order's flags.
  @inlinable public var flags: UInt8 { self == .no ? 0 : self == .reject ? 1 : 5 }
}

/// A single order, as people write it: one record.
public struct OrderTerms: Sendable, Equatable {
  public var instrument: InstrumentID
  public var side: Side
  /// The limit; of a market order the worst price it takes, zero for the edge of the price band.
  public var price: Price
  public var quantity: Quantity
  public var timeInForce: TimeInForce
  public var postOnly: PostOnly
  public var isReduceOnly: Bool
  public var isMarket: Bool
  /// The order's own number with its account, zero for none.
  public var clientID: UInt64
  /// With `.gtt`, the first batch time it no longer stands at; zero otherwise.
  public var expiry: Timestamp
  /// The slice the book shows of it, zero for the whole.
  public var display: Quantity
  public var selfTrade: SelfTradeMode

  public init(
    instrument: InstrumentID, side: Side, price: Price, quantity: Quantity,
    timeInForce: TimeInForce = .gtc, postOnly: PostOnly = .no, isReduceOnly: Bool = false,
    isMarket: Bool = false, clientID: UInt64 = 0, expiry: Timestamp = .zero,
    display: Quantity = .zero, selfTrade: SelfTradeMode = .cancelResting
  ) {
    self.instrument = instrument
    self.side = side
    self.price = price
    self.quantity = quantity
    self.timeInForce = timeInForce
    self.postOnly = postOnly
    self.isReduceOnly = isReduceOnly
    self.isMarket = isMarket
    self.clientID = clientID
    self.expiry = expiry
    self.display = display
    self.selfTrade = selfTrade
  }

  var record: ActionRecord {
    ActionRecord(
      kindCode: ActionKind.place.rawValue, a: side.rawValue, b: timeInForce.rawValue,
      c: postOnly.flags | (isReduceOnly ? 2 : 0) | (isMarket ? 8 : 0), id: instrument.raw,
      x: price.raw, y: quantity.raw, z: clientID,
      tail: Bytes32(
        (
          UInt64(bitPattern: expiry.raw), UInt64(bitPattern: display.raw), 0,
          UInt64(selfTrade.rawValue)
        )))
  }
}

/// Which of its orders an account cancels.
public enum CancelScope: Sendable, Equatable {
  /// One instrument's, or all.
  case instrument(InstrumentID)
  case underlying(UnderlyingID)
}

/// New terms for a resting order: one record.
public struct OrderReplacement: Sendable, Equatable {
  public enum Name: Sendable, Equatable {
    case order(OrderID)
    case client(UInt64)
  }
  public var instrument: InstrumentID
  public var name: Name
  public var price: Price
  /// What shall be left of it.
  public var quantity: Quantity
  public var postOnly: PostOnly
  public var selfTrade: SelfTradeMode
  /// Zero keeps the one it has.
  public var newClientID: UInt64
  /// What must be left of it now; zero for whatever is.
  public var expectedLeft: Quantity

  public init(
    instrument: InstrumentID, name: Name, price: Price, quantity: Quantity,
    postOnly: PostOnly = .no, selfTrade: SelfTradeMode = .cancelResting, newClientID: UInt64 = 0,
    expectedLeft: Quantity = .zero
  ) {
    self.instrument = instrument
    self.name = name
    self.price = price
    self.quantity = quantity
    self.postOnly = postOnly
    self.selfTrade = selfTrade
    self.newClientID = newClientID
    self.expectedLeft = expectedLeft
  }

  var record: ActionRecord {
    let (by, number): (UInt8, UInt64) =
      switch name {
      case .order(let id): (0, id.raw)
      case .client(let id): (1, id)
      }
    return ActionRecord(
      kindCode: ActionKind.replace.rawValue, a: by, c: postOnly.flags, id: instrument.raw,
      x: price.raw, y: quantity.raw, z: number,
      tail: Bytes32(
        (newClientID, UInt64(bitPattern: expectedLeft.raw), 0, UInt64(selfTrade.rawValue))))
  }
}

// MARK: - Records of orders

extension ActionRecord {
  @inlinable public var isSliding: Bool { c & 4 != 0 }
  @inlinable public var isMarket: Bool { c & 8 != 0 }

  /// Of a place: when it expires, and the slice it shows.
  @inlinable public var orderExpiry: Timestamp { Timestamp(raw: Int64(bitPattern: tail.words.0)) }
  @inlinable public var display: Quantity { Quantity(raw: Int64(bitPattern: tail.words.1)) }
  /// Of a replace: the new client id, and what must be left.
  @inlinable public var newClientID: UInt64 { tail.words.0 }
  @inlinable public var expectedLeft: Int64 { Int64(bitPattern: tail.words.1) }
  /// Of a place or replace.
  @inlinable public var selfTrade: SelfTradeMode {
    SelfTradeMode(rawValue: UInt8(truncatingIfNeeded: tail.words.3)) ?? .cancelResting
  }

  /// Thirty-two bits of all its words, to tell whether two orders under one client id have the same
  /// terms. It keeps out mistakes, not forgers: both are the account's own.
  @inlinable public var fingerprint: UInt32 {
    let first =
      UInt64(kindCode) | UInt64(a) << 8 | UInt64(b) << 16 | UInt64(c) << 24 | UInt64(id) << 32
    var hash: UInt64 = 0
    func mix(_ word: UInt64) {
      hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash &>> 32
    }
    mix(first)
    mix(UInt64(bitPattern: x))
    mix(UInt64(bitPattern: y))
    mix(z)
    mix(tail.words.0)
    mix(tail.words.1)
    mix(tail.words.2)
    mix(tail.words.3)
    return UInt32(truncatingIfNeeded: hash)
  }

  /// Whether an order's flags, tail and time in force go together.
  var orderFault: StaticString? {
    let rests = b == TimeInForce.gtc.rawValue || b == TimeInForce.gtt.rawValue
    if a > 1 { return "side" }
    if b > TimeInForce.gtt.rawValue { return "time in force" }
    if c > 15 || isSliding && !isPostOnly { return "order flags" }
    if isPostOnly && !rests { return "post-only with ioc or fok" }
    if isMarket && rests { return "market order that rests" }
    if isMarket ? x < 0 : x <= 0 { return "price" }
    if y <= 0 { return "quantity" }
    if (b == TimeInForce.gtt.rawValue) != (orderExpiry.raw > 0) || orderExpiry.raw < 0 {
      return "order expiry"
    }
    if display.raw < 0 || display.raw >= y || display.raw > 0 && !rests {
      return "display quantity"
    }
    if tail.words.2 != 0 || tail.words.3 > 3 { return "self-trade mode" }
    if b == TimeInForce.fok.rawValue && selfTrade == .decrementBoth {
      return "fill-or-kill that decrements both"
    }
    return nil
  }

  /// The same of a replacement.
  var replacementFault: StaticString? {
    if a > 1 { return "replace by" }
    if b != 0 || c & ~5 != 0 || isSliding && !isPostOnly { return "order flags" }
    if x <= 0 { return "price" }
    if y <= 0 { return "quantity" }
    if expectedLeft < 0 { return "expected quantity" }
    if tail.words.2 != 0 || tail.words.3 > 3 { return "self-trade mode" }
    return nil
  }
}

extension Action {
  /// An order with the plain terms alone.
  public static func place(
    instrument: InstrumentID, side: Side, price: Price, quantity: Quantity,
    timeInForce: TimeInForce, postOnly: Bool, reduceOnly: Bool, clientID: UInt64
  ) -> Action {
    .order(
      OrderTerms(
        instrument: instrument, side: side, price: price, quantity: quantity,
        timeInForce: timeInForce, postOnly: postOnly ? .reject : .no, isReduceOnly: reduceOnly,
        clientID: clientID))
  }

  /// Every order of an instrument, or of all.
  public static func cancelAll(instrument: InstrumentID) -> Action {
    .cancelOrders(.instrument(instrument), side: nil)
  }
}
