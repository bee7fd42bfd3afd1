public import Primitives

/// What a session key may trade is one number: an instrument's, `InstrumentID.all`, or this for all
/// instruments of an underlying, those to be listed among them. No instrument has such a number.
extension InstrumentID {
  private static let underlyings: UInt32 = 0xFFFE_0000

  public static func all(of underlying: UnderlyingID) -> InstrumentID {
    InstrumentID(underlyings | UInt32(underlying.raw))
  }

  /// The underlying whose instruments it stands for; nil where it stands for none.
  public var scopeOfUnderlying: UnderlyingID? {
    raw & 0xFFFF_0000 == InstrumentID.underlyings
      ? UnderlyingID(UInt16(truncatingIfNeeded: raw)) : nil
  }
}
