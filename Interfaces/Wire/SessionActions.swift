public import Primitives

extension Limits {
  /// Sessions an account has open at once.
  public static let sessionsPerAccountMax = 16
}

extension CancelScope {
  /// How a record names it.
  var code: (by: UInt8, id: UInt32) {
    switch self {
    case .instrument(let instrument): (0, instrument.raw)
    case .underlying(let underlying): (1, UInt32(underlying.raw))
    }
  }
}

extension ActionRecord {
  /// Of a session: whether it ends one, and which.
  @inlinable public var endsSession: Bool { a == 1 }

  /// Which orders a session's consent is about, or a cancel of all.
  @inlinable public var cancelScope: CancelScope {
    b == 0
      ? .instrument(instrument) : .underlying(UnderlyingID(UInt16(truncatingIfNeeded: id)))
  }

  /// Whether a session's fields go together.
  var sessionFault: StaticString? {
    if a > 1 || b > 1 || c != 0 || x != 0 || y != 0 || !tail.isZero { return "session" }
    if a == 0 { return z != 0 ? "session" : b == 1 && id > UInt16.max ? "underlying" : nil }
    return z == 0 || b != 0 || id != 0 ? "end of a session" : nil
  }
}
