public import Primitives

/// How the price of a lot under a Dutch auction falls, after Maker's three curves (field.md 2.6).
/// Every rounding is down, against the one liquidated.
public enum PriceCurve: Hashable, Sendable {
  /// top·(1 − t ÷ tau), zero from tau on; tau in milliseconds, positive.
  case linear(tau: Int64)
  /// top·cut^⌊t ÷ step⌋; step in milliseconds, positive, cut in 0…1.
  case staircase(cut: Ratio, step: Int64)
  /// top·cut^t, t in whole seconds, cut in 0…1.
  case exponential(cut: Ratio)

  /// Whether its numbers make a curve.
  public var isValid: Bool {
    switch self {
    case .linear(let tau): tau > 0
    case .staircase(let cut, let step): (0...Ratio.scale).contains(cut.raw) && step > 0
    case .exponential(let cut): (0...Ratio.scale).contains(cut.raw)
    }
  }

  /// The price `elapsed` milliseconds after the start at `top`.
  ///
  /// - Precondition: the curve is valid, `top ≥ 0`, `elapsed ≥ 0`.
  public func price(top: Price, elapsed: Int64) -> Price {
    precondition(isValid && top.raw >= 0 && elapsed >= 0)
    switch self {
    case .linear(let tau):
      guard elapsed < tau else { return .zero }
      let price = Int128(top.raw) * Int128(tau - elapsed) / Int128(tau)
      return Price(raw: Int64(price))
    case .staircase(let cut, let step):
      return PriceCurve.fallen(top, cut, elapsed / step)
    case .exponential(let cut):
      return PriceCurve.fallen(top, cut, elapsed / 1_000)
    }
  }

  /// ⌊top·cut^count⌋ of a power kept to 1e-18.
  private static func fallen(_ top: Price, _ cut: Ratio, _ count: Int64) -> Price {
    let power = power(cut, count)
    return Price(raw: Int64(Int128(top.raw) * power / unit))
  }

  /// One, in the steps powers are kept in.
  static let unit: Int128 = 1_000_000_000_000_000_000

  /// cut^count in units of 1e-18, every product rounded down: never above the exact power, and
  /// below it by less than 4·count units.
  ///
  /// Bound: powers are at most 1e18, so products are at most 1e36.
  static func power(_ cut: Ratio, _ count: Int64) -> Int128 {
    var (result, base, rest) = (unit, Int128(cut.raw) * 1_000_000_000, count)
    while rest > 0, result > 0 {
      if rest & 1 == 1 { result = result * base / unit }
      base = base * base / unit
      rest >>= 1
    }
    return result
  }
}

/// One lot under the hammer for a debt, after Maker (field.md 2.6).
public struct LotAuction: Hashable, Sendable {
  /// Debt still to be raised.
  public private(set) var debt: Money
  /// Contracts still for sale, at least zero.
  public private(set) var lot: Quantity
  public private(set) var top: Price
  public private(set) var start: Timestamp

  /// Governed numbers of lot auctions.
  public struct Terms: Hashable, Sendable {
    public var curve: PriceCurve
    /// Start price over the oracle's: 1.30 at Maker.
    public var markup: Ratio
    /// Milliseconds after which the auction must be started anew.
    public var tail: Int64
    /// Price over start price under which it must be started anew.
    public var cusp: Ratio
    /// Debt a partial sale may not leave less than, unless none; what it takes to earn a reward.
    public var debtMin: Money
    /// The keeper's flat reward, and his share of the debt.
    public var tip: Money
    public var chip: Ratio

    public init(
      curve: PriceCurve, markup: Ratio, tail: Int64, cusp: Ratio, debtMin: Money, tip: Money,
      chip: Ratio
    ) {
      self.curve = curve
      self.markup = markup
      self.tail = tail
      self.cusp = cusp
      self.debtMin = debtMin
      self.tip = tip
      self.chip = chip
    }
  }

