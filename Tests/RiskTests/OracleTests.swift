import Primitives
import Testing

@testable import Risk

@Suite("Oracle") struct OracleTests {
  static let now = Timestamp(raw: 1_700_000_000_000)
  let rule = FeedRule(
    quorum: 3, heartbeat: 5_000, drift: 1_000, deviationMax: percent(10), band: percent(1),
    confidenceMin: percent(50))

  func words(_ prices: [Int64], age: [Int64] = []) -> [OracleWord] {
    prices.enumerated().map { place, whole in
      OracleWord(
        signer: UInt32(place), price: price(whole),
        time: Timestamp(raw: Self.now.raw - (place < age.count ? age[place] : 0)))
    }
  }

  @Test("verdicts in their order")
  func verdicts() {
    func verdict(_ words: [OracleWord], last: Int64? = 1_000) -> OracleVerdict {
      OraclePrice(of: words, rule, at: Self.now, last: last.map(price)).verdict
    }
    #expect(verdict(words([999, 1_000, 1_001])) == .valid)
    #expect(verdict(words([999, 1_000, 0])) == .malformed)
    let twice = words([999, 1_000, 1_001, 1_002])
    #expect(verdict([twice[0], twice[1], twice[1], twice[2]]) == .malformed)
    #expect(verdict([twice[1], twice[0], twice[2]]) == .malformed)
    #expect(verdict(words([999, 1_000])) == .tooFew)
    #expect(verdict(words([999, 1_000, 1_001], age: [5_001])) == .tooFew)
    #expect(verdict(words([999, 1_000, 1_001], age: [-1_001])) == .tooFew)
    #expect(verdict(words([999, 1_000, 1_001], age: [5_000, -1_000])) == .valid)
    #expect(verdict(words([1_100, 1_100, 1_100])) == .valid)
    #expect(verdict(words([1_101, 1_101, 1_101])) == .tooVolatile)
    #expect(verdict(words([1_101, 1_101, 1_101]), last: nil) == .valid)
    #expect(verdict(words([980, 1_000, 1_020])) == .tooUncertain)
  }

  @Test("confidence by hand: one less the deviation over the band")
  func confidence() {
    func found(_ prices: [Int64]) -> Ratio {
      OraclePrice(of: words(prices), rule, at: Self.now, last: nil).confidence
    }
    #expect(found([1_000, 1_000, 1_000]) == .one)
    // Gaps 0, 4, 4: their median 4 of a band of 10.
    #expect(found([996, 1_000, 1_004]) == percent(60))
    #expect(found([990, 1_000, 1_010]) == .zero)
    #expect(found([500, 1_000, 2_000]) == .zero)
    // Five words, the three nearest count: gaps 0, 2, 2.
    #expect(found([1, 998, 1_000, 1_002, 90_000]) == percent(80))
  }

  @Test("a minority can neither move nor freeze a price", arguments: 1...5)
  func minority(seed: Int) {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<2_000 {
      let count = 3 + generator.below(9)
      var rule = rule
      rule.quorum = 1 + generator.below(count)
      let liars = generator.below(rule.liarsMax(of: count) + 1)
      let isLiar = generator.shuffled((0..<count).map { $0 < liars })
      let base = generator.within(1_000...9_000_000_000_000)
      var (low, high) = (Int64.max, Int64.min)
      var (oldest, newest) = (Int64.max, Int64.min)
      var words: [OracleWord] = []
      for place in 0..<count {
        var quote = base + generator.within(-base / 300...base / 300)
        var time = Self.now.raw - generator.within(0...5_000)
        if isLiar[place] {
          // Silent, absurd, stale or from the future.
          if generator.chance(30) { continue }
          quote = generator.chance(50) ? 1 : .max
          if generator.chance(30) { time += generator.within(-100_000...100_000) }
        } else {
          (low, high) = (min(low, quote), max(high, quote))
          (oldest, newest) = (min(oldest, time), max(newest, time))
        }
        words.append(
          OracleWord(
            signer: UInt32(place), price: Price(raw: quote), time: Timestamp(raw: time)))
      }
      let found = OraclePrice(of: words, rule, at: Self.now, last: nil)
      #expect(found.verdict >= .tooUncertain, "seed \(seed): frozen by \(liars) of \(count)")
      #expect((low...high).contains(found.price.raw), "seed \(seed): moved by \(liars) of \(count)")
      #expect(found.time.raw <= max(newest, Self.now.raw + rule.drift), "seed \(seed)")
      // With honest publishers of one mind, confidence is whole where honest ones fill the quorum.
      let agreed = words.map {
        isLiar[Int($0.signer)]
          ? $0 : OracleWord(signer: $0.signer, price: Price(raw: base), time: $0.time)
      }
      let calm = OraclePrice(of: agreed, rule, at: Self.now, last: Price(raw: base))
      #expect(calm.verdict == .valid && calm.confidence == .one, "seed \(seed)")
    }
  }

  @Test("whoever is silent, less than half a quorum moves nothing", arguments: 1...3)
  func silence(seed: Int) {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<2_000 {
      var rule = rule
      rule.quorum = 1 + generator.below(7)
      let honest = rule.quorum - rule.liarsMaxInSilence + generator.below(3)
      let count = honest + rule.liarsMaxInSilence
      let isLiar = generator.shuffled((0..<count).map { $0 >= honest })
      let words = (0..<count).map { place in
        OracleWord(
          signer: UInt32(place),
          price: isLiar[place] ? Price(raw: generator.chance(50) ? 1 : .max) : price(1_000),
          time: Self.now)
      }
      let found = OraclePrice(of: words, rule, at: Self.now, last: nil)
      #expect(found.price == price(1_000), "seed \(seed): \(words)")
    }
  }

