import Primitives
import Wire

/// One seed of a path: both methods, with and without impact.
struct CascadeSeed: Sendable {
  let seed: UInt64
  /// Without impact and with it.
  let market: (still: StormOutcome, moved: StormOutcome)
  let auction: (still: StormOutcome, moved: StormOutcome)

  init(_ path: StormPath, seed: UInt64, _ parameters: StormParameters) throws {
    func play(_ method: StormMethod, _ hasImpact: Bool) throws -> StormOutcome {
      try StormRun(
        path: path, seed: seed, method: method, hasImpact: hasImpact, parameters: parameters
      ).played()
    }
    self.seed = seed
    market = (try play(.market, false), try play(.market, true))
    auction = (try play(.auction, false), try play(.auction, true))
  }

  var all: [StormOutcome] { [market.still, market.moved, auction.still, auction.moved] }

  /// Millionths: forced volume over what the outside move alone forces of market orders, the same
  /// yardstick for both. Nil where that forces nothing.
  var multipliers: (market: Int64, auction: Int64)? {
    guard market.still.forced > 0 else { return nil }
    return (
      CascadeSeed.ratio(market.moved.forced, market.still.forced),
      CascadeSeed.ratio(auction.moved.forced, market.still.forced)
    )
  }

  /// Auctions over what the outside move alone forces of auctions.
  var ownMultiplier: Int64? {
    auction.still.forced > 0
      ? CascadeSeed.ratio(auction.moved.forced, auction.still.forced) : nil
  }

  /// Auctions over market orders.
  var ratio: Int64? { multipliers.map { CascadeSeed.ratio($0.auction, max(1, $0.market)) } }

  private static func ratio(_ a: Int64, _ b: Int64) -> Int64 {
    Int64(clamping: Int128(a) * Int128(Share.whole) / Int128(b))
  }
}

/// What the seeds of a path say together.
struct CascadeReport {
  let path: StormPath
  var seeds: [CascadeSeed] = []

  private func median(_ values: [Int64]) -> Int64 {
    values.isEmpty ? 0 : values.sorted()[values.count / 2]
  }

  var medians: (market: Int64, auction: Int64) {
    let multipliers = seeds.compactMap(\.multipliers)
    return (median(multipliers.map(\.market)), median(multipliers.map(\.auction)))
  }
  var ownMedian: Int64 { median(seeds.compactMap(\.ownMultiplier)) }
  var worstRatio: Int64 { seeds.compactMap(\.ratio).max() ?? 0 }
  var isConserved: Bool { seeds.allSatisfy { $0.all.allSatisfy { $0.imbalance == 0 } } }
  /// Whether the outside move alone forces anybody: else there is no multiplier to compare.
  var isJudged: Bool { seeds.contains { $0.multipliers != nil } }
  /// The acceptance of quant.md 5.2.
  var holds: Bool {
    isConserved
      && (!isJudged || medians.auction < medians.market && worstRatio <= 1_050_000)
  }

  // MARK: - Text

  static let head =
    "seed  forced x market  x auction  own  ratio   farthest m / a     fund use m / a     debt m / a"

  static func text(of seed: CascadeSeed) -> String {
    func multiple(_ value: Int64?) -> String {
      value.map { DecimalText.format($0 / 1_000, digits: 3, minimumFraction: 3) } ?? "-"
    }
    func percent(_ outcome: StormOutcome) -> String {
      Share.text(outcome.farthest)
    }
    let (market, auction) = (seed.market.moved, seed.auction.moved)
    return "\(seed.seed)  \(multiple(seed.multipliers?.market))  "
      + "\(multiple(seed.multipliers?.auction))  \(multiple(seed.ownMultiplier))  "
      + "\(multiple(seed.ratio))  \(percent(market)) / \(percent(auction))  "
      + "\(Figures.money(market.fundUse)) / \(Figures.money(auction.fundUse))  "
      + "\(Figures.money(market.badDebt)) / \(Figures.money(auction.badDebt))"
  }

  private func decimal(_ millionths: Int64) -> String {
    DecimalText.format(millionths / 1_000, digits: 3, minimumFraction: 3)
  }

