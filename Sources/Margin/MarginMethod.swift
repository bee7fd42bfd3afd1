public import Instruments
public import Primitives

/// Which rules turn a portfolio into a requirement. The raw value is the method's id.
public enum MarginMethod: UInt8, Sendable, CaseIterable {
  case novate32 = 1
  case derivePMRM2 = 2
  case span16 = 3
  case cross = 4

  /// As people and files say it.
  public var name: String {
    switch self {
    case .novate32: "novate-32"
    case .derivePMRM2: "derive-pmrm2"
    case .span16: "span-16"
    case .cross: "cross"
    }
  }

  public init?(name: String) {
    guard let method = MarginMethod.allCases.first(where: { $0.name == name }) else { return nil }
    self = method
  }
}

/// What a scenario does to implied volatility.
public enum VolatilityMode: UInt8, Sendable, CaseIterable {
  case up = 1
  case same = 2
  case down = 3
  /// Wings turn: one up, the other down.
  case linear = 4
  /// Both wings up.
  case absolute = 5

  public var isSkew: Bool { self == .linear || self == .absolute }
}

/// Which of the three reported worsts a scenario belongs to.
public enum ScenarioClass: UInt8, Sendable, CaseIterable {
  case regular = 1
  case tail = 2
  case skew = 3
}

/// One scenario of a method.
public struct MarginScenario: Sendable, Hashable {
  /// What multiplies the underlying, 1e-9.
  public var spot: Ratio
  public var volatility: VolatilityMode
  /// Share of the value change that must be covered, 1e-9, not below 0.
  public var dampening: Ratio
  public var kind: ScenarioClass

  public init(
    spot: Ratio, volatility: VolatilityMode, dampening: Ratio, kind: ScenarioClass
  ) {
    self.spot = spot
    self.volatility = volatility
    self.dampening = dampening
    self.kind = kind
  }
}

/// The rules of one method with all their numbers: what governance sets and a version names.
///
/// A method reads the groups it knows and ignores the rest. All ratios in 1e-9. Bounded: at most
/// `scenarioCountMax` scenarios, three slopes, nothing else of variable size.
public struct MarginParameters: Sendable, Hashable {
  public static let scenarioCountMax = 64

  public var method: MarginMethod
  public var scenarios: [MarginScenario]
  public var volatilityShock = VolatilityShock()
  public var skew = SkewShock()
  public var discount = StaticDiscount()
  public var basis = BasisShock()
  public var contingency = Contingency()
  public var confidence = ConfidenceCharge()
  public var depeg = DepegCharge()
  /// On the maintenance value; in `novate-32` and a machine's `span-16` the share of initial that is
  /// maintenance.
  public var maintenanceFactor = Ratio(raw: Ratio.scale)
  public var initialFactor = Ratio(raw: Ratio.scale)
  /// Share of netting across underlyings: 0 none, 1 full.
  public var lambda = Ratio.zero
  public var minimum = MinimumCharge()
  public var concentration = Concentration()
  public var openInterest = OpenInterestScale()
  public var tilt = VolatilityTilt()
  public var span = SpanRange()
  public var cross = CrossRates()

  public init(_ method: MarginMethod, scenarios: [MarginScenario] = []) {
    self.method = method
    self.scenarios = scenarios
  }

  /// What a machine's state holds; scenarios beyond ±16 % are of the tail.
  public init(_ terms: MarginTerms) {
    self.init(MarginMethod(rawValue: terms.methodCode) ?? .novate32)
    for place in 0..<Int(terms.scenarioCount) {
      let scenario = terms.scenarios[place]
      scenarios.append(
        MarginScenario(
          spot: scenario.spot,
          volatility: VolatilityMode(rawValue: scenario.volatilityCode) ?? .same,
          dampening: Ratio(raw: Int64(scenario.cover)),
          kind: (scenario.spot.raw - Ratio.scale).magnitude > 160_000_000 ? .tail : .regular))
    }
    volatilityShock = VolatilityShock(
      up: terms.volatilityUp, down: terms.volatilityDown, leastUp: terms.volatilityLeastUp,
      shortPower: terms.shortPower, longPower: terms.longPower, daysFloor: terms.daysFloor)
    basis.add = terms.basisAdd
    basis.multiple = terms.basisMultiple
    confidence = ConfidenceCharge(
      threshold: terms.confidenceThreshold, factor: terms.confidenceFactor)
    depeg = DepegCharge(threshold: terms.depegThreshold, factor: terms.depegFactor)
    maintenanceFactor = terms.maintenanceFactor
    initialFactor = terms.initialFactor
    lambda = terms.lambda
    minimum = MinimumCharge(
      netDelta: terms.netDelta, hedgedDelta: terms.hedgedDelta, shortOption: terms.shortOption)
    for place in 0..<3 where terms.slopes[place] != .empty {
      concentration.slopes.append(
        .init(from: terms.slopes[place].from, rate: terms.slopes[place].rate))
    }
    openInterest = OpenInterestScale(
      lower: terms.openInterestLower, upper: terms.openInterestUpper)
    tilt = VolatilityTilt(skew: terms.tiltSkew, term: terms.tiltTerm)
    span = SpanRange(
      priceRatio: terms.spanRange, volatility: terms.spanVolatility,
      extremeMultiple: terms.extremeMultiple, extremeCover: terms.extremeCover,
      lookahead: terms.lookahead)
  }
}

