import Instruments
import Primitives
import TestSupport
import Testing
import Wire

@testable import Clearing
@testable import Execution

/// The attacks of field.md 5 on both machines in step: what a client may sign, and nothing else.
extension Pair {
  @inline(never)
  mutating func order(
    _ client: Int, _ instrument: UInt32, _ side: Side, price: Int64, quantity: Int64,
    _ tif: TimeInForce = .gtc
  ) {
    send(
      House.client(client),
      [
        .place(
          instrument: InstrumentID(instrument), side: side, price: Price(raw: price),
          quantity: Quantity(raw: quantity), timeInForce: tif, postOnly: false, reduceOnly: false,
          clientID: 0)
      ])
  }

  @inline(never)
  func equity(_ clients: [Int]) -> Int64 {
    clients.reduce(0) { $0 + clearing.margin(House.client($1)).equity.raw }
  }

  /// Contracts of BTC's perpetual in all, 1e-8.
  @inline(never)
  func position(_ clients: [Int]) -> Int64 {
    clients.reduce(0) { sum, client in
      let view = clearing.view(House.client(client))
      let held = view?.positions.first { $0.instrument.id == InstrumentID(0) }
      return sum + (held?.quantity.raw ?? 0)
    }
  }

  @inline(never)
  func isFrozen(_ client: Int) -> Bool { execution.isFrozen(House.client(client)) }

  var isConserved: Bool {
    genesis.assets.indices.allSatisfy { clearing.imbalance(AssetID(UInt16($0))) == 0 }
  }
}

/// quant.md 5.1: moves of an underlying in millionths, one after the other.
private struct Shock: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let moves: [Int64]

  static let library = [
    Shock(testDescription: "19 Oct 1987", moves: [-226_000]),
    Shock(testDescription: "5 Feb 2018", moves: [-40_000]),
    Shock(testDescription: "12 Mar 2020", moves: [-280_000, -319_000]),
    Shock(testDescription: "19 May 2021", moves: [-300_000, 330_000]),
    Shock(testDescription: "8 Mar 2022", moves: [2_700_000]),
    Shock(testDescription: "8 Nov 2022", moves: [-250_000]),
    Shock(testDescription: "5 Aug 2024", moves: [-150_000]),
    Shock(testDescription: "10 Oct 2025", moves: [-169_000]),
  ]

  /// Prices in 1e-8 from 1 000 on, no step of more than so many millionths; calm at the end.
  func path(step: Int64) -> [Int64] {
    var path = [1_000 * Price.scale]
    for move in moves {
      let from = path[path.count - 1]
      let to = from / 1_000_000 * (1_000_000 + move)
      while path[path.count - 1] != to {
        let here = path[path.count - 1]
        let most = here / 1_000_000 * step
        path.append(to > here ? min(to, here + most) : max(to, here - most))
      }
    }
    return path + Array(repeating: path[path.count - 1], count: 8)
  }
}

@Suite("Attacks") struct AttackTests {
  /// How the owner's third key bids for the other two.
  enum Greed: CaseIterable, Sendable {
    /// Like anybody.
    case always
    /// For a hundredth each time, so that the auction goes on.
    case little
    /// Only if it is paid for it.
    case paid
  }

  private static let (long, short, bidder) = (0, 1, 2)
  private static let ring = [long, short, bidder]
  private static let honest = [3, 4]
  private static let fund = 5_000 * Money.scale

  /// One owner is long ten and short ten at nearly all the leverage there is; others have money.
  @inline(never)
  private static func ringPair() throws -> Pair {
    var pair = Pair(margin: .novate32, clients: 5) {
      $0.auctionFast = 900_000
      $0.auctionInsolvent = 900_000
      $0.auctionPayoutMax = 20_000_000
      $0.auctionPayoutDailyMax = 200 * Money.scale
      $0.grantAgeMax = 86_400_000
    }
    for client in [long, short] { pair.deposit(client, 1_750 * Money.scale) }
    pair.deposit(bidder, 20_000 * Money.scale)
    for client in honest { pair.deposit(client, 200_000 * Money.scale) }
    pair.send(
      TestWorld.custodian,
      [.deposit(asset: .quote, amount: Amount(raw: fund), owner: .zero, reference: 100)])
    pair.index(1_000)
    _ = try pair.turn()
    pair.index(1_000)
    pair.place(long, .buy, 10)
    pair.place(short, .sell, 10)
    let outcomes = try pair.turn()
    #expect(outcomes.allSatisfy { $0.status != .rejected })
    pair.index(1_000)
    _ = try pair.turn()
    return pair
  }

  @inline(never)
  private static func bid(
    _ client: Int, for account: Int, part: Int64, worst: Int64, _ pair: inout Pair
  ) {
    pair.send(
      House.client(client),
      [
        .bid(
          AuctionOffer(
            account: House.client(account), stake: Money(raw: 15_000 * Money.scale),
            worst: Money(raw: worst), part: Ratio(raw: part)))
      ])
  }

