import Instruments
public import Primitives

/// Which way a scenario moves implied volatility.
public enum VolatilityMove: Int, Sendable {
  case down = -1
  case same = 0
  case up = 1
}

/// One scenario: a move of the underlying, a move of volatility, and the share of the value change
/// that must be covered.
public struct Scenario: Sendable, Hashable {
  /// Relative move of the underlying, 1e-9 (−1 = worthless).
  public let move: Ratio
  public let volatility: VolatilityMove
  /// Share of the value change, 1e-9.
  public let cover: Ratio
}

/// The grid of method `novate-32`: 24 scenarios within ±16 %, two at zero, six extended moves.
/// The venues quote this grid for initial margin. Source: Paradex's published portfolio margin.
public enum ScenarioSet {
  public static let count = 32
  /// Places of the moves of 4 % with volatility unmoved, and of volatility alone.
  static let fourDown = 10
  static let fourUp = 13
  static let calmer = 24
  static let wilder = 25

  public static let novate32: [Scenario] = {
    var grid: [Scenario] = []
    for percent: Int64 in [-16, -12, -8, -4, 4, 8, 12, 16] {
      for volatility in [VolatilityMove.down, .same, .up] {
        grid.append(
          Scenario(
            move: Ratio(raw: percent * 10_000_000), volatility: volatility,
            cover: Ratio(raw: Ratio.scale)))
      }
    }
    for volatility in [VolatilityMove.down, .up] {
      grid.append(
        Scenario(move: .zero, volatility: volatility, cover: Ratio(raw: Ratio.scale)))
    }
    for (percent, cover): (Int64, Int64) in [
      (-66, 240_000_000), (-33, 480_000_000), (50, 320_000_000), (100, 160_000_000),
      (300, 53_300_000), (500, 32_000_000),
    ] {
      grid.append(
        Scenario(
          move: Ratio(raw: percent * 10_000_000), volatility: .up, cover: Ratio(raw: cover)))
    }
    return grid
  }()
}

/// The scenarios and volatility shock by which unit vectors are made: what execution and clearing
/// run, or another set of the same shape.
struct UnitGrid: Sendable {
  let scenarios: [Scenario]
  let shock: VolatilityShock
  let tilt: VolatilityTilt
  /// Of `span-16`, whose scenarios move prices in money: a scenario's `move` says nothing then.
  let span: SpanRange?
  /// How many scenarios the method has; zeros fill the vector up.
  let count: Int

  static let novate32 = UnitGrid(MarginTerms.novate32)

  /// Of terms without a fault.
  init(_ terms: MarginTerms) {
    do throws(MarginFailure) {
      try self.init(MarginParameters(terms))
    } catch {
      preconditionFailure("terms without a fault make a grid: \(error)")
    }
  }

  private init(_ scenarios: [Scenario], _ parameters: MarginParameters, span: SpanRange?) {
    count = scenarios.count
    let rest = ScenarioSet.count - scenarios.count
    let still = Scenario(move: .zero, volatility: .same, cover: .zero)
    self.scenarios = scenarios + Array(repeating: still, count: rest)
    shock = parameters.volatilityShock
    tilt = parameters.tilt
    self.span = span
  }

  /// - Throws: `.unsupported` beyond 32 scenarios and for modes that turn the smile. Fewer are filled
  ///   up with the market standing still, which no sum misses.
  init(_ parameters: MarginParameters) throws(MarginFailure) {
    guard parameters.method != .span16 else {
      let scenarios = Span16.scenarios(parameters.span, spot: .zero).map {
        Scenario(move: .zero, volatility: $0.volatility, cover: $0.cover)
      }
      self.init(scenarios, parameters, span: parameters.span)
      return
    }
    guard parameters.scenarios.count <= ScenarioSet.count else {
      throw .unsupported("novate-32 takes at most 32 scenarios")
    }
    var scenarios: [Scenario] = []
    for scenario in parameters.scenarios {
      let move: VolatilityMove
      switch scenario.volatility {
      case .up: move = .up
      case .same: move = .same
      case .down: move = .down
      case .linear, .absolute:
        throw .unsupported("novate-32 takes the volatilities up, none and down")
      }
      scenarios.append(
        Scenario(
          move: Ratio(raw: scenario.spot.raw - Ratio.scale), volatility: move,
          cover: scenario.dampening))
    }
    self.init(scenarios, parameters, span: nil)
  }
}
