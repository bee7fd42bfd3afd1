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
  /// One less the quorum's confidence in the index.
  public var doubt: Ratio
  public var slices: [ExpirySlice] = []

  public init(index: Price, time: Timestamp, doubt: Ratio = .zero) {
    self.index = index
    self.time = time
    self.doubt = doubt
  }

  public func slice(_ expiry: Timestamp) -> ExpirySlice? {
    slices.first { $0.expiry == expiry }
  }

  /// The earliest expiry still to come: its forward is the anchor of the others.
  var front: Timestamp? {
    var front: Timestamp?
    for slice in slices where slice.expiry > time {
      front = front.map { min($0, slice.expiry) } ?? slice.expiry
    }
    return front
  }
}

extension VolatilityShock {
  /// What multiplies volatility when it moves, 1e-9; not below zero.
  func multiplier(_ move: VolatilityMove, time: Int64) -> Ratio {
    guard move != .same else { return .one }
    let range = move == .up ? up : down
    let factor = TenorScaling.factor(
      time: time, floor: floor, short: shortPower, long: longPower)
    let shock = (Int128(range.raw) * Int128(factor.raw))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    let multiplier = Int128(Ratio.scale) + Int128(move.rawValue) * shock
    return Ratio(raw: Int64(clamping: max(0, multiplier)))
  }
}

/// One contract's mark and what each scenario does to it.
struct Valuation {
  let mark: Price
  private let kind: Kind
  /// Of the oldest word it stands on.
  let time: Timestamp
  /// An option's volatility moved up, less moved down.
  private(set) var volatilitySpan = Ratio.zero
  /// Of one contract in its forward, 1e-12.
  private(set) var delta: Int64 = 1_000_000_000_000
  private let grid: UnitGrid

  private init(mark: Price, kind: Kind, time: Timestamp, grid: UnitGrid = .novate32) {
    self.mark = mark
    self.kind = kind
    self.time = time
    self.grid = grid
  }

  /// A contract that moves with its own price, or in `span-16` with the underlying's in money.
  static func linear(_ mark: Price, spot: Price, _ grid: UnitGrid, _ time: Timestamp) -> Valuation {
    guard let range = grid.span else {
      return Valuation(mark: mark, kind: .linear, time: time, grid: grid)
    }
    return moved(mark, grid, time, Span16.moves(range, spot: spot))
  }

  /// One unit of an asset that moves with its underlying, in proportion to its price.
  static func collateral(_ price: Price, spot: Price, _ grid: UnitGrid) -> Valuation {
    guard let range = grid.span, price != spot else {
      return linear(price, spot: spot, grid, .zero)
    }
    var moves = Span16.moves(range, spot: spot)
    for place in 0..<Span16.count {
      moves[place] = Int64(
        clamping: (Int128(moves[place]) * Int128(price.raw))
          .divided(by: Int128(spot.raw), rounding: .nearestEven))
    }
    return moved(price, grid, .zero, moves)
  }

  private static func moved(
    _ mark: Price, _ grid: UnitGrid, _ time: Timestamp, _ moves: InlineArray<16, Int64>
  ) -> Valuation {
    var values = InlineArray<32, Price>(repeating: mark)
    for place in 0..<Span16.count {
      values[place] = Price(raw: Int64(clamping: Int128(mark.raw) + Int128(moves[place])))
    }
    return Valuation(mark: mark, kind: .values(values), time: time, grid: grid)
  }

  private enum Kind {
    /// Moves with its own price: futures and perpetuals.
    case linear
    /// The payoff at a settlement price that is fixed.
    case fixed
    /// Values under the 32 scenarios, before cover.
    case values(InlineArray<32, Price>)
  }

