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
