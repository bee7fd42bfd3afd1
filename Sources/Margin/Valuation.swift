import Instruments
public import Pricing
public import Primitives

/// Forward and surface of one expiry, as the oracle gives them.
public struct ExpirySlice: Sendable, Hashable {
  public let expiry: Timestamp
  public let forward: Price
  public let surface: SurfaceSlice
  /// When they were true.
  public let time: Timestamp

  public init(expiry: Timestamp, forward: Price, surface: SurfaceSlice, time: Timestamp) {
    self.expiry = expiry
    self.forward = forward
    self.surface = surface
    self.time = time
  }
}

/// All that is known of one underlying: its index and its expiries.
public struct UnderlyingMarket: Sendable {
  /// Zero while no quorum has spoken.
  public var index: Price
  /// The quorum's time.
  public var time: Timestamp
  public var slices: [ExpirySlice] = []

  public init(index: Price, time: Timestamp) {
    self.index = index
    self.time = time
  }

  public func slice(_ expiry: Timestamp) -> ExpirySlice? {
    slices.first { $0.expiry == expiry }
  }
}

/// The volatility shock of method `novate-32`: relative, larger near expiry.
enum VolatilityShock {
  static let up = Ratio(raw: 400_000_000)
  static let down = Ratio(raw: 220_000_000)
  static let shortPower = Ratio(raw: 300_000_000)
  static let longPower = Ratio(raw: 130_000_000)

  /// What multiplies volatility when it moves, 1e-9; not below zero.
  static func multiplier(_ move: VolatilityMove, time: Int64) -> Ratio {
    guard move != .same else { return Ratio(raw: Ratio.scale) }
    let range = move == .up ? up : down
    let factor = TenorScaling.factor(time: time, short: shortPower, long: longPower)
    let shock = (Int128(range.raw) * Int128(factor.raw))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    let multiplier = Ratio.scale + Int64(move.rawValue) * Int64(truncatingIfNeeded: shock)
    return Ratio(raw: max(0, multiplier))
  }
}

/// One contract's mark and what each scenario does to it.
struct Valuation {
  let mark: Price
  private let kind: Kind
  /// Of the oldest word it stands on.
  let time: Timestamp

  private enum Kind {
    /// Moves with its own price: futures and perpetuals.
    case linear
    /// The payoff at a settlement price that is fixed.
    case fixed
    /// Values under the 32 scenarios, before cover.
    case option(InlineArray<32, Price>)
  }

  /// Nil while the market does not say enough: no index, no surface of the option's expiry.
  static func of(_ instrument: Instrument, market: UnderlyingMarket) -> Valuation? {
    if instrument.status == .settling {
      return Valuation(
        mark: instrument.payoff(at: instrument.settlementPrice), kind: .fixed, time: .latest)
    }
    guard market.index.raw > 0 else { return nil }
    switch instrument.kind {
    case .perpetual: return Valuation(mark: market.index, kind: .linear, time: market.time)
    case .future:
      guard let slice = market.slice(instrument.expiry) else {
        return Valuation(mark: market.index, kind: .linear, time: market.time)
      }
      return Valuation(
        mark: slice.forward, kind: .linear, time: min(market.time, slice.time))
    case .option:
      guard let slice = market.slice(instrument.expiry) else { return nil }
      return option(instrument, slice, time: min(market.time, slice.time))
    case nil: return nil
    }
  }

  private static func option(
    _ instrument: Instrument, _ slice: ExpirySlice, time wordTime: Timestamp
  ) -> Valuation {
    let type: OptionType = instrument.isCall ? .call : .put
    let time = max(0, instrument.expiry.raw - slice.time.raw)
    let volatility = slice.surface.volatility(
      strike: instrument.strike, forward: slice.forward, time: time)
    let mark = Black76.price(
      type, forward: slice.forward, strike: instrument.strike, volatility: volatility, time: time)
    var forwards = InlineArray<32, Ratio>(repeating: .zero)
    var volatilities = InlineArray<32, Ratio>(repeating: .zero)
    for (place, scenario) in ScenarioSet.novate32.enumerated() {
      forwards[place] = Ratio(raw: max(0, Ratio.scale + scenario.move.raw))
      volatilities[place] = VolatilityShock.multiplier(scenario.volatility, time: time)
    }
    let grid = ScenarioGrid(
      forward: slice.forward, forwardMultipliers: forwards, volatilityMultipliers: volatilities,
      time: time)
    let values = grid.prices(type, strike: instrument.strike, volatility: volatility)
    return Valuation(mark: mark, kind: .option(values), time: wordTime)
  }

  /// Gives each scenario's covered change of value, rounded down.
  func writeUnits(_ body: (Int, Price) -> Void) {
    for (place, scenario) in ScenarioSet.novate32.enumerated() {
      let change: Int128
      switch kind {
      case .linear:
        change = (Int128(mark.raw) * Int128(scenario.move.raw))
          .divided(by: Int128(Ratio.scale), rounding: .down)
      case .fixed: change = 0
      case .option(let values):
        change = Int128(values[place].raw) - Int128(mark.raw)
      }
      let covered = (change * Int128(scenario.cover.raw))
        .divided(by: Int128(Ratio.scale), rounding: .down)
      body(place, Price(raw: Int64(clamping: covered)))
    }
  }
}
