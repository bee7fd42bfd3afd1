public import Pricing
public import Primitives

/// Everything a method says of one account. Net margins are fine while they are not below zero.
public struct MarginReport: Sendable {
  /// Equity less requirement; rounded down.
  public var initialMargin = Worth.zero
  public var maintenanceMargin = Worth.zero
  public var initialRequirement = Worth.zero
  public var maintenanceRequirement = Worth.zero
  /// Equity: cash, options, collateral, unrealised.
  public var markToMarket = Worth.zero
  public var optionMarkToMarket = Worth.zero
  public var collateralMarkToMarket = Worth.zero
  /// At most zero, these four.
  public var basisContingency = Worth.zero
  public var confidenceContingency = Worth.zero
  public var staticContingencyMaintenance = Worth.zero
  /// On top of maintenance.
  public var staticContingencyInitial = Worth.zero
  /// The least PnL of a class; nil where the method has none of it.
  public var worstRegular: Worth?
  public var worstTail: Worth?
  public var worstSkew: Worth?
  public var worst: Worst?
  /// PnL of each scenario of the parameters, over all underlyings, dampened.
  public var scenarios: [Worth] = []
  /// Of `span-16`: what stands in place of the parameters' scenarios.
  public var spanScenarios: [SpanScenario] = []
  /// Parts some methods add.
  public var parts: [Part] = []
  /// One for every market, in order.
  public var greeks: [[ExpiryGreeks]] = []
  public var liquidation: [LiquidationPrice] = []

  public struct Worst: Sendable, Hashable {
    /// Nil where the forward contingency is the worst.
    public var scenario: Int?
    public var pnl: Worth
  }

  /// A named amount: `scan`, `delta_minimum` and the like.
  public struct Part: Sendable, Hashable {
    public let name: String
    public let value: Worth
  }
}

/// Position-weighted Greeks of one expiry, by the forward.
public struct ExpiryGreeks: Sendable {
  /// Place in the market's expiries.
  public let expiry: Int
  public var delta = Real.zero
  public var gamma = Real.zero
  public var vega = Real.zero
  public var theta = Real.zero
  public var rho = Real.zero
}

/// Where the underlying would stand when maintenance is no longer met, all else unchanged.
public struct LiquidationPrice: Sendable, Hashable {
  /// Nil where no move up to `LiquidationSearch.factorMax` gets there.
  public var up: Price?
  public var down: Price?
}

extension MarginReport {
  /// Fills the class worsts and the worst scenario from the scenarios' PnLs.
  mutating func rank(_ kinds: [ScenarioClass], basis: Worth?) {
    func least(_ kind: ScenarioClass) -> Worth? {
      zip(kinds, scenarios).filter { $0.0 == kind }.map(\.1).min()
    }
    worstRegular = least(.regular)
    worstTail = least(.tail)
    worstSkew = least(.skew)
    worst = basis.map { Worst(scenario: nil, pnl: $0) }
    for (place, pnl) in scenarios.enumerated() where worst.map({ pnl < $0.pnl }) ?? true {
      worst = Worst(scenario: place, pnl: pnl)
    }
  }
}
