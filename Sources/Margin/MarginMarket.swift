public import Pricing
public import Primitives

/// What a method is told of one underlying.
public struct MarginMarket: Sendable {
  public var spot: Price
  /// The quote asset in units of account, 1 while it holds its peg.
  public var stable = Price(raw: Price.scale)
  /// What the quote asset is worth where all prices are in it, as a machine's are; stands before
  /// `stable` for the charge, and no price is divided by it.
  public var peg: Price?
  public var perpetualPrice: Price
  public var spotConfidence = Ratio(raw: Ratio.scale)
  public var perpetualConfidence = Ratio(raw: Ratio.scale)
  public var expiries: [MarginExpiry] = []
  public var collaterals: [MarginCollateral] = []
  /// Contracts of the perpetual traded a day; nil where nobody says.
  public var perpetualVolume: Quantity?
  /// Contracts of the perpetual that are open, whoever holds them.
  public var perpetualInterest = Quantity.zero

  public init(spot: Price, perpetualPrice: Price? = nil) {
    self.spot = spot
    self.perpetualPrice = perpetualPrice ?? spot
  }
}

/// One expiry of an underlying.
public struct MarginExpiry: Sendable {
  /// Milliseconds to expiry, 0 once expired.
  public var time: Int64
  /// The part of the forward that is already settled: no scenario moves it.
  public var forwardFixed = Price.zero
  public var forwardVariable: Price
  public var rate = Ratio.zero
  /// In 1e-18; nil stands for exp(−max(rate, 0)·τ).
  public var discount: Int128?
  public var forwardConfidence = Ratio(raw: Ratio.scale)
  public var rateConfidence = Ratio(raw: Ratio.scale)
  public var volatilityConfidence = Ratio(raw: Ratio.scale)
  /// Contracts of each of its options traded a day; nil where nobody says.
  public var optionVolume: Quantity?

  public init(time: Int64, forward: Price) {
    self.time = time
    forwardVariable = forward
  }
}

/// One collateral asset.
public struct MarginCollateral: Sendable {
  /// In units of account.
  public var price: Price
  public var confidence = Ratio(raw: Ratio.scale)
  public var maintenanceHaircut = Ratio.zero
  /// On top of maintenance.
  public var initialHaircutAdd = Ratio.zero
  /// Moves with its market's underlying in every scenario.
  public var isRiskCancelling = false

  public init(price: Price) { self.price = price }
}

/// What an account holds in one underlying, beside its market.
public struct MarginBook: Sendable {
  public var perpetual = Quantity.zero
  /// Contracts of the perpetual in other accounts of the owner, long and short together.
  public var perpetualBeside = Quantity.zero
  /// PnL and funding of perpetual and futures that cash does not hold yet.
  public var unrealised = Worth.zero
  public var futures: [FutureLeg] = []
  /// A quantity for each collateral of the market, in its order.
  public var collaterals: [Quantity] = []
  public var options: [OptionLeg] = []
  static let optionCountMax = 4_096

  public init() {}
}

/// A number of dated futures of one expiry.
public struct FutureLeg: Sendable, Hashable {
  /// Place in the market's expiries.
  public var expiry: Int
  public var quantity: Quantity
  /// Of its contract: traded a day; open, whoever holds them; in other accounts of the owner, long and
  /// short together.
  public var volume = Quantity.zero
  public var interest = Quantity.zero
  public var beside = Quantity.zero

  public init(expiry: Int, quantity: Quantity) {
    self.expiry = expiry
    self.quantity = quantity
  }
}

/// A number of options of one contract.
public struct OptionLeg: Sendable, Hashable {
  /// Place in the market's expiries.
  public var expiry: Int
  public var type: OptionType
  public var strike: Price
  /// Mark volatility.
  public var volatility: Ratio
  public var quantity: Quantity
  /// Of its contract: traded a day, where that differs from its expiry's; open, whoever holds them; owed
  /// by other accounts of the owner.
  public var volume: Quantity?
  public var interest = Quantity.zero
  public var beside = Quantity.zero

  public init(
    expiry: Int, type: OptionType, strike: Price, volatility: Ratio, quantity: Quantity
  ) {
    self.expiry = expiry
    self.type = type
    self.strike = strike
    self.volatility = volatility
    self.quantity = quantity
  }

  fileprivate func precedes(_ other: OptionLeg) -> Bool {
    if expiry != other.expiry { return expiry < other.expiry }
    if strike != other.strike { return strike < other.strike }
    if type != other.type { return type.rawValue < other.type.rawValue }
    return volatility < other.volatility
  }

  fileprivate func isAsWeighty(as other: OptionLeg) -> Bool {
    volume == other.volume && interest == other.interest && beside == other.beside
  }

  func isSameContract(as other: OptionLeg) -> Bool {
    expiry == other.expiry && strike == other.strike && type == other.type
  }
}

/// An account as a method sees it: cash, and a book for every market, in the markets' order.
public struct MarginAccount: Sendable {
  public var cash = Worth.zero
  /// In cross mode: nothing nets, each contract is asked for alone. Of `novate-32` and `span-16`.
  public var isApart = false
  public var books: [MarginBook]

