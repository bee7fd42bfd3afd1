public import Instruments
public import Primitives

/// What every asset but the quote asset counts in margin at the prices in force: value, haircuts, and
/// a leg of its underlying's scenarios.
///
/// The value of what counts is exact in units of 1e-16; haircuts are rounded up, against the holder.
public struct CollateralTable: ~Copyable {
  /// What counts of one account's balance of an asset.
  public struct Worth: Sendable, Equatable {
    /// At the index, in notional units.
    public var value: Int128 = 0
    /// Of it, what maintenance sets aside, rounded up.
    public var maintenance: Int128 = 0
    /// What initial margin sets aside on top of that, rounded up: its haircut, and doubt.
    public var initial: Int128 = 0

    public static let none = Worth()
    /// What is left for initial margin.
    @inlinable public var kept: Int128 { value - maintenance - initial }

    public static func + (a: Worth, b: Worth) -> Worth {
      Worth(
        value: a.value + b.value, maintenance: a.maintenance + b.maintenance,
        initial: a.initial + b.initial)
    }
  }

  private struct Rule {
    /// Nil for an asset that counts nothing, or has no price yet.
    var underlying: UnderlyingID?
    var price = Price.zero
    var time = Timestamp.zero
    var haircut = Ratio.zero
    var initialHaircut = Ratio.zero
    /// Confidence that is missing.
    var gap = Ratio.zero
    /// Units of the asset that count at most.
    var most: Int64 = 0

    /// Share of the value that initial margin sets aside, doubt aside.
    var kept: Int64 { haircut.raw + initialHaircut.raw }
  }

  /// One linear contract an asset, by its number.
  private(set) var legs = RiskTable()
  private var rules: [Rule]
  /// Contracts of 1e-8 in one unit of the asset.
  private let multiples: [Int64]
  private var factor = Ratio.zero
  /// Since they were last forgotten: see `drift`.
  private var drifts: [Int128]
  /// No account's balance of an asset is worth more than 1e11 of the quote asset, or counts more than
  /// 2^62 contracts of 1e-8: far inside the bound on `ScenarioSums`, and fifteen of them are money.
  private static let valueMax: Int128 = 1_000_000_000_000_000_000_000_000_000

  /// - Parameter decimals: of each asset, 0…8.
  public init(decimals: [UInt8]) {
    rules = Array(repeating: Rule(), count: decimals.count)
    drifts = Array(repeating: 0, count: decimals.count)
    multiples = decimals.map { count in
      var multiple: Int64 = 1
      for _ in 0..<(8 - Int(count)) { multiple *= 10 }
      return multiple
    }
  }

  /// Takes terms and prices over.
  public mutating func update(_ terms: MarginTerms, _ markets: [UnderlyingMarket]) {
    legs.use(terms)
    let parameters = MarginParameters(terms)
    for asset in rules.indices {
      let (old, before) = (rules[asset], factor)
      defer { noteDrift(asset, from: old, before, parameters.confidence.factor) }
      let own = terms.collaterals[min(asset, MarginTerms.collateralCount - 1)]
      guard asset < MarginTerms.collateralCount, let underlying = own.underlying,
        markets[underlying.index].index.raw > 0
      else {
        rules[asset] = Rule()
        continue
      }
      let market = markets[underlying.index]
      let confidence = Ratio.scale - market.doubt.raw
      let most =
        min(
          1 << 62, CollateralTable.valueMax / Int128(market.index.raw)) / Int128(multiples[asset])
      rules[asset] = Rule(
        underlying: underlying, price: market.index, time: market.time,
        haircut: Ratio(raw: Int64(own.haircut)),
        initialHaircut: Ratio(raw: Int64(own.initialHaircut)),
        gap: Ratio(raw: max(0, parameters.confidence.threshold.raw - confidence)),
        most: min(own.accountMax.raw, Int64(most)))
      legs.setCollateral(InstrumentID(UInt32(asset)), price: market.index)
    }
    factor = parameters.confidence.factor
  }

  // MARK: - Drift

