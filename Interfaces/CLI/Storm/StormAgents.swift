import Clearing
import Client
import Commitments
import Instruments
import Primitives
import Wire

/// Everybody in a storm: from what clearing published, the bundles of the next batch.
struct StormAgents {
  let cast: StormCast
  let genesis: Genesis
  let parameters: StormParameters
  var market: StormMarket
  private(set) var ledger: StormLedger
  private var numbers: SeededNumbers
  private var nonces: [UInt64]
  private var keys: [StormCast.Key]
  private var sequence: UInt64 = 0
  /// What the oracle last said, and for how many steps two publishers are silent.
  private var said: Int64
  private var silence: Int64 = 0
  /// Makers who have withdrawn.
  private(set) var withdrawn: Set<AccountID> = []
  private let house: StormHouse
  var time = Timestamp.zero

  init(
    _ cast: StormCast, _ house: StormHouse, seed: UInt64, _ market: StormMarket,
    _ parameters: StormParameters
  ) {
    self.cast = cast
    self.house = house
    self.parameters = parameters
    self.market = market
    genesis = house.genesis
    ledger = StormLedger(cast, accounts: genesis.accounts.count)
    numbers = SeededNumbers(seed: seed ^ 0x4F52_4143_4C45)
    nonces = Array(repeating: 0, count: genesis.accounts.count)
    keys = cast.builder.accountRoles.map(StormCast.key)
    said = market.price
  }

  // MARK: - Bundles

  private static let life: Int64 = 12 * 3_600_000

  private mutating func sign(_ account: AccountID, _ actions: [Action], into out: inout [Bundle]) {
    guard !actions.isEmpty else { return }
    nonces[account.index] += 1
    out.append(
      Bundle.signed(
        actions, account: account, nonce: nonces[account.index],
        expiry: Timestamp(raw: time.raw + StormAgents.life), network: genesis.networkID,
        by: keys[account.index].key))
  }

  private func order(
    _ instrument: InstrumentID, _ side: Side, _ price: Int64, _ quantity: Int64,
    _ tif: TimeInForce = .gtc
  ) -> Action {
    .place(
      instrument: instrument, side: side, price: Price(raw: StormCast.ticks(price)),
      quantity: Quantity(raw: StormCast.lots(quantity)), timeInForce: tif, postOnly: false,
      reduceOnly: false, clientID: 0)
  }

  // MARK: - Oracle

  /// One publisher's word that the clock goes on, at the price last said.
  mutating func tick(into out: inout [Bundle]) {
    sequence += 1
    sign(
      cast.builder.publishers[0],
      [
        .index(
          underlying: UnderlyingID(0), price: Price(raw: said), time: time, sequence: sequence)
      ], into: &out)
  }

  /// What all publishers say of the price; the third is a little off, and outvoted. In an outage the
  /// first speaks alone and knows nothing new.
  mutating func words(into out: inout [Bundle]) {
    guard silence == 0 else { return tick(into: &out) }
    said = market.price
    sequence += 1
    let smile = market.smile(time: cast.expiry.raw - time.raw)
    for (place, publisher) in cast.builder.publishers.enumerated() {
      let price = Price(raw: place == 2 ? said + said / 2_000 : said)
      sign(
        publisher,
        [
          .index(underlying: UnderlyingID(0), price: price, time: time, sequence: sequence),
          .surface(
            underlying: UnderlyingID(0), expiry: cast.expiry, forward: price, parameters: smile,
            time: time, sequence: sequence),
        ], into: &out)
    }
  }

  /// Begins the step: the outside moves, and perhaps publishers fall silent.
  mutating func step(to point: StormPath.Point) {
    market.step(to: point)
    silence = max(0, silence - 1)
    if silence == 0, numbers.below(100) < parameters.outagePercent {
      silence = numbers.within(parameters.outageSteps)
    }
  }

  // MARK: - Opening

  mutating func deposits(into out: inout [Bundle]) {
    sign(AccountID(0), cast.deposits(genesis, parameters), into: &out)
  }

  /// Everybody's first position, all against the arbitrageur at the price of the moment.
  mutating func openings(into out: inout [Bundle]) {
    let price = market.price
    for side in [Side.buy, .sell] {
      var total: Int64 = 0
      for trader in cast.traders where (trader.size > 0) == (side == .buy) {
        sign(
          trader.account, [order(StormCast.perpetual, side, price, abs(trader.size))], into: &out)
        total += abs(trader.size)
      }
      let other: Side = side == .buy ? .sell : .buy
      sign(
        cast.arbitrageur, [order(StormCast.perpetual, other, price, total, .ioc)], into: &out)
    }
    for seller in cast.sellers {
      for place in [seller.put, seller.call] {
        let option = cast.options[place]
        let mark = market.mark(option, time: left)
        sign(seller.account, [order(option.id, .sell, mark, seller.size)], into: &out)
        sign(cast.arbitrageur, [order(option.id, .buy, mark, seller.size, .ioc)], into: &out)
      }
      let delta = [seller.put, seller.call].reduce(Int64(0)) {
        $0 + market.delta(cast.options[$1], time: left)
      }
      let hedge = Int64(Int128(seller.size) * Int128(delta) / 1_000_000_000_000)
      guard abs(hedge) >= StormCast.lot else { continue }
      let side: Side = hedge > 0 ? .buy : .sell
      sign(
        seller.account, [order(StormCast.perpetual, side, price, abs(hedge))], into: &out)
      sign(
        cast.arbitrageur,
        [order(StormCast.perpetual, side == .buy ? .sell : .buy, price, abs(hedge), .ioc)],
        into: &out)
    }
  }