  private func sums(_ outcomes: [StormOutcome]) -> String {
    let open = outcomes.reduce(Int128(0)) { $0 + Int128($1.open) }
    let use = outcomes.reduce(Int128(0)) { $0 + Int128($1.fundUse) }
    let debt = outcomes.reduce(Int128(0)) { $0 + Int128($1.badDebt) }
    // Of what was open, to the thousandth of a per cent.
    func share(_ value: Int128) -> String {
      let parts = Int64(value * 100_000 / max(1, open))
      return DecimalText.format(parts, digits: 3, minimumFraction: 3)
    }
    return "fund use \(share(use)) % and bad debt \(share(debt)) % of what was open; "
      + "\(outcomes.reduce(0) { $0 + $1.restricted }) restricted, "
      + "\(outcomes.reduce(0) { $0 + $1.needless }) needlessly"
  }

  var text: String {
    let market = seeds.map(\.market.moved)
    let auction = seeds.map(\.auction.moved)
    let value = auction.reduce(Int128(0)) { $0 + Int128($1.soldValue) }
    let paid = auction.reduce(Int128(0)) { $0 + Int128($1.soldPrice) }
    let forced = auction.reduce(Int128(0)) { $0 + Int128($1.forced) }
    let ofBots = auction.reduce(Int128(0)) { $0 + Int128($1.ofBots) }
    let discount = value > 0 ? Int64((value - paid) * Int128(Share.whole) / value) : 0
    return """
      path         \(path.name), \(path.points.count) steps
      multiplier   median of \(seeds.compactMap(\.multipliers).count): market \
      \(decimal(medians.market)), auctions \(decimal(medians.auction)) (over their own \
      \(decimal(ownMedian))); worst seed \(decimal(worstRatio)) of market's
      market       \(sums(market)); \(market.reduce(0) { $0 + $1.closes }) closes
      auctions     \(sums(auction)); \(auction.reduce(0) { $0 + $1.auctions }) auctions, \
      \(auction.reduce(0) { $0 + $1.bidsFilled }) bids filled, discount \(Share.text(discount)) of value, \
      \(forced > 0 ? ofBots * 100 / forced : 0) % of what was forced was bidders' own
      conserved    \(isConserved ? "to the unit after every batch" : "NO")
      acceptance   \(!holds ? "FAILS" : isJudged ? "holds" : "holds; the outside move forces nobody")
      """
  }

  // MARK: - JSON

  static func json(_ outcome: StormOutcome) -> JSONValue {
    func money(_ raw: Int64) -> JSONValue { .string(Money(raw: raw).decimal) }
    return .object([
      ("forced", .string(Quantity(raw: outcome.forced).decimal)),
      ("closed", .string(Quantity(raw: outcome.closed).decimal)),
      ("transferred", .string(Quantity(raw: outcome.transferred).decimal)),
      ("deleveraged", .string(Quantity(raw: outcome.deleveraged).decimal)),
      ("of_bidders", .string(Quantity(raw: outcome.ofBots).decimal)),
      ("restricted", .integer(outcome.restricted)), ("needless", .integer(outcome.needless)),
      ("closes", .integer(outcome.closes)), ("auctions", .integer(outcome.auctions)),
      ("bids_filled", .integer(outcome.bidsFilled)),
      ("sold_value", money(outcome.soldValue)), ("sold_price", money(outcome.soldPrice)),
      ("fund_use", money(outcome.fundUse)), ("bad_debt", money(outcome.badDebt)),
      ("open", money(outcome.open)), ("imbalance", .string("\(outcome.imbalance)")),
      ("lowest", .string(Price(raw: outcome.lowest).decimal)),
      ("highest", .string(Price(raw: outcome.highest).decimal)),
      ("makers_withdrawn", .integer(outcome.makersLeft)), ("batches", .integer(outcome.batches)),
      ("execution_root", .string("\(outcome.executionRoot)")),
      ("clearing_root", .string("\(outcome.clearingRoot)")),
    ])
  }

  var json: JSONValue {
    func millionths(_ value: Int64) -> JSONValue {
      .number(DecimalText.format(value, digits: 6))
    }
    return .object([
      ("schema", "novate.bench.cascade/1"), ("version", .string(Version.text)),
      ("path", .string(path.name)), ("steps", .integer(path.points.count)),
      ("median_market", millionths(medians.market)),
      ("median_auction", millionths(medians.auction)),
      ("median_auction_own", millionths(ownMedian)), ("worst_ratio", millionths(worstRatio)),
      ("holds", .bool(holds)),
      (
        "seeds",
        .array(
          seeds.map { seed in
            .object([
              ("seed", .string("\(seed.seed)")),
              ("market_still", CascadeReport.json(seed.market.still)),
              ("market", CascadeReport.json(seed.market.moved)),
              ("auction_still", CascadeReport.json(seed.auction.still)),
              ("auction", CascadeReport.json(seed.auction.moved)),
            ])
          })
      ),
    ])
  }
}

