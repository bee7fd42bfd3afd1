/// What a calculation could not represent.
public enum ArithmeticFailure: Error, Hashable, Sendable {
  /// The result does not fit its unit; names the operation.
  case overflow(StaticName)
  /// A divisor was zero.
  case divisionByZero

  /// A compile-time name, so that errors allocate nothing.
  public struct StaticName: Hashable, Sendable, ExpressibleByStringLiteral,
    CustomStringConvertible
  {
    private let text: String
    public init(stringLiteral value: StaticString) { text = value.description }
    public var description: String { text }
  }
}

/// The direction a division leaves its remainder in. There is no default: whoever divides says
/// who gains.
@frozen public enum Rounding: Hashable, Sendable {
  /// Towards minus infinity: credits, asset values, funding received.
  case down
  /// Towards plus infinity: debits, requirements, fees, liabilities.
  case up
  /// To nearest, ties to even: marks and Greeks alone.
  case nearestEven
}

extension FixedWidthInteger where Self: SignedInteger {
  /// The quotient, its remainder left in the named direction.
  ///
  /// - Precondition: `divisor > 0`.
  @inlinable
  public func divided(by divisor: Self, rounding: Rounding) -> Self {
    precondition(divisor > 0, "division needs a positive divisor")
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    if remainder == 0 { return quotient }
    switch rounding {
    case .down: return remainder < 0 ? quotient - 1 : quotient
    case .up: return remainder > 0 ? quotient + 1 : quotient
    case .nearestEven:
      // 2|r| against d without overflow: compare |r| with d - |r|.
      let magnitude = remainder < 0 ? 0 - remainder : remainder
      let rest = divisor - magnitude
      let step: Self = remainder < 0 ? -1 : 1
      if magnitude > rest { return quotient + step }
      if magnitude < rest { return quotient }
      return quotient & 1 == 0 ? quotient : quotient + step
    }
  }
}