  /// Nil while the market does not say enough: no index, no surface of the option's expiry.
  static func of(_ instrument: Instrument, market: UnderlyingMarket, _ grid: UnitGrid)
    -> Valuation?
  {
    if instrument.status == .settling {
      return Valuation(
        mark: instrument.payoff(at: instrument.settlementPrice), kind: .fixed, time: .latest)
    }
    guard market.index.raw > 0 else { return nil }
    switch instrument.kind {
    case .perpetual: return .linear(market.index, spot: market.index, grid, market.time)
    case .future:
      guard let slice = market.slice(instrument.expiry) else {
        return .linear(market.index, spot: market.index, grid, market.time)
      }
      return .linear(slice.forward, spot: market.index, grid, min(market.time, slice.time))
    case .option:
      guard let slice = market.slice(instrument.expiry) else { return nil }
      return option(
        instrument, slice, spot: market.index, isFront: instrument.expiry == market.front, grid,
        time: min(market.time, slice.time))
    case nil: return nil
    }
  }

  private static func option(
    _ instrument: Instrument, _ slice: ExpirySlice, spot: Price, isFront: Bool, _ grid: UnitGrid,
    time wordTime: Timestamp
  ) -> Valuation {
    let type: OptionType = instrument.isCall ? .call : .put
    let time = max(0, instrument.expiry.raw - slice.time.raw)
    let volatility = slice.surface.volatility(
      strike: instrument.strike, forward: slice.forward, time: time)
    return option(
      OptionTerms(
        type: type, strike: instrument.strike, volatility: volatility, forward: slice.forward,
        time: time, isFront: isFront), spot: spot, grid, wordTime)
  }

  /// All that an option's unit vector is made from.
  struct OptionTerms {
    let type: OptionType
    let strike: Price
    let volatility: Ratio
    let forward: Price
    let time: Int64
    /// The part of the forward that no scenario moves.
    var fixed = Price.zero
    var discount = Discount.one
    /// The earliest expiry of its underlying that is still to come.
    var isFront = false
  }

  static func option(
    _ terms: OptionTerms, spot: Price, _ grid: UnitGrid, _ wordTime: Timestamp
  ) -> Valuation {
    let mark = Black76.price(
      terms.type, forward: terms.forward, strike: terms.strike, volatility: terms.volatility,
      time: terms.time, discount: terms.discount)
    var valuation: Valuation
    if let range = grid.span {
      let (prices, span) = Span16.values(terms, range, spot: spot)
      var values = InlineArray<32, Price>(repeating: mark)
      for place in 0..<Span16.count { values[place] = prices[place] }
      valuation = Valuation(mark: mark, kind: .values(values), time: wordTime, grid: grid)
      valuation.volatilitySpan = span
    } else {
      let (values, span) = shocked(terms, grid)
      valuation = Valuation(mark: mark, kind: .values(values), time: wordTime, grid: grid)
      valuation.volatilitySpan = span
    }
    valuation.delta = Black76.delta(
      terms.type, forward: terms.forward, strike: terms.strike, volatility: terms.volatility,
      time: terms.time, discount: terms.discount)
    return valuation
  }

  /// An option's values in the relative scenarios of `novate-32`, and how far the volatilities up and
  /// down lie apart.
  private static func shocked(_ terms: OptionTerms, _ grid: UnitGrid) -> (
    prices: InlineArray<32, Price>, span: Ratio
  ) {
    var forwards = InlineArray<32, Price>(repeating: .zero)
    var volatilities = InlineArray<32, Ratio>(repeating: .zero)
    let variable = Int128(terms.forward.raw) - Int128(terms.fixed.raw)
    let up = grid.shock.multiplier(.up, time: terms.time)
    let down = grid.shock.multiplier(.down, time: terms.time)
    var (last, moved) = (Int128(-1), Int128(0))
    for (place, scenario) in grid.scenarios.enumerated() {
      let factor = Int128(max(0, Ratio.scale + scenario.move.raw))
      if factor != last {
        moved = (variable * factor).divided(by: Int128(Ratio.scale), rounding: .nearestEven)
        last = factor
      }
      forwards[place] = Price(raw: Int64(clamping: Int128(terms.fixed.raw) + moved))
      switch scenario.volatility {
      case .same: volatilities[place] = .one
      case .up: volatilities[place] = multiplier(up, terms, grid, scenario)
      case .down: volatilities[place] = multiplier(down, terms, grid, scenario)
      }
    }
    let prices = ScenarioGrid(
      forwards: forwards, volatilityMultipliers: volatilities, time: terms.time,
      discount: terms.discount
    ).prices(terms.type, strike: terms.strike, volatility: terms.volatility)
    let span = (Int128(terms.volatility.raw) * (Int128(up.raw) - Int128(down.raw)))
      .divided(by: Int128(Ratio.scale), rounding: .down)
    return (prices, Ratio(raw: Int64(clamping: span)))
  }