/// Single steps of one size: what all seeds fell short of, by method, with impact off and on.
struct StepRow {
  let move: Int64
  /// In money: what the fund paid, and what stayed owed.
  var market = (fund: Int64(0), debt: Int64(0))
  var auction = (fund: Int64(0), debt: Int64(0))
  var movedMarket = (fund: Int64(0), debt: Int64(0))
  var movedAuction = (fund: Int64(0), debt: Int64(0))
  var open: Int64 = 0
  var restricted = 0
  var isConserved = true

  /// 0.8 of the scan range: where nobody may fall short.
  static let bound: Int64 = 128_000
  static let moves: [Int64] =
    [2, 4, 6, 8, 10, 12].flatMap { [-$0 * 10_000, $0 * 10_000] }
    + [-bound, bound, -160_000, 160_000, -200_000, 200_000, -250_000, 250_000, -300_000, 300_000]

  init(_ move: Int64, seeds: Range<UInt64>, _ parameters: StormParameters) throws {
    self.move = move
    let path = StormPath(step: move, parameters)
    for seed in seeds {
      for method in StormMethod.allCases {
        for hasImpact in [false, true] {
          let outcome = try StormRun(
            path: path, seed: seed, method: method, hasImpact: hasImpact, parameters: parameters
          ).played()
          add(outcome, method, hasImpact)
        }
      }
    }
  }

  private mutating func add(_ outcome: StormOutcome, _ method: StormMethod, _ hasImpact: Bool) {
    func add(_ pair: inout (fund: Int64, debt: Int64)) {
      pair.fund += outcome.fundUse
      pair.debt += outcome.badDebt
    }
    switch (method, hasImpact) {
    case (.market, false): add(&market)
    case (.market, true): add(&movedMarket)
    case (.auction, false): add(&auction)
    case (.auction, true): add(&movedAuction)
    }
    if method == .market, !hasImpact {
      open += outcome.open
      restricted += outcome.restricted
    }
    isConserved = isConserved && outcome.imbalance == 0
  }

  var isWithin: Bool { move.magnitude <= StepRow.bound.magnitude }
  /// Nothing is lacking within 0.8 of the scan range; where impact adds to the step, auctions leave
  /// nothing owed that the fund did not pay.
  var holds: Bool {
    guard isWithin else { return isConserved }
    let isWhole = [market, auction].allSatisfy { $0.fund <= 0 && $0.debt == 0 }
    return isConserved && isWhole && movedAuction.debt == 0
  }
}

extension StepRow {
  static let head =
    "step      restricted  market: fund, debt  auctions: fund, debt  with impact: market, auctions"

  var text: String {
    func pair(_ value: (fund: Int64, debt: Int64)) -> String {
      "\(Figures.money(value.fund)), \(Figures.money(value.debt))"
    }
    return "\(Share.text(move))  \(restricted)  \(pair(market))  \(pair(auction))  "
      + "\(pair(movedMarket)); \(pair(movedAuction))\(holds ? "" : "  FAILS")"
  }

  static func json(_ rows: [StepRow]) -> JSONValue {
    func pair(_ value: (fund: Int64, debt: Int64)) -> JSONValue {
      .object([
        ("fund_use", .string(Money(raw: value.fund).decimal)),
        ("bad_debt", .string(Money(raw: value.debt).decimal)),
      ])
    }
    return .object([
      ("schema", "novate.bench.cascade.steps/1"), ("version", .string(Version.text)),
      ("holds", .bool(rows.allSatisfy(\.holds))),
      (
        "steps",
        .array(
          rows.map { row in
            .object([
              ("move", .number(DecimalText.format(row.move, digits: 6))),
              ("restricted", .integer(row.restricted)),
              ("open", .string(Money(raw: row.open).decimal)),
              ("market", pair(row.market)), ("auction", pair(row.auction)),
              ("market_with_impact", pair(row.movedMarket)),
              ("auction_with_impact", pair(row.movedAuction)),
            ])
          })
      ),
    ])
  }
}
