public import Primitives

/// What execution hands to clearing, first byte of each 64-byte record of a batch body.
@frozen public enum EventKind: UInt8, Sendable {
  case fill = 1
  case instruction = 2
  case triggered = 3
}

/// How a fill came about.
@frozen public enum FillCause: UInt8, Sendable {
  case match = 0
  case block = 1
  /// By a directed close: the taker is the account being closed.
  case close = 2
  /// By an auction, at its price: the maker is the order that came first.
  case auction = 3
}

/// A record with reserved fields or codes: whether it is the one encoding of what it says.
public protocol CanonicalRecord: FlatRecord {
  /// Every reserved field is zero and every code is in range.
  var isCanonical: Bool { get }
}

/// One match: 64 bytes.
@frozen public struct Fill: CanonicalRecord, Hashable {
  public var kindCode: UInt8 = EventKind.fill.rawValue
  public var causeCode: UInt8
  /// The taker's side.
  public var takerSideCode: UInt8
  private var reserved: UInt8 = 0
  public var instrument: InstrumentID
  public var trade: TradeID
  public var maker: AccountID
  public var taker: AccountID
  public var price: Price
  public var quantity: Quantity
  public var makerOrder: OrderID
  /// Zero for a block trade's counterparty and for a directed close.
  public var takerOrder: OrderID
  private var reserved2: UInt64 = 0

  public static let empty = Fill()
  private init() {
    self.init(
      cause: .match, takerSide: .buy, instrument: InstrumentID(0), trade: TradeID(0),
      maker: AccountID(0), taker: AccountID(0), price: .zero, quantity: .zero,
      makerOrder: OrderID(0), takerOrder: OrderID(0))
    kindCode = 0
  }

  @inlinable public init(
    cause: FillCause, takerSide: Side, instrument: InstrumentID, trade: TradeID, maker: AccountID,
    taker: AccountID, price: Price, quantity: Quantity, makerOrder: OrderID, takerOrder: OrderID
  ) {
    causeCode = cause.rawValue
    takerSideCode = takerSide.rawValue
    self.instrument = instrument
    self.trade = trade
    self.maker = maker
    self.taker = taker
    self.price = price
    self.quantity = quantity
    self.makerOrder = makerOrder
    self.takerOrder = takerOrder
  }

  public var isCanonical: Bool {
    kindCode == EventKind.fill.rawValue && causeCode <= FillCause.auction.rawValue
      && takerSideCode <= 1 && reserved == 0 && reserved2 == 0
  }

  @inlinable public var takerSide: Side { takerSideCode == 0 ? .buy : .sell }
  @inlinable public var buyer: AccountID { takerSide == .buy ? taker : maker }
  @inlinable public var seller: AccountID { takerSide == .buy ? maker : taker }
}

/// An admitted action that clearing carries out; it stands in the body's bundle `bundle`.
@frozen public struct Instruction: CanonicalRecord, Hashable {
  public var kindCode: UInt8 = EventKind.instruction.rawValue
  public var actionKindCode: UInt8
  private var reserved: UInt16 = 0
  /// Who signed the bundle.
  public var account: AccountID
  /// Place of the bundle in the batch.
  public var bundle: UInt32
  /// Place of the action's first record in the bundle.
  public var record: UInt32
  private var reserved1: Bytes32 = .zero
  private var reserved2: UInt64 = 0
  private var reserved3: UInt64 = 0

  public static let empty = Instruction(
    kind: .place, account: AccountID(0), bundle: 0, record: 0)

  public init(kind: ActionKind, account: AccountID, bundle: UInt32, record: UInt32) {
    actionKindCode = kind.rawValue
    self.account = account
    self.bundle = bundle
    self.record = record
  }

  public var isCanonical: Bool {
    kindCode == EventKind.instruction.rawValue
      && ActionKind(rawValue: actionKindCode)?.instructsClearing == true && reserved == 0
      && reserved1.isZero && reserved2 == 0 && reserved3 == 0
  }
}
