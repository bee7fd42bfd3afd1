public import Primitives

/// One leg of a combination: a record behind the action's first, 64 bytes.
@frozen public struct CombinationLeg: FlatRecord, Hashable {
  public var instrument: InstrumentID
  public var sideCode: UInt8
  private var reserved: (UInt8, UInt8, UInt8) = (0, 0, 0)
  public var quantity: Quantity
  /// The worst price it takes; zero for the edge of the price band.
  public var price: Price
  private var reserved2: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)

  public static let byteCount = 64
  public static let empty = CombinationLeg(
    instrument: InstrumentID(0), side: .buy, quantity: .zero)

  public init(
    instrument: InstrumentID, side: Side, quantity: Quantity, price: Price = .zero
  ) {
    self.instrument = instrument
    sideCode = side.rawValue
    self.quantity = quantity
    self.price = price
  }

  @inlinable public var side: Side { sideCode == 0 ? .buy : .sell }

  var isLeg: Bool {
    sideCode <= 1 && reserved == (0, 0, 0) && reserved2 == (0, 0, 0, 0, 0) && quantity.raw > 0
      && price.raw >= 0
  }

  public static func == (a: CombinationLeg, b: CombinationLeg) -> Bool {
    a.instrument == b.instrument && a.sideCode == b.sideCode && a.quantity == b.quantity
      && a.price == b.price
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(instrument)
    hasher.combine(sideCode)
    hasher.combine(quantity)
    hasher.combine(price)
  }
}

/// Orders in several books that fill at once and whole, or not at all.
public struct Combination: Sendable, Equatable {
  /// Rising by instrument.
  public var legs: [CombinationLeg]
  /// The most that the whole may cost, fees aside; below zero, the least it must bring.
  public var netLimit: Money
  public var selfTrade: SelfTradeMode

  public init(
    legs: [CombinationLeg], netLimit: Money, selfTrade: SelfTradeMode = .cancelResting
  ) {
    self.legs = legs
    self.netLimit = netLimit
    self.selfTrade = selfTrade
  }

  /// Reads the records behind `head` at `offset`; they are there.
  public init(_ head: ActionRecord, _ bytes: RawSpan, at offset: Int) {
    netLimit = Money(raw: head.x)
    selfTrade = SelfTradeMode(rawValue: head.b) ?? .cancelResting
    legs = (0..<Int(head.c)).map { place in
      CombinationLeg(bytes, at: offset + (place + 1) * CombinationLeg.byteCount)
    }
  }

  func write(to out: inout ByteWriter) {
    out.write(
      record: ActionRecord(
        kindCode: ActionKind.combination.rawValue, b: selfTrade.rawValue,
        c: UInt8(clamping: legs.count), x: netLimit.raw))
    for leg in legs { out.write(record: leg) }
  }
}

extension ActionRecord {
  /// Whether a combination's own fields and its legs go together.
  func combinationFault(_ legs: [CombinationLeg]) -> StaticString? {
    if a != 0 || id != 0 || y != 0 || z != 0 || !tail.isZero { return "unused action field" }
    if b > SelfTradeMode.cancelBoth.rawValue { return "self-trade mode" }
    if !Limits.combinationLegs.contains(Int(c)) { return "number of legs" }
    if !legs.allSatisfy(\.isLeg) { return "leg" }
    let pairs = zip(legs, legs.dropFirst())
    return pairs.allSatisfy { $0.instrument.raw < $1.instrument.raw } ? nil : "order of legs"
  }
}
