import Primitives

/// The margin of one account by one method: a pure function of account, markets and parameters.
///
/// The same on every machine and for everyone who asks: integers alone, every rounding against the user.
/// Requirements round up and net margins down to the unit of `Worth`; nothing else is rounded but a
/// contract's value (1e-12, in methods that machines run the 1e-8 of the production units) and charges
/// (up).
public struct MarginEngine: Sendable {
  public let parameters: MarginParameters
  public let markets: [MarginMarket]

  /// - Throws: `.outsideDomain`, `.unsupported` for parameters or markets no formula is made for.
  public init(_ parameters: MarginParameters, markets: [MarginMarket]) throws(MarginFailure) {
    try parameters.check()
    for market in markets { try market.check() }
    guard markets.count <= 256 else { throw .outsideDomain(.market) }
    self.parameters = parameters
    self.markets = markets
  }

  /// All but Greeks and liquidation prices.
  /// - Throws: `.outsideDomain` for legs outside the domain, `.overflow`.
  public func assess(_ account: MarginAccount) throws(MarginFailure) -> MarginReport {
    try assess(try ready(account), markets)
  }

  /// Canonical books that fit their markets.
  func ready(_ account: MarginAccount) throws(MarginFailure) -> MarginAccount {
    guard account.books.count == markets.count else { throw .outsideDomain(.market) }
    var result = account
    for place in markets.indices {
      result.books[place] = try account.books[place].canonical()
      try result.books[place].check(markets[place])
    }
    return result
  }

  func assess(_ account: MarginAccount, _ markets: [MarginMarket]) throws(MarginFailure)
    -> MarginReport
  {
    let isRun = parameters.method == .novate32 || parameters.method == .span16
    guard !account.isApart || isRun else {
      throw .unsupported("cross mode is one of novate-32 and span-16")
    }
    guard isRun || account.books.allSatisfy({ $0.futures.isEmpty }) else {
      throw .unsupported("dated futures are of novate-32 and span-16")
    }
    switch parameters.method {
    case .cross: return try cross(account, markets)
    case .derivePMRM2:
      let method = PMRM2(parameters: parameters)
      let risks = try all(account, markets, method.risk)
      return try scenarioReport(account, markets, risks)
    case .novate32, .span16:
      let method = try Novate32(parameters)
      guard account.isApart else {
        let risks = try all(account, markets, method.risk)
        return try novate(account, markets, risks, lambda: parameters.lambda)
      }
      var risks: [BookRisk] = []
      for (book, market) in zip(account.books, markets) {
        for single in book.apart() { risks.append(try method.risk(single, market)) }
      }
      return try novate(account, markets, risks, lambda: .zero)
    }
  }

  private func all(
    _ account: MarginAccount, _ markets: [MarginMarket],
    _ risk: (MarginBook, MarginMarket) throws(MarginFailure) -> BookRisk
  ) throws(MarginFailure) -> [BookRisk] {
    var result: [BookRisk] = []
    for (book, market) in zip(account.books, markets) { result.append(try risk(book, market)) }
    return result
  }

  // MARK: - Marks

  /// Cash, unrealised, options, collateral: what an account is worth.
  private func marks(_ account: MarginAccount, _ options: [Worth], _ collaterals: [Worth])
    throws(MarginFailure) -> MarginReport
  {
    var report = MarginReport()
    report.markToMarket = account.cash
    for book in account.books {
      report.markToMarket = try report.markToMarket + book.unrealised
    }
    for mark in options {
      report.optionMarkToMarket = try report.optionMarkToMarket + mark
    }
    for mark in collaterals {
      report.collateralMarkToMarket = try report.collateralMarkToMarket + mark
    }
    report.markToMarket =
      try report.markToMarket + report.optionMarkToMarket
      + report.collateralMarkToMarket
    return report
  }

