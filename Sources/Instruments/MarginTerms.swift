public import Primitives

/// One scenario of a margin method as it is stored: 16 bytes.
@frozen public struct ScenarioTerms: FlatRecord, Hashable {
  /// What multiplies the underlying, 1e-9.
  public var spot: Ratio
  /// Share of the value change that must be covered, 1e-9.
  public var cover: UInt32
  /// 1 up, 2 unmoved, 3 down; zero in a place without a scenario.
  public var volatilityCode: UInt8
  private var reserved0: UInt8 = 0
  private var reserved1: UInt16 = 0

  public static let empty = ScenarioTerms(spot: .zero, cover: 0, volatilityCode: 0)
  /// No scenario moves a price further: what bounds every sum.
  public static let spotMax = Ratio(raw: 6 * Ratio.scale)

  public init(spot: Ratio, cover: UInt32, volatilityCode: UInt8) {
    self.spot = spot
    self.cover = cover
    self.volatilityCode = volatilityCode
  }

  fileprivate var isSound: Bool {
    (0...ScenarioTerms.spotMax.raw).contains(spot.raw) && cover <= UInt32(Ratio.scale)
      && (1...3).contains(volatilityCode) && reserved0 == 0 && reserved1 == 0
  }
}

/// A slope of the charge on large positions: 16 bytes.
@frozen public struct SlopeTerms: FlatRecord, Hashable {
  /// In average daily volumes.
  public var from: Ratio
  public var rate: Ratio

  public static let empty = SlopeTerms(from: .zero, rate: .zero)
  public init(from: Ratio, rate: Ratio) {
    self.from = from
    self.rate = rate
  }
}

/// A margin method with all its numbers, as genesis sets it, governance replaces it and state keeps
/// it: 2 048 bytes. All ratios in 1e-9. Machines run the methods of `methodNames`; what a method does
/// not read is zero.
@frozen public struct MarginTerms: FlatRecord, Hashable {
  public static let byteCount = 2_048
  public static let scenarioCountMax = 32
  public static let collateralCount = 16
  /// The methods that a machine runs, by their codes.
  public static let methodNames: [UInt8: String] = [1: "novate-32", 3: "span-16"]

  public var methodCode: UInt8 = 0
  public var scenarioCount: UInt8 = 0
  private var reserved0: UInt16 = 0
  private var reserved1: UInt32 = 0
  /// The shock of volatility: relative, up and down, where an upward one ends at least, the powers of
  /// 30/days within 30 days and beyond, and the days below which it grows no more.
  public var volatilityUp = Ratio.zero
  public var volatilityDown = Ratio.zero
  public var volatilityLeastUp = Ratio.zero
  public var shortPower = Ratio.zero
  public var longPower = Ratio.zero
  public var daysFloor = Ratio.zero
  /// Tilt of a forward that is not the front one: add + multiple·years.
  public var basisAdd = Ratio.zero
  public var basisMultiple = Ratio.zero
  public var confidenceThreshold = Ratio.zero
  public var confidenceFactor = Ratio.zero
  public var depegThreshold = Ratio.zero
  public var depegFactor = Ratio.zero
  /// The share of initial margin that is maintenance.
  public var maintenanceFactor = Ratio.zero
  public var initialFactor = Ratio.zero
  /// Netting across underlyings: 0 none, 1 full.
  public var lambda = Ratio.zero
  public var netDelta = Ratio.zero
  public var hedgedDelta = Ratio.zero
  public var shortOption = Ratio.zero
  public var tiltSkew = Ratio.zero
  public var tiltTerm = Ratio.zero
  public var slopes = InlineArray<3, SlopeTerms>(repeating: .empty)
  /// A year of interest on negative cash.
  public var interest = Ratio.zero
  /// Open interest, in average daily volumes, from which a contract asks more on entry, and where it
  /// asks for all it can lose; both zero for none.
  public var openInterestLower = Ratio.zero
  public var openInterestUpper = Ratio.zero
  /// One more than the underlying whose index is the worth of the quote asset; zero for none.
  public var peg: UInt64 = 0
  private var reserved2: UInt64 = 0
  public var scenarios = InlineArray<32, ScenarioTerms>(repeating: .empty)
  /// By asset; the first, the quote asset, counts in full and stands empty.
  public var collaterals = InlineArray<16, CollateralTerms>(repeating: .empty)
  /// Of `span-16`: the price range as a share of the index, the absolute range of volatility, how many
  /// price ranges the extreme pair lies away and the share of it that is covered, and how much later
  /// options are priced, in milliseconds.
  public var spanRange = Ratio.zero
  public var spanVolatility = Ratio.zero
  public var extremeMultiple = Ratio.zero
  public var extremeCover = Ratio.zero
  public var lookahead: Int64 = 0
  private var reserved3 = InlineArray<59, UInt64>(repeating: 0)