  /// A step: three minutes later the oracle says a price, execution learns of it, and whoever wants to
  /// bids.
  @inline(never)
  private static func step(
    _ price: Int64, _ greed: Greed, hasOthers: Bool, _ pair: inout Pair
  ) throws {
    func word(_ pair: inout Pair) { pair.index(exactly: price) }
    word(&pair)
    _ = try pair.turn()
    word(&pair)
    _ = try pair.turn()
    word(&pair)
    for frozen in ring where pair.isFrozen(frozen) {
      if hasOthers {
        for client in honest {
          bid(client, for: frozen, part: Ratio.scale, worst: 100_000 * Money.scale, &pair)
        }
      }
      guard frozen != bidder, !pair.isFrozen(bidder) else { continue }
      switch greed {
      case .always:
        bid(bidder, for: frozen, part: Ratio.scale, worst: 100_000 * Money.scale, &pair)
      case .little:
        bid(bidder, for: frozen, part: Ratio.scale / 100, worst: 100_000 * Money.scale, &pair)
      case .paid: bid(bidder, for: frozen, part: Ratio.scale, worst: -1, &pair)
      }
    }
    _ = try pair.turn(after: 178_000)
    let isConserved = pair.isConserved
    #expect(isConserved)
  }

  @Test(
    "long, short and bidder of one owner extract nothing over the shock library",
    arguments: Shock.library, Greed.allCases)
  private func ring(shock: Shock, greed: Greed) throws {
    var pair = try Self.ringPair()
    let before = pair.equity(Self.ring)
    var auctions = 0
    // What the owner carries of the market, it could hold without any attack.
    var carried: Int128 = 0
    var last = 1_000 * Price.scale
    for price in shock.path(step: 20_000) {
      carried += Int128(pair.position(Self.ring)) * Int128(price - last) / Notional.perMoney
      last = price
      try Self.step(price, greed, hasOthers: true, &pair)
      if Self.ring.contains(where: { pair.isFrozen($0) }) { auctions += 1 }
      let gain = Int128(pair.equity(Self.ring) - before) - carried
      // Each account's equity is rounded down, and so is each step of what is carried.
      #expect(gain <= 16, "the owner has \(gain) more at \(price)")
    }
    // The market moved far enough for it to be a test.
    let isLarge = (shock.moves.map(\.magnitude).max() ?? 0) > 100_000
    #expect(!isLarge || auctions > 0)
    #expect(pair.clearing.fund(.quote).insurance >= Self.fund)
  }

  @Test(
    "where a gap leaves a debt and nobody else bids, the owner gets no more than debt and caps",
    arguments: [-200_000, -300_000, 250_000, 400_000] as [Int64], Greed.allCases)
  private func gap(move: Int64, greed: Greed) throws {
    var pair = try Self.ringPair()
    let before = pair.equity(Self.ring)
    let price = 1_000 * Price.scale / 1_000_000 * (1_000_000 + move)
    // Ten contracts against 1 750 of cash.
    let debt = max(0, 10 * Int64(move.magnitude) * 1_000 - 1_750 * Money.scale)
    for _ in 0..<10 { try Self.step(price, greed, hasOthers: false, &pair) }
    let paid = Self.fund - pair.clearing.fund(.quote).insurance
    let gain = pair.equity(Self.ring) - before
    #expect(gain <= paid, "the owner has \(gain) more, the fund paid \(paid)")
    #expect(paid <= debt + 200 * Money.scale && (debt == 0 || paid > 0))
  }

  @Test("two keys of one owner that trade with each other lose every time", arguments: [51, 52])
  func wash(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var pair = Pair(margin: .novate32, clients: 2, fees: true)
    for client in 0..<2 { pair.deposit(client, 1_000_000 * Money.scale) }
    pair.index(1_000)
    _ = try pair.turn()
    pair.index(1_000)
    _ = try pair.turn()
    var last = pair.equity([0, 1])
    var trades = 0
    for _ in 0..<120 {
      pair.index(1_000 + generator.within(-50...50))
      let price = TestWorld.tick * generator.within(95_000...105_000)
      let quantity = TestWorld.lot * generator.within(1...1_000)
      let maker = generator.below(2)
      let side: Side = generator.chance(50) ? .buy : .sell
      pair.order(maker, 0, side, price: price, quantity: quantity)
      pair.order(
        1 - maker, 0, side == .buy ? .sell : .buy, price: price, quantity: quantity, .ioc)
      _ = try pair.turn()
      let fills = pair.receipts.count { $0.kind == .trade }
      let now = pair.equity([0, 1])
      #expect(fills == 0 ? now == last : now < last, "seed \(seed): washing gave \(now - last)")
      let isConserved = pair.isConserved
      #expect(isConserved)
      trades += fills
      last = now
    }
    #expect(trades > 80, "seed \(seed): \(trades) trades")
  }