  private func marks(_ account: MarginAccount, _ risks: [BookRisk]) throws(MarginFailure)
    -> MarginReport
  {
    var report = try marks(account, risks.map(\.optionMark), risks.map(\.collateralMark))
    report.scenarios = risks.first?.scenarios ?? []
    for risk in risks.dropFirst() {
      for place in report.scenarios.indices {
        report.scenarios[place] = try report.scenarios[place] + risk.scenarios[place]
      }
    }
    for risk in risks {
      report.basisContingency = try report.basisContingency + risk.basis
      report.confidenceContingency = try report.confidenceContingency + risk.confidence
      report.staticContingencyMaintenance =
        try report.staticContingencyMaintenance + risk.staticMaintenance
      report.staticContingencyInitial = try report.staticContingencyInitial + risk.staticInitial
    }
    return report
  }

  private func finish(
    _ report: inout MarginReport, maintenance: Worth, initial: Worth
  ) throws(MarginFailure) {
    report.maintenanceRequirement = maintenance
    report.initialRequirement = initial
    report.maintenanceMargin = try report.markToMarket - maintenance
    report.initialMargin = try report.markToMarket - initial
  }

  /// λ·joint + (1 − λ)·apart, rounded up; both are losses, not below zero.
  private func mixed(joint: Worth, apart: Worth) throws(MarginFailure) -> Worth {
    // λ = 0 and 1 are exact.
    let rest = Ratio(raw: Ratio.scale - parameters.lambda.raw)
    return try joint.times(parameters.lambda, .up) + apart.times(rest, .up)
  }

  // MARK: - Methods

  /// `derive-pmrm2`: factors on the worst, contingencies beside it.
  private func scenarioReport(
    _ account: MarginAccount, _ markets: [MarginMarket], _ risks: [BookRisk]
  ) throws(MarginFailure) -> MarginReport {
    var report = try marks(account, risks)
    report.rank(parameters.scenarios.map(\.kind), basis: report.basisContingency)
    var (maintenance, initial) = (Worth.zero, Worth.zero)
    var factorMax = parameters.initialFactor
    for (risk, market) in zip(risks, markets) {
      let factor = try initialFactor(market)
      factorMax = max(factorMax, factor)
      let loss = -risk.worst
      maintenance = try maintenance + loss.times(parameters.maintenanceFactor, .up)
      initial = try initial + loss.times(factor, .up)
    }
    if parameters.lambda.raw > 0 {
      let together = min(report.scenarios.min() ?? .zero, report.basisContingency, .zero)
      let joint = -together
      maintenance = try mixed(
        joint: joint.times(parameters.maintenanceFactor, .up), apart: maintenance)
      initial = try mixed(joint: joint.times(factorMax, .up), apart: initial)
    }
    maintenance = try maintenance - report.staticContingencyMaintenance
    initial =
      try initial - report.staticContingencyMaintenance - report.staticContingencyInitial
      - report.confidenceContingency
    try finish(&report, maintenance: maintenance, initial: initial)
    return report
  }

  /// The factor on the worst, more where the quote asset has left its peg.
  private func initialFactor(_ market: MarginMarket) throws(MarginFailure) -> Ratio {
    guard let gap = parameters.depeg.gap(market) else { return parameters.initialFactor }
    let more = (Int128(gap.raw) * Int128(parameters.depeg.factor.raw))
      .divided(by: Int128(Ratio.scale), rounding: .up)
    guard let raw = Int64(exactly: Int128(parameters.initialFactor.raw) + more) else {
      throw .overflow("the initial factor")
    }
    return Ratio(raw: raw)
  }

