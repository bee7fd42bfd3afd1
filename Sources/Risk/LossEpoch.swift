public import Primitives

/// A loss that the fund could not bear, borne by those who gained, and what came back of it since
/// (field.md 4, item 10): who was not there bears nothing and gets nothing.
///
/// Conservation, to the unit: `held` = all recoveries taken in − all repayments made.
public struct LossEpoch: Hashable, Sendable {
  /// The sum of its shares, positive.
  public let loss: Money
  /// What was recovered, at most the loss.
  public private(set) var recovered: Money
  /// What of it those who bore the loss have back.
  public private(set) var repaid: Money

  /// - Precondition: 0 ≤ repaid ≤ recovered ≤ loss, and the loss is above zero.
  public init(loss: Money, recovered: Money = .zero, repaid: Money = .zero) {
    precondition(loss.raw > 0 && repaid.raw >= 0)
    precondition(repaid <= recovered && recovered <= loss)
    self.loss = loss
    self.recovered = recovered
    self.repaid = repaid
  }

  /// What may still be recovered.
  public var owed: Money { Money(raw: loss.raw - recovered.raw) }

  /// Recovered, and not yet with those it is owed to.
  public var held: Money { Money(raw: recovered.raw - repaid.raw) }

  /// Takes of a recovery what is owed, and says how much that was.
  public mutating func recover(_ amount: Money) -> Money {
    precondition(amount.raw >= 0)
    let part = min(amount, owed)
    recovered = Money(raw: recovered.raw + part.raw)
    return part
  }

  /// What a share may have in all: ⌊share × recovered ÷ loss⌋, all of it once all is recovered. A
  /// function of the recovered sum alone, so how often and in what parts recoveries and payments
  /// come makes no difference; and shares together never have more than was recovered.
  public func due(_ share: Money) -> Money {
    // Two amounts below 2^63, and a quotient of at most the share.
    let product = Int128(share.raw) * Int128(recovered.raw)
    return Money(raw: Int64(product.divided(by: Int128(loss.raw), rounding: .down)))
  }

  /// Pays a share what it is due and has not; the caller credits it.
  ///
  /// - Precondition: `paid` is what the share was paid so far, and it is one of this loss.
  public mutating func repay(_ share: Money, paid: Money) -> Money {
    let part = Money(raw: due(share).raw - paid.raw)
    precondition(part.raw >= 0 && part <= held, "a share is paid what was recovered for it")
    repaid = Money(raw: repaid.raw + part.raw)
    return part
  }
}
