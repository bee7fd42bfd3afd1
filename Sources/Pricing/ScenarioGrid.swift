public import Primitives

/// The shocked forwards and volatilities of one expiry, ready to price every option that expires then.
///
/// Thirty-two scenarios, each a forward and a volatility multiplier. The logarithm is taken once a
/// forward for the whole expiry, the root once an option and volatility. Prices are those of
/// `Black76.price` at the same inputs, bit for bit. Cost: about 30 ns a scenario.
public struct ScenarioGrid: Sendable {
  public static let count = 32

  /// One scenario's forward, the logarithm of its raw integer, and the place of its multiplier.
  private struct Scenario {
    var forward: Price
    var logarithm: Kernel.Parts
    var multiplier: Int
  }

  private var scenarios: InlineArray<32, Scenario>
  private var multipliers: InlineArray<32, Ratio> = .init(repeating: .zero)
  private var multiplierCount = 0
  private let time: Int64
  private let discount: Discount

  /// - Parameters:
  ///   - forwards: the forward of each scenario; below zero counts as zero.
  ///   - volatilityMultipliers: what multiplies an option's own volatility in each scenario, 1e-9.
  ///   - time: milliseconds to expiry.
  public init(
    forwards: InlineArray<32, Price>, volatilityMultipliers: InlineArray<32, Ratio>, time: Int64,
    discount: Discount = .one
  ) {
    self.time = time
    self.discount = discount
    var scenarios: InlineArray<32, Scenario> = .init(
      repeating: Scenario(forward: .zero, logarithm: Kernel.parts(of: 0), multiplier: 0))
    for scenario in 0..<ScenarioGrid.count {
      let forward = max(forwards[scenario], .zero)
      let multiplier = volatilityMultipliers[scenario]
      var index = 0
      while index < multiplierCount, multipliers[index] != multiplier { index += 1 }
      if index == multiplierCount {
        multipliers[index] = multiplier
        multiplierCount += 1
      }
      // Of the logarithm of a forward outside the quick range no use is made.
      scenarios[scenario] = Scenario(
        forward: forward, logarithm: Kernel.parts(of: UInt64(bitPattern: forward.raw)),
        multiplier: index)
    }
    self.scenarios = scenarios
  }

  /// The shocks of quant.md 3.1 as multipliers: forward · (1 + move), rounded to nearest.
  public init(
    forward: Price, forwardMultipliers: InlineArray<32, Ratio>,
    volatilityMultipliers: InlineArray<32, Ratio>, time: Int64, discount: Discount = .one
  ) {
    var forwards: InlineArray<32, Price> = .init(repeating: .zero)
    for scenario in 0..<ScenarioGrid.count {
      forwards[scenario] = Price(
        raw: scaled(forward.raw, by: forwardMultipliers[scenario]))
    }
    self.init(
      forwards: forwards, volatilityMultipliers: volatilityMultipliers, time: time,
      discount: discount)
  }

  /// The option's price in every scenario.
  public func prices(_ type: OptionType, strike: Price, volatility: Ratio)
    -> InlineArray<32, Price>
  {
    var deviations: InlineArray<32, Deviation> = .init(repeating: Deviation(kind: .zero))
    for index in 0..<multiplierCount {
      deviations[index] = Deviation(
        volatility: Ratio(raw: scaled(volatility.raw, by: multipliers[index])), time: time)
    }
    let logarithm = Kernel.parts(of: UInt64(bitPattern: strike.raw))
    var prices: InlineArray<32, Price> = .init(repeating: .zero)
    // Spans, because an inline array's element is read by copying the array.
    let (all, known) = (scenarios.span, deviations.span)
    for index in 0..<ScenarioGrid.count {
      let scenario = all[index]
      let deviation = known[scenario.multiplier]
      if deviation.kind == .regular, Contract.isQuick(scenario.forward, strike),
        let d1 = Contract.quickD1(scenario.logarithm, logarithm, deviation)
      {
        let contract = Contract(quick: type, scenario.forward, strike)
        prices[index] = contract.quickPrice(d1: d1, deviation, discount)
      } else {
        prices[index] = Black76.widePrice(type, scenario.forward, strike, deviation, discount)
      }
    }
    return prices
  }
}

/// value · ratio to nearest even, held to Int64.
@inline(__always)
func scaled(_ value: Int64, by ratio: Ratio) -> Int64 {
  let product = (Int128(value) &* Int128(ratio.raw)).divided(
    by: Int128(Ratio.scale), rounding: .nearestEven)
  return Int64(truncatingIfNeeded: min(max(product, Int128(Int64.min)), Int128(Int64.max)))
}