  /// At least what equity less initial margin of one contract's holder may have changed by since
  /// `forgetDrift`, in price units: its leg's, and haircuts and doubt.
  public func drift(_ asset: AssetID) -> Int128 {
    guard rules[asset.index].underlying != nil else { return drifts[asset.index] }
    return drifts[asset.index] + legs.drift(InstrumentID(UInt32(asset.raw)))
  }

  public mutating func forgetDrift() {
    for place in drifts.indices { drifts[place] = 0 }
    legs.forgetDrift()
  }

  private mutating func noteDrift(
    _ asset: Int, from old: Rule, _ before: Ratio, _ after: Ratio
  ) {
    let rule = rules[asset]
    if old.underlying == nil, rule.underlying == nil { return }
    guard old.underlying == rule.underlying, old.most == rule.most, old.haircut == rule.haircut,
      old.initialHaircut == rule.initialHaircut
    else { return drifts[asset] += Int128(Int64.max) }
    func doubt(_ rule: Rule, _ factor: Ratio) -> Int128 {
      MarginSheet.share(MarginSheet.share(Int128(rule.price.raw), rule.gap), factor)
    }
    let moved = Int128((Int128(rule.price.raw) - Int128(old.price.raw)).magnitude)
    let doubted = Int128((doubt(rule, after) - doubt(old, before)).magnitude)
    // A factor of at most ten multiplies a rounding of one: doubt is off by less than twelve price
    // units, before and after.
    drifts[asset] += MarginSheet.share(moved, Ratio(raw: rule.kept)) + doubted + 24
  }

  /// Whether the asset counts: it has terms and a price.
  @inline(__always)
  public func counts(_ asset: AssetID) -> Bool { rules[asset.index].underlying != nil }

  /// The underlying a counting asset moves with.
  public func underlying(_ asset: AssetID) -> UnderlyingID? { rules[asset.index].underlying }
  public func price(_ asset: AssetID) -> Price { rules[asset.index].price }
  /// When its price was true.
  public func time(_ asset: AssetID) -> Timestamp { rules[asset.index].time }

  /// What counts of a balance, in units of the asset.
  @inline(__always)
  public func counted(_ asset: AssetID, of amount: Amount) -> Amount {
    Amount(raw: max(0, min(amount.raw, rules[asset.index].most)))
  }

  /// Contracts of 1e-8 that stand for what counts of a balance.
  @inline(__always)
  public func quantity(_ asset: AssetID, _ amount: Amount) -> Quantity {
    Quantity(raw: counted(asset, of: amount).raw * multiples[asset.index])
  }

  /// What counts of a balance.
  public func worth(_ asset: AssetID, _ amount: Amount) -> Worth {
    let rule = rules[asset.index]
    guard rule.underlying != nil else { return .none }
    let value = (rule.price * quantity(asset, amount)).raw
    let initial = MarginSheet.share(value, rule.initialHaircut)
    // The factor may pass one: the product stays below 1e27 · 1e10.
    let doubt = MarginSheet.share(MarginSheet.share(value, rule.gap), factor)
    return Worth(
      value: value, maintenance: MarginSheet.share(value, rule.haircut), initial: initial + doubt)
  }

  /// Adds what counts of a balance to an account's sheet.
  public func add(_ asset: AssetID, _ amount: Amount, to sheet: inout MarginSheet) {
    guard let underlying = rules[asset.index].underlying else { return }
    let quantity = quantity(asset, amount)
    guard quantity.raw != 0 else { return }
    sheet.add(collateral: InstrumentID(UInt32(asset.raw)), quantity, underlying.index, legs)
  }

  /// Takes what counts of a balance from `before` to `after` in execution's sums of its underlying.
  @discardableResult
  public func move(
    _ asset: AssetID, from before: Amount, to after: Amount, in sums: inout ScenarioSums,
    _ slot: Int
  ) -> Notional {
    legs.move(
      InstrumentID(UInt32(asset.raw)), from: quantity(asset, before), to: quantity(asset, after),
      in: &sums, slot)
  }
}

extension RiskTable {
  /// Prices one whole unit of an asset that moves with its underlying.
  mutating func setCollateral(_ place: InstrumentID, price: Price) {
    update(
      place, .collateral(price, spot: price, grid),
      UnitCharges(.collateral, delta: 1_000_000_000_000, spot: price, parameters.minimum))
  }
}
