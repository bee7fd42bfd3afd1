import Instruments
import Primitives
import Risk
import TestSupport
import Testing
import Wire

@testable import Clearing

@Suite("Fee tiers") struct FeeTierTests {
  /// Maker 0.01 %, 0.004 %, −0.002 % …, taker 0.05 %, 0.045 % … at each further 10 000 of volume.
  private static let tiers = FeeTiers(
    count: 3, volume: Money(raw: 10_000 * Money.scale), makerStep: 60, takerStep: 50)

  private static func instruments(_ tiers: FeeTiers = tiers) -> [Instrument] {
    TestWorld.instruments().map {
      Instrument(
        id: $0.id, underlying: $0.underlying, kind: $0.kind ?? .perpetual,
        optionTypeCode: $0.optionTypeCode, strike: $0.strike, expiry: $0.expiry, tick: $0.tick,
        lot: $0.lot, orderQuantityMax: $0.orderQuantityMax, priceMax: $0.priceMax,
        makerFee: $0.makerFee, takerFee: $0.takerFee, tiers: tiers)
    }
  }

  @Test("both sides climb by their own volume; a rebate is rounded down; volume fades in 30 days")
  func worked() throws {
    var house = House(clients: 4, instruments: Self.instruments())
    func fees(_ number: Int, _ house: inout House, after days: Int64 = 0) throws -> [Int64] {
      // 10 contracts at 1 000 from a new taker each time: the maker 0 alone climbs.
      house.fill(
        buyer: number, seller: 0, 0, price: 1_000 * Price.scale, quantity: 10 * Quantity.scale)
      let receipt = try #require(
        House.receipts(try house.clear(after: 1_000 + days * 86_400_000)).first {
          $0.kind == .trade
        })
      return [receipt.buyerFee.raw, receipt.sellerFee.raw]
    }
    // 10 000 at 0.01 %, 0.004 %, −0.002 %, −0.008 %.
    #expect(try fees(1, &house) == [5_000_000, 1_000_000])
    #expect(try fees(2, &house) == [5_000_000, 400_000])
    #expect(try fees(3, &house) == [5_000_000, -200_000])
    // Taker 1 has one tier by now; the last tier is the last.
    #expect(try fees(1, &house) == [4_500_000, -800_000])
    #expect(try fees(1, &house, after: 15) == [4_000_000, -800_000])
    #expect(house.machine.view(House.client(0))?.volume.raw == 50_000 * Money.scale)
    // Half of 50 000 and of 30 000 is left after 15 days: tiers 2 and 1.
    #expect(try fees(1, &house, after: 30) == [4_500_000, -200_000])
    #expect(try fees(1, &house) == [5_000_000, 1_000_000])
    #expect(house.imbalances == [0, 0] && house.machine.fund(.quote).fees > 0)
  }

  @Test("a rebate of less than a unit is nothing, a fee of less is one")
  func rounding() throws {
    var house = House(clients: 2, instruments: Self.instruments())
    for _ in 0..<4 {
      house.fill(buyer: 1, seller: 0, 0, price: 1_000 * Price.scale, quantity: 10 * Quantity.scale)
    }
    // The least fill: 0.01 × 0.01.
    house.fill(buyer: 1, seller: 0, 0, price: TestWorld.tick, quantity: TestWorld.lot)
    let last = try #require(House.receipts(try house.clear()).last { $0.kind == .trade })
    // 100 units at 0.035 % and −0.008 %.
    #expect(last.buyerFee.raw == 1 && last.sellerFee.raw == 0)
  }

  @Test("terms are refused exactly when a schedule of the same tiers is", arguments: [31, 32, 33])
  func refusals(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var (good, bad) = (0, 0)
    for _ in 0..<600 {
      var terms = TestWorld.instruments()[0]
      terms.makerFee = Ratio(raw: generator.within(0...300) * 1_000)
      terms.takerFee = Ratio(raw: generator.within(0...900) * 1_000)
      let tiers = FeeTiers(
        count: UInt8(generator.within(1...17)), volume: Money(raw: generator.within(0...3)),
        makerStep: UInt16(generator.within(0...60)), takerStep: UInt16(generator.within(0...60)))
      let instrument = Instrument(
        id: terms.id, underlying: terms.underlying, kind: .perpetual, tick: terms.tick,
        lot: terms.lot, orderQuantityMax: terms.orderQuantityMax, priceMax: terms.priceMax,
        makerFee: terms.makerFee, takerFee: terms.takerFee, tiers: tiers)
      var isSound = tiers.count <= 16 && tiers.volume.raw > 0
      if isSound {
        let schedule = (0...Int64(tiers.count)).map { place in
          let rates = instrument.fees(volume: Money(raw: place * tiers.volume.raw))
          return FeeSchedule.Tier(
            volume: Money(raw: place * tiers.volume.raw), maker: rates.maker, taker: rates.taker)
        }
        isSound = (try? FeeSchedule(tiers: schedule, referral: .zero)) != nil
      }
      #expect((instrument.fault == nil) == isSound, "seed \(seed): \(tiers), \(terms)")
      if isSound { good += 1 } else { bad += 1 }
    }
    #expect(good > 40 && bad > 40, "seed \(seed): \(good) good, \(bad) bad")
    let steps = FeeTiers(count: 0, volume: .zero, makerStep: 1, takerStep: 0)
    #expect(Self.instruments(steps)[0].fault == .tiers)
  }

  @Test("whoever trades with himself loses, at whatever tiers", arguments: [41, 42] as [UInt64])
  func washing(seed: UInt64) throws {
    var generator = Generator(seed: seed)
    var house = House(clients: 3, instruments: Self.instruments())
    for client in 0..<3 { house.deposit(House.client(client), 1_000_000 * Money.scale) }
    try house.clear()
    var last = (0..<3).reduce(0) { $0 + house.net(House.client($1)) }
    for _ in 0..<200 {
      let buyer = generator.below(3)
      house.fill(
        buyer: buyer, seller: (buyer + 1 + generator.below(2)) % 3,
        generator.pick([0, 4]), price: TestWorld.tick * generator.within(1...200_000),
        quantity: TestWorld.lot * generator.within(1...3_000),
        takerSide: generator.chance(50) ? .buy : .sell)
      try house.clear(after: generator.within(1...40) * 3_600_000)
      let now = (0..<3).reduce(0) { $0 + house.net(House.client($1)) }
      #expect(now < last, "seed \(seed): washing gave \(now - last)")
      last = now
    }
  }
}
