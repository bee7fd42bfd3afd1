public import Primitives

/// The shocked forwards and volatilities of one expiry, ready to price every option that expires then.
///
/// Thirty-two scenarios, each a forward and a volatility multiplier. The logarithm is taken once a
/// forward for the whole expiry, the root once an option and volatility. A price agrees with
/// `Black76.price` at the same inputs within one unit.
public struct ScenarioGrid: Sendable {
  public static let count = 32
  private var forwards: InlineArray<32, Price> = .init(repeating: .zero)
  /// ln F in Q57, of the raw integer; 0 beside a forward of zero.
  private var logarithms: InlineArray<32, Int64> = .init(repeating: 0)
  private var multipliers: InlineArray<32, Ratio> = .init(repeating: .zero)
  private var multiplierCount = 0
  private var multiplierIndex: InlineArray<32, UInt8> = .init(repeating: 0)
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
    for scenario in 0..<ScenarioGrid.count {
      let forward = max(forwards[scenario], .zero)
      self.forwards[scenario] = forward
      var known = 0
      while known < scenario, self.forwards[known] != forward { known += 1 }
      if known < scenario {
        logarithms[scenario] = logarithms[known]
      } else if forward.raw > 0 {
        logarithms[scenario] =
          Kernel.logarithm(of: UInt64(bitPattern: forward.raw))
      }
      let multiplier = volatilityMultipliers[scenario]
      var index = 0
      while index < multiplierCount, multipliers[index] != multiplier { index += 1 }
      if index == multiplierCount {
        multipliers[index] = multiplier
        multiplierCount += 1
      }
      multiplierIndex[scenario] = UInt8(truncatingIfNeeded: index)
    }
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
    let positive = UInt64(bitPattern: max(strike.raw, 0))
    let logarithm = positive == 0 ? 0 : Kernel.logarithm(of: positive)
    var prices: InlineArray<32, Price> = .init(repeating: .zero)
    for scenario in 0..<ScenarioGrid.count {
      let contract = Contract(type, forward: forwards[scenario], strike: strike)
      let deviation = deviations[Int(multiplierIndex[scenario])]
      guard deviation.kind == .regular, contract.isRegular else {
        prices[scenario] = contract.limit(deviation.kind, discount)
        continue
      }
      let moneyness = Kernel.Logarithm(
        mantissa: logarithms[scenario] &- logarithm, bits: 57)
      prices[scenario] = contract.price(moneyness: moneyness, deviation, discount)
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