  public init(books: [MarginBook]) { self.books = books }
}

// MARK: - Made ready

extension MarginBook {
  /// A book for each contract, and for each collateral.
  ///
  /// - Precondition: the book is canonical.
  func apart() -> [MarginBook] {
    var empty = MarginBook()
    empty.collaterals = collaterals.map { _ in .zero }
    var books: [MarginBook] = []
    if perpetual.raw != 0 {
      books.append(empty)
      books[0].perpetual = perpetual
      books[0].perpetualBeside = perpetualBeside
    }
    for leg in futures {
      books.append(empty)
      books[books.count - 1].futures = [leg]
    }
    for (place, leg) in options.enumerated() {
      if place == 0 || !leg.isSameContract(as: options[place - 1]) { books.append(empty) }
      books[books.count - 1].options.append(leg)
    }
    for place in collaterals.indices where collaterals[place].raw != 0 {
      books.append(empty)
      books[books.count - 1].collaterals[place] = collaterals[place]
    }
    return books
  }

  /// The same book with its options in one order, legs of one contract netted, and none of nothing.
  /// - Throws: `.overflow` where quantities of a contract pass Int64.
  func canonical() throws(MarginFailure) -> MarginBook {
    var result = self
    result.options = []
    for leg in options.sorted(by: { $0.precedes($1) }) {
      guard let last = result.options.last, last.isSameContract(as: leg),
        last.volatility == leg.volatility, last.isAsWeighty(as: leg)
      else {
        result.options.append(leg)
        continue
      }
      let (sum, overflow) = last.quantity.raw.addingReportingOverflow(leg.quantity.raw)
      if overflow { throw .overflow("a quantity") }
      result.options[result.options.count - 1].quantity = Quantity(raw: sum)
    }
    result.options.removeAll { $0.quantity.raw == 0 }
    result.futures = []
    // Of one expiry the first that says so says what its size costs.
    for leg in futures {
      guard let place = result.futures.firstIndex(where: { $0.expiry == leg.expiry }) else {
        result.futures.append(leg)
        continue
      }
      let (sum, overflow) = result.futures[place].quantity.raw
        .addingReportingOverflow(leg.quantity.raw)
      if overflow { throw .overflow("a quantity") }
      if result.futures[place].volume.raw == 0 {
        result.futures[place].volume = leg.volume
        result.futures[place].interest = leg.interest
        result.futures[place].beside = leg.beside
      }
      result.futures[place].quantity = Quantity(raw: sum)
    }
    result.futures.removeAll { $0.quantity.raw == 0 }
    result.futures.sort { $0.expiry < $1.expiry }
    return result
  }

  /// Refuses what no formula is made for.
  func check(_ market: MarginMarket) throws(MarginFailure) {
    try market.check()
    guard collaterals.count == market.collaterals.count else { throw .outsideDomain(.market) }
    for quantity in collaterals where quantity.isNegative {
      throw .outsideDomain(.collateralQuantity)
    }
    guard !perpetualBeside.isNegative else { throw .outsideDomain(.volume) }
    guard options.count <= MarginBook.optionCountMax else {
      throw .unsupported("a book takes at most 4096 options")
    }
    for leg in futures {
      guard market.expiries.indices.contains(leg.expiry) else { throw .outsideDomain(.time) }
      guard !leg.interest.isNegative, !leg.beside.isNegative,
        (0...Quantity.dailyMax.raw).contains(leg.volume.raw)
      else { throw .outsideDomain(.volume) }
    }
    for leg in options {
      guard market.expiries.indices.contains(leg.expiry) else { throw .outsideDomain(.time) }
      guard leg.strike.raw >= 0 else { throw .outsideDomain(.strike) }
      guard !leg.interest.isNegative, !leg.beside.isNegative,
        (0...Quantity.dailyMax.raw).contains(leg.volume?.raw ?? 0)
      else { throw .outsideDomain(.volume) }
      guard leg.volatility.raw >= 0, leg.volatility.raw <= 1_000_000_000_000_000 else {
        throw .outsideDomain(.vol)
      }
    }
  }
}

