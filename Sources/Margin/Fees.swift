public import Primitives

/// Fees on fills, one rule for execution, which reserves them, and clearing, which takes them.
public enum Fees {
  /// rate × |quantity| × price, rounded up to money: a rebate (negative) a little less. Zero for a
  /// zero rate.
  ///
  /// Bound: a listed order's notional is at most 1e28 units, so the money is at most 1e18 and the
  /// product with a rate of at most 1e9 fits Int128.
  public static func fee(_ price: Price, _ quantity: Quantity, rate: Ratio) -> Money {
    guard rate.raw != 0 else { return .zero }
    let notional = Int128(price.raw) * Int128(quantity.raw.magnitude)
    let money = notional.divided(by: Notional.perMoney, rounding: .up)
    let fee = (money * Int128(rate.raw)).divided(by: Int128(Ratio.scale), rounding: .up)
    return Money(raw: Int64(clamping: fee))
  }
}