  public static let empty = MarginTerms()
  private init() {}

  /// Name and place of every ratio that some method reads, as JSON spells them: the group, then the
  /// field.
  public static var fields:
    [(group: String, name: String, path: any WritableKeyPath<MarginTerms, Ratio> & Sendable)]
  {
    [
      ("vol_shock", "range_up", \.volatilityUp), ("vol_shock", "range_down", \.volatilityDown),
      ("vol_shock", "min_vol_up", \.volatilityLeastUp),
      ("vol_shock", "short_power", \.shortPower), ("vol_shock", "long_power", \.longPower),
      ("vol_shock", "dte_floor_days", \.daysFloor),
      ("basis", "add", \.basisAdd), ("basis", "mult", \.basisMultiple),
      ("confidence", "threshold", \.confidenceThreshold),
      ("confidence", "factor", \.confidenceFactor),
      ("depeg", "threshold", \.depegThreshold), ("depeg", "factor", \.depegFactor),
      ("", "mm_factor", \.maintenanceFactor), ("", "im_factor", \.initialFactor),
      ("", "lambda", \.lambda), ("", "interest", \.interest),
      ("minimum", "net_delta", \.netDelta), ("minimum", "hedged_delta", \.hedgedDelta),
      ("minimum", "short_option", \.shortOption),
      ("tilt", "skew", \.tiltSkew), ("tilt", "term", \.tiltTerm),
      ("open_interest", "lower", \.openInterestLower),
      ("open_interest", "upper", \.openInterestUpper),
      ("", "price_scan_ratio", \.spanRange), ("", "vol_scan_range", \.spanVolatility),
      ("", "extreme_multiple", \.extremeMultiple), ("", "extreme_cover", \.extremeCover),
      ("", "short_option_minimum", \.shortOption),
    ]
  }

  /// Those of `fields` that the terms' own method reads.
  public var ownFields:
    [(group: String, name: String, path: any WritableKeyPath<MarginTerms, Ratio> & Sendable)]
  {
    let ofSpan: Set = [
      "price_scan_ratio", "vol_scan_range", "extreme_multiple", "extreme_cover",
      "short_option_minimum",
    ]
    let ofScan: Set = ["vol_shock", "basis", "minimum", "tilt"]
    return MarginTerms.fields.filter { field in
      isSpan
        ? !ofScan.contains(field.group) : !field.group.isEmpty || !ofSpan.contains(field.name)
    }
  }

  /// Whether the method is `span-16`.
  public var isSpan: Bool { methodCode == 3 }

  public static func == (a: MarginTerms, b: MarginTerms) -> Bool {
    a.withBytes { first in b.withBytes { first.elementsEqual($0) } }
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(methodCode)
    for field in MarginTerms.fields { hasher.combine(self[keyPath: field.path]) }
  }
}