  /// `novate-32` and `span-16`: initial = max(scan, delta minimum, short minimum) + basis, mixed across
  /// underlyings; maintenance a share of it; entry charges, those for size among them, on initial alone.
  private func novate(
    _ account: MarginAccount, _ markets: [MarginMarket], _ risks: [BookRisk], lambda: Ratio
  ) throws(MarginFailure) -> MarginReport {
    var report = try marks(account, risks)
    let isSpan = parameters.method == .span16
    report.rank(isSpan ? [] : parameters.scenarios.map(\.kind), basis: nil)
    var (apart, scanApart) = (Worth.zero, Worth.zero)
    var (owner, crowd) = (Worth.zero, Worth.zero)
    var (delta, short) = (Worth.zero, Worth.zero)
    for risk in risks {
      let scan = max(-(risk.scenarios.min() ?? .zero), .zero)
      var asked = max(scan, risk.least)
      if account.isApart {
        // Asked for by itself, and no more than it is worth where it owes nothing.
        asked = try asked - risk.basis
        if let cap = risk.cap { asked = min(asked, cap) }
      }
      apart = try apart + asked
      scanApart = try scanApart + scan
      delta = try delta + risk.deltaMinimum
      short = try short + risk.shortMinimum
      owner = try owner + risk.concentration
      crowd = try crowd + risk.crowding
    }
    let scanJoint = max(-(report.scenarios.min() ?? .zero), .zero)
    var core = try together(joint: max(scanJoint, delta, short), apart: apart, lambda)
    if !account.isApart {
      core = try core - report.basisContingency
      if let cap = try capOfOwedNothing(risks) { core = min(core, cap) }
    }
    let initialCore = try core.times(parameters.initialFactor, .up)
    let maintenance =
      try (isSpan ? core : initialCore).times(parameters.maintenanceFactor, .up)
      - report.staticContingencyMaintenance

    // The charge for a lost peg is one of entry too.
    for market in markets {
      let share = parameters.depeg.share(worth: market.peg ?? market.stable)
      guard share != .zero else { continue }
      report.confidenceContingency =
        try report.confidenceContingency - initialCore.times(share, .up)
      break
    }
    let initial =
      try initialCore - report.staticContingencyMaintenance
      - report.staticContingencyInitial - report.confidenceContingency + owner + crowd
    let scan = try together(joint: scanJoint, apart: scanApart, lambda)
    let value = report.optionMarkToMarket
    report.parts =
      isSpan
      ? [
        .init(name: "scan_risk", value: scan), .init(name: "short_option_minimum", value: short),
        .init(name: "net_option_value", value: value),
        .init(name: "total", value: try initial - value),
      ]
      : [
        .init(name: "scan", value: scan), .init(name: "delta_minimum", value: delta),
        .init(name: "short_option_minimum", value: short),
      ]
    report.parts += [
      .init(name: "concentration", value: owner), .init(name: "open_interest", value: crowd),
    ]
    if isSpan, let first = markets.first {
      report.spanScenarios = Span16.scenarios(parameters.span, spot: first.spot)
    }
    try finish(&report, maintenance: maintenance, initial: initial)
    return report
  }

  /// The mix of `novate-32`, in the units clearing mixes in.
  private func together(joint: Worth, apart: Worth, _ lambda: Ratio) throws(MarginFailure)
    -> Worth
  {
    func notional(_ worth: Worth) -> Int128 {
      worth.raw.divided(by: Worth.perNotional, rounding: .up)
    }
    let sum = MarginSheet.mixed(
      joint: notional(joint), apart: notional(apart), lambda: lambda)
    return try Worth(Notional(raw: sum))
  }

  /// Nobody who owes nothing can lose more than he holds.
  private func capOfOwedNothing(_ risks: [BookRisk]) throws(MarginFailure) -> Worth? {
    var sum = Worth.zero
    for risk in risks {
      guard let cap = risk.cap else { return nil }
      sum = try sum + cap
    }
    return sum
  }

  private func cross(_ account: MarginAccount, _ markets: [MarginMarket]) throws(MarginFailure)
    -> MarginReport
  {
    let method = CrossMargin(parameters: parameters)
    var nets: [CrossMargin.Net] = []
    for (book, market) in zip(account.books, markets) {
      nets.append(try method.net(book, market))
    }
    var report = try marks(account, nets.map(\.optionMark), nets.map(\.collateralMark))
    // Options count what their shorts need and their longs nothing: the mark is given back first.
    var (maintenance, initial) = (report.optionMarkToMarket, report.optionMarkToMarket)
    for net in nets {
      maintenance = try maintenance - net.optionMaintenance - net.staticMaintenance
      initial = try initial - net.optionInitial - net.staticInitial - net.doubt
      report.confidenceContingency = try report.confidenceContingency + net.doubt
      report.staticContingencyMaintenance =
        try report.staticContingencyMaintenance + net.staticMaintenance
      report.staticContingencyInitial =
        try report.staticContingencyInitial
        + net.staticInitial - net.staticMaintenance
    }
    try finish(&report, maintenance: maintenance, initial: initial)
    return report
  }
}
