/// A dense unsigned number given in order and never reused.
public protocol Identifier: Hashable, Comparable, Sendable, BitwiseCopyable,
  CustomStringConvertible
{
  associatedtype Raw: FixedWidthInteger & UnsignedInteger & Sendable & BitwiseCopyable
  var raw: Raw { get }
  init(_ raw: Raw)
}

extension Identifier {
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.raw < b.raw }
  public var description: String { "\(raw)" }
  /// The position in a dense array.
  @inlinable public var index: Int { Int(raw) }
}

/// An account, numbered in the order of opening.
@frozen public struct AccountID: Identifier {
  public let raw: UInt32
  @inlinable public init(_ raw: UInt32) { self.raw = raw }
}

/// An instrument, numbered in the order of listing.
@frozen public struct InstrumentID: Identifier {
  public let raw: UInt32
  @inlinable public init(_ raw: UInt32) { self.raw = raw }
  /// Stands for every instrument, in `cancel all` and in key scopes.
  public static let all = InstrumentID(.max)
}

/// An underlying index, numbered in genesis order.
@frozen public struct UnderlyingID: Identifier {
  public let raw: UInt16
  @inlinable public init(_ raw: UInt16) { self.raw = raw }
}

/// A deposited asset, numbered in genesis order; 0 is the quote asset.
@frozen public struct AssetID: Identifier {
  public let raw: UInt16
  @inlinable public init(_ raw: UInt16) { self.raw = raw }
  public static let quote = AssetID(0)
}

/// An order: its number, counted by execution in the order of arrival, above twenty bits that say
/// where it rests. So an order is found by its id without an index, and ids rise with time. Numbers
/// last for 2⁴⁴ orders, five years of 100 000 a second.
@frozen public struct OrderID: Identifier {
  public let raw: UInt64
  @inlinable public init(_ raw: UInt64) { self.raw = raw }

  public static let placeBits: UInt64 = 20
  /// Numbers are below.
  public static let numberEnd: UInt64 = 1 << (64 - placeBits)

  /// - Parameter slot: of the pool of orders; its low twenty bits are kept.
  @inlinable public init(number: UInt64, slot: Int) {
    raw = number &<< OrderID.placeBits | UInt64(slot) & OrderID.placeMask
  }

  @usableFromInline static let placeMask: UInt64 = 1 << placeBits - 1

  @inlinable public var number: UInt64 { raw &>> OrderID.placeBits }
  /// The low twenty bits of the slot where the order rests.
  @inlinable public var place: Int { Int(raw & OrderID.placeMask) }
}

/// A trade, numbered by execution in the order of matching.
@frozen public struct TradeID: Identifier {
  public let raw: UInt64
  @inlinable public init(_ raw: UInt64) { self.raw = raw }
}

/// A batch's place in the log; the first is 0.
@frozen public struct BatchNumber: Identifier {
  public let raw: UInt64
  @inlinable public init(_ raw: UInt64) { self.raw = raw }
  @inlinable public var next: BatchNumber { BatchNumber(raw + 1) }
}