/// The shock of volatility: relative, larger near expiry.
public struct VolatilityShock: Sendable, Hashable {
  public var up = Ratio.zero
  public var down = Ratio.zero
  /// An upward shock ends at least here.
  public var leastUp = Ratio.zero
  /// Power of 30/days up to 30 days, and beyond.
  public var shortPower = Ratio.zero
  public var longPower = Ratio.zero
  /// Days below which the shock grows no more, 1e-9.
  public var daysFloor = Ratio(raw: Ratio.scale)

  /// The floor in milliseconds, to nearest.
  var floor: Int64 {
    Int64(
      clamping: (Int128(daysFloor.raw) * 86_400_000)
        .divided(by: Int128(Ratio.scale), rounding: .nearestEven))
  }
}

/// The rotation of the smile in `linear` and `abs` scenarios.
public struct SkewShock: Sendable, Hashable {
  /// Largest relative change: base·√τ + cap.
  public var linearBase = Ratio.zero
  public var linearCap = Ratio.zero
  public var absoluteBase = Ratio.zero
  public var absoluteCap = Ratio.zero
  /// Log-moneyness where it is reached: at least `least`, else √τ·width·(static + √τ·scale).
  public var least = Ratio.zero
  public var width = Ratio.zero
  public var volatilityStatic = Ratio.zero
  public var volatilityScale = Ratio.zero
}

/// What a shocked expiry is worth less when held, more when owed.
public struct StaticDiscount: Sendable, Hashable {
  public var long = Ratio(raw: Ratio.scale)
  public var short = Ratio(raw: Ratio.scale)
  public var longRateFactor = Ratio.zero
  public var longRateAdd = Ratio.zero
  public var shortRateFactor = Ratio.zero
  public var shortRateAdd = Ratio.zero
}

/// The forward contingency; in `novate-32` the tilt of non-front forwards is add + multiple·τ.
public struct BasisShock: Sendable, Hashable {
  public var spotUp = Ratio(raw: Ratio.scale)
  public var spotDown = Ratio(raw: Ratio.scale)
  public var add = Ratio.zero
  public var multiple = Ratio.zero
}

/// Charges that need no scenario, as shares of notional.
public struct Contingency: Sendable, Hashable {
  public var perpetualMaintenance = Ratio.zero
  /// On top of maintenance.
  public var perpetualInitialAdd = Ratio.zero
  public var optionMaintenance = Ratio.zero
  public var optionInitialAdd = Ratio.zero
}

/// The charge for doubtful prices, on initial margin alone.
public struct ConfidenceCharge: Sendable, Hashable {
  public var threshold = Ratio.zero
  public var factor = Ratio.zero
}

/// The charge for a quote asset below its peg, on initial margin alone.
public struct DepegCharge: Sendable, Hashable {
  public var threshold = Ratio.zero
  public var factor = Ratio.zero
}

/// The least a book of `novate-32` needs whatever the scan says.
public struct MinimumCharge: Sendable, Hashable {
  /// Of net delta times spot.
  public var netDelta = Ratio.zero
  /// Of the delta that is hedged, times spot.
  public var hedgedDelta = Ratio.zero
  /// Of spot for every short option net in its instrument; in `span-16` likewise.
  public var shortOption = Ratio.zero
}

/// Convex charge on large positions: Σ rateₖ·max(0, |q| − fromₖ·ADV)·spot.
public struct Concentration: Sendable, Hashable {
  public struct Slope: Sendable, Hashable {
    /// In average daily volumes.
    public var from: Ratio
    public var rate: Ratio
    public init(from: Ratio, rate: Ratio) {
      self.from = from
      self.rate = rate
    }
  }
  /// At most three.
  public var slopes: [Slope] = []
}

/// Where a contract's open interest, whoever holds it, begins to ask more on entry, and where it asks
/// for all that a contract can lose; in average daily volumes. Both zero for none.
public struct OpenInterestScale: Sendable, Hashable {
  public var lower = Ratio.zero
  public var upper = Ratio.zero
}

/// Tilts applied inside the vol-up and vol-down columns of `novate-32`.
public struct VolatilityTilt: Sendable, Hashable {
  /// Relative, at a log-moneyness of one √τ·vol: puts up and calls down where spot falls, mirrored where
  /// it rises.
  public var skew = Ratio.zero
  /// Relative, of the front expiry against the others: up where spot falls, down where it rises.
  public var term = Ratio.zero
}

/// The ranges of `span-16`.
public struct SpanRange: Sendable, Hashable {
  /// Money for one unit of the underlying; nil takes `priceRatio` of spot.
  public var price: Price?
  public var priceRatio = Ratio.zero
  /// Absolute.
  public var volatility = Ratio.zero
  /// How many price ranges the extreme pair lies away, and the share of it that is covered.
  public var extremeMultiple = Ratio.zero
  public var extremeCover = Ratio.zero
  /// Milliseconds.
  public var lookahead: Int64 = 0
}

/// The rates of `cross`.
public struct CrossRates: Sendable, Hashable {
  public var perpetualMaintenance = Ratio.zero
  public var perpetualInitial = Ratio.zero
  public var callMaintenance = Ratio.zero
  public var putMaintenance = Ratio.zero
  /// Of the put's own mark.
  public var putMarkMaintenance = Ratio.zero
  public var spotMax = Ratio.zero
  public var spotMin = Ratio.zero
  public var unpairedMaintenance = Ratio.zero
  public var unpairedInitial = Ratio.zero
  /// Initial of a short put is at least this times its maintenance.
  public var offset = Ratio(raw: Ratio.scale)
}