extension MarginTerms {
  /// The first rule the terms break, or nil.
  ///
  /// Bounds keep every sum inside its words, and the bound of open orders above the requirement: a
  /// charge is a maximum of linear terms only while the hedged delta costs at most twice the net
  /// one, and execution knows no factor on initial margin.
  public var fault: StaticString? {
    let one = Ratio.scale
    guard MarginTerms.methodNames[methodCode] != nil else { return "margin method" }
    guard reserved0 == 0, reserved1 == 0, reserved2 == 0,
      (0..<59).allSatisfy({ reserved3[$0] == 0 })
    else { return "margin reserved" }
    var unread = self
    for field in ownFields { unread[keyPath: field.path] = .zero }
    guard MarginTerms.fields.allSatisfy({ unread[keyPath: $0.path] == .zero }) else {
      return "what the method does not read"
    }
    if let fault = isSpan ? spanFault : scenarioFault { return fault }
    let shares = [
      lambda, netDelta, hedgedDelta, shortOption, basisAdd, basisMultiple, confidenceThreshold,
      depegThreshold, volatilityDown, interest,
    ]
    let multiples = [
      volatilityUp, volatilityLeastUp, shortPower, longPower, confidenceFactor, depegFactor,
    ]
    guard shares.allSatisfy({ (0...one).contains($0.raw) }),
      multiples.allSatisfy({ (0...10 * one).contains($0.raw) }),
      [tiltSkew, tiltTerm].allSatisfy({ (-one...one).contains($0.raw) }),
      (0...3_650 * one).contains(daysFloor.raw)
    else { return "margin ratio" }
    guard peg <= UInt64(UInt16.max) else { return "peg" }
    guard (1...one).contains(maintenanceFactor.raw), initialFactor.raw == one else {
      return "mm_factor or im_factor"
    }
    guard hedgedDelta.raw <= 2 * netDelta.raw else { return "hedged_delta" }
    for place in 0..<3 {
      guard (0...1_000 * one).contains(slopes[place].from.raw),
        (0...one).contains(slopes[place].rate.raw)
      else { return "concentration" }
    }
    let interest = (from: openInterestLower.raw, to: openInterestUpper.raw)
    guard interest.from >= 0, interest.to <= 1_000 * one,
      interest.from < interest.to || interest == (0, 0)
    else { return "open_interest" }
    guard collaterals[0] == .empty,
      (0..<MarginTerms.collateralCount).allSatisfy({ collaterals[$0].isSound })
    else { return "collateral" }
    return nil
  }

  /// Of the scenarios of `novate-32`.
  private var scenarioFault: StaticString? {
    guard (1...MarginTerms.scenarioCountMax).contains(Int(scenarioCount)) else {
      return "number of scenarios"
    }
    for place in 0..<MarginTerms.scenarioCountMax {
      let isUsed = place < Int(scenarioCount)
      guard isUsed ? scenarios[place].isSound : scenarios[place] == .empty else {
        return "scenario"
      }
    }
    // Quotes are protected by what a contract does in these (Docs/Protocol.md 8.10).
    for place in [10, 13, 24, 25] where scenarios[place] != MarginTerms.novate32.scenarios[place] {
      return "scenarios 10, 13, 24 and 25"
    }
    guard lookahead == 0 else { return "what the method does not read" }
    return nil
  }

  /// Of the ranges of `span-16`: the extreme pair moves a price by no more than scenarios may.
  private var spanFault: StaticString? {
    let one = Int128(Ratio.scale)
    guard scenarioCount == 0,
      (0..<MarginTerms.scenarioCountMax).allSatisfy({ scenarios[$0] == .empty })
    else { return "what the method does not read" }
    guard (1...one).contains(Int128(spanRange.raw)),
      (0...10 * one).contains(Int128(spanVolatility.raw)),
      (0...one).contains(Int128(extremeCover.raw)), extremeMultiple.raw >= 0,
      Int128(extremeMultiple.raw) * Int128(spanRange.raw) <= 5 * one * one
    else { return "scan range" }
    guard (0...MarginTerms.lookaheadMax).contains(lookahead) else { return "lookahead" }
    return nil
  }

  /// A year.
  private static let lookaheadMax: Int64 = 31_536_000_000

  /// Whether any asset but the quote asset counts.
  public var takesCollateral: Bool {
    (0..<MarginTerms.collateralCount).contains { collaterals[$0] != .empty }
  }

  /// The underlying whose index is the worth of the quote asset.
  public var pegUnderlying: UnderlyingID? { peg == 0 ? nil : UnderlyingID(UInt16(peg - 1)) }

  /// Whether its assets and underlyings are among so many.
  public func fits(assets: Int, underlyings: Int) -> Bool {
    guard peg <= UInt64(underlyings) else { return false }
    return (0..<MarginTerms.collateralCount).allSatisfy { place in
      collaterals[place].underlying.map { place < assets && $0.index < underlyings } ?? true
    }
  }
}