  /// Opens the auction at oracle × markup, rounded up.
  /// - Throws: `.overflow` beyond a price.
  public init(debt: Money, lot: Quantity, oracle: Price, terms: Terms, at time: Timestamp)
    throws(ArithmeticFailure)
  {
    precondition(debt.raw > 0 && lot.raw > 0 && oracle.raw > 0)
    self.debt = debt
    self.lot = lot
    self.top = try LotAuction.top(oracle, terms.markup)
    self.start = time
  }

  private static func top(_ oracle: Price, _ markup: Ratio) throws(ArithmeticFailure) -> Price {
    let top = (Int128(oracle.raw) * Int128(markup.raw))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    guard let raw = Int64(exactly: top) else { throw .overflow("start price") }
    return Price(raw: raw)
  }

  public func price(_ terms: Terms, at time: Timestamp) -> Price {
    terms.curve.price(top: top, elapsed: max(0, time.raw - start.raw))
  }

  /// Whether nobody may buy before it is started anew: t > tail or price ÷ top < cusp.
  public func isOver(_ terms: Terms, at time: Timestamp) -> Bool {
    if time.raw - start.raw > terms.tail { return true }
    let floor = (Int128(top.raw) * Int128(terms.cusp.raw))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    return Int128(price(terms, at: time).raw) < floor
  }

  /// Starts it anew; false, and no change, while it is not over.
  public mutating func restart(oracle: Price, _ terms: Terms, at time: Timestamp)
    throws(ArithmeticFailure) -> Bool
  {
    guard isOver(terms, at: time) else { return false }
    top = try LotAuction.top(oracle, terms.markup)
    start = time
    return true
  }

  /// What the keeper earns who starts it, or starts it anew: tip + chip × debt rounded down; nothing
  /// while debt or lot value is under `debtMin`.
  public func reward(oracle: Price, _ terms: Terms) throws(ArithmeticFailure) -> Money {
    let value = try (oracle * lot).money(rounding: .down)
    guard debt >= terms.debtMin, value >= terms.debtMin else { return .zero }
    return try terms.tip.adding(debt.share(terms.chip, rounding: .down))
  }

  /// What a purchase came to.
  public struct Sale: Hashable, Sendable {
    public let quantity: Quantity
    /// What the buyer pays, rounded up.
    public let paid: Money
    /// What of it goes against the debt, rounded down; the rest is rounding.
    public let raised: Money
    public let price: Price
  }

  /// Sells up to `wanted` at the price of now: no more than pays the debt, and never so much that a
  /// debt under `debtMin` is left; nil when over, dearer than `worst`, or such a rest cannot be
  /// avoided.
  public mutating func take(
    _ wanted: Quantity, worst: Price, _ terms: Terms, at time: Timestamp
  ) throws(ArithmeticFailure) -> Sale? {
    let price = price(terms, at: time)
    guard wanted.raw > 0, lot.raw > 0, debt.raw > 0, !isOver(terms, at: time), price <= worst,
      price.raw > 0
    else { return nil }
    var slice = min(wanted, lot)
    var raised = try (price * slice).money(rounding: .down)
    if raised >= debt {
      // The least quantity that pays the debt, at most the slice.
      slice = Quantity(
        raw: Int64(Notional(debt).raw.divided(by: Int128(price.raw), rounding: .up)))
      raised = debt
    } else if slice < lot, debt.raw - raised.raw < terms.debtMin.raw {
      guard debt > terms.debtMin else { return nil }
      let room = Notional(Money(raw: debt.raw - terms.debtMin.raw))
      slice = Quantity(raw: Int64(room.raw.divided(by: Int128(price.raw), rounding: .down)))
      guard slice.raw > 0 else { return nil }
      raised = try (price * slice).money(rounding: .down)
    }
    let paid = try (price * slice).money(rounding: .up)
    debt = try debt.subtracting(raised)
    lot = try lot.subtracting(slice)
    return Sale(quantity: slice, paid: paid, raised: raised, price: price)
  }
}
