import Primitives
import Testing

@testable import Risk

/// The rule said slowly: every lot tried, every level that can matter tried.
enum SlowTwin {
  static func ratioIsAtMost(_ level: Int64, _ path: DeleveragingPath, _ x: Int64, _ factor: Ratio)
    -> Bool
  {
    path.requirement(x) * Int128(factor.raw) <= path.equity(x) * Int128(level)
  }

  static func least(_ level: Int64, _ path: DeleveragingPath, _ factor: Ratio) -> Int64 {
    if level < 0 { return path.lots }
    if level > WaterFilling.levelMax { return 0 }
    return (0...path.lots).first { ratioIsAtMost(level, path, $0, factor) } ?? path.lots
  }

  /// Lots of each account.
  static func shares(_ paths: [DeleveragingPath], _ lots: Int64, _ factor: Ratio) -> [Int64] {
    // x(L) changes only at ⌈maintenance ÷ equity⌉ of some account and lot.
    var levels: Set<Int64> = [-1, WaterFilling.levelMax]
    for path in paths {
      for x in 0...path.lots where path.equity(x) > 0 {
        let level = (path.requirement(x) * Int128(factor.raw))
          .divided(by: path.equity(x), rounding: .up)
        if level <= Int128(WaterFilling.levelMax) {
          levels.formUnion([Int64(level), Int64(level) - 1])
        }
      }
    }
    let level = levels.sorted(by: >).first { level in
      paths.reduce(0) { $0 + least(level, $1, factor) } >= lots
    }
    guard let level else { return [] }
    var shares = paths.map { least(level + 1, $0, factor) }
    let limits = paths.map { least(level, $0, factor) }
    while shares.reduce(0, +) < lots {
      for place in shares.indices
      where shares[place] < limits[place] && shares.reduce(0, +) < lots {
        shares[place] += 1
      }
    }
    return shares
  }
}

extension Generator {
  mutating func vector(_ count: Int, _ size: Int64) -> [Int128] {
    (0..<count).map { _ in Int128(within(-size...size)) }
  }

  mutating func path(_ account: UInt32, scenarios: Int, lots: Int64) throws -> DeleveragingPath {
    try DeleveragingPath(
      account: AccountID(account), lots: within(0...lots), equity: Int128(within(-20...400)),
      lossPerLot: Int128(within(-3...10)), base: Int128(chance(50) ? 0 : within(0...50)),
      sums: vector(scenarios, 200), changePerLot: vector(scenarios, 40))
  }
}

@Suite("Auto-deleveraging") struct DeleveragingTests {
  let factor = Ratio(raw: 800_000_000)

