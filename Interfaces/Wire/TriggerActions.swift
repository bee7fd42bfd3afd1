public import Primitives

/// Which price a trigger waits for.
@frozen public enum TriggerSource: UInt8, Sendable {
  /// The instrument's mark, as execution has adopted it.
  case mark = 0
  /// The index of its underlying.
  case index = 1
}

/// Which way that price has to go.
@frozen public enum TriggerDirection: UInt8, Sendable {
  /// To the trigger price or above it.
  case rises = 0
  /// To the trigger price or below it.
  case falls = 1
}

/// An order that waits outside the book until mark or index reaches a price: one record.
public struct TriggerTerms: Sendable, Equatable {
  /// What is placed then. With `.ioc` and `.fok` its expiry says how long it waits; a `.gtt` order
  /// waits and rests until then.
  public var order: OrderTerms
  public var source: TriggerSource
  public var direction: TriggerDirection
  public var price: Price

  public init(
    order: OrderTerms, source: TriggerSource = .mark, direction: TriggerDirection, price: Price
  ) {
    self.order = order
    self.source = source
    self.direction = direction
    self.price = price
  }

  var record: ActionRecord {
    var record = order.record
    record.kindCode = ActionKind.trigger.rawValue
    record.c |= source.rawValue << 4 | direction.rawValue << 5
    let words = record.tail.words
    record.tail = Bytes32((words.0, words.1, UInt64(bitPattern: price.raw), words.3))
    return record
  }
}

extension ActionRecord {
  // Of a trigger.
  @inlinable public var triggerSource: TriggerSource { c & 16 == 0 ? .mark : .index }
  @inlinable public var triggerDirection: TriggerDirection { c & 32 == 0 ? .rises : .falls }
  @inlinable public var triggerPrice: Price { Price(raw: Int64(bitPattern: tail.words.2)) }

  /// Whether what does not trade at once stays in the book.
  @inlinable public var rests: Bool {
    b == TimeInForce.gtc.rawValue || b == TimeInForce.gtt.rawValue
  }

  /// The order a trigger places: its record without what says when, and with an expiry only if the
  /// order itself has one.
  public var triggeredOrder: ActionRecord {
    let words = tail.words
    let isTimed = b == TimeInForce.gtt.rawValue
    return ActionRecord(
      kindCode: ActionKind.place.rawValue, a: a, b: b, c: c & 15, id: id, x: x, y: y, z: z,
      tail: Bytes32((isTimed ? words.0 : 0, words.1, 0, words.3)))
  }

  /// Whether a trigger's own fields go together, and those of its order.
  public var triggerFault: StaticString? {
    if c > 63 { return "trigger flags" }
    if triggerPrice.raw <= 0 { return "trigger price" }
    if orderExpiry.raw < 0 || b == TimeInForce.gtc.rawValue && orderExpiry.raw != 0 {
      return "order expiry"
    }
    return triggeredOrder.orderFault
  }
}

/// What became of an order whose trigger was reached, in the batch whose opening placed it: 64 bytes,
/// behind the fills it made.
@frozen public struct Triggered: CanonicalRecord, Hashable {
  public var kindCode: UInt8 = EventKind.triggered.rawValue
  /// Status, code and figures of an outcome.
  public var statusCode: UInt8
  public var code: UInt16
  public var instrument: InstrumentID
  /// What waited.
  public var trigger: OrderID
  /// What was placed; zero if that was refused.
  public var order: OrderID
  public var account: AccountID
  /// Its place among the batch's events.
  public var index: UInt32
  public var clientID: UInt64
  public var figure1: Int64
  public var figure2: Int64
  private var reserved2: UInt64 = 0

  public static let empty = Triggered(
    OrderID(0), clientID: 0, of: AccountID(0), in: InstrumentID(0), .empty, index: 0)

  public init(
    _ trigger: OrderID, clientID: UInt64, of account: AccountID, in instrument: InstrumentID,
    _ outcome: Outcome, index: UInt32
  ) {
    self.index = index
    self.trigger = trigger
    self.clientID = clientID
    self.account = account
    self.instrument = instrument
    statusCode = outcome.statusCode
    code = outcome.code
    order = outcome.order
    figure1 = outcome.figure1
    figure2 = outcome.figure2
  }

  /// What placing it came to.
  public var outcome: Outcome {
    Outcome(
      OutcomeStatus(rawValue: statusCode) ?? .rejected, OutcomeCode(rawValue: code) ?? .done,
      figure1, figure2, order: order)
  }

  public var isCanonical: Bool {
    kindCode == EventKind.triggered.rawValue && OutcomeStatus(rawValue: statusCode) != nil
      && OutcomeCode(rawValue: code) != nil && reserved2 == 0
  }
}