  @Test("a book split over two accounts requires no less", arguments: [61, 62, 63])
  func split(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    for _ in 0..<6 {
      var pair = Pair(margin: .novate32, clients: 4)
      for client in 0..<4 { pair.deposit(client, 500_000 * Money.scale) }
      pair.index(1_000)
      pair.surface(1_000)
      _ = try pair.turn()
      pair.index(1_000)
      pair.surface(1_000)
      _ = try pair.turn()
      // Client 0 holds the whole, 1 and 2 its parts; client 3 is everybody's other side.
      for instrument in 0..<4 as Range<UInt32> {
        let price = (instrument < 2 ? 1_000 : 50) * Price.scale
        let parts = [generator.within(-300...300), generator.within(-300...300)]
        for (client, lots) in [(0, parts[0] + parts[1]), (1, parts[0]), (2, parts[1])]
        where lots != 0 {
          let quantity = TestWorld.lot * abs(lots)
          let side: Side = lots > 0 ? .buy : .sell
          pair.order(client, instrument, side, price: price, quantity: quantity)
          pair.order(
            3, instrument, side == .buy ? .sell : .buy, price: price, quantity: quantity, .ioc)
        }
      }
      pair.index(1_000)
      pair.surface(1_000)
      let outcomes = try pair.turn()
      #expect(outcomes.allSatisfy { $0.status != .rejected }, "seed \(seed)")
      for price in [700, 950, 1_000, 1_100, 1_500] as [Int64] {
        pair.index(price)
        pair.surface(price)
        _ = try pair.turn()
        let margins = (0..<3).map { pair.clearing.margin(House.client($0)) }
        #expect(
          margins[1].initial.raw + margins[2].initial.raw >= margins[0].initial.raw,
          "seed \(seed) at \(price)")
        #expect(
          margins[1].maintenance.raw + margins[2].maintenance.raw >= margins[0].maintenance.raw,
          "seed \(seed) at \(price)")
        // Nor is it worth more: a unit of rounding each.
        let worth = (whole: pair.equity([0]), parts: pair.equity([1, 2]))
        #expect((worth.parts - worth.whole - 500_000 * Money.scale).magnitude <= 16, "\(seed)")
      }
    }
  }

  @Test("one publisher of three neither moves nor freezes a price", arguments: [71, 72, 73])
  func minority(seed: Int) throws {
    var generator = Generator(seed: UInt64(seed))
    var pair = Pair(margin: .novate32, clients: 1) { $0.confidenceBand = 0 }
    var sequence: UInt64 = 1 << 40
    var price = 1_000 * Price.scale
    for number in 0..<200 {
      price += generator.within(-20...20) * Price.scale / 10
      let liar = seed % 3
      var (low, high) = (Int64.max, Int64.min)
      sequence += 1
      for (place, publisher) in TestWorld.publishers.enumerated() {
        var said = price + generator.within(0...Price.scale / 100)
        var time = pair.time.raw
        if place == liar {
          // Silent, absurd, old, from the future, or with a number it may never pass again.
          if generator.chance(25) { continue }
          said = generator.pick([1, 50_000 * Price.scale, price * 2, price / 2])
          time += generator.pick([0, 0, -59_000, -90_000, 5_000, 90_000])
        } else {
          (low, high) = (min(low, said), max(high, said))
        }
        pair.send(
          publisher,
          [
            .index(
              underlying: UnderlyingID(0), price: Price(raw: said), time: Timestamp(raw: time),
              sequence: sequence)
          ])
      }
      let now = pair.time
      _ = try pair.turn()
      let index = pair.clearing.index(UnderlyingID(0))
      #expect((low...high).contains(index.price.raw), "seed \(seed), batch \(number): \(index)")
      // The two who speak now are the quorum: the price is of now, whoever is silent.
      #expect(index.time >= now, "seed \(seed), batch \(number)")
    }
  }
}

extension Pair {
  /// Two publishers say the index of BTC, in 1e-8.
  @inline(never)
  mutating func index(exactly price: Int64) {
    say { sequence, time in
      .index(
        underlying: UnderlyingID(0), price: Price(raw: price), time: time, sequence: sequence)
    }
  }

  /// Two publishers say the forward, in whole units, and a flat smile of the options' expiry.
  @inline(never)
  mutating func surface(_ forward: Int64) {
    let expiry = genesis.instruments[2].expiry
    say { sequence, time in
      .surface(
        underlying: UnderlyingID(0), expiry: expiry, forward: Price(raw: forward * Price.scale),
        parameters: TestWorld.smile(time: expiry.raw - time.raw), time: time, sequence: sequence)
    }
  }
}