  /// The shock of volatility with its tilts and its floor.
  private static func multiplier(
    _ shock: Ratio, _ terms: OptionTerms, _ grid: UnitGrid, _ scenario: Scenario
  ) -> Ratio {
    var result = grid.tilt.applied(to: shock, terms, scenario)
    if scenario.volatility == .up, grid.shock.leastUp.raw > 0, terms.volatility.raw > 0 {
      let least = (Int128(grid.shock.leastUp.raw) * Int128(Ratio.scale))
        .divided(by: Int128(terms.volatility.raw), rounding: .up)
      result = max(result, Ratio(raw: Int64(clamping: least)))
    }
    return result
  }

  /// Gives each scenario's covered change of value, rounded down.
  func writeUnits(_ body: (Int, Price) -> Void) {
    for (place, scenario) in grid.scenarios.enumerated() {
      let change: Int128
      switch kind {
      case .linear:
        change = (Int128(mark.raw) * Int128(scenario.move.raw))
          .divided(by: Int128(Ratio.scale), rounding: .down)
      case .fixed: change = 0
      case .values(let values):
        change = Int128(values[place].raw) - Int128(mark.raw)
      }
      // Most are covered in full: the division is worth leaving out.
      let covered =
        scenario.cover == .one
        ? change
        : (change * Int128(scenario.cover.raw))
          .divided(by: Int128(Ratio.scale), rounding: .down)
      body(place, Price(raw: Int64(clamping: covered)))
    }
  }
}

extension VolatilityTilt {
  /// The multiplier with its tilts: by log-moneyness in units of σ√τ, held to ±1, and by term. Not below
  /// zero. Without tilts it is the multiplier.
  func applied(to multiplier: Ratio, _ terms: Valuation.OptionTerms, _ scenario: Scenario) -> Ratio
  {
    guard skew.raw != 0 || term.raw != 0, scenario.move.raw != 0 else { return multiplier }
    // Where spot falls, puts become dearer and the front with them; where it rises, the mirror.
    let sign: Int128 = scenario.move.raw < 0 ? 1 : -1
    var tilt: Int128 = 0
    if skew.raw != 0, terms.strike.raw > 0, terms.forward.raw > 0 {
      let spread = Real(terms.volatility) * Real(milliseconds: terms.time).squareRoot
      var place = Int128(0)
      if !spread.isZero {
        let k = (Real(terms.strike) / Real(terms.forward)).logarithm / spread
        place = k.scaled(digits: 9) ?? (k.isNegative ? -1 : 1) * Int128(Ratio.scale)
        place = min(max(place, Int128(-Ratio.scale)), Int128(Ratio.scale))
      }
      tilt -= (Int128(skew.raw) * place).divided(by: Int128(Ratio.scale), rounding: .nearestEven)
    }
    tilt += terms.isFront ? Int128(term.raw) : -Int128(term.raw)
    let factor = max(0, Int128(Ratio.scale) + sign * tilt)
    let product = (Int128(multiplier.raw) * factor)
      .divided(by: Int128(Ratio.scale), rounding: .nearestEven)
    return Ratio(raw: Int64(clamping: product))
  }
}