extension MarginMarket {
  /// Spot and peg above zero, nothing else below it, times within ten years, confidences and haircuts
  /// within 0 and 1.
  func check() throws(MarginFailure) {
    guard spot.raw > 0 else { throw .outsideDomain(.spot) }
    guard stable.raw > 0, peg?.isNegative != true else { throw .outsideDomain(.stable) }
    guard perpetualPrice.raw >= 0 else { throw .outsideDomain(.perpetualPrice) }
    let volumes = [perpetualVolume] + expiries.map(\.optionVolume)
    guard !perpetualInterest.isNegative,
      volumes.allSatisfy({ (0...Quantity.dailyMax.raw).contains($0?.raw ?? 0) })
    else { throw .outsideDomain(.volume) }
    var confidences = [spotConfidence, perpetualConfidence]
    for expiry in expiries {
      guard expiry.time >= 0, expiry.time <= 10 * Timestamp.millisecondsPerYear else {
        throw .outsideDomain(.time)
      }
      guard expiry.forwardFixed.raw >= 0, expiry.forwardVariable.raw >= 0,
        !expiry.forwardFixed.raw.addingReportingOverflow(expiry.forwardVariable.raw).overflow
      else { throw .outsideDomain(.forward) }
      guard expiry.rate.raw.magnitude <= 100_000_000_000 else { throw .outsideDomain(.rate) }
      if let discount = expiry.discount {
        guard discount > 0, discount <= 2 * FineFactor.scale else {
          throw .outsideDomain(.discount)
        }
      }
      confidences += [
        expiry.forwardConfidence, expiry.rateConfidence, expiry.volatilityConfidence,
      ]
    }
    for collateral in collaterals {
      guard collateral.price.raw >= 0 else { throw .outsideDomain(.collateralPrice) }
      confidences.append(collateral.confidence)
      for haircut in [collateral.maintenanceHaircut, collateral.initialHaircutAdd] {
        guard haircut.raw >= 0, haircut.raw <= Ratio.scale else { throw .outsideDomain(.haircut) }
      }
    }
    for confidence in confidences {
      guard confidence.raw >= 0, confidence.raw <= Ratio.scale else {
        throw .outsideDomain(.confidence)
      }
    }
  }

  /// A collateral's value: quantity × price / stable, rounded down.
  func value(_ place: Int, _ quantity: Quantity) throws(MarginFailure) -> Worth {
    try Worth(collaterals[place].price, quantity)
      .scaled(by: Int128(Price.scale), over: Int128(stable.raw), .down)
  }

  /// The market with its underlying, all that moves with it, multiplied by `factor`; to nearest.
  func moved(by factor: Ratio) -> MarginMarket {
    func moved(_ price: Price) -> Price {
      Price(
        raw: Int64(
          clamping: (Int128(price.raw) * Int128(factor.raw))
            .divided(by: Int128(Ratio.scale), rounding: .nearestEven)))
    }
    var result = self
    result.spot = max(Price(raw: 1), moved(spot))
    result.perpetualPrice = moved(perpetualPrice)
    for place in expiries.indices {
      result.expiries[place].forwardVariable = moved(expiries[place].forwardVariable)
    }
    for place in collaterals.indices where collaterals[place].isRiskCancelling {
      result.collaterals[place].price = moved(collaterals[place].price)
    }
    return result
  }
}

extension MarginExpiry {
  var forward: Price { Price(raw: forwardFixed.raw &+ forwardVariable.raw) }

  /// D: given, or exp(−max(rate, 0)·τ).
  var fineDiscount: Real {
    if let discount { return Real(discount, digits: 18) }
    return (-(Real(max(rate, .zero)) * Real(milliseconds: time))).exponential
  }
}

extension MarginParameters {
  /// Refuses what no formula is made for.
  func check() throws(MarginFailure) {
    guard scenarios.count <= MarginParameters.scenarioCountMax else {
      throw .outsideDomain(.scenarios)
    }
    for scenario in scenarios {
      guard scenario.spot.raw >= 0 else { throw .outsideDomain(.scenarios) }
      guard scenario.dampening.raw >= 0 else { throw .outsideDomain(.dampening) }
    }
    guard lambda.raw >= 0, lambda.raw <= Ratio.scale else { throw .outsideDomain(.lambda) }
    for power in [volatilityShock.shortPower, volatilityShock.longPower] {
      guard power.raw >= 0, power.raw <= 10 * Ratio.scale else { throw .outsideDomain(.powers) }
    }
    // Else the delta minimum is no maximum of linear terms.
    let minimums = [minimum.netDelta, minimum.hedgedDelta, minimum.shortOption]
    guard
      method != .novate32
        || minimum.hedgedDelta.raw <= 2 * Int128(minimum.netDelta.raw)
          && confidence.factor.raw <= 1_000 * Ratio.scale
          && minimums.allSatisfy({ (0...10 * Ratio.scale).contains($0.raw) })
    else {
      throw .unsupported(
        "novate-32 takes minimums up to 10, hedged_delta of twice net_delta, a confidence factor of 1000"
      )
    }
    guard concentration.slopes.count <= 3 else {
      throw .unsupported("concentration takes at most three slopes")
    }
    let slopes = concentration.slopes
    let scale = openInterest
    guard slopes.allSatisfy({ $0.from.raw >= 0 && (0...Ratio.scale).contains($0.rate.raw) }),
      scale.lower.raw >= 0, scale.lower.raw < scale.upper.raw || scale == OpenInterestScale(),
      (slopes.map(\.from) + [scale.upper]).allSatisfy({ $0.raw <= 1_000 * Ratio.scale })
    else {
      throw .unsupported(
        "sizes are measured by up to 1000 daily volumes, rates up to 1, lower below upper")
    }
    if let price = span.price, price.isNegative { throw .outsideDomain(.scanRange) }
    guard span.lookahead >= 0 else { throw .outsideDomain(.lookahead) }
  }
}
