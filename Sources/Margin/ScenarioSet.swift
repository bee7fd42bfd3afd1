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
  public static let fourDown = 10
  public static let fourUp = 13
  public static let calmer = 24
  public static let wilder = 25

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

  static let novate32 = UnitGrid(MarginTerms.novate32)

  /// Of terms without a fault.
  init(_ terms: MarginTerms) {
    do throws(MarginFailure) {
      try self.init(MarginParameters(terms))
    } catch {
      preconditionFailure("terms of novate-32 make a grid: \(error)")
    }
  }

  private init(scenarios: [Scenario], shock: VolatilityShock, tilt: VolatilityTilt) {
    self.scenarios = scenarios
    self.shock = shock
    self.tilt = tilt
  }

  /// - Throws: `.unsupported` beyond 32 scenarios and for modes that turn the smile. Fewer are filled
  ///   up with the market standing still, which no sum misses.
  init(_ parameters: MarginParameters) throws(MarginFailure) {
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
    while scenarios.count < ScenarioSet.count {
      scenarios.append(Scenario(move: .zero, volatility: .same, cover: .zero))
    }
    self.init(
      scenarios: scenarios, shock: parameters.volatilityShock, tilt: parameters.tilt)
  }
}
