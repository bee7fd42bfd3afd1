import Instruments
import Primitives

extension MarginParameters {
  /// The declared defaults of a method.
  public static func preset(_ method: MarginMethod) -> MarginParameters {
    switch method {
    case .novate32: novate32
    case .derivePMRM2: derivePMRM2
    case .span16: span16
    case .cross: cross
    }
  }

  /// In thousandths of a thousandth.
  private static func millionths(_ value: Int64) -> Ratio { Ratio(raw: value * 1_000) }
  private static let one = Ratio(raw: Ratio.scale)

  /// Source: quant.md 3.1. What execution and clearing run until governance sets other terms.
  private static let novate32 = MarginParameters(MarginTerms.novate32)

  /// Derive's PMRM_2 with the live-type numbers of its published configuration, except that there the
  /// static discounts of long and short stand the wrong way round: a held value is worth 0.95, an owed
  /// one 1.05.
  private static let derivePMRM2: MarginParameters = {
    var scenarios: [MarginScenario] = []
    func add(
      _ spot: Int64, _ volatility: VolatilityMode, _ dampening: Int64 = 1_000_000_000,
      _ kind: ScenarioClass = .regular
    ) {
      scenarios.append(
        MarginScenario(
          spot: millionths(spot), volatility: volatility, dampening: Ratio(raw: dampening),
          kind: kind))
    }
    add(1_180_000, .up)
    for spot: Int64 in [1_135_000, 1_090_000, 1_045_000, 1_000_000, 955_000, 910_000, 865_000] {
      for volatility in [VolatilityMode.up, .same, .down] { add(spot, volatility) }
    }
    add(820_000, .up)
    for (spot, dampening): (Int64, Int64) in [
      (340_000, 210_000_000), (670_000, 420_000_000), (1_500_000, 277_200_000),
      (2_000_000, 138_600_000), (3_000_000, 69_300_000), (4_000_000, 46_200_000),
      (5_000_000, 34_650_000), (6_000_000, 27_720_000),
    ] { add(spot, .up, dampening, .tail) }
    add(1_000_000, .linear, 1_000_000_000, .skew)
    add(1_000_000, .absolute, 1_000_000_000, .skew)

    var p = MarginParameters(.derivePMRM2, scenarios: scenarios)
    p.volatilityShock = VolatilityShock(
      up: millionths(500_000), down: millionths(300_000), leastUp: millionths(400_000),
      shortPower: millionths(300_000), longPower: millionths(130_000))
    p.skew = SkewShock(
      linearBase: millionths(-100_000), linearCap: millionths(250_000),
      absoluteBase: millionths(-100_000), absoluteCap: millionths(250_000),
      least: millionths(10_000), width: millionths(4_000_000),
      volatilityStatic: millionths(600_000))
    p.discount = StaticDiscount(
      long: millionths(950_000), short: millionths(1_050_000), longRateAdd: millionths(160_000),
      shortRateAdd: millionths(160_000))
    p.basis = BasisShock(
      spotUp: millionths(1_045_000), spotDown: millionths(955_000), add: millionths(500_000),
      multiple: millionths(2_000_000))
    p.contingency = Contingency(
      perpetualMaintenance: millionths(30_000), perpetualInitialAdd: millionths(10_000),
      optionMaintenance: millionths(3_000), optionInitialAdd: millionths(2_000))
    p.confidence = ConfidenceCharge(threshold: millionths(550_000), factor: one)
    p.depeg = DepegCharge(threshold: millionths(990_000), factor: millionths(4_000_000))
    p.maintenanceFactor = millionths(800_000)
    return p
  }()

  /// CME's sixteen: price scan range in thirds by volatility, then the extreme pair at three ranges
  /// covered by 33 % (CME advisory 08-303), a day ahead.
  private static let span16: MarginParameters = {
    var p = MarginParameters(MarginMethod.span16)
    p.span = SpanRange(
      price: nil, priceRatio: millionths(150_000), volatility: millionths(150_000),
      extremeMultiple: millionths(3_000_000), extremeCover: millionths(330_000),
      lookahead: 86_400_000)
    p.minimum.shortOption = millionths(5_000)
    return p
  }()

  /// Derive's standard manager, position-netted, with its published rates.
  private static let cross: MarginParameters = {
    var p = MarginParameters(.cross)
    p.cross = CrossRates(
      perpetualMaintenance: millionths(65_000), perpetualInitial: millionths(100_000),
      callMaintenance: millionths(90_000), putMaintenance: millionths(90_000),
      putMarkMaintenance: millionths(90_000), spotMax: millionths(150_000),
      spotMin: millionths(130_000), unpairedMaintenance: millionths(1_100_000),
      unpairedInitial: millionths(1_200_000), offset: millionths(1_050_000))
    p.confidence = ConfidenceCharge(threshold: millionths(550_000), factor: one)
    p.depeg = DepegCharge(threshold: millionths(990_000), factor: millionths(2_000_000))
    return p
  }()
}