  /// Milliseconds the options have left.
  private var left: Int64 { cast.expiry.raw - time.raw }

  // MARK: - A step's trades

  /// Makers quote anew, the arbitrageur takes over what they hold, bots sell on, sellers hedge.
  mutating func trades(into out: inout [Bundle]) {
    makeMarkets(into: &out)
    let isInBook = parameters.botsInBook && genesis.constants.auctionFast == 0
    for bot in cast.bots where !ledger.isFlagged(bot.account) {
      let sold = unwinding(bot)
      sign(bot.account, isInBook ? [.cancelAll(instrument: .all)] + sold : sold, into: &out)
      if isInBook { sign(bot.account, standing(of: bot), into: &out) }
    }
    for seller in cast.sellers where !ledger.isFlagged(seller.account) {
      sign(seller.account, hedge(seller), into: &out)
    }
  }

  private mutating func makeMarkets(into out: inout [Bundle]) {
    let capital = cast.makerCash(parameters)
    let floor = Share.of(capital, Share.whole - parameters.makerLossMax)
    var offloaded: [Int64] = Array(repeating: 0, count: cast.options.count + 1)
    for maker in cast.makers {
      var actions: [Action] = [.cancelAll(instrument: .all)]
      let equity = house.margin(maker).equity.raw
      if equity < floor { withdrawn.insert(maker) }
      if !ledger.isFlagged(maker) {
        let size = Share.of(
          Int64(Int128(market.depth) * Int128(max(0, equity)) / Int128(capital)), market.calm)
        if !withdrawn.contains(maker) {
          actions += quotes(size / Int64(cast.makers.count))
        }
        for instrument in 0...cast.options.count {
          let held = ledger.position(maker, instrument)
          guard held != 0 else { continue }
          offloaded[instrument] += held
          actions.append(
            order(
              InstrumentID(UInt32(instrument)), held > 0 ? .sell : .buy, mark(instrument),
              abs(held)))
        }
      }
      sign(maker, actions, into: &out)
    }
    var taken: [Action] = []
    for (instrument, held) in offloaded.enumerated() where held != 0 {
      taken.append(
        order(
          InstrumentID(UInt32(instrument)), held > 0 ? .buy : .sell, mark(instrument), abs(held),
          .ioc))
    }
    sign(cast.arbitrageur, taken, into: &out)
  }

  /// The price of an instrument to everybody, whole ticks.
  private func mark(_ instrument: Int) -> Int64 {
    StormCast.ticks(
      instrument == 0
        ? market.price : market.mark(cast.options[instrument - 1], time: left))
  }

  /// A maker's ladder in the perpetual, of so much money within a per cent, and three levels of
  /// every option.
  private func quotes(_ depth: Int64) -> [Action] {
    var actions: [Action] = []
    let price = market.price
    var before: Int64 = 0
    for level in parameters.ladder {
      let offset = Share.of(price, level * 100)
      let size = Share.quantity(depth / 100 * (level - before), price)
      before = level
      guard size >= StormCast.lot else { continue }
      actions.append(order(StormCast.perpetual, .buy, price - offset, size))
      actions.append(order(StormCast.perpetual, .sell, price + offset + StormCast.tick, size))
    }
    for (place, option) in cast.options.enumerated() {
      let mark = mark(place + 1)
      let size = Share.quantity(depth, price)
      guard size >= StormCast.lot else { continue }
      for share in [500, 5_000, 20_000] as [Int64] {
        let half = Share.of(mark, 30_000) + Share.of(price, share)
        if mark - half > StormCast.tick {
          actions.append(order(option.id, .buy, mark - half, size))
        }
        actions.append(order(option.id, .sell, mark + half + StormCast.tick, size))
      }
    }
    return actions
  }

  /// The farthest price an agent trades at.
  private func limit(_ instrument: Int, _ side: Side) -> Int64 {
    let room = Share.of(market.price, instrument == 0 ? 50_000 : 25_000)
    return side == .buy ? mark(instrument) + room : mark(instrument) - room
  }

  /// Where there are no auctions to bid in: a bid and an offer at the bot's edge, of what its capital
  /// carries at the scan range and a little more.
  private func standing(of bot: StormCast.Bot) -> [Action] {
    let figures = house.margin(bot.account)
    let money = (figures.equity.raw - figures.initial.raw) * 5
    let size = Share.quantity(money, market.price)
    guard size >= StormCast.lot else { return [] }
    let edge = Share.of(market.price, bot.edge)
    return [
      order(StormCast.perpetual, .buy, market.price - edge, size),
      order(StormCast.perpetual, .sell, market.price + edge, size),
    ]
  }