  @Test("the fast fill is the slow one, and its certificate holds", arguments: 1...6)
  func twin(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var depths = Set<Int64>()
    for _ in 0..<60 {
      var paths: [DeleveragingPath] = []
      for account in 0..<UInt32(1 + generator.below(5)) {
        paths.append(try generator.path(account * 3, scenarios: 1 + generator.below(4), lots: 12))
      }
      let all = paths.reduce(0) { $0 + $1.lots }
      let lots = generator.within(0...all)
      let found = WaterFilling.certificate(paths, closing: lots, factor: factor)
      #expect(
        found.shares.map(\.lots) == SlowTwin.shares(paths, lots, factor),
        "seed \(seed): \(paths), \(lots)")
      #expect(
        WaterFilling.isValid(found, for: paths, closing: lots, factor: factor),
        "seed \(seed): \(paths), \(lots), \(found)")
      depths.insert(found.level)
    }
    #expect(depths.count > 25, "seed \(seed): only \(depths.count) levels were met")
  }

  @Test("a lot more here and a lot less there is refused", arguments: 1...4)
  func forged(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var count = 0
    for _ in 0..<100 {
      var paths: [DeleveragingPath] = []
      for account in 0..<UInt32(2 + generator.below(4)) {
        paths.append(try generator.path(account, scenarios: 3, lots: 40))
      }
      let lots = generator.within(0...paths.reduce(0) { $0 + $1.lots })
      let honest = WaterFilling.certificate(paths, closing: lots, factor: factor)
      var forged: [WaterFilling.Certificate] = []
      for (a, b) in [(0, 1), (1, 0)] where honest.shares[a].lots > 0 {
        var moved = honest
        moved.shares[a].lots -= 1
        moved.shares[b].lots += 1
        forged.append(moved)
        // Its bounds moved with it.
        moved.shares[a].low = min(moved.shares[a].low, moved.shares[a].lots)
        moved.shares[b].high = max(moved.shares[b].high, moved.shares[b].lots)
        forged.append(moved)
      }
      for level in [honest.level - 1, honest.level + 1] where level <= WaterFilling.levelMax {
        var moved = honest
        moved.level = level
        // Right where nothing changes between the levels, as then the bounds are the same.
        let truth = paths.map {
          (SlowTwin.least(level + 1, $0, factor), SlowTwin.least(level, $0, factor))
        }
        let same = zip(truth, honest.shares).allSatisfy { $0.0 == $1.low && $0.1 == $1.high }
        if !same { forged.append(moved) }
      }
      for lie in forged {
        count += 1
        #expect(
          !WaterFilling.isValid(lie, for: paths, closing: lots, factor: factor), "seed \(seed)")
      }
    }
    #expect(count > 200, "seed \(seed): \(count) lies were told")
  }

  /// A long of `lots` at mark 100, scenarios −10 and +10 a lot.
  func directional(_ account: UInt32, lots: Int64, equity: Int64, loss: Int64 = 1)
    -> Deleveraging.Candidate
  {
    Deleveraging.Candidate(
      account: AccountID(account), equity: Notional(raw: Int128(equity)),
      lossPerLot: Notional(raw: Int128(loss)), base: .zero,
      sums: [-10 * Int128(lots), 10 * Int128(lots)], lots: lots, unit: [-10, 10], legs: [])
  }

  /// The same long, hedged by as many shorts of instrument 7.
  func hedged(_ account: UInt32, lots: Int64, equity: Int64) -> Deleveraging.Candidate {
    Deleveraging.Candidate(
      account: AccountID(account), equity: Notional(raw: Int128(equity)),
      lossPerLot: Notional(raw: 1), base: .zero, sums: [0, 0], lots: lots, unit: [-10, 10],
      legs: [.init(instrument: InstrumentID(7), lots: lots, unit: [10, -10])])
  }

  @Test("the more leveraged gives first, down to the other's level, then both")
  func worked() throws {
    // Factor 1, no loss: leverage 10·(100 − x) ÷ equity: 2 for A (500), 1 for B (1000).
    let candidates = [
      directional(1, lots: 100, equity: 500, loss: 0),
      directional(2, lots: 100, equity: 1_000, loss: 0),
    ]
    // A alone down to 1 takes 50; then A gives 1 for each 2 of B.
    for (lots, a, b) in [(20, 20, 0), (50, 50, 0), (80, 60, 20), (200, 100, 100)]
      as [(Int64, Int64, Int64)]
    {
      let plan = try Deleveraging.plan(candidates, closing: lots, factor: .one)
      #expect(plan.parts.map(\.lots) == [a, b] && plan.left == 0, "closing \(lots)")
    }
    let more = try Deleveraging.plan(candidates, closing: 205, factor: .one)
    #expect(more.left == 5)
  }

  @Test("a hedged book gives last, and its hedge goes with it")
  func hedges() throws {
    let candidates = [hedged(1, lots: 50, equity: 100), directional(2, lots: 40, equity: 10_000)]
    let first = try Deleveraging.plan(candidates, closing: 40, factor: factor)
    #expect(first.parts.map(\.lots) == [0, 40] && first.second == nil)
    let both = try Deleveraging.plan(candidates, closing: 60, factor: factor)
    #expect(both.parts.map(\.lots) == [20, 40])
    #expect(both.parts[0].paired == InstrumentID(7) && both.parts[0].pairedLots == 20)
  }

  @Test(
    "plans of hedged books are valid; lots that raise a requirement come last", arguments: 1...5)
  func plans(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var paired = 0
    for _ in 0..<100 {
      var candidates: [Deleveraging.Candidate] = []
      for account in 0..<UInt32(1 + generator.below(5)) {
        let unit = generator.vector(4, 30)
        let lots = generator.within(0...60)
        let legs = (0..<generator.below(3)).map { place in
          Deleveraging.Leg(
            instrument: InstrumentID(UInt32(place)), lots: generator.within(0...50),
            unit: generator.vector(4, 30))
        }
        var sums = unit.map { $0 * Int128(lots) }
        for leg in legs { for s in sums.indices { sums[s] += leg.unit[s] * Int128(leg.lots) } }
        candidates.append(
          Deleveraging.Candidate(
            account: AccountID(account), equity: Notional(raw: Int128(generator.within(1...3_000))),
            lossPerLot: Notional(raw: Int128(generator.within(0...5))), base: .zero, sums: sums,
            lots: lots, unit: unit, legs: legs))
      }
      let all = candidates.reduce(0) { $0 + $1.lots }
      let lots = generator.within(0...all + 5)
      let plan = try Deleveraging.plan(candidates, closing: lots, factor: factor)
      #expect(try Deleveraging.isValid(plan, for: candidates, closing: lots, factor: factor))
      #expect(
        plan.parts.reduce(0) { $0 + $1.lots } + plan.left == lots && plan.left == max(0, lots - all)
      )
      for (candidate, part) in zip(candidates, plan.parts) {
        // Requirement as it would be, from the position alone.
        func requirement(_ x: Int64, _ leg: Deleveraging.Leg?, _ y: Int64) -> Int128 {
          0
            - candidate.sums.indices.reduce(Int128(0)) { worst, s in
              min(
                worst,
                candidate.sums[s] - Int128(x) * candidate.unit[s]
                  - Int128(y) * (leg?.unit[s] ?? 0))
            }
        }
        if plan.second == nil {
          #expect(requirement(part.lots, nil, 0) <= requirement(0, nil, 0), "seed \(seed)")
        }
        if let id = part.paired {
          paired += 1
          let leg = candidate.legs.first { $0.instrument == id }
          #expect(part.pairedLots <= leg?.lots ?? 0)
          // A whole close leaves no more than the naked rest would.
          if part.lots == candidate.lots {
            #expect(
              requirement(part.lots, leg, part.pairedLots) < requirement(part.lots, nil, 0))
          }
        }
      }
    }
    #expect(paired > 10, "seed \(seed): \(paired) legs closed with their hedge")
  }

  /// A candidate with up to two other positions on the underlying.
  private func candidate(_ account: UInt32, _ generator: inout Generator)
    -> Deleveraging.Candidate
  {
    let unit = generator.vector(4, 30)
    let lots = generator.within(0...60)
    let legs = (0..<generator.below(3)).map { place in
      Deleveraging.Leg(
        instrument: InstrumentID(UInt32(place)), lots: generator.within(0...50),
        unit: generator.vector(4, 30))
    }
    var sums = unit.map { $0 * Int128(lots) }
    for leg in legs { for s in sums.indices { sums[s] += leg.unit[s] * Int128(leg.lots) } }
    return Deleveraging.Candidate(
      account: AccountID(account), equity: Notional(raw: Int128(generator.within(1...3_000))),
      lossPerLot: Notional(raw: Int128(generator.within(0...5))), base: .zero, sums: sums,
      lots: lots, unit: unit, legs: legs)
  }

  /// Every way to alter a plan by a little.
  private func altered(_ plan: Deleveraging.Plan) -> [Deleveraging.Plan] {
    var lies: [Deleveraging.Plan] = []
    func lie(
      _ parts: [Deleveraging.Part], _ left: Int64, _ first: WaterFilling.Certificate,
      _ second: WaterFilling.Certificate?
    ) {
      lies.append(.init(parts: parts, left: left, first: first, second: second))
    }
    for change in [-1, 1] as [Int64] {
      lie(plan.parts, plan.left + change, plan.first, plan.second)
      for place in plan.parts.indices {
        let part = plan.parts[place]
        var parts = plan.parts
        parts[place] = .init(
          account: part.account, lots: part.lots + change, paired: part.paired,
          pairedLots: part.pairedLots)
        lie(parts, plan.left, plan.first, plan.second)
        parts[place] = .init(
          account: part.account, lots: part.lots, paired: part.paired ?? InstrumentID(9),
          pairedLots: part.pairedLots + change)
        lie(parts, plan.left, plan.first, plan.second)
        // The certificate is bent to what the part says.
        parts[place] = .init(
          account: part.account, lots: part.lots + change, paired: part.paired,
          pairedLots: part.pairedLots)
        var first = plan.first
        first.shares[place].lots += change
        lie(parts, plan.left, first, plan.second)
        lie(parts, plan.left - change, first, plan.second)
      }
    }
    if plan.second != nil { lie(plan.parts, plan.left, plan.first, nil) }
    if plan.second == nil { lie(plan.parts, plan.left, plan.first, plan.first) }
    lie(
      plan.parts.reversed().filter { _ in plan.parts.count > 1 }, plan.left, plan.first, plan.second
    )
    return lies
  }

  @Test("no altered plan is valid, sparing or not", arguments: 31...35)
  func altered(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var (count, spared) = (0, 0)
    for _ in 0..<60 {
      let candidates = (0..<UInt32(1 + generator.below(5))).map { candidate($0, &generator) }
      let all = candidates.reduce(0) { $0 + $1.lots }
      let lots = generator.within(0...all + 5)
      for sparing in [false, true] {
        let plan = try Deleveraging.plan(
          candidates, closing: lots, factor: factor, sparing: sparing)
        #expect(
          try Deleveraging.isValid(
            plan, for: candidates, closing: lots, factor: factor, sparing: sparing))
        for lie in altered(plan) {
          count += 1
          #expect(
            try !Deleveraging.isValid(
              lie, for: candidates, closing: lots, factor: factor, sparing: sparing),
            "seed \(seed): \(lie) for \(plan)")
        }
        guard sparing else { continue }
        #expect(plan.second == nil && plan.parts.allSatisfy { $0.paired == nil })
        for (candidate, part) in zip(candidates, plan.parts) where part.lots > 0 {
          spared += 1
          func requirement(_ x: Int64) -> Int128 {
            0
              - candidate.sums.indices.reduce(Int128(0)) {
                min($0, candidate.sums[$1] - Int128(x) * candidate.unit[$1])
              }
          }
          #expect(requirement(part.lots) <= requirement(0), "seed \(seed)")
        }
      }
    }
    #expect(count > 1_000 && spared > 50, "seed \(seed): \(count) lies, \(spared) parts")
  }

  @Test("a book is hedged where its last lot raises its requirement, and a leg is sought only then")
  func isHedged() throws {
    #expect(try hedged(1, lots: 50, equity: 100).isHedged())
    #expect(try !directional(1, lots: 50, equity: 100).isHedged())
    #expect(try !hedged(1, lots: 0, equity: 100).isHedged())
  }
}