  @Test("doubt holds liquidation back for some batches, and only near the line")
  func holdBack() throws {
    var doubt = HoldBack()
    func holds(_ net: Int64) throws -> Bool {
      try doubt.holds(net: money(net), grossDelta: money(1_000), band: percent(1), batchesMax: 2)
    }
    #expect(try !holds(-1))
    for expected in [true, true, false] {
      doubt.note(percent(40), threshold: percent(50))
      #expect(try holds(-9) == expected)
      #expect(try !holds(-10))
    }
    doubt.note(percent(50), threshold: percent(50))
    #expect(doubt.batches == 0)
  }

  @Test("after a gap, words from before it liquidate nobody")
  func outage() {
    var gate = OutageGate()
    gate.note(Timestamp(raw: 1_000), gapMax: 5_000)
    gate.note(Timestamp(raw: 6_000), gapMax: 5_000)
    #expect(gate.isOpen(for: Timestamp(raw: 500)))
    gate.note(Timestamp(raw: 11_001), gapMax: 5_000)
    #expect(!gate.isOpen(for: Timestamp(raw: 11_000)) && gate.isOpen(for: Timestamp(raw: 11_001)))
  }
}

@Suite("Settlement price") struct SettlementTests {
  let expiry = Timestamp(raw: 1_700_000_000_000)

  func words(_ whole: [Int64], at time: Timestamp) -> [OracleWord] {
    whole.enumerated().map {
      OracleWord(signer: UInt32($0.offset), price: price($0.element), time: time)
    }
  }

  func late(_ samples: SettlementSamples, _ place: Int, by extra: Int64 = 10_001) -> Timestamp {
    Timestamp(raw: samples.time(of: place).raw + extra)
  }

  @Test("the floor of the mean of the samples present, once and for ever")
  func posting() {
    var samples = SettlementSamples(expiry: expiry)
    #expect(samples.time(of: 0).raw == expiry.raw - 29 * 60_000 && samples.time(of: 29) == expiry)
    for place in 0..<30 where place % 6 != 0 {
      let at = samples.time(of: place)
      // The median of 99, 100 + place and 10 000.
      let taken = samples.take(
        place, of: words([99, 100 + Int64(place), 10_000], at: at), quorum: 3,
        at: late(samples, place))
      #expect(taken)
      let again = samples.take(
        place, of: words([1, 1, 1], at: at), quorum: 3, at: late(samples, place))
      #expect(!again, "a sample stands")
    }
    #expect(samples.present == 25)
    let early = samples.settle(at: Timestamp(raw: expiry.raw + 10_000))
    #expect(early == .early)
    // Places 0 … 29 sum to 435, without 0, 6, 12, 18, 24: 375; 25 × 100 + 375 over 25 is 115.
    let posted = samples.settle(at: Timestamp(raw: expiry.raw + 10_001))
    #expect(posted == .posted(price(115)))
    let more = samples.take(
      0, of: words([1, 1, 1], at: samples.time(of: 0)), quorum: 3, at: late(samples, 29))
    let ruled = samples.settle(byRule: price(1), at: Timestamp(raw: expiry.raw + 90_000_000))
    #expect(!more && !ruled && samples.posted == price(115))
  }

  @Test("words outside ten seconds, an open window, too few words: no sample")
  func refusals() {
    var samples = SettlementSamples(expiry: expiry)
    let due = samples.time(of: 3)
    for (shift, count, now, expected) in [
      (10_000, 3, 10_001, true), (-10_000, 3, 10_001, true), (10_001, 3, 10_001, false),
      (-10_001, 3, 10_001, false), (0, 2, 10_001, false), (0, 3, 10_000, false),
    ] as [(Int64, Int, Int64, Bool)] {
      var copy = samples
      let spoken = words(
        [Int64](repeating: 7, count: count), at: Timestamp(raw: due.raw + shift))
      let taken = copy.take(3, of: spoken, quorum: 3, at: Timestamp(raw: due.raw + now))
      #expect(taken == expected, "\(shift) \(count) \(now)")
    }
    let first = words([7, 7, 7], at: due)
    let taken = samples.take(
      3, of: [first[0], first[1], first[1]], quorum: 3, at: Timestamp(raw: due.raw + 20_000))
    #expect(!taken, "nobody speaks twice")
  }

  @Test("23 samples put it off; a day later the instrument's rule decides, once")
  func deferral() {
    var samples = SettlementSamples(expiry: expiry)
    for place in 0..<23 {
      _ = samples.take(
        place, of: words([100, 100, 100], at: samples.time(of: place)), quorum: 3,
        at: late(samples, place))
    }
    let day = Timestamp(raw: expiry.raw + 86_400_000)
    let outcome = samples.settle(at: day)
    #expect(outcome == .deferred(until: day) && samples.posted == nil)
    let soon = samples.settle(byRule: price(90), at: Timestamp(raw: day.raw - 1))
    let then = samples.settle(byRule: price(90), at: day)
    let twice = samples.settle(byRule: price(80), at: day)
    #expect(!soon && then && !twice && samples.posted == price(90))
  }

  @Test("the forward is fixed sample by sample, never as a share of the market's")
  func forward() {
    var samples = SettlementSamples(expiry: expiry)
    let open = samples.forward(price(120))
    #expect(open.fixed == .zero && open.variable == price(120))
    for place in 0..<15 {
      _ = samples.take(
        place, of: words([90, 90, 90], at: samples.time(of: place)), quorum: 3,
        at: late(samples, place))
    }
    let half = samples.forward(price(120))
    #expect(half.fixed == price(45) && half.variable == price(60))
  }
}
