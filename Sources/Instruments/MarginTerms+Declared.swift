import Primitives

/// The terms a network declares when nobody says otherwise.
extension MarginTerms {
  private static func millionths(_ value: Int64) -> Ratio { Ratio(raw: value * 1_000) }

  /// What a house asks beside the scan, whatever the method: for short options, on entry for size and
  /// for doubt, and the share of initial margin that is maintenance.
  private static let house: MarginTerms = {
    var terms = MarginTerms.empty
    terms.confidenceThreshold = millionths(900_000)
    terms.confidenceFactor = millionths(250_000)
    terms.depegThreshold = millionths(990_000)
    terms.depegFactor = millionths(4_000_000)
    terms.maintenanceFactor = millionths(800_000)
    terms.initialFactor = millionths(1_000_000)
    terms.shortOption = millionths(5_000)
    terms.slopes = [
      SlopeTerms(from: millionths(50_000), rate: millionths(10_000)),
      SlopeTerms(from: millionths(250_000), rate: millionths(40_000)),
      SlopeTerms(from: millionths(1_000_000), rate: millionths(150_000)),
    ]
    terms.openInterestLower = millionths(2_000_000)
    terms.openInterestUpper = millionths(10_000_000)
    return terms
  }()

  /// The declared `novate-32`: Paradex's published grid and the charges of quant.md 3.1.
  public static let novate32: MarginTerms = {
    var terms = house
    terms.methodCode = 1
    terms.volatilityUp = millionths(400_000)
    terms.volatilityDown = millionths(220_000)
    terms.shortPower = millionths(300_000)
    terms.longPower = millionths(130_000)
    terms.daysFloor = millionths(1_000_000)
    terms.basisAdd = millionths(2_000)
    terms.basisMultiple = millionths(20_000)
    terms.netDelta = millionths(20_000)
    terms.hedgedDelta = millionths(10_000)
    func add(_ percent: Int64, _ cover: UInt32, _ volatility: UInt8) {
      terms.scenarios[Int(terms.scenarioCount)] = ScenarioTerms(
        spot: Ratio(raw: Ratio.scale + percent * 10_000_000), cover: cover,
        volatilityCode: volatility)
      terms.scenarioCount += 1
    }
    let whole = UInt32(Ratio.scale)
    for percent: Int64 in [-16, -12, -8, -4, 4, 8, 12, 16] {
      for volatility: UInt8 in [3, 2, 1] { add(percent, whole, volatility) }
    }
    for volatility: UInt8 in [3, 1] { add(0, whole, volatility) }
    for (percent, cover): (Int64, UInt32) in [
      (-66, 240_000_000), (-33, 480_000_000), (50, 320_000_000), (100, 160_000_000),
      (300, 53_300_000), (500, 32_000_000),
    ] { add(percent, cover, 1) }
    return terms
  }()

  /// The declared `span-16`: CME's sixteen with the ranges of its preset in `novate margin`, and the
  /// house's charges beside them.
  public static let span16: MarginTerms = {
    var terms = house
    terms.methodCode = 3
    terms.spanRange = millionths(150_000)
    terms.spanVolatility = millionths(150_000)
    terms.extremeMultiple = millionths(3_000_000)
    terms.extremeCover = millionths(330_000)
    terms.lookahead = 86_400_000
    return terms
  }()
}
