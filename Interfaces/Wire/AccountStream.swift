public import Primitives

/// One order of an account as it rests or waits, or, with nothing left, as it went: 48 bytes.
@frozen public struct RestingOrder: CanonicalRecord, Hashable {
  public var id: OrderID
  public var clientID: UInt64
  public var price: Price
  /// What is left; zero: it rests no more.
  public var quantity: Quantity
  public var account: AccountID
  public var instrument: InstrumentID
  public var sideCode: UInt8
  /// 1 while it waits outside the book for its trigger.
  public var waitingCode: UInt8
  private var reserved1: UInt16 = 0
  private var reserved2: UInt32 = 0

  public static let empty = RestingOrder(
    id: OrderID(0), clientID: 0, account: AccountID(0), instrument: InstrumentID(0), side: .buy,
    price: .zero, quantity: .zero)

  public init(
    id: OrderID, clientID: UInt64, account: AccountID, instrument: InstrumentID, side: Side,
    price: Price, quantity: Quantity, isWaiting: Bool = false
  ) {
    self.id = id
    self.clientID = clientID
    self.account = account
    self.instrument = instrument
    sideCode = side.rawValue
    self.price = price
    self.quantity = quantity
    waitingCode = isWaiting ? 1 : 0
  }

  public var side: Side { sideCode == 0 ? .buy : .sell }
  public var isWaiting: Bool { waitingCode != 0 }
  public var isCanonical: Bool {
    sideCode <= 1 && waitingCode <= 1 && reserved1 == 0 && reserved2 == 0 && quantity.raw >= 0
  }
}

/// ACCOUNT_ORDERS: an account's resting orders after a batch, or what the batch did to them, with its
/// fills and what became of each of its bundles. It is sent once the batch is durable, so nothing in
/// it is ever taken back.
public struct AccountUpdate: Sendable, Equatable {
  public static let ordersMax = 65_536
  public static let fillsMax = 131_072

  public var account: AccountID
  /// Whether the orders are all that rest; else those that changed.
  public var isSnapshot: Bool
  public var batch: BatchNumber
  /// The batch of the update before this one: a follower who holds another has missed something.
  public var previous: BatchNumber
  public var time: Timestamp
  public var orders: [RestingOrder]
  public var fills: [Fill]
  /// Its orders whose triggers were reached.
  public var triggered: [Triggered]
  public var acknowledgements: [Acknowledgement]

  public init(
    _ account: AccountID, isSnapshot: Bool, batch: BatchNumber, previous: BatchNumber,
    time: Timestamp, orders: [RestingOrder], fills: [Fill] = [],
    triggered: [Triggered] = [],
    acknowledgements: [Acknowledgement] = []
  ) {
    self.account = account
    self.isSnapshot = isSnapshot
    self.batch = batch
    self.previous = previous
    self.time = time
    self.orders = orders
    self.fills = fills
    self.triggered = triggered
    self.acknowledgements = acknowledgements
  }

  public var encoded: [UInt8] {
    var out = ByteWriter(capacity: 48 + orders.count * 48 + fills.count * 64)
    out.write(account)
    out.write(isSnapshot)
    out.pad(3)
    out.write(batch)
    out.write(previous)
    out.write(time)
    out.write(UInt32(orders.count))
    out.write(UInt32(fills.count))
    out.write(UInt32(acknowledgements.count))
    out.write(UInt32(triggered.count))
    for order in orders { out.write(record: order) }
    for fill in fills { out.write(record: fill) }
    for word in triggered { out.write(record: word) }
    for leaf in acknowledgements { leaf.write(to: &out) }
    return out.bytes
  }

  public init(decoding bytes: RawSpan) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    account = try reader.read()
    isSnapshot = try reader.read(Bool.self, field: "account snapshot")
    try reader.zeros(3, field: "account reserved")
    batch = try reader.read()
    previous = try reader.read()
    time = try reader.read()
    let orderCount = try reader.count("orders", maximum: AccountUpdate.ordersMax)
    let fillCount = try reader.count("fills", maximum: AccountUpdate.fillsMax)
    let leafCount = try reader.count("acknowledgements", maximum: Limits.bundlesPerBatchMax)
    let triggeredCount = try reader.count(
      "triggered orders", maximum: Limits.triggersPerBatchMax)
    orders = try reader.records(orderCount)
    fills = try reader.records(fillCount)
    triggered = try reader.records(triggeredCount)
    acknowledgements = []
    for _ in 0..<leafCount { acknowledgements.append(try Acknowledgement(reading: &reader)) }
    try reader.finish()
  }
}