  private func unwinding(_ bot: StormCast.Bot) -> [Action] {
    (0...cast.options.count).compactMap { instrument in
      let held = ledger.position(bot.account, instrument)
      guard held != 0 else { return nil }
      let side: Side = held > 0 ? .sell : .buy
      let part = min(abs(held), abs(held) / parameters.unwinding + StormCast.lot)
      return order(
        InstrumentID(UInt32(instrument)), side, limit(instrument, side), part, .ioc)
    }
  }

  /// Gaps below two per cent of the options are left.
  private func hedge(_ seller: StormCast.Seller) -> [Action] {
    var wanted: Int64 = 0
    for (place, option) in cast.options.enumerated() {
      let held = ledger.position(seller.account, place + 1)
      guard held != 0 else { continue }
      wanted -= Int64(
        Int128(held) * Int128(market.delta(option, time: left)) / 1_000_000_000_000)
    }
    let missing = wanted - ledger.position(seller.account, 0)
    guard abs(missing) > max(StormCast.lot, seller.size / 50) else { return [] }
    let side: Side = missing > 0 ? .buy : .sell
    return [order(StormCast.perpetual, side, limit(0, side), abs(missing), .ioc)]
  }

  // MARK: - Auctions

  /// Bots bid for what is under auction, as far as their capital goes, if the price of the moment
  /// leaves them their edge.
  mutating func bids(into out: inout [Bundle]) {
    let frozen = ledger.frozen
    guard !frozen.isEmpty else { return }
    for bot in cast.bots where !ledger.isFlagged(bot.account) {
      let figures = house.margin(bot.account)
      var free = (figures.equity.raw - figures.initial.raw) / 10 * 9
      var actions: [Action] = []
      for account in frozen {
        guard let offer = offer(account, bot, free: free) else { continue }
        free -= offer.stake.raw
        actions.append(.bid(offer))
      }
      sign(bot.account, actions, into: &out)
    }
  }

  /// Stakes below this are not worth a signature, in money.
  private static let stakeMin: Int64 = 100 * Money.scale

  private func offer(_ account: AccountID, _ bot: StormCast.Bot, free: Int64) -> AuctionOffer? {
    guard free > StormAgents.stakeMin, let auction = house.auction(account), auction.phase <= 2
    else { return nil }
    let figures = house.margin(account)
    let value = figures.equity.raw - auction.reserved.raw
    var notional: Int64 = 0
    for instrument in 0...cast.options.count {
      notional += Share.money(abs(ledger.position(account, instrument)), market.price)
    }
    let worst = value - Share.of(notional, bot.edge)
    if auction.phase == 1, worst < Share.of(value, discount(since: auction.phaseStarted)) {
      return nil
    }
    let whole = figures.initial.raw / 10 * 11 + StormAgents.stakeMin
    let part = min(
      Ratio.scale, Int64(Int128(free) * Int128(Ratio.scale) / Int128(max(1, whole))))
    guard part > 0 else { return nil }
    let stake = Int64(Int128(whole) * Int128(part) / Int128(Ratio.scale))
    return AuctionOffer(
      account: account, stake: Money(raw: stake), worst: Money(raw: worst), part: Ratio(raw: part))
  }

  /// Millionths of the value a bidder pays now.
  private func discount(since started: Timestamp) -> Int64 {
    let constants = genesis.constants
    let passed = time.raw - started.raw
    let (start, slow) = (
      constants.auctionStartDiscount / 1_000, constants.auctionSlowDiscount / 1_000
    )
    if passed < constants.auctionFast {
      return start - (start - slow) * passed / max(1, constants.auctionFast)
    }
    return slow * max(0, constants.auctionSlow - passed + constants.auctionFast)
      / constants.auctionSlow
  }

  // MARK: - News

  /// Takes note of a cleared batch: positions, and who took what from the book.
  mutating func take(_ batch: StormBatch, isOpening: Bool) {
    for index in 0..<batch.body.eventCount where batch.body.eventKind(index) == .fill {
      let fill = batch.body.event(index, as: Fill.self)
      guard !isOpening, fill.instrument == StormCast.perpetual, fill.taker != cast.arbitrageur,
        !cast.makers.contains(fill.taker)
      else { continue }
      market.take(fill.takerSide, fill.quantity.raw, at: fill.price.raw)
    }
    ledger.take(batch.clearance)
  }

  /// The account's equity and the maintenance of its perpetual at the price of the moment; nil for
  /// who holds options.
  func standing(of held: StormLedger.Holding) -> (equity: Int64, maintenance: Int64)? {
    guard held.positions.dropFirst().allSatisfy({ $0.quantity == 0 }) else { return nil }
    let value = Share.money(held.positions[0].quantity, market.price)
    return (held.cash + value - held.positions[0].cost, Share.of(abs(value), 128_000))
  }
}
